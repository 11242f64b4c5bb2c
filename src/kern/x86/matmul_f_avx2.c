/* AVX2 tiles of F32, F16, BF16. In: panels (panel.h), activations as floats. Out: floats, the bits of c/matmul_c.c.
 * INV: partial sums of 64 k from +0, added to the total; a shorter tail is the last partial, not padded with zero
 * products (0 * infinity). Read next: matmul_avx2.c. */
#include "kern/x86/tile.h"

/* The weights of 8 rows at one k. */
TILE_INLINE __m256 weights_at(const uint8_t *w, const enum ggml_type type)
{
    if (type == GGML_F32)
        return _mm256_loadu_ps((const float *)(const void *)w);
    if (type == GGML_F16)
        return TILE_HALVES(w);
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)w)), 16));
}

/* One k of a tile. x: the activation of the first token. */
TILE_INLINE void step_k(__m256 part[TILE_MAX_TOK][TILE_MAX_PANEL], const uint8_t *const w[TILE_MAX_PANEL],
                        const float *x, const int at, const int MT, const int R, const enum ggml_type type)
{
    __m256 v[TILE_MAX_PANEL];
    EACH(r, R)
        v[r] = weights_at(w[r] + at, type);
    EACH(m, MT) {
        const __m256 y = _mm256_set1_ps(x[m * BLOCK_F]);
        EACH(r, R)
            part[m][r] = _mm256_fmadd_ps(v[r], y, part[m][r]);
    }
}

TILE_INLINE void tile_f(const struct tile_args *t, const int MT, const int R, const enum ggml_type type)
{
    enum { STEP = 4 };
    const int bytes = type == GGML_F32 ? 32 : 16, mt = t->mt, n_cols = t->n_cols;
    const float *x = t->act;
    const uint8_t *w[TILE_MAX_PANEL];
    __m256 acc[TILE_MAX_TOK][TILE_MAX_PANEL];
    EACH(r, R)
        w[r] = t->w[r];
    EACH(m, MT)
        EACH(r, R)
            acc[m][r] = _mm256_setzero_ps();

    for (int i = 0; i < n_cols; i += BLOCK_F, x += mt * BLOCK_F) {
        const int n = n_cols - i < BLOCK_F ? n_cols - i : BLOCK_F;
        const float *y = x;
        __m256 part[TILE_MAX_TOK][TILE_MAX_PANEL];
        EACH(m, MT)
            EACH(r, R)
                part[m][r] = _mm256_setzero_ps();
        for (int k = 0; k < n / STEP; k++, y += STEP) {
            EACH(r, R)
                tile_prefetch(w[r], t->reach, STEP * bytes);
            EACH(j, STEP)
                step_k(part, w, y + j, j * bytes, MT, R, type);
            EACH(r, R)
                w[r] += STEP * bytes;
        }
        for (int k = 0; k < n % STEP; k++, y++) {
            step_k(part, w, y, 0, MT, R, type);
            EACH(r, R)
                w[r] += bytes;
        }
        EACH(m, MT)
            EACH(r, R)
                acc[m][r] = _mm256_add_ps(acc[m][r], part[m][r]);
    }
    EACH(m, MT)
        EACH(r, R)
            tile_store(t, m, r, acc[m][r]);
}

#define BODY_F32(t, m, r) tile_f(t, m, r, GGML_F32)
#define BODY_F16(t, m, r) tile_f(t, m, r, GGML_F16)
#define BODY_BF16(t, m, r) tile_f(t, m, r, GGML_BF16)
TILE_TABLE_FLOAT(tiles_f32, BODY_F32)
TILE_TABLE_FLOAT(tiles_f16, BODY_F16)
TILE_TABLE_FLOAT(tiles_bf16, BODY_BF16)
