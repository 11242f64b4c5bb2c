/* shuffle: another method for every step, hostile ones included; chain or tree, length 1..16, all drawn by its seed.
 * In: asks; model=FILE for methods that run one (without it they are left out), and again for more files: each method
 * runs with every file that it takes. Out: what the drawn method proposes within the drawn budget. All methods observe
 * everything, so each is as well informed as if it were alone. For the proofs of equality (verification rules must not
 * care). */
#include <stdlib.h>

#include "draft/draft.h"

enum { MAX_METHODS = 64, MAX_LEN = 16 };

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

static int open_one(struct shuffle *s, const struct draft_method *m, const struct draft_env *env, struct otr_err *err)
{
    if (s->n == MAX_METHODS)
        return OTR_FAIL(err, LIMIT, "more than %d methods to shuffle", MAX_METHODS);
    const int rc = m->open(&s->self[s->n], env, err);
    if (rc == OTR_OK)
        s->m[s->n++] = m;
    return rc == OTR_E_UNSUPPORTED && (m->flags & DRAFT_NEED_TARGET) ? OTR_OK : rc; /* not this target */
}

/* The methods that run this file: those that need the target's vocabulary refuse others. */
static int open_file(struct shuffle *s, const struct draft_env *env, const struct draft_param *file,
                     struct otr_err *err)
{
    struct draft_env inner = *env;
    const int before = s->n;
    int rc = OTR_OK;
    inner.param = file;
    inner.n_param = 1;
    for (int i = 0; i < draft_count() && (rc == OTR_OK || rc == OTR_E_ARG); i++)
        if ((draft_at(i)->flags & DRAFT_RUNS_MODEL) && (draft_at(i)->flags & DRAFT_NEED_FILE))
            rc = open_one(s, draft_at(i), &inner, err);
    return rc == OTR_E_ARG && s->n > before ? OTR_OK : rc;
}

static int shuffle_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const known[] = {"model"};
    struct draft_env inner = *env;
    struct shuffle *s = calloc(1, sizeof *s);
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    s->rng = env->seed;
    inner.n_param = 0;
    int rc = draft_param_check(env, known, 1, err);
    for (int i = 0; i < draft_count() && rc == OTR_OK; i++)
        if (draft_at(i) != &draft_shuffle && !(draft_at(i)->flags & (DRAFT_WRAPPER | DRAFT_IN_PASS | DRAFT_NEED_FILE)))
            rc = open_one(s, draft_at(i), &inner, err);
    for (int i = 0; i < env->n_param && rc == OTR_OK; i++)
        rc = open_file(s, env, &env->param[i], err);
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
