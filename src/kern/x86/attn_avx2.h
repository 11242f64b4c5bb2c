/* AVX2 entries of attn_avx2.c, for the table in ops_avx2.c; and its steps, for attn_q8_avx2.c. */
#ifndef OTR_KERN_ATTN_AVX2_H
#define OTR_KERN_ATTN_AVX2_H

#include "kern/kern.h"

/* s [ATTN_CHUNK]: scores in, exp(score - max) out, of the visible positions [lo, hi). */
void attn_softmax_avx2(float *s, int lo, int hi, float softcap, float *max, float *sum);
/* acc of queries [i0, i0 + n), n <= 6, from their weights in a->score. */
void attn_values_avx2(const struct attn_chunk *a, int i0, int n);
void attn_avx2(const struct attn_chunk *a);
void attn_merge_avx2(float *out, int d_head, int n_chunk, const float *max, const float *sum, const float *acc,
                     size_t ld_acc);

#endif
