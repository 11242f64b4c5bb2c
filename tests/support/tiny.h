/* Goldens of logits, and the logits of every position of a text.
 *
 * In: a golden file (tools/make_tiny_models.py writes them); an open engine and tokens. Out: floats to compare.
 * Read next: tests/golden/test_tiny.c, tests/proof/proof_teacher.c. */
#ifndef OTR_TESTS_TINY_H
#define OTR_TESTS_TINY_H

#include "engine/engine.h"

struct golden {
    int n_tok, n_vocab;
    int32_t *id;   /* [n_tok] */
    float *margin; /* [n_tok] of the two largest logits after the token */
    float *logits; /* [n_tok, n_vocab] */
};

bool golden_read(struct golden *g, const char *path); /* false: absent or malformed, and says why */
void golden_free(struct golden *g);

/* Called for positions in order; logits [n_vocab] is a view for the time of the call. */
typedef void (*row_fn)(void *arg, int pos, const float *logits, int argmax);

/* Runs tok[n] in a sequence of its own, in passes of `chunk` rows, and gives the rows from `first` on to fn. */
int rows_run(struct otr_engine *e, const int32_t *tok, int n, int chunk, int first, row_fn fn, void *arg,
             struct otr_err *err);

#endif
