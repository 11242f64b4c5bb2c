/* From a drafter's logits to a row that tree_draw takes.
 *
 * The row is the drafter's law after the sampler's own chain with the reply's settings (bans, penalties, top-k, ...),
 * as the target's will be: acceptance is best where the two look alike. It is short: what the store of a tree has no
 * room for is left out, and the rest renormalised, so it is the very law that is drawn from. At temperature 0 it is the
 * law of the few likeliest tokens at temperature 1: the argmax comes first, with a probability that says how sure it
 * is. SRC: verification-law.md 2. Read next: draft_model.c. */
#ifndef OTR_DRAFT_DRAFT_ROW_H
#define OTR_DRAFT_DRAFT_ROW_H

#include "draft/draft.h"

struct draft_row {
    int n;       /* the law: */
    int32_t *id; /* [n] by falling probability, lowest id first on ties */
    double *p;   /* [n] sums to 1 */
    struct sampler *s;
    int n_vocab;
    /* where the head is short (few_rows.h): */
    const int32_t *of; /* [n_of] the tokens of the logits, rising; NULL: all */
    int n_of;
    struct sampler *few; /* over these, as if they were a vocabulary */
    float *whole;        /* [n_vocab] -inf where there is no logit */
};
/* n_vocab: of the logits, whose ids are the target's. kern, pool: may be NULL. */
int draft_row_open(struct draft_row *r, int n_vocab, const struct kernels *kern, struct pool *pool,
                   struct otr_err *err);
void draft_row_close(struct draft_row *r);
/* Logits are those of tokens of [n] from here on, which must stay. kern, pool: as of open. */
int draft_row_few(struct draft_row *r, const int32_t *of, int n, const struct kernels *kern, struct pool *pool,
                  struct otr_err *err);
/* The law after the history of an ask and a path of drafted tokens. OTR_E_NUMERIC: a logit is not a number. */
int draft_row_make(struct draft_row *r, const struct draft_ask *ask, const int32_t *path, int n_path,
                   const float *logits, struct otr_err *err);

#endif
