/* Owns `bench forward`: T(M) of whole passes of M = 1..16 rows at the end of a filled context. See bench.h.
 *
 * A sequence is filled once; the rows of a pass continue it as a chain and are not committed, so every pass finds the
 * same state. In one turn of the loop: the read roof of the weights' own bytes, passes of 1 to 16 rows, the read roof
 * of the memory, and a pass that is not timed, because that last reading emptied the caches. Read next: app/bench.c. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "load/dequant.h"

struct turns {
    struct otr_engine *e;
    struct team *team;
    struct otr_seq *seq;
    const void *read; /* the weights, or as many bytes where they lie in the file */
    size_t read_bytes;
    char *own_read, *memory; /* mappings or NULL */
    size_t memory_bytes;
    float *ref;    /* [16, n_vocab] logits, one row a pass */
    double *t;     /* [16][n_pass] */
    double *roof;  /* [ROOF_N][n_pass] */
    double *far;   /* [ROOF_N][n_pass] of the memory */
    double *phase; /* [16][FWD_N_PHASE][n_pass] */
};

/* ---- rows ---- */

/* Text is of no account here, but it must be the same for each M. */
static int32_t token_at(const struct otr_engine *e, int pos)
{
    return (int32_t)((uint32_t)pos * 2654435761u % (uint32_t)e->m->info.n_vocab);
}

static int fill(struct turns *r, int ctx, struct otr_err *err)
{
    int32_t *ids = malloc((size_t)ctx * sizeof *ids);
    if (!ids)
        return OTR_FAIL(err, NOMEM, "no memory for %d tokens", ctx);
    for (int i = 0; i < ctx; i++)
        ids[i] = token_at(r->e, i);
    int rc = otr_seq_create(&r->seq, r->e, err);
    if (rc == OTR_OK)
        rc = seq_append(r->seq, ids, (size_t)ctx, false, err);
    free(ids);
    return rc;
}

/* A chain of m rows after pos; all keep their logits. */
static int run_rows(struct turns *r, int pos, int m, struct otr_err *err)
{
    for (int i = 0; i < m; i++)
        r->e->rows[i] = (struct fwd_row){
            .token = token_at(r->e, pos + i), .seq = r->seq->kv, .parent = i - 1, .keep = FWD_KEEP_LOGITS};
    return fwd_run(r->e->fwd, r->e->rows, m, err);
}

static int check_rows(struct turns *r, int ctx, bool *same, struct otr_err *err)
{
    static const int first[] = {0};
    const size_t bytes = (size_t)r->e->m->info.n_vocab * sizeof(float);
    int rc;
    for (int i = 0; i < BENCH_MAX_M; i++) {
        if ((rc = run_rows(r, ctx + i, 1, err)) < 0)
            return rc;
        memcpy((char *)r->ref + (size_t)i * bytes, fwd_logits(r->e->fwd, 0), bytes);
        fwd_commit(r->e->fwd, r->seq->kv, first, 1);
    }
    kv_truncate(r->seq->kv, ctx);
    for (int m = 1; m <= BENCH_MAX_M; m++) {
        if ((rc = run_rows(r, ctx, m, err)) < 0)
            return rc;
        same[m - 1] = true;
        for (int i = 0; i < m; i++)
            same[m - 1] =
                same[m - 1] && memcmp((char *)r->ref + (size_t)i * bytes, fwd_logits(r->e->fwd, i), bytes) == 0;
    }
    return OTR_OK;
}

/* ---- time ---- */

static void read_all(struct team *t, const void *p, size_t bytes, double *ms, int pass, int n_pass)
{
    for (int i = 0; i < ROOF_N; i++)
        ms[i * n_pass + pass] = roof_pass(t, p, bytes, i);
}

static int timed_pass(struct turns *r, int ctx, int m, int pass, int n_pass, struct otr_err *err)
{
    uint64_t phase[FWD_N_PHASE] = {0};
    fwd_set_phases(r->e->fwd, phase);
    const uint64_t t0 = ticks_now();
    const int rc = run_rows(r, ctx, m, err);
    r->t[(m - 1) * n_pass + pass] = team_ms(r->team, ticks_now() - t0);
    fwd_set_phases(r->e->fwd, NULL);
    for (int p = 0; p < FWD_N_PHASE; p++)
        r->phase[((m - 1) * FWD_N_PHASE + p) * n_pass + pass] = team_ms(r->team, phase[p]);
    return rc;
}

static int one_turn(struct turns *r, int ctx, int pass, int n_pass, struct otr_err *err)
{
    int rc = OTR_OK;
    read_all(r->team, r->read, r->read_bytes, r->roof, pass, n_pass);
    for (int m = 1; m <= BENCH_MAX_M && rc == OTR_OK; m++)
        rc = timed_pass(r, ctx, m, pass, n_pass, err);
    if (r->memory && rc == OTR_OK) {
        read_all(r->team, r->memory, r->memory_bytes, r->far, pass, n_pass);
        rc = run_rows(r, ctx, 1, err);
    }
    return rc;
}

static void sum_up(struct turns *r, struct bench_forward *out, int n_pass)
{
    const size_t n = (size_t)n_pass;
    for (int i = 0; i < ROOF_N; i++) {
        out->roof[i] = spread_of(r->roof + (size_t)i * n, n);
        if (r->memory)
            out->memory[i] = spread_of(r->far + (size_t)i * n, n);
    }
    for (size_t i = 0; i < BENCH_MAX_M; i++) {
        out->t[i] = spread_of(r->t + i * n, n);
        for (size_t p = 0; p < FWD_N_PHASE; p++)
            out->phase[i][p] = spread_of(r->phase + (i * FWD_N_PHASE + p) * n, n).min;
    }
}

/* ---- memory ---- */

struct touch_job {
    char *p;
    size_t bytes;
};

static void touch_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct touch_job *j = arg;
    const size_t lo = j->bytes / (size_t)ctx->n_threads * (size_t)ctx->tid;
    const size_t hi = ctx->tid + 1 == ctx->n_threads ? j->bytes : lo + j->bytes / (size_t)ctx->n_threads;
    memset(j->p + lo, 1, hi - lo);
}

static char *map_touched(struct pool *pool, size_t bytes)
{
    char *p = bench_map(bytes);
    if (p)
        pool_run(pool, touch_thread, &(struct touch_job){p, bytes});
    return p;
}

static int make_buffers(struct turns *r, const struct bench_forward_opts *o, struct otr_err *err)
{
    const struct weights *w = r->e->m->w;
    const size_t n = (size_t)o->n_pass;
    r->read = w->packed;
    r->read_bytes = w->packed_bytes;
    if (!w->packed) { /* WHY: the file's pages come and go */
        r->read_bytes = w->tensor_bytes;
        r->read = r->own_read = map_touched(r->e->pool, r->read_bytes);
    }
    r->memory_bytes = (size_t)o->mb << 20;
    if (o->mb > 0)
        r->memory = map_touched(r->e->pool, r->memory_bytes);
    r->ref = calloc((size_t)BENCH_MAX_M * (size_t)r->e->m->info.n_vocab, sizeof *r->ref);
    r->t = calloc(BENCH_MAX_M * n, sizeof *r->t);
    r->roof = calloc(ROOF_N * n, sizeof *r->roof);
    r->far = calloc(ROOF_N * n, sizeof *r->far);
    r->phase = calloc((size_t)BENCH_MAX_M * FWD_N_PHASE * n, sizeof *r->phase);
    if (!r->read || (o->mb > 0 && !r->memory) || !r->ref || !r->t || !r->roof || !r->far || !r->phase)
        return OTR_FAIL(err, NOMEM, "no memory to measure in (%zu MB)", (r->read_bytes + r->memory_bytes) >> 20);
    return OTR_OK;
}

static void free_buffers(struct turns *r)
{
    if (r->own_read)
        munmap(r->own_read, r->read_bytes);
    if (r->memory)
        munmap(r->memory, r->memory_bytes);
    free(r->ref);
    free(r->t);
    free(r->roof);
    free(r->far);
    free(r->phase);
}

/* ---- all of it ---- */

static int measure(struct turns *r, struct bench_forward *out, const struct bench_forward_opts *o, struct otr_err *err)
{
    int rc = check_rows(r, out->ctx, out->same, err);
    for (int pass = 0; pass < o->n_pass && rc == OTR_OK; pass++) {
        if (o->progress)
            o->progress("forward", pass, o->n_pass);
        team_admit(r->team, &out->pair, o->n_pass);
        if ((rc = run_rows(r, out->ctx, 1, err)) == OTR_OK) /* the probe has slept */
            rc = one_turn(r, out->ctx, pass, o->n_pass, err);
    }
    if (rc < 0)
        return rc;
    rc = run_rows(r, out->ctx, 1, err);
    out->kv_bytes = (size_t)fwd_get_counts(r->e->fwd).kv_bytes;
    sum_up(r, out, o->n_pass);
    out->huge_frac = machine_huge_frac(r->read, r->read_bytes);
    return rc;
}

int bench_forward(struct bench_forward *out, struct otr_engine *e, struct team *t, int ctx,
                  const struct bench_forward_opts *o, struct otr_err *err)
{
    const struct weights *w = e->m->w;
    const bool tied = !gguf_tensor(w->g, "output.weight");
    struct turns r = {.e = e, .team = t};
    if (e->n_batch < BENCH_MAX_M)
        return OTR_FAIL(err, ARG, "passes of %d rows (-b): %d are measured", e->n_batch, BENCH_MAX_M);
    if (ctx < 1 || ctx > e->n_ctx - BENCH_MAX_M)
        return OTR_FAIL(err, ARG, "%d tokens and %d rows in a context of %d", ctx, BENCH_MAX_M, e->n_ctx);
    e->last = NULL; /* the logits of no sequence are left in the pass */
    int rc = make_buffers(&r, o, err);
    *out = (struct bench_forward){.ctx = ctx,
                                  /* an embedding that is not the head too is read one row at a time */
                                  .weight_bytes = w->tensor_bytes - (tied ? 0 : w->embd->bytes),
                                  .read_bytes = r.read_bytes,
                                  .memory_bytes = r.memory_bytes};
    if (rc == OTR_OK)
        rc = fill(&r, ctx, err);
    if (rc == OTR_OK)
        rc = measure(&r, out, o, err);
    otr_seq_destroy(r.seq);
    free_buffers(&r);
    return rc;
}
