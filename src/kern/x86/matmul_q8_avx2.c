/* AVX2 tiles of Q8_0. In: panels (panel.h), act_q8 for the scale, act_q8w for the codes. Out: floats, the bits of
 * c/matmul_c.c. Codes are widened to int16 (vpmaddubsw would saturate: 2*255*127), two k per vpmaddwd, sums in int32:
 * INV: 32 * 128 * 127 < 2^20. Read next: matmul_avx2.c. */
#include "kern/x86/tile.h"

TILE_INLINE void tile_q8(const struct tile_args *t, const int MT, const int R)
{
    const int block = (int)panel_block_bytes(GGML_Q8_0, PANEL_ROWS);
    const struct act_q8 *a = t->act;
    const struct act_q8w *x = t->wide;
    const int mt = t->mt, n_blk = t->n_cols / BLOCK_Q;
    const uint8_t *w[TILE_MAX_PANEL];
    __m256 acc[TILE_MAX_TOK][TILE_MAX_PANEL];
    EACH(r, R)
        w[r] = t->w[r];
    EACH(m, MT)
        EACH(r, R)
            acc[m][r] = _mm256_setzero_ps();

    for (int b = 0; b < n_blk; b++, a += mt, x += mt) {
        __m256i s[TILE_MAX_TOK][TILE_MAX_PANEL];
        EACH(r, R)
            tile_prefetch(w[r], t->reach, block);
        EACH(p, 16) {
            __m256i q[TILE_MAX_PANEL];
            EACH(r, R)
                q[r] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w[r] + 16 * p)));
            EACH(m, MT) {
                const __m256i pair = tile_quad(x[m].q + 2 * p);
                EACH(r, R) {
                    const __m256i y = _mm256_madd_epi16(q[r], pair);
                    s[m][r] = p == 0 ? y : _mm256_add_epi32(s[m][r], y);
                    PIN(s[m][r]);
                }
            }
        }
        EACH(r, R) {
            const __m256 d = TILE_HALVES(w[r] + 256);
            EACH(m, MT)
                acc[m][r] =
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(s[m][r]), _mm256_mul_ps(d, _mm256_set1_ps(a[m].d)), acc[m][r]);
            w[r] += block;
        }
    }
    EACH(m, MT)
        EACH(r, R)
            tile_store(t, m, r, acc[m][r]);
}

TILE_TABLE(tiles_q8_0, tile_q8)
