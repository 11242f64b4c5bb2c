/* What drafters may propose along a text that is known, and what passes of many rows take: the tables behind
 * spec_bounds.h.
 *
 * The drafters walk along the reply token by token, asked before each one for the largest tree the step has room for,
 * and told each token as a plain step would tell it: the state of their indexes is what it is in a real reply.
 * Drafters that read logits cannot be recorded so. INV: the engine's sequences and its controller are not touched.
 * Read next: spec_record.c, spec_bounds.h. */
#ifndef OTR_BENCH_SPEC_RECORD_H
#define OTR_BENCH_SPEC_RECORD_H

#include "bench/spec_bounds.h"
#include "engine/engine.h"

struct record_text {
    const int32_t *tok;       /* [n_prompt + n] */
    size_t n_prompt, n;       /* n: tokens of the reply */
    size_t max;               /* what the reply might have had */
    const int32_t *predicted; /* [n_predicted] as in struct otr_gen */
    size_t n_predicted;
};
/* What a drafter is asked with p tokens of the reply out. */
struct draft_ask record_ask(const struct otr_engine *e, const struct record_text *t, size_t p, int budget);
/* The drafters of sp, as new, along one text. place [sp->n_d * n]; cost_ms [sp->n_d]: median of asking and telling
 * once. */
int record_places(const struct otr_engine *e, struct spec *sp, const struct record_text *t, struct sb_place *place,
                  double *cost_ms, struct otr_err *err);
/* ms[r]: one pass of r rows after what s holds, all with logits, none committed; tok [SB_ROWS]. ms [SB_ROWS + 1] */
int record_passes(struct otr_seq *s, const int32_t *tok, double *ms, struct otr_err *err);

#endif
