/* Owns what model_rig.h says. */
#include "support/model_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct draft_host mr_host(const struct otr_engine *e, int n_ctx, int n_seq)
{
    struct lm_files *files = lm_files_create();
    assert_non_null(files);
    return (struct draft_host){.pool = e->pool,
                               .weights = e->m->w,
                               .kv = e->kv,
                               .fwd = e->fwd,
                               .files = files,
                               .n_ctx = n_ctx,
                               .n_seq = n_seq};
}

int mr_reply(struct otr_engine *e, const char *method, const struct otr_gen *g, int32_t *tok, struct otr_err *err)
{
    struct otr_seq *s = NULL;
    struct otr_gen_result r = {0};
    const struct otr_spec sp = {.methods = &method, .n_methods = 1, .draft_fixed = 4};
    int rc = otr_engine_speculate(e, method ? &sp : NULL, err);
    if (rc == OTR_OK)
        rc = otr_seq_create(&s, e, err);
    if (rc == OTR_OK)
        rc = otr_generate(s, (int32_t[]){1, 403, 407}, 3, g, &r, err);
    if (rc == OTR_OK)
        memcpy(tok, r.tokens, g->max_tokens * sizeof *tok);
    otr_gen_result_free(&r);
    otr_seq_destroy(s);
    otr_engine_speculate(e, NULL, NULL);
    return rc;
}

void mr_refused(struct otr_engine *e, const char *name, const char *params, int code, const char *text)
{
    struct otr_err err = {0};
    char method[600];
    snprintf(method, sizeof method, "%s%s", name, params);
    const char *one = method;
    const struct otr_spec sp = {.methods = &one, .n_methods = 1};
    assert_int_equal(otr_engine_speculate(e, &sp, &err), code);
    if (!strstr(err.msg, text))
        fail_msg("%s: '%s' does not say '%s'", method, err.msg, text);
}
