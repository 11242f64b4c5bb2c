/* Tensor types: names and block sizes of all that a file may hold, and rows of blocks to floats for those we read.
 * Read next: dequant.c. */
#ifndef OTR_LOAD_DEQUANT_H
#define OTR_LOAD_DEQUANT_H

#include "load/gguf.h"

enum { GGML_N_TYPES = 43 }; /* numbers of types are below it */

struct ggml_traits {
    const char *name;
    int block_elems; /* weights in a block */
    int block_bytes;
};
const struct ggml_traits *ggml_traits(uint32_t type);     /* NULL for types we do not read */
const struct ggml_traits *ggml_traits_any(uint32_t type); /* NULL for numbers that are no type */

/* Blocks to floats: src [n / block_elems] blocks -> out [n]. n must be a multiple of block_elems; src need not be
 * aligned. INV: equals the PyPI gguf package's result bit for bit (NaN equals NaN). */
void dequant_row(enum ggml_type type, float *out, const void *src, int64_t n);

#endif
