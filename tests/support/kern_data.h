/* Weights and activations for the kernel tests: seeded, in several temperaments. */
#ifndef OTR_TESTS_KERN_DATA_H
#define OTR_TESTS_KERN_DATA_H

#include "base/rng.h"
#include "kern/blocks.h"
#include "kern/kern.h"
#include "support/guard.h"

/* Sequential random numbers of a seed. */
struct test_rng {
    uint64_t seed;
    uint32_t n;
    struct philox four;
};
uint32_t rng_u32(struct test_rng *r);
int rng_below(struct test_rng *r, int n); /* [0, n) */
float rng_unit(struct test_rng *r);       /* [-1, 1), 24 bits */
float rng_normal(struct test_rng *r);     /* mean 0, variance 1, bell-shaped */

enum data_kind {
    DATA_SANE,     /* as in models: scales 2^-10..2^-4, activations around 1 */
    DATA_WIDE,     /* any finite scale (denormal, huge, negative); activations over 2^+-40, zero blocks */
    DATA_BROKEN,   /* as wide, with NaN, infinities and denormals here and there, in weights and activations */
    DATA_INTEGERS, /* whole numbers so small that every sum is exact; d = 1, every block of activations has amax 127 */
    DATA_N,
};
extern const char *const data_name[DATA_N];

/* The types, and how they are called; ends with a NULL name. */
struct kern_type {
    enum ggml_type type;
    const char *name;
};
extern const struct kern_type kern_types[];

/* A random product: GGUF rows [n_rows, n_cols] and activations [n_tok, ld_x], both ending at an unreadable page. */
struct product {
    enum ggml_type type;
    int n_rows, n_cols, n_tok;
    size_t ld_x;
    struct guard src, x;
};
struct product product_make(struct test_rng *r, enum data_kind kind, enum ggml_type type, int n_rows, int n_cols,
                            int n_tok);
void product_free(struct product *p);

/* Sets code i (unsigned, as stored; Q8_0: signed) of one block; written from the format's description, not from
 * kern/blocks.h. Then whole blocks: scales of one kind everywhere (sc, mn: 6 bits; Q6_K: sc signed, no mn). */
void block_put_code(enum ggml_type type, uint8_t *blk, int i, int code);
void block_put_scales(enum ggml_type type, uint8_t *blk, float d, float m, int sc, int mn);
/* Smallest and largest code, and what is subtracted from one to get its value (before scale and minimum). */
void block_code_range(enum ggml_type type, int *lo, int *hi, int *offset);

/* Random floats of a kind, also for tests of packing alone. */
void floats_fill(struct test_rng *r, enum data_kind kind, float *x, int n, int block);

/* True when the bits are equal, or both are NaN: two NaNs count as equal, whatever their sign and payload, since an
 * instruction may pass on either operand's. */
int same_bits(float a, float b);

#endif
