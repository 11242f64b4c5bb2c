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
#include "support/wrapmem.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"

/* The run up to its first error; *reached says how far it came. */
static int run(struct otr_err *err, int *reached)
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
    int rc = otr_model_open(&m, MODEL, NULL, err);
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

static void test_every_allocation(void **state)
{
    (void)state;
    struct otr_err err;
    int reached;
    if (access(MODEL, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", MODEL);
        skip();
    }
    assert_int_equal(run(&err, &reached), OTR_OK); /* WHY first: libraries keep what they allocate once */
    long n = 1;
    for (;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        memset(&err, 0, sizeof err);
        const int rc = run(&err, &reached);
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
    printf("%ld allocations failed in turn\n", n - 1);
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
