/* Owns `bench kernels`: T(M) of one matrix type for M = 1..16 beside the read roof. See bench.h.
 *
 * The same random matrix lies in memory n_mat times. A pass sweeps over all copies for one kind of work after the other
 * (three ways of reading, then 1 to 16 tokens), so that each sweep finds the caches full of something else. A sweep is
 * cut into chunks of about 1 MB per thread; threads start each chunk together; its time is last end - first start. Per
 * chunk and kind the minimum and quantiles over the passes are taken, then summed.
 * Read next: bench_forward.c. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "bench/weights_random.h"
#include "kern/blocks.h"
#include "load/gguf.h"

enum { N_KIND = ROOF_N + BENCH_MAX_M, CHUNK_BYTES = 1 << 20, CACHED_BYTES = 128 << 10, CACHED_REPEAT = 3 };

struct span {
    uint64_t start, end;
};

struct sweep {
    struct team *team;
    const struct kernels *k;
    enum ggml_type type;
    int n_rows, n_cols, n_mat, n_chunk; /* n_chunk: of one matrix */
    size_t mat_bytes;                   /* a multiple of 64 */
    bool packed;                        /* false: the level multiplies GGUF rows */
    const struct tile_plan *plan;       /* NULL: the level's own */
    char *weights;                      /* [n_mat] of mat_bytes */
    char *rows;                         /* GGUF rows of the matrix */
    void *arena;
    const void *act[BENCH_MAX_M + 1]; /* tokens 0..m-1, packed together */
    const void *one[BENCH_MAX_M];     /* token i alone */
    float *x, *out, *ref;             /* [16, n_cols]; [16, n_rows] twice */
    struct span *span;                /* [n_threads][N_KIND * n_mat * n_chunk] of this pass */
    double *ms;                       /* [N_KIND * n_mat * n_chunk][n_pass] */
    int m;                            /* tokens of check_thread */
    const void *m_act;
    float *m_out;
    double peak_gops;
};

static size_t n_item(const struct sweep *s)
{
    return (size_t)N_KIND * (size_t)s->n_mat * (size_t)s->n_chunk;
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
    const size_t row_bytes = mat_row_bytes(s->type, s->n_cols) * (size_t)s->n_rows;
    s->weights = bench_map((size_t)s->n_mat * s->mat_bytes);
    if (!s->weights || !(s->rows = malloc(row_bytes)))
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

static void check_all(struct sweep *s, bool *same)
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
    struct span *span = s->span + (size_t)ctx->tid * n_item(s);
    uint64_t round = 0;
    int lo, hi;
    pool_share(ctx, s->n_rows, KERN_ROW_UNIT, &lo, &hi);
    for (int kind = 0; kind < N_KIND; kind++)
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

static void pass_run(struct sweep *s, int pass, int n_pass)
{
    const size_t n = n_item(s);
    gate_reset(&s->team->gate);
    pool_run(s->team->pool, pass_thread, s);
    for (size_t i = 0; i < n; i++) {
        uint64_t first = s->span[i].start, last = s->span[i].end;
        for (int t = 1; t < pool_n_threads(s->team->pool); t++) {
            const struct span *p = &s->span[(size_t)t * n + i];
            first = p->start < first ? p->start : first;
            last = p->end > last ? p->end : last;
        }
        s->ms[i * (size_t)n_pass + (size_t)pass] = team_ms(s->team, last - first);
    }
}

/* Sums over the chunks of one kind of work. */
static struct spread kind_sum(const struct sweep *s, int kind, int n_pass)
{
    const size_t n = n_item(s) / N_KIND;
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

static double gop_of(const struct sweep *s, int n_rows, int m)
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
            const double ms = team_span_ms(s->team), gops = ms > 0 ? 1e3 * gop_of(s, all, m) / ms : 0;
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
            const double ms = team_ms(s->team, ticks_now() - t0), gops = ms > 0 ? 1e3 * gop_of(s, n, m) / ms : 0;
            best = gops > best ? gops : best;
        }
    return best;
}

static void peaks(struct sweep *s, struct bench_kernel *out)
{
    const double alone = peak_alone(s);
    gate_reset(&s->team->gate);
    pool_run(s->team->pool, peak_thread, s);
    out->peak1_gops = alone > out->peak1_gops ? alone : out->peak1_gops;
    out->peak_gops = s->peak_gops;
}

/* ---- all of it ---- */

static void measure(struct sweep *s, struct bench_kernel *out, const struct bench_kernel_opts *o)
{
    check_all(s, out->same);
    for (int pass = 0; pass < o->n_pass; pass++) {
        if (o->progress)
            o->progress(ggml_type_name((uint32_t)s->type), pass, o->n_pass);
        team_admit(s->team, &out->pair, o->n_pass);
        peaks(s, out);
        pass_run(s, pass, o->n_pass);
    }
    for (int i = 0; i < ROOF_N; i++)
        out->roof[i] = kind_sum(s, i, o->n_pass);
    for (int m = 1; m <= BENCH_MAX_M; m++) {
        out->t[m - 1] = kind_sum(s, ROOF_N + m - 1, o->n_pass);
        out->gop[m - 1] = gop_of(s, s->n_rows, m) * s->n_mat;
    }
    out->huge_frac = machine_huge_frac(s->weights, out->bytes);
}

static int plan(struct sweep *s, struct bench_kernel *out, const struct bench_kernel_opts *o, struct otr_err *err)
{
    const int block = block_values(s->type);
    if (o->n_cols % block != 0)
        return OTR_FAIL(err, ARG, "bad value (-K): %d is not a multiple of %d, the block of %s", o->n_cols, block,
                        ggml_type_name((uint32_t)s->type));
    const size_t rows = mat_row_bytes(s->type, s->n_cols) * (size_t)s->n_rows;
    const size_t packed = s->k->pack_bytes(s->type, s->n_rows, s->n_cols);
    const int n_threads = pool_n_threads(s->team->pool);
    s->packed = packed > 0;
    s->mat_bytes = s->packed ? packed : rows;
    const size_t n = ((size_t)o->mb << 20) / s->mat_bytes;
    s->n_mat = n > 1 ? (int)n : 1;
    const size_t chunks = s->mat_bytes / ((size_t)n_threads * CHUNK_BYTES);
    s->n_chunk = chunks > 1 ? (int)chunks : 1;
    *out = (struct bench_kernel){.type = s->type,
                                 .n_mat = s->n_mat,
                                 .bytes = s->mat_bytes * (size_t)s->n_mat,
                                 .tensor_bytes = rows * (size_t)s->n_mat};
    return OTR_OK;
}

int bench_kernel(struct bench_kernel *out, struct team *t, enum ggml_type type, const struct bench_kernel_opts *o,
                 struct otr_err *err)
{
    struct sweep s = {.team = t, .k = t->k, .type = type, .n_rows = o->n_rows, .n_cols = o->n_cols};
    int rc = plan(&s, out, o, err);
    if (rc == OTR_OK)
        rc = make_weights(&s, err);
    if (rc == OTR_OK)
        rc = make_acts(&s, err);
    if (rc == OTR_OK) {
        s.span = calloc((size_t)pool_n_threads(t->pool) * n_item(&s), sizeof *s.span);
        s.ms = calloc(n_item(&s) * (size_t)o->n_pass, sizeof *s.ms);
        if (!s.span || !s.ms)
            rc = OTR_FAIL(err, NOMEM, "no memory for the times of %zu chunks", n_item(&s));
    }
    if (rc == OTR_OK)
        measure(&s, out, o);
    if (s.weights)
        munmap(s.weights, out->bytes);
    free(s.rows);
    free(s.arena);
    free(s.span);
    free(s.ms);
    return rc;
}
