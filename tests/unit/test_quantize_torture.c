/* Every n-th allocation of the GGUF writer fails, n = 1, 2, ... until none is left: out of memory is said or does no
 * harm, and neither blocks nor files stay behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load/gguf_write.h"
#include "support/gguf_build.h"
#include "support/wrapmem.h"

static int write_model(const struct gguf *g, const char *path, struct otr_err *err)
{
    static const enum ggml_type types[] = {GGML_F16};
    static const struct gguf_u32 set = {"general.file_type", 1};
    const struct gguf_head h = {g, &set, 1, types};
    struct gguf_writer *w = NULL;
    int rc = gguf_writer_open(&w, path, &h, err);
    if (rc == OTR_OK)
        rc = gguf_writer_put(w, "12345678", 8, err);
    if (rc == OTR_OK)
        rc = gguf_writer_commit(w, err);
    gguf_writer_close(w);
    return rc;
}

static void test_every_allocation(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char folder[200], in[256], out[256];
    struct gguf_build b;
    struct gguf *g = NULL;
    struct otr_err err;
    long n = 1;
    int n_failed = 0;
    (void)state;
    snprintf(folder, sizeof folder, "%s/quantize_torture_XXXXXX", tmp ? tmp : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    snprintf(in, sizeof in, "%s/in", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    gb_init(&b);
    gb_tensor(&b, "t", GGML_F32, 1, (const int64_t[]){4}, NULL);
    gb_write(&b, in);
    gb_free(&b);
    assert_int_equal(gguf_open(&g, in, &err), OTR_OK);
    for (;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        memset(&err, 0, sizeof err);
        const int rc = write_model(g, out, &err);
        const long left = wrapmem_fail_at;
        wrapmem_fail_at = 0;
        if (wrapmem_open != open)
            fail_msg("failing allocation %ld leaks %ld blocks", n, wrapmem_open - open);
        if (rc != OTR_OK && (rc != OTR_E_NOMEM || err.code != rc || !err.msg[0]))
            fail_msg("failing allocation %ld: code %d, '%s'", n, rc, err.msg);
        assert_int_equal(access(out, F_OK), rc == OTR_OK ? 0 : -1);
        n_failed += rc != OTR_OK;
        if (rc == OTR_OK)
            unlink(out);
        if (left > 0) /* there was no n-th allocation */
            break;
    }
    printf("%ld allocations failed in turn, %d of them stopped the writer\n", n - 1, n_failed);
    assert_true(n_failed >= 4);
    gguf_close(g);
    unlink(in);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
