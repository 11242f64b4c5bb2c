/* Owns the sampler: its memory, the order of the chain, and the two ways to use it (a distribution, or just a token).
 * In: logits and history. Out: struct dist, or an id. See sample.h; read next: row.c, penalties.c, chain.c, gumbel.c.
 */
#include "sample/sample_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "sample/sample_math.h"

/* ---- memory and settings ---- */

static void carve(struct sampler *s, struct arena *a)
{
    const size_t n = (size_t)s->n_vocab;
    s->row = arena_take(a, n * sizeof *s->row);
    s->mark = arena_take(a, n * sizeof *s->mark);
    s->z = arena_take(a, DRY_MAX_MATCH * sizeof *s->z);
    s->cand = arena_take(a, n * sizeof *s->cand);
    s->spare = arena_take(a, n * sizeof *s->spare);
    s->id = arena_take(a, n * sizeof *s->id);
    s->logit = arena_take(a, n * sizeof *s->logit);
}

int sampler_open(struct sampler **out, const struct otr_sampling *sp, int n_vocab, struct otr_err *err)
{
    if (n_vocab < 1)
        return OTR_FAIL(err, ARG, "a sampler for a vocabulary of %d tokens", n_vocab);
    struct sampler *s = calloc(1, sizeof *s);
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for the sampler");
    s->n_vocab = n_vocab;
    kernels_init(&s->k, "c"); /* always there */
    struct arena count = {.cap = SIZE_MAX};
    carve(s, &count);
    s->block = calloc(1, count.used); /* WHY calloc: marks start at 0, and pages cost nothing until they are used */
    const int rc =
        s->block ? sampler_set(s, sp, err) : OTR_FAIL(err, NOMEM, "no memory for a sampler of %d tokens", n_vocab);
    if (rc < 0) {
        sampler_close(s);
        return rc;
    }
    carve(s, &(struct arena){.base = s->block, .cap = count.used});
    *out = s;
    return OTR_OK;
}

/* Room for n entries of `size` bytes in *list. On error *list is as it was. */
static int grow(void **list, size_t *cap, size_t n, size_t size, struct otr_err *err)
{
    if (n == 0 || (*list && n <= *cap))
        return OTR_OK;
    void *p = realloc(*list, size_mul(n, size));
    if (!p) {
        OTR_FAIL(err, NOMEM, "no memory for a list of %zu tokens in the sampling settings", n);
        return OTR_E_NOMEM;
    }
    *list = p;
    *cap = n;
    return OTR_OK;
}

int sampler_set(struct sampler *s, const struct otr_sampling *sp, struct otr_err *err)
{
    void *bias = s->bias, *breaker = s->breaker;
    int rc = settings_check(sp, s->n_vocab, err);
    if (rc == OTR_OK)
        rc = grow(&bias, &s->cap_bias, sp->n_bias, sizeof *s->bias, err);
    s->bias = bias;
    if (rc == OTR_OK)
        rc = grow(&breaker, &s->cap_breaker, sp->n_dry_breakers, sizeof *s->breaker, err);
    s->breaker = breaker;
    if (rc != OTR_OK)
        return rc;
    if (sp->n_bias)
        memcpy(s->bias, sp->bias, sp->n_bias * sizeof *s->bias);
    if (sp->n_dry_breakers)
        memcpy(s->breaker, sp->dry_breakers, sp->n_dry_breakers * sizeof *s->breaker);
    s->sp = *sp;
    s->sp.bias = NULL;
    s->sp.dry_breakers = NULL;
    s->log_min_p = sp->min_p > 0 ? sample_log((double)sp->min_p) : 0.0;
    return OTR_OK;
}

void sampler_use(struct sampler *s, const struct kernels *k, struct pool *pool)
{
    s->k = *k;
    s->pool = pool;
}

void sampler_close(struct sampler *s)
{
    if (!s)
        return;
    free(s->block);
    free(s->bias);
    free(s->breaker);
    free(s);
}

bool sampler_edits(const struct sampler *s)
{
    return penalties_on(&s->sp) || dry_on(&s->sp) || s->sp.n_bias > 0;
}

bool sampler_is_plain_greedy(const struct sampler *s)
{
    return s->sp.temp <= 0 && !sampler_edits(s);
}

/* ---- the chain ---- */

static int report_nan(const struct sampler *s, const float *x, const struct history *h, struct otr_err *err)
{
    int i = 0;
    while (i < s->n_vocab - 1 && !isnan(x[i]))
        i++;
    return OTR_FAIL(err, NUMERIC, "the logit of token %d after %zu tokens is not a number", i, h->n_base + h->n_path);
}

/* Checks and edits a row. Out: the logits to go on with, and the first candidate. */
static int prepare(struct sampler *s, const float *logits, const struct history *h, const float **x, struct cand *top,
                   struct otr_err *err)
{
    const bool edited = sampler_edits(s);
    *x = edited ? s->row : logits;
    *top = row_top(s, logits, edited ? s->row : NULL);
    if (top->id == -2) /* before the edits: a ban must not hide a NaN */
        return report_nan(s, logits, h, err);
    if (edited) {
        if (penalties_on(&s->sp))
            penalties_apply(s, h, s->row);
        if (dry_on(&s->sp))
            dry_apply(s, h, s->row);
        bias_apply(s, s->row);
        *top = row_top(s, s->row, NULL);
    }
    if (top->id == -2)
        return report_nan(s, s->row, h, err);
    if (top->id == -1)
        return OTR_FAIL(err, ARG, "no token can be drawn: all %d are banned (logits or biases of -inf)", s->n_vocab);
    return OTR_OK;
}

/* Temperature 0, or as good as 0; and a logit of +inf, which is certain. The first candidate is the whole law then. */
static bool is_certain(const struct sampler *s, struct cand top)
{
    return s->sp.temp <= 0 || isinf(top.logit / s->sp.temp);
}

/* Temperature: the last station. Candidates whose quotient is -inf have no chance left; the first one stays. */
static struct dist finish(struct sampler *s, struct span kept)
{
    int n = 0;
    for (int i = 0; i < kept.n; i++) {
        const float v = kept.c[i].logit / s->sp.temp;
        if (n > 0 && v < -FLT_MAX)
            continue;
        s->id[n] = kept.c[i].id;
        s->logit[n++] = v;
    }
    return (struct dist){n, s->id, s->logit};
}

int sampler_dist(struct sampler *s, const float *logits, const struct history *h, struct dist *out, struct otr_err *err)
{
    const float *x;
    struct cand top;
    const int rc = prepare(s, logits, h, &x, &top, err);
    if (rc < 0)
        return rc;
    if (!is_certain(s, top)) {
        *out = finish(s, chain_run(s, x, top, true));
        return OTR_OK;
    }
    s->id[0] = top.id;
    s->logit[0] = top.logit;
    *out = (struct dist){1, s->id, s->logit};
    return OTR_OK;
}

int32_t sampler_draw(const struct sampler *s, const struct dist *d, uint32_t choice, uint64_t n_before)
{
    const struct noise_key key = {.seed = s->sp.seed, .n_before = n_before, .choice = choice};
    return s->sp.temp <= 0 ? d->id[0] : draw_list(&key, d->id, d->logit, d->n);
}

int32_t sampler_pick(struct sampler *s, const float *logits, const struct history *h, uint32_t choice,
                     struct otr_err *err)
{
    const float *x;
    struct cand top;
    const int rc = prepare(s, logits, h, &x, &top, err);
    if (rc < 0)
        return rc;
    if (is_certain(s, top))
        return top.id;
    const struct noise_key key = {.seed = s->sp.seed, .n_before = h->n_base + h->n_path, .choice = choice};
    if (s->sp.top_k == 0 && !chain_sums(&s->sp))
        return draw_row(s, &key, x, min_p_floor(s, top.logit), top);
    const struct dist d = finish(s, chain_run(s, x, top, false));
    return draw_list(&key, d.id, d.logit, d.n);
}
