/* Every n-th allocation of an engine whose target drafts for itself (chains, or trees out of its laws) fails, n = 1, 2,
 * ... until a run succeeds: opening and a reply. It may say that memory is out or draft less; it may not crash, leak,
 * or change the reply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/torture_rig.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"

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
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = 60, .ignore_eos = true};
    g.sampling.temp = 0;
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        assert_true(torture_reply(e, methods[i], &g) > 5);
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_torture)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
