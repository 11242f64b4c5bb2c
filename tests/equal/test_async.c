/* A model that drafts on a thread of its own: replies equal plain ones, byte for byte, at both temperatures, in batches
 * of one to eight, on one to three threads, whether the thread is waited for, is late, or both in turn; alone, with
 * lookups, with a drafter on the target's threads, inside wrappers and among all methods (shuffle); through cuts, forks
 * and ends in the middle of its work. Read also: tests/unit/test_beside.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/draft_rig.h"
#include "support/equal.h"
#include "support/spec_rig.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define PROMPTS "../shared/data/spec-bench/question.jsonl"

static const uint64_t seed = 20261129;
static char q4[300]; /* the same model in fewer bits */

static void need_data(void)
{
    if (access(STORIES, R_OK) == 0 && access(PROMPTS, R_OK) == 0)
        return;
    printf("SKIPPED: %s or %s is not there\n", STORIES, PROMPTS);
    skip();
}

static int make_drafter(void **state)
{
    (void)state;
    char cmd[1000];
    const char *build = getenv("OUTRIDER_BUILD");
    if (access(STORIES, R_OK) != 0)
        return 0;
    dr_tmp_file(q4, sizeof q4);
    snprintf(cmd, sizeof cmd, "%s/outrider quantize %s %s Q4_0 >/dev/null 2>&1", build ? build : "build", STORIES, q4);
    return system(cmd); // NOLINT(cert-env33-c): the program under test
}

static int remove_drafter(void **state)
{
    (void)state;
    if (q4[0])
        unlink(q4);
    return 0;
}

/* ---- replies ---- */

static const struct way {
    const char *params; /* behind async:model=q4 */
    const char *more;   /* another drafter; its model is q4 too */
    int fixed, n_threads, n_batch;
} ways[] = {
    {",wait_ms=10000", "", 0, 1, 1},
    {",wait_ms=10000,fan=20,depth=12", "", 6, 2, 1},
    {",wait_ms=10000,fan=32,leave=1,p_min=0.2", "", 7, 3, 3},
    {",wait_ms=10000,fan=8,depth=3,exponent=0.5", "", 4, 2, 8},
    {"", "", 0, 2, 1},
    {",threads=2,leave=0", "", 8, 2, 2},
    {",nap_ms=2,wait_ms=1", "", 5, 2, 1},
    {",nap_ms=1,wait_ms=3,fan=12", "", 5, 2, 5},
    {",nap_ms=0.3,depth=31", "", 16, 1, 1},
    {",nap_ms=0.3,context=9", "", 5, 2, 2},
    {",wait_ms=10000", " suffix ngram-mod", 0, 2, 2},
    {",wait_ms=10000", " draft:model=", 5, 2, 1},
};

static void on_stories(bool warm)
{
    struct otr_model *m;
    struct otr_err err = {0};
    struct spec_rig s;
    struct eq_prompts p;
    need_data();
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(eq_prompts_read(&p, m, PROMPTS, 12, 40), 12);
    if (sr_open(&s, m, (const int32_t *const *)p.ids, p.n_ids, p.n, 56, warm, 0, &err) < 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char method[1000];
        const long draft = s.n_draft, kept = s.n_accepted;
        snprintf(method, sizeof method, "async:model=%s%s%s%s", q4, ways[i].params, ways[i].more,
                 strchr(ways[i].more, '=') ? q4 : "");
        const struct sr_way w = {.method = method,
                                 .draft_fixed = ways[i].fixed,
                                 .n_threads = ways[i].n_threads,
                                 .n_batch = ways[i].n_batch,
                                 .seed = seed};
        /* WHY fewer: two teams of two on two cores wait for each other's time slices */
        const int n = strstr(ways[i].params, "threads=2") ? 4 : s.n;
        if (sr_run(&s, &w, 0, n, &err) < 0)
            fail_msg("%s: %s", method, err.msg);
        printf("temperature %s, async%s%s, %d threads, %d at once: %ld drafted, %ld kept\n", warm ? "0.8" : "0",
               ways[i].params, ways[i].more, w.n_threads, w.n_batch, s.n_draft - draft, s.n_accepted - kept);
        if (strstr(ways[i].params, "10000") && w.draft_fixed > 0)
            assert_true(s.n_accepted > kept && s.n_draft - draft > s.n_accepted - kept);
    }
    static const char *const around[] = {"delay:of=async,ms=1,model=", "fault:of=async,every=3,wait_ms=50,model=",
                                         "trace:of=async,file=/dev/null,model=", "shuffle:model="};
    for (int i = 0; i < 4; i++) {
        char method[600];
        snprintf(method, sizeof method, "%s%s", around[i], q4);
        const struct sr_way w = {.method = method, .draft_fixed = 8, .n_threads = 2, .n_batch = 1 + i, .seed = seed};
        if (sr_run(&s, &w, 0, s.n, &err) < 0)
            fail_msg("%s: %s", method, err.msg);
    }
    printf("%ld replies, %ld tokens; %ld differ\n", s.n_reply, s.n_compared, s.n_differ);
    assert_int_equal(s.n_differ, 0);
    sr_close(&s);
    eq_prompts_free(&p);
    otr_model_close(m);
}

static void test_cold(void **state)
{
    (void)state;
    on_stories(false);
}

static void test_warm(void **state)
{
    (void)state;
    on_stories(true);
}

/* ---- cuts, forks and ends ---- */

enum { N_TOK = 24, N_SLOT = 3 };

static struct otr_gen settings(uint64_t reply_seed)
{
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = N_TOK, .ignore_eos = true};
    g.sampling.seed = reply_seed;
    return g;
}

/* A reply to what a sequence holds and a token more. */
static void reply(struct otr_seq *s, uint64_t reply_seed, int32_t token, struct otr_gen_result *r)
{
    struct otr_err err = {0};
    const struct otr_gen g = settings(reply_seed);
    if (otr_generate(s, &token, 1, &g, r, &err) < 0)
        fail_msg("%s", err.msg);
}

/* The same random work on two engines, one of them plain. */
static void test_cut_and_forked(void **state)
{
    (void)state;
    struct otr_model *m;
    struct otr_engine *e[2];
    struct otr_seq *s[2][N_SLOT];
    char method[400];
    const char *one = method;
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = 256, .n_seq = N_SLOT};
    uint64_t rng = seed;
    long n_draft = 0;
    need_data();
    snprintf(method, sizeof method, "async:model=%s,nap_ms=0.5,wait_ms=4,fan=16", q4);
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    for (int x = 0; x < 2; x++) {
        assert_int_equal(otr_engine_create(&e[x], m, &eo, NULL), OTR_OK);
        for (int i = 0; i < N_SLOT; i++)
            assert_int_equal(otr_seq_create(&s[x][i], e[x], NULL), OTR_OK);
    }
    const struct otr_spec sp = {.methods = &one, .n_methods = 1, .draft_fixed = 5};
    assert_int_equal(otr_engine_speculate(e[1], &sp, NULL), OTR_OK);
    for (int round = 0; round < 60; round++) {
        struct otr_gen_result r[2] = {{0}};
        const int i = dr_below(&rng, N_SLOT), from = (i + 1) % N_SLOT, what = dr_below(&rng, 4);
        const int32_t token = 3 + dr_below(&rng, 400);
        const int cut = dr_below(&rng, 30);
        for (int x = 0; x < 2; x++) {
            const size_t n = otr_seq_len(s[x][i]);
            if (what == 0 || n > 200) { /* ends while the thread may be at it; a fork takes its place */
                otr_seq_destroy(s[x][i]);
                assert_int_equal(otr_seq_fork(&s[x][i], s[x][from], NULL), OTR_OK);
            } else if (what == 1) {
                assert_int_equal(otr_seq_truncate(s[x][i], n - (n < (size_t)cut ? n : (size_t)cut), NULL), OTR_OK);
            }
            if (otr_seq_len(s[x][i]) > 200)
                otr_seq_truncate(s[x][i], 40, NULL);
            reply(s[x][i], (uint64_t)round, token, &r[x]);
        }
        assert_int_equal(r[0].n_reply, r[1].n_reply);
        assert_memory_equal(r[0].tokens, r[1].tokens, r[0].n_reply * sizeof *r[0].tokens);
        n_draft += (long)r[1].spec.n_draft;
        for (int x = 0; x < 2; x++)
            otr_gen_result_free(&r[x]);
        if (round % 20 == 19) /* closed while it works, and opened again */
            assert_int_equal(otr_engine_speculate(e[1], &sp, NULL), OTR_OK);
    }
    printf("cuts, forks, ends: %ld drafted\n", n_draft);
    for (int x = 0; x < 2; x++) {
        for (int i = 0; i < N_SLOT; i++)
            otr_seq_destroy(s[x][i]);
        otr_engine_destroy(e[x]);
    }
    otr_model_close(m);
}

/* A long history to catch up with, while steps go on and when it ends: the thread is stopped on its way. */
static void test_far_behind(void **state)
{
    (void)state;
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_seq *s;
    struct otr_gen_result r = {0};
    static int32_t tok[1500];
    uint64_t rng = seed;
    const char *one = "async:model=" STORIES ",nap_ms=1";
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = 2000};
    need_data();
    for (int i = 0; i < 1500; i++)
        tok[i] = i ? 3 + dr_below(&rng, 500) : 1;
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    assert_int_equal(otr_engine_speculate(e, &(struct otr_spec){.methods = &one, .n_methods = 1}, NULL), OTR_OK);
    assert_int_equal(otr_seq_create(&s, e, NULL), OTR_OK);
    assert_int_equal(otr_seq_append(s, tok, 1500, NULL), OTR_OK);
    reply(s, 1, 5, &r);
    assert_int_equal(r.n_reply, N_TOK);
    otr_gen_result_free(&r);
    otr_seq_destroy(s);
    otr_engine_destroy(e);
    otr_model_close(m);
}

/* ---- what it needs and says ---- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        int code;
        const char *text;
    } bad[] = {
        {"async", OTR_E_ARG, "give model=FILE"},
        {"async:modle=x", OTR_E_ARG, "did you mean model?"},
        {"async:model=/nowhere/x.gguf", OTR_E_IO, "cannot read model"},
        {"async:model=" STORIES ",fan=0", OTR_E_ARG, "fan"},
        {"async:model=" STORIES ",depth=32", OTR_E_ARG, "depth"},
        {"async:model=" STORIES ",threads=0", OTR_E_ARG, "threads"},
        {"async:model=" STORIES ",leave=x", OTR_E_ARG, "leave"},
        {"async:model=tests/golden/tiny/llama-gqa-tied.gguf", OTR_E_ARG, "another vocabulary"},
    };
    struct otr_model *m;
    struct otr_engine *e;
    need_data();
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 64};
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct otr_err err = {0};
        assert_int_equal(otr_engine_speculate(e, &(struct otr_spec){.methods = &bad[i].method, .n_methods = 1}, &err),
                         bad[i].code);
        if (!strstr(err.msg, bad[i].text))
            fail_msg("%s: '%s' does not say '%s'", bad[i].method, err.msg, bad[i].text);
    }
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cold),       cmocka_unit_test(test_warm),    cmocka_unit_test(test_cut_and_forked),
        cmocka_unit_test(test_far_behind), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, make_drafter, remove_drafter);
}
