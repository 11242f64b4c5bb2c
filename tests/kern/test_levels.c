/* Picking a level: names, what a refused name leaves, and that no entry of a table is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/kern.h"

static void test_names(void **state)
{
    static const char *const unknown[] = {"", "C", "avx", "avx2 ", "none"};
    struct kernels k, before;
    (void)state;
    memset(&before, 0x5a, sizeof before);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        k = before;
        assert_int_equal(kernels_init(&k, unknown[i]), -1);
        assert_memory_equal(&k, &before, sizeof k);
    }
    if (!(kern_cpu() & CPU_AVX2)) {
        k = before;
        assert_int_equal(kernels_init(&k, "avx2"), -1);
        assert_memory_equal(&k, &before, sizeof k);
    }
}

/* Every level that this CPU is said to have opens under its name, with no entry missing; the last is the best. */
static void test_tables(void **state)
{
    char names[64], *rest = NULL;
    struct kernels best, k;
    (void)state;
    assert_int_equal(kernels_init(&best, NULL), 0);
    snprintf(names, sizeof names, "%s", kernels_levels());
    for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        assert_int_equal(kernels_init(&k, name), 0);
        assert_string_equal(k.level, name);
        assert_true(k.panel_rows >= 1);
        assert_true(k.pack_bytes && k.pack && k.act_bytes && k.act_pack && k.matmul);
        assert_true(k.rms_norm && k.add && k.scale && k.gate && k.softcap && k.exp && k.rope && k.argmax);
        assert_true(k.at_least && k.may_win);
        assert_true(k.store_k && k.store_v && k.attn && k.attn_merge);
        assert_int_equal(KERN_ROW_UNIT % k.panel_rows, 0); /* a range of rows is whole panels */
    }
    assert_string_equal(best.level, k.level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_tables),
    };
    printf("levels of this CPU: %s\n", kernels_levels());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
