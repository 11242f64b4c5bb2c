/* How a drafter that works ahead shares its work (draft/fan.h) and finds it again (draft/outcomes.h). Oracles: every
 * way to share it, the condition of Lagrange, and a search that writes all paths out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "draft/fan.h"
#include "draft/outcomes.h"
#include "support/draft_rig.h"

static const uint64_t seed = 20261129;

/* ---- the fan ---- */

static double chance_of_place(double a, int n_chain, int j)
{
    return j < n_chain ? pow(a, j) * (1 - a) : pow(a, j);
}

static double missed(double a, double r, int n_chain, const int *fan)
{
    double sum = 0;
    for (int j = 0; j <= n_chain; j++)
        sum += chance_of_place(a, n_chain, j) * pow(1 + fan[j], -r);
    return sum;
}

/* The least chance to miss over all ways to share `left` among places j.. */
static double least(double a, double r, int n_chain, int most, int j, int left, int *fan)
{
    double best = (double)INFINITY;
    if (j == n_chain) {
        fan[j] = left;
        return left <= most ? missed(a, r, n_chain, fan) : (double)INFINITY;
    }
    for (fan[j] = 0; fan[j] <= left && fan[j] <= most; fan[j]++) {
        const int keep = fan[j];
        best = fmin(best, least(a, r, n_chain, most, j + 1, left - keep, fan));
        fan[j] = keep;
    }
    return best;
}

static void test_fan_is_best(void **state)
{
    (void)state;
    static const double as[] = {0.05, 0.4, 0.8, 0.97}, rs[] = {0.2, 1, 3};
    long n = 0;
    for (size_t x = 0; x < 4; x++)
        for (size_t y = 0; y < 3; y++)
            for (int k = 0; k <= 4; k++)
                for (int total = 1; total <= 9; total++)
                    for (int most = 3; most <= 9; most += 6) {
                        int fan[8] = {0}, any[8], sum = 0;
                        if (total > most * (k + 1))
                            continue;
                        fan_split(as[x], rs[y], k, total, most, fan);
                        for (int j = 0; j <= k; j++)
                            sum += fan[j];
                        assert_int_equal(sum, total);
                        const double got = missed(as[x], rs[y], k, fan),
                                     want = least(as[x], rs[y], k, most, 0, total, any);
                        if (got > want + 1e-12)
                            fail_msg("a %g r %g chain %d total %d: misses %g, %g is possible", as[x], rs[y], k, total,
                                     got, want);
                        n++;
                    }
    printf("%ld ways to share compared with all others\n", n);
    assert_true(n > 500);
}

/* The formula: 1 + F_j in proportion makes the gain of a token more the same at all places (Lagrange), and the split
 * in whole numbers is within one of it. */
static void test_fan_formula(void **state)
{
    (void)state;
    static const double as[] = {0.5, 0.7, 0.85}, rs[] = {0.5, 1, 2};
    for (size_t x = 0; x < 3; x++)
        for (size_t y = 0; y < 3; y++)
            for (int k = 0; k <= 3; k++) {
                const double a = as[x], r = rs[y];
                double w[8], sum = 0, slope = 0;
                int fan[8];
                for (int j = 0; j <= k; j++) {
                    w[j] = pow(a, j / (1 + r)) * (j < k ? 1 : pow(1 - a, -1 / (1 + r)));
                    sum += w[j];
                }
                for (int j = 0; j <= k; j++) {
                    const double g = r * chance_of_place(a, k, j) * pow(w[j] * (FAN_MAX + k + 1) / sum, -r - 1);
                    assert_true(j == 0 || fabs(g / slope - 1) < 1e-9);
                    slope = g;
                }
                fan_split(a, r, k, FAN_MAX, FAN_MAX, fan);
                for (int j = 0; j <= k; j++) /* all of these are above zero, so nothing is cut off */
                    if (fabs(1 + fan[j] - w[j] * (FAN_MAX + k + 1) / sum) > 1)
                        fail_msg("a %g r %g chain %d: %d at place %d, the formula says %g", a, r, k, fan[j], j,
                                 w[j] * (FAN_MAX + k + 1) / sum - 1);
            }
}

/* What is measured comes to what it is. */
static void test_fan_measured(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        const double a = 0.3 + 0.3 * which, r = 0.5 + 0.7 * which;
        struct fan_stats s = {0};
        uint64_t rng = seed;
        double sum_a = 0, sum_r = 0;
        enum { N = 20000, SKIP = 1000 };
        assert_true(fan_chance(&s) > 0.5 && fan_chance(&s) < 0.9 && fabs(fan_exponent(&s) - 1) < 1e-9);
        for (int i = 0; i < N; i++) {
            const int fan = 3 + dr_below(&rng, 2);
            int kept = 0;
            while (kept < 4 && dr_below(&rng, 1000) < 1000 * a)
                kept++;
            fan_see_chain(&s, kept < 4 ? kept + 1 : 4, kept);
            fan_see_outcome(&s, fan, dr_below(&rng, 1000000) < 1e6 * pow(1 + fan, -r));
            fan_see_outcome(&s, 0, true); /* nothing was prepared: it says nothing */
            sum_a += i < SKIP ? 0 : fan_chance(&s);
            sum_r += i < SKIP ? 0 : fan_exponent(&s);
        }
        printf("chance %.3f: measured %.3f; exponent %.2f: measured %.2f\n", a, sum_a / (N - SKIP), r,
               sum_r / (N - SKIP));
        assert_true(fabs(sum_a / (N - SKIP) - a) < 0.03 && fabs(sum_r / (N - SKIP) - r) < 0.15);
    }
}

/* ---- outcomes ---- */

enum { MAX_PATH = 16, MAX_OUT = 7 };

struct path { /* written out */
    int at, n;
    int32_t tok[MAX_PATH];
    float conf[MAX_PATH];
};

/* Of the paths that begin with after [n], the one with most of the chain, of these the first. */
static int search(const struct path *p, int n_path, const int32_t *after, int n, int cap, int32_t *tok, float *conf)
{
    int best = -1, m = 0;
    for (int i = n_path - 1; i >= 0; i--)
        if (p[i].n > n && memcmp(p[i].tok, after, (size_t)n * sizeof *after) == 0 &&
            (best < 0 || p[i].at >= p[best].at))
            best = i;
    for (int i = n; best >= 0 && i < p[best].n && m < cap; i++, m++) {
        tok[m] = p[best].tok[i];
        conf[m] = p[best].conf[i];
    }
    return m;
}

static void test_find(void **state)
{
    (void)state;
    uint64_t rng = seed;
    long n_found = 0, n_missed = 0;
    for (int round = 0; round < 20000; round++) {
        const int32_t tok[3] = {7, 8, 9};
        struct outcome_base b = {.tok = tok, .n = 3, .n_chain = dr_below(&rng, 5)};
        struct outcome o[MAX_OUT] = {{0}};
        struct path p[MAX_OUT + 1] = {{0}};
        int32_t text[3 + 8], got[MAX_PATH], want[MAX_PATH];
        float conf[MAX_PATH], want_conf[MAX_PATH];
        const int n_out = dr_below(&rng, MAX_OUT + 1), cap = dr_below(&rng, 6), n_ext = 1 + dr_below(&rng, 7);
        int n_path = 0;
        size_t n_after = 0;
        for (int i = 0; i < b.n_chain; i++) {
            b.chain[i] = dr_below(&rng, 2);
            b.conf[i] = 0.5f + (float)i;
        }
        for (int i = 0; i < n_out; i++) {
            o[i].at = dr_below(&rng, b.n_chain + 1);
            o[i].n = dr_below(&rng, 5);
            if (o[i].n == 0)
                o[i].at = 0; /* an empty slot */
            for (int k = 0; k < o[i].n; k++) {
                o[i].tok[k] = dr_below(&rng, 2);
                o[i].conf[k] = (float)(100 * i + k);
            }
            if (o[i].n == 0)
                continue;
            struct path *x = &p[n_path++];
            *x = (struct path){.at = o[i].at, .n = o[i].at + o[i].n};
            memcpy(x->tok, b.chain, (size_t)x->at * sizeof *x->tok);
            memcpy(x->conf, b.conf, (size_t)x->at * sizeof *x->conf);
            memcpy(x->tok + x->at, o[i].tok, (size_t)o[i].n * sizeof *x->tok);
            memcpy(x->conf + x->at, o[i].conf, (size_t)o[i].n * sizeof *x->conf);
        }
        struct path *chain = &p[n_path++]; /* last: an outcome that has all of it goes first */
        *chain = (struct path){.at = b.n_chain, .n = b.n_chain};
        memcpy(chain->tok, b.chain, sizeof(int32_t) * (size_t)b.n_chain);
        memcpy(chain->conf, b.conf, sizeof(float) * (size_t)b.n_chain);
        memcpy(text, tok, sizeof tok);
        for (int i = 0; i < n_ext; i++)
            text[3 + i] = dr_below(&rng, 2);
        const int32_t *after = outcome_after(&b, text, 3 + (size_t)n_ext, &n_after);
        assert_true(after == text + 3 && n_after == (size_t)n_ext);
        const int n = outcome_find(&b, o, n_out, after, n_after, cap, got, conf);
        assert_int_equal(n, search(p, n_path, after, n_ext, cap, want, want_conf));
        assert_memory_equal(got, want, (size_t)n * sizeof *got);
        assert_memory_equal(conf, want_conf, (size_t)n * sizeof *conf);
        n_found += n > 0;
        n_missed += n == 0;
    }
    printf("%ld found, %ld not\n", n_found, n_missed);
    assert_true(n_found > 1000 && n_missed > 1000);
}

/* A prefix is named by all of its tokens. */
static void test_named_prefix(void **state)
{
    (void)state;
    const int32_t tok[4] = {1, 2, 3, 4}, other[6] = {1, 9, 3, 4, 5, 6}, same[6] = {1, 2, 3, 4, 5, 6};
    const struct outcome_base b = {.tok = tok, .n = 4, .n_chain = 2, .chain = {5, 7}};
    size_t n;
    assert_null(outcome_after(&b, other, 6, &n));
    assert_null(outcome_after(&b, same, 4, &n)); /* nothing came yet */
    assert_null(outcome_after(&b, same, 2, &n)); /* it was cut back */
    assert_ptr_equal(outcome_after(&b, same, 6, &n), same + 4);
    assert_int_equal(n, 2);
    assert_int_equal(outcome_place(&b, same + 4, 2), 1);
    assert_int_equal(outcome_place(&b, b.chain, 2), 2);
    assert_int_equal(outcome_place(&b, same, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fan_is_best), cmocka_unit_test(test_fan_formula),  cmocka_unit_test(test_fan_measured),
        cmocka_unit_test(test_find),        cmocka_unit_test(test_named_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
