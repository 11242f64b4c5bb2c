/* Owns the file of what the controller learnt: text, one fact a line, written beside and renamed.
 * A line that is not sound is skipped: the worst it can do is cost a little time until real passes correct it.
 * See control_priv.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/replace_file.h"
#include "control/control_priv.h"

#define HEAD "outrider-control 1"
#define GUESS 0.5 /* what a file says counts as a guess: the machine may have changed */

static int drafter_of(const struct control *c, const char *name)
{
    for (int d = 0; d < c->o.n_drafter; d++)
        if (strcmp(c->drafter[d].name, name) == 0)
            return d;
    return -1;
}

static bool is_count(double tried, double right)
{
    return tried >= 0 && tried < 1e6 && right >= 0 && right <= tried;
}

static void load_line(struct control *c, const char *line)
{
    char name[40];
    int a, b, e;
    double x, y;
    if (sscanf(line, "pace %d %lf", &a, &x) == 2 && a >= 0 && a < TM_CTX && x > 0 && x < 1e7)
        c->time.pace[a] = (struct tm_ratio){x, GUESS, 0};
    else if (sscanf(line, "rows %d %d %lf", &a, &b, &x) == 3 && a > 1 && a <= TM_ROWS && b >= 0 && b < TM_CTX &&
             x > 0.1 && x < 1e4)
        c->time.rel[a][b] = (struct tm_ratio){x, GUESS, 0};
    else if (sscanf(line, "all %39s %lf %lf", name, &x, &y) == 3 && (a = drafter_of(c, name)) >= 0 && is_count(x, y))
        c->st[a].accept.all = (struct ac_count){(float)x, (float)y};
    else if (sscanf(line, "depth %39s %d %lf %lf", name, &a, &x, &y) == 4 && drafter_of(c, name) >= 0 && a >= 0 &&
             a < AC_DEPTH && is_count(x, y))
        c->st[drafter_of(c, name)].accept.depth[a] = (struct ac_count){(float)x, (float)y};
    else if (sscanf(line, "cost %39s %lf %lf", name, &x, &y) == 3 && (a = drafter_of(c, name)) >= 0 && x >= 0 &&
             x < 1e7 && y >= 0 && y < 1e7)
        dc_guess(&c->st[a].cost, x, y);
    else if (sscanf(line, "catch %39s %lf", name, &x) == 2 && (a = drafter_of(c, name)) >= 0 && x > 0 && x < 1e7)
        c->st[a].catch_ms = x;
    else if (sscanf(line, "wide %39s %lf %lf", name, &x, &y) == 3 && (a = drafter_of(c, name)) >= 0 && x >= 0 &&
             x < 1e7 && y >= 0 && y < 1e7)
        dc_guess(&c->st[a].wide, x, y);
    else if (sscanf(line, "rank %39s %d %lf %lf", name, &a, &x, &y) == 4 && drafter_of(c, name) >= 0 && a >= 0 &&
             a < AC_RANK && is_count(x, y))
        c->st[drafter_of(c, name)].accept.rank[a] = (struct ac_count){(float)x, (float)y};
    else if (sscanf(line, "class %39s %d %d %lf %lf", name, &a, &b, &x, &y) == 5 && drafter_of(c, name) >= 0 &&
             a >= 0 && a < AC_MATCH && b >= 0 && b < AC_CONF && is_count(x, y))
        c->st[drafter_of(c, name)].accept.class[a][b] = (struct ac_count){(float)x, (float)y};
    else if (sscanf(line, "leaf %39s %d %d %d %lf %lf", name, &a, &b, &e, &x, &y) == 6 && drafter_of(c, name) >= 0 &&
             a >= 0 && a < AC_MATCH && b >= 0 && b < AC_CONF && e >= 0 && e < AC_DEPTH && is_count(x, y))
        c->st[drafter_of(c, name)].accept.leaf[a][b][e] = (struct ac_count){(float)x, (float)y};
}

void control_load(struct control *c)
{
    char line[160];
    FILE *f = c->state_path ? fopen(c->state_path, "re") : NULL;
    if (!f)
        return;
    if (fgets(line, sizeof line, f) && strncmp(line, HEAD "\n", sizeof HEAD) == 0)
        while (fgets(line, sizeof line, f))
            load_line(c, line);
    fclose(f);
}

static void save_drafter(FILE *f, const char *name, const struct ctl_state *st)
{
    const struct acceptance *a = &st->accept;
    fprintf(f, "all %s %.6g %.6g\n", name, (double)a->all.tried, (double)a->all.right);
    if (st->cost.n > 0)
        fprintf(f, "cost %s %.6g %.6g\n", name, dc_ms(&st->cost, 0), dc_ms(&st->cost, 1) - dc_ms(&st->cost, 0));
    if (st->catch_ms > 0)
        fprintf(f, "catch %s %.6g\n", name, st->catch_ms);
    if (st->wide.n > 0)
        fprintf(f, "wide %s %.6g %.6g\n", name, dc_ms(&st->wide, 0), dc_ms(&st->wide, 1) - dc_ms(&st->wide, 0));
    for (int r = 0; r < AC_RANK; r++)
        if (a->rank[r].tried > 0)
            fprintf(f, "rank %s %d %.6g %.6g\n", name, r, (double)a->rank[r].tried, (double)a->rank[r].right);
    for (int d = 0; d < AC_DEPTH; d++)
        if (a->depth[d].tried > 0)
            fprintf(f, "depth %s %d %.6g %.6g\n", name, d, (double)a->depth[d].tried, (double)a->depth[d].right);
    for (int m = 0; m < AC_MATCH; m++)
        for (int k = 0; k < AC_CONF; k++) {
            if (a->class[m][k].tried > 0)
                fprintf(f, "class %s %d %d %.6g %.6g\n", name, m, k, (double)a->class[m][k].tried,
                        (double)a->class[m][k].right);
            for (int d = 0; d < AC_DEPTH; d++)
                if (a->leaf[m][k][d].tried > 0)
                    fprintf(f, "leaf %s %d %d %d %.6g %.6g\n", name, m, k, d, (double)a->leaf[m][k][d].tried,
                            (double)a->leaf[m][k][d].right);
        }
}

static void save_times(FILE *f, const struct time_model *t)
{
    for (int k = 0; k < TM_CTX; k++) {
        if (t->pace[k].n > 0)
            fprintf(f, "pace %d %.6g\n", k, t->pace[k].x);
        for (int r = 2; r <= TM_ROWS; r++)
            if (t->rel[r][k].n > 0)
                fprintf(f, "rows %d %d %.6g\n", r, k, t->rel[r][k].x);
    }
}

int control_save(const struct control *c, struct otr_err *err)
{
    struct replace_file r;
    bool ok = replace_open(&r, c->state_path, 0666);
    if (ok) {
        fprintf(r.f, HEAD "\n");
        save_times(r.f, &c->time);
        for (int d = 0; d < c->o.n_drafter; d++)
            save_drafter(r.f, c->drafter[d].name, &c->st[d]);
        ok = replace_close(&r, true);
    }
    return ok ? OTR_OK : OTR_FAIL(err, IO, "cannot write what was learnt (%.200s)", c->state_path);
}
