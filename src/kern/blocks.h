/* GGUF's quantised blocks, as bytes: sizes, and codes in natural order (k ascending).
 *   Q4_0 d qs16 | Q4_1 d m qs16 | Q5_0 d qh4 qs16 | Q5_1 d m qh4 qs16 | Q8_0 d qs32                    32 values
 *   Q4_K d dmin scales12 qs128 | Q5_K d dmin scales12 qh32 qs128 | Q6_K ql128 qh64 scales16 d          256 values
 * A code is the stored unsigned number; value = d * (code - offset) or d * code + m (K: see kernels.md C.1).
 * Read next: c/matmul_c.c. */
#ifndef OTR_KERN_BLOCKS_H
#define OTR_KERN_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "kern/half.h"
#include "kern/types.h"

enum {
    BLOCK_Q = 32,  /* values of a legacy block, and of a sub-block of Q4_K and Q5_K */
    BLOCK_K = 256, /* values of a K-quant block */
    BLOCK_F = 64,  /* floats: k of one partial sum */
};

/* Values and bytes of one block; floats are blocks of one value. */
static inline int block_values(enum ggml_type type)
{
    switch (type) {
    case GGML_F32:
    case GGML_F16:
    case GGML_BF16:
        return 1;
    case GGML_Q4_K:
    case GGML_Q5_K:
    case GGML_Q6_K:
        return BLOCK_K;
    default:
        return BLOCK_Q;
    }
}

static inline size_t block_bytes(enum ggml_type type)
{
    switch (type) {
    case GGML_F32:
        return 4;
    case GGML_F16:
    case GGML_BF16:
        return 2;
    case GGML_Q4_0:
        return 18;
    case GGML_Q4_1:
        return 20;
    case GGML_Q5_0:
        return 22;
    case GGML_Q5_1:
        return 24;
    case GGML_Q8_0:
        return 34;
    case GGML_Q4_K:
        return 144;
    case GGML_Q5_K:
        return 176;
    case GGML_Q6_K:
        return 210;
    }
    return 0;
}

static inline void codes_nibbles(uint8_t *code, const uint8_t *qs)
{
    for (int i = 0; i < 16; i++) {
        code[i] = qs[i] & 15;
        code[16 + i] = qs[i] >> 4;
    }
}

static inline void codes_fifth_bits(uint8_t *code, const uint8_t *qh)
{
    const uint32_t bits = (uint32_t)qh[0] | (uint32_t)qh[1] << 8 | (uint32_t)qh[2] << 16 | (uint32_t)qh[3] << 24;
    for (int i = 0; i < 32; i++)
        code[i] = (uint8_t)(code[i] | (bits >> i & 1) << 4);
}

/* The 6-bit scales and minimums of the 8 sub-blocks of Q4_K and Q5_K, from their 12 bytes. */
static inline void codes_k_scales(uint8_t *sc, uint8_t *mn, const uint8_t *s)
{
    for (int j = 0; j < 4; j++) {
        sc[j] = s[j] & 63;
        mn[j] = s[j + 4] & 63;
        sc[j + 4] = (uint8_t)((s[j + 8] & 15) | (s[j] >> 6) << 4);
        mn[j + 4] = (uint8_t)((s[j + 8] >> 4) | (s[j + 4] >> 6) << 4);
    }
}

static inline void codes_q4_k(uint8_t *code, const uint8_t *qs)
{
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 32; i++) {
            code[64 * j + i] = qs[32 * j + i] & 15;
            code[64 * j + 32 + i] = qs[32 * j + i] >> 4;
        }
}

static inline void codes_q5_k(uint8_t *code, const uint8_t *qs, const uint8_t *qh)
{
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 32; i++) {
            code[64 * j + i] = (uint8_t)((qs[32 * j + i] & 15) | (qh[i] >> (2 * j) & 1) << 4);
            code[64 * j + 32 + i] = (uint8_t)((qs[32 * j + i] >> 4) | (qh[i] >> (2 * j + 1) & 1) << 4);
        }
}

static inline void codes_q6_k(uint8_t *code, const uint8_t *ql, const uint8_t *qh)
{
    for (int h = 0; h < 2; h++, code += 128, ql += 64, qh += 32)
        for (int i = 0; i < 32; i++) {
            code[i] = (uint8_t)((ql[i] & 15) | (qh[i] & 3) << 4);
            code[32 + i] = (uint8_t)((ql[32 + i] & 15) | (qh[i] >> 2 & 3) << 4);
            code[64 + i] = (uint8_t)((ql[i] >> 4) | (qh[i] >> 4 & 3) << 4);
            code[96 + i] = (uint8_t)((ql[32 + i] >> 4) | (qh[i] >> 6) << 4);
        }
}

#endif
