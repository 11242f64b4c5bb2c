/* The same model with its matrices in a lower type, made in memory: what drafts for it cheaply (draft/lowbit.c).
 *
 * In: open weights and their mapped file. Out: weights of which every matrix that a lower type makes smaller is a new
 * one; the others, norms, biases and the embedding are the target's own. No whole copy in between: rows go through a
 * unit of KERN_ROW_UNIT. Read next: weights.h, quant.h. */
#ifndef OTR_LOAD_LOWER_H
#define OTR_LOAD_LOWER_H

#include "load/weights.h"

/* type: one that quant_makes. head: what becomes of the output matrix; LOWER_NO_HEAD: as KEEP, and nobody reads it.
 * `of` must outlive the result; close it by weights_close. OTR_E_UNSUPPORTED: nothing becomes LOWER_GAIN times smaller,
 * or the matrices of `of` are not packed; OTR_E_FORMAT: a weight that the type cannot hold; OTR_E_LIMIT: more than
 * max_bytes. */
#define LOWER_GAIN 1.5
enum lower_head { LOWER_KEEP_HEAD, LOWER_HEAD, LOWER_NO_HEAD };
int weights_lower(struct weights **out, const struct weights *of, enum ggml_type type, enum lower_head head,
                  size_t max_bytes, struct pool *pool, struct otr_err *err);

#endif
