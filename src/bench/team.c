/* Owns the measuring threads and the probe of the pair factor. See team.h; read next: roof.c, machine.c. */
#include "bench/team.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "bench/weights_random.h"

enum { PROBE_ROWS = 64, PROBE_COLS = 1024, PROBE_TOK = 8, N_BARRIER = 2000 };

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

double team_ms(const struct team *t, uint64_t ticks)
{
    return (double)ticks / t->ticks_per_ms;
}

double team_span_ms(const struct team *t)
{
    uint64_t first = t->lane[0].start, last = t->lane[0].end;
    for (int i = 1; i < pool_n_threads(t->pool); i++) {
        first = t->lane[i].start < first ? t->lane[i].start : first;
        last = t->lane[i].end > last ? t->lane[i].end : last;
    }
    return last > first ? team_ms(t, last - first) : 0;
}

/* ---- the pair factor ---- */

static void probe_work(struct team *t, int tid)
{
    struct team_lane *l = &t->lane[tid];
    l->start = ticks_now();
    for (int i = 0; i < t->repeat; i++)
        t->k->matmul(l->out, PROBE_ROWS, &t->w, 0, PROBE_ROWS, t->act, PROBE_TOK);
    l->end = ticks_now();
}

static void probe_thread(const struct pool_ctx *ctx, void *arg)
{
    struct team *t = arg;
    gate_wait(&t->gate, 1, ctx->n_threads);
    probe_work(t, ctx->tid);
}

static double probe_alone_ms(struct team *t)
{
    double best = 0;
    for (int i = 0; i < 3; i++) {
        probe_work(t, 0);
        const double ms = team_ms(t, t->lane[0].end - t->lane[0].start);
        best = i == 0 || ms < best ? ms : best;
    }
    return best;
}

double team_pair_factor(struct team *t)
{
    const int n = pool_n_threads(t->pool);
    if (n == 1)
        return 1;
    nap_ms(5); /* the pool's threads stop spinning: alone is alone */
    const double alone = probe_alone_ms(t);
    t->best_alone_ms = t->best_alone_ms == 0 || alone < t->best_alone_ms ? alone : t->best_alone_ms;
    gate_reset(&t->gate);
    pool_run(t->pool, probe_thread, t);
    return n * t->best_alone_ms / team_span_ms(t);
}

void team_admit(struct team *t, struct pair_count *c, int n_pass)
{
    const int n = pool_n_threads(t->pool);
    const double wanted = n == 1 ? 0 : PAIR_LEAST * n;
    double f = team_pair_factor(t);
    while (f < wanted && c->n_dropped < 2 * n_pass) {
        c->n_dropped++;
        nap_ms(50);
        f = team_pair_factor(t);
    }
    c->n_low += f < wanted;
    c->sum += f;
    c->least = c->n == 0 || f < c->least ? f : c->least;
    c->n++;
}

/* ---- barriers, lost time ---- */

struct barrier_job {
    struct team *team;
    double *v; /* [N_BARRIER] ticks */
};

static void barrier_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct barrier_job *j = arg;
    for (int i = 0; i < N_BARRIER; i++) {
        const uint64_t t0 = ticks_now();
        pool_barrier(ctx);
        if (ctx->tid == 0)
            j->v[i] = (double)(ticks_now() - t0);
    }
}

double team_barrier_ns(struct team *t)
{
    double v[N_BARRIER];
    pool_run(t->pool, barrier_thread, &(struct barrier_job){t, v});
    return 1e6 * spread_of(v, N_BARRIER).median / t->ticks_per_ms;
}

struct poll_job {
    struct team *team;
    double ms;
};

static void poll_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct poll_job *j = arg;
    const uint64_t n = (uint64_t)(j->ms * j->team->ticks_per_ms), gap = (uint64_t)(0.002 * j->team->ticks_per_ms);
    const uint64_t t0 = ticks_now();
    uint64_t now = t0, lost = 0;
    while (now - t0 < n) {
        const uint64_t next = ticks_now();
        if (next - now > gap) /* 2 us: a poll takes 20 ns */
            lost += next - now;
        now = next;
    }
    struct team_lane *l = &j->team->lane[ctx->tid];
    l->start = t0;
    l->end = now; /* later than asked for by the last gap */
    l->lost = lost;
}

double team_lost_frac(struct team *t, double ms)
{
    double sum = 0;
    const int n = pool_n_threads(t->pool);
    pool_run(t->pool, poll_thread, &(struct poll_job){t, ms});
    for (int i = 0; i < n; i++)
        sum += (double)t->lane[i].lost / (double)(t->lane[i].end - t->lane[i].start);
    return sum / n;
}

/* ---- life ---- */

static double calibrate(void)
{
    const double ms0 = clock_ms();
    const uint64_t t0 = ticks_now();
    double ms;
    while ((ms = clock_ms()) - ms0 < 20)
        ;
    return (double)(ticks_now() - t0) / (ms - ms0);
}

/* NULL base: counts. The matrix's rows, its packed form, tokens, outputs. */
static void carve(struct team *t, struct arena *a, void **rows, float **x)
{
    const size_t packed = t->k->pack_bytes(GGML_Q8_0, PROBE_ROWS, PROBE_COLS);
    *rows = arena_take(a, PROBE_ROWS * mat_row_bytes(GGML_Q8_0, PROBE_COLS));
    void *p = arena_take(a, packed);
    t->w = (struct mat){.type = GGML_Q8_0, .n_rows = PROBE_ROWS, .n_cols = PROBE_COLS, .data = packed ? p : *rows};
    *x = arena_take(a, PROBE_TOK * PROBE_COLS * sizeof **x);
    t->act = arena_take(a, t->k->act_bytes(ACT_Q8, PROBE_COLS, PROBE_TOK));
    for (int i = 0; i < pool_n_threads(t->pool); i++)
        t->lane[i].out = arena_take(a, PROBE_TOK * PROBE_ROWS * sizeof(float));
}

static int probe_make(struct team *t, struct otr_err *err)
{
    struct arena a = {NULL, 0, SIZE_MAX / 2};
    void *rows;
    float *x;
    carve(t, &a, &rows, &x);
    const size_t bytes = (a.used + 63) / 64 * 64;
    if (!(t->arena = aligned_alloc(64, bytes)))
        return OTR_FAIL(err, NOMEM, "no memory for the probe of the pair factor");
    a = (struct arena){t->arena, 0, bytes};
    carve(t, &a, &rows, &x);
    rows_random(rows, GGML_Q8_0, PROBE_ROWS, PROBE_COLS, 1);
    if (t->w.data != rows)
        t->k->pack((void *)(uintptr_t)t->w.data, rows, GGML_Q8_0, PROBE_ROWS, PROBE_COLS, 0, PROBE_ROWS);
    floats_random(x, (size_t)PROBE_TOK * PROBE_COLS, 2);
    t->k->act_pack((void *)(uintptr_t)t->act, ACT_Q8, x, PROBE_COLS, PROBE_COLS, PROBE_TOK, 0, PROBE_TOK);
    t->repeat = 1;
    const double one = probe_alone_ms(t);
    t->repeat = one > 0 && one < 0.1 ? (int)(0.1 / one) + 1 : 1;
    return OTR_OK;
}

int team_open(struct team **out, const struct kernels *k, struct pool *pool, struct otr_err *err)
{
    const size_t n = (size_t)pool_n_threads(pool);
    struct team *t = aligned_alloc(64, sizeof *t);
    if (!t)
        return OTR_FAIL(err, NOMEM, "no memory for the measuring threads");
    memset(t, 0, sizeof *t);
    t->k = k;
    t->pool = pool;
    pool_set_active(pool, pool_n_threads(pool)); /* figures are of so many threads, whoever else is running */
    t->ticks_per_ms = calibrate();
    t->lane = aligned_alloc(64, n * sizeof *t->lane);
    int rc = t->lane ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for %zu measuring threads", n);
    if (rc == OTR_OK) {
        memset(t->lane, 0, n * sizeof *t->lane);
        rc = probe_make(t, err);
    }
    if (rc < 0) {
        team_close(t);
        return rc;
    }
    *out = t;
    return OTR_OK;
}

void team_close(struct team *t)
{
    if (!t)
        return;
    free(t->arena);
    free(t->lane);
    free(t);
}
