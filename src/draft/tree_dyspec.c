/* DySpec: whatever node promises most gets one more child, drawn from what is left of its law. The chance that a node
 * is reached, and that none of its children so far is right, is what one more is worth: greedy is best if the law is
 * right. Under byte rules the next child is known with its law, and so is its own chance.
 * A level is not run for less than it costs. SRC: Xiong et al. 2024, DySpec; methods/21 section 5; rule R1 of
 * verification-law.md 3: a worth is known before the draw. Read next: tree_sequoia.c. */
#include "draft/tree_build.h"

static double dyspec_score(const struct tree_grow *g, const struct tree_node *x)
{
    if (tree_is_drawn(g->ask) || x->n_law < 0)
        return x->reach * x->left;
    return x->n_kid < x->n_law ? x->reach * x->p[x->n_kid] : 0;
}

/* What the rows would bring at most: everything below nodes that wait for theirs. */
static bool dyspec_stop(const struct tree_opts *o, struct tree_grow *g)
{
    double waiting = 0;
    for (int i = 0; i < g->n; i++)
        if (g->node[i].n_law < 0 && !g->node[i].end)
            waiting += g->node[i].reach;
    return waiting <= tree_worth(o, g->ask, 0);
}

const struct tree_policy tree_dyspec = {.name = "dyspec", .draws = true, .score = dyspec_score, .stop = dyspec_stop};
