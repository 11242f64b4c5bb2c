/* Where a chain ends: where one entry more costs more than it promises.
 *
 * In: rows as they are drawn from, one after the other; what became of the entries. Out: whether to go on. What an
 * entry must promise is the controller's figure (draft_ask.level_gain). How likely it is: from what became of earlier
 * entries with the same lead of the first candidate over the second. Rule R1: rows and entries already kept are looked
 * at, never the token to come.
 * SRC: methods/17 (adaptive stop), verification-law.md 2. Read next: shadow.c, draft_model.c. */
#ifndef OTR_DRAFT_CHAIN_STOP_H
#define OTR_DRAFT_CHAIN_STOP_H

#include "draft/draft_row.h"

enum { CHAIN_LEADS = 16 };

struct chain_opts {
    int n_max;    /* entries of a chain */
    double p_min; /* stop before a token whose row is less sure than this */
    double reach; /* stop when a chain is less likely than this to be right so far; below 0: by what an entry costs */
};

struct chain_count {
    double tried, right;
};
struct chain_stop {
    struct chain_count lead[CHAIN_LEADS], all;
};

/* A row's confidence, for tree_entry.conf: of the first candidate beside the second alone. p [n] falls. */
float chain_conf(const double *p, int n);
/* Whether a chain goes on behind an entry of this confidence. *reach, from 1 on: the chance that all of it is right.
 * least: stop under this chance; below 0: by what an entry costs, by no chance where that is said to be nothing. */
bool chain_goes_on(const struct chain_stop *s, const struct draft_ask *ask, float conf, double least, double *reach);
/* Draws an entry more of the chain t from its last row; false: the chain ends before it or with it. */
bool chain_grow(const struct chain_stop *s, const struct chain_opts *o, const struct draft_ask *ask,
                const struct draft_row *row, const struct tokenizer *tok, struct tree *t, double *reach);
void chain_see(struct chain_stop *s, const struct draft_seen *seen);

#endif
