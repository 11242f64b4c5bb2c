/* exit: the first layers of the target draft, with its final norm and head on their output.
 *
 *   layers=E               how many (a quarter of the model's)
 *   n_max, p_min, reach    shadow.h
 *   rows, freq             few_rows.h
 * A draft's rows are rows of the target's pass whose first E layers have run: verification runs layers [E, n_layer)
 * for all of them at once, and nothing is computed twice. Only a checkpoint that was trained for early exits predicts
 * well so; on others it is slower than plain decoding.
 * SRC: LayerSkip (methods/21 section 4). Read next: shadow.h; engine/step.c. */
#include <stdlib.h>

#include "draft/shadow.h"

struct early {
    struct shadow *shadow;
    struct chain_opts o;
};

static void exit_close(void *self)
{
    struct early *x = self;
    shadow_close(x->shadow);
    free(x);
}

static int read_layers(const struct draft_env *env, int *n, struct otr_err *err)
{
    const int all = env->host->weights->hp.n_layer;
    if (all < 2)
        return OTR_FAIL(err, UNSUPPORTED, "exit drafts with some layers of a model, and this one has %d", all);
    return draft_param_int(env, "layers", (all + 3) / 4, 1, all - 1, n, err);
}

static int exit_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const known[] = {"layers", SHADOW_PARAMS};
    int n, rc;
    if (!env->host)
        return OTR_FAIL(err, UNSUPPORTED, "exit needs a target whose layers it can run");
    struct early *x = calloc(1, sizeof *x);
    if (!x)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    if ((rc = draft_param_check(env, known, sizeof known / sizeof *known, err)) < 0 ||
        (rc = read_layers(env, &n, err)) < 0 || (rc = shadow_params(&x->o, env, err)) < 0 ||
        (rc = shadow_open_exit(&x->shadow, env, n, err)) < 0) {
        exit_close(x);
        return rc;
    }
    *self = x;
    return OTR_OK;
}

static int exit_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct early *x = self;
    return shadow_propose(x->shadow, &x->o, ask, n_ask, out);
}

static int exit_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    const struct early *x = self;
    shadow_observe(x->shadow, seen, n_seen);
    return OTR_OK;
}

static size_t exit_bytes(const void *self)
{
    const struct early *x = self;
    return shadow_bytes(x->shadow);
}

const struct draft_method draft_exit = {.name = "exit",
                                        .about = "the target's first layers draft in its own pass (LayerSkip)",
                                        .flags = DRAFT_NEED_TARGET | DRAFT_RUNS_MODEL | DRAFT_IN_PASS |
                                                 DRAFT_GIVE_PROBS | DRAFT_STOPS,
                                        .open = exit_open,
                                        .close = exit_close,
                                        .propose = exit_propose,
                                        .observe = exit_observe,
                                        .bytes = exit_bytes};
