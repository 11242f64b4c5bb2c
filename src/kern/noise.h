/* The random words of a draw, and a bound on the Gumbel noise that a word gives. The scalar text here is the truth; a
 * vector level writes the same operations in the same order. Read next: c/sample_c.c; sample/gumbel.c. */
#ifndef OTR_KERN_NOISE_H
#define OTR_KERN_NOISE_H

#include <math.h>

#include "base/rng.h"
#include "kern/half.h"

#define GUMBEL_SLOPE (-0x1.62e43p-24f) /* -ln 2 * 2^-23 */
#define GUMBEL_OFFSET 0x1.a2a97p+6f    /* 151 ln 2 + 2^-12 */

/* The words of the ids 4 * quad .. 4 * quad + 3. ctr: choice, and the tokens before in two halves. The three top bits
 * of the first counter word are 0: draws for other purposes set them. */
static inline struct philox noise_words(uint64_t seed, const uint32_t *ctr, uint32_t quad)
{
    return philox4x32(seed, (struct philox){{quad, ctr[0], ctr[1], ctr[2]}});
}

/* At least G(word) = -log E, E = -log1p(-w), w = (word + 0.5) * 2^-32; at most 0.07 above -log w for words over 2^16.
 *
 * E >= w > y * 2^-24 with y = word >> 8, and log2 y >= e + m - 1 for y = 2^e m, 1 <= m < 2 (log2 is concave); e + m - 1
 * is what y's float bits say, read as an integer: bits * 2^-23 - 127. So G <= ln 2 * (151 - bits * 2^-23). For y = 0
 * this is 104, more than any G. The roundings (of bits to a float: 64 units; of slope, offset and sum) are below 3e-5,
 * and 2^-12 is added. */
static inline float gumbel_bound(uint32_t word)
{
    return fmaf((float)(int32_t)float_bits((float)(int32_t)(word >> 8)), GUMBEL_SLOPE, GUMBEL_OFFSET);
}

#endif
