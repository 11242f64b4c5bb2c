/* Every law rule emits the target's law: exact enumeration, LAW_TOK tokens over at least 2 steps, 24 random models.
 * The sums are in double: "equal" is a total variation below 1e-12, some 1e4 roundings. tools/enumerate_rules.py does
 * the same in rational arithmetic from the law's text; tests/golden/test_rules_golden.c compares the two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/fewer.h"
#include "support/law.h"
#include "support/law_cases.h"

static void test_every_rule(void **state)
{
    struct law_totals sum;
    (void)state;
    law_cases_run(20260511, FEWER(24, 2), 400, &sum);
    printf("%ld cases, %ld outcomes: worst total variation %.1e (seed 20260511)\n", sum.n_case, sum.n_run, sum.worst);
    assert_true(sum.n_case > FEWER(1000, 80));
    assert_true(sum.worst < 1e-12);
}

/* verification-law.md 5: p = (1/3, 2/3), q = (2/3, 1/3) everywhere, k = 2. Float logits: ln 2 is good to 3e-8. */
static void test_check_values(void **state)
{
    struct law_model m;
    struct law_result r;
    (void)state;
    law_model_random(&m, 1, 2, 1, 2, false);
    for (int c = 0; c < 3; c++) {
        law_model_set(&m, c, (float[]){0, (float)M_LN2});
        m.q[0][c][0] = 2;
        m.q[0][c][1] = 1;
    }
    struct law_case c = {
        .m = &m, .shape = law_shape_find("k2"), .kinds = "d", .draw = RULE_RATIO, .decide = RULE_RATIO};
    law_enumerate(&c, &r);
    assert_true(fabs(r.accepted - 10.0 / 9) < 1e-7 && r.tv < 1e-12);
    c.draw = c.decide = RULE_BLOCK;
    law_enumerate(&c, &r);
    assert_true(fabs(r.accepted - 11.0 / 9) < 1e-7 && r.tv < 1e-12);
    c.draw = c.decide = RULE_TRAVERSAL;
    law_enumerate(&c, &r);
    assert_true(fabs(r.accepted - 11.0 / 9) < 1e-7 && r.tv < 1e-12);
}

/* On a chain traversal is block, string by string, and ratio is multi; block never keeps fewer than ratio. */
static void test_chains(void **state)
{
    (void)state;
    for (int i = 0; i < 24; i++) {
        struct law_model m;
        struct law_result a, b, ratio, multi;
        law_model_random(&m, 77 + (uint64_t)i, 4, 2, 4 - i % 3, i % 2);
        for (const char *const *k = (const char *const[]){"d", "dc", "cd", NULL}; *k; k++) {
            struct law_case c = {.m = &m, .shape = law_shape_find("k3"), .kinds = *k};
            c.draw = c.decide = RULE_BLOCK;
            law_enumerate(&c, &a);
            c.draw = c.decide = RULE_TRAVERSAL;
            law_enumerate(&c, &b);
            c.draw = c.decide = RULE_RATIO;
            law_enumerate(&c, &ratio);
            c.draw = c.decide = RULE_MULTI;
            law_enumerate(&c, &multi);
            for (int s = 0; s < LAW_STRINGS; s++) {
                assert_true(fabs(a.law[s] - b.law[s]) < 1e-13);
                assert_true(fabs(ratio.law[s] - multi.law[s]) < 1e-13);
            }
            assert_true(a.accepted > ratio.accepted - 1e-12);
        }
    }
}

/* Theory: ratio keeps the sum over i of E[product of min(1, p/q)] drafts, block the sum of E[P_i]. */
static void test_theory(void **state)
{
    (void)state;
    for (int i = 0; i < 24; i++) {
        struct law_model m;
        struct law_result r;
        double want[2] = {0, 0};
        law_model_random(&m, 7700 + (uint64_t)i, 4, 2, 4 - i % 3, i % 2);
        for (int s = 0; s < 64; s++) {
            const int32_t x[3] = {s / 16, s / 4 % 4, s % 4};
            double weight = 1, product = 1, p_i = 1, sum_ratio = 0, sum_block = 0;
            for (int k = 0; k < 3; k++) {
                const int c = law_ctx(&m, x, k);
                const double *q = m.q[0][c], z = q[0] + q[1] + q[2] + q[3], p = m.p[c][x[k]];
                weight *= q[x[k]] / z;
                if (weight == 0)
                    break;
                product *= fmin(1, p / (q[x[k]] / z));
                p_i = fmin(1, p_i * p / (q[x[k]] / z));
                sum_ratio += product;
                sum_block += p_i;
            }
            want[0] += weight * sum_ratio;
            want[1] += weight * sum_block;
        }
        for (int k = 0; k < 2; k++) {
            const enum accept_rule rule = k ? RULE_BLOCK : RULE_RATIO;
            const struct law_case c = {
                .m = &m, .shape = law_shape_find("k3"), .kinds = "d", .draw = rule, .decide = rule};
            law_enumerate(&c, &r);
            assert_true(fabs(r.accepted - want[k]) < 1e-12);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_rule), cmocka_unit_test(test_check_values),
                                       cmocka_unit_test(test_chains), cmocka_unit_test(test_theory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
