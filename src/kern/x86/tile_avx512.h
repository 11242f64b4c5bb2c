/* Inside a tile of level avx512vnni: what the bodies share, and the tables of instances (panel.h). A vector is 16 rows:
 * one float or int32 each, or 4 codes each.
 * Read next: matmul_q_avx512.c. */
#ifndef OTR_KERN_TILE_AVX512_H
#define OTR_KERN_TILE_AVX512_H

#include "kern/x86/tile.h"

/* Tokens whose chains of dot products run side by side: their latency (5) hides in one another. */
enum { ZGROUP_MAX = 4 };
#define ZGROUP(MT, R) ((MT) > 12 || (R) > 1 ? 2 : ZGROUP_MAX) /* what the registers allow */

#define ZPIN(v) __asm__("" : "+v"(v)) /* PIN (tile.h), in any of the 32 registers */
/* OPT: what is read through p is read anew; else what two panels share waits in registers, and others spill. */
#define ZFORGET(p) __asm__ volatile("" : "+r"(p))
#define ZLOAD(p) _mm512_loadu_si512((const void *)(p))
#define ZHALVES(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))

/* sum + the dot product of 4 unsigned codes and the 4 activations at a, in every row.
 * OPT: written out, because gcc 12 does not fold the broadcast into the instruction; and pinned by it (PIN, tile.h). */
TILE_INLINE __m512i zdot4(__m512i sum, __m512i codes, const int8_t *a)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*(const int8_t(*)[4])(const void *)a));
    return sum;
}

/* sum + the dot product of two int16 of each row and the two at a. */
TILE_INLINE __m512i zdot2(__m512i sum, __m512i pair, const int16_t *a)
{
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(pair), "m"(*(const int16_t(*)[2])(const void *)a));
    return sum;
}

/* Group g (codes 4g..4g+3 of 16 rows) of a block of 32 that starts with nibbles. */
TILE_INLINE __m512i znibbles(const uint8_t *w, const int g)
{
    const __m512i n = ZLOAD(w + 64 * (g % 4));
    return _mm512_and_si512(g < 4 ? n : _mm512_srli_epi16(n, 4), _mm512_set1_epi8(15));
}

/* q with the bits of h from bit `at` on set at bit 4, as far as the mask allows. */
TILE_INLINE __m512i zhigh(__m512i q, __m512i h, const int at, __m512i mask)
{
    const __m512i moved = at < 4   ? _mm512_slli_epi32(h, (unsigned)(4 - at))
                          : at > 4 ? _mm512_srli_epi32(h, (unsigned)(at - 4))
                                   : h;
    return _mm512_ternarylogic_epi32(q, moved, mask, 0xf8); /* q | moved & mask */
}

TILE_INLINE void ztile_store(const struct tile_args *t, int m, int r, __m512 v)
{
    const __mmask16 rows = (__mmask16)((1u << t->n_row[r]) - 1);
    _mm512_mask_storeu_ps(t->out[r] + (size_t)m * t->ld_out, rows, v);
}

/* The instances of one body: up to 16 tokens x 1 panel, 8 x 2. */
#define ZTILE_INSTANCES(name, body)                                                                                    \
    TILE_ONE(name, body, 1, 1)                                                                                         \
    TILE_ONE(name, body, 2, 1)                                                                                         \
    TILE_ONE(name, body, 3, 1)                                                                                         \
    TILE_ONE(name, body, 4, 1)                                                                                         \
    TILE_ONE(name, body, 5, 1)                                                                                         \
    TILE_ONE(name, body, 6, 1)                                                                                         \
    TILE_ONE(name, body, 7, 1)                                                                                         \
    TILE_ONE(name, body, 8, 1)                                                                                         \
    TILE_ONE(name, body, 9, 1)                                                                                         \
    TILE_ONE(name, body, 10, 1)                                                                                        \
    TILE_ONE(name, body, 11, 1)                                                                                        \
    TILE_ONE(name, body, 12, 1)                                                                                        \
    TILE_ONE(name, body, 13, 1)                                                                                        \
    TILE_ONE(name, body, 14, 1)                                                                                        \
    TILE_ONE(name, body, 15, 1)                                                                                        \
    TILE_ONE(name, body, 16, 1)                                                                                        \
    TILE_ONE(name, body, 1, 2)                                                                                         \
    TILE_ONE(name, body, 2, 2)                                                                                         \
    TILE_ONE(name, body, 3, 2)                                                                                         \
    TILE_ONE(name, body, 4, 2)                                                                                         \
    TILE_ONE(name, body, 5, 2)                                                                                         \
    TILE_ONE(name, body, 6, 2)                                                                                         \
    TILE_ONE(name, body, 7, 2)                                                                                         \
    TILE_ONE(name, body, 8, 2)
#define ZTILE_NONE(fn) NULL
#define ZTILE_SELF(fn) fn
/* pick: what becomes of the instances that only floats have. */
#define ZTILE_ENTRIES(name, pick)                                                                                      \
    ztile_table name = {{name##_1_1, name##_1_2, pick(name##_1_4)},                                                    \
                        {name##_2_1, name##_2_2, pick(name##_2_4)},                                                    \
                        {name##_3_1, name##_3_2, NULL},                                                                \
                        {name##_4_1, name##_4_2, NULL},                                                                \
                        {name##_5_1, name##_5_2, NULL},                                                                \
                        {name##_6_1, name##_6_2, NULL},                                                                \
                        {name##_7_1, name##_7_2, NULL},                                                                \
                        {name##_8_1, name##_8_2, NULL},                                                                \
                        {name##_9_1, NULL, NULL},                                                                      \
                        {name##_10_1, NULL, NULL},                                                                     \
                        {name##_11_1, NULL, NULL},                                                                     \
                        {name##_12_1, NULL, NULL},                                                                     \
                        {name##_13_1, NULL, NULL},                                                                     \
                        {name##_14_1, NULL, NULL},                                                                     \
                        {name##_15_1, NULL, NULL},                                                                     \
                        {name##_16_1, NULL, NULL}};
#define ZTILE_TABLE(name, body)                                                                                        \
    ZTILE_INSTANCES(name, body)                                                                                        \
    ZTILE_ENTRIES(name, ZTILE_NONE)
/* OPT: two float fma start per cycle and wait 4 cycles for their accumulator: 4 panels at 1 and 2 tokens as well. */
#define ZTILE_TABLE_FLOAT(name, body)                                                                                  \
    ZTILE_INSTANCES(name, body)                                                                                        \
    TILE_ONE(name, body, 1, 4)                                                                                         \
    TILE_ONE(name, body, 2, 4)                                                                                         \
    ZTILE_ENTRIES(name, ZTILE_SELF)

#endif
