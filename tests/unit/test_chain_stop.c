/* Where a chain ends: behind entries whose rows were as unsure as others that turned out wrong, not behind those that
 * were sure; at once where an entry must promise much, never where nothing is asked of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "draft/chain_stop.h"

static const float sure = 0.99f, unsure = 0.55f;

/* A chain of entries of these confidences, of which the first n_right were right. */
static void see(struct chain_stop *s, const float *conf, int n, int n_right)
{
    static struct tree t;
    const int32_t text[] = {1, 2, 3, 4, 5, 6, 7, 8};
    tree_clear(&t);
    for (int i = 0; i < n; i++)
        assert_int_equal(tree_add(&t, i - 1, text[i], conf[i], 100), i);
    chain_see(s, &(struct draft_seen){.event = SEEN_STEP,
                                      .tok = text,
                                      .n = 8,
                                      .n_new = (size_t)n_right + 1,
                                      .tree = &t,
                                      .n_path = n_right,
                                      .mine = true});
}

/* Entries of a chain of this confidence, at most 31. */
static int length(const struct chain_stop *s, double gain, double least, float conf)
{
    const struct draft_ask ask = {.level_gain = gain};
    double reach = 1;
    int n = 1;
    while (n < TREE_MAX && chain_goes_on(s, &ask, conf, least, &reach))
        n++;
    return n;
}

static void stops_where_it_does_not_pay(void **state)
{
    const float conf[] = {sure, sure, unsure};
    struct chain_stop s = {0};
    (void)state;
    for (int i = 0; i < 100; i++) /* sure ones are right, the others right one time in four */
        see(&s, conf, 3, i % 4 == 0 ? 3 : 2);
    assert_int_equal(length(&s, 0.3, -1, unsure), 1); /* 1/4 is less than 0.3 */
    assert_in_range(length(&s, 0.3, -1, sure), 10, TREE_MAX);
    assert_int_equal(length(&s, 0.1, -1, unsure), 2);       /* 1/4 of 3/4 is worth a tenth, 1/16 of it is not */
    assert_int_equal(length(&s, 0.97, -1, sure), 1);        /* an entry that costs as much as a pass */
    assert_int_equal(length(&s, -1, -1, unsure), TREE_MAX); /* as many as there may be */
    assert_int_equal(length(&s, -1, 0.2, unsure), 2);       /* the user's own limit holds: 1/4, then 1/16 */
    assert_int_equal(length(&s, 0.9, 0, unsure), TREE_MAX);
}

static void knows_nothing_at_first(void **state)
{
    struct chain_stop s = {0};
    (void)state;
    assert_int_equal(length(&s, 0.3, -1, 0.5f), 2); /* as likely as the lead says: 1/2, of 0.8 for the next */
    assert_int_equal(length(&s, 0, -1, 0.5f), 1);   /* no figure: a half is asked for */
    assert_in_range(length(&s, 0, -1, sure), 10, TREE_MAX);
    assert_in_range(length(&s, 0, -1, NAN), 10, TREE_MAX); /* an entry that somebody else made */
}

static void learns_nothing_from_others(void **state)
{
    struct chain_stop s = {0};
    static struct tree t;
    (void)state;
    tree_clear(&t);
    tree_add(&t, TREE_ROOT, 1, sure, 100);
    chain_see(&s, &(struct draft_seen){.event = SEEN_STEP, .n_new = 3, .tree = &t, .mine = false});
    chain_see(&s, &(struct draft_seen){.event = SEEN_FINISHED, .n_new = 3, .tree = &t, .mine = true});
    assert_true(s.all.tried == 0);
}

static void confidence_is_the_lead(void **state)
{
    const double row[] = {0.3, 0.1, 0.1};
    (void)state;
    assert_true(fabsf(chain_conf(row, 3) - 0.75f) < 1e-6f);
    assert_true(chain_conf(row, 1) == 1.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_where_it_does_not_pay), cmocka_unit_test(knows_nothing_at_first),
        cmocka_unit_test(learns_nothing_from_others), cmocka_unit_test(confidence_is_the_lead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
