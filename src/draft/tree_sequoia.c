/* Sequoia: the best tree for measured chances: how often the b-th child of a node is the one that is right. The
 * children are drawn, without replacement where the rule wants that; which places they take was planned before.
 * The size is what the controller planned, from T(rows); the best tree of every size and depth is in one table:
 *   G(m, l, b) = the most tokens that m nodes in l levels can bring below a node, as its children of rank b and on
 *              = max over y of p[b] (1 + G(y - 1, l - 1, 0)) + G(m - y, l, b + 1), or 0
 * SRC: Chen et al. 2024, Sequoia; methods/21 section 5. Read next: tree_sequoia.h. */
#include "draft/tree_sequoia.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY 400.0 /* trees, after which counts fade */
#define BELIEF 12.0  /* trees that the prior counts as */
enum { EVERY = 32 }; /* trees between two tables */

/* As if seen: the first child right in a little over half of all cases, what it misses falls off fast. */
static double prior(int rank)
{
    return 0.55 * (rank == 0 ? 1 : 0.28 / (double)(1 << (rank - 1)));
}

void sequoia_table(struct sequoia *s)
{
    memset(s->best, 0, sizeof s->best);
    memset(s->take, 0, sizeof s->take);
    for (int l = 1; l <= SEQUOIA_DEPTH; l++)
        for (int b = TREE_KIDS - 1; b >= 0; b--)
            for (int m = 1; m <= TREE_MAX; m++)
                for (int y = 1; y <= m; y++) {
                    const double x = s->p[b] * (1 + s->best[l - 1][0][y - 1]) + s->best[l][b + 1][m - y];
                    if (x > s->best[l][b][m]) {
                        s->best[l][b][m] = x;
                        s->take[l][b][m] = (unsigned char)y;
                    }
                }
}

/* Adds the children of a place, level by level. */
void sequoia_plan(const struct sequoia *s, int n, int depth, struct tree_shape *out)
{
    int room[TREE_MAX], level[TREE_MAX]; /* nodes below a place, and levels */
    int m = n < TREE_MAX ? n : TREE_MAX, l = depth < SEQUOIA_DEPTH ? depth : SEQUOIA_DEPTH;
    out->n = 0;
    for (int place = SHAPE_ROOT; place < out->n; place++) {
        if (place >= 0) {
            m = room[place];
            l = level[place];
        }
        for (int b = 0; b < TREE_KIDS && m > 0 && l > 0 && s->take[l][b][m] > 0; b++) {
            const int y = s->take[l][b][m];
            room[out->n] = y - 1;
            level[out->n] = l - 1;
            out->parent[out->n] = (signed char)place;
            out->rank[out->n++] = (signed char)b;
            m -= y;
        }
    }
}

static void measure(struct sequoia *s)
{
    for (int b = 0; b < TREE_KIDS; b++)
        s->p[b] = (s->right[b] + BELIEF * prior(b)) / (s->tried[b] + BELIEF);
    sequoia_table(s);
}

static int sequoia_open(void **state, const struct tree_opts *o, struct otr_err *err)
{
    struct sequoia *s = calloc(1, sizeof *s);
    (void)o;
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for the plan of a tree");
    measure(s);
    *state = s;
    return OTR_OK;
}

static void sequoia_begin(const void *state, struct tree_grow *g)
{
    sequoia_plan(state, g->budget, g->deepest, &g->planned);
    g->shape = &g->planned;
}

/* Level by level, so that a level's rows run in one pass. */
static double sequoia_score(const struct tree_grow *g, const struct tree_node *x)
{
    const bool has = x->place != SHAPE_OUTSIDE && shape_child(g->shape, x->place, x->n_kid) >= 0;
    return has ? 1.0 / (1 + x->depth) : 0;
}

static void sequoia_learn(void *state, const struct draft_seen *seen)
{
    struct sequoia *s = state;
    for (int k = 0; k <= seen->n_path; k++) {
        const int node = k == 0 ? 0 : seen->path[k - 1], next = k < seen->n_path ? seen->path[k] : -1;
        int b = 0;
        for (int e = -1; (e = tree_child(seen->tree, node, e)) >= 0 && b < TREE_KIDS; b++) {
            if (s->tried[b] >= MEMORY) {
                s->right[b] *= (MEMORY - 1) / s->tried[b];
                s->tried[b] = MEMORY - 1;
            }
            s->tried[b]++;
            s->right[b] += seen->tree->entry[e].node == next;
        }
    }
    if (++s->n_seen % EVERY == 0)
        measure(s);
}

const struct tree_policy tree_sequoia = {.name = "sequoia",
                                         .draws = true,
                                         .open = sequoia_open,
                                         .begin = sequoia_begin,
                                         .score = sequoia_score,
                                         .learn = sequoia_learn};
