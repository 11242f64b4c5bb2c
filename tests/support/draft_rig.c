/* Owns the rig that drives drafting methods. See draft_rig.h. */
#include "support/draft_rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "draft/datastore.h"

uint64_t dr_rand(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

int dr_below(uint64_t *state, int n)
{
    return (int)(dr_rand(state) % (uint64_t)n);
}

static int32_t hashed(const struct dr_text *t, uint64_t a, uint64_t b)
{
    uint64_t s = t->seed ^ a * 0x2545F4914F6CDD1Du ^ b << 32;
    return dr_below(&s, t->n_vocab);
}

int32_t dr_next(const struct dr_text *t, const int32_t *tok, size_t n)
{
    enum { PERIOD = 17, STRETCH = 40 };
    const bool repeat = t->kind == DR_REPEAT || (t->kind == DR_MIXED && n / STRETCH % 2 == 1);
    if (t->kind == DR_MARKOV && n > 0)
        return hashed(t, (uint64_t)tok[n - 1], 1);
    return repeat && n >= PERIOD ? tok[n - PERIOD] : hashed(t, n, n > 0 ? (uint64_t)tok[n - 1] : 0);
}

int dr_open(struct dr *d, const char *name, const char *params, int n_vocab, uint64_t seed, struct otr_err *err)
{
    *d = (struct dr){.m = draft_find(name), .n_vocab = n_vocab};
    if (!d->m)
        return draft_unknown(name, err);
    snprintf(d->words, sizeof d->words, "%s", params);
    for (char *rest = d->words, *item; *d->words && (item = strsep(&rest, ",")) != NULL;) {
        char *eq = strchr(item, '=');
        *eq = 0;
        d->param[d->n_param++] = (struct draft_param){item, eq + 1};
    }
    const struct draft_env env = {
        .n_vocab = n_vocab, .model = DR_MODEL, .seed = seed, .param = d->param, .n_param = d->n_param};
    return d->m->open(&d->self, &env, err);
}

void dr_close(struct dr *d)
{
    if (d->self)
        d->m->close(d->self);
    d->self = NULL;
}

static void *need(void *p)
{
    if (!p) {
        fprintf(stderr, "no memory for a test\n");
        exit(1);
    }
    return p;
}

void dr_seq_open(struct dr_seq *s, uint64_t id, const struct dr_text *t, size_t n_prompt)
{
    *s = (struct dr_seq){.id = id, .tok = need(malloc(DR_MAX_TOK * sizeof *s->tok)), .n_prompt = n_prompt};
    while (s->n <= n_prompt) {
        s->tok[s->n] = dr_next(t, s->tok, s->n);
        s->n++;
    }
}

void dr_seq_close(struct dr_seq *s)
{
    free(s->tok);
    *s = (struct dr_seq){0};
}

struct draft_ask dr_ask(const struct dr_seq *s, int n_vocab, int max_entries, bool chain)
{
    const struct accept_key key = {.seed = 7, .step = s->n};
    return (struct draft_ask){.seq = s->id,
                              .tok = s->tok,
                              .n = s->n,
                              .n_prompt = s->n_prompt,
                              .predicted = s->predicted,
                              .n_predicted = s->n_predicted,
                              .max_entries = max_entries,

                              .chain = chain,
                              .luck = tree_luck_make(RULE_GUMBEL, &key, s->n, n_vocab),
                              .sampling = otr_sampling_default()};
}

int dr_propose(struct dr *d, const struct dr_seq *s, int max_entries, bool chain, struct tree *out)
{
    const struct draft_ask a = dr_ask(s, d->n_vocab, max_entries, chain);
    tree_clear(out);
    return d->m->propose(d->self, &a, 1, out);
}

/* ---- a step ---- */

struct rows { /* what the model says at the nodes of a tree */
    const struct dr_text *t;
    const struct tree *tree;
    int32_t *hist; /* [before + TREE_MAX] the text, then the path to a node */
    size_t before;
    float *logits; /* [n_vocab] */
};

static int32_t answer(const struct rows *r, int node)
{
    int depth = 0;
    for (int k = node; k > 0; k = r->tree->node_parent[k])
        depth++;
    for (int k = node, i = depth; k > 0; k = r->tree->node_parent[k])
        r->hist[r->before + (size_t)--i] = r->tree->node_token[k];
    return dr_next(r->t, r->hist, r->before + (size_t)depth);
}

static const float *row_logits(void *self, int node)
{
    const struct rows *r = self;
    uint64_t s = (uint64_t)answer(r, node) + 99;
    for (int i = 0; i < r->t->n_vocab; i++)
        r->logits[i] = (float)(dr_rand(&s) >> 40) * 0x1p-24f;
    r->logits[answer(r, node)] = 2;
    return r->logits;
}

static int32_t row_best(void *self, int node)
{
    return answer(self, node);
}

int dr_step(struct dr *d, int n, int owner, struct dr_seq *s, const struct dr_text *t, struct tree *tree)
{
    int path[TREE_MAX], n_path = 0, node = 0;
    struct rows r = {t, tree, need(malloc((s->n + TREE_MAX + 1) * sizeof *r.hist)), s->n,
                     need(malloc((size_t)t->n_vocab * sizeof *r.logits))};
    if (tree_check(tree, t->n_vocab, TREE_MAX, NULL) < 0)
        tree_clear(tree);
    memcpy(r.hist, s->tok, s->n * sizeof *s->tok);
    for (int next; (next = tree_find(tree, node, answer(&r, node))) > 0;)
        path[n_path++] = node = next;
    const int32_t last = answer(&r, node);
    for (int i = 0; i < n_path; i++)
        s->tok[s->n++] = tree->node_token[path[i]];
    s->tok[s->n++] = last;
    for (int i = 0; i < n; i++) {
        const bool dist = (d[i].m->flags & DRAFT_NEED_DIST) != 0;
        const struct draft_seen seen = {.seq = s->id,
                                        .event = SEEN_STEP,
                                        .tok = s->tok,
                                        .n = s->n,
                                        .n_new = (size_t)n_path + 1,
                                        .tree = tree,
                                        .path = path,
                                        .n_path = n_path,
                                        .mine = i == owner,
                                        .logits = dist ? row_logits : NULL,
                                        .best = dist ? row_best : NULL,
                                        .self = &r};
        d[i].m->observe(d[i].self, &seen, 1);
    }
    free(r.hist);
    free(r.logits);
    return n_path;
}

void dr_event(struct dr *d, const struct dr_seq *s, enum draft_event event)
{
    const struct draft_seen seen = {.seq = s->id, .event = event, .tok = s->tok, .n = s->n};
    d->m->observe(d->self, &seen, 1);
}

void dr_truncate(struct dr *d, struct dr_seq *s, size_t n)
{
    s->n = n;
    dr_event(d, s, SEEN_TRUNCATED);
}

/* ---- comparing ---- */

bool dr_same_tree(const struct tree *a, const struct tree *b)
{
    bool same = a->n == b->n && a->match == b->match;
    for (int i = 0; i < a->n && same; i++) {
        const struct tree_entry *x = &a->entry[i], *y = &b->entry[i];
        same = x->token == y->token && x->parent == y->parent && x->node == y->node &&
               (x->conf == y->conf || (isnan(x->conf) && isnan(y->conf)));
    }
    return same;
}

bool dr_is_chain(const struct tree *t)
{
    for (int i = 0; i < t->n; i++)
        if (t->entry[i].parent != i - 1)
            return false;
    return true;
}

/* ---- files ---- */

void dr_tmp_file(char *path, size_t cap)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, cap, "%s/test_draft_XXXXXX", tmp ? tmp : P_tmpdir);
    const int fd = mkstemp(path);
    if (fd < 0 || close(fd) < 0) {
        fprintf(stderr, "no file for a test: %s\n", path);
        exit(1);
    }
}

static const int32_t *sort_tok;
static size_t sort_n;

static int by_text(const void *a, const void *b)
{
    size_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    for (; i < sort_n && j < sort_n; i++, j++)
        if (sort_tok[i] != sort_tok[j])
            return sort_tok[i] < sort_tok[j] ? -1 : 1;
    return i == j ? 0 : i == sort_n ? -1 : 1;
}

void dr_write_datastore(const char *path, const int32_t *tok, size_t n, int n_vocab)
{
    uint32_t *place = need(malloc((n + 1) * sizeof *place));
    struct datastore_head h = {.magic = DATASTORE_MAGIC, .key = DR_MODEL, .n_vocab = (uint32_t)n_vocab, .n = n};
    for (size_t i = 0; i < n; i++)
        place[i] = (uint32_t)i;
    sort_tok = tok;
    sort_n = n;
    qsort(place, n, sizeof *place, by_text);
    FILE *f = need(fopen(path, "we"));
    if (fwrite(&h, sizeof h, 1, f) != 1 || fwrite(tok, sizeof *tok, n, f) != n ||
        fwrite(place, sizeof *place, n, f) != n || fclose(f) != 0)
        exit(1);
    free(place);
}
