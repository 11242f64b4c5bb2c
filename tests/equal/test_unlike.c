/* Equality with drafters that have a vocabulary of their own: every reply is what plain decoding gives. A tiny pair
 * (the stories model and itself with its vocabulary in another order), and SmolLM2 with Gemma 3, both ways. The tiny
 * pair agrees nearly always, so what it keeps also shows that ids are read right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/draft_rig.h"
#include "support/equal.h"
#include "support/model_rig.h"
#include "support/reordered.h"
#include "support/spec_rig.h"
#include "support/toktest.h"

#define PROMPTS "../shared/data/spec-bench/question.jsonl"

static const char *const methods[] = {"tli", "slem", "slrs", "hetero", "md"};
enum { N_METHOD = sizeof methods / sizeof *methods };

static struct spec_rig rig_of(struct otr_model *m, struct eq_prompts *p, int n_tok, bool warm)
{
    struct spec_rig s;
    struct otr_err err = {0};
    if (sr_open(&s, m, (const int32_t *const *)p->ids, p->n_ids, p->n, n_tok, warm, 0, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

/* The share of drafted tokens that stayed. */
static double run(struct spec_rig *s, const char *method, const char *verify, int fixed, int batch, int to)
{
    struct otr_err err = {0};
    const struct sr_way w = {
        .method = method, .verify = verify, .draft_fixed = fixed, .n_threads = 1, .n_batch = batch, .seed = 7};
    const long d = s->n_draft, a = s->n_accepted;
    if (sr_run(s, &w, 0, to, &err) < 0)
        fail_msg("%s: %s", method, err.msg);
    return s->n_draft > d ? (double)(s->n_accepted - a) / (double)(s->n_draft - d) : 0;
}

/* Named as one of the same vocabulary it is refused, and the sentence says what takes it. */
static void refuse_as_draft(const struct otr_model *m, const char *drafter)
{
    char params[320];
    struct otr_engine *e;
    snprintf(params, sizeof params, ":model=%s", drafter);
    assert_int_equal(otr_engine_create(&e, m, NULL, NULL), OTR_OK);
    mr_refused(e, "draft", params, OTR_E_ARG, "--spec tli:model=FILE");
    otr_engine_destroy(e);
}

static void test_tiny(void **state)
{
    char drafter[256], method[320];
    struct otr_model *m;
    struct otr_err err = {0};
    struct eq_prompts p;
    (void)state;
    if (access(TOK_STORIES, R_OK) != 0 || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: %s or %s is not there\n", TOK_STORIES, PROMPTS);
        skip();
    }
    dr_tmp_file(drafter, sizeof drafter);
    reordered_write(TOK_STORIES, drafter);
    if (otr_model_open(&m, TOK_STORIES, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    refuse_as_draft(m, drafter);
    assert_int_equal(eq_prompts_read(&p, m, PROMPTS, 8, 40), 8);
    for (int warm = 0; warm < 2; warm++) {
        struct spec_rig s = rig_of(m, &p, 64, warm);
        for (int k = 0; k < N_METHOD; k++) {
            snprintf(method, sizeof method, "%s:model=%s,p_min=0", methods[k], drafter);
            const double kept = run(&s, method, NULL, 1 + 2 * k, 1, 8);
            run(&s, method, NULL, 0, 3, 8);
            run(&s, method, NULL, TREE_MAX, 2, 4);
            snprintf(method, sizeof method, "%s:model=%s,p_min=0,rows=%d,context=%d", methods[k], drafter, 64 << k % 3,
                     9 + k);
            run(&s, method, NULL, 5, 1, 8);
            printf("stories260K, other order, %-6s temperature %s: %.3f of the drafted tokens stayed\n", methods[k],
                   warm ? "0.8" : "0", kept);
            if (!warm || k == 0) /* penalties and biases change some; text alone knows nothing of the noise */
                assert_true(kept > 0.6);
        }
        printf("%ld replies, %ld tokens, %ld drafted, %ld kept, %ld differ\n", s.n_reply, s.n_compared, s.n_draft,
               s.n_accepted, s.n_differ);
        assert_int_equal(s.n_differ, 0);
        sr_close(&s);
    }
    eq_prompts_free(&p);
    otr_model_close(m);
    unlink(drafter);
}

/* All methods in turn with two models, one of the target's vocabulary; prompts run once for everything. */
static void test_shuffled(void **state)
{
    char drafter[256], method[700];
    struct otr_model *m;
    struct otr_err err = {0};
    struct eq_prompts p;
    struct spec_rig s;
    (void)state;
    if (access(TOK_STORIES, R_OK) != 0 || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: %s or %s is not there\n", TOK_STORIES, PROMPTS);
        skip();
    }
    dr_tmp_file(drafter, sizeof drafter);
    reordered_write(TOK_STORIES, drafter);
    assert_int_equal(otr_model_open(&m, TOK_STORIES, NULL, &err), OTR_OK);
    assert_int_equal(eq_prompts_read(&p, m, PROMPTS, 8, 40), 8);
    if (sr_open_shared(&s, m, (const int32_t *const *)p.ids, p.n_ids, p.n, 64, 1, &err) < 0)
        fail_msg("%s", err.msg);
    snprintf(method, sizeof method, "shuffle:model=%s,model=%s exit", TOK_STORIES, drafter);
    for (int warm = 0; warm < 2; warm++) {
        if (sr_plain(&s, warm, &err) < 0)
            fail_msg("%s", err.msg);
        for (int batch = 1; batch <= 8; batch += 7)
            run(&s, method, NULL, 16, batch, 8);
        run(&s, "exit:layers=2,reach=0 suffix", NULL, 5, 3, 8);
    }
    printf("shuffled: %ld replies, %ld tokens, %ld drafted, %ld kept, %ld differ\n", s.n_reply, s.n_compared, s.n_draft,
           s.n_accepted, s.n_differ);
    assert_true(s.n_accepted > 500 && s.n_differ == 0);
    const char *const bad[] = {"shuffle:model=/nonexistent.gguf", "shuffle:modle=x"};
    for (int i = 0; i < 2; i++) {
        const struct otr_spec sp = {.methods = &bad[i], .n_methods = 1};
        assert_true(otr_engine_speculate(s.e, &sp, &err) < 0);
        assert_non_null(strstr(err.msg, i ? "did you mean model?" : "nonexistent"));
    }
    sr_close(&s);
    eq_prompts_free(&p);
    otr_model_close(m);
    unlink(drafter);
}

static void real_pair(const char *target, const char *draft)
{
    char to[512], from[512], method[640];
    struct otr_model *m;
    struct otr_err err = {0};
    struct eq_prompts p;
    const char *t = eq_model_path(to, sizeof to, target), *d = eq_model_path(from, sizeof from, draft);
    if (!t || !d || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: no models or no prompts\n");
        skip();
    }
    if (otr_model_open(&m, t, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(eq_prompts_read(&p, m, PROMPTS, 2, 40), 2);
    for (int warm = 0; warm < 2; warm++) {
        struct spec_rig s = rig_of(m, &p, 16, warm);
        for (int k = 0; k < 3; k++) { /* hetero is tli and slem in turn; slrs is slow with such drafters */
            snprintf(method, sizeof method, "%s:model=%s%s", methods[k], d, k == 1 ? ",rows=8192" : "");
            const double kept = run(&s, method, NULL, 4, 1 + k % 2, k == 2 ? 1 : 2);
            printf("%.8s <- %.8s, %-6s temperature %s: %.3f of the drafted tokens stayed\n", target, draft, methods[k],
                   warm ? "0.8" : "0", kept);
        }
        printf("%ld replies, %ld tokens, %ld drafted, %ld kept, %ld differ\n", s.n_reply, s.n_compared, s.n_draft,
               s.n_accepted, s.n_differ);
        assert_int_equal(s.n_differ, 0);
        assert_true(s.n_accepted > 0);
        sr_close(&s);
    }
    eq_prompts_free(&p);
    otr_model_close(m);
}

static void test_gemma3_target(void **state)
{
    (void)state;
    real_pair(TOK_GEMMA3, TOK_SMOLLM2);
}

static void test_smollm2_target(void **state)
{
    (void)state;
    real_pair(TOK_SMOLLM2, TOK_GEMMA3);
}

/* A file that is no drafter: a sentence, and the engine goes on without. */
static void test_refused(void **state)
{
    static const struct {
        const char *method, *want;
    } cases[] = {{"tli", "model=FILE"},
                 {"slem:model=" TOK_DATA "ggml-vocab-gpt-2.gguf", "gpt-2"},
                 {"tli:model=/nonexistent.gguf", "nonexistent"},
                 {"tli:model=x,top=3", "top"},
                 {"slrs:model=x,laws=1000", "laws"},
                 {"hetero:model=x,p_min=2", "p_min"}};
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_err err = {0};
    (void)state;
    if (access(TOK_STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", TOK_STORIES);
        skip();
    }
    assert_int_equal(otr_model_open(&m, TOK_STORIES, NULL, &err), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, NULL, &err), OTR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct otr_spec sp = {.methods = &cases[i].method, .n_methods = 1};
        err.msg[0] = 0;
        assert_true(otr_engine_speculate(e, &sp, &err) < 0);
        printf("%s: %s\n", cases[i].method, err.msg);
        assert_non_null(strstr(err.msg, cases[i].want));
    }
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),           cmocka_unit_test(test_shuffled), cmocka_unit_test(test_gemma3_target),
        cmocka_unit_test(test_smollm2_target), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
