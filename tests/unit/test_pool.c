/* The thread pool: all threads run, barriers order what they say they order (TSan checks the same by name), more
 * threads than cores, thousands of runs, and shares that cover everything once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fenv.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pool.h"

enum { MAX_T = 48 };

static struct pool *create(int n)
{
    struct otr_err err;
    struct pool *p = NULL;
    if (pool_create(&p, n, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(pool_n_threads(p), n);
    return p;
}

/* Every field is plain memory: only the pool orders the accesses. */
struct work {
    long ran[MAX_T]; /* by thread */
    long sum[MAX_T]; /* what each thread saw of the others after a barrier */
    int n_barrier, bad;
    long turn;
};

static void count_run(const struct pool_ctx *ctx, void *arg)
{
    struct work *w = arg;
    w->ran[ctx->tid]++;
}

static void test_runs(void **state)
{
    static const int threads[] = {1, 2, 3, 8};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct pool *p = create(threads[t]);
        struct work w = {0};
        for (long i = 1; i <= 2000; i++) {
            pool_run(p, count_run, &w);
            for (int j = 0; j < threads[t]; j++) /* done when pool_run is back */
                assert_int_equal(w.ran[j], i);
        }
        pool_destroy(p);
    }
    pool_destroy(NULL);
}

/* Threads write, meet, read what all wrote, meet again. */
static void write_and_read(const struct pool_ctx *ctx, void *arg)
{
    struct work *w = arg;
    for (int b = 0; b < w->n_barrier; b++) {
        w->ran[ctx->tid] = 1000L * b + ctx->tid;
        pool_barrier(ctx);
        long sum = 0;
        for (int j = 0; j < ctx->n_threads; j++)
            sum += w->ran[j];
        w->sum[ctx->tid] = sum;
        if (ctx->tid == b % ctx->n_threads) /* one thread at a time, another one each time */
            w->turn++;
        pool_barrier(ctx);
        for (int j = 0; j < ctx->n_threads; j++)
            if (w->sum[j] != 1000L * b * ctx->n_threads + (long)ctx->n_threads * (ctx->n_threads - 1) / 2 &&
                ctx->tid == 0)
                w->bad++;
        pool_barrier(ctx);
    }
}

static void test_barriers(void **state)
{
    static const int threads[] = {1, 2, 4, MAX_T}; /* the last: more than any core count here */
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct pool *p = create(threads[t]);
        for (int run = 0; run < 20; run++) {
            struct work w = {.n_barrier = threads[t] == MAX_T ? 10 : 100};
            pool_run(p, write_and_read, &w);
            assert_int_equal(w.bad, 0);
            assert_int_equal(w.turn, w.n_barrier);
        }
        pool_destroy(p);
    }
}

/* Waits longer than spinning and yielding last: the sleeping path, for barriers and between runs. */
static void late(const struct pool_ctx *ctx, void *arg)
{
    struct work *w = arg;
    if (ctx->tid == (int)w->turn % ctx->n_threads)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    w->ran[ctx->tid] = w->turn;
    pool_barrier(ctx);
    for (int j = 0; j < ctx->n_threads; j++)
        if (w->ran[j] != w->turn)
            w->sum[ctx->tid]++;
}

static void test_sleep(void **state)
{
    struct pool *p = create(3);
    struct work w = {0};
    (void)state;
    for (w.turn = 0; w.turn < 12; w.turn++) {
        pool_run(p, late, &w);
        if (w.turn % 3 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    for (int j = 0; j < 3; j++)
        assert_int_equal(w.sum[j], 0);
    pool_destroy(p);
}

static void test_create_destroy(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct pool *p = create(1 + i % 5);
        struct work w = {0};
        if (i % 2)
            pool_run(p, count_run, &w);
        pool_destroy(p);
    }
    struct otr_err err;
    struct pool *p = NULL;
    assert_int_equal(pool_create(&p, POOL_MAX_THREADS + 1, &err), OTR_E_ARG);
    assert_null(p);
    assert_in_range(pool_default_threads(), 1, POOL_MAX_THREADS);
    assert_int_equal(pool_create(&p, 0, &err), OTR_OK);
    assert_int_equal(pool_n_threads(p), pool_default_threads());
    pool_destroy(p);
}

/* Two pools, driven by one thread in turn, do not meet. */
static void test_two_pools(void **state)
{
    struct pool *a = create(2), *b = create(3);
    struct work wa = {.n_barrier = 5}, wb = {.n_barrier = 7};
    (void)state;
    for (int i = 0; i < 200; i++) {
        pool_run(a, write_and_read, &wa);
        pool_run(b, write_and_read, &wb);
    }
    assert_int_equal(wa.bad + wb.bad, 0);
    pool_destroy(a);
    pool_destroy(b);
}

/* Shares are whole units, in order, next to each other, and all of [0, n). */
static void test_share(void **state)
{
    static const int ns[] = {0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 1000, 49152, INT32_MAX - 64};
    static const int units[] = {1, 4, 8, 32};
    (void)state;
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (size_t u = 0; u < sizeof units / sizeof *units; u++)
            for (int t = 1; t <= 70; t++) {
                int end = 0, least = INT32_MAX, most = 0;
                for (int tid = 0; tid < t; tid++) {
                    int lo, hi;
                    pool_share(&(struct pool_ctx){NULL, tid, t}, ns[i], units[u], &lo, &hi);
                    assert_true(lo == end && hi >= lo && hi <= ns[i]);
                    assert_true(lo % units[u] == 0 || lo == ns[i]);
                    end = hi;
                    const int n_unit = (hi - lo + units[u] - 1) / units[u];
                    least = n_unit < least ? n_unit : least;
                    most = n_unit > most ? n_unit : most;
                }
                assert_int_equal(end, ns[i]);
                assert_true(most - least <= 1); /* fair */
            }
}

/* Whatever the caller's rounding mode, work is done in round-to-nearest, and the mode comes back. */
static volatile float one = 1, tiny = 1e-10f;
static void add_tiny(const struct pool_ctx *ctx, void *arg)
{
    ((float *)arg)[ctx->tid] = one + tiny;
}

static void test_rounding_mode(void **state)
{
    float got[4] = {0};
    struct pool *p = create(4);
    (void)state;
    assert_int_equal(fesetround(FE_UPWARD), 0);
    pool_run(p, add_tiny, got);
    const int mode = fegetround();
    fesetround(FE_TONEAREST);
    assert_int_equal(mode, FE_UPWARD);
    for (int i = 0; i < 4; i++)
        assert_true(got[i] == 1);
    pool_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),           cmocka_unit_test(test_barriers),  cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_create_destroy), cmocka_unit_test(test_two_pools), cmocka_unit_test(test_share),
        cmocka_unit_test(test_rounding_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
