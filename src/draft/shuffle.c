/* shuffle: another method for every step, hostile ones included; chain or tree, length 1..16, all drawn by its seed.
 * In: asks; model=FILE for methods that run one (without it they are left out). Out: what the drawn method proposes
 * within the drawn budget. All methods observe everything, so each is as well informed as if it were alone. For the
 * proofs of equality (verification rules must not care). */
#include <stdlib.h>

#include "draft/draft.h"

enum { MAX_METHODS = 32, MAX_LEN = 16 };

struct shuffle {
    uint64_t rng;
    int n;
    const struct draft_method *m[MAX_METHODS];
    void *self[MAX_METHODS];
};

static uint64_t next(struct shuffle *s)
{
    s->rng = s->rng * 6364136223846793005u + 1442695040888963407u;
    return s->rng >> 33;
}

static void shuffle_close(void *self)
{
    struct shuffle *s = self;
    for (int i = 0; i < s->n; i++)
        s->m[i]->close(s->self[i]);
    free(s);
}

static int shuffle_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    struct shuffle *s = calloc(1, sizeof *s);
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    s->rng = env->seed;
    static const char *const known[] = {"model"};
    const char *model = draft_param_get(env, known[0]);
    const struct draft_param file = {known[0], model};
    struct draft_env inner = *env;
    inner.param = &file;
    int rc = draft_param_check(env, known, 1, err);
    for (int i = 0; i < draft_count() && s->n < MAX_METHODS && rc == OTR_OK; i++) {
        const struct draft_method *m = draft_at(i);
        inner.n_param = (m->flags & DRAFT_RUNS_MODEL) && (m->flags & DRAFT_NEED_FILE);
        if (m == &draft_shuffle || (m->flags & (DRAFT_WRAPPER | DRAFT_IN_PASS)) ||
            ((m->flags & DRAFT_NEED_FILE) && (inner.n_param == 0 || !model)))
            continue;
        if ((rc = m->open(&s->self[s->n], &inner, err)) == OTR_OK)
            s->m[s->n++] = m;
        else if (rc == OTR_E_UNSUPPORTED && (m->flags & DRAFT_NEED_TARGET))
            rc = OTR_OK; /* not this target */
    }
    if (rc < 0) {
        shuffle_close(s);
        return rc;
    }
    *self = s;
    return OTR_OK;
}

static int shuffle_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct shuffle *s = self;
    for (int i = 0; i < n_ask; i++) {
        const int m = (int)(next(s) % (uint64_t)s->n), len = 1 + (int)(next(s) % MAX_LEN);
        struct draft_ask a = ask[i];
        if ((s->m[m]->flags & DRAFT_NEED_PREDICTION) && a.n_predicted == 0)
            continue;
        a.max_entries = len < a.max_entries ? len : a.max_entries;
        a.chain = a.chain || next(s) % 2;
        if (s->m[m]->propose(s->self[m], &a, 1, &out[i]) < 0)
            tree_clear(&out[i]);
    }
    return OTR_OK;
}

static int shuffle_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    const struct shuffle *s = self;
    for (int i = 0; i < s->n; i++)
        s->m[i]->observe(s->self[i], seen, n_seen);
    return OTR_OK;
}

const struct draft_method draft_shuffle = {.name = "shuffle",
                                           .about = "hostile: another of all methods for every step, any length",
                                           .flags =
                                               DRAFT_NEED_DIST | DRAFT_GIVE_TREE | DRAFT_GIVE_PROBS | DRAFT_HOSTILE,
                                           .open = shuffle_open,
                                           .close = shuffle_close,
                                           .propose = shuffle_propose,
                                           .observe = shuffle_observe};
