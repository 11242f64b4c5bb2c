/* AVX-512 VNNI tiles of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. In: panels of 16 rows (panel.h), act_q8. Out: floats, the bits of
 * c/matmul_c.c.
 *
 * A block of 32 k is 8 vpdpbusd, unsigned codes x signed activations, added in int32: nothing can overflow or saturate.
 * What is subtracted from a code (Q4_0 8, Q5_0 16, Q8_0 the 128 that made it unsigned) is the start of the chain:
 * minus that much times the sum of the activations, out of off8.
 * OPT: the block's 8 vectors of codes stay in registers while the tokens pass: 16 sums, 8 codes, d, m and one group's
 * chains are 30 of the 32.
 * Read next: matmul_k_avx512.c. */
#include "kern/x86/tile_avx512.h"

/* off8 holds -8 * {S0, S1}: the start of a chain as a multiple of it; 0: none. */
TILE_INLINE int start_factor(const enum ggml_type type)
{
    return type == GGML_Q4_0 ? 1 : type == GGML_Q5_0 ? 2 : type == GGML_Q8_0 ? 16 : 0;
}

/* acc[m] += block x token m, for a group of G tokens, or the `left` that are left. */
TILE_INLINE void group_q(__m512 *acc, const __m512i *q, __m512 d, __m512 min, const struct act_q8 *a, const int left,
                         const int G, const enum ggml_type type)
{
    const int has_min = type == GGML_Q4_1 || type == GGML_Q5_1, factor = start_factor(type);
    __m512i s[ZGROUP_MAX];
    EACH(m, G)
        if (m < left) {
            s[m] = _mm512_setzero_si512();
            if (factor)
                s[m] = zdot2(s[m], _mm512_set1_epi16((int16_t)factor), a[m].off8);
        }
    EACH(g, 8)
        EACH(m, G)
            if (m < left)
                s[m] = zdot4(s[m], q[g], a[m].q + 4 * g);
    EACH(m, G)
        if (m < left) {
            acc[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[m]), _mm512_mul_ps(d, _mm512_set1_ps(a[m].d)), acc[m]);
            if (has_min)
                acc[m] = _mm512_fmadd_ps(min, _mm512_set1_ps(a[m].ds), acc[m]);
        }
}

TILE_INLINE void ztile_q(const struct tile_args *t, const int MT, const int R, const enum ggml_type type)
{
    const int five = type == GGML_Q5_0 || type == GGML_Q5_1, has_min = type == GGML_Q4_1 || type == GGML_Q5_1;
    const int scales_at = type == GGML_Q8_0 ? 512 : five ? 320 : 256;
    const int block = (int)panel_block_bytes(type, ZPANEL_ROWS);
    const struct act_q8 *a = t->act;
    const int mt = t->mt, n_blk = t->n_cols / BLOCK_Q;
    const uint8_t *w[TILE_MAX_PANEL];
    __m512 acc[TILE_MAX_PANEL][ZTILE_MAX_TOK];
    EACH(r, R) {
        w[r] = t->w[r];
        EACH(m, MT)
            acc[r][m] = _mm512_setzero_ps();
    }

    for (int b = 0; b < n_blk; b++, a += mt)
        EACH(r, R) {
            const struct act_q8 *x = a;
            __m512i q[8];
            ZFORGET(x);
            tile_prefetch(w[r], t->reach, block);
            EACH(g, 8) {
                q[g] = type == GGML_Q8_0 ? ZLOAD(w[r] + 64 * g) : znibbles(w[r], g);
                if (five)
                    q[g] = zhigh(q[g], ZLOAD(w[r] + 256), g, _mm512_set1_epi8(16));
            }
            const __m512 d = ZHALVES(w[r] + scales_at), min = has_min ? ZHALVES(w[r] + scales_at + 32) : d;
            UNROLL for (int m = 0; m < MT; m += ZGROUP(MT, R))
                group_q(acc[r] + m, q, d, min, x + m, MT - m, ZGROUP(MT, R), type);
            w[r] += block;
        }
    EACH(r, R)
        EACH(m, MT)
            ztile_store(t, m, r, acc[r][m]);
}

#define BODY_Q4_0(t, m, r) ztile_q(t, m, r, GGML_Q4_0)
#define BODY_Q4_1(t, m, r) ztile_q(t, m, r, GGML_Q4_1)
#define BODY_Q5_0(t, m, r) ztile_q(t, m, r, GGML_Q5_0)
#define BODY_Q5_1(t, m, r) ztile_q(t, m, r, GGML_Q5_1)
#define BODY_Q8_0(t, m, r) ztile_q(t, m, r, GGML_Q8_0)
ZTILE_TABLE(ztiles_q4_0, BODY_Q4_0)
ZTILE_TABLE(ztiles_q4_1, BODY_Q4_1)
ZTILE_TABLE(ztiles_q5_0, BODY_Q5_0)
ZTILE_TABLE(ztiles_q5_1, BODY_Q5_1)
ZTILE_TABLE(ztiles_q8_0, BODY_Q8_0)
