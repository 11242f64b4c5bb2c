/* Owns the weights that are multiplied where no model is asked for. See weights_random.h. */
#include "bench/weights_random.h"

#include <string.h>

#include "base/rng.h"
#include "kern/blocks.h"
#include "kern/kern.h"

static void bytes_random(uint8_t *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i += 16) {
        const struct philox r = philox4x32(seed, (struct philox){{(uint32_t)(i / 16), (uint32_t)(i / 16 >> 32)}});
        memcpy(p + i, r.v, n - i < 16 ? n - i : 16);
    }
}

/* The half at p: positive, its exponent so that it lies in [2^-5, 2^-4); the fraction stays random. */
static void sane_half(uint8_t *p)
{
    p[1] = (uint8_t)((p[1] & 0x03) | 0x28);
}

static void sane_block(enum ggml_type type, uint8_t *b)
{
    switch (type) {
    case GGML_F32: /* sign and fraction stay */
        b[3] = (uint8_t)((b[3] & 0x80) | 0x3d);
        b[2] &= 0x7f;
        break;
    case GGML_BF16:
        b[1] = (uint8_t)((b[1] & 0x80) | 0x3d);
        b[0] &= 0x7f;
        break;
    case GGML_F16:
        b[1] = (uint8_t)((b[1] & 0x83) | 0x28);
        break;
    case GGML_Q6_K:
        sane_half(b + 208);
        break;
    case GGML_Q4_1:
    case GGML_Q5_1:
    case GGML_Q4_K:
    case GGML_Q5_K:
        sane_half(b + 2);
        sane_half(b);
        break;
    default:
        sane_half(b);
        break;
    }
}

void rows_random(void *rows, enum ggml_type type, int n_rows, int n_cols, uint64_t seed)
{
    const size_t bytes = mat_row_bytes(type, n_cols) * (size_t)n_rows, block = block_bytes(type);
    uint8_t *p = rows;
    bytes_random(p, bytes, seed);
    for (size_t i = 0; i < bytes; i += block)
        sane_block(type, p + i);
}

void floats_random(float *x, size_t n, uint64_t seed)
{
    bytes_random((uint8_t *)x, n * sizeof *x, seed);
    for (size_t i = 0; i < n; i++) {
        uint32_t v;
        memcpy(&v, &x[i], sizeof v);
        x[i] = (float)(int32_t)(v >> 8) * 0x1p-23f - 1.0f;
    }
}
