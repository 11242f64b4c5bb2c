/* draft: a smaller model of the same vocabulary writes on; the target checks.
 *
 * In: model=FILE, a GGUF; context=N: lm.h; rows=N, freq=FILE: a short head (few_rows.h). Out: a chain a sequence, drawn
 * token by token from the model's own law; all sequences' next rows run in one pass. A chain ends at the budget, where
 * one entry more is not worth its time (reach: chain_stop.h), before a token that the model is not sure of (p_min: rule
 * R1, the row is looked at, not the token), and behind an end of text. Rows that the target accepts are not computed
 * again. SRC: Leviathan et al. 2023, Chen et al. 2023; methods/09. Read next: lm.h, draft_row.h. */
#include <stdlib.h>
#include <string.h>

#include "draft/chain_stop.h"
#include "draft/draft_row.h"
#include "draft/few_rows.h"
#include "draft/lm.h"

struct draft_model {
    struct lm *lm;
    struct few_rows *few; /* NULL: the whole head */
    struct draft_row row;
    const struct tokenizer *tok;
    struct chain_opts o;
    struct chain_stop stop;
};

static void model_close(void *self)
{
    struct draft_model *d = self;
    draft_row_close(&d->row);
    lm_close(d->lm);
    few_rows_close(d->few);
    free(d);
}

/* Rows of logits, and the head that makes them. */
static int open_rows(struct draft_model *d, const struct draft_env *env, struct otr_err *err)
{
    const struct weights *w = lm_weights(d->lm);
    const struct kernels *k = &env->host->weights->kern;
    const int n = w->hp.n_vocab; /* padding of the embedding may differ */
    int rc = draft_row_open(&d->row, n < env->n_vocab ? n : env->n_vocab, k, env->host->pool, err);
    if (rc == OTR_OK)
        rc = few_rows_open(&d->few, env, d->tok, w, w->head.type, err);
    if (rc < 0 || !d->few)
        return rc;
    lm_set_head(d->lm, &d->few->head);
    return draft_row_few(&d->row, d->few->id, d->few->n, k, env->host->pool, err);
}

static int model_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const known[] = {"model", "context", "p_min", "reach", FEW_ROWS_PARAMS};
    struct lm_opts lo = {.path = draft_param_get(env, "model")};
    int rc = draft_param_check(env, known, sizeof known / sizeof *known, err);
    if (rc < 0)
        return rc;
    if (!lo.path)
        return OTR_FAIL(err, ARG, "no model to draft with (--spec draft): give model=FILE");
    struct draft_model *d = calloc(1, sizeof *d);
    if (!d)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    d->tok = env->tok;
    d->o.n_max = TREE_MAX;
    if ((rc = draft_param_real(env, "p_min", 0, 0, 1, &d->o.p_min, err)) == OTR_OK &&
        (rc = draft_param_real(env, "reach", -1, -1, 1, &d->o.reach, err)) == OTR_OK &&
        (rc = lm_context_param(env, &lo.n_read, err)) == OTR_OK)
        rc = lm_open(&d->lm, env->host, &lo, err);
    if (rc == OTR_OK && lm_tokenizer(d->lm))
        rc = lm_check_vocabulary(env->tok, lm_tokenizer(d->lm), lo.path, err);
    if (rc == OTR_OK)
        rc = open_rows(d, env, err);
    if (rc < 0) {
        model_close(d);
        return rc;
    }
    *self = d;
    return OTR_OK;
}

/* ---- proposing ---- */

enum { MAX_AT_ONCE = 64 };

static void fill_items(const struct draft_ask *ask, int n_ask, struct lm_item *items)
{
    for (int i = 0; i < n_ask; i++)
        items[i] = (struct lm_item){.seq = ask[i].seq, .tok = ask[i].tok, .n = ask[i].n, .row = -1};
}

static const struct draft_row *model_law(void *self, const struct draft_ask *a, const int32_t *path, int n_path,
                                         int row)
{
    struct draft_model *d = self;
    const float *logits = lm_logits(d->lm, row);
    return logits && draft_row_make(&d->row, a, path, n_path, logits, NULL) == OTR_OK ? &d->row : NULL;
}

/* Draws the next entry of a chain from its last row; false: the chain ends before it or with it. */
static bool draw_next(struct draft_model *d, const struct draft_ask *a, int row, struct tree *t, double *reach)
{
    int32_t path[TREE_MAX];
    for (int i = 0; i < t->n; i++)
        path[i] = t->entry[i].token;
    return model_law(d, a, path, t->n, row) && chain_grow(&d->stop, &d->o, a, &d->row, d->tok, t, reach);
}

static int model_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct draft_model *d = self;
    struct lm_item items[MAX_AT_ONCE];
    struct lm_row rows[MAX_AT_ONCE];
    double reach[MAX_AT_ONCE];
    int n;
    if (n_ask > MAX_AT_ONCE)
        return OTR_E_LIMIT;
    for (int i = 0; i < n_ask; i++)
        reach[i] = 1;
    fill_items(ask, n_ask, items);
    int rc = lm_begin(d->lm, items, n_ask, NULL);
    do {
        n = 0;
        for (int i = 0; i < n_ask && rc >= 0; i++) {
            const bool go_on =
                items[i].row >= 0 && ask[i].max_entries > 0 && draw_next(d, &ask[i], items[i].row, &out[i], &reach[i]);
            if (go_on)
                rows[n++] = (struct lm_row){items[i].row, out[i].entry[out[i].n - 1].token};
            items[i].row = go_on ? 0 : -1; /* its new row's number is not known yet */
        }
        if (rc >= 0 && n > 0 && (rc = lm_more(d->lm, rows, n, NULL)) >= 0) {
            for (int i = 0, at = rc; i < n_ask; i++)
                if (items[i].row >= 0)
                    items[i].row = at++;
        }
    } while (rc >= 0 && n > 0);
    return OTR_OK; /* a pass that failed ends the chains where they are */
}

static int model_begin(void *self, const struct draft_ask *ask, int n_ask, int *row)
{
    struct draft_model *d = self;
    struct lm_item items[MAX_AT_ONCE];
    if (n_ask > MAX_AT_ONCE)
        return OTR_E_LIMIT;
    fill_items(ask, n_ask, items);
    const int rc = lm_begin(d->lm, items, n_ask, NULL);
    for (int i = 0; i < n_ask; i++)
        row[i] = items[i].row;
    return rc;
}

static int model_more(void *self, const struct draft_ask *ask, const struct draft_law_row *rows, int n)
{
    struct draft_model *d = self;
    struct lm_row in[MAX_AT_ONCE * TREE_MAX];
    (void)ask;
    for (int i = 0; i < n; i++)
        in[i] = (struct lm_row){rows[i].parent, rows[i].token};
    return lm_more(d->lm, in, n, NULL);
}

static int model_prepare(void *self, const struct draft_ask *ask, int n_ask)
{
    struct draft_model *d = self;
    struct lm_item items[MAX_AT_ONCE];
    if (n_ask > MAX_AT_ONCE)
        return OTR_E_LIMIT;
    fill_items(ask, n_ask, items);
    return lm_sync(d->lm, items, n_ask, NULL);
}

static int model_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct draft_model *d = self;
    for (int i = 0; i < n_seen; i++) {
        chain_see(&d->stop, &seen[i]);
        if (seen[i].event != SEEN_FINISHED) {
            lm_follow(d->lm, seen[i].seq, seen[i].tok, seen[i].n);
            continue;
        }
        few_rows_seen(d->few, seen[i].tok, seen[i].n);
        lm_drop(d->lm, seen[i].seq);
    }
    return OTR_OK;
}

static size_t model_bytes(const void *self)
{
    const struct draft_model *d = self;
    return lm_bytes(d->lm) + (d->few ? d->few->bytes : 0);
}

static struct draft_guess model_guess(const void *self)
{
    return lm_guess(((const struct draft_model *)self)->lm);
}

static const struct draft_laws model_laws = {.begin = model_begin, .more = model_more, .law = model_law};

const struct draft_method draft_draft = {
    .name = "draft",
    .about = "a smaller model of the same vocabulary: model=FILE; context=N: of the last N tokens",
    .flags = DRAFT_GIVE_PROBS | DRAFT_NEED_FILE | DRAFT_RUNS_MODEL | DRAFT_STOPS,
    .open = model_open,
    .close = model_close,
    .prepare = model_prepare,
    .propose = model_propose,
    .observe = model_observe,
    .bytes = model_bytes,
    .guess = model_guess,
    .laws = &model_laws};
