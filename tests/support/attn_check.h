/* One attention chunk with all its inputs in guarded memory, how a level runs it, and whether levels agree: shared by
 * the tests of float and of 8-bit keys and values. Checks count what is wrong. */
#ifndef OTR_TESTS_ATTN_CHECK_H
#define OTR_TESTS_ATTN_CHECK_H

#include "support/kern_check.h"

enum { ATTN_MAX_BLK = ATTN_CHUNK / ATTN_BLOCK };

struct attn_case {
    enum kv_type type;
    int n_blk, d_head, n_q;
    float softcap;
    size_t ld_q, ld_acc;
    struct guard k_blk[ATTN_MAX_BLK], v_blk[ATTN_MAX_BLK], q, lo, hi; /* lo, hi: ints */
    const void *k[ATTN_MAX_BLK], *v[ATTN_MAX_BLK];
};
/* Queries (of d_head floats, or 8-bit rows) and ranges, not filled. c->n_q, d_head, ld_q are set. */
void attn_queries_make(struct attn_case *c);
/* Block b of K and V, every byte 0xff: a NaN in each type that a slot may hold. */
void attn_block_make(struct attn_case *c, int b, size_t bytes);
void attn_case_free(struct attn_case *c);
static inline int *attn_lo(const struct attn_case *c)
{
    return c->lo.p;
}
static inline int *attn_hi(const struct attn_case *c)
{
    return c->hi.p;
}

/* What a call wrote. */
struct attn_out {
    struct guard score, max, sum, acc;
};
struct attn_out attn_out_make(const struct attn_case *c);
void attn_out_free(struct attn_out *o);
void attn_run(const struct kernels *k, const struct attn_case *c, const struct attn_out *o, int q0,
              int n); /* queries [q0, q0 + n) */

long floats_differ(const float *a, const float *b, int n); /* in their bits; any NaN is any other */
/* Against another level, and against each query alone; nothing is written between the rows. */
long attn_check_same(const struct kernels *ref, const struct kernels *k, const struct attn_case *c);

#endif
