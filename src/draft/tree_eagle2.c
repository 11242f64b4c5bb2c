/* EAGLE-2: of every level the top_k nodes of the largest cumulative probability are expanded; at the end the best of
 * all levels are kept. SRC: Li et al. 2024, EAGLE-2; methods/21 section 1. Read next: tree_opt.c. */
#include "draft/tree_build.h"

static double eagle2_score(const struct tree_grow *g, const struct tree_node *x)
{
    (void)g;
    return x->reach;
}

const struct tree_policy tree_eagle2 = {.name = "eagle2", .score = eagle2_score};
