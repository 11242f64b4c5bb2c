/* G-test of samples against an exact law, for anything that emits tokens: a rule with keyed dice, a whole engine.
 * The keys of a test are fixed, so its verdict is too; the false-alarm rate is that of choosing them. */
#ifndef OTR_TESTS_GTEST_H
#define OTR_TESTS_GTEST_H

#include <stdint.h>

/* Upper tail of chi-square: the probability of x or more with df degrees of freedom. */
double chi_square_tail(double x, int df);

/* The p-value of counts [n_cell] of n samples against probabilities: G = 2 sum c log(c / (n p)), with Williams'
 * correction (in thousands of cells G's mean is too large without). Cells that expect fewer than 5 are pooled; a count
 * where the probability is 0 gives 0. SRC: Sokal & Rohlf 1995, Biometry, 17.2. */
double g_test(const long *count, const double *prob, int n_cell, long n);

/* Emits the first n_tok tokens of reply number i into tok (0 .. v - 1 each). */
typedef void (*emit_fn)(void *self, uint64_t i, int32_t *tok, int n_tok);
/* n replies against prob [v^n_tok], first token first (law_target has this order). Prints name and figures. */
double g_test_replies(const char *name, emit_fn fn, void *self, int v, int n_tok, const double *prob, long n);

#endif
