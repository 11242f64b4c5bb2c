/* skip: the target with some sub-layers left out drafts for it, on its own weights and KV.
 *
 *   set=LETTERS     one for each layer: - a f b (skip_set.h); else the set that was found for this model, else
 *   search=N        tries on the fly, one a step, on tokens that the model wrote itself; then the best is kept (48)
 *   n_max           longest chain (8)
 *   reach           shadow.h
 *   rows, freq      few_rows.h; the search looks at the whole head
 *   p_min           stop below this probability; else it moves with the share of tokens that were right
 * A search that finds no set worth its time ends in no drafts at all.
 * SRC: Draft & Verify (the stop), SWIFT (the search on the fly); methods/21 section 4. Read next: skip_set.h, shadow.h.
 */
#include <stdlib.h>

#include "draft/shadow.h"
#include "draft/skip_set.h"

#define TH_STEP 0.01 /* the moving stop, as Draft & Verify has it */
#define TH_MATCH 0.9
#define TH_SMOOTH 0.1

struct skip {
    const struct weights *w;
    const char *dir;
    struct shadow *shadow;
    struct chain_opts o;
    bool moves;             /* the stop */
    double th, rate;        /* the stop; running share of drafted tokens that were right */
    int n_search;           /* tries left */
    struct kv_seq *scratch; /* of the tries */
    struct skip_search search;
};

static void skip_close(void *self)
{
    struct skip *k = self;
    shadow_close(k->shadow);
    kv_drop(k->scratch);
    free(k);
}

static int read_params(struct skip *k, const struct draft_env *env, struct otr_err *err)
{
    static const char *const known[] = {"set", "search", SHADOW_PARAMS};
    const char *set = draft_param_get(env, "set");
    int rc = draft_param_check(env, known, sizeof known / sizeof *known, err);
    if (rc == OTR_OK)
        rc = shadow_params(&k->o, env, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "n_max", 8, 1, TREE_MAX, &k->o.n_max, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "search", 48, 0, 100000, &k->n_search, err);
    if (rc == OTR_OK && k->w->hp.n_layer > SKIP_MAX_LAYER)
        rc = OTR_FAIL(err, UNSUPPORTED, "skip on a model of %d layers (at most %d)", k->w->hp.n_layer, SKIP_MAX_LAYER);
    if (rc == OTR_OK && set)
        rc = skip_set_read(&k->search.best, set, k->w->hp.n_layer, err);
    if (rc == OTR_OK && (set || skip_set_load(&k->search.best, k->dir, k->w)))
        k->n_search = 0;
    if (set)
        k->search.best.rate = 2; /* it was asked for */
    k->moves = !draft_param_get(env, "p_min");
    k->rate = TH_MATCH;
    return rc;
}

static int skip_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    int rc;
    if (!env->host)
        return OTR_FAIL(err, UNSUPPORTED, "skip needs a target whose layers it can run");
    struct skip *k = calloc(1, sizeof *k);
    if (!k)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    k->w = env->host->weights;
    k->dir = env->host->cache_dir;
    skip_search_begin(&k->search, k->w, env->seed);
    if ((rc = read_params(k, env, err)) < 0 || (rc = shadow_open(&k->shadow, env, k->w, k->w->head.type, err)) < 0 ||
        (k->n_search > 0 && (rc = kv_seq_create(&k->scratch, env->host->kv, env->host->n_ctx, err)) < 0)) {
        skip_close(k);
        return rc;
    }
    fwd_set_skip(shadow_fwd(k->shadow), k->search.best.skip);
    *self = k;
    return OTR_OK;
}

/* One try on the newest tokens that the model wrote itself. */
static void look_on(struct skip *k, const struct draft_ask *a)
{
    if (k->n_search == 0 || a->n < a->n_prompt + SKIP_WINDOW + 2)
        return;
    const size_t at = a->n - SKIP_WINDOW - 1;
    struct fwd *f = shadow_fwd(k->shadow);
    fwd_set_head(f, NULL);
    const int rc = skip_search_try(&k->search, f, k->scratch, a->kv, a->tok, &at, 1, k->w);
    fwd_set_head(f, shadow_head(k->shadow));
    if (rc < 0)
        return;
    if (--k->n_search == 0)
        skip_set_save(&k->search.best, k->dir, k->w);
}

static int skip_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct skip *k = self;
    if (n_ask > 0)
        look_on(k, &ask[0]);
    if (k->search.best.rate <= 1)
        return OTR_OK;
    if (k->moves)
        k->o.p_min = k->th;
    return shadow_propose(k->shadow, &k->o, ask, n_ask, out);
}

static int skip_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct skip *k = self;
    for (int i = 0; i < n_seen; i++) {
        const struct draft_seen *e = &seen[i];
        if (e->event != SEEN_STEP || !e->mine || e->tree->n == 0)
            continue;
        k->rate += TH_SMOOTH * ((double)e->n_path / e->tree->n - k->rate);
        const double to = k->rate < TH_MATCH ? k->th + TH_STEP : e->tree->n < k->o.n_max ? k->th - TH_STEP : k->th;
        k->th += TH_SMOOTH * ((to < 0 ? 0 : to > 1 ? 1 : to) - k->th);
    }
    shadow_observe(k->shadow, seen, n_seen);
    return OTR_OK;
}

static int skip_begin(void *self, const struct draft_ask *ask, int n_ask, int *row)
{
    struct skip *k = self;
    if (n_ask > 0)
        look_on(k, &ask[0]);
    for (int i = 0; i < n_ask; i++)
        row[i] = -1;
    if (k->search.best.rate <= 1) /* nothing is worth drafting with */
        return OTR_OK;
    return shadow_begin(k->shadow, ask, n_ask, row);
}

static int skip_more(void *self, const struct draft_ask *ask, const struct draft_law_row *rows, int n)
{
    const struct skip *k = self;
    return shadow_more(k->shadow, ask, rows, n);
}

static const struct draft_row *skip_law(void *self, const struct draft_ask *ask, const int32_t *path, int n_path,
                                        int row)
{
    const struct skip *k = self;
    return shadow_law(k->shadow, ask, path, n_path, row);
}

static void skip_end(void *self, const struct draft_ask *ask, int n_ask)
{
    (void)self;
    shadow_end(ask, n_ask);
}

static const struct draft_laws skip_laws = {.begin = skip_begin, .more = skip_more, .law = skip_law, .end = skip_end};

static size_t skip_bytes(const void *self)
{
    const struct skip *k = self;
    return shadow_bytes(k->shadow);
}

const struct draft_method draft_skip = {.name = "skip",
                                        .about = "the target with sub-layers left out (Draft & Verify, SWIFT)",
                                        .flags = DRAFT_NEED_TARGET | DRAFT_RUNS_MODEL | DRAFT_GIVE_PROBS | DRAFT_STOPS,
                                        .open = skip_open,
                                        .close = skip_close,
                                        .propose = skip_propose,
                                        .observe = skip_observe,
                                        .bytes = skip_bytes,
                                        .laws = &skip_laws};
