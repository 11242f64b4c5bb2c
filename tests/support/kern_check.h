/* What must hold of any kernel level, as functions that count what does not: tests/kern/test_matmul.c wants 0 of the
 * real levels, tests/kern/test_planted.c wants more of broken ones. Every buffer ends at an unreadable page. */
#ifndef OTR_TESTS_KERN_CHECK_H
#define OTR_TESTS_KERN_CHECK_H

#include "support/kern_data.h"

/* Opens a level; false, with a SKIPPED line, where this CPU lacks it. */
int level_open(struct kernels *k, const char *name);

/* The weights of a product as one level holds them. */
struct held {
    const struct kernels *k;
    const struct product *p;
    struct guard packed;
    struct mat w;
};
struct held held_make(const struct kernels *k, const struct product *p);
void held_free(struct held *h);
/* The first n_tok tokens, packed and multiplied; out[n_tok, ld_out] gets rows [row_lo, row_hi). */
void held_run(const struct held *h, float *out, size_t ld_out, int row_lo, int row_hi, int n_tok);
/* All rows; out [n_tok, n_rows] in a guard of its own. */
struct guard held_all(const struct held *h, int n_tok);

/* The outputs of k that differ from those of ref, whatever the number of tokens: k runs with each of toks[n] (at most
 * p->n_tok), ref once with all. With ref == k this is row-invariance. */
long check_levels(const struct kernels *ref, const struct kernels *k, const struct product *p, const int *toks, int n);

/* Rows in random pieces (multiples of KERN_ROW_UNIT), each alone: outputs that differ from the whole, and floats
 * outside of [row_lo, row_hi) that changed. */
long check_row_ranges(const struct kernels *k, const struct product *p, struct test_rng *r);

/* Bytes that differ between weights packed whole and in random pieces. */
long check_pack_pieces(const struct kernels *k, const struct product *p, struct test_rng *r);

/* Outputs of matmul_rows, on the rows as GGUF has them, that differ from the product of packed ones; rows in random
 * pieces, and floats outside of a piece that changed. Where the level packs nothing there is nothing to check: 0. */
long check_unpacked(const struct kernels *k, const struct product *p, struct test_rng *r);

/* Outputs of a DATA_INTEGERS product that are not the plain integer sum of dequantised weights times activations. */
long check_integers(const struct kernels *k, const struct product *p);

/* Outputs of one block with codes and activations at their limits, in the worst combinations of signs, that are not the
 * exact result: the int16 bounds of kernels.md B.2. Nothing to check for floats: 0. */
long check_extremes(const struct kernels *k, enum ggml_type type);

/* Outputs further than 8 * sqrt(n) * u * ||ab|| from a double sum over dequantised weights times the activations (for
 * quantised types: as quantised by the rule of act.h, done here again), u = 2^-24, n terms, ||ab|| the 2-norm of the
 * products; where a type has minimums, code part and minimum are two products. worst: the largest error / bound. */
long check_accuracy(const struct kernels *k, const struct product *p, double *worst);

/* Bytes of packed activations that differ between two levels, and between whole and random pieces. */
long check_act(const struct kernels *ref, const struct kernels *k, enum act_kind kind, const float *x, size_t ld_x,
               int n_cols, int n_tok, struct test_rng *r);

#endif
