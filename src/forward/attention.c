/* Attention for chains and trees (kernels.md B.6).
 *
 * K and V of every row go to their page slot or scratch slot first; then items (tile of rows, KV head, some of its
 * queries, maybe one chunk) run on any thread. A row sees the committed positions of its sequence and its own
 * ancestors, in logical order: in-place rows read the pages, a side row reads the last blocks from a copy in which its
 * ancestors' lanes stand where the accepted path would put them. So lanes and chunks follow the logical position, never
 * the slot. INV: chunk c is absolute positions [256 c, 256 c + 256), whoever computes it; chunks merge ascending. */
#include "forward/fwd_priv.h"

#include <string.h>

#include "kern/kv_q8.h"

void attention_prepare(struct fwd *f)
{
    const int n_thr = pool_n_active(f->pool), n_item = f->n_tile * f->hp->n_head_kv, n_q = fwd_n(f) * f->hp->n_head;
    int far = 0;
    for (int i = f->first; i < f->n_row; i++)
        far = f->row[i].pos > far ? f->row[i].pos : far;
    const int n_chunk = far / ATTN_CHUNK + 1, most = (n_q + n_thr - 1) / n_thr * n_thr;
    f->split = ATTN_ITEMS;
    if (n_thr == 1 || n_item >= 4 * n_thr)
        return;
    /* WHY: few items leave threads idle. Shares of queries read the K and V of some heads twice, chunks cost a barrier.
     */
    f->split = ATTN_QUERIES;
    if (fwd_n(f) <= PRIV_ROWS && n_chunk > 1 && 4 * most > 5 * n_q)
        f->split = ATTN_CHUNKS;
    f->chunk_q = n_item * n_chunk < 4 * n_thr ? 1 : f->group;
}

/* K and V of row r, KV head h, into its page slot or scratch slot. */
static void store(struct lane *ln, const struct plan *r, int layer, int h, const float *kk, const float *v)
{
    const struct fwd *f = ln->f;
    const struct kernels *k = f->k;
    const int dh = f->hp->d_head, blk = r->pos / ATTN_BLOCK, at = r->pos % ATTN_BLOCK;
    const enum kv_type type = kv_get_shape(f->kv)->type;
    const bool paged = r->slot < 0;
    void *to_k = paged ? kv_k_block(r->seq, layer, h, blk) : kv_scratch_k(f->kv, r->slot, layer, h);
    void *to_v = paged ? kv_v_block(r->seq, layer, h, blk) : kv_scratch_v(f->kv, r->slot, layer, h);
    if (type != KV_Q8) { /* a V block's row 0 is a plain row: scratch holds K too that way */
        (paged ? k->store_k : k->store_v)(to_k, paged ? at : 0, kk, dh, type);
        k->store_v(to_v, paged ? at : 0, v, dh, type);
    } else {
        k->q8_row(paged ? ln->own->kv_row : to_k, kk, dh, Q8_BIAS);
        if (paged)
            kv_copy_k(to_k, at, ln->own->kv_row, -1, dh, type);
        k->q8_row(paged ? ln->own->kv_row : to_v, v, dh, 0);
        if (paged)
            kv_copy_v(to_v, at, ln->own->kv_row, -1, dh, type);
    }
}

void attention_append(struct lane *ln, int layer)
{
    struct fwd *f = ln->f;
    const struct hparams *hp = f->hp;
    const struct layer_weights *L = &f->w->layer[layer];
    const struct kernels *k = f->k;
    const size_t dh = (size_t)hp->d_head, group = (size_t)f->group;
    const enum kv_type type = kv_get_shape(f->kv)->type;
    int lo, hi;
    pool_share(ln->ctx, fwd_n(f) * hp->n_head_kv, 1, &lo, &hi);
    for (int i = lo; i < hi; i++) {
        const int t = i / hp->n_head_kv, h = i % hp->n_head_kv;
        const struct plan *r = &f->row[f->first + t];
        const float *cs = f->rope[hparams_rope_local(hp, layer)] + (size_t)r->pos * (size_t)hp->n_rot;
        float *q = f->qh + ((size_t)h * (size_t)f->n_batch + (size_t)t) * group * dh;
        float *kk = f->kk + ((size_t)t * (size_t)hp->n_head_kv + (size_t)h) * dh;
        float *v = f->v + ((size_t)t * (size_t)hp->n_head_kv + (size_t)h) * dh;
        memcpy(q, f->q + ((size_t)t * (size_t)hp->n_head + (size_t)h * group) * dh, group * dh * sizeof *q);
        if (L->q_norm)
            for (size_t g = 0; g < group; g++)
                k->rms_norm(q + g * dh, q + g * dh, L->q_norm, hp->d_head, hp->norm_eps);
        if (L->k_norm)
            k->rms_norm(kk, kk, L->k_norm, hp->d_head, hp->norm_eps);
        k->rope(q, cs, f->group, hp->d_head, hp->n_rot, hp->rope_kind);
        k->rope(kk, cs, 1, hp->d_head, hp->n_rot, hp->rope_kind);
        k->scale(q, q, hp->attn_scale, f->group * hp->d_head);
        store(ln, r, layer, h, kk, v);
        for (size_t g = 0; type == KV_Q8 && g < group; g++) /* a row takes the place of its floats */
            k->q8_row(q + g * dh, q + g * dh, hp->d_head, 0);
    }
}

/* The blocks from the committed end's on, as side row `row` sees them. */
static void gather(struct lane *ln, int layer, int head, int row)
{
    const struct fwd *f = ln->f;
    const struct plan *r = &f->row[row];
    const int dh = f->hp->d_head, first = r->base / ATTN_BLOCK;
    const enum kv_type type = kv_get_shape(f->kv)->type;
    const size_t blk_bytes = ATTN_BLOCK * kv_row_bytes(type, dh);
    int up = row;
    for (int p = r->pos; p >= first * ATTN_BLOCK; p--) {
        const int blk = p / ATTN_BLOCK, lane = p % ATTN_BLOCK;
        char *gk = ln->own->gather_k + blk_bytes * (size_t)(blk - first);
        char *gv = ln->own->gather_v + blk_bytes * (size_t)(blk - first);
        const int slot = p >= r->base ? f->row[up].slot : -1;
        if (slot >= 0) {
            kv_copy_k(gk, lane, kv_scratch_k(f->kv, slot, layer, head), -1, dh, type);
            kv_copy_v(gv, lane, kv_scratch_v(f->kv, slot, layer, head), -1, dh, type);
        } else {
            kv_copy_k(gk, lane, kv_k_block(r->seq, layer, head, blk), lane, dh, type);
            kv_copy_v(gv, lane, kv_v_block(r->seq, layer, head, blk), lane, dh, type);
        }
        if (p >= r->base)
            up = f->row[up].parent;
    }
}

/* Queries [lo, hi) of a tile's [n_row, group] of one KV head. WHY flat: any such run has one stride. */
struct item {
    const struct tile *tl;
    int head, lo, hi;
};

static int item_row(const struct fwd *f, const struct item *it, int q)
{
    return it->tl->row0 + q / f->group;
}

/* One chunk for the queries of an item that see any of it: per query max, sum and values at index c - c_first. */
static void run_chunk(struct lane *ln, int layer, const struct item *it, int c, int c_first, int n_chunk,
                      float *out_max, float *out_sum, float *out_acc)
{
    struct fwd *f = ln->f;
    struct fwd_thread *own = ln->own;
    const int dh = f->hp->d_head, c_lo = c * ATTN_CHUNK, head = it->head;
    const struct plan *r0 = &f->row[it->tl->row0];
    const bool side = r0->slot >= 0;
    const enum kv_type type = kv_get_shape(f->kv)->type;
    const size_t blk_bytes = ATTN_BLOCK * kv_row_bytes(type, dh);
    const void *kb[MAX_CHUNK_BLK], *vb[MAX_CHUNK_BLK];
    int a = -1, n_q = 0, end = 0;
    /* rows of a tile stand at consecutive positions, so those that see c are neighbours */
    for (int q = it->lo; q < it->hi; q++) {
        const int pos = f->row[item_row(f, it, q)].pos, w = window_lo(f->hp, layer, pos);
        const int lo = w > c_lo ? w - c_lo : 0, hi = pos + 1 - c_lo < ATTN_CHUNK ? pos + 1 - c_lo : ATTN_CHUNK;
        if (lo >= hi)
            continue;
        a = a < 0 ? q : a;
        end = hi > end ? hi : end;
        own->lo[n_q] = lo;
        own->hi[n_q++] = hi;
    }
    if (n_q == 0)
        return;
    const int n_blk = (end + ATTN_BLOCK - 1) / ATTN_BLOCK, first = c_lo / ATTN_BLOCK, own_from = r0->base / ATTN_BLOCK;
    for (int b = 0; b < n_blk; b++) {
        const bool copied = side && first + b >= own_from;
        kb[b] = copied ? own->gather_k + blk_bytes * (size_t)(first + b - own_from)
                       : kv_k_block(r0->seq, layer, head, first + b);
        vb[b] = copied ? own->gather_v + blk_bytes * (size_t)(first + b - own_from)
                       : kv_v_block(r0->seq, layer, head, first + b);
    }
    const size_t at = (size_t)(c - c_first), first_q = (size_t)(a - it->lo);
    const struct attn_chunk ch = {
        .k = kb,
        .v = vb,
        .kv_type = type,
        .n_blk = n_blk,
        .d_head = dh,
        .n_q = n_q,
        .q = f->qh +
             (((size_t)head * (size_t)f->n_batch + (size_t)(it->tl->row0 - f->first)) * (size_t)f->group + (size_t)a) *
                 (size_t)dh,
        .ld_q = (size_t)dh,
        .lo = own->lo,
        .hi = own->hi,
        .softcap = f->hp->attn_softcap,
        .score = own->score,
        .max = own->max,
        .sum = own->sum,
        .acc = out_acc + (first_q * (size_t)n_chunk + at) * (size_t)dh,
        .ld_acc = (size_t)n_chunk * (size_t)dh,
    };
    (type == KV_Q8 ? f->k->attn_q8 : f->k->attn)(&ch);
    for (int i = 0; i < n_q; i++) {
        out_max[(first_q + (size_t)i) * (size_t)n_chunk + at] = own->max[i];
        out_sum[(first_q + (size_t)i) * (size_t)n_chunk + at] = own->sum[i];
    }
}

static void run_item(struct lane *ln, int layer, const struct item *it)
{
    struct fwd *f = ln->f;
    struct fwd_thread *own = ln->own;
    const size_t dh = (size_t)f->hp->d_head;
    const int row_lo = item_row(f, it, it->lo), row_hi = item_row(f, it, it->hi - 1);
    const int c_first = window_lo(f->hp, layer, f->row[row_lo].pos) / ATTN_CHUNK,
              c_last = f->row[row_hi].pos / ATTN_CHUNK, n_chunk = c_last - c_first + 1;
    if (f->row[row_lo].slot >= 0)
        gather(ln, layer, it->head, row_lo);
    for (int c = c_first; c <= c_last; c++)
        run_chunk(ln, layer, it, c, c_first, n_chunk, own->part_max, own->part_sum, own->part_acc);
    for (int q = it->lo; q < it->hi; q++) {
        const int row = item_row(f, it, q), pos = f->row[row].pos;
        const int a = window_lo(f->hp, layer, pos) / ATTN_CHUNK, b = pos / ATTN_CHUNK;
        const size_t at = (size_t)(q - it->lo) * (size_t)n_chunk + (size_t)(a - c_first);
        float *out = f->att + (size_t)(row - f->first) * (size_t)f->hp->n_head * dh +
                     (size_t)(it->head * f->group + q % f->group) * dh;
        f->k->attn_merge(out, f->hp->d_head, b - a + 1, own->part_max + at, own->part_sum + at, own->part_acc + at * dh,
                         dh);
    }
}

/* Where the parts of one query of a split call lie. */
static size_t part_at(const struct fwd *f, int row, int head)
{
    return ((size_t)(row - f->first) * (size_t)f->hp->n_head + (size_t)head) * (size_t)f->n_chunk;
}

/* Items in turn. WHY every other turn backwards: later tiles see more, and the last thread would always have them. */
static void run_items(struct lane *ln, int layer)
{
    struct fwd *f = ln->f;
    const int n_kv = f->hp->n_head_kv, n_item = f->n_tile * n_kv, n_thr = ln->ctx->n_threads, tid = ln->ctx->tid;
    for (int first = 0, turn = 0; first < n_item; first += n_thr, turn++) {
        const int i = first + (turn % 2 ? n_thr - 1 - tid : tid);
        if (i < n_item) {
            const struct tile *tl = &f->tile[i / n_kv];
            run_item(ln, layer, &(struct item){tl, i % n_kv, 0, tl->n_row * f->group});
        }
    }
}

/* This thread's share of all queries in the order of (tile, KV head, query). */
static void run_queries(struct lane *ln, int layer)
{
    struct fwd *f = ln->f;
    int lo, hi, first = 0;
    pool_share(ln->ctx, fwd_n(f) * f->hp->n_head, 1, &lo, &hi);
    for (int t = 0; t < f->n_tile; t++)
        for (int h = 0; h < f->hp->n_head_kv; h++) {
            const int n = f->tile[t].n_row * f->group;
            const struct item it = {&f->tile[t], h, lo > first ? lo - first : 0, hi - first < n ? hi - first : n};
            if (it.lo < it.hi)
                run_item(ln, layer, &it);
            first += n;
        }
}

/* Chunks in turn, a row at a time: the parts of a row's heads stand together. */
static void run_chunks(struct lane *ln, int layer)
{
    struct fwd *f = ln->f;
    const int n_thr = ln->ctx->n_threads;
    int turn = 0;
    for (int row = f->first; row < f->n_row; row++)
        for (int h = 0; h < f->hp->n_head_kv; h++) {
            const struct tile one = {row, 1};
            const int pos = f->row[row].pos, c_last = pos / ATTN_CHUNK;
            bool gathered = f->row[row].slot < 0;
            for (int c = window_lo(f->hp, layer, pos) / ATTN_CHUNK; c <= c_last; c++)
                for (int g = 0; g < f->group; g += f->chunk_q, turn++) {
                    if (turn % n_thr != ln->ctx->tid)
                        continue;
                    if (!gathered)
                        gather(ln, layer, h, row);
                    gathered = true;
                    const size_t at = part_at(f, row, h * f->group + g);
                    run_chunk(ln, layer, &(struct item){&one, h, g, g + f->chunk_q}, c, 0, f->n_chunk, f->part_max + at,
                              f->part_sum + at, f->part_acc + at * (size_t)f->hp->d_head);
                }
        }
}

void attention_run(struct lane *ln, int layer)
{
    switch (ln->f->split) {
    case ATTN_ITEMS:
        run_items(ln, layer);
        break;
    case ATTN_QUERIES:
        run_queries(ln, layer);
        break;
    case ATTN_CHUNKS:
        run_chunks(ln, layer);
        break;
    }
}

void attention_merge_row(struct lane *ln, int layer, int t, float *out)
{
    const struct fwd *f = ln->f;
    const size_t dh = (size_t)f->hp->d_head;
    const int row = f->first + t, pos = f->row[row].pos, a = window_lo(f->hp, layer, pos) / ATTN_CHUNK,
              b = pos / ATTN_CHUNK;
    for (int h = 0; h < f->hp->n_head; h++) {
        const size_t at = part_at(f, row, h) + (size_t)a;
        f->k->attn_merge(out + (size_t)h * dh, f->hp->d_head, b - a + 1, f->part_max + at, f->part_sum + at,
                         f->part_acc + at * dh, dh);
    }
}
