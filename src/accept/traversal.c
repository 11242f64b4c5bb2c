/* Owns traversal verification of a tree, from its leaves to its root: depth first, entries in their order.
 *   a(root) = 1. First visit of an entry x: a(x) = min(1, a p(x) / q(x)), a and p its parent's current ones.
 *   A node with no entry left is accepted with probability a; the next token comes from its updated p.
 *   Refused: its parent gets S = sum of max(a p - q, 0), p <- max(a p - q, 0) / S, a <- S / (S + 1 - a), all of it from
 *   the old a and p and this entry's q; then the parent's next entry.
 * WHY p is computed anew when the walk comes back to a node: it follows from the target's law and from which entries
 * were refused, so one row of scratch is enough at any depth.
 * SRC: verification-law.md 5; Weng et al. 2025, Traversal Verification. Read next: lossy.c. */
#include "accept/accept_priv.h"

struct visit {
    int entry;   /* TREE_ROOT: the committed end */
    int refused; /* entries under it up to this one are refused; -1: none */
    double a;    /* when first visited */
};

static int node_of_visit(const struct decision *d, const struct visit *v)
{
    return v->entry == TREE_ROOT ? 0 : d->t->entry[v->entry].node;
}

/* p and *a of a node: the target's law, with what is refused taken away. Then *child: the next entry whose weight
 * *child_a is not 0, or -1. (Weight 0 is weight 0 all the way down: such an entry is refused without a visit.) */
static int go_on(struct decision *d, struct visit *v, double *a, int *child, double *child_a)
{
    const int node = node_of_visit(d, v);
    const int rc = row_load(d, node);
    if (rc < 0)
        return rc;
    *a = v->a;
    for (*child = -1; (*child = tree_child(d->t, node, *child)) >= 0;) {
        if (*child > v->refused) {
            *child_a = entry_weight(d, *a, *child);
            if (*child_a > 0)
                return OTR_OK;
            v->refused = *child;
        }
        *a = refused_weight(row_refuse(d, *a, *child), *a);
    }
    return OTR_OK;
}

/* The path of visits is accepted; p is the law of its end. */
static int accepted(struct decision *d, const struct visit *path, int depth)
{
    for (int i = 1; i <= depth; i++)
        keep(d, path[i].entry);
    return end_with_draw(d, path[depth].entry);
}

int rule_traversal(struct decision *d)
{
    struct visit path[TREE_MAX + 1];
    int depth = 0, rc;
    path[0] = (struct visit){.entry = TREE_ROOT, .refused = -1, .a = 1};
    for (;;) {
        struct visit *v = &path[depth];
        const int node = node_of_visit(d, v);
        const bool leaf = tree_child(d->t, node, -1) < 0;
        int child = -1;
        double a = v->a, child_a = 0;
        if (!leaf && (rc = go_on(d, v, &a, &child, &child_a)) < 0) /* a leaf's law is asked for if it is accepted */
            return rc;
        if (child >= 0) {
            path[++depth] = (struct visit){.entry = child, .refused = -1, .a = child_a};
        } else if (depth == 0 || d->dice->coin(d->dice->self, a, v->entry)) {
            if (leaf && (rc = row_load(d, node)) < 0)
                return rc;
            return accepted(d, path, depth);
        } else {
            path[--depth].refused = v->entry;
        }
    }
}
