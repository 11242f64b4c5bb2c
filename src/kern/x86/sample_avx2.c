/* AVX2: the sampler's kernels. Same comparisons of the same numbers as level c.
 * Read next: sample_avx512.c, the same with 16 lanes. */
#include "kern/x86/poly_avx2.h"

#include "kern/levels.h"
#include "kern/noise.h"

enum { STEP = 16 }; /* ids of one step: four Philox calls, each in the low half of a 64-bit lane */

static int put(int32_t *at, int count, unsigned hits, int base)
{
    for (; hits; hits &= hits - 1)
        at[count++] = base + __builtin_ctz(hits);
    return count;
}

static int at_least_avx2(int32_t *at, const float *x, int n, float floor)
{
    int count = 0, i = 0;
    for (; i + 8 <= n; i += 8)
        count = put(at, count,
                    (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + i), V8(floor), _CMP_GE_OQ)), i);
    for (; i < n; i++)
        if (x[i] >= floor)
            at[count++] = i;
    return count;
}

/* Philox of four counters at once; only the low 32 bits of a lane count, and vpmuludq reads no others. */
V8_INLINE void philox_v4(__m256i c[4], uint64_t seed)
{
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const __m256i p0 = _mm256_mul_epu32(c[0], m0), p1 = _mm256_mul_epu32(c[2], m1);
        const __m256i x0 = _mm256_xor_si256(c[1], _mm256_set1_epi32((int)k0));
        const __m256i x1 = _mm256_xor_si256(c[3], _mm256_set1_epi32((int)k1));
        c[0] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), x0);
        c[1] = p1;
        c[2] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), x1);
        c[3] = p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* The words of ids [first, first + STEP), in order. WHY quads 0 2 1 3: then the two unpacks leave ids in order. */
V8_INLINE void words_v16(__m256i w[2], const struct noise_scan *s, int first)
{
    __m256i c[4] = {_mm256_add_epi64(_mm256_set1_epi64x(first / 4), _mm256_setr_epi64x(0, 2, 1, 3)),
                    _mm256_set1_epi64x(s->ctr[0]), _mm256_set1_epi64x(s->ctr[1]), _mm256_set1_epi64x(s->ctr[2])};
    philox_v4(c, s->seed);
    const __m256i w01 = _mm256_blend_epi32(c[0], _mm256_slli_epi64(c[1], 32), 0xaa);
    const __m256i w23 = _mm256_blend_epi32(c[2], _mm256_slli_epi64(c[3], 32), 0xaa);
    w[0] = _mm256_unpacklo_epi64(w01, w23);
    w[1] = _mm256_unpackhi_epi64(w01, w23);
}

V8_INLINE __m256 bound_v8(__m256i word)
{
    const __m256 y = _mm256_cvtepi32_ps(_mm256_srli_epi32(word, 8));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_castps_si256(y)), V8(GUMBEL_SLOPE), V8(GUMBEL_OFFSET));
}

static int may_win_avx2(int32_t *id, const float *x, int lo, int hi, const struct noise_scan *s)
{
    const __m256 floor = V8(s->floor), temp = V8(s->temp), cut = V8(s->cut);
    int count = 0;
    for (int i = lo; i < hi; i += STEP) {
        const __m256 a = row_load(x + i, hi - i), b = row_load(x + i + 8, hi - i - 8);
        const unsigned there = hi - i < STEP ? (1u << (hi - i)) - 1 : 0xffff;
        const __m256 in_a = _mm256_cmp_ps(a, floor, _CMP_GE_OQ), in_b = _mm256_cmp_ps(b, floor, _CMP_GE_OQ);
        if (!_mm256_movemask_ps(_mm256_or_ps(in_a, in_b)))
            continue;
        __m256i w[2];
        words_v16(w, s, i);
        const __m256 va = _mm256_fmadd_ps(bound_v8(w[0]), temp, a), vb = _mm256_fmadd_ps(bound_v8(w[1]), temp, b);
        const __m256 hit_a = _mm256_and_ps(in_a, _mm256_cmp_ps(va, cut, _CMP_GE_OQ));
        const __m256 hit_b = _mm256_and_ps(in_b, _mm256_cmp_ps(vb, cut, _CMP_GE_OQ));
        const unsigned hits = (unsigned)_mm256_movemask_ps(hit_a) | (unsigned)_mm256_movemask_ps(hit_b) << 8;
        count = put(id, count, hits & there, i);
    }
    return count;
}

void sample_init_avx2(struct kernels *k)
{
    k->at_least = at_least_avx2;
    k->may_win = may_win_avx2;
}
