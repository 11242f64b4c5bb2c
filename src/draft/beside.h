/* A thread of its own that drafts while the target verifies: it prepares for the likely outcomes of the running pass.
 *
 * In, before the pass: each sequence's history and the chain that is being verified (beside_give). The thread runs the
 * chain's rows, takes at each place the best next tokens by the drafter's own law (fan.h says how many), and writes on
 * from each, all in batched passes, a token deeper with each pass. Out, before the next pass: what is ready for the
 * history as it then is (beside_take), at once or not at all: no call waits for a pass of the thread (but for wait_ms),
 * and what it has not finished is left. When the target's pass is over its work is of no use any more (beside_seen): it
 * stops before its next pass. Entries are chosen (deltas), so any rule stays exact. Under gumbel they are the coupled
 * draw, whose noise is a function of the position: it can be taken ahead. Under law rules the thread never has the
 * noise of the running step (verification-law.md 3). SRC: Saguaro (2603.03251); methods/21 section 8. Threads: all
 * calls are the engine thread's. Read next: beside.c, async.c. */
#ifndef OTR_DRAFT_BESIDE_H
#define OTR_DRAFT_BESIDE_H

#include "draft/draft.h"

struct beside_opts {
    const char *path;
    int n_threads, n_read;  /* of its passes; lm_opts.n_read */
    int fan, depth;         /* outcomes prepared for at a time, tokens of a draft for each */
    double p_min, exponent; /* exponent 0: measured */
    double wait_ms;         /* how long it may be waited for when the target's pass is over; 0: not at all */
    double nap_ms;          /* tests: it sleeps up to so long before each pass */
};
struct beside;
int beside_open(struct beside **out, const struct draft_env *env, const struct beside_opts *o, struct otr_err *err);
void beside_close(struct beside *b); /* joins its thread, after at most one pass */

/* Fills `out` (cleared) with what is prepared for this history. */
void beside_take(struct beside *b, const struct draft_ask *ask, struct tree *out);
/* The next job; takes the place of one that has not begun. chain [n]: what will be verified. How many sequences have
 * room in it. */
int beside_give(struct beside *b, const struct draft_ask *ask, int n, const struct tree *chain);
/* What became of a sequence of the last job is known. How many are still open. */
int beside_seen(struct beside *b, uint64_t seq);
void beside_kept(struct beside *b, int n_tried, int n_kept); /* of a chain of ours */
void beside_drop(struct beside *b, uint64_t seq);
size_t beside_bytes(struct beside *b);

struct beside_counts {
    long hits, misses; /* histories with and without something prepared */
    long late;         /* of the misses: the thread had not come to it */
};
struct beside_counts beside_get_counts(const struct beside *b);

#endif
