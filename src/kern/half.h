/* 16-bit floats: IEEE half (F16) and bfloat16, to and from float. Exact, or rounded to nearest even; no FTZ.
 * The bits are those of the F16C instructions: a signalling NaN comes out quiet, payload and sign kept. */
#ifndef OTR_KERN_HALF_H
#define OTR_KERN_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float float_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, mag = h & 0x7fffu;
    if (mag >= 0x7c00u) /* infinity, NaN */
        return float_of_bits(sign | 0x7f800000u | (mag & 0x3ffu) << 13 | (mag > 0x7c00u ? 0x400000u : 0));
    if (mag < 0x400u) { /* zero, denormal: mag * 2^-24 is exact */
        const float f = (float)mag * 0x1p-24f;
        return sign ? -f : f;
    }
    return float_of_bits(sign | ((mag << 13) + (112u << 23)));
}

static inline uint16_t half_of_float(float f)
{
    const uint32_t u = float_bits(f), sign = u >> 16 & 0x8000u, mag = u & 0x7fffffffu;
    if (mag > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (mag >> 13 & 0x3ffu));
    if (mag >= 0x47800000u) /* 2^16 and more; 65520 and more become infinity by the rounding below */
        return (uint16_t)(sign | 0x7c00u);
    if (mag < 0x38800000u) { /* below 2^-14: the adder rounds to a multiple of 2^-24 */
        const float a = float_of_bits(mag) + 0.5f;
        return (uint16_t)(sign | (float_bits(a) - 0x3f000000u));
    }
    return (uint16_t)(sign | (mag - (112u << 23) + 0xfffu + (mag >> 13 & 1u)) >> 13);
}

static inline float bf16_to_float(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

static inline uint16_t bf16_of_float(float f)
{
    const uint32_t u = float_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* A half of a file: two bytes, little-endian, at any address. */
static inline uint16_t load_u16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline float load_half(const void *p)
{
    return half_to_float(load_u16(p));
}

#endif
