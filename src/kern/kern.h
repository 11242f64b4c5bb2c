/* The kernel table: every operation of the forward pass, at the best level of this CPU.
 *
 * In: weights in a level's own layout, activations packed by the same level. Out: floats.
 * INV: row-invariance. The bits of output row t depend on input row t and the weights only: not on n_tok, on the tile,
 *      on [row_lo, row_hi), on the thread, on neighbours. And all levels give the same bits (kernels.md C).
 * Kernels cannot fail, start no threads, take no locks and allocate nothing: their caller has checked.
 * Read next: c/matmul_c.c (the truth), x86/ (the same bits, faster). */
#ifndef OTR_KERN_KERN_H
#define OTR_KERN_KERN_H

#include <stddef.h>
#include <stdint.h>

#include "kern/plan.h"
#include "kern/types.h"

/* A weight matrix [n_rows, n_cols] in the layout of one level: out[t, r] = sum over c of x[t, c] * w[r, c]. */
struct mat {
    enum ggml_type type;
    int n_rows, n_cols;
    const void *data; /* 64-byte aligned where pack made it; GGUF rows where pack_bytes is 0 */
    const struct tile_plan
        *plan; /* [PLAN_N_CLASS] how to multiply it, from the level's menu; NULL: the level's own choice */
};

/* How the activations of a product are held; it follows from the weights' type. */
enum act_kind {
    ACT_F32, /* F32 F16 BF16: floats */
    ACT_Q8,  /* Q4_0 Q4_1 Q5_0 Q5_1 Q8_0: int8, one float scale per 32 */
    ACT_Q8K, /* Q4_K Q5_K Q6_K: int8, one float scale per 256 */
    ACT_N,
};
static inline enum act_kind act_kind_of(enum ggml_type type)
{
    switch (type) {
    case GGML_F32:
    case GGML_F16:
    case GGML_BF16:
        return ACT_F32;
    case GGML_Q4_K:
    case GGML_Q5_K:
    case GGML_Q6_K:
        return ACT_Q8K;
    default:
        return ACT_Q8;
    }
}

enum {
    KERN_ROW_UNIT = 32, /* row ranges given to matmul start at multiples of this and end at one or at n_rows */
    ATTN_CHUNK = 256,   /* absolute positions per attention chunk (kernels.md B.6) */
    ATTN_BLOCK = 8,     /* positions per K/V block */
};

enum act_fn { ACT_FN_SILU, ACT_FN_GELU_TANH };
enum kv_type { KV_F16, KV_F32, KV_Q8 };  /* KV_Q8: kv_q8.h */
enum rope_kind { ROPE_NORM, ROPE_NEOX }; /* pairs (2i, 2i+1); pairs (i, i + n/2) */

/* One attention chunk for queries that share a KV head: scores, softmax parts and weighted values.
 * Per query: max over its visible positions of the score; sum of exp(score - max) in 8 lanes by position mod 8, then
 * (l[j] + l[j+4]), then [j] + [j+2], then [0] + [1]; acc[d] = chain of fma(p, v, acc) over visible positions ascending
 * from +0. score = chain of fma(k[d], q[d], .) over d ascending from +0, then soft cap if there is one. */
struct attn_chunk {
    const void *const *k; /* [n_blk] blocks [d_head][8 positions] of kv_type; q8: kv_q8.h */
    const void *const *v; /* [n_blk] blocks [8 positions][d_head] */
    enum kv_type kv_type;
    int n_blk;  /* 1..32: blocks from the chunk's first absolute position */
    int d_head; /* multiple of 8 */
    int n_q;
    const float *q; /* [n_q, ld_q], already multiplied by the attention scale; q8: each made a row by q8_row */
    size_t ld_q;
    const int *lo, *hi; /* [n_q] visible positions [lo, hi) inside the chunk; lo < hi <= 8 * n_blk */
    float softcap;      /* 0: none; else softcap * tanh(score / softcap) */
    float *score;       /* scratch [n_q, ATTN_CHUNK], 32-byte aligned */
    float *max, *sum;   /* out [n_q] */
    float *acc;         /* out [n_q, ld_acc] */
    size_t ld_acc;
};

/* One draw, for may_win. */
struct noise_scan {
    uint64_t seed;
    uint32_t ctr[3]; /* see kern/noise.h */
    float temp, floor, cut;
};

struct kernels {
    const char *level;            /* "c", "avx2", ... */
    int panel_rows;               /* rows of one panel; 1: GGUF rows as they lie */
    const struct plan_menu *menu; /* how products may be cut on this CPU; NULL: nothing to choose */

    /* -- weights: bytes of the packed matrix; 0: used where it lies in the file. n_cols is a multiple of the block. */
    size_t (*pack_bytes)(enum ggml_type type, int n_rows, int n_cols);
    /* Packs rows [row_lo, row_hi) (row_lo a multiple of KERN_ROW_UNIT; row_hi too, or n_rows, whose last panel is
     * padded with zero rows). src: all GGUF rows of the matrix. */
    void (*pack)(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo, int row_hi);

    /* -- activations: opaque, packed per tile of 16 tokens; 64-byte aligned */
    size_t (*act_bytes)(enum act_kind kind, int n_cols, int n_tok);
    /* Packs rows [tok_lo, tok_hi) of x [n_tok, ld_x] into act. A block with a value that is not finite gets scale NaN,
     * so that the damage reaches the logits and is reported there. */
    void (*act_pack)(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int tok_lo,
                     int tok_hi);

    /* out[t * ld_out + r] for t in [0, n_tok), r in [row_lo, row_hi); nothing else is written. n_tok >= 1, any size. */
    void (*matmul)(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act, int n_tok);

    /* -- rows of floats; out may be x where both are given; n >= 1, any size */
    void (*rms_norm)(float *out, const float *x, const float *w, int n, float eps); /* w may be NULL */
    void (*add)(float *out, const float *x, const float *y, int n);                 /* out = x + y */
    void (*scale)(float *out, const float *x, float s, int n);
    void (*gate)(float *out, const float *gate, const float *up, int n, enum act_fn fn); /* fn(gate) * up */
    void (*softcap)(float *out, const float *x, float cap, int n);                       /* cap * tanh(x / cap) */
    void (*exp)(float *out, const float *x, int n); /* own polynomial; for tests too */
    /* cs: [n_rot/2] pairs {cos, sin} of this position; rotates the first n_rot of d_head values of n_head heads. */
    void (*rope)(float *x, const float *cs, int n_head, int d_head, int n_rot, enum rope_kind kind);
    int (*argmax)(const float *x, int n); /* lowest index of the largest; -1 when a value is NaN */

    /* -- sampling; indices are written in ascending order, their number is returned */
    int (*at_least)(int32_t *at, const float *x, int n, float floor); /* x[i] >= floor */
    /* i of [lo, hi) with x[i] >= floor and x[i] + temp * gumbel_bound(word of i) >= cut, by one fma (kern/noise.h).
     * lo: a multiple of 4. */
    int (*may_win)(int32_t *id, const float *x, int lo, int hi, const struct noise_scan *s);

    /* -- attention */
    /* Writes one position's K or V of one KV head: k into lane pos % 8 of a block [d_head][8], v into row pos % 8 of
     * a block [8][d_head]. f16 rounds to nearest even and saturates at +-65504. Not for q8: q8_row, then kv_copy_k. */
    void (*store_k)(void *block, int lane, const float *k, int d_head, enum kv_type type);
    void (*store_v)(void *block, int lane, const float *v, int d_head, enum kv_type type);
    void (*attn)(const struct attn_chunk *a);
    /* -- q8: int8 keys and values, one scale per position and KV head (kv_q8.h) */
    /* A row of n values (a multiple of 8): n codes + bias as bytes (bias 0, or 128 for K), then the scale as a float.
     * Codes and scale as in act.h, with the row as the block. row may be x. */
    void (*q8_row)(void *row, const float *x, int n, int bias);
    /* As attn, but score = (float)(sum of q * k) * (d_q * d_k), the sum exact, and acc[d] = chain of
     * fma(p * d_v, (float)v, acc). */
    void (*attn_q8)(const struct attn_chunk *a);
    /* out[d] = (sum_c w_c acc[c][d]) / (sum_c w_c sum[c]), w_c = exp(max[c] - max of all), chains of fma from +0 over
     * c ascending; the quotient is acc * (1 / sum). max, sum: [n_chunk]; acc: row c at acc + c * ld_acc. */
    void (*attn_merge)(float *out, int d_head, int n_chunk, const float *max, const float *sum, const float *acc,
                       size_t ld_acc);
};

/* CPU features, detected once. */
enum { CPU_AVX2 = 1, CPU_AVX512_VNNI = 2, CPU_AMD = 4 }; /* AVX2 means AVX2 + FMA + F16C with OS support */
unsigned kern_cpu(void);
/* Vendor and family/model/stepping, as the CPU says them; buf. */
const char *kern_cpu_name(char *buf, size_t cap);

/* Fills the table with level `name` ("c", "avx2", ...), or the best one for NULL. OTR_KERN names that this CPU or this
 * build lacks give -1 (and the table is untouched). */
int kernels_init(struct kernels *k, const char *name);
const char *kernels_levels(void); /* "c avx2 ...": what this CPU can run, best last */

size_t mat_row_bytes(enum ggml_type type, int n_cols); /* one GGUF row */

/* k->matmul on GGUF rows as they lie in the file, at a level that wants them packed: a unit of rows is packed into
 * `unit` (64-byte aligned, pack_bytes of KERN_ROW_UNIT rows) just before it is used. The same bits; nothing is kept. */
void matmul_rows(const struct kernels *k, float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi,
                 const void *act, int n_tok, void *unit);

#endif
