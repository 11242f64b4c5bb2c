/* lookahead: Jacobi iterations beside the text. A window of guesses at the next W positions is run along with it; what
 * the model says there are better guesses, and the diagonals are n-grams for a pool, from which drafts come.
 *
 * The window is a tree: a chain of W guesses (level 0), and under each of them a column with its later iterations
 * (levels 1..N-2), which is just what the paper's mask lets them see. The draft is up to G n-grams of the pool that
 * begin with the newest token, then the window. Under the controller window rows are seldom worth their time on a CPU
 * and are cut; with a fixed number of entries the method runs as published. Parameters: window (4), level (4: N),
 * guesses (4: G). Memory: 4096 slots of 8 n-grams, 0.8 MB. SRC: Fu et al. 2024 (Lookahead Decoding), methods/21
 * section 3. Read next: draft.h. */
#include <stdlib.h>
#include <string.h>

#include "draft/draft.h"

enum { MAX_W = 8, MAX_N = 6, SLOTS = 4096, PER_SLOT = 8 };

struct pool_slot {
    int32_t first[PER_SLOT], rest[PER_SLOT][MAX_N - 1]; /* n-gram: first, then level - 1 tokens */
    int n, next;
};
struct window {                      /* of one sequence */
    int32_t guess[MAX_N - 1][MAX_W]; /* [level][column] */
    bool full;
    int n_move;                 /* iterations so far, at most level - 2: then all levels but the first are answers */
    int node[MAX_N - 1][MAX_W]; /* nodes of the last tree, -1: cut */
};
struct lookahead {
    struct draft_seqs seqs;
    int w, n, g, n_vocab;
    uint64_t rng;
    struct pool_slot *slot; /* [SLOTS] */
};

static void lookahead_close(void *self)
{
    struct lookahead *l = self;
    draft_seqs_close(&l->seqs);
    free(l->slot);
    free(l);
}

static int lookahead_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const keys[] = {"window", "level", "guesses"};
    struct lookahead *l = calloc(1, sizeof *l);
    if (!l)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    l->seqs.size = sizeof(struct window);
    l->n_vocab = env->n_vocab;
    l->rng = env->seed;
    int rc = draft_param_check(env, keys, 3, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "window", 4, 1, MAX_W, &l->w, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "level", 4, 2, MAX_N, &l->n, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "guesses", 4, 1, PER_SLOT, &l->g, err);
    if (rc == OTR_OK && !(l->slot = calloc(SLOTS, sizeof *l->slot)))
        rc = OTR_FAIL(err, NOMEM, "no memory for a pool of n-grams");
    if (rc < 0) {
        lookahead_close(l);
        return rc;
    }
    *self = l;
    return OTR_OK;
}

static struct pool_slot *slot_of(const struct lookahead *l, int32_t token)
{
    return &l->slot[((uint32_t)token * 2654435761u >> 16) % SLOTS];
}

/* An n-gram into the pool, unless it is there; the oldest of its slot goes. */
static void pool_add(struct lookahead *l, int32_t first, const int32_t *rest)
{
    struct pool_slot *s = slot_of(l, first);
    const size_t bytes = (size_t)(l->n - 1) * sizeof *rest;
    for (int i = 0; i < s->n; i++)
        if (s->first[i] == first && memcmp(s->rest[i], rest, bytes) == 0)
            return;
    const int i = s->next;
    s->next = (s->next + 1) % PER_SLOT;
    s->n = s->n < PER_SLOT ? s->n + 1 : PER_SLOT;
    s->first[i] = first;
    memcpy(s->rest[i], rest, bytes);
}

/* ---- proposing ---- */

static void add_guesses(const struct lookahead *l, int32_t last, int max, struct tree *out)
{
    const struct pool_slot *s = slot_of(l, last);
    for (int k = 0, used = 0; k < s->n && used < l->g; k++) {
        const int i = (s->next + PER_SLOT - 1 - k) % PER_SLOT; /* newest first */
        if (s->first[i] != last)
            continue;
        int parent = TREE_ROOT;
        for (int j = 0; j < l->n - 1 && out->n < max && parent >= TREE_ROOT; j++)
            parent = tree_add(out, parent, s->rest[i][j], 0.5f, l->n_vocab);
        used++;
    }
}

static int add_node(const struct lookahead *l, struct tree *out, int parent, int32_t token, int max)
{
    return out->n < max && parent >= TREE_ROOT ? tree_add(out, parent, token, 0.0f, l->n_vocab) : OTR_E_LIMIT;
}

static void add_window(struct lookahead *l, struct window *w, int max, struct tree *out)
{
    int entry[MAX_W];
    for (int c = 0; c < l->w; c++) {
        entry[c] = add_node(l, out, c == 0 ? TREE_ROOT : entry[c - 1], w->guess[0][c], max);
        w->node[0][c] = entry[c] >= 0 ? out->entry[entry[c]].node : -1;
    }
    for (int c = 0; c < l->w; c++)
        for (int v = 1, parent = entry[c]; v < l->n - 1; v++) {
            parent = add_node(l, out, parent, w->guess[v][c], max);
            w->node[v][c] = parent >= 0 ? out->entry[parent].node : -1;
        }
}

static void window_start(struct lookahead *l, struct window *w, const struct draft_ask *a)
{
    for (int v = 0; v < l->n - 1; v++)
        for (int c = 0; c < l->w; c++) {
            l->rng = l->rng * 6364136223846793005u + 1442695040888963407u;
            w->guess[v][c] = a->tok[(l->rng >> 33) % a->n]; /* words of the text: better than words of the dictionary */
        }
    w->full = true;
}

static int lookahead_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct lookahead *l = self;
    for (int i = 0; i < n_ask; i++) {
        struct window *w = draft_seqs_get(&l->seqs, ask[i].seq);
        if (!w)
            return OTR_E_NOMEM;
        if (!w->full)
            window_start(l, w, &ask[i]);
        memset(w->node, 0xff, sizeof w->node);
        add_guesses(l, ask[i].tok[ask[i].n - 1], ask[i].chain ? l->n - 1 : ask[i].max_entries, &out[i]);
        if (!ask[i].chain)
            add_window(l, w, ask[i].max_entries, &out[i]);
        if (out[i].n > ask[i].max_entries)
            tree_cut(&out[i], ask[i].max_entries);
    }
    return OTR_OK;
}

/* ---- learning ---- */

/* The tree as it ran still holds the window, node for node. */
static bool window_ran(const struct lookahead *l, const struct window *w, const struct draft_seen *s)
{
    if (!s->mine || !s->best || !w->full)
        return false;
    for (int v = 0; v < l->n - 1; v++)
        for (int c = 0; c < l->w; c++) {
            const int node = w->node[v][c];
            const int above = v > 0 ? w->node[v - 1][c] : c > 0 ? w->node[0][c - 1] : 0;
            if (node < 1 || node >= s->tree->n_node || s->tree->node_token[node] != w->guess[v][c] ||
                s->tree->node_parent[node] != above)
                return false;
        }
    return true;
}

/* One Jacobi iteration: the last level's answers are a new level, the oldest one is gone, and each column is an n-gram.
 */
static void window_move(struct lookahead *l, struct window *w, const struct draft_seen *s)
{
    int32_t fresh[MAX_W], gram[MAX_N - 1];
    const int last = l->n - 2;
    for (int c = 0; c < l->w; c++) {
        fresh[c] = s->best(s->self, w->node[last][c]);
        if (fresh[c] < 0)
            return;
        for (int v = 1; v <= last; v++)
            gram[v - 1] = w->guess[v][c];
        gram[last] = fresh[c];
        if (w->n_move == last) /* until then it holds words that it began with */
            pool_add(l, w->guess[0][c], gram);
    }
    w->n_move += w->n_move < last;
    if (last == 0) {
        memcpy(w->guess[0], fresh, sizeof fresh);
        return;
    }
    /* level 1 becomes level 0, one place further on: its first column is the second guess from here */
    for (int v = 0; v < last; v++)
        memcpy(w->guess[v], w->guess[v + 1], sizeof w->guess[v]);
    memcpy(w->guess[last], fresh, sizeof fresh);
}

static void learn(struct lookahead *l, const struct draft_seen *s)
{
    struct window *w = draft_seqs_find(&l->seqs, s->seq);
    for (size_t i = s->n - s->n_new; i < s->n; i++) /* the text itself is n-grams too */
        if (i >= (size_t)(l->n - 1))
            pool_add(l, s->tok[i - (size_t)(l->n - 1)], s->tok + i - (size_t)(l->n - 2));
    if (w && window_ran(l, w, s))
        window_move(l, w, s);
}

static int lookahead_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct lookahead *l = self;
    for (int i = 0; i < n_seen; i++) {
        if (seen[i].event == SEEN_STEP)
            learn(l, &seen[i]);
        else if (seen[i].event == SEEN_FINISHED)
            draft_seqs_drop(&l->seqs, seen[i].seq);
    }
    return OTR_OK;
}

static size_t lookahead_bytes(const void *self)
{
    (void)self;
    return SLOTS * sizeof(struct pool_slot);
}

const struct draft_method draft_lookahead = {.name = "lookahead",
                                             .about =
                                                 "Lookahead decoding: a Jacobi window beside the text, and its n-grams",
                                             .flags = DRAFT_GIVE_TREE | DRAFT_NEED_DIST,
                                             .open = lookahead_open,
                                             .close = lookahead_close,
                                             .propose = lookahead_propose,
                                             .observe = lookahead_observe,
                                             .bytes = lookahead_bytes};
