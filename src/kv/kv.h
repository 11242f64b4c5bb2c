/* The KV cache: a fixed pool of pages of 32 positions, shared between sequences by reference, copied on write.
 *
 * In: reservations and commits of the forward pass. Out: addresses of blocks of 8 positions.
 * A page holds all layers: per layer K [n_head_kv][4 blocks][d_head][8 pos], V [n_head_kv][4 blocks][8 pos][d_head].
 * q8: K and V blocks as in kern/kv_q8.h, at the same places.
 * Rows that continue the committed end are written in place and count only after kv_commit; rows of other branches live
 * in scratch slots (K and V as plain rows) and are copied in by kv_commit. Rejecting needs no call at all.
 * INV: a page with more than one owner is never written.
 * WHY pages older than a window are kept: truncate and fork stay exact (kernels.md B.6).
 * Threads: the engine thread; pool threads only read addresses and write rows inside a step. Read next: forward.h. */
#ifndef OTR_KV_KV_H
#define OTR_KV_KV_H

#include "base/err.h"
#include "kern/kern.h"

enum { KV_PAGE = 32, KV_BLOCKS = KV_PAGE / ATTN_BLOCK };

struct kv_shape {
    int n_layer, n_head_kv, d_head;
    enum kv_type type;
};

struct kv;
struct kv_seq;

/* n_page pages for all sequences together, n_scratch rows for side branches. Memory is touched only when used. */
int kv_create(struct kv **out, const struct kv_shape *shape, int n_page, int n_scratch, struct otr_err *err);
void kv_destroy(struct kv *kv); /* after its sequences */
const struct kv_shape *kv_get_shape(const struct kv *kv);
int kv_n_scratch(const struct kv *kv);
int kv_pages_free(const struct kv *kv);
size_t kv_bytes(const struct kv *kv); /* of all pages, used or not */
size_t kv_page_bytes(const struct kv_shape *shape);

int kv_seq_create(struct kv_seq **out, struct kv *kv, int n_ctx, struct otr_err *err); /* empty; n_ctx: its limit */
void kv_drop(struct kv_seq *s);                                                        /* NULL is fine */
int kv_fork(struct kv_seq **out, const struct kv_seq *s, struct otr_err *err);
/* `to`, whose limit is no lower, becomes the first n <= kv_len positions of s, by reference; nothing is allocated. */
void kv_share(struct kv_seq *to, const struct kv_seq *s, int n);
void kv_truncate(struct kv_seq *s, int n); /* n <= kv_len */
int kv_len(const struct kv_seq *s);        /* committed positions */
int kv_limit(const struct kv_seq *s);

/* Makes positions [len, len + n_more) writable: new pages, and a copy of a shared last page.
 * OTR_E_LIMIT (over n_ctx, or no page left): the sequence is unchanged. */
int kv_reserve(struct kv_seq *s, int n_more, struct otr_err *err);
/* The n_in_place reserved positions after the end are committed as they lie; after them scratch[n_scratch] slots. All
 * must be reserved. */
void kv_commit(struct kv_seq *s, int n_in_place, const int *scratch, int n_scratch);

/* Block `blk` (positions 8 blk .. 8 blk + 7) of one layer and KV head. Valid until the next call on this sequence. */
void *kv_k_block(const struct kv_seq *s, int layer, int head, int blk);
void *kv_v_block(const struct kv_seq *s, int layer, int head, int blk);
/* One scratch row, d_head values; q8: as q8_row makes it. */
void *kv_scratch_k(const struct kv *kv, int slot, int layer, int head);
void *kv_scratch_v(const struct kv *kv, int slot, int layer, int head);
/* Copies position `from_lane` of a block, or a scratch row (-1), into lane `to` of a K block (a row of a V block). */
void kv_copy_k(void *blk, int to, const void *from, int from_lane, int d_head, enum kv_type type);
void kv_copy_v(void *blk, int to, const void *from, int from_lane, int d_head, enum kv_type type);

/* K or V of one position and KV head. */
static inline size_t kv_row_bytes(enum kv_type type, int d_head)
{
    const size_t n = (size_t)d_head;
    return type == KV_F32 ? 4 * n : type == KV_F16 ? 2 * n : n + sizeof(float);
}

#endif
