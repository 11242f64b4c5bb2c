/* recycle: Token Recycling. A table holds, for every token, the eight likeliest tokens after it when the model last ran
 * a row for it; a draft is a tree walked through the table. Nothing need repeat for it to work.
 *
 * Every committed token says at which rank it stood in its parent's list, so the chance of each rank is known and the
 * tree grows by the product of chances (the paper's tree is fixed; ours has its budget from the controller).
 * Only rows on the accepted path are read: reading all would cost more than it brings on a CPU.
 * Memory: 32 bytes a token of the vocabulary. SRC: Luo et al. 2024 (Token Recycling), methods/03. Read next:
 * lookahead.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draft/draft.h"

enum { K = 8, BLOCK = 32, HEAP_MAX = TREE_MAX * K };

struct recycle {
    int n_vocab;
    int32_t (*next)[K];     /* [n_vocab] likeliest first; -1: nothing yet */
    double tried, right[K]; /* how often the next token stood at each rank; fading */
};

static void recycle_close(void *self)
{
    struct recycle *r = self;
    free(r->next);
    free(r);
}

static int recycle_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    const int rc = draft_param_check(env, NULL, 0, err);
    if (rc < 0)
        return rc;
    struct recycle *r = calloc(1, sizeof *r);
    if (r) {
        r->n_vocab = env->n_vocab;
        r->next = malloc((size_t)env->n_vocab * sizeof *r->next);
    }
    if (!r || !r->next) {
        free(r);
        return OTR_FAIL(err, NOMEM, "no memory for a table of %d tokens", env->n_vocab);
    }
    memset(r->next, 0xff, (size_t)env->n_vocab * sizeof *r->next);
    r->tried = 16; /* as if seen: falls by half from rank to rank */
    for (int k = 0; k < K; k++)
        r->right[k] = 16 * 0.4 / (1 << k);
    *self = r;
    return OTR_OK;
}

/* ---- proposing ---- */

struct leaf {
    int parent, rank;
    int32_t token;
    double prob;
};

static void push(struct leaf *heap, int *n, struct leaf x)
{
    int i = (*n)++;
    for (; i > 0 && heap[i - 1].prob < x.prob; i--) /* sorted, likeliest first: the heap is small */
        heap[i] = heap[i - 1];
    heap[i] = x;
}

static void push_row(const struct recycle *r, struct leaf *list, int *n, int parent, int32_t token, double prob)
{
    for (int k = 0; k < K && r->next[token][k] >= 0 && *n < HEAP_MAX; k++)
        push(list, n, (struct leaf){parent, k, r->next[token][k], prob * r->right[k] / r->tried});
}

static void propose_one(const struct recycle *r, const struct draft_ask *a, struct tree *out)
{
    struct leaf list[HEAP_MAX];
    int n = 0;
    push_row(r, list, &n, TREE_ROOT, a->tok[a->n - 1], 1);
    while (n > 0 && out->n < a->max_entries) {
        const struct leaf x = list[0];
        memmove(list, list + 1, (size_t)--n * sizeof *list);
        const int e = tree_add(out, x.parent, x.token, (float)(r->right[x.rank] / r->tried), r->n_vocab);
        if (e < 0)
            return;
        if (a->chain)
            n = 0;
        push_row(r, list, &n, e, x.token, x.prob);
    }
}

static int recycle_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    for (int i = 0; i < n_ask; i++)
        propose_one(self, &ask[i], &out[i]);
    return OTR_OK;
}

/* ---- learning ---- */

/* The eight largest of x [n], largest first. A block that holds nothing large enough is passed over. */
static void top_k(const float *x, int n, int32_t *id)
{
    float best[K];
    for (int k = 0; k < K; k++) {
        best[k] = -INFINITY;
        id[k] = -1;
    }
    for (int lo = 0; lo < n; lo += BLOCK) {
        const int hi = lo + BLOCK < n ? lo + BLOCK : n;
        bool any = false;
        for (int i = lo; i < hi; i++)
            any |= x[i] > best[K - 1];
        for (int i = lo; i < hi && any; i++) {
            int k = K - 1;
            if (!(x[i] > best[k]))
                continue;
            for (; k > 0 && x[i] > best[k - 1]; k--) {
                best[k] = best[k - 1];
                id[k] = id[k - 1];
            }
            best[k] = x[i];
            id[k] = i;
        }
    }
}

static void count_rank(struct recycle *r, int32_t token, int32_t after)
{
    if (r->next[token][0] < 0)
        return;
    if (r->tried >= 1000) {
        r->tried /= 2;
        for (int k = 0; k < K; k++)
            r->right[k] /= 2;
    }
    r->tried++;
    for (int k = 0; k < K; k++)
        if (r->next[token][k] == after)
            r->right[k]++;
}

static void learn(struct recycle *r, const struct draft_seen *s)
{
    const size_t from = s->n - s->n_new; /* tok[from - 1] is the token of node 0 */
    for (int i = 0; i <= s->n_path && from + (size_t)i < s->n; i++) {
        const int32_t token = s->tok[from + (size_t)i - 1];
        count_rank(r, token, s->tok[from + (size_t)i]);
        top_k(s->logits(s->self, i == 0 ? 0 : s->path[i - 1]), r->n_vocab, r->next[token]);
    }
}

static int recycle_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    for (int i = 0; i < n_seen; i++)
        if (seen[i].event == SEEN_STEP && seen[i].logits && seen[i].n > seen[i].n_new)
            learn(self, &seen[i]);
    return OTR_OK;
}

static size_t recycle_bytes(const void *self)
{
    const struct recycle *r = self;
    return (size_t)r->n_vocab * sizeof *r->next;
}

const struct draft_method draft_recycle = {
    .name = "recycle",
    .about = "Token Recycling: the likeliest tokens after each token, as the model last said",
    .flags = DRAFT_GIVE_TREE | DRAFT_NEED_DIST,
    .open = recycle_open,
    .close = recycle_close,
    .propose = recycle_propose,
    .observe = recycle_observe,
    .bytes = recycle_bytes};
