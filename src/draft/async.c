/* async: a smaller model of the same vocabulary drafts on a thread of its own, while the target verifies.
 *
 * In: model=FILE, a GGUF. Out: the chain that was prepared for the history as it came, at once; none where it was not
 * prepared for, or is late: the step is a plain one then, and exact as ever. The target leaves `leave` of its threads
 * out of a pass beside which the thread works (as many as it takes to have a core for each, where not given), so that
 * the two do not wait for each other's time slices; what that costs the pass is charged to this drafter (control.h).
 * threads above 1 are for machines with cores to spare: two teams that share a core wait for each other at every
 * barrier. WHY not in `auto`: on two cores it gives up half of the target's; SPEED.md says where that loses. The
 * paper's sampling, which makes the draft's law favour prepared tokens, is left out: entries are chosen here. SRC:
 * Saguaro (2603.03251); methods/21 section 8. Read next: beside.h, draft_model.c. */
#include <stdlib.h>

#include "draft/beside.h"
#include "draft/lm.h"

struct async {
    struct beside *b;
    struct pool *pool; /* of the target */
    int leave, n_lent;
};

static void take_back(struct async *a)
{
    if (a->n_lent > 0)
        pool_lend(a->pool, -a->n_lent);
    a->n_lent = 0;
}

static void async_close(void *self)
{
    struct async *a = self;
    take_back(a);
    beside_close(a->b);
    free(a);
}

/* Threads that the target has to leave out so that all have a core. */
static int leave_default(const struct pool *target, int n_own)
{
    const int n = pool_n_threads(target), over = n + n_own - pool_default_threads();
    return over < 0 ? 0 : over < n ? over : n - 1;
}

static int async_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const known[] = {"model",   "context", "p_min",    "fan",     "depth",
                                        "threads", "leave",   "exponent", "wait_ms", "nap_ms"};
    struct beside_opts o = {.path = draft_param_get(env, "model")};
    int rc = draft_param_check(env, known, sizeof known / sizeof *known, err), leave = 0;
    if (rc < 0)
        return rc;
    if (!o.path)
        return OTR_FAIL(err, ARG, "no model to draft with (--spec async): give model=FILE");
    if ((rc = lm_context_param(env, &o.n_read, err)) < 0 ||
        (rc = draft_param_real(env, "p_min", 0, 0, 1, &o.p_min, err)) < 0 ||
        (rc = draft_param_int(env, "fan", 6, 1, 32, &o.fan, err)) < 0 ||
        (rc = draft_param_int(env, "depth", 8, 1, TREE_MAX, &o.depth, err)) < 0 ||
        (rc = draft_param_int(env, "threads", 1, 1, POOL_MAX_THREADS, &o.n_threads, err)) < 0 ||
        (rc = draft_param_int(env, "leave", -1, 0, POOL_MAX_THREADS, &leave, err)) < 0 ||
        (rc = draft_param_real(env, "exponent", 0, 0, 10, &o.exponent, err)) < 0 ||
        (rc = draft_param_real(env, "wait_ms", 0, 0, 1e4, &o.wait_ms, err)) < 0 ||
        (rc = draft_param_real(env, "nap_ms", 0, 0, 1e4, &o.nap_ms, err)) < 0)
        return rc;
    struct async *a = calloc(1, sizeof *a);
    if (!a)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    if ((rc = beside_open(&a->b, env, &o, err)) < 0) {
        free(a);
        return rc;
    }
    a->pool = env->host->pool;
    a->leave = draft_param_get(env, "leave") ? leave : leave_default(a->pool, o.n_threads);
    *self = a;
    return OTR_OK;
}

static int async_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct async *a = self;
    take_back(a);
    for (int i = 0; i < n_ask; i++)
        beside_take(a->b, &ask[i], &out[i]);
    if (beside_give(a->b, ask, n_ask, out) > 0 && a->leave > 0)
        pool_lend(a->pool, a->n_lent = a->leave);
    return OTR_OK;
}

static int async_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct async *a = self;
    for (int i = 0; i < n_seen; i++) {
        const struct draft_seen *s = &seen[i];
        if (s->event == SEEN_STEP && s->mine && s->tree && s->tree->n > 0)
            beside_kept(a->b, s->n_path < s->tree->n ? s->n_path + 1 : s->n_path, s->n_path);
        if (beside_seen(a->b, s->seq) == 0)
            take_back(a);
        if (s->event == SEEN_FINISHED)
            beside_drop(a->b, s->seq);
    }
    return OTR_OK;
}

static size_t async_bytes(const void *self)
{
    return beside_bytes(((const struct async *)self)->b);
}

const struct draft_method draft_async = {.name = "async",
                                         .about = "like draft, on a core of its own beside the pass: model=FILE",
                                         .flags = DRAFT_NEED_FILE | DRAFT_RUNS_MODEL | DRAFT_BESIDE,
                                         .open = async_open,
                                         .close = async_close,
                                         .propose = async_propose,
                                         .observe = async_observe,
                                         .bytes = async_bytes};
