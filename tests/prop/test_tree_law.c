/* Trees that are built out of a drafter's laws keep the law: for every policy, rule and size, tiny random models are
 * enumerated, every draw of the builder and every coin of the rule (support/law.h), over several steps. And DySpec's
 * order is best: no order of draws that looks at rows and kept entries alone has a larger expected length, if the
 * target is as the drafter thinks; by enumeration of all orders.
 * The builder draws through tree_draw, which is wrapped here (tests/CMakeLists.txt): its draws come from the dice of
 * the enumeration. A policy that breaks rule R1 must be seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/draft_rig.h"
#include "support/fake_laws.h"
#include "support/fewer.h"
#include "support/law.h"

int __wrap_tree_draw(struct tree *t, int parent, const int32_t *id, const double *p, int n,
                     const struct tree_luck *luck);

static const struct accept_dice *dice; /* of the enumeration */

int __wrap_tree_draw(struct tree *t, int parent, const int32_t *id, const double *p, int n,
                     const struct tree_luck *luck)
{
    return tree_draw_with(t, parent, id, p, n, luck, dice);
}

/* ---- the law ---- */

static const struct tree_policy *const policies[] = {&tree_eagle2, &tree_opt, &tree_dyspec, &tree_sequoia,
                                                     &tree_medusa};
static struct tree_build *build;
static int budget, depth;

/* The model's first proposal, after the history and a path. */
static void model_law(const struct fake_laws *f, const struct draft_ask *ask, const int32_t *path, int n, double *p)
{
    const struct law_model *m = f->arg;
    int32_t tail[2] = {0, 0};
    int k = 0;
    for (int i = n - 1; i >= 0 && k < 2; i--)
        tail[1 - k++] = path[i];
    for (size_t i = ask->n; i-- > 0 && k < 2;)
        tail[1 - k++] = ask->tok[i];
    const double *q = m->q[0][law_ctx(m, tail + 2 - k, k)];
    double sum = 0;
    for (int t = 0; t < m->v; t++)
        sum += q[t];
    for (int t = 0; t < m->v; t++)
        p[t] = q[t] / sum;
}

static void grow(struct law_rig *r, const struct accept_dice *d)
{
    struct fake_laws f = {.n_vocab = r->c->m->v, .law = model_law, .arg = r->c->m};
    const struct draft_ask ask = {
        .seq = 1, .tok = r->hist, .n = (size_t)r->n_hist, .max_entries = budget, .max_depth = depth, .luck = r->luck};
    dice = d;
    assert_int_equal(tree_build_run(build, &fake_source, &f, &ask, 1, &r->t), OTR_OK);
    if (r->c->spoil)
        return;
    assert_int_equal(tree_check(&r->t, r->c->m->v, budget, NULL), OTR_OK);
}

static const enum accept_rule pairs[][2] = {
    {RULE_MULTI, RULE_MULTI}, {RULE_MULTI_IID, RULE_MULTI_IID}, {RULE_TRAVERSAL, RULE_TRAVERSAL}};

static double worst_of(const struct tree_policy *policy, void (*spoil)(struct tree *, int), int n_model, long *n_case,
                       long *n_run)
{
    const struct tree_opts o = {.top_k = 2, .depth = 3, .nodes = 6, .gain = -1, .shape = "wide"};
    double worst = 0;
    assert_int_equal(tree_build_open(&build, policy, &o, 1, 5, NULL, NULL), OTR_OK);
    for (int i = 0; i < n_model; i++)
        for (int r = 0; r < 3; r++)
            for (int s = 0; s < 3; s++) {
                struct law_model m;
                struct law_result result;
                const bool large = s == 2 && policy->draws;
                budget = s == 0 ? 3 : s == 1 ? 4 : 6;
                depth = s == 2 ? 2 : 3;
                law_model_random(&m, 4100 + (uint64_t)i, 4, large ? 1 : 2, large ? 3 : 4 - i % 2, i % 2);
                const struct law_case c = {.m = &m,
                                           .shape = law_shape_find(depth == 2 ? "1x1" : "k3"), /* as deep */
                                           .draw = pairs[r][0],
                                           .decide = pairs[r][1],
                                           .grow = grow,
                                           .spoil = spoil};
                law_enumerate(&c, &result);
                worst = fmax(worst, result.tv);
                ++*n_case;
                *n_run += result.n_run;
                if (!spoil && !(result.tv < 1e-12))
                    printf("%s, %s, %d entries, model %d: total variation %.3e\n", policy->name,
                           accept_rule_name(c.decide), budget, i, result.tv);
            }
    tree_build_close(build);
    return worst;
}

static void test_the_law(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof policies / sizeof *policies; k++) {
        long n_case = 0, n_run = 0;
        const double worst = worst_of(policies[k], NULL, FEWER(24, 2), &n_case, &n_run);
        printf("%s: %ld cases, %ld outcomes: worst total variation %.1e\n", policies[k]->name, n_case, n_run, worst);
        assert_true(worst < 1e-12);
    }
}

/* What must be seen. */
static void drop_unlikely(struct tree *t, int n_vocab) /* a drawn entry goes by its own chance */
{
    (void)n_vocab;
    for (int e = 0; e < t->n; e++)
        if (t->entry[e].row >= 0 && (double)t->entry[e].conf < 0.3) {
            tree_cut(t, e);
            return;
        }
}

/* After an entry one more of its siblings is drawn if it was unlikely, and that one is put first: as a rerank does. */
static void rerank(struct tree *t, int n_vocab)
{
    (void)n_vocab;
    for (int a = 0; a + 1 < t->n; a++)
        if (t->entry[a].parent == t->entry[a + 1].parent && t->entry[a].conf < t->entry[a + 1].conf &&
            tree_child(t, t->entry[a].node, -1) < 0 && tree_child(t, t->entry[a + 1].node, -1) < 0) {
            const int32_t token = t->entry[a].token;
            t->entry[a].token = t->node_token[t->entry[a].node] = t->entry[a + 1].token;
            t->entry[a + 1].token = t->node_token[t->entry[a + 1].node] = token;
        }
}

static void test_planted(void **state)
{
    (void)state;
    long n_case = 0, n_run = 0;
    const double dropped = worst_of(&tree_dyspec, drop_unlikely, 2, &n_case, &n_run),
                 reranked = worst_of(&tree_sequoia, rerank, 2, &n_case, &n_run);
    printf("planted: dropped by its own chance %.3f, drawn siblings re-sorted %.3f\n", dropped, reranked);
    assert_true(dropped > 0.01 && reranked > 0.01);
}

/* ---- DySpec's order is best ---- */

/* The drafter's own law is taken for the target's. The worth of a draw, before it is made: the chance that its parent
 * is reached and none of its earlier siblings was right. */
struct game {
    struct fake_laws *f;
    const struct draft_ask *ask;
};

/* The most that `left` more draws can bring on average, whatever is looked at in between. */
static double best_play(const struct game *g, const struct tree *t, const double *reach, const double *rest, int left)
{
    double best = 0;
    if (left == 0)
        return 0;
    for (int at = 0; at <= t->n; at++) {
        int32_t path[TREE_MAX];
        double p[FAKE_V], sum = 0, x = reach[at] * rest[at];
        int k = tree_depth(t, at - 1);
        for (int i = k, e = at - 1; i > 0; e = t->entry[e].parent)
            path[--i] = t->entry[e].token;
        fake_law(g->f, g->ask, path, k, p);
        for (int v = 0; v < g->f->n_vocab; v++) /* without replacement */
            p[v] = tree_find(t, at == 0 ? 0 : t->entry[at - 1].node, v) >= 0 ? 0 : p[v];
        for (int v = 0; v < g->f->n_vocab; v++)
            sum += p[v];
        if (!(sum > 1e-9))
            continue;
        for (int v = 0; v < g->f->n_vocab; v++) {
            static struct tree stack[8];
            struct tree *next = &stack[left];
            double reach2[TREE_MAX + 1], rest2[TREE_MAX + 1];
            if (p[v] <= 0)
                continue;
            tree_copy(next, t);
            tree_add(next, at - 1, v, 0, g->f->n_vocab);
            memcpy(reach2, reach, sizeof reach2);
            memcpy(rest2, rest, sizeof rest2);
            const double conf = rest[at] * p[v] / sum;
            rest2[at] = rest[at] - conf;
            reach2[t->n + 1] = reach[at] * conf;
            rest2[t->n + 1] = 1;
            x += p[v] / sum * best_play(g, next, reach2, rest2, left - 1);
        }
        best = fmax(best, x);
    }
    return best;
}

/* All outcomes of the builder's draws. */
struct outcomes {
    int taken[16], n[16], len, at;
    double weight;
};

static int outcome(void *self, const double *w, int n, int entry)
{
    struct outcomes *o = self;
    double sum = 0;
    (void)entry;
    for (int i = 0; i < n; i++)
        sum += w[i];
    if (o->at == o->len) {
        o->taken[o->len] = 0;
        o->n[o->len++] = n;
    }
    const int i = o->taken[o->at++];
    o->weight *= w[i] / sum;
    return i;
}

static double play_of_builder(struct fake_laws *f, const struct draft_ask *ask)
{
    struct outcomes o = {.len = 0};
    const struct accept_dice d = {&o, NULL, outcome};
    static struct tree t;
    double sum = 0;
    dice = &d;
    for (;;) {
        double reach[TREE_MAX + 1] = {1}, rest[TREE_MAX + 1] = {1};
        o.at = 0;
        o.weight = 1;
        tree_clear(&t);
        assert_int_equal(tree_build_run(build, &fake_source, f, ask, 1, &t), OTR_OK);
        double worth = 0;
        for (int e = 0; e < t.n; e++) { /* worth of each draw, before it was made */
            const int up = t.entry[e].parent + 1;
            worth += reach[up] * rest[up];
            reach[e + 1] = reach[up] * (double)t.entry[e].conf;
            rest[e + 1] = 1;
            rest[up] -= (double)t.entry[e].conf;
        }
        sum += o.weight * worth;
        while (o.len > 0 && o.taken[o.len - 1] + 1 == o.n[o.len - 1])
            o.len--;
        if (o.len == 0)
            return sum;
        o.taken[o.len - 1]++;
    }
}

static void test_dyspec_is_best(void **state)
{
    (void)state;
    const struct tree_opts o = {.top_k = 1, .depth = 31, .nodes = TREE_MAX, .gain = -1};
    double least = 0;
    assert_int_equal(tree_build_open(&build, &tree_dyspec, &o, 1, 3, NULL, NULL), OTR_OK);
    for (uint64_t s = 0; s < FEWER(40, 4); s++) {
        struct fake_laws f = {.seed = 31 + s, .n_vocab = 3, .sharp = 1 + (double)(s % 4)};
        const struct draft_ask ask = fake_ask(&f, 1, RULE_MULTI, 1 + (int)(s % 4));
        const struct game g = {&f, &ask};
        static struct tree empty;
        const double one[TREE_MAX + 1] = {1};
        tree_clear(&empty);
        const double best = best_play(&g, &empty, one, one, ask.max_entries), got = play_of_builder(&f, &ask);
        if (fabs(best - got) > 1e-5) /* confidences are floats */
            fail_msg("model %d, %d draws: %.6f where %.6f is possible", (int)s, ask.max_entries, got, best);
        least = fmax(least, best);
    }
    assert_true(least > 1);
    tree_build_close(build);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_law), cmocka_unit_test(test_planted),
                                       cmocka_unit_test(test_dyspec_is_best)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
