/* The formulas of acceptance (support/accept_theory.h) on hand-computed values and beside their plain sums; and that
 * the comparison with what the rules do can fail: honest rules lie within 4 standard errors of them at every depth, a
 * wrong q, a test left out, uncoupled noise and another rule's formula do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/rng.h"
#include "support/accept_theory.h"

enum { V = 12, N_CHAIN = 6000, N_DICE = 2 };
static const uint64_t seed = 20261129;

static double uniform(uint32_t a, uint32_t b, uint32_t c)
{
    return ((double)philox4x32(seed, (struct philox){{a, b, c, 5}}).v[0] + 0.5) * 0x1p-32;
}

/* Laws after a token; one of four tokens of q has none. */
static void make_law(double *out, uint32_t which, int32_t last)
{
    double z = 0;
    for (uint32_t t = 0; t < V; t++)
        z += out[t] = which && uniform(9, (uint32_t)last, t) < 0.25 ? 0 : pow(uniform(which, (uint32_t)last, t), 2);
    for (int t = 0; t < V; t++)
        out[t] /= z;
}

/* ---- the target ---- */

struct answer {
    const struct tree *tree;
    int32_t id[V];
    float logit[V];
    int32_t last;
    uint64_t n_before;
    uint32_t choice;
    uint64_t seed;
};

static int dist_of(void *self, int node, struct dist *out, struct otr_err *err)
{
    struct answer *a = self;
    double p[V];
    (void)err;
    make_law(p, 0, node ? a->tree->node_token[node] : a->last);
    for (int i = 0; i < V; i++) { /* best first */
        int j = i;
        for (; j > 0 && p[a->id[j - 1]] < p[i]; j--)
            a->id[j] = a->id[j - 1];
        a->id[j] = i;
    }
    for (int i = 0; i < V; i++)
        a->logit[i] = (float)log(p[a->id[i]]);
    *out = (struct dist){V, a->id, a->logit};
    return OTR_OK;
}

static int32_t pick_of(void *self, int node, struct otr_err *err)
{
    struct answer *a = self;
    struct dist d;
    int depth = 0, best = 0;
    double top = -HUGE_VAL;
    dist_of(a, node, &d, err);
    for (int k = node; k > 0; k = a->tree->node_parent[k])
        depth++;
    for (int i = 0; i < d.n; i++) {
        const double v = (double)d.logit[i] + gumbel_noise(a->seed, a->choice, a->n_before + (uint64_t)depth, d.id[i]);
        if (v > top) {
            top = v;
            best = i;
        }
    }
    return d.id[best];
}

static bool always(void *self, double h, int entry)
{
    (void)self;
    (void)h;
    (void)entry;
    return true;
}

/* ---- chains ---- */

enum bug { HONEST, WRONG_Q, NO_TEST, OTHER_NOISE, OTHER_FORMULA };

static void run(struct at_cell cell[AT_DEPTH], enum accept_rule rule, enum bug bug)
{
    static struct tree tree;
    static struct accept_scratch *scratch;
    double p[AT_DEPTH][V], q[AT_DEPTH][V];
    int32_t all[V];
    struct otr_err err;
    memset(cell, 0, AT_DEPTH * sizeof *cell);
    if (!scratch)
        assert_int_equal(accept_scratch_open(&scratch, V, &err), OTR_OK);
    for (int t = 0; t < V; t++)
        all[t] = t;
    for (uint32_t k = 0; k < N_CHAIN; k++) {
        const struct accept_key key = {.seed = seed, .step = k};
        const uint64_t n_before = 100 + 8 * (uint64_t)k;
        struct accept_key drafter_key = key;
        drafter_key.seed += bug == OTHER_NOISE;
        const struct tree_luck luck = tree_luck_make(rule, &drafter_key, n_before, V);
        struct answer a = {.tree = &tree, .last = (int32_t)(k % V), .n_before = n_before, .seed = seed};
        struct at_chain c = {.n = AT_DEPTH};
        int32_t last = a.last;
        tree_clear(&tree);
        for (int i = 0; i < AT_DEPTH; i++) {
            make_law(p[i], 0, last);
            make_law(q[i], 1, last);
            c.p[i] = p[i];
            c.q[i] = (struct at_law){V, all, q[i]};
            assert_int_equal(tree_draw(&tree, i - 1, all, q[i], V, &luck), i);
            c.x[i] = last = tree.entry[i].token;
        }
        if (bug == WRONG_Q)
            at_spoil_q(&tree);
        for (uint32_t j = 0; j < N_DICE; j++) {
            const struct accept_target target = {&a, pick_of, dist_of};
            const struct accept_key die = {.seed = seed, .step = k, .choice = 1 + j};
            struct accept_dice dice = accept_keyed_dice(&die);
            struct accept_verdict v;
            if (bug == NO_TEST)
                dice.coin = always;
            assert_int_equal(accept_decide(rule, &tree, &target, &dice, scratch, &v, &err), OTR_OK);
            at_chain_seen(cell, bug == OTHER_FORMULA ? RULE_RATIO : rule, &c, v.n);
        }
        for (int i = 0; i < AT_DEPTH; i++)
            at_close(&cell[i]);
    }
}

static double worst(const struct at_cell *cell)
{
    double z = 0;
    for (int i = 0; i < AT_DEPTH; i++)
        z = fmax(z, fabs(at_z(&cell[i])));
    return z;
}

static void test_honest(void **state)
{
    (void)state;
    static const enum accept_rule rules[] = {RULE_RATIO, RULE_BLOCK, RULE_TRAVERSAL, RULE_GUMBEL};
    struct at_cell cell[AT_DEPTH];
    double kept[4] = {0};
    for (int r = 0; r < 4; r++) {
        run(cell, rules[r], HONEST);
        printf("%s: worst cell %.2f standard errors; kept %.3f %.3f %.3f %.3f\n", accept_rule_name(rules[r]),
               worst(cell), cell[0].kept / (double)cell[0].n, cell[1].kept / (double)cell[1].n,
               cell[2].kept / (double)cell[2].n, cell[3].kept / (double)cell[3].n);
        assert_true(worst(cell) < AT_LIMIT);
        for (int i = 0; i < AT_DEPTH; i++)
            kept[r] += cell[i].kept;
    }
    assert_true(kept[1] > kept[0] && kept[2] > kept[0] && kept[3] < kept[0] * N_DICE);
}

static void test_planted(void **state)
{
    (void)state;
    static const struct {
        enum accept_rule rule;
        enum bug bug;
        const char *what;
    } cases[] = {{RULE_RATIO, WRONG_Q, "wrong q"},
                 {RULE_BLOCK, WRONG_Q, "wrong q"},
                 {RULE_TRAVERSAL, WRONG_Q, "wrong q"},
                 {RULE_RATIO, NO_TEST, "no test"},
                 {RULE_BLOCK, NO_TEST, "no test"},
                 {RULE_TRAVERSAL, NO_TEST, "no test"},
                 {RULE_GUMBEL, OTHER_NOISE, "uncoupled noise"},
                 {RULE_GUMBEL, OTHER_FORMULA, "the formula of ratio"},
                 {RULE_BLOCK, OTHER_FORMULA, "the formula of ratio"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct at_cell cell[AT_DEPTH];
        run(cell, cases[i].rule, cases[i].bug);
        printf("%s, %s: worst cell %.1f standard errors\n", accept_rule_name(cases[i].rule), cases[i].what,
               worst(cell));
        assert_true(worst(cell) > AT_LIMIT);
    }
}

/* p = (1/3, 2/3), q = (2/3, 1/3) everywhere, two entries: 10/9 by ratio, 11/9 by block (verification-law.md 5). */
static void test_by_hand(void **state)
{
    (void)state;
    static const int32_t id[2] = {0, 1};
    const double p[2] = {1.0 / 3, 2.0 / 3}, q[2] = {2.0 / 3, 1.0 / 3};
    const struct at_law law = {2, id, q};
    int32_t scratch[2];
    double ratio = at_overlap(p, &law, 1), block = ratio;
    ratio += ratio * ratio;
    for (int x = 0; x < 2; x++)
        block += q[x] * at_overlap(p, &law, fmin(1, p[x] / q[x]));
    assert_true(fabs(ratio - 10.0 / 9) < 1e-15 && fabs(block - 11.0 / 9) < 1e-15);
    assert_true(fabs(at_coupled(p, &law, scratch) - 2.0 / 3) < 1e-15);
    assert_true(fabs(at_coupled(q, &law, scratch) - 1) < 1e-15);
}

static double coupled_plain(const double *p, const double *q)
{
    double all = 0;
    for (int i = 0; i < V; i++) {
        double s = 0;
        for (int j = 0; j < V && p[i] > 0 && q[i] > 0; j++)
            s += fmax(p[j] / p[i], q[j] / q[i]);
        all += s > 0 ? 1 / s : 0;
    }
    return all;
}

static void test_coupled(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 500; k++) {
        double p[V], q[V];
        int32_t id[V], scratch[V];
        make_law(p, k % 3 ? 0 : 2, (int32_t)(100 + k));
        make_law(q, 1, (int32_t)(100 + k));
        for (int i = 0; i < V; i++)
            id[i] = i;
        const double got = at_coupled(p, &(struct at_law){V, id, q}, scratch);
        assert_true(fabs(got - coupled_plain(p, q)) < 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand), cmocka_unit_test(test_coupled),
                                       cmocka_unit_test(test_honest), cmocka_unit_test(test_planted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
