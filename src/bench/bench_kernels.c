/* Owns `bench kernels`: T(M) of one matrix type for M = 1..16 beside the read roof. See bench.h, sweep.h.
 * Read next: bench_ab.c. */
#include "bench/sweep.h"

#include <string.h>

#include "load/gguf.h"

static void measure(struct sweep *s, struct bench_kernel *out, const struct bench_kernel_opts *o)
{
    sweep_check(s, out->same);
    for (int pass = 0; pass < o->n_pass; pass++) {
        if (o->progress)
            o->progress(ggml_type_name((uint32_t)s->type), pass, o->n_pass);
        team_admit(s->team, &out->pair, o->n_pass);
        sweep_peaks(s, &out->peak_gops, &out->peak1_gops);
        sweep_pass(s, pass, o->n_pass);
    }
    for (int i = 0; i < ROOF_N; i++)
        out->roof[i] = sweep_sum(s, i, o->n_pass);
    for (int m = 1; m <= BENCH_MAX_M; m++) {
        out->t[m - 1] = sweep_sum(s, ROOF_N + m - 1, o->n_pass);
        out->gop[m - 1] = sweep_gop(s, s->n_rows, m) * s->n_mat;
    }
    out->huge_frac = machine_huge_frac(s->weights, out->bytes);
}

int bench_kernel(struct bench_kernel *out, struct team *t, enum ggml_type type, const struct bench_kernel_opts *o,
                 struct otr_err *err)
{
    struct sweep s = {.team = t, .k = t->k, .type = type};
    const int rc = sweep_open(&s, o, err);
    if (rc == OTR_OK) {
        *out = (struct bench_kernel){.type = type,
                                     .n_mat = s.n_mat,
                                     .bytes = s.mat_bytes * (size_t)s.n_mat,
                                     .tensor_bytes = s.row_bytes * (size_t)s.n_mat};
        if (t->k->menu)
            memcpy(out->plan, t->k->menu->set[0].plan[plan_kind_of(type)], sizeof out->plan);
        measure(&s, out, o);
    }
    sweep_close(&s);
    return rc;
}
