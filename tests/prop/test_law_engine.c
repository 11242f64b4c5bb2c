/* The small edition of tests/proof/proof_law.c: fewer replies, every fifth case of rule x sampler chain x drafter (so
 * that each of them is met), and the planted bugs whose error is large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/fewer.h"
#include "support/law_engine.h"

enum { N = 5000 };
static struct le_rig rig;

static void test_every_rule(void **state)
{
    (void)state;
    assert_int_equal(le_every_rule(&rig, N, FEWER(5, 45)), 0);
}

static void test_self_drafts(void **state)
{
    (void)state;
    assert_int_equal(le_models(&rig, N), 0);
}

static void test_trees(void **state)
{
    (void)state;
    assert_int_equal(le_trees(&rig, N, FEWER(3, 10)), 0);
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
    if (FEWER(true, false)) /* these are about statistics */
        assert_int_equal(le_planted(&rig, N, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_rule), cmocka_unit_test(test_self_drafts),
                                       cmocka_unit_test(test_trees), cmocka_unit_test(test_drafts_beside),
                                       cmocka_unit_test(test_what_must_fail)};
    le_open(&rig, 7);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    le_close(&rig);
    return failed;
}
