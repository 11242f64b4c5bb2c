/* Earlier replies, for the suffix method: a trie of them, the replies themselves in the order they came (the oldest go
 * when memory is full), and a file that keeps them between runs if one is named: what was said is the user's, so
 * nothing is written unasked. File: text head, vocabulary key, then per reply a count and its ids, little-endian 32
 * bit. A file that is not sound is left alone and not used. Read next: suffix.c. */
#ifndef OTR_DRAFT_SUFFIX_STORE_H
#define OTR_DRAFT_SUFFIX_STORE_H

#include "draft/draft.h"
#include "draft/suffix_trie.h"

struct suffix_reply {
    int32_t *tok; /* [n] owned */
    size_t n;
};
struct suffix_store {
    struct suffix_trie trie;
    struct suffix_reply *reply; /* ring of cap; the oldest at first */
    size_t first, n, cap;
    size_t n_tok, max_tok; /* of all replies */
    long epoch;            /* grows with every change */
    char *path;            /* of the file, or NULL */
    char *model;           /* vocabulary key that the file must carry */
    int n_vocab;
    bool changed;
};

/* max_bytes: of trie and replies together; 0: nothing is kept. Reads the file that file=PATH names, if it is there and
 * sound. */
int suffix_store_open(struct suffix_store *s, const struct draft_env *env, int depth, size_t max_bytes,
                      struct otr_err *err);
void suffix_store_close(struct suffix_store *s); /* writes the file if something changed */
void suffix_store_add(struct suffix_store *s, const int32_t *tok, size_t n);
size_t suffix_store_bytes(const struct suffix_store *s);
/* For tests and fuzzing: the bytes of a file. OTR_E_FORMAT: not sound; the store is empty then. */
int suffix_store_read(struct suffix_store *s, const char *bytes, size_t n, struct otr_err *err);

#endif
