/* lowbit: the target's own weights in a lower type draft for it.
 *
 *   type=Q4_0|Q4_1|Q8_0    the type of the drafter's matrices (Q4_1)
 *   head=0|1               the output matrix is lowered too (1)
 *   n_max, p_min, reach    shadow.h
 *   rows, freq             few_rows.h
 * For targets of F32, F16, BF16 or Q8_0 weights; the lower matrices are made in memory at open, everything else is the
 * target's. Its K and V are shared: the two models differ by rounding, so each reads the other's well.
 * Read next: shadow.h, load/lower.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "draft/lm_priv.h"
#include "draft/shadow.h"
#include "load/lower.h"
#include "load/quant.h"
#include "load/tune.h"

struct lowbit {
    struct weights *w;
    struct shadow *shadow;
    struct chain_opts o;
    struct lm_files *files; /* that count its weights */
};

static void lowbit_close(void *self)
{
    struct lowbit *b = self;
    shadow_close(b->shadow);
    if (b->w)
        b->files->made_bytes -= b->w->packed_bytes;
    weights_close(b->w);
    free(b);
}

static int read_type(const struct draft_env *env, enum ggml_type *type, struct otr_err *err)
{
    static const enum ggml_type known[] = {GGML_Q4_0, GGML_Q4_1, GGML_Q8_0};
    const char *v = draft_param_get(env, "type");
    char q[40];
    *type = GGML_Q4_1; /* WHY not Q4_0, which is 5 % faster: its drafts are accepted less often (SPEED.md) */
    for (size_t i = 0; v && i < sizeof known / sizeof *known; i++)
        if (strcasecmp(v, ggml_type_name((uint32_t)known[i])) == 0) {
            *type = known[i];
            return OTR_OK;
        }
    return !v ? OTR_OK
              : OTR_FAIL(err, ARG, "bad parameter (--spec lowbit, type): '%s' is none of Q4_0, Q4_1, Q8_0",
                         err_quote(q, sizeof q, v, strlen(v)));
}

static int lowbit_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const known[] = {"type", "head", SHADOW_PARAMS};
    enum ggml_type type;
    int head, rc;
    bool few;
    if (!env->host)
        return OTR_FAIL(err, UNSUPPORTED, "lowbit needs a target whose weights it can read");
    const struct draft_host *host = env->host;
    struct lowbit *b = calloc(1, sizeof *b);
    if (!b)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    if ((rc = draft_param_check(env, known, sizeof known / sizeof *known, err)) < 0 ||
        (rc = read_type(env, &type, err)) < 0 || (rc = draft_param_int(env, "head", 1, 0, 1, &head, err)) < 0 ||
        (rc = shadow_params(&b->o, env, err)) < 0 || (rc = few_rows_wanted(&few, env, env->tok, err)) < 0 ||
        (rc = weights_lower(&b->w, host->weights, type,
                            few    ? LOWER_NO_HEAD
                            : head ? LOWER_HEAD
                                   : LOWER_KEEP_HEAD,
                            lm_room(host), host->pool, err)) < 0)
        goto fail;
    b->files = host->files;
    b->files->made_bytes += b->w->packed_bytes;
    weights_tune(b->w, host->pool, host->cache_dir);
    if ((rc = shadow_open(&b->shadow, env, b->w, head ? type : host->weights->head.type, err)) < 0)
        goto fail;
    *self = b;
    return OTR_OK;
fail:
    lowbit_close(b);
    return rc;
}

static int lowbit_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct lowbit *b = self;
    return shadow_propose(b->shadow, &b->o, ask, n_ask, out);
}

static int lowbit_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    const struct lowbit *b = self;
    shadow_observe(b->shadow, seen, n_seen);
    return OTR_OK;
}

static size_t lowbit_bytes(const void *self)
{
    const struct lowbit *b = self;
    return b->w->packed_bytes + shadow_bytes(b->shadow);
}

static int lowbit_begin(void *self, const struct draft_ask *ask, int n_ask, int *row)
{
    struct lowbit *b = self;
    return shadow_begin(b->shadow, ask, n_ask, row);
}

static int lowbit_more(void *self, const struct draft_ask *ask, const struct draft_law_row *rows, int n)
{
    const struct lowbit *b = self;
    return shadow_more(b->shadow, ask, rows, n);
}

static const struct draft_row *lowbit_law(void *self, const struct draft_ask *ask, const int32_t *path, int n_path,
                                          int row)
{
    const struct lowbit *b = self;
    return shadow_law(b->shadow, ask, path, n_path, row);
}

static void lowbit_end(void *self, const struct draft_ask *ask, int n_ask)
{
    (void)self;
    shadow_end(ask, n_ask);
}

static const struct draft_laws lowbit_laws = {
    .begin = lowbit_begin, .more = lowbit_more, .law = lowbit_law, .end = lowbit_end};

const struct draft_method draft_lowbit = {.name = "lowbit",
                                          .about = "the target's own weights in a lower type, made in memory",
                                          .flags =
                                              DRAFT_NEED_TARGET | DRAFT_RUNS_MODEL | DRAFT_GIVE_PROBS | DRAFT_STOPS,
                                          .open = lowbit_open,
                                          .close = lowbit_close,
                                          .propose = lowbit_propose,
                                          .observe = lowbit_observe,
                                          .bytes = lowbit_bytes,
                                          .laws = &lowbit_laws};
