/* rest: REST. The longest suffix of the text that stands in a corpus says what follows, as a tree with counts.
 *
 * The corpus is a datastore file (`outrider datastore build`), shared by all sequences and never written. The places of
 * a suffix are a run of the suffix array, and those that go on alike a run within it, so the tree of continuations is
 * grown from the counts, likeliest entry first, without building anything. Parameters: file (PATH, needed), max_match
 * (16), min_match (2), min_prob (0.05). Cost: a binary search for each of log2(max_match) lengths. Memory: the mapping.
 * SRC: He et al. 2023 (REST), methods/21 section 3. Read next: datastore.h. */
#include <math.h>
#include <stdlib.h>

#include "draft/datastore.h"
#include "draft/draft.h"

enum { HEAP_MAX = 128, MAX_STEPS = 64 };

struct rest {
    struct datastore d;
    int max_match, min_match;
    double min_prob;
};

static void rest_close(void *self)
{
    struct rest *r = self;
    datastore_close(&r->d);
    free(r);
}

static int rest_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const keys[] = {"file", "max_match", "min_match", "min_prob"};
    const char *file = draft_param_get(env, "file");
    struct rest *r = calloc(1, sizeof *r);
    if (!r)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    int rc = draft_param_check(env, keys, 4, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "max_match", 16, 1, 64, &r->max_match, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "min_match", 2, 1, 64, &r->min_match, err);
    if (rc == OTR_OK)
        rc = draft_param_real(env, "min_prob", 0.05, 0, 1, &r->min_prob, err);
    if (rc == OTR_OK && !file)
        rc = OTR_FAIL(err, ARG, "no datastore (--spec rest): give file=PATH, made by outrider datastore build");
    if (rc == OTR_OK)
        rc = datastore_open(&r->d, file, env->model, env->n_vocab, err);
    if (rc < 0) {
        rest_close(r);
        return rc;
    }
    *self = r;
    return OTR_OK;
}

/* The longest suffix of the history that the corpus holds: what holds a suffix holds its shorter ones. */
static int longest(const struct rest *r, const struct draft_ask *a, size_t *lo, size_t *hi)
{
    const int most = a->n < (size_t)r->max_match ? (int)a->n : r->max_match;
    int good = 0, bad = most + 1;
    while (bad - good > 1) {
        const int mid = good == 0 ? (r->min_match < bad ? r->min_match : bad - 1) : good + (bad - good) / 2;
        size_t l, h;
        if (datastore_find(&r->d, a->tok + a->n - (size_t)mid, mid, &l, &h)) {
            good = mid;
            *lo = l;
            *hi = h;
        } else if (mid <= r->min_match) {
            return 0;
        } else {
            bad = mid;
        }
    }
    return good >= r->min_match ? good : 0;
}

struct leaf { /* places [lo, hi) whose texts agree in `depth` tokens, the last of them `token` */
    size_t lo, hi;
    int depth, parent;
    int32_t token;
    double prob, cond;
};

static void push(struct leaf *list, int *n, struct leaf x)
{
    if (*n == HEAP_MAX)
        return;
    int i = (*n)++;
    for (; i > 0 && list[i - 1].prob < x.prob; i--)
        list[i] = list[i - 1];
    list[i] = x;
}

/* How the places of x go on, but for ways that are too rare: one that is not takes up a whole stride of places
 * somewhere, so that looking at the end of each stride finds it. */
static void push_children(const struct rest *r, struct leaf *list, int *n, const struct leaf *x, int parent)
{
    const size_t all = x->hi - x->lo, rare = (size_t)ceil(r->min_prob / x->prob * (double)all - 1e-6);
    const size_t least = all / MAX_STEPS + 1, stride = rare > least ? rare : least;
    for (size_t lo = x->lo; x->hi - lo >= stride;) {
        struct leaf y = {.depth = x->depth + 1, .parent = parent};
        y.hi = datastore_run(&r->d, lo, x->hi, lo + stride - 1, x->depth, &y.lo, &y.token);
        y.cond = (double)(y.hi - y.lo) / (double)all;
        y.prob = x->prob * y.cond;
        if (y.token >= 0 && y.hi - y.lo >= stride)
            push(list, n, y);
        lo = y.hi;
    }
}

static void propose_one(const struct rest *r, const struct draft_ask *a, struct tree *out)
{
    struct leaf list[HEAP_MAX], x = {.parent = TREE_ROOT, .prob = 1};
    int n = 0;
    x.depth = longest(r, a, &x.lo, &x.hi);
    if (x.depth == 0)
        return;
    out->match = x.depth;
    push_children(r, list, &n, &x, TREE_ROOT);
    while (n > 0 && out->n < a->max_entries) {
        x = list[0];
        for (int i = 1; i < n; i++)
            list[i - 1] = list[i];
        n = a->chain ? 0 : n - 1;
        const int e = tree_add(out, x.parent, x.token, (float)x.cond, a->luck.n_vocab);
        if (e < 0)
            return;
        push_children(r, list, &n, &x, e);
    }
}

static int rest_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    for (int i = 0; i < n_ask; i++)
        propose_one(self, &ask[i], &out[i]);
    return OTR_OK;
}

static int rest_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    (void)self;
    (void)seen;
    (void)n_seen;
    return OTR_OK;
}

const struct draft_method draft_rest = {.name = "rest",
                                        .about = "REST: what followed the longest suffix in a corpus (file=PATH)",
                                        .flags = DRAFT_GIVE_TREE | DRAFT_NEED_FILE,
                                        .open = rest_open,
                                        .close = rest_close,
                                        .propose = rest_propose,
                                        .observe = rest_observe};
