/* Owns the order in which a file is read and packed. See repack.h.
 *
 * A thread goes through its own rows of all matrices in pieces; it asks for the file's pages some pieces ahead, so that
 * a cold file is read while another part is packed, and gives them back behind itself: the peak is one copy. */
#include "load/repack.h"

enum {
    PIECE_BYTES = 4 << 20,
    AHEAD_BYTES = 8 << 20, /* asked for and not yet packed, by each thread */
};

struct job {
    const struct gguf *g;
    const struct kernels *k;
    const struct repack_item *items;
    size_t n;
};

/* Where a thread is: it has dealt with the matrices before items[i], and with its rows of that one before `row`. */
struct place {
    size_t i;
    int row;
};

struct piece {
    const struct repack_item *item;
    int n_rows, n_cols; /* of the matrix */
    int lo, hi;         /* rows */
    const unsigned char *src;
    size_t bytes; /* of the rows in the file */
};

/* This thread's next rows; false: there are no more. */
static bool next_piece(const struct pool_ctx *ctx, const struct job *j, struct place *at, struct piece *p)
{
    for (; at->i < j->n; at->i++, at->row = 0) {
        const struct repack_item *m = &j->items[at->i];
        const int n_rows = (int)m->t->ne[1], n_cols = (int)m->t->ne[0];
        const size_t row_bytes = mat_row_bytes(m->t->type, n_cols);
        const int step = (int)(PIECE_BYTES / (row_bytes * KERN_ROW_UNIT) + 1) * KERN_ROW_UNIT;
        int a, b;
        pool_share(ctx, m->n_unit, 1, &a, &b);
        const int lo = a > m->first_unit ? (a - m->first_unit) * KERN_ROW_UNIT : 0;
        const int last = b > m->first_unit ? b - m->first_unit : 0;
        const int hi = last < repack_units(n_rows) ? last * KERN_ROW_UNIT : n_rows;
        const int from = at->row > lo ? at->row : lo;
        if (from < hi) {
            const int to = hi - from < step ? hi : from + step;
            *p = (struct piece){
                m, n_rows, n_cols, from, to, m->t->data + row_bytes * (size_t)from, row_bytes * (size_t)(to - from)};
            at->row = to;
            return true;
        }
    }
    return false;
}

static void repack_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct job *j = arg;
    struct place here = {0}, ahead = {0};
    struct piece p, q;
    size_t asked = 0, done = 0;
    while (next_piece(ctx, j, &here, &p)) {
        while (asked < done + AHEAD_BYTES && next_piece(ctx, j, &ahead, &q)) {
            gguf_want_pages(j->g, q.src, q.bytes);
            asked += q.bytes;
        }
        j->k->pack(p.item->dst, p.item->t->data, p.item->t->type, p.n_rows, p.n_cols, p.lo, p.hi);
        gguf_drop_pages(j->g, p.src, p.bytes);
        done += p.bytes;
    }
}

void repack_run(const struct gguf *g, const struct kernels *k, struct pool *pool, const struct repack_item *items,
                size_t n)
{
    pool_run(pool, repack_thread, &(struct job){g, k, items, n});
}
