/* Failing allocations under a drafted reply. For tests that are linked with wrapmem's functions (wrapmem.h). */
#ifndef OTR_TESTS_TORTURE_RIG_H
#define OTR_TESTS_TORTURE_RIG_H

#include "support/model_rig.h"

enum { TORTURE_MAX_TOK = 256 }; /* of g->max_tokens */

/* Every n-th allocation of mr_reply fails, n = 1, 2, ... until a reply needs fewer: each ends as memory that is out, or
 * with the tokens of a plain reply; nothing leaks. Returns that last n. */
long torture_reply(struct otr_engine *e, const char *method, const struct otr_gen *g);

#endif
