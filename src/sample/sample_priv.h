/* What the files of the sampler share: its state, and the stations of the chain in their order.
 * Read next: sample.c (the chain's frame), then row.c, penalties.c, dry.c, select.c, chain.c, gumbel.c. */
#ifndef OTR_SAMPLE_SAMPLE_PRIV_H
#define OTR_SAMPLE_SAMPLE_PRIV_H

#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "sample/sample.h"

enum { DRY_MAX_MATCH = 4096 }; /* a repetition longer than this counts as this long */

struct cand { /* a token that may be drawn. Order: logit descending, id ascending */
    float logit;
    int32_t id;
};

struct span { /* candidates that are left */
    struct cand *c;
    int n;
};

struct sampler {
    struct otr_sampling sp; /* its two pointers are NULL: the lists are ours, below */
    int n_vocab;
    struct kernels k;
    struct pool *pool;           /* NULL: alone */
    struct otr_logit_bias *bias; /* [sp.n_bias] */
    int32_t *breaker;            /* [sp.n_dry_breakers] */
    size_t cap_bias, cap_breaker;
    double log_min_p;          /* where min_p is on */
    void *block;               /* all scratch: */
    float *row;                /* [n_vocab] the edited logits */
    int32_t *mark;             /* [n_vocab] INV: all 0 between calls */
    int32_t *z;                /* [DRY_MAX_MATCH] */
    struct cand *cand, *spare; /* [n_vocab] */
    int32_t *id;               /* [n_vocab] ids and final logits of the distribution */
    float *logit;
};

/* row.c: what looks at a whole row, shared by the threads of the pool. */
/* Runs fn on all threads, or here alone where the row is short or there is no pool. Returns how many threads ran. */
int row_share(const struct sampler *s, pool_fn fn, void *arg);
/* This thread's piece of a row. WHY this unit: whole steps of every kernel, whole cache lines */
enum { ROW_UNIT = 64 };
static inline void row_piece(const struct pool_ctx *ctx, const struct sampler *s, int *lo, int *hi)
{
    pool_share(ctx, s->n_vocab, ROW_UNIT, lo, hi);
}
/* The first candidate of x; id -1: all are -inf; -2: there is a NaN. copy [n_vocab]: gets x; NULL: no copy. */
struct cand row_top(const struct sampler *s, const float *x, float *copy);
/* Sum over x of exp(x[i] - top), to a relative error of ROW_WEIGHT_ERR. */
#define ROW_WEIGHT_ERR 1e-5
double row_weight(const struct sampler *s, const float *x, float top);

/* settings.c */
int settings_check(const struct otr_sampling *sp, int n_vocab, struct otr_err *err);

/* penalties.c, dry.c: edit x [n_vocab] in place */
bool penalties_on(const struct otr_sampling *sp);
void penalties_apply(struct sampler *s, const struct history *h, float *x);
void bias_apply(const struct sampler *s, float *x);
bool dry_on(const struct otr_sampling *sp);
void dry_apply(struct sampler *s, const struct history *h, float *x);

/* The i-th token of the history from its end, i from 0. */
static inline int32_t history_back(const struct history *h, size_t i)
{
    return i < h->n_path ? h->path[h->n_path - 1 - i] : h->base[h->n_base - 1 - (i - h->n_path)];
}

/* Tokens of the history that a window of last_n (-1: all) holds. */
static inline size_t history_window(const struct history *h, int last_n)
{
    const size_t n = h->n_base + h->n_path;
    return last_n < 0 || (size_t)last_n > n ? n : (size_t)last_n;
}

/* An edited logit. INV: a penalty or a finite bias never makes a finite logit infinite, nor an infinite one anything
 * else: only a bias of -inf bans. */
static inline float keep_finite(float before, float after)
{
    if (before < -FLT_MAX || before > FLT_MAX)
        return before;
    return after < -FLT_MAX ? -FLT_MAX : after > FLT_MAX ? FLT_MAX : after;
}

/* select.c: the first k (0: all) candidates of x [n_vocab] with logit >= floor, which is at least -FLT_MAX. Sorted
 * where asked for, in any order otherwise. top: the largest logit. */
struct span select_top(struct sampler *s, const float *x, int k, float floor, float top, bool sorted);
/* A floor for a look at the best tokens alone: each round's is lower, to `floor` at last. WHY small steps: a look costs
 * little, and sorting what is not needed much. */
static inline float nearer_floor(float top, int round, float floor)
{
    const float near = round < 20 ? top - (float)(3 + 2 * round) : floor;
    return near > floor ? near : floor;
}

/* chain.c: top-k, typical, top-p, min-p. top: the first candidate of x. */
struct span chain_run(struct sampler *s, const float *x, struct cand top, bool sorted);
bool chain_sums(const struct otr_sampling *sp);        /* some station adds up probabilities, so it must sort */
float min_p_floor(const struct sampler *s, float top); /* the least logit min-p keeps beside `top` */

/* gumbel.c */
struct noise_key {
    uint64_t seed, n_before;
    uint32_t choice;
};
/* argmax of logit + noise over a list in any order. */
int32_t draw_list(const struct noise_key *key, const int32_t *id, const float *logit, int n);
/* The same over all x[i] / temp with x[i] >= floor (at least -FLT_MAX); top: the first candidate of x. */
int32_t draw_row(const struct sampler *s, const struct noise_key *key, const float *x, float floor, struct cand top);

#endif
