/* Level avx512vnni: one attention chunk over 8-bit keys and values; rows are avx2's. In, out: as kern.h says; the bits
 * of c/attn_q8_c.c.
 *
 * Scores: a vector is two blocks, 16 positions, and one vpdpbusd multiplies 4 codes of each. Values: 16 floats of the
 * head, up to 6 queries x 4 vectors.
 * INV: a tile's size changes only who shares a load: an output is one lane with one chain, whatever the tile.
 * Read next: attn_q8.h, where a chunk is cut. */
#include "kern/levels.h"
#include "kern/x86/attn_q8.h"
#include "kern/x86/tile_avx512.h"

enum {
    N = ATTN_BLOCK,
    NV_MAX = 4, /* vectors of a tile */
};

/* -- scores */

/* 4 codes of each of 16 positions: of two blocks. */
TILE_INLINE __m512i two_blocks(const char *k0, const char *k1)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(TILE_LOAD(k0)), TILE_LOAD(k1), 1);
}

/* NQ queries on blocks [b_lo, b_hi), 2 NV at a time; the last step repeats its last block instead of running short.
 * OPT: each step fetches the next step's K and, for later, its own V (attn_avx2.c). */
TILE_INLINE void q8_zqk_body(const struct attn_chunk *a, int i0, int b_lo, int b_hi, const int NQ, const int NV)
{
    const int8_t *q[Q8_TILE];
    __m512i start[Q8_TILE];
    EACH(i, NQ) {
        q[i] = q8_query(a, i0 + i);
        start[i] = _mm512_set1_epi32(q8_offset(a, i0 + i));
    }
    for (int b = b_lo; b < b_hi; b += 2 * NV) {
        const char *k[2 * NV_MAX], *next_k[2 * NV_MAX], *val[2 * NV_MAX];
        __m512i s[Q8_TILE][NV_MAX];
        EACH(v, 2 * NV) {
            k[v] = a->k[q8_block_at(b + v, b_hi)];
            next_k[v] = a->k[q8_block_at(b + v + 2 * NV, b_hi)];
            val[v] = a->v[q8_block_at(b + v, b_hi)];
        }
        EACH(i, NQ)
            EACH(v, NV)
                s[i][v] = start[i];
        for (ptrdiff_t d = 0; d < a->d_head; d += 8) { /* a line of K */
            EACH(v, 2 * NV) {
                _mm_prefetch(next_k[v] + d * N, _MM_HINT_T0);
                _mm_prefetch(val[v] + d * N, _MM_HINT_T0);
            }
            EACH(g, 2) {
                __m512i kd[NV_MAX];
                EACH(v, NV)
                    kd[v] = two_blocks(k[2 * v] + d * N + 32 * g, k[2 * v + 1] + d * N + 32 * g);
                EACH(i, NQ)
                    EACH(v, NV)
                        s[i][v] = zdot4(s[i][v], kd[v], q[i] + d + 4 * g);
            }
        }
        EACH(i, NQ) {
            const __m256 d_q = _mm256_set1_ps(q8_query_scale(a, i0 + i));
            float *to = a->score + (i0 + i) * ATTN_CHUNK;
            EACH(v, 2 * NV) {
                const __m256i sum =
                    v % 2 ? _mm512_extracti64x4_epi64(s[i][v / 2], 1) : _mm512_castsi512_si256(s[i][v / 2]);
                const __m256 scale = _mm256_mul_ps(d_q, _mm256_loadu_ps(q8_scales(k[v], a->d_head)));
                _mm256_storeu_ps(to + N * q8_block_at(b + v, b_hi), _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
            }
        }
    }
}

#define Q8_ZQK(NQ, NV)                                                                                                 \
    static void zqk_q8_##NQ(const struct attn_chunk *a, int i0, int b_lo, int b_hi)                                    \
    {                                                                                                                  \
        q8_zqk_body(a, i0, b_lo, b_hi, NQ, NV);                                                                        \
    }
Q8_ZQK(1, 4)
Q8_ZQK(2, 4)
Q8_ZQK(3, 4)
Q8_ZQK(4, 2)
Q8_ZQK(5, 2)
Q8_ZQK(6, 2)

/* -- values */

/* Chains of NQ queries, NV vectors from d0 on, over positions [p_lo, p_hi): taken from a->acc and put back. lanes:
 * which of a vector's 16 floats the head has. */
TILE_INLINE void q8_zpv_body(const struct attn_chunk *a, int i0, int p_lo, int p_hi, int d0, __mmask16 lanes,
                             const int NQ, const int NV)
{
    const float *w[Q8_TILE];
    float *out[Q8_TILE];
    __m512 o[Q8_TILE][NV_MAX];
    EACH(i, NQ) {
        w[i] = a->score + (i0 + i) * ATTN_CHUNK;
        out[i] = a->acc + (size_t)(i0 + i) * a->ld_acc + d0;
        EACH(v, NV)
            o[i][v] = _mm512_maskz_loadu_ps(lanes, out[i] + 16 * v);
    }
    for (int p = p_lo; p < p_hi;) {
        const int end = p / N * N + N < p_hi ? p / N * N + N : p_hi;
        const int8_t *at = (const int8_t *)a->v[p / N] + p % N * a->d_head + d0;
        for (; p < end; p++, at += a->d_head) {
            __m512 x[NV_MAX];
            EACH(v, NV)
                x[v] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, at + 16 * v)));
            EACH(i, NQ) {
                const __m512 wp = _mm512_set1_ps(w[i][p]);
                EACH(v, NV) {
                    o[i][v] = _mm512_fmadd_ps(wp, x[v], o[i][v]);
                    ZPIN(o[i][v]);
                }
            }
        }
    }
    EACH(i, NQ)
        EACH(v, NV)
            _mm512_mask_storeu_ps(out[i] + 16 * v, lanes, o[i][v]);
}

#define Q8_ZPV(NQ)                                                                                                     \
    static void zpv_q8_##NQ##_4(const struct attn_chunk *a, int i0, int p_lo, int p_hi, int d0)                        \
    {                                                                                                                  \
        q8_zpv_body(a, i0, p_lo, p_hi, d0, 0xffff, NQ, 4);                                                             \
    }                                                                                                                  \
    static void zpv_q8_##NQ##_1(const struct attn_chunk *a, int i0, int p_lo, int p_hi, int d0)                        \
    {                                                                                                                  \
        q8_zpv_body(a, i0, p_lo, p_hi, d0, a->d_head - d0 < 16 ? 0xff : 0xffff, NQ, 1);                                \
    }
Q8_ZPV(1)
Q8_ZPV(2)
Q8_ZPV(3)
Q8_ZPV(4)
Q8_ZPV(5)
Q8_ZPV(6)

/* n queries over positions [p_lo, p_hi) that all of them see. */
static void zpv(const struct attn_chunk *a, int i0, int n, int p_lo, int p_hi)
{
    static void (*const wide[])(const struct attn_chunk *, int, int, int, int) = {zpv_q8_1_4, zpv_q8_2_4, zpv_q8_3_4,
                                                                                  zpv_q8_4_4, zpv_q8_5_4, zpv_q8_6_4};
    static void (*const one[])(const struct attn_chunk *, int, int, int, int) = {zpv_q8_1_1, zpv_q8_2_1, zpv_q8_3_1,
                                                                                 zpv_q8_4_1, zpv_q8_5_1, zpv_q8_6_1};
    int d = 0;
    if (p_lo >= p_hi)
        return;
    for (; d + 64 <= a->d_head; d += 64)
        wide[n - 1](a, i0, p_lo, p_hi, d);
    for (; d < a->d_head; d += 16)
        one[n - 1](a, i0, p_lo, p_hi, d);
}

/* n queries, each over its own positions: together where they overlap, alone before and after. */
static void values(const struct attn_chunk *a, int i0, int n)
{
    int lo = a->lo[i0], hi = a->hi[i0];
    for (int i = i0; i < i0 + n; i++) {
        lo = a->lo[i] > lo ? a->lo[i] : lo;
        hi = a->hi[i] < hi ? a->hi[i] : hi;
        memset(a->acc + (size_t)i * a->ld_acc, 0, (size_t)a->d_head * sizeof(float));
    }
    for (int i = i0; i < i0 + n; i++)
        zpv(a, i, 1, a->lo[i], lo < hi ? lo : a->hi[i]);
    if (lo >= hi) /* nothing in common */
        return;
    zpv(a, i0, n, lo, hi);
    for (int i = i0; i < i0 + n; i++)
        zpv(a, i, 1, hi, a->hi[i]);
}

static void attn_q8_avx512(const struct attn_chunk *a)
{
    static const struct q8_steps steps = {{zqk_q8_1, zqk_q8_2, zqk_q8_3, zqk_q8_4, zqk_q8_5, zqk_q8_6}, values};
    q8_tiles(a, &steps);
}

void attn_q8_init_avx512(struct kernels *k)
{
    k->attn_q8 = attn_q8_avx512;
}
