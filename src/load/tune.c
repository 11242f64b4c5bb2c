/* Owns the timing of plans at start-up. See tune.h. */
#include "load/tune.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache_file.h"
#include "base/clock.h"
#include "base/hash.h"
#include "kern/blocks.h"

enum {
    MAX_TOK = 16,
    PIECE_ROWS = 4096, /* and no more than RUN_BYTES: a larger matrix is multiplied in pieces */
    RUN_BYTES = 4 << 20,
    MIN_ROUND = 3, /* fewer, and nothing is believed */
    MAX_ROUND = 15,
};
static const double GAIN = 1.02; /* what another plan must win by */

/* Matrices of one kind, and where the walk over them stands. */
struct trial {
    const struct kernels *k;
    struct pool *pool;
    struct mat *mats; /* views of pieces */
    size_t n_mat, next;
    size_t bytes;     /* of all */
    const void *zero; /* activations of any width and number of tokens: zero bytes are codes 0, scale 0 */
    float *out;       /* [MAX_TOK, PIECE_ROWS] */
    int n_tok;
    const struct tile_plan *plan; /* of the run */
    size_t n_run, run_bytes;
    double ms;
};

/* ---- the matrices ---- */

static int kind_of(const struct mat *m)
{
    return (int)plan_kind_of(m->type);
}

/* The i-th matrix of the model; 7 in a layer, the head last. NULL: no more. */
static struct mat *mat_at(struct weights *w, size_t i)
{
    enum { PER_LAYER = 7 };
    if (i == (size_t)w->hp.n_layer * PER_LAYER)
        return &w->head;
    if (i > (size_t)w->hp.n_layer * PER_LAYER)
        return NULL;
    struct layer_weights *L = &w->layer[i / PER_LAYER];
    struct mat *const mats[PER_LAYER] = {&L->q, &L->k, &L->v, &L->o, &L->gate, &L->up, &L->down};
    return mats[i % PER_LAYER];
}

/* Rows of a piece: a run must be short, whatever the matrix. */
static int piece_rows(const struct kernels *k, const struct mat *m)
{
    const size_t n = RUN_BYTES / k->pack_bytes(m->type, KERN_ROW_UNIT, m->n_cols) * KERN_ROW_UNIT;
    return n < KERN_ROW_UNIT ? KERN_ROW_UNIT : n > PIECE_ROWS ? PIECE_ROWS : (int)n;
}

/* Pieces of all matrices of a kind; t->mats NULL: counts them. Returns the largest number of columns. */
static int collect(struct trial *t, struct weights *w, int kind)
{
    int cols = 0;
    t->n_mat = t->bytes = 0;
    for (size_t i = 0; mat_at(w, i); i++) {
        const struct mat *m = mat_at(w, i);
        if (kind_of(m) != kind)
            continue;
        cols = m->n_cols > cols ? m->n_cols : cols;
        const int step = piece_rows(t->k, m);
        for (int lo = 0; lo < m->n_rows; lo += step) {
            const int n = m->n_rows - lo < step ? m->n_rows - lo : step;
            const char *data = (const char *)m->data + t->k->pack_bytes(m->type, lo, m->n_cols);
            if (t->mats)
                t->mats[t->n_mat] = (struct mat){.type = m->type, .n_rows = n, .n_cols = m->n_cols, .data = data};
            t->bytes += t->k->pack_bytes(m->type, n, m->n_cols);
            t->n_mat++;
        }
    }
    return cols;
}

/* ---- time ---- */

/* The run's pieces, each shared as in a pass. */
static void run_thread(const struct pool_ctx *ctx, void *arg)
{
    struct trial *t = arg;
    pool_barrier(ctx);
    const double t0 = clock_ms();
    for (size_t i = 0; i < t->n_run; i++) {
        struct mat m = t->mats[(t->next + i) % t->n_mat];
        int lo, hi;
        m.plan = t->plan;
        pool_share(ctx, m.n_rows, KERN_ROW_UNIT, &lo, &hi);
        if (lo < hi)
            t->k->matmul(t->out, (size_t)m.n_rows, &m, lo, hi, t->zero, t->n_tok);
    }
    pool_barrier(ctx);
    if (ctx->tid == 0)
        t->ms = clock_ms() - t0;
}

/* Bytes per millisecond of the next pieces. */
static double run_rate(struct trial *t, const struct tile_plan *plan)
{
    t->plan = plan;
    t->run_bytes = 0;
    for (t->n_run = 0; t->n_run < t->n_mat && t->run_bytes < RUN_BYTES; t->n_run++) {
        const struct mat *m = &t->mats[(t->next + t->n_run) % t->n_mat];
        t->run_bytes += t->k->pack_bytes(m->type, m->n_rows, m->n_cols);
    }
    pool_run(t->pool, run_thread, t);
    t->next = (t->next + t->n_run) % t->n_mat;
    return t->ms > 0 ? (double)t->run_bytes / t->ms : 0;
}

static double median(double *v, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && v[j - 1] > v[j]; j--) {
            const double x = v[j];
            v[j] = v[j - 1];
            v[j - 1] = x;
        }
    return v[n / 2];
}

/* The fastest plan of a class: all in turn until `end` (clock_ms). 0, the level's own, unless another is clearly
 * faster. */
static int8_t best_plan(struct trial *t, int kind, int class_, double end)
{
    const struct plan_menu *menu = t->k->menu;
    const int n = plan_n_choice(menu, kind, class_);
    assert(n > 0);
    double rate[PLAN_MAX_CHOICE][MAX_ROUND] = {{0}};
    int n_round = 0, best = 0;
    /* WHY a row of its own: the product looks its plan up by the number of tokens */
    struct tile_plan row[PLAN_N_CLASS] = {{0}};
    t->n_tok = plan_class_tokens(class_);
    for (; n_round < MAX_ROUND && (n_round == 0 || clock_ms() < end); n_round++)
        for (int c = 0; c < n; c++) {
            const int at = (c + n_round) % n; /* each is first in turn */
            row[class_] = menu->set[at].plan[kind][class_];
            rate[at][n_round] = run_rate(t, row);
        }
    if (n_round < MIN_ROUND)
        return 0;
    double most = GAIN * median(rate[0], n_round);
    for (int c = 1; c < n; c++) {
        const double r = median(rate[c], n_round);
        best = r > most ? c : best;
        most = r > most ? r : most;
    }
    return (int8_t)best;
}

/* Classes in which there is something to choose. */
static int n_open(const struct plan_menu *menu, int kind)
{
    int n = 0;
    for (int i = 0; i < PLAN_N_CLASS; i++)
        n += plan_n_choice(menu, kind, i) > 1;
    return n;
}

/* Times one kind for at most `ms`; without memory, nothing. */
static void time_kind(struct plan_choice *c, struct weights *w, struct pool *pool, int kind, double ms)
{
    struct trial t = {.k = &w->kern, .pool = pool};
    const int cols = collect(&t, w, kind), n = n_open(w->kern.menu, kind);
    if (t.n_mat == 0 || n == 0)
        return;
    const size_t out_bytes = (size_t)MAX_TOK * PIECE_ROWS * sizeof(float);
    size_t act_bytes = 0;
    for (int kd = 0; kd < ACT_N; kd++) { /* the widest: every kind of types has one */
        const size_t b = w->kern.act_bytes((enum act_kind)kd, cols, MAX_TOK);
        act_bytes = b > act_bytes ? b : act_bytes;
    }
    act_bytes = (act_bytes + 63) / 64 * 64;
    assert(t.n_mat > 0); /* unknown_kinds */
    t.mats = malloc(t.n_mat * sizeof *t.mats);
    char *zero = aligned_alloc(64, act_bytes);
    t.out = aligned_alloc(64, out_bytes);
    if (t.mats && zero && t.out) {
        memset(zero, 0, act_bytes);
        memset(t.out, 0, out_bytes);
        t.zero = zero;
        collect(&t, w, kind);
        double end = clock_ms();
        for (int i = 0; i < PLAN_N_CLASS; i++)
            if (plan_n_choice(w->kern.menu, kind, i) > 1) {
                end += ms / n;
                c->at[kind][i] = best_plan(&t, kind, i, end);
            } else {
                c->at[kind][i] = 0;
            }
    }
    free(t.mats);
    free(zero);
    free(t.out);
}

/* ---- the file ---- */

void tune_machine(char *buf, size_t cap, const struct kernels *k, int n_threads, size_t weight_bytes)
{
    char cpu[64];
    const size_t l2 = cache_bytes(2), l3 = cache_bytes(3);
    snprintf(buf, cap, "%s, L2 %zu, L3 %zu, level %s, %d threads, weights in %s", kern_cpu_name(cpu, sizeof cpu), l2,
             l3, k->level, n_threads, weight_bytes > l3 ? "memory" : "cache");
}

void tune_file(char *buf, size_t cap, const char *machine)
{
    snprintf(buf, cap, "plans-%016" PRIx64 ".txt", fnv1a(FNV1A_START, machine, strlen(machine)));
}

/* Kinds whose weights are worth timing and whose plans the file does not know. */
static int unknown_kinds(bool *unknown, struct weights *w, const struct plan_choice *c, int n_threads)
{
    const size_t l3 = cache_bytes(3), own = 2 * cache_bytes(2) * (size_t)n_threads,
                 least =
                     w->packed_bytes > l3 && l3 > own ? l3 : own; /* WHY l3: the walk must be as cold as a pass is */
    size_t bytes[PLAN_N_KIND] = {0};
    int n = 0;
    for (size_t i = 0; mat_at(w, i); i++) {
        const struct mat *m = mat_at(w, i);
        bytes[kind_of(m)] += w->kern.pack_bytes(m->type, m->n_rows, m->n_cols);
    }
    for (int k = 0; k < PLAN_N_KIND; k++) {
        unknown[k] = c->at[k][0] < 0 && bytes[k] > least && n_open(w->kern.menu, k) > 0;
        n += unknown[k];
    }
    return n;
}

void weights_tune(struct weights *w, struct pool *pool, const char *dir)
{
    char machine[TUNE_MACHINE_MAX], name[TUNE_NAME_MAX], text[PLAN_TEXT_MAX];
    const int n_threads = pool_n_threads(pool);
    struct plan_choice c;
    bool unknown[PLAN_N_KIND];
    if (!dir || !w->kern.menu || !w->packed)
        return;
    tune_machine(machine, sizeof machine, &w->kern, n_threads, w->packed_bytes);
    tune_file(name, sizeof name, machine);
    cache_read(text, sizeof text, dir, name);
    plan_read(&c, text, machine, w->kern.menu);
    const int n = unknown_kinds(unknown, w, &c, n_threads);
    for (int k = 0; k < PLAN_N_KIND; k++)
        if (unknown[k])
            time_kind(&c, w, pool, k, (double)TUNE_MS / n);
    if (n > 0)
        cache_write(dir, name, text, plan_write(text, sizeof text, machine, &c));
    plan_set_fill(&w->plans, w->kern.menu, &c);
    for (size_t i = 0; mat_at(w, i); i++)
        mat_at(w, i)->plan = w->plans.plan[kind_of(mat_at(w, i))];
}
