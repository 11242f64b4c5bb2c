/* Rows of floats to blocks of a GGUF tensor: the way back of dequant.h. Read next: quant.c. */
#ifndef OTR_LOAD_QUANT_H
#define OTR_LOAD_QUANT_H

#include "load/gguf.h"

/* F32 F16 BF16 Q8_0 Q4_0 Q4_1; the others are only read. */
bool quant_makes(enum ggml_type type);

/* x [n] -> out [n / block] blocks, unaligned. n must be a multiple of the block.
 * False: a value is infinite or NaN, or would become so in this type; out is then unfinished.
 * INV: equals ggml's reference quantisers (quantize_row_*_ref) bit for bit wherever those are defined. */
bool quant_row(enum ggml_type type, void *out, const float *x, int64_t n);

#endif
