/* AVX2 tiles of Q4_0, Q4_1, Q5_0, Q5_1. In: panels (panel.h), act_q8. Out: floats, the bits of c/matmul_c.c.
 *
 * A block of 32 k is 8 vpmaddubsw (codes unsigned x activations signed) added in int16, then one widening.
 * INV: no int16 lane is wrong at the end (activations are within +-127; sums wrap, only their end counts):
 *   Q4_0  one product <= 2*15*127 = 3810; started at -8 * S the lane ends as the sum of 16 (q-8)*a: <= 16256
 *   Q4_1  8 * 3810 = 30480
 *   Q5_0  one product <= 7874; started at -16 * S the lane ends within 16*16*127 = 32512
 *   Q5_1  8 * 7874 would overflow: two halves of 4 * 7874 = 31496, widened each
 * Read next: matmul_k_avx2.c. */
#include "kern/x86/tile.h"

TILE_INLINE void tile_q45(const struct tile_args *t, const int MT, const int R, const enum ggml_type type)
{
    const int five = type == GGML_Q5_0 || type == GGML_Q5_1, has_min = type == GGML_Q4_1 || type == GGML_Q5_1;
    const int scales_at = five ? 160 : 128, block = (int)panel_block_bytes(type, PANEL_ROWS);
    const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    const struct act_q8 *a = t->act;
    const int mt = t->mt, n_blk = t->n_cols / BLOCK_Q;
    const uint8_t *w[TILE_MAX_PANEL];
    __m256 acc[TILE_MAX_TOK][TILE_MAX_PANEL];
    EACH(r, R)
        w[r] = t->w[r];
    EACH(m, MT)
        EACH(r, R)
            acc[m][r] = _mm256_setzero_ps();

    for (int b = 0; b < n_blk; b++, a += mt) {
        __m256i s[TILE_MAX_TOK][TILE_MAX_PANEL], isum[TILE_MAX_TOK][TILE_MAX_PANEL], h[TILE_MAX_PANEL];
        EACH(r, R)
            tile_prefetch(w[r], t->reach, block);
        if (five)
            EACH(r, R)
                h[r] = TILE_LOAD(w[r] + 128);
        EACH(half, 2) { /* 0: low nibbles, groups 0..3; 1: high, groups 4..7 */
            EACH(v, 4) {
                __m256i q[TILE_MAX_PANEL];
                EACH(r, R) {
                    const __m256i n = TILE_LOAD(w[r] + 32 * v);
                    q[r] = _mm256_and_si256(half ? _mm256_srli_epi16(n, 4) : n, nibble);
                    if (five)
                        q[r] = _mm256_or_si256(q[r], tile_bits(h[r], 4 * half + v, _mm256_set1_epi8(16)));
                }
                EACH(m, MT) {
                    const __m256i x = tile_quad(a[m].q + 16 * half + 4 * v);
                    EACH(r, R) {
                        const __m256i p = _mm256_maddubs_epi16(q[r], x);
                        if (v == 0 && half == 0 && !has_min)
                            s[m][r] = _mm256_add_epi16(tile_quad(type == GGML_Q4_0 ? a[m].off8 : a[m].off16), p);
                        else if (v == 0 && (half == 0 || type == GGML_Q5_1))
                            s[m][r] = p;
                        else
                            s[m][r] = _mm256_add_epi16(s[m][r], p);
                        PIN(s[m][r]);
                    }
                }
            }
            if (type == GGML_Q5_1 && half == 0)
                EACH(m, MT)
                    EACH(r, R)
                        isum[m][r] = _mm256_madd_epi16(s[m][r], ones);
        }
        EACH(r, R) {
            const __m256 d = TILE_HALVES(w[r] + scales_at);
            EACH(m, MT) {
                __m256i sum = _mm256_madd_epi16(s[m][r], ones);
                if (type == GGML_Q5_1)
                    sum = _mm256_add_epi32(sum, isum[m][r]);
                acc[m][r] =
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(d, _mm256_set1_ps(a[m].d)), acc[m][r]);
            }
            if (has_min) {
                const __m256 min = TILE_HALVES(w[r] + scales_at + 16);
                EACH(m, MT)
                    acc[m][r] = _mm256_fmadd_ps(min, _mm256_set1_ps(a[m].ds), acc[m][r]);
            }
            w[r] += block;
        }
    }
    EACH(m, MT)
        EACH(r, R)
            tile_store(t, m, r, acc[m][r]);
}

#define BODY_Q4_0(t, m, r) tile_q45(t, m, r, GGML_Q4_0)
#define BODY_Q4_1(t, m, r) tile_q45(t, m, r, GGML_Q4_1)
#define BODY_Q5_0(t, m, r) tile_q45(t, m, r, GGML_Q5_0)
#define BODY_Q5_1(t, m, r) tile_q45(t, m, r, GGML_Q5_1)
TILE_TABLE(tiles_q4_0, BODY_Q4_0)
TILE_TABLE(tiles_q4_1, BODY_Q4_1)
TILE_TABLE(tiles_q5_0, BODY_Q5_0)
TILE_TABLE(tiles_q5_1, BODY_Q5_1)
