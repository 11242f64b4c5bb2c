/* What is prepared for a history: the cache of a drafter that works ahead.
 *
 * A base names a prefix: the history that the target's running pass continues, and the chain that it verifies. An
 * outcome continues it: the first `at` tokens of the chain are kept, then come its own tokens, the target's next one
 * first. A draft for a history is what is left of the outcome that begins with it. So the key of the cache is (base,
 * accepted length, next token), and an answer that comes late, or after tokens that were cut off, is either for the
 * text as it now is or for none. Nothing is allocated here. SRC: Saguaro (2603.03251) section 3. Read next: beside.c.
 */
#ifndef OTR_DRAFT_OUTCOMES_H
#define OTR_DRAFT_OUTCOMES_H

#include "accept/tree.h"

enum { OUTCOME_LEN = TREE_MAX + 1 }; /* tokens: the target's next one, and a draft */

struct outcome_base {
    uint64_t seq;
    const int32_t *tok; /* [n] */
    size_t n;
    int32_t chain[TREE_MAX]; /* [n_chain] */
    float conf[TREE_MAX];    /* of the chain */
    int n_chain;
};
struct outcome {
    int at, n; /* chain tokens before its own; own tokens */
    int32_t tok[OUTCOME_LEN];
    float conf[OUTCOME_LEN];
};

/* The tokens of a history behind the base; NULL where the base is not its beginning, or all of it. */
const int32_t *outcome_after(const struct outcome_base *b, const int32_t *tok, size_t n, size_t *n_after);
/* How many chain tokens the n tokens behind the base follow. */
int outcome_place(const struct outcome_base *b, const int32_t *after, size_t n);
/* What is prepared behind those n >= 1 tokens, into tok and conf [cap]: of the outcome that goes furthest along the
 * chain, of these the first; else of the chain itself. Returns how many tokens; 0: a miss. */
int outcome_find(const struct outcome_base *b, const struct outcome *o, int n_outcome, const int32_t *after, size_t n,
                 int cap, int32_t *tok, float *conf);

#endif
