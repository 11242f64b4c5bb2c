/* A model, a cache or a drafter that does not fit into what is free is refused with a sentence, before a weight is
 * read. What is free is planted: linked with --wrap=memory_available. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/engine.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"

static size_t free_bytes = SIZE_MAX;
size_t __wrap_memory_available(void);
size_t __wrap_memory_available(void)
{
    return free_bytes;
}

static void says(const struct otr_err *err, const char *a, const char *b)
{
    if (!strstr(err->msg, a) || !strstr(err->msg, b) || strchr(err->msg, '\n'))
        fail_msg("'%s' does not say '%s' and '%s'", err->msg, a, b);
}

static void test_room(void **state)
{
    (void)state;
    static const char *const drafters[] = {"draft:model=" STORIES, "lowbit", "lowbit:rows=100", "exit:rows=400"};
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 4096};
    struct otr_model *m = NULL;
    struct otr_engine *e = NULL;
    struct otr_err err = {0};
    struct otr_memory mem;
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    free_bytes = 100000;
    assert_int_equal(otr_model_open(&m, STORIES, NULL, &err), OTR_E_LIMIT);
    says(&err, "no room for the model (" STORIES "): weights of 1 MB, and 0 MB of memory are free", "--no-repack");
    assert_int_equal(otr_model_open(&m, STORIES, &(struct otr_model_opts){.no_repack = true}, &err), OTR_OK);
    otr_model_close(m);
    free_bytes = SIZE_MAX;
    assert_int_equal(otr_model_open(&m, STORIES, NULL, &err), OTR_OK);
    free_bytes = 1 << 20;
    assert_int_equal(otr_engine_create(&e, m, &eo, &err), OTR_E_LIMIT);
    says(&err, "no room for a KV cache of 4128 positions (2 MB), 1 MB of memory are free", "-c");
    free_bytes = SIZE_MAX;
    assert_int_equal(otr_engine_create(&e, m, &eo, &err), OTR_OK);
    otr_engine_memory(e, &mem);
    for (size_t i = 0; i < sizeof drafters / sizeof *drafters; i++) {
        const struct otr_spec sp = {.methods = &drafters[i], .n_methods = 1};
        free_bytes = mem.kv + 10000; /* the target's cache is promised already */
        assert_int_equal(otr_engine_speculate(e, &sp, &err), OTR_E_LIMIT);
        says(&err, "no room for", STORIES + (i == 0 ? strlen(STORIES) : 0));
        free_bytes = SIZE_MAX;
        assert_int_equal(otr_engine_speculate(e, &sp, &err), OTR_OK);
        struct otr_memory with;
        otr_engine_memory(e, &with);
        assert_int_equal(with.draft_weights > 0, i > 0);
        assert_int_equal(with.draft_kv > 0, i == 0);
        assert_int_equal(otr_engine_speculate(e, NULL, NULL), OTR_OK);
        otr_engine_memory(e, &with);
        assert_true(with.draft_weights == 0 && with.draft_kv == 0);
    }
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
