/* A drafter on a thread of its own (draft/beside.h): every n-th allocation fails, the engine's or its thread's, n = 1,
 * 2, ... until a run succeeds; it may say that memory is out or draft less, but not crash, leak, or change the reply.
 * And the engine thread allocates nothing in a step, whatever the other one does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/torture_rig.h"
#include "support/wrapmem.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
enum { N_TOK = 40 };

struct rig {
    struct otr_model *m;
    struct otr_engine *e;
};

static void open_rig(struct rig *r)
{
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = 128, .n_seq = 1};
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    assert_int_equal(otr_model_open(&r->m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&r->e, r->m, &eo, NULL), OTR_OK);
}

static void close_rig(struct rig *r)
{
    otr_engine_destroy(r->e);
    otr_model_close(r->m);
}

static struct otr_gen settings(void)
{
    static const struct otr_logit_bias bias = {7, -1};
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = N_TOK, .ignore_eos = true};
    g.sampling.bias = &bias;
    g.sampling.n_bias = 1;
    return g;
}

static void test_torture(void **state)
{
    (void)state;
    struct rig r;
    const struct otr_gen g = settings();
    open_rig(&r);
    assert_true(torture_reply(r.e, "async:model=" STORIES ",wait_ms=10000,fan=3,depth=4", &g) > 20);
    close_rig(&r);
}

/* The drafter's calls in the step, with allocations counted around each. WHY not around the step: the text of a reply
 * may grow. */
static long n_alloc, n_call;

static int counted_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    const long before = wrapmem_count;
    const int rc = draft_async.propose(self, ask, n_ask, out);
    n_alloc += wrapmem_count - before;
    n_call++;
    return rc;
}

static int counted_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    const long before = wrapmem_count;
    const int rc = draft_async.observe(self, seen, n_seen);
    n_alloc += wrapmem_count - before;
    n_call++;
    return rc;
}

static void test_step_allocates_nothing(void **state)
{
    (void)state;
    static const char *const methods[] = {"async:model=" STORIES ",wait_ms=10000",
                                          "async:model=" STORIES ",nap_ms=1,wait_ms=1"};
    struct draft_method counted = draft_async;
    struct rig r;
    counted.propose = counted_propose;
    counted.observe = counted_observe;
    open_rig(&r);
    for (int i = 0; i < 2; i++) {
        struct otr_seq *s;
        struct otr_gen_result result = {0};
        const struct otr_gen g = settings();
        const struct otr_spec sp = {.methods = &methods[i], .n_methods = 1, .draft_fixed = 4};
        assert_int_equal(otr_engine_speculate(r.e, &sp, NULL), OTR_OK);
        r.e->spec->d[0].m = &counted;
        assert_int_equal(otr_seq_create(&s, r.e, NULL), OTR_OK);
        n_alloc = n_call = wrapmem_count = 0;
        assert_int_equal(otr_generate(s, (int32_t[]){1, 403, 407}, 3, &g, &result, NULL), OTR_OK);
        printf("%ld calls, %zu tokens drafted\n", n_call, result.spec.n_draft);
        assert_int_equal(n_alloc, 0);
        assert_true(n_call > 10 && wrapmem_count > 0);
        assert_true(result.spec.n_draft > 0 || i == 1);
        otr_gen_result_free(&result);
        otr_seq_destroy(s);
    }
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_torture), cmocka_unit_test(test_step_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
