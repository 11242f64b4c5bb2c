/* AVX-512 VNNI tiles of Q4_K, Q5_K, Q6_K. In: panels of 16 rows (panel.h), act_q8k. Out: floats, the bits of
 * c/matmul_c.c.
 *
 * A sub-block is added by vpdpbusd, multiplied by its scale and added in int32 over the 256; then one conversion and
 * one fma for each kind of scale. The multiplication:
 *   Q4_K  two chains of 16 codes; INV: each is within 16*15*127 = 30480, an int16, so vpdpwssd with (scale, 0)
 *         multiplies and adds in one instruction (the high half of a sum, its sign, meets the 0)
 *   Q5_K  32 codes, up to 32*31*127 = 125984: vpmulld, vpaddd
 *   Q6_K  16 codes from -32 * S on: within 16*32*127 = 65024: vpmulld, vpaddd
 * INV: int32: 256 * 31*63*127 < 2^26, 256 * 32*128*127 < 2^28; minimums 8 * 63*32*127 < 2^21.
 * Read next: matmul_f_avx512.c. */
#include "kern/x86/tile_avx512.h"

#define ZBYTES(p) _mm_loadu_si128((const __m128i *)(const void *)(p))

/* Chains of a sub-block of 32 k. */
TILE_INLINE int n_chain(const enum ggml_type type)
{
    return type == GGML_Q5_K ? 1 : 2;
}

/* isum[m] += scale * (codes . activations) of one chain, for a group of G tokens, or the `left` that are left. at: the
 * chain's first code in the block of 256. */
TILE_INLINE void group_k(__m512i *isum, const __m512i *q, __m512i scale, const struct act_q8k *a, const int at,
                         const int left, const int G, const enum ggml_type type)
{
    const int n = 8 / n_chain(type); /* vectors of codes */
    __m512i s[ZGROUP_MAX];
    EACH(m, G)
        if (m < left) {
            s[m] = _mm512_setzero_si512();
            if (type == GGML_Q6_K)
                s[m] = zdot2(s[m], _mm512_set1_epi16(1), a[m].off32[at / 16]);
        }
    EACH(g, n)
        EACH(m, G)
            if (m < left)
                s[m] = zdot4(s[m], q[g], a[m].q + at + 4 * g);
    EACH(m, G)
        if (m < left) {
            if (type == GGML_Q4_K)
                isum[m] = _mm512_dpwssd_epi32(isum[m], s[m], scale);
            else
                isum[m] = _mm512_add_epi32(isum[m], _mm512_mullo_epi32(s[m], scale));
            ZPIN(isum[m]);
        }
}

/* One sub-block of one panel x all tokens. */
TILE_INLINE void sub_block_k(__m512i *isum, const uint8_t *w, const struct act_q8k *a, const int b, const int MT,
                             const enum ggml_type type)
{
    const int chains = n_chain(type), n = 8 / chains; /* vectors of codes of one */
    EACH(c, chains) {
        __m512i q[8], scale;
        EACH(g, n) {
            q[g] = znibbles(w, n * c + g);
            if (type == GGML_Q5_K)
                q[g] = zhigh(q[g], ZLOAD(w + 256), g, _mm512_set1_epi8(16));
            if (type == GGML_Q6_K)
                q[g] = zhigh(q[g], ZLOAD(w + 256 + 64 * c), 2 * g, _mm512_set1_epi8(48));
        }
        if (type == GGML_Q6_K)
            scale = _mm512_cvtepi8_epi32(ZBYTES(w + 384 + 16 * c));
        else
            scale = _mm512_cvtepu8_epi32(ZBYTES(w + (type == GGML_Q4_K ? 256 : 320)));
        UNROLL for (int m = 0; m < MT; m += ZGROUP(MT, 1))
            group_k(isum + m, q, scale, a + m, 32 * b + 16 * c, MT - m, ZGROUP(MT, 1), type);
    }
}

/* The end of a block of 256: acc[m] takes the sums in. tail: minimums, d, dmin; Q6_K: d. */
TILE_INLINE void block_end(__m512 *acc, const __m512i *isum, const uint8_t *tail, const struct act_q8k *a, const int MT,
                           const int has_min)
{
    const __m512 d = ZHALVES(tail + (has_min ? 128 : 0));
    EACH(m, MT)
        acc[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[m]), _mm512_mul_ps(d, _mm512_set1_ps(a[m].d)), acc[m]);
    if (!has_min)
        return;
    const __m512 dmin = ZHALVES(tail + 160);
    __m512i mn[4];
    EACH(p, 4)
        mn[p] = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(tail + 32 * p)));
    EACH(m, MT) {
        __m512i msum = _mm512_setzero_si512();
        EACH(p, 4)
            msum = zdot2(msum, mn[p], a[m].sum + 2 * p);
        acc[m] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(msum), _mm512_mul_ps(dmin, _mm512_set1_ps(a[m].d)), acc[m]);
    }
}

TILE_INLINE void ztile_k(const struct tile_args *t, const int MT, const int R, const enum ggml_type type)
{
    const int has_min = type != GGML_Q6_K, sub = type == GGML_Q4_K ? 272 : type == GGML_Q5_K ? 336 : 416;
    const struct act_q8k *a = t->act;
    const int mt = t->mt, n_blk = t->n_cols / BLOCK_K;
    const uint8_t *w[TILE_MAX_PANEL];
    __m512 acc[TILE_MAX_PANEL][ZTILE_MAX_TOK];
    EACH(r, R) {
        w[r] = t->w[r];
        EACH(m, MT)
            acc[r][m] = _mm512_setzero_ps();
    }

    for (int i = 0; i < n_blk; i++, a += mt)
        EACH(r, R) {
            __m512i isum[ZTILE_MAX_TOK];
            EACH(m, MT)
                isum[m] = _mm512_setzero_si512();
            __asm__("" : "+m"(acc)); /* OPT: acc waits in memory, isum has the registers */
            for (int b = 0; b < 8; b++, w[r] += sub) {
                tile_prefetch(w[r], t->reach, sub);
                sub_block_k(isum, w[r], a, b, MT, type);
            }
            tile_prefetch(w[r], t->reach, has_min ? 192 : 32);
            block_end(acc[r], isum, w[r], a, MT, has_min);
            w[r] += has_min ? 192 : 32;
        }
    EACH(r, R)
        EACH(m, MT)
            ztile_store(t, m, r, acc[r][m]);
}

#define BODY_Q4_K(t, m, r) ztile_k(t, m, r, GGML_Q4_K)
#define BODY_Q5_K(t, m, r) ztile_k(t, m, r, GGML_Q5_K)
#define BODY_Q6_K(t, m, r) ztile_k(t, m, r, GGML_Q6_K)
ZTILE_TABLE(ztiles_q4_k, BODY_Q4_K)
ZTILE_TABLE(ztiles_q5_k, BODY_Q5_K)
ZTILE_TABLE(ztiles_q6_k, BODY_Q6_K)
