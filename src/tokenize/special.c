/* Owns the tokens that are cut out of the text before anything else: control, unknown and user-defined ones.
 *
 * In: text, and which bytes a user wrote. Out: the cuts, longest tokens first, among equals from the left. A
 * user-defined token is always cut; control and unknown ones only if asked for, never over a byte that a user wrote.
 * WHY a trie and a heap: thousands of tokens and a megabyte of newlines must not cost their product. Every place first
 * bids with its longest token; one whose place is taken bids again with the next shorter.  Read next: merge.c. */
#include <stdlib.h>
#include <string.h>

#include "tokenize/tok_priv.h"

/* ---- the trie ---- */

static bool is_cut(const struct tokenizer *t, size_t id)
{
    const unsigned type = t->attr[id] & TOK_TYPE;
    return (type == TOK_CONTROL || type == TOK_UNKNOWN || type == TOK_USER) && t->piece[id].n_raw > 0;
}

struct entry {
    const char *p;
    uint32_t n;
    int32_t id;
};

static int by_bytes_down(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;
    const int c = memcmp(b->p, a->p, a->n < b->n ? a->n : b->n);
    if (c != 0 || a->n == b->n)
        return c != 0 ? c : (a->id > b->id) - (a->id < b->id); /* same piece: the last id stays */
    return a->n < b->n ? 1 : -1;
}

/* WHY falling order: a node that is there is then its parent's first child, so that one look is enough. */
static void insert(struct tokenizer *t, const struct entry *e)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < e->n; i++) {
        const unsigned char b = (unsigned char)e->p[i];
        uint32_t c = t->trie[at].child;
        if (c == 0 || t->trie[c].byte != b) {
            const uint32_t first = c;
            c = (uint32_t)t->n_trie++;
            t->trie[c] = (struct trie_node){0, first, at, i + 1, -1, b};
            t->trie[at].child = c;
            if (at == 0)
                t->trie_root[b] = c;
        }
        at = c;
    }
    t->trie[at].id = e->id;
}

int trie_build(struct tokenizer *t)
{
    size_t n = 0, bound = 1;
    for (size_t i = 0; i < t->n_vocab; i++)
        if (is_cut(t, i)) {
            bound += t->piece[i].n_raw;
            n++;
        }
    struct entry *e = malloc((n + 1) * sizeof *e);
    t->trie = malloc(size_mul(bound, sizeof *t->trie));
    if (!e || !t->trie) {
        free(e);
        return OTR_E_NOMEM;
    }
    n = 0;
    for (size_t i = 0; i < t->n_vocab; i++)
        if (is_cut(t, i))
            e[n++] = (struct entry){t->bytes + t->piece[i].raw, t->piece[i].n_raw, (int32_t)i};
    qsort(e, n, sizeof *e, by_bytes_down);
    t->n_trie = 1;
    t->trie[0] = (struct trie_node){.id = -1};
    memset(t->trie_root, 0, sizeof t->trie_root);
    for (size_t i = 0; i < n; i++)
        insert(t, &e[i]);
    free(e);
    return OTR_OK;
}

/* ---- the search ---- */

/* May the token of this node stand where the next byte that a user wrote is `open` bytes away? */
static bool allowed(const struct tokenizer *t, const struct trie_node *v, bool parse, size_t open)
{
    if (v->id < 0)
        return false;
    return (t->attr[v->id] & TOK_TYPE) == TOK_USER || (parse && v->depth <= open);
}

/* The longest allowed token at text[0..n), as its node; 0: none. */
static uint32_t longest(const struct tokenizer *t, const char *text, size_t n, bool parse, size_t open, size_t *steps)
{
    uint32_t best = 0, at = n > 0 ? t->trie_root[(unsigned char)text[0]] : 0;
    for (size_t i = 1; at != 0; i++, ++*steps) {
        if (allowed(t, &t->trie[at], parse, open))
            best = at;
        uint32_t c = i < n ? t->trie[at].child : 0;
        while (c != 0 && t->trie[c].byte != (unsigned char)text[i])
            c = t->trie[c].sibling;
        at = c;
    }
    return best;
}

/* item: prio puts long tokens first, at the place, n the distance to the next user byte, id the node. */
static int bid(const struct tokenizer *t, struct heap *h, size_t at, uint32_t node, size_t open)
{
    return heap_push(h, (struct item){UINT32_MAX - t->trie[node].depth, (uint32_t)at, (uint32_t)open, (int32_t)node});
}

static int by_place(const void *va, const void *vb)
{
    const struct cut *a = va, *b = vb;
    return (a->at > b->at) - (a->at < b->at);
}

static int take_bids(const struct tokenizer *t, size_t n, bool parse, struct heap *h, struct cuts *out)
{
    unsigned char *taken = calloc(n, 1);
    if (!taken)
        return OTR_E_NOMEM;
    int rc = OTR_OK;
    while (h->n > 0 && rc == OTR_OK) {
        const struct item it = heap_pop(h);
        const struct trie_node *v = &t->trie[it.id];
        if (taken[it.at])
            continue;
        if (!taken[it.at + v->depth - 1]) { /* WHY both ends suffice: what was taken before is not shorter */
            memset(taken + it.at, 1, v->depth);
            out->v[out->n++] = (struct cut){it.at, v->depth, v->id};
            continue;
        }
        uint32_t s = v->parent;
        for (; s != 0 && !allowed(t, &t->trie[s], parse, it.n); s = t->trie[s].parent)
            h->steps++;
        if (s != 0)
            rc = bid(t, h, it.at, s, it.n);
    }
    free(taken);
    if (out->n > 0)
        qsort(out->v, out->n, sizeof *out->v, by_place);
    return rc;
}

int special_find(const struct tokenizer *t, const char *text, size_t n, bool parse, const unsigned char *lit,
                 struct heap *h, struct cuts *out, struct otr_err *err)
{
    size_t open = 0; /* bytes from here to the next one that a user wrote */
    int rc = OTR_OK;
    h->n = 0;
    *out = (struct cuts){0};
    for (size_t i = n; i > 0 && rc == OTR_OK; i--) {
        const size_t at = i - 1;
        open = lit && lit[at] ? 0 : open + 1;
        const uint32_t node = longest(t, text + at, n - at, parse, open, &h->steps);
        if (node != 0)
            rc = bid(t, h, at, node, open);
    }
    if (rc == OTR_OK && h->n > 0) {
        out->v = malloc(h->n * sizeof *out->v); /* each place wins once at most */
        rc = out->v ? take_bids(t, n, parse, h, out) : OTR_E_NOMEM;
    }
    if (rc == OTR_OK)
        return OTR_OK;
    free(out->v);
    *out = (struct cuts){0};
    return TOK_NOMEM(err, n);
}
