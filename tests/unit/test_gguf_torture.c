/* Every n-th allocation of gguf_open fails, n = 1, 2, ... until it succeeds: out of memory is said, nothing leaks.
 * The model is split, so that all of the loader's allocations are among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/gguf_build.h"
#include "support/wrapmem.h"

static char folder[200];

static const char *part_path(int no)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/m-%05d-of-00003.gguf", folder, no + 1);
    return path;
}

static void write_parts(void)
{
    for (uint32_t no = 0; no < 3; no++) {
        struct gguf_build b;
        char name[32];
        gb_init(&b);
        gb_u32(&b, "split.no", no);
        gb_u32(&b, "split.count", 3);
        gb_u32(&b, "split.tensors.count", 150);
        for (int i = 0; i < 50; i++) { /* enough for the tables to grow */
            snprintf(name, sizeof name, "blk.%u.%d.weight", no, i);
            gb_u32(&b, name, 1);
            gb_tensor(&b, name, GGML_F32, 1, (const int64_t[]){4}, NULL);
        }
        gb_write(&b, part_path((int)no));
        gb_free(&b);
    }
}

static void test_open(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct gguf *g = NULL;
    struct otr_err err;
    long n = 1;
    (void)state;
    snprintf(folder, sizeof folder, "%s/gguf_torture_XXXXXX", tmp ? tmp : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    write_parts();
    for (;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        memset(&err, 0, sizeof err);
        const int rc = gguf_open(&g, part_path(0), &err);
        const long left = wrapmem_fail_at;
        wrapmem_fail_at = 0;
        if (rc == OTR_OK) {
            assert_true(left > 0); /* there was no n-th allocation */
            gguf_close(g);
            assert_int_equal(wrapmem_open, open);
            break;
        }
        if (rc != OTR_E_NOMEM || err.code != rc || !err.msg[0] || g)
            fail_msg("failing allocation %ld: code %d, '%s'", n, rc, err.msg);
        if (wrapmem_open != open)
            fail_msg("failing allocation %ld leaks %ld blocks", n, wrapmem_open - open);
    }
    printf("%ld allocations failed in turn\n", n - 1);
    assert_true(n > 20);
    for (int no = 0; no < 3; no++)
        unlink(part_path(no));
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_open)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
