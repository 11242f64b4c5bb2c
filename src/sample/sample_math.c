/* Owns the exp and log of the sampler. In, out: doubles. INV: -ffp-contract=off, and no libm here.
 * WHY Taylor series, not a fitted polynomial: every coefficient can be checked by eye; speed is not needed.
 * Read next: gumbel.c. */
#include "sample/sample_math.h"

#include <float.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "double arithmetic with extra precision would change the bits of a draw"
#endif

/* ln 2 in two parts; the first has 20 zero bits at its end, so that k * LN2_HI is exact for |k| < 2^20. */
#define LN2_HI 0x1.62e42feep-1
#define LN2_LO 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep0

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double of_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)); s = f / (2 + f); log(1 + f) = 2 atanh(s) = 2s + s R,
 * R = 2s^2/3 + 2s^4/5 + ...; and 2s = f - f^2/2 + s f^2/2, whose large part f is exact (SRC: the usual rearrangement,
 * Tang 1990, Table-driven implementation of the logarithm). |s| < 0.172: the first term left out is below 2^-62 s. */
double sample_log(double x)
{
    static const double coef[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                                  2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcd, one = (uint64_t)1023 << 52;
    const uint64_t biased = (bits_of(x) - sqrt_half + one) >> 52;
    const double k = (double)((int)biased - 1023);
    const double f = of_bits(bits_of(x) - ((biased - 1023) << 52)) - 1.0;
    const double s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    double r = 0.0;
    for (int i = (int)(sizeof coef / sizeof *coef) - 1; i >= 0; i--)
        r = z * (coef[i] + r);
    return k * LN2_HI - ((h - (s * (h + r) + k * LN2_LO)) - f);
}

/* x = k ln 2 + r + c, |r| <= ln 2 / 2, c what r's rounding lost; exp(x) = 2^k (1 + r + c + r^2/2! + ... + r^13/13!). */
double sample_exp(double x)
{
    static const double inv_fact[] = {1.0 / 2,         1.0 / 6,          1.0 / 24,          1.0 / 120,
                                      1.0 / 720,       1.0 / 5040,       1.0 / 40320,       1.0 / 362880,
                                      1.0 / 3628800.0, 1.0 / 39916800.0, 1.0 / 479001600.0, 1.0 / 6227020800.0};
    if (!(x >= -708.0))
        return 0.0;
    const int k = (int)(x * LOG2_E - 0.5); /* towards 0, so to nearest */
    const double hi = x - (double)k * LN2_HI, lo = (double)k * LN2_LO, r = hi - lo, c = (hi - r) - lo;
    double p = 0.0;
    for (int i = (int)(sizeof inv_fact / sizeof *inv_fact) - 1; i >= 0; i--)
        p = inv_fact[i] + r * p;
    return (1.0 + (r + (r * r * p + c))) * of_bits((uint64_t)(1023 + k) << 52);
}
