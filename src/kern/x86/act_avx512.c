/* Level avx512vnni: packs activations, the bits of c/act_c.c. In: rows of floats. Out: tiles of codes, scales and sums
 * (act.h), without act_q8w: no product of this level reads it. Read next: c/act_c.c, where the rule is in plain loops.
 */
#include <string.h>

#include "kern/c/level_c.h"
#include "kern/x86/tile_avx512.h"

/* The largest absolute value of 32 floats, per lane, as integers: NaN is above infinity, so nothing is missed. */
TILE_INLINE __m512i abs_max32(const float *x, __m512i max)
{
    const __m512i mask = _mm512_set1_epi32(0x7fffffff);
    max = _mm512_max_epi32(max, _mm512_and_si512(ZLOAD(x), mask));
    return _mm512_max_epi32(max, _mm512_and_si512(ZLOAD(x + 16), mask));
}

/* The scale d and the factor 127 / amax; both 0 for a block that counts as zero, NaN and 0 for one not finite. */
TILE_INLINE float scale_of(__m512i max, float *factor)
{
    const uint32_t bits = (uint32_t)_mm512_reduce_max_epi32(max);
    *factor = 0.0f;
    if (bits >= ACT_AMAX_INF_BITS || bits < ACT_AMAX_MIN_BITS)
        return bits < ACT_AMAX_MIN_BITS ? 0.0f : float_of_bits(0x7fc00000u);
    const float amax = float_of_bits(bits);
    *factor = 127.0f / amax;
    return amax / 127.0f;
}

/* 32 codes. WHY no clamp: |x * (127 / amax)| is at most 127 * (1 + 2^-22), so the nearest integer is within +-127.
 * A factor of 0 means codes 0; the product would be NaN for an infinite x. */
TILE_INLINE __m256i codes32(const float *x, float factor)
{
    const __m512 f = _mm512_set1_ps(factor);
    const __mmask16 some = factor == 0.0f ? 0 : 0xffff;
    const __m512i lo = _mm512_maskz_cvtps_epi32(some, _mm512_mul_ps(_mm512_loadu_ps(x), f));
    const __m512i hi = _mm512_maskz_cvtps_epi32(some, _mm512_mul_ps(_mm512_loadu_ps(x + 16), f));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm512_cvtepi32_epi8(lo)), _mm512_cvtepi32_epi8(hi), 1);
}

/* Per 16 codes (one 128-bit half each), in every dword of the half: S0 | S1 << 16. */
TILE_INLINE __m256i pair_sums(__m256i q)
{
    __m256i s = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
    s = _mm256_add_epi16(s, _mm256_shuffle_epi32(s, 0x4e));
    return _mm256_add_epi16(s, _mm256_shuffle_epi32(s, 0xb1));
}

static void pack_q8(struct act_q8 *a, const float *x)
{
    float factor;
    a->d = scale_of(abs_max32(x, _mm512_setzero_si512()), &factor);
    const __m256i q = codes32(x, factor), s2 = pair_sums(q);
    const __m128i s = _mm_add_epi16(_mm256_castsi256_si128(s2), _mm256_extracti128_si256(s2, 1));
    const __m128i off = _mm_mullo_epi16(s, _mm_setr_epi16(-8, -8, -16, -16, 0, 0, 0, 0)); /* off8, off16 */
    _mm256_storeu_si256((__m256i *)(void *)a->q, q);
    a->ds = a->d * (float)_mm_cvtsi128_si32(_mm_madd_epi16(s, _mm_set1_epi16(1)));
    _mm_storel_epi64((__m128i *)(void *)a->off8, off);
}

static void pack_q8k(struct act_q8k *a, const float *x)
{
    __m512i max = _mm512_setzero_si512();
    float factor;
    for (int b = 0; b < 8; b++)
        max = abs_max32(x + 32 * b, max);
    a->d = scale_of(max, &factor);
    for (int b = 0; b < 8; b++) {
        const __m256i q = codes32(x + 32 * b, factor), s2 = pair_sums(q);
        const __m128i lo = _mm256_castsi256_si128(s2), hi = _mm256_extracti128_si256(s2, 1);
        const __m128i off = _mm_mullo_epi16(_mm_unpacklo_epi32(lo, hi), _mm_set1_epi16(-32));
        _mm256_storeu_si256((__m256i *)(void *)(a->q + 32 * b), q);
        _mm_storel_epi64((__m128i *)(void *)a->off32[2 * b], off);
        a->sum[b] = (int16_t)_mm_cvtsi128_si32(_mm_madd_epi16(_mm_add_epi16(lo, hi), _mm_set1_epi16(1)));
    }
    memset(a->unused, 0, sizeof a->unused);
}

size_t act_bytes_avx512(enum act_kind kind, int n_cols, int n_tok)
{
    return ((size_t)n_tok * act_tok_bytes(kind, n_cols) + 63) / 64 * 64;
}

void act_pack_avx512(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
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
            struct act_q8 *a = (struct act_q8 *)(void *)tile + (t - t0);
            for (int b = 0; b < n_cols / BLOCK_Q; b++, a += mt)
                pack_q8(a, xt + BLOCK_Q * b);
        } else {
            struct act_q8k *a = (struct act_q8k *)(void *)tile + (t - t0);
            for (int b = 0; b < n_cols / BLOCK_K; b++, a += mt)
                pack_q8k(a, xt + BLOCK_K * b);
        }
    }
}
