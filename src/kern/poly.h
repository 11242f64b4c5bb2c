/* Exponential, tanh, SiLU and GELU of one float: own polynomial, the same bits at every level (kernels.md C.12).
 * The scalar text here is the truth; a vector level writes the same operations in the same order.
 *
 *   exp    at most 0.9 ulp where the result is normal, correctly rounded to one denormal step below; exp(0) is exactly 1
 *   tanh   at most 3 ulp; odd
 *   silu, gelu: see the bound in tests/kern/test_ops.c
 * NaN stays NaN. Minus infinity in silu and gelu is NaN too: it is damage, and damage has to reach the logits.
 * SRC: Cody & Waite 1980 (reduction by ln 2 in two parts); coefficients: minimax of the relative error of e^r on
 *      [-ln 2 / 2, ln 2 / 2] with the first two held at 1, rounded to float one after the other; error 3.2e-9. */
#ifndef OTR_KERN_POLY_H
#define OTR_KERN_POLY_H

#include <math.h>

#include "kern/half.h"

#define EXP_LO (-104.0f) /* below: exp rounds to 0 */
#define EXP_HI 89.0f     /* above: exp is infinity */
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_LN2_HI 0x1.62e43p-1f /* n * this is exact, and so is x minus it */
#define EXP_LN2_LO (-0x1.05c61p-29f)
#define EXP_C2 0x1.fffffcp-2f
#define EXP_C3 0x1.55548cp-3f
#define EXP_C4 0x1.555858p-5f
#define EXP_C5 0x1.123dep-7f
#define EXP_C6 0x1.6ac74cp-10f
#define EXP_ROUND 0x1.8p23f /* x + this rounds to an integer, which stands in the low bits */
#define EXP_ROUND_BITS 0x4b400000u
#define TANH_LO (-40.0f) /* of -2|x|: below it tanh is 1, and 2^n stays normal */
#define GELU_A 0x1.988454p+0f  /* 2 sqrt(2 / pi) */
#define GELU_B 0x1.2444f2p-4f  /* that * 0.044715 */

/* x = n ln 2 + r; e^r = 1 + r h. Returns n as an integer. */
static inline uint32_t exp_reduce(float x, float *r, float *h)
{
    const float t = fmaf(x, EXP_LOG2E, EXP_ROUND), n = t - EXP_ROUND;
    const float u = fmaf(n, -EXP_LN2_LO, fmaf(n, -EXP_LN2_HI, x));
    float p = fmaf(EXP_C6, u, EXP_C5);
    p = fmaf(p, u, EXP_C4);
    p = fmaf(p, u, EXP_C3);
    p = fmaf(p, u, EXP_C2);
    *h = fmaf(p, u, 1.0f);
    *r = u;
    return float_bits(t) - EXP_ROUND_BITS;
}

/* 2^n for -126 <= n <= 127 (anything for other n: of a NaN). */
static inline float exp_pow2(uint32_t n)
{
    return float_of_bits((n + 127u) << 23);
}

static inline float exp_f32(float x)
{
    float r, h;
    x = EXP_LO > x ? EXP_LO : x; /* this way round NaN stays */
    x = EXP_HI < x ? EXP_HI : x;
    const uint32_t n = exp_reduce(x, &r, &h), half = (uint32_t)((int32_t)n >> 1);
    /* WHY two factors: 2^n may be denormal or too large; the first product is exact, so only the last one rounds */
    return fmaf(r, h, 1.0f) * exp_pow2(half) * exp_pow2(n - half);
}

/* WHY by e^x - 1: no cancellation near 0. */
static inline float tanh_f32(float x)
{
    const float y = -2.0f * fabsf(x);
    float r, h;
    const uint32_t n = exp_reduce(TANH_LO > y ? TANH_LO : y, &r, &h);
    const float s = exp_pow2(n), e = fmaf(s, r * h, s - 1.0f), t = -e / (2.0f + e);
    return copysignf(t, x);
}

/* x / (1 + e^-z), z of the sign of x. WHY e^-|z|: nothing overflows, and the left tail keeps its precision. */
static inline float sigmoid_mul_f32(float x, float z)
{
    const float e = exp_f32(-fabsf(z));
    return (z < 0.0f ? x * e : x) / (1.0f + e);
}

static inline float silu_f32(float x)
{
    return sigmoid_mul_f32(x, x);
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x / (1 + e^-z) */
static inline float gelu_f32(float x)
{
    return sigmoid_mul_f32(x, x * fmaf(GELU_B, x * x, GELU_A));
}

static inline float softcap_f32(float x, float cap)
{
    return cap * tanh_f32(x / cap);
}

#endif
