/* Owns the sweeps over matrices in memory: the bits, the times of chunks, the peak from cache. See sweep.h.
 * Read next: bench_kernels.c, bench_ab.c. */
#include "bench/sweep.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "bench/weights_random.h"
#include "kern/blocks.h"
#include "load/gguf.h"

enum { CHUNK_BYTES = 1 << 20, CACHED_BYTES = 128 << 10, CACHED_REPEAT = 3 };

size_t sweep_n_item(const struct sweep *s)
{
    return (size_t)SWEEP_N_KIND * (size_t)s->n_mat * (size_t)s->n_chunk;
}

static struct mat mat_at(const struct sweep *s, int i)
{
    return (struct mat){.type = s->type,
                        .n_rows = s->n_rows,
                        .n_cols = s->n_cols,
                        .data = s->weights + (size_t)i * s->mat_bytes,
                        .plan = s->plan};
}

/* ---- memory ---- */

static void carve(struct sweep *s, struct arena *a)
{
    const enum act_kind kind = act_kind_of(s->type);
    s->x = arena_take(a, (size_t)(BENCH_MAX_M * s->n_cols) * sizeof(float));
    s->out = arena_take(a, size_mul(BENCH_MAX_M * sizeof(float), (size_t)s->n_rows));
    s->ref = arena_take(a, size_mul(BENCH_MAX_M * sizeof(float), (size_t)s->n_rows));
    for (int m = 1; m <= BENCH_MAX_M; m++) {
        s->act[m] = arena_take(a, s->k->act_bytes(kind, s->n_cols, m));
        s->one[m - 1] = arena_take(a, s->k->act_bytes(kind, s->n_cols, 1));
    }
}

static int make_acts(struct sweep *s, struct otr_err *err)
{
    struct arena a = {NULL, 0, SIZE_MAX / 2};
    const enum act_kind kind = act_kind_of(s->type);
    const size_t ld = (size_t)s->n_cols;
    carve(s, &a);
    const size_t bytes = (a.used + 63) / 64 * 64;
    if (!(s->arena = aligned_alloc(64, bytes)))
        return OTR_FAIL(err, NOMEM, "no memory for the activations");
    a = (struct arena){s->arena, 0, bytes};
    carve(s, &a);
    floats_random(s->x, BENCH_MAX_M * ld, 4);
    for (int m = 1; m <= BENCH_MAX_M; m++) {
        s->k->act_pack((void *)(uintptr_t)s->act[m], kind, s->x, ld, s->n_cols, m, 0, m);
        s->k->act_pack((void *)(uintptr_t)s->one[m - 1], kind, s->x + (size_t)(m - 1) * ld, ld, s->n_cols, 1, 0, 1);
    }
    return OTR_OK;
}

/* A thread makes what it will read: its pages are near it. */
static void fill_thread(const struct pool_ctx *ctx, void *arg)
{
    struct sweep *s = arg;
    int lo, hi;
    pool_share(ctx, s->n_rows, KERN_ROW_UNIT, &lo, &hi);
    const size_t pitch = s->mat_bytes / (size_t)s->n_rows, at = (size_t)lo * pitch, n = (size_t)(hi - lo) * pitch;
    if (s->packed && lo < hi)
        s->k->pack(s->weights, s->rows, s->type, s->n_rows, s->n_cols, lo, hi);
    else
        memcpy(s->weights + at, s->rows + at, n);
    for (int i = 1; i < s->n_mat; i++)
        memcpy(s->weights + (size_t)i * s->mat_bytes + at, s->weights + at, n);
}

static int make_weights(struct sweep *s, struct otr_err *err)
{
    s->weights = bench_map((size_t)s->n_mat * s->mat_bytes);
    if (!s->weights || !(s->rows = malloc(s->row_bytes)))
        return OTR_FAIL(err, NOMEM, "no memory for %zu MB of weights (--mb)", (size_t)s->n_mat * s->mat_bytes >> 20);
    rows_random(s->rows, s->type, s->n_rows, s->n_cols, 3);
    pool_run(s->team->pool, fill_thread, s);
    return OTR_OK;
}

/* ---- the bits ---- */

static void check_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct sweep *s = arg;
    const struct mat w = mat_at(s, 0);
    int lo, hi;
    pool_share(ctx, s->n_rows, KERN_ROW_UNIT, &lo, &hi);
    if (lo < hi)
        s->k->matmul(s->m_out, (size_t)s->n_rows, &w, lo, hi, s->m_act, s->m);
}

void sweep_check(struct sweep *s, bool *same)
{
    const size_t ld = (size_t)s->n_rows;
    for (int i = 0; i < BENCH_MAX_M; i++) {
        s->m = 1;
        s->m_act = s->one[i];
        s->m_out = s->ref + (size_t)i * ld;
        pool_run(s->team->pool, check_thread, s);
    }
    for (int m = 1; m <= BENCH_MAX_M; m++) {
        s->m = m;
        s->m_act = s->act[m];
        s->m_out = s->out;
        memset(s->out, 0xff, BENCH_MAX_M * ld * sizeof *s->out);
        pool_run(s->team->pool, check_thread, s);
        same[m - 1] = memcmp(s->out, s->ref, (size_t)m * ld * sizeof *s->out) == 0;
    }
}

/* ---- time ---- */

static void work(const struct sweep *s, struct team_lane *l, int kind, int mat, int lo, int hi)
{
    if (lo >= hi)
        return;
    const struct mat w = mat_at(s, mat);
    if (kind >= ROOF_N) {
        const int m = kind - ROOF_N + 1;
        s->k->matmul(s->out, (size_t)s->n_rows, &w, lo, hi, s->act[m], m);
        return;
    }
    const size_t pitch = s->mat_bytes / (size_t)s->n_rows;
    l->sink ^= roof_read((const char *)w.data + (size_t)lo * pitch, (size_t)(hi - lo) * pitch, kind);
}

static void pass_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct sweep *s = arg;
    struct team_lane *l = &s->team->lane[ctx->tid];
    struct sweep_span *span = s->span + (size_t)ctx->tid * sweep_n_item(s);
    uint64_t round = 0;
    int lo, hi;
    pool_share(ctx, s->n_rows, KERN_ROW_UNIT, &lo, &hi);
    for (int kind = 0; kind < SWEEP_N_KIND; kind++)
        for (int mat = 0; mat < s->n_mat; mat++)
            for (int c = 0; c < s->n_chunk; c++, span++) {
                const struct pool_ctx part = {.tid = c, .n_threads = s->n_chunk};
                int a, b;
                pool_share(&part, hi - lo, KERN_ROW_UNIT, &a, &b);
                gate_wait(&s->team->gate, ++round, ctx->n_threads);
                span->start = ticks_now();
                work(s, l, kind, mat, lo + a, lo + b);
                span->end = ticks_now();
            }
}

void sweep_pass(struct sweep *s, int pass, int n_pass)
{
    const size_t n = sweep_n_item(s);
    gate_reset(&s->team->gate);
    pool_run(s->team->pool, pass_thread, s);
    for (size_t i = 0; i < n; i++) {
        uint64_t first = s->span[i].start, last = s->span[i].end;
        for (int t = 1; t < pool_n_threads(s->team->pool); t++) {
            const struct sweep_span *p = &s->span[(size_t)t * n + i];
            first = p->start < first ? p->start : first;
            last = p->end > last ? p->end : last;
        }
        s->ms[i * (size_t)n_pass + (size_t)pass] = team_ms(s->team, last - first);
    }
}

struct spread sweep_sum(const struct sweep *s, int kind, int n_pass)
{
    const size_t n = sweep_n_item(s) / SWEEP_N_KIND;
    struct spread sum = {0};
    for (size_t i = (size_t)kind * n; i < ((size_t)kind + 1) * n; i++) {
        const struct spread one = spread_of(s->ms + i * (size_t)n_pass, (size_t)n_pass);
        spread_add(&sum, &one);
    }
    return sum;
}

/* ---- the peak: a piece of the matrix that stays in a core's own cache ---- */

static int cached_rows(const struct sweep *s, int n)
{
    const size_t unit = s->mat_bytes / (size_t)s->n_rows * KERN_ROW_UNIT;
    const size_t want = (CACHED_BYTES + unit - 1) / unit * KERN_ROW_UNIT;
    return want < (size_t)n ? (int)want : n;
}

double sweep_gop(const struct sweep *s, int n_rows, int m)
{
    return 2e-9 * n_rows * s->n_cols * m;
}

static void peak_thread(const struct pool_ctx *ctx, void *arg)
{
    struct sweep *s = arg;
    struct team_lane *l = &s->team->lane[ctx->tid];
    const struct mat w = mat_at(s, 0);
    uint64_t round = 0;
    int lo, hi, all = 0;
    for (int i = 0; i < ctx->n_threads; i++) {
        const struct pool_ctx other = {.tid = i, .n_threads = ctx->n_threads};
        pool_share(&other, s->n_rows, KERN_ROW_UNIT, &lo, &hi);
        all += cached_rows(s, hi - lo);
    }
    pool_share(ctx, s->n_rows, KERN_ROW_UNIT, &lo, &hi);
    const int n = cached_rows(s, hi - lo);
    for (int m = 1; m <= BENCH_MAX_M; m++)
        for (int i = 0; i < CACHED_REPEAT; i++) {
            gate_wait(&s->team->gate, ++round, ctx->n_threads);
            l->start = ticks_now();
            if (n > 0)
                s->k->matmul(s->out, (size_t)s->n_rows, &w, lo, lo + n, s->act[m], m);
            l->end = ticks_now();
            gate_wait(&s->team->gate, ++round, ctx->n_threads);
            if (ctx->tid > 0)
                continue; /* INV: nobody starts again before thread 0 comes to the next gate */
            const double ms = team_span_ms(s->team), gops = ms > 0 ? 1e3 * sweep_gop(s, all, m) / ms : 0;
            s->peak_gops = gops > s->peak_gops ? gops : s->peak_gops;
        }
}

/* One thread, while the pool sleeps. */
static double peak_alone(const struct sweep *s)
{
    const struct mat w = mat_at(s, 0);
    const int n = cached_rows(s, s->n_rows);
    double best = 0;
    for (int m = 1; m <= BENCH_MAX_M; m++)
        for (int i = 0; i < CACHED_REPEAT; i++) {
            const uint64_t t0 = ticks_now();
            s->k->matmul(s->out, (size_t)s->n_rows, &w, 0, n, s->act[m], m);
            const double ms = team_ms(s->team, ticks_now() - t0), gops = ms > 0 ? 1e3 * sweep_gop(s, n, m) / ms : 0;
            best = gops > best ? gops : best;
        }
    return best;
}

void sweep_peaks(struct sweep *s, double *all, double *alone)
{
    const double one = peak_alone(s);
    gate_reset(&s->team->gate);
    pool_run(s->team->pool, peak_thread, s);
    *alone = one > *alone ? one : *alone;
    *all = s->peak_gops;
}

/* ---- life ---- */

static int size_up(struct sweep *s, const struct bench_kernel_opts *o, struct otr_err *err)
{
    const int block = block_values(s->type), n_threads = pool_n_threads(s->team->pool);
    if (o->n_cols % block != 0)
        return OTR_FAIL(err, ARG, "bad value (-K): %d is not a multiple of %d, the block of %s", o->n_cols, block,
                        ggml_type_name((uint32_t)s->type));
    const size_t packed = s->k->pack_bytes(s->type, s->n_rows, s->n_cols);
    s->row_bytes = mat_row_bytes(s->type, s->n_cols) * (size_t)s->n_rows;
    s->packed = packed > 0;
    s->mat_bytes = s->packed ? packed : s->row_bytes;
    if (s->n_mat > 0) /* given */
        return OTR_OK;
    const size_t n = ((size_t)o->mb << 20) / s->mat_bytes;
    s->n_mat = n > 1 ? (int)n : 1;
    const size_t chunks = s->mat_bytes / ((size_t)n_threads * CHUNK_BYTES);
    s->n_chunk = chunks > 1 ? (int)chunks : 1;
    return OTR_OK;
}

int sweep_open(struct sweep *s, const struct bench_kernel_opts *o, struct otr_err *err)
{
    s->n_rows = o->n_rows;
    s->n_cols = o->n_cols;
    int rc = size_up(s, o, err);
    if (rc == OTR_OK)
        rc = make_weights(s, err);
    if (rc == OTR_OK)
        rc = make_acts(s, err);
    if (rc < 0)
        return rc;
    s->span = calloc((size_t)pool_n_threads(s->team->pool) * sweep_n_item(s), sizeof *s->span);
    s->ms = calloc(sweep_n_item(s) * (size_t)o->n_pass, sizeof *s->ms);
    return s->span && s->ms ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for the times of %zu chunks", sweep_n_item(s));
}

void sweep_close(struct sweep *s)
{
    if (s->weights)
        munmap(s->weights, (size_t)s->n_mat * s->mat_bytes);
    free(s->rows);
    free(s->arena);
    free(s->span);
    free(s->ms);
}
