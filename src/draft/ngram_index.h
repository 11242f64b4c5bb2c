/* Where the last n tokens of a sequence stood before: one table of n-gram ends, newest first.
 *
 * In: the committed history, appended to and cut back at its end. Out: a chain of earlier places for the newest n-gram.
 * O(1) a token; memory 12 bytes a token and 4 for each of the table's buckets. Shared by the ngram methods.
 * Read next: ngram_simple.c. */
#ifndef OTR_DRAFT_NGRAM_INDEX_H
#define OTR_DRAFT_NGRAM_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ngram_index {
    int n;            /* tokens of a key */
    size_t len, cap;  /* tokens indexed */
    size_t n_head;    /* power of two */
    int32_t *head;    /* [n_head] newest end in a bucket, -1: none */
    int32_t *prev;    /* [cap] the end before it in its bucket */
    uint32_t *bucket; /* [cap] INV: head[bucket[len - 1]] is len - 1, so the end can be taken back */
};

void ngram_index_init(struct ngram_index *x, int n);
void ngram_index_free(struct ngram_index *x);
/* Indexes tok[len..n). false: no memory; what was indexed stays. */
bool ngram_index_extend(struct ngram_index *x, const int32_t *tok, size_t n);
void ngram_index_cut(struct ngram_index *x, size_t n); /* forgets all ends from n on */
/* The newest earlier end of the n tokens that end at `end`, or -1; then on from there with the result as `end`. A place
 * may be another n-gram of the same bucket: compare. */
static inline int32_t ngram_index_before(const struct ngram_index *x, int32_t end)
{
    return end >= 0 && (size_t)end < x->len ? x->prev[end] : -1;
}
/* Tokens that agree backwards from the places i < j of tok, at most `most`. */
int ngram_match(const int32_t *tok, int32_t i, int32_t j, int most);
/* Hash of n tokens; also of other tables that are keyed by n-grams. */
uint64_t ngram_hash(const int32_t *tok, int n);

#endif
