/* Inside an AVX2 tile: what the bodies share, and how one body becomes a table of instances (panel.h).
 * Read next: matmul_q4_avx2.c. */
#ifndef OTR_KERN_TILE_H
#define OTR_KERN_TILE_H

#include <immintrin.h>

#include "kern/x86/panel.h"

#define TILE_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
/* A loop over a constant count, written out by the compiler, so that arrays of vectors are registers. */
#define EACH(i, n) UNROLL for (int i = 0; i < (n); i++)
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

/* The `bytes` that are read TILE_NEAR bytes from now, and `reach` bytes from now. OPT: where both are the same, one
 * fetch is idle; a branch around it makes gcc 12 spill vectors, and so does a second variable distance. */
TILE_INLINE void tile_prefetch(const uint8_t *w, const int reach, int bytes)
{
    for (int i = 0; i < bytes; i += 64) {
        _mm_prefetch((const char *)w + reach + i, _MM_HINT_T1);
        _mm_prefetch((const char *)w + TILE_NEAR + i, _MM_HINT_T0);
    }
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
#define TILE_INSTANCES(name, body, five_two, six_two)                                                                  \
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
    tile_table name = {{name##_1_1, name##_1_2, name##_1_4},                                                           \
                       {name##_2_1, name##_2_2, name##_2_4},                                                           \
                       {name##_3_1, name##_3_2, NULL},                                                                 \
                       {name##_4_1, name##_4_2, NULL},                                                                 \
                       {name##_5_1, five_two, NULL},                                                                   \
                       {name##_6_1, six_two, NULL},                                                                    \
                       {name##_7_1, NULL, NULL},                                                                       \
                       {name##_8_1, NULL, NULL}};
#define TILE_TABLE(name, body) TILE_INSTANCES(name, body, NULL, NULL)
/* OPT: a float fma waits for its accumulator 4 cycles, two start per cycle: 12 chains keep busy what 8 just miss. */
#define TILE_TABLE_FLOAT(name, body)                                                                                   \
    TILE_ONE(name, body, 5, 2)                                                                                         \
    TILE_ONE(name, body, 6, 2)                                                                                         \
    TILE_INSTANCES(name, body, name##_5_2, name##_6_2)

#endif
