/* Owns the thread that drafts beside the target's pass, and the handover of work to it and from it. See beside.h.
 *
 * INV: between open and close the model, its cache and the sampler's scratch are the thread's alone. What both threads
 * see is under `lock`, which is held for copies only: two jobs (the one that waits, the one that runs) and the
 * outcomes of the running one. Read next: outcomes.h, fan.h, lm.h. */
#include "draft/beside.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "draft/chain_stop.h"
#include "draft/draft_row.h"
#include "draft/fan.h"
#include "draft/lm.h"
#include "draft/outcomes.h"

enum {
    MOST_SEQS = 64,
    LEAST_SEQS = 8,
    MOST_OUTCOMES = FAN_MAX + MOST_SEQS, /* every sequence has one at least */
    MOST_AT_PLACE = 16,
    MOST_BIAS = 256, /* of a reply's settings; what is left out makes drafts worse, not wrong */
    MOST_DROPS = 64
};

struct seq_job { /* one sequence of a job */
    struct outcome_base base;
    struct draft_ask ask; /* its pointers are into the fields below */
    int32_t *tok;         /* [n_ctx] the history, and the chain behind it */
    struct otr_logit_bias bias[MOST_BIAS];
    int32_t breaker[MOST_BIAS];
    /* under lock once the job runs: */
    int fan[TREE_MAX + 1], first, n_outcome; /* outcomes [first, first + n_outcome) */
    bool is_ready, counted;                  /* they are there; what came is in the statistics */
};
struct job {
    int n;
    double chance, exponent; /* of fan.h */
    struct seq_job *s;       /* [cap] */
};

struct beside {
    struct beside_opts o;
    const struct tokenizer *tok;
    int n_ctx, cap;
    /* engine thread */
    struct fan_stats stats;
    struct beside_counts counts;
    uint64_t open[MOST_SEQS]; /* [n_open] of the last job, outcome not known */
    int n_open;
    /* its own thread */
    struct pool *pool;
    struct lm *lm;
    struct draft_row row;
    struct tree *tree; /* scratch of draws */
    uint64_t rng;
    int tip[MOST_OUTCOMES]; /* the row to go on from; -1: none */
    /* both: */
    pthread_mutex_t lock;
    pthread_cond_t wake, idle; /* there is work; there is none */
    bool has_lock, has_thread;
    pthread_t thread;
    bool quit, has_job, busy;      /* under lock */
    struct job job[2], *next, *at; /* next: waits if has_job; at: runs, or ran last. Swapped under lock */
    struct outcome *outcome;       /* [MOST_OUTCOMES] of *at; written by the thread, under lock */
    uint64_t drop[MOST_DROPS];     /* [n_drop] under lock */
    int n_drop;
    size_t bytes;     /* under lock */
    atomic_bool stop; /* the running job is of no use any more */
};

/* ---- the thread: rows to tokens ---- */

/* Before each pass. */
static bool goes_on(struct beside *b)
{
    if (b->o.nap_ms > 0) {
        b->rng = b->rng * 6364136223846793005u + 1442695040888963407u;
        const double ms = b->o.nap_ms * (double)(b->rng >> 40) / (1 << 24);
        const struct timespec ts = {(time_t)(ms / 1000), (long)(fmod(ms, 1000) * 1e6)};
        nanosleep(&ts, NULL);
    }
    return !atomic_load(&b->stop);
}

/* The n best tokens of a row but `taken` (-1: none), by the law that the reply will draw by. Returns how many. */
static int best_tokens(struct beside *b, const struct seq_job *s, const int32_t *path, int n_path, int row,
                       int32_t taken, int n, int32_t *tok, float *conf)
{
    const float *logits = lm_logits(b->lm, row);
    struct tree_luck luck = s->ask.luck;
    int m = 0;
    if (!logits || draft_row_make(&b->row, &s->ask, path, n_path, logits, NULL) < 0)
        return 0;
    luck.n_before += (uint64_t)n_path;
    tree_clear(b->tree);
    if (taken >= 0)
        tree_add(b->tree, TREE_ROOT, taken, NAN, luck.n_vocab);
    for (int e; m < n && (e = tree_draw(b->tree, TREE_ROOT, b->row.id, b->row.p, b->row.n, &luck)) >= 0; m++) {
        tok[m] = b->tree->entry[e].token;
        conf[m] = m == 0 && taken < 0 ? chain_conf(b->row.p, b->row.n) : b->tree->entry[e].conf;
    }
    return m;
}

static bool ends_text(const struct beside *b, int32_t token)
{
    return token < tokenizer_n_vocab(b->tok) && tokenizer_is_end(b->tok, token); /* or the embedding's padding */
}

/* The best tokens at place j, by its row, become outcomes, in the slots that the fan has for them. */
static void fill_place(struct beside *b, int i, int j, int row)
{
    const struct seq_job *s = &b->at->s[i];
    const int32_t taken = j < s->base.n_chain ? s->base.chain[j] : -1;
    int32_t tok[MOST_AT_PLACE];
    float conf[MOST_AT_PLACE];
    int slot = s->first;
    for (int k = 0; k < j; k++)
        slot += s->fan[k];
    const int n = s->fan[j] > 0 ? best_tokens(b, s, s->base.chain, j, row, taken, s->fan[j], tok, conf) : 0;
    pthread_mutex_lock(&b->lock);
    for (int k = 0; k < n; k++) {
        struct outcome *o = &b->outcome[slot + k];
        o->at = j;
        o->n = 1;
        o->tok[0] = tok[k];
        o->conf[0] = conf[k];
    }
    pthread_mutex_unlock(&b->lock);
    for (int k = 0; k < n; k++)
        b->tip[slot + k] = ends_text(b, tok[k]) ? -1 : row; /* the parent of its first row */
}

/* How many outcomes each place of each sequence gets. */
static void share_fan(struct beside *b)
{
    struct job *job = b->at;
    int first = 0;
    for (int i = 0; i < job->n; i++) {
        struct seq_job *s = &job->s[i];
        const int share = b->o.fan / job->n + (i < b->o.fan % job->n), n = share > 0 ? share : 1;
        int fan[TREE_MAX + 1];
        fan_split(job->chance, job->exponent, s->base.n_chain, n, MOST_AT_PLACE, fan);
        pthread_mutex_lock(&b->lock);
        memcpy(s->fan, fan, sizeof *fan * (size_t)(s->base.n_chain + 1));
        s->first = first;
        s->n_outcome = n;
        pthread_mutex_unlock(&b->lock);
        first += n;
    }
}

/* ---- the thread: passes ---- */

/* A pass for the newest tokens and the chains behind them; the outcomes of each place. False: stopped, or no room. */
static bool run_places(struct beside *b)
{
    const struct job *job = b->at;
    struct lm_item items[MOST_SEQS];
    for (int i = 0; i < job->n; i++) {
        const struct outcome_base *s = &job->s[i].base;
        items[i] = (struct lm_item){.seq = s->seq, .tok = s->tok, .n = s->n, .n_ahead = s->n_chain, .row = -1};
    }
    if (!goes_on(b) || lm_begin(b->lm, items, job->n, NULL) < 0)
        return false;
    for (int i = 0; i < job->n; i++)
        for (int j = 0; j <= job->s[i].base.n_chain && items[i].row >= 0; j++)
            fill_place(b, i, j, items[i].row + j);
    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < job->n; i++)
        job->s[i].is_ready = items[i].row >= 0;
    pthread_mutex_unlock(&b->lock);
    return true;
}

/* One token more for an outcome whose newest token's row ran; false: its draft ends before it or with it. */
static bool write_on(struct beside *b, const struct seq_job *s, struct outcome *o, int row)
{
    int32_t path[TREE_MAX + OUTCOME_LEN], tok;
    float conf;
    memcpy(path, s->base.chain, (size_t)o->at * sizeof *path);
    memcpy(path + o->at, o->tok, (size_t)o->n * sizeof *path);
    if (best_tokens(b, s, path, o->at + o->n, row, -1, 1, &tok, &conf) < 1 || b->row.p[0] < b->o.p_min)
        return false;
    pthread_mutex_lock(&b->lock);
    o->tok[o->n] = tok;
    o->conf[o->n++] = conf;
    pthread_mutex_unlock(&b->lock);
    return !ends_text(b, tok);
}

/* A pass for the newest tokens of all outcomes that go on. Returns how many do, then. */
static int run_level(struct beside *b)
{
    const struct job *job = b->at;
    struct lm_row rows[MOST_OUTCOMES];
    int of[MOST_OUTCOMES], slot[MOST_OUTCOMES], n = 0, n_left = 0;
    for (int i = 0; i < job->n; i++)
        for (int k = job->s[i].first; k < job->s[i].first + job->s[i].n_outcome; k++)
            if (b->tip[k] >= 0) {
                const struct outcome *o = &b->outcome[k];
                rows[n] = (struct lm_row){b->tip[k], o->tok[o->n - 1]};
                of[n] = i;
                slot[n++] = k;
            }
    const int first = n > 0 ? lm_more(b->lm, rows, n, NULL) : -1;
    for (int i = 0; i < n && first >= 0; i++) {
        const bool more = write_on(b, &job->s[of[i]], &b->outcome[slot[i]], first + i);
        b->tip[slot[i]] = more ? first + i : -1;
        n_left += more;
    }
    return n_left;
}

static void work(struct beside *b)
{
    share_fan(b);
    for (int k = 0; k < MOST_OUTCOMES; k++)
        b->tip[k] = -1;
    if (!run_places(b))
        return;
    for (int d = 0; d < b->o.depth && goes_on(b) && run_level(b) > 0;)
        d++;
}

/* The next job becomes the running one. Under lock. */
static void begin_job(struct beside *b)
{
    struct job *old = b->at;
    b->at = b->next;
    b->next = old;
    b->has_job = false;
    atomic_store(&b->stop, false);
    memset(b->outcome, 0, MOST_OUTCOMES * sizeof *b->outcome);
}

static void *beside_main(void *arg)
{
    struct beside *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->quit) {
        uint64_t drop[MOST_DROPS];
        const int n_drop = b->n_drop;
        const bool has_job = b->has_job;
        if (!has_job && n_drop == 0) {
            b->busy = false;
            pthread_cond_signal(&b->idle);
            pthread_cond_wait(&b->wake, &b->lock);
            continue;
        }
        memcpy(drop, b->drop, sizeof drop);
        b->n_drop = 0;
        b->busy = true;
        if (has_job)
            begin_job(b);
        pthread_mutex_unlock(&b->lock);
        for (int i = 0; i < n_drop; i++)
            lm_drop(b->lm, drop[i]);
        if (has_job)
            work(b);
        const size_t bytes = lm_bytes(b->lm);
        pthread_mutex_lock(&b->lock);
        b->bytes = bytes;
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- the engine's side ---- */

/* What came after a base of this sequence: how good the guesses of the fan are. Under lock. */
static void count_outcome(struct beside *b, struct seq_job *s, const int32_t *after, size_t n)
{
    const int j = outcome_place(&s->base, after, n);
    bool missed = true;
    if (s->counted || (size_t)j >= n)
        return;
    for (int k = s->first; k < s->first + s->n_outcome; k++)
        missed &= b->outcome[k].at != j || b->outcome[k].n == 0 || b->outcome[k].tok[0] != after[j];
    if (s->is_ready)
        fan_see_outcome(&b->stats, s->fan[j], missed);
    s->counted = true;
}

void beside_take(struct beside *b, const struct draft_ask *ask, struct tree *out)
{
    const int most = ask->max_entries < TREE_MAX ? ask->max_entries : TREE_MAX;
    int32_t tok[TREE_MAX];
    float conf[TREE_MAX];
    int n = 0;
    bool late = true;
    pthread_mutex_lock(&b->lock);
    for (int own = 1; own >= 0 && n == 0; own--) /* WHY others: a forked sequence goes on where its parent was */
        for (int i = 0; i < b->at->n && n == 0; i++) {
            struct seq_job *s = &b->at->s[i];
            size_t n_after;
            const int32_t *after =
                (s->base.seq == ask->seq) == own ? outcome_after(&s->base, ask->tok, ask->n, &n_after) : NULL;
            if (!after)
                continue;
            if (own)
                count_outcome(b, s, after, n_after);
            late &= !s->is_ready;
            n = outcome_find(&s->base, b->outcome + s->first, s->n_outcome, after, n_after, most, tok, conf);
        }
    pthread_mutex_unlock(&b->lock);
    b->counts.hits += n > 0;
    b->counts.misses += n == 0;
    b->counts.late += n == 0 && late;
    for (int i = 0; i < n; i++)
        tree_add(out, i - 1, tok[i], conf[i], ask->luck.n_vocab);
}

/* Copies: what an ask points to is gone when the thread reads it. */
static void fill_seq(struct seq_job *s, const struct draft_ask *ask, const struct tree *chain, int n_ctx)
{
    const size_t n_bias = ask->sampling.n_bias < MOST_BIAS ? ask->sampling.n_bias : MOST_BIAS;
    const size_t n_br = ask->sampling.n_dry_breakers < MOST_BIAS ? ask->sampling.n_dry_breakers : MOST_BIAS;
    memcpy(s->tok, ask->tok, ask->n * sizeof *s->tok);
    if (n_bias > 0)
        memcpy(s->bias, ask->sampling.bias, n_bias * sizeof *s->bias);
    if (n_br > 0)
        memcpy(s->breaker, ask->sampling.dry_breakers, n_br * sizeof *s->breaker);
    s->ask = (struct draft_ask){.seq = ask->seq,
                                .tok = s->tok,
                                .n = ask->n,
                                .n_prompt = ask->n_prompt,
                                .max_entries = ask->max_entries,
                                .luck = ask->luck,
                                .sampling = ask->sampling};
    s->ask.sampling.bias = s->bias;
    s->ask.sampling.n_bias = n_bias;
    s->ask.sampling.dry_breakers = s->breaker;
    s->ask.sampling.n_dry_breakers = n_br;
    if (accept_rule_exact(ask->luck.rule) != EXACT_BYTES) /* chosen, not drawn: no noise of the step is read */
        s->ask.luck.rule = RULE_GREEDY;
    s->base.seq = ask->seq;
    s->base.tok = s->tok;
    s->base.n = ask->n;
    s->base.n_chain = chain->n < n_ctx - (int)ask->n ? chain->n : n_ctx - (int)ask->n;
    for (int i = 0; i < s->base.n_chain; i++) {
        s->base.chain[i] = s->tok[ask->n + (size_t)i] = chain->entry[i].token;
        s->base.conf[i] = chain->entry[i].conf;
    }
    s->n_outcome = s->first = 0;
    s->counted = s->is_ready = false;
}

int beside_give(struct beside *b, const struct draft_ask *ask, int n, const struct tree *chain)
{
    pthread_mutex_lock(&b->lock);
    struct job *job = b->next;
    job->n = 0;
    for (int i = 0; i < n && job->n < b->cap; i++)
        if (ask[i].n >= 1 && ask[i].n <= (size_t)b->n_ctx) {
            b->open[job->n] = ask[i].seq;
            fill_seq(&job->s[job->n++], &ask[i], &chain[i], b->n_ctx);
        }
    job->chance = fan_chance(&b->stats);
    job->exponent = b->o.exponent > 0 ? b->o.exponent : fan_exponent(&b->stats);
    b->n_open = job->n;
    b->has_job = job->n > 0;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    return b->n_open;
}

/* Until the thread has nothing to do, or for so long. Under lock. */
static void wait_idle(struct beside *b)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const double s = (double)until.tv_sec + 1e-9 * (double)until.tv_nsec + 1e-3 * b->o.wait_ms;
    until.tv_sec = (time_t)s;
    until.tv_nsec = (long)(1e9 * (s - floor(s)));
    while (b->has_job || (b->busy && !atomic_load(&b->stop)))
        if (pthread_cond_clockwait(&b->idle, &b->lock, CLOCK_MONOTONIC, &until) != 0)
            return;
}

int beside_seen(struct beside *b, uint64_t seq)
{
    int i = 0;
    while (i < b->n_open && b->open[i] != seq)
        i++;
    if (i == b->n_open)
        return b->n_open;
    b->open[i] = b->open[--b->n_open];
    pthread_mutex_lock(&b->lock);
    if (b->o.wait_ms > 0)
        wait_idle(b);
    b->has_job = false; /* the thread did not come to it */
    atomic_store(&b->stop, true);
    pthread_mutex_unlock(&b->lock);
    return b->n_open;
}

void beside_kept(struct beside *b, int n_tried, int n_kept)
{
    fan_see_chain(&b->stats, n_tried, n_kept);
}

void beside_drop(struct beside *b, uint64_t seq)
{
    pthread_mutex_lock(&b->lock);
    if (b->n_drop < MOST_DROPS) /* else its pages go when room is needed: lm.h */
        b->drop[b->n_drop++] = seq;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

size_t beside_bytes(struct beside *b)
{
    pthread_mutex_lock(&b->lock);
    const size_t bytes = b->bytes;
    pthread_mutex_unlock(&b->lock);
    return bytes;
}

struct beside_counts beside_get_counts(const struct beside *b)
{
    return b->counts;
}

/* ---- life ---- */

void beside_close(struct beside *b)
{
    if (!b)
        return;
    if (b->has_thread) {
        pthread_mutex_lock(&b->lock);
        b->quit = true;
        atomic_store(&b->stop, true);
        pthread_cond_signal(&b->wake);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->thread, NULL);
    }
    if (b->has_lock) {
        pthread_mutex_destroy(&b->lock);
        pthread_cond_destroy(&b->wake);
        pthread_cond_destroy(&b->idle);
    }
    draft_row_close(&b->row);
    lm_close(b->lm);
    pool_destroy(b->pool);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < b->cap && b->job[k].s; i++)
            free(b->job[k].s[i].tok);
        free(b->job[k].s);
    }
    free(b->outcome);
    free(b->tree);
    free(b);
}

static int take_memory(struct beside *b, struct otr_err *err)
{
    bool ok = (b->outcome = calloc(MOST_OUTCOMES, sizeof *b->outcome)) && (b->tree = malloc(sizeof *b->tree));
    for (int k = 0; k < 2 && ok; k++) {
        ok = (b->job[k].s = calloc((size_t)b->cap, sizeof *b->job[k].s)) != NULL;
        for (int i = 0; i < b->cap && ok; i++) /* untouched pages cost nothing */
            ok = (b->job[k].s[i].tok = malloc((size_t)b->n_ctx * sizeof(int32_t))) != NULL;
    }
    return ok ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for a drafter's jobs");
}

static int open_model(struct beside *b, const struct draft_env *env, struct otr_err *err)
{
    const struct draft_host *host = env->host;
    int rc = lm_open(&b->lm, host, &(struct lm_opts){.path = b->o.path, .pool = b->pool, .n_read = b->o.n_read}, err);
    if (rc == OTR_OK && lm_tokenizer(b->lm))
        rc = lm_check_vocabulary(env->tok, lm_tokenizer(b->lm), b->o.path, err);
    if (rc < 0)
        return rc;
    lm_stop_on(b->lm, &b->stop);
    b->bytes = lm_bytes(b->lm);
    const int n = lm_weights(b->lm)->hp.n_vocab; /* padding of the embedding may differ */
    return draft_row_open(&b->row, n < env->n_vocab ? n : env->n_vocab, &host->weights->kern, b->pool, err);
}

static int start(struct beside *b, struct otr_err *err)
{
    pthread_mutex_init(&b->lock, NULL); /* these cannot fail with default attributes */
    pthread_cond_init(&b->wake, NULL);
    pthread_cond_init(&b->idle, NULL);
    b->has_lock = true;
    if (pthread_create(&b->thread, NULL, beside_main, b) != 0)
        return OTR_FAIL(err, LIMIT, "cannot start a drafter's thread (--spec async): use fewer threads (-t)");
    b->has_thread = true;
    return OTR_OK;
}

int beside_open(struct beside **out, const struct draft_env *env, const struct beside_opts *o, struct otr_err *err)
{
    if (!env->host)
        return OTR_FAIL(err, ARG, "a drafter that is a model needs an engine to run in");
    struct beside *b = calloc(1, sizeof *b);
    if (!b)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    const int n = env->host->n_seq;
    b->o = *o;
    b->tok = env->tok;
    b->n_ctx = env->host->n_ctx;
    b->cap = n < LEAST_SEQS ? LEAST_SEQS : n > MOST_SEQS ? MOST_SEQS : n;
    b->rng = env->seed;
    b->at = &b->job[0];
    b->next = &b->job[1];
    int rc = take_memory(b, err);
    if (rc == OTR_OK)
        rc = pool_create(&b->pool, o->n_threads, err);
    if (rc == OTR_OK)
        rc = open_model(b, env, err);
    if (rc == OTR_OK)
        rc = start(b, err);
    if (rc < 0) {
        beside_close(b);
        return rc;
    }
    *out = b;
    return OTR_OK;
}
