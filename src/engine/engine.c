/* Owns engines and sequences: threads, KV pages, the forward pass, and what a sequence has committed.
 * See outrider.h; read next: generate.c. */
#include "base/clock.h"
#include "base/arena.h"
#include "base/memory.h"
#include "engine/engine.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_CTX = 4096,
    DEFAULT_BATCH = 512,
    N_SCRATCH = 256,
    MAX_CTX = 1 << 24,
    MAX_BATCH = 4096,
    MAX_SEQ = 1 << 16
};

static int check_opts(const struct otr_engine_opts *o, struct otr_err *err)
{
    if (o->n_ctx < 0 || o->n_ctx > MAX_CTX)
        return OTR_FAIL(err, ARG, "a context of %d tokens (1..%d)", o->n_ctx, MAX_CTX);
    if (o->n_threads < 0 || o->n_threads > POOL_MAX_THREADS)
        return OTR_FAIL(err, ARG, "%d threads (1..%d)", o->n_threads, POOL_MAX_THREADS);
    if (o->n_batch < 0 || o->n_batch > MAX_BATCH)
        return OTR_FAIL(err, ARG, "passes of %d rows (1..%d)", o->n_batch, MAX_BATCH);
    if (o->n_seq < 0 || o->n_seq > MAX_SEQ)
        return OTR_FAIL(err, ARG, "%d sequences (1..%d)", o->n_seq, MAX_SEQ);
    if (o->kv_type != OTR_KV_F16 && o->kv_type != OTR_KV_F32 && o->kv_type != OTR_KV_Q8)
        return OTR_FAIL(err, ARG, "KV type %d", (int)o->kv_type);
    return OTR_OK;
}

/* WHY now: its pages are touched as replies grow, and running out then ends the program. */
static int check_room(const struct kv_shape *shape, long long pages, struct otr_err *err)
{
    const size_t want = size_mul(kv_page_bytes(shape), (size_t)pages), free_now = memory_available();
    return want <= free_now
               ? OTR_OK
               : OTR_FAIL(err, LIMIT,
                          "no room for a KV cache of %lld positions (%zu MB), %zu MB of memory are free: use a smaller "
                          "context (-c) or smaller values (-ctk q8 -ctv q8)",
                          pages * KV_PAGE, want >> 20, free_now >> 20);
}

int otr_engine_create(struct otr_engine **out, const struct otr_model *m, const struct otr_engine_opts *opts,
                      struct otr_err *err)
{
    static const struct otr_engine_opts none;
    const struct otr_engine_opts *o = opts ? opts : &none;
    const struct hparams *hp = &m->w->hp;
    int rc = check_opts(o, err);
    if (rc < 0)
        return rc;
    struct otr_engine *e = calloc(1, sizeof *e);
    if (!e)
        return OTR_FAIL(err, NOMEM, "no memory for the engine handle");
    e->m = m;
    e->n_ctx = o->n_ctx ? o->n_ctx : hp->n_ctx_train < DEFAULT_CTX ? hp->n_ctx_train : DEFAULT_CTX;
    e->n_batch = o->n_batch ? o->n_batch : DEFAULT_BATCH;
    e->n_seq = o->n_seq ? o->n_seq : 1;
    static const enum kv_type types[] = {[OTR_KV_F16] = KV_F16, [OTR_KV_F32] = KV_F32, [OTR_KV_Q8] = KV_Q8};
    const struct kv_shape shape = {hp->n_layer, hp->n_head_kv, hp->d_head, types[o->kv_type]};
    const long long pages = ((long long)e->n_ctx + KV_PAGE - 1) / KV_PAGE * e->n_seq + 1; /* +1: a copied last page */
    e->rows = malloc((size_t)e->n_batch * sizeof *e->rows);
    e->path = malloc((size_t)e->n_batch * sizeof *e->path);
    if (!e->rows || !e->path)
        rc = OTR_FAIL(err, NOMEM, "no memory for passes of %d rows", e->n_batch);
    else if (pages > INT32_MAX)
        rc = OTR_FAIL(err, LIMIT, "%d sequences of %d tokens are more pages than we can number", o->n_seq, e->n_ctx);
    if (rc == OTR_OK)
        rc = pool_create(&e->pool, o->n_threads, err);
    if (rc == OTR_OK && o->n_threads == 0)
        pool_set_active(e->pool, POOL_BY_LOAD);
    if (rc == OTR_OK)
        rc = check_room(&shape, pages, err);
    if (rc == OTR_OK)
        rc = kv_create(&e->kv, &shape, (int)pages, N_SCRATCH, err);
    if (rc == OTR_OK)
        rc = fwd_create(&e->fwd, m->w, e->pool, e->kv, &(struct fwd_opts){e->n_batch, e->n_ctx}, err);
    if (rc < 0) {
        otr_engine_destroy(e);
        return rc;
    }
    *out = e;
    return OTR_OK;
}

void otr_engine_destroy(struct otr_engine *e)
{
    if (!e)
        return;
    assert(e->n_seq_open == 0); /* the caller destroys its sequences first */
    spec_free(e->spec);
    lm_files_destroy(e->files);
    step_free(e->step);
    sampler_close(e->sampler);
    fwd_destroy(e->fwd);
    kv_destroy(e->kv);
    pool_destroy(e->pool);
    free(e->rows);
    free(e->path);
    free(e);
}

int otr_engine_n_threads(const struct otr_engine *e)
{
    return pool_n_threads(e->pool);
}

int otr_engine_n_ctx(const struct otr_engine *e)
{
    return e->n_ctx;
}

/* ---- sequences ---- */

static struct otr_seq *seq_alloc(struct otr_engine *e, struct otr_err *err)
{
    struct otr_seq *s = calloc(1, sizeof *s + ((size_t)e->n_ctx + 1) * sizeof s->tok[0]);
    if (!s) {
        OTR_FAIL(err, NOMEM, "no memory for a sequence of %d tokens", e->n_ctx);
        return NULL;
    }
    s->e = e;
    s->id = ++e->n_seq_made;
    return s;
}

int otr_seq_create(struct otr_seq **out, struct otr_engine *e, struct otr_err *err)
{
    struct otr_seq *s = seq_alloc(e, err);
    if (!s)
        return OTR_E_NOMEM;
    const int rc = kv_seq_create(&s->kv, e->kv, e->n_ctx, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    e->n_seq_open++;
    *out = s;
    return OTR_OK;
}

void otr_seq_destroy(struct otr_seq *s)
{
    if (!s)
        return;
    if (s->e->last == s)
        s->e->last = NULL;
    spec_seq_event(s, SEEN_FINISHED);
    s->e->n_seq_open--;
    kv_drop(s->kv);
    free(s);
}

int otr_seq_fork(struct otr_seq **out, struct otr_seq *s, struct otr_err *err)
{
    struct otr_seq *f = seq_alloc(s->e, err);
    if (!f)
        return OTR_E_NOMEM;
    const int rc = kv_fork(&f->kv, s->kv, err);
    if (rc < 0) {
        free(f);
        return rc;
    }
    f->n = s->n;
    memcpy(f->met, s->met, sizeof f->met); /* a drafter's cache forks, too */
    memcpy(f->tok, s->tok, s->n * sizeof s->tok[0]);
    s->e->n_seq_open++;
    *out = f;
    return OTR_OK;
}

int otr_seq_truncate(struct otr_seq *s, size_t n, struct otr_err *err)
{
    if (n > s->n)
        return OTR_FAIL(err, ARG, "cannot cut a sequence of %zu tokens to %zu", s->n, n);
    if (s->e->last == s && n < s->n)
        s->e->last = NULL;
    const bool cut = n < s->n;
    kv_truncate(s->kv, (int)n);
    s->n = n;
    if (cut)
        spec_seq_event(s, SEEN_TRUNCATED);
    return OTR_OK;
}

size_t otr_seq_len(const struct otr_seq *s)
{
    return s->n;
}

const int32_t *otr_seq_tokens(const struct otr_seq *s)
{
    return s->tok;
}

const float *otr_seq_logits(const struct otr_seq *s)
{
    return s->e->last == s ? fwd_logits(s->e->fwd, s->e->last_row) : NULL;
}

/* The layers' share of the multiply-adds of a row that has a head. */
static double products_share(const struct weights *w)
{
    const double layers = weights_layer_products(w);
    return layers / (layers + (double)w->head.n_rows * w->head.n_cols);
}

/* One pass over n <= n_batch tokens. */
static int append_rows(struct otr_seq *s, const int32_t *tokens, int n, bool keep, struct otr_err *err)
{
    struct otr_engine *e = s->e;
    for (int i = 0; i < n; i++) {
        e->rows[i] = (struct fwd_row){.token = tokens[i], .seq = s->kv, .parent = i - 1};
        e->path[i] = i;
    }
    if (keep)
        e->rows[n - 1].keep = FWD_KEEP_LOGITS;
    e->last = NULL;
    const double t0 = clock_ms();
    const int rc = fwd_run(e->fwd, e->rows, n, err);
    if (rc < 0)
        return rc;
    if (e->spec)
        control_see_prompt(e->spec->ctl, n, clock_ms() - t0, products_share(e->m->w));
    fwd_commit(e->fwd, s->kv, e->path, n);
    memcpy(s->tok + s->n, tokens, (size_t)n * sizeof *tokens);
    s->n += (size_t)n;
    if (keep) {
        e->last = s;
        e->last_row = n - 1;
    }
    return OTR_OK;
}

int seq_append(struct otr_seq *s, const int32_t *tokens, size_t n, bool keep, struct otr_err *err)
{
    const size_t before = s->n;
    if (n == 0)
        return OTR_FAIL(err, ARG, "no tokens to append");
    if (n > (size_t)s->e->n_ctx - s->n)
        return OTR_FAIL(err, LIMIT, "%zu tokens do not fit (context of %d, %zu in use): use a larger context (-c)", n,
                        s->e->n_ctx, s->n);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= s->e->m->info.n_vocab)
            return OTR_FAIL(err, ARG, "token %d is outside the vocabulary of %d", tokens[i], s->e->m->info.n_vocab);
    for (size_t done = 0; done < n;) {
        const size_t left = n - done, m = left < (size_t)s->e->n_batch ? left : (size_t)s->e->n_batch;
        const int rc = append_rows(s, tokens + done, (int)m, keep && m == left, err);
        if (rc < 0) {
            kv_truncate(s->kv, (int)before);
            s->n = before;
            return rc;
        }
        done += m;
    }
    return OTR_OK;
}

int otr_seq_append(struct otr_seq *s, const int32_t *tokens, size_t n, struct otr_err *err)
{
    return seq_append(s, tokens, n, true, err);
}

/* ---- sampling, scoring ---- */

int engine_use_sampling(struct otr_engine *e, const struct otr_sampling *sp, struct otr_err *err)
{
    if (e->sampler)
        return sampler_set(e->sampler, sp, err);
    const int rc = sampler_open(&e->sampler, sp, e->m->info.n_vocab, err);
    if (rc == OTR_OK)
        sampler_use(e->sampler, &e->m->w->kern, e->pool);
    return rc;
}

int32_t engine_pick(struct otr_engine *e, int row, const struct history *h, struct otr_err *err)
{
    const int best = sampler_is_plain_greedy(e->sampler) ? fwd_argmax(e->fwd, row) : -1;
    return best >= 0 ? best /* or the sampler says what is wrong with the row */
                     : sampler_pick(e->sampler, fwd_logits(e->fwd, row), h, 0, err);
}

int32_t otr_seq_sample(struct otr_seq *s, const struct otr_sampling *sp, struct otr_err *err)
{
    const struct history h = {.base = s->tok, .n_base = s->n};
    const int rc = engine_use_sampling(s->e, sp, err);
    if (rc < 0)
        return rc;
    if (!otr_seq_logits(s))
        return OTR_FAIL(err, ARG, "no logits to sample from: append a token first");
    return engine_pick(s->e, s->e->last_row, &h, err);
}

/* -log softmax(logits)[id]; NaN where the logits hold one. */
static double nll_of(const float *logits, int n, int32_t id)
{
    double max = (double)logits[0], sum = 0;
    for (int i = 1; i < n; i++)
        max = (double)logits[i] > max ? (double)logits[i] : max;
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    /* cppcheck-suppress invalidFunctionArg ; a row has at least one logit, so sum >= 1 */
    return log(sum) + max - (double)logits[id];
}

/* Runs one chunk of the scored text and adds up its rows; row i predicts tokens[i + 1] where there is one. */
static int score_chunk(struct otr_engine *e, struct kv_seq *kv, const int32_t *tokens, int n, int n_target, double *nll,
                       struct otr_err *err)
{
    for (int i = 0; i < n; i++) {
        e->rows[i] = (struct fwd_row){.token = tokens[i], .seq = kv, .parent = i - 1};
        e->path[i] = i;
    }
    int rc = fwd_begin(e->fwd, e->rows, n, err);
    if (rc < 0)
        return rc;
    fwd_embed(e->fwd);
    fwd_layers(e->fwd, 0, e->m->info.n_layer);
    for (int i = 0; i < n_target; i += FWD_MAX_LOGITS) {
        const int m = n_target - i < FWD_MAX_LOGITS ? n_target - i : FWD_MAX_LOGITS;
        if ((rc = fwd_head(e->fwd, e->path + i, m, err)) < 0)
            return rc;
        for (int j = i; j < i + m; j++)
            *nll += nll_of(fwd_logits(e->fwd, j), e->m->info.n_vocab, tokens[j + 1]);
    }
    fwd_commit(e->fwd, kv, e->path, n);
    return OTR_OK;
}

int engine_score(struct otr_engine *e, const int32_t *tokens, size_t n, double *nll, struct otr_err *err)
{
    struct kv_seq *kv;
    if (n < 2)
        return OTR_FAIL(err, ARG, "%zu tokens to score (at least 2)", n);
    if (n > (size_t)e->n_ctx)
        return OTR_FAIL(err, LIMIT, "%zu tokens to score in a context of %d", n, e->n_ctx);
    int rc = kv_seq_create(&kv, e->kv, e->n_ctx, err);
    if (rc < 0)
        return rc;
    e->last = NULL;
    *nll = 0;
    for (size_t i = 0; i < n && rc == OTR_OK; i += (size_t)e->n_batch) {
        const size_t m = n - i < (size_t)e->n_batch ? n - i : (size_t)e->n_batch;
        rc = score_chunk(e, kv, tokens + i, (int)m, (int)(i + m < n ? m : m - 1), nll, err);
    }
    kv_drop(kv);
    if (rc == OTR_OK && isnan(*nll))
        return OTR_FAIL(err, NUMERIC, "the model computed a logit that is not a number");
    return rc;
}
