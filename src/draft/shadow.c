/* Owns the pass of a shadow and the growing of its chains. See shadow.h. */
#include "draft/shadow.h"

#include <stdlib.h>

enum {
    MAX_CHAINS = FWD_MAX_LOGITS, /* of one pass */
};

/* One chain on its way. */
struct chain {
    const struct draft_ask *ask;
    struct tree *tree;
    int row;      /* of the pass: the one that predicts the next entry */
    double reach; /* the chance that all it holds is right */
    int32_t path[TREE_MAX];
};

struct shadow {
    struct fwd *f;        /* its own, or of the running ask */
    bool owns;            /* false: rows are the first layers of the target's pass */
    int n_exit;           /* layers of a row then */
    struct few_rows *few; /* NULL: the whole head */
    struct draft_row row;
    const struct tokenizer *tok;
    struct chain_stop stop;
    struct chain chain[MAX_CHAINS];
    int n_layer, n_row; /* of the model; of the running pass, where its laws are given out one by one */
};

int shadow_params(struct chain_opts *o, const struct draft_env *env, struct otr_err *err)
{
    int rc = draft_param_int(env, "n_max", 16, 1, TREE_MAX, &o->n_max, err);
    if (rc == OTR_OK)
        rc = draft_param_real(env, "p_min", 0, 0, 1, &o->p_min, err);
    if (rc == OTR_OK)
        rc = draft_param_real(env, "reach", -1, -1, 1, &o->reach, err);
    return rc;
}

void shadow_close(struct shadow *s)
{
    if (!s)
        return;
    draft_row_close(&s->row);
    if (s->owns)
        fwd_destroy(s->f);
    few_rows_close(s->few);
    free(s);
}

static int shadow_create(struct shadow **out, const struct draft_env *env, const struct weights *w, enum ggml_type head,
                         struct otr_err *err)
{
    struct shadow *s = calloc(1, sizeof *s);
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    s->tok = env->tok;
    int rc = draft_row_open(&s->row, env->n_vocab, &w->kern, env->host->pool, err);
    if (rc == OTR_OK)
        rc = few_rows_open(&s->few, env, env->tok, w, head, err);
    if (rc == OTR_OK && s->few)
        rc = draft_row_few(&s->row, s->few->id, s->few->n, &w->kern, env->host->pool, err);
    if (rc < 0) {
        shadow_close(s);
        return rc;
    }
    *out = s;
    return OTR_OK;
}

int shadow_open(struct shadow **out, const struct draft_env *env, const struct weights *w, enum ggml_type head,
                struct otr_err *err)
{
    const struct fwd_opts fo = {.n_batch = MAX_CHAINS * (TREE_MAX + 1), .n_ctx = env->host->n_ctx};
    struct shadow *s = NULL;
    int rc = shadow_create(&s, env, w, head, err);
    if (rc < 0)
        return rc;
    s->owns = true;
    s->n_layer = w->hp.n_layer;
    if ((rc = fwd_create(&s->f, w, env->host->pool, env->host->kv, &fo, err)) < 0) {
        shadow_close(s);
        return rc;
    }
    fwd_set_head(s->f, shadow_head(s));
    *out = s;
    return OTR_OK;
}

int shadow_open_exit(struct shadow **out, const struct draft_env *env, int n_layer, struct otr_err *err)
{
    const struct weights *w = env->host->weights;
    const int rc = shadow_create(out, env, w, w->head.type, err);
    if (rc == OTR_OK)
        (*out)->n_exit = n_layer;
    return rc;
}

struct fwd *shadow_fwd(struct shadow *s)
{
    return s->f;
}

const struct mat *shadow_head(const struct shadow *s)
{
    return s->few ? &s->few->head : NULL;
}

size_t shadow_bytes(const struct shadow *s)
{
    return s->few ? s->few->bytes : 0;
}

void shadow_observe(struct shadow *s, const struct draft_seen *seen, int n_seen)
{
    for (int i = 0; i < n_seen; i++) {
        if (seen[i].event == SEEN_FINISHED)
            few_rows_seen(s->few, seen[i].tok, seen[i].n);
        chain_see(&s->stop, &seen[i]);
    }
}

/* ---- chains ---- */

/* One entry more, if the chain is worth it; whether it goes on after that. */
static bool grow(struct shadow *s, const struct chain_opts *o, struct chain *c)
{
    struct tree *t = c->tree;
    const int n = t->n;
    if (n >= c->ask->max_entries || draft_row_make(&s->row, c->ask, c->path, n, fwd_logits(s->f, c->row), NULL) < 0)
        return false;
    const bool more = chain_grow(&s->stop, o, c->ask, &s->row, s->tok, t, &c->reach);
    if (t->n > n)
        c->path[n] = t->entry[n].token;
    return more;
}

/* Runs the rows of n chains, which then know theirs. */
static int run_rows(struct shadow *s, const struct fwd_row *row, const int *live, int n, bool first)
{
    int heads[MAX_CHAINS], at = 0;
    if (s->owns)
        at = first ? fwd_run(s->f, row, n, NULL) : fwd_run_more(s->f, row, n, NULL);
    else if (!first) /* the first rows are in the pass already */
        at = fwd_more(s->f, row, n, NULL);
    if (at < 0)
        return at;
    for (int k = 0; k < n; k++) {
        struct chain *c = &s->chain[live[k]];
        c->row = !s->owns && first ? c->ask->row[0] : at + k;
        if (!s->owns)
            c->ask->row[c->tree->n] = c->row;
        heads[k] = c->row;
    }
    if (s->owns)
        return OTR_OK;
    fwd_embed(s->f);
    fwd_layers(s->f, 0, s->n_exit);
    return fwd_head(s->f, heads, n, NULL);
}

void shadow_end(const struct draft_ask *ask, int n_ask)
{
    for (int i = 0; i < n_ask; i++) /* reserved pages go back */
        kv_truncate(ask[i].kv, kv_len(ask[i].kv));
}

static int propose_some(struct shadow *s, const struct chain_opts *o, const struct draft_ask *ask, int n,
                        struct tree *out)
{
    struct fwd_row row[MAX_CHAINS] = {{0}};
    int live[MAX_CHAINS] = {0}, n_live = n;
    for (int i = 0; i < n; i++) {
        s->chain[i] = (struct chain){.ask = &ask[i], .tree = &out[i], .reach = 1};
        row[i] = (struct fwd_row){
            .token = ask[i].tok[ask[i].n - 1], .seq = ask[i].kv, .parent = FWD_END, .keep = FWD_KEEP_LOGITS};
        live[i] = i;
    }
    int rc = run_rows(s, row, live, n, true);
    while (rc == OTR_OK) {
        int m = 0;
        for (int k = 0; k < n_live; k++) {
            struct chain *c = &s->chain[live[k]];
            if (!grow(s, o, c))
                continue;
            row[m] = (struct fwd_row){
                .token = c->path[c->tree->n - 1], .seq = c->ask->kv, .parent = c->row, .keep = FWD_KEEP_LOGITS};
            live[m++] = live[k];
        }
        if ((n_live = m) == 0)
            break;
        rc = run_rows(s, row, live, n_live, false);
    }
    if (s->owns)
        shadow_end(ask, n);
    return rc == OTR_E_LIMIT ? OTR_OK : rc; /* no page for more: what there is may still be right */
}

int shadow_propose(struct shadow *s, const struct chain_opts *o, const struct draft_ask *ask, int n_ask,
                   struct tree *out)
{
    int rc = OTR_OK;
    if (!s->owns) { /* one pass for all: what it has no heads for is not drafted */
        s->f = ask->pass->f;
        fwd_set_head(s->f, shadow_head(s));
        rc = propose_some(s, o, ask, n_ask < MAX_CHAINS ? n_ask : MAX_CHAINS, out);
        fwd_set_head(s->f, NULL); /* the target's rows have the whole one */
        ask->pass->n_layer = s->n_exit;
        return rc;
    }
    for (int i = 0; i < n_ask && rc == OTR_OK; i += MAX_CHAINS)
        rc = propose_some(s, o, ask + i, n_ask - i < MAX_CHAINS ? n_ask - i : MAX_CHAINS, out + i);
    return rc;
}

/* ---- one by one ---- */

enum { MAX_MORE = 256 }; /* rows of one call */

int shadow_begin(struct shadow *s, const struct draft_ask *ask, int n_ask, int *row)
{
    struct fwd_row in[MAX_CHAINS] = {{0}};
    const int n = n_ask < MAX_CHAINS ? n_ask : MAX_CHAINS;
    for (int i = 0; i < n_ask; i++)
        row[i] = i < n ? i : -1;
    for (int i = 0; i < n; i++)
        in[i] = (struct fwd_row){
            .token = ask[i].tok[ask[i].n - 1], .seq = ask[i].kv, .parent = FWD_END, .keep = FWD_KEEP_LOGITS};
    s->n_row = n;
    return fwd_run(s->f, in, n, NULL);
}

int shadow_more(struct shadow *s, const struct draft_ask *ask, const struct draft_law_row *rows, int n)
{
    struct fwd_row in[MAX_MORE] = {{0}};
    const bool heads = n <= FWD_MAX_LOGITS;
    if (n > MAX_MORE)
        return OTR_E_LIMIT;
    for (int i = 0; i < n; i++)
        in[i] = (struct fwd_row){.token = rows[i].token,
                                 .seq = ask[rows[i].ask].kv,
                                 .parent = rows[i].parent,
                                 .keep = heads ? FWD_KEEP_LOGITS : 0};
    const int at = heads ? fwd_run_more(s->f, in, n, NULL) : fwd_more(s->f, in, n, NULL);
    if (at < 0)
        return at;
    s->n_row = at + n;
    if (!heads) { /* a head at a time, as laws are asked for */
        fwd_embed(s->f);
        fwd_layers(s->f, 0, s->n_layer);
    }
    return at;
}

const struct draft_row *shadow_law(struct shadow *s, const struct draft_ask *ask, const int32_t *path, int n_path,
                                   int row)
{
    if (!fwd_logits(s->f, row)) {
        int heads[FWD_MAX_LOGITS], n = 0;
        for (; n < FWD_MAX_LOGITS && row + n < s->n_row; n++)
            heads[n] = row + n;
        if (fwd_head(s->f, heads, n, NULL) < 0)
            return NULL;
    }
    return draft_row_make(&s->row, ask, path, n_path, fwd_logits(s->f, row), NULL) == OTR_OK ? &s->row : NULL;
}
