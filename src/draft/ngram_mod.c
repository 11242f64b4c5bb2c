/* ngram-mod: one pool of constant memory for all sequences: the token that followed n_match tokens, by their hash.
 *
 * Every committed token is written at the hash of those before it; a draft walks the pool from the end of the history.
 * A slot keeps a check of its key, so another n-gram of the same slot is seldom followed; newer writes win. What one
 * request taught serves the next. Parameters: n_match (8), n_min (1: a shorter draft is not offered), n_max (31),
 * log2_slots (20: 8 MB). SRC: methods/21 section 3 (llama.cpp's ngram-mod). Read next: ngram_cache.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draft/draft.h"
#include "draft/ngram_index.h"

enum { MAX_N = 64 };

struct slot {
    uint32_t check;
    int32_t token; /* next one, + 1; 0: empty */
};

struct ngram_mod {
    struct draft_seqs seqs; /* of size_t: tokens that were written */
    int n_match, n_min, n_max;
    size_t n_slot;
    struct slot *slot; /* [n_slot] */
};

static void mod_close(void *self)
{
    struct ngram_mod *m = self;
    draft_seqs_close(&m->seqs);
    free(m->slot);
    free(m);
}

static int mod_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const keys[] = {"n_match", "n_min", "n_max", "log2_slots"};
    struct ngram_mod *m = calloc(1, sizeof *m);
    int bits = 0;
    if (!m)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    m->seqs.size = sizeof(size_t);
    int rc = draft_param_check(env, keys, 4, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "n_match", 8, 1, MAX_N, &m->n_match, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "n_min", 1, 1, 1024, &m->n_min, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "n_max", TREE_MAX, 1, 1024, &m->n_max, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "log2_slots", 20, 8, 28, &bits, err);
    if (rc == OTR_OK) {
        m->n_slot = (size_t)1 << bits;
        m->slot = calloc(m->n_slot, sizeof *m->slot);
        if (!m->slot)
            rc = OTR_FAIL(err, NOMEM, "no memory for the n-gram pool (%zu MB)", m->n_slot * sizeof *m->slot >> 20);
    }
    if (rc < 0) {
        mod_close(m);
        return rc;
    }
    *self = m;
    return OTR_OK;
}

static void learn(struct ngram_mod *m, const int32_t *tok, size_t from, size_t n)
{
    for (size_t i = from < (size_t)m->n_match ? (size_t)m->n_match : from; i < n; i++) {
        const uint64_t h = ngram_hash(tok + i - (size_t)m->n_match, m->n_match);
        m->slot[h & (m->n_slot - 1)] = (struct slot){(uint32_t)(h >> 32), tok[i] + 1};
    }
}

/* The token after key [n_match], or -1. */
static int32_t follow(const struct ngram_mod *m, const int32_t *key)
{
    const uint64_t h = ngram_hash(key, m->n_match);
    const struct slot *s = &m->slot[h & (m->n_slot - 1)];
    return s->token > 0 && s->check == (uint32_t)(h >> 32) ? s->token - 1 : -1;
}

static void propose_one(const struct ngram_mod *m, const struct draft_ask *a, struct tree *out)
{
    int32_t window[MAX_N + TREE_MAX]; /* the key, then the draft: the next key slides along */
    const int n = m->n_max < a->max_entries ? m->n_max : a->max_entries;
    if (a->n < (size_t)m->n_match)
        return;
    memcpy(window, a->tok + a->n - (size_t)m->n_match, (size_t)m->n_match * sizeof *window);
    for (int k = 0; k < n; k++) {
        const int32_t t = follow(m, window + k);
        if (t < 0)
            break;
        window[m->n_match + k] = t;
        tree_add(out, k - 1, t, NAN, a->luck.n_vocab);
    }
    out->match = m->n_match;
    if (out->n < m->n_min)
        tree_clear(out);
}

static int mod_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct ngram_mod *m = self;
    for (int i = 0; i < n_ask; i++) {
        size_t *written = draft_seqs_get(&m->seqs, ask[i].seq);
        if (!written)
            return OTR_E_NOMEM;
        learn(m, ask[i].tok, *written, ask[i].n);
        *written = ask[i].n;
        propose_one(m, &ask[i], &out[i]);
    }
    return OTR_OK;
}

static int mod_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct ngram_mod *m = self;
    for (int i = 0; i < n_seen; i++) {
        size_t *written = draft_seqs_find(&m->seqs, seen[i].seq);
        if (written && seen[i].event == SEEN_TRUNCATED && *written > seen[i].n)
            *written = seen[i].n; /* what was learnt of the rest stays: it was said once */
        if (written && seen[i].event == SEEN_FINISHED)
            draft_seqs_drop(&m->seqs, seen[i].seq);
    }
    return OTR_OK;
}

static size_t mod_bytes(const void *self)
{
    const struct ngram_mod *m = self;
    return m->n_slot * sizeof *m->slot;
}

const struct draft_method draft_ngram_mod = {
    .name = "ngram-mod",
    .about = "one pool for all sequences: what followed n_match (8) tokens, in constant memory",
    .open = mod_open,
    .close = mod_close,
    .propose = mod_propose,
    .observe = mod_observe,
    .bytes = mod_bytes};
