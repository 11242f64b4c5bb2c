/* Owns the tables of `outrider bench`. In: milliseconds (bench/bench.h). Out: rates and ratios for people, and JSON.
 * A ratio to T(1) is never printed without the share of the read roof beside it. See bench_show.h. */
#include "bench_show.h"

#include <stdio.h>

#include "load/gguf.h"

static const char *const phase_name[FWD_N_PHASE] = {
#define X(upper, lower) #lower,
    FWD_PHASE_LIST(X)
#undef X
};

static const double NOISY = 1.10; /* first quartile over minimum */

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static double gb_s(size_t bytes, double ms)
{
    return ratio(1e-6 * (double)bytes, ms);
}

static bool is_noisy(const struct spread *s)
{
    return s->q25 > NOISY * s->min;
}

static double pair_mean(const struct pair_count *p)
{
    return ratio(p->sum, p->n);
}

static int best_streams(const struct spread *roof)
{
    int best = 0;
    for (int i = 1; i < ROOF_N; i++)
        best = roof[i].min < roof[best].min ? i : best;
    return 1 << best;
}

/* ---- for people ---- */

void bench_show_machine(const struct bench_machine *m)
{
    printf("level %s, %d %s, L3 ", m->level, m->n_threads, m->n_threads == 1 ? "thread" : "threads");
    if (m->l3_bytes > 0)
        printf("%zu MB", m->l3_bytes >> 20);
    else
        printf("unknown");
    printf(", barrier %.0f ns, lost time %.1f %%\n", m->barrier_ns, 100 * m->lost_frac);
}

static void show_pair(const struct pair_count *p, const struct bench_machine *m)
{
    if (m->n_threads > 1)
        printf(", pair factor %.2f (least %.2f), %d dropped", pair_mean(p), p->least, p->n_dropped);
    if (p->n_low > 0)
        printf(", %d of %d passes counted in spite of less than %.1f", p->n_low, p->n, PAIR_LEAST * m->n_threads);
}

static void show_huge(double frac)
{
    if (frac < 0)
        printf(", huge pages unknown");
    else
        printf(", huge pages %s (%.0f %%)", frac > 0.5 ? "yes" : "no", 100 * frac);
}

static void show_small(size_t bytes, size_t l3_bytes)
{
    if (bench_is_small(bytes, l3_bytes))
        printf("  %zu MB are not well above the L3 of %zu MB: part of them may stay in it between passes\n",
               bytes >> 20, l3_bytes >> 20);
    else if (bytes < 10 * l3_bytes)
        printf("  %zu MB are %.1f times the L3, not 10 times: --mb\n", bytes >> 20, (double)bytes / (double)l3_bytes);
}

/* The tile table of one type. */
static void show_plan(const struct tile_plan *plan)
{
    static const char *const tokens[PLAN_N_CLASS] = {"1-2", "3-4", "5-6", "7-8", "9-16"};
    if (plan->most == 0)
        return;
    printf("  tiles (tokens: most x panels, KB ahead):");
    for (int i = 0; i < PLAN_N_CLASS; i++)
        printf("%s %s: %d x %d%s, %d", i > 0 ? ";" : "", tokens[i], plan[i].most, plan[i].r, plan[i].far ? " far" : "",
               plan[i].reach);
    printf("\n");
}

/* Share of the roof, in bytes of the GGUF tensor: what panels add to them is the kernels' own loss. */
static double roof_share(const struct bench_kernel *r, const struct spread *roof, const struct spread *t)
{
    return ratio(roof->min, t->min) * ratio((double)r->tensor_bytes, (double)r->bytes);
}

void bench_show_targets(const struct bench_kernel *r, const struct bench_machine *m)
{
    struct target t[TARGET_N];
    const char *type = ggml_type_name((uint32_t)r->type);
    if (!bench_targets(t, r, m->level, m->n_threads)) {
        printf("  targets: none for %s at level %s with %d threads\n", type, m->level, m->n_threads);
        return;
    }
    printf("  targets, %s:", type);
    for (int i = 0; i < TARGET_N; i++)
        printf("%s %s %.*f %s %.*f %s", i > 0 ? ";" : "", target_name[i], t[i].want >= 50 ? 1 : 2, t[i].got,
               t[i].at_least ? ">=" : "<=", t[i].want >= 50 ? 1 : 2, t[i].want, t[i].pass ? "pass" : "FAIL");
    printf("; memory and arithmetic cross at M = %.1f\n", bench_crossing(r, m->n_threads));
}

void bench_show_ab(const struct bench_ab *r, const struct bench_side side[2], const struct bench_machine *m,
                   const struct bench_kernel_opts *o)
{
    printf("\n%s  K %d, N %d, %zu MB twice, %d passes; A %s plan %d, B %s plan %d", ggml_type_name((uint32_t)r->type),
           o->n_cols, o->n_rows, r->bytes >> 20, o->n_pass, side[0].k.level, side[0].plan_no, side[1].k.level,
           side[1].plan_no);
    show_pair(&r->pair, m);
    printf("\n");
    show_small(r->bytes, m->l3_bytes);
    printf("   M   A GB/s  %%roof   B GB/s  %%roof    B/A: median, quartiles of all chunks' pairs\n");
    printf("   0  %7.1f  100.0  %7.1f  100.0    %.3f  %.3f..%.3f\n", gb_s(r->bytes, r->roof[0].min),
           gb_s(r->bytes, r->roof[1].min), r->roof_ratio.median, r->roof_ratio.q25, r->roof_ratio.q75);
    for (int i = 0; i < BENCH_MAX_M; i++)
        if (!r->same[i])
            printf("  %2d  FAIL: the bits of A and B differ, or are not those of M = 1\n", i + 1);
        else
            printf("  %2d  %7.1f  %5.1f  %7.1f  %5.1f    %.3f  %.3f..%.3f\n", i + 1, gb_s(r->bytes, r->t[0][i].min),
                   100 * ratio(r->roof[0].min, r->t[0][i].min), gb_s(r->bytes, r->t[1][i].min),
                   100 * ratio(r->roof[1].min, r->t[1][i].min), r->ratio[i].median, r->ratio[i].q25, r->ratio[i].q75);
}

void bench_show_kernel(const struct bench_kernel *r, const struct bench_machine *m, const struct bench_kernel_opts *o)
{
    const struct spread roof = roof_best(r->roof);
    printf("\n%s  K %d, N %d, %zu MB, %d passes: roof %.1f GB/s (%d streams), P %.0f GOP/s (1 core %.0f)",
           ggml_type_name((uint32_t)r->type), o->n_cols, o->n_rows, r->bytes >> 20, o->n_pass, gb_s(r->bytes, roof.min),
           best_streams(r->roof), r->peak_gops, r->peak1_gops);
    show_pair(&r->pair, m);
    show_huge(r->huge_frac);
    printf("\n");
    show_small(r->bytes, m->l3_bytes);
    show_plan(r->plan);
    printf("   M    GB/s  %%roof   GOP/s    %%P    T/T1  T/Troof  q25/min\n");
    printf("   0  %6.1f  100.0       -     -       -     1.00     %.2f%s\n", gb_s(r->bytes, roof.min),
           ratio(roof.q25, roof.min), is_noisy(&roof) ? "  noisy" : "");
    for (int i = 0; i < BENCH_MAX_M; i++) {
        const struct spread *t = &r->t[i];
        const double gops = ratio(1e3 * r->gop[i], t->min);
        if (!r->same[i]) {
            printf("  %2d  FAIL: the bits are not those of M = 1\n", i + 1);
            continue;
        }
        printf("  %2d  %6.1f  %5.1f  %6.1f  %4.0f  %6.2f  %7.2f     %.2f%s\n", i + 1, gb_s(r->tensor_bytes, t->min),
               100 * roof_share(r, &roof, t), gops, 100 * ratio(gops, r->peak_gops), ratio(t->min, r->t[0].min),
               ratio(t->min, roof.min), ratio(t->q25, t->min), is_noisy(t) ? "  noisy" : "");
    }
}

static void show_phases(const struct bench_forward *r)
{
    printf("   M");
    for (int p = 0; p < FWD_N_PHASE; p++)
        printf(" %9s", phase_name[p]);
    printf("   sum ms  (%% of the sum of the phases' minima, thread 0)\n");
    for (int i = 0; i < BENCH_MAX_M; i++) {
        double sum = 0;
        for (int p = 0; p < FWD_N_PHASE; p++)
            sum += r->phase[i][p];
        printf("  %2d", i + 1);
        for (int p = 0; p < FWD_N_PHASE; p++)
            printf(" %9.1f", 100 * ratio(r->phase[i][p], sum));
        printf("  %7.3f\n", sum);
    }
}

void bench_show_forward(const struct bench_forward *r, const struct bench_machine *m)
{
    const struct spread roof = roof_best(r->roof), memory = roof_best(r->memory);
    const size_t bytes = r->weight_bytes + r->kv_bytes;
    printf("\ncontext %d: one row reads %.1f MB of weights, %.1f MB of K and V; %d passes", r->ctx,
           1e-6 * (double)r->weight_bytes, 1e-6 * (double)r->kv_bytes, r->pair.n);
    show_pair(&r->pair, m);
    show_huge(r->huge_frac);
    printf("\n  roof: %.1f GB/s reading the weights (%d streams, median; best %.1f)", gb_s(r->read_bytes, roof.median),
           best_streams(r->roof), gb_s(r->read_bytes, roof.min));
    if (r->memory_bytes > 0)
        printf("; %.1f GB/s reading %zu MB (%d streams, best %.1f)", gb_s(r->memory_bytes, memory.median),
               r->memory_bytes >> 20, best_streams(r->memory), gb_s(r->memory_bytes, memory.min));
    printf("\n");
    show_small(r->read_bytes, m->l3_bytes);
    printf("   M  median ms   min ms   q25/min    T/T1   GB/s  %%roof%s\n", r->memory_bytes > 0 ? "  %memory" : "");
    for (int i = 0; i < BENCH_MAX_M; i++) {
        const struct spread *t = &r->t[i];
        if (!r->same[i]) {
            printf("  %2d  FAIL: the bits are not those of M = 1\n", i + 1);
            continue;
        }
        const double rate = gb_s(bytes, t->median);
        printf("  %2d  %9.3f  %7.3f      %.2f  %6.2f  %5.1f  %5.1f", i + 1, t->median, t->min, ratio(t->q25, t->min),
               ratio(t->median, r->t[0].median), rate, 100 * ratio(rate, gb_s(r->read_bytes, roof.median)));
        if (r->memory_bytes > 0)
            printf("  %7.1f", 100 * ratio(rate, gb_s(r->memory_bytes, memory.median)));
        printf("%s\n", is_noisy(t) ? "  noisy" : "");
    }
    show_phases(r);
}

void bench_show_levels(const struct bench_forward *r, int n_ctx, const struct bench_machine *m, int n_levels)
{
    for (int c = 0; c < n_ctx; c++) {
        printf("\nT/T1 at context %d (%%roof of M = 1:", r[c].ctx);
        for (int l = 0; l < n_levels; l++) {
            const struct bench_forward *f = &r[l * n_ctx + c];
            const double rate = gb_s(f->weight_bytes + f->kv_bytes, f->t[0].median);
            printf("%s %s %.1f", l ? "," : "", m[l].level,
                   100 * ratio(rate, gb_s(f->read_bytes, roof_best(f->roof).median)));
        }
        printf(")\n   M");
        for (int l = 0; l < n_levels; l++)
            printf(" %11s", m[l].level);
        for (int i = 0; i < BENCH_MAX_M; i++) {
            printf("\n  %2d", i + 1);
            for (int l = 0; l < n_levels; l++) {
                const struct spread *t = r[l * n_ctx + c].t;
                printf(" %11.2f", ratio(t[i].median, t[0].median));
            }
        }
        printf("\n");
    }
}

/* The best number of streams, over all rounds. */
static struct spread read_spread(double *ms, int n_round)
{
    struct spread s[ROOF_N];
    for (int i = 0; i < ROOF_N; i++)
        s[i] = spread_of(&ms[i * n_round], (size_t)n_round);
    return roof_best(s);
}

static const char *const kind_name[SPEED_N_KIND] = {"greedy", "temp", "temp_top_p"};

static double per_second(const struct bench_series *s, double ms)
{
    return ratio(1e3 * s->n_tok, ms);
}

void bench_show_speed(const struct bench_speed *r, const struct bench_speed_opts *o, const struct team *t)
{
    const struct spread roof = read_spread(r->roof_ms, o->n_round);
    const struct spread memory = r->memory_bytes ? read_spread(r->memory_ms, o->n_round) : (struct spread){0};
    const double mb = 1e-6 * (double)r->weight_bytes, weights_gb_s = gb_s(r->read_bytes, roof.median),
                 memory_gb_s = gb_s(r->memory_bytes, memory.median);
    printf("level %s, %d threads, %.1f MB of weights a token, replies of %d tokens after %d, %d rounds\n", t->k->level,
           pool_n_threads(t->pool), mb, o->n_gen, o->depth, o->n_round);
    printf("roof: %.1f GB/s reading the weights (%.0f tokens/s)", weights_gb_s, ratio(1e3 * weights_gb_s, mb));
    if (r->memory_bytes)
        printf(", %.1f GB/s reading %zu MB (%.0f tokens/s)", memory_gb_s, r->memory_bytes >> 20,
               ratio(1e3 * memory_gb_s, mb));
    printf("\n  what          tokens/s  [least, most]     %%roof%s\n", r->memory_bytes ? "  %memory" : "");
    for (int i = 0; i < r->n_series; i++) {
        const struct bench_series *s = &r->series[i];
        const struct spread ms = spread_of(s->ms, (size_t)o->n_round); /* sorts s->ms */
        const double rate = per_second(s, ms.median);
        char name[32];
        if (i < SPEED_N_KIND)
            snprintf(name, sizeof name, "%s", kind_name[i]);
        else
            snprintf(name, sizeof name, "prompt %d", s->n_tok);
        printf("  %-12s %9.1f  [%.1f, %.1f]", name, rate, per_second(s, s->ms[o->n_round - 1]), per_second(s, ms.min));
        if (i < SPEED_N_KIND) {
            printf("  %5.1f", 100 * ratio(rate * mb, 1e3 * weights_gb_s));
            if (r->memory_bytes)
                printf("  %7.1f", 100 * ratio(rate * mb, 1e3 * memory_gb_s));
        }
        printf("\n");
    }
}

/* ---- JSON: figures as in the tables ---- */

/* Every sample: tokens a second. */
static json_t *json_rates(const struct bench_series *s, int n_round)
{
    json_t *list = json_array();
    for (int i = 0; i < n_round; i++)
        json_array_append_new(list, json_real(per_second(s, s->ms[i])));
    return list;
}

/* Every sample: GB/s with 1, 2 and 4 streams. */
static json_t *json_reads(const double *ms, size_t bytes, int n_round)
{
    json_t *o = json_object();
    for (int k = 0; k < ROOF_N; k++) {
        static const char *const streams[ROOF_N] = {"1", "2", "4"};
        json_t *list = json_array();
        for (int i = 0; i < n_round; i++)
            json_array_append_new(list, json_real(gb_s(bytes, ms[k * n_round + i])));
        json_object_set_new(o, streams[k], list);
    }
    return o;
}

json_t *bench_json_speed(const struct bench_speed *r, const struct bench_speed_opts *o, const struct team *t,
                         const char *model)
{
    json_t *replies = json_object(), *prompts = json_array();
    for (int i = 0; i < SPEED_N_KIND; i++)
        json_object_set_new(replies, kind_name[i], json_rates(&r->series[i], o->n_round));
    for (int i = SPEED_N_KIND; i < r->n_series; i++)
        json_array_append_new(prompts, json_pack("{s:i, s:o}", "tokens", r->series[i].n_tok, "per_second",
                                                 json_rates(&r->series[i], o->n_round)));
    return json_pack("{s:s, s:s, s:i, s:I, s:i, s:i, s:i, s:o, s:o, s:o, s:o}", "model", model, "kernel_level",
                     t->k->level, "threads", pool_n_threads(t->pool), "weight_bytes", (json_int_t)r->weight_bytes,
                     "depth", o->depth, "reply_tokens", o->n_gen, "rounds", o->n_round, "replies_per_second", replies,
                     "prompts", prompts, "roof_gb_per_second", json_reads(r->roof_ms, r->read_bytes, o->n_round),
                     "memory_gb_per_second",
                     r->memory_bytes ? json_reads(r->memory_ms, r->memory_bytes, o->n_round) : json_null());
}

static json_t *json_spread(const struct spread *s)
{
    return json_pack("{s:f, s:f, s:f, s:b}", "min_ms", s->min, "q25_ms", s->q25, "median_ms", s->median, "noisy",
                     is_noisy(s));
}

/* Reading `bytes`: by streams, and the best. */
static json_t *json_roof(const struct spread *roof, size_t bytes)
{
    const struct spread best = roof_best(roof);
    return json_pack("{s:I, s:f, s:f, s:i, s:o, s:o, s:o}", "bytes", (json_int_t)bytes, "gb_per_second",
                     gb_s(bytes, best.min), "gb_per_second_median", gb_s(bytes, best.median), "streams",
                     best_streams(roof), "1", json_spread(&roof[0]), "2", json_spread(&roof[1]), "4",
                     json_spread(&roof[2]));
}

static json_t *json_pair(const struct pair_count *p)
{
    return json_pack("{s:f, s:f, s:i, s:i, s:i}", "factor", pair_mean(p), "least", p->least, "passes", p->n, "dropped",
                     p->n_dropped, "counted_below", p->n_low);
}

json_t *bench_json_machine(const struct bench_machine *m)
{
    return json_pack("{s:s, s:i, s:I, s:f, s:f}", "kernel_level", m->level, "threads", m->n_threads, "l3_bytes",
                     (json_int_t)m->l3_bytes, "barrier_ns", m->barrier_ns, "lost_fraction", m->lost_frac);
}

json_t *bench_json_kernel(const struct bench_kernel *r, const struct bench_machine *m)
{
    const struct spread roof = roof_best(r->roof);
    json_t *rows = json_array();
    for (int i = 0; i < BENCH_MAX_M; i++) {
        const struct spread *t = &r->t[i];
        const double gops = ratio(1e3 * r->gop[i], t->min);
        json_array_append_new(
            rows, r->same[i] ? json_pack("{s:i, s:b, s:o, s:f, s:f, s:f, s:f, s:f, s:f}", "m", i + 1, "same", 1, "time",
                                         json_spread(t), "gb_per_second", gb_s(r->tensor_bytes, t->min),
                                         "roof_fraction", roof_share(r, &roof, t), "gop_per_second", gops,
                                         "peak_fraction", ratio(gops, r->peak_gops), "t_over_t1",
                                         ratio(t->min, r->t[0].min), "t_over_roof", ratio(t->min, roof.min))
                             : json_pack("{s:i, s:b}", "m", i + 1, "same", 0));
    }
    return json_pack("{s:s, s:I, s:I, s:b, s:f, s:f, s:f, s:o, s:o, s:o}", "type", ggml_type_name((uint32_t)r->type),
                     "bytes", (json_int_t)r->bytes, "tensor_bytes", (json_int_t)r->tensor_bytes, "well_above_l3",
                     !bench_is_small(r->bytes, m->l3_bytes), "huge_pages", r->huge_frac, "peak_gop_per_second",
                     r->peak_gops, "peak_gop_per_second_1_core", r->peak1_gops, "roof", json_roof(r->roof, r->bytes),
                     "pair", json_pair(&r->pair), "rows", rows);
}

static json_t *json_phases(const double *phase)
{
    json_t *o = json_object();
    for (int p = 0; p < FWD_N_PHASE; p++)
        json_object_set_new(o, phase_name[p], json_real(phase[p]));
    return o;
}

json_t *bench_json_forward(const struct bench_forward *r, const struct bench_machine *m)
{
    const struct spread roof = roof_best(r->roof);
    const size_t bytes = r->weight_bytes + r->kv_bytes;
    json_t *rows = json_array();
    for (int i = 0; i < BENCH_MAX_M; i++) {
        const struct spread *t = &r->t[i];
        const double rate = gb_s(bytes, t->median);
        json_array_append_new(
            rows, r->same[i]
                      ? json_pack("{s:i, s:b, s:o, s:f, s:f, s:f, s:o}", "m", i + 1, "same", 1, "time", json_spread(t),
                                  "gb_per_second", rate, "roof_fraction", ratio(rate, gb_s(r->read_bytes, roof.median)),
                                  "t_over_t1", ratio(t->median, r->t[0].median), "phases_ms", json_phases(r->phase[i]))
                      : json_pack("{s:i, s:b}", "m", i + 1, "same", 0));
    }
    return json_pack("{s:i, s:I, s:I, s:b, s:f, s:o, s:o, s:o, s:o}", "context", r->ctx, "weight_bytes",
                     (json_int_t)r->weight_bytes, "kv_bytes", (json_int_t)r->kv_bytes, "well_above_l3",
                     !bench_is_small(r->read_bytes, m->l3_bytes), "huge_pages", r->huge_frac, "roof",
                     json_roof(r->roof, r->read_bytes), "memory",
                     r->memory_bytes > 0 ? json_roof(r->memory, r->memory_bytes) : json_null(), "pair",
                     json_pair(&r->pair), "rows", rows);
}
