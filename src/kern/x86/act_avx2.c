/* Level avx2: packs activations, the bits of c/act_c.c. In: rows of floats. Out: tiles of codes, scales and sums
 * (act.h). Read next: c/act_c.c, where the rule is in plain loops. */
#include <string.h>

#include "kern/c/level_c.h"
#include "kern/x86/act_avx2.h"

/* The largest absolute value of 32 floats, per lane, as integers: NaN is above infinity, so nothing is missed. */
TILE_INLINE __m256i abs_max32(const float *x, __m256i max)
{
    const __m256i mask = _mm256_set1_epi32(0x7fffffff);
    EACH(i, 4)
        max = _mm256_max_epi32(max, _mm256_and_si256(TILE_LOAD(x + 8 * i), mask));
    return max;
}

/* 32 codes. WHY no clamp: |x * (127 / amax)| is at most 127 * (1 + 2^-22), so the nearest integer is within +-127.
 * A factor of 0 means codes 0; the product would be NaN for an infinite x. */
TILE_INLINE __m256i codes32(const float *x, float factor)
{
    const __m256 f = _mm256_set1_ps(factor);
    __m256i v[4];
    if (factor == 0.0f)
        return _mm256_setzero_si256();
    EACH(i, 4)
        v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), f));
    const __m256i q = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    return _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* Per 16 codes (one 128-bit half each), in the half's lowest dword: S0 | S1 << 16. */
TILE_INLINE __m256i pair_sums(__m256i q)
{
    __m256i s = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
    s = _mm256_add_epi16(s, _mm256_shuffle_epi32(s, 0x4e));
    return _mm256_add_epi16(s, _mm256_shuffle_epi32(s, 0xb1));
}

TILE_INLINE void store_dword(void *to, __m128i v)
{
    const int32_t d = _mm_cvtsi128_si32(v);
    memcpy(to, &d, sizeof d);
}

/* -c * s in both int16 of the lowest dword. */
TILE_INLINE __m128i times_minus(__m128i s, int c)
{
    return _mm_mullo_epi16(s, _mm_set1_epi16((int16_t)-c));
}

static void pack_q8(struct act_q8 *a, struct act_q8w *w, const float *x)
{
    float factor;
    a->d = scale_of(abs_max32(x, _mm256_setzero_si256()), &factor);
    const __m256i q = codes32(x, factor), s2 = pair_sums(q);
    const __m128i lo = _mm256_castsi256_si128(q), hi = _mm256_extracti128_si256(q, 1);
    const __m128i s = _mm_add_epi16(_mm256_castsi256_si128(s2), _mm256_extracti128_si256(s2, 1));
    _mm256_storeu_si256((__m256i *)(void *)a->q, q);
    _mm256_storeu_si256((__m256i *)(void *)w->q, _mm256_cvtepi8_epi16(lo));
    _mm256_storeu_si256((__m256i *)(void *)(w->q + 16), _mm256_cvtepi8_epi16(hi));
    a->ds = a->d * (float)_mm_cvtsi128_si32(_mm_madd_epi16(s, _mm_set1_epi16(1)));
    store_dword(a->off8, times_minus(s, 8));
    store_dword(a->off16, times_minus(s, 16));
}

static void pack_q8k(struct act_q8k *a, const float *x)
{
    __m256i max = _mm256_setzero_si256();
    float factor;
    for (int b = 0; b < 8; b++)
        max = abs_max32(x + 32 * b, max);
    a->d = scale_of(max, &factor);
    for (int b = 0; b < 8; b++) {
        const __m256i q = codes32(x + 32 * b, factor), s2 = pair_sums(q);
        const __m128i lo = _mm256_castsi256_si128(s2), hi = _mm256_extracti128_si256(s2, 1);
        _mm256_storeu_si256((__m256i *)(void *)(a->q + 32 * b), q);
        store_dword(a->off32[2 * b], times_minus(lo, 32));
        store_dword(a->off32[2 * b + 1], times_minus(hi, 32));
        a->sum[b] = (int16_t)_mm_cvtsi128_si32(_mm_madd_epi16(_mm_add_epi16(lo, hi), _mm_set1_epi16(1)));
    }
    memset(a->unused, 0, sizeof a->unused);
}

void act_pack_avx2(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
                   int tok_hi)
{
    if (kind == ACT_F32) { /* copies only */
        act_pack_c(act, kind, x, ld_x, n_cols, n_tok, tok_lo, tok_hi);
        return;
    }
    const size_t tok_bytes = act_tok_bytes(kind, n_cols);
    for (int t = tok_lo; t < tok_hi; t++) {
        const int t0 = t / ACT_TILE * ACT_TILE, mt = act_tile_tok(n_tok, t0);
        char *tile = (char *)act + (size_t)t0 * tok_bytes;
        const float *xt = x + (size_t)t * ld_x;
        if (kind == ACT_Q8) {
            const int n_blk = n_cols / BLOCK_Q;
            struct act_q8 *a = (struct act_q8 *)(void *)tile + (t - t0);
            struct act_q8w *w = (struct act_q8w *)(void *)((char *)act + act_q8w_at(n_cols, n_tok)) +
                                (size_t)t0 * (size_t)n_blk + (t - t0);
            for (int b = 0; b < n_blk; b++, a += mt, w += mt)
                pack_q8(a, w, xt + BLOCK_Q * b);
        } else {
            struct act_q8k *a = (struct act_q8k *)(void *)tile + (t - t0);
            for (int b = 0; b < n_cols / BLOCK_K; b++, a += mt)
                pack_q8k(a, xt + BLOCK_K * b);
        }
    }
}
