/* medusa: a static tree of ranks. shape=NAME|FILE, likeliest places first, so that a smaller budget keeps a beginning.
 * SRC: Cai et al. 2024, Medusa (static trees); methods/21 section 1. Read next: tree_shape.h. */
#include <stdlib.h>

#include "draft/tree_build.h"

static int medusa_open(void **state, const struct tree_opts *o, struct otr_err *err)
{
    struct tree_shape *s = malloc(sizeof *s);
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for the shape of a tree");
    *state = s;
    return shape_read(s, o->shape ? o->shape : "even", err);
}

static void medusa_begin(const void *state, struct tree_grow *g)
{
    g->shape = state;
}

static double medusa_score(const struct tree_grow *g, const struct tree_node *x)
{
    (void)g;
    return x->place >= 0 ? 1.0 / (1 + x->place) : 0;
}

const struct tree_policy tree_medusa = {
    .name = "medusa", .open = medusa_open, .begin = medusa_begin, .score = medusa_score};
