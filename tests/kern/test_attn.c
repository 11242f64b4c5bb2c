/* Attention chunks and their merge, of every level this CPU has: the bits of level c, and the right numbers.
 *
 * Checks count what is wrong, so that broken kernels can be shown to fail. A case is random: blocks, queries and
 * visible ranges; slots that nobody sees, and some that only some queries see, hold NaN. Buffers end at an unreadable
 * page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "kern/half.h"
#include "support/attn_check.h"

enum { SEED = 20260415, MAX_BLK = ATTN_MAX_BLK, MAX_Q = 48, N_CASES = 150 };
#define U 0x1p-24

static const char *const level_name[] = {"c", "avx2", "avx512vnni"};
enum { N_LEVELS = sizeof level_name / sizeof *level_name };

enum range_kind { RANGE_CHAIN, RANGE_WINDOW, RANGE_ANY, RANGE_ONE, RANGE_N };

static void ranges_fill(struct test_rng *r, struct attn_case *c, enum range_kind kind)
{
    const int end = 8 * c->n_blk, group = 1 + rng_below(r, 4), last = end - 1 - rng_below(r, 8);
    int *lo = c->lo.p, *hi = c->hi.p;
    for (int i = 0; i < c->n_q; i++) {
        const int row = i / group, n_row = (c->n_q + group - 1) / group, at = last - (n_row - 1 - row);
        lo[i] = 0;
        hi[i] = at < 0 ? 1 : at + 1;
        if (kind == RANGE_WINDOW && hi[i] > end / 3 + 1)
            lo[i] = hi[i] - end / 3 - 1;
        if (kind == RANGE_ANY) {
            hi[i] = 1 + rng_below(r, end);
            lo[i] = rng_below(r, hi[i]);
        }
        if (kind == RANGE_ONE) {
            lo[i] = rng_below(r, end);
            hi[i] = lo[i] + 1;
        }
    }
}

static int seen_by(const struct attn_case *c, int p)
{
    int n = 0;
    for (int i = 0; i < c->n_q; i++)
        n += attn_lo(c)[i] <= p && p < attn_hi(c)[i];
    return n;
}

/* whole: small whole numbers, so that scores are exact. n_nan: slots that queries see, and that hold NaN. */
static struct attn_case case_make(struct test_rng *r, const struct kernels *k, int whole, int n_nan)
{
    static const int heads[] = {64, 256, 8, 80, 96, 128, 64, 40};
    struct attn_case c = {.type = rng_below(r, 3) ? KV_F16 : KV_F32,
                          .n_blk = 1 + rng_below(r, MAX_BLK),
                          .d_head = heads[rng_below(r, 8)],
                          .n_q = 1 + rng_below(r, rng_below(r, 2) ? 7 : MAX_Q),
                          .softcap = rng_below(r, 4) || whole ? 0.0f : 20.0f};
    const size_t dh = (size_t)c.d_head, blk_bytes = 8 * dh * (c.type == KV_F16 ? 2 : 4);
    const float spread = whole ? 0 : (float)(1 << rng_below(r, 4)); /* scores of unit size to sharp ones */
    c.ld_q = dh * (size_t)(1 + rng_below(r, 2));
    c.ld_acc = dh * (size_t)(1 + rng_below(r, 3));
    attn_queries_make(&c);
    for (int i = 0; i < c.n_q; i++)
        for (size_t d = 0; d < dh; d++)
            ((float *)c.q.p)[(size_t)i * c.ld_q + d] =
                whole ? (float)(rng_below(r, 7) - 3) : rng_normal(r) * spread / sqrtf((float)c.d_head);
    ranges_fill(r, &c, (enum range_kind)rng_below(r, RANGE_N));
    for (int b = 0; b < c.n_blk; b++) {
        attn_block_make(&c, b, blk_bytes);
        for (int j = 0; j < 8; j++) {
            float kv[2][256];
            const int bad = n_nan > 0 && rng_below(r, 8 * c.n_blk) < n_nan;
            if (!seen_by(&c, 8 * b + j) || bad)
                continue;
            for (size_t d = 0; d < dh; d++) {
                kv[0][d] = whole ? (float)(rng_below(r, 7) - 3) : rng_normal(r);
                kv[1][d] = whole ? (float)(rng_below(r, 99) - 49) : rng_normal(r);
            }
            k->store_k(c.k_blk[b].p, j, kv[0], c.d_head, c.type);
            k->store_v(c.v_blk[b].p, j, kv[1], c.d_head, c.type);
        }
    }
    return c;
}

/* -- accuracy: a plain softmax in double over the stored values */

static double kv_value(const void *block, int i, enum kv_type type)
{
    return type == KV_F16 ? (double)half_to_float(((const uint16_t *)block)[i]) : (double)((const float *)block)[i];
}

/* Score of query i at position p, and the bound of its error: a chain of d fma is within d u of the sum of |k q|; the
 * cap adds 8 u (test_ops.c). */
static double score_ref(const struct attn_case *c, int i, int p, double *err)
{
    const float *q = (const float *)c->q.p + (size_t)i * c->ld_q;
    double s = 0.0, abs_sum = 0.0;
    for (int d = 0; d < c->d_head; d++) {
        const double x = (double)q[d] * kv_value(c->k[p / 8], 8 * d + p % 8, c->type);
        s += x;
        abs_sum += fabs(x);
    }
    *err = c->d_head * U * abs_sum;
    if (c->softcap != 0.0f) {
        s = (double)c->softcap * tanh(s / (double)c->softcap);
        *err += 8 * U * fabs(s);
    }
    return s;
}

/* Values acc / sum of every query against double. A score off by e makes p off by e relatively; so do the maximum, the
 * rounding of score - max, and exp itself (2 u); a chain of n fma adds n u. */
static long check_accuracy_of(const struct kernels *k, const struct attn_case *c, double *worst)
{
    struct attn_out o = attn_out_make(c);
    long bad = 0;
    attn_run(k, c, &o, 0, c->n_q);
    for (int i = 0; i < c->n_q; i++) {
        const int lo = attn_lo(c)[i], hi = attn_hi(c)[i];
        double s[ATTN_CHUNK], max = -HUGE_VAL, min = HUGE_VAL, err = 0.0, sum = 0.0;
        int broken = 0;
        for (int p = lo; p < hi; p++) {
            double e;
            s[p] = score_ref(c, i, p, &e);
            broken |= isnan(s[p]);
            max = fmax(max, s[p]);
            min = fmin(min, s[p]);
            err = fmax(err, e);
        }
        const float *acc = (const float *)o.acc.p + (size_t)i * c->ld_acc, got_sum = ((const float *)o.sum.p)[i];
        if (broken) { /* the damage shows, here and nowhere else */
            bad += !isnan(got_sum);
            for (int d = 0; d < c->d_head; d++)
                bad += !isnan(acc[d]);
            continue;
        }
        bad += !(fabs((double)((const float *)o.max.p)[i] - max) <= err);
        for (int p = lo; p < hi; p++)
            sum += exp(s[p] - max);
        const double rel = 2 * err + (max - min) * U + 2 * U + (hi - lo) * U;
        bad += !(fabs((double)got_sum - sum) <= rel * sum);
        for (int d = 0; d < c->d_head; d++) {
            double v = 0.0, abs_v = 0.0;
            for (int p = lo; p < hi; p++) {
                const double x = exp(s[p] - max) * kv_value(c->v[p / 8], p % 8 * c->d_head + d, c->type);
                v += x;
                abs_v += fabs(x);
            }
            const double off = fabs((double)acc[d] - v), limit = rel * abs_v;
            bad += !(off <= limit);
            *worst = fmax(*worst, limit > 0 ? off / limit : 0);
        }
    }
    attn_out_free(&o);
    return bad;
}

/* Whole numbers: the maximum is exact, and a query that sees one position has sum 1 and that position's values. */
static long check_whole(const struct kernels *k, const struct attn_case *c)
{
    struct attn_out o = attn_out_make(c);
    long bad = 0;
    attn_run(k, c, &o, 0, c->n_q);
    for (int i = 0; i < c->n_q; i++) {
        const int lo = attn_lo(c)[i], hi = attn_hi(c)[i];
        double max = -HUGE_VAL, err;
        for (int p = lo; p < hi; p++)
            max = fmax(max, score_ref(c, i, p, &err));
        bad += (double)((const float *)o.max.p)[i] != max;
        if (hi - lo > 1)
            continue;
        bad += ((const float *)o.sum.p)[i] != 1.0f;
        for (int d = 0; d < c->d_head; d++)
            bad += (double)((const float *)o.acc.p)[(size_t)i * c->ld_acc + (size_t)d] !=
                   kv_value(c->v[lo / 8], lo % 8 * c->d_head + d, c->type);
    }
    attn_out_free(&o);
    return bad;
}

/* All checks on n random cases. */
static long check_level(const struct kernels *ref, const struct kernels *k, int n, uint64_t seed, double *worst)
{
    struct test_rng r = {.seed = seed};
    long bad = 0;
    for (int i = 0; i < n; i++) {
        struct attn_case c = case_make(&r, k, i % 4 == 3, i % 4 == 1 ? 1 + rng_below(&r, 3) : 0);
        bad += attn_check_same(ref, k, &c) + (i % 4 == 3 ? check_whole(k, &c) : check_accuracy_of(k, &c, worst));
        attn_case_free(&c);
    }
    return bad;
}

static void test_chunks(void **state)
{
    struct kernels c, k;
    (void)state;
    assert_int_equal(kernels_init(&c, "c"), 0);
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l])) {
            double worst = 0.0;
            assert_int_equal(check_level(&c, &k, N_CASES, SEED, &worst), 0);
            printf("level %s: %d cases, largest error %.3f of its bound\n", k.level, N_CASES, worst);
        }
}

/* -- merge */

/* A query over n positions: chunk by chunk and merged, against one softmax in double; the other levels' bits; a single
 * chunk is acc * (1 / sum) exactly. */
static long check_merge(const struct kernels *ref, const struct kernels *k, uint64_t seed)
{
    enum { DH = 16, MAX_CHUNK = 6, LD = DH + 3 };
    struct test_rng r = {.seed = seed};
    long bad = 0;
    for (int round = 0; round < 200; round++) {
        const int n_chunk = 1 + rng_below(&r, MAX_CHUNK);
        struct guard max = guard_alloc((size_t)n_chunk * sizeof(float)),
                     sum = guard_alloc((size_t)n_chunk * sizeof(float));
        struct guard acc = guard_alloc((size_t)((n_chunk - 1) * LD + DH) * sizeof(float));
        struct guard got = guard_alloc(DH * sizeof(float)), want = guard_alloc(DH * sizeof(float));
        float *pm = max.p, *ps = sum.p, *pa = acc.p, *po = got.p;
        double top = -HUGE_VAL, l = 0.0;
        for (int c = 0; c < n_chunk; c++) {
            pm[c] = rng_normal(&r) * (round % 3 ? 4.0f : 60.0f);
            ps[c] = 1.0f + 200.0f * fabsf(rng_unit(&r));
            for (int d = 0; d < DH; d++)
                pa[c * LD + d] = rng_normal(&r) * ps[c];
            top = fmax(top, (double)pm[c]);
        }
        for (int c = 0; c < n_chunk; c++)
            l += exp((double)pm[c] - top) * (double)ps[c];
        ref->attn_merge(want.p, DH, n_chunk, pm, ps, pa, LD);
        k->attn_merge(po, DH, n_chunk, pm, ps, pa, LD);
        bad += floats_differ(want.p, po, DH);
        for (int d = 0; d < DH;
             d++) { /* weights: 2 u and the difference's rounding; two chains; quotient and product */
            double v = 0.0, abs_v = 0.0, range = 0.0;
            for (int c = 0; c < n_chunk; c++) {
                const double x = exp((double)pm[c] - top) * (double)pa[c * LD + d];
                v += x;
                abs_v += fabs(x);
                range = fmax(range, fmin(top - (double)pm[c], 88.0)); /* further off, a weight is below 1e-38 */
            }
            bad += !(fabs((double)po[d] - v / l) <= 2 * (range + n_chunk + 3) * U * abs_v / l + 1e-30);
            bad += n_chunk == 1 && po[d] != pa[d] * (1.0f / ps[0]);
        }
        guard_free(&max);
        guard_free(&sum);
        guard_free(&acc);
        guard_free(&got);
        guard_free(&want);
    }
    return bad;
}

static void test_merge(void **state)
{
    struct kernels c, k;
    (void)state;
    assert_int_equal(kernels_init(&c, "c"), 0);
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l]))
            assert_int_equal(check_merge(&c, &k, SEED), 0);
}

/* The two halves of a query's range, each as a chunk of its own, merge to the softmax of all. Either result is within
 * 2 (2 err + (range + 2 + n) u) of the truth, in units of the largest value, and the merge adds less than 2 (range + 5)
 * u: with n <= 256 and scores less than 90 apart, 1800 u. */
static void test_split(void **state)
{
    struct test_rng r = {.seed = SEED};
    struct kernels k;
    (void)state;
    for (int l = 0; l < N_LEVELS; l++) {
        if (!level_open(&k, level_name[l]))
            continue;
        for (int round = 0; round < 20; round++) {
            struct attn_case c = case_make(&r, &k, 0, 0);
            int *lo = c.lo.p, *hi = c.hi.p;
            const int a = lo[0], b = hi[0], mid = a + (b - a) / 2;
            float max[3], sum[3], acc[3][256], whole[256], parts[256];
            struct attn_out o = attn_out_make(&c);
            for (int i = 0; i < 3 && mid > a; i++) { /* all, left, right */
                lo[0] = i == 2 ? mid : a;
                hi[0] = i == 1 ? mid : b;
                attn_run(&k, &c, &o, 0, 1);
                max[i] = *(float *)o.max.p;
                sum[i] = *(float *)o.sum.p;
                memcpy(acc[i], o.acc.p, (size_t)c.d_head * sizeof(float));
            }
            if (mid > a) {
                k.attn_merge(whole, c.d_head, 1, max, sum, acc[0], 256);
                k.attn_merge(parts, c.d_head, 2, max + 1, sum + 1, acc[1], 256);
                double err = 0.0, top = 0.0;
                for (int p = a; p < b; p++) {
                    double e;
                    score_ref(&c, 0, p, &e);
                    err = fmax(err, e);
                    for (int d = 0; d < c.d_head; d++)
                        top = fmax(top, fabs(kv_value(c.v[p / 8], p % 8 * c.d_head + d, c.type)));
                }
                for (int d = 0; d < c.d_head; d++)
                    assert_true(fabs((double)whole[d] - (double)parts[d]) <= (8 * err + 1800 * U) * top);
            }
            attn_out_free(&o);
            attn_case_free(&c);
        }
    }
}

/* -- planted bugs */

static struct kernels good;

static void attn_one_more(const struct attn_chunk *a) /* sees the position after its own, where there is one */
{
    struct attn_chunk b = *a;
    int hi[MAX_Q];
    for (int i = 0; i < a->n_q; i++)
        hi[i] = a->hi[i] < 8 * a->n_blk ? a->hi[i] + 1 : a->hi[i];
    b.hi = hi;
    good.attn(&b);
}

static void attn_zero_weight(const struct attn_chunk *a) /* leaves a hidden slot out by a factor 0 */
{
    good.attn(a);
    for (int i = 0; i < a->n_q; i++)
        for (int p = 0; p < 8 * a->n_blk; p++)
            if (p < a->lo[i] || p >= a->hi[i])
                for (int d = 0; d < a->d_head; d++)
                    a->acc[(size_t)i * a->ld_acc + (size_t)d] +=
                        0.0f * (float)kv_value(a->v[p / 8], p % 8 * a->d_head + d, a->kv_type);
}

static void attn_tile(const struct attn_chunk *a) /* another order of adding when there are several queries */
{
    good.attn(a);
    for (int i = 0; a->n_q > 1 && i < a->n_q; i++)
        a->acc[(size_t)i * a->ld_acc] *= 1.0f + 0x1p-23f;
}

static void attn_no_cap(const struct attn_chunk *a)
{
    struct attn_chunk b = *a;
    b.softcap = 0.0f;
    good.attn(&b);
}

static void merge_no_weight(float *out, int d_head, int n_chunk, const float *max, const float *sum, const float *acc,
                            size_t ld_acc)
{
    float zero[16] = {0};
    (void)max;
    good.attn_merge(out, d_head, n_chunk, zero, sum, acc, ld_acc);
}

static void test_planted(void **state)
{
    void (*const attn[])(const struct attn_chunk *) = {attn_one_more, attn_zero_weight, attn_tile, attn_no_cap};
    double worst = 0.0;
    (void)state;
    assert_int_equal(kernels_init(&good, "c"), 0);
    for (size_t i = 0; i < sizeof attn / sizeof *attn; i++) {
        struct kernels bad = good;
        bad.attn = attn[i];
        assert_true(check_level(&good, &bad, 12, SEED, &worst) > 0);
        if (i != 2) /* without help from the level comparison */
            assert_true(check_level(&bad, &bad, 12, SEED, &worst) > 0);
    }
    struct kernels bad = good;
    bad.attn_merge = merge_no_weight;
    assert_true(check_merge(&bad, &bad, SEED) > 0);
}

/* -- speed, for the eye: 30 layers of 3 KV heads, 64 wide, 256 positions, f16, one core */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void test_bench(void **state)
{
    enum { LAYERS = 30, HEADS = 3, GROUP = 3, DH = 64, BLK = DH * 8 };
    static const int toks[] = {1, 2, 4, 8};
    struct test_rng r = {.seed = SEED};
    struct kernels k;
    (void)state;
    if (kernels_init(&k, NULL) < 0)
        return;
    const size_t n_blk = (size_t)LAYERS * HEADS * 2 * MAX_BLK;
    uint16_t *kv = malloc(n_blk * BLK * sizeof *kv);
    assert_non_null(kv);
    for (size_t i = 0; i < n_blk * BLK; i++)
        kv[i] = half_of_float(rng_unit(&r));
    struct attn_case c = {.type = KV_F16, .n_blk = MAX_BLK, .d_head = DH, .n_q = 8 * GROUP, .ld_q = DH, .ld_acc = DH};
    c.q = guard_alloc((size_t)c.n_q * DH * sizeof(float));
    c.lo = guard_alloc((size_t)c.n_q * sizeof(int));
    c.hi = guard_alloc((size_t)c.n_q * sizeof(int));
    for (int i = 0; i < c.n_q * DH; i++)
        ((float *)c.q.p)[i] = rng_unit(&r) / 8.0f;
    struct attn_out o = attn_out_make(&c);
    printf("bench %s, attention of a 135M pass at 256 positions, ms:", k.level);
    for (size_t t = 0; t < sizeof toks / sizeof *toks; t++) {
        double best = HUGE_VAL;
        for (int i = 0; i < toks[t] * GROUP; i++) {
            ((int *)c.lo.p)[i] = 0;
            ((int *)c.hi.p)[i] = ATTN_CHUNK - toks[t] + 1 + i / GROUP;
        }
        for (int round = 0; round < 10; round++) {
            const double start = now_ms();
            for (size_t h = 0; h < LAYERS * HEADS; h++) {
                for (size_t b = 0; b < MAX_BLK; b++) {
                    c.k[b] = kv + (2 * h * MAX_BLK + b) * BLK;
                    c.v[b] = kv + ((2 * h + 1) * MAX_BLK + b) * BLK;
                }
                attn_run(&k, &c, &o, 0, toks[t] * GROUP);
            }
            best = fmin(best, now_ms() - start);
        }
        printf(" %d tokens %.2f%s", toks[t], best, t + 1 < sizeof toks / sizeof *toks ? "," : "\n");
    }
    attn_out_free(&o);
    guard_free(&c.q);
    guard_free(&c.lo);
    guard_free(&c.hi);
    free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),  cmocka_unit_test(test_merge), cmocka_unit_test(test_split),
        cmocka_unit_test(test_planted), cmocka_unit_test(test_bench),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests_name("attn", tests, NULL, NULL);
}
