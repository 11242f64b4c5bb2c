/* Packed activations: every level gives level c's bytes, whole or in pieces; level c's codes, scales and sums follow
 * the rule of kern/act.h, computed here again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kern/act.h"
#include "support/kern_check.h"

enum { SEED = 20260302 };

static void levels_agree(const char *level)
{
    static const int widths[] = {1, 63, 65, 100, 32, 64, 576, 256, 512, 2048};
    static const int toks[] = {1, 2, 15, 16, 17, 33};
    struct kernels c, k;
    assert_int_equal(kernels_init(&c, "c"), 0);
    if (!level_open(&k, level))
        return;
    struct test_rng r = {.seed = SEED};
    for (enum act_kind kind = ACT_F32; kind < ACT_N; kind++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (size_t j = 0; j < sizeof toks / sizeof *toks; j++)
                for (enum data_kind data = DATA_SANE; data < DATA_N; data++) {
                    const int n = widths[i], n_tok = toks[j], block = kind == ACT_F32 ? 1 : kind == ACT_Q8 ? 32 : 256;
                    const size_t ld = (size_t)n + (size_t)rng_below(&r, 4);
                    if (n % block != 0)
                        continue;
                    struct guard x = guard_alloc(((size_t)(n_tok - 1) * ld + (size_t)n) * sizeof(float));
                    for (int t = 0; t < n_tok; t++)
                        floats_fill(&r, data, (float *)x.p + (size_t)t * ld, n, block);
                    const long bad =
                        check_act(&c, &k, kind, x.p, ld, n, n_tok, &r) + check_act(&c, &c, kind, x.p, ld, n, n_tok, &r);
                    if (bad)
                        fail_msg("%s: kind %d, %d wide, %d tokens, %s data, seed %d: %ld bytes differ", level,
                                 (int)kind, n, n_tok, data_name[data], SEED, bad);
                    guard_free(&x);
                }
}

static void test_levels_agree(void **state)
{
    (void)state;
    levels_agree("avx2");
    levels_agree("avx512vnni");
}

/* One block of n codes against the rule. */
static void check_block(const float *x, int n, const int8_t *q, float d)
{
    float amax = 0.0f;
    int finite = 1;
    for (int i = 0; i < n; i++) {
        finite &= isfinite(x[i]) != 0;
        amax = fmaxf(amax, fabsf(x[i]));
    }
    if (!finite) {
        assert_true(isnan(d));
        amax = 0.0f;
    } else if (amax < 0x1p-100f) {
        assert_true(d == 0.0f);
        amax = 0.0f;
    } else {
        assert_true(d == amax / 127.0f);
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(q[i], amax > 0.0f ? (int)rintf(x[i] * (127.0f / amax)) : 0);
}

/* Sums of the codes whose k mod 4 is 0 or 1, and 2 or 3. */
static void lane_sums(int s[2], const int8_t *q, int n)
{
    s[0] = s[1] = 0;
    for (int i = 0; i < n; i++)
        s[i % 4 / 2] += q[i];
}

static void test_rule_q8(void **state)
{
    struct kernels k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    assert_int_equal(kernels_init(&k, "c"), 0);
    for (int round = 0; round < 400; round++) {
        enum { N = 96, M = 3 };
        float x[M * N];
        struct guard g = guard_alloc(k.act_bytes(ACT_Q8, N, M));
        floats_fill(&r, (enum data_kind)(round % DATA_N), x, M * N, 32);
        k.act_pack(g.p, ACT_Q8, x, N, N, M, 0, M);
        const struct act_q8 *a = g.p;
        const struct act_q8w *w = (const struct act_q8w *)(const void *)((const char *)g.p + act_q8w_at(N, M));
        for (int b = 0; b < N / 32; b++)
            for (int t = 0; t < M; t++, a++, w++) {
                int s[2];
                check_block(x + t * N + 32 * b, 32, a->q, a->d);
                lane_sums(s, a->q, 32);
                assert_true(same_bits(a->ds, a->d * (float)(s[0] + s[1])));
                for (int j = 0; j < 2; j++) {
                    assert_int_equal(a->off8[j], -8 * s[j]);
                    assert_int_equal(a->off16[j], -16 * s[j]);
                }
                for (int i = 0; i < 32; i++)
                    assert_int_equal(w->q[i], a->q[i]);
            }
        guard_free(&g);
    }
}

static void test_rule_q8k(void **state)
{
    struct kernels k;
    struct test_rng r = {.seed = SEED};
    (void)state;
    assert_int_equal(kernels_init(&k, "c"), 0);
    for (int round = 0; round < 200; round++) {
        enum { N = 512, M = 2 };
        float x[M * N];
        struct guard g = guard_alloc(k.act_bytes(ACT_Q8K, N, M));
        floats_fill(&r, (enum data_kind)(round % DATA_N), x, M * N, 256);
        k.act_pack(g.p, ACT_Q8K, x, N, N, M, 0, M);
        const struct act_q8k *a = g.p;
        for (int b = 0; b < N / 256; b++)
            for (int t = 0; t < M; t++, a++) {
                int s[2];
                check_block(x + t * N + 256 * b, 256, a->q, a->d);
                for (int j = 0; j < 16; j++) {
                    lane_sums(s, a->q + 16 * j, 16);
                    assert_int_equal(a->off32[j][0], -32 * s[0]);
                    assert_int_equal(a->off32[j][1], -32 * s[1]);
                }
                for (int j = 0; j < 8; j++) {
                    lane_sums(s, a->q + 32 * j, 32);
                    assert_int_equal(a->sum[j], s[0] + s[1]);
                }
            }
        guard_free(&g);
    }
}

/* Halves go to the even code: amax 127 makes codes of the values themselves. The limits stay within +-127. */
static void test_ties(void **state)
{
    static const float in[8] = {127.0f, -127.0f, 0.5f, 1.5f, -0.5f, -1.5f, 2.5f, -126.5f};
    static const int8_t out[8] = {127, -127, 0, 2, 0, -2, 2, -126};
    static const char *const levels[] = {"c", "avx2", "avx512vnni"};
    (void)state;
    for (int l = 0; l < 3; l++) {
        struct kernels k;
        float x[32] = {0};
        _Alignas(64) char act[256];
        if (!level_open(&k, levels[l]))
            continue;
        memcpy(x, in, sizeof in);
        assert_true(k.act_bytes(ACT_Q8, 32, 1) <= sizeof act);
        k.act_pack(act, ACT_Q8, x, 32, 32, 1, 0, 1);
        const struct act_q8 *a = (const struct act_q8 *)(const void *)act;
        assert_memory_equal(a->q, out, sizeof out);
        assert_true(a->d == 1.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_agree),
        cmocka_unit_test(test_rule_q8),
        cmocka_unit_test(test_rule_q8k),
        cmocka_unit_test(test_ties),
    };
    printf("seed %d, levels of this CPU: %s\n", SEED, kernels_levels());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
