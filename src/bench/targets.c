/* Owns the targets of matrix products: kernels.md D (level avx2) and D.2 (avx512vnni; what it does not name is as in
 * D). In: a measurement. Out: each figure beside what it must reach. See bench.h. T1         share of the read roof
 * that T(1) reaches, in percent, in bytes of the GGUF tensor T2..T16    T(M) / T(1) KNEE REST  the worst T(M) /
 * max(t_mem, t_cmp) of M = 2, 3, 5, and of the others; t_mem: the roof, t_cmp: P P          from cache, 1 core, GOP/s
 */
#include "bench/bench.h"

#include <string.h>

const char *const target_name[TARGET_N] = {"T(1) %roof", "T2", "T4", "T8", "T16", "knee", "rest", "P"};

struct row {
    enum ggml_type type;
    double v[TARGET_N];
};
static const struct row avx2[] = {
    {GGML_Q4_0, {92, 1.2, 1.85, 3.5, 7.0, 1.25, 1.10, 205}},  {GGML_Q4_1, {92, 1.2, 1.8, 3.4, 6.8, 1.25, 1.10, 200}},
    {GGML_Q5_0, {85, 1.15, 1.75, 3.3, 6.5, 1.25, 1.15, 180}}, {GGML_Q5_1, {85, 1.15, 1.75, 3.3, 6.5, 1.25, 1.15, 180}},
    {GGML_Q4_K, {90, 1.15, 1.65, 3.2, 6.3, 1.25, 1.10, 215}}, {GGML_Q5_K, {85, 1.15, 1.7, 3.2, 6.3, 1.25, 1.15, 180}},
    {GGML_Q6_K, {82, 1.1, 1.6, 3.2, 6.3, 1.25, 1.15, 150}},   {GGML_Q8_0, {95, 1.1, 1.65, 3.0, 6.0, 1.20, 1.10, 128}},
    {GGML_F16, {93, 1.05, 1.3, 2.4, 4.5, 1.15, 1.10, 88}},    {GGML_BF16, {93, 1.1, 1.4, 2.5, 5.0, 1.20, 1.15, 76}},
    {GGML_F32, {88, 1.0, 1.05, 1.3, 2.3, 1.10, 1.10, 88}},
};
static const struct row avx512vnni[] = {
    {GGML_Q4_0, {95, 1.1, 1.4, 2.3, 4.3, 1.25, 1.10, 340}},  {GGML_Q4_1, {95, 1.1, 1.4, 2.3, 4.3, 1.25, 1.10, 340}},
    {GGML_Q8_0, {95, 1.15, 1.3, 1.8, 2.4, 1.20, 1.10, 300}}, {GGML_Q5_0, {92, 1.15, 1.5, 2.5, 4.6, 1.25, 1.15, 300}},
    {GGML_Q5_1, {92, 1.15, 1.5, 2.5, 4.6, 1.25, 1.15, 300}}, {GGML_Q4_K, {92, 1.15, 1.5, 2.5, 4.6, 1.25, 1.10, 300}},
    {GGML_Q5_K, {92, 1.15, 1.5, 2.5, 4.6, 1.25, 1.15, 300}}, {GGML_Q6_K, {92, 1.15, 1.5, 2.5, 4.6, 1.25, 1.15, 300}},
};

static const double *find(const struct row *rows, size_t n, enum ggml_type type)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].type == type)
            return rows[i].v;
    return NULL;
}

/* The worst T(M) beside what memory and arithmetic alone would take; knee: of M = 2, 3, 5, else of the other M > 1. */
static double worst(const struct bench_kernel *r, double roof_ms, double peak, bool knee)
{
    double most = 0;
    for (int m = 2; m <= BENCH_MAX_M; m++) {
        if ((m == 2 || m == 3 || m == 5) != knee)
            continue;
        const double t_cmp = 1e3 * r->gop[m - 1] / peak, floor = t_cmp > roof_ms ? t_cmp : roof_ms;
        const double x = r->t[m - 1].min / floor;
        most = x > most ? x : most;
    }
    return most;
}

static double peak_of(const struct bench_kernel *r, int n_threads)
{
    return n_threads == 1 ? r->peak1_gops : r->peak_gops;
}

double bench_crossing(const struct bench_kernel *r, int n_threads)
{
    return roof_best(r->roof).min * peak_of(r, n_threads) / (1e3 * r->gop[0]);
}

bool bench_targets(struct target out[TARGET_N], const struct bench_kernel *r, const char *level, int n_threads)
{
    const bool is_avx2 = strcmp(level, "avx2") == 0, is_vnni = strcmp(level, "avx512vnni") == 0;
    const double roof = roof_best(r->roof).min, peak = peak_of(r, n_threads);
    const double *want = is_vnni ? find(avx512vnni, sizeof avx512vnni / sizeof *avx512vnni, r->type) : NULL;
    if (!want && (is_avx2 || is_vnni))
        want = find(avx2, sizeof avx2 / sizeof *avx2, r->type);
    if (!want || n_threads > 2 || !(r->t[0].min > 0) || !(peak > 0) || !(roof > 0))
        return false;
    const double t1 = r->t[0].min;
    const double got[TARGET_N] = {
        [TARGET_T1] = 100 * roof / t1 * (double)r->tensor_bytes / (double)r->bytes,
        [TARGET_T2] = r->t[1].min / t1,
        [TARGET_T4] = r->t[3].min / t1,
        [TARGET_T8] = r->t[7].min / t1,
        [TARGET_T16] = r->t[15].min / t1,
        [TARGET_KNEE] = worst(r, roof, peak, true),
        [TARGET_REST] = worst(r, roof, peak, false),
        [TARGET_P] = peak,
    };
    for (int i = 0; i < TARGET_N; i++) {
        struct target *t = &out[i];
        *t = (struct target){.got = got[i], .want = want[i], .at_least = i == TARGET_T1 || i == TARGET_P};
        if (n_threads == 2)
            t->want = i == TARGET_T1                      ? t->want - 3
                      : i == TARGET_P                     ? t->want * 1.85
                      : i >= TARGET_T2 && i <= TARGET_T16 ? t->want * 1.05
                                                          : t->want;
        t->pass = t->at_least ? t->got >= t->want : t->got <= t->want;
    }
    return true;
}
