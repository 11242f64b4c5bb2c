/* Owns the rules that go from the root down: the byte rules, and ratio, multi and multi-iid.
 * SRC: ratio: Leviathan et al. 2023, Chen et al. 2023. multi, multi-iid: Miao et al. 2024, SpecInfer; without
 * replacement: Jeon et al. 2024, RSD, and Chen et al. 2024, Sequoia. Read next: block.c. */
#include "accept/accept_priv.h"

/* greedy, gumbel: what plain decoding picks, as long as it was drafted. */
int rule_bytes(struct decision *d)
{
    for (int node = 0; node >= 0;) {
        const int rc = end_with_pick(d, node);
        if (rc < 0)
            return rc;
        node = tree_find(d->t, node, d->out->next);
        if (node >= 0)
            d->out->node[d->out->n++] = node;
    }
    return OTR_OK;
}

/* Tests entries under a node in their order: accept x with min(1, p(x) / q(x)), else p <- norm(max(p - q, 0)).
 * The accepted one, or -1. */
static int first_accepted(struct decision *d, int node, int n_siblings)
{
    int e = tree_child(d->t, node, -1);
    for (int i = 0; e >= 0 && i < n_siblings; i++, e = tree_child(d->t, node, e)) {
        if (d->dice->coin(d->dice->self, entry_weight(d, 1, e), e))
            return e;
        row_refuse(d, 1, e);
    }
    return -1;
}

/* ratio: of a tree only the first entry under each node is looked at, a chain. */
int rule_multi(struct decision *d, int n_siblings)
{
    for (int node = 0, last = TREE_ROOT;;) {
        const int rc = row_load(d, node);
        if (rc < 0)
            return rc;
        const int e = first_accepted(d, node, n_siblings);
        if (e < 0)
            return end_with_draw(d, last);
        keep(d, e);
        last = e;
        node = d->t->entry[e].node;
    }
}
