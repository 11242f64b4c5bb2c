/* Every n-th allocation fails, n = 1, 2, ... until the whole run succeeds: open, engine, sequence, prompt, reply, fork.
 * The error must be "out of memory", nothing may leak, and what existed before the failing call must still work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "outrider/outrider.h"
#include "support/equal.h"
#include "support/wrapmem.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"

/* The run up to its first error; *reached says how far it came. */
static int run(bool no_repack, struct otr_err *err, int *reached)
{
    struct otr_model *m = NULL;
    struct otr_engine *e = NULL;
    struct otr_seq *s = NULL, *f = NULL;
    struct otr_gen_result r = {0};
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = 96};
    const char *stops[] = {"zebra"};
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = 24, .stops = stops, .n_stops = 1};
    int32_t ids[64];
    int64_t n = 0;
    int rc = otr_model_open(&m, MODEL, &(struct otr_model_opts){.no_repack = no_repack}, err);
    *reached = 0;
    if (rc == OTR_OK && ++*reached)
        rc = otr_engine_create(&e, m, &eo, err);
    if (rc == OTR_OK && ++*reached)
        rc = otr_seq_create(&s, e, err);
    if (rc == OTR_OK && ++*reached)
        rc = (n = otr_tokenize(m, "Once upon a time", 16, OTR_TOK_ADD_SPECIAL, ids, 64, err)) < 0 ? (int)n : OTR_OK;
    if (rc == OTR_OK && ++*reached)
        rc = otr_generate(s, ids, (size_t)n, &g, &r, err);
    if (rc == OTR_OK && ++*reached)
        rc = otr_seq_fork(&f, s, err);
    if (rc == OTR_OK && ++*reached)
        rc = otr_seq_append(f, ids, 3, err);
    if (rc < 0 && s) { /* the sequence that was there still works */
        const size_t len = otr_seq_len(s);
        wrapmem_fail_at = 0;
        assert_int_equal(otr_seq_append(s, &(int32_t){5}, 1, NULL), OTR_OK);
        assert_int_equal(otr_seq_len(s), len + 1);
        assert_non_null(otr_seq_logits(s));
    }
    otr_gen_result_free(&r);
    otr_seq_destroy(f);
    otr_seq_destroy(s);
    otr_engine_destroy(e);
    otr_model_close(m);
    return rc;
}

static void every_allocation(bool no_repack)
{
    struct otr_err err;
    int reached;
    if (access(MODEL, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", MODEL);
        skip();
    }
    assert_int_equal(run(no_repack, &err, &reached), OTR_OK); /* WHY first: libraries keep what they allocate once */
    long n = 1;
    for (;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        memset(&err, 0, sizeof err);
        const int rc = run(no_repack, &err, &reached);
        const long left = wrapmem_fail_at;
        wrapmem_fail_at = 0;
        if (wrapmem_open != open)
            fail_msg("failing allocation %ld leaks %ld blocks (stage %d)", n, wrapmem_open - open, reached);
        if (rc == OTR_OK && left > 0)
            break;
        if (rc == OTR_OK)
            continue; /* a cache that may do without */
        if (rc != OTR_E_NOMEM || err.code != rc || !err.msg[0])
            fail_msg("failing allocation %ld: code %d, '%s' (stage %d)", n, rc, err.msg, reached);
    }
    printf("%ld allocations failed in turn%s\n", n - 1, no_repack ? ", weights not repacked" : "");
    assert_true(n > 20);
}

static void test_every_allocation(void **state)
{
    (void)state;
    every_allocation(false);
}

static void test_not_repacked(void **state)
{
    (void)state;
    every_allocation(true);
}

/* A conversation through the chat template of a real model, every allocation of it. */
static void test_chat(void **state)
{
    (void)state;
    const struct otr_message msgs[] = {{"system", "Be brief."}, {"user", "Hi <|im_end|> there"}, {"assistant", "Yes?"}};
    struct otr_model *m;
    struct otr_err err;
    int32_t ids[256];
    char path[512];
    const char *model = eq_model_path(path, sizeof path, "SmolLM2-135M-Instruct-Q4_1.gguf");
    if (!model)
        skip();
    assert_int_equal(otr_model_open(&m, model, NULL, NULL), OTR_OK);
    const int64_t want = otr_chat_tokenize(m, msgs, 3, true, ids, 256, NULL);
    assert_true(want > 10);
    long n = 1;
    for (;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        const int64_t got = otr_chat_tokenize(m, msgs, 3, true, ids, 256, &err);
        const long left = wrapmem_fail_at;
        wrapmem_fail_at = 0;
        assert_int_equal(wrapmem_open, open);
        if (left > 0) {
            assert_int_equal(got, want);
            break;
        }
        assert_true(got == want || (got == OTR_E_NOMEM && err.code == OTR_E_NOMEM));
    }
    printf("%ld allocations of a chat prompt failed in turn\n", n - 1);
    assert_true(n > 5);
    otr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation), cmocka_unit_test(test_not_repacked),
                                       cmocka_unit_test(test_chat)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
