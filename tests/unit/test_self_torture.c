/* Every n-th allocation of an engine whose target drafts for itself (chains, or trees out of its laws) fails, n = 1, 2,
 * ... until a run succeeds: opening and a reply. It may say that memory is out or draft less; it may not crash, leak,
 * or change the reply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "support/wrapmem.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
enum { N_TOK = 60 };

/* The reply's tokens, of an engine that was made before. */
static int run(struct otr_engine *e, const char *method, int32_t *tok, struct otr_err *err)
{
    struct otr_seq *s = NULL;
    struct otr_gen_result r = {0};
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = N_TOK, .ignore_eos = true};
    const struct otr_spec sp = {.methods = &method, .n_methods = 1, .draft_fixed = 4};
    g.sampling.temp = 0;
    int rc = otr_engine_speculate(e, method ? &sp : NULL, err);
    if (rc == OTR_OK)
        rc = otr_seq_create(&s, e, err);
    if (rc == OTR_OK)
        rc = otr_generate(s, (int32_t[]){1, 403, 407}, 3, &g, &r, err);
    if (rc == OTR_OK)
        memcpy(tok, r.tokens, N_TOK * sizeof *tok);
    otr_gen_result_free(&r);
    otr_seq_destroy(s);
    otr_engine_speculate(e, NULL, NULL);
    return rc;
}

static void test_torture(void **state)
{
    (void)state;
    static const char *const methods[] = {"lowbit",
                                          "exit:layers=2",
                                          "skip:set=-af--",
                                          "skip:search=3",
                                          "tree:of=lowbit,build=dyspec",
                                          "tree:of=skip,set=-af--,build=medusa",
                                          "tree:model=" STORIES ",build=sequoia",
                                          "lowbit:rows=64",
                                          "exit:layers=2,rows=100",
                                          "draft:model=" STORIES ",rows=64",
                                          "tli:model=" STORIES ",rows=200"};
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 128, .n_seq = 1};
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_err err;
    int32_t want[N_TOK], got[N_TOK];
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    assert_int_equal(run(e, NULL, want, &err), OTR_OK);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        long n = 1;
        assert_int_equal(run(e, methods[i], got, &err), OTR_OK);
        for (;; n++) {
            const long open = wrapmem_open;
            wrapmem_fail_at = n;
            memset(&err, 0, sizeof err);
            const int rc = run(e, methods[i], got, &err);
            const long left = wrapmem_fail_at;
            wrapmem_fail_at = 0;
            if (wrapmem_open != open)
                fail_msg("%s: failing allocation %ld leaks %ld blocks", methods[i], n, wrapmem_open - open);
            if (rc == OTR_OK)
                assert_memory_equal(got, want, sizeof want);
            else if (rc != OTR_E_NOMEM || !err.msg[0])
                fail_msg("%s: failing allocation %ld: code %d, '%s'", methods[i], n, rc, err.msg);
            if (rc == OTR_OK && left > 0)
                break;
        }
        printf("%s: %ld allocations failed in turn\n", methods[i], n - 1);
        assert_true(n > 5);
    }
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_torture)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
