/* AVX-512 entry of attn_avx512.c, for the table in ops_avx512.c. */
#ifndef OTR_KERN_ATTN_AVX512_H
#define OTR_KERN_ATTN_AVX512_H

#include "kern/kern.h"

void attn_avx512(const struct attn_chunk *a);

#endif
