/* Trees that are built out of a drafter's laws, against all trees there are: EAGLE-2 keeps the best set of its
 * candidates, OPT-Tree and DySpec (byte rules) have the largest expected length of any tree of their size, Sequoia's
 * table the best of all shapes; drawn trees are what drawing one by one gives; static trees are what their files say.
 * Budgets, depth, stops, batches and passes that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "draft/tree_sequoia.h"
#include "support/draft_rig.h"
#include "support/fake_laws.h"

static const uint64_t seed = 20261129;
static struct tree t, other; /* 100 KB each */

static struct fake_laws fake(uint64_t s, int v)
{
    return (struct fake_laws){.seed = seed + s * 1000003, .n_vocab = v, .sharp = 1 + (double)(s % 5)};
}

static struct tree_build *open_build(const struct tree_policy *policy, const struct tree_opts *o, int n_vocab)
{
    struct tree_build *b = NULL;
    struct otr_err err = {0};
    if (tree_build_open(&b, policy, o, 8, n_vocab, NULL, &err) < 0)
        fail_msg("%s: %s", policy->name, err.msg);
    return b;
}

/* One tree. */
static void build(const struct tree_policy *policy, const struct tree_opts *o, struct fake_laws *f,
                  const struct draft_ask *ask, struct tree *out)
{
    struct tree_build *b = open_build(policy, o, f->n_vocab);
    struct otr_err err = {0};
    f->n_more = 0;
    tree_clear(out);
    assert_int_equal(tree_build_run(b, &fake_source, f, ask, 1, out), OTR_OK);
    if (tree_check(out, f->n_vocab, ask->max_entries, &err) < 0)
        fail_msg("%s: %s", policy->name, err.msg);
    tree_build_close(b);
}

static int path_of(const struct tree *x, int entry, int32_t *path)
{
    const int n = tree_depth(x, entry);
    for (int i = n; i > 0; entry = x->entry[entry].parent)
        path[--i] = x->entry[entry].token;
    return n;
}

/* The drafter's chance of a path, from the laws themselves. */
static double chance_of(const struct fake_laws *f, const struct draft_ask *ask, const int32_t *path, int n)
{
    double x = 1, p[FAKE_V];
    for (int i = 0; i < n; i++) {
        fake_law(f, ask, path, i, p);
        x *= p[path[i]];
    }
    return x;
}

static double expected_length(const struct fake_laws *f, const struct draft_ask *ask, const struct tree *x)
{
    double sum = 0;
    int32_t path[TREE_MAX];
    for (int e = 0; e < x->n; e++)
        sum += chance_of(f, ask, path, path_of(x, e, path));
    return sum;
}

/* ---- all sets of nodes ---- */

struct cand {
    int parent, depth;
    double reach;
    int32_t path[TREE_MAX];
};
struct cands {
    int n;
    struct cand c[1500];
};

/* The most that a set of at most `left` more nodes with indices from `at` on can bring; parents in the set. */
static double best_set(const struct cands *k, bool *in, int at, int left)
{
    double best = 0;
    if (left == 0)
        return 0;
    for (int i = at; i < k->n; i++) {
        if (k->c[i].parent >= 0 && !in[k->c[i].parent])
            continue;
        in[i] = true;
        best = fmax(best, k->c[i].reach + best_set(k, in, i + 1, left - 1));
        in[i] = false;
    }
    return best;
}

static double best_of(const struct cands *k, int n)
{
    bool in[1500] = {false};
    return best_set(k, in, 0, n);
}

/* Children of a candidate (parent -1: of the committed end): the top_k likeliest. */
static void add_children(const struct fake_laws *f, const struct draft_ask *ask, struct cands *k, int parent, int top_k)
{
    const struct cand root = {.reach = 1}, up = parent < 0 ? root : k->c[parent];
    double p[FAKE_V];
    bool used[FAKE_V] = {false};
    fake_law(f, ask, up.path, up.depth, p);
    for (int i = 0; i < top_k && i < f->n_vocab; i++) {
        int top = -1;
        for (int v = 0; v < f->n_vocab; v++)
            if (!used[v] && (top < 0 || p[v] > p[top]))
                top = v;
        used[top] = true;
        struct cand *c = &k->c[k->n++];
        *c = up;
        c->parent = parent;
        c->path[c->depth++] = top;
        c->reach = up.reach * p[top];
    }
}

/* EAGLE-2's candidates by its description: of every level the top_k likeliest are expanded. */
static void eagle2_cands(const struct fake_laws *f, const struct draft_ask *ask, int top_k, int depth, struct cands *k)
{
    k->n = 0;
    add_children(f, ask, k, -1, top_k);
    for (int level = 1, from = 0; level < depth; level++) {
        const int to = k->n;
        bool done[1500] = {false};
        for (int i = 0; i < top_k; i++) {
            int top = -1;
            for (int c = from; c < to; c++)
                if (!done[c] && (top < 0 || k->c[c].reach > k->c[top].reach))
                    top = c;
            if (top < 0)
                break;
            done[top] = true;
            add_children(f, ask, k, top, top_k);
        }
        from = to;
    }
}

static void all_cands(const struct fake_laws *f, const struct draft_ask *ask, int depth, struct cands *k)
{
    k->n = 0;
    add_children(f, ask, k, -1, f->n_vocab);
    for (int i = 0; i < k->n; i++)
        if (k->c[i].depth < depth)
            add_children(f, ask, k, i, f->n_vocab);
}

static void test_eagle2(void **state)
{
    (void)state;
    static struct cands k;
    int n_wide = 0;
    for (uint64_t s = 0; s < 150; s++) {
        struct fake_laws f = fake(s, 6);
        const struct tree_opts o = {.top_k = 1 + (int)(s % 3), .depth = 1 + (int)(s / 3 % 4), .nodes = 8, .gain = -1};
        const struct draft_ask ask = fake_ask(&f, 1, RULE_GREEDY, 1 + (int)(s % 10));
        const int n = ask.max_entries < 8 ? ask.max_entries : 8;
        eagle2_cands(&f, &ask, o.top_k, o.depth, &k);
        build(&tree_eagle2, &o, &f, &ask, &t);
        assert_true(t.n == (n < k.n ? n : k.n));
        const double got = expected_length(&f, &ask, &t), want = best_of(&k, n);
        if (fabs(got - want) > 1e-12)
            fail_msg("model %d: %.6f where %.6f is possible", (int)s, got, want);
        assert_true(f.n_more < o.depth);
        n_wide += !dr_is_chain(&t);
        for (int e = 0; e < t.n; e++) { /* the confidence is the chance under the parent */
            int32_t path[TREE_MAX];
            const int d = path_of(&t, e, path);
            const double c = chance_of(&f, &ask, path, d) / chance_of(&f, &ask, path, d - 1);
            assert_true(fabs(c - (double)t.entry[e].conf) < 1e-6 && t.entry[e].row == -1);
        }
    }
    assert_true(n_wide > 60);
}

/* Of all trees of their size there is none with a larger expected length. */
static void test_largest(void **state)
{
    (void)state;
    static struct cands k;
    static const struct tree_policy *const policy[] = {&tree_opt, &tree_dyspec};
    for (uint64_t s = 0; s < 120; s++) {
        struct fake_laws f = fake(s, 4);
        /* WHY deeper than five: a drawn tree may need more passes than it has levels */
        const struct tree_opts o = {.top_k = 8, .depth = s % 2 ? 31 : 5, .nodes = TREE_MAX, .gain = 0};
        const struct draft_ask ask = fake_ask(&f, 2, RULE_GREEDY, 1 + (int)(s % 5));
        all_cands(&f, &ask, 5, &k);
        build(policy[s % 2], &o, &f, &ask, &t);
        assert_int_equal(t.n, ask.max_entries);
        const double got = expected_length(&f, &ask, &t), want = best_of(&k, t.n);
        if (fabs(got - want) > 1e-12)
            fail_msg("%s, model %d: %.6f where %.6f is possible", policy[s % 2]->name, (int)s, got, want);
    }
}

/* A level more is run exactly while the sum grew by more than it has to. */
static void test_opt_stop(void **state)
{
    (void)state;
    static struct cands k;
    int stopped = 0;
    for (uint64_t s = 0; s < 100; s++) {
        struct fake_laws f = fake(s, 4);
        const bool by_ask = s % 2;
        const double gain = 0.05 * (double)(1 + s % 9);
        const struct tree_opts o = {.top_k = 4, .depth = 4, .nodes = 4, .gain = by_ask ? -1 : gain};
        struct draft_ask ask = fake_ask(&f, 3, RULE_GREEDY, 4);
        ask.level_gain = by_ask ? gain : 0.9;
        build(&tree_opt, &o, &f, &ask, &t);
        double before = 0, sum = 0;
        int levels = 1;
        for (;; levels++, before = sum) {
            all_cands(&f, &ask, levels, &k);
            sum = best_of(&k, 4);
            if (levels == 4 || sum - before <= gain)
                break;
        }
        const int last = levels; /* rows that cannot matter do not run, so a pass less is right at the end */
        assert_true(f.n_more < last && (f.n_more == last - 1 || expected_length(&f, &ask, &t) > sum - 1e-12));
        assert_true(fabs(expected_length(&f, &ask, &t) - sum) < 1e-12);
        stopped += levels < 4;
    }
    assert_true(stopped > 20 && stopped < 95);
}

/* ---- drawn: the same as one by one ---- */

/* DySpec as it is described: the node that promises most gets one more child. */
static void one_by_one(const struct fake_laws *f, const struct draft_ask *ask, int depth, struct tree *out)
{
    double reach[TREE_MAX + 1] = {1}, left[TREE_MAX + 1]; /* [0] committed end, [e + 1] entry */
    for (int i = 0; i <= TREE_MAX; i++)
        left[i] = 1;
    tree_clear(out);
    while (out->n < ask->max_entries) {
        int top = -1;
        for (int i = 0; i <= out->n; i++)
            if (tree_depth(out, i - 1) < depth && reach[i] * left[i] > 0 &&
                (top < 0 || reach[i] * left[i] > reach[top] * left[top]))
                top = i;
        if (top < 0)
            return;
        int32_t path[TREE_MAX], ids[FAKE_V];
        double p[FAKE_V];
        fake_law(f, ask, path, path_of(out, top - 1, path), p);
        for (int v = 0; v < f->n_vocab; v++)
            ids[v] = v;
        const int n_node = out->n_node, e = tree_draw(out, top - 1, ids, p, f->n_vocab, &ask->luck);
        if (e < 0) {
            left[top] = 0;
            continue;
        }
        const double conf = left[top] * (double)out->entry[e].conf;
        reach[e + 1] = out->entry[e].node < n_node ? 0 : reach[top] * conf;
        left[top] = fmax(left[top] - conf, 0);
    }
}

static void test_dyspec_draws(void **state)
{
    (void)state;
    static const enum accept_rule rule[] = {RULE_MULTI, RULE_MULTI_IID, RULE_TRAVERSAL};
    int n_wide = 0, n_more = 0, n_entries = 0;
    for (uint64_t s = 0; s < 200; s++) {
        struct fake_laws f = fake(s, 3 + (int)(s % 8));
        const struct tree_opts o = {.top_k = 1, .depth = 31, .nodes = TREE_MAX, .gain = -1};
        const struct draft_ask ask = fake_ask(&f, 4 + s, rule[s % 3], 1 + (int)(s % 31));
        build(&tree_dyspec, &o, &f, &ask, &t);
        one_by_one(&f, &ask, 31, &other);
        assert_int_equal(t.n, other.n);
        for (int e = 0; e < t.n; e++)
            if (t.entry[e].token != other.entry[e].token || t.entry[e].parent != other.entry[e].parent)
                fail_msg("model %d, entry %d: %d<%d, one by one %d<%d", (int)s, e, t.entry[e].token, t.entry[e].parent,
                         other.entry[e].token, other.entry[e].parent);
        for (int e = 0; e < t.n; e++)
            assert_true(t.entry[e].row >= 0);
        n_wide += !dr_is_chain(&t);
        n_more += f.n_more;
        n_entries += t.n;
    }
    printf("dyspec: %d trees of 200 wider than a chain; %d entries in %d passes\n", n_wide, n_entries, n_more);
    assert_true(n_wide > 150 && n_more < n_entries / 2);
}

/* Under byte rules every policy takes the children of a node in the order in which the core would draw them. */
static void test_byte_order(void **state)
{
    (void)state;
    static const struct tree_policy *const policy[] = {&tree_eagle2, &tree_opt, &tree_dyspec, &tree_sequoia};
    for (uint64_t s = 0; s < 160; s++) {
        struct fake_laws f = fake(s, 9);
        const struct tree_opts o = {.top_k = 4, .depth = 6, .nodes = TREE_MAX, .gain = 0};
        f.sharp *= s % 3 != 0; /* else all tokens are alike: the lowest id comes first */
        const struct draft_ask ask = fake_ask(&f, 4 + s, s / 4 % 2 ? RULE_GUMBEL : RULE_GREEDY, 1 + (int)(s % 31));
        build(policy[s % 4], &o, &f, &ask, &t);
        tree_clear(&other);
        for (int e = 0; e < t.n; e++) {
            int32_t path[TREE_MAX], ids[FAKE_V];
            double p[FAKE_V];
            for (int v = 0; v < f.n_vocab; v++)
                ids[v] = v;
            const int parent = t.entry[e].parent;
            fake_law(&f, &ask, path, path_of(&t, parent, path), p);
            assert_int_equal(tree_draw(&other, parent, ids, p, f.n_vocab, &ask.luck), e);
            if (other.entry[e].token != t.entry[e].token)
                fail_msg("%s, model %d, entry %d: %d, the core takes %d", policy[s % 4]->name, (int)s, e,
                         t.entry[e].token, other.entry[e].token);
        }
    }
}

/* ---- Sequoia ---- */

/* All shapes of n nodes: a node more goes under any place of the last one's path, as the next child there. */
static double best_shape(const double *p, int depth, int n, double *value, int *kids, const int *up, const int *level,
                         int at, double sum)
{
    double best = sum;
    if (n == 0)
        return best;
    for (int place = at - 1; place >= 0; place = up[place]) {
        if (level[place] >= depth || kids[place] >= TREE_KIDS)
            continue;
        int up2[9], level2[9], kids2[9];
        double value2[9];
        memcpy(up2, up, sizeof up2);
        memcpy(level2, level, sizeof level2);
        memcpy(kids2, kids, sizeof kids2);
        memcpy(value2, value, sizeof value2);
        up2[at] = place;
        level2[at] = level[place] + 1;
        kids2[at] = 0;
        value2[at] = value[place] * p[kids[place]];
        kids2[place]++;
        best = fmax(best, best_shape(p, depth, n - 1, value2, kids2, up2, level2, at + 1, sum + value2[at]));
    }
    return best;
}

static double worth_of_shape(const struct tree_shape *s, const double *p, int depth)
{
    double value[TREE_MAX], sum = 0;
    int level[TREE_MAX];
    for (int i = 0; i < s->n; i++) {
        const int up = s->parent[i];
        assert_true(up >= SHAPE_ROOT && up < i && s->rank[i] >= 0 && s->rank[i] < TREE_KIDS);
        if (s->rank[i] > 0)
            assert_true(shape_child(s, up, s->rank[i] - 1) >= 0);
        assert_int_equal(shape_child(s, up, s->rank[i]), i);
        level[i] = up < 0 ? 1 : level[up] + 1;
        assert_true(level[i] <= depth);
        sum += value[i] = (up < 0 ? 1 : value[up]) * p[(int)s->rank[i]];
    }
    return sum;
}

static void test_sequoia_table(void **state)
{
    (void)state;
    static struct sequoia q;
    uint64_t rng = seed;
    for (int i = 0; i < 40; i++) {
        double left = 1;
        for (int b = 0; b < TREE_KIDS; b++) {
            q.p[b] = left * (double)(dr_rand(&rng) >> 11) * 0x1p-53; /* falling in every other case only */
            left -= i % 2 ? 0 : q.p[b];
        }
        sequoia_table(&q);
        for (int n = 1; n <= 7; n++)
            for (int depth = 1; depth <= 4; depth++) {
                double value[9] = {1};
                int kids[9] = {0}, up[9] = {-1}, level[9] = {0};
                struct tree_shape s;
                const double want = best_shape(q.p, depth, n, value, kids, up, level, 1, 0);
                sequoia_plan(&q, n, depth, &s);
                assert_true(s.n <= n);
                if (fabs(q.best[depth][0][n] - want) > 1e-12 || fabs(worth_of_shape(&s, q.p, depth) - want) > 1e-12)
                    fail_msg("%d nodes, %d levels: table %.6f, plan %.6f, best %.6f", n, depth, q.best[depth][0][n],
                             worth_of_shape(&s, q.p, depth), want);
            }
    }
}

/* Ranks that are right with known chances: the trees become what those ask for. */
static void test_sequoia_learns(void **state)
{
    (void)state;
    static const struct {
        double first, second;
        int least_deep, most_deep;
    } cases[] = {{0.95, 0.01, 7, 8}, {0.3, 0.3, 1, 3}};
    const struct tree_opts o = {.top_k = 1, .depth = 31, .nodes = 8, .gain = -1};
    for (int c = 0; c < 2; c++) {
        struct fake_laws f = fake(7, 10);
        struct tree_build *b = open_build(&tree_sequoia, &o, f.n_vocab);
        uint64_t rng = seed;
        int deepest = 0;
        for (int i = 0; i < 400; i++) {
            const struct draft_ask ask = fake_ask(&f, (uint64_t)i, RULE_MULTI, 8);
            int path[TREE_MAX], n_path = 0;
            tree_clear(&t);
            assert_int_equal(tree_build_run(b, &fake_source, &f, &ask, 1, &t), OTR_OK);
            assert_int_equal(t.n, 8);
            for (int node = 0;;) {
                const double u = (double)(dr_rand(&rng) >> 11) * 0x1p-53;
                const int e = tree_child(&t, node, -1), e2 = e < 0 ? -1 : tree_child(&t, node, e);
                const int next = u < cases[c].first ? e : u < cases[c].first + cases[c].second ? e2 : -1;
                if (next < 0)
                    break;
                path[n_path++] = node = t.entry[next].node;
            }
            const struct draft_seen seen = {
                .event = SEEN_STEP, .tree = &t, .path = path, .n_path = n_path, .mine = true};
            tree_build_learn(b, &seen);
        }
        for (int e = 0; e < t.n; e++)
            deepest = tree_depth(&t, e) > deepest ? tree_depth(&t, e) : deepest;
        if (deepest < cases[c].least_deep || deepest > cases[c].most_deep)
            fail_msg("first %.2f, second %.2f: %d levels", cases[c].first, cases[c].second, deepest);
        tree_build_close(b);
    }
}

/* ---- static trees ---- */

static void write_shape(char *path, size_t cap, const char *text)
{
    dr_tmp_file(path, cap);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void test_medusa(void **state)
{
    (void)state;
    static const int32_t ranks[][3] = {{0}, {0, 0}, {1}, {0, 2}, {0, 2, 0}, {1, 1}};
    static const int n_ranks[] = {1, 2, 1, 2, 3, 2};
    char path[300];
    write_shape(path, sizeof path, "# a tree\n0\n0 0\n\n1\n0\t2   # the third\n0 2 0\n1 1");
    for (uint64_t s = 0; s < 60; s++) {
        struct fake_laws f = fake(s, 9);
        const struct tree_opts o = {.top_k = 1, .depth = 8, .nodes = TREE_MAX, .gain = -1, .shape = path};
        const struct draft_ask ask = fake_ask(&f, 1, RULE_MULTI, 1 + (int)(s % 8));
        build(&tree_medusa, &o, &f, &ask, &t);
        assert_int_equal(t.n, ask.max_entries < 6 ? ask.max_entries : 6);
        assert_true(f.n_more <= (t.n > 4 ? 2 : t.n > 1 ? 1 : 0));
        for (int e = 0; e < t.n; e++) {
            int32_t got[TREE_MAX];
            assert_int_equal(path_of(&t, e, got), n_ranks[e]);
            for (int d = 0; d < n_ranks[e]; d++) { /* as many tokens are likelier as the rank says */
                double p[FAKE_V];
                int above = 0;
                fake_law(&f, &ask, got, d, p);
                for (int v = 0; v < f.n_vocab; v++)
                    above += p[v] > p[got[d]];
                assert_int_equal(above, ranks[e][d]);
            }
        }
    }
    unlink(path);
}

static void test_shapes(void **state)
{
    (void)state;
    static const char *const names[] = {"even", "deep", "wide"};
    struct tree_shape s;
    struct otr_err err = {0};
    int deep[3] = {0};
    for (int i = 0; i < 3; i++) {
        static const double any[TREE_KIDS] = {1, 1, 1, 1, 1, 1, 1, 1};
        assert_int_equal(shape_read(&s, names[i], &err), OTR_OK);
        assert_int_equal(s.n, TREE_MAX);
        assert_true(worth_of_shape(&s, any, TREE_MAX) > 30.9);
        for (int k = 0; k < s.n; k++) {
            int d = 1;
            for (int up = s.parent[k]; up >= 0; up = s.parent[up])
                d++;
            deep[i] = d > deep[i] ? d : deep[i];
        }
    }
    assert_true(deep[1] > deep[0] && deep[0] > deep[2]);
    static const struct {
        const char *text, *says;
    } bad[] = {{"0\n0 x\n", "line 2): not a path of ranks"},
               {"0\n8\n", "line 2): a rank outside 0 to 7"},
               {"0\n-1\n", "line 2): a rank outside 0 to 7"},
               {"0\n1 0\n", "line 2): a path whose parent is not on a line before it"},
               {"0\n0 0\n0\n", "line 3): a path that was there before"},
               {"# nothing\n", "no path of ranks in it"},
               {"0\n0 99999999999999999999\n", "line 2): a rank outside 0 to 7"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[300];
        write_shape(path, sizeof path, bad[i].text);
        assert_int_equal(shape_read(&s, path, &err), OTR_E_FORMAT);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("'%s' does not say '%s'", err.msg, bad[i].says);
        unlink(path);
    }
    char path[300], text[2000] = "# ";
    memset(text + 2, 'x', 600);
    text[602] = '\n';
    write_shape(path, sizeof path, text);
    assert_int_equal(shape_read(&s, path, &err), OTR_E_FORMAT);
    assert_non_null(strstr(err.msg, "line 1): a line of more than 500 bytes"));
    unlink(path);
    text[0] = 0;
    for (int i = 0; i < 4; i++)
        for (int k = -1; k < 8; k++)
            snprintf(text + strlen(text), 16, k < 0 ? "%d\n" : "%d %d\n", i, k);
    write_shape(path, sizeof path, text);
    assert_int_equal(shape_read(&s, path, &err), OTR_E_FORMAT);
    assert_non_null(strstr(err.msg, "more than 31 paths"));
    unlink(path);
    assert_int_equal(shape_read(&s, "nowhere/to be found", &err), OTR_E_IO);
    assert_non_null(strstr(err.msg, "is no file, nor even, deep or wide"));
}

/* ---- limits ---- */

static const struct tree_policy *const all[] = {&tree_eagle2, &tree_opt, &tree_dyspec, &tree_sequoia, &tree_medusa};
static const enum accept_rule rules[] = {RULE_GREEDY,    RULE_GUMBEL,    RULE_MULTI,
                                         RULE_MULTI_IID, RULE_TRAVERSAL, RULE_TYPICAL};

/* A batch gives what each gives alone; budgets and depths are kept; no row runs twice; a pass that fails leaves a sound
 * tree. */
static void test_limits(void **state)
{
    (void)state;
    static struct tree many[3];
    long n_cut = 0;
    for (uint64_t s = 0; s < 300; s++) {
        const struct tree_policy *policy = all[s % 5];
        struct fake_laws f = fake(s, 2 + (int)(s % 10));
        const struct tree_opts o = {
            .top_k = 1 + (int)(s % 8), .depth = 1 + (int)(s / 5 % 12), .nodes = 1 + (int)(s * 7 % 31), .gain = -1};
        struct draft_ask ask[3];
        struct tree_build *b = open_build(policy, &o, f.n_vocab);
        for (int i = 0; i < 3; i++) {
            ask[i] = fake_ask(&f, s * 3 + (uint64_t)i, rules[s % 6], (int)(s * 5 + (uint64_t)i * 11) % 32);
            ask[i].max_depth = (int)(s % 4) * i;
            tree_clear(&many[i]);
        }
        f.no_room = s % 10 == 9 ? 2 : 0;
        assert_int_equal(tree_build_run(b, &fake_source, &f, ask, 3, many), OTR_OK);
        for (int i = 0; i < f.n_row; i++)
            for (int k = 0; k < i; k++)
                assert_false(f.row[i].ask == f.row[k].ask && f.row[i].parent == f.row[k].parent &&
                             f.row[i].token == f.row[k].token);
        for (int i = 0; i < 3; i++) {
            struct fake_laws alone = f;
            alone.no_room = f.no_room == i + 1;
            build(policy, &o, &alone, &ask[i], &t);
            assert_true(dr_same_tree(&t, &many[i]));
            assert_true(t.n <= o.nodes && t.n <= ask[i].max_entries && (t.n == 0 || f.no_room != i + 1));
            for (int e = 0; e < t.n; e++)
                assert_true(tree_depth(&t, e) <= o.depth &&
                            (ask[i].max_depth == 0 || tree_depth(&t, e) <= ask[i].max_depth));
            alone.fail_at = 1 + (int)(s % 3);
            build(policy, &o, &alone, &ask[i], &other);
            assert_true(other.n <= t.n);
            n_cut += other.n > 0 && !dr_same_tree(&t, &other);
        }
        tree_build_close(b);
    }
    assert_true(n_cut > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eagle2),         cmocka_unit_test(test_largest),    cmocka_unit_test(test_opt_stop),
        cmocka_unit_test(test_dyspec_draws),   cmocka_unit_test(test_byte_order), cmocka_unit_test(test_sequoia_table),
        cmocka_unit_test(test_sequoia_learns), cmocka_unit_test(test_medusa),     cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
