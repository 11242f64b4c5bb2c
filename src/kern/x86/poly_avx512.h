/* AVX-512: the functions of kern/poly.h on 16 floats, operation by operation; and loads and stores of short rows.
 * Read next: ops_avx512.c. */
#ifndef OTR_KERN_POLY_AVX512_H
#define OTR_KERN_POLY_AVX512_H

#include <immintrin.h>

#include "kern/poly.h"

#define V16_INLINE static inline __attribute__((always_inline))
#define V16(f) _mm512_set1_ps(f)

/* -- rows: `left` values from p on, at most 16; nothing behind them is touched, absent lanes read 0 */

V16_INLINE __mmask16 row_lanes16(int left)
{
    return left >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << left) - 1);
}

V16_INLINE __m512 row_load16(const float *p, int left)
{
    return left >= 16 ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(row_lanes16(left), p);
}

V16_INLINE void row_store16(float *p, __m512 v, int left)
{
    if (left >= 16)
        _mm512_storeu_ps(p, v);
    else
        _mm512_mask_storeu_ps(p, row_lanes16(left), v);
}

/* -- functions */

V16_INLINE __m512 exp_reduce_v16(__m512 x, __m512 *r, __m512 *h)
{
    const __m512 t = _mm512_fmadd_ps(x, V16(EXP_LOG2E), V16(EXP_ROUND)), n = _mm512_sub_ps(t, V16(EXP_ROUND));
    const __m512 u = _mm512_fmadd_ps(n, V16(-EXP_LN2_LO), _mm512_fmadd_ps(n, V16(-EXP_LN2_HI), x));
    __m512 p = _mm512_fmadd_ps(V16(EXP_C6), u, V16(EXP_C5));
    p = _mm512_fmadd_ps(p, u, V16(EXP_C4));
    p = _mm512_fmadd_ps(p, u, V16(EXP_C3));
    p = _mm512_fmadd_ps(p, u, V16(EXP_C2));
    *h = _mm512_fmadd_ps(p, u, V16(EXP_C1));
    *r = u;
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(t), 23));
}

V16_INLINE __m512 exp_low_v16(__m512 x)
{
    __m512 r, h;
    const __m512 s = exp_reduce_v16(x, &r, &h);
    const __mmask16 some = _mm512_cmp_ps_mask(x, V16(EXP_LO), _CMP_NLT_UQ); /* NaN stays */
    return _mm512_maskz_mul_ps(some, _mm512_fmadd_ps(r, h, V16(EXP_C0)), s);
}

V16_INLINE __m512 tanh_v16(__m512 x)
{
    const __m512 y = _mm512_mul_ps(V16(-2.0f), _mm512_abs_ps(x));
    __m512 r, h;
    const __m512 s = exp_reduce_v16(_mm512_max_ps(V16(TANH_LO), y), &r, &h);
    const __m512 s1 = _mm512_sub_ps(_mm512_mul_ps(V16(2.0f), s), V16(1.0f));
    const __m512 e = _mm512_fmadd_ps(s, _mm512_mul_ps(r, h), s1);
    const __m512 t = _mm512_div_ps(_mm512_xor_ps(e, V16(-0.0f)), _mm512_add_ps(V16(2.0f), e));
    const __m512i sign = _mm512_set1_epi32(INT32_MIN); /* t of the sign of x: sign ? x : t, bit by bit */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(sign, _mm512_castps_si512(x), _mm512_castps_si512(t), 0xca));
}

V16_INLINE __m512 sigmoid_mul_v16(__m512 x, __m512 z)
{
    const __m512 e = exp_low_v16(_mm512_or_ps(z, V16(-0.0f)));
    const __mmask16 below = _mm512_movepi32_mask(_mm512_castps_si512(z)); /* z = -0: e is 1 */
    return _mm512_div_ps(_mm512_mask_mul_ps(x, below, x, e), _mm512_add_ps(V16(1.0f), e));
}

V16_INLINE __m512 silu_v16(__m512 x)
{
    return sigmoid_mul_v16(x, x);
}

V16_INLINE __m512 gelu_v16(__m512 x)
{
    const __m512 b = _mm512_fmadd_ps(V16(GELU_B), _mm512_mul_ps(x, x), V16(GELU_A));
    return sigmoid_mul_v16(x, _mm512_mul_ps(x, b));
}

V16_INLINE __m512 softcap_v16(__m512 x, float cap)
{
    return _mm512_mul_ps(V16(cap), tanh_v16(_mm512_div_ps(x, V16(cap))));
}

#endif
