/* The equality suite at a size for every day: tiny models at every level, and a sample of draws on the real ones.
 * The full one (5,000 draws on both models, 100 prompts) is tests/proof/proof_equality.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/equal.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define PROMPTS "../shared/data/spec-bench/question.jsonl"

static void draws(const char *model, const char *kern, int n_text, int n_tok, int n_draw)
{
    struct eq_rig r;
    struct otr_err err = {0};
    struct eq_prompts p;
    const uint64_t seed = 20261124;
    if (eq_open(&r, model, kern, seed, &err) < 0)
        fail_msg("%s: %s", model, err.msg);
    if (eq_prompts_read(&p, r.m, PROMPTS, n_text, 24) == 0) {
        static int32_t bos[1] = {1};
        p.n = 1;
        p.n_ids[0] = 1;
        const int32_t *one[1] = {bos};
        assert_int_equal(eq_load(&r, one, p.n_ids, 1, n_tok, &err), OTR_OK);
    } else {
        assert_int_equal(eq_load(&r, (const int32_t *const *)p.ids, p.n_ids, p.n, n_tok, &err), OTR_OK);
        eq_prompts_free(&p);
    }
    for (int i = 0; i < n_draw; i++)
        if (eq_draw(&r, &err) < 0)
            fail_msg("draw %d: %s", i, err.msg);
    printf("level %s: %ld rows of %ld draws (seed %llu): %ld on chains and trees, %ld on side branches; %ld differ\n",
           r.m->info.kern, r.n_row, r.n_draw, (unsigned long long)seed, r.n_tree_row, r.n_branch_row, r.n_differ);
    assert_true(r.n_tree_row > n_draw && r.n_branch_row > n_draw / 4);
    long n_row, n_differ;
    const struct otr_model_opts in_file = {.kern = kern, .no_repack = true};
    assert_int_equal(eq_compare_model(&r, model, &in_file, &n_row, &n_differ, &err), OTR_OK);
    printf("level %s, weights not repacked: %ld rows, %ld differ\n", r.m->info.kern, n_row, n_differ);
    assert_true(n_row == (long)r.n_text * n_tok && n_differ == 0);
    assert_int_equal(r.n_differ, 0);
    eq_close(&r);
}

static void test_stories(void **state)
{
    (void)state;
    char level[16];
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    for (const char *l = kernels_levels(); sscanf(l, "%15s", level) == 1; l += strlen(level), l += *l == ' ')
        draws(STORIES, level, EQ_GROUP, 128, strcmp(level, "c") == 0 ? 300 : 2000);
}

static void test_levels(void **state)
{
    (void)state;
    struct eq_rig r;
    struct otr_err err = {0};
    struct eq_prompts p;
    long n_row, n_differ;
    if (access(STORIES, R_OK) != 0 || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: %s or %s is not there\n", STORIES, PROMPTS);
        skip();
    }
    assert_int_equal(eq_open(&r, STORIES, NULL, 1, &err), OTR_OK);
    assert_true(eq_prompts_read(&p, r.m, PROMPTS, EQ_GROUP, 24) == EQ_GROUP);
    assert_int_equal(eq_load(&r, (const int32_t *const *)p.ids, p.n_ids, p.n, 128, &err), OTR_OK);
    assert_int_equal(eq_compare_model(&r, STORIES, &(struct otr_model_opts){.kern = "c"}, &n_row, &n_differ, &err),
                     OTR_OK);
    printf("level %s against level c: %ld rows, %ld differ\n", r.m->info.kern, n_row, n_differ);
    assert_int_equal(n_row, EQ_GROUP * 128);
    assert_int_equal(n_differ, 0);
    eq_prompts_free(&p);
    eq_close(&r);
}

static void real_model(const char *file, int n_draw)
{
    char path[512];
    const char *model = eq_model_path(path, sizeof path, file);
    if (!model)
        skip();
    draws(model, NULL, 4, 48, n_draw);
}

static void test_smollm2(void **state)
{
    (void)state;
    real_model("SmolLM2-135M-Instruct-Q4_1.gguf", 150);
}

static void test_gemma3(void **state)
{
    (void)state;
    real_model("gemma-3-270m-Q4_K_M.gguf", 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_smollm2),
        cmocka_unit_test(test_gemma3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
