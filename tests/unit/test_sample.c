/* The sampler's rules one by one: ties, certain and forbidden tokens, penalties, DRY, the two ways to draw, settings.
 * What the stations of the chain keep is compared with other people's samplers in tests/golden/test_sampler_golden.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "sample/sample.h"

static const uint64_t SEED = 20250302;
static const struct history NO_HISTORY;

static uint64_t rng_at;
static uint32_t rnd(uint32_t n) /* below n */
{
    const struct philox r = philox4x32(SEED, (struct philox){{(uint32_t)rng_at++, 0, 0, 0}});
    return (uint32_t)((uint64_t)r.v[0] * n >> 32);
}

/* Everything off but temperature 1. */
static struct otr_sampling plain(void)
{
    return (struct otr_sampling){.temp = 1,
                                 .top_p = 1,
                                 .typical_p = 1,
                                 .penalty_last_n = -1,
                                 .repeat_penalty = 1,
                                 .dry_base = 1.75f,
                                 .dry_allowed_length = 2,
                                 .dry_penalty_last_n = -1};
}

static struct sampler *open_with(const struct otr_sampling *sp, int n_vocab)
{
    struct otr_err err;
    struct sampler *s = NULL;
    if (sampler_open(&s, sp, n_vocab, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static struct dist dist_of(struct sampler *s, const float *x, const struct history *h)
{
    struct otr_err err;
    struct dist d = {0};
    if (sampler_dist(s, x, h, &d, &err) < 0)
        fail_msg("%s", err.msg);
    return d;
}

/* The final logit of one token under the settings (nothing may have dropped it). */
static float logit_of(const struct otr_sampling *sp, const float *x, int n, const struct history *h, int32_t id)
{
    struct sampler *s = open_with(sp, n);
    const struct dist d = dist_of(s, x, h);
    float got = -HUGE_VALF;
    for (int i = 0; i < d.n; i++)
        if (d.id[i] == id)
            got = d.logit[i];
    sampler_close(s);
    return got;
}

static int32_t pick_of(const struct otr_sampling *sp, const float *x, int n, const struct history *h)
{
    struct otr_err err;
    struct sampler *s = open_with(sp, n);
    const int32_t id = sampler_pick(s, x, h, 0, &err);
    const struct dist d = dist_of(s, x, h);
    assert_int_equal(id, sampler_draw(s, &d, 0, h->n_base + h->n_path));
    sampler_close(s);
    return id;
}

/* ---- greedy, ties, odd values ---- */

static void test_defaults(void **state)
{
    const struct otr_sampling d = otr_sampling_default();
    (void)state;
    assert_true(d.temp == 0.8f && d.top_k == 40 && d.top_p == 0.95f && d.min_p == 0.05f && d.typical_p == 1);
    assert_true(d.repeat_penalty == 1 && d.frequency_penalty == 0 && d.presence_penalty == 0 && d.dry_multiplier == 0);
    assert_true(d.seed == 0 && d.n_bias == 0 && d.n_dry_breakers == 0);
    sampler_close(open_with(&d, 1)); /* and they are valid */
    sampler_close(NULL);
}

static void test_greedy(void **state)
{
    const float x[] = {1, 3, -HUGE_VALF, 3, 2};
    struct otr_sampling sp = plain();
    (void)state;
    sp.temp = 0;
    struct sampler *s = open_with(&sp, 5);
    assert_true(sampler_is_plain_greedy(s));
    sampler_close(s);
    assert_int_equal(pick_of(&sp, x, 5, &NO_HISTORY), 1); /* the lower id of two equal ones */
    sp.typical_p = 0.1f;                                  /* no station takes the argmax away at temperature 0 */
    sp.top_p = 0.1f;
    assert_int_equal(pick_of(&sp, x, 5, &NO_HISTORY), 1);
    const struct otr_logit_bias ban = {1, -HUGE_VALF};
    sp.bias = &ban;
    sp.n_bias = 1;
    s = open_with(&sp, 5);
    assert_false(sampler_is_plain_greedy(s));
    const struct dist d = dist_of(s, x, &NO_HISTORY);
    assert_true(d.n == 1 && d.id[0] == 3 && d.logit[0] == 3);
    sampler_close(s);
    sp.n_bias = 0;
    sp.dry_multiplier = 1;
    s = open_with(&sp, 5);
    assert_false(sampler_is_plain_greedy(s));
    sampler_close(s);
    sp.dry_multiplier = 0;
    sp.temp = 0.1f;
    s = open_with(&sp, 5);
    assert_false(sampler_is_plain_greedy(s));
    sampler_close(s);
}

static void expect_error(const struct otr_sampling *sp, const float *x, int n, int code, const char *text)
{
    struct otr_err err = {0};
    struct dist d;
    struct sampler *s = open_with(sp, n);
    assert_int_equal(sampler_pick(s, x, &NO_HISTORY, 0, &err), code);
    assert_non_null(strstr(err.msg, text));
    err = (struct otr_err){0};
    assert_int_equal(sampler_dist(s, x, &NO_HISTORY, &d, &err), code);
    assert_non_null(strstr(err.msg, text));
    sampler_close(s);
}

static void test_not_a_number(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++)
        for (int at = 0; at < 9; at++) {
            float x[9] = {5, 4, 3, 2, 1, 0, -1, -HUGE_VALF, HUGE_VALF};
            char text[64];
            const struct otr_logit_bias ban = {at, -HUGE_VALF};
            struct otr_sampling sp = way & 1 ? otr_sampling_default() : plain();
            sp.temp = way & 2 ? 0 : 1;
            sp.bias = &ban; /* a ban does not hide it */
            sp.n_bias = 1;
            x[at] = nanf("");
            snprintf(text, sizeof text, "token %d after 0 tokens is not a number", at);
            expect_error(&sp, x, 9, OTR_E_NUMERIC, text);
        }
}

static void test_nothing_left(void **state)
{
    const float none[] = {-HUGE_VALF, -HUGE_VALF}, some[] = {-HUGE_VALF, 1};
    const struct otr_logit_bias ban = {1, -HUGE_VALF};
    struct otr_sampling sp = plain();
    (void)state;
    expect_error(&sp, none, 2, OTR_E_ARG, "no token can be drawn");
    assert_int_equal(pick_of(&sp, some, 2, &NO_HISTORY), 1);
    sp.bias = &ban;
    sp.n_bias = 1;
    expect_error(&sp, some, 2, OTR_E_ARG, "no token can be drawn");
    sp.temp = 0;
    expect_error(&sp, some, 2, OTR_E_ARG, "no token can be drawn");
}

/* +inf is certain, the lowest id of several; it stays so under penalties, and only a ban takes it out. */
static void test_certain(void **state)
{
    const float x[] = {1, HUGE_VALF, 2, HUGE_VALF};
    const int32_t hist[] = {1, 1};
    const struct history h = {.base = hist, .n_base = 2};
    const struct otr_logit_bias ban = {1, -HUGE_VALF};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct otr_sampling sp = i ? otr_sampling_default() : plain();
        sp.repeat_penalty = 1.5f;
        sp.frequency_penalty = FLT_MAX; /* twice that is inf, and inf - inf would be no number */
        assert_int_equal(pick_of(&sp, x, 4, &h), 1);
        sp.bias = &ban;
        sp.n_bias = 1;
        assert_int_equal(pick_of(&sp, x, 4, &h), 3);
    }
}

static void test_extreme_temperature(void **state)
{
    const float x[] = {-4, -2, -3, -2.5f, -HUGE_VALF}, y[] = {0, 1e-30f, -1};
    struct otr_sampling sp = plain();
    int seen[5] = {0};
    (void)state;
    sp.temp = 1e-42f; /* the quotient does not fit a float: as good as greedy */
    assert_int_equal(pick_of(&sp, x, 5, &NO_HISTORY), 1);
    sp.typical_p = 0.3f; /* also where the largest was taken away before */
    pick_of(&sp, y, 3, &NO_HISTORY);
    sp.typical_p = 1;
    struct sampler *s = open_with(&sp, 3); /* 1e-30 / T fits, -1 / T does not: no candidate any more */
    assert_int_equal(dist_of(s, y, &NO_HISTORY).n, 2);
    sampler_close(s);
    sp.temp = FLT_MAX; /* all alike, the forbidden one still is */
    for (sp.seed = 0; sp.seed < 200; sp.seed++)
        seen[pick_of(&sp, x, 5, &NO_HISTORY)]++;
    assert_true(seen[0] > 20 && seen[1] > 20 && seen[2] > 20 && seen[3] > 20 && seen[4] == 0);
}

/* ---- selection ---- */

static const float *order_x;
static int by_logit_then_id(const void *a, const void *b)
{
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    return order_x[i] != order_x[j] ? (order_x[i] < order_x[j]) - (order_x[i] > order_x[j]) : (i > j) - (i < j);
}

/* top-k and the order against qsort, with many ties, zeros of both signs and forbidden tokens; heaps and radix. */
static void test_top_k(void **state)
{
    enum { N = 5000 };
    static const int ks[] = {0, 1, 2, 39, 1023, 1024, 1025, 1500, 4000, N - 1, N, 2 * N};
    static float x[N];
    static int32_t want[N];
    (void)state;
    for (int round = 0; round < 6; round++) {
        int n_ok = 0;
        for (int i = 0; i < N; i++) {
            const uint32_t r = rnd(100);
            x[i] = r < 3   ? -HUGE_VALF
                   : r < 6 ? -0.0f
                   : r < 9 ? 0.0f
                           : (float)((int)rnd(round % 2 ? 50 : 1000000) - 25) / 8;
            if (x[i] > -HUGE_VALF)
                want[n_ok++] = i;
        }
        order_x = x;
        qsort(want, (size_t)n_ok, sizeof *want, by_logit_then_id);
        for (size_t j = 0; j < sizeof ks / sizeof *ks; j++) {
            struct otr_sampling sp = plain();
            sp.top_k = ks[j];
            struct sampler *s = open_with(&sp, N);
            const struct dist d = dist_of(s, x, &NO_HISTORY);
            assert_int_equal(d.n, ks[j] && ks[j] < n_ok ? ks[j] : n_ok);
            assert_memory_equal(d.id, want, (size_t)d.n * sizeof *want);
            for (int i = 0; i < d.n; i++)
                assert_true(d.logit[i] == x[d.id[i]]);
            sampler_close(s);
        }
    }
}

/* Typical: tokens with equal logits stay or go together, and the likeliest can go. */
static void test_typical_ties(void **state)
{
    /* weights 16 and four of 1: H is nearest to 16's surprise; then all four at once */
    const float x[] = {0, 0, logf(16), 0, 0}, flat[] = {1, 1, 1};
    /* one of 8, eight of 2: the eight are the typical ones */
    const float y[] = {logf(8), logf(2), logf(2), logf(2), logf(2), logf(2), logf(2), logf(2), logf(2)};
    struct otr_sampling sp = plain();
    (void)state;
    sp.typical_p = 0.7f;
    struct sampler *s = open_with(&sp, 5);
    struct dist d = dist_of(s, x, &NO_HISTORY);
    assert_true(d.n == 1 && d.id[0] == 2);
    sp.typical_p = 0.81f;
    assert_int_equal(sampler_set(s, &sp, NULL), OTR_OK);
    assert_int_equal(dist_of(s, x, &NO_HISTORY).n, 5);
    sampler_close(s);
    sp.typical_p = 0.01f;
    s = open_with(&sp, 3);
    assert_int_equal(dist_of(s, flat, &NO_HISTORY).n, 3);
    sampler_close(s);
    s = open_with(&sp, 9);
    d = dist_of(s, y, &NO_HISTORY);
    assert_true(d.n == 8 && d.id[0] == 1);
    sampler_close(s);
}

/* Top-p stops when it holds exactly p; here at a tie, which it cuts by id. */
static void test_top_p_border(void **state)
{
    const float x[] = {1, 1, 1, 1};
    struct otr_sampling sp = plain();
    (void)state;
    sp.top_p = 0.5f;
    struct sampler *s = open_with(&sp, 4);
    const struct dist d = dist_of(s, x, &NO_HISTORY);
    assert_true(d.n == 2 && d.id[0] == 0 && d.id[1] == 1);
    sampler_close(s);
}

/* ---- penalties, bias ---- */

static void test_penalties(void **state)
{
    const float x[] = {2, -2, 0, 3, 4};
    const int32_t hist[] = {3, 0, 1, 2, 0, 0}; /* base; the path follows */
    const int32_t path[] = {1};
    const struct history h = {hist, 6, path, 1};
    struct otr_sampling sp = plain();
    (void)state;
    sp.repeat_penalty = 2;
    assert_true(logit_of(&sp, x, 5, &h, 0) == 1);  /* over 0: divided */
    assert_true(logit_of(&sp, x, 5, &h, 1) == -4); /* under 0: multiplied */
    assert_true(logit_of(&sp, x, 5, &h, 2) == 0);
    assert_true(logit_of(&sp, x, 5, &h, 4) == 4); /* never came */
    sp.frequency_penalty = 0.5f;
    sp.presence_penalty = 0.25f;
    assert_true(logit_of(&sp, x, 5, &h, 0) == 1 - 3 * 0.5f - 0.25f);
    assert_true(logit_of(&sp, x, 5, &h, 1) == -4 - 2 * 0.5f - 0.25f);
    sp.penalty_last_n = 3; /* 0 0 1 */
    assert_true(logit_of(&sp, x, 5, &h, 0) == 1 - 2 * 0.5f - 0.25f);
    assert_true(logit_of(&sp, x, 5, &h, 2) == 0);
    assert_true(logit_of(&sp, x, 5, &h, 3) == 3);
    sp.penalty_last_n = 0;
    assert_true(logit_of(&sp, x, 5, &h, 0) == 2);
    sp.penalty_last_n = 1000;
    const struct otr_logit_bias bias[] = {{0, 1}, {4, -1.5f}, {0, 0.5f}}; /* of one token: added up */
    sp.bias = bias;
    sp.n_bias = 3;
    assert_true(logit_of(&sp, x, 5, &h, 0) == 1 - 3 * 0.5f - 0.25f + 1.5f);
    assert_true(logit_of(&sp, x, 5, &h, 4) == 2.5f);
}

/* However hard, a penalty or a finite bias forbids nothing, and a settled row is not remembered. */
static void test_penalties_never_ban(void **state)
{
    const float x[] = {2, -2, 0};
    const int32_t hist[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
    const struct history h = {.base = hist, .n_base = 12};
    struct otr_sampling sp = plain();
    const struct otr_logit_bias bias[] = {{0, -FLT_MAX}, {0, -FLT_MAX}, {1, FLT_MAX}, {1, FLT_MAX}};
    (void)state;
    sp.frequency_penalty = FLT_MAX;
    sp.repeat_penalty = FLT_MAX;
    sp.dry_multiplier = FLT_MAX;
    for (int i = 0; i < 3; i++)
        assert_true(logit_of(&sp, x, 3, &h, i) == -FLT_MAX);
    sp = plain();
    sp.bias = bias;
    sp.n_bias = 4;
    assert_true(logit_of(&sp, x, 3, &h, 0) == -FLT_MAX);
    assert_true(logit_of(&sp, x, 3, &h, 1) == FLT_MAX);
    sp = plain();
    sp.presence_penalty = 1;
    struct sampler *s = open_with(&sp, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(dist_of(s, x, &h).logit[0] == 1);
        assert_true(dist_of(s, x, &NO_HISTORY).logit[0] == 2);
    }
    sampler_close(s);
}

/* ---- DRY ---- */

static void test_dry(void **state)
{
    const float x[10] = {0};
    /* "1 2 3 4" came before 5; the end is "1 2 3 4" again, so 5 continues 4 tokens; 6 continues "4" alone */
    const int32_t hist[] = {9, 1, 2, 3, 4, 5, 4, 6, 1, 2, 3, 4};
    const struct history h = {.base = hist, .n_base = 12}, split = {hist, 7, hist + 7, 5};
    const int32_t breaker[] = {2}, all_break[] = {5};
    struct otr_sampling sp = plain();
    (void)state;
    sp.dry_multiplier = 0.5f;
    sp.dry_base = 2;
    sp.dry_allowed_length = 2;
    assert_true(logit_of(&sp, x, 10, &h, 5) == -0.5f * 4); /* 2^(4 - 2) */
    assert_true(logit_of(&sp, x, 10, &split, 5) == -0.5f * 4);
    assert_true(logit_of(&sp, x, 10, &h, 6) == 0); /* too short */
    sp.dry_allowed_length = 1;
    assert_true(logit_of(&sp, x, 10, &h, 6) == -0.5f);
    sp.dry_allowed_length = 5;
    assert_true(logit_of(&sp, x, 10, &h, 5) == 0);
    sp.dry_allowed_length = 2;
    sp.dry_penalty_last_n = 10; /* "2 3 4" */
    assert_true(logit_of(&sp, x, 10, &h, 5) == -0.5f * 2);
    sp.dry_penalty_last_n = 0;
    assert_true(logit_of(&sp, x, 10, &h, 5) == 0);
    sp.dry_penalty_last_n = -1;
    sp.dry_breakers = breaker; /* "3 4" is what is left */
    sp.n_dry_breakers = 1;
    assert_true(logit_of(&sp, x, 10, &h, 5) == -0.5f);
    sp.dry_breakers = all_break; /* the continuation itself */
    assert_true(logit_of(&sp, x, 10, &h, 5) == 0);
    assert_true(logit_of(&sp, x, 10, &NO_HISTORY, 5) == 0);
}

/* Against the definition, in quadratic time: short texts of few letters, so that repetitions overlap in every way. */
static void test_dry_random(void **state)
{
    enum { V = 5, N = 40 };
    const float x[V] = {0};
    struct otr_sampling sp = plain();
    (void)state;
    sp.dry_multiplier = 1;
    sp.dry_base = 2;
    sp.dry_allowed_length = 1;
    struct sampler *s = open_with(&sp, V);
    for (int round = 0; round < 30000; round++) {
        int32_t hist[N];
        int longest[V] = {0};
        const int n = (int)rnd(N + 1);
        const uint32_t letters = 2 + rnd(3);
        for (int i = 0; i < n; i++)
            hist[i] = (int32_t)rnd(letters);
        for (int t = 1; t < n; t++) {
            int len = 0;
            while (len < t && hist[n - 1 - len] == hist[t - 1 - len])
                len++;
            longest[hist[t]] = len > longest[hist[t]] ? len : longest[hist[t]];
        }
        const struct dist d = dist_of(s, x, &(struct history){.base = hist, .n_base = (size_t)n});
        assert_int_equal(d.n, V);
        for (int i = 0; i < V; i++)
            assert_true(d.logit[i] == (longest[d.id[i]] ? -ldexpf(1, longest[d.id[i]] - 1) : 0));
    }
    sampler_close(s);
}

/* A million tokens of one letter, of two, and of two with errors: a quadratic search would take minutes, even with
 * matches cut at 4096. Repetitions longer than that count as 4096: 1.001^4094 * 0.5. */
static void test_dry_is_linear(void **state)
{
    enum { N = 1 << 20 };
    const float x[3] = {0};
    int32_t *hist = malloc(N * sizeof *hist);
    const struct history h = {.base = hist, .n_base = N};
    struct otr_sampling sp = plain();
    (void)state;
    assert_non_null(hist);
    sp.dry_multiplier = 0.5f;
    sp.dry_base = 1.001f;
    const clock_t t0 = clock();
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < N; i++)
            hist[i] = kind == 2 && rnd(3000) == 0 ? 2 : kind ? i % 2 : 0;
        const double want = -0.5 * pow((double)1.001f, 4094);
        const double got = (double)logit_of(&sp, x, 3, &h, 0);
        if (kind < 2)
            assert_true(fabs(got / want - 1) < 1e-6);
        else
            assert_true(got < 0 && got >= want * (1 + 1e-6));
    }
    const double s = (double)(clock() - t0) / CLOCKS_PER_SEC;
    printf("DRY over 3 x 1,048,576 tokens: %.3f s\n", s);
    assert_true(s < 3);
    free(hist);
}

/* ---- drawing ---- */

static struct otr_sampling random_settings(const struct otr_logit_bias *bias, const int32_t *breakers)
{
    static const float temps[] = {0, 0.2f, 0.7f, 1, 3};
    struct otr_sampling sp = plain();
    sp.temp = temps[rnd(5)];
    sp.seed = rnd(1000000);
    sp.top_k = rnd(2) ? (int)rnd(60) : rnd(2) ? (int)rnd(3000) : 0;
    sp.top_p = rnd(2) ? 1 : 0.05f + 0.1f * (float)rnd(10);
    sp.min_p = rnd(2) ? 0 : 0.02f * (float)rnd(20);
    sp.typical_p = rnd(3) ? 1 : 0.05f + 0.1f * (float)rnd(10);
    if (rnd(2)) {
        sp.penalty_last_n = (int)rnd(100) - 1;
        sp.repeat_penalty = 0.5f + 0.1f * (float)rnd(20);
        sp.presence_penalty = (float)rnd(3);
        sp.frequency_penalty = 0.25f * (float)rnd(3);
    }
    if (rnd(2)) {
        sp.dry_multiplier = 0.8f;
        sp.dry_penalty_last_n = (int)rnd(200) - 1;
        sp.dry_breakers = breakers;
        sp.n_dry_breakers = rnd(4);
    }
    sp.bias = bias;
    sp.n_bias = rnd(2) ? rnd(6) : 0;
    return sp;
}

/* sampler_pick takes short cuts: it must give what drawing from the whole distribution gives. And only base + path
 * counts: any split of the history has the same bits. */
static void test_pick_is_draw(void **state)
{
    enum { N = 2500, H = 300 };
    static float x[N];
    static int32_t hist[H];
    static int32_t id[N];
    static float logit[N];
    (void)state;
    int n_single = 0, n_large = 0;
    struct sampler *by_n[3];
    static const int sizes[] = {7, 300, N};
    const struct otr_sampling off = plain();
    for (int i = 0; i < 3; i++)
        by_n[i] = open_with(&off, sizes[i]);
    for (int round = 0; round < 3000; round++) {
        struct otr_err err;
        const int which = (int)rnd(3), n = sizes[which];
        struct otr_logit_bias bias[6];
        const int32_t breakers[4] = {0, 1, 2, 3};
        for (int i = 0; i < 6; i++)
            bias[i] =
                (struct otr_logit_bias){1 + (int32_t)rnd((uint32_t)n - 1), rnd(2) ? -HUGE_VALF : (float)rnd(5) - 2};
        for (int i = 0; i < n; i++)
            x[i] = i && rnd(20) == 0 ? -HUGE_VALF
                                     : (float)((int)rnd(1 << 16) - (1 << 15)) / (round % 3 ? 4096.0f : 16384.0f);
        for (int i = 0; i < H; i++)
            hist[i] = (int32_t)rnd(rnd(2) ? 3 : (uint32_t)n);
        const struct otr_sampling sp = random_settings(bias, breakers);
        struct sampler *s = by_n[which];
        if (sampler_set(s, &sp, &err) < 0)
            fail_msg("%s", err.msg);
        const uint32_t n_hist = rnd(H + 1), cut = rnd(n_hist + 1), choice = rnd(3);
        const struct history h = {.base = hist, .n_base = n_hist}, split = {hist, cut, hist + cut, n_hist - cut};
        const int32_t got = sampler_pick(s, x, &h, choice, &err);
        if (got < 0)
            fail_msg("%s", err.msg);
        struct dist d = dist_of(s, x, &h);
        assert_int_equal(got, sampler_draw(s, &d, choice, n_hist));
        const int n_kept = d.n;
        n_single += n_kept == 1;
        n_large += n_kept > 1024;
        memcpy(id, d.id, (size_t)n_kept * sizeof *id);
        memcpy(logit, d.logit, (size_t)n_kept * sizeof *logit);
        assert_int_equal(got, sampler_pick(s, x, &split, choice, &err));
        d = dist_of(s, x, &split);
        assert_int_equal(d.n, n_kept);
        assert_memory_equal(d.id, id, (size_t)n_kept * sizeof *id);
        assert_memory_equal(d.logit, logit, (size_t)n_kept * sizeof *logit);
    }
    for (int i = 0; i < 3; i++)
        sampler_close(by_n[i]);
    printf("3000 rows (seed %llu): %d with one candidate, %d with over 1024\n", (unsigned long long)SEED, n_single,
           n_large);
    assert_true(n_single < 2000 && n_large > 50); /* else this test says little */
}

/* The draw is what sample.h says: argmax of logit + G, lowest id on ties. */
static void test_draw_is_argmax(void **state)
{
    enum { N = 1000 };
    static float x[N];
    struct otr_sampling sp = plain();
    (void)state;
    sp.temp = 0.7f;
    for (int round = 0; round < 300; round++) {
        sp.seed = (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX);
        for (int i = 0; i < N; i++)
            x[i] = (float)rnd(1 << 12) / 512;
        const int32_t hist[3] = {0};
        const struct history h = {.base = hist, .n_base = rnd(4)};
        int32_t want = -1;
        double best = -HUGE_VAL;
        for (int i = 0; i < N; i++) {
            const double v = (double)(x[i] / sp.temp) + gumbel_noise(sp.seed, 0, h.n_base, i);
            if (v > best) {
                best = v;
                want = i;
            }
        }
        assert_int_equal(pick_of(&sp, x, N, &h), want);
    }
    /* logits so large that the noise is lost in them: a tie, so the lowest id, in any order of the list */
    const int32_t id[] = {7, 3, 5};
    const float huge[] = {1e30f, 1e30f, 1e30f};
    struct sampler *s = open_with(&sp, 10);
    assert_int_equal(sampler_draw(s, &(struct dist){3, id, huge}, 0, 0), 3);
    sampler_close(s);
    for (int i = 0; i < 10; i++)
        x[i] = i < 4 ? 0 : 1e30f;
    assert_int_equal(pick_of(&sp, x, 10, &NO_HISTORY), 4);
}

/* ---- settings ---- */

static void refused(const struct otr_sampling *sp, const char *name)
{
    struct otr_err err = {0};
    struct sampler *s = NULL;
    assert_int_equal(sampler_open(&s, sp, 100, &err), OTR_E_ARG);
    assert_null(s);
    if (!strstr(err.msg, name))
        fail_msg("'%s' does not name %s", err.msg, name);
}

static void test_settings(void **state)
{
    (void)state;
    const struct otr_logit_bias bad_bias[] = {{100, 0}, {-1, 0}, {1, nanf("")}, {1, HUGE_VALF}};
    const int32_t bad_token[] = {-1, 100};
#define REFUSED(field, value, name)                                                                                    \
    do {                                                                                                               \
        struct otr_sampling sp = otr_sampling_default();                                                               \
        sp.dry_multiplier = 1;                                                                                         \
        sp.field = value;                                                                                              \
        refused(&sp, name);                                                                                            \
    } while (0)
    REFUSED(temp, -0.5f, "temperature -0.5");
    REFUSED(temp, nanf(""), "temperature");
    REFUSED(temp, HUGE_VALF, "temperature inf");
    REFUSED(top_k, -1, "top_k -1");
    REFUSED(top_p, 0, "top_p 0");
    REFUSED(top_p, 1.5f, "top_p 1.5");
    REFUSED(top_p, nanf(""), "top_p");
    REFUSED(min_p, -0.1f, "min_p -0.1");
    REFUSED(min_p, 1, "min_p 1");
    REFUSED(min_p, nanf(""), "min_p");
    REFUSED(typical_p, 0, "typical_p 0");
    REFUSED(typical_p, 2, "typical_p 2");
    REFUSED(typical_p, nanf(""), "typical_p");
    REFUSED(penalty_last_n, -2, "penalty_last_n -2");
    REFUSED(repeat_penalty, 0, "repeat_penalty 0");
    REFUSED(repeat_penalty, -1, "repeat_penalty -1");
    REFUSED(repeat_penalty, nanf(""), "repeat_penalty");
    REFUSED(frequency_penalty, nanf(""), "frequency_penalty");
    REFUSED(frequency_penalty, HUGE_VALF, "frequency_penalty inf");
    REFUSED(presence_penalty, -HUGE_VALF, "presence_penalty -inf");
    REFUSED(dry_multiplier, -1, "dry_multiplier -1");
    REFUSED(dry_multiplier, nanf(""), "dry_multiplier");
    REFUSED(dry_base, 0.5f, "dry_base 0.5");
    REFUSED(dry_base, nanf(""), "dry_base");
    REFUSED(dry_allowed_length, -1, "dry_allowed_length -1");
    REFUSED(dry_penalty_last_n, -2, "dry_penalty_last_n -2");
    REFUSED(n_bias, 1, "logit bias");
    REFUSED(n_dry_breakers, 1, "dry_breakers");
    for (int i = 0; i < 4; i++)
        REFUSED(n_bias, (sp.bias = &bad_bias[i], 1), "logit bias");
    for (int i = 0; i < 2; i++)
        REFUSED(n_dry_breakers, (sp.dry_breakers = &bad_token[i], 1), "dry_breakers");
#undef REFUSED
    struct otr_sampling sp = otr_sampling_default();
    struct sampler *s = NULL;
    assert_int_equal(sampler_open(&s, &sp, 0, NULL), OTR_E_ARG);
    sp.dry_base = 0; /* nothing reads it while DRY is off */
    sampler_close(open_with(&sp, 100));
}

static void test_set(void **state)
{
    const float x[] = {3, 2, 1};
    struct otr_logit_bias bias[50];
    struct otr_sampling sp = plain(), bad = plain();
    (void)state;
    sp.temp = 0;
    struct sampler *s = open_with(&sp, 3);
    assert_int_equal(dist_of(s, x, &NO_HISTORY).id[0], 0);
    for (int i = 0; i < 50; i++)
        bias[i] = (struct otr_logit_bias){1, 0.25f};
    sp.bias = bias;
    for (sp.n_bias = 0; sp.n_bias <= 50; sp.n_bias++) {
        assert_int_equal(sampler_set(s, &sp, NULL), OTR_OK);
        assert_int_equal(dist_of(s, x, &NO_HISTORY).id[0], sp.n_bias > 4); /* 2 + 5 * .25 > 3 */
    }
    memset(bias, 0, sizeof bias); /* a copy was taken */
    assert_int_equal(dist_of(s, x, &NO_HISTORY).id[0], 1);
    bad.temp = -1;
    assert_int_equal(sampler_set(s, &bad, NULL), OTR_E_ARG);
    assert_int_equal(dist_of(s, x, &NO_HISTORY).id[0], 1); /* as before */
    sampler_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_not_a_number), cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_certain),      cmocka_unit_test(test_extreme_temperature),
        cmocka_unit_test(test_top_k),        cmocka_unit_test(test_typical_ties),
        cmocka_unit_test(test_top_p_border), cmocka_unit_test(test_dry_random),
        cmocka_unit_test(test_penalties),    cmocka_unit_test(test_penalties_never_ban),
        cmocka_unit_test(test_dry),          cmocka_unit_test(test_dry_is_linear),
        cmocka_unit_test(test_pick_is_draw), cmocka_unit_test(test_draw_is_argmax),
        cmocka_unit_test(test_settings),     cmocka_unit_test(test_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
