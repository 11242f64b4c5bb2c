/* AVX-512: the sampler's kernels, as sample_avx2.c with 16 lanes. Same comparisons of the same numbers as level c. */
#include <immintrin.h>

#include "kern/levels.h"
#include "kern/noise.h"

#define V16_INLINE static inline __attribute__((always_inline))

enum { STEP = 32 }; /* ids of one step: eight Philox calls, each in the low half of a 64-bit lane */

V16_INLINE __mmask16 lanes(int left)
{
    return left >= 16 ? 0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0;
}

/* WHY not a compressing store: it is slow in some CPUs, and hits are rare */
V16_INLINE int put(int32_t *at, int count, __mmask16 hits, int base)
{
    if (!hits)
        return count;
    const __m512i id = _mm512_add_epi32(_mm512_set1_epi32(base),
                                        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    const int n = __builtin_popcount(hits);
    _mm512_mask_storeu_epi32(at + count, lanes(n), _mm512_maskz_compress_epi32(hits, id));
    return count + n;
}

static int at_least_avx512(int32_t *at, const float *x, int n, float floor)
{
    int count = 0;
    for (int i = 0; i < n; i += 16) {
        const __mmask16 there = lanes(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(there, x + i);
        count = put(at, count, _mm512_mask_cmp_ps_mask(there, v, _mm512_set1_ps(floor), _CMP_GE_OQ), i);
    }
    return count;
}

/* Philox of eight counters at once; only the low 32 bits of a lane count, and vpmuludq reads no others. */
V16_INLINE void philox_v8(__m512i c[4], uint64_t seed)
{
    const __m512i m0 = _mm512_set1_epi64(0xD2511F53), m1 = _mm512_set1_epi64(0xCD9E8D57);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const __m512i p0 = _mm512_mul_epu32(c[0], m0), p1 = _mm512_mul_epu32(c[2], m1);
        const __m512i x0 = _mm512_xor_si512(c[1], _mm512_set1_epi32((int)k0));
        const __m512i x1 = _mm512_xor_si512(c[3], _mm512_set1_epi32((int)k1));
        c[0] = _mm512_xor_si512(_mm512_srli_epi64(p1, 32), x0);
        c[1] = p1;
        c[2] = _mm512_xor_si512(_mm512_srli_epi64(p0, 32), x1);
        c[3] = p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* The words of ids [first, first + STEP), in order. WHY this order of quads: the two unpacks undo it. */
V16_INLINE void words_v32(__m512i w[2], const struct noise_scan *s, int first)
{
    const __m512i quad = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    __m512i c[4] = {_mm512_add_epi64(_mm512_set1_epi64(first / 4), quad), _mm512_set1_epi64(s->ctr[0]),
                    _mm512_set1_epi64(s->ctr[1]), _mm512_set1_epi64(s->ctr[2])};
    philox_v8(c, s->seed);
    const __m512i w01 = _mm512_mask_blend_epi32(0xaaaa, c[0], _mm512_slli_epi64(c[1], 32));
    const __m512i w23 = _mm512_mask_blend_epi32(0xaaaa, c[2], _mm512_slli_epi64(c[3], 32));
    w[0] = _mm512_unpacklo_epi64(w01, w23);
    w[1] = _mm512_unpackhi_epi64(w01, w23);
}

V16_INLINE __m512 bound_v16(__m512i word)
{
    const __m512 y = _mm512_cvtepi32_ps(_mm512_srli_epi32(word, 8));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_castps_si512(y)), _mm512_set1_ps(GUMBEL_SLOPE),
                           _mm512_set1_ps(GUMBEL_OFFSET));
}

static int may_win_avx512(int32_t *id, const float *x, int lo, int hi, const struct noise_scan *s)
{
    const __m512 floor = _mm512_set1_ps(s->floor), temp = _mm512_set1_ps(s->temp), cut = _mm512_set1_ps(s->cut);
    int count = 0;
    for (int i = lo; i < hi; i += STEP) {
        const __mmask16 there[2] = {lanes(hi - i), lanes(hi - i - 16)};
        __m512 v[2];
        __mmask16 in[2];
        for (int h = 0; h < 2; h++) {
            v[h] = _mm512_maskz_loadu_ps(there[h], x + i + 16 * h);
            in[h] = _mm512_mask_cmp_ps_mask(there[h], v[h], floor, _CMP_GE_OQ);
        }
        if (!(in[0] | in[1]))
            continue;
        __m512i w[2];
        words_v32(w, s, i);
        for (int h = 0; h < 2; h++) {
            const __m512 most = _mm512_fmadd_ps(bound_v16(w[h]), temp, v[h]);
            count = put(id, count, _mm512_mask_cmp_ps_mask(in[h], most, cut, _CMP_GE_OQ), i + 16 * h);
        }
    }
    return count;
}

void sample_init_avx512(struct kernels *k)
{
    k->at_least = at_least_avx512;
    k->may_win = may_win_avx512;
}
