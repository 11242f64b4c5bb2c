/* The sampler in the pool: for random rows the token, the distribution and the error are, at every level and with 1 to
 * 4 threads, those of plain loops over the definition (sample.h, verification-law.md 1 and 4): sort all, sum in that
 * order, add every token's noise. Rows have ties, forbidden tokens, NaN; temperatures from the least float to the
 * largest. */
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

#include "base/rng.h"
#include "sample/sample.h"
#include "sample/sample_math.h"

enum { MAX_VOCAB = 66011, MAX_THREADS = 4, N_ROW = 36 };
static const uint64_t SEED = 20261125;

static uint64_t rng_at;
static uint32_t rnd(uint32_t n) /* below n */
{
    const struct philox r = philox4x32(SEED, (struct philox){{(uint32_t)rng_at++, 0, 0, 0}});
    return (uint32_t)((uint64_t)r.v[0] * n >> 32);
}

static struct pool *pools[MAX_THREADS + 1]; /* by threads; 0: NULL */
static struct kernels levels[4];
static int n_level;

static int open_pools(void **state)
{
    char names[64], *rest = NULL;
    (void)state;
    for (int t = 1; t <= MAX_THREADS; t++)
        assert_int_equal(pool_create(&pools[t], t, NULL), OTR_OK);
    snprintf(names, sizeof names, "%s", kernels_levels());
    for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest))
        assert_int_equal(kernels_init(&levels[n_level++], name), 0);
    printf("levels: %s; seed %llu\n", kernels_levels(), (unsigned long long)SEED);
    return 0;
}

static int close_pools(void **state)
{
    (void)state;
    for (int t = 1; t <= MAX_THREADS; t++)
        pool_destroy(pools[t]);
    return 0;
}

/* ---- the truth ---- */

static const float *order_x;
static int by_logit_then_id(const void *a, const void *b)
{
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    return order_x[i] != order_x[j] ? (order_x[i] < order_x[j]) - (order_x[i] > order_x[j]) : (i > j) - (i < j);
}

/* ids that top-k, top-p and min-p keep, in order; all logits are finite or -inf, one at least is finite. */
static int truth_kept(const struct otr_sampling *sp, const float *x, int n_vocab, int32_t *id)
{
    int n = 0, kept = 0;
    for (int i = 0; i < n_vocab; i++)
        if (x[i] >= -FLT_MAX)
            id[n++] = i;
    order_x = x;
    qsort(id, (size_t)n, sizeof *id, by_logit_then_id);
    n = sp->top_k && sp->top_k < n ? sp->top_k : n;
    if (sp->top_p < 1) {
        double sum = 0, held = 0;
        int far = 0;
        for (; far < n && x[id[far]] >= fmaxf(x[id[0]] - 40.0f, -FLT_MAX); far++)
            sum += sample_exp((double)x[id[far]] - (double)x[id[0]]);
        while (kept < far && held < (double)sp->top_p * sum)
            held += sample_exp((double)x[id[kept++]] - (double)x[id[0]]);
        n = kept;
    }
    if (sp->min_p > 0)
        while (x[id[n - 1]] < (float)((double)x[id[0]] + sample_log((double)sp->min_p)))
            n--;
    return n;
}

static int32_t truth_draw(const struct otr_sampling *sp, const float *x, const int32_t *id, int n, uint64_t n_before)
{
    double best = -HUGE_VAL;
    int32_t win = -1;
    if (isinf(x[id[0]] / sp->temp))
        return id[0];
    for (int i = 0; i < n; i++) {
        const double v = (double)(x[id[i]] / sp->temp) + gumbel_noise(sp->seed, 2, n_before, id[i]);
        if (v > best || (v == best && id[i] < win)) {
            best = v;
            win = id[i];
        }
    }
    return win;
}

/* ---- rows and settings ---- */

static float normal(void)
{
    float sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (float)rnd(1 << 16) / 65536.0f;
    return sum - 6.0f;
}

static void fill_row(float *x, int n, int kind)
{
    for (int i = 0; i < n; i++)
        switch (kind) {
        case 0: /* as a model gives them */
            x[i] = 3.0f * normal() - (rnd(100) ? 0.0f : -8.0f);
            break;
        case 1: /* ties abound */
            x[i] = (float)((int)rnd(12) - 6) / 4;
            break;
        case 2: /* flat: top-p's end is not certain without the exact sum */
            x[i] = 1.5f;
            break;
        case 3: /* mostly forbidden */
            x[i] = rnd(10) ? -HUGE_VALF : normal();
            break;
        case 4: /* far apart */
            x[i] = 1e30f * normal();
            break;
        default: /* at the limits */
            x[i] = rnd(3) ? -FLT_MAX : rnd(2) ? FLT_MAX : -HUGE_VALF;
        }
    x[rnd((uint32_t)n)] = 2.0f;
}

static struct otr_sampling random_settings(void)
{
    static const float temps[] = {0x1p-149f, 1e-20f, 0.2f, 0.7f, 0.7f, 1, 1, 1.5f, 30, 1e20f, FLT_MAX};
    static const float top_p[] = {0.01f, 0.5f, 0.9f, 0.95f, 0.999f, 0.9999999f},
                       min_p[] = {1e-30f, 0.001f, 0.05f, 0.9f};
    static const int top_k[] = {1, 40, 1000, 1024, 1025, 5000};
    struct otr_sampling sp = {
        .temp = temps[rnd(11)], .top_p = 1, .typical_p = 1, .repeat_penalty = 1, .dry_base = 1.75f};
    if (rnd(2))
        sp.top_k = top_k[rnd(6)];
    if (rnd(2))
        sp.top_p = top_p[rnd(6)];
    if (rnd(3) == 0)
        sp.min_p = min_p[rnd(4)];
    sp.seed = (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX);
    return sp;
}

/* Everything the sampler says about a row, with these kernels and threads; false where it is not the truth. */
static bool agrees(struct sampler *s, const struct otr_sampling *sp, const float *x, const int32_t *id, int n,
                   int32_t token, uint64_t n_before)
{
    static const int32_t past[8];
    const struct history h = {.base = past, .n_base = n_before};
    struct otr_err err;
    struct dist d;
    if (sampler_pick(s, x, &h, 2, &err) != token || sampler_dist(s, x, &h, &d, &err) != OTR_OK)
        return false;
    if (isinf(x[id[0]] / sp->temp))
        return d.n == 1 && d.id[0] == token;
    for (int i = 0; i < n; i++) {
        const float v = x[id[i]] / sp->temp;
        if (i > 0 && v < -FLT_MAX)
            return d.n == i;
        if (i >= d.n || d.id[i] != id[i] || memcmp(&d.logit[i], &v, sizeof v) != 0)
            return false;
    }
    return d.n == n;
}

/* Disagreements with the truth over random rows. */
static long check_rows(const struct kernels *level, int n_levels, int n_threads)
{
    static const int sizes[] = {5, 1000, 65535, 65536, 8205, MAX_VOCAB};
    static float x[MAX_VOCAB];
    static int32_t id[MAX_VOCAB];
    long bad = 0;
    for (int row = 0; row < N_ROW; row++) {
        const int n_vocab = sizes[row % 6];
        const struct otr_sampling sp = random_settings();
        const uint64_t n_before = rnd(8);
        struct sampler *s;
        fill_row(x, n_vocab, row / 6 % 6);
        const int n = truth_kept(&sp, x, n_vocab, id);
        const int32_t token = truth_draw(&sp, x, id, n, n_before);
        assert_int_equal(sampler_open(&s, &sp, n_vocab, NULL), OTR_OK);
        bad += !agrees(s, &sp, x, id, n, token, n_before); /* as it is opened */
        for (int l = 0; l < n_levels; l++)
            for (int t = 0; t <= n_threads; t++) {
                sampler_use(s, &level[l], pools[t]);
                const bool ok = agrees(s, &sp, x, id, n, token, n_before);
                if (!ok && bad++ == 0)
                    printf("row %d of %d: level %s, %d threads, temp %g, top-k %d, top-p %g, min-p %g\n", row, n_vocab,
                           level[l].level, t, (double)sp.temp, sp.top_k, (double)sp.top_p, (double)sp.min_p);
            }
        sampler_close(s);
    }
    return bad;
}

static void test_rows(void **state)
{
    (void)state;
    assert_int_equal(check_rows(levels, n_level, MAX_THREADS), 0);
}

/* A NaN anywhere is an error that names the first one; so is a row of -inf alone. Penalties and bans hide none. */
static void test_errors(void **state)
{
    static float x[MAX_VOCAB];
    static const int32_t past[] = {3, 9000, 9000};
    static const struct otr_logit_bias ban = {19000, -HUGE_VALF};
    const struct history h = {.base = past, .n_base = 3};
    (void)state;
    for (int round = 0; round < 24; round++) {
        struct otr_sampling sp = random_settings();
        struct otr_err err;
        struct sampler *s;
        char text[64];
        const int32_t first = round % 4 == 0 ? 19000 : (int32_t)rnd(MAX_VOCAB - 1);
        sp.penalty_last_n = round % 3 == 0 ? -1 : 0;
        sp.presence_penalty = 1;
        sp.bias = &ban;
        sp.n_bias = round & 1;
        assert_int_equal(sampler_open(&s, &sp, MAX_VOCAB, NULL), OTR_OK);
        for (int l = 0; l < n_level; l++)
            for (int t = 0; t <= MAX_THREADS; t++) {
                sampler_use(s, &levels[l], pools[t]);
                fill_row(x, MAX_VOCAB, 0);
                x[first] = nanf("");
                x[first + (int32_t)rnd((uint32_t)(MAX_VOCAB - first))] = -nanf("");
                snprintf(text, sizeof text, "token %d after 3 tokens is not a number", first);
                assert_int_equal(sampler_pick(s, x, &h, 0, &err), OTR_E_NUMERIC);
                assert_non_null(strstr(err.msg, text));
                for (int i = 0; i < MAX_VOCAB; i++)
                    x[i] = -HUGE_VALF;
                assert_int_equal(sampler_pick(s, x, &h, 0, &err), OTR_E_ARG);
                assert_non_null(strstr(err.msg, "no token can be drawn"));
                x[first] = HUGE_VALF; /* certain */
                assert_int_equal(sampler_pick(s, x, &h, 0, &err), first == 19000 && sp.n_bias ? OTR_E_ARG : first);
            }
        sampler_close(s);
    }
}

/* An edited row: what the sampler draws from is a copy, in which the edits of any thread's piece count. */
static void test_edits(void **state)
{
    static float x[MAX_VOCAB], edited[MAX_VOCAB];
    static int32_t id[MAX_VOCAB], past[200];
    (void)state;
    for (int round = 0; round < 12; round++) {
        struct otr_sampling sp = random_settings();
        struct otr_logit_bias bias[40];
        struct sampler *s;
        sp.temp = 0.7f;
        sp.penalty_last_n = -1;
        sp.presence_penalty = 2;
        sp.bias = bias;
        sp.n_bias = 40;
        fill_row(x, MAX_VOCAB, 0);
        memcpy(edited, x, sizeof x);
        for (int i = 0; i < 200; i++) {
            past[i] = (int32_t)rnd(MAX_VOCAB);
            edited[past[i]] = x[past[i]] - 2;
        }
        for (int i = 0; i < 40; i++) {
            bias[i] = (struct otr_logit_bias){i * 1650 + (int32_t)rnd(1650), rnd(3) ? -HUGE_VALF : 6};
            edited[bias[i].token] += bias[i].bias;
        }
        const struct history h = {.base = past, .n_base = 200};
        const int n = truth_kept(&sp, edited, MAX_VOCAB, id);
        const int32_t token = truth_draw(&sp, edited, id, n, 200);
        assert_int_equal(sampler_open(&s, &sp, MAX_VOCAB, NULL), OTR_OK);
        for (int l = 0; l < n_level; l++)
            for (int t = 0; t <= MAX_THREADS; t++) {
                struct otr_err err;
                sampler_use(s, &levels[l], pools[t]);
                assert_int_equal(sampler_pick(s, x, &h, 2, &err), token);
            }
        sampler_close(s);
    }
}

/* ---- planted: each must be seen ---- */

static struct kernels good;

static int argmax_last(const float *x, int n) /* ties to the highest */
{
    int best = good.argmax(x, n);
    for (int i = best; best >= 0 && i < n; i++)
        best = x[i] >= x[best] ? i : best;
    return best;
}

static int at_least_but_one(int32_t *at, const float *x, int n,
                            float floor) /* never none: all that follows reads one */
{
    const int k = good.at_least(at, x, n, floor);
    return k > 1 ? k - 1 : k;
}

static int may_win_strictly(int32_t *id, const float *x, int lo, int hi, const struct noise_scan *s) /* no bound */
{
    struct noise_scan tight = *s;
    tight.cut += 3 * tight.temp;
    return good.may_win(id, x, lo, hi, &tight);
}

static void exp_double(float *out, const float *x, int n) /* the weight of the row is wrong */
{
    good.exp(out, x, n);
    good.add(out, out, out, n);
}

static void test_planted(void **state)
{
    (void)state;
    assert_int_equal(kernels_init(&good, "c"), 0);
    for (int bug = 0; bug < 4; bug++) {
        struct kernels bad = good;
        bug == 0   ? (void)(bad.argmax = argmax_last)
        : bug == 1 ? (void)(bad.at_least = at_least_but_one)
        : bug == 2 ? (void)(bad.may_win = may_win_strictly)
                   : (void)(bad.exp = exp_double);
        const long n_seen = check_rows(&bad, 1, 1);
        printf("planted %d: %ld disagreements\n", bug, n_seen);
        assert_true(n_seen > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_planted),
    };
    return cmocka_run_group_tests(tests, open_pools, close_pools);
}
