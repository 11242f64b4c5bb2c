/* Random weights and activations for the kernel tests. See kern_data.h. */
#include "support/kern_data.h"

#include <math.h>
#include <string.h>

const char *const data_name[DATA_N] = {"sane", "wide", "broken", "integers"};

const struct kern_type kern_types[] = {
    {GGML_F32, "F32"},   {GGML_F16, "F16"},   {GGML_BF16, "BF16"}, {GGML_Q4_0, "Q4_0"},
    {GGML_Q4_1, "Q4_1"}, {GGML_Q5_0, "Q5_0"}, {GGML_Q5_1, "Q5_1"}, {GGML_Q8_0, "Q8_0"},
    {GGML_Q4_K, "Q4_K"}, {GGML_Q5_K, "Q5_K"}, {GGML_Q6_K, "Q6_K"}, {GGML_F32, NULL},
};

uint32_t rng_u32(struct test_rng *r)
{
    if (r->n % 4 == 0)
        r->four = philox4x32(r->seed, (struct philox){{r->n / 4}});
    return r->four.v[r->n++ % 4];
}

int rng_below(struct test_rng *r, int n)
{
    return (int)((uint64_t)rng_u32(r) * (uint64_t)n >> 32);
}

float rng_unit(struct test_rng *r)
{
    return (float)(int32_t)(rng_u32(r) >> 8) * 0x1p-23f - 1.0f;
}

float rng_normal(struct test_rng *r)
{
    return rng_unit(r) + rng_unit(r) + rng_unit(r); /* variance 3 * 1/3 */
}

int same_bits(float a, float b)
{
    return float_bits(a) == float_bits(b) || (a != a && b != b);
}

/* -- one number of a kind */

/* Rare enough to leave most outputs finite: of floats, and of blocks' scales. */
enum { BROKEN_ONE_IN = 4000, BROKEN_SCALE_ONE_IN = 200 };

static const float odd_float[] = {0.0f, -0.0f, 1e-45f, -1e-40f, 0x1p-126f, 0x1p-100f, 0x1.fffffep-101f};
static const uint16_t odd_half[] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff};
static const uint32_t broken_float[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001, 0x7f7fffff};
static const uint16_t broken_half[] = {0x7c00, 0xfc00, 0x7e00, 0xfe12, 0x7c01};

#define PICK(r, table) (table)[rng_below((r), (int)(sizeof(table) / sizeof *(table)))]

static float wide_float(struct test_rng *r)
{
    return rng_below(r, 32) ? ldexpf(rng_unit(r), rng_below(r, 81) - 40) : PICK(r, odd_float);
}

/* A scale, minimum or F16 weight. INTEGERS: 1, or a small whole number where whole is set. */
static uint16_t half_of_kind(struct test_rng *r, enum data_kind kind, int whole)
{
    switch (kind) {
    case DATA_SANE:
        return half_of_float(ldexpf(rng_unit(r), rng_below(r, 7) - 10));
    case DATA_BROKEN:
        if (!rng_below(r, BROKEN_SCALE_ONE_IN))
            return PICK(r, broken_half);
        /* fall through */
    case DATA_WIDE: {
        uint16_t h = (uint16_t)rng_u32(r);
        if ((h & 0x7c00) == 0x7c00)
            h = PICK(r, odd_half);
        return h;
    }
    default:
        return half_of_float(whole ? (float)(rng_below(r, 15) - 7) : 1.0f);
    }
}

static float float_of_kind(struct test_rng *r, enum data_kind kind)
{
    switch (kind) {
    case DATA_SANE:
        return rng_normal(r);
    case DATA_BROKEN:
        return rng_below(r, BROKEN_ONE_IN) ? wide_float(r) : float_of_bits(PICK(r, broken_float));
    case DATA_WIDE:
        return wide_float(r);
    default:
        return (float)(rng_below(r, 15) - 7);
    }
}

void floats_fill(struct test_rng *r, enum data_kind kind, float *x, int n, int block)
{
    for (int i = 0; i < n; i += block) {
        const int end = i + block < n ? i + block : n;
        const int special =
            (kind == DATA_WIDE || kind == DATA_BROKEN) && !rng_below(r, 16); /* zeros, or counts as zeros */
        const float zero = rng_below(r, 2) ? 0.0f : 0x1.fffffep-101f;
        const int exponent = rng_below(r, 81) - 40;
        for (int j = i; j < end; j++) {
            if (kind == DATA_SANE || kind == DATA_INTEGERS)
                x[j] = float_of_kind(r, kind);
            else if (kind == DATA_BROKEN && !rng_below(r, BROKEN_ONE_IN))
                x[j] = float_of_bits(PICK(r, broken_float));
            else
                x[j] = special ? zero : rng_below(r, 32) ? ldexpf(rng_normal(r), exponent) : PICK(r, odd_float);
        }
        if (kind == DATA_INTEGERS)
            x[i + rng_below(r, end - i)] = rng_below(r, 2) ? 127.0f : -127.0f;
    }
}

/* -- blocks */

static void put_half(uint8_t *p, uint16_t h)
{
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static int has_min(enum ggml_type type)
{
    return type == GGML_Q4_1 || type == GGML_Q5_1 || type == GGML_Q4_K || type == GGML_Q5_K;
}

static void put_bit(uint8_t *p, int bit, int on)
{
    *p = (uint8_t)((*p & ~(1 << bit)) | on << bit);
}

static void put_nibble(uint8_t *p, int high, int v)
{
    *p = (uint8_t)(high ? (*p & 0x0f) | v << 4 : (*p & 0xf0) | v);
}

void block_put_code(enum ggml_type type, uint8_t *blk, int i, int code)
{
    const int l = i % 32, j = i / 64, h = i / 32 % 2; /* K: 64 codes share 32 bytes, low nibbles first */
    switch (type) {
    case GGML_Q4_0:
        put_nibble(blk + 2 + i % 16, i / 16, code);
        break;
    case GGML_Q4_1:
        put_nibble(blk + 4 + i % 16, i / 16, code);
        break;
    case GGML_Q5_0:
        put_nibble(blk + 6 + i % 16, i / 16, code & 15);
        put_bit(blk + 2 + i / 8, i % 8, code >> 4);
        break;
    case GGML_Q5_1:
        put_nibble(blk + 8 + i % 16, i / 16, code & 15);
        put_bit(blk + 4 + i / 8, i % 8, code >> 4);
        break;
    case GGML_Q8_0:
        blk[2 + i] = (uint8_t)code;
        break;
    case GGML_Q4_K:
        put_nibble(blk + 16 + 32 * j + l, h, code);
        break;
    case GGML_Q5_K:
        put_nibble(blk + 48 + 32 * j + l, h, code & 15);
        put_bit(blk + 16 + l, 2 * j + h, code >> 4);
        break;
    case GGML_Q6_K: { /* halves of 128: quarter q has its low bits in ql[32 (q % 2) + l], nibble q / 2 */
        const int half = i / 128, q = i / 32 % 4;
        put_nibble(blk + 64 * half + 32 * (q % 2) + l, q / 2, code & 15);
        put_bit(blk + 128 + 32 * half + l, 2 * q, code >> 4 & 1);
        put_bit(blk + 128 + 32 * half + l, 2 * q + 1, code >> 5);
        break;
    }
    default:
        break;
    }
}

/* The 12 bytes of 8 six-bit scales and 8 minimums: four plain, then four with their upper two bits in the first. */
static void put_k_scale(uint8_t *s, int j, int sc, int mn)
{
    if (j < 4) {
        s[j] = (uint8_t)((s[j] & 0xc0) | sc);
        s[j + 4] = (uint8_t)((s[j + 4] & 0xc0) | mn);
    } else {
        s[j + 4] = (uint8_t)((sc & 15) | (mn & 15) << 4);
        s[j - 4] = (uint8_t)((s[j - 4] & 0x3f) | (sc >> 4) << 6);
        s[j] = (uint8_t)((s[j] & 0x3f) | (mn >> 4) << 6);
    }
}

void block_put_scales(enum ggml_type type, uint8_t *blk, float d, float m, int sc, int mn)
{
    put_half(blk + (type == GGML_Q6_K ? 208 : 0), half_of_float(d));
    if (has_min(type))
        put_half(blk + 2, half_of_float(m));
    if (type == GGML_Q4_K || type == GGML_Q5_K)
        for (int j = 0; j < 8; j++)
            put_k_scale(blk + 4, j, sc, mn);
    if (type == GGML_Q6_K)
        memset(blk + 192, sc, 16);
}

void block_code_range(enum ggml_type type, int *lo, int *hi, int *offset)
{
    *lo = *offset = 0;
    switch (type) {
    case GGML_Q4_0:
        *hi = 15;
        *offset = 8;
        break;
    case GGML_Q5_0:
        *hi = 31;
        *offset = 16;
        break;
    case GGML_Q5_1:
    case GGML_Q5_K:
        *hi = 31;
        break;
    case GGML_Q6_K:
        *hi = 63;
        *offset = 32;
        break;
    case GGML_Q8_0:
        *lo = -128;
        *hi = 127;
        break;
    default:
        *hi = 15;
    }
}

/* Random bytes, then scales of the kind over them. */
static void block_fill(struct test_rng *r, enum data_kind kind, enum ggml_type type, uint8_t *blk)
{
    const int n = (int)block_bytes(type), whole = kind == DATA_INTEGERS;
    for (int i = 0; i < n; i += 2) /* all block sizes are even */
        put_half(blk + i, (uint16_t)rng_u32(r));
    put_half(blk + (type == GGML_Q6_K ? 208 : 0), half_of_kind(r, kind, 0));
    if (has_min(type))
        put_half(blk + 2, half_of_kind(r, kind, type == GGML_Q4_1 || type == GGML_Q5_1));
    if (whole && (type == GGML_Q4_K || type == GGML_Q5_K))
        for (int j = 0; j < 8; j++)
            put_k_scale(blk + 4, j, rng_below(r, 4), rng_below(r, 64));
    if (whole && type == GGML_Q6_K)
        for (int j = 0; j < 16; j++)
            blk[192 + j] = (uint8_t)(rng_below(r, 7) - 3);
}

static void float_weight_fill(struct test_rng *r, enum data_kind kind, enum ggml_type type, uint8_t *w)
{
    if (type == GGML_F16) {
        const int calm = kind == DATA_BROKEN && rng_below(r, BROKEN_ONE_IN / BROKEN_SCALE_ONE_IN);
        put_half(w, half_of_kind(r, calm ? DATA_WIDE : kind, 1));
        return;
    }
    const float f = float_of_kind(r, kind);
    if (type == GGML_BF16)
        put_half(w, (uint16_t)(float_bits(f) >> 16)); /* cut, not rounded: a signalling NaN stays one (or infinity) */
    else
        memcpy(w, &f, sizeof f);
}

struct product product_make(struct test_rng *r, enum data_kind kind, enum ggml_type type, int n_rows, int n_cols,
                            int n_tok)
{
    struct product p = {.type = type, .n_rows = n_rows, .n_cols = n_cols, .n_tok = n_tok, .ld_x = (size_t)n_cols + 3};
    const size_t bytes = mat_row_bytes(type, n_cols) * (size_t)n_rows, blk = block_bytes(type);
    const size_t n_x = (size_t)(n_tok - 1) * p.ld_x + (size_t)n_cols;
    const enum act_kind act = act_kind_of(type);
    p.src = guard_alloc(bytes);
    p.x = guard_alloc(n_x * sizeof(float));
    for (uint8_t *w = p.src.p; w < (uint8_t *)p.src.p + bytes; w += blk) {
        if (block_values(type) == 1)
            float_weight_fill(r, kind, type, w);
        else
            block_fill(r, kind, type, w);
    }
    for (int t = 0; t < n_tok; t++)
        floats_fill(r, kind, (float *)p.x.p + (size_t)t * p.ld_x, n_cols, act == ACT_Q8K ? BLOCK_K : BLOCK_Q);
    return p;
}

void product_free(struct product *p)
{
    guard_free(&p->src);
    guard_free(&p->x);
}
