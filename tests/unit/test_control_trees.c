/* The controller's plans for drafters that write trees, on simulated machines: what the best trees promise, against
 * Sequoia's program; entries and levels near the best fixed plan in hindsight, whatever a level and a row cost and
 * however often second children are right; a chain where width does not pay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/control_priv.h"
#include "draft/tree_sequoia.h"
#include "support/draft_rig.h"
#include "support/fewer.h"

static const uint64_t seed = 20261129;
static const struct ctl_drafter drafter = {.name = "tree", .draws = true, .runs = true, .trees = true};

static double unit(uint64_t *rng)
{
    return (double)(dr_rand(rng) >> 11) * 0x1p-53;
}

/* ---- what the best trees promise ---- */

static void test_best_trees(void **state)
{
    (void)state;
    static struct sequoia q;
    uint64_t rng = seed;
    for (int i = 0; i < 30; i++) {
        struct acceptance a = {.rank = {{100, (float)(100 * unit(&rng))}}};
        double sum[TREE_MAX + 1];
        int deep[TREE_MAX + 1];
        for (int r = 1; r < AC_RANK; r++) {
            a.rank[r].tried = (float)dr_below(&rng, 200);
            a.rank[r].right = a.rank[r].tried * (float)unit(&rng) / (float)r;
        }
        const int kids = ac_best_trees(&a, 1, TREE_MAX, sum, deep);
        assert_int_equal(kids, AC_RANK);
        for (int r = 0; r < AC_RANK; r++) { /* of one level: the chances themselves */
            q.p[r] = sum[r + 1] - sum[r];
            assert_true(r == 0 || q.p[r] <= q.p[r - 1] + 1e-12);
        }
        assert_true(fabs(q.p[0] - ac_chance_at(&a, 1)) < 1e-12);
        sequoia_table(&q);
        for (int depth = 1; depth <= TREE_MAX; depth += depth < 6 ? 1 : 5) {
            const int n = ac_best_trees(&a, depth, TREE_MAX, sum, deep);
            assert_true(n == TREE_MAX || depth == 1);
            for (int k = 1; k <= n; k++) {
                if (fabs(sum[k] - q.best[depth][0][k]) > 1e-9)
                    fail_msg("%d entries, %d levels: %.6f, by the program %.6f", k, depth, sum[k], q.best[depth][0][k]);
                assert_true(deep[k] >= deep[k - 1] && deep[k] <= depth);
            }
        }
    }
}

/* A tree that ran says which ranks are right; the first children's chances are as of a chain. */
static void test_ranks(void **state)
{
    (void)state;
    static struct tree t;
    struct acceptance a = {0};
    double sum[TREE_MAX + 1];
    int deep[TREE_MAX + 1];
    uint64_t rng = seed;
    for (int i = 0; i < 300; i++) {
        tree_clear(&t);
        for (int k = 0; k < 3; k++)
            tree_add(&t, TREE_ROOT, k, NAN, 10);
        const double u = unit(&rng);
        const int node = u < 0.5 ? 1 : u < 0.7 ? 2 : u < 0.75 ? 3 : 0;
        ac_see_path(&a, &t, &node, node > 0, true);
    }
    ac_best_trees(&a, 1, TREE_MAX, sum, deep);
    assert_true(fabs(sum[1] - 0.5) < 0.12 && fabs(sum[2] - sum[1] - 0.2) < 0.1 && fabs(sum[3] - sum[2] - 0.05) < 0.06);
    assert_true(fabs(ac_chance_at(&a, 1) - sum[1]) < 1e-12);
}

/* Where later siblings are never right, the best trees are chains: products of the chances by depth. */
static void test_depths(void **state)
{
    (void)state;
    struct acceptance a = {.rank = {{100, 50}}};
    double sum[TREE_MAX + 1], reach = 1, want = 0;
    int deep[TREE_MAX + 1];
    for (int r = 1; r < AC_RANK; r++)
        a.rank[r].tried = 1e6f;
    for (int d = 0; d < AC_DEPTH; d++)
        a.depth[d] = (struct ac_count){1000, 900.0f - 100.0f * (float)d};
    ac_best_trees(&a, 6, 6, sum, deep);
    for (int d = 1; d <= 6; d++) {
        want += reach *= ac_chance_at(&a, d);
        assert_true(fabs(sum[d] - want) < 1e-12 && deep[d] == d);
    }
}

/* ---- machines ---- */

struct machine {
    double level_ms, more; /* a level of the drafter; a row more, as a share of a pass of 10 ms */
    double p[TREE_KIDS];
};

static double pass_ms(const struct machine *m, int rows)
{
    return 10 * (1 + m->more * (rows - 1));
}

/* The tree of the drafter: the best of n places in so many levels, by ranks. */
static void draft(const struct machine *m, int n, int levels, struct tree *t)
{
    struct {
        int parent, rank, depth;
        double worth, above;
    } open[TREE_MAX * 2 + 1] = {{TREE_ROOT, 0, 1, m->p[0], 1}};
    int n_open = 1;
    tree_clear(t);
    while (t->n < n && n_open > 0) {
        int top = 0;
        for (int i = 1; i < n_open; i++)
            top = open[i].worth > open[top].worth ? i : top;
        const int parent = open[top].parent, rank = open[top].rank, depth = open[top].depth;
        const double worth = open[top].worth, above = open[top].above;
        const int e = tree_add(t, parent, rank, NAN, TREE_KIDS);
        open[top] = open[--n_open];
        if (rank + 1 < TREE_KIDS && m->p[rank + 1] > 0) {
            open[n_open].parent = parent;
            open[n_open].rank = rank + 1;
            open[n_open].depth = depth;
            open[n_open].above = above;
            open[n_open++].worth = above * m->p[rank + 1];
        }
        if (depth < levels) {
            open[n_open].parent = e;
            open[n_open].rank = 0;
            open[n_open].depth = depth + 1;
            open[n_open].above = worth;
            open[n_open++].worth = worth * m->p[0];
        }
    }
}

static double expected(const struct machine *m, const struct tree *t)
{
    double reach[TREE_MAX], sum = 0;
    for (int e = 0; e < t->n; e++) {
        const int up = t->entry[e].parent;
        sum += reach[e] = (up < 0 ? 1 : reach[up]) * m->p[t->entry[e].token];
    }
    return sum;
}

static int deepest(const struct tree *t)
{
    int d = 0;
    for (int e = 0; e < t->n; e++)
        d = tree_depth(t, e) > d ? tree_depth(t, e) : d;
    return d;
}

static void first_children(int n, struct tree *t)
{
    tree_clear(t);
    for (int e = 0; e < n; e++)
        tree_add(t, e - 1, 0, NAN, TREE_KIDS);
}

/* The best fixed plan: time over plain decoding's. *wide: its entries beyond its levels. */
static double best_fixed(const struct machine *m, bool chain, int *wide)
{
    static struct tree t;
    double best = 1;
    *wide = 0;
    for (int levels = 1; levels <= 16; levels++)
        for (int n = levels; n <= (chain ? levels : TREE_MAX); n++) {
            draft(m, n, levels, &t);
            if (chain)
                first_children(n, &t);
            const double x = (pass_ms(m, 1 + t.n) + m->level_ms * deepest(&t) + 0.1) / (1 + expected(m, &t)) / 10.1;
            if (x < best) {
                best = x;
                *wide = t.n - deepest(&t);
            }
        }
    return best;
}

/* n steps by the controller: time over plain decoding's. *wide: share of the last half's drafts that are no chains. */
static double simulate(const struct machine *m, int n, bool chain_only, double *wide, uint64_t run)
{
    static struct tree t;
    struct control *c;
    const struct ctl_opts o = {
        .drafter = &drafter, .n_drafter = 1, .max_entries = TREE_MAX, .min_entries = 1, .fixed_entries = -1};
    uint64_t rng = seed + run;
    double all = 0, n_tok = 0, n_draft = 0, n_wide = 0;
    assert_int_equal(control_open(&c, &o, NULL), OTR_OK);
    for (int r = 1; r <= TM_ROWS; r++)
        control_guess_time(c, r, pass_ms(m, r));
    for (int i = 0; i < n; i++) {
        struct ctl_seq s = {.ctx = 100, .room = 31, .asked = 1, .chain = chain_only};
        struct ctl_offer offer = {.drafter = -1};
        struct step_offer judged = {.drafter = -1};
        struct step_record r = {.n_seq = 1, .offer = &judged, .other_ms = 0.1};
        int path[TREE_MAX], n_path = 0, take;
        control_plan(c, &s, 1);
        if (s.asked) {
            const bool chain = chain_only || (s.narrow & 1) != 0;
            tree_clear(&t);
            if (chain)
                first_children(s.most[0], &t);
            else
                draft(m, s.most[0], s.deep[0], &t);
            assert_true(chain || (s.deep[0] > 0 && s.most[0] > s.deep[0] && s.gain[0] > 0));
            for (int node = 0, next = 1; next > 0; node = next) { /* what the text will be */
                double u = unit(&rng);
                next = -1;
                for (int k = 0; k < TREE_KIDS && next < 0; k++, u -= m->p[k - 1])
                    next = u < m->p[k] ? tree_find(&t, node, k) : -1;
                if (next > 0)
                    path[n_path++] = next;
            }
            offer = (struct ctl_offer){0, &t};
            r.asked[0] = 1;
            r.depth[0] = deepest(&t);
            r.ask_ms[0] = r.draft_ms = m->level_ms * (chain ? t.n : s.deep[0]) * (0.9 + 0.2 * unit(&rng));
            judged = (struct step_offer){.drafter = 0, .tree = &t, .n_path = n_path, .missed = true};
            n_draft += i >= n / 2;
            n_wide += i >= n / 2 && !dr_is_chain(&t);
        }
        s.law = true; /* no cut: n_path stays true */
        control_choose(c, &s, 1, &offer, &take);
        const int len = take < 0 ? 0 : t.n, kept = take < 0 ? 0 : n_path;
        memcpy(judged.path, path, sizeof path);
        const struct step_seq q = {
            .ctx = 100, .drafter = take, .tree = &t, .path = path, .n_path = kept, .n_emitted = kept + 1};
        r.seq = &q;
        r.n_rows = 1 + len;
        r.forward_ms = pass_ms(m, 1 + len) * (0.98 + 0.04 * unit(&rng));
        control_learn(c, &r);
        all += r.draft_ms + r.forward_ms + r.other_ms;
        n_tok += kept + 1;
    }
    control_close(c, NULL);
    *wide = n_draft > 0 ? n_wide / n_draft : 0;
    return all / n_tok / 10.1;
}

static void test_plans(void **state)
{
    (void)state;
    static const double level[] = {0.25, 2, 5}, more[] = {0.01, 0.05, 0.25};
    static const double p[][TREE_KIDS] = {
        {0.9, 0.02}, {0.6, 0.15, 0.06, 0.03}, {0.4, 0.25, 0.12, 0.08, 0.05, 0.03}, {0.1, 0.02}};
    int n_wide = 0, n_chain = 0;
    for (size_t i = 0; i < sizeof level / sizeof *level; i++)
        for (size_t j = 0; j < sizeof more / sizeof *more; j++)
            for (size_t k = 0; k < sizeof p / sizeof *p; k++) {
                struct machine m = {.level_ms = level[i], .more = more[j]};
                int extra;
                double wide, none;
                memcpy(m.p, p[k], sizeof m.p);
                const double best = best_fixed(&m, false, &extra),
                             got = simulate(&m, 3000, false, &wide, i * 100 + j * 10 + k),
                             chain = simulate(&m, 3000, true, &none, 7);
                printf(
                    "a level of %g ms, a row at %g, chances %g %g %g: %.3f of plain time, %.0f %% wider than a chain; "
                    "chains only %.3f; best fixed %.3f, %d beside its longest path\n",
                    m.level_ms, m.more, m.p[0], m.p[1], m.p[2], got, 100 * wide, chain, best, extra);
                int zero;
                const double best_chain = best_fixed(&m, true, &zero);
                assert_true(none == 0);
                assert_true(got < (best < 0.99 ? best * 1.08 : 1.03));
                assert_true(got < chain * 1.03);
                if (best < 0.93 * best_chain) {
                    assert_true(wide > 0.9);
                    n_wide++;
                } else if (best > 0.998 * best_chain && best < 0.95) {
                    assert_true(wide < 0.25);
                    n_chain++;
                }
            }
    assert_true(n_wide > 5 && n_chain > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_best_trees), cmocka_unit_test(test_ranks),
                                       cmocka_unit_test(test_depths), cmocka_unit_test(test_plans)};
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
