/* Planted bugs of verification-law.md 9: each must break the law of at least one rule by a total variation that the
 * tests cannot miss, on the machinery of test_rule_law.c, and the same cases without the bug must not.
 * Keying by position only needs keyed draws over two steps: tests/prop/test_rule_keyed.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "support/law.h"
#include "support/planted_rules.h"
#include "support/planted_trees.h"

enum { MODELS = 20 };

/* The worst total variation of a case over the models. */
static double worst_tv(struct law_case c)
{
    double worst = 0;
    for (int i = 0; i < MODELS; i++) {
        struct law_model m;
        struct law_result r;
        law_model_random(&m, 1300 + (uint64_t)i, 4, 1, 3, i % 2);
        c.m = &m;
        law_enumerate(&c, &r);
        worst = fmax(worst, r.tv);
    }
    return worst;
}

static void expect_seen(const char *what, struct law_case c)
{
    struct law_case honest = c;
    honest.spoil = NULL;
    honest.coin = NULL;
    honest.run = NULL;
    const double bad = worst_tv(c), good = worst_tv(honest);
    printf("%-28s %-10s %-4s %-3s total variation %.3f, without the bug %.0e\n", what, accept_rule_name(c.decide),
           c.shape->name, c.kinds, bad, good);
    assert_true(bad > 0.01);
    assert_true(good < 1e-12);
}

static struct law_case of(enum accept_rule rule, const char *shape, const char *kinds)
{
    return (struct law_case){.shape = law_shape_find(shape), .kinds = kinds, .draw = rule, .decide = rule};
}

/* ---- wrong steps in the rules ---- */

static void test_steps(void **state)
{
    static const struct {
        enum planted_bug bug;
        const char *what;
        enum accept_rule rule;
        const char *shape;
    } bugs[] = {
        {PLANTED_NO_RESIDUAL, "missing residual", RULE_RATIO, "k2"},
        {PLANTED_NO_RESIDUAL, "missing residual", RULE_MULTI, "2x1"},
        {PLANTED_NO_RESIDUAL, "missing residual", RULE_MULTI_IID, "2x1"},
        {PLANTED_NO_RESIDUAL, "missing residual", RULE_BLOCK, "k2"},
        {PLANTED_NO_RESIDUAL, "missing residual", RULE_TRAVERSAL, "2x1"},
        {PLANTED_Q_FIRST, "q updated first", RULE_MULTI, "2x1"},
        {PLANTED_Q_FIRST, "q updated first", RULE_TRAVERSAL, "2x2"},
        {PLANTED_NEW_A, "p from the new a", RULE_TRAVERSAL, "2x2"},
        {PLANTED_NO_NORM, "only the token loses mass", RULE_MULTI, "2x1"},
        {PLANTED_NO_NORM, "only the token loses mass", RULE_BLOCK, "k2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        struct law_case c = of(bugs[i].rule, bugs[i].shape, "d");
        c.run = planted_decide;
        planted = bugs[i].bug;
        expect_seen(bugs[i].what, c);
    }
    struct law_case c = of(RULE_TRAVERSAL, "2x2", "d"); /* the second compilation itself is right */
    c.run = planted_decide;
    planted = PLANTED_NONE;
    assert_true(worst_tv(c) < 1e-12);
}

/* ---- wrong trees ---- */

static void test_trees(void **state)
{
    static const struct {
        const char *what;
        void (*spoil)(struct tree *, int);
        enum accept_rule rule;
        const char *shape, *kinds;
    } bugs[] = {
        {"q not renormalised", spoil_not_renormalised, RULE_MULTI, "3x0", "d"},
        {"q not renormalised", spoil_not_renormalised, RULE_TRAVERSAL, "2x2", "d"},
        {"top-k as draws", spoil_top_k_as_draws, RULE_RATIO, "k2", "d"},
        {"top-k as draws", spoil_top_k_as_draws, RULE_MULTI, "2x1", "d"},
        {"top-k as draws", spoil_top_k_as_draws, RULE_BLOCK, "k2", "d"},
        {"top-k as draws", spoil_top_k_as_draws, RULE_TRAVERSAL, "2x1", "d"},
        {"entries deduplicated", spoil_deduplicated, RULE_MULTI_IID, "3x0", "d"},
        {"entries deduplicated", spoil_deduplicated, RULE_MULTI_IID, "3x0", "cd"},
        {"entries re-sorted", spoil_resorted, RULE_MULTI, "3x0", "d"},
        {"entries re-sorted", spoil_resorted, RULE_MULTI_IID, "3x0", "d"},
        {"entries re-sorted", spoil_resorted, RULE_TRAVERSAL, "3x0", "d"},
        {"wrong q", spoil_wrong_q, RULE_RATIO, "k2", "d"},
        {"wrong q", spoil_wrong_q, RULE_MULTI, "2x1", "d"},
        {"wrong q", spoil_wrong_q, RULE_MULTI_IID, "2x1", "d"},
        {"wrong q", spoil_wrong_q, RULE_BLOCK, "k2", "d"},
        {"wrong q", spoil_wrong_q, RULE_TRAVERSAL, "2x1", "d"},
        {"dropped by its own q (R1)", spoil_dropped_by_own_q, RULE_RATIO, "k2", "d"},
        {"dropped by its own q (R1)", spoil_dropped_by_own_q, RULE_BLOCK, "k3", "d"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        struct law_case c = of(bugs[i].rule, bugs[i].shape, bugs[i].kinds);
        c.spoil = bugs[i].spoil;
        expect_seen(bugs[i].what, c);
    }
}

/* ---- wrong coins ---- */

static bool always(double h, bool honest)
{
    (void)h;
    (void)honest;
    return true;
}

/* u <= h where u has so few bits that 0 is drawn: an entry without a chance is accepted. (At 53 bits that happens once
 * in 2^53: no law test sees it, and test_accept.c looks at the word itself.) */
static bool accepts_zero(double h, bool honest)
{
    return h <= 0 || honest;
}

static void test_coins(void **state)
{
    static const enum accept_rule rules[] = {RULE_RATIO, RULE_MULTI, RULE_MULTI_IID, RULE_BLOCK, RULE_TRAVERSAL};
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct law_case c = of(rules[i], "k2", "d");
        c.coin = always;
        expect_seen("accept without check", c);
    }
    struct law_case c = of(RULE_RATIO, "k2", "d");
    c.coin = accepts_zero;
    expect_seen("u <= h, and u is 0", c);
    c = of(RULE_MULTI, "2x1", "d");
    c.coin = accepts_zero;
    expect_seen("u <= h, and u is 0", c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_trees),
                                       cmocka_unit_test(test_coins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
