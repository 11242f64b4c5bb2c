/* All sub-sequences of some token sequences up to a depth, counted: what a suffix tree cut at that depth holds.
 *
 * A node is a sub-sequence; its count is how often it occurs; the commonest child comes first in its list. Sequences
 * are added token by token through a cursor, which also is the set of all suffixes of what was read so far (so the
 * match of every length costs nothing to find), and taken out whole. O(depth) a token; 24 bytes a node and up to
 * 16 in its table. Read next: suffix.c. SRC: SuffixDecoding (methods/21 section 3). */
#ifndef OTR_DRAFT_SUFFIX_TRIE_H
#define OTR_DRAFT_SUFFIX_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUFFIX_MAX_DEPTH = 64 };
#define SUFFIX_NONE UINT32_MAX

struct suffix_node {
    int32_t token;
    uint32_t parent, count;
    uint32_t child;      /* the commonest one, or SUFFIX_NONE */
    uint32_t next, prev; /* siblings; free nodes: next free one */
};
struct suffix_trie {
    struct suffix_node *node; /* [cap]; node 0 is the empty sequence */
    uint32_t n, cap, max;     /* ever used; room; most there may be */
    uint32_t n_live, free;
    uint32_t *slot; /* [n_slot] node by (parent, token); open addressing */
    uint32_t n_slot;
    int depth;
};

bool suffix_trie_init(struct suffix_trie *t, int depth, size_t max_bytes); /* false: no memory */
void suffix_trie_limit(struct suffix_trie *t, size_t max_bytes);           /* another limit; what is there stays */
void suffix_trie_free(struct suffix_trie *t);
void suffix_trie_clear(struct suffix_trie *t); /* keeps the memory */
size_t suffix_trie_bytes(const struct suffix_trie *t);
uint32_t suffix_child(const struct suffix_trie *t, uint32_t node, int32_t token); /* or SUFFIX_NONE */

/* node[d]: the last d tokens read, for d = 0..n. */
struct suffix_cursor {
    uint32_t node[SUFFIX_MAX_DEPTH + 1];
    int n;
};
void suffix_cursor_init(struct suffix_cursor *c);
/* Reads a token and adds it. false: the trie is full; what fitted is in, and suffix_remove takes it out again. */
bool suffix_add(struct suffix_trie *t, struct suffix_cursor *c, int32_t token);
void suffix_read(const struct suffix_trie *t, struct suffix_cursor *c, int32_t token); /* reads it only */
/* Takes out a sequence that was added whole. */
void suffix_remove(struct suffix_trie *t, const int32_t *tok, size_t n);

/* NULL, or what is wrong: counts, lists and table must agree with each other. For tests, and after a file was read. */
const char *suffix_check(const struct suffix_trie *t);

#endif
