/* No allocation in a step that drafts trees: every policy, by rules of every kind, planned by the controller and not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "support/wrapmem.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"

static void test_steps(void **state)
{
    (void)state;
    static const char *const method[] = {"tree:model=" MODEL ",build=eagle2", "tree:of=lowbit,build=opt",
                                         "tree:model=" MODEL ",build=dyspec", "tree:of=lowbit,build=sequoia",
                                         "tree:model=" MODEL ",build=medusa"};
    static const char *const rule[] = {"gumbel", "multi", "block"};
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 256, .n_seq = 1};
    struct otr_model *m;
    struct otr_engine *e;
    size_t n_draft = 0;
    if (access(MODEL, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", MODEL);
        skip();
    }
    assert_int_equal(otr_model_open(&m, MODEL, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    for (int i = 0; i < 5 * 3 * 2; i++) {
        const struct otr_spec sp = {
            .methods = &method[i % 5], .n_methods = 1, .verify = rule[i / 5 % 3], .draft_fixed = i < 15 ? 9 : 0};
        const struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = 120, .ignore_eos = true};
        struct otr_gen_result out;
        struct otr_reply *r;
        struct otr_seq *s;
        assert_int_equal(otr_engine_speculate(e, &sp, NULL), OTR_OK);
        assert_int_equal(otr_seq_create(&s, e, NULL), OTR_OK);
        assert_int_equal(otr_reply_open(&r, s, (int32_t[]){1, 403, 407}, 3, &g, NULL), OTR_OK);
        assert_int_equal(emit_reserve(&r->emit, NULL), OTR_OK);
        for (int step = 0; !otr_reply_done(r); step++) {
            const size_t cap = r->emit.cap; /* the text of a reply may double */
            wrapmem_count = 0;
            assert_true(otr_step(e, &r, 1, NULL) >= 0);
            /* the first steps meet the sequence and take the step's own memory */
            if (step > 3 && wrapmem_count > (r->emit.cap != cap))
                fail_msg("%s, %s: %ld allocations in step %d", method[i % 5], sp.verify, wrapmem_count, step);
        }
        assert_int_equal(otr_reply_close(r, &out, NULL), OTR_OK);
        n_draft += out.spec.n_draft;
        otr_gen_result_free(&out);
        otr_seq_destroy(s);
    }
    assert_true(n_draft > 500);
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
