/* Trees out of a model's laws: replies equal plain ones, byte for byte, for every policy, of a second model and of the
 * target's own lower weights or fewer sub-layers, alone and in batches, at temperature 0 and above; and they are trees.
 * What cannot be built is refused with a sentence. Read also: tests/unit/test_tree_build.c, test_spec_model.c. */
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
#include "support/fewer.h"
#include "support/model_rig.h"
#include "support/spec_rig.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define PROMPTS "../shared/data/spec-bench/question.jsonl"

static const uint64_t seed = 20261129;
static char q4[300]; /* the same model in fewer bits */

static const char *const builds[] = {"eagle2", "opt,gain=0.05", "dyspec,gain=0", "sequoia", "medusa,shape=wide"};
enum { N_BUILD = sizeof builds / sizeof *builds };

static void run(struct spec_rig *s, const struct sr_way *w)
{
    struct otr_err err = {0};
    if (sr_run(s, w, 0, s->n, &err) < 0)
        fail_msg("%s: %s", w->method, err.msg);
}

/* of: "model=FILE" or "of=lowbit". */
static void with_builds(struct spec_rig *s, const char *of, bool all)
{
    for (int b = 0; b < N_BUILD; b++) {
        const long n_draft = s->n_draft, n_accepted = s->n_accepted;
        char method[600];
        snprintf(method, sizeof method, "tree:%s,build=%s", of, builds[b]);
        struct sr_way w = {.method = method, .n_threads = 1 + b % 4, .n_batch = 1, .draft_fixed = 6 + b, .seed = seed};
        run(s, &w);
        w.draft_fixed = 0; /* the controller plans */
        w.n_batch = all ? 1 + b % 3 * 2 : 1;
        run(s, &w);
        if (all) {
            w.draft_fixed = 31;
            w.n_batch = 4;
            run(s, &w);
            w.verify = "traversal"; /* of replies at temperature 0 this is greedy: no others are compared */
            if (!s->warm)
                run(s, &w);
        }
        if (s->n_accepted == n_accepted || s->n_draft - n_draft == s->n_accepted - n_accepted)
            fail_msg("%s: %ld drafted, %ld kept", method, s->n_draft - n_draft, s->n_accepted - n_accepted);
    }
}

static void on_model(const char *path, const char *const *of, int n_of, int n_prompt, int n_tok, bool warm, bool all)
{
    struct otr_model *m;
    struct otr_err err = {0};
    struct spec_rig s;
    struct eq_prompts p;
    assert_int_equal(otr_model_open(&m, path, NULL, NULL), OTR_OK);
    assert_int_equal(eq_prompts_read(&p, m, PROMPTS, n_prompt, 40), n_prompt);
    if (sr_open(&s, m, (const int32_t *const *)p.ids, p.n_ids, p.n, n_tok, warm, 0, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
    for (int i = 0; i < n_of; i++)
        with_builds(&s, of[i], all);
    printf("trees, temperature %s: %ld replies, %ld tokens; %ld drafted, %ld kept; %ld differ\n", warm ? "0.8" : "0",
           s.n_reply, s.n_compared, s.n_draft, s.n_accepted, s.n_differ);
    assert_int_equal(s.n_differ, 0);
    sr_close(&s);
    eq_prompts_free(&p);
    otr_model_close(m);
}

static int make_drafter(void **state)
{
    char cmd[1000];
    const char *build = getenv("OUTRIDER_BUILD");
    (void)state;
    if (access(STORIES, R_OK) != 0)
        return 0;
    dr_tmp_file(q4, sizeof q4);
    snprintf(cmd, sizeof cmd, "%s/outrider quantize %s %s Q4_0 >/dev/null 2>&1", build ? build : "build", STORIES, q4);
    return system(cmd) == 0 ? 0 : -1; // NOLINT(cert-env33-c): the program under test
}

static int remove_drafter(void **state)
{
    (void)state;
    if (q4[0])
        unlink(q4);
    return 0;
}

static void need_stories(void)
{
    if (access(STORIES, R_OK) == 0 && access(PROMPTS, R_OK) == 0)
        return;
    printf("SKIPPED: %s or %s is not there\n", STORIES, PROMPTS);
    skip();
}

static void test_stories(void **state)
{
    char of[400];
    (void)state;
    need_stories();
    snprintf(of, sizeof of, "model=%s", q4);
    const char *const kinds[] = {of, "of=lowbit,type=Q4_0", "of=skip,set=-af--"};
    for (int warm = 0; warm < 2; warm++)
        on_model(STORIES, kinds, 3, FEWER(6, 2), 48, warm, true);
}

static void test_smollm2(void **state)
{
    (void)state;
    char target[512], drafter[512], of[600];
    const char *t = eq_model_path(target, sizeof target, "SmolLM2-135M-Instruct-Q8_0.gguf");
    const char *d = eq_model_path(drafter, sizeof drafter, "SmolLM2-135M-Instruct-Q4_0.gguf");
    if (!t || !d || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: no model, no drafter or no prompts\n");
        skip();
    }
    snprintf(of, sizeof of, "model=%s", d);
    const char *const kinds[] = {of};
    on_model(t, kinds, 1, 2, 24, false, false);
    on_model(t, kinds, 1, 2, 24, true, false);
}

/* Nothing of three levels holds more than three entries of a chain. */
static void test_wide(void **state)
{
    (void)state;
    static const char *const rule[] = {"gumbel", "multi", "traversal", "multi-iid"};
    struct otr_model *m;
    struct otr_engine *e;
    need_stories();
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = 128, .n_seq = 1};
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    for (int i = 0; i < N_BUILD * 6; i++) {
        char method[600];
        struct otr_seq *s;
        struct otr_gen_result r = {0};
        struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = 80, .ignore_eos = true};
        const bool block = i / N_BUILD == 4, ratio = i / N_BUILD == 5;
        snprintf(method, sizeof method, "tree:model=%s,build=%s,depth=3", q4, builds[i % N_BUILD]);
        const char *one = method;
        const struct otr_spec sp = {.methods = &one,
                                    .n_methods = 1,
                                    .draft_fixed = 12,
                                    .seed = seed,
                                    .verify = block   ? "block"
                                              : ratio ? "ratio"
                                                      : rule[i / N_BUILD]};
        g.sampling.temp = 0.8f;
        assert_int_equal(otr_engine_speculate(e, &sp, NULL), OTR_OK);
        assert_int_equal(otr_seq_create(&s, e, NULL), OTR_OK);
        assert_int_equal(otr_generate(s, (int32_t[]){1, 403, 407}, 3, &g, &r, NULL), OTR_OK);
        const double each = (double)r.spec.n_draft / (double)(r.spec.n_steps - r.spec.n_plain);
        if (block || ratio ? !(r.spec.tried_at[0] > 0) : !(each > 4 && r.spec.tried_at[3] == 0))
            fail_msg("%s, %s: %.1f entries a step", method, sp.verify, each);
        if (block || ratio) /* chains: every level has one entry */
            assert_true(r.spec.n_draft == r.spec.tried_at[0] + r.spec.tried_at[1] + r.spec.tried_at[2] ||
                        r.spec.tried_at[3] > 0);
        assert_true(r.spec.n_accepted > 0);
        otr_gen_result_free(&r);
        otr_seq_destroy(s);
    }
    otr_engine_destroy(e);
    otr_model_close(m);
}

static void test_refused(void **state)
{
    (void)state;
    struct otr_model *m;
    struct otr_engine *e;
    need_stories();
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 64};
    assert_int_equal(otr_model_open(&m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&e, m, &eo, NULL), OTR_OK);
    mr_refused(e, "tree:", "build=opt", OTR_E_ARG, "give model=FILE");
    mr_refused(e, "tree:", "of=suffix", OTR_E_ARG, "no trees of suffix");
    mr_refused(e, "tree:", "of=exit", OTR_E_ARG, "no trees of exit");
    mr_refused(e, "tree:", "of=nothing", OTR_E_ARG, "unknown drafting method");
    mr_refused(e, "tree:", "of=lowbit,build=eagle", OTR_E_ARG,
               "'eagle' is none of opt, eagle2, dyspec, sequoia, medusa");
    mr_refused(e, "tree:", "of=lowbit,shape=even", OTR_E_ARG, "only build=medusa has a shape");
    mr_refused(e, "tree:", "of=lowbit,build=medusa,shape=evn", OTR_E_IO, "'evn' is no file, nor even, deep or wide");
    mr_refused(e, "tree:", "of=lowbit,top_k=9", OTR_E_ARG, "top_k");
    mr_refused(e, "tree:", "of=lowbit,depth=0", OTR_E_ARG, "depth");
    mr_refused(e, "tree:", "of=lowbit,gain=-1", OTR_E_ARG, "gain");
    mr_refused(e, "tree:", "of=lowbit,tpye=Q4_0", OTR_E_ARG, "did you mean type?");
    otr_engine_destroy(e);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_smollm2),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, make_drafter, remove_drafter);
}
