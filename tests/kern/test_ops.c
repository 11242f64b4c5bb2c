/* Row operations and KV stores of every level this CPU has: the bits of level c, and the right numbers.
 *
 * Accuracy bounds are derived, with u = 2^-24 (half an ulp is at most u of the value), and stand at each check. Checks
 * count what is wrong, so that broken kernels can be shown to fail. Every buffer ends at an unreadable page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "kern/half.h"
#include "support/kern_check.h"

enum { SEED = 20260414, N_FNS = 8 };
#define U 0x1p-24

static const char *const level_name[] = {"c", "avx2", "avx512vnni"};
enum { N_LEVELS = sizeof level_name / sizeof *level_name };
static const int sizes[] = {1,  2,  3,  5,  7,  8,  9,  11,  15,  16,  17,  23,  24,  25,  31,   32,   33,
                            39, 40, 41, 47, 63, 64, 65, 100, 127, 255, 257, 576, 577, 960, 1536, 2047, 4099};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static struct guard floats_make(struct test_rng *r, enum data_kind kind, int n)
{
    struct guard g = guard_alloc((size_t)n * sizeof(float));
    floats_fill(r, kind, g.p, n, 1);
    return g;
}

static long differ(const float *a, const float *b, int n)
{
    long bad = 0;
    for (int i = 0; i < n; i++)
        bad += !same_bits(a[i], b[i]);
    return bad;
}

/* -- the same bits */

static const char *const fn_name[N_FNS] = {
    "rms_norm", "rms_norm without weights", "add", "scale", "silu gate", "gelu gate", "softcap", "exp"};

/* Operation fn: x, y -> out. */
static void run_fn(const struct kernels *k, int fn, float *out, const float *x, const float *y, int n)
{
    switch (fn) {
    case 0:
    case 1:
        k->rms_norm(out, x, fn == 0 ? y : NULL, n, 1e-5f);
        break;
    case 2:
        k->add(out, x, y, n);
        break;
    case 3:
        k->scale(out, x, 0.0883883461f, n);
        break;
    case 4:
    case 5:
        k->gate(out, x, y, n, fn == 4 ? ACT_FN_SILU : ACT_FN_GELU_TANH);
        break;
    case 6:
        k->softcap(out, x, 30.0f, n);
        break;
    default:
        k->exp(out, x, n);
    }
}

/* Floats of k that differ from level ref's, in a buffer of their own and in place. */
static long check_same(const struct kernels *ref, const struct kernels *k, int fn, struct test_rng *r)
{
    long bad = 0;
    for (int i = 0; i < N_SIZES; i++)
        for (enum data_kind kind = DATA_SANE; kind < DATA_N; kind++) {
            const int n = sizes[i];
            struct guard x = floats_make(r, kind, n), y = floats_make(r, kind, n);
            struct guard want = guard_alloc((size_t)n * sizeof(float)), got = guard_alloc((size_t)n * sizeof(float));
            run_fn(ref, fn, want.p, x.p, y.p, n);
            run_fn(k, fn, got.p, x.p, y.p, n);
            bad += differ(want.p, got.p, n);
            run_fn(k, fn, x.p, x.p, y.p, n);
            bad += differ(want.p, x.p, n);
            guard_free(&x);
            guard_free(&y);
            guard_free(&want);
            guard_free(&got);
        }
    return bad;
}

static void test_same_bits(void **state)
{
    struct kernels c, k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    assert_int_equal(kernels_init(&c, "c"), 0);
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l]))
            for (int fn = 0; fn < N_FNS; fn++)
                if (check_same(&c, &k, fn, &r))
                    fail_msg("%s at level %s differs from level c, seed %d", fn_name[fn], k.level, SEED);
}

/* The floats of x, by every function of one float, at level k and at level ref: how many results differ. */
static long check_floats(const struct kernels *ref, const struct kernels *k, const float *x, int n)
{
    long bad = 0;
    struct guard one = guard_alloc((size_t)n * sizeof(float)), a = guard_alloc((size_t)n * sizeof(float));
    struct guard b = guard_alloc((size_t)n * sizeof(float));
    for (int i = 0; i < n; i++)
        ((float *)one.p)[i] = 1.0f;
    for (int fn = 4; fn < N_FNS; fn++) {
        run_fn(ref, fn, a.p, x, one.p, n);
        run_fn(k, fn, b.p, x, one.p, n);
        bad += differ(a.p, b.p, n);
    }
    guard_free(&one);
    guard_free(&a);
    guard_free(&b);
    return bad;
}

/* Every 997th float, all signs, sizes, infinities and NaN; and the neighbours of the places where a formula changes. */
static void test_same_functions(void **state)
{
    struct kernels c, k;
    enum { N = 1000 };
    static const float edges[] = {0.0f,      20.0f, 40.0f,  86.9f,  87.0f,  88.37626f,
                                  88.72284f, 89.0f, 104.0f, 600.0f, 1200.0f};
    float x[N];
    (void)state;
    assert_int_equal(kernels_init(&c, "c"), 0);
    if (!level_open(&k, "avx2"))
        return;
    for (uint64_t at = 0; at < 0x100000000u; at += 997u * N) {
        for (unsigned i = 0; i < N; i++)
            x[i] = float_of_bits((uint32_t)(at + 997u * i));
        if (check_floats(&c, &k, x, N))
            fail_msg("floats from bits %#llx on differ", (unsigned long long)at);
    }
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        const float up = nextafterf(edges[i], HUGE_VALF), down = nextafterf(edges[i], -HUGE_VALF);
        const float y[6] = {edges[i], up, down, -edges[i], -up, -down};
        if (check_floats(&c, &k, y, 6))
            fail_msg("floats around %g differ", (double)edges[i]);
    }
}

/* -- accuracy */

/* Distance of a float from its neighbour away from 0. */
static double ulp_of(double w)
{
    int e;
    frexp(w, &e);
    return ldexp(1.0, (e < -125 ? -125 : e) - 24);
}

/* At most 1 ulp, 0 below 1.9e-38, infinity where float has no value. */
static int exp_is_right(float x, float y)
{
    const double w = exp((double)x);
    if (isnan(x) || x < -88.0f)
        return isnan(x) ? isnan(y) : y == 0.0f;
    if (w > (double)FLT_MAX)
        return isinf(y);
    if (w < 1.9e-38)
        return y == 0.0f || fabs((double)y - w) <= ulp_of(w);
    return fabs((double)y - w) <= ulp_of(w);
}

/* cap * tanh(x / cap): tanh is within 3 ulp (6 u), the quotient and the product round once each; a relative error of
 * the quotient is at most as large in the result. Denormal quotients are off by their own rounding. */
static int softcap_is_right(float x, float cap, float y)
{
    const double w = (double)cap * tanh((double)x / (double)cap);
    if (isnan(x))
        return isnan(y);
    return fabs((double)y - w) <= 8 * U * fabs(w) + 2 * (double)cap * 0x1p-149 && signbit(y) == signbit(x);
}

/* x / (1 + e^-z). The exponential is within 2 u, then at most four roundings: 6 u. z itself is exact for SiLU and
 * within 4 u for GELU (two coefficients, x * x, fma, product), which the exponential multiplies by |z|. */
static int gate_is_right(float x, float y, enum act_fn fn)
{
    const double dx = (double)x, z = fn == ACT_FN_SILU ? dx : 2 * sqrt(2 / acos(-1.0)) * (dx + 0.044715 * dx * dx * dx);
    const double w = dx / (1 + exp(-z));
    if (isnan(x) || (isinf(x) && x < 0.0f))
        return isnan(y);
    if (isinf(x))
        return y == x;
    const double rel = fn == ACT_FN_SILU ? 6 : 6 + 4 * fabs(z);
    return isfinite(y) && fabs((double)y - w) <= rel * U * fabs(w) + fabs(dx) * 1.9e-38 + 0x1p-149;
}

static long check_functions(const struct kernels *k, uint32_t step)
{
    enum { N = 1024 };
    long bad = 0;
    float one[N];
    for (int i = 0; i < N; i++)
        one[i] = 1.0f;
    for (uint64_t at = 0; at < 0x100000000u; at += (uint64_t)step * N) {
        float x[N], y[N];
        for (uint64_t i = 0; i < N; i++)
            x[i] = float_of_bits((uint32_t)(at + step * i));
        k->exp(y, x, N);
        for (int i = 0; i < N; i++)
            bad += !exp_is_right(x[i], y[i]);
        static const float caps[] = {1.0f, 30.0f, 50.0f};
        for (size_t j = 0; j < sizeof caps / sizeof *caps; j++) {
            k->softcap(y, x, caps[j], N);
            for (int i = 0; i < N; i++)
                bad += !softcap_is_right(x[i], caps[j], y[i]);
        }
        for (enum act_fn fn = ACT_FN_SILU; fn <= ACT_FN_GELU_TANH; fn++) {
            k->gate(y, x, one, N, fn);
            for (int i = 0; i < N; i++)
                bad += !gate_is_right(x[i], y[i], fn);
        }
    }
    return bad;
}

/* The sum is within (n / 16 + 5) u, half of that in the root; the mean, eps, root, reciprocal and two products: 6 u. */
static long check_norm(const struct kernels *k, struct test_rng *r)
{
    long bad = 0;
    for (int i = 0; i < N_SIZES; i++)
        for (int with = 0; with < 2; with++) {
            const int n = sizes[i];
            struct guard x = floats_make(r, DATA_SANE, n), w = floats_make(r, DATA_SANE, n);
            struct guard y = guard_alloc((size_t)n * sizeof(float));
            const float *px = x.p, *pw = w.p, *py = y.p;
            double ss = 0.0;
            for (int j = 0; j < n; j++)
                ss += (double)px[j] * (double)px[j];
            const double scale = 1 / sqrt(ss / n + (double)1e-6f);
            k->rms_norm(y.p, px, with ? pw : NULL, n, 1e-6f);
            for (int j = 0; j < n; j++) {
                const double want = (double)px[j] * scale * (with ? (double)pw[j] : 1.0);
                bad += !(fabs((double)py[j] - want) <= (n / 32.0 + 9) * U * fabs(want));
            }
            guard_free(&x);
            guard_free(&w);
            guard_free(&y);
        }
    return bad;
}

/* Whole numbers: sums and products are exact. */
static long check_whole(const struct kernels *k, struct test_rng *r)
{
    long bad = 0;
    for (int i = 0; i < N_SIZES; i++) {
        const int n = sizes[i];
        struct guard x = guard_alloc((size_t)n * sizeof(float)), y = guard_alloc((size_t)n * sizeof(float));
        struct guard o = guard_alloc((size_t)n * sizeof(float));
        float *px = x.p, *py = y.p, *po = o.p;
        for (int j = 0; j < n; j++) {
            px[j] = (float)(rng_below(r, 2001) - 1000);
            py[j] = (float)(rng_below(r, 2001) - 1000);
        }
        k->add(po, px, py, n);
        for (int j = 0; j < n; j++)
            bad += (int)po[j] != (int)px[j] + (int)py[j];
        k->scale(po, px, -3.0f, n);
        for (int j = 0; j < n; j++)
            bad += (int)po[j] != -3 * (int)px[j];
        guard_free(&x);
        guard_free(&y);
        guard_free(&o);
    }
    return bad;
}

static void test_accuracy(void **state)
{
    struct kernels k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l])) {
            assert_int_equal(check_functions(&k, 4099), 0);
            assert_int_equal(check_norm(&k, &r), 0);
            assert_int_equal(check_whole(&k, &r), 0);
        }
}

static void test_exact_values(void **state)
{
    struct kernels k;
    (void)state;
    for (int l = 0; l < N_LEVELS; l++) {
        if (!level_open(&k, level_name[l]))
            continue;
        const float x[6] = {0.0f, -0.0f, -INFINITY, INFINITY, NAN, -1e30f};
        float y[6];
        k.exp(y, x, 6);
        assert_true(y[0] == 1.0f && y[1] == 1.0f && y[2] == 0.0f && isinf(y[3]) && isnan(y[4]) && y[5] == 0.0f);
        k.softcap(y, x, 30.0f, 6);
        assert_true(same_bits(y[0], 0.0f) && same_bits(y[1], -0.0f) && y[2] == -30.0f && y[3] == 30.0f && isnan(y[4]));
        const float big[4] = {3e38f, -3e38f, 1e25f, -1e25f}, one[4] = {1, 1, 1, 1};
        for (enum act_fn fn = ACT_FN_SILU; fn <= ACT_FN_GELU_TANH; fn++) {
            k.gate(y, big, one, 4, fn);
            assert_true(y[0] == big[0] && y[1] == 0.0f && y[2] == big[2] && y[3] == 0.0f);
        }
        k.rms_norm(y, big, NULL, 4, 1e-6f); /* the sum of squares is infinite: reported, not a row of zeros */
        assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[2]) && isnan(y[3]));
    }
}

/* -- rope */

/* Within 3 u of |a cos| + |b sin|, one rounding of the product and one of the sum; the rest of a head is untouched.
 * With whole is set, cos and sin are 0 and +-1 and values whole numbers: exact. */
static long check_rope(const struct kernels *k, struct test_rng *r, int whole)
{
    static const int shape[][2] = {{8, 8},  {64, 64}, {64, 32}, {80, 80}, {80, 20},  {96, 96},
                                   {64, 2}, {64, 6},  {64, 18}, {40, 30}, {128, 96}, {256, 256}};
    long bad = 0;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int n_head = 1; n_head <= 3; n_head++)
            for (enum rope_kind kind = ROPE_NORM; kind <= ROPE_NEOX; kind++) {
                const int dh = shape[i][0], n_rot = shape[i][1], n = n_rot / 2;
                struct guard x = guard_alloc((size_t)(n_head * dh) * sizeof(float));
                struct guard old = guard_alloc((size_t)(n_head * dh) * sizeof(float));
                struct guard cs = guard_alloc((size_t)n_rot * sizeof(float));
                float *px = x.p, *po = old.p, *pc = cs.p;
                for (int j = 0; j < n_head * dh; j++)
                    po[j] = px[j] = whole ? (float)(rng_below(r, 99) - 49) : rng_normal(r);
                for (int j = 0; j < n; j++) {
                    const int turn = rng_below(r, 4);
                    const double t = (double)rng_unit(r) * 3.2;
                    pc[2 * j] = whole ? (float)(turn == 0 ? 1 : turn == 2 ? -1 : 0) : (float)cos(t);
                    pc[2 * j + 1] = whole ? (float)(turn == 1 ? 1 : turn == 3 ? -1 : 0) : (float)sin(t);
                }
                k->rope(px, pc, n_head, dh, n_rot, kind);
                for (int h = 0; h < n_head; h++) {
                    const float *o = po + h * dh, *y = px + h * dh;
                    for (int j = 0; j < n; j++) {
                        const int ia = kind == ROPE_NORM ? 2 * j : j, ib = kind == ROPE_NORM ? 2 * j + 1 : j + n;
                        const double a = (double)o[ia], b = (double)o[ib], c = (double)pc[2 * j],
                                     s = (double)pc[2 * j + 1];
                        const double tol = whole ? 0 : 3 * U;
                        bad += !(fabs((double)y[ia] - (a * c - b * s)) <= tol * (fabs(a * c) + fabs(b * s)));
                        bad += !(fabs((double)y[ib] - (a * s + b * c)) <= tol * (fabs(a * s) + fabs(b * c)));
                    }
                    bad += differ(o + n_rot, y + n_rot, dh - n_rot);
                }
                guard_free(&x);
                guard_free(&old);
                guard_free(&cs);
            }
    return bad;
}

static long check_rope_same(const struct kernels *ref, const struct kernels *k, struct test_rng *r)
{
    long bad = 0;
    for (int round = 0; round < 400; round++) {
        const int dh = 8 * (1 + rng_below(r, 16)), n_rot = 2 * (1 + rng_below(r, dh / 2)), n_head = 1 + rng_below(r, 4);
        const enum data_kind data = (enum data_kind)rng_below(r, DATA_N);
        const enum rope_kind kind = round % 2 ? ROPE_NORM : ROPE_NEOX;
        struct guard x = floats_make(r, data, n_head * dh), cs = floats_make(r, data, n_rot);
        struct guard y = guard_alloc((size_t)(n_head * dh) * sizeof(float));
        memcpy(y.p, x.p, (size_t)(n_head * dh) * sizeof(float));
        ref->rope(x.p, cs.p, n_head, dh, n_rot, kind);
        k->rope(y.p, cs.p, n_head, dh, n_rot, kind);
        bad += differ(x.p, y.p, n_head * dh);
        guard_free(&x);
        guard_free(&y);
        guard_free(&cs);
    }
    return bad;
}

static void test_rope(void **state)
{
    struct kernels c, k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    assert_int_equal(kernels_init(&c, "c"), 0);
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l])) {
            assert_int_equal(check_rope(&k, &r, 0), 0);
            assert_int_equal(check_rope(&k, &r, 1), 0);
            assert_int_equal(check_rope_same(&c, &k, &r), 0);
        }
}

/* -- argmax */

/* Rows with few distinct values, so that ties abound; sometimes a NaN, only infinities, zeros of both signs. */
static long check_argmax(const struct kernels *k, struct test_rng *r)
{
    static const float few[] = {-INFINITY, -FLT_MAX, -1.0f, -0.0f, 0.0f, 0x1p-149f, 1.0f, FLT_MAX, INFINITY};
    long bad = 0;
    for (int i = 0; i < N_SIZES; i++)
        for (int round = 0; round < 40; round++) {
            const int n = sizes[i], top = 1 + rng_below(r, 9);
            struct guard g = guard_alloc((size_t)n * sizeof(float));
            float *x = g.p;
            int want = 0;
            for (int j = 0; j < n; j++)
                x[j] = round % 4 ? few[rng_below(r, top)] : rng_normal(r);
            for (int j = n - 1; j >= 0; j--)
                want = x[j] >= x[want] || j == n - 1 ? j : want;
            bad += k->argmax(x, n) != want;
            x[rng_below(r, n)] = round % 2 ? NAN : -NAN;
            bad += k->argmax(x, n) != -1;
            guard_free(&g);
        }
    return bad;
}

static void test_argmax(void **state)
{
    struct kernels k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l]))
            assert_int_equal(check_argmax(&k, &r), 0);
}

/* -- stores */

/* The value of finite half bits, by the format's definition. */
static double half_value(unsigned h)
{
    const int e = (int)(h >> 10 & 31u), m = (int)(h & 1023u);
    const double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000u ? -v : v;
}

/* h is x rounded to the nearest half, ties to the even one, within +-65504. */
static int half_is_right(float x, unsigned h)
{
    if (isnan(x))
        return (h & 0x7fffu) > 0x7c00u;
    if ((h >> 15 != 0) != (signbit(x) != 0))
        return 0;
    const double a = fabs((double)x), v = fabs(half_value(h));
    const unsigned mag = h & 0x7fffu;
    if (a >= 65504.0)
        return mag == 0x7bffu;
    const double above = mag < 0x7bffu ? half_value(mag + 1) : HUGE_VAL, below = mag ? half_value(mag - 1) : -HUGE_VAL;
    const double d = fabs(a - v), d_up = above - a, d_down = a - below;
    return mag < 0x7c00u && d <= d_up && d <= d_down && ((d < d_up && d < d_down) || mag % 2 == 0);
}

static float store_value(struct test_rng *r)
{
    static const float hard[] = {65504.0f, 65519.996f,   65520.0f,     65536.0f, 1e30f,      INFINITY,
                                 NAN,      0.0f,         0x1p-24f,     0x1p-25f, 0x1.8p-25f, 0x1.8p-24f,
                                 0x1p-14f, 0x1.ffcp-15f, 0x1.ffep-15f, FLT_MIN,  0x1p-149f};
    const int n_hard = sizeof hard / sizeof *hard, pick = rng_below(r, 3 * n_hard);
    const float sign = rng_below(r, 2) ? -1.0f : 1.0f;
    if (pick < n_hard)
        return sign * hard[pick];
    if (pick < 2 * n_hard) /* half way between two halves, or one float beside that */
        return sign * float_of_bits(((uint32_t)rng_below(r, 30) + 113u) << 23 | (rng_u32(r) & 0x7fe000u) | 0x1000u) *
               (1.0f + 0x1p-23f * (float)(rng_below(r, 3) - 1));
    return rng_normal(r);
}

static long check_stores(const struct kernels *k, struct test_rng *r)
{
    long bad = 0;
    for (int round = 0; round < 400; round++) {
        const enum kv_type type = round % 2 ? KV_F16 : KV_F32;
        const int dh = 8 * (1 + rng_below(r, 12)), lane = rng_below(r, 8), is_k = rng_below(r, 2);
        struct guard x = guard_alloc((size_t)dh * sizeof(float));
        struct guard blk = guard_alloc((size_t)(8 * dh) * (type == KV_F16 ? 2 : 4));
        float *px = x.p;
        for (int d = 0; d < dh; d++)
            px[d] = store_value(r);
        (is_k ? k->store_k : k->store_v)(blk.p, lane, px, dh, type);
        for (int d = 0; d < dh; d++)
            for (int j = 0; j < 8; j++) {
                const int at = is_k ? 8 * d + j : j * dh + d;
                const uint16_t h = ((const uint16_t *)blk.p)[type == KV_F16 ? at : 2 * at];
                if (j != lane) /* as it was */
                    bad += h != 0xa5a5u;
                else if (type == KV_F16)
                    bad += !half_is_right(px[d], h);
                else
                    bad += memcmp((const float *)blk.p + at, &px[d], sizeof(float)) != 0;
            }
        guard_free(&x);
        guard_free(&blk);
    }
    return bad;
}

static void test_stores(void **state)
{
    struct kernels k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    for (int l = 0; l < N_LEVELS; l++)
        if (level_open(&k, level_name[l]))
            assert_int_equal(check_stores(&k, &r), 0);
}

/* -- planted bugs: each check fails where it should */

static struct kernels good; /* level c, for the broken entries to call */

static void exp_off(float *out, const float *x, int n) /* a lost bit in the reduction */
{
    good.exp(out, x, n);
    for (int i = 0; i < n; i++)
        out[i] *= 1.0f + 0x1p-21f;
}

static void add_short(float *out, const float *x, const float *y, int n) /* the last value of an odd tail */
{
    good.add(out, x, y, n);
    if (n % 8 == 7)
        out[n - 1] = x[n - 1];
}

static void norm_mean(float *out, const float *x, const float *w, int n, float eps) /* n - 1 instead of n */
{
    good.rms_norm(out, x, w, n, eps);
    good.scale(out, out, sqrtf((float)(n - 1) / (float)n), n);
}

static void rope_back(float *x, const float *cs, int n_head, int d_head, int n_rot, enum rope_kind kind)
{
    good.rope(x, cs, n_head, d_head, n_rot, kind == ROPE_NORM ? ROPE_NEOX : ROPE_NORM);
}

static int argmax_last(const float *x, int n)
{
    int best = good.argmax(x, n);
    for (int i = best; best >= 0 && i < n; i++)
        best = x[i] >= x[best] ? i : best;
    return best;
}

static void store_v_up(void *block, int lane, const float *v, int d_head, enum kv_type type) /* rounds half up */
{
    good.store_v(block, lane, v, d_head, type);
    for (int d = 0; d < d_head && type == KV_F16; d++)
        if ((float_bits(v[d]) & 0x1fffu) == 0x1000u && fabsf(v[d]) >= 0x1p-14f && fabsf(v[d]) < 65504.0f)
            ((uint16_t *)block)[lane * d_head + d] =
                (uint16_t)((float_bits(v[d]) >> 16 & 0x8000u) |
                           (((float_bits(v[d]) & 0x7fffffffu) - (112u << 23) + 0x1000u) >> 13));
}

static void test_planted(void **state)
{
    struct test_rng r = {.seed = SEED};
    struct kernels bad;
    (void)state;
    assert_int_equal(kernels_init(&good, "c"), 0);
    bad = good;
    bad.exp = exp_off;
    assert_true(check_functions(&bad, 400009) > 0);
    assert_true(check_same(&good, &bad, 7, &r) > 0);
    bad = good;
    bad.add = add_short;
    assert_true(check_whole(&bad, &r) > 0);
    assert_true(check_same(&good, &bad, 2, &r) > 0);
    bad = good;
    bad.rms_norm = norm_mean;
    assert_true(check_norm(&bad, &r) > 0);
    bad = good;
    bad.rope = rope_back;
    assert_true(check_rope(&bad, &r, 0) > 0);
    assert_true(check_rope(&bad, &r, 1) > 0);
    assert_true(check_rope_same(&good, &bad, &r) > 0);
    bad = good;
    bad.argmax = argmax_last;
    assert_true(check_argmax(&bad, &r) > 0);
    bad = good;
    bad.store_v = store_v_up;
    assert_true(check_stores(&bad, &r) > 0);
}

/* -- speed, for the eye */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void test_bench(void **state)
{
    enum { N = 1536, ROUNDS = 30, CALLS = 10 };
    struct kernels k;
    struct test_rng r = {.seed = SEED};
    struct guard x = floats_make(&r, DATA_SANE, N), y = floats_make(&r, DATA_SANE, N),
                 o = floats_make(&r, DATA_SANE, N);
    (void)state;
    for (int l = 0; l < N_LEVELS; l++) {
        if (!level_open(&k, level_name[l]))
            continue;
        printf("bench %s, %d floats, ns:", k.level, N);
        for (int fn = 0; fn < N_FNS; fn++) {
            double best = HUGE_VAL;
            for (int i = 0; i < ROUNDS; i++) {
                const double t = now_ns();
                for (int j = 0; j < CALLS; j++)
                    run_fn(&k, fn, o.p, x.p, y.p, N);
                best = fmin(best, (now_ns() - t) / CALLS);
            }
            printf(" %s %.0f%s", fn_name[fn], best, fn + 1 < N_FNS ? "," : "\n");
        }
    }
    guard_free(&x);
    guard_free(&y);
    guard_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),    cmocka_unit_test(test_same_functions), cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_exact_values), cmocka_unit_test(test_rope),           cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_stores),       cmocka_unit_test(test_planted),        cmocka_unit_test(test_bench),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
