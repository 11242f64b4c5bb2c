/* 16-bit floats against the CPU's own conversions (F16C), against arithmetic, and against published values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
#include <stdio.h>

#include <cmocka.h>

#include "kern/half.h"
#include "kern/kern.h"

/* SRC: IEEE 754-2008 binary16. */
static void test_known_values(void **state)
{
    static const struct {
        uint16_t h;
        float f;
    } known[] = {{0x0000, 0.0f},         {0x3c00, 1.0f},        {0xc000, -2.0f},
                 {0x7bff, 65504.0f},     {0x0400, 0x1p-14f},    {0x0001, 0x1p-24f},
                 {0x03ff, 0x1.ff8p-15f}, {0x3555, 0x1.554p-2f}, {0x8001, -0x1p-24f}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_true(half_to_float(known[i].h) == known[i].f);
        assert_int_equal(half_of_float(known[i].f), known[i].h);
    }
    assert_int_equal(float_bits(half_to_float(0x8000)), 0x80000000u);
    assert_int_equal(half_of_float(65519.99609375f), 0x7bff); /* 65520 is halfway: to even, which is up */
    assert_int_equal(half_of_float(65520.0f), 0x7c00);
    assert_int_equal(half_of_float(-1e30f), 0xfc00);
    assert_int_equal(half_of_float(0x1p-25f), 0x0000); /* halfway to the least denormal: even */
    assert_int_equal(half_of_float(0x1.000002p-25f), 0x0001);
    assert_true(bf16_to_float(0x3f80) == 1.0f);
    assert_int_equal(bf16_of_float(0x1.01p0f), 0x3f80); /* halfway: even */
    assert_int_equal(bf16_of_float(0x1.03p0f), 0x3f82);
    assert_int_equal(bf16_of_float(3.4028234e38f), 0x7f80);
    assert_int_equal(load_u16("\x34\x12"), 0x1234);
    assert_true(load_half("\x00\xbc") == -1.0f);
}

/* Value of a finite half by its definition. */
static double value_of(uint16_t h)
{
    const int e = h >> 10 & 31, m = h & 1023;
    const double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

/* Every half, and around every half the floats where rounding changes: the value, the midpoint to the next one, and the
 * floats beside both. */
static void test_by_definition(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x7c00; i++) {
        const uint16_t h = (uint16_t)i, next = (uint16_t)(i + 1);
        const float v = half_to_float(h),
                    mid = (float)((value_of(h) + (next == 0x7c00 ? 65536.0 : value_of(next))) / 2);
        assert_true((double)v == value_of(h));
        assert_true((double)half_to_float((uint16_t)(h | 0x8000)) == -value_of(h));
        assert_int_equal(half_of_float(v), h);
        assert_int_equal(half_of_float(-v), h | 0x8000);
        assert_int_equal(half_of_float(nextafterf(v, INFINITY)), h);
        assert_int_equal(half_of_float(nextafterf(mid, 0.0f)), h);
        assert_int_equal(half_of_float(mid), h & 1 ? next : h);
        assert_int_equal(half_of_float(nextafterf(mid, INFINITY)), next);
    }
    for (unsigned i = 0; i < 0x7f80; i++) { /* bfloat16: the same, positions by bits */
        const uint32_t u = i << 16;
        assert_int_equal(float_bits(bf16_to_float((uint16_t)i)), u);
        assert_int_equal(bf16_of_float(float_of_bits(u + 0x7fff)), i);
        assert_int_equal(bf16_of_float(float_of_bits(u + 0x8000)), i + (i & 1));
        assert_int_equal(bf16_of_float(float_of_bits(u + 0x8001)), i + 1);
        assert_int_equal(bf16_of_float(float_of_bits(u | 0x80000000u)), i | 0x8000);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("f16c"))) static float cpu_to_float(uint16_t h)
{
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

__attribute__((target("f16c"))) static uint16_t cpu_of_float(float f)
{
    return (uint16_t)_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* NaNs too, bit for bit: all halves, and every 251st float (251 is prime: all low bits and exponents occur). */
static void test_as_f16c(void **state)
{
    (void)state;
    if (!(kern_cpu() & CPU_AVX2)) {
        printf("SKIPPED: this CPU lacks F16C\n");
        return;
    }
    for (uint32_t h = 0; h < 0x10000; h++)
        assert_int_equal(float_bits(half_to_float((uint16_t)h)), float_bits(cpu_to_float((uint16_t)h)));
    for (uint64_t u = 0; u < 0x100000000u; u += 251) {
        const float f = float_of_bits((uint32_t)u);
        if (half_of_float(f) != cpu_of_float(f))
            fail_msg("float %08x: %04x, the CPU says %04x", (unsigned)u, half_of_float(f), cpu_of_float(f));
    }
}
#else
static void test_as_f16c(void **state)
{
    (void)state;
    printf("SKIPPED: this CPU lacks F16C\n");
}
#endif

static void test_nan(void **state)
{
    (void)state;
    assert_true(isnan(half_to_float(0x7c01)) && isnan(half_to_float(0xffff)));
    assert_true(isinf(half_to_float(0x7c00)) && half_to_float(0xfc00) < 0.0f);
    assert_true((half_of_float(NAN) & 0x7fff) > 0x7c00);
    assert_true(half_of_float(float_of_bits(0x7f800001)) > 0x7c00); /* a payload of low bits only stays a NaN */
    assert_true(isnan(bf16_to_float(bf16_of_float(float_of_bits(0x7f800001)))));
    assert_true(isnan(bf16_to_float(bf16_of_float(float_of_bits(0xffffffff)))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_by_definition),
        cmocka_unit_test(test_as_f16c),
        cmocka_unit_test(test_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
