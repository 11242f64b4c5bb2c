/* AVX2 tiles of Q4_K, Q5_K, Q6_K. In: panels (panel.h), act_q8k. Out: floats, the bits of c/matmul_c.c.
 *
 * A sub-block is added up in int16 (codes unsigned x activations signed), multiplied by its scale as it is widened
 * (vpmaddwd with the row's scale in both lanes) and added in int32 over the 256; one conversion and one fma each.
 * INV: no int16 lane is wrong where it is widened (activations are within +-127; sums wrap, only their end counts):
 *   Q4_K  32 codes: 8 * 2*15*127 = 30480
 *   Q5_K  two halves of 16 codes: 4 * 2*31*127 = 31496 each
 *   Q6_K  16 codes: one product <= 2*63*127 = 16002; started at -32 * S a lane ends as 8 of (q-32)*a: <= 32512
 * INV: int32: 256 * 31*63*127 < 2^26, 256 * 32*128*127 < 2^28; minimums 8 * 63*32*127 < 2^21.
 * Read next: matmul_f_avx2.c. */
#include "kern/x86/tile.h"

/* The scales of 8 rows, each twice as int16: what vpmaddwd multiplies a row's two lanes by. */
TILE_INLINE __m256i scale_pairs(const uint8_t *sc, const int is_signed)
{
    int64_t v;
    __builtin_memcpy(&v, sc, sizeof v);
    const __m256i all = _mm256_set1_epi64x(v);
    if (!is_signed)
        return _mm256_shuffle_epi8(all, _mm256_setr_epi8(0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, 4, -1,
                                                         4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1));
    const __m256i high =
        _mm256_shuffle_epi8(all, _mm256_setr_epi8(-1, 0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, 4, -1, 4,
                                                  -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7));
    return _mm256_srai_epi16(high, 8);
}

/* Group g (codes 4g..4g+3 of 8 rows) of a sub-block of 32. */
TILE_INLINE __m256i codes_of(const uint8_t *w, const int g, const enum ggml_type type)
{
    const __m256i n = TILE_LOAD(w + 32 * (g % 4));
    const __m256i q = _mm256_and_si256(g < 4 ? n : _mm256_srli_epi16(n, 4), _mm256_set1_epi8(15));
    if (type == GGML_Q5_K)
        return _mm256_or_si256(q, tile_bits(TILE_LOAD(w + 128), g, _mm256_set1_epi8(16)));
    if (type == GGML_Q6_K)
        return _mm256_or_si256(q, tile_bits(TILE_LOAD(w + 128 + 32 * (g / 4)), 2 * (g % 4), _mm256_set1_epi8(48)));
    return q;
}

/* One sub-block of 32 k: isum[m][r] += scale * (codes . activations). */
TILE_INLINE void sub_block(__m256i isum[TILE_MAX_TOK][TILE_MAX_PANEL], const uint8_t *const w[TILE_MAX_PANEL],
                           const struct act_q8k *a, const int b, const int MT, const int R, const enum ggml_type type)
{
    const int scales_at = type == GGML_Q4_K ? 128 : type == GGML_Q5_K ? 160 : 192;
    __m256i s[TILE_MAX_TOK][TILE_MAX_PANEL];
    EACH(half, 2) {
        const int first = half == 0 || type != GGML_Q4_K; /* of the products added in int16 */
        EACH(v, 4) {
            __m256i q[TILE_MAX_PANEL];
            EACH(r, R)
                q[r] = codes_of(w[r], 4 * half + v, type);
            EACH(m, MT) {
                const __m256i x = tile_quad(a[m].q + 32 * b + 16 * half + 4 * v);
                EACH(r, R) {
                    const __m256i p = _mm256_maddubs_epi16(q[r], x);
                    if (v == 0 && type == GGML_Q6_K)
                        s[m][r] = _mm256_add_epi16(tile_quad(a[m].off32[2 * b + half]), p);
                    else if (v == 0 && first)
                        s[m][r] = p;
                    else
                        s[m][r] = _mm256_add_epi16(s[m][r], p);
                    PIN(s[m][r]);
                }
            }
        }
        if (half == 0 && type == GGML_Q4_K)
            continue;
        EACH(r, R) {
            const uint8_t *sc = w[r] + scales_at + (type == GGML_Q6_K ? 8 * half : 0);
            const __m256i scale = scale_pairs(sc, type == GGML_Q6_K);
            EACH(m, MT)
                isum[m][r] = _mm256_add_epi32(isum[m][r], _mm256_madd_epi16(s[m][r], scale));
        }
    }
}

TILE_INLINE void tile_k(const struct tile_args *t, const int MT, const int R, const enum ggml_type type)
{
    const int has_min = type != GGML_Q6_K, sub = type == GGML_Q4_K ? 136 : type == GGML_Q5_K ? 168 : 208;
    const struct act_q8k *a = t->act;
    const int mt = t->mt, n_blk = t->n_cols / BLOCK_K;
    const uint8_t *w[TILE_MAX_PANEL];
    __m256 acc[TILE_MAX_TOK][TILE_MAX_PANEL];
    EACH(r, R)
        w[r] = t->w[r];
    EACH(m, MT)
        EACH(r, R)
            acc[m][r] = _mm256_setzero_ps();

    for (int i = 0; i < n_blk; i++, a += mt) {
        __m256i isum[TILE_MAX_TOK][TILE_MAX_PANEL];
        EACH(m, MT)
            EACH(r, R)
                isum[m][r] = _mm256_setzero_si256();
        for (int b = 0; b < 8; b++) {
            EACH(r, R)
                tile_prefetch(w[r], t->reach, sub);
            sub_block(isum, w, a, b, MT, R, type);
            EACH(r, R)
                w[r] += sub;
        }
        EACH(r, R) {
            const __m256 d = TILE_HALVES(w[r] + (has_min ? 64 : 0));
            EACH(m, MT)
                acc[m][r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[m][r]), _mm256_mul_ps(d, _mm256_set1_ps(a[m].d)),
                                            acc[m][r]);
            if (has_min) {
                const __m256 dmin = TILE_HALVES(w[r] + 80);
                __m256i mn[4];
                EACH(p, 4)
                    mn[p] = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w[r] + 16 * p)));
                EACH(m, MT) {
                    __m256i msum = _mm256_setzero_si256();
                    EACH(p, 4)
                        msum = _mm256_add_epi32(msum, _mm256_madd_epi16(mn[p], tile_quad(a[m].sum + 2 * p)));
                    acc[m][r] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(msum), _mm256_mul_ps(dmin, _mm256_set1_ps(a[m].d)),
                                                 acc[m][r]);
                }
            }
            w[r] += has_min ? 96 : 16;
        }
    }
    EACH(m, MT)
        EACH(r, R)
            tile_store(t, m, r, acc[m][r]);
}

#define BODY_Q4_K(t, m, r) tile_k(t, m, r, GGML_Q4_K)
#define BODY_Q5_K(t, m, r) tile_k(t, m, r, GGML_Q5_K)
#define BODY_Q6_K(t, m, r) tile_k(t, m, r, GGML_Q6_K)
TILE_TABLE(tiles_q4_k, BODY_Q4_K)
TILE_TABLE(tiles_q5_k, BODY_Q5_K)
TILE_TABLE(tiles_q6_k, BODY_Q6_K)
