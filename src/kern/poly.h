/* Exponential, tanh, SiLU and GELU of one float: own polynomial, the same bits at every level (kernels.md C.12).
 * The scalar text here is the truth; a vector level writes the same operations in the same order.
 *
 *   exp    at most 0.9 ulp (all floats tried); exp(0) is exactly 1; a result below 1.9e-38 (x < EXP_LO) is 0
 *   tanh   at most 3 ulp; odd
 *   silu, gelu: the bound stands in tests/kern/test_ops.c
 * NaN stays NaN. Minus infinity in silu and gelu is NaN too: it is damage, and damage has to reach the logits.
 * SRC: Cody & Waite 1980 (reduction by ln 2 in two parts); coefficients: minimax of the relative error of e^r on
 *      [-ln 2 / 2, ln 2 / 2] with the first two held at 1, rounded to float one after the other; error 3.2e-9. */
#ifndef OTR_KERN_POLY_H
#define OTR_KERN_POLY_H

#include <math.h>

#include "kern/half.h"

#define EXP_LO (-86.9f) /* 2^(n-1) below would not be normal */
#define EXP_HI 89.0f    /* above: exp is infinity */
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_LN2_HI 0x1.62e43p-1f /* n * this is exact, and so is x minus it */
#define EXP_LN2_LO (-0x1.05c61p-29f)
#define EXP_C0 2.0f /* the coefficients of 2 e^r */
#define EXP_C1 2.0f
#define EXP_C2 0x1.fffffcp-1f
#define EXP_C3 0x1.55548cp-2f
#define EXP_C4 0x1.555858p-4f
#define EXP_C5 0x1.123dep-6f
#define EXP_C6 0x1.6ac74cp-9f
#define EXP_ROUND 0x1.8000fcp23f /* x + this rounds to an integer n; the low bits are then n - 1 + 127 */
#define TANH_LO (-40.0f)         /* of -2|x|: below it tanh is 1 */
#define GELU_A 0x1.988454p+0f    /* 2 sqrt(2 / pi) */
#define GELU_B 0x1.2444f2p-4f    /* that * 0.044715 */

/* x = n ln 2 + r; 2 e^r = 2 + r h. Returns 2^(n-1). WHY twice e^r: so e^x has its whole range above. */
static inline float exp_reduce(float x, float *r, float *h)
{
    const float t = fmaf(x, EXP_LOG2E, EXP_ROUND), n = t - EXP_ROUND;
    const float u = fmaf(n, -EXP_LN2_LO, fmaf(n, -EXP_LN2_HI, x));
    float p = fmaf(EXP_C6, u, EXP_C5);
    p = fmaf(p, u, EXP_C4);
    p = fmaf(p, u, EXP_C3);
    p = fmaf(p, u, EXP_C2);
    *h = fmaf(p, u, EXP_C1);
    *r = u;
    return float_of_bits(float_bits(t) << 23);
}

/* x <= EXP_HI */
static inline float exp_low_f32(float x)
{
    float r, h;
    const float s = exp_reduce(x, &r, &h);
    return x < EXP_LO ? 0.0f : fmaf(r, h, EXP_C0) * s;
}

static inline float exp_f32(float x)
{
    return exp_low_f32(EXP_HI < x ? EXP_HI : x); /* this way round NaN stays */
}

/* WHY by e^x - 1: no cancellation near 0. */
static inline float tanh_f32(float x)
{
    const float y = -2.0f * fabsf(x);
    float r, h;
    const float s = exp_reduce(TANH_LO > y ? TANH_LO : y, &r, &h);
    const float e = fmaf(s, r * h, 2.0f * s - 1.0f);
    return copysignf(-e / (2.0f + e), x);
}

/* x / (1 + e^-z), z of the sign of x. WHY e^-|z|: nothing overflows, and the left tail keeps its precision. */
static inline float sigmoid_mul_f32(float x, float z)
{
    const float e = exp_low_f32(-fabsf(z));
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
