/* 8-bit rows, and attention chunks over them, of every level this CPU has: the bits of level c, and the right numbers
 * by plain double arithmetic on what the blocks hold.
 *
 * Checks count what is wrong, so that broken kernels can be shown to fail. Slots that nobody sees, and some that only
 * some queries see, hold NaN scales. Buffers end at an unreadable page. Read next: test_attn.c, for the float types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kern/half.h"
#include "kern/kv_q8.h"
#include "kv/kv.h"
#include "support/attn_check.h"

enum { SEED = 20261125, MAX_BLK = ATTN_MAX_BLK, MAX_Q = 48, MAX_DH = 512, N_CASES = 120 };
#define U 0x1p-24

static const char *const level_name[] = {"c", "avx2", "avx512vnni"};
enum { N_LEVELS = sizeof level_name / sizeof *level_name };

/* -- rows */

/* Codes (as signed) and scale of x by the words of act.h, in double. */
static long row_is_wrong(const int8_t *code, float d, const float *x, int n)
{
    double amax = 0.0;
    int broken = 0;
    long bad = 0;
    for (int i = 0; i < n; i++) {
        broken |= !isfinite(x[i]);
        amax = fmax(amax, fabs((double)x[i]));
    }
    if (broken || amax < 0x1p-100) {
        bad += broken ? !isnan(d) : d != 0.0f;
        for (int i = 0; i < n; i++)
            bad += code[i] != 0;
        return bad;
    }
    bad += d != (float)(amax / 127.0);
    for (int i = 0; i < n; i++) /* nearest, as far as the rounding of 127 / amax lets one say */
        bad += !(fabs((double)x[i] * 127.0 / amax - code[i]) <= 0.5 + 127 * 4 * U) || code[i] < -127;
    return bad;
}

static long check_rows(const struct kernels *ref, const struct kernels *k, struct test_rng *r)
{
    static const float hard[] = {0.0f, -0.0f, 0x1p-149f, 0x1p-101f, 0x1p-100f, 1e30f, -3e38f, INFINITY, -INFINITY, NAN};
    long bad = 0;
    for (int round = 0; round < 600; round++) {
        const int n = 8 * (1 + rng_below(r, 40)), bias = rng_below(r, 2) ? Q8_BIAS : 0;
        struct guard x = guard_alloc((size_t)n * sizeof(float)), want = guard_alloc((size_t)n + 4),
                     got = guard_alloc((size_t)n + 4);
        float *px = x.p;
        const float size = ldexpf(1.0f, rng_below(r, 3) ? 0 : rng_below(r, 200) - 110);
        for (int i = 0; i < n; i++)
            px[i] = rng_normal(r) * size;
        if (rng_below(r, 4) == 0) /* halves of a code: ties */
            for (int i = 0; i < n; i++)
                px[i] = i == 0 ? 127.0f : (float)(rng_below(r, 253) - 126) + 0.5f;
        if (rng_below(r, 3) == 0)
            px[rng_below(r, n)] = hard[rng_below(r, sizeof hard / sizeof *hard)];
        ref->q8_row(want.p, px, n, bias);
        k->q8_row(got.p, px, n, bias);
        bad += memcmp(want.p, got.p, (size_t)n + 4) != 0;
        int8_t code[8 * 40];
        float d;
        for (int i = 0; i < n; i++)
            code[i] = (int8_t)(((const uint8_t *)got.p)[i] - bias);
        memcpy(&d, (const char *)got.p + n, sizeof d);
        bad += row_is_wrong(code, d, px, n);
        k->q8_row(px, px, n, bias); /* in place */
        bad += memcmp(px, got.p, (size_t)n + 4) != 0;
        guard_free(&x);
        guard_free(&want);
        guard_free(&got);
    }
    return bad;
}

static void test_rows(void **state)
{
    struct kernels c, k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    assert_int_equal(kernels_init(&c, "c"), 0);
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l]))
            assert_int_equal(check_rows(&c, &k, &r), 0);
}

/* -- a chunk */

enum fill { FILL_NORMAL, FILL_DAMAGED, FILL_LARGEST, FILL_N }; /* largest: all codes +-127 */

/* Rows of a chain, of a window, or anything. */
static void ranges_fill(struct test_rng *r, struct attn_case *c)
{
    const int end = 8 * c->n_blk, kind = rng_below(r, 3), group = 1 + rng_below(r, 4), last = end - rng_below(r, 8);
    for (int i = 0; i < c->n_q; i++) {
        const int at = last - (c->n_q - 1) / group + i / group;
        attn_lo(c)[i] = 0;
        attn_hi(c)[i] = at < 1 ? 1 : at;
        if (kind == 1 && attn_hi(c)[i] > end / 3 + 1)
            attn_lo(c)[i] = attn_hi(c)[i] - end / 3 - 1;
        if (kind == 2) {
            attn_hi(c)[i] = 1 + rng_below(r, end);
            attn_lo(c)[i] = rng_below(r, attn_hi(c)[i]);
        }
    }
}

static int is_seen(const struct attn_case *c, int p)
{
    for (int i = 0; i < c->n_q; i++)
        if (attn_lo(c)[i] <= p && p < attn_hi(c)[i])
            return 1;
    return 0;
}

static void values_fill(struct test_rng *r, float *x, int n, enum fill fill, float size)
{
    const int one_sign = rng_below(r, 2);
    for (int i = 0; i < n; i++)
        x[i] = fill == FILL_LARGEST ? (one_sign || rng_below(r, 2) ? size : -size) : rng_normal(r) * size;
}

static struct attn_case case_make(struct test_rng *r, const struct kernels *k, enum fill fill)
{
    static const int heads[] = {64, 256, 8, 80, 96, 128, 24, MAX_DH};
    struct attn_case c = {.type = KV_Q8,
                          .n_blk = 1 + rng_below(r, MAX_BLK),
                          .d_head = heads[rng_below(r, 8)],
                          .n_q = 1 + rng_below(r, rng_below(r, 2) ? 7 : MAX_Q),
                          .softcap = rng_below(r, 4) ? 0.0f : 20.0f};
    const size_t dh = (size_t)c.d_head, blk_bytes = 8 * (dh + 4);
    float x[MAX_DH];
    char row[MAX_DH + 4];
    c.ld_q = dh * (size_t)(1 + rng_below(r, 2));
    c.ld_acc = dh * (size_t)(1 + rng_below(r, 3));
    attn_queries_make(&c);
    for (int i = 0; i < c.n_q; i++) {
        values_fill(r, x, c.d_head, fill, (float)(1 << rng_below(r, 4)) / sqrtf((float)c.d_head));
        k->q8_row((float *)c.q.p + (size_t)i * c.ld_q, x, c.d_head, 0);
    }
    ranges_fill(r, &c);
    for (int b = 0; b < c.n_blk; b++) {
        attn_block_make(&c, b, blk_bytes);
        for (int j = 0; j < 8; j++) {
            if (!is_seen(&c, 8 * b + j))
                continue;
            const int hit = fill == FILL_DAMAGED && rng_below(r, 4 * c.n_blk) == 0 ? 1 + rng_below(r, 2) : 0;
            values_fill(r, x, c.d_head, fill, 1.0f);
            if (hit == 1)
                x[rng_below(r, c.d_head)] = INFINITY;
            k->q8_row(row, x, c.d_head, Q8_BIAS);
            kv_copy_k(c.k_blk[b].p, j, row, -1, c.d_head, KV_Q8);
            values_fill(r, x, c.d_head, fill, 1.0f);
            if (hit == 2)
                x[rng_below(r, c.d_head)] = NAN;
            k->q8_row(row, x, c.d_head, 0);
            kv_copy_v(c.v_blk[b].p, j, row, -1, c.d_head, KV_Q8);
        }
    }
    return c;
}

/* What the layout of kv_q8.h holds, in double. */
static double k_value(const struct attn_case *c, int p, int d)
{
    const uint8_t *b = c->k[p / 8];
    float scale;
    memcpy(&scale, b + 8 * c->d_head + 4 * (p % 8), sizeof scale);
    return (double)scale * (b[d / 4 * 32 + p % 8 * 4 + d % 4] - 128);
}

static double v_value(const struct attn_case *c, int p, int d)
{
    const int8_t *b = c->v[p / 8];
    float scale;
    memcpy(&scale, b + 8 * c->d_head + 4 * (p % 8), sizeof scale);
    return (double)scale * b[p % 8 * c->d_head + d];
}

/* Score of query i at position p. Its sum is exact: off by the roundings of d_q * d_k and of the product, 2 u together;
 * the cap adds 8 u (test_ops.c). */
static double score_ref(const struct attn_case *c, int i, int p, double *err)
{
    const int8_t *q = (const int8_t *)((const float *)c->q.p + (size_t)i * c->ld_q);
    float d_q;
    double s = 0.0;
    memcpy(&d_q, q + c->d_head, sizeof d_q);
    for (int d = 0; d < c->d_head; d++)
        s += (double)d_q * q[d] * k_value(c, p, d);
    *err = 2.01 * U * fabs(s);
    if (c->softcap != 0.0f) {
        s = (double)c->softcap * tanh(s / (double)c->softcap);
        *err += 8 * U * fabs(s);
    }
    return s;
}

/* max, sum and acc of every query against one softmax in double. A score off by e makes p off by e relatively; so do
 * the maximum, the rounding of score - max, exp itself (2 u) and p * d_v (u); a chain of n fma adds n u. */
static long check_numbers(const struct kernels *k, const struct attn_case *c, double *worst)
{
    struct attn_out o = attn_out_make(c);
    long bad = 0;
    attn_run(k, c, &o, 0, c->n_q);
    for (int i = 0; i < c->n_q; i++) {
        const float *acc = (const float *)o.acc.p + (size_t)i * c->ld_acc, got_sum = ((const float *)o.sum.p)[i];
        double s[ATTN_CHUNK], max = -HUGE_VAL, min = HUGE_VAL, err = 0.0, sum = 0.0;
        int bad_k = 0, bad_v = 0;
        for (int p = attn_lo(c)[i]; p < attn_hi(c)[i]; p++) {
            double e;
            s[p] = score_ref(c, i, p, &e);
            bad_k |= isnan(s[p]);
            bad_v |= isnan(v_value(c, p, 0));
            max = fmax(max, s[p]);
            min = fmin(min, s[p]);
            err = fmax(err, e);
        }
        for (int d = 0; (bad_k || bad_v) && d < c->d_head; d++) /* the damage shows, here and nowhere else */
            bad += !isnan(acc[d]);
        bad += bad_k && !isnan(got_sum);
        if (bad_k || bad_v)
            continue;
        bad += !(fabs((double)((const float *)o.max.p)[i] - max) <= err);
        for (int p = attn_lo(c)[i]; p < attn_hi(c)[i]; p++)
            sum += exp(s[p] - max);
        const double rel = 2 * err + (max - min) * U + 3 * U + (attn_hi(c)[i] - attn_lo(c)[i]) * U;
        bad += !(fabs((double)got_sum - sum) <= rel * sum);
        for (int d = 0; d < c->d_head; d++) {
            double v = 0.0, abs_v = 0.0;
            for (int p = attn_lo(c)[i]; p < attn_hi(c)[i]; p++) {
                const double x = exp(s[p] - max) * v_value(c, p, d);
                v += x;
                abs_v += fabs(x);
            }
            bad += !(fabs((double)acc[d] - v) <= rel * abs_v);
            *worst = fmax(*worst, abs_v > 0 ? fabs((double)acc[d] - v) / (rel * abs_v) : 0);
        }
    }
    attn_out_free(&o);
    return bad;
}

static long check_level(const struct kernels *ref, const struct kernels *k, int n, double *worst)
{
    struct test_rng r = {.seed = SEED};
    long bad = 0;
    for (int i = 0; i < n; i++) {
        struct attn_case c = case_make(&r, k, (enum fill)(i % FILL_N));
        bad += attn_check_same(ref, k, &c) + check_numbers(k, &c, worst);
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
            assert_int_equal(check_level(&c, &k, N_CASES, &worst), 0);
            printf("level %s: %d cases, largest error %.3f of its bound\n", k.level, N_CASES, worst);
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
    good.attn_q8(&b);
}

static void attn_no_cap(const struct attn_chunk *a)
{
    struct attn_chunk b = *a;
    b.softcap = 0.0f;
    good.attn_q8(&b);
}

static void attn_zero_weight(const struct attn_chunk *a) /* leaves a hidden slot out by a factor 0 */
{
    good.attn_q8(a);
    for (int i = 0; i < a->n_q; i++)
        for (int p = 0; p < 8 * a->n_blk; p++)
            if (p < a->lo[i] || p >= a->hi[i])
                for (int d = 0; d < a->d_head; d++)
                    a->acc[(size_t)i * a->ld_acc + (size_t)d] += 0.0f * q8_scales(a->v[p / 8], a->d_head)[p % 8];
}

static void attn_tile(const struct attn_chunk *a) /* another order of adding when there are several queries */
{
    good.attn_q8(a);
    for (int i = 0; a->n_q > 1 && i < a->n_q; i++)
        a->acc[(size_t)i * a->ld_acc] *= 1.0f + 0x1p-23f;
}

static void row_up(void *row, const float *x, int n, int bias) /* rounds halves up */
{
    char was[MAX_DH * 4];
    memcpy(was, x, (size_t)n * sizeof *x);
    good.q8_row(row, x, n, bias);
    for (int i = 0; i < n; i++) {
        float xi;
        memcpy(&xi, was + 4 * i, sizeof xi);
        if (xi - floorf(xi) == 0.5f && fabsf(xi) < 127.0f)
            ((uint8_t *)row)[i] = (uint8_t)((int)floorf(xi) + 1 + bias);
    }
}

static void row_quiet(void *row, const float *x, int n, int bias) /* hides what is not finite */
{
    float d;
    good.q8_row(row, x, n, bias);
    memcpy(&d, (char *)row + n, sizeof d);
    d = isnan(d) ? 0.0f : d;
    memcpy((char *)row + n, &d, sizeof d);
}

static void test_planted(void **state)
{
    void (*const attn[])(const struct attn_chunk *) = {attn_one_more, attn_no_cap, attn_zero_weight, attn_tile};
    struct test_rng r = {.seed = SEED};
    double worst = 0.0;
    (void)state;
    assert_int_equal(kernels_init(&good, "c"), 0);
    for (size_t i = 0; i < sizeof attn / sizeof *attn; i++) {
        struct kernels bad = good;
        bad.attn_q8 = attn[i];
        assert_true(check_level(&good, &bad, 24, &worst) > 0);
        if (i != 3) /* without help from the level comparison */
            assert_true(check_level(&bad, &bad, 24, &worst) > 0);
    }
    struct kernels bad = good;
    bad.q8_row = row_up;
    assert_true(check_rows(&good, &bad, &r) > 0);
    bad.q8_row = row_quiet;
    assert_true(check_rows(&bad, &bad, &r) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_planted),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests_name("attn_q8", tests, NULL, NULL);
}
