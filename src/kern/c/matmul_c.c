/* Level c: matrix times activations on GGUF rows as they lie in the file. In: weights, packed activations (act.h).
 * Out: floats. The truth: the other levels give these bits.
 *
 * INV (kernels.md C.1): one output is one chain over k, whatever the other tokens and rows are. Integer sums are exact,
 * then fmaf in block order:
 *   Q4_0 Q5_0 Q8_0  acc = fma(isum, d_w * d_a, acc)
 *   Q4_1 Q5_1       that, then acc = fma(m_w, d_a * (float)sum, acc)
 *   Q4_K Q5_K       per 256: acc = fma(isum, d * d_a, acc), then acc = fma(-msum, dmin * d_a, acc)
 *   Q6_K            per 256: acc = fma(isum, d * d_a, acc)
 *   floats          per 64: p = fma(w, x, p) from +0, then acc += p
 * Read next: act_c.c. */
#include <math.h>
#include <string.h>

#include "kern/c/level_c.h"
#include "kern/levels.h"

#define INLINE static inline __attribute__((always_inline))

/* -- one block of weights, unpacked once for all tokens of a tile */

/* Legacy blocks: w[i] * d (+ m) is the value. Q5_0: the code is up to 31 less 16, and so on. */
INLINE void unpack_q(enum ggml_type type, const uint8_t *blk, int16_t *w, float *d, float *m)
{
    uint8_t code[32];
    *d = load_half(blk);
    *m = 0.0f;
    int offset = 0;
    switch (type) {
    case GGML_Q4_0:
        codes_nibbles(code, blk + 2);
        offset = 8;
        break;
    case GGML_Q4_1:
        *m = load_half(blk + 2);
        codes_nibbles(code, blk + 4);
        break;
    case GGML_Q5_0:
        codes_nibbles(code, blk + 6);
        codes_fifth_bits(code, blk + 2);
        offset = 16;
        break;
    case GGML_Q5_1:
        *m = load_half(blk + 2);
        codes_nibbles(code, blk + 8);
        codes_fifth_bits(code, blk + 4);
        break;
    default: /* Q8_0 */
        for (int i = 0; i < 32; i++)
            w[i] = (int8_t)blk[2 + i];
        return;
    }
    for (int i = 0; i < 32; i++)
        w[i] = (int16_t)(code[i] - offset);
}

/* K-quants: w[i] is the code times its sub-block's scale, at most 31 * 63 or 32 * 128; mn: the 8 minimums. */
INLINE void unpack_k(enum ggml_type type, const uint8_t *blk, int16_t *w, int16_t *mn, float *d, float *dmin)
{
    uint8_t code[256], sc[8], mn8[8];
    if (type == GGML_Q6_K) {
        const int8_t *s = (const int8_t *)(blk + 192);
        *d = load_half(blk + 208);
        *dmin = 0.0f;
        codes_q6_k(code, blk, blk + 128);
        for (int j = 0; j < 16; j++)
            for (int i = 16 * j; i < 16 * j + 16; i++)
                w[i] = (int16_t)((code[i] - 32) * s[j]);
        return;
    }
    *d = load_half(blk);
    *dmin = load_half(blk + 2);
    codes_k_scales(sc, mn8, blk + 4);
    if (type == GGML_Q4_K)
        codes_q4_k(code, blk + 16);
    else
        codes_q5_k(code, blk + 48, blk + 16);
    for (int j = 0; j < 8; j++) {
        mn[j] = mn8[j];
        for (int i = 32 * j; i < 32 * j + 32; i++)
            w[i] = (int16_t)(code[i] * sc[j]);
    }
}

/* -- one row times one tile of mt tokens: acc[mt] */

INLINE void row_q(enum ggml_type type, float *acc, const uint8_t *row, const struct act_q8 *a, const struct act_q8w *aw,
                  int n_blk, int mt)
{
    for (int b = 0; b < n_blk; b++, row += block_bytes(type), a += mt, aw += mt) {
        int16_t w[32];
        float d, m;
        unpack_q(type, row, w, &d, &m);
        for (int t = 0; t < mt; t++) {
            int32_t isum = 0;
            for (int i = 0; i < 32; i++)
                isum += w[i] * aw[t].q[i];
            acc[t] = fmaf((float)isum, d * a[t].d, acc[t]);
            if (type == GGML_Q4_1 || type == GGML_Q5_1)
                acc[t] = fmaf(m, a[t].ds, acc[t]);
        }
    }
}

INLINE void row_k(enum ggml_type type, float *acc, const uint8_t *row, const struct act_q8k *a, int n_blk, int mt)
{
    for (int b = 0; b < n_blk; b++, row += block_bytes(type), a += mt) {
        int16_t w[256], mn[8];
        float d, dmin;
        unpack_k(type, row, w, mn, &d, &dmin);
        for (int t = 0; t < mt; t++) {
            int32_t isum = 0, msum = 0;
            for (int i = 0; i < 256; i++) /* below 2^28 */
                isum += w[i] * a[t].q[i];
            acc[t] = fmaf((float)isum, d * a[t].d, acc[t]);
            if (type != GGML_Q6_K) {
                for (int j = 0; j < 8; j++)
                    msum += mn[j] * a[t].sum[j];
                acc[t] = fmaf(-(float)msum, dmin * a[t].d, acc[t]);
            }
        }
    }
}

INLINE void row_f(enum ggml_type type, float *acc, const uint8_t *row, const float *a, int n_cols, int mt)
{
    for (int i = 0; i < n_cols; i += BLOCK_F, a += mt * BLOCK_F) {
        const int n = n_cols - i < BLOCK_F ? n_cols - i : BLOCK_F;
        float w[BLOCK_F];
        for (int j = 0; j < n; j++, row += block_bytes(type)) {
            if (type == GGML_F32)
                memcpy(&w[j], row, sizeof w[j]);
            else
                w[j] = type == GGML_F16 ? load_half(row) : bf16_to_float(load_u16(row));
        }
        for (int t = 0; t < mt; t++) {
            float p = 0.0f;
            for (int j = 0; j < n; j++)
                p = fmaf(w[j], a[t * BLOCK_F + j], p);
            acc[t] += p;
        }
    }
}

/* One row times one tile, by type: the constant makes a loop of its own for each. */
static void row_dot(float *acc, const struct mat *w, int r, const void *act, int n_tok, int t0)
{
    const int mt = act_tile_tok(n_tok, t0), n_cols = w->n_cols;
    const uint8_t *row = (const uint8_t *)w->data + (size_t)r * mat_row_bytes(w->type, n_cols);
    const enum act_kind kind = act_kind_of(w->type);
    const void *tile = (const char *)act + (size_t)t0 * act_tok_bytes(kind, n_cols);
    const struct act_q8w *wide = (const struct act_q8w *)(const void *)((const char *)act + act_q8w_at(n_cols, n_tok)) +
                                 (size_t)t0 * (size_t)(n_cols / BLOCK_Q);
    switch (w->type) {
#define ROW_Q(name)                                                                                                    \
    case GGML_##name:                                                                                                  \
        row_q(GGML_##name, acc, row, tile, wide, n_cols / BLOCK_Q, mt);                                                \
        break;
        ROW_Q(Q4_0)
        ROW_Q(Q4_1)
        ROW_Q(Q5_0)
        ROW_Q(Q5_1)
        ROW_Q(Q8_0)
#undef ROW_Q
#define ROW_K(name)                                                                                                    \
    case GGML_##name:                                                                                                  \
        row_k(GGML_##name, acc, row, tile, n_cols / BLOCK_K, mt);                                                      \
        break;
        ROW_K(Q4_K)
        ROW_K(Q5_K)
        ROW_K(Q6_K)
#undef ROW_K
#define ROW_F(name)                                                                                                    \
    case GGML_##name:                                                                                                  \
        row_f(GGML_##name, acc, row, tile, n_cols, mt);                                                                \
        break;
        ROW_F(F32)
        ROW_F(F16)
        ROW_F(BF16)
#undef ROW_F
    }
}

static void matmul_c(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act, int n_tok)
{
    for (int r = row_lo; r < row_hi; r++)
        for (int t0 = 0; t0 < n_tok; t0 += ACT_TILE) {
            float acc[ACT_TILE] = {0};
            row_dot(acc, w, r, act, n_tok, t0);
            for (int t = 0; t < act_tile_tok(n_tok, t0); t++)
                out[(size_t)(t0 + t) * ld_out + (size_t)r] = acc[t];
        }
}

static size_t pack_bytes_c(enum ggml_type type, int n_rows, int n_cols)
{
    (void)type;
    (void)n_rows;
    (void)n_cols;
    return 0;
}

/* Nothing to do: rows are used where they lie. */
static void pack_c(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo, int row_hi)
{
    (void)dst;
    (void)src;
    (void)type;
    (void)n_rows;
    (void)n_cols;
    (void)row_lo;
    (void)row_hi;
}

void matmul_init_c(struct kernels *k)
{
    k->panel_rows = 1;
    k->pack_bytes = pack_bytes_c;
    k->pack = pack_c;
    k->act_bytes = act_bytes_c;
    k->act_pack = act_pack_c;
    k->matmul = matmul_c;
}
