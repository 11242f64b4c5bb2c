/* ngram-cache: how often each token followed the last one to four tokens; here, in earlier runs, and in a corpus.
 *
 * Three tables of counts: the context (this sequence, as it grows), dynamic (a file that runs add to: dynamic=PATH) and
 * static (a file that is only read: static=PATH). A token is drafted if the longest n-gram of a table that is sure
 * enough says so: context first, then dynamic (both weighed by the static counts of two tokens), then static alone.
 * Thresholds, weights and the file format are llama.cpp's, so its lookup files can be used. Not as there: memory is
 * bounded, a full table takes no new pairs; of equal candidates the one seen last wins, not a hash map's first.
 * File: records of four int32 (the n-gram; unused places at the end are -1), an int32 count of pairs,
 * then pairs of int32 (token, count). Memory: max_mb (64) for all tables. SRC: methods/21 section 3 (llama.cpp's
 * lookup). Read next: recycle.c. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/replace_file.h"
#include "draft/draft.h"
#include "draft/ngram_index.h"

enum { KEY = 4, STATIC_N = 2, NONE = -1, MAX_FILE = 1 << 30 };
enum { STATIC_WEIGHT = 100 }; /* of a static count, against 1 where there is none */

struct follower { /* one (n-gram, next token) */
    int32_t key[KEY], token, count;
    uint32_t next; /* of the same n-gram: index + 1; 0: the last */
};
#define FOLLOWER_BYTES (sizeof(struct follower) + 2 * sizeof(uint32_t)) /* with its slots */
struct table {
    struct follower *f; /* [n] */
    size_t n, cap, max;
    uint32_t *slot; /* [n_slot] first follower of an n-gram: index + 1 */
    size_t n_slot;
};

/* ---- a table ---- */

static void table_free(struct table *t)
{
    free(t->f);
    free(t->slot);
    *t = (struct table){.max = t->max};
}

static size_t slot_of(const struct table *t, const int32_t *key)
{
    size_t i = (size_t)ngram_hash(key, KEY) & (t->n_slot - 1);
    while (t->slot[i] && memcmp(t->f[t->slot[i] - 1].key, key, sizeof t->f->key) != 0)
        i = (i + 1) & (t->n_slot - 1);
    return i;
}

static bool table_grow(struct table *t)
{
    const size_t cap = t->cap ? 2 * t->cap : 1024;
    struct follower *f = cap <= t->max ? realloc(t->f, cap * sizeof *f) : NULL;
    if (!f)
        return false;
    t->f = f;
    uint32_t *slot = calloc(2 * cap, sizeof *slot);
    if (!slot)
        return false;
    struct table old = *t;
    t->slot = slot;
    t->n_slot = 2 * cap;
    t->cap = cap;
    for (size_t i = 0; i < old.n_slot; i++)
        if (old.slot[i])
            slot[slot_of(t, f[old.slot[i] - 1].key)] = old.slot[i];
    free(old.slot);
    return true;
}

static const struct follower *followers(const struct table *t, const int32_t *key)
{
    const uint32_t i = t->n_slot ? t->slot[slot_of(t, key)] : 0;
    return i ? &t->f[i - 1] : NULL;
}

static const struct follower *next_of(const struct table *t, const struct follower *f)
{
    return f->next ? &t->f[f->next - 1] : NULL;
}

/* Adds a count; a full table takes no new pairs. */
static void table_add(struct table *t, const int32_t *key, int32_t token, int32_t count)
{
    const struct follower *f = followers(t, key);
    for (; f; f = next_of(t, f))
        if (f->token == token) {
            struct follower *own = &t->f[f - t->f];
            own->count = own->count > INT32_MAX - count ? INT32_MAX : own->count + count;
            return;
        }
    if (t->n == t->cap && !table_grow(t))
        return;
    assert(t->f); /* there is room */
    const size_t s = slot_of(t, key);
    struct follower *x = &t->f[t->n++];
    *x = (struct follower){.token = token, .count = count, .next = t->slot[s]};
    memcpy(x->key, key, sizeof x->key);
    t->slot[s] = (uint32_t)t->n;
}

/* The n tokens before place i of the text as a key. */
static void key_at(int32_t *key, const int32_t *tok, size_t i, int n)
{
    for (int k = 0; k < KEY; k++)
        key[k] = k < n ? tok[i - (size_t)n + (size_t)k] : NONE;
}

static void table_read(struct table *t, const int32_t *tok, size_t from, size_t n)
{
    int32_t key[KEY];
    for (size_t i = from; i < n; i++)
        for (int k = 1; k <= KEY && (size_t)k <= i; k++) {
            key_at(key, tok, i, k);
            table_add(t, key, tok[i], 1);
        }
}

/* ---- files ---- */

static bool valid(int32_t t, int n_vocab, bool none)
{
    return (t >= 0 && t < n_vocab) || (none && t == NONE);
}

/* OTR_E_FORMAT: the bytes are no such file; the table is empty then. */
static int table_parse(struct table *t, const int32_t *w, size_t n, int n_vocab, const char *path, struct otr_err *err)
{
    for (size_t at = 0; at < n;) {
        bool ok = n - at > KEY && valid(w[at], n_vocab, false);
        for (int k = 1; k < KEY && ok; k++)
            ok = valid(w[at + (size_t)k], n_vocab, true);
        const int32_t pairs = ok ? w[at + KEY] : -1;
        ok = ok && pairs >= 0 && (n - at - KEY - 1) / 2 >= (size_t)pairs;
        for (int32_t k = 0; k < pairs && ok; k++) {
            const int32_t *p = w + at + KEY + 1 + 2 * (size_t)k;
            ok = valid(p[0], n_vocab, false) && p[1] > 0;
            if (ok)
                table_add(t, w + at, p[0], p[1]);
        }
        if (!ok) {
            table_free(t);
            return OTR_FAIL(err, FORMAT, "not a lookup file of this model (%.200s): word %zu", path, at);
        }
        at += KEY + 1 + 2 * (size_t)pairs;
    }
    return OTR_OK;
}

/* must: an absent file is an error. */
static int table_load(struct table *t, const char *path, int n_vocab, bool must, struct otr_err *err)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    if (!f)
        return must ? OTR_FAIL(err, IO, "cannot open the lookup file (%.200s)", path) : OTR_OK;
    int rc = OTR_OK;
    int32_t *w = NULL;
    if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_FILE || st.st_size % 4 != 0)
        rc = OTR_FAIL(err, FORMAT, "not a lookup file (%.200s): its size cannot be", path);
    else if (!(w = malloc((size_t)st.st_size + 4)))
        rc = OTR_FAIL(err, NOMEM, "no memory for the lookup file (%.200s)", path);
    else if (fread(w, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        rc = OTR_FAIL(err, IO, "cannot read the lookup file (%.200s)", path);
    else
        rc = table_parse(t, w, (size_t)st.st_size / 4, n_vocab, path, err);
    free(w);
    fclose(f);
    return rc;
}

static bool write_ngram(const struct table *t, const struct follower *first, FILE *f)
{
    int32_t n = 0;
    for (const struct follower *x = first; x; x = next_of(t, x))
        n++;
    bool ok = fwrite(first->key, sizeof first->key, 1, f) == 1 && fwrite(&n, sizeof n, 1, f) == 1;
    for (const struct follower *x = first; x && ok; x = next_of(t, x))
        ok = fwrite(&x->token, sizeof x->token, 1, f) == 1 && fwrite(&x->count, sizeof x->count, 1, f) == 1;
    return ok;
}

/* WHY silent on failure: what is lost is speed of later runs, and the reply is already out. */
static void table_save(const struct table *t, const char *path)
{
    struct replace_file r;
    if (!replace_open(&r, path, 0666))
        return;
    bool ok = true;
    for (size_t i = 0; i < t->n_slot && ok; i++)
        if (t->slot[i])
            ok = write_ngram(t, &t->f[t->slot[i] - 1], r.f);
    replace_close(&r, ok);
}

/* ---- the method ---- */

struct context {
    struct table t;
    size_t read; /* tokens in it */
};
struct ngram_cache {
    struct draft_seqs seqs; /* of struct context */
    struct table fixed, dynamic;
    char *path; /* of the dynamic file */
    size_t max; /* followers of one file's table, and of all contexts together */
};

static void cache_close(void *self)
{
    struct ngram_cache *c = self;
    for (int i = 0; i < c->seqs.cap; i++)
        if (c->seqs.seq[i])
            table_free(&((struct context *)c->seqs.record[i])->t);
    draft_seqs_close(&c->seqs);
    if (c->path && c->dynamic.n > 0)
        table_save(&c->dynamic, c->path);
    table_free(&c->fixed);
    table_free(&c->dynamic);
    free(c->path);
    free(c);
}

static int cache_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    static const char *const keys[] = {"static", "dynamic", "max_mb"};
    const char *fixed = draft_param_get(env, "static"), *dynamic = draft_param_get(env, "dynamic");
    struct ngram_cache *c = calloc(1, sizeof *c);
    int mb = 0;
    if (!c)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    c->seqs.size = sizeof(struct context);
    int rc = draft_param_check(env, keys, 3, err);
    if (rc == OTR_OK)
        rc = draft_param_int(env, "max_mb", 64, 1, 4096, &mb, err);
    c->max = c->fixed.max = c->dynamic.max = ((size_t)mb << 20) / FOLLOWER_BYTES / 3;
    if (rc == OTR_OK && fixed)
        rc = table_load(&c->fixed, fixed, env->n_vocab, true, err);
    if (rc == OTR_OK && dynamic)
        rc = table_load(&c->dynamic, dynamic, env->n_vocab, false, err);
    if (rc == OTR_OK && dynamic && !(c->path = strdup(dynamic)))
        rc = OTR_FAIL(err, NOMEM, "no memory for a drafter");
    if (rc < 0) {
        cache_close(c);
        return rc;
    }
    *self = c;
    return OTR_OK;
}

/* Counts needed and percent of the places needed, by length of the n-gram: strict where earlier texts say so. */
static const struct sure {
    int count[KEY], percent[KEY];
} lax = {{2, 2, 1, 1}, {66, 50, 50, 50}}, strict = {{4, 3, 2, 2}, {75, 66, 66, 66}};

/* The likeliest follower by count in t times its weight in the static table; -1: not sure. */
static int32_t vote(const struct table *t, const int32_t *key, int n, const struct table *weigh, const int32_t *key2,
                    const struct sure *s, float *conf)
{
    int64_t all = 0, of_best = 0;
    double best = 0; /* counts of a file are any: a product of integers could wrap */
    int32_t token = -1;
    for (const struct follower *f = followers(t, key); f; f = next_of(t, f)) {
        double w = 1;
        for (const struct follower *g = weigh ? followers(weigh, key2) : NULL; g; g = next_of(weigh, g))
            if (g->token == f->token)
                w = (double)STATIC_WEIGHT * g->count;
        all += f->count;
        if (f->count * w > best) {
            best = f->count * w;
            of_best = f->count;
            token = f->token;
        }
    }
    if (token < 0 || all < s->count[n - 1] || 100 * of_best < s->percent[n - 1] * all)
        return -1;
    *conf = (float)((double)of_best / (double)all);
    return token;
}

/* Longest n-gram first. */
static int32_t next_token(const struct ngram_cache *c, const struct table *ctx, const int32_t *last, int n_last,
                          float *conf, int *match)
{
    int32_t key[KEY], key2[KEY] = {NONE, NONE, NONE, NONE}, t = -1;
    const struct {
        const struct table *t;
        const struct sure *s;
    } tables[] = {{ctx, &lax}, {&c->dynamic, &strict}};
    if (n_last >= STATIC_N)
        key_at(key2, last, (size_t)n_last, STATIC_N);
    for (int k = 0; k < 2 && t < 0; k++)
        for (int n = n_last < KEY ? n_last : KEY; n >= 1 && t < 0; n--) {
            key_at(key, last, (size_t)n_last, n);
            t = vote(tables[k].t, key, n, &c->fixed, key2, tables[k].s, conf);
            *match = n;
        }
    if (t < 0 && n_last >= STATIC_N) {
        t = vote(&c->fixed, key2, STATIC_N, NULL, NULL, &lax, conf);
        *match = STATIC_N;
    }
    return t;
}

static void propose_one(const struct ngram_cache *c, const struct context *x, const struct draft_ask *a,
                        struct tree *out)
{
    int32_t window[KEY + TREE_MAX];
    const int n_last = a->n < KEY ? (int)a->n : KEY;
    int match;
    memcpy(window, a->tok + a->n - (size_t)n_last, (size_t)n_last * sizeof *window);
    for (int k = 0; k < a->max_entries; k++) {
        float conf = 0;
        const int n = n_last + k, from = n < KEY ? 0 : n - KEY;
        const int32_t t = next_token(c, &x->t, window + from, n - from, &conf, &match);
        if (t < 0)
            return;
        out->match = k == 0 ? match : out->match;
        window[n] = t;
        tree_add(out, k - 1, t, conf, a->luck.n_vocab);
    }
}

/* Followers that all contexts have room for. */
static size_t context_cap(const struct ngram_cache *c)
{
    size_t n = 0;
    for (int i = 0; i < c->seqs.cap; i++)
        if (c->seqs.seq[i])
            n += ((const struct context *)c->seqs.record[i])->t.cap;
    return n;
}

static int cache_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct ngram_cache *c = self;
    for (int i = 0; i < n_ask; i++) {
        struct context *x = draft_seqs_get(&c->seqs, ask[i].seq);
        if (!x)
            return OTR_E_NOMEM;
        const size_t others = context_cap(c) - x->t.cap;
        x->t.max = others < c->max ? c->max - others : 0;
        table_read(&x->t, ask[i].tok, x->read, ask[i].n);
        x->read = ask[i].n;
        propose_one(c, x, &ask[i], &out[i]);
    }
    return OTR_OK;
}

static int cache_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct ngram_cache *c = self;
    for (int i = 0; i < n_seen; i++) {
        struct context *x = draft_seqs_find(&c->seqs, seen[i].seq);
        if (!x || seen[i].event == SEEN_STEP)
            continue;
        if (seen[i].event == SEEN_FINISHED && c->path)
            table_read(&c->dynamic, seen[i].tok, 0, seen[i].n);
        if (seen[i].event == SEEN_FINISHED || seen[i].n < x->read) { /* cut back: counts cannot be, so anew */
            table_free(&x->t);
            x->read = 0;
        }
        if (seen[i].event == SEEN_FINISHED)
            draft_seqs_drop(&c->seqs, seen[i].seq);
    }
    return OTR_OK;
}

static size_t cache_bytes(const void *self)
{
    const struct ngram_cache *c = self;
    return (context_cap(c) + c->fixed.cap + c->dynamic.cap) * FOLLOWER_BYTES;
}

const struct draft_method draft_ngram_cache = {
    .name = "ngram-cache",
    .about = "counts of what followed 1 to 4 tokens; files static=PATH, dynamic=PATH as llama.cpp's",
    .open = cache_open,
    .close = cache_close,
    .propose = cache_propose,
    .observe = cache_observe,
    .bytes = cache_bytes};
