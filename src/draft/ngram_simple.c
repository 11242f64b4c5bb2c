/* ngram-simple: prompt lookup. The last tokens stood in this sequence before: copy what came after them.
 *
 * The longest match wins, then the newest; at least size_n tokens must agree. A copy that reaches the end of the
 * history goes on with itself, so a text that repeats is followed. Parameters: size_n (3), size_m (31: longest copy),
 * min_hits (1: earlier occurrences wanted). Memory: ngram_index.h. SRC: methods/21 section 3 (prompt lookup,
 * llama.cpp's ngram-simple, vLLM's ngram). Read next: ngram_map.c. */
#include <math.h>
#include <stdlib.h>

#include "draft/draft.h"
#include "draft/ngram_index.h"

enum { MAX_PLACES = 64, MAX_MATCH = 64 };

struct ngram_simple {
    struct draft_seqs seqs; /* of struct ngram_index */
    int size_n, size_m, min_hits;
};

static void simple_close(void *self)
{
    struct ngram_simple *s = self;
    for (int i = 0; i < s->seqs.cap; i++)
        if (s->seqs.seq[i])
            ngram_index_free(s->seqs.record[i]);
    draft_seqs_close(&s->seqs);
    free(s);
}

static int simple_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const keys[] = {"size_n", "size_m", "min_hits"};
    struct ngram_simple *s = calloc(1, sizeof *s);
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    s->seqs.size = sizeof(struct ngram_index);
    int rc = draft_param_check(env, keys, 3, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "size_n", 3, 1, 1024, &s->size_n, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "size_m", TREE_MAX, 1, 1024, &s->size_m, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "min_hits", 1, 1, 1024, &s->min_hits, err);
    if (rc < 0) {
        simple_close(s);
        return rc;
    }
    *self = s;
    return OTR_OK;
}

/* The place of the longest match of the end, or -1; *len: its tokens. */
static int32_t find_match(const struct ngram_simple *s, const struct ngram_index *x, const int32_t *tok, int *len)
{
    const int32_t end = (int32_t)x->len - 1;
    int32_t best = -1;
    int hits = 0, places = 0;
    *len = 0;
    for (int32_t i = ngram_index_before(x, end); i >= 0 && places < MAX_PLACES;
         i = ngram_index_before(x, i), places++) {
        const int m = ngram_match(tok, i, end, MAX_MATCH > s->size_n ? MAX_MATCH : s->size_n);
        hits += m >= s->size_n;
        if (m >= s->size_n && m > *len) {
            best = i;
            *len = m;
        }
    }
    return hits >= s->min_hits ? best : -1;
}

static int simple_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct ngram_simple *s = self;
    for (int i = 0; i < n_ask; i++) {
        const struct draft_ask *a = &ask[i];
        struct ngram_index *x = draft_seqs_get(&s->seqs, a->seq);
        if (!x)
            return OTR_E_NOMEM;
        x->n = s->size_n;
        if (!ngram_index_extend(x, a->tok, a->n))
            return OTR_E_NOMEM;
        const int32_t at = find_match(s, x, a->tok, &out[i].match);
        const int n = s->size_m < a->max_entries ? s->size_m : a->max_entries;
        for (int k = 0; at >= 0 && k < n; k++) {
            const size_t from = (size_t)at + 1 + (size_t)k;
            const int32_t t = from < a->n ? a->tok[from] : out[i].entry[from - a->n].token;
            tree_add(&out[i], k - 1, t, NAN, a->luck.n_vocab);
        }
    }
    return OTR_OK;
}

static int simple_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct ngram_simple *s = self;
    for (int i = 0; i < n_seen; i++) {
        struct ngram_index *x = draft_seqs_find(&s->seqs, seen[i].seq);
        if (!x || seen[i].event == SEEN_STEP)
            continue;
        if (seen[i].event == SEEN_TRUNCATED) {
            ngram_index_cut(x, seen[i].n);
        } else {
            ngram_index_free(x);
            draft_seqs_drop(&s->seqs, seen[i].seq);
        }
    }
    return OTR_OK;
}

const struct draft_method draft_ngram_simple = {
    .name = "ngram-simple",
    .about = "copies what followed the last size_n (3) tokens before (prompt lookup)",
    .open = simple_open,
    .close = simple_close,
    .propose = simple_propose,
    .observe = simple_observe};
