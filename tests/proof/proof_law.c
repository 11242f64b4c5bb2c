/* The law of whole replies through the engine: 200,000 of at least 5 tokens over at least 2 steps for every rule,
 * sampler chain, and drafters that draw and that choose; the bugs of verification-law.md 9 planted one by one; measured
 * acceptance against its formulas. Ten minutes on one core. usage: proof_law [test_every_rule | test_controller |
 * test_self_drafts | test_what_must_fail] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "support/law_engine.h"

enum { N = 200000 };
static struct le_rig rig;

static void test_every_rule(void **state)
{
    (void)state;
    assert_int_equal(le_every_rule(&rig, N, 1), 0);
}

static void test_controller(void **state)
{
    (void)state;
    assert_int_equal(le_controller(&rig, N), 0);
}

static void test_self_drafts(void **state)
{
    (void)state;
    assert_int_equal(le_models(&rig, N), 0);
    assert_int_equal(le_trees(&rig, N, 1), 0);
}

static void test_drafts_beside(void **state)
{
    (void)state;
    assert_int_equal(le_beside(&rig, N), 0);
}

static void test_what_must_fail(void **state)
{
    (void)state;
    assert_int_equal(le_lossy(&rig, N), 0);
    assert_int_equal(le_planted(&rig, N, false), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_rule), cmocka_unit_test(test_controller),
                                       cmocka_unit_test(test_self_drafts), cmocka_unit_test(test_drafts_beside),
                                       cmocka_unit_test(test_what_must_fail)};
    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    le_open(&rig, 7);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    le_close(&rig);
    return failed;
}
