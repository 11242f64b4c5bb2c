/* AVX2: the functions of kern/poly.h on 8 floats, operation by operation; and loads and stores of short rows.
 * Read next: ops_avx2.c. */
#ifndef OTR_KERN_POLY_AVX2_H
#define OTR_KERN_POLY_AVX2_H

#include <immintrin.h>

#include "kern/poly.h"

#define V8_INLINE static inline __attribute__((always_inline))
#define V8(f) _mm256_set1_ps(f)

/* -- rows: `left` values from p on, at most 8; nothing behind them is touched, absent lanes read 0 */

V8_INLINE __m256i row_lanes(int left)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

V8_INLINE __m256 row_load(const float *p, int left)
{
    return left >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, row_lanes(left));
}

V8_INLINE void row_store(float *p, __m256 v, int left)
{
    if (left >= 8)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, row_lanes(left), v);
}

/* -- functions */

V8_INLINE __m256 exp_reduce_v8(__m256 x, __m256 *r, __m256 *h)
{
    const __m256 t = _mm256_fmadd_ps(x, V8(EXP_LOG2E), V8(EXP_ROUND)), n = _mm256_sub_ps(t, V8(EXP_ROUND));
    const __m256 u = _mm256_fmadd_ps(n, V8(-EXP_LN2_LO), _mm256_fmadd_ps(n, V8(-EXP_LN2_HI), x));
    __m256 p = _mm256_fmadd_ps(V8(EXP_C6), u, V8(EXP_C5));
    p = _mm256_fmadd_ps(p, u, V8(EXP_C4));
    p = _mm256_fmadd_ps(p, u, V8(EXP_C3));
    p = _mm256_fmadd_ps(p, u, V8(EXP_C2));
    *h = _mm256_fmadd_ps(p, u, V8(EXP_C1));
    *r = u;
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(t), 23));
}

V8_INLINE __m256 exp_low_v8(__m256 x)
{
    __m256 r, h;
    const __m256 s = exp_reduce_v8(x, &r, &h), e = _mm256_mul_ps(_mm256_fmadd_ps(r, h, V8(EXP_C0)), s);
    return _mm256_andnot_ps(_mm256_cmp_ps(x, V8(EXP_LO), _CMP_LT_OQ), e);
}

V8_INLINE __m256 exp_v8(__m256 x)
{
    return exp_low_v8(_mm256_min_ps(V8(EXP_HI), x)); /* this way round NaN stays */
}

V8_INLINE __m256 tanh_v8(__m256 x)
{
    const __m256 sign = V8(-0.0f), y = _mm256_mul_ps(V8(-2.0f), _mm256_andnot_ps(sign, x));
    __m256 r, h;
    const __m256 s = exp_reduce_v8(_mm256_max_ps(V8(TANH_LO), y), &r, &h);
    const __m256 s1 = _mm256_sub_ps(_mm256_mul_ps(V8(2.0f), s), V8(1.0f));
    const __m256 e = _mm256_fmadd_ps(s, _mm256_mul_ps(r, h), s1);
    const __m256 t = _mm256_div_ps(_mm256_xor_ps(e, sign), _mm256_add_ps(V8(2.0f), e));
    return _mm256_or_ps(_mm256_andnot_ps(sign, t), _mm256_and_ps(sign, x));
}

V8_INLINE __m256 sigmoid_mul_v8(__m256 x, __m256 z)
{
    const __m256 e = exp_low_v8(_mm256_or_ps(z, V8(-0.0f)));
    const __m256 num = _mm256_blendv_ps(x, _mm256_mul_ps(x, e), z); /* z = -0: e is 1 */
    return _mm256_div_ps(num, _mm256_add_ps(V8(1.0f), e));
}

V8_INLINE __m256 silu_v8(__m256 x)
{
    return sigmoid_mul_v8(x, x);
}

V8_INLINE __m256 gelu_v8(__m256 x)
{
    const __m256 b = _mm256_fmadd_ps(V8(GELU_B), _mm256_mul_ps(x, x), V8(GELU_A));
    return sigmoid_mul_v8(x, _mm256_mul_ps(x, b));
}

V8_INLINE __m256 softcap_v8(__m256 x, float cap)
{
    return _mm256_mul_ps(V8(cap), tanh_v8(_mm256_div_ps(x, V8(cap))));
}

/* Sum in the order of the trees: [j] + [j+4], [j] + [j+2], [0] + [1]. */
V8_INLINE float v8_sum(__m256 l)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(l), _mm256_extractf128_ps(l, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* Largest, by the same tree; a NaN on the left gives way to the right. */
V8_INLINE float v8_max(__m256 m)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

#endif
