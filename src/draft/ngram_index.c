/* Owns the index of n-gram ends. See ngram_index.h. */
#include "draft/ngram_index.h"

#include <stdlib.h>

uint64_t ngram_hash(const int32_t *tok, int n)
{
    uint64_t h = 0x9E3779B97F4A7C15u;
    for (int i = 0; i < n; i++) {
        h = (h ^ (uint32_t)tok[i]) * 0xBF58476D1CE4E5B9u;
        h ^= h >> 29;
    }
    return h;
}

int ngram_match(const int32_t *tok, int32_t i, int32_t j, int most)
{
    int m = 0;
    while (m < most && m <= i && tok[i - m] == tok[j - m])
        m++;
    return m;
}

void ngram_index_init(struct ngram_index *x, int n)
{
    *x = (struct ngram_index){.n = n};
}

void ngram_index_free(struct ngram_index *x)
{
    free(x->head);
    free(x->prev);
    free(x->bucket);
    *x = (struct ngram_index){.n = x->n};
}

static void link_end(struct ngram_index *x, size_t i, uint64_t hash)
{
    x->bucket[i] = (uint32_t)(hash & (x->n_head - 1));
    x->prev[i] = x->head[x->bucket[i]];
    x->head[x->bucket[i]] = (int32_t)i;
}

/* Ends before a whole n-gram are linked nowhere: they keep a place of their own at the first bucket. */
static uint64_t hash_at(const struct ngram_index *x, const int32_t *tok, size_t i)
{
    return i + 1 >= (size_t)x->n ? ngram_hash(tok + i + 1 - (size_t)x->n, x->n) : 0;
}

/* Twice the room; the table is built anew, which is O(1) a token in the long run. */
static bool grow(struct ngram_index *x, const int32_t *tok, size_t need)
{
    size_t cap = x->cap ? x->cap : 256;
    while (cap < need)
        cap *= 2;
    int32_t *head = malloc(cap * sizeof *head);
    int32_t *prev = head ? realloc(x->prev, cap * sizeof *prev) : NULL;
    if (prev)
        x->prev = prev;
    uint32_t *bucket = prev ? realloc(x->bucket, cap * sizeof *bucket) : NULL;
    if (!bucket) {
        free(head);
        return false;
    }
    x->bucket = bucket;
    free(x->head);
    x->head = head;
    x->n_head = x->cap = cap;
    for (size_t i = 0; i < cap; i++)
        head[i] = -1;
    for (size_t i = 0; i < x->len; i++)
        link_end(x, i, hash_at(x, tok, i));
    return true;
}

bool ngram_index_extend(struct ngram_index *x, const int32_t *tok, size_t n)
{
    if (n > x->cap && !grow(x, tok, n))
        return false;
    for (; x->len < n; x->len++)
        link_end(x, x->len, hash_at(x, tok, x->len));
    return true;
}

void ngram_index_cut(struct ngram_index *x, size_t n)
{
    while (x->len > n) {
        x->len--;
        x->head[x->bucket[x->len]] = x->prev[x->len];
    }
}
