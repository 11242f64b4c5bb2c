/* Owns the noise and the draw: argmax of logit + G(key, id), lowest id on ties. In: logits, a key. Out: an id.
 * That argmax has the law softmax(logits); noise that depends on (seed, choice, tokens before, id) alone makes it the
 * same token whatever else is computed beside it.
 * WHY most candidates cost next to nothing: G is at most GUMBEL_MAX, and at most gumbel_bound of its word. What cannot
 * win any more is passed over before the word, or before the logarithms; only what passes counts, by its exact value.
 * SRC: verification-law.md 1. Read next: kern/noise.h, emit/emit.h. */
#include "sample/sample_priv.h"

#include <assert.h>
#include <math.h>

#include "kern/noise.h"
#include "sample/sample_math.h"

/* Above 33 ln 2 = 22.8739, G of the word 0. */
#define GUMBEL_MAX 22.875

double gumbel_of_word(uint32_t x)
{
    const double w = ((double)x + 0.5) * 0x1p-32;
    const double e = -sample_log(1.0 - w); /* -log1p(-w): 1 - w is exact, w has 33 bits */
    return -sample_log(e);
}

/* The word of one id; ctr as in kern/noise.h. */
static uint32_t word_of(uint64_t seed, const uint32_t *ctr, int32_t id)
{
    return noise_words(seed, ctr, (uint32_t)id / 4).v[id % 4];
}

double gumbel_noise(uint64_t seed, uint32_t choice, uint64_t n_before, int32_t id)
{
    const uint32_t ctr[3] = {choice, (uint32_t)n_before, (uint32_t)(n_before >> 32)};
    assert(id >= 0);
    return gumbel_of_word(word_of(seed, ctr, id));
}

struct best {
    double value;
    int32_t id;
};

static void consider(struct best *b, float logit, uint32_t word, int32_t id)
{
    if ((double)logit + (double)gumbel_bound(word) < b->value)
        return;
    const double value = (double)logit + gumbel_of_word(word);
    if (value > b->value || (value == b->value && id < b->id))
        *b = (struct best){value, id};
}

int32_t draw_list(const struct noise_key *key, const int32_t *id, const float *logit, int n)
{
    const uint32_t ctr[3] = {key->choice, (uint32_t)key->n_before, (uint32_t)(key->n_before >> 32)};
    struct best b = {-HUGE_VAL, INT32_MAX};
    for (int i = 0; i < n; i++)
        if ((double)logit[i] + GUMBEL_MAX >= b.value)
            consider(&b, logit[i], word_of(key->seed, ctr, id[i]), id[i]);
    return b.id;
}

/* ---- a whole row, in the pool ---- */

enum {
    SCAN_FIRST = 64,
    SCAN_MAX = 2048
}; /* WHY growing: the first ids are looked at with a `best` that is still low */

struct row_draw {
    const struct sampler *s;
    const float *x;
    float floor;
    struct cand top;
    struct noise_scan scan; /* seed, ctr, temp */
    struct best best[POOL_MAX_THREADS];
};

/* Sets the limits under which nothing can win against `best`.
 * Whoever wins or ties has v + G >= best, v = x / temp as rounded. The row's first candidate was considered first, so
 * v <= best + 3.2 (G > -3.2), and v >= best - GUMBEL_MAX: |v| <= |best| + 23, and v differs from x / temp by at most
 * 2^-23 |v| + 2^-150. So x + temp * G >= temp * best - slack, and the more so with gumbel_bound in place of G; both
 * sides are rounded to floats once, which keeps the order. With G <= GUMBEL_MAX the same gives a floor on x alone. */
static void set_limits(struct noise_scan *scan, double best, float floor)
{
    const double temp = (double)scan->temp, slack = 0x1p-20 * (fabs(best) + 64) * temp;
    scan->cut = (float)(best * temp - slack);
    scan->floor = (float)fmax((double)floor, (best - GUMBEL_MAX) * temp - slack);
}

static void draw_piece(const struct pool_ctx *ctx, void *arg)
{
    struct row_draw *d = arg;
    struct noise_scan scan = d->scan;
    struct best b = {-HUGE_VAL, INT32_MAX};
    int32_t id[SCAN_MAX];
    int lo, hi, size = SCAN_FIRST;
    row_piece(ctx, d->s, &lo, &hi);
    consider(&b, d->top.logit / scan.temp, word_of(scan.seed, scan.ctr, d->top.id), d->top.id);
    for (int at = lo; at < hi; at += size, size = 2 * size < SCAN_MAX ? 2 * size : SCAN_MAX) {
        set_limits(&scan, b.value, d->floor);
        const int n = d->s->k.may_win(id, d->x, at, hi - at < size ? hi : at + size, &scan);
        for (int i = 0; i < n; i++)
            consider(&b, d->x[id[i]] / scan.temp, word_of(scan.seed, scan.ctr, id[i]), id[i]);
    }
    d->best[ctx->tid] = b;
}

int32_t draw_row(const struct sampler *s, const struct noise_key *key, const float *x, float floor, struct cand top)
{
    struct row_draw d = {.s = s, .x = x, .floor = floor, .top = top};
    d.scan = (struct noise_scan){.seed = key->seed, .temp = s->sp.temp};
    d.scan.ctr[0] = key->choice;
    d.scan.ctr[1] = (uint32_t)key->n_before;
    d.scan.ctr[2] = (uint32_t)(key->n_before >> 32);
    const int n = row_share(s, draw_piece, &d);
    struct best b = d.best[0];
    for (int t = 1; t < n; t++)
        if (d.best[t].value > b.value || (d.best[t].value == b.value && d.best[t].id < b.id))
            b = d.best[t];
    return b.id;
}
