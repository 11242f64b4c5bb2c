/* Turns the matrices of a file into a kernel level's layout, once, at load: all of them in one run of the pool.
 *
 * In: tensors of a mapped GGUF and room for each. Out: packed matrices; the file's pages are given back on the way.
 * Read next: kern/x86/pack_panel.h. */
#ifndef OTR_LOAD_REPACK_H
#define OTR_LOAD_REPACK_H

#include "base/pool.h"
#include "kern/kern.h"
#include "load/gguf.h"

/* A matrix, and which of its rows a thread will read: the forward pass splits n_unit units of KERN_ROW_UNIT rows among
 * its threads, and this matrix is those from first_unit on (Q, K and V share one split; most matrices have their own).
 * OPT: the thread that reads a page is the one that touches it first, so that it lies in the memory nearest to it. */
struct repack_item {
    const struct gguf_tensor *t; /* [n_rows, n_cols]: ne[1], ne[0] */
    void *dst;                   /* pack_bytes */
    int first_unit, n_unit;
};

static inline int repack_units(int n_rows)
{
    return (n_rows + KERN_ROW_UNIT - 1) / KERN_ROW_UNIT;
}

void repack_run(const struct gguf *g, const struct kernels *k, struct pool *pool, const struct repack_item *items,
                size_t n);

#endif
