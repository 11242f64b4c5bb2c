/* tree: a method that runs a model writes a tree instead of a chain.
 *
 *   of=draft|lowbit|skip                          whose laws (draft); other parameters are that method's: model=FILE
 *   build=opt|eagle2|dyspec|sequoia|medusa        how the tree grows (opt): tree_*.c
 *   top_k=N                                       eagle2, opt: candidates of a row, and rows of a level (4)
 *   depth=N, nodes=N                              at most so deep and so many; the controller plans within that
 *   gain=X                                        opt, dyspec: tokens that a level must promise; else what it costs
 *   shape=even|deep|wide|FILE                     medusa: a static tree, or a file of rank paths
 * Where only a chain is of use, because the rule takes no trees or because the controller found that width does not pay
 * on this machine, the method inside writes its chain. Read next: tree_build.h. */
#include <stdlib.h>
#include <string.h>

#include "base/words.h"
#include "draft/tree_build.h"

enum { LEAST_AT_ONCE = 8, MOST_AT_ONCE = 64, N_LAST = 64 };

struct tree_of {
    const struct draft_method *m; /* inside */
    void *self;
    struct tree_build *build;
    struct {
        uint64_t seq; /* whose newest proposal ... */
        bool built;   /* ... was built here */
    } last[N_LAST];   /* by seq % N_LAST */
};

static const char *const own_keys[] = {"of", "build", "top_k", "depth", "nodes", "gain", "shape"};
enum { N_OWN = sizeof own_keys / sizeof *own_keys };

static bool is_own(const char *key)
{
    for (int i = 0; i < N_OWN; i++)
        if (strcmp(key, own_keys[i]) == 0)
            return true;
    return false;
}

static void tree_of_close(void *self)
{
    struct tree_of *t = self;
    tree_build_close(t->build);
    if (t->self)
        t->m->close(t->self);
    free(t);
}

static int read_opts(struct tree_opts *o, const struct tree_policy **policy, const struct draft_env *env,
                     struct otr_err *err)
{
    const char *name = draft_param_get(env, "build");
    char q[40];
    int rc;
    *policy = name ? tree_policy_find(name) : &tree_opt;
    if (!*policy)
        return OTR_FAIL(err, ARG,
                        "bad parameter (--spec tree, build): '%s' is none of opt, eagle2, dyspec, sequoia, medusa",
                        err_quote(q, sizeof q, name, strlen(name)));
    *o = (struct tree_opts){.shape = draft_param_get(env, "shape")};
    if (o->shape && *policy != &tree_medusa)
        return OTR_FAIL(err, ARG, "bad parameter (--spec tree, shape): only build=medusa has a shape");
    if ((rc = draft_param_int(env, "top_k", 4, 1, TREE_KIDS, &o->top_k, err)) < 0 ||
        (rc = draft_param_int(env, "depth", 12, 1, TREE_MAX, &o->depth, err)) < 0 ||
        (rc = draft_param_int(env, "nodes", TREE_MAX, 1, TREE_MAX, &o->nodes, err)) < 0)
        return rc;
    return draft_param_get(env, "gain") ? draft_param_real(env, "gain", 0, 0, TREE_MAX, &o->gain, err)
                                        : (o->gain = -1, OTR_OK);
}

/* Opens the method inside with the parameters that are not ours. */
static int open_inside(struct tree_of *t, const struct draft_env *env, struct otr_err *err)
{
    const char *of = draft_param_get(env, "of");
    if (!(t->m = draft_find(of ? of : "draft")))
        return draft_unknown(of, err);
    if (!t->m->laws)
        return OTR_FAIL(err, ARG, "no trees of %s (--spec tree, of): draft, lowbit and skip say what they think",
                        t->m->name);
    struct draft_param *p = calloc((size_t)env->n_param + 1, sizeof *p);
    if (!p)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    struct draft_env inner = *env;
    inner.n_param = 0;
    inner.param = p;
    for (int i = 0; i < env->n_param; i++)
        if (!is_own(env->param[i].key))
            p[inner.n_param++] = env->param[i];
    const int rc = t->m->open(&t->self, &inner, err);
    free(p);
    return rc;
}

static int tree_of_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    const struct tree_policy *policy;
    struct tree_opts o;
    int rc = read_opts(&o, &policy, env, err);
    if (rc < 0)
        return rc;
    struct tree_of *t = calloc(1, sizeof *t);
    if (!t)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    if ((rc = open_inside(t, env, err)) == OTR_OK) {
        const int n = env->host->n_seq;
        rc = tree_build_open(&t->build, policy, &o,
                             n < LEAST_AT_ONCE  ? LEAST_AT_ONCE
                             : n > MOST_AT_ONCE ? MOST_AT_ONCE
                                                : n,
                             env->n_vocab, env->tok, err);
    }
    if (rc < 0) {
        tree_of_close(t);
        return rc;
    }
    *self = t;
    return OTR_OK;
}

static int tree_of_prepare(void *self, const struct draft_ask *ask, int n_ask)
{
    const struct tree_of *t = self;
    return t->m->prepare ? t->m->prepare(t->self, ask, n_ask) : OTR_OK;
}

/* WHY all alike: one call has one rule, and the controller plans a batch as a whole. Where replies of several rules
 * meet, chains are right for all of them. */
static int tree_of_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct tree_of *t = self;
    bool chain = false;
    for (int i = 0; i < n_ask; i++)
        chain |= ask[i].chain;
    for (int i = 0; i < n_ask; i++) {
        t->last[ask[i].seq % N_LAST].seq = ask[i].seq;
        t->last[ask[i].seq % N_LAST].built = !chain;
    }
    return chain ? t->m->propose(t->self, ask, n_ask, out)
                 : tree_build_run(t->build, t->m->laws, t->self, ask, n_ask, out);
}

static int tree_of_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    const struct tree_of *t = self;
    for (int i = 0; i < n_seen; i++) {
        struct draft_seen e = seen[i];
        if (e.mine && t->last[e.seq % N_LAST].seq == e.seq && t->last[e.seq % N_LAST].built) {
            tree_build_learn(t->build, &e);
            e.mine = false; /* the method inside knows chains only */
        }
        t->m->observe(t->self, &e, 1);
    }
    return OTR_OK;
}

static struct draft_guess tree_of_guess(const void *self)
{
    const struct tree_of *t = self;
    return t->m->guess ? t->m->guess(t->self) : (struct draft_guess){0};
}

static size_t tree_of_bytes(const void *self)
{
    const struct tree_of *t = self;
    return t->m->bytes ? t->m->bytes(t->self) : 0;
}

const struct draft_method draft_tree_of = {
    .name = "tree",
    .about = "trees out of a model's laws: model=FILE,build=opt|eagle2|dyspec|...",
    .flags = DRAFT_GIVE_TREE | DRAFT_GIVE_PROBS | DRAFT_NEED_FILE | DRAFT_RUNS_MODEL | DRAFT_STOPS,
    .open = tree_of_open,
    .close = tree_of_close,
    .prepare = tree_of_prepare,
    .propose = tree_of_propose,
    .observe = tree_of_observe,
    .bytes = tree_of_bytes,
    .guess = tree_of_guess};
