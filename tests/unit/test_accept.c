/* The table of rules, random words, the walk of the byte rules, the lossy rules, errors of the target. Read next:
 * test_accept_torture.c (allocations), tests/prop/test_rule_law.c (laws). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accept/accept_priv.h"

static struct tree t;

static void test_table(void **state)
{
    (void)state;
    for (int r = 0; r < N_RULE; r++) {
        assert_int_equal(accept_rule_find(accept_rule_name((enum accept_rule)r)), r);
        assert_true(strlen(accept_rule_text((enum accept_rule)r)) > 10);
    }
    assert_int_equal(accept_rule_find("multi-iid"), RULE_MULTI_IID);
    assert_int_equal(accept_rule_find("multi"), RULE_MULTI);
    assert_int_equal(accept_rule_find(""), -1);
    assert_string_equal(accept_exact_name(accept_rule_exact(RULE_GUMBEL)), "bytes");
    assert_string_equal(accept_exact_name(accept_rule_exact(RULE_TRAVERSAL)), "law");
    assert_string_equal(accept_exact_name(accept_rule_exact(RULE_TYPICAL)), "none");
}

typedef bool (*coin_fn)(uint64_t word, double h);

static bool coin_or_equal(uint64_t word, double h) /* the planted <= */
{
    return (double)(word >> 11) * 0x1p-53 <= h;
}

/* How many of the words at the border are decided wrongly. */
static int wrong_at_border(coin_fn coin)
{
    int wrong = 0;
    for (uint64_t low = 0; low < 2048; low += 89) { /* bits below the 53 do not count */
        wrong += coin(low, 0) || !coin(low, 0x1p-53);
        wrong += !coin(UINT64_MAX - low, 1) || coin(UINT64_MAX - low, 1 - 0x1p-53);
        wrong += coin((1ull << 63) + low, 0.5) || !coin((1ull << 63) - 1 - low, 0.5);
    }
    return wrong;
}

static void test_words(void **state)
{
    static const double w[] = {0, 0.25, 0, 0.5, 0.25, 0}, tiny[] = {0, 5e-324, 0};
    (void)state;
    assert_int_equal(wrong_at_border(coin_of_word), 0);
    assert_true(wrong_at_border(coin_or_equal) > 0);
    assert_int_equal(pick_of_word(0, w, 6), 1);
    assert_int_equal(pick_of_word((1ull << 62) - 1, w, 6), 1);
    assert_int_equal(pick_of_word(1ull << 62, w, 6), 3);
    assert_int_equal(pick_of_word((3ull << 62) - 1, w, 6), 3);
    assert_int_equal(pick_of_word(3ull << 62, w, 6), 4);
    assert_int_equal(pick_of_word(UINT64_MAX, w, 6), 4);
    assert_int_equal(pick_of_word(UINT64_MAX, tiny, 3), 1); /* u * sum is rounded up to the sum */
}

/* The dice see every part of their key, and purposes are apart. */
static void test_keys(void **state)
{
    enum { N = 1 << 20 };
    static double w[N];
    (void)state;
    for (int i = 0; i < N; i++)
        w[i] = 1;
    struct accept_key key[5];
    for (int i = 0; i < 5; i++)
        key[i] = (struct accept_key){.seed = 3, .choice = 1, .step = 9};
    key[1].seed++;
    key[2].choice++;
    key[3].step++;
    key[4].step += 1ull << 32;
    int seen[5 * 4], n = 0;
    for (int i = 0; i < 5; i++) {
        const struct accept_dice test = accept_keyed_dice(&key[i]), draft = accept_draft_dice(&key[i]);
        seen[n++] = test.pick(test.self, w, N, 4);
        seen[n++] = test.pick(test.self, w, N, TREE_ROOT);
        seen[n++] = draft.pick(draft.self, w, N, 4);
        double lo = 0, hi = 1; /* the uniform of the coin, by bisection */
        for (int k = 0; k < 20; k++) {
            const double mid = (lo + hi) / 2;
            if (test.coin(test.self, mid, 4))
                hi = mid;
            else
                lo = mid;
        }
        seen[n++] = (int)(lo * N);
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            assert_int_not_equal(seen[i], seen[k]);
}

/* ---- a target of one law per node ---- */

struct target {
    int n[8], fails_at; /* nodes */
    int32_t id[8][4];
    float logit[8][4];
    int n_dist, n_pick;
};

static int give_dist(void *self, int node, struct dist *out, struct otr_err *err)
{
    struct target *x = self;
    x->n_dist++;
    if (node == x->fails_at)
        return OTR_FAIL(err, NUMERIC, "node %d", node);
    *out = (struct dist){x->n[node], x->id[node], x->logit[node]};
    return OTR_OK;
}

static int32_t give_pick(void *self, int node, struct otr_err *err)
{
    struct target *x = self;
    x->n_pick++;
    return node == x->fails_at ? OTR_FAIL(err, NUMERIC, "node %d", node) : x->id[node][0];
}

static void set_law(struct target *x, int node, const int32_t *id, const double *p, int n)
{
    x->n[node] = n;
    for (int i = 0; i < n; i++) {
        x->id[node][i] = id[i];
        x->logit[node][i] = (float)log(p[i]);
    }
}

static struct accept_verdict verdict(enum accept_rule rule, struct target *x, int *rc)
{
    static const struct accept_key key = {.seed = 1};
    const struct accept_target target = {x, give_pick, give_dist};
    const struct accept_dice dice = accept_keyed_dice(&key);
    struct accept_scratch *s;
    struct accept_verdict v;
    struct otr_err err;
    assert_int_equal(accept_scratch_open(&s, 100, NULL), OTR_OK);
    *rc = accept_decide(rule, &t, &target, &dice, s, &v, &err);
    if (*rc < 0)
        assert_non_null(strstr(err.msg, "node "));
    accept_scratch_close(s);
    return v;
}

/* 0 - 1(5) - 2(6), 0 - 3(7) - 4(8), 4 - 5(9) */
static void make_tree(void)
{
    tree_clear(&t);
    tree_add(&t, TREE_ROOT, 5, NAN, 100);
    tree_add(&t, 0, 6, NAN, 100);
    tree_add(&t, TREE_ROOT, 7, NAN, 100);
    tree_add(&t, 2, 8, NAN, 100);
    tree_add(&t, 3, 9, NAN, 100);
}

static void test_bytes(void **state)
{
    static const int32_t after[] = {7, 1, 1, 8, 3, 1};
    struct target x = {.fails_at = -1};
    int rc;
    (void)state;
    make_tree();
    for (int node = 0; node < 6; node++)
        set_law(&x, node, &after[node], (const double[]){1}, 1);
    for (enum accept_rule r = RULE_GREEDY; r <= RULE_GUMBEL; r++) {
        const struct accept_verdict v = verdict(r, &x, &rc);
        assert_int_equal(rc, OTR_OK);
        assert_true(v.n == 2 && v.node[0] == 3 && v.node[1] == 4 && v.next == 3 && v.n_tested == 3);
    }
    assert_int_equal(x.n_pick, 6);
    tree_clear(&t); /* no draft: plain decoding */
    const struct accept_verdict v = verdict(RULE_GUMBEL, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 0 && v.next == 7 && v.n_tested == 1);
}

/* A certain target may have an infinite logit; every rule follows it, and every error comes back. */
static void test_certain_and_failing(void **state)
{
    static const int32_t after[] = {5, 6, 4, 1, 1, 1};
    struct target x = {.fails_at = -1};
    int rc;
    (void)state;
    make_tree();
    for (int node = 0; node < 6; node++) {
        set_law(&x, node, &after[node], (const double[]){1}, 1);
        x.logit[node][0] = HUGE_VALF;
    }
    for (int r = 0; r < N_RULE; r++) {
        x.fails_at = -1;
        const struct accept_verdict v = verdict((enum accept_rule)r, &x, &rc);
        assert_int_equal(rc, OTR_OK);
        assert_true(v.n == 2 && v.node[0] == 1 && v.node[1] == 2 && v.next == 4);
        for (x.fails_at = 0; x.fails_at <= 2; x.fails_at++) {
            verdict((enum accept_rule)r, &x, &rc);
            assert_int_equal(rc, OTR_E_NUMERIC);
        }
    }
}

/* typical: min(0.09, 0.3 exp(-H)); relaxed: 0.8 of the best. */
static void test_lossy(void **state)
{
    struct target x = {.fails_at = -1};
    int rc;
    (void)state;
    make_tree();
    /* root: 7 is 0.85 of 5; H = 1.09: 0.3 exp(-H) = 0.1, so the limit is 0.09 */
    set_law(&x, 0, (int32_t[]){5, 7, 50, 51}, (double[]){0.40, 0.34, 0.171, 0.089}, 4);
    set_law(&x, 1, (int32_t[]){40, 41, 42, 6}, (double[]){0.4, 0.3, 0.212, 0.088}, 4); /* 6 is under 0.09: no */
    set_law(&x, 3, (int32_t[]){40, 8}, (double[]){0.51, 0.49}, 2);
    set_law(&x, 4, (int32_t[]){40, 9}, (double[]){0.85, 0.15}, 2); /* typical: yes; relaxed: no */
    set_law(&x, 5, (int32_t[]){33}, (double[]){1}, 1);
    struct accept_verdict v = verdict(RULE_TYPICAL, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 3 && v.node[0] == 3 && v.node[1] == 4 && v.node[2] == 5 && v.next == 33);
    v = verdict(RULE_RELAXED, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 2 && v.node[1] == 4 && v.next == 40);
    /* relaxed at 0.79 of the best: refused; then 5 is as long as nothing else */
    set_law(&x, 0, (int32_t[]){5, 7, 50}, (double[]){0.5, 0.395, 0.105}, 3);
    v = verdict(RULE_RELAXED, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 1 && v.node[0] == 1 && v.next == 40);
    /* of two paths of one length the likelier one */
    tree_clear(&t);
    tree_add(&t, TREE_ROOT, 7, NAN, 100);
    tree_add(&t, TREE_ROOT, 5, NAN, 100);
    set_law(&x, 2, (int32_t[]){44}, (double[]){1}, 1);
    v = verdict(RULE_TYPICAL, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 1 && v.node[0] == 2 && v.next == 44);
    /* many equal tokens: the entropy lowers the limit to 0.3 / 4 < 0.09 is not below eps; 4 tokens of 1/4 pass */
    set_law(&x, 0, (int32_t[]){50, 51, 52, 5}, (double[]){0.25, 0.25, 0.25, 0.25}, 4);
    v = verdict(RULE_TYPICAL, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 1 && v.node[0] == 2);
    /* 0.3 exp(-H) decides: H = ln 4 - a bit, limit 0.0792; 0.085 passes, 0.078 does not */
    set_law(&x, 0, (int32_t[]){50, 51, 52, 5}, (double[]){0.315, 0.3, 0.3, 0.085}, 4);
    v = verdict(RULE_TYPICAL, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 1);
    set_law(&x, 0, (int32_t[]){50, 51, 52, 5}, (double[]){0.322, 0.3, 0.3, 0.078}, 4);
    v = verdict(RULE_TYPICAL, &x, &rc);
    assert_true(rc == OTR_OK && v.n == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_words), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_lossy), cmocka_unit_test(test_certain_and_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
