/* The rules with the dice they run with: 200,000 replies of 4 tokens over at least 2 steps, G-test against the target's
 * exact law. False-alarm rate 1e-7 a comparison, 1e-5 for the file; the keys are fixed. A planted key by position
 * alone must fail. Then the acceptance of Gumbel-coupled drafts against its formula. */
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
#include "support/gtest.h"
#include "support/law.h"

enum { N = 200000, N_TOK = 4 };
static const double FALSE_ALARM = 1e-7;

/* The planted bug: keyed by (seed, position in the text, purpose), for all draws. */
struct position_key {
    const struct law_rig *rig;
    uint64_t seed;
};

static uint64_t position_word(const struct position_key *k, enum accept_purpose purpose, int entry)
{
    const struct philox x = philox4x32(
        k->seed,
        (struct philox){{(uint32_t)purpose << 29, 0, (uint32_t)(k->rig->n_hist + tree_depth(&k->rig->t, entry)), 0}});
    return (uint64_t)x.v[0] << 32 | x.v[1];
}

static bool position_coin(void *self, double h, int entry)
{
    return coin_of_word(position_word(self, DICE_ACCEPT, entry), h);
}

static int position_pick(void *self, const double *w, int n, int entry)
{
    return pick_of_word(position_word(self, DICE_RESIDUAL, entry), w, n);
}

static int position_draft(void *self, const double *w, int n, int entry)
{
    const struct position_key *k = self;
    return pick_of_word(position_word(self, DICE_DRAFT, k->rig->c->shape->parent[entry]), w, n);
}

struct emitter {
    struct law_rig rig;
    bool by_position;
};

static void emit(void *self, uint64_t i, int32_t *tok, int n_tok)
{
    struct emitter *e = self;
    int32_t text[64];
    int n = 0;
    for (uint64_t step = 0; n < n_tok; step++) {
        const struct accept_key key = {.seed = 1000003 + i / 16, .choice = (uint32_t)(i % 16), .step = step};
        const struct tree_luck luck = tree_luck_make(e->rig.c->draw, &key, (uint64_t)n, e->rig.c->m->v);
        struct position_key by_position = {&e->rig, i};
        const struct accept_dice bad_draft = {&by_position, NULL, position_draft};
        const struct accept_dice bad_test = {&by_position, position_coin, position_pick};
        const struct accept_dice draft = accept_draft_dice(&luck.key), test = accept_keyed_dice(&key);
        n += law_step(&e->rig, text, n, e->by_position ? &bad_draft : &draft, e->by_position ? &bad_test : &test,
                      text + n);
    }
    memcpy(tok, text, sizeof *tok * (size_t)n_tok);
}

static double p_value(const struct law_case *c, bool by_position, int n_tok)
{
    static double want[LAW_STRINGS];
    struct emitter e = {.by_position = by_position};
    char name[64];
    law_rig_open(&e.rig, c);
    law_target(c->m, n_tok, want);
    snprintf(name, sizeof name, "%s, %s of %s%s", accept_rule_name(c->decide), c->shape->name, c->kinds,
             by_position ? ", keyed by position" : "");
    const double p = g_test_replies(name, emit, &e, c->m->v, n_tok, want, N);
    law_rig_close(&e.rig);
    return p;
}

static const struct {
    enum accept_rule rule;
    const char *shape, *kinds;
} cases[] = {
    {RULE_RATIO, "k3", "d"},      {RULE_MULTI, "2x2", "d"},     {RULE_MULTI, "2x2", "dc"},
    {RULE_MULTI_IID, "3x2", "d"}, {RULE_BLOCK, "k3", "d"},      {RULE_BLOCK, "k3", "ddc"},
    {RULE_TRAVERSAL, "k3", "d"},  {RULE_TRAVERSAL, "2x2", "d"}, {RULE_TRAVERSAL, "3x2", "ddc"},
};

static void test_keyed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct law_model m;
        law_model_random(&m, 500 + i, 4, 2, 4, i % 2);
        const struct law_case c = {.m = &m,
                                   .shape = law_shape_find(cases[i].shape),
                                   .kinds = cases[i].kinds,
                                   .draw = cases[i].rule,
                                   .decide = cases[i].rule};
        assert_true(p_value(&c, false, N_TOK) > FALSE_ALARM);
    }
}

/* Several steps are needed to see it: the first token alone, of a chain, is right. */
static void test_key_by_position(void **state)
{
    static const enum accept_rule rules[] = {RULE_BLOCK, RULE_TRAVERSAL, RULE_MULTI};
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct law_model m;
        law_model_random(&m, 500, 4, 2, 4, false);
        const struct law_case c = {.m = &m,
                                   .shape = law_shape_find(rules[i] == RULE_MULTI ? "2x1" : "k3"),
                                   .kinds = "d",
                                   .draw = rules[i],
                                   .decide = rules[i]};
        assert_true(p_value(&c, true, N_TOK) < FALSE_ALARM);
        if (rules[i] != RULE_MULTI) /* there siblings share a position, and it fails at once */
            assert_true(p_value(&c, true, 1) > FALSE_ALARM);
    }
}

/* The G-test itself, where its p-value is known: chi-square tails by mpmath, and a shifted coin. */
static void test_g_test(void **state)
{
    (void)state;
    assert_true(fabs(chi_square_tail(3.841458820694124, 1) - 0.05) < 1e-12);
    assert_true(fabs(chi_square_tail(40.52, 7) / 1e-6 - 1) < 1e-2); /* test_sample_law.c */
    assert_true(fabs(chi_square_tail(131.37, 63) / 1e-6 - 1) < 1e-2);
    assert_true(g_test((long[]){5000, 5000}, (double[]){0.5, 0.5}, 2, 10000) == 1);
    assert_true(g_test((long[]){5400, 4600}, (double[]){0.5, 0.5}, 2, 10000) < 1e-12);
    assert_true(g_test((long[]){9999, 1}, (double[]){1, 0}, 2, 10000) == 0);
}

/* ---- Gumbel-coupled drafts ---- */

struct coupled {
    struct law_rig rig;
    struct sampler *s;
    uint32_t choice;
};

static int32_t coupled_pick(void *self, int node, struct otr_err *err)
{
    struct coupled *c = self;
    static const int32_t text[8] = {0};
    const int depth = node; /* a chain */
    float logit[LAW_V];
    const struct law_model *m = c->rig.c->m;
    int32_t path[8];
    for (int i = 0; i < depth; i++)
        path[i] = c->rig.t.node_token[i + 1];
    const int ctx = law_ctx(m, path, depth);
    for (int t = 0; t < m->v; t++)
        logit[t] = -HUGE_VALF;
    for (int i = 0; i < m->n[ctx]; i++)
        logit[m->id[ctx][i]] = m->logit[ctx][i];
    const struct history h = {.base = text, .n_base = 3, .path = path, .n_path = (size_t)depth};
    return sampler_pick(c->s, logit, &h, c->choice, err);
}

/* sum over i of 1 / sum over j of max(p_j / p_i, q_j / q_i); terms with p_i = 0 or q_i = 0 are 0. */
static double coupled_acceptance(const double *p, const double *q, int v)
{
    double sum = 0;
    for (int i = 0; i < v; i++) {
        double s = 0;
        for (int j = 0; j < v && p[i] > 0 && q[i] > 0; j++)
            s += fmax(p[j] / p[i], q[j] / q[i]);
        sum += s > 0 ? 1 / s : 0;
    }
    return sum;
}

/* Chains of 2: the first draft's acceptance, and the second's given the first token. 10 models x up to 5 cells, each
 * within 4 standard errors: false-alarm rate below 50 x 6.4e-5 = 0.4 % for the family. */
static void test_coupled(void **state)
{
    struct otr_sampling sp = {.temp = 1, .top_p = 1, .typical_p = 1, .repeat_penalty = 1, .dry_base = 2, .seed = 9};
    (void)state;
    for (uint64_t k = 0; k < 10; k++) {
        struct law_model m;
        law_model_random(&m, 900 + k, 4, 1, 4 - (int)(k % 3), k % 2);
        if (k == 9) /* q = p: every draft is right */
            for (int ctx = 0; ctx < 5; ctx++)
                memcpy(m.q[0][ctx], m.p[ctx], sizeof m.p[ctx]);
        const struct law_case lc = {
            .m = &m, .shape = law_shape_find("k2"), .kinds = "d", .draw = RULE_GUMBEL, .decide = RULE_GUMBEL};
        struct coupled c;
        long tried[5] = {0}, kept[5] = {0}; /* by context: none, or the first token */
        law_rig_open(&c.rig, &lc);
        assert_int_equal(sampler_open(&c.s, &sp, m.v, NULL), OTR_OK);
        for (c.choice = 0; c.choice < N; c.choice++) {
            const struct accept_key key = {.seed = sp.seed, .choice = c.choice, .step = 5};
            const struct accept_target target = {.self = &c, .pick = coupled_pick};
            struct accept_verdict v;
            c.rig.luck = tree_luck_make(RULE_GUMBEL, &key, 3, m.v);
            tree_clear(&c.rig.t);
            for (int e = 0; e < 2; e++) {
                const int ctx = e == 0 ? 0 : 1 + c.rig.t.entry[0].token;
                static const int32_t ids[] = {0, 1, 2, 3};
                assert_int_equal(tree_draw(&c.rig.t, e - 1, ids, m.q[0][ctx], m.v, &c.rig.luck), e);
            }
            assert_int_equal(accept_decide(RULE_GUMBEL, &c.rig.t, &target, NULL, c.rig.s, &v, NULL), OTR_OK);
            assert_int_equal(v.n_tested, v.n + 1);
            tried[0]++;
            if (v.n > 0) {
                const int first = 1 + c.rig.t.entry[0].token;
                kept[0]++;
                tried[first]++;
                kept[first] += v.n > 1;
            }
        }
        for (int ctx = 0; ctx < 5; ctx++) {
            double q[LAW_V], z = 0;
            for (int t = 0; t < m.v; t++)
                z += m.q[0][ctx][t];
            for (int t = 0; t < m.v; t++)
                q[t] = m.q[0][ctx][t] / z;
            const double want = coupled_acceptance(m.p[ctx], q, m.v), n = (double)tried[ctx];
            if (n < 1000)
                continue;
            const double off = (double)kept[ctx] / n - want, limit = 4 * sqrt(want * (1 - want) / n);
            if (!(fabs(off) <= limit + 1e-9))
                fail_msg("model %d, context %d: acceptance off by %g of %g, limit %g", (int)k, ctx, off, want, limit);
        }
        if (k == 9)
            assert_int_equal(kept[0], N);
        sampler_close(c.s);
        law_rig_close(&c.rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_g_test), cmocka_unit_test(test_keyed),
                                       cmocka_unit_test(test_key_by_position), cmocka_unit_test(test_coupled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
