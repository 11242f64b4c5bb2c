/* The controller itself along a text that is known, with times from a table: what it would take on a machine without
 * noise. Beside the bounds it says how good the choices are; beside the measured figure, how far tables can be trusted.
 * INV: it plans, chooses and learns by the calls of a real step (engine/step.c), and nothing else.
 * Read next: spec_replay.c, control/control.h. */
#ifndef OTR_BENCH_SPEC_REPLAY_H
#define OTR_BENCH_SPEC_REPLAY_H

#include "bench/spec_record.h"

/* ms of the reply t; the controller of sp learns, its drafters are as new. c: times by rows, and costs in the order of
 * sp's drafters; text: ms of a row and of the rest of a step. */
int replay_text(const struct otr_engine *e, struct spec *sp, const struct record_text *t, const struct sb_case *c,
                const struct sb_text *text, double *ms, struct otr_err *err);

#endif
