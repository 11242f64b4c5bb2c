/* A causal model that drafts: its weights, its own KV cache and pass, on the target's threads.
 *
 * In: for each sequence the token history, in the model's own ids. Out: logits of the rows of a draft.
 *   lm_sync    brings the cache of each sequence near its history: what they share stays, the rest goes, what is
 *              missing runs in passes over all sequences
 *   lm_begin   does the same, and runs what is still missing and the newest token's row in one pass
 *   lm_more    adds rows: the next token of every chain, a level of every tree; nothing is computed twice
 *   lm_follow  after a step: the drafted rows that the text followed become part of the cache, the others go
 * A history that lacks more than n_read tokens is read from its last n_read ones on, as a text that begins there: the
 * laws are still laws, of a model that knows less. A sequence first seen starts from a fork of the one that shares most
 * with it, so a forked sequence costs no pass. Memory is bounded: when pages run out, the sequence that was not used
 * for longest is dropped, and caught up with when it comes again. Threads: the engine thread. Read next: draft_model.c;
 * forward.h. */
#ifndef OTR_DRAFT_LM_H
#define OTR_DRAFT_LM_H

#include <stdatomic.h>

#include "draft/draft.h"

struct lm;

/* path: a GGUF with a model and a vocabulary; NULL: `weights` are given (of the target, or a repack of them) and must
 * outlive it. A file is opened once however many drafters name it, and not at all where it is the target's own.
 * OTR_E_LIMIT: weights and cache do not fit into host->mem_cap or into what is free. */
struct lm_opts {
    const char *path;
    const struct weights *weights;
    struct pool *pool; /* of its passes, whoever calls then; NULL: the host's */
    int n_read;        /* tokens that it catches up with at most; 0: all */
};
/* The parameter context=N of a method that runs a model, as n_read. */
int lm_context_param(const struct draft_env *env, int *n_read, struct otr_err *err);
int lm_open(struct lm **out, const struct draft_host *host, const struct lm_opts *o, struct otr_err *err);
void lm_close(struct lm *m);
/* Catching up with a history ends between two passes once *stop is set, with OTR_E_ABORTED. */
void lm_stop_on(struct lm *m, const atomic_bool *stop);
/* OTR_E_ARG: ids do not mean the same to a target and to the drafter of this file. */
int lm_check_vocabulary(const struct tokenizer *target, const struct tokenizer *t, const char *path,
                        struct otr_err *err);
const struct weights *lm_weights(const struct lm *m);
const struct tokenizer *lm_tokenizer(const struct lm *m); /* NULL: weights of the target, so its vocabulary too */
size_t lm_bytes(const struct lm *m);                      /* weights that only drafters use, and cache pages in use */

struct lm_item {
    uint64_t seq;
    const int32_t *tok; /* [n] at least one; ids inside the model's vocabulary */
    size_t n;
    int n_ahead; /* of lm_begin: tok[n .. n + n_ahead) run behind them as a drafted chain, at most TREE_MAX */
    int row;     /* out: of tok[n - 1], those of the chain follow it; -1: no room for this sequence now */
};
/* Both end the pass before them. On an error no sequence is worse than not caught up. */
int lm_sync(struct lm *m, struct lm_item *items, int n, struct otr_err *err);
int lm_begin(struct lm *m, struct lm_item *items, int n, struct otr_err *err);
struct lm_row {
    int parent; /* a row of this pass */
    int32_t token;
};
/* Returns the number of the first new row. On an error the pass is as it was. */
int lm_more(struct lm *m, const struct lm_row *rows, int n, struct otr_err *err);
/* Some rows of the head only, from the next pass on: fwd_set_head. */
void lm_set_head(struct lm *m, const struct mat *head);
/* [rows of the head: n_vocab of the weights] of a row of the last call; a view until the next one. Rows of one call are
 * best asked for in their order: where they are many, the head runs for some at a time. */
const float *lm_logits(struct lm *m, int row);

struct draft_guess lm_guess(const struct lm *m);
uint64_t lm_rows_run(const struct lm *m); /* so far, of all sequences */

void lm_follow(struct lm *m, uint64_t seq, const int32_t *tok, size_t n);
void lm_drop(struct lm *m, uint64_t seq);

/* Model files of drafters, each opened once. */
struct lm_files;
struct lm_files *lm_files_create(void);    /* NULL: no memory */
void lm_files_destroy(struct lm_files *f); /* after all drafters */
/* Their weights and those that drafters made in memory; what the caches of all that are open may come to. */
void lm_files_bytes(const struct lm_files *f, size_t *weights, size_t *caches);

#endif
