/* Allocations of the rules: the scratch fails cleanly at each of its own, and drafting and deciding make none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/law.h"
#include "support/wrapmem.h"

static void test_scratch(void **state)
{
    struct accept_scratch *s = NULL;
    struct otr_err err;
    int rc = OTR_E_NOMEM;
    (void)state;
    for (int n = 1; rc < 0; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        rc = accept_scratch_open(&s, 100, &err);
        wrapmem_fail_at = 0;
        assert_true(rc == OTR_OK || (rc == OTR_E_NOMEM && s == NULL && wrapmem_open == open && err.msg[0]));
        assert_true(n <= 4);
    }
    accept_scratch_close(s);
}

static void test_no_malloc(void **state)
{
    struct law_model m;
    (void)state;
    law_model_random(&m, 3, 4, 2, 4, false);
    for (enum accept_rule r = RULE_RATIO; r <= RULE_TRAVERSAL; r++) {
        const struct law_case c = {.m = &m, .shape = law_shape_find("3x2"), .kinds = "ddc", .draw = r, .decide = r};
        struct law_rig rig;
        law_rig_open(&rig, &c);
        const long before = wrapmem_count;
        for (uint64_t i = 0; i < 1000; i++) {
            const struct accept_key key = {.seed = i};
            const struct accept_dice draft = accept_draft_dice(&key), test = accept_keyed_dice(&key);
            int32_t tok[TREE_MAX + 1];
            law_step(&rig, NULL, 0, &draft, &test, tok);
        }
        assert_int_equal(wrapmem_count, before);
        law_rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scratch), cmocka_unit_test(test_no_malloc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
