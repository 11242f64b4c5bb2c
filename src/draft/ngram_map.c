/* ngram-map-k and ngram-map-k4v: what followed the last size_n tokens, counted.
 *
 * k: the continuation seen most often (then newest), as a chain, if the key was seen min_hits times.
 * k4v: up to four continuations as a tree, each a chain from its newest place; a continuation's share of the places and
 * how often it was right before give its confidence. Both look at no more than MAX_PLACES places.
 * Parameters: size_n (4), size_m (31), min_hits (2 for k, 1 for k4v). Memory: ngram_index.h, and 64 KB a sequence for
 * what was right. SRC: methods/21 section 3 (llama.cpp's ngram-map-k, ngram-map-k4v). Read next: ngram_mod.c. */
#include <stdlib.h>

#include "draft/draft.h"
#include "draft/ngram_index.h"

enum { MAX_PLACES = 64, VALUES = 4, MEMORY = 4096 };

struct record { /* of one sequence */
    struct ngram_index index;
    struct {
        uint32_t key; /* check of (key, first token) */
        uint16_t tried, right;
    } memory[MEMORY];
    uint64_t offered[VALUES]; /* hashes of what the last tree began with */
    int n_offered;
};

struct ngram_map {
    struct draft_seqs seqs;
    int size_n, size_m, min_hits, values;
};

static void map_close(void *self)
{
    struct ngram_map *m = self;
    for (int i = 0; i < m->seqs.cap; i++)
        if (m->seqs.seq[i])
            ngram_index_free(&((struct record *)m->seqs.record[i])->index);
    draft_seqs_close(&m->seqs);
    free(m);
}

static int open_map(void **self, const struct draft_env *env, int values, struct otr_err *err)
{
    static const char *const keys[] = {"size_n", "size_m", "min_hits"};
    struct ngram_map *m = calloc(1, sizeof *m);
    if (!m)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    m->seqs.size = sizeof(struct record);
    m->values = values;
    int rc = draft_param_check(env, keys, 3, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "size_n", 4, 1, 1024, &m->size_n, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "size_m", TREE_MAX, 1, 1024, &m->size_m, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "min_hits", values > 1 ? 1 : 2, 1, MAX_PLACES, &m->min_hits, err);
    if (rc < 0) {
        map_close(m);
        return rc;
    }
    *self = m;
    return OTR_OK;
}

static int map_k_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return open_map(self, env, 1, err);
}

static int map_k4v_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return open_map(self, env, VALUES, err);
}

struct value {            /* a continuation */
    int32_t token, place; /* first token; newest end of the key before it */
    int count;
    double score;
};

/* The continuations of the newest key, newest first; *hits: places in all. */
static int collect(const struct ngram_map *m, const struct ngram_index *x, const int32_t *tok, struct value *v,
                   int *hits)
{
    const int32_t end = (int32_t)x->len - 1;
    int n = 0, places = 0;
    *hits = 0;
    for (int32_t i = ngram_index_before(x, end); i >= 0 && places < MAX_PLACES;
         i = ngram_index_before(x, i), places++) {
        if (ngram_match(tok, i, end, m->size_n) < m->size_n)
            continue;
        int k = 0;
        while (k < n && v[k].token != tok[i + 1])
            k++;
        if (k == n)
            v[n++] = (struct value){.token = tok[i + 1], .place = i};
        v[k].count++;
        ++*hits;
    }
    return n;
}

static uint64_t memory_hash(const struct draft_ask *a, int size_n, int32_t token)
{
    return ngram_hash((const int32_t[2]){(int32_t)ngram_hash(a->tok + a->n - (size_t)size_n, size_n), token}, 2);
}

/* Counts, weighed by how often the continuation was right when it was offered (3 in 4 before anything is known). */
static double score(const struct record *r, uint64_t hash, int count)
{
    const uint32_t key = (uint32_t)(hash >> 32);
    const int i = (int)(hash % MEMORY);
    const bool known = r->memory[i].key == key;
    return count * ((known ? r->memory[i].right : 0) + 3.0) / ((known ? r->memory[i].tried : 0) + 4.0);
}

static void sort_values(struct value *v, int n)
{
    for (int i = 1; i < n; i++) { /* stable: newest first among equals */
        const struct value x = v[i];
        int j = i;
        for (; j > 0 && v[j - 1].score < x.score; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

static void add_chain(const struct draft_ask *a, struct tree *t, const struct value *v, int n, float conf)
{
    int parent = TREE_ROOT;
    int32_t chain[TREE_MAX] = {0};
    for (int k = 0; k < n && parent >= TREE_ROOT; k++) {
        const size_t from = (size_t)v->place + 1 + (size_t)k;
        chain[k] = from < a->n ? a->tok[from] : chain[from - a->n];
        parent = tree_add(t, parent, chain[k], k == 0 ? conf : 0.9f, a->luck.n_vocab);
    }
}

static void propose_one(const struct ngram_map *m, struct record *r, const struct draft_ask *a, struct tree *out)
{
    struct value v[MAX_PLACES];
    int hits;
    double all = 0, rest;
    int n = collect(m, &r->index, a->tok, v, &hits);
    r->n_offered = 0;
    if (hits < m->min_hits)
        return;
    for (int i = 0; i < n; i++) {
        v[i].score = score(r, memory_hash(a, m->size_n, v[i].token), v[i].count);
        all += v[i].score;
    }
    rest = all;
    sort_values(v, n);
    n = n < m->values && !a->chain ? n : a->chain ? (n > 0) : m->values;
    out->match = m->size_n;
    const int budget = m->size_m < a->max_entries ? m->size_m : a->max_entries;
    for (int i = 0, left = budget; i < n && left > 0; i++) {
        const int share = i == n - 1 ? left : 1 + (int)((left - 1) * v[i].score / rest);
        add_chain(a, out, &v[i], share, (float)(v[i].score / all));
        rest -= v[i].score;
        left -= share;
        r->offered[r->n_offered++] = memory_hash(a, m->size_n, v[i].token);
    }
}

static int map_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct ngram_map *m = self;
    for (int i = 0; i < n_ask; i++) {
        struct record *r = draft_seqs_get(&m->seqs, ask[i].seq);
        if (!r)
            return OTR_E_NOMEM;
        r->index.n = m->size_n;
        if (!ngram_index_extend(&r->index, ask[i].tok, ask[i].n))
            return OTR_E_NOMEM;
        if (ask[i].n > (size_t)m->size_n)
            propose_one(m, r, &ask[i], &out[i]);
    }
    return OTR_OK;
}

/* Remembers of each continuation that was offered whether it came. */
static void remember(const struct ngram_map *m, struct record *r, const struct draft_seen *s)
{
    const size_t at = s->n - s->n_new; /* the first token after the offer */
    const struct draft_ask then = {.tok = s->tok, .n = at};
    const bool told = s->n_new > 0 && at >= (size_t)m->size_n;
    for (int i = 0; i < r->n_offered && told; i++) {
        const int k = (int)(r->offered[i] % MEMORY);
        if (r->memory[k].key != (uint32_t)(r->offered[i] >> 32)) {
            r->memory[k].key = (uint32_t)(r->offered[i] >> 32);
            r->memory[k].tried = r->memory[k].right = 0;
        }
        if (r->memory[k].tried == UINT16_MAX)
            continue;
        r->memory[k].tried++;
        if (r->offered[i] == memory_hash(&then, m->size_n, s->tok[at]))
            r->memory[k].right++;
    }
    r->n_offered = 0;
}

static int map_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct ngram_map *m = self;
    for (int i = 0; i < n_seen; i++) {
        struct record *r = draft_seqs_find(&m->seqs, seen[i].seq);
        if (!r)
            continue;
        if (seen[i].event == SEEN_STEP) {
            remember(m, r, &seen[i]);
        } else if (seen[i].event == SEEN_TRUNCATED) {
            ngram_index_cut(&r->index, seen[i].n);
            r->n_offered = 0;
        } else {
            ngram_index_free(&r->index);
            draft_seqs_drop(&m->seqs, seen[i].seq);
        }
    }
    return OTR_OK;
}

const struct draft_method draft_ngram_map_k = {
    .name = "ngram-map-k",
    .about = "the commonest continuation of the last size_n (4) tokens, seen min_hits (2) times",
    .open = map_k_open,
    .close = map_close,
    .propose = map_propose,
    .observe = map_observe};

const struct draft_method draft_ngram_map_k4v = {
    .name = "ngram-map-k4v",
    .about = "up to four continuations of the last size_n (4) tokens, as a tree",
    .flags = DRAFT_GIVE_TREE,
    .open = map_k4v_open,
    .close = map_close,
    .propose = map_propose,
    .observe = map_observe};
