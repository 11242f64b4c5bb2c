/* Draft trees: adding, sharing nodes, cutting, drawing from rows good and bad, and the check of trees that were
 * tampered with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accept/accept_priv.h"
#include "base/rng.h"

enum { V = 1000 };

static struct tree t; /* 100 KB: not for the stack */

static struct tree_luck luck_of(enum accept_rule rule)
{
    const struct accept_key key = {.seed = 7, .choice = 1, .step = 3};
    return tree_luck_make(rule, &key, 100, V);
}

static void test_nodes(void **state)
{
    (void)state;
    tree_clear(&t);
    assert_int_equal(tree_add(&t, TREE_ROOT, 5, 0.5f, V), 0);
    assert_int_equal(tree_add(&t, 0, 6, NAN, V), 1);
    assert_int_equal(tree_add(&t, TREE_ROOT, 5, 2.0f, V), 2); /* again: its own entry, the same node */
    assert_int_equal(tree_add(&t, 2, 6, -1.0f, V), 3);        /* under the other entry: the same node again */
    assert_int_equal(tree_add(&t, 2, 7, 0, V), 4);
    assert_int_equal(t.n, 5);
    assert_int_equal(t.n_node, 4);
    assert_int_equal(t.entry[2].node, 1);
    assert_int_equal(t.entry[3].node, 2);
    assert_true(t.entry[2].conf == 1 && t.entry[3].conf == 0 && isnan(t.entry[1].conf));
    assert_int_equal(tree_depth(&t, TREE_ROOT), 0);
    assert_int_equal(tree_depth(&t, 4), 2);
    /* a node's list: all entries under it, whichever entry they name */
    assert_int_equal(tree_child(&t, 0, -1), 0);
    assert_int_equal(tree_child(&t, 0, 0), 2);
    assert_int_equal(tree_child(&t, 0, 2), -1);
    assert_int_equal(tree_child(&t, 1, -1), 1);
    assert_int_equal(tree_child(&t, 1, 1), 3);
    assert_int_equal(tree_child(&t, 1, 3), 4);
    assert_int_equal(tree_find(&t, 1, 7), 3);
    assert_int_equal(tree_find(&t, 0, 7), -1);
    assert_int_equal(tree_check(&t, V, TREE_MAX, NULL), OTR_OK);
    assert_int_equal(tree_check(&t, V, 4, NULL), OTR_E_ARG);
    assert_int_equal(tree_check(&t, 7, TREE_MAX, NULL), OTR_E_ARG);
    tree_cut(&t, 4);
    assert_true(t.n == 4 && t.n_node == 3);
    assert_int_equal(tree_check(&t, V, TREE_MAX, NULL), OTR_OK);
    tree_cut(&t, 9);
    assert_int_equal(t.n, 4);
    tree_cut(&t, 0);
    assert_true(t.n == 0 && t.n_node == 1);
}

static void test_add_refuses(void **state)
{
    (void)state;
    tree_clear(&t);
    assert_int_equal(tree_add(&t, 0, 1, 0, V), OTR_E_ARG);
    assert_int_equal(tree_add(&t, -2, 1, 0, V), OTR_E_ARG);
    assert_int_equal(tree_add(&t, TREE_ROOT, -1, 0, V), OTR_E_ARG);
    assert_int_equal(tree_add(&t, TREE_ROOT, V, 0, V), OTR_E_ARG);
    assert_int_equal(t.n, 0);
    for (int i = 0; i < TREE_MAX; i++)
        assert_int_equal(tree_add(&t, i - 1, i, 0, V), i);
    assert_int_equal(tree_add(&t, TREE_ROOT, 1, 0, V), OTR_E_LIMIT);
    assert_int_equal(t.n_node, TREE_MAX + 1);
    assert_int_equal(tree_check(&t, V, TREE_MAX, NULL), OTR_OK);
}

/* The row that is kept is the law that was drawn from: sorted, normalised, without what has no weight. */
static void test_rows(void **state)
{
    static const int32_t id[] = {9, 2, 700, 4};
    static const double p[] = {2, 6, 0, 8};
    struct tree_luck luck = luck_of(RULE_RATIO);
    (void)state;
    tree_clear(&t);
    assert_int_equal(tree_draw(&t, TREE_ROOT, id, p, 4, &luck), 0);
    const struct tree_row *r = &t.row[0];
    assert_int_equal(r->n, 3);
    assert_true(r->id[0] == 2 && r->id[1] == 4 && r->id[2] == 9);
    assert_true(r->p[0] == 0.375 && r->p[1] == 0.5 && r->p[2] == 0.125);
    assert_int_equal(tree_draw(&t, 0, id, p, 4, &luck), 1);
    assert_int_equal(t.n_row, 2);
    assert_int_equal(tree_check(&t, V, TREE_MAX, NULL), OTR_OK);
    tree_cut(&t, 1);
    assert_true(t.n_row == 1 && t.row_used == 3);
    assert_int_equal(tree_draw(&t, 0, id, p, 4, &luck), 1);
    tree_make_chosen(&t);
    assert_true(t.n_row == 0 && t.entry[0].row == -1 && t.entry[1].row == -1);
    assert_int_equal(tree_check(&t, V, TREE_MAX, NULL), OTR_OK);
}

/* Without replacement, after a delta: all tokens come once, each from the rest, and then nothing is left. */
static void test_without_replacement(void **state)
{
    static const int32_t id[] = {4, 3, 2, 1};
    static const double p[] = {1, 2, 3, 4};
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct tree_luck luck = luck_of(k ? RULE_TRAVERSAL : RULE_MULTI);
        tree_clear(&t);
        assert_int_equal(tree_add(&t, TREE_ROOT, 3, NAN, V), 0);
        for (int i = 1; i < 4; i++) {
            assert_int_equal(tree_draw(&t, TREE_ROOT, id, p, 4, &luck), i);
            assert_int_equal(t.row[i - 1].n, 4 - i);
            assert_int_equal(t.n_node, i + 2);
        }
        assert_int_equal(tree_draw(&t, TREE_ROOT, id, p, 4, &luck), OTR_E_LIMIT);
        assert_int_equal(t.n, 4);
        assert_int_equal(tree_check(&t, V, TREE_MAX, NULL), OTR_OK);
    }
}

/* greedy and gumbel choose, each token once, whatever the length of the row; nothing is stored. */
static void test_byte_rules(void **state)
{
    static int32_t id[V];
    static double p[V];
    struct tree_luck luck = luck_of(RULE_GREEDY);
    (void)state;
    for (int i = 0; i < V; i++) {
        id[i] = V - 1 - i;
        p[i] = 1 + (i == 17) + (i == 500) * 0.5;
    }
    tree_clear(&t);
    assert_int_equal(tree_draw(&t, TREE_ROOT, id, p, V, &luck), 0);
    assert_int_equal(tree_draw(&t, TREE_ROOT, id, p, V, &luck), 1);
    assert_int_equal(tree_draw(&t, TREE_ROOT, id, p, V, &luck), 2);
    assert_int_equal(t.entry[0].token, V - 1 - 17);
    assert_int_equal(t.entry[1].token, V - 1 - 500);
    assert_int_equal(t.entry[2].token, 0); /* lowest id on ties */
    assert_int_equal(t.n_row, 0);
    luck = luck_of(RULE_GUMBEL);
    assert_int_equal(luck.key.seed, 7); /* the target's */
    tree_clear(&t);
    for (int e = 0; e < 3; e++) { /* a chain: the noise of the position after the parent */
        int best = 0;
        for (int i = 1; i < V; i++)
            if (log(p[i]) + gumbel_noise(7, 1, 100 + (uint64_t)e, id[i]) >
                log(p[best]) + gumbel_noise(7, 1, 100 + (uint64_t)e, id[best]))
                best = i;
        assert_int_equal(tree_draw(&t, e - 1, id, p, V, &luck), e);
        assert_int_equal(t.entry[e].token, id[best]);
    }
    luck = luck_of(RULE_BLOCK);
    assert_true(luck.key.seed != 7); /* and a law rule's drafter does not get it */
}

static void test_bad_rows(void **state)
{
    static const int32_t id[] = {1, 2, 3}, out_of_range[] = {1, 2, V}, negative[] = {-1, 2, 3}, twice[] = {1, 3, 1};
    static const double p[] = {1, 2, 3};
    static const double minus[] = {1, -1, 3}, nan[] = {1, (double)NAN, 3}, inf[] = {1, HUGE_VAL, 3}, zero[] = {0, 0, 0},
                        too_large[] = {DBL_MAX, DBL_MAX, 1};
    static int32_t long_id[TREE_ROW_CAP + 1];
    static double long_p[TREE_ROW_CAP + 1];
    (void)state;
    for (int r = 0; r < N_RULE; r++) {
        struct tree_luck luck = luck_of((enum accept_rule)r);
        tree_clear(&t);
        assert_int_equal(tree_draw(&t, TREE_ROOT, id, minus, 3, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, TREE_ROOT, id, nan, 3, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, TREE_ROOT, id, inf, 3, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, TREE_ROOT, id, zero, 3, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, TREE_ROOT, id, too_large, 3, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, TREE_ROOT, id, p, 0, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, TREE_ROOT, out_of_range, p, 3, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, TREE_ROOT, negative, p, 3, &luck), OTR_E_ARG);
        assert_int_equal(tree_draw(&t, 0, id, p, 3, &luck), OTR_E_ARG);
        assert_int_equal(t.n + t.n_row + t.row_used, 0);
        if (r >= RULE_RATIO && r <= RULE_TRAVERSAL) {
            assert_int_equal(tree_draw(&t, TREE_ROOT, twice, p, 3, &luck), OTR_E_ARG);
            for (int i = 0; i <= TREE_ROW_CAP; i++)
                long_p[i] = 1;
            assert_int_equal(tree_draw(&t, TREE_ROOT, long_id, long_p, TREE_ROW_CAP, &luck), OTR_E_ARG);
            assert_int_equal(tree_draw(&t, TREE_ROOT, long_id, long_p, TREE_ROW_CAP + 1, &luck), OTR_E_LIMIT);
        }
        assert_int_equal(t.n + t.n_row + t.row_used, 0);
    }
}

struct words {
    uint64_t seed;
    uint32_t n;
};

static uint32_t random_word(struct words *w)
{
    return philox4x32(w->seed, (struct philox){{w->n++, 0, 0, 1}}).v[0];
}

static void random_tree(struct words *w)
{
    tree_clear(&t);
    const int n = 1 + (int)(random_word(w) % 20);
    for (int i = 0; i < n; i++) {
        int32_t id[12];
        double p[12];
        const int parent = (int)(random_word(w) % (uint32_t)(t.n + 1)) - 1, m = 1 + (int)(random_word(w) % 12);
        struct tree_luck luck = luck_of((enum accept_rule)(random_word(w) % N_RULE));
        for (int k = 0; k < m; k++) {
            id[k] = (int32_t)((k * 7 + 3) % 12);
            p[k] = random_word(w) % 5;
        }
        luck.key.step = w->n;
        if (random_word(w) % 3 == 0)
            tree_add(&t, parent, (int32_t)(random_word(w) % 12), NAN, V);
        else
            tree_draw(&t, parent, id, p, m, &luck);
        if (random_word(w) % 8 == 0)
            tree_cut(&t, (int)(random_word(w) % 20));
    }
}

/* 20,000 trees that were made well pass; with one number changed tree_check never reads out of bounds (sanitizers), and
 * what it still lets pass can be decided on. */
static void test_check_random(void **state)
{
    struct words w = {20260512, 0};
    long refused = 0, passed = 0;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        random_tree(&w);
        assert_int_equal(tree_check(&t, V, TREE_MAX, NULL), OTR_OK);
        int *const counts[] = {&t.n, &t.n_node, &t.n_row, &t.row_used};
        struct tree_entry *e = &t.entry[random_word(&w) % TREE_MAX];
        struct tree_row *r = &t.row[random_word(&w) % 4];
        static const int values[] = {-1, 0, 1, 2, 31, 32, 1 << 30, INT32_MIN, INT32_MAX};
        const int value = values[random_word(&w) % 9];
        switch (random_word(&w) % 8) {
        case 0:
        case 1:
            *counts[random_word(&w) % 4] = value;
            break;
        case 2:
            e->token = value;
            break;
        case 3:
            e->parent = value;
            break;
        case 4:
            e->row = value;
            break;
        case 5:
            e->node = value;
            break;
        case 6:
            r->n = value;
            break;
        default:
            t.node_parent[random_word(&w) % 4] = value;
            break;
        }
        struct otr_err err = {0};
        if (tree_check(&t, V, TREE_MAX, &err) == OTR_OK) {
            passed++;
            for (int k = 0; k < t.n; k++)
                assert_true(t.entry[k].node >= 1 && t.entry[k].node < t.n_node && t.entry[k].row < t.n_row);
        } else {
            refused++;
            assert_true(strncmp(err.msg, "draft tree", 10) == 0);
        }
    }
    printf("%ld of 20000 changed trees refused, %ld changed where it does not count (seed 20260512)\n", refused,
           passed);
    assert_true(refused > 5000);
}

/* Each refusal of tree_check by name. */
static void test_check_says(void **state)
{
    static const int32_t id[] = {1, 2, 3};
    static const double p[] = {1, 1, 2};
    struct tree_luck luck = luck_of(RULE_MULTI);
    struct otr_err err;
    (void)state;
#define REFUSED(change, text)                                                                                          \
    do {                                                                                                               \
        tree_clear(&t);                                                                                                \
        tree_draw(&t, TREE_ROOT, id, p, 3, &luck);                                                                     \
        tree_draw(&t, 0, id, p, 3, &luck);                                                                             \
        assert_int_equal(tree_check(&t, V, TREE_MAX, &err), OTR_OK);                                                   \
        change;                                                                                                        \
        assert_int_equal(tree_check(&t, V, TREE_MAX, &err), OTR_E_ARG);                                                \
        if (!strstr(err.msg, text))                                                                                    \
            fail_msg("'%s' where '%s' should stand", err.msg, text);                                                   \
    } while (0)
    REFUSED(t.n = TREE_MAX + 1, "32 entries where at most 31");
    REFUSED(t.n_node = 5, "its counts");
    REFUSED(t.entry[1].token = V, "a token outside the vocabulary");
    REFUSED(t.entry[1].parent = 1, "a parent that does not come before it");
    REFUSED(t.entry[0].conf = HUGE_VALF, "a confidence outside");
    REFUSED(t.entry[1].node = 1, "a node that is not its own");
    REFUSED(t.node_token[2] = 77, "a node that is not its own");
    REFUSED(t.entry[1].row = 0, "a row out of order");
    REFUSED(t.row[1].id = t.row_id, "a row that is not in the store");
    REFUSED(t.row_id[4] = t.row_id[3], "do not ascend");
    REFUSED(t.row_p[0] = (double)NAN, "a value outside");
    REFUSED(t.row_p[0] *= 0.5, "does not sum to 1");
    REFUSED((t.entry[0].token = 77, t.node_token[1] = 77), "a token its row does not hold");
    REFUSED(t.row_used = 7, "values are used");
#undef REFUSED
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nodes),        cmocka_unit_test(test_add_refuses),
                                       cmocka_unit_test(test_rows),         cmocka_unit_test(test_without_replacement),
                                       cmocka_unit_test(test_byte_rules),   cmocka_unit_test(test_bad_rows),
                                       cmocka_unit_test(test_check_random), cmocka_unit_test(test_check_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
