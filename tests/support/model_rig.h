/* What tests of drafters that run a model share: their host, a reply with one method, a refusal. */
#ifndef OTR_TESTS_MODEL_RIG_H
#define OTR_TESTS_MODEL_RIG_H

#include "draft/lm.h"
#include "engine/engine.h"

/* Of an engine; its files are new: lm_files_destroy them. */
struct draft_host mr_host(const struct otr_engine *e, int n_ctx, int n_seq);

/* The tokens [g->max_tokens] of a reply with drafts of four entries (method NULL: plain), for one short prompt. The
 * engine drafts with nothing afterwards. */
int mr_reply(struct otr_engine *e, const char *method, const struct otr_gen *g, int32_t *tok, struct otr_err *err);

/* --spec NAMEparams must fail with that code and a sentence that holds `text`. */
void mr_refused(struct otr_engine *e, const char *name, const char *params, int code, const char *text);

#endif
