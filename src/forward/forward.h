/* The forward pass: rows in, rows out. It knows models, and nothing of drafting.
 *
 * A row is a token (or an embedding) of a sequence, and its parent: another row of the same call, or the committed end.
 * Prompt chunks, single steps, chains, trees and many sequences are the same call; there is no padding.
 *   fwd_run = fwd_begin (checks, KV slots; can fail, then nothing has changed) + fwd_embed + fwd_layers + fwd_head,
 * which also work alone: a range of layers, the head on some rows, hidden states from elsewhere. fwd_more adds rows to
 * a pass that has begun: a drafter grows a chain or a tree level by level, and nothing is computed twice. After it
 * fwd_commit makes a path of rows part of its sequence; rows that are not committed leave no trace. INV: the logits of
 * a row depend on its ancestors' tokens only (kernels.md C): not on the other rows, on the order of the calls nor how
 * many there were, on threads, pages or scratch slots. Threads: one engine thread. Views live until the next fwd_begin.
 * Read next: layer.c, attention.c; sample.h. */
#ifndef OTR_FORWARD_FORWARD_H
#define OTR_FORWARD_FORWARD_H

#include "base/pool.h"
#include "kv/kv.h"
#include "load/weights.h"

enum {
    FWD_END = -1,        /* parent: the end of what the sequence has committed */
    FWD_MAX_DEPTH = 64,  /* ancestors of a row that live in scratch slots or beside them */
    FWD_MAX_LOGITS = 32, /* rows of one call that keep logits */
    FWD_MAX_TAPS = 8,
};
enum fwd_keep {
    FWD_KEEP_LOGITS = 1, /* fwd_logits and fwd_argmax */
    FWD_KEEP_HIDDEN = 2, /* fwd_tap, for the layers named by fwd_set_taps */
};

struct fwd_row {
    int32_t token;     /* ignored where embd is given */
    const float *embd; /* [n_embd] input in place of a token's embedding (already scaled), or NULL */
    struct kv_seq *seq;
    int parent; /* number in the pass of an earlier row of the same sequence, or FWD_END */
    unsigned keep;
};

struct fwd_counts {        /* of the pass so far */
    int n_rows, n_scratch; /* rows in all; of these in scratch slots */
    uint64_t kv_bytes;     /* K and V bytes that attention read, each row's own */
};

struct fwd;

/* Where a pass spends its time. pack: norms, quantised rows, merged chunks; wait: barriers. */
#define FWD_PHASE_LIST(X)                                                                                              \
    X(EMBED, embed)                                                                                                    \
    X(PACK, pack)                                                                                                      \
    X(QKV, qkv)                                                                                                        \
    X(APPEND, append)                                                                                                  \
    X(ATTENTION, attention)                                                                                            \
    X(OUTPUT, output)                                                                                                  \
    X(GATE_UP, gate_up)                                                                                                \
    X(DOWN, down)                                                                                                      \
    X(HEAD, head)                                                                                                      \
    X(WAIT, wait)
enum fwd_phase {
#define X(upper, lower) FWD_##upper,
    FWD_PHASE_LIST(X)
#undef X
        FWD_N_PHASE
};

struct fwd_opts {
    int n_batch; /* most rows of a pass */
    int n_ctx;   /* longest sequence */
};

int fwd_create(struct fwd **out, const struct weights *w, struct pool *pool, struct kv *kv, const struct fwd_opts *opts,
               struct otr_err *err);
void fwd_destroy(struct fwd *f);
/* Layers whose input (index n_layer: the last one's output) is kept for rows with FWD_KEEP_HIDDEN. Allocates. */
int fwd_set_taps(struct fwd *f, const int *layers, int n, struct otr_err *err);
/* Sub-layers that every pass leaves out: skip[l] is a sum of enum fwd_skip; NULL: none, as at first. Skipped attention
 * writes no K and V, so rows of such a pass are for other such passes only: never to be committed. */
enum fwd_skip { FWD_SKIP_ATTENTION = 1, FWD_SKIP_FFN = 2 };
void fwd_set_skip(struct fwd *f, const unsigned char *skip); /* [n_layer], copied */

int fwd_run(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err);

/* OTR_E_ARG: a token outside the vocabulary, a parent that is not an earlier row of the sequence, too deep, no rows;
 * OTR_E_LIMIT: over n_batch, the context, the KV pool, the scratch slots or FWD_MAX_LOGITS. Sequences are intact. */
int fwd_begin(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err);
/* Adds rows to a pass that has begun; parents are rows of the pass or the committed end. Returns the number of the
 * first one: the stages now work on rows from there on. Rows before them stay as they are (K, V, hidden states, taps;
 * logits go), and sequences of the pass may not be committed, cut or dropped in between. On an error, as of fwd_begin,
 * the pass is as it was. */
int fwd_more(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err);
int fwd_run_more(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err); /* and all stages */
/* Forgets rows [n, all), n >= 1, as if they had not been added. */
void fwd_cut(struct fwd *f, int n);
/* The stages work on rows [first, all) of the pass. So layers [0, e) may run row by row, and the others at once. */
void fwd_rows_from(struct fwd *f, int first);
void fwd_embed(struct fwd *f);
void fwd_layers(struct fwd *f, int l0, int l1); /* layers [l0, l1) on the hidden states */
/* The head of the passes from here on: some of the model's rows, [n, n_embd], kept by the caller; NULL: the whole one,
 * as at first. Logits then are [n], an argmax is a number of a row; what was kept before must not be read any more. */
void fwd_set_head(struct fwd *f, const struct mat *head);
/* Logits of n <= FWD_MAX_LOGITS rows of the pass; those of all other rows go. */
int fwd_head(struct fwd *f, const int *rows, int n, struct otr_err *err);

const float *fwd_logits(const struct fwd *f, int row); /* [rows of the head: n_vocab], NULL where not kept */
int fwd_argmax(const struct fwd *f, int row);          /* lowest id of the largest logit; -1: a NaN; -2: all are -inf */
const float *fwd_tap(const struct fwd *f, int tap, int row); /* [n_embd], NULL where not kept */
float *fwd_hidden(struct fwd *f, int row);                   /* [n_embd] the residual stream, writable */
struct fwd_counts fwd_get_counts(const struct fwd *f);
/* Each pass adds its ticks (base/ticks.h) on thread 0 to ticks [FWD_N_PHASE]; NULL, as at first: none are taken. */
void fwd_set_phases(struct fwd *f, uint64_t *ticks);

/* rows[0] continues the committed end, rows[i + 1] has parent rows[i]; n may be 0. */
void fwd_commit(struct fwd *f, struct kv_seq *seq, const int *rows, int n);

#endif
