/* The law of the draws: 8 tokens, 100,000 keys, frequencies against exact probabilities by chi-square.
 * The expected weights are worked out by hand, station by station. False-alarm rate 1e-6 per comparison; keys are
 * fixed, so the verdict is too. SRC: critical values of chi-square at 1e-6 (mpmath). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "sample/sample.h"

enum { V = 8, N = 100000 };

/* Weights by id; they add up to 100. */
static const double WEIGHT[V] = {3, 40, 8, 12, 2, 20, 5, 10};
static const double CRITICAL[V] = {0, 23.93, 27.63, 30.66, 33.38, 35.89, 38.26, 40.52}; /* by degrees of freedom */
static const double CRITICAL_63 = 131.37;

static float logits[V];

static int make_logits(void **state)
{
    (void)state;
    for (int i = 0; i < V; i++)
        logits[i] = (float)log(WEIGHT[i]);
    return 0;
}

static struct otr_sampling plain(void)
{
    return (struct otr_sampling){.temp = 1,
                                 .top_p = 1,
                                 .typical_p = 1,
                                 .repeat_penalty = 1,
                                 .penalty_last_n = 64,
                                 .dry_base = 2,
                                 .dry_allowed_length = 1,
                                 .dry_penalty_last_n = -1};
}

/* Chi-square of n counts against weights; a count where the weight is 0 is infinite. *df: degrees of freedom. */
static double chi_square(const long *got, const double *weight, int n, long total, int *df)
{
    double z = 0, sum = 0;
    *df = -1;
    for (int i = 0; i < n; i++)
        z += weight[i];
    for (int i = 0; i < n; i++) {
        const double want = (double)total * weight[i] / z;
        if (weight[i] > 0) {
            sum += ((double)got[i] - want) * ((double)got[i] - want) / want;
            ++*df;
        } else if (got[i] > 0) {
            return HUGE_VAL;
        }
    }
    return sum;
}

/* What varies from draw to draw. */
enum keys { KEY_SEED, KEY_CHOICE, KEY_BEFORE, KEY_ALL };

static void draw_many(struct otr_sampling sp, const struct history *h, enum keys keys, long *got)
{
    struct otr_err err;
    struct sampler *s;
    struct dist d;
    assert_int_equal(sampler_open(&s, &sp, V, &err), OTR_OK);
    for (int i = 0; i < V; i++)
        got[i] = 0;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t choice = keys == KEY_CHOICE ? i : keys == KEY_ALL ? i % 10 : 0;
        const uint64_t n_before = keys == KEY_BEFORE ? i : keys == KEY_ALL ? i / 10 % 100 : h->n_base;
        sp.seed = keys == KEY_SEED ? i : keys == KEY_ALL ? 77 + i / 1000 : 5;
        assert_int_equal(sampler_set(s, &sp, &err), OTR_OK);
        if (keys == KEY_SEED) { /* the short cuts too */
            const int32_t id = sampler_pick(s, logits, h, choice, &err);
            assert_in_range(id, 0, V - 1);
            got[id]++;
            continue;
        }
        assert_int_equal(sampler_dist(s, logits, h, &d, &err), OTR_OK);
        got[sampler_draw(s, &d, choice, n_before)]++;
    }
    sampler_close(s);
}

static void check_law(const char *name, const struct otr_sampling *sp, const struct history *h, const double *weight)
{
    static const char *const key_name[] = {"seed", "choice", "tokens before", "all three"};
    for (int keys = KEY_SEED; keys <= KEY_ALL; keys++) {
        long got[V];
        int df;
        draw_many(*sp, h, (enum keys)keys, got);
        const double x2 = chi_square(got, weight, V, N, &df);
        if (!(x2 < CRITICAL[df]))
            fail_msg("%s, keyed by %s: chi-square %.1f with %d degrees of freedom", name, key_name[keys], x2, df);
        printf("%-14s keyed by %-13s chi-square %5.1f < %5.1f\n", name, key_name[keys], x2, CRITICAL[df]);
    }
}

static void test_law(void **state)
{
    /* history: token 1 three times, 5 once, and the end "1" was last followed by 5 */
    static const int32_t hist[] = {1, 1, 5, 1};
    static const struct otr_logit_bias bias[] = {{1, -HUGE_VALF}, {4, 2.302585093f}};
    const struct history h = {.base = hist, .n_base = 4};
    struct otr_sampling sp = plain();
    (void)state;
    check_law("plain", &sp, &h, WEIGHT);
    sp.temp = 0.5f;
    check_law("temperature", &sp, &h, (double[V]){9, 1600, 64, 144, 4, 400, 25, 100}); /* squares */
    sp = plain();
    sp.top_k = 5;
    check_law("top-k", &sp, &h, (double[V]){0, 40, 8, 12, 0, 20, 0, 10});
    sp = plain();
    sp.top_p = 0.85f; /* 40 + 20 + 12 + 10 is less */
    check_law("top-p", &sp, &h, (double[V]){0, 40, 8, 12, 0, 20, 0, 10});
    sp = plain();
    sp.min_p = 0.11f; /* of 40: 4.4 */
    check_law("min-p", &sp, &h, (double[V]){0, 40, 8, 12, 0, 20, 5, 10});
    sp = plain();
    sp.typical_p = 0.4f; /* H = 1.71; nearest: 20 (1.61), 12 (2.12), 10 (2.30), then 40 (0.92) */
    check_law("typical", &sp, &h, (double[V]){0, 0, 0, 12, 0, 20, 0, 10});
    sp.typical_p = 0.6f;
    check_law("typical", &sp, &h, (double[V]){0, 40, 0, 12, 0, 20, 0, 10});
    sp = plain();
    sp.presence_penalty = 0.6931471806f; /* halves what came */
    check_law("presence", &sp, &h, (double[V]){3, 20, 8, 12, 2, 10, 5, 10});
    sp = plain();
    sp.frequency_penalty = 0.6931471806f; /* halves once per time */
    check_law("frequency", &sp, &h, (double[V]){3, 5, 8, 12, 2, 10, 5, 10});
    sp = plain();
    sp.repeat_penalty = 2; /* square roots */
    check_law("repetition", &sp, &h, (double[V]){3, sqrt(40), 8, 12, 2, sqrt(20), 5, 10});
    sp = plain();
    sp.dry_multiplier = 0.6931471806f; /* "1" was followed by 1 and by 5, one token each: halves both */
    check_law("DRY", &sp, &h, (double[V]){3, 20, 8, 12, 2, 10, 5, 10});
    sp = plain();
    sp.bias = bias; /* 1 is banned, 4 is ten times as likely */
    sp.n_bias = 2;
    check_law("bias", &sp, &h, (double[V]){3, 0, 8, 12, 20, 20, 5, 10});
    /* all together: weights {3 - 8 12 20 20/2 5 10}, top-k 6 drops 3, top-p .8 of 65 keeps {20 12 10 10}, min-p .55
     * drops what is under 11, temperature .5 squares */
    sp.presence_penalty = 0.6931471806f;
    sp.top_k = 6;
    sp.top_p = 0.79f;
    sp.min_p = 0.55f;
    sp.temp = 0.5f;
    check_law("together", &sp, &h, (double[V]){0, 0, 0, 144, 400, 0, 0, 0});
}

/* Draws with neighbouring keys are independent: pairs over 64 cells, for each part of the key. */
static void test_independent(void **state)
{
    struct otr_err err;
    struct sampler *s;
    struct dist d;
    double weight[V * V];
    struct otr_sampling sp = plain();
    (void)state;
    for (int i = 0; i < V * V; i++)
        weight[i] = WEIGHT[i / V] * WEIGHT[i % V];
    assert_int_equal(sampler_open(&s, &sp, V, &err), OTR_OK);
    for (int part = 0; part < 3; part++) {
        long got[V * V] = {0};
        int df;
        for (uint32_t i = 0; i < N; i++) {
            int32_t id[2];
            for (uint32_t j = 0; j < 2; j++) {
                sp.seed = part == 0 ? 2 * i + j : 9;
                assert_int_equal(sampler_set(s, &sp, &err), OTR_OK);
                assert_int_equal(sampler_dist(s, logits, &(struct history){0}, &d, &err), OTR_OK);
                id[j] = sampler_draw(s, &d, part == 1 ? 2 * i + j : 0, part == 2 ? 2 * i + j : 0);
            }
            got[id[0] * V + id[1]]++;
        }
        const double x2 = chi_square(got, weight, V * V, N, &df);
        printf("pairs, part %d of the key: chi-square %.1f < %.1f\n", part, x2, CRITICAL_63);
        assert_int_equal(df, 63);
        assert_true(x2 < CRITICAL_63);
    }
    sampler_close(s);
}

/* The test sees what it should: a temperature off by 4 %, a token kept too much, one weight off by 6 %. */
static void test_sees_errors(void **state)
{
    long got[V];
    int df;
    double weight[V];
    struct otr_sampling sp = plain();
    (void)state;
    sp.temp = 1.04f;
    draw_many(sp, &(struct history){0}, KEY_ALL, got);
    assert_true(chi_square(got, WEIGHT, V, N, &df) > CRITICAL[7]);
    sp = plain();
    sp.top_k = 6;
    draw_many(sp, &(struct history){0}, KEY_ALL, got);
    assert_true(chi_square(got, (double[V]){0, 40, 8, 12, 0, 20, 0, 10}, V, N, &df) > CRITICAL[4]);
    sp = plain();
    draw_many(sp, &(struct history){0}, KEY_ALL, got);
    for (int i = 0; i < V; i++)
        weight[i] = WEIGHT[i] * (i == 1 ? 1.06 : 1);
    assert_true(chi_square(got, weight, V, N, &df) > CRITICAL[7]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_law),
        cmocka_unit_test(test_independent),
        cmocka_unit_test(test_sees_errors),
    };
    return cmocka_run_group_tests(tests, make_logits, NULL);
}
