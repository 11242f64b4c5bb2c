/* Drafted replies equal plain ones, byte for byte: every method, the hostile ones too, chains and trees, one to four
 * threads, batches of one to eight, both temperatures, all settings of spec_rig.h. On a tiny model in full; a sample on
 * SmolLM2. The full proof is tests/proof/proof_spec.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/equal.h"
#include "support/fewer.h"
#include "support/spec_rig.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define PROMPTS "../shared/data/spec-bench/question.jsonl"

static const uint64_t seed = 20261125;

static void run(struct spec_rig *s, const struct sr_way *w, int from, int to)
{
    struct otr_err err = {0};
    if (sr_run(s, w, from, to, &err) < 0)
        fail_msg("%s: %s", w->method ? w->method : "auto", err.msg);
}

static void report(const struct spec_rig *s, const char *what)
{
    printf("%s, temperature %s: %ld replies, %ld tokens; %ld drafted, %ld kept; %ld replies differ (seed %llu)\n", what,
           s->warm ? "0.8" : "0", s->n_reply, s->n_compared, s->n_draft, s->n_accepted, s->n_differ,
           (unsigned long long)seed);
    assert_int_equal(s->n_differ, 0);
    assert_true(s->n_accepted > 0 && s->n_draft > s->n_accepted);
}

/* Every method alone, by the controller and at fixed lengths. */
static void each_method(struct spec_rig *s)
{
    for (int i = 0; i < draft_count(); i++) {
        const struct draft_method *m = draft_at(i);
        if (m->flags & (DRAFT_WRAPPER | DRAFT_NEED_FILE))
            continue;
        const bool hostile = (m->flags & DRAFT_HOSTILE) != 0;
        struct sr_way w = {
            .method = m->name, .n_threads = 1, .n_batch = 1, .predict = true, .seed = seed + (uint64_t)i};
        run(s, &w, 0, s->n);
        w.draft_fixed = 1 + i % 16;
        run(s, &w, 0, hostile ? s->n : s->n / 2);
        w.draft_fixed = TREE_MAX;
        run(s, &w, 0, s->n / 2);
    }
    static const char *const wrapped[] = {"fault:of=suffix,every=2",    "delay:of=ngram-simple,ms=0.1",
                                          "suffix:form=path,factor=16", "ngram-map-k4v:size_n=1",
                                          "ngram-mod:n_match=1",        "fault:of=lowbit,every=3",
                                          "lowbit:type=Q8_0,head=0",    "exit:layers=1",
                                          "exit:layers=4,n_max=3",      "skip:set=-abf-",
                                          "skip:set=b-b-b,n_max=3",     "skip:search=4"};
    for (size_t i = 0; i < sizeof wrapped / sizeof *wrapped; i++)
        run(s, &(struct sr_way){.method = wrapped[i], .draft_fixed = 16, .n_threads = 1, .n_batch = 1}, 0, s->n);
}

/* shuffle and auto, on 1..4 threads, 1..8 replies at once. */
static void company(struct spec_rig *s)
{
    for (int t = 1; t <= 4; t++)
        for (int b = 1; b <= 8; b += t == 1 ? 1 : 3) {
            struct sr_way w = {.method = "shuffle",
                               .draft_fixed = 16,
                               .n_threads = t,
                               .n_batch = b,
                               .predict = b % 2 == 0,
                               .seed = seed + (uint64_t)(10 * t + b)};
            run(s, &w, 0, s->n);
            w.method = NULL;
            w.draft_fixed = 0;
            run(s, &w, 0, s->n);
        }
}

/* The target drafts for itself, in its own pass or beside it, alone and among others, 1..8 replies at once. */
static void self_drafts(struct spec_rig *s)
{
    static const char *const ways[] = {"exit:layers=2",
                                       "exit:layers=1 suffix",
                                       "lowbit exit:layers=3",
                                       "exit:layers=2 exit:layers=4 lowbit skip:set=-ab--",
                                       "lowbit:type=Q4_0",
                                       "lowbit:rows=64",
                                       "exit:layers=2,rows=64 exit:layers=3,rows=300 lowbit:rows=100",
                                       "skip:set=-af--,rows=200 skip:search=4,rows=64"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int b = 1; b <= 8; b += b == 1 ? 2 : 5)
            for (int fixed = 0; fixed <= 12; fixed += 6) {
                struct sr_way w = {.method = ways[i], .draft_fixed = fixed, .n_threads = 1 + b % 3, .n_batch = b};
                run(s, &w, 0, s->n);
            }
}

static void on_model(const char *path, int n_prompt, int n_tok, bool warm, void (*ways)(struct spec_rig *s),
                     const char *what)
{
    struct otr_model *m;
    struct otr_err err = {0};
    struct spec_rig s;
    struct eq_prompts p;
    if (otr_model_open(&m, path, NULL, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
    assert_int_equal(eq_prompts_read(&p, m, PROMPTS, n_prompt, 40), n_prompt);
    if (sr_open(&s, m, (const int32_t *const *)p.ids, p.n_ids, p.n, n_tok, warm, 0, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
    ways(&s);
    report(&s, what);
    sr_close(&s);
    eq_prompts_free(&p);
    otr_model_close(m);
}

static void tiny(void (*ways)(struct spec_rig *s), const char *what)
{
    if (access(STORIES, R_OK) != 0 || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: %s or %s is not there\n", STORIES, PROMPTS);
        skip();
    }
    on_model(STORIES, FEWER(12, 4), FEWER(64, 32), false, ways, what);
    on_model(STORIES, FEWER(12, 4), FEWER(64, 32), true, ways, what);
}

static void test_each_method(void **state)
{
    (void)state;
    tiny(each_method, "stories260K, each method");
}

static void test_company(void **state)
{
    (void)state;
    tiny(company, "stories260K, threads and batches");
}

static void test_self_drafts(void **state)
{
    (void)state;
    tiny(self_drafts, "stories260K, the target drafts for itself");
}

static void two_ways(struct spec_rig *s)
{
    run(s,
        &(struct sr_way){
            .method = "shuffle", .draft_fixed = 16, .n_threads = 2, .n_batch = 2, .predict = true, .seed = seed},
        0, s->n);
    run(s, &(struct sr_way){.n_threads = 1, .n_batch = 3}, 0, s->n);
}

static void test_smollm2(void **state)
{
    (void)state;
    char buf[512];
    const char *path = eq_model_path(buf, sizeof buf, "SmolLM2-135M-Instruct-Q4_1.gguf");
    if (!path || access(PROMPTS, R_OK) != 0) {
        printf("SKIPPED: no model or no prompts\n");
        skip();
    }
    on_model(path, 6, 48, false, two_ways, "SmolLM2");
    on_model(path, 6, 48, true, two_ways, "SmolLM2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_method),
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_self_drafts),
        cmocka_unit_test(test_smollm2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
