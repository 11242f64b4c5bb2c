/* Owns the making of quantised blocks: floats in, blocks of a GGUF tensor out.
 * INV: every product and sum below is one float operation in this order (no fused ones): the codes are then those of
 * ggml's reference quantisers, which the PyPI gguf package repeats.
 * SRC: ggml-quants.c, quantize_row_q8_0_ref, _q4_0_ref, _q4_1_ref. Read next: dequant.c (the way back). */
#include "load/quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "kern/blocks.h"

static void store_u16(uint8_t *b, uint16_t v)
{
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

/* A scale or a float as a half; false where it does not fit. */
static bool store_half(uint8_t *b, float f)
{
    const uint16_t h = half_of_float(f);
    store_u16(b, h);
    return (h & 0x7c00u) != 0x7c00u;
}

static bool store_bf16(uint8_t *b, float f)
{
    const uint16_t h = bf16_of_float(f);
    store_u16(b, h);
    return (h & 0x7f80u) != 0x7f80u;
}

/* WHY 0 where 1 / d overflows: d is then below 2^-128 and its half is 0, so that the codes mean nothing. */
static float inverse(float d)
{
    const float id = d != 0 ? 1.0f / d : 0;
    return isfinite(id) ? id : 0;
}

static void store_nibbles(uint8_t *b, const uint8_t *code)
{
    for (int i = 0; i < 16; i++)
        b[i] = (uint8_t)(code[i] | code[16 + i] << 4);
}

static uint8_t code4(float f) /* f > -1 */
{
    const int c = (int)f;
    return (uint8_t)(c < 15 ? c : 15);
}

/* The block functions get finite values only. */
static bool block_q8_0(uint8_t *b, const float *x)
{
    float amax = 0;
    for (int i = 0; i < BLOCK_Q; i++)
        amax = fabsf(x[i]) > amax ? fabsf(x[i]) : amax;
    const float d = amax / 127, id = inverse(d);
    for (int i = 0; i < BLOCK_Q; i++)
        b[2 + i] = (uint8_t)(int8_t)roundf(x[i] * id);
    return store_half(b, d);
}

static bool block_q4_0(uint8_t *b, const float *x)
{
    uint8_t code[BLOCK_Q];
    float amax = 0, max = 0; /* max: the first value of largest magnitude, with its sign */
    for (int i = 0; i < BLOCK_Q; i++)
        if (fabsf(x[i]) > amax) {
            amax = fabsf(x[i]);
            max = x[i];
        }
    const float d = max / -8, id = inverse(d);
    for (int i = 0; i < BLOCK_Q; i++)
        code[i] = code4(x[i] * id + 8.5f);
    store_nibbles(b + 2, code);
    return store_half(b, d);
}

static bool block_q4_1(uint8_t *b, const float *x)
{
    uint8_t code[BLOCK_Q];
    float min = x[0], max = x[0];
    for (int i = 1; i < BLOCK_Q; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    const float d = (max - min) / 15; /* may be infinite: the caller is told */
    if (!store_half(b, d) || !store_half(b + 2, min))
        return false;
    const float id = inverse(d);
    for (int i = 0; i < BLOCK_Q; i++)
        code[i] = code4((x[i] - min) * id + 0.5f);
    store_nibbles(b + 4, code);
    return true;
}

static bool (*block_of(enum ggml_type type))(uint8_t *, const float *)
{
    switch (type) {
    case GGML_Q8_0:
        return block_q8_0;
    case GGML_Q4_0:
        return block_q4_0;
    case GGML_Q4_1:
        return block_q4_1;
    default:
        return NULL;
    }
}

bool quant_makes(enum ggml_type type)
{
    return type == GGML_F32 || type == GGML_F16 || type == GGML_BF16 || block_of(type);
}

static bool all_finite(const float *x, int64_t n)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t mag = float_bits(x[i]) & 0x7fffffffu;
        most = mag > most ? mag : most;
    }
    return most < 0x7f800000u;
}

bool quant_row(enum ggml_type type, void *out, const float *x, int64_t n)
{
    uint8_t *b = out;
    bool (*block)(uint8_t *, const float *) = block_of(type);
    bool fits = true;
    assert(quant_makes(type) && n % block_values(type) == 0);
    if (!all_finite(x, n))
        return false;
    if (block) {
        for (int64_t i = 0; i < n && fits; i += BLOCK_Q, b += block_bytes(type))
            fits = block(b, x + i);
    } else if (type == GGML_F16) {
        for (int64_t i = 0; i < n; i++, b += 2)
            fits = store_half(b, x[i]) && fits;
    } else if (type == GGML_BF16) {
        for (int64_t i = 0; i < n; i++, b += 2)
            fits = store_bf16(b, x[i]) && fits;
    } else {
        memcpy(out, x, (size_t)n * sizeof *x);
    }
    return fits;
}
