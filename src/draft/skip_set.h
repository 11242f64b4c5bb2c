/* Sets of sub-layers that a drafter leaves out: as text, in a file, and the search for a good one.
 *
 * A set is a letter for each layer: - nothing, a attention, f feed-forward, b both. How good one is: the tokens a step
 * is expected to give for the bytes it reads, from the share of a text's tokens that the model without these
 * sub-layers predicts as they are (its matchness). The search is random: from the best set so far some letters change.
 * WHY not Bayesian: one try costs a pass of 32 rows, and the space has few good directions; the first and last layers
 * stay. SRC: methods/21 section 4 (Draft & Verify, SWIFT). Read next: skip.c. */
#ifndef OTR_DRAFT_SKIP_SET_H
#define OTR_DRAFT_SKIP_SET_H

#include "draft/draft.h"

enum { SKIP_WINDOW = FWD_MAX_LOGITS, SKIP_MAX_LAYER = 512 };

struct skip_set {
    int n_layer;
    unsigned char skip[SKIP_MAX_LAYER]; /* enum fwd_skip */
    double match;                       /* 0: never scored */
    double rate;                        /* expected speed beside plain decoding; 1: no gain */
};

int skip_set_read(struct skip_set *s, const char *text, int n_layer, struct otr_err *err);
void skip_set_write(const struct skip_set *s, char *text); /* [n_layer + 1] */
/* The set found for these weights, by a file in dir. False: none. */
bool skip_set_load(struct skip_set *s, const char *dir, const struct weights *w);
void skip_set_save(const struct skip_set *s, const char *dir, const struct weights *w); /* a failure is no error */
double skip_set_cost(const struct skip_set *s, const struct weights *w); /* bytes it reads, as a share of all */

struct skip_search {
    struct skip_set best, next;
    uint64_t rng;
    int n_try;
};
void skip_search_begin(struct skip_search *s, const struct weights *w, uint64_t seed);
/* Scores one more set on windows tok[at[i] .. at[i] + SKIP_WINDOW) that seq holds and goes on from: 1 <= at[i],
 * at[i] + SKIP_WINDOW < its length. Now and then that is the best set again: it must not live of one lucky window.
 * scratch: a sequence of seq's cache and limit, empty before and after. f: with its whole head.
 * Negative: a pass could not run (no page), and nothing has changed. Sets f's skips to the best set. */
int skip_search_try(struct skip_search *s, struct fwd *f, struct kv_seq *scratch, const struct kv_seq *seq,
                    const int32_t *tok, const size_t *at, int n_at, const struct weights *w);

#endif
