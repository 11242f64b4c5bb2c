/* What each level puts into the table (kern.h): kernels_init starts with all of c, then every level that the CPU has
 * overwrites its entries. Read next: kern.c. */
#ifndef OTR_KERN_LEVELS_H
#define OTR_KERN_LEVELS_H

#include "kern/kern.h"

/* Weights and activations: pack_bytes, pack, act_bytes, act_pack, matmul. */
void matmul_init_c(struct kernels *k);
/* The rest of the table: rows of floats, attention. */
void ops_init_c(struct kernels *k);
/* Sampling: at_least, may_win. */
void sample_init_c(struct kernels *k);
/* q8 keys and values: q8_row, attn_q8. */
void attn_q8_init_c(struct kernels *k);

#if defined(__x86_64__)
void matmul_init_avx2(struct kernels *k);
void ops_init_avx2(struct kernels *k);
void sample_init_avx2(struct kernels *k);
void attn_q8_init_avx2(struct kernels *k);
void matmul_init_avx512(struct kernels *k); /* these on top of avx2: what they leave out is avx2's */
void ops_init_avx512(struct kernels *k);
void sample_init_avx512(struct kernels *k);
void attn_q8_init_avx512(struct kernels *k);
#endif

#endif
