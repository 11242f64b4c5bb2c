/* Owns a causal model that drafts: which tokens its cache holds for each sequence, and the rows of the running pass.
 * See lm.h; read next: lm_files.c, draft_model.c.
 *
 * INV: the cache of a sequence holds n of its tokens, from the one at `skip` on, and nothing that was drafted unless
 * lm_follow saw the text take it. The rows of a pass are a tree below what its sequence held when the pass began. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "draft/lm_priv.h"

enum {
    CHUNK = 256,     /* rows of a pass that catches up */
    TAIL = 16,       /* missing tokens that run in the drafting pass itself */
    MORE_SEQS = 64,  /* sequences that are remembered beside those that fit at full length */
    FEW_AT_ONCE = 8, /* sequences of a pass that there is always room for */
    MAX_AT_ONCE = 64
};

struct lm_seq {
    uint64_t id;
    struct kv_seq *kv;
    int skip;     /* tokens at the beginning of its history that were never read */
    int n;        /* tokens in the cache */
    long used;    /* tick of the last lm_begin that asked for it */
    int32_t *tok; /* [n_ctx] the first n are in the cache: the history from skip on */
};

struct lm {
    const struct weights *w, *target;
    const struct tokenizer *tok; /* NULL: weights of the target */
    struct lm_files *files;      /* that count its cache */
    struct kv *kv;
    struct fwd *fwd;
    int n_ctx, n_read, n_page, cap_seq, n_seq;
    struct lm_seq **seq; /* [cap_seq] */
    long tick;
    uint64_t n_run; /* rows so far */
    const atomic_bool *stop;
    /* the pass: row i of it */
    int n_row, cap_row;
    struct lm_row *row;     /* [cap_row] */
    struct lm_seq **row_of; /* [cap_row] its sequence; NULL: it moved on */
    struct fwd_row *in;     /* [cap_row] of a call */
    int *want, n_want;      /* [cap_row] rows of the last call that may be asked for logits, ascending */
};

/* ---- memory ---- */

static int pages_of(int n_ctx)
{
    return (n_ctx + KV_PAGE - 1) / KV_PAGE;
}

static struct kv_shape shape_of(const struct draft_host *host, const struct hparams *hp)
{
    return (struct kv_shape){hp->n_layer, hp->n_head_kv, hp->d_head, kv_get_shape(host->kv)->type};
}

/* Every sequence at full length, and a copied last page each. */
static int pages_wanted(const struct draft_host *host)
{
    const long long n = ((long long)pages_of(host->n_ctx) + 1) * host->n_seq;
    return n < INT32_MAX ? (int)n : INT32_MAX;
}

static size_t cache_bytes(const struct draft_host *host, const struct hparams *hp)
{
    const struct kv_shape shape = shape_of(host, hp);
    return kv_page_bytes(&shape) * (size_t)pages_wanted(host);
}

static int lm_alloc(struct lm *m, const struct draft_host *host, struct pool *pool, struct otr_err *err)
{
    const int at_once = host->n_seq < FEW_AT_ONCE ? FEW_AT_ONCE : host->n_seq < MAX_AT_ONCE ? host->n_seq : MAX_AT_ONCE;
    const struct kv_shape shape = shape_of(host, &m->w->hp);
    m->files = host->files;
    m->n_ctx = host->n_ctx;
    m->n_page = pages_wanted(host);
    m->cap_seq = host->n_seq + MORE_SEQS;
    m->cap_row = CHUNK + at_once * (TAIL + 1 + TREE_MAX);
    m->seq = calloc((size_t)m->cap_seq, sizeof(struct lm_seq *));
    m->row = malloc((size_t)m->cap_row * sizeof *m->row);
    m->row_of = malloc((size_t)m->cap_row * sizeof(struct lm_seq *));
    m->in = malloc((size_t)m->cap_row * sizeof *m->in);
    m->want = malloc((size_t)m->cap_row * sizeof *m->want);
    if (!m->seq || !m->row || !m->row_of || !m->in || !m->want)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter's rows");
    const int rc = kv_create(&m->kv, &shape, m->n_page, at_once * TREE_MAX, err);
    if (rc < 0)
        return rc;
    m->files->cache_bytes += kv_bytes(m->kv);
    return fwd_create(&m->fwd, m->w, pool ? pool : host->pool, m->kv, &(struct fwd_opts){m->cap_row, m->n_ctx}, err);
}

int lm_context_param(const struct draft_env *env, int *n_read, struct otr_err *err)
{
    return draft_param_int(env, "context", 0, 0, 1000000, n_read, err);
}

int lm_open(struct lm **out, const struct draft_host *host, const struct lm_opts *o, struct otr_err *err)
{
    if (!host)
        return OTR_FAIL(err, ARG, "a drafter that is a model needs an engine to run in");
    struct lm *m = calloc(1, sizeof *m);
    if (!m)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter's model");
    int rc = OTR_OK;
    m->target = host->weights;
    m->n_read = o->n_read > 0 ? o->n_read : INT_MAX;
    m->w = o->weights ? o->weights : host->weights;
    if (o->path && !gguf_is_file(host->weights->g, o->path)) {
        const struct lm_file *f = NULL;
        if ((rc = lm_file_open(&f, host, o->path, cache_bytes, err)) == OTR_OK) {
            m->w = f->w;
            m->tok = f->tok;
        }
    }
    if (rc == OTR_OK && !m->tok) /* the weights are there */
        rc = lm_check_fits(host, "with the model's own weights", 0, cache_bytes(host, &m->w->hp), err);
    if (rc == OTR_OK)
        rc = lm_alloc(m, host, o->pool, err);
    if (rc < 0) {
        lm_close(m);
        return rc;
    }
    *out = m;
    return OTR_OK;
}

static void seq_free(struct lm_seq *s)
{
    if (!s)
        return;
    kv_drop(s->kv);
    free(s->tok);
    free(s);
}

void lm_close(struct lm *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->n_seq; i++)
        seq_free(m->seq[i]);
    fwd_destroy(m->fwd);
    if (m->kv)
        m->files->cache_bytes -= kv_bytes(m->kv);
    kv_destroy(m->kv);
    free(m->seq);
    free(m->row);
    free(m->row_of);
    free(m->in);
    free(m->want);
    free(m);
}

void lm_stop_on(struct lm *m, const atomic_bool *stop)
{
    m->stop = stop;
}

const struct weights *lm_weights(const struct lm *m)
{
    return m->w;
}

const struct tokenizer *lm_tokenizer(const struct lm *m)
{
    return m->tok;
}

size_t lm_bytes(const struct lm *m)
{
    const size_t pages = (size_t)(m->n_page - kv_pages_free(m->kv)) * kv_page_bytes(kv_get_shape(m->kv));
    return pages + (m->tok ? weights_bytes(m->w) : 0);
}

/* What a token of a prompt takes, relative. WHY twice: eight bits are multiplied faster than floats (SPEED.md, prompts:
 * 2.3 times with avx512vnni). */
static double prompt_cost(const struct weights *w)
{
    return weights_layer_products(w) * (act_kind_of(w->layer[0].q.type) == ACT_F32 ? 2 : 1);
}

struct draft_guess lm_guess(const struct lm *m)
{
    return (struct draft_guess){.row = (double)weights_bytes(m->w) / (double)weights_bytes(m->target),
                                .prompt = prompt_cost(m->w) / prompt_cost(m->target),
                                .reads = m->n_read};
}

uint64_t lm_rows_run(const struct lm *m)
{
    return m->n_run;
}

/* ---- sequences ---- */

static int find(const struct lm *m, uint64_t id)
{
    for (int i = 0; i < m->n_seq; i++)
        if (m->seq[i]->id == id)
            return i;
    return -1;
}

/* The rows of a sequence mean nothing any more. */
static void forget_rows(struct lm *m, const struct lm_seq *s)
{
    for (int i = 0; i < m->n_row; i++)
        if (m->row_of[i] == s)
            m->row_of[i] = NULL;
}

static void drop_at(struct lm *m, int i)
{
    forget_rows(m, m->seq[i]);
    seq_free(m->seq[i]);
    m->seq[i] = m->seq[--m->n_seq];
}

void lm_drop(struct lm *m, uint64_t seq)
{
    const int i = find(m, seq);
    if (i >= 0)
        drop_at(m, i);
}

/* The sequence that was not asked for longest goes; false: all belong to this tick. */
static bool evict(struct lm *m)
{
    int old = -1;
    for (int i = 0; i < m->n_seq; i++)
        if (m->seq[i]->used < m->tick && (old < 0 || m->seq[i]->used < m->seq[old]->used))
            old = i;
    if (old >= 0)
        drop_at(m, old);
    return old >= 0;
}

/* How many tokens of the cache are those of a history. */
static int common(const struct lm_seq *s, const int32_t *tok, int n)
{
    int k = 0;
    while (k < s->n && s->skip + k < n && s->tok[k] == tok[s->skip + k])
        k++;
    return k;
}

/* The drafted row under `parent` that holds a token. */
static int child_of(const struct lm *m, const struct lm_seq *s, int parent, int32_t token)
{
    for (int i = parent + 1; i < m->n_row; i++)
        if (m->row_of[i] == s && m->row[i].parent == parent && m->row[i].token == token)
            return i;
    return -1;
}

/* The cache of s becomes a piece of tok [n]: what it holds of it already, and drafted rows that it follows. */
static void settle(struct lm *m, struct lm_seq *s, const int32_t *tok, int n)
{
    int path[CHUNK], len = 0; /* at least TAIL + 1 + TREE_MAX */
    const int same = common(s, tok, n);
    if (same == s->n)
        for (int row = FWD_END; len < CHUNK && s->skip + s->n + len < n; len++) {
            if ((row = child_of(m, s, row, tok[s->skip + s->n + len])) < 0)
                break;
            path[len] = row;
        }
    forget_rows(m, s);
    if (same < s->n)
        kv_truncate(s->kv, same);
    else if (len > 0)
        fwd_commit(m->fwd, s->kv, path, len);
    if (len > 0) /* else the history may end before skip */
        memcpy(s->tok + same, tok + s->skip + same, (size_t)len * sizeof *tok);
    s->n = same + len;
}

void lm_follow(struct lm *m, uint64_t seq, const int32_t *tok, size_t n)
{
    const int i = find(m, seq);
    if (i >= 0 && n >= 1 && n <= (size_t)m->n_ctx) /* WHY one less: the newest token's row runs again, for its logits */
        settle(m, m->seq[i], tok, (int)n - 1);
}

/* A new sequence, from the cache of the one that shares most with it. */
static struct lm_seq *seq_new(struct lm *m, uint64_t id, const int32_t *tok, int n, struct otr_err *err)
{
    struct lm_seq *from = NULL, *s = calloc(1, sizeof *s);
    int same = 0, rc;
    if (m->n_seq == m->cap_seq && !evict(m)) {
        free(s);
        OTR_FAIL(err, LIMIT, "more than %d sequences of a drafter", m->cap_seq);
        return NULL;
    }
    for (int i = 0; i < m->n_seq; i++) {
        const int k = common(m->seq[i], tok, n);
        if (k > same) {
            same = k;
            from = m->seq[i];
        }
    }
    if (!s || !(s->tok = malloc((size_t)m->n_ctx * sizeof *s->tok))) {
        free(s);
        OTR_FAIL(err, NOMEM, "no memory for a sequence of a drafter");
        return NULL;
    }
    rc = from ? kv_fork(&s->kv, from->kv, err) : kv_seq_create(&s->kv, m->kv, m->n_ctx, err);
    if (rc < 0) {
        seq_free(s);
        return NULL;
    }
    if (from) {
        kv_truncate(s->kv, same);
        s->skip = from->skip;
        memcpy(s->tok, from->tok, (size_t)same * sizeof *tok);
    }
    s->n = same;
    s->id = id;
    return m->seq[m->n_seq++] = s;
}

/* ---- passes ---- */

/* One item and the sequence that holds it; NULL: it is out, there is no room. */
struct turn {
    struct lm_item *it;
    struct lm_seq *s;
};

static int missing(const struct turn *t)
{
    return (int)t->it->n - 1 - t->s->skip - t->s->n;
}

/* Gives up the last turn that is still in, so that the others have its pages. */
static bool give_up(struct lm *m, struct turn *turn, int n)
{
    while (n-- > 0)
        if (turn[n].s) {
            drop_at(m, find(m, turn[n].it->seq));
            turn[n].s = NULL;
            return true;
        }
    return false;
}

/* Rows of missing tokens, at most CHUNK; last: all of them, and the newest token and the chain behind it, with their
 * logits. */
static void add_rows(struct lm *m, const struct turn *turn, int n, bool last)
{
    m->n_row = m->n_want = 0;
    for (int i = 0; i < n; i++) {
        struct lm_seq *s = turn[i].s;
        if (!s)
            continue;
        int take = last ? missing(&turn[i]) + 1 + turn[i].it->n_ahead : missing(&turn[i]);
        if (!last && take > CHUNK - m->n_row)
            take = CHUNK - m->n_row;
        for (int k = 0; k < take; k++) {
            m->row[m->n_row] = (struct lm_row){k ? m->n_row - 1 : FWD_END, turn[i].it->tok[s->skip + s->n + k]};
            m->row_of[m->n_row++] = s;
        }
        if (last)
            turn[i].it->row = m->n_row - 1 - turn[i].it->n_ahead;
        for (int k = 0; last && k <= turn[i].it->n_ahead; k++)
            m->want[m->n_want++] = turn[i].it->row + k;
    }
}

/* Runs rows [first, n_row) of the pass; logits at once where one call of the head does. */
static int run_rows(struct lm *m, int first, struct otr_err *err)
{
    const bool heads = m->n_want <= FWD_MAX_LOGITS;
    const int n = m->n_row - first;
    for (int i = first; i < m->n_row; i++)
        m->in[i - first] =
            (struct fwd_row){.token = m->row[i].token, .seq = m->row_of[i]->kv, .parent = m->row[i].parent};
    for (int i = 0; i < m->n_want && heads; i++)
        m->in[m->want[i] - first].keep = FWD_KEEP_LOGITS;
    int rc;
    if (heads) {
        rc = first ? fwd_run_more(m->fwd, m->in, n, err) : fwd_run(m->fwd, m->in, n, err);
    } else if ((rc = first ? fwd_more(m->fwd, m->in, n, err) : fwd_begin(m->fwd, m->in, n, err)) >= 0) {
        fwd_embed(m->fwd);
        fwd_layers(m->fwd, 0, m->w->hp.n_layer);
    }
    m->n_run += rc < 0 ? 0 : (uint64_t)n;
    return rc;
}

/* A pass of what add_rows takes; makes room where there is none. */
static int begin_pass(struct lm *m, struct turn *turn, int n, bool last, struct otr_err *err)
{
    int rc;
    do {
        add_rows(m, turn, n, last);
        rc = m->n_row > 0 ? run_rows(m, 0, err) : OTR_OK;
    } while (rc == OTR_E_LIMIT && (evict(m) || give_up(m, turn, n)));
    return rc;
}

static bool far_behind(const struct turn *turn, int n)
{
    for (int i = 0; i < n; i++)
        if (turn[i].s && missing(&turn[i]) > TAIL)
            return true;
    return false;
}

/* Catches up in passes over all turns, until every one lacks a few tokens at most. */
static int catch_up(struct lm *m, struct turn *turn, int n, struct otr_err *err)
{
    while (far_behind(turn, n)) {
        const int rc = begin_pass(m, turn, n, false, err);
        if (rc < 0)
            return rc;
        for (int i = 0; i < n; i++)
            if (turn[i].s)
                settle(m, turn[i].s, turn[i].it->tok, (int)turn[i].it->n - 1);
        if (m->stop && atomic_load(m->stop))
            return OTR_FAIL(err, ABORTED, "a drafter was stopped on its way to a history");
    }
    return OTR_OK;
}

/* More than n_read tokens are never read again: a sequence that lacks as many starts anew from its last ones, and so
 * does one whose history has become so short that few are left behind its start. */
static void start_anew(struct lm *m, const struct turn *t)
{
    struct lm_seq *s = t->s;
    const int n = (int)t->it->n - 1;
    if (missing(t) <= m->n_read && (s->skip == 0 || n - s->skip >= m->n_read / 2))
        return;
    kv_truncate(s->kv, 0);
    s->n = 0;
    s->skip = n > m->n_read ? n - m->n_read : 0;
}

/* The sequences of items, settled: what they hold of their history is all that they hold. */
static int take_turns(struct lm *m, struct lm_item *items, int n, struct turn *turn, struct otr_err *err)
{
    if (n < 1 || n > MAX_AT_ONCE)
        return OTR_FAIL(err, LIMIT, "drafts of %d sequences at once (at most %d)", n, MAX_AT_ONCE);
    m->tick++;
    for (int i = 0; i < n; i++) {
        struct lm_item *it = &items[i];
        const int at = find(m, it->seq);
        turn[i] = (struct turn){it, NULL};
        it->row = -1;
        if (it->n < 1 || it->n + (size_t)it->n_ahead > (size_t)m->n_ctx)
            continue;
        if (at >= 0)
            settle(m, turn[i].s = m->seq[at], it->tok, (int)it->n - 1);
        else if (!(turn[i].s = seq_new(m, it->seq, it->tok, (int)it->n - 1, err)))
            continue;
        start_anew(m, &turn[i]);
        turn[i].s->used = m->tick;
    }
    return OTR_OK;
}

int lm_sync(struct lm *m, struct lm_item *items, int n, struct otr_err *err)
{
    struct turn turn[MAX_AT_ONCE];
    const int rc = take_turns(m, items, n, turn, err);
    return rc < 0 ? rc : catch_up(m, turn, n, err);
}

int lm_begin(struct lm *m, struct lm_item *items, int n, struct otr_err *err)
{
    struct turn turn[MAX_AT_ONCE];
    int rc = take_turns(m, items, n, turn, err);
    if (rc < 0)
        return rc;
    if ((rc = catch_up(m, turn, n, err)) == OTR_OK)
        rc = begin_pass(m, turn, n, true, err);
    if (rc < 0)
        m->n_row = m->n_want = 0;
    for (int i = 0; i < n; i++)
        if (!turn[i].s || rc < 0)
            items[i].row = -1;
    return rc;
}

int lm_more(struct lm *m, const struct lm_row *rows, int n, struct otr_err *err)
{
    const int first = m->n_row;
    int rc = OTR_OK;
    if (n < 1 || n > m->cap_row - first)
        return OTR_FAIL(err, LIMIT, "%d rows more in a drafter's pass of %d (at most %d)", n, first, m->cap_row);
    m->n_want = 0;
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        const int p = rows[i].parent;
        if (p < 0 || p >= first + i || !m->row_of[p]) {
            rc = OTR_FAIL(err, ARG, "drafted row %d: parent %d is not a row of this pass", i, p);
            break;
        }
        m->row[first + i] = rows[i];
        m->row_of[first + i] = m->row_of[p];
        m->want[m->n_want++] = first + i;
    }
    m->n_row = first + n;
    if (rc == OTR_OK)
        do
            rc = run_rows(m, first, err);
        while (rc == OTR_E_LIMIT && evict(m));
    if (rc < 0)
        m->n_row = first;
    return rc < 0 ? rc : first;
}

void lm_set_head(struct lm *m, const struct mat *head)
{
    fwd_set_head(m->fwd, head);
}

const float *lm_logits(struct lm *m, int row)
{
    const float *x = fwd_logits(m->fwd, row);
    int i = 0;
    while (i < m->n_want && m->want[i] != row)
        i++;
    if (x || i == m->n_want)
        return x;
    const int n = m->n_want - i < FWD_MAX_LOGITS ? m->n_want - i : FWD_MAX_LOGITS;
    return fwd_head(m->fwd, m->want + i, n, NULL) < 0 ? NULL : fwd_logits(m->fwd, row);
}
