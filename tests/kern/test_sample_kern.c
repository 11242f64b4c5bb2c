/* The sampler's kernels: at_least and may_win at every level against plain loops, and the bound on the noise against
 * the noise itself. Buffers end at an unreadable page; a planted bug must be seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kern/noise.h"
#include "sample/sample.h"
#include "support/kern_check.h"

enum { SEED = 20261124, ROUNDS = 60 };
static const char *const level_name[] = {"c", "avx2", "avx512vnni"};
enum { N_LEVELS = sizeof level_name / sizeof *level_name };
static const int sizes[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 255, 1000, 4099};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static float value(struct test_rng *r, int round)
{
    static const float few[] = {-INFINITY, -FLT_MAX, -1.0f, -0.0f, 0.0f, 0x1p-149f, 1.0f, FLT_MAX, INFINITY};
    return round % 3 ? 4.0f * rng_normal(r) : few[rng_below(r, 9)];
}

/* Calls whose list is not the one of a plain loop. */
static long check_at_least(const struct kernels *k, struct test_rng *r)
{
    long bad = 0;
    for (int s = 0; s < N_SIZES; s++)
        for (int round = 0; round < ROUNDS; round++) {
            const int n = sizes[s];
            struct guard gx = guard_alloc((size_t)n * sizeof(float)), gi = guard_alloc((size_t)n * sizeof(int32_t));
            float *x = gx.p;
            for (int i = 0; i < n; i++)
                x[i] = value(r, round);
            const float floor = round % 7 == 0 ? -FLT_MAX : round % 7 == 1 ? -INFINITY : value(r, round);
            int32_t *at = gi.p;
            const int found = k->at_least(at, x, n, floor);
            int want = 0;
            bool same = true;
            for (int i = 0; i < n; i++)
                if (x[i] >= floor)
                    same = same && want < found && at[want++] == i;
            bad += !same || want != found;
            guard_free(&gx);
            guard_free(&gi);
        }
    return bad;
}

/* The same for may_win, from the definition in kern.h: one word at a time, by another road than the kernels'. */
static long check_may_win(const struct kernels *k, struct test_rng *r)
{
    static const float temps[] = {0x1p-149f, 1e-30f, 0.05f, 0.7f, 1.0f, 3.0f, 1e9f, FLT_MAX};
    long bad = 0, hits = 0;
    for (int s = 0; s < N_SIZES; s++)
        for (int round = 0; round < ROUNDS; round++) {
            const int n = sizes[s], lo = n > 8 ? 4 * rng_below(r, n / 4) : 0;
            struct guard gx = guard_alloc((size_t)n * sizeof(float)), gi = guard_alloc((size_t)n * sizeof(int32_t));
            float *x = gx.p;
            for (int i = 0; i < n; i++)
                x[i] = value(r, round);
            const struct noise_scan scan = {
                .seed = (uint64_t)rng_below(r, 1 << 30) << 34 | (uint64_t)rng_below(r, 1 << 30),
                .ctr = {(uint32_t)rng_below(r, 1 << 30) << 2, (uint32_t)rng_below(r, 1 << 30) << 2, 0xfffffff0u},
                .temp = temps[round % 8],
                .floor = round % 4 ? -FLT_MAX : value(r, round),
                .cut = temps[round % 8] * (float)rng_below(r, 5) + (round % 5 ? 0.0f : value(r, round))};
            int32_t *id = gi.p;
            const int found = k->may_win(id, x, lo, n, &scan);
            int want = 0;
            bool same = true;
            for (int i = lo; i < n; i++) {
                const uint32_t word = noise_words(scan.seed, scan.ctr, (uint32_t)i / 4).v[i % 4];
                if (x[i] >= scan.floor && fmaf(gumbel_bound(word), scan.temp, x[i]) >= scan.cut)
                    same = same && want < found && id[want++] == i;
            }
            hits += want;
            bad += !same || want != found;
            guard_free(&gx);
            guard_free(&gi);
        }
    assert_true(hits > 10000);
    return bad;
}

static void test_levels_agree(void **state)
{
    struct kernels k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l])) {
            assert_int_equal(check_at_least(&k, &r), 0);
            assert_int_equal(check_may_win(&k, &r), 0);
        }
    printf("seed %d\n", SEED);
}

/* The bound is over the noise at every word tried, each end of every power of two and of every step of 256 among them,
 * and close enough to be of use. */
static void test_bound(void **state)
{
    double widest = 0;
    (void)state;
    for (uint32_t i = 0; i < 3000000; i++) {
        const uint32_t word = i < 70000     ? i
                              : i < 140000  ? UINT32_MAX - (i - 70000)
                              : i < 150000  ? ((i & 31) ? (1u << (i & 31)) - 16 + (i >> 5 & 31) : i)
                              : i < 1000000 ? (i << 12) + (i & 1 ? 255 : 0)
                                            : i * 2654435761u;
        const double g = gumbel_of_word(word), bound = (double)gumbel_bound(word);
        if (!(bound >= g))
            fail_msg("word %u: noise %.17g, bound %.17g", word, g, bound);
        if (word >= 1u << 16)
            widest = fmax(widest, bound + log((word + 0.5) * 0x1p-32));
    }
    printf("bound: at most %.4f above -log w\n", widest);
    assert_true(widest < 0.07);
}

/* -- planted */

static struct kernels good;

static int at_least_above(int32_t *at, const float *x, int n, float floor) /* > for >= */
{
    return good.at_least(at, x, n, nextafterf(floor, INFINITY));
}

static int may_win_keyed(int32_t *id, const float *x, int lo, int hi, const struct noise_scan *s) /* another choice */
{
    struct noise_scan shifted = *s;
    shifted.ctr[0] ^= 1;
    return good.may_win(id, x, lo, hi, &shifted);
}

static int may_win_tail(int32_t *id, const float *x, int lo, int hi, const struct noise_scan *s) /* no tail */
{
    return good.may_win(id, x, lo, lo + (hi - lo) / 8 * 8, s);
}

static void test_planted(void **state)
{
    struct test_rng r = {.seed = SEED};
    (void)state;
    assert_int_equal(kernels_init(&good, "c"), 0);
    struct kernels bad = good;
    bad.at_least = at_least_above;
    assert_true(check_at_least(&bad, &r) > 0);
    bad.may_win = may_win_keyed;
    assert_true(check_may_win(&bad, &r) > 0);
    bad.may_win = may_win_tail;
    assert_true(check_may_win(&bad, &r) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_agree),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_planted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
