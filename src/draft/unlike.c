/* Owns what the methods for a drafter with a vocabulary of its own share. See unlike.h. Read next: tli.c. */
#include "draft/unlike.h"

#include <stdlib.h>

#include "draft/psi.h"
#include "sample/sample_math.h"

/* ---- open, close ---- */

static const double FADE = 0.98; /* of what drafts were worth */

enum { PSI_TOP = 8, PSI_DEPTH = 6, PSI_LAWS = 24 };

/* top: children of a draft; depth: its cap; laws: how many that one psi may ask for. */
static int psi_open(struct unlike *u, const struct draft_env *env, struct otr_err *err)
{
    int rc;
    if (!(u->psi = calloc(1, sizeof *u->psi)))
        return OTR_FAIL(err, NOMEM, "no memory for drafts of text");
    if ((rc = draft_param_int(env, "top", PSI_TOP, 1, PSI_MAX_TOP, &u->psi->top, err)) < 0 ||
        (rc = draft_param_int(env, "depth", PSI_DEPTH, 1, PSI_MAX_DEPTH, &u->psi->depth, err)) < 0)
        return rc;
    return draft_param_int(env, "laws", PSI_LAWS, 1, PSI_MAX_ROWS, &u->psi->rows, err);
}

static int unlike_init(struct unlike *u, const struct unlike_way *way, const struct draft_env *env, struct otr_err *err)
{
    static const char *const keys[] = {"model", "context", "p_min", FEW_ROWS_PARAMS, "top", "depth", "laws"};
    struct lm_opts lo = {.path = draft_param_get(env, "model")};
    const struct otr_sampling sp = otr_sampling_default();
    int rc;
    u->way = way;
    u->target = env->tok;
    u->n_vocab = env->n_vocab;
    u->seqs.size = sizeof(struct unlike_seq);
    if ((rc = draft_param_check(env, keys, way == &unlike_slrs ? 8 : 5, err)) < 0 ||
        (rc = lm_context_param(env, &lo.n_read, err)) < 0 ||
        (rc = draft_param_real(env, "p_min", 0.3, 0, 1, &u->p_min, err)) < 0 ||
        (way == &unlike_slrs && (rc = psi_open(u, env, err)) < 0))
        return rc;
    if (!lo.path || !env->host)
        return OTR_FAIL(err, ARG, "no drafter (--spec): the method needs model=FILE");
    if ((rc = lm_open(&u->lm, env->host, &lo, err)) < 0)
        return rc;
    u->draft = lm_tokenizer(u->lm) ? lm_tokenizer(u->lm) : env->tok;
    const struct weights *w = lm_weights(u->lm);
    if ((rc = vocab_map_open(&u->map, env->tok, u->draft, env->host->cache_dir, err)) < 0 ||
        (rc = few_rows_open(&u->few, env, u->draft, w, w->head.type, err)) < 0 ||
        (rc = sampler_open(&u->sampler, &sp, u->few ? u->few->n : w->hp.n_vocab, err)) < 0)
        return rc;
    if (u->few)
        lm_set_head(u->lm, &u->few->head);
    sampler_use(u->sampler, &w->kern, env->host->pool);
    return OTR_OK;
}

int unlike_create(void **self, const struct unlike_way *way, const struct draft_env *env, struct otr_err *err)
{
    struct unlike *u = calloc(1, sizeof *u);
    if (!u)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    const int rc = unlike_init(u, way, env, err);
    if (rc < 0)
        unlike_close(u);
    else
        *self = u;
    return rc;
}

static void drop(struct unlike *u, uint64_t seq)
{
    struct unlike_seq *s = draft_seqs_find(&u->seqs, seq);
    if (!s)
        return;
    retext_fini(&s->text);
    lm_drop(u->lm, seq);
    draft_seqs_drop(&u->seqs, seq);
}

void unlike_close(void *self)
{
    struct unlike *u = self;
    for (int i = 0; i < u->seqs.cap; i++)
        if (u->seqs.seq[i])
            drop(u, u->seqs.seq[i]);
    draft_seqs_close(&u->seqs);
    sampler_close(u->sampler);
    vocab_map_close(u->map);
    lm_close(u->lm);
    few_rows_close(u->few);
    free(u->psi);
    free(u->item);
    free(u->row);
    free(u->seq);
    free(u);
}

size_t unlike_bytes(const void *self)
{
    const struct unlike *u = self;
    return lm_bytes(u->lm) + (u->few ? u->few->bytes : 0) +
           sizeof(int32_t) * (size_t)(u->map->n_draft + u->map->n_target);
}

/* ---- the drafter's law ---- */

/* The reply's settings, made short; without those that name tokens of the target. */
static struct otr_sampling short_settings(const struct otr_sampling *from)
{
    const bool warm = from->temp > 0;
    struct otr_sampling sp = otr_sampling_default();
    sp.temp = warm ? from->temp : 1;
    sp.top_k = warm && from->top_k > 0 && from->top_k < UNLIKE_TOP ? from->top_k : UNLIKE_TOP;
    sp.top_p = warm ? from->top_p : 1;
    sp.min_p = warm ? from->min_p : 0;
    sp.seed = 0;
    return sp;
}

int unlike_law_at(struct unlike *u, int row, const struct draft_ask *ask, struct unlike_law *law)
{
    const struct otr_sampling sp = short_settings(&ask->sampling);
    const struct history none = {0};
    struct dist d;
    double sum = 0, shared = 0, all = 0;
    int rc;
    law->n = 0;
    const float *logits = lm_logits(u->lm, row);
    if (!logits)
        return OTR_OK;
    if ((rc = sampler_set(u->sampler, &sp, NULL)) < 0 || (rc = sampler_dist(u->sampler, logits, &none, &d, NULL)) < 0)
        return rc;
    for (int i = 0; i < d.n && law->n < UNLIKE_TOP; i++) {
        const int32_t id = u->few ? u->few->id[d.id[i]] : d.id[i],
                      t = id < u->map->n_draft ? u->map->target_of[id] : -1;
        const double w = sample_exp((double)d.logit[i] - (double)d.logit[0]);
        all += w;
        shared += t >= 0 ? w : 0;
        if (id >= u->map->n_draft || (t < 0 && tokenizer_is_special(u->draft, id)))
            continue;
        law->id[law->n] = id;
        sum += law->q[law->n++] = w;
    }
    u->shared += shared / all;
    u->n_law++;
    for (int i = 0; i < law->n; i++)
        law->q[i] /= sum;
    return OTR_OK;
}

bool unlike_push(const struct unlike *u, struct unlike_seq *s, int32_t id, double conf)
{
    s->path[s->n] = id;
    s->conf[s->n++] = conf;
    return s->n < UNLIKE_MAX && !tokenizer_is_special(u->draft, id);
}

/* ---- the walk ---- */

static int reserve(struct unlike *u, int n)
{
    if (n <= u->cap)
        return OTR_OK;
    struct lm_item *item = realloc(u->item, (size_t)n * sizeof *item);
    u->item = item ? item : u->item;
    struct lm_row *row = realloc(u->row, (size_t)n * sizeof *row);
    u->row = row ? row : u->row;
    struct unlike_seq **seq = realloc(u->seq, (size_t)n * sizeof *seq);
    u->seq = seq ? seq : u->seq;
    if (!item || !row || !seq)
        return OTR_E_NOMEM;
    u->cap = n;
    /* cppcheck-suppress memleak ; u has them */
    return OTR_OK;
}

/* Every sequence's history in the drafter's ids. */
static int follow_all(struct unlike *u, const struct draft_ask *ask, int n_ask)
{
    int rc = reserve(u, n_ask);
    for (int i = 0; i < n_ask && rc == OTR_OK; i++) {
        struct unlike_seq *s = u->seq[i] = draft_seqs_get(&u->seqs, ask[i].seq);
        if (!s)
            return OTR_E_NOMEM;
        if (!s->text.map)
            retext_init(&s->text, u->target, u->draft, u->map);
        rc = retext_follow(&s->text, ask[i].tok, ask[i].n, NULL);
        u->item[i] = (struct lm_item){.seq = ask[i].seq, .tok = s->text.z.id, .n = s->text.z.n, .row = -1};
    }
    return rc;
}

int unlike_prepare(void *self, const struct draft_ask *ask, int n_ask)
{
    struct unlike *u = self;
    const int rc = follow_all(u, ask, n_ask);
    return rc < 0 ? rc : lm_sync(u->lm, u->item, n_ask, NULL);
}

/* One token more for every chain that goes on; their number, or an error. */
static int advance(struct unlike *u, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    int n = 0;
    for (int i = 0; i < n_ask; i++) {
        struct unlike_law law;
        struct unlike_seq *s = u->seq[i];
        if (s->row < 0 || !s->way->next)
            continue;
        const int rc = unlike_law_at(u, s->row, &ask[i], &law), at = s->row;
        if (rc < 0)
            return rc;
        s->row = -1;
        if (law.n == 0 || !s->way->next(u, s, &ask[i], &law, &out[i]))
            continue;
        u->row[n] = (struct lm_row){at, s->path[s->n - 1]};
        s->row = n++;
    }
    const int first = n > 0 ? lm_more(u->lm, u->row, n, NULL) : 0;
    for (int i = 0; i < n_ask; i++)
        u->seq[i]->row = u->seq[i]->row < 0 || first < 0 ? -1 : first + u->seq[i]->row;
    return first < 0 ? 0 : n;
}

int unlike_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct unlike *u = self;
    int rc = follow_all(u, ask, n_ask), n = 1;
    if (rc == OTR_OK)
        rc = lm_begin(u->lm, u->item, n_ask, NULL);
    for (int i = 0; i < n_ask && rc == OTR_OK; i++) {
        struct unlike_seq *s = u->seq[i];
        s->n = 0;
        s->row = u->item[i].row;
        s->way = u->way ? u->way : unlike_choose(u, &ask[i]);
        s->score = &u->score[ask[i].luck.rule != RULE_GREEDY][s->way->name];
        s->root.n = 0;
        if (s->way->alone && s->row >= 0) /* now: rows of a later call take the place of these */
            rc = unlike_law_at(u, s->row, &ask[i], &s->root);
    }
    for (int i = 0; i < n_ask && rc == OTR_OK; i++)
        if (u->seq[i]->way->alone && u->seq[i]->root.n > 0)
            rc = u->seq[i]->way->alone(u, u->seq[i], &ask[i], &out[i]);
    while (rc == OTR_OK && n > 0)
        rc = (n = advance(u, ask, n_ask, out)) < 0 ? n : OTR_OK;
    for (int i = 0; i < n_ask && rc == OTR_OK; i++)
        if (u->seq[i]->way->finish)
            rc = u->seq[i]->way->finish(u, u->seq[i], &ask[i], &out[i]);
    return rc;
}

int unlike_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct unlike *u = self;
    for (int i = 0; i < n_seen; i++) {
        struct unlike_seq *s = draft_seqs_find(&u->seqs, seen[i].seq);
        if (s && seen[i].event == SEEN_FINISHED) {
            few_rows_seen(u->few, s->text.z.id, s->text.z.n);
            drop(u, seen[i].seq);
            continue;
        }
        if (!s || seen[i].event != SEEN_STEP)
            continue;
        if (retext_follow(&s->text, seen[i].tok, seen[i].n, NULL) == OTR_OK)
            lm_follow(u->lm, seen[i].seq, s->text.z.id, s->text.z.n);
        if (seen[i].mine && s->score) {
            s->score->n = s->score->n * FADE + 1;
            s->score->kept = s->score->kept * FADE + seen[i].n_path;
        }
    }
    return OTR_OK;
}

/* ---- a draft as entries ---- */

/* The product of the confidences of the drafted tokens that begin before byte `end` of the draft; *j, *at: the next one
 * and where it begins. */
static double conf_until(const struct unlike *u, const struct unlike_seq *s, size_t end, int *j, size_t *at)
{
    double conf = 1;
    for (; *j < s->n && *at < end; ++*j) {
        size_t n;
        tokenizer_bytes(u->draft, s->path[*j], false, &n);
        *at += n;
        conf *= s->conf[*j];
    }
    return conf;
}

int unlike_add_text(struct unlike *u, struct unlike_seq *s, int parent, int skip, int max_entries, struct tree *out)
{
    int32_t tok[UNLIKE_MAX];
    size_t end = 0, at = 0;
    int j = 0;
    const int n = retext_back(&s->text, s->path, s->n, tok, UNLIKE_MAX, NULL);
    for (int k = 0; k < n && out->n < max_entries; k++) {
        size_t bytes;
        tokenizer_bytes(u->target, tok[k], false, &bytes);
        end = bytes > 0 ? end + bytes : SIZE_MAX;
        const double conf = conf_until(u, s, end, &j, &at);
        if (k < skip)
            continue;
        if ((parent = tree_add(out, parent, tok[k], (float)conf, u->n_vocab)) < 0)
            break;
    }
    return n < 0 ? n : OTR_OK;
}

struct draft_guess unlike_guess(const void *self)
{
    return lm_guess(((const struct unlike *)self)->lm);
}
