/* A datastore: the tokens of a corpus and their suffix array, in a file that is mapped and never read whole.
 *
 * File, little-endian: 16 bytes "OUTRIDER-DATA 1\n", vocabulary key (16 hex digits), uint32 n_vocab, uint32 0, uint64
 * n, then n ids (int32), then n places (uint32) in the order of what begins there. Read next: rest.c;
 * app/datastore_build.c.
 */
#ifndef OTR_DRAFT_DATASTORE_H
#define OTR_DRAFT_DATASTORE_H

#include "base/err.h"

#define DATASTORE_MAGIC "OUTRIDER-DATA 1\n"
enum { DATASTORE_KEY = 16 };

struct datastore_head {
    char magic[16], key[DATASTORE_KEY];
    uint32_t n_vocab, zero;
    uint64_t n;
};

struct datastore {
    const int32_t *tok;    /* [n] as in the file: compare with n_vocab before use */
    const uint32_t *place; /* [n] as in the file: compare with n before use */
    size_t n;
    int32_t n_vocab;
    void *map;
    size_t map_bytes;
};

/* Checks head and size; the rest is checked where it is used, so a damaged file gives poor drafts and no harm. */
int datastore_open(struct datastore *d, const char *path, const char *key, int n_vocab, struct otr_err *err);
void datastore_close(struct datastore *d);
/* Places [*lo, *hi) of the suffix array whose text begins with key [n]; false: none. */
bool datastore_find(const struct datastore *d, const int32_t *key, int n, size_t *lo, size_t *hi);
/* Within [lo, hi), whose texts agree in their first `depth` tokens: [*from, returned end) go on like place `at`.
 * *token: how they go on, -1: the corpus ends there. */
size_t datastore_run(const struct datastore *d, size_t lo, size_t hi, size_t at, int depth, size_t *from,
                     int32_t *token);

#endif
