/* The parts of src/bench that can be right or wrong without a clock: quantiles (against numpy), what the roof reads
 * (all bytes, once), starting lines, random weights, command line values, and that a product with wrong bits is found.
 * No time is asserted anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/bench.h"
#include "bench/weights_random.h"
#include "kern/blocks.h"
#include "load/dequant.h"

/* ---- statistics ---- */

static void near(double got, double want)
{
    if (!(got - want < 1e-12 && want - got < 1e-12))
        fail_msg("%.17g, wanted %.17g", got, want);
}

/* numpy.quantile(v, q) */
static void test_quantiles(void **state)
{
    (void)state;
    const double one[] = {3}, two[] = {1, 2}, seven[] = {0.5, 1, 1, 2.25, 3, 8, 100};
    near(sorted_quantile(one, 1, 0.25), 3);
    near(sorted_quantile(one, 1, 1), 3);
    near(sorted_quantile(two, 2, 0.25), 1.25);
    near(sorted_quantile(two, 2, 0.5), 1.5);
    near(sorted_quantile(seven, 7, 0), 0.5);
    near(sorted_quantile(seven, 7, 0.25), 1);
    near(sorted_quantile(seven, 7, 0.5), 2.25);
    near(sorted_quantile(seven, 7, 0.9), 44.8);
    near(sorted_quantile(seven, 7, 1), 100);
}

static void test_spread(void **state)
{
    (void)state;
    double v[] = {9, 1, 7, 3, 5, 2, 8, 4}; /* numpy: 1, 2.75, 4.5 */
    struct spread s = spread_of(v, 8), sum = {1, 1, 1};
    near(s.min, 1);
    near(s.q25, 2.75);
    near(s.median, 4.5);
    spread_add(&sum, &s);
    near(sum.min, 2);
    near(sum.q25, 3.75);
    near(sum.median, 5.5);
    const struct spread roof[ROOF_N] = {{1, 5, 6}, {2, 4, 7}, {3, 6, 5}};
    s = roof_best(roof);
    near(s.min, 1);
    near(s.q25, 4);
    near(s.median, 5);
}

/* Coverages from tables of the sign test (Conover, table A3): 9 values, second and second last, 0.9609. */
static void test_median_interval(void **state)
{
    (void)state;
    static const struct {
        size_t n, k;
        double covers;
    } want[] = {{1, 0, 0},
                {3, 0, 0.75},
                {5, 0, 0.9375},
                {6, 0, 0.96875},
                {9, 1, 0.9609375},
                {15, 3, 1 - 2 * 576. / 32768},
                {20, 5, 0.958610534667968750}};
    double v[20];
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const size_t n = want[i].n;
        for (size_t k = 0; k < n; k++)
            v[k] = (double)(n - 1 - k);
        const struct median m = median_of(v, n);
        near(m.x, (double)(n - 1) / 2);
        near(m.low, (double)want[i].k);
        near(m.high, (double)(n - 1 - want[i].k));
        near(m.covers, want[i].covers);
    }
}

/* ---- threads ---- */

struct rig {
    struct kernels k;
    struct pool *pool;
    struct team *team;
};

static void rig_open(struct rig *r, int n_threads)
{
    struct otr_err err;
    assert_int_equal(kernels_init(&r->k, NULL), 0);
    assert_int_equal(pool_create(&r->pool, n_threads, &err), OTR_OK);
    assert_int_equal(team_open(&r->team, &r->k, r->pool, &err), OTR_OK);
}

static void rig_close(struct rig *r)
{
    team_close(r->team);
    pool_destroy(r->pool);
}

enum { N_ROUND = 200, N_THREADS = 3 };
struct line_job {
    struct gate gate;
    _Atomic int reached[N_ROUND];
    _Atomic int n_early;
};

static void line_thread(const struct pool_ctx *ctx, void *arg)
{
    struct line_job *j = arg;
    for (int i = 0; i < N_ROUND; i++) {
        atomic_fetch_add(&j->reached[i], 1);
        gate_wait(&j->gate, (uint64_t)i + 1, ctx->n_threads);
        if (atomic_load(&j->reached[i]) != ctx->n_threads)
            atomic_fetch_add(&j->n_early, 1);
    }
}

static void test_gate(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, N_THREADS);
    struct line_job j;
    memset(&j, 0, sizeof j);
    gate_reset(&j.gate);
    pool_run(r.pool, line_thread, &j);
    assert_int_equal(atomic_load(&j.n_early), 0);
    rig_close(&r);
}

static void test_one_thread_is_never_dropped(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 1);
    struct pair_count c = {0};
    for (int i = 0; i < 3; i++)
        team_admit(r.team, &c, 3);
    assert_int_equal(c.n, 3);
    assert_int_equal(c.n_dropped + c.n_low, 0);
    near(c.sum, 3);
    near(c.least, 1);
    rig_close(&r);
}

/* ---- the roof reads every line once ---- */

static void test_roof_reads_all(void **state)
{
    (void)state;
    enum { WORDS = 3 * 1024 };
    static _Alignas(64) uint64_t v[WORDS + 32];
    uint64_t want = 0;
    for (size_t i = 0; i < WORDS; i++) {
        v[i] = i * 0x9e3779b97f4a7c15u + 1;
        want ^= v[i];
    }
    for (size_t i = WORDS; i < WORDS + 32; i++)
        v[i] = ~(uint64_t)0 / (i + 1); /* must not be read */
    for (int kind = 0; kind < ROOF_N; kind++)
        assert_true(roof_read(v, WORDS * sizeof *v, kind) == want);
    assert_true(roof_read(v, 63, 0) == 0);

    struct rig r;
    rig_open(&r, 2);
    for (int kind = 0; kind < ROOF_N; kind++) {
        r.team->lane[0].sink = r.team->lane[1].sink = 0;
        assert_true(roof_pass(r.team, v, WORDS * sizeof *v, kind) >= 0);
        assert_true((r.team->lane[0].sink ^ r.team->lane[1].sink) == want);
    }
    rig_close(&r);
}

/* ---- random weights are of a sane size ---- */

static void test_random_weights(void **state)
{
    (void)state;
    enum { ROWS = 4, COLS = 512 };
    static uint8_t rows[ROWS * COLS * sizeof(float)];
    static float x[ROWS * COLS];
    for (int i = 0; i < BENCH_N_TYPE; i++) {
        const enum ggml_type type = bench_types[i];
        rows_random(rows, type, ROWS, COLS, 7);
        dequant_row(type, x, rows, ROWS * COLS);
        int n_zero = 0;
        for (int j = 0; j < ROWS * COLS; j++) {
            assert_true(x[j] > -600.0f && x[j] < 600.0f); /* Q6_K: 2^-4 * 127 * 32; also false for a NaN */
            n_zero += x[j] == 0.0f;
        }
        assert_true(n_zero < ROWS * COLS / 8);
    }
    floats_random(x, ROWS * COLS, 8);
    for (int j = 0; j < ROWS * COLS; j++)
        assert_true(x[j] >= -1.0f && x[j] < 1.0f);
}

/* ---- command line values ---- */

static void refused(const char *text, const char *why)
{
    struct otr_err err;
    int v[3];
    assert_int_equal(bench_parse_ints(text, "--ctx", 1, 1024, v, 3, &err), OTR_E_ARG);
    assert_non_null(strstr(err.msg, "--ctx"));
    if (!strstr(err.msg, why))
        fail_msg("'%s': said '%s', wanted '%s'", text, err.msg, why);
}

static void test_parse(void **state)
{
    (void)state;
    struct otr_err err;
    int v[3] = {0};
    assert_int_equal(bench_parse_ints("16,256,1024", "--ctx", 1, 1024, v, 3, &err), 3);
    assert_true(v[0] == 16 && v[1] == 256 && v[2] == 1024);
    assert_int_equal(bench_parse_ints("1", "--ctx", 1, 1024, v, 3, &err), 1);
    assert_int_equal(v[0], 1);
    for (int i = 0; i < 9; i++)
        refused((const char *[]){"", ",", "16,", ",16", "16,,2", "-1", "+1", "16 ", "0x10"}[i], "whole numbers");
    refused("0", "1..1024");
    refused("1025", "1..1024");
    refused("99999999999999999999", "1..1024");
    refused("1,2,3,4", "more than 3");

    enum ggml_type t;
    assert_int_equal(bench_parse_type("q4_k", &t, &err), OTR_OK);
    assert_int_equal(t, GGML_Q4_K);
    assert_int_equal(bench_parse_type("BF16", &t, &err), OTR_OK);
    assert_int_equal(t, GGML_BF16);
    assert_int_equal(bench_parse_type("Q4", &t, &err), OTR_E_ARG);
    assert_non_null(strstr(err.msg, "--type"));
    assert_int_equal(bench_parse_type("", &t, &err), OTR_E_ARG);
}

/* ---- bits before times ---- */

static struct kernels good;

/* One bit of one output is wrong where 3 tokens are multiplied at once. */
static void matmul_wrong_at_3(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                              int n_tok)
{
    good.matmul(out, ld_out, w, row_lo, row_hi, act, n_tok);
    if (n_tok == 3 && row_lo == 0) {
        uint32_t v;
        memcpy(&v, &out[2 * ld_out + 5], sizeof v);
        v ^= 1;
        memcpy(&out[2 * ld_out + 5], &v, sizeof v);
    }
}

static void test_wrong_bits_are_found(void **state)
{
    (void)state;
    const struct bench_kernel_opts o = {.n_rows = 96, .n_cols = 256, .mb = 1, .n_pass = 2};
    struct rig r;
    rig_open(&r, 2);
    struct bench_kernel got;
    struct otr_err err;
    good = r.k;
    for (int broken = 0; broken <= 1; broken++) {
        r.k.matmul = broken ? matmul_wrong_at_3 : good.matmul;
        assert_int_equal(bench_kernel(&got, r.team, GGML_Q4_0, &o, &err), OTR_OK);
        for (int m = 1; m <= BENCH_MAX_M; m++)
            assert_int_equal(got.same[m - 1], !(broken && m == 3));
    }
    assert_int_equal(got.tensor_bytes, (size_t)got.n_mat * 96 * 256 / 32 * 18);
    assert_int_equal(got.pair.n, 2);
    near(got.gop[15], 2e-9 * 16 * 96 * 256 * got.n_mat);
    rig_close(&r);
}

static void test_columns_must_fit(void **state)
{
    (void)state;
    const struct bench_kernel_opts o = {.n_rows = 32, .n_cols = 288, .mb = 1, .n_pass = 1};
    struct rig r;
    rig_open(&r, 1);
    struct bench_kernel got;
    struct otr_err err;
    assert_int_equal(bench_kernel(&got, r.team, GGML_Q6_K, &o, &err), OTR_E_ARG);
    assert_non_null(strstr(err.msg, "256"));
    assert_int_equal(bench_kernel(&got, r.team, GGML_Q8_0, &o, &err), OTR_OK);
    rig_close(&r);
}

/* ---- two kernels in turn ---- */

static int parse_side(struct bench_side *s, const char *text)
{
    struct otr_err err;
    const int rc = bench_side_parse(s, text, strlen(text), "c", &err);
    assert_true(rc == OTR_OK || (rc == OTR_E_ARG && strstr(err.msg, "--ab")));
    return rc;
}

static void test_sides(void **state)
{
    (void)state;
    struct bench_side s;
    static const char *const bad[] = {"", "x", ":", ":0", "c:", "c:9", "3", "-1", "c:1", "1", "c :0", "c:0:0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse_side(&s, bad[i]) == OTR_OK)
            fail_msg("taken: '%s'", bad[i]);
    assert_int_equal(parse_side(&s, "c"), OTR_OK);
    assert_int_equal(parse_side(&s, "0"), OTR_OK); /* of the given level */
    assert_string_equal(s.k.level, "c");
    assert_false(s.has_plan);
    struct kernels k;
    assert_int_equal(kernels_init(&k, NULL), 0);
    if (!k.menu)
        return;
    char text[40];
    snprintf(text, sizeof text, "%s:1", k.level);
    assert_int_equal(parse_side(&s, text), OTR_OK);
    assert_string_equal(s.k.level, k.level);
    assert_memory_equal(&s.plans.plan[PLAN_Q4][0], &k.menu->set[1].plan[PLAN_Q4][0], sizeof(struct tile_plan));
}

static void test_ab(void **state)
{
    (void)state;
    const struct bench_kernel_opts o = {.n_rows = 96, .n_cols = 256, .mb = 1, .n_pass = 3};
    struct rig r;
    rig_open(&r, 2);
    struct bench_side side[2];
    struct bench_ab got;
    struct otr_err err;
    assert_int_equal(bench_side_parse(&side[0], "c", 1, NULL, &err), OTR_OK);
    assert_int_equal(bench_side_parse(&side[1], r.k.level, strlen(r.k.level), NULL, &err), OTR_OK);
    good = side[1].k;
    for (int broken = 0; broken <= 1; broken++) {
        side[1].k.matmul = broken ? matmul_wrong_at_3 : good.matmul;
        assert_int_equal(bench_ab(&got, r.team, GGML_Q6_K, side, &o, &err), OTR_OK);
        for (int m = 1; m <= BENCH_MAX_M; m++) {
            const struct ab_ratio *x = &got.ratio[m - 1];
            assert_int_equal(got.same[m - 1], !(broken && m == 3));
            assert_true(x->q25 > 0 && x->q25 <= x->median && x->median <= x->q75);
        }
        assert_int_equal(got.pair.n, 3);
    }
    rig_close(&r);
}

/* ---- targets ---- */

/* Times that are exactly at, or just beyond, what kernels.md D says of Q8_0 at avx2. */
static void test_targets(void **state)
{
    (void)state;
    struct bench_kernel r = {
        .type = GGML_Q8_0, .bytes = 100, .tensor_bytes = 100, .peak1_gops = 128, .peak_gops = 236.8};
    struct target t[TARGET_N];
    for (int i = 0; i < ROOF_N; i++)
        r.roof[i].min = 95;
    for (int m = 1; m <= BENCH_MAX_M; m++) {
        r.t[m - 1].min = 100;
        r.gop[m - 1] = 0.128 * 95 * m; /* the arithmetic of one token takes the roof's time */
    }
    r.t[1].min = 110; /* the target of T2; 165 is that of T4, ... */
    r.t[3].min = 165;
    r.t[7].min = 300;
    r.t[15].min = 601;
    assert_true(bench_targets(t, &r, "avx2", 1));
    static const bool want[TARGET_N] = {true, true, true, true, false, true, true, true};
    for (int i = 0; i < TARGET_N; i++)
        if (t[i].pass != want[i])
            fail_msg("%s: %g against %g", target_name[i], t[i].got, t[i].want);
    near(t[TARGET_T1].got, 95);
    near(t[TARGET_T16].want, 6);
    near(t[TARGET_KNEE].got, 110.0 / 190);
    assert_true(bench_targets(t, &r, "avx2", 2)); /* 3 points less, 5 % more, 1.85 times P */
    near(t[TARGET_T1].want, 92);
    near(t[TARGET_T16].want, 6.3);
    assert_true(t[TARGET_T16].pass && t[TARGET_P].pass);
    r.tensor_bytes = 96; /* panels that are larger than the tensor */
    assert_true(bench_targets(t, &r, "avx2", 1));
    assert_false(t[TARGET_T1].pass);
    assert_true(bench_targets(t, &r, "avx512vnni", 1));
    near(t[TARGET_T8].want, 1.8);
    r.type = GGML_F16;
    assert_true(bench_targets(t, &r, "avx512vnni", 1)); /* as in D */
    near(t[TARGET_T8].want, 2.4);
    assert_false(bench_targets(t, &r, "c", 1));
    assert_false(bench_targets(t, &r, "avx2", 3));
    assert_int_equal(bench_default_mb(0), 600);
    assert_int_equal(bench_default_mb((size_t)100 << 20), 1000);
    assert_int_equal(bench_default_mb((size_t)260 << 20), 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_median_interval),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_one_thread_is_never_dropped),
        cmocka_unit_test(test_roof_reads_all),
        cmocka_unit_test(test_random_weights),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_wrong_bits_are_found),
        cmocka_unit_test(test_columns_must_fit),
        cmocka_unit_test(test_sides),
        cmocka_unit_test(test_ab),
        cmocka_unit_test(test_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
