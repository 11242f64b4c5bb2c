/* The equality suite at a size for every day: tiny models at every level, and a sample of draws on the real ones.
 * The full one (5,000 draws on both models, 100 prompts) is tests/proof/proof_equality.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/equal.h"
#include "support/fewer.h"
#include "support/tiny.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define TINY "tests/golden/tiny/"
#define PROMPTS "../shared/data/spec-bench/question.jsonl"

static const enum otr_kv_type types[] = {OTR_KV_F16, OTR_KV_F32, OTR_KV_Q8};
enum { N_TYPES = sizeof types / sizeof *types };

static void draws(const char *model, const char *kern, enum otr_kv_type kv, int n_text, int n_tok, int n_draw)
{
    struct eq_rig r;
    struct otr_err err = {0};
    struct eq_prompts p;
    const uint64_t seed = 20261124;
    if (eq_open(&r, model, kern, kv, seed, &err) < 0)
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
    printf("level %s, KV %s: %ld rows of %ld draws (seed %llu): %ld on chains and trees, %ld on side branches, %ld "
           "grown; %ld differ\n",
           r.m->info.kern, eq_kv_name(kv), r.n_row, r.n_draw, (unsigned long long)seed, r.n_tree_row, r.n_branch_row,
           r.n_grown, r.n_differ);
    assert_true(r.n_tree_row > n_draw && r.n_branch_row > n_draw / 4 && r.n_grown > n_draw);
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
        for (size_t t = 0; t < N_TYPES; t++)
            draws(STORIES, level, types[t], EQ_GROUP, 128,
                  strcmp(level, "c") == 0  ? FEWER(100, 20)
                  : types[t] == OTR_KV_F32 ? FEWER(200, 20)
                                           : FEWER(700, 40));
}

/* Windows of 16 and less, soft caps, heads of their own width: random models, all of KV in 8 bits. */
static void test_windows(void **state)
{
    (void)state;
    char level[16];
    for (const char *l = kernels_levels(); sscanf(l, "%15s", level) == 1; l += strlen(level), l += *l == ' ') {
        draws(TINY "mistral-window-linear.gguf", level, OTR_KV_Q8, EQ_GROUP, 96, FEWER(150, 20));
        draws(TINY "gemma2.gguf", level, OTR_KV_Q8, EQ_GROUP, 96, FEWER(150, 20));
    }
}

static void test_levels(void **state)
{
    (void)state;
    struct eq_rig r;
    struct otr_err err = {0};
    struct eq_prompts p;
    if (access(STORIES, R_OK) != 0 || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: %s or %s is not there\n", STORIES, PROMPTS);
        skip();
    }
    for (size_t t = 0; t < N_TYPES; t++) {
        long n_row, n_differ;
        assert_int_equal(eq_open(&r, STORIES, NULL, types[t], 1, &err), OTR_OK);
        assert_true(eq_prompts_read(&p, r.m, PROMPTS, EQ_GROUP, 24) == EQ_GROUP);
        assert_int_equal(eq_load(&r, (const int32_t *const *)p.ids, p.n_ids, p.n, 128, &err), OTR_OK);
        assert_int_equal(eq_compare_model(&r, STORIES, &(struct otr_model_opts){.kern = "c"}, &n_row, &n_differ, &err),
                         OTR_OK);
        printf("level %s against level c, KV %s: %ld rows, %ld differ\n", r.m->info.kern, eq_kv_name(types[t]), n_row,
               n_differ);
        assert_int_equal(n_row, EQ_GROUP * 128);
        assert_int_equal(n_differ, 0);
        eq_prompts_free(&p);
        eq_close(&r);
    }
}

/* ---- contexts of several chunks ---- */

enum { N_LONG = 600, LONG_FROM = 500 };

struct long_rows {
    float *logits; /* [N_LONG - LONG_FROM, n_vocab] */
    size_t n_vocab;
};

static void keep_long(void *arg, int pos, const float *logits, int argmax)
{
    const struct long_rows *to = arg;
    (void)argmax;
    memcpy(to->logits + (size_t)(pos - LONG_FROM) * to->n_vocab, logits, to->n_vocab * sizeof *logits);
}

/* The logits of positions 500 to 599 of a random text, made in passes of `chunk` rows. */
static float *long_text(const char *model, const char *kern, enum otr_kv_type kv, int chunk, int n_threads,
                        size_t *bytes)
{
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_err err = {0};
    uint64_t rng = 7;
    int32_t tok[N_LONG];
    const struct otr_model_opts mo = {.kern = kern};
    const struct otr_engine_opts eo = {.n_threads = n_threads, .n_ctx = N_LONG, .n_batch = chunk, .kv_type = kv};
    if (otr_model_open(&m, model, &mo, &err) < 0 || otr_engine_create(&e, m, &eo, &err) < 0)
        fail_msg("%s: %s", model, err.msg);
    for (int i = 0; i < N_LONG; i++)
        tok[i] = (int32_t)(eq_random(&rng) % (uint64_t)m->info.n_vocab);
    *bytes = (size_t)(N_LONG - LONG_FROM) * (size_t)m->info.n_vocab * sizeof(float);
    struct long_rows out = {malloc(*bytes), (size_t)m->info.n_vocab};
    assert_non_null(out.logits);
    assert_int_equal(rows_run(e, tok, N_LONG, chunk, LONG_FROM, keep_long, &out, &err), OTR_OK);
    otr_engine_destroy(e);
    otr_model_close(m);
    return out.logits;
}

static void test_long(void **state)
{
    (void)state;
    static const char *const models[] = {STORIES, TINY "gemma2.gguf"};               /* without and with windows */
    static const int way[][2] = {{512, 1}, {7, 2}, {1, 1}, {1, 2}, {64, 3}, {1, 4}}; /* rows of a pass, threads */
    char level[16];
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (access(models[i], R_OK) != 0) {
            printf("SKIPPED: %s is not there\n", models[i]);
            continue;
        }
        for (size_t t = 0; t < N_TYPES; t++) {
            size_t bytes;
            float *want = long_text(models[i], "c", types[t], 128, 2, &bytes);
            for (const char *l = kernels_levels(); sscanf(l, "%15s", level) == 1; l += strlen(level), l += *l == ' ')
                for (size_t w = strcmp(level, "c") ? 0 : 4; w < sizeof way / sizeof *way; w++) {
                    float *got = long_text(models[i], level, types[t], way[w][0], way[w][1], &bytes);
                    if (memcmp(want, got, bytes) != 0)
                        fail_msg("%s, level %s, KV %s, passes of %d rows, %d threads: other bits", models[i], level,
                                 eq_kv_name(types[t]), way[w][0], way[w][1]);
                    free(got);
                }
            free(want);
        }
    }
}

static void real_model(const char *file, int n_draw, int n_draw_q8)
{
    char path[512];
    const char *model = eq_model_path(path, sizeof path, file);
    if (!model)
        skip();
    draws(model, NULL, OTR_KV_F16, 4, 48, n_draw);
    draws(model, NULL, OTR_KV_Q8, 4, 48, n_draw_q8);
}

static void test_smollm2(void **state)
{
    (void)state;
    real_model("SmolLM2-135M-Instruct-Q4_1.gguf", FEWER(100, 4), FEWER(60, 4));
}

static void test_gemma3(void **state)
{
    (void)state;
    real_model("gemma-3-270m-Q4_K_M.gguf", FEWER(35, 4), FEWER(20, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories), cmocka_unit_test(test_windows), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long),    cmocka_unit_test(test_smollm2), cmocka_unit_test(test_gemma3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
