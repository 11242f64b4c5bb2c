/* What the files of the forward pass share: the plan of a call, buffers, and a thread's view of a pass. */
#ifndef OTR_FORWARD_FWD_PRIV_H
#define OTR_FORWARD_FWD_PRIV_H

#include "base/ticks.h"
#include "forward/forward.h"

enum {
    TILE_ROWS = 16, /* rows of one attention item */
    MAX_CHUNK_BLK = ATTN_CHUNK / ATTN_BLOCK,
    GATHER_BLK = FWD_MAX_DEPTH / ATTN_BLOCK + 2, /* blocks that hold a side row's uncommitted ancestors */
    PRIV_LIMIT = 8192, /* values: up to here every thread normalises and packs all rows itself (kernels.md B.4) */
    PRIV_ROWS = 16,
    PRIV_THREADS = 8,
};

/* Where a row stands. Made by fwd_begin and fwd_more. */
struct plan {
    int32_t token;
    const float *embd;
    struct kv_seq *seq;
    int parent;
    int pos;         /* tokens before it in its branch */
    int base;        /* committed positions of its sequence */
    int slot;        /* scratch slot, or -1: in place */
    int use;         /* index of its sequence's record */
    bool main_taken; /* an in-place child exists */
    unsigned keep;
};

/* Consecutive in-place rows of one sequence, or one side row. */
struct tile {
    int row0, n_row;
};

/* What one thread takes of a layer's attention. */
enum attn_split {
    ATTN_ITEMS,   /* whole tiles of a KV head, in turn */
    ATTN_QUERIES, /* an even share of all queries */
    ATTN_CHUNKS,  /* single chunks, in turn; parts are merged before the output product */
};

struct seq_use {
    struct kv_seq *seq;
    int base; /* its committed positions when the pass met it */
    int need; /* positions to reserve after them */
    bool main_taken;
};

/* Buffers one thread writes alone. */
struct fwd_thread {
    float *y, *n;     /* one residual row; [FWD_MAX_LOGITS, n_embd] normed rows */
    void *act[ACT_N]; /* private packed rows */
    void *unit;       /* a unit of weight rows, packed; NULL where the weights are packed already */
    float *score;     /* [TILE_ROWS * group, ATTN_CHUNK] */
    float *max, *sum; /* [TILE_ROWS * group] of one chunk */
    float *part_max, *part_sum, *part_acc; /* [TILE_ROWS * group, n_chunk (, d_head)] */
    int *lo, *hi;                          /* [TILE_ROWS * group] */
    char *gather_k, *gather_v;             /* [GATHER_BLK] blocks */
    char *kv_row;                          /* one row, on its way into a page (q8) */
};

struct fwd {
    const struct weights *w;
    const struct hparams *hp;
    const struct kernels *k;
    const struct mat *head; /* at most n_vocab rows */
    struct pool *pool;
    struct kv *kv;
    int n_batch, n_ctx, n_chunk, group; /* n_chunk: of the longest sequence; group: query heads per KV head */
    void *arena;
    size_t arena_bytes;

    /* plan of the call (engine thread) */
    struct plan *row;                /* [n_batch] */
    struct tile *tile;               /* [n_batch] */
    struct seq_use *use;             /* [n_batch] */
    int first, n_row, n_tile, n_use; /* the stages work on rows [first, n_row) of the pass, the tiles are of these */
    enum attn_split split;
    int chunk_q; /* ATTN_CHUNKS: queries of an item, 1 or group */
    struct fwd_counts counts;

    /* activations, [n_batch, ...]: x by the row's number in the pass, all others by its number from `first` on */
    float *x[2]; /* residual stream: current and next (post-norm models) */
    int cur;
    float *q, *kk, *v;                     /* products: [n, n_head*d_head], [n, n_head_kv*d_head] twice */
    float *qh;                             /* [n_head_kv][n_batch][group][d_head] normed, rotated, scaled; q8: rows */
    float *att;                            /* [n, n_head*d_head] */
    float *branch;                         /* [n, n_embd] output of attention or FFN before a post-norm */
    float *gate, *up;                      /* [n, n_ff] */
    float *norm;                           /* [n, n_embd] shared normed rows */
    void *act[ACT_N];                      /* shared packed rows */
    float *part_max, *part_sum, *part_acc; /* split chunks: [PRIV_ROWS * n_head, n_chunk (, d_head)] */
    float *logits;                         /* [FWD_MAX_LOGITS, rows of the head] */
    int *logit_row;                        /* [n_batch] index into logits, or -1 */
    int *arg_part;                         /* [n_threads, FWD_MAX_LOGITS] */
    int arg[FWD_MAX_LOGITS];
    int n_thr;              /* of the last pass */
    struct fwd_thread *thr; /* [n_threads] */

    float *rope[2]; /* [n_ctx, n_rot] {cos, sin} pairs: by the base, by the local base; filled up to n_rope positions */
    int n_rope;

    unsigned char *skip; /* [n_layer] enum fwd_skip */
    int taps[FWD_MAX_TAPS], n_tap;
    float *tap; /* [n_tap, n_batch, n_embd], own allocation */

    uint64_t *phase; /* [FWD_N_PHASE] ticks of thread 0, the caller's; NULL: off */
};

/* One thread inside a pass. */
struct lane {
    const struct pool_ctx *ctx;
    struct fwd *f;
    struct fwd_thread *own;
    int cur;              /* which of x[] is current */
    const float *pending; /* post-norm weights of the branch that is not yet added to x; NULL: nothing pending */
    uint64_t *phase;      /* thread 0 with phases on; else NULL */
    uint64_t mark;        /* where the running phase started, moved on by the time it waited */
};

/* A barrier; what it takes is no part of the phase around it. */
static inline void lane_barrier(struct lane *ln)
{
    if (!ln->phase) {
        pool_barrier(ln->ctx);
        return;
    }
    const uint64_t t0 = ticks_now();
    pool_barrier(ln->ctx);
    const uint64_t waited = ticks_now() - t0;
    ln->phase[FWD_WAIT] += waited;
    ln->mark += waited;
}

/* What was done since the last phase ended is phase p. */
static inline void phase_end(struct lane *ln, enum fwd_phase p)
{
    if (!ln->phase)
        return;
    const uint64_t now = ticks_now();
    ln->phase[p] += now - ln->mark;
    ln->mark = now;
}

/* rope.c */
void rope_fill(struct fwd *f, int n_pos);

/* attention.c */
void attention_prepare(struct fwd *f);             /* splits for this call */
void attention_append(struct lane *ln, int layer); /* QK norm, rope, K and V stores; by (row, KV head) */
void attention_run(struct lane *ln, int layer);    /* scores and values of all rows */
void attention_merge_row(struct lane *ln, int layer, int t, float *out); /* split chunks: the heads of one row */

/* layer.c */
void layer_run(struct lane *ln, int layer);
void residual_settle(struct lane *ln); /* adds a pending branch; ends with a barrier */
void head_run(struct lane *ln, const int *rows, int n);
void tap_store(struct lane *ln, int layer, int t, const float *y); /* the t-th row that the stages work on */

/* Rows that the stages work on. */
static inline int fwd_n(const struct fwd *f)
{
    return f->n_row - f->first;
}

/* The residual of the t-th of them. */
static inline float *residual(const struct fwd *f, int cur, int t)
{
    return f->x[cur] + (size_t)(f->first + t) * (size_t)f->hp->n_embd;
}

/* First visible index of a row at pos in this layer. */
static inline int window_lo(const struct hparams *hp, int layer, int pos)
{
    const int w = hparams_window(hp, layer);
    return w > 0 && pos - w + 1 > 0 ? pos - w + 1 : 0;
}

#endif
