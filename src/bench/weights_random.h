/* Random weights and activations of a sane size, so that every product is finite: seeded, the same every time. */
#ifndef OTR_BENCH_WEIGHTS_RANDOM_H
#define OTR_BENCH_WEIGHTS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "kern/types.h"

/* GGUF rows [n_rows, n_cols]: any code, scales between 2^-5 and 2^-4. n_cols: a multiple of the type's block. */
void rows_random(void *rows, enum ggml_type type, int n_rows, int n_cols, uint64_t seed);
void floats_random(float *x, size_t n, uint64_t seed); /* [-1, 1) */

#endif
