/* Entries of level c that other levels of the same activation layout may take over. */
#ifndef OTR_KERN_LEVEL_C_H
#define OTR_KERN_LEVEL_C_H

#include "kern/act.h"

size_t act_bytes_c(enum act_kind kind, int n_cols, int n_tok);
void act_pack_c(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
                int tok_hi);
/* Quantises n values by the rule of act.h; returns the scale. q may be x. */
float act_quantise_c(int8_t *q, const float *x, size_t n);
/* s [ATTN_CHUNK]: scores in, exp(score - max) out, of the visible positions [lo, hi). */
void attn_softmax_c(float *s, int lo, int hi, float softcap, float *max, float *sum);
void attn_c(const struct attn_chunk *a);
void attn_merge_c(float *out, int d_head, int n_chunk, const float *max, const float *sum, const float *acc,
                  size_t ld_acc);

#endif
