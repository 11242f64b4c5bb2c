/* Packed activations of all levels: tiles of up to ACT_TILE tokens; in a tile of mt tokens block-major,
 * [block][token], so that a kernel's addresses are one base plus constants. A token touches its own structs only, so
 * threads may share a tile.
 *   ACT_Q8   [tile][n_cols / 32][mt] struct act_q8, then the same shape of struct act_q8w (not at avx512vnni)
 *   ACT_Q8K  [tile][n_cols / 256][mt] struct act_q8k
 *   ACT_F32  [tile][n_cols / 64, rounded up][mt] of 64 floats, the last filled with zeros
 * Quantisation (the same bits at every level): amax is the largest absolute value of the block; one that is not finite
 * gives scale NaN and codes 0, one below 2^-100 (its reciprocal could overflow) counts as 0. d = amax / 127,
 * code = nearest even of x * (127 / amax), clamped to +-127.
 * Read next: c/act_c.c. */
#ifndef OTR_KERN_ACT_H
#define OTR_KERN_ACT_H

#include <stddef.h>
#include <stdint.h>

#include "kern/blocks.h"
#include "kern/kern.h"

enum { ACT_TILE = 16 };

#define ACT_AMAX_MIN_BITS ((uint32_t)(127 - 100) << 23) /* 2^-100 */
#define ACT_AMAX_INF_BITS 0x7f800000u

/* S0: sum of the codes whose k mod 4 is 0 or 1; S1: 2 or 3. They are the two int16 lanes of a row in vpmaddubsw;
 * vpdpbusd starts at their sum. */
struct act_q8 {
    int8_t q[32];
    float d;          /* scale */
    float ds;         /* d * (float)(sum of q) */
    int16_t off8[2];  /* -8 * {S0, S1} */
    int16_t off16[2]; /* -16 * {S0, S1}: at most 32512 */
};

struct act_q8w { /* the codes again, for products in 16 bits (Q8_0) */
    int16_t q[32];
};

struct act_q8k {
    int8_t q[256];
    int16_t off32[16][2]; /* per 16 codes: -32 * {S0, S1}: at most 32512 */
    int16_t sum[8];       /* per 32 codes */
    float d;
    float unused[3]; /* zero */
};

_Static_assert(sizeof(struct act_q8) == 48, "16 tokens fill whole lines");
_Static_assert(sizeof(struct act_q8k) == 352, "16 tokens fill whole lines");

/* Bytes of one token's structs; times ACT_TILE it is a multiple of 64. */
static inline size_t act_tok_bytes(enum act_kind kind, int n_cols)
{
    const size_t n = (size_t)n_cols;
    switch (kind) {
    case ACT_Q8:
        return n / BLOCK_Q * sizeof(struct act_q8);
    case ACT_Q8K:
        return n / BLOCK_K * sizeof(struct act_q8k);
    default:
        return (n + BLOCK_F - 1) / BLOCK_F * BLOCK_F * sizeof(float);
    }
}

/* Bytes before the act_q8w part of n_tok tokens. */
static inline size_t act_q8w_at(int n_cols, int n_tok)
{
    return ((size_t)n_tok * act_tok_bytes(ACT_Q8, n_cols) + 63) / 64 * 64;
}

/* Tokens of the tile that starts at token t0. */
static inline int act_tile_tok(int n_tok, int t0)
{
    return n_tok - t0 < ACT_TILE ? n_tok - t0 : ACT_TILE;
}

#endif
