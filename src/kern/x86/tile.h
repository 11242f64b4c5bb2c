/* What the AVX2 tiles share: the panel layout, the arguments, the table of instances.
 *
 * A panel is 8 rows, one per float lane, all of K in one run of bytes (kernels.md B.1); panels start at multiples of 64
 * bytes and lie in row order. Inside, for each block, k ascending:
 *   Q4_0 Q4_1  4 x 32 B nibbles: vector v, byte 4r+j = q[r][4v+j] | q[r][16+4v+j] << 4; then 8 halves d (, 8 halves m)
 *   Q5_0 Q5_1  the same nibbles; 32 B: byte 4r+j, bit g = fifth bit of q[r][4g+j]; then d (, m)
 *   Q8_0       16 x 16 B: pair p, byte 2r+j = q[r][2p+j]; then d
 *   Q4_K       8 x (nibbles of 32, 8 B scales); 4 x 16 B minimums: pair p, byte 2r+j = mn[r][2p+j]; then d, dmin
 *   Q5_K       8 x (nibbles of 32, 32 B fifth bits, 8 B scales); the rest as Q4_K
 *   Q6_K       8 x (nibbles of 32, 2 x 32 B: vector u, byte 4r+j, bits 2p,2p+1 = high bits of q[r][16u+4p+j],
 *              2 x 8 B scales); then d
 *   floats     per k: 8 values
 * A tile is MT tokens x R panels, over all of K. INV: every tile of a format comes from one always-inline body, and an
 * output is one lane with one chain over k, so its bits depend on neither MT nor R.
 * Read next: matmul_avx2.c (who calls tiles), pack_avx2.c (who writes panels). */
#ifndef OTR_KERN_TILE_H
#define OTR_KERN_TILE_H

#include <immintrin.h>

#include "kern/act.h"

enum {
    PANEL_ROWS = 8,
    TILE_MAX_TOK = 8,   /* MT */
    TILE_MAX_PANEL = 4, /* R */
    TILE_PREFETCH = 2048, /* bytes ahead in each panel; 512 to 4096 measured alike on Zen 3 and Zen 4 */
};

/* Bytes of one block of 8 rows; floats: of one k. */
static inline size_t panel_block_bytes(enum ggml_type type)
{
    switch (type) {
    case GGML_F32:
        return 32;
    case GGML_F16:
    case GGML_BF16:
        return 16;
    case GGML_Q4_0:
        return 144;
    case GGML_Q4_1:
        return 160;
    case GGML_Q5_0:
        return 176;
    case GGML_Q5_1:
        return 192;
    case GGML_Q8_0:
        return 272;
    case GGML_Q4_K:
        return 8 * (128 + 8) + 64 + 32;
    case GGML_Q5_K:
        return 8 * (128 + 32 + 8) + 64 + 32;
    case GGML_Q6_K:
        return 8 * (128 + 64 + 16) + 16;
    }
    return 0;
}

static inline size_t panel_bytes(enum ggml_type type, int n_cols)
{
    const size_t n = (size_t)(n_cols / block_values(type)) * panel_block_bytes(type);
    return (n + 63) / 64 * 64;
}

struct tile_args {
    const uint8_t *w[TILE_MAX_PANEL]; /* panels */
    float *out[TILE_MAX_PANEL];       /* first token, first row of the panel */
    int n_row[TILE_MAX_PANEL];        /* rows of the panel to write, 1..8 */
    size_t ld_out;
    const void *act;  /* first block of the first token: act_q8, act_q8k or 64 floats */
    const void *wide; /* act_q8w, for Q8_0 */
    int mt;           /* tokens of the packed tile: the stride from block to block */
    int n_cols;
};
typedef void (*tile_fn)(const struct tile_args *t);

/* [MT - 1][0: R = 1, 1: R = 2, 2: R = 4]; NULL where MT * R > 8. */
typedef tile_fn const tile_table[TILE_MAX_TOK][3];
extern tile_table tiles_q4_0, tiles_q4_1, tiles_q5_0, tiles_q5_1, tiles_q8_0, tiles_q4_k, tiles_q5_k, tiles_q6_k,
    tiles_f32, tiles_f16, tiles_bf16;

size_t pack_bytes_avx2(enum ggml_type type, int n_rows, int n_cols);
void pack_avx2(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo, int row_hi);
void act_pack_avx2(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
                   int tok_hi);

/* -- inside a tile */

#define TILE_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
/* WHY: integer adds are associative to the compiler: it would hoist all products, then spill them. */
#define PIN(v) __asm__("" : "+x"(v))

#define TILE_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define TILE_HALVES(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p)))

/* Four codes of one token in every lane. */
TILE_INLINE __m256i tile_quad(const void *p)
{
    int32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* Of each byte, the bits from bit `at` on, moved to bit 4 and masked: the high bits of 5- and 6-bit codes. */
TILE_INLINE __m256i tile_bits(__m256i h, const int at, __m256i mask)
{
    return _mm256_and_si256(at < 4 ? _mm256_slli_epi16(h, 4 - at) : at == 4 ? h : _mm256_srli_epi16(h, at - 4), mask);
}

TILE_INLINE void tile_prefetch(const uint8_t *w, int bytes)
{
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)w + TILE_PREFETCH + i, _MM_HINT_T0);
}

TILE_INLINE void tile_store(const struct tile_args *t, int m, int r, __m256 v)
{
    float *o = t->out[r] + (size_t)m * t->ld_out;
    if (t->n_row[r] == PANEL_ROWS) {
        _mm256_storeu_ps(o, v);
    } else { /* the last panel */
        const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_maskstore_ps(o, _mm256_cmpgt_epi32(_mm256_set1_epi32(t->n_row[r]), lane), v);
    }
}

/* The instances of one body, and their table. body(t, MT, R). */
#define TILE_ONE(name, body, m, r)                                                                                     \
    static void name##_##m##_##r(const struct tile_args *t)                                                            \
    {                                                                                                                  \
        body(t, m, r);                                                                                                 \
    }
#define TILE_TABLE(name, body)                                                                                         \
    TILE_ONE(name, body, 1, 1)                                                                                         \
    TILE_ONE(name, body, 2, 1)                                                                                         \
    TILE_ONE(name, body, 3, 1)                                                                                         \
    TILE_ONE(name, body, 4, 1)                                                                                         \
    TILE_ONE(name, body, 5, 1)                                                                                         \
    TILE_ONE(name, body, 6, 1)                                                                                         \
    TILE_ONE(name, body, 7, 1)                                                                                         \
    TILE_ONE(name, body, 8, 1)                                                                                         \
    TILE_ONE(name, body, 1, 2)                                                                                         \
    TILE_ONE(name, body, 2, 2)                                                                                         \
    TILE_ONE(name, body, 3, 2)                                                                                         \
    TILE_ONE(name, body, 4, 2)                                                                                         \
    TILE_ONE(name, body, 1, 4)                                                                                         \
    TILE_ONE(name, body, 2, 4)                                                                                         \
    tile_table name = {{name##_1_1, name##_1_2, name##_1_4}, {name##_2_1, name##_2_2, name##_2_4},                     \
                       {name##_3_1, name##_3_2, NULL},       {name##_4_1, name##_4_2, NULL},                           \
                       {name##_5_1, NULL, NULL},             {name##_6_1, NULL, NULL},                                 \
                       {name##_7_1, NULL, NULL},             {name##_8_1, NULL, NULL}};

#endif
