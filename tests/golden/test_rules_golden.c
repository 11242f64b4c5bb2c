/* The rules against tests/golden/rules.txt, which tools/enumerate_rules.py made in rational arithmetic from the law's
 * text: the mean number of kept drafts and the probability of every string a step may emit, to 1e-12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/law.h"

static void read_model(FILE *f, struct law_model *m, int v, int n_ctx)
{
    law_model_random(m, 1, v, 2, v, false);
    for (int c = 0; c < n_ctx; c++) {
        float logit[LAW_V];
        char word[8];
        for (int t = 0; t < v; t++)
            assert_int_equal(fscanf(f, "%f", &logit[t]), 1);
        law_model_set(m, c, logit);
        assert_int_equal(fscanf(f, "%7s", word), 1);
        assert_string_equal(word, "q");
        for (int t = 0; t < v; t++)
            assert_int_equal(fscanf(f, "%lf", &m->q[0][c][t]), 1);
        assert_int_equal(fscanf(f, "%7s", word), 1);
        assert_string_equal(word, "choice");
        for (int e = 0; e < LAW_ENTRIES; e++)
            assert_int_equal(fscanf(f, "%d", &m->choice[e][c]), 1);
    }
}

/* Compares the strings that follow with r->law, and nothing else may have a probability. */
static double worst_string(FILE *f, int v, int n_string, struct law_result *r)
{
    double worst = 0;
    for (int i = 0; i < n_string; i++) {
        int32_t tok[8];
        int n;
        double want;
        assert_int_equal(fscanf(f, "%d", &n), 1);
        assert_in_range(n, 1, 4);
        for (int k = 0; k < n; k++)
            assert_int_equal(fscanf(f, "%d", &tok[k]), 1);
        assert_int_equal(fscanf(f, "%lf", &want), 1);
        double *got = &r->law[law_index(v, tok, n)];
        worst = fmax(worst, fabs(*got - want));
        *got = 0;
    }
    for (int i = 0; i < LAW_STRINGS; i++)
        worst = fmax(worst, r->law[i]);
    return worst;
}

static void test_golden(void **state)
{
    FILE *f = fopen("tests/golden/rules.txt", "r");
    char line[512], rule[16], shape[16], kinds[16];
    int v, n_ctx, n_string, n = 0;
    double kept, worst = 0;
    (void)state;
    assert_non_null(f);
    for (int i = 0; i < 3; i++)
        assert_true(fgets(line, sizeof line, f) && line[0] == '#');
    while (fscanf(f, " case %15s %15s %15s %d %d %d %lf", rule, shape, kinds, &v, &n_ctx, &n_string, &kept) == 7) {
        struct law_model m;
        struct law_result r;
        assert_true(v <= LAW_V && n_ctx <= LAW_CTX && accept_rule_find(rule) >= 0 && law_shape_find(shape));
        read_model(f, &m, v, n_ctx);
        const enum accept_rule x = (enum accept_rule)accept_rule_find(rule);
        const struct law_case c = {.m = &m, .shape = law_shape_find(shape), .kinds = kinds, .draw = x, .decide = x};
        law_enumerate(&c, &r);
        const double off = fmax(fabs(r.accepted - kept), worst_string(f, v, n_string, &r));
        if (!(off < 1e-12))
            fail_msg("%s %s %s: off by %g", rule, shape, kinds, off);
        worst = fmax(worst, off);
        n++;
    }
    printf("%d cases, at most %.1e off\n", n, worst);
    assert_int_equal(n, 21);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
