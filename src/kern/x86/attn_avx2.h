/* AVX2 entries of attn_avx2.c, for the table in ops_avx2.c. */
#ifndef OTR_KERN_ATTN_AVX2_H
#define OTR_KERN_ATTN_AVX2_H

#include "kern/kern.h"

void attn_avx2(const struct attn_chunk *a);
void attn_merge_avx2(float *out, int d_head, int n_chunk, const float *max, const float *sum, const float *acc,
                     size_t ld_acc);

#endif
