/* A drafter's pass that stands on the target's own keys and values: the same model made cheaper (other weights of the
 * same shape, or sub-layers left out), whose rows continue the target's committed end.
 *
 * In: asks. Out: chains. There is no prompt to process and nothing to catch up with: the committed K and V of the
 * target are read as they are, and stand in well for the cheaper model's own. The rows of a draft are never committed.
 * INV: the target's committed K and V are not written. Drafted rows lie in reserved places behind the committed end,
 *      which the target's pass writes before it reads them; reserved pages go back before the call ends.
 * Read next: chain_stop.h, lowbit.c, exit.c, skip.c. */
#ifndef OTR_DRAFT_SHADOW_H
#define OTR_DRAFT_SHADOW_H

#include "draft/chain_stop.h"
#include "draft/few_rows.h"

/* n_max=, p_min=, reach= of a method that drafts with a shadow; rows=, freq= of its head. */
#define SHADOW_PARAMS "n_max", "p_min", "reach", FEW_ROWS_PARAMS
int shadow_params(struct chain_opts *o, const struct draft_env *env, struct otr_err *err);

struct shadow;
/* w: of the target's shape; they and the env's pool and KV must outlive it. head: the type of a short head. */
int shadow_open(struct shadow **out, const struct draft_env *env, const struct weights *w, enum ggml_type head,
                struct otr_err *err);
/* Chains in the target's own pass, on its first n_layer layers, for a method that is DRAFT_IN_PASS. */
int shadow_open_exit(struct shadow **out, const struct draft_env *env, int n_layer, struct otr_err *err);
void shadow_close(struct shadow *s);
struct fwd *shadow_fwd(struct shadow *s);
const struct mat *shadow_head(const struct shadow *s); /* of its drafts, for fwd_set_head */
size_t shadow_bytes(const struct shadow *s);           /* weights of its own */
/* A chain for each ask, whose trees come cleared. Negative: the pass failed; what was drafted before stays. */
int shadow_propose(struct shadow *s, const struct chain_opts *o, const struct draft_ask *ask, int n_ask,
                   struct tree *out);
void shadow_observe(struct shadow *s, const struct draft_seen *seen, int n_seen);

/* draft_laws of a shadow with a pass of its own. Side branches stand in scratch slots of the target's cache. */
int shadow_begin(struct shadow *s, const struct draft_ask *ask, int n_ask, int *row);
int shadow_more(struct shadow *s, const struct draft_ask *ask, const struct draft_law_row *rows, int n);
const struct draft_row *shadow_law(struct shadow *s, const struct draft_ask *ask, const int32_t *path, int n_path,
                                   int row);
void shadow_end(const struct draft_ask *ask, int n_ask);

#endif
