/* The controller and a drafter that works beside the pass, on threads that the target lends it: on a simulated machine
 * where every pass with it takes longer by a factor. It is left where that costs more than its drafts bring, kept where
 * they bring more, and taken up again when the text or the machine changes. Time is simulated: nothing is measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/control_priv.h"
#include "support/draft_rig.h"

enum { V = 1000, N_STEP = 6000 };
static const uint64_t seed = 20261129;

struct beside {
    double lent, hit, right; /* times as long; chance that the outcome was prepared for; of each entry */
};

static double unit(uint64_t *rng)
{
    return (double)(dr_rand(rng) >> 11) * 0x1p-53;
}

struct sim {
    struct control *c;
    uint64_t rng;
    bool always;    /* asked at every step, whatever the controller says */
    bool was_asked; /* in the step before: what comes now may be prepared */
    long asked;
    double pace; /* ms of a plain pass */
};

static void sim_open(struct sim *s, bool always)
{
    static const struct ctl_drafter drafter = {.name = "async", .beside = true};
    const struct ctl_opts o = {
        .drafter = &drafter, .n_drafter = 1, .max_entries = TREE_MAX, .min_entries = 1, .fixed_entries = -1};
    *s = (struct sim){.rng = seed, .always = always, .pace = 10};
    assert_int_equal(control_open(&s->c, &o, NULL), OTR_OK);
    control_see_prompt(s->c, 40, 10 * (1 + 39 * 0.06), 1);
}

/* n steps; the time of a token, of a plain pass's. */
static double steps(struct sim *s, const struct beside *m, int n)
{
    static struct tree t;
    double all = 0, n_tok = 0;
    for (int i = 0; i < n; i++) {
        struct ctl_seq seq = {.ctx = 100, .room = 31, .asked = 1};
        struct ctl_offer offer = {.drafter = -1};
        struct step_offer judged = {.drafter = -1};
        struct step_record r = {.n_seq = 1, .offer = &judged, .other_ms = 0.01 * s->pace};
        int right = 0, path[TREE_MAX], take;
        control_plan(s->c, &seq, 1);
        seq.asked |= s->always && i > 8;
        const bool asked = seq.asked & 1, hit = asked && s->was_asked && unit(&s->rng) < m->hit;
        s->was_asked = asked;
        s->asked += asked;
        tree_clear(&t);
        for (int e = 0; hit && e < 6; e++)
            tree_add(&t, e - 1, e, NAN, V);
        while (right < t.n && unit(&s->rng) < m->right)
            right++;
        if (hit) {
            offer = (struct ctl_offer){0, &t};
            judged = (struct step_offer){.drafter = 0, .tree = &t};
        }
        r.asked[0] = asked;
        r.lent[0] = asked;
        r.ask_ms[0] = asked ? 0.01 : 0;
        r.draft_ms = r.ask_ms[0];
        control_choose(s->c, &seq, 1, &offer, &take);
        const int len = take < 0 ? 0 : t.n, kept = right < len ? right : len;
        for (int e = 0; e < TREE_MAX; e++)
            path[e] = judged.path[e] = e + 1;
        judged.n_path = right < kept + 1 ? right : kept + 1;
        judged.missed = judged.n_path < kept + 1;
        const struct step_seq q = {
            .ctx = 100, .drafter = take, .tree = &t, .path = path, .n_path = kept, .n_emitted = kept + 1};
        r.seq = &q;
        r.n_rows = 1 + len;
        r.forward_ms = s->pace * (1 + 0.06 * len) * (asked ? m->lent : 1) * (0.98 + 0.04 * unit(&s->rng));
        control_learn(s->c, &r);
        all += r.draft_ms + r.forward_ms + r.other_ms;
        n_tok += kept + 1;
    }
    return all / n_tok / (1.01 * s->pace);
}

static double whole(const struct beside *m, bool always, long *asked)
{
    struct sim s;
    sim_open(&s, always);
    const double x = steps(&s, m, N_STEP);
    *asked = s.asked;
    control_close(s.c, NULL);
    return x;
}

static void test_left_and_kept(void **state)
{
    (void)state;
    static const double lent[] = {1, 1.3, 1.6, 2}, hit[] = {0.1, 0.6, 0.9}, right[] = {0.1, 0.5, 0.85};
    for (int i = 0; i < 4 * 3 * 3; i++) {
        const struct beside m = {lent[i / 9], hit[i / 3 % 3], right[i % 3]};
        long asked, all;
        const double by = whole(&m, false, &asked), always = whole(&m, true, &all), best = fmin(always, 1);
        printf("passes take %.1f, prepared %.1f, right %.2f: %.3f of plain time, %.3f with it always; asked %ld times "
               "of %d\n",
               m.lent, m.hit, m.right, by, always, asked, N_STEP);
        assert_true(by <= 1.025);
        if (always < 0.93) /* WHY not as good where it is dear and misses often: a purse of some misses runs empty */
            assert_true(by < 0.95 &&
                        (m.hit * m.right < 0.7 * (m.lent - 1) || (by < best * 1.03 && asked > N_STEP * 8 / 10)));
        if (always > 1.1)
            assert_true(asked < N_STEP / 10);
    }
}

/* It was of no use for long, and then is; and the machine gets slower while it is in use. */
static void test_changes(void **state)
{
    (void)state;
    const struct beside bad = {1.6, 0.5, 0.1}, good = {1.3, 0.9, 0.85};
    struct sim s;
    sim_open(&s, false);
    steps(&s, &bad, 2000);
    steps(&s, &good, 2000); /* time to be found out: it is tried for a hundredth of the time */
    const long before = s.asked;
    const double again = steps(&s, &good, 1000);
    printf("good after bad: %.3f, asked %ld times in 1000\n", again, s.asked - before);
    assert_true(again < 0.6 && s.asked - before > 950);
    s.pace = 14;
    steps(&s, &good, 300);
    const double slower = steps(&s, &good, 1000);
    printf("on a slower machine: %.3f\n", slower);
    assert_true(slower < 0.6);
    s.pace = 8;
    steps(&s, &good, 300);
    assert_true(steps(&s, &good, 1000) < 0.6);
    control_close(s.c, NULL);
}

/* Passes on fewer threads do not spoil what is known of the others. */
static void test_times_stay(void **state)
{
    (void)state;
    const struct beside m = {1.7, 0.9, 0.9};
    struct sim s;
    sim_open(&s, true);
    steps(&s, &m, 2000);
    const double one = control_time(s.c, 1, 100), seven = control_time(s.c, 7, 100);
    printf("T(1) %.2f of 10, T(7) %.2f of 13.6\n", one, seven);
    assert_true(fabs(one - 10) < 0.5 && fabs(seven - 13.6) < 0.8);
    control_close(s.c, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_left_and_kept), cmocka_unit_test(test_changes),
                                       cmocka_unit_test(test_times_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
