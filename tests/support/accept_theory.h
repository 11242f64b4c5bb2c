/* Acceptance of drafts by its formulas, beside what the rules did, position by position.
 *
 * In: laws p of the target and q of the drafter along drafted chains, and how many entries a rule kept. Out: for each
 * rule and depth what was kept, what the formula says, and how many standard errors lie between them.
 *   ratio              sum of min(p, q) at each position that was reached
 *   gumbel             sum over i of 1 / sum over j of max(p_j / p_i, q_j / q_i), too
 *   block, traversal   (chains) that i entries or more stay: sum of min(P p, q), P the weight of the i - 1 before
 * All are the expectation given the entries above, so that the differences add up to no bias whatever was drafted.
 * SRC: verification-law.md 5, 9; block.c. Read next: tests/proof/proof_accept.c, tests/unit/test_accept_theory.c. */
#ifndef OTR_TESTS_ACCEPT_THEORY_H
#define OTR_TESTS_ACCEPT_THEORY_H

#include "accept/accept.h"

enum { AT_DEPTH = 4 };
#define AT_LIMIT 4.0 /* standard errors: a false alarm in 16,000 for a cell */
#define AT_ALARM 6.3e-5

struct at_law { /* zero elsewhere; sums to 1 */
    int n;
    const int32_t *id;
    const double *p;
};
double at_overlap(const double *p, const struct at_law *q, double a);         /* sum of min(a p, q); p by token */
double at_coupled(const double *p, const struct at_law *q, int32_t *scratch); /* scratch [q->n] */

/* Observations come in clusters (chains of one position), which may depend on each other inside. */
struct at_cell {
    long n;
    double kept, chance, model; /* sums; model: of chance (1 - chance) */
    double off, square;         /* kept - chance of the open cluster; squares of the closed ones */
};
void at_add(struct at_cell *c, bool kept, double chance);
void at_close(struct at_cell *c); /* the cluster */
/* WHY the larger of two: squares of few clusters miss what is rare, the model misses what hangs together. */
double at_error(const struct at_cell *c); /* of kept - chance, a sum */
double at_z(const struct at_cell *c);

struct at_chain {
    int n;
    int32_t x[AT_DEPTH];
    const double *p[AT_DEPTH]; /* by token: at the position of each entry */
    struct at_law q[AT_DEPTH];
};
/* Adds what a rule kept of a chain. */
void at_chain_seen(struct at_cell cell[AT_DEPTH], enum accept_rule rule, const struct at_chain *c, int kept);

/* A planted bug: q is uniform over its row. WHY not that of planted_trees.h: a q that is only sharper is accepted about
 * as often (its law is wrong all the same, and the tests of laws see it). */
void at_spoil_q(struct tree *t);

/* The mean of differences that a law says are not negative. */
struct at_gain {
    long n;
    double sum, now, square;
};
void at_gain_add(struct at_gain *g, double x);
void at_gain_close(struct at_gain *g);
double at_gain_z(const struct at_gain *g);

#endif
