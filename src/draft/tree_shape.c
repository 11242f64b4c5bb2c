/* Owns planned trees: named ones, and files of rank paths. See tree_shape.h. */
#include "draft/tree_shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Chances of ranks that named trees are grown by. WHY not tables of other people: those fit heads on one model; these
 * say what they are for. A drafter that is sure of itself wants depth, one that is not wants width. */
static const struct {
    const char *name;
    double p[TREE_KIDS];
} named[] = {
    {"even", {0.60, 0.15, 0.07, 0.04, 0.02, 0.01, 0.01, 0.01}},
    {"deep", {0.80, 0.07, 0.03, 0.02, 0.01, 0.01, 0, 0}},
    {"wide", {0.40, 0.20, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01}},
};
enum { N_NAMED = sizeof named / sizeof *named };

int shape_child(const struct tree_shape *s, int place, int rank)
{
    for (int i = place + 1; i < s->n; i++)
        if (s->parent[i] == place && s->rank[i] == rank)
            return i;
    return SHAPE_OUTSIDE;
}

int shape_last_rank(const struct tree_shape *s, int place, int n)
{
    int last = -1;
    for (int i = place + 1; i < s->n && i < n; i++)
        if (s->parent[i] == place && s->rank[i] > last)
            last = s->rank[i];
    return last;
}

/* Chances fall along a path and from rank to rank, so the places that are worth most are a tree. */
void shape_grow(struct tree_shape *s, const double *p, int n)
{
    struct {
        int parent, rank;
        double worth, above;
    } open[2 * TREE_MAX + 1];
    int n_open = 1;
    open[0].parent = SHAPE_ROOT;
    open[0].rank = 0;
    open[0].above = 1;
    open[0].worth = p[0];
    for (s->n = 0; s->n < n && s->n < TREE_MAX && n_open > 0;) {
        int top = 0;
        for (int i = 1; i < n_open; i++)
            if (open[i].worth > open[top].worth)
                top = i;
        if (open[top].worth <= 0)
            return;
        const int place = s->n++, rank = open[top].rank;
        const double worth = open[top].worth, above = open[top].above;
        s->parent[place] = (signed char)open[top].parent;
        s->rank[place] = (signed char)rank;
        if (rank + 1 < TREE_KIDS) { /* its place is its next sibling's */
            open[top].rank = rank + 1;
            open[top].worth = above * p[rank + 1];
        } else {
            open[top] = open[--n_open];
        }
        open[n_open].parent = place;
        open[n_open].rank = 0;
        open[n_open].above = worth;
        open[n_open++].worth = worth * p[0];
    }
}

/* ---- files ---- */

/* One line: a path of ranks. What is wrong, or NULL. */
static const char *add_path(struct tree_shape *s, const char *line)
{
    int place = SHAPE_ROOT, rank;
    for (const char *c = line;;) {
        char *end;
        const long x = strtol(c, &end, 10);
        if (end == c)
            return "not a path of ranks";
        if (x < 0 || x >= TREE_KIDS)
            return "a rank outside 0 to 7";
        rank = (int)x;
        c = end + strspn(end, " \t\r\n");
        if (!*c)
            break;
        if ((place = shape_child(s, place, rank)) == SHAPE_OUTSIDE)
            return "a path whose parent is not on a line before it";
    }
    if (shape_child(s, place, rank) != SHAPE_OUTSIDE)
        return "a path that was there before";
    if (s->n == TREE_MAX)
        return "more than 31 paths";
    s->parent[s->n] = (signed char)place;
    s->rank[s->n++] = (signed char)rank;
    return NULL;
}

static int read_file(struct tree_shape *s, const char *path, struct otr_err *err)
{
    char line[SHAPE_LINE], q[80];
    int n_line = 0, rc = OTR_OK;
    FILE *f = fopen(path, "re");
    if (!f)
        return OTR_FAIL(err, IO,
                        "cannot read the shape of a tree (--spec tree, shape): '%s' is no file, nor even, deep or wide",
                        err_quote(q, sizeof q, path, strlen(path)));
    err_quote(q, sizeof q, path, strlen(path));
    while (rc == OTR_OK && fgets(line, sizeof line, f)) {
        n_line++;
        const bool cut = !strchr(line, '\n') && !feof(f);
        line[strcspn(line, "#")] = 0;
        const char *wrong = cut                                      ? "a line of more than 500 bytes"
                            : strspn(line, " \t\r\n") < strlen(line) ? add_path(s, line)
                                                                     : NULL;
        if (wrong)
            rc = OTR_FAIL(err, FORMAT, "shape of a tree (%s, line %d): %s", q, n_line, wrong);
    }
    if (rc == OTR_OK && ferror(f))
        rc = OTR_FAIL(err, IO, "cannot read the shape of a tree (%s)", q);
    if (rc == OTR_OK && s->n == 0)
        rc = OTR_FAIL(err, FORMAT, "shape of a tree (%s): no path of ranks in it", q);
    fclose(f);
    return rc;
}

int shape_read(struct tree_shape *s, const char *name, struct otr_err *err)
{
    s->n = 0;
    for (int i = 0; i < N_NAMED; i++)
        if (strcmp(name, named[i].name) == 0) {
            shape_grow(s, named[i].p, TREE_MAX);
            return OTR_OK;
        }
    return read_file(s, name, err);
}
