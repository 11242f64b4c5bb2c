/* AVX2: rows of 8-bit keys, values and queries, and one attention chunk over them. In, out: as kern.h says; the bits of
 * c/attn_q8_c.c. Softmax and values are attn_avx2.c's, which converts codes as it loads them.
 * Read next: attn_q8.h, where a chunk is cut. */
#include "kern/levels.h"
#include "kern/x86/act_avx2.h"
#include "kern/x86/attn_q8.h"

enum {
    N = ATTN_BLOCK,
    NV_MAX = 4, /* blocks of a tile */
};

static void q8_row_avx2(void *row, const float *x, int n, int bias)
{
    __m256i max = _mm256_setzero_si256();
    float factor;
    for (int i = 0; i < n; i += 8)
        max = _mm256_max_epi32(max, _mm256_and_si256(TILE_LOAD(x + i), _mm256_set1_epi32(0x7fffffff)));
    const float d = scale_of(max, &factor);
    char *q = row;
    for (int i = 0; i < n; i += 8) { /* no clamp needed (act_avx2.c) */
        __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(factor)));
        if (factor == 0.0f) /* the product would be NaN for an infinite x */
            v = _mm256_setzero_si256();
        const __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        const __m128i b = _mm_add_epi8(_mm_packs_epi16(w, w), _mm_set1_epi8((char)bias));
        _mm_storel_epi64((__m128i *)(void *)(q + i), b);
    }
    memcpy(q + n, &d, sizeof d);
}

/* -- scores */

/* sum + the products of 4 codes of each position and the query's 4.
 * WHY signs and not vpmaddubsw on K's bytes as they lie: 2 * 255 * 127 saturates; 2 * 127 * 127 does not. */
TILE_INLINE __m256i dot4(__m256i sum, __m256i k, __m256i q, __m256i abs_q)
{
    const __m256i pairs = _mm256_maddubs_epi16(abs_q, _mm256_sign_epi8(k, q));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* NQ queries on blocks [b_lo, b_hi), NV at a time; the last step repeats its last block instead of running short.
 * OPT: each step fetches the next step's K and, for later, its own V (attn_avx2.c). */
TILE_INLINE void q8_qk_body(const struct attn_chunk *a, int i0, int b_lo, int b_hi, const int NQ, const int NV)
{
    const int8_t *q[Q8_TILE];
    EACH(i, NQ)
        q[i] = q8_query(a, i0 + i);
    for (int b = b_lo; b < b_hi; b += NV) {
        const char *k[NV_MAX], *next_k[NV_MAX], *val[NV_MAX];
        __m256i s[Q8_TILE][NV_MAX];
        EACH(v, NV) {
            k[v] = a->k[q8_block_at(b + v, b_hi)];
            next_k[v] = a->k[q8_block_at(b + v + NV, b_hi)];
            val[v] = a->v[q8_block_at(b + v, b_hi)];
        }
        EACH(i, NQ)
            EACH(v, NV)
                s[i][v] = _mm256_setzero_si256();
        for (ptrdiff_t d = 0; d < a->d_head; d += 8) { /* a line of K */
            EACH(v, NV) {
                _mm_prefetch(next_k[v] + d * N, _MM_HINT_T0);
                _mm_prefetch(val[v] + d * N, _MM_HINT_T0);
            }
            EACH(g, 2) {
                __m256i kd[NV_MAX];
                EACH(v, NV)
                    kd[v] = _mm256_xor_si256(TILE_LOAD(k[v] + d * N + 32 * g), _mm256_set1_epi8((char)Q8_BIAS));
                EACH(i, NQ) {
                    const __m256i qd = tile_quad(q[i] + d + 4 * g), abs_q = _mm256_abs_epi8(qd);
                    EACH(v, NV) {
                        s[i][v] = dot4(s[i][v], kd[v], qd, abs_q);
                        PIN(s[i][v]);
                    }
                }
            }
        }
        EACH(i, NQ)
            EACH(v, NV) {
                const __m256 d_k = _mm256_loadu_ps(q8_scales(k[v], a->d_head));
                const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(q8_query_scale(a, i0 + i)), d_k);
                _mm256_storeu_ps(a->score + (i0 + i) * ATTN_CHUNK + N * q8_block_at(b + v, b_hi),
                                 _mm256_mul_ps(_mm256_cvtepi32_ps(s[i][v]), scale));
            }
    }
}

#define Q8_QK(NQ, NV)                                                                                                  \
    static void qk_q8_##NQ(const struct attn_chunk *a, int i0, int b_lo, int b_hi)                                     \
    {                                                                                                                  \
        q8_qk_body(a, i0, b_lo, b_hi, NQ, NV);                                                                         \
    }
Q8_QK(1, 4)
Q8_QK(2, 3)
Q8_QK(3, 2)
Q8_QK(4, 2)
Q8_QK(5, 1)
Q8_QK(6, 1)

static void attn_q8_avx2(const struct attn_chunk *a)
{
    static const struct q8_steps steps = {{qk_q8_1, qk_q8_2, qk_q8_3, qk_q8_4, qk_q8_5, qk_q8_6}, attn_values_avx2};
    q8_tiles(a, &steps);
}

void attn_q8_init_avx2(struct kernels *k)
{
    k->q8_row = q8_row_avx2;
    k->attn_q8 = attn_q8_avx2;
}
