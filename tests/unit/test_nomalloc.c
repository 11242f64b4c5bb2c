/* No allocation in a step: plain decoding, sampling with every filter, a tree and its commit, several sequences, and
 * replies that a model drafts. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "support/wrapmem.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"

struct rig {
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_seq *a, *b;
};

static int set_up(void **state)
{
    static struct rig r;
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = 512, .n_seq = 2};
    if (access(MODEL, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", MODEL);
        return 0;
    }
    assert_int_equal(otr_model_open(&r.m, MODEL, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&r.e, r.m, &eo, NULL), OTR_OK);
    assert_int_equal(otr_seq_create(&r.a, r.e, NULL), OTR_OK);
    assert_int_equal(otr_seq_create(&r.b, r.e, NULL), OTR_OK);
    *state = &r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    if (!r)
        return 0;
    otr_seq_destroy(r->a);
    otr_seq_destroy(r->b);
    otr_engine_destroy(r->e);
    otr_model_close(r->m);
    return 0;
}

static struct rig *rig_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void test_plain_steps(void **state)
{
    struct rig *r = rig_of(state);
    struct otr_sampling sp = otr_sampling_default();
    sp.typical_p = 0.9f;
    sp.penalty_last_n = 64;
    sp.repeat_penalty = 1.1f;
    sp.dry_multiplier = 0.8f;
    int32_t id = 1;
    assert_int_equal(otr_seq_append(r->a, &id, 1, NULL), OTR_OK);
    id = otr_seq_sample(r->a, &sp, NULL); /* the first draw takes the sampler's memory */
    wrapmem_count = 0;
    for (int i = 0; i < 400; i++) { /* over 12 pages and a chunk border */
        assert_int_equal(otr_seq_append(r->a, &id, 1, NULL), OTR_OK);
        id = otr_seq_sample(r->a, &sp, NULL);
        assert_true(id >= 0);
    }
    assert_int_equal(wrapmem_count, 0);
}

static void test_tree_step(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd_row rows[8];
    const int parent[8] = {FWD_END, 0, 1, 0, FWD_END, 4, 3, FWD_END}, path[3] = {0, 3, 6};
    wrapmem_count = 0;
    for (int step = 0; step < 20; step++) {
        for (int i = 0; i < 8; i++)
            rows[i] = (struct fwd_row){.token = 5 + i + step,
                                       .parent = parent[i],
                                       .keep = FWD_KEEP_LOGITS,
                                       .seq = i == 7 ? r->b->kv : r->a->kv};
        assert_int_equal(fwd_run(r->e->fwd, rows, 8, NULL), OTR_OK);
        assert_true(fwd_argmax(r->e->fwd, 6) >= 0);
        fwd_commit(r->e->fwd, r->a->kv, path, 3);
        fwd_commit(r->e->fwd, r->b->kv, &(int){7}, 1);
    }
    assert_int_equal(wrapmem_count, 0);
}

/* Two replies at once; the first steps make what is made once (a drafter's sequence, the step's scratch). */
static void drafted(struct rig *r, const char *method)
{
    enum { WARM = 3, N_REPLY = 300 };
    const struct otr_spec sp = {.methods = &method, .n_methods = 1, .draft_fixed = 4};
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = N_REPLY, .ignore_eos = true};
    struct otr_seq *s[2];
    struct otr_reply *reply[2];
    struct otr_gen_result out;
    struct otr_err err = {0};
    int n_step = 0, n_draft = 0;
    if (otr_engine_speculate(r->e, &sp, &err) < 0)
        fail_msg("%s: %s", method, err.msg);
    for (int i = 0; i < 2; i++) {
        const int32_t prompt[] = {1, 403 + i, 407};
        g.sampling.temp = i ? 0.8f : 0;
        assert_int_equal(otr_seq_create(&s[i], r->e, NULL), OTR_OK);
        assert_int_equal(otr_reply_open(&reply[i], s[i], prompt, 3, &g, NULL), OTR_OK);
    }
    for (int left = 2; left > 0; n_step++) {
        wrapmem_count = n_step < WARM ? LONG_MIN / 2 : wrapmem_count;
        wrapmem_count = n_step == WARM ? 0 : wrapmem_count;
        left = otr_step(r->e, reply, 2, NULL);
        assert_true(left >= 0);
        if (n_step >= WARM && left > 0 && wrapmem_count > 0)
            fail_msg("%s: %ld allocations up to step %d", method, wrapmem_count, n_step);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(otr_reply_close(reply[i], &out, NULL), OTR_OK);
        n_draft += (int)out.spec.n_draft;
        otr_gen_result_free(&out);
        otr_seq_destroy(s[i]);
    }
    assert_true(n_step > 20);
    if (n_draft < 50 && !strstr(method, "search")) /* a search may find nothing that pays */
        fail_msg("%s: %d drafted tokens", method, n_draft);
    assert_int_equal(otr_engine_speculate(r->e, NULL, NULL), OTR_OK);
}

static void test_drafted_steps(void **state)
{
    static const char *const methods[] = {"lowbit",
                                          "exit:layers=2",
                                          "skip:set=-af--",
                                          "skip:search=40",
                                          "draft:model=" MODEL,
                                          "lowbit:rows=100",
                                          "exit:layers=2,rows=64",
                                          "draft:model=" MODEL ",rows=200"};
    struct rig *r = rig_of(state);
    assert_int_equal(otr_seq_truncate(r->a, 0, NULL), OTR_OK); /* their pages */
    assert_int_equal(otr_seq_truncate(r->b, 0, NULL), OTR_OK);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        drafted(r, methods[i]);
}

/* The counter itself must see an allocation. */
static void test_the_counter_counts(void **state)
{
    struct rig *r = rig_of(state);
    struct otr_seq *f;
    wrapmem_count = 0;
    assert_int_equal(otr_seq_fork(&f, r->b, NULL), OTR_OK);
    otr_seq_destroy(f);
    assert_true(wrapmem_count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_steps),
        cmocka_unit_test(test_tree_step),
        cmocka_unit_test(test_drafted_steps),
        cmocka_unit_test(test_the_counter_counts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
