/* Keys and values in 8 bits: how a row and a block of 8 positions lie (kernels.md B.6, C.13).
 *
 *   row      d_head codes, then the scale. A query, or K or V of one position outside of the pages
 *   K block  [d_head / 4 + 1][8 positions] of 4 bytes: codes + 128, the last 8 the scales
 *   V block  [8 positions][d_head] codes, then 8 scales
 * A row's scale comes from that row alone (act.h: the row is the block), so a value that is not finite makes the scale
 * NaN and reaches the logits. d_head is a multiple of 8.
 * WHY + 128 for K: vpdpbusd wants one unsigned side, and the query's sum that it costs is one number per query.
 * WHY 4 bytes together: a vector then is 8 positions, each lane the products of one, with no horizontal sum.
 * WHY the scale is a float: half a float would save 2 bytes of 68 and lose range below 2^-14.
 * Read next: c/attn_q8_c.c. */
#ifndef OTR_KERN_KV_Q8_H
#define OTR_KERN_KV_Q8_H

#include <string.h>

#include "kern/kern.h"

enum { Q8_BIAS = 128 }; /* what K's bytes are above their codes */

/* The 8 scales of a K or V block: [8 positions]. */
static inline const float *q8_scales(const void *block, int d_head)
{
    return (const float *)(const void *)((const char *)block + ATTN_BLOCK * d_head);
}

/* Query i of a chunk: its codes, and its scale. */
static inline const int8_t *q8_query(const struct attn_chunk *a, int i)
{
    return (const int8_t *)(a->q + (size_t)i * a->ld_q);
}

static inline float q8_query_scale(const struct attn_chunk *a, int i)
{
    float d;
    memcpy(&d, q8_query(a, i) + a->d_head, sizeof d);
    return d;
}

#endif
