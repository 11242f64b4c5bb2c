/* Owns the comparison of two ways to multiply: both in one process, passes in turn, every chunk's time beside the
 * other's of the same turn. See bench.h, sweep.h. Read next: targets.c. */
#include "bench/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/gguf.h"

int bench_side_parse(struct bench_side *out, const char *text, size_t n, const char *level, struct otr_err *err)
{
    char word[40], q[40];
    long at = 0;
    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word), text);
    char *digit = strrchr(word, ':');
    digit = digit ? digit + 1 : word;
    const bool has_digit = *digit >= '0' && *digit < '0' + PLAN_MAX_CHOICE && !digit[1];
    if (has_digit)
        at = *digit - '0';
    if (has_digit && digit > word)
        digit[-1] = 0;
    if (kernels_init(&out->k, has_digit && digit == word ? level : word) < 0)
        return OTR_FAIL(err, ARG, "bad value (--ab): '%s' is no LEVEL, PLAN or LEVEL:PLAN (levels: %s; plans: 0..%d)",
                        err_quote(q, sizeof q, text, n), kernels_levels(), PLAN_MAX_CHOICE - 1);
    if (at > 0 && !out->k.menu)
        return OTR_FAIL(err, ARG, "bad value (--ab): level %s has no plans to choose", out->k.level);
    struct plan_choice c;
    for (int k = 0; k < PLAN_N_KIND && out->k.menu; k++)
        for (int i = 0; i < PLAN_N_CLASS; i++)
            c.at[k][i] = (int8_t)(at < plan_n_choice(out->k.menu, k, i) ? at : 0);
    out->plan_no = (int)at;
    out->has_plan = out->k.menu != NULL;
    if (out->has_plan)
        plan_set_fill(&out->plans, out->k.menu, &c);
    return OTR_OK;
}

/* Ratios b / a of all chunks and passes of a kind of work. */
static struct ab_ratio ratio_of(const struct sweep *a, const struct sweep *b, int kind, int n_pass, double *v)
{
    const size_t n = sweep_n_item(a) / SWEEP_N_KIND * (size_t)n_pass, at = (size_t)kind * n;
    size_t n_ok = 0;
    for (size_t i = at; i < at + n; i++)
        if (a->ms[i] > 0)
            v[n_ok++] = b->ms[i] / a->ms[i];
    if (n_ok == 0)
        return (struct ab_ratio){0};
    const struct spread s = spread_of(v, n_ok);
    return (struct ab_ratio){s.q25, s.median, sorted_quantile(v, n_ok, 0.75)};
}

static void measure(struct sweep s[2], struct bench_ab *out, const struct bench_kernel_opts *o, double *v)
{
    bool same[2][BENCH_MAX_M];
    for (int i = 0; i < 2; i++)
        sweep_check(&s[i], same[i]);
    const bool both = memcmp(s[0].ref, s[1].ref, BENCH_MAX_M * (size_t)s->n_rows * sizeof *s->ref) == 0;
    for (int m = 0; m < BENCH_MAX_M; m++)
        out->same[m] = same[0][m] && same[1][m] && both;
    for (int pass = 0; pass < o->n_pass; pass++) {
        if (o->progress)
            o->progress(ggml_type_name((uint32_t)s->type), pass, o->n_pass);
        team_admit(s->team, &out->pair, o->n_pass);
        sweep_pass(&s[pass % 2], pass, o->n_pass);
        sweep_pass(&s[1 - pass % 2], pass, o->n_pass);
    }
    struct spread t[ROOF_N];
    out->roof_ratio = ratio_of(&s[0], &s[1], 1, o->n_pass, v);
    for (int m = 0; m < BENCH_MAX_M; m++)
        out->ratio[m] = ratio_of(&s[0], &s[1], ROOF_N + m, o->n_pass, v);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < ROOF_N; k++)
            t[k] = sweep_sum(&s[i], k, o->n_pass);
        out->roof[i] = roof_best(t);
        for (int m = 0; m < BENCH_MAX_M; m++)
            out->t[i][m] = sweep_sum(&s[i], ROOF_N + m, o->n_pass);
    }
}

int bench_ab(struct bench_ab *out, struct team *t, enum ggml_type type, const struct bench_side side[2],
             const struct bench_kernel_opts *o, struct otr_err *err)
{
    struct sweep s[2];
    double *v = NULL;
    int rc = OTR_OK;
    memset(s, 0, sizeof s);
    for (int i = 0; i < 2 && rc == OTR_OK; i++) {
        s[i] = (struct sweep){.team = t,
                              .k = &side[i].k,
                              .type = type,
                              .plan = side[i].has_plan ? side[i].plans.plan[plan_kind_of(type)] : NULL,
                              .n_mat = s[0].n_mat,
                              .n_chunk = s[0].n_chunk};
        rc = sweep_open(&s[i], o, err);
    }
    if (rc == OTR_OK && !(v = calloc(sweep_n_item(s) / SWEEP_N_KIND * (size_t)o->n_pass, sizeof *v)))
        rc = OTR_FAIL(err, NOMEM, "no memory for the ratios");
    if (rc == OTR_OK) {
        *out = (struct bench_ab){.type = type, .bytes = (size_t)s->n_mat * s->mat_bytes};
        measure(s, out, o, v);
    }
    for (int i = 0; i < 2; i++)
        sweep_close(&s[i]);
    free(v);
    return rc;
}
