/* A toy pair of unlike vocabularies over the letters a and b, small enough to enumerate: a drafter whose law is random
 * in its last two tokens, and a target that reads text by its longest pieces. Used by the tests of psi and of its law.
 */
#ifndef OTR_TESTS_LETTERS_H
#define OTR_TESTS_LETTERS_H

#include "draft/psi.h"

enum { LETTERS_DRAFT = 4, LETTERS_END = 3, LETTERS_TARGET = 5, LETTERS_STOP = 4 };
/* Pieces: of the drafter "a" "b" "bb" and an end, of the target "a" "b" "ab" "bb" and an end. */
struct letters {
    uint64_t seed;
    int32_t before; /* the context that stands in front of a draft */
};
/* As psi_source.law, of a path. */
int letters_law(const struct letters *l, const int32_t *path, int n, int32_t *id, double *q, int cap);
struct psi_source letters_source(struct letters *l);

#endif
