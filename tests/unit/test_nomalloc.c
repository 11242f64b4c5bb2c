/* No allocation in a step: plain decoding, sampling with every filter, a tree and its commit, several sequences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
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
        cmocka_unit_test(test_the_counter_counts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
