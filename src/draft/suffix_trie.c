/* Owns the counted trie. See suffix_trie.h; read next: suffix.c. */
#include "draft/suffix_trie.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT = 0, FIRST_CAP = 1024 };

/* ---- the table ---- */

static uint32_t home(const struct suffix_trie *t, uint32_t parent, int32_t token)
{
    uint64_t h = ((uint64_t)parent << 32 | (uint32_t)token) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32) & (t->n_slot - 1);
}

/* The slot of a node, or the empty one where it would stand. */
static uint32_t find_slot(const struct suffix_trie *t, uint32_t parent, int32_t token)
{
    uint32_t i = home(t, parent, token);
    for (; t->slot[i] != SUFFIX_NONE; i = (i + 1) & (t->n_slot - 1)) {
        const struct suffix_node *n = &t->node[t->slot[i]];
        if (n->parent == parent && n->token == token)
            break;
    }
    return i;
}

/* Empties slot i; later ones of the same run move up, so that no search stops early. */
static void clear_slot(struct suffix_trie *t, uint32_t i)
{
    const uint32_t mask = t->n_slot - 1;
    for (uint32_t j = (i + 1) & mask; t->slot[j] != SUFFIX_NONE; j = (j + 1) & mask) {
        const struct suffix_node *n = &t->node[t->slot[j]];
        const uint32_t want = home(t, n->parent, n->token);
        if (((j - want) & mask) >= ((j - i) & mask)) {
            t->slot[i] = t->slot[j];
            i = j;
        }
    }
    t->slot[i] = SUFFIX_NONE;
}

/* ---- memory ---- */

static bool set_cap(struct suffix_trie *t, uint32_t cap)
{
    assert(cap > 0);
    struct suffix_node *node = realloc(t->node, (size_t)cap * sizeof *node);
    if (node)
        t->node = node;
    uint32_t n_slot = 4;
    while (n_slot < 2 * cap)
        n_slot *= 2;
    uint32_t *slot = node ? malloc((size_t)n_slot * sizeof *slot) : NULL;
    if (!slot)
        return false;
    free(t->slot);
    t->slot = slot;
    t->n_slot = n_slot;
    t->cap = cap;
    memset(slot, 0xff, (size_t)n_slot * sizeof *slot);
    for (uint32_t i = 1; i < t->n; i++)
        if (node[i].count > 0)
            slot[find_slot(t, node[i].parent, node[i].token)] = i;
    return true;
}

void suffix_trie_limit(struct suffix_trie *t, size_t max_bytes)
{
    const size_t each = sizeof(struct suffix_node) + 4 * sizeof(uint32_t); /* the table has up to four slots a node */
    const size_t max = max_bytes / each, least = t->cap < 2 ? 2 : t->cap;
    t->max = max < least ? (uint32_t)least : max > SUFFIX_NONE / 4 ? SUFFIX_NONE / 4 : (uint32_t)max;
}

bool suffix_trie_init(struct suffix_trie *t, int depth, size_t max_bytes)
{
    *t = (struct suffix_trie){.depth = depth, .free = SUFFIX_NONE};
    suffix_trie_limit(t, max_bytes);
    if (!set_cap(t, t->max < FIRST_CAP ? t->max : FIRST_CAP)) {
        suffix_trie_free(t);
        return false;
    }
    suffix_trie_clear(t);
    return true;
}

void suffix_trie_free(struct suffix_trie *t)
{
    free(t->node);
    free(t->slot);
    *t = (struct suffix_trie){0};
}

void suffix_trie_clear(struct suffix_trie *t)
{
    t->n = t->n_live = 1;
    t->free = SUFFIX_NONE;
    t->node[ROOT] = (struct suffix_node){-1, SUFFIX_NONE, 0, SUFFIX_NONE, SUFFIX_NONE, SUFFIX_NONE};
    memset(t->slot, 0xff, (size_t)t->n_slot * sizeof *t->slot);
}

size_t suffix_trie_bytes(const struct suffix_trie *t)
{
    return (size_t)t->cap * sizeof *t->node + (size_t)t->n_slot * sizeof *t->slot;
}

/* ---- nodes ---- */

uint32_t suffix_child(const struct suffix_trie *t, uint32_t node, int32_t token)
{
    return t->slot[find_slot(t, node, token)];
}

static void unlink_node(struct suffix_trie *t, uint32_t i)
{
    struct suffix_node *n = &t->node[i];
    if (n->prev == SUFFIX_NONE)
        t->node[n->parent].child = n->next;
    else
        t->node[n->prev].next = n->next;
    if (n->next != SUFFIX_NONE)
        t->node[n->next].prev = n->prev;
}

static void link_first(struct suffix_trie *t, uint32_t i)
{
    struct suffix_node *n = &t->node[i], *p = &t->node[n->parent];
    n->prev = SUFFIX_NONE;
    n->next = p->child;
    if (p->child != SUFFIX_NONE)
        t->node[p->child].prev = i;
    p->child = i;
}

static void link_second(struct suffix_trie *t, uint32_t i)
{
    struct suffix_node *n = &t->node[i];
    const uint32_t first = t->node[n->parent].child;
    n->prev = first;
    n->next = t->node[first].next;
    if (n->next != SUFFIX_NONE)
        t->node[n->next].prev = i;
    t->node[first].next = i;
}

/* A new child with count 0, or SUFFIX_NONE: full. */
static uint32_t new_node(struct suffix_trie *t, uint32_t parent, int32_t token)
{
    uint32_t i = t->free;
    if (i != SUFFIX_NONE) {
        t->free = t->node[i].next;
    } else {
        if (t->n == t->cap && (t->cap == t->max || !set_cap(t, t->cap < t->max / 2 ? 2 * t->cap : t->max)))
            return SUFFIX_NONE;
        i = t->n++;
    }
    t->node[i] = (struct suffix_node){token, parent, 0, SUFFIX_NONE, SUFFIX_NONE, SUFFIX_NONE};
    t->slot[find_slot(t, parent, token)] = i;
    t->n_live++;
    if (t->node[parent].child == SUFFIX_NONE)
        link_first(t, i);
    else
        link_second(t, i);
    return i;
}

/* One occurrence more; the newest of the commonest stands first. */
static uint32_t bump(struct suffix_trie *t, uint32_t parent, int32_t token)
{
    uint32_t i = suffix_child(t, parent, token);
    if (i == SUFFIX_NONE && (i = new_node(t, parent, token)) == SUFFIX_NONE)
        return SUFFIX_NONE;
    t->node[i].count++;
    const uint32_t first = t->node[parent].child;
    if (first != i && t->node[i].count >= t->node[first].count) {
        unlink_node(t, i);
        link_first(t, i);
    }
    return i;
}

/* The commonest child comes first again after the first one lost an occurrence. */
static void resort(struct suffix_trie *t, uint32_t parent)
{
    const uint32_t first = t->node[parent].child;
    uint32_t best = first;
    for (uint32_t i = first; i != SUFFIX_NONE; i = t->node[i].next)
        if (t->node[i].count > t->node[best].count)
            best = i;
    if (best != first) {
        unlink_node(t, best);
        link_first(t, best);
    }
}

static void drop_one(struct suffix_trie *t, uint32_t i)
{
    const uint32_t parent = t->node[i].parent;
    const bool first = t->node[parent].child == i;
    if (--t->node[i].count == 0) {
        clear_slot(t, find_slot(t, parent, t->node[i].token));
        unlink_node(t, i);
        t->node[i].next = t->free;
        t->free = i;
        t->n_live--;
    }
    if (first && parent != ROOT) /* nothing is proposed from the root, and its children are many */
        resort(t, parent);
}

/* ---- sequences ---- */

void suffix_cursor_init(struct suffix_cursor *c)
{
    c->node[0] = ROOT;
    c->n = 0;
}

bool suffix_add(struct suffix_trie *t, struct suffix_cursor *c, int32_t token)
{
    const int last = c->n < t->depth ? c->n : t->depth - 1;
    c->n = last + 1;
    for (int d = last; d >= 0; d--) /* downwards: node[d + 1] is written after it was read */
        c->node[d + 1] = c->node[d] == SUFFIX_NONE ? SUFFIX_NONE : bump(t, c->node[d], token);
    /* INV: where the trie is full a suffix may be missing while a longer one is there; both end here */
    for (int d = 1; d <= c->n; d++)
        if (c->node[d] == SUFFIX_NONE) {
            c->n = d - 1;
            return false;
        }
    return true;
}

void suffix_read(const struct suffix_trie *t, struct suffix_cursor *c, int32_t token)
{
    int last = c->n < t->depth ? c->n : t->depth - 1, n = 0;
    for (int d = last; d >= 0; d--) {
        c->node[d + 1] = suffix_child(t, c->node[d], token);
        if (c->node[d + 1] != SUFFIX_NONE && n == 0)
            n = d + 1; /* what the longest suffix holds the shorter ones hold too */
    }
    c->n = n;
}

void suffix_remove(struct suffix_trie *t, const int32_t *tok, size_t n)
{
    for (size_t s = 0; s < n; s++) {
        uint32_t path[SUFFIX_MAX_DEPTH];
        int depth = 0;
        for (uint32_t at = ROOT; depth < t->depth && s + (size_t)depth < n; depth++) {
            at = suffix_child(t, at, tok[s + (size_t)depth]);
            if (at == SUFFIX_NONE)
                break;
            path[depth] = at;
        }
        while (depth > 0)
            drop_one(t, path[--depth]);
    }
}

/* ---- integrity ---- */

static const char *check_node(const struct suffix_trie *t, uint32_t i)
{
    const struct suffix_node *n = &t->node[i];
    uint64_t sum = 0;
    uint32_t prev = SUFFIX_NONE, steps = 0;
    for (uint32_t c = n->child; c != SUFFIX_NONE; prev = c, c = t->node[c].next) {
        if (c >= t->n || ++steps > t->n)
            return "a child list that leads nowhere";
        if (t->node[c].parent != i || t->node[c].prev != prev)
            return "a child that belongs elsewhere";
        if (t->node[c].count == 0)
            return "a child that was taken out";
        if (i != ROOT && t->node[c].count > t->node[n->child].count)
            return "a child commoner than the first";
        sum += t->node[c].count;
    }
    if (i != ROOT && sum > n->count)
        return "children more often than their parent";
    if (i != ROOT && t->slot[find_slot(t, n->parent, n->token)] != i)
        return "a node that its table does not find";
    return NULL;
}

const char *suffix_check(const struct suffix_trie *t)
{
    uint32_t live = 1, free = 0;
    const char *wrong = check_node(t, ROOT);
    for (uint32_t i = 1; i < t->n && !wrong; i++)
        if (t->node[i].count > 0) {
            live++;
            wrong = check_node(t, i);
        }
    for (uint32_t i = t->free; i != SUFFIX_NONE && !wrong; i = t->node[i].next)
        if (i >= t->n || ++free > t->n || t->node[i].count > 0)
            wrong = "a free list that leads nowhere";
    if (!wrong && (live != t->n_live || live + free != t->n))
        wrong = "nodes that are neither used nor free";
    return wrong;
}
