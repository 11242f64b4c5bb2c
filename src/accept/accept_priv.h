/* What the rules share: the decision at hand, the target's law at one node, and the few steps that every law rule is
 * made of. The formulas stand in target_row.c once.
 * Read next: target_row.c, rules.c (byte rules; ratio, multi), block.c, traversal.c, lossy.c; draw.c, dice.c. */
#ifndef OTR_ACCEPT_PRIV_H
#define OTR_ACCEPT_PRIV_H

#include "accept/accept.h"

struct accept_scratch {
    int n_vocab;
    double *p; /* [n_vocab] p of the law at hand, by place in its list */
    double *q; /* [n_vocab] by token. INV: all 0 between calls */
};

/* One decision. p: the target's law at `node`, in the order of the sampler's candidates, then its residuals. */
struct decision {
    const struct tree *t;
    const struct accept_target *target;
    const struct accept_dice *dice;
    struct accept_scratch *s;
    struct accept_verdict *out;
    struct otr_err *err;
    int node; /* whose law p is, unchanged; -1: none's */
    int n;
    const int32_t *id; /* [n] */
    double *p;         /* [n] sums to 1 */
    uint32_t asked;    /* nodes, bit by bit */
};

/* ---- target_row.c: p at a node, q of an entry ---- */

/* p <- the target's law at a node. */
int row_load(struct decision *d, int node);
double row_prob(const struct decision *d, int32_t token);
/* min(1, a p(x) / q(x)) for an entry's token x; 0/0 is 0. */
double entry_weight(const struct decision *d, double a, int entry);
/* S = sum of max(a p - q, 0), q the entry's law. */
double row_excess(struct decision *d, double a, int entry);
/* The entry is refused: p <- max(a p - q, 0) / S, unchanged if S = 0. Returns S. */
double row_refuse(struct decision *d, double a, int entry);
/* S / (S + 1 - a): the weight of a node whose entry was refused; 0/0 is 0. */
double refused_weight(double s, double a);

/* ---- the end of a decision ---- */

void keep(struct decision *d, int entry);
/* The token after the kept path, drawn from p; last: the last kept entry, or TREE_ROOT. */
int end_with_draw(struct decision *d, int last);
/* The same as plain decoding would pick it after a node. */
int end_with_pick(struct decision *d, int node);

/* ---- rules: OTR_OK, or the target's error ---- */

int rule_bytes(struct decision *d);                 /* greedy, gumbel */
int rule_multi(struct decision *d, int n_siblings); /* at most so many entries a node: 1 is ratio */
int rule_block(struct decision *d);
int rule_traversal(struct decision *d);
int rule_typical(struct decision *d);
int rule_relaxed(struct decision *d);

/* ---- draw.c, dice.c ---- */

/* tree_draw with the caller's dice instead of keyed ones. */
int tree_draw_with(struct tree *t, int parent, const int32_t *id, const double *p, int n, const struct tree_luck *luck,
                   const struct accept_dice *dice);
/* Dice for drafts. The key must outlive them. */
struct accept_dice accept_draft_dice(const struct accept_key *key);
/* From a random word: u < h, u in [0, 1); and the index of u among n weights. */
bool coin_of_word(uint64_t word, double h);
int pick_of_word(uint64_t word, const double *w, int n);

#endif
