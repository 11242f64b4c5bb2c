/* Panels of the x86 levels, and the tiles that multiply them: layout, arguments, tables.
 *
 * A panel is ROWS rows, one per float lane (8 at avx2, 16 at avx512vnni), all of K in one run of bytes (kernels.md
 * B.1); panels start at multiples of 64 bytes and lie in row order. Inside, for each block, k ascending (shown for 8
 * rows; 16 rows double every size, and r runs to 15): Q4_0 Q4_1  4 x 32 B nibbles: vector v, byte 4r+j = q[r][4v+j] |
 * q[r][16+4v+j] << 4; then 8 halves d (, 8 halves m) Q5_0 Q5_1  the same nibbles; 32 B: byte 4r+j, bit g = fifth bit of
 * q[r][4g+j]; then d (, m) Q8_0       avx2: 16 x 16 B: pair p, byte 2r+j = q[r][2p+j]; then d avx512vnni: 8 x 64 B:
 * vector g, byte 4r+j = q[r][4g+j] + 128, unsigned; then d Q4_K       8 x (nibbles of 32, 8 B scales); 4 x 16 B
 * minimums: pair p, byte 2r+j = mn[r][2p+j]; then d, dmin Q5_K       8 x (nibbles of 32, 32 B fifth bits, 8 B scales);
 * the rest as Q4_K Q6_K       8 x (nibbles of 32, 2 x 32 B: vector u, byte 4r+j, bits 2p,2p+1 = high bits of
 * q[r][16u+4p+j], 2 x 8 B scales); then d floats     per k: 8 values A tile is MT tokens x R panels, over all of K.
 * INV: every tile of a format comes from one always-inline body, and an output is one lane with one chain over k, so
 * its bits depend on neither MT nor R. Read next: panels.h (who calls tiles), pack_panel.h (who writes panels), tile.h,
 * tile_avx512.h (inside a tile). */
#ifndef OTR_KERN_PANEL_H
#define OTR_KERN_PANEL_H

#include "kern/act.h"

enum {
    PANEL_ROWS = 8,     /* avx2 */
    TILE_MAX_TOK = 8,   /* MT at avx2 */
    ZPANEL_ROWS = 16,   /* avx512vnni */
    ZTILE_MAX_TOK = 16, /* MT at avx512vnni */
    TILE_MAX_PANEL = 4, /* R */
    /* Bytes ahead in each panel that are fetched into L1. WHY two distances: what L1 can wait for at once is not enough
     * to hide the memory's latency; L2's queue, reached by the farther one (struct tile_plan), is. Weights that lie in
     * L3 do not need it (SPEED.md). */
    TILE_NEAR = 3072,
};

/* Bytes of one block of one row in a panel; floats: of one k. */
static inline size_t panel_row_bytes(enum ggml_type type)
{
    switch (type) {
    case GGML_Q4_K: /* scales and minimums take a byte each */
        return 8 * (16 + 1) + 8 + 4;
    case GGML_Q5_K:
        return 8 * (16 + 4 + 1) + 8 + 4;
    default:
        return block_bytes(type);
    }
}

/* Bytes of one block of `rows` rows; floats: of one k. */
static inline size_t panel_block_bytes(enum ggml_type type, int rows)
{
    return panel_row_bytes(type) * (size_t)rows;
}

static inline size_t panel_bytes(enum ggml_type type, int n_cols, int rows)
{
    const size_t n = (size_t)(n_cols / block_values(type)) * panel_block_bytes(type, rows);
    return (n + 63) / 64 * 64;
}

struct tile_args {
    const uint8_t *w[TILE_MAX_PANEL]; /* panels */
    float *out[TILE_MAX_PANEL];       /* first token, first row of the panel */
    int n_row[TILE_MAX_PANEL];        /* rows of the panel to write, 1..all */
    size_t ld_out;
    const void *act;  /* first block of the first token: act_q8, act_q8k or 64 floats */
    const void *wide; /* act_q8w, for Q8_0 at avx2 */
    int mt;           /* tokens of the packed tile: the stride from block to block */
    int n_cols;
    int reach; /* bytes ahead in each panel that are fetched into L2 */
};
typedef void (*tile_fn)(const struct tile_args *t);

/* [MT - 1][0: R = 1, 1: R = 2, 2: R = 4]; NULL where MT * R > 8 (floats: where it is neither 10 nor 12). */
typedef tile_fn const tile_table[TILE_MAX_TOK][3];
extern tile_table tiles_q4_0, tiles_q4_1, tiles_q5_0, tiles_q5_1, tiles_q8_0, tiles_q4_k, tiles_q5_k, tiles_q6_k,
    tiles_f32, tiles_f16, tiles_bf16;

/* The same for avx512vnni: up to 16 tokens x 1 panel, 8 x 2; floats also 2 x 4; else NULL. */
typedef tile_fn const ztile_table[ZTILE_MAX_TOK][3];
extern ztile_table ztiles_q4_0, ztiles_q4_1, ztiles_q5_0, ztiles_q5_1, ztiles_q8_0, ztiles_q4_k, ztiles_q5_k,
    ztiles_q6_k, ztiles_f32, ztiles_f16, ztiles_bf16;

/* What a CPU of these features (kern.h) is offered; the matmuls take kern_cpu()'s. */
const struct plan_menu *plan_menu_avx2(unsigned cpu);
const struct plan_menu *plan_menu_avx512(unsigned cpu);

size_t pack_bytes_avx2(enum ggml_type type, int n_rows, int n_cols);
void pack_avx2(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo, int row_hi);
size_t pack_bytes_avx512(enum ggml_type type, int n_rows, int n_cols);
void pack_avx512(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo, int row_hi);
size_t act_bytes_avx512(enum act_kind kind, int n_cols, int n_tok);
void act_pack_avx512(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
                     int tok_hi);
void act_pack_avx2(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
                   int tok_hi);

#endif
