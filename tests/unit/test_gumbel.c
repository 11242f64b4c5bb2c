/* The sampler's own exp and log against libm's, the noise against its formula, and what its words are keyed by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "sample/sample.h"
#include "sample/sample_math.h"

enum { N = 1000000 };
static const uint64_t SEED = 20250301;

static uint32_t word_at(uint64_t i)
{
    return philox4x32(SEED, (struct philox){{(uint32_t)(i / 4), 1, 2, 3}}).v[i % 4];
}

static double uniform_at(uint64_t i) /* [0, 1), 32 bits */
{
    return word_at(i) * 0x1p-32;
}

/* |a - b| in units of b's last place. */
static double ulps(double a, double b)
{
    const double unit = nextafter(fabs(b), HUGE_VAL) - fabs(b);
    return fabs(a - b) / unit;
}

static void test_log(void **state)
{
    double worst = 0;
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        const double u = uniform_at(i);
        /* all magnitudes; around 1, where log goes through 0; just under 1, as the noise has it */
        const double x = i % 3 == 0   ? ldexp(1 + u, (int)(i % 2000) - 1000)
                         : i % 3 == 1 ? 0.5 + 1.5 * u
                                      : 1 - u * ldexp(1, -(int)(i % 33));
        worst = fmax(worst, ulps(sample_log(x), log(x)));
    }
    printf("log: at most %g ulp from libm (seed %llu)\n", worst, (unsigned long long)SEED);
    assert_true(worst <= 1);
    assert_true(sample_log(1) == 0); /* exact, or a certain token would get a small penalty */
    assert_true(sample_log(0x1p-1022) == log(0x1p-1022));
}

static void test_exp(void **state)
{
    double worst = 0;
    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        const double x = -uniform_at(i) * (i % 2 ? 708 : ldexp(1, -(int)(i % 30)));
        worst = fmax(worst, ulps(sample_exp(x), exp(x)));
    }
    printf("exp: at most %g ulp from libm\n", worst);
    assert_true(worst <= 1);
    assert_true(sample_exp(0) == 1);
    assert_true(sample_exp(-0.0) == 1);
    assert_true(sample_exp(-708.5) == 0);
    assert_true(sample_exp(-HUGE_VAL) == 0);
    for (int i = 1; i < 708000; i++) /* falls */
        assert_true(sample_exp(-i * 1e-3) <= sample_exp(-(i - 1) * 1e-3));
}

static void check_word(uint32_t x)
{
    const double g = gumbel_of_word(x), want = -log(-log1p(-((x + 0.5) * 0x1p-32)));
    assert_true(isfinite(g));
    assert_true(fabs(g - want) <= 2 * (nextafter(fmax(1, fabs(want)), HUGE_VAL) - fmax(1, fabs(want))));
}

static void test_words(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        check_word(i);
        check_word(UINT32_MAX - i);
        check_word(0x80000000u - 50000 + i);
        assert_true(gumbel_of_word(i) > gumbel_of_word(i + 1)); /* 0 is the luckiest word */
    }
    for (uint64_t i = 0; i < N; i++)
        check_word(word_at(i));
    for (int b = 0; b < 32; b++) /* the words next to each power of two */
        for (uint32_t d = 0; d < 3; d++)
            check_word((1u << b) - 1 + d);
    /* mpmath, 30 digits */
    assert_true(fabs(gumbel_of_word(0) - 22.87385695841998754985) < 4e-15);
    assert_true(fabs(gumbel_of_word(UINT32_MAX) + 3.129994640884815908445) < 1e-15);
}

/* Seed 0, choice 0, no token before: the counter is 0, whose words Random123 publishes; G by mpmath. Whoever changes
 * the layout of the key changes what every seed gives. */
static void test_key_layout(void **state)
{
    static const double want[] = {0.6748404365727086690189, -0.7535872875104142175321, -0.2857192695804452766409,
                                  0.07247377081640338946196};
    (void)state;
    for (int id = 0; id < 4; id++)
        assert_true(fabs(gumbel_noise(0, 0, 0, id) - want[id]) < 1e-15);
    const uint64_t seed = 0x0123456789abcdef, n_before = 0xfedcba9876543210;
    const struct philox words = philox4x32(seed, (struct philox){{INT32_MAX / 4, 7, 0x76543210, 0xfedcba98}});
    for (int i = 0; i < 4; i++)
        assert_true(gumbel_noise(seed, 7, n_before, INT32_MAX - 3 + i) == gumbel_of_word(words.v[i]));
}

/* Every part of the key counts, each bit of it. */
static void test_key_parts(void **state)
{
    const double g = gumbel_noise(1, 2, 3, 4);
    (void)state;
    for (int b = 0; b < 64; b++) {
        assert_true(gumbel_noise(1 ^ (uint64_t)1 << b, 2, 3, 4) != g);
        assert_true(gumbel_noise(1, 2, 3 ^ (uint64_t)1 << b, 4) != g);
        if (b < 32)
            assert_true(gumbel_noise(1, 2 ^ 1u << b, 3, 4) != g);
        if (b < 31)
            assert_true(gumbel_noise(1, 2, 3, 4 ^ 1 << b) != g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),        cmocka_unit_test(test_exp),       cmocka_unit_test(test_words),
        cmocka_unit_test(test_key_layout), cmocka_unit_test(test_key_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
