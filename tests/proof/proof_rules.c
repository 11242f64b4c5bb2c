/* The enumeration of tests/prop/test_rule_law.c in full: more models, wider proposals, whole 3x2 trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "support/law_cases.h"

static void test_every_rule(void **state)
{
    struct law_totals sum;
    (void)state;
    law_cases_run(20260601, 100, 9000, &sum);
    printf("%ld cases, %ld outcomes: worst total variation %.1e (seed 20260601)\n", sum.n_case, sum.n_run, sum.worst);
    assert_true(sum.worst < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_rule)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
