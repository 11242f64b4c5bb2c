/* A second model drafts: replies equal plain ones, byte for byte, whatever the drafter is (a better or a worse copy,
 * the model itself, another model of the same vocabulary), alone and with lookups, on one to four threads, in batches
 * of one to eight; and what cannot draft is refused with a sentence. Read also: tests/unit/test_lm.c, test_spec.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/lm.h"
#include "support/draft_rig.h"
#include "support/equal.h"
#include "support/model_rig.h"
#include "support/spec_rig.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define VOCAB_ONLY "../shared/data/tokenizer-tests/ggml-vocab-gpt-2.gguf"
#define TINY "tests/golden/tiny/llama-gqa-tied.gguf"
#define PROMPTS "../shared/data/spec-bench/question.jsonl"

static const uint64_t seed = 20261125;
static char q8[300], q4[300]; /* the same model in fewer bits */

static void run(struct spec_rig *s, const struct sr_way *w)
{
    struct otr_err err = {0};
    if (sr_run(s, w, 0, s->n, &err) < 0)
        fail_msg("%s: %s", w->method, err.msg);
}

static void on_model(const char *path, const char *const *drafters, int n_drafter, int n_prompt, int n_tok, bool warm,
                     bool all)
{
    struct otr_model *m;
    struct otr_err err = {0};
    struct spec_rig s;
    struct eq_prompts p;
    assert_int_equal(otr_model_open(&m, path, NULL, NULL), OTR_OK);
    assert_int_equal(eq_prompts_read(&p, m, PROMPTS, n_prompt, 40), n_prompt);
    if (sr_open(&s, m, (const int32_t *const *)p.ids, p.n_ids, p.n, n_tok, warm, 0, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
    for (int i = 0; i < n_drafter; i++) {
        char method[600];
        snprintf(method, sizeof method, "draft:model=%s%s", drafters[i], i % 2 ? ",p_min=0.3" : "");
        struct sr_way w = {.method = method, .n_threads = 1 + i % 4, .n_batch = 1, .seed = seed};
        run(&s, &w);
        w.draft_fixed = 4 + i;
        run(&s, &w);
        for (int b = 2; b <= 8 && all; b += 3) {
            w.n_batch = b;
            w.draft_fixed = b == 5 ? 0 : 1 + b;
            run(&s, &w);
        }
        snprintf(method, sizeof method, "draft:model=%s,rows=%d", drafters[i], i % 2 ? 8192 : 64);
        w = (struct sr_way){.method = method, .draft_fixed = 5, .n_threads = 2, .n_batch = 1 + i, .seed = seed};
        run(&s, &w);
        snprintf(method, sizeof method, "draft:model=%s,context=%d", drafters[i], 1 + 7 * i);
        run(&s, &w);
        snprintf(method, sizeof method, "shuffle:model=%s", drafters[i]);
        w = (struct sr_way){
            .method = method, .draft_fixed = 16, .n_threads = 2, .n_batch = 1 + i, .predict = true, .seed = seed};
        run(&s, &w);
    }
    printf("drafted by models, temperature %s: %ld replies, %ld tokens; %ld drafted, %ld kept; %ld differ\n",
           warm ? "0.8" : "0", s.n_reply, s.n_compared, s.n_draft, s.n_accepted, s.n_differ);
    assert_int_equal(s.n_differ, 0);
    assert_true(s.n_accepted > 0 && s.n_draft > s.n_accepted);
    sr_close(&s);
    eq_prompts_free(&p);
    otr_model_close(m);
}

static bool quantize(char *path, size_t cap, const char *type)
{
    char cmd[1000];
    const char *build = getenv("OUTRIDER_BUILD");
    dr_tmp_file(path, cap);
    snprintf(cmd, sizeof cmd, "%s/outrider quantize %s %s %s >/dev/null 2>&1", build ? build : "build", STORIES, path,
             type);
    return system(cmd) == 0; // NOLINT(cert-env33-c): the program under test
}

static int make_drafters(void **state)
{
    (void)state;
    if (access(STORIES, R_OK) != 0)
        return 0;
    return quantize(q8, sizeof q8, "Q8_0") && quantize(q4, sizeof q4, "Q4_0") ? 0 : -1;
}

static int remove_drafters(void **state)
{
    (void)state;
    if (q8[0])
        unlink(q8);
    if (q4[0])
        unlink(q4);
    return 0;
}

static void test_stories(void **state)
{
    (void)state;
    if (access(STORIES, R_OK) != 0 || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: %s or %s is not there\n", STORIES, PROMPTS);
        skip();
    }
    const char *const drafters[] = {q8, q4, STORIES};
    on_model(STORIES, drafters, 3, 12, 64, false, true);
    on_model(STORIES, drafters, 3, 12, 64, true, true);
    const char *const better[] = {STORIES};
    on_model(q4, better, 1, 6, 48, true, false);
}

static void test_smollm2(void **state)
{
    (void)state;
    char target[512], drafter[512];
    const char *t = eq_model_path(target, sizeof target, "SmolLM2-135M-Instruct-Q4_1.gguf");
    const char *d = eq_model_path(drafter, sizeof drafter, "SmolLM2-135M-Instruct-Q4_0.gguf");
    if (!t || !d || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: no model, no drafter or no prompts\n");
        skip();
    }
    on_model(t, &d, 1, 2, 32, false, false);
    on_model(t, &d, 1, 2, 32, true, false);
}

/* ---- what cannot draft ---- */

static void test_refused(void **state)
{
    (void)state;
    struct otr_model *m;
    struct otr_engine *e;
    char params[400], broken[300];
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 64};
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    mr_refused(e, "draft", "", OTR_E_ARG, "give model=FILE");
    mr_refused(e, "draft", ":modle=x", OTR_E_ARG, "did you mean model?");
    mr_refused(e, "draft", ":model=/nowhere/x.gguf", OTR_E_IO, "cannot read model");
    snprintf(params, sizeof params, ":model=%s,p_min=2", q8);
    mr_refused(e, "draft", params, OTR_E_ARG, "p_min");
    snprintf(params, sizeof params, ":model=%s,reach=2", q8);
    mr_refused(e, "draft", params, OTR_E_ARG, "reach");
    dr_tmp_file(broken, sizeof broken);
    snprintf(params, sizeof params, ":model=%s", broken);
    mr_refused(e, "draft", params, OTR_E_FORMAT, "the file is empty");
    unlink(broken);
    mr_refused(e, "draft", ":model=" TINY, OTR_E_ARG, "another vocabulary");
    if (access(VOCAB_ONLY, R_OK) == 0)
        mr_refused(e, "draft", ":model=" VOCAB_ONLY, OTR_E_UNSUPPORTED, "a vocabulary only");
    otr_engine_destroy(e);
    otr_model_close(m);
}

/* One file, one copy of its weights, however many name it; none where it is the model's own. */
static void test_loaded_once(void **state)
{
    (void)state;
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_memory mem;
    char word[2][400];
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 64};
    snprintf(word[0], sizeof word[0], "draft:model=%s", q8);
    snprintf(word[1], sizeof word[1], "draft:model=%s,p_min=0.5", q8);
    const char *const two[] = {word[0], word[1]}, *own = "draft:model=" STORIES;
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    otr_engine_memory(e, &mem);
    assert_true(mem.weights > 0 && mem.kv > 0 && mem.draft_weights == 0 && mem.draft_kv == 0);
    assert_int_equal(otr_engine_speculate(e, &(struct otr_spec){.methods = &own, .n_methods = 1}, NULL), OTR_OK);
    otr_engine_memory(e, &mem);
    assert_true(mem.draft_weights == 0 && mem.draft_kv > 0);
    const size_t cache = mem.draft_kv;
    assert_int_equal(otr_engine_speculate(e, &(struct otr_spec){.methods = two, .n_methods = 1}, NULL), OTR_OK);
    otr_engine_memory(e, &mem);
    const size_t one = mem.draft_weights;
    assert_true(one > 0 && mem.draft_kv == cache);
    assert_int_equal(otr_engine_speculate(e, &(struct otr_spec){.methods = two, .n_methods = 2}, NULL), OTR_OK);
    otr_engine_memory(e, &mem);
    assert_true(mem.draft_weights == one && mem.draft_kv == 2 * cache);
    assert_int_equal(otr_engine_speculate(e, NULL, NULL), OTR_OK);
    otr_engine_memory(e, &mem);
    assert_int_equal(mem.draft_kv, 0);
    otr_engine_destroy(e);
    otr_model_close(m);
}

/* What a drafter is thought to cost before it is measured: its bytes, and for a prompt its products, those of eight
 * bits at half of a float's. */
static void test_guess(void **state)
{
    (void)state;
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 64};
    struct otr_model *m;
    struct otr_engine *e;
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    struct draft_host host = mr_host(e, 64, 1);
    for (int fewer = 0; fewer < 2; fewer++) {
        struct lm *lm;
        assert_int_equal(lm_open(&lm, &host, &(struct lm_opts){.path = fewer ? q8 : STORIES}, NULL), OTR_OK);
        const struct draft_guess g = lm_guess(lm);
        assert_true(fewer ? g.row > 0.2 && g.row < 0.6 : g.row == 1);
        assert_true(g.prompt == (fewer ? 0.5 : 1));
        lm_close(lm);
    }
    lm_files_destroy(host.files);
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),     cmocka_unit_test(test_smollm2), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_loaded_once), cmocka_unit_test(test_guess),
    };
    return cmocka_run_group_tests(tests, make_drafters, remove_drafters);
}
