/* suffix: SuffixDecoding. The longest suffix of the text that occurred before says what follows, with counts.
 *
 * Two tries: of the sequence itself, and of earlier replies (the oldest go when it is full; kept in a file if a folder
 * is given). For each length at which the set of earlier places changes, a draft is grown from there: the likeliest
 * entry first, by its share of how the places went on, down the path, until the budget floor(factor * length + offset),
 * or until nothing is above min_prob. The draft with the largest sum of probabilities wins; ties: the longer match.
 * Parameters: max_depth (32), factor (4), offset (0), min_prob (0.1), form (tree | path), global_mb (16), local_mb
 * (16: all sequences together). Cost: O(max_depth) a token. SRC: methods/21 section 3 (SuffixDecoding, Arctic
 * Inference's defaults 64, 1, 0, 0.1; the factor is ours: the controller cuts by what it measured). Read next:
 * suffix_store.h, suffix_trie.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draft/draft.h"
#include "draft/suffix_store.h"
#include "draft/suffix_trie.h"

enum { HEAP_MAX = 256, MAX_CHILDREN = 8, LOOK_CHILDREN = 64 };

struct local { /* of one sequence */
    struct suffix_trie trie;
    struct suffix_cursor own, global;
    size_t n, n_prompt; /* tokens that were read */
    long epoch;         /* of the store when the global cursor was made */
};

struct suffix {
    struct draft_seqs seqs;
    struct suffix_store store;
    double factor, offset, min_prob;
    int depth;
    bool path;
    size_t local_bytes;
};

static void suffix_close(void *self)
{
    struct suffix *s = self;
    for (int i = 0; i < s->seqs.cap; i++)
        if (s->seqs.seq[i])
            suffix_trie_free(&((struct local *)s->seqs.record[i])->trie);
    draft_seqs_close(&s->seqs);
    suffix_store_close(&s->store);
    free(s);
}

static int read_params(struct suffix *s, const struct draft_env *env, int *global_mb, struct otr_err *err)
{
    static const char *const keys[] = {"max_depth", "factor",    "offset",   "min_prob",
                                       "form",      "global_mb", "local_mb", "file"};
    const char *form = draft_param_get(env, "form");
    int local_mb = 0, rc = draft_param_check(env, keys, (int)(sizeof keys / sizeof *keys), err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "max_depth", 32, 1, SUFFIX_MAX_DEPTH, &s->depth, err);
    if (rc == OTR_OK)
        rc = draft_param_real(env, "factor", 4, 0, 1000, &s->factor, err);
    if (rc == OTR_OK)
        rc = draft_param_real(env, "offset", 0, -1000, 1000, &s->offset, err);
    if (rc == OTR_OK)
        rc = draft_param_real(env, "min_prob", 0.1, 0, 1, &s->min_prob, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "global_mb", 16, 0, 4096, global_mb, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "local_mb", 16, 1, 4096, &local_mb, err);
    s->local_bytes = (size_t)local_mb << 20;
    s->path = form && strcmp(form, "path") == 0;
    if (rc == OTR_OK && form && !s->path && strcmp(form, "tree") != 0)
        rc = OTR_FAIL(err, ARG, "bad parameter (--spec suffix, form): '%.20s' is not tree or path", form);
    return rc;
}

static int suffix_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    struct suffix *s = calloc(1, sizeof *s);
    int global_mb = 0;
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    s->seqs.size = sizeof(struct local);
    int rc = read_params(s, env, &global_mb, err);
    if (rc == OTR_OK)
        rc = suffix_store_open(&s->store, env, s->depth, (size_t)global_mb << 20, err);
    if (rc < 0) {
        suffix_close(s);
        return rc;
    }
    *self = s;
    return OTR_OK;
}

/* ---- catching up ---- */

static void local_reset(struct local *l)
{
    suffix_trie_clear(&l->trie);
    suffix_cursor_init(&l->own);
    suffix_cursor_init(&l->global);
    l->n = 0;
}

/* The global cursor anew after earlier replies came or went: only the last tokens matter. */
static void refresh_global(const struct suffix *s, struct local *l, const int32_t *tok)
{
    if (l->epoch == s->store.epoch)
        return;
    l->epoch = s->store.epoch;
    suffix_cursor_init(&l->global);
    for (size_t i = l->n > (size_t)s->depth ? l->n - (size_t)s->depth : 0; i < l->n; i++)
        suffix_read(&s->store.trie, &l->global, tok[i]);
}

/* Bytes of the tries of all sequences. */
static size_t local_bytes(const struct suffix *s)
{
    size_t n = 0;
    for (int i = 0; i < s->seqs.cap; i++)
        if (s->seqs.seq[i])
            n += suffix_trie_bytes(&((const struct local *)s->seqs.record[i])->trie);
    return n;
}

static bool local_read(const struct suffix *s, struct local *l, const struct draft_ask *a)
{
    const size_t used = local_bytes(s), left = used < s->local_bytes ? s->local_bytes - used : 0;
    if (!l->trie.node && !suffix_trie_init(&l->trie, s->depth, left))
        return false;
    suffix_trie_limit(&l->trie, suffix_trie_bytes(&l->trie) + left);
    if (l->n == 0)
        local_reset(l);
    refresh_global(s, l, a->tok);
    for (; l->n < a->n; l->n++) {
        suffix_add(&l->trie, &l->own, a->tok[l->n]); /* full: it goes on with what it has */
        suffix_read(&s->store.trie, &l->global, a->tok[l->n]);
    }
    l->n_prompt = a->n_prompt;
    return true;
}

/* ---- growing a draft ---- */

struct leaf { /* an entry that may come next */
    uint32_t node;
    int parent;  /* entry, or TREE_ROOT */
    int depth;   /* of the node in the trie */
    double prob; /* of the whole path */
    double cond; /* given its parent */
};
struct grower {
    const struct suffix_trie *t;
    struct leaf heap[HEAP_MAX];
    int n;
    struct leaf out[TREE_MAX];
    int n_out;
    double score;
    bool limited; /* something taken stood at the depth of the trie: what follows it is not known from this length */
};

static void heap_push(struct grower *g, struct leaf x)
{
    if (g->n == HEAP_MAX)
        return;
    int i = g->n++;
    for (; i > 0 && g->heap[(i - 1) / 2].prob < x.prob; i = (i - 1) / 2)
        g->heap[i] = g->heap[(i - 1) / 2];
    g->heap[i] = x;
}

static struct leaf heap_pop(struct grower *g)
{
    const struct leaf top = g->heap[0], x = g->heap[--g->n];
    int i = 0;
    for (int c; (c = 2 * i + 1) < g->n; i = c) {
        if (c + 1 < g->n && g->heap[c + 1].prob > g->heap[c].prob)
            c++;
        if (g->heap[c].prob <= x.prob)
            break;
        g->heap[i] = g->heap[c];
    }
    g->heap[i] = x;
    return top;
}

/* The children of a node that are likely enough. total: occurrences of the node that went on. */
static void push_children(struct grower *g, const struct leaf *x, int parent, double min_prob, bool only_first)
{
    const struct suffix_node *n = &g->t->node[x->node];
    double total = 0;
    int seen = 0;
    for (uint32_t c = n->child; c != SUFFIX_NONE && seen < LOOK_CHILDREN; c = g->t->node[c].next, seen++)
        total += g->t->node[c].count;
    seen = 0;
    for (uint32_t c = n->child; c != SUFFIX_NONE && seen < LOOK_CHILDREN; c = g->t->node[c].next, seen++) {
        const double cond = g->t->node[c].count / total;
        if (x->prob * cond >= min_prob)
            heap_push(g, (struct leaf){c, parent, x->depth + 1, x->prob * cond, cond});
        if (only_first)
            return;
    }
}

/* From a node that is a match of `match` tokens. */
static void grow(struct grower *g, uint32_t from, int match, int budget, double min_prob, bool path)
{
    g->n = g->n_out = 0;
    g->score = 0;
    g->limited = match == g->t->depth;
    push_children(g, &(struct leaf){.node = from, .depth = match, .prob = 1}, TREE_ROOT, min_prob, path);
    while (g->n > 0 && g->n_out < budget) {
        const struct leaf x = heap_pop(g);
        g->out[g->n_out] = x;
        g->score += x.prob;
        g->limited |= x.depth == g->t->depth;
        push_children(g, &x, g->n_out++, min_prob, path);
    }
}

struct best {
    struct grower g;
    int match;
};

/* Drafts from every length of match at which the earlier places differ, longest first. */
static void try_trie(const struct suffix *s, const struct suffix_trie *t, const struct suffix_cursor *c, int max,
                     bool path, struct grower *g, struct best *best)
{
    uint32_t before = 0; /* count at the longer match */
    g->limited = false;
    for (int m = c->n; m >= 1; m--) {
        const struct suffix_node *n = &t->node[c->node[m]];
        if (n->count == before && !g->limited)
            continue; /* the same places as the longer match, with a smaller budget */
        before = n->count;
        const double want = floor(s->factor * m + s->offset);
        const int budget = want < 1 ? 0 : want < max ? (int)want : max;
        g->t = t;
        grow(g, c->node[m], m, budget, s->min_prob, path);
        if (g->score > best->g.score || (g->score == best->g.score && m > best->match)) {
            best->g = *g;
            best->match = m;
        }
    }
}

static void propose_one(struct suffix *s, struct local *l, const struct draft_ask *a, struct tree *out)
{
    struct grower g;
    struct best best;
    int entry[TREE_MAX];
    best.g.score = best.g.n_out = best.match = 0;
    const bool path = s->path || a->chain;
    try_trie(s, &l->trie, &l->own, a->max_entries, path, &g, &best);
    try_trie(s, &s->store.trie, &l->global, a->max_entries, path, &g, &best);
    out->match = best.match;
    for (int i = 0; i < best.g.n_out; i++) {
        const struct leaf *x = &best.g.out[i];
        entry[i] = tree_add(out, x->parent < 0 ? TREE_ROOT : entry[x->parent], best.g.t->node[x->node].token,
                            (float)x->cond, a->luck.n_vocab);
        if (entry[i] < 0)
            return;
    }
}

static int suffix_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct suffix *s = self;
    for (int i = 0; i < n_ask; i++) {
        struct local *l = draft_seqs_get(&s->seqs, ask[i].seq);
        if (!l || !local_read(s, l, &ask[i]))
            return OTR_E_NOMEM;
        propose_one(s, l, &ask[i], &out[i]);
    }
    return OTR_OK;
}

/* ---- what happened ---- */

static int suffix_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct suffix *s = self;
    for (int i = 0; i < n_seen; i++) {
        struct local *l = draft_seqs_find(&s->seqs, seen[i].seq);
        if (!l || seen[i].event == SEEN_STEP)
            continue; /* the next ask brings the tokens */
        if (seen[i].event == SEEN_TRUNCATED) {
            if (seen[i].n < l->n)
                l->n = 0; /* rare: it is built anew */
            continue;
        }
        if (seen[i].n > l->n_prompt && l->n_prompt > 0) /* the last reply of the sequence */
            suffix_store_add(&s->store, seen[i].tok + l->n_prompt, seen[i].n - l->n_prompt);
        suffix_trie_free(&l->trie);
        draft_seqs_drop(&s->seqs, seen[i].seq);
    }
    return OTR_OK;
}

static size_t suffix_bytes(const void *self)
{
    const struct suffix *s = self;
    return suffix_store_bytes(&s->store) + local_bytes(s);
}

const struct draft_method draft_suffix = {
    .name = "suffix",
    .about = "SuffixDecoding: what followed the longest known suffix, here and in earlier replies",
    .flags = DRAFT_GIVE_TREE,
    .open = suffix_open,
    .close = suffix_close,
    .propose = suffix_propose,
    .observe = suffix_observe,
    .bytes = suffix_bytes};
