/* Owns what looks at a whole row of logits, piece by piece in the pool: the first candidate, the copy, the weight.
 * In: logits. Out: the same values whatever the number of threads (the weight: within its bound).
 * Read next: penalties.c, select.c. */
#include "sample/sample_priv.h"

#include <math.h>
#include <string.h>

enum { SHARE_MIN = 65536 }; /* values; a shorter row gains nothing from other threads (SPEED.md) */

int row_share(const struct sampler *s, pool_fn fn, void *arg)
{
    if (s->pool && s->n_vocab >= SHARE_MIN) {
        pool_run(s->pool, fn, arg);
        return pool_n_threads(s->pool);
    }
    fn(&(struct pool_ctx){.n_threads = 1}, arg);
    return 1;
}

/* ---- the first candidate ---- */

struct row_first {
    const struct sampler *s;
    const float *x;
    float *copy;
    struct cand first[POOL_MAX_THREADS];
};

static void first_of_piece(const struct pool_ctx *ctx, void *arg)
{
    struct row_first *r = arg;
    struct cand *first = &r->first[ctx->tid];
    int lo, hi;
    row_piece(ctx, r->s, &lo, &hi);
    *first = (struct cand){-INFINITY, -1};
    if (lo >= hi)
        return;
    if (r->copy)
        memcpy(r->copy + lo, r->x + lo, (size_t)(hi - lo) * sizeof *r->x);
    const int at = r->s->k.argmax(r->x + lo, hi - lo);
    if (at < 0)
        first->id = -2;
    else if (r->x[lo + at] >= -FLT_MAX)
        *first = (struct cand){r->x[lo + at], lo + at};
}

struct cand row_top(const struct sampler *s, const float *x, float *copy)
{
    struct row_first r = {.s = s, .x = x, .copy = copy};
    const int n = row_share(s, first_of_piece, &r);
    struct cand top = {-INFINITY, -1};
    for (int t = 0; t < n && top.id != -2; t++)
        if (r.first[t].id == -2 || r.first[t].logit > top.logit) /* ids rise with t, so ties stay with the lowest */
            top = r.first[t];
    return top;
}

/* ---- the weight ---- */

struct row_sum {
    const struct sampler *s;
    const float *x;
    float top;
    double sum[POOL_MAX_THREADS];
};

static void sum_of_piece(const struct pool_ctx *ctx, void *arg)
{
    enum { BLOCK = 256 };
    struct row_sum *r = arg;
    double lane[8] = {0};
    float w[BLOCK];
    int lo, hi;
    row_piece(ctx, r->s, &lo, &hi);
    for (int at = lo; at < hi; at += BLOCK) {
        const int n = hi - at < BLOCK ? hi - at : BLOCK;
        for (int i = 0; i < n; i++)
            w[i] = r->x[at + i] - r->top;
        for (int i = n; i < (n + 7) / 8 * 8; i++)
            w[i] = -INFINITY;
        r->s->k.exp(w, w, (n + 7) / 8 * 8);
        for (int i = 0; i < n; i += 8)
            for (int j = 0; j < 8; j++)
                lane[j] += (double)w[i + j];
    }
    r->sum[ctx->tid] = lane[0] + lane[1] + lane[2] + lane[3] + lane[4] + lane[5] + lane[6] + lane[7];
}

/* The difference is rounded by at most 2^-24 * 40 where it counts, exp is good to an ulp of a float, and what is more
 * than 86.9 under the top counts as 0. */
double row_weight(const struct sampler *s, const float *x, float top)
{
    struct row_sum r = {.s = s, .x = x, .top = top};
    const int n = row_share(s, sum_of_piece, &r);
    double sum = 0.0;
    for (int t = 0; t < n; t++)
        sum += r.sum[t];
    return sum;
}
