/* GGUF rows into panels of ROWS rows, 8 or 16 (layout in panel.h): one text for every x86 level, ROWS a constant.
 * Words are moved whole where GGUF already pairs code i with i + 16. In: rows of a file. Out: panels; rows beyond the
 * matrix are zero blocks (scale 0, so the result is 0).
 * Read next: pack_avx2.c, pack_avx512.c (the instances). */
#ifndef OTR_KERN_PACK_PANEL_H
#define OTR_KERN_PACK_PANEL_H

#include <string.h>

#include "kern/x86/panel.h"

#define PACK_INLINE static inline __attribute__((always_inline))

/* 16 bytes of nibbles (i | i + 16 << 4) of row r to the four vectors of a block. */
PACK_INLINE void put_nibbles(uint8_t *to, const uint8_t *nib, int r, const int ROWS)
{
    for (int v = 0; v < 4; v++)
        memcpy(to + 4 * ROWS * v + 4 * r, nib + 4 * v, 4);
}

/* Bits i of a row, as byte j, bit g = bit 4g+j: every fourth bit is drawn together. */
PACK_INLINE void put_fifth(uint8_t *to, uint32_t bits, int r)
{
    for (int j = 0; j < 4; j++) {
        uint32_t x = bits >> j & 0x11111111u;
        x = (x | x >> 3) & 0x03030303u;
        x = (x | x >> 6) & 0x000f000fu;
        to[4 * r + j] = (uint8_t)(x | x >> 12);
    }
}

PACK_INLINE uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

PACK_INLINE void pack_legacy(uint8_t *to, const uint8_t *blk, int r, const int ROWS, const enum ggml_type type)
{
    const int has_min = type == GGML_Q4_1 || type == GGML_Q5_1, five = type == GGML_Q5_0 || type == GGML_Q5_1;
    const int scales_at = (five ? 20 : 16) * ROWS;
    const uint8_t *qs = blk + (has_min ? 4 : 2) + (five ? 4 : 0);
    put_nibbles(to, qs, r, ROWS);
    if (five)
        put_fifth(to + 16 * ROWS, load_u32(qs - 4), r);
    memcpy(to + scales_at + 2 * r, blk, 2);
    if (has_min)
        memcpy(to + scales_at + 2 * ROWS + 2 * r, blk + 2, 2);
}

/* Pairs of signed codes for vpmaddwd (8 rows), or fours of codes + 128 for vpdpbusd (16 rows). */
PACK_INLINE void pack_q8(uint8_t *to, const uint8_t *blk, int r, const int ROWS)
{
    if (ROWS == 8) {
        for (int p = 0; p < 16; p++)
            memcpy(to + 2 * ROWS * p + 2 * r, blk + 2 + 2 * p, 2);
    } else {
        for (int g = 0; g < 8; g++) {
            const uint32_t codes = load_u32(blk + 2 + 4 * g) ^ 0x80808080u;
            memcpy(to + 4 * ROWS * g + 4 * r, &codes, 4);
        }
    }
    memcpy(to + 32 * ROWS + 2 * r, blk, 2);
}

/* Scales, minimums, d and dmin of a Q4_K or Q5_K block. sub: bytes of a sub-block; its scales are the last ROWS. */
PACK_INLINE void put_k_scales(uint8_t *to, const uint8_t *blk, int r, const int ROWS, int sub)
{
    uint8_t sc[8], mn[8];
    codes_k_scales(sc, mn, blk + 4);
    uint8_t *tail = to + 8 * sub;
    for (int j = 0; j < 8; j++)
        to[j * sub + sub - ROWS + r] = sc[j];
    for (int p = 0; p < 4; p++)
        memcpy(tail + 2 * ROWS * p + 2 * r, mn + 2 * p, 2);
    memcpy(tail + 8 * ROWS + 2 * r, blk, 2);
    memcpy(tail + 10 * ROWS + 2 * r, blk + 2, 2);
}

/* qs of 64 codes, (i | i + 32 << 4), to the nibbles of two sub-blocks, (i | i + 16 << 4). */
PACK_INLINE void split_nibbles(uint8_t *lo, uint8_t *hi, const uint8_t *qs)
{
    for (int i = 0; i < 16; i++) {
        lo[i] = (uint8_t)((qs[i] & 15) | (qs[16 + i] & 15) << 4);
        hi[i] = (uint8_t)(qs[i] >> 4 | (qs[16 + i] & 0xf0));
    }
}

PACK_INLINE void pack_q45_k(uint8_t *to, const uint8_t *blk, int r, const int ROWS, const int five)
{
    const int sub = (five ? 21 : 17) * ROWS;
    const uint8_t *qs = blk + (five ? 48 : 16), *qh = blk + 16;
    put_k_scales(to, blk, r, ROWS, sub);
    for (int j = 0; j < 4; j++) {
        uint8_t nib[2][16];
        split_nibbles(nib[0], nib[1], qs + 32 * j);
        for (int h = 0; h < 2; h++) {
            put_nibbles(to + (2 * j + h) * sub, nib[h], r, ROWS);
            if (five) {
                uint32_t bits = 0;
                for (int i = 0; i < 32; i++)
                    bits |= (uint32_t)(qh[i] >> (2 * j + h) & 1) << i;
                put_fifth(to + (2 * j + h) * sub + 16 * ROWS, bits, r);
            }
        }
    }
}

PACK_INLINE void pack_q6_k(uint8_t *to, const uint8_t *blk, int r, const int ROWS)
{
    const int sub = 26 * ROWS;
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = blk + 64 * half, *qh = blk + 128 + 32 * half;
        uint8_t nib[4][16];
        split_nibbles(nib[0], nib[2], ql);
        split_nibbles(nib[1], nib[3], ql + 32);
        for (int s = 0; s < 4; s++) {
            uint8_t *at = to + (4 * half + s) * sub;
            put_nibbles(at, nib[s], r, ROWS);
            for (int u = 0; u < 2; u++) {
                uint32_t high = 0; /* four bytes at a time: byte j takes the two bits of codes 16u + 4p + j */
                for (int p = 0; p < 4; p++)
                    high |= (load_u32(qh + 16 * u + 4 * p) >> (2 * s) & 0x03030303u) << (2 * p);
                memcpy(at + (16 + 4 * u) * ROWS + 4 * r, &high, 4);
                at[(24 + u) * ROWS + r] = blk[192 + 8 * half + 2 * s + u];
            }
        }
    }
    memcpy(to + 8 * sub + 2 * r, blk + 208, 2);
}

/* One panel of one type. row[i] NULL: beyond the matrix. */
PACK_INLINE void pack_panel(uint8_t *to, const uint8_t *const *row, int n_blk, const int ROWS,
                            const enum ggml_type type)
{
    const size_t in = block_bytes(type), out = panel_block_bytes(type, ROWS);
    for (int b = 0; b < n_blk; b++, to += out)
        for (int r = 0; r < ROWS; r++) {
            if (!row[r])
                continue;
            const uint8_t *blk = row[r] + (size_t)b * in;
            if (type == GGML_Q8_0)
                pack_q8(to, blk, r, ROWS);
            else if (type == GGML_Q4_K || type == GGML_Q5_K)
                pack_q45_k(to, blk, r, ROWS, type == GGML_Q5_K);
            else if (type == GGML_Q6_K)
                pack_q6_k(to, blk, r, ROWS);
            else if (block_values(type) == 1)
                memcpy(to + in * (size_t)r, blk, in);
            else
                pack_legacy(to, blk, r, ROWS, type);
        }
}

/* Rows [row_lo, row_hi) of a matrix; row_lo is a multiple of ROWS. */
PACK_INLINE void pack_panels(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo,
                             int row_hi, const int ROWS)
{
    const size_t panel = panel_bytes(type, n_cols, ROWS), in = mat_row_bytes(type, n_cols);
    const int n_blk = n_cols / block_values(type);
    const size_t used = (size_t)n_blk * panel_block_bytes(type, ROWS);
    for (int r0 = row_lo; r0 < row_hi; r0 += ROWS) {
        uint8_t *to = (uint8_t *)dst + (size_t)(r0 / ROWS) * panel;
        const uint8_t *row[16];
        for (int r = 0; r < ROWS; r++)
            row[r] = r0 + r < n_rows ? (const uint8_t *)src + (size_t)(r0 + r) * in : NULL;
        if (r0 + ROWS > n_rows)
            memset(to, 0, panel);
        else
            memset(to + used, 0, panel - used);
        switch (type) {
#define PACK(name)                                                                                                     \
    case GGML_##name:                                                                                                  \
        pack_panel(to, row, n_blk, ROWS, GGML_##name);                                                                 \
        break;
            PACK(F32)
            PACK(F16)
            PACK(BF16)
            PACK(Q4_0)
            PACK(Q4_1)
            PACK(Q5_0)
            PACK(Q5_1)
            PACK(Q8_0)
            PACK(Q4_K)
            PACK(Q5_K)
            PACK(Q6_K)
#undef PACK
        }
    }
}

#endif
