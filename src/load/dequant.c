/* Owns the meaning of quantised blocks: blocks of a GGUF tensor in, floats out.
 * INV: every product and sum below is one float operation, in this order, as in the PyPI gguf package (no fused ones).
 * Read next: kern/blocks.h (the bits of a block). */
#include "load/dequant.h"

#include <assert.h>
#include <string.h>

#include "kern/blocks.h"

/* Legacy blocks, 32 values: d * (code - offset), or d * code + m. b is d and m in this order, then the codes' bytes. */
static void block_q4_0(float *out, const uint8_t *b)
{
    uint8_t code[BLOCK_Q];
    const float d = load_half(b);
    codes_nibbles(code, b + 2);
    for (int i = 0; i < BLOCK_Q; i++)
        out[i] = d * (float)(code[i] - 8);
}

static void block_q4_1(float *out, const uint8_t *b)
{
    uint8_t code[BLOCK_Q];
    const float d = load_half(b), m = load_half(b + 2);
    codes_nibbles(code, b + 4);
    for (int i = 0; i < BLOCK_Q; i++)
        out[i] = d * (float)code[i] + m;
}

static void block_q5_0(float *out, const uint8_t *b)
{
    uint8_t code[BLOCK_Q];
    const float d = load_half(b);
    codes_nibbles(code, b + 6);
    codes_fifth_bits(code, b + 2);
    for (int i = 0; i < BLOCK_Q; i++)
        out[i] = d * (float)(code[i] - 16);
}

static void block_q5_1(float *out, const uint8_t *b)
{
    uint8_t code[BLOCK_Q];
    const float d = load_half(b), m = load_half(b + 2);
    codes_nibbles(code, b + 8);
    codes_fifth_bits(code, b + 4);
    for (int i = 0; i < BLOCK_Q; i++)
        out[i] = d * (float)code[i] + m;
}

static void block_q8_0(float *out, const uint8_t *b)
{
    const float d = load_half(b);
    for (int i = 0; i < BLOCK_Q; i++)
        out[i] = (float)(int8_t)b[2 + i] * d;
}

/* 256 values as 8 sub-blocks with a scale and a minimum each: (d * sc) * code - (dmin * mn). */
static void sub_blocks(float *out, const uint8_t *code, const uint8_t *b)
{
    uint8_t sc[8], mn[8];
    const float d = load_half(b), dmin = load_half(b + 2);
    codes_k_scales(sc, mn, b + 4);
    for (int j = 0; j < 8; j++) {
        const float scale = d * (float)sc[j], min = dmin * (float)mn[j];
        for (int i = 32 * j; i < 32 * j + 32; i++)
            out[i] = scale * (float)code[i] - min;
    }
}

static void block_q4_k(float *out, const uint8_t *b)
{
    uint8_t code[BLOCK_K];
    codes_q4_k(code, b + 16);
    sub_blocks(out, code, b);
}

static void block_q5_k(float *out, const uint8_t *b)
{
    uint8_t code[BLOCK_K];
    codes_q5_k(code, b + 48, b + 16);
    sub_blocks(out, code, b);
}

/* 16 sub-blocks with a signed scale each: (d * sc) * (code - 32). */
static void block_q6_k(float *out, const uint8_t *b)
{
    uint8_t code[BLOCK_K];
    const float d = load_half(b + 208);
    codes_q6_k(code, b, b + 128);
    for (int j = 0; j < 16; j++) {
        const float scale = d * (float)(int8_t)b[192 + j];
        for (int i = 16 * j; i < 16 * j + 16; i++)
            out[i] = scale * (float)(code[i] - 32);
    }
}

static void (*block_of(enum ggml_type type))(float *, const uint8_t *)
{
    switch (type) {
    case GGML_Q4_0:
        return block_q4_0;
    case GGML_Q4_1:
        return block_q4_1;
    case GGML_Q5_0:
        return block_q5_0;
    case GGML_Q5_1:
        return block_q5_1;
    case GGML_Q8_0:
        return block_q8_0;
    case GGML_Q4_K:
        return block_q4_k;
    case GGML_Q5_K:
        return block_q5_k;
    case GGML_Q6_K:
        return block_q6_k;
    case GGML_F32:
    case GGML_F16:
    case GGML_BF16:
        break;
    }
    return NULL;
}

void dequant_row(enum ggml_type type, float *out, const void *src, int64_t n)
{
    const uint8_t *b = src;
    const int values = block_values(type);
    const size_t bytes = block_bytes(type);
    void (*block)(float *, const uint8_t *) = block_of(type);
    assert(n % values == 0);
    if (block) {
        for (int64_t i = 0; i < n; i += values, b += bytes)
            block(out + i, b);
    } else if (type == GGML_F16) {
        for (int64_t i = 0; i < n; i++, b += 2)
            out[i] = load_half(b);
    } else if (type == GGML_BF16) {
        for (int64_t i = 0; i < n; i++, b += 2)
            out[i] = bf16_to_float(load_u16(b));
    } else {
        assert(type == GGML_F32);
        memcpy(out, src, (size_t)n * sizeof *out);
    }
}
