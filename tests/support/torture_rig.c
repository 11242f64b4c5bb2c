/* Owns what torture_rig.h says. */
#include "support/torture_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/wrapmem.h"

long torture_reply(struct otr_engine *e, const char *method, const struct otr_gen *g)
{
    int32_t want[TORTURE_MAX_TOK], got[TORTURE_MAX_TOK];
    struct otr_err err;
    assert_true(g->max_tokens <= TORTURE_MAX_TOK);
    assert_int_equal(mr_reply(e, NULL, g, want, &err), OTR_OK);
    assert_int_equal(mr_reply(e, method, g, got, &err), OTR_OK);
    for (long n = 1;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        memset(&err, 0, sizeof err);
        const int rc = mr_reply(e, method, g, got, &err);
        const long left = wrapmem_fail_at;
        wrapmem_fail_at = 0;
        if (wrapmem_open != open)
            fail_msg("%s: failing allocation %ld leaks %ld blocks", method, n, wrapmem_open - open);
        if (rc == OTR_OK)
            assert_memory_equal(got, want, g->max_tokens * sizeof *got);
        else if (rc != OTR_E_NOMEM || !err.msg[0])
            fail_msg("%s: failing allocation %ld: code %d, '%s'", method, n, rc, err.msg);
        if (rc == OTR_OK && left > 0) {
            printf("%s: %ld allocations failed in turn\n", method, n - 1);
            return n;
        }
    }
}
