/* The controller against brute force and simulated machines: the time model, acceptance, the choice, the purse, the
 * state file. Time is simulated: nothing here is measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/control_priv.h"
#include "support/draft_rig.h"

enum { V = 1000 };
static const uint64_t seed = 20261128;

static const struct ctl_drafter drafters[] = {
    {.name = "one"}, {.name = "two"}, {.name = "draws", .draws = true}, {.name = "model", .draws = true, .runs = true}};

static struct control *open_control(int n_drafter, const char *path)
{
    struct control *c;
    struct otr_err err;
    const struct ctl_opts o = {.drafter = drafters,
                               .n_drafter = n_drafter,
                               .max_entries = TREE_MAX,
                               .min_entries = 1,
                               .fixed_entries = -1,
                               .state_path = path};
    assert_int_equal(control_open(&c, &o, &err), OTR_OK);
    return c;
}

static double unit(uint64_t *rng)
{
    return (double)(dr_rand(rng) >> 11) * 0x1p-53;
}

static void random_tree(struct tree *t, uint64_t *rng, int n)
{
    tree_clear(t);
    t->match = dr_below(rng, 40);
    for (int i = 0; i < n; i++)
        tree_add(t, dr_below(rng, t->n + 1) - 1, i, dr_below(rng, 3) ? (float)unit(rng) : NAN, V);
}

static void random_acceptance(struct acceptance *a, uint64_t *rng)
{
    static struct tree t;
    const double right = unit(rng);
    for (int i = 0; i < 300; i++) {
        random_tree(&t, rng, 1);
        ac_see(a, &t, 0, 1 + dr_below(rng, 12),
               unit(rng) < right * (isnan(t.entry[0].conf) ? 1 : 0.5 + 0.5 * (double)t.entry[0].conf));
    }
}

/* T of tiles: a step at every few rows, a slope between. */
static void random_times(struct control *c, uint64_t *rng)
{
    const int tile = 1 + dr_below(rng, 8);
    const double jump = unit(rng) * 6, slope = unit(rng) * 0.5;
    for (int r = 1; r <= TM_ROWS; r++)
        control_guess_time(c, r,
                           10 + jump * (r - 1 + tile / 2) / tile * (tile > 1) + jump * ((r - 1) / tile) + slope * r);
    c->rest_ms = unit(rng);
}

/* ---- the choice ---- */

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* sum[k]: chances of the k likeliest entries. */
static void sums(const struct acceptance *a, const struct tree *t, double *sum)
{
    double reach[TREE_MAX];
    ac_reach(a, t, reach);
    qsort(reach, (size_t)t->n, sizeof *reach, falling);
    sum[0] = 0;
    for (int i = 0; i < t->n; i++)
        sum[i + 1] = sum[i] + reach[i];
}

static double rate(const struct control *c, int n_seq, double more, int rows, int ctx)
{
    return (n_seq + more) / (control_time(c, rows, ctx) + c->rest_ms * n_seq);
}

static void test_choose_one(void **state)
{
    (void)state;
    static struct tree t, before;
    int n_none = 0, n_cut = 0;
    for (int round = 0; round < 600; round++) {
        uint64_t rng = seed + (uint64_t)round;
        struct control *c = open_control(1, NULL);
        double sum[TREE_MAX + 1], best = 0;
        const struct ctl_seq s = {.ctx = 30, .room = 31};
        int take, k = 0;
        random_times(c, &rng);
        random_acceptance(&c->st[0].accept, &rng);
        random_tree(&t, &rng, 1 + dr_below(&rng, 31));
        tree_copy(&before, &t);
        sums(&c->st[0].accept, &t, sum);
        for (int i = 0; i <= t.n; i++)
            if (rate(c, 1, sum[i], 1 + i, 30) > best * (1 + 1e-12)) {
                best = rate(c, 1, sum[i], 1 + i, 30);
                k = i;
            }
        control_choose(c, &s, 1, &(struct ctl_offer){0, &t}, &take);
        const double plain = rate(c, 1, 0, 1, 30);
        if (take < 0) {
            assert_true(best <= plain * 1.02 * (1 + 1e-9));
            n_none++;
        } else {
            double kept[TREE_MAX + 1];
            assert_true(best > plain * 1.02 * (1 - 1e-9));
            assert_int_equal(t.n, k);
            assert_int_equal(tree_check(&t, V, 31, NULL), OTR_OK);
            sums(&c->st[0].accept, &t, kept);
            assert_true(fabs(kept[k] - sum[k]) < 1e-9); /* the likeliest ones */
            n_cut += k < before.n;
        }
        control_close(c, NULL);
    }
    assert_true(n_none > 50 && n_cut > 50);
}

/* Up to three sequences: no allocation of rows beats the chosen one by more than the margin. */
static void test_choose_batch(void **state)
{
    (void)state;
    static struct tree t[3];
    int n_some = 0, n_company = 0;
    for (int round = 0; round < 500; round++) {
        uint64_t rng = seed + (uint64_t)round;
        const int n_seq = 2 + round % 2;
        struct control *c = open_control(1, NULL);
        double sum[3][TREE_MAX + 1] = {{0}}, best = 0, got = 0;
        struct ctl_seq s[3];
        struct ctl_offer offer[3];
        int take[3], rows = n_seq, n[3] = {0};
        random_times(c, &rng);
        random_acceptance(&c->st[0].accept, &rng);
        for (int i = 0; i < n_seq; i++) {
            s[i] = (struct ctl_seq){.ctx = 30, .room = 31};
            random_tree(&t[i], &rng, dr_below(&rng, 7));
            offer[i] = (struct ctl_offer){t[i].n > 0 ? 0 : -1, &t[i]};
            n[i] = t[i].n;
            sums(&c->st[0].accept, &t[i], sum[i]);
        }
        int most[3] = {0};
        for (int a = 0; a <= n[0]; a++)
            for (int b = 0; b <= n[1]; b++)
                for (int d = 0; d <= n[2]; d++) {
                    const double x = rate(c, n_seq, sum[0][a] + sum[1][b] + sum[2][d], n_seq + a + b + d, 30);
                    if (x > best) {
                        best = x;
                        memcpy(most, (int[]){a, b, d}, sizeof most);
                    }
                }
        control_choose(c, s, n_seq, offer, take);
        for (int i = 0; i < n_seq; i++)
            if (take[i] >= 0) {
                got += sum[i][t[i].n];
                rows += t[i].n;
            }
        const double chosen = rate(c, n_seq, got, rows, 30), plain = rate(c, n_seq, 0, n_seq, 30);
        if (rows == n_seq)
            assert_true(best <= plain * 1.02 * (1 + 1e-9));
        else if (chosen < best * (1 - 1e-9))
            fail_msg("round %d: %g tokens/ms with %d rows; %d + %d + %d give %g", round, chosen, rows, most[0], most[1],
                     most[2], best);
        n_some += rows > n_seq;
        n_company += rows > n_seq && chosen > plain * 1.02;
        control_close(c, NULL);
    }
    assert_true(n_some > 50 && n_company > 50);
}

/* Rows that a batch pays for anyway are used, though none of its sequences would draft alone. */
static void test_choose_tile(void **state)
{
    (void)state;
    static struct tree t[2];
    struct control *c = open_control(1, NULL);
    struct ctl_seq s[2] = {{.ctx = 30, .room = 31}, {.ctx = 30, .room = 31}};
    struct ctl_offer offer[2] = {{0, &t[0]}, {0, &t[1]}};
    int take[2];
    for (int r = 1; r <= TM_ROWS; r++)
        control_guess_time(c, r, r == 1 ? 10 : r <= 4 ? 20 : 60);
    for (int i = 0; i < 2; i++) {
        tree_clear(&t[i]);
        tree_add(&t[i], TREE_ROOT, 5, NAN, V);
    }
    control_choose(c, s, 1, offer, take);
    assert_int_equal(take[0], -1);
    control_choose(c, s, 2, offer, take);
    assert_true(take[0] == 0 && take[1] == 0 && t[0].n == 1 && t[1].n == 1);
    control_close(c, NULL);
}

/* Drawn entries of a law rule are never cut; zero is chosen where rows are dear, whatever is promised. */
static void test_choose_limits(void **state)
{
    (void)state;
    static struct tree t;
    struct control *c = open_control(3, NULL);
    struct ctl_offer offer[3] = {{-1, NULL}, {-1, NULL}, {2, &t}};
    struct ctl_seq s = {.ctx = 30, .room = 31, .law = true};
    uint64_t rng = seed;
    int take;
    for (int r = 1; r <= TM_ROWS; r++)
        control_guess_time(c, r, 10 * r);
    random_tree(&t, &rng, 9);
    control_choose(c, &s, 1, offer, &take);
    assert_true(take == 2 && t.n == 9);
    s.law = false;
    control_choose(c, &s, 1, offer, &take);
    assert_int_equal(take, -1);
    offer[0] = (struct ctl_offer){0, &t};
    for (int i = 0; i < 3; i++) /* the first of equals */
        control_guess_time(c, 1 + i, 10);
    static struct tree u;
    tree_clear(&u);
    tree_add(&u, TREE_ROOT, 1, NAN, V);
    offer[0].tree = offer[1].tree = &u;
    offer[1].drafter = 1;
    offer[2].drafter = -1;
    control_choose(c, &s, 1, offer, &take);
    assert_int_equal(take, 0);
    control_close(c, NULL);
}

/* ---- time ---- */

static void test_pace(void **state)
{
    (void)state;
    struct time_model m = {0};
    uint64_t rng = seed;
    for (int pace = 0; pace < 4; pace++) {
        const double slow = pace == 1 ? 2 : pace == 2 ? 0.7 : 1;
        for (int i = 0; i < 200; i++) {
            const int rows = i % 3 ? 1 : 5;
            tm_see(&m, rows, 100, slow * (rows == 1 ? 10 : 14) * (1 + 0.04 * (unit(&rng) - 0.5)));
        }
        assert_true(fabs(tm_time(&m, 1, 100) / (10 * slow) - 1) < 0.08);
        assert_true(fabs(tm_time(&m, 5, 100) / (14 * slow) - 1) < 0.1);
        assert_true(tm_time(&m, 3, 100) >= tm_time(&m, 1, 100) && tm_time(&m, 3, 100) <= tm_time(&m, 5, 100));
        assert_true(tm_time(&m, 1, 5000) > 0); /* a class never seen borrows */
    }
}

/* Drafting all the time says nothing of a plain pass, and must not pretend to. */
static void test_drift(void **state)
{
    (void)state;
    static const double noise[] = {0.001, 0.04, 0.3};
    for (int i = 0; i < 3; i++) {
        struct time_model m = {0};
        uint64_t rng = seed;
        for (int k = 0; k < 20; k++)
            tm_see(&m, 1, 100, 10);
        for (int k = 0; k < 10000; k++) {
            const int rows = 4 + k % 6;
            const double e = unit(&rng);
            tm_see(&m, rows, 100, (10 + 0.6 * rows) * (1 + noise[i] * e * e));
        }
        assert_true(fabs(tm_time(&m, 1, 100) / 10 - 1) < 0.11);
        assert_true(fabs(tm_time(&m, 6, 100) / (13.6 * (1 + noise[i] / 6)) - 1) < 0.12);
    }
}

/* The machine becomes slower, or faster, while every step drafts, and then itself again: within 30 passes the time of a
 * draft is right, and a plain pass is not far from it (where all drafts are as long, nothing tells the two apart). */
static void test_jump(void **state)
{
    (void)state;
    static const double slow[] = {0.5, 0.7, 1.5, 2, 3};
    enum { SETTLED = 320, LONG = 100, LEARNT = 30 };
    for (int same = 0; same < 2; same++)
        for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
            struct time_model m = {0};
            uint64_t rng = seed;
            for (int k = 0; k < SETTLED + 2 * LONG; k++) {
                const int rows = k < 20 ? 1 : same ? 5 : 4 + k % 4;
                const double pace = k >= SETTLED && k < SETTLED + LONG ? slow[i] : 1;
                tm_see(&m, rows, 100, pace * (10 + 0.6 * (rows - 1)) * (1 + 0.04 * unit(&rng)));
                if (k < SETTLED || (k - SETTLED) % LONG < LEARNT)
                    continue;
                const double plain = tm_time(&m, 1, 100) / (10 * pace), draft = tm_time(&m, 5, 100) / (12.4 * pace);
                if (fabs(draft - 1) > 0.1 || fabs(plain - 1) > (same ? 0.36 : 0.16))
                    fail_msg("pace %g, pass %d: %.3f of a plain pass, %.3f of one with a draft", slow[i], k - SETTLED,
                             plain, draft);
            }
        }
}

/* The first passes of a length fell into a slow spell. It is not given up for good: some dozen passes later it looks
 * worth a try again, and then a few say what it takes. Where it does take so long, it is left again as soon. */
static void test_slow_spell(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        struct time_model m = {0};
        const double really = slow ? 17 : 10.4;
        for (int i = 0; i < 10; i++)
            tm_see(&m, 1 + i % 2, 100, 10);
        for (int i = 0; i < 4; i++)
            tm_see(&m, 3, 100, 17);
        assert_true(tm_time(&m, 3, 100) > 13); /* four passes are not nothing */
        for (int i = 0; i < 120; i++)
            tm_see(&m, 2, 100, 10);
        assert_true(tm_time(&m, 3, 100) < 12);
        for (int i = 0; i < 3; i++)
            tm_see(&m, 3, 100, really);
        assert_true(slow ? tm_time(&m, 3, 100) > 12.5 : fabs(tm_time(&m, 3, 100) / really - 1) < 0.06);
    }
}

/* One pass on a stolen core changes no choice. */
static void test_outlier(void **state)
{
    (void)state;
    static struct tree t;
    for (int outlier = 1; outlier <= 6; outlier++) {
        struct control *c = open_control(1, NULL);
        uint64_t rng = seed;
        int kept[2], take;
        for (int i = 0; i < 600; i++) {
            const int rows = 1 + i % 8;
            tm_see(&c->time, rows, 100, (rows <= 4 ? 10 + 0.2 * rows : 20 + 0.2 * rows) * (1 + 0.02 * unit(&rng)));
        }
        for (int after = 0; after < 2; after++) {
            tree_clear(&t);
            for (int i = 0; i < 7; i++)
                tree_add(&t, i - 1, i, NAN, V);
            control_choose(c, &(struct ctl_seq){.ctx = 100, .room = 31}, 1, &(struct ctl_offer){0, &t}, &take);
            kept[after] = take < 0 ? 0 : t.n;
            tm_see(&c->time, outlier, 100, 5 * (outlier <= 4 ? 10 : 20));
        }
        assert_int_equal(kept[0], 3); /* up to the edge of the tile */
        assert_int_equal(kept[1], kept[0]);
        control_close(c, NULL);
    }
}

/* ---- acceptance ---- */

static void test_acceptance(void **state)
{
    (void)state;
    static struct acceptance a;
    static struct tree t;
    uint64_t rng = seed;
    static const double chance[2][2] = {{0.9, 0.3}, {0.1, 0.6}}; /* by time, by confidence */
    memset(&a, 0, sizeof a);
    tree_clear(&t);
    t.match = 5;
    tree_add(&t, TREE_ROOT, 1, 0.95f, V);
    tree_add(&t, TREE_ROOT, 2, 0.05f, V);
    for (int time = 0; time < 2; time++) {
        for (int i = 0; i < 400; i++)
            for (int e = 0; e < 2; e++)
                ac_see(&a, &t, e, 1, unit(&rng) < chance[time][e]);
        for (int e = 0; e < 2; e++)
            if (fabs(ac_chance(&a, &t, e, 1) - chance[time][e]) > 0.15) /* 64 draws: a standard error of 0.06 */
                fail_msg("a chance of %g is taken for %g", chance[time][e], ac_chance(&a, &t, e, 1));
        assert_true(ac_chance(&a, &t, 0, 9) > 0 && ac_chance(&a, &t, 0, 9) < 1); /* a depth never seen leans on it */
    }
}

/* Tested and not tested: a path teaches its nodes and their siblings, nothing below a refused one. */
static void test_paths(void **state)
{
    (void)state;
    static struct acceptance a;
    static struct tree t;
    tree_clear(&t);
    const int x = tree_add(&t, TREE_ROOT, 1, NAN, V), y = tree_add(&t, TREE_ROOT, 2, NAN, V),
              z = tree_add(&t, y, 3, NAN, V), u = tree_add(&t, x, 4, NAN, V);
    (void)u;
    memset(&a, 0, sizeof a);
    ac_see_path(&a, &t, (int[]){t.entry[y].node}, 1, true); /* y was right, z was not, u was never tested */
    assert_true(a.all.tried == 3 && a.all.right == 1);
    memset(&a, 0, sizeof a);
    ac_see_path(&a, &t, (int[]){t.entry[y].node}, 1, false); /* the text ended there */
    assert_true(a.all.tried == 2 && a.all.right == 1);
    memset(&a, 0, sizeof a);
    ac_see_path(&a, &t, (int[]){t.entry[y].node, t.entry[z].node}, 2, true);
    assert_true(a.all.tried == 3 && a.all.right == 2);
    memset(&a, 0, sizeof a);
    ac_see_path(&a, &t, NULL, 0, true);
    assert_true(a.all.tried == 2 && a.all.right == 0);
}

/* A new text: what one class loses lowers the hopes of all, and comes back with what is right. Chances never rise above
 * what a class itself says. */
static void test_new_text(void **state)
{
    (void)state;
    static struct acceptance a;
    static struct tree sure, vague;
    uint64_t rng = seed;
    tree_clear(&sure);
    sure.match = 20;
    tree_add(&sure, TREE_ROOT, 1, NAN, V);
    tree_clear(&vague);
    vague.match = 1;
    tree_add(&vague, TREE_ROOT, 1, NAN, V);
    memset(&a, 0, sizeof a);
    for (int i = 0; i < 500; i++) {
        ac_see(&a, &sure, 0, 1, unit(&rng) < 0.9);
        ac_see(&a, &vague, 0, 1, unit(&rng) < 0.5);
    }
    const double before = ac_chance(&a, &sure, 0, 1);
    assert_true(before > 0.7 && before < 0.95);
    for (int i = 0; i < 8; i++)
        ac_see(&a, &vague, 0, 1, false);
    const double after = ac_chance(&a, &sure, 0, 1);
    assert_true(after < 0.9 * before);
    for (int i = 0; i < 60; i++)
        ac_see(&a, &vague, 0, 1, true);
    const double again = ac_chance(&a, &sure, 0, 1);
    assert_true(again > 0.9 * before && again < 0.95);
}

/* ---- the purse ---- */

struct machine {
    double ask_ms, right; /* of each drafter: ms of a proposal, chance of each entry */
};
struct times {
    double more;   /* a row more, of a plain pass's 10 ms */
    bool guessed;  /* known from a file */
    double prompt; /* a prompt's row, of what a row of a draft takes; 0: no prompt */
    uint64_t run;  /* another one, with other luck */
};
static const struct times usual = {.more = 0.06, .guessed = true};

/* n steps of one sequence; the share of time over plain decoding's, and how often each drafter was asked. */
static double simulate(const struct machine *d, int n_d, const struct times *m, int n, long *asked)
{
    static struct tree t[2];
    struct control *c = open_control(n_d, NULL);
    uint64_t rng = seed + m->run;
    double all = 0, n_tok = 0;
    memset(asked, 0, (size_t)n_d * sizeof *asked);
    for (int r = 1; r <= TM_ROWS && m->guessed; r++)
        control_guess_time(c, r, 10 * (1 + m->more * (r - 1)));
    if (m->prompt > 0)
        control_see_prompt(c, 40, 10 * (1 + 39 * m->prompt * m->more), 1);
    for (int i = 0; i < n; i++) {
        struct ctl_seq s = {.ctx = 100, .room = 31, .asked = (1u << n_d) - 1};
        struct ctl_offer offer[2];
        struct step_offer judged[2];
        struct step_record r = {.n_seq = 1, .offer = judged, .other_ms = 0.1};
        int right[2] = {0}, path[2][TREE_MAX], take;
        control_plan(c, &s, 1);
        for (int k = 0; k < n_d; k++) {
            offer[k].drafter = s.asked >> k & 1 ? k : -1;
            judged[k] = (struct step_offer){.drafter = -1};
            if (offer[k].drafter < 0)
                continue;
            asked[k]++;
            r.asked[k] = 1;
            r.ask_ms[k] = d[k].ask_ms;
            r.draft_ms += d[k].ask_ms;
            tree_clear(&t[k]);
            t[k].match = dr_below(&rng, 10);
            for (int e = 0; e < s.budget && e < 8; e++)
                tree_add(&t[k], e - 1, e, NAN, V);
            while (right[k] < t[k].n && unit(&rng) < d[k].right)
                right[k]++;
            for (int e = 0; e < right[k]; e++)
                path[k][e] = judged[k].path[e] = e + 1;
            offer[k].tree = &t[k];
            judged[k] = (struct step_offer){.drafter = k, .tree = &t[k]};
        }
        control_choose(c, &s, 1, offer, &take);
        const int len = take < 0 ? 0 : t[take].n, kept = take < 0 ? 0 : right[take] < len ? right[take] : len;
        for (int k = 0; k < n_d; k++) { /* judged by the text that was emitted anyway */
            judged[k].n_path = right[k] < kept + 1 ? right[k] : kept + 1;
            for (int e = 0; e < judged[k].n_path; e++)
                judged[k].path[e] = e + 1;
            judged[k].missed = judged[k].n_path < kept + 1;
        }
        const struct step_seq q = {.ctx = 100,
                                   .drafter = take,
                                   .tree = take < 0 ? NULL : &t[take],
                                   .path = take < 0 ? NULL : path[take],
                                   .n_path = kept,
                                   .n_emitted = kept + 1};
        r.seq = &q;
        r.n_rows = 1 + len;
        r.forward_ms = 10 * (1 + m->more * len) * (0.98 + 0.04 * unit(&rng));
        control_learn(c, &r);
        all += r.draft_ms + r.forward_ms + r.other_ms;
        n_tok += kept + 1;
    }
    control_close(c, NULL);
    return all / n_tok / 10.1;
}

static void test_purse(void **state)
{
    (void)state;
    static const double cost[] = {0.01, 0.1, 1, 10, 50};
    enum { N = 10000 };
    for (size_t i = 0; i < sizeof cost / sizeof *cost; i++) {
        const struct machine m[] = {{cost[i], 0}, {0.05, 0.8}};
        long asked[2];
        const double useless = simulate(m, 1, &usual, N, asked);
        printf("a drafter of %g ms that never helps: asked %ld times in %d, %.4f of plain time\n", cost[i], asked[0], N,
               useless);
        assert_true(useless <= 1.02);
        const double both = simulate(m, 2, &usual, N, asked);
        printf("  beside one that is right with 0.8: %.4f; that one asked %ld times\n", both, asked[1]);
        assert_int_equal(asked[1], N);
        assert_true(both < 0.5);
    }
    const struct machine dear = {9, 0.9}; /* one pass saves several times its price */
    long asked;
    const double paid = simulate(&dear, 1, &usual, N, &asked);
    printf("a drafter of %g ms that is right with %g: asked %ld times in %d, %.4f of plain time\n", dear.ask_ms,
           dear.right, asked, N, paid);
    assert_true(paid < 0.7);
    assert_int_equal(asked, N);
}

/* ---- drafters that run a model ---- */

struct model { /* ms of a level, of catching up with a prompt; chance of each entry */
    double level_ms, prepare_ms, right;
};

/* n steps that draft with a model, by the controller (drafter 3 of the list) or always `fixed` entries (>= 0); the time
 * over plain decoding's. asked: steps that drafted; entries: drafted in all. */
static double simulate_model(const struct model *m, double more, int fixed, int n, long *asked, long *entries)
{
    static struct tree t;
    struct control *c;
    const struct ctl_opts o = {.drafter = drafters + 3,
                               .n_drafter = 1,
                               .max_entries = TREE_MAX,
                               .min_entries = 1,
                               .fixed_entries = fixed > 0 ? fixed : -1};
    uint64_t rng = seed;
    double all = 0, n_tok = 0;
    *asked = *entries = 0;
    assert_int_equal(control_open(&c, &o, NULL), OTR_OK);
    for (int r = 1; r <= TM_ROWS; r++)
        control_guess_time(c, r, 10 * (1 + more * (r - 1)));
    for (int i = 0; i < n; i++) {
        struct ctl_seq s = {.ctx = 100, .room = 31, .asked = fixed != 0};
        struct ctl_offer offer = {.drafter = -1};
        struct step_offer judged = {.drafter = -1};
        struct step_record r = {.n_seq = 1, .offer = &judged, .other_ms = 0.1};
        int right = 0, path[TREE_MAX], take;
        control_plan(c, &s, 1);
        control_narrow(c, &s, 1, &offer);
        if (s.asked) {
            tree_clear(&t);
            for (int e = 0; e < s.most[0]; e++)
                tree_add(&t, e - 1, e, NAN, V);
            while (right < t.n && unit(&rng) < m->right)
                right++;
            *asked += 1;
            *entries += t.n;
            offer = (struct ctl_offer){0, &t};
            judged = (struct step_offer){.drafter = 0, .tree = &t};
            r.asked[0] = 1;
            r.depth[0] = t.n;
            r.ask_ms[0] = m->level_ms * t.n * (0.9 + 0.2 * unit(&rng));
            r.prepare_ms[0] = *asked == 1 ? m->prepare_ms : 0;
            r.draft_ms = r.ask_ms[0] + r.prepare_ms[0];
        }
        control_choose(c, &s, 1, &offer, &take);
        const int len = take < 0 ? 0 : t.n, kept = right < len ? right : len;
        for (int e = 0; e < TREE_MAX; e++)
            path[e] = judged.path[e] = e + 1;
        judged.n_path = right < kept + 1 ? right : kept + 1;
        judged.missed = judged.n_path < kept + 1;
        const struct step_seq q = {
            .ctx = 100, .drafter = take, .tree = &t, .path = path, .n_path = kept, .n_emitted = kept + 1};
        r.seq = &q;
        r.n_rows = 1 + len;
        r.forward_ms = 10 * (1 + more * len) * (0.98 + 0.04 * unit(&rng));
        control_learn(c, &r);
        all += r.draft_ms + r.forward_ms + r.other_ms;
        n_tok += kept + 1;
    }
    control_close(c, NULL);
    return all / n_tok / 10.1;
}

/* Near the best fixed length in hindsight, whatever a level costs and is worth; and where no length pays, a share. */
static void test_model_lengths(void **state)
{
    (void)state;
    static const double level[] = {0.25, 1, 2.5, 6, 11}, right[] = {0.2, 0.5, 0.8, 0.95}, more[] = {0.03, 0.15};
    enum { N = 3000, LONGEST = 12 };
    for (size_t i = 0; i < sizeof level / sizeof *level; i++)
        for (size_t k = 0; k < sizeof right / sizeof *right; k++)
            for (size_t j = 0; j < sizeof more / sizeof *more; j++) {
                const struct model m = {level[i], 200, right[k]};
                double best = 1;
                long asked, entries;
                int len = 0;
                for (int f = 1; f <= LONGEST; f++) {
                    const double x = simulate_model(&m, more[j], f, N, &asked, &entries);
                    len = x < best ? f : len;
                    best = x < best ? x : best;
                }
                const double got = simulate_model(&m, more[j], -1, N, &asked, &entries);
                printf("a level of %g ms, chance %g, a row at %g: %.3f of plain time, %ld entries in %ld of %d steps; "
                       "always %d: %.3f\n",
                       level[i], right[k], more[j], got, entries, asked, N, len, best);
                assert_true(got < (len > 0 ? best * 1.06 : 1.03));
            }
}

/* How many entries a model of that size is asked for at the second step of a reply: rows take what they take, alone. */
static int first_draft(double row, double prompt, int behind, int left)
{
    const struct ctl_drafter model = {.name = "m", .draws = true, .runs = true, .row = row, .prompt = prompt};
    struct control *c;
    const struct ctl_opts o = {
        .drafter = &model, .n_drafter = 1, .max_entries = TREE_MAX, .min_entries = 1, .fixed_entries = -1};
    assert_int_equal(control_open(&c, &o, NULL), OTR_OK);
    for (int rows = 1; rows <= TREE_MAX + 1; rows++)
        control_guess_time(c, rows, 4 + 0.2 * (rows - 1));
    control_see_prompt(c, 100, 100, 1);
    struct ctl_seq q = {.ctx = 600, .room = TREE_MAX, .left = left, .behind = {behind}, .asked = 1};
    control_plan(c, &q, 1);
    control_close(c, NULL);
    return q.asked & 1 ? q.most[0] : 0;
}

/* Before anything is measured: a model that cannot pay is not run, nor does one read a prompt that costs more than the
 * reply can save. */
static void test_catching_up(void **state)
{
    (void)state;
    assert_true(first_draft(0.1, 0.1, 500, 200) > 0);
    assert_true(first_draft(0.1, 0.1, 500, 1000000) > 0);
    assert_int_equal(first_draft(0.95, 1, 500, 200), 0); /* as large as the target */
    assert_int_equal(first_draft(2, 2, 500, 200), 0);
    assert_int_equal(first_draft(0.1, 1, 4000, 10), 0); /* 4 s of reading for 10 tokens of 4 ms */
    assert_int_equal(first_draft(0.1, 0.1, 500, 5), 0);
    assert_true(first_draft(0.1, 1, 20, 10) > 0); /* nearly there */
    assert_true(first_draft(0, 0, 500, 200) > 0); /* nothing known: it is tried */
}

/* What a draft costs, from noisy calls of several depths; one stolen core changes little. */
static void test_draft_cost(void **state)
{
    (void)state;
    struct draft_cost c = {0};
    uint64_t rng = seed;
    assert_true(dc_ms(&c, 5) == 0);
    dc_see(&c, 3, 6);
    assert_true(fabs(dc_ms(&c, 6) - 12) < 1e-9); /* all of it grows, as far as one call says */
    for (int i = 0; i < 200; i++) {
        const int depth = 1 + dr_below(&rng, 12);
        dc_see(&c, depth, (1 + 2 * depth) * (0.95 + 0.1 * unit(&rng)));
    }
    assert_true(fabs(dc_ms(&c, 10) - 21) < 1.5 && fabs(dc_ms(&c, 1) - 3) < 1);
    const double before = dc_ms(&c, 10);
    dc_see(&c, 10, 1000);
    assert_true(dc_ms(&c, 10) < before * 1.3);
}

/* A machine of which nothing is known: a prompt and real passes teach it, for little more than if all was known. */
static void test_new_machine(void **state)
{
    (void)state;
    static const double more[] = {0.02, 0.06, 0.2, 0.5, 1}, right[] = {0, 0.3, 0.6, 0.9};
    enum { RUNS = 16, STEPS = 60 };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        for (size_t k = 0; k < sizeof right / sizeof *right; k++) {
            const struct machine d = {0.01, right[k]};
            double known = 0, cold = 0;
            for (uint64_t run = 0; run < RUNS; run++) {
                long asked;
                known += simulate(&d, 1, &(struct times){more[i], true, 0, run}, STEPS, &asked) / RUNS;
                cold += simulate(&d, 1, &(struct times){more[i], false, 0.7, run}, STEPS, &asked) / RUNS;
            }
            printf("a row more at %g of a pass, chance %g: %.3f of plain time; a new machine %.3f\n", more[i], right[k],
                   known, cold);
            assert_true(cold < known * 1.03);
        }
}

/* ---- the state file ---- */

static void test_state(void **state)
{
    (void)state;
    static struct tree t;
    char path[256];
    uint64_t rng = seed;
    struct otr_err err;
    dr_tmp_file(path, sizeof path);
    unlink(path);
    struct control *a = open_control(2, path); /* no file: priors */
    for (int i = 0; i < 500; i++)
        tm_see(&a->time, 1 + i % 20, 100 * (1 + i % 3), 10 + 0.3 * (i % 20));
    random_acceptance(&a->st[1].accept, &rng);
    a->st[1].catch_ms = 0.75;
    static struct control was;
    was = *a;
    was.st[1].accept.hoped = was.st[1].accept.came = 0; /* of one text, not kept */
    assert_int_equal(control_close(a, &err), OTR_OK);
    struct control *b = open_control(2, path);
    for (int r = 1; r <= 30; r++) /* optimism about what is old is not kept */
        assert_true(fabs(control_time(b, r, 100) / control_time(&was, r, 100) - 1) < 0.12);
    assert_true(fabs(control_time(b, 1, 100) / control_time(&was, 1, 100) - 1) < 1e-4);
    assert_true(b->st[1].catch_ms == 0.75 && b->st[0].catch_ms == 0);
    for (int i = 0; i < 50; i++) {
        random_tree(&t, &rng, 1);
        for (int d = 0; d < 2; d++)
            assert_true(fabs(ac_chance(&b->st[d].accept, &t, 0, 1 + i % 9) -
                             ac_chance(&was.st[d].accept, &t, 0, 1 + i % 9)) < 1e-4);
    }
    control_close(b, NULL);
    b = open_control(2, "/none/at/all");
    assert_int_equal(control_close(b, &err), OTR_E_IO);
    assert_non_null(strstr(err.msg, "/none/at/all"));
    unlink(path);
}

/* Any bytes: what is read is sound, and choices can be made of it. */
static void test_hostile_state(void **state)
{
    (void)state;
    static const char *const words[] = {"pace",        "rows",   "ask", "all", "class", "leaf", "one", "two", "zebra",
                                        "catch",       "-1",     "0",   "1",   "1e99",  "nan",  "inf", "-0",  "3.5",
                                        "99999999999", "-1e300", "7",   "96",  "97",    "\n",   "\n",  "%s",  "0x1p3"};
    static struct tree t;
    char path[256];
    dr_tmp_file(path, sizeof path);
    for (int round = 0; round < 400; round++) {
        uint64_t rng = seed + (uint64_t)round;
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        if (round % 8)
            fputs("outrider-control 1\n", f);
        for (int i = 0; i < 400; i++)
            if (round % 16 == 9)
                fputc(dr_below(&rng, 256), f);
            else
                fprintf(f, "%s ", words[dr_below(&rng, sizeof words / sizeof *words)]);
        fclose(f);
        struct control *c = open_control(2, path);
        for (int r = 1; r <= TM_ROWS; r++)
            for (int ctx = 1; ctx < 100000; ctx *= 3) {
                const double ms = control_time(c, r, ctx);
                assert_true(ms >= 0 && ms < 1e12);
            }
        for (int d = 0; d < 2; d++)
            for (int i = 0; i < 20; i++) {
                random_tree(&t, &rng, 1);
                const double p = ac_chance(&c->st[d].accept, &t, 0, 1 + i);
                assert_true(p >= 0 && p <= 1);
            }
        if (control_time(c, 1, 1) > 0) {
            int take;
            random_tree(&t, &rng, 9);
            const struct ctl_offer offer[2] = {{0, &t}, {-1, NULL}};
            control_choose(c, &(struct ctl_seq){.ctx = 1, .room = 31}, 1, offer, &take);
        }
        unlink(path); /* so that closing makes it anew */
        control_close(c, NULL);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose_one),    cmocka_unit_test(test_choose_batch), cmocka_unit_test(test_choose_tile),
        cmocka_unit_test(test_choose_limits), cmocka_unit_test(test_pace),         cmocka_unit_test(test_drift),
        cmocka_unit_test(test_jump),          cmocka_unit_test(test_outlier),      cmocka_unit_test(test_acceptance),
        cmocka_unit_test(test_paths),         cmocka_unit_test(test_slow_spell),   cmocka_unit_test(test_purse),
        cmocka_unit_test(test_model_lengths), cmocka_unit_test(test_draft_cost),   cmocka_unit_test(test_catching_up),
        cmocka_unit_test(test_new_machine),   cmocka_unit_test(test_state),        cmocka_unit_test(test_hostile_state),
        cmocka_unit_test(test_new_text),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
