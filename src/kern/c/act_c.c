/* Level c: packs activations (layout and rule in act.h). In: rows of floats. Out: tiles of codes, scales and sums.
 * The truth for every level that shares this layout. Read next: matmul_c.c. */
#include "kern/c/level_c.h"

#include <string.h>

size_t act_bytes_c(enum act_kind kind, int n_cols, int n_tok)
{
    size_t n = (size_t)n_tok * act_tok_bytes(kind, n_cols);
    if (kind == ACT_Q8)
        n = act_q8w_at(n_cols, n_tok) + (size_t)n_tok * (size_t)(n_cols / BLOCK_Q) * sizeof(struct act_q8w);
    return (n + 63) / 64 * 64;
}

float act_quantise_c(int8_t *q, const float *x, size_t n)
{
    uint32_t amax_bits = 0;
    for (size_t i = 0; i < n;
         i++) { /* integer order of the absolute bits: NaN is above infinity, so nothing is missed */
        const uint32_t u = float_bits(x[i]) & 0x7fffffffu;
        amax_bits = u > amax_bits ? u : amax_bits;
    }
    if (amax_bits >= ACT_AMAX_INF_BITS || amax_bits < ACT_AMAX_MIN_BITS) {
        memset(q, 0, n);
        return amax_bits < ACT_AMAX_MIN_BITS ? 0.0f : float_of_bits(0x7fc00000u);
    }
    const float amax = float_of_bits(amax_bits), id = 127.0f / amax;
    for (size_t i = 0; i < n; i++) {
        /* 1.5 * 2^23: the sum's last bit is 1, so the addition rounds to the nearest even integer */
        const float biased = x[i] * id + 12582912.0f;
        const int32_t v = (int32_t)(float_bits(biased) - 0x4b400000u);
        q[i] = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
    }
    return amax / 127.0f;
}

/* s[0] S0 and s[1] S1 of n codes (act.h). */
static void pair_sums(int s[2], const int8_t *q, int n)
{
    s[0] = s[1] = 0;
    for (int i = 0; i < n; i += 4) {
        s[0] += q[i] + q[i + 1];
        s[1] += q[i + 2] + q[i + 3];
    }
}

static void pack_q8(struct act_q8 *a, struct act_q8w *w, const float *x)
{
    int s[2];
    a->d = act_quantise_c(a->q, x, 32);
    pair_sums(s, a->q, 32);
    a->ds = a->d * (float)(s[0] + s[1]);
    for (int j = 0; j < 2; j++) {
        a->off8[j] = (int16_t)(-8 * s[j]);
        a->off16[j] = (int16_t)(-16 * s[j]);
    }
    for (int i = 0; i < 32; i++)
        w->q[i] = a->q[i];
}

static void pack_q8k(struct act_q8k *a, const float *x)
{
    a->d = act_quantise_c(a->q, x, 256);
    for (int b = 0; b < 8; b++) {
        int total = 0;
        for (int h = 0; h < 2; h++) {
            int s[2];
            pair_sums(s, a->q + 32 * b + 16 * h, 16);
            a->off32[2 * b + h][0] = (int16_t)(-32 * s[0]);
            a->off32[2 * b + h][1] = (int16_t)(-32 * s[1]);
            total += s[0] + s[1];
        }
        a->sum[b] = (int16_t)total;
    }
    memset(a->unused, 0, sizeof a->unused);
}

void act_pack_c(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
                int tok_hi)
{
    const size_t tok_bytes = act_tok_bytes(kind, n_cols);
    for (int t = tok_lo; t < tok_hi; t++) {
        const int t0 = t / ACT_TILE * ACT_TILE, m = t - t0, mt = act_tile_tok(n_tok, t0);
        char *tile = (char *)act + (size_t)t0 * tok_bytes;
        const float *xt = x + (size_t)t * ld_x;
        if (kind == ACT_Q8) {
            const int n_blk = n_cols / BLOCK_Q;
            struct act_q8 *a = (struct act_q8 *)(void *)tile;
            struct act_q8w *w =
                (struct act_q8w *)(void *)((char *)act + act_q8w_at(n_cols, n_tok)) + (size_t)t0 * (size_t)n_blk;
            for (int b = 0; b < n_blk; b++)
                pack_q8(&a[(size_t)b * (size_t)mt + (size_t)m], &w[(size_t)b * (size_t)mt + (size_t)m], xt + 32 * b);
        } else if (kind == ACT_Q8K) {
            struct act_q8k *a = (struct act_q8k *)(void *)tile;
            for (int b = 0; b < n_cols / BLOCK_K; b++)
                pack_q8k(&a[(size_t)b * (size_t)mt + (size_t)m], xt + 256 * b);
        } else {
            float *a = (float *)(void *)tile;
            for (int i = 0; i < n_cols; i += BLOCK_F) {
                const int n = n_cols - i < BLOCK_F ? n_cols - i : BLOCK_F;
                float *to = a + ((size_t)(i / BLOCK_F) * (size_t)mt + (size_t)m) * BLOCK_F;
                memcpy(to, xt + i, (size_t)n * sizeof *to);
                memset(to + n, 0, (size_t)(BLOCK_F - n) * sizeof *to);
            }
        }
    }
}
