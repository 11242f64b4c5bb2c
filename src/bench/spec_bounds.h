/* What drafting could have been worth on texts that are known: pure functions on recorded arrays.
 *
 * In: replies as they were, and for every place in them what each drafter may propose there (spec_record.h), times by
 * rows and the cost of asking. Out: milliseconds for all texts under a fixed (drafter, length), under the best causal
 * policy, and under the clairvoyant bound, so that a controller's own time has something to be measured by.
 * INV: no randomness, no clock. SRC: verification-law.md 8; methods/00 3d. Read next: spec_record.h. */
#ifndef OTR_BENCH_SPEC_BOUNDS_H
#define OTR_BENCH_SPEC_BOUNDS_H

#include <stdint.h>

#include "accept/tree.h"

enum { SB_DRAFTERS = 12, SB_CLASSES = 128, SB_ROWS = TREE_MAX + 1 };

/* One drafter before one token, standing on the true text: the largest tree that it may propose. */
struct sb_place {
    uint8_t n;                   /* entries */
    uint8_t class;               /* < SB_CLASSES: match length and probability; n = 0: means nothing */
    uint8_t match;               /* match length, as a bucket: whose offer names the class of the place */
    uint8_t right[TREE_MAX + 1]; /* [k]: correct tokens among the first k entries; never falls */
};
struct sb_text {
    int n;                        /* tokens of the reply; the first comes from the prompt, without a step */
    const struct sb_place *place; /* [n_drafter * n]: of drafter d with p tokens out, place[d * n + p], 1 <= p < n */
    double row_ms, rest_ms;       /* a pass of one row; the rest of a step */
};
struct sb_case {
    int n_text, n_drafter;
    const struct sb_text *text;
    double rel[SB_ROWS + 1];     /* [r]: a pass of r rows beside one of one row */
    double cost_ms[SB_DRAFTERS]; /* of asking once */
};

double sb_plain(const struct sb_case *c);
/* Always the first `len` entries of one drafter, or fewer where it has fewer. */
double sb_fixed(const struct sb_case *c, int drafter, int len);
/* The fixed pair that takes least; drafter -1: plain decoding does. */
double sb_best_fixed(const struct sb_case *c, int *drafter, int *len);

/* One (drafter, length) for each class of places, every drafter having been asked. The class is that of the longest
 * match, first one of equals. */
struct sb_action {
    int drafter, len; /* len 0: plain */
};
struct sb_policy {
    struct sb_action of[SB_DRAFTERS * SB_CLASSES];
};
double sb_policy_ms(const struct sb_case *c, const struct sb_policy *p);
/* Fitted in hindsight to these very texts by coordinate descent over exact simulations, from the best fixed pair and
 * from none; the first n_ask drafters only. It knows neither the next token nor the place in the text. Where plain
 * decoding without asking takes less, that. */
double sb_best_causal(const struct sb_case *c, int n_ask, struct sb_policy *fit);

/* The least that steps can take which know the text: any drafters, any lengths, changed within a step too. */
double sb_clairvoyant(const struct sb_case *c, int n_ask);

#endif
