/* Owns `bench forward`: T(M) of whole passes of M = 1..16 rows at the end of a filled context. See bench.h.
 *
 * A sequence is filled once; the rows of a pass continue it as a chain and are not committed, so every pass finds the
 * same state. In one turn of the loop: the read roof of the weights' own bytes, passes of 1 to 16 rows, the read roof
 * of the memory, and a pass that is not timed, because that last reading emptied the caches. Read next: app/bench.c. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

struct turns {
    struct otr_engine *e;
    struct team *team;
    struct otr_seq *seq;
    struct bench_reads reads;
    float *ref;    /* [16, n_vocab] logits, one row a pass */
    double *t;     /* [16][n_pass] */
    double *roof;  /* [ROOF_N][n_pass] */
    double *far;   /* [ROOF_N][n_pass] of the memory */
    double *phase; /* [16][FWD_N_PHASE][n_pass] */
};

/* ---- rows ---- */

static int fill(struct turns *r, int ctx, struct otr_err *err)
{
    int32_t *ids = malloc((size_t)ctx * sizeof *ids);
    if (!ids)
        return OTR_FAIL(err, NOMEM, "no memory for %d tokens", ctx);
    for (int i = 0; i < ctx; i++)
        ids[i] = bench_token_at(r->e->m, i);
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
            .token = bench_token_at(r->e->m, pos + i), .seq = r->seq->kv, .parent = i - 1, .keep = FWD_KEEP_LOGITS};
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
    bench_read(r->team, r->reads.weights, r->reads.weights_bytes, r->roof, pass, n_pass);
    for (int m = 1; m <= BENCH_MAX_M && rc == OTR_OK; m++)
        rc = timed_pass(r, ctx, m, pass, n_pass, err);
    if (r->reads.memory && rc == OTR_OK) {
        bench_read(r->team, r->reads.memory, r->reads.memory_bytes, r->far, pass, n_pass);
        rc = run_rows(r, ctx, 1, err);
    }
    return rc;
}

static void sum_up(struct turns *r, struct bench_forward *out, int n_pass)
{
    const size_t n = (size_t)n_pass;
    for (int i = 0; i < ROOF_N; i++) {
        out->roof[i] = spread_of(r->roof + (size_t)i * n, n);
        if (r->reads.memory)
            out->memory[i] = spread_of(r->far + (size_t)i * n, n);
    }
    for (size_t i = 0; i < BENCH_MAX_M; i++) {
        out->t[i] = spread_of(r->t + i * n, n);
        for (size_t p = 0; p < FWD_N_PHASE; p++)
            out->phase[i][p] = spread_of(r->phase + (i * FWD_N_PHASE + p) * n, n).min;
    }
}

/* ---- memory ---- */

static int make_buffers(struct turns *r, const struct bench_forward_opts *o, struct otr_err *err)
{
    const size_t n = (size_t)o->n_pass;
    const int rc = bench_reads_open(&r->reads, r->e, o->mb, err);
    if (rc < 0)
        return rc;
    r->ref = calloc((size_t)BENCH_MAX_M * (size_t)r->e->m->info.n_vocab, sizeof *r->ref);
    r->t = calloc(BENCH_MAX_M * n, sizeof *r->t);
    r->roof = calloc(ROOF_N * n, sizeof *r->roof);
    r->far = calloc(ROOF_N * n, sizeof *r->far);
    r->phase = calloc((size_t)BENCH_MAX_M * FWD_N_PHASE * n, sizeof *r->phase);
    if (!r->ref || !r->t || !r->roof || !r->far || !r->phase)
        return OTR_FAIL(err, NOMEM, "no memory for %d passes", o->n_pass);
    return OTR_OK;
}

static void free_buffers(struct turns *r)
{
    bench_reads_close(&r->reads);
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
    out->huge_frac = machine_huge_frac(r->reads.weights, r->reads.weights_bytes);
    return rc;
}

int bench_forward(struct bench_forward *out, struct otr_engine *e, struct team *t, int ctx,
                  const struct bench_forward_opts *o, struct otr_err *err)
{
    struct turns r = {.e = e, .team = t};
    if (e->n_batch < BENCH_MAX_M)
        return OTR_FAIL(err, ARG, "passes of %d rows (-b): %d are measured", e->n_batch, BENCH_MAX_M);
    if (ctx < 1 || ctx > e->n_ctx - BENCH_MAX_M)
        return OTR_FAIL(err, ARG, "%d tokens and %d rows in a context of %d", ctx, BENCH_MAX_M, e->n_ctx);
    e->last = NULL; /* the logits of no sequence are left in the pass */
    int rc = make_buffers(&r, o, err);
    *out = (struct bench_forward){.ctx = ctx,
                                  .weight_bytes = bench_weight_bytes(e->m),
                                  .read_bytes = r.reads.weights_bytes,
                                  .memory_bytes = r.reads.memory_bytes};
    if (rc == OTR_OK)
        rc = fill(&r, ctx, err);
    if (rc == OTR_OK)
        rc = measure(&r, out, o, err);
    otr_seq_destroy(r.seq);
    free_buffers(&r);
    return rc;
}
