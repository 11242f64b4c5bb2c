/* What the x86 levels of 8-bit attention share: how a chunk is cut into tiles of queries, and the weights of values.
 * Read next: attn_q8_avx2.c. */
#ifndef OTR_KERN_ATTN_Q8_H
#define OTR_KERN_ATTN_Q8_H

#include "kern/kv_q8.h"
#include "kern/x86/attn_avx2.h"
#include "kern/x86/tile.h"

enum { Q8_TILE = 6 }; /* most queries of a tile */

struct q8_steps {
    void (*qk[Q8_TILE])(const struct attn_chunk *a, int i0, int b_lo,
                        int b_hi);                             /* scores of 1..6 queries, whole blocks */
    void (*values)(const struct attn_chunk *a, int i0, int n); /* acc, from weights in a->score */
};

/* Block b, or the last one before b_hi. */
TILE_INLINE int q8_block_at(int b, int b_hi)
{
    return b < b_hi ? b : b_hi - 1;
}

/* -128 times the sum of query i's codes: what its products with K's bytes are above those with K's codes. */
TILE_INLINE int q8_offset(const struct attn_chunk *a, int i)
{
    const int8_t *q = q8_query(a, i);
    __m128i sum = _mm_setzero_si128();
    for (int d = 0; d < a->d_head; d += 8) /* sad adds up codes + 128 */
        sum = _mm_add_epi32(sum, _mm_sad_epu8(_mm_xor_si128(_mm_loadl_epi64((const __m128i *)(const void *)(q + d)),
                                                            _mm_set1_epi8((char)Q8_BIAS)),
                                              _mm_setzero_si128()));
    return -Q8_BIAS * (_mm_cvtsi128_si32(sum) - Q8_BIAS * a->d_head);
}

/* exp(score - max) becomes the weight of the value's codes. */
TILE_INLINE void q8_weights(float *s, const struct attn_chunk *a, int lo, int hi)
{
    for (int b = lo / ATTN_BLOCK; b < (hi + ATTN_BLOCK - 1) / ATTN_BLOCK; b++)
        _mm256_store_ps(s + ATTN_BLOCK * b, _mm256_mul_ps(_mm256_load_ps(s + ATTN_BLOCK * b),
                                                          _mm256_loadu_ps(q8_scales(a->v[b], a->d_head))));
}

TILE_INLINE void q8_tiles(const struct attn_chunk *a, const struct q8_steps *step)
{
    const int n_tile = (a->n_q + Q8_TILE - 1) / Q8_TILE;
    for (int t = 0, i0 = 0; t < n_tile; t++) {
        const int n = (a->n_q - i0) / (n_tile - t); /* balanced; 7 is 3 + 4 */
        int lo = a->lo[i0], hi = a->hi[i0];
        for (int i = i0 + 1; i < i0 + n; i++) {
            lo = a->lo[i] < lo ? a->lo[i] : lo;
            hi = a->hi[i] > hi ? a->hi[i] : hi;
        }
        step->qk[n - 1](a, i0, lo / ATTN_BLOCK, (hi + ATTN_BLOCK - 1) / ATTN_BLOCK);
        for (int i = i0; i < i0 + n; i++) {
            float *s = a->score + i * ATTN_CHUNK;
            attn_softmax_avx2(s, a->lo[i], a->hi[i], a->softcap, &a->max[i], &a->sum[i]);
            q8_weights(s, a, a->lo[i], a->hi[i]);
        }
        step->values(a, i0, n);
        i0 += n;
    }
}

#endif
