/* Owns block verification of a chain x1..xk; of a tree only the first entry under each node is looked at.
 *   P_0 = 1, P_i = min(1, P_{i-1} p(x_i) / q(x_i))
 *   S_i = sum of max(P_i p - q, 0) at the position after x_i;  h_i = S_i / (S_i + 1 - P_i) for i < k;  h_k = P_k
 *   tau = the largest i with u_i < h_i, or 0; then a token from norm(max(P_tau p - q, 0)), from p if tau = k.
 * SRC: Sun et al. 2024, Block Verification Accelerates Speculative Decoding. Read next: traversal.c. */
#include "accept/accept_priv.h"

int rule_block(struct decision *d)
{
    const struct tree *t = d->t;
    int x[TREE_MAX + 1]; /* the chain, then -1 */
    int k = 0, tau = 0, rc;
    double p_tau = 1;
    for (int e = tree_child(t, 0, -1); e >= 0; e = tree_child(t, t->entry[e].node, -1))
        x[k++] = e;
    x[k] = -1;
    if ((rc = row_load(d, 0)) < 0)
        return rc;
    double p_i = 1;
    for (int i = 1; i <= k; i++) {
        const int e = x[i - 1];
        p_i = entry_weight(d, p_i, e);
        if (p_i == 0) /* and so are all P after it, and all h */
            break;
        double h = p_i;
        if (i < k) {
            if ((rc = row_load(d, t->entry[e].node)) < 0)
                return rc;
            h = refused_weight(row_excess(d, p_i, x[i]), p_i);
        }
        if (d->dice->coin(d->dice->self, h, e)) {
            tau = i;
            p_tau = p_i;
        }
    }
    for (int i = 0; i < tau; i++)
        keep(d, x[i]);
    const int last = tau > 0 ? x[tau - 1] : TREE_ROOT;
    if ((rc = row_load(d, tau > 0 ? t->entry[last].node : 0)) < 0)
        return rc;
    if (tau < k)
        row_refuse(d, p_tau, x[tau]);
    return end_with_draw(d, last);
}
