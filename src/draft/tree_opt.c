/* OPT-Tree: the tree of so many nodes with the largest expected length, the sum of all cumulative probabilities; a
 * level more is run while that sum still grows by what it costs. SRC: Wang et al. 2024, OPT-Tree; methods/21 section 5.
 * Read next: tree_dyspec.c. */
#include "draft/tree_build.h"

#define GAIN 0.2 /* where nobody knows what a level costs */

static double opt_score(const struct tree_grow *g, const struct tree_node *x)
{
    (void)g;
    return x->reach;
}

static bool opt_stop(const struct tree_opts *o, struct tree_grow *g)
{
    const double now = tree_promise(g), grown = now - g->promised;
    g->promised = now;
    return grown <= tree_worth(o, g->ask, GAIN);
}

const struct tree_policy tree_opt = {.name = "opt", .score = opt_score, .stop = opt_stop};
