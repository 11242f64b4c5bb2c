/* AVX-512 tiles of F32, F16, BF16. In: panels of 16 rows (panel.h), activations as floats. Out: floats, the bits of
 * c/matmul_c.c.
 * INV: partial sums of 64 k from +0, added to the total; a shorter tail is the last partial, not padded with zero
 * products (0 * infinity). No bf16 or fp16 arithmetic: it rounds otherwise.
 * Read next: matmul_avx512.c. */
#include "kern/x86/tile_avx512.h"

/* The weights of 16 rows at one k. */
TILE_INLINE __m512 zweights_at(const uint8_t *w, const enum ggml_type type)
{
    if (type == GGML_F32)
        return _mm512_loadu_ps((const void *)w);
    if (type == GGML_F16)
        return ZHALVES(w);
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)w)), 16));
}

/* One k of a tile. x: the activation of the first token. */
TILE_INLINE void zstep_k(__m512 part[TILE_MAX_PANEL][ZTILE_MAX_TOK], const uint8_t *const w[TILE_MAX_PANEL],
                         const float *x, const int at, const int MT, const int R, const enum ggml_type type)
{
    EACH(r, R) {
        const __m512 v = zweights_at(w[r] + at, type);
        EACH(m, MT)
            part[r][m] = _mm512_fmadd_ps(v, _mm512_set1_ps(x[m * BLOCK_F]), part[r][m]);
    }
}

TILE_INLINE void ztile_f(const struct tile_args *t, const int MT, const int R, const enum ggml_type type)
{
    enum { STEP = 4 };
    const int bytes = type == GGML_F32 ? 64 : 32, mt = t->mt, n_cols = t->n_cols;
    const float *x = t->act;
    const uint8_t *w[TILE_MAX_PANEL];
    __m512 acc[TILE_MAX_PANEL][ZTILE_MAX_TOK];
    __m512 zero = _mm512_setzero_ps();
    ZPIN(zero); /* OPT: clang 14 clears an array of known zeros with memset, and then keeps it in memory */
    EACH(r, R) {
        w[r] = t->w[r];
        EACH(m, MT)
            acc[r][m] = zero;
    }

    for (int i = 0; i < n_cols; i += BLOCK_F, x += mt * BLOCK_F) {
        const int n = n_cols - i < BLOCK_F ? n_cols - i : BLOCK_F;
        const float *y = x;
        __m512 part[TILE_MAX_PANEL][ZTILE_MAX_TOK];
        EACH(r, R)
            EACH(m, MT)
                part[r][m] = zero;
        for (int k = 0; k < n / STEP; k++, y += STEP) {
            EACH(r, R)
                tile_prefetch(w[r], t->reach, STEP * bytes);
            EACH(j, STEP)
                zstep_k(part, w, y + j, j * bytes, MT, R, type);
            EACH(r, R)
                w[r] += STEP * bytes;
        }
        for (int k = 0; k < n % STEP; k++, y++) {
            zstep_k(part, w, y, 0, MT, R, type);
            EACH(r, R)
                w[r] += bytes;
        }
        EACH(r, R)
            EACH(m, MT)
                acc[r][m] = _mm512_add_ps(acc[r][m], part[r][m]);
    }
    EACH(r, R)
        EACH(m, MT)
            ztile_store(t, m, r, acc[r][m]);
}

#define BODY_F32(t, m, r) ztile_f(t, m, r, GGML_F32)
#define BODY_F16(t, m, r) ztile_f(t, m, r, GGML_F16)
#define BODY_BF16(t, m, r) ztile_f(t, m, r, GGML_BF16)
ZTILE_TABLE_FLOAT(ztiles_f32, BODY_F32)
ZTILE_TABLE_FLOAT(ztiles_f16, BODY_F16)
ZTILE_TABLE_FLOAT(ztiles_bf16, BODY_BF16)
