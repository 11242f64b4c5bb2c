/* Owns the making of lower weights from the mapped file. See lower.h; read next: draft/lowbit.c. */
#include "load/lower.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "load/dequant.h"
#include "load/quant.h"
#include "load/repack.h"

/* A matrix to make. */
struct item {
    const struct gguf_tensor *t; /* in the file, [n_rows, n_cols] */
    struct mat *to;
    size_t bytes;
};

/* What a thread turns a unit of rows in. */
struct bench {
    float *row;  /* [n_cols] */
    char *unit;  /* KERN_ROW_UNIT rows of the lower type */
    size_t item; /* the first one that did not fit, or n */
};

struct job {
    const struct weights *of;
    enum ggml_type type;
    struct item *items; /* [n] */
    size_t n;
    struct bench *bench; /* [n_threads] */
};

/* ---- which ---- */

enum { PER_LAYER = 7 };

/* Matrix i of a model in the order of the file's layers, the head last, and its tensor; NULL: no more. */
static struct mat *mat_at(struct weights *w, size_t i, const struct gguf_tensor **t)
{
    static const char *const names[PER_LAYER] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                 "ffn_gate", "ffn_up", "ffn_down"};
    const size_t layer = i / PER_LAYER;
    char name[64];
    if (layer == (size_t)w->hp.n_layer) {
        *t = gguf_tensor(w->g, "output.weight");
        if (!*t)
            *t = w->embd;
        return i % PER_LAYER == 0 ? &w->head : NULL;
    }
    struct layer_weights *L = &w->layer[layer];
    struct mat *const mats[PER_LAYER] = {&L->q, &L->k, &L->v, &L->o, &L->gate, &L->up, &L->down};
    snprintf(name, sizeof name, "blk.%zu.%s.weight", layer, names[i % PER_LAYER]);
    *t = gguf_tensor(w->g, name);
    return mats[i % PER_LAYER];
}

/* Lists what becomes smaller; the sums of bytes that a pass reads before and after. */
static void list_items(struct job *j, struct weights *w, enum lower_head head, size_t *before, size_t *after)
{
    const struct gguf_tensor *t;
    const int values = ggml_traits((uint32_t)j->type)->block_elems;
    *before = *after = 0;
    for (size_t i = 0;; i++) {
        struct mat *m = mat_at(w, i, &t);
        if (!m)
            break;
        if (m == &w->head && head == LOWER_NO_HEAD)
            continue;
        const size_t has = mat_row_bytes(m->type, m->n_cols) * (size_t)m->n_rows;
        const bool fits = m->n_cols % values == 0 && (head == LOWER_HEAD || m != &w->head);
        const size_t low = fits ? mat_row_bytes(j->type, m->n_cols) * (size_t)m->n_rows : has;
        *before += has;
        *after += low < has ? low : has;
        if (low >= has)
            continue;
        const size_t packed = w->kern.pack_bytes(j->type, m->n_rows, m->n_cols);
        j->items[j->n++] = (struct item){t, m, packed ? packed : low};
    }
}

/* ---- the making ---- */

/* Rows [lo, hi), lo at a unit's start, of one matrix. False: a value that the type cannot hold. */
static bool make_rows(const struct job *j, const struct item *it, struct bench *b, int lo, int hi)
{
    const struct kernels *k = &j->of->kern;
    const struct mat *m = it->to;
    const size_t from = mat_row_bytes(it->t->type, m->n_cols), to = mat_row_bytes(j->type, m->n_cols);
    const bool packs = k->pack_bytes(j->type, m->n_rows, m->n_cols) > 0;
    char *const base = (char *)(uintptr_t)m->data;
    char *const rows = packs ? b->unit : base + to * (size_t)lo;
    for (int r = lo; r < hi; r++) {
        dequant_row(it->t->type, b->row, it->t->data + from * (size_t)r, m->n_cols);
        if (!quant_row(j->type, rows + to * (size_t)(r - lo), b->row, m->n_cols))
            return false;
    }
    if (packs)
        k->pack(base + k->pack_bytes(j->type, lo, m->n_cols), rows, j->type, hi - lo, m->n_cols, 0, hi - lo);
    return true;
}

static void make_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct job *j = arg;
    struct bench *b = &j->bench[ctx->tid];
    for (b->item = 0; b->item < j->n; b->item++) {
        const struct item *it = &j->items[b->item];
        const size_t row = mat_row_bytes(it->t->type, it->to->n_cols);
        int lo, hi;
        pool_share(ctx, it->to->n_rows, KERN_ROW_UNIT, &lo, &hi);
        for (int r = lo; r < hi; r += KERN_ROW_UNIT)
            if (!make_rows(j, it, b, r, hi - r < KERN_ROW_UNIT ? hi : r + KERN_ROW_UNIT))
                return;
        if (lo < hi)
            gguf_drop_pages(j->of->g, it->t->data + row * (size_t)lo, row * (size_t)(hi - lo));
    }
}

static int make_all(struct job *j, struct pool *pool, struct otr_err *err)
{
    const int n_thr = pool_n_threads(pool);
    size_t cols = 0, unit = 0;
    for (size_t i = 0; i < j->n; i++)
        cols = (size_t)j->items[i].to->n_cols > cols ? (size_t)j->items[i].to->n_cols : cols;
    unit = mat_row_bytes(j->type, (int)cols) * KERN_ROW_UNIT;
    const size_t each = (cols * sizeof(float) + unit + 63) & ~(size_t)63;
    char *room = malloc(each * (size_t)n_thr);
    j->bench = calloc((size_t)n_thr, sizeof *j->bench);
    int rc = room && j->bench ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory to make lower weights");
    if (rc == OTR_OK) {
        for (int i = 0; i < n_thr; i++) {
            j->bench[i].row = (float *)(void *)(room + each * (size_t)i);
            j->bench[i].unit = (char *)(j->bench[i].row + cols);
            j->bench[i].item = j->n; /* a thread that sits out has nothing that does not fit */
        }
        pool_run(pool, make_thread, j);
    }
    for (int i = 0; i < n_thr && rc == OTR_OK; i++)
        if (j->bench[i].item < j->n) {
            const struct gguf_str name = j->items[j->bench[i].item].t->name;
            rc = OTR_FAIL(err, FORMAT, "%s cannot hold tensor %.*s (%s): a weight is not finite, or too large",
                          ggml_type_name((uint32_t)j->type), (int)name.n, name.p, gguf_path(j->of->g));
        }
    free(room);
    free(j->bench);
    return rc;
}

/* Room for all items in one mapping, as weights_open has it. */
static int map_items(struct job *j, struct weights *w, struct otr_err *err)
{
    struct arena a = {.cap = SIZE_MAX / 2};
    for (size_t i = 0; i < j->n; i++)
        arena_take(&a, j->items[i].bytes);
    void *p = mmap(NULL, a.used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return OTR_FAIL(err, NOMEM, "no memory for %zu MB of lower weights (%s)", a.used >> 20, gguf_path(w->g));
    madvise(p, a.used, MADV_HUGEPAGE);
    w->packed = p;
    w->packed_bytes = a.used;
    a = (struct arena){p, 0, a.used};
    for (size_t i = 0; i < j->n; i++) {
        struct mat *m = j->items[i].to;
        *m = (struct mat){j->type, m->n_rows, m->n_cols, arena_take(&a, j->items[i].bytes), NULL};
    }
    return OTR_OK;
}

static int fill(struct job *j, struct weights *w, enum lower_head head, size_t max_bytes, struct pool *pool,
                struct otr_err *err)
{
    size_t before, after, bytes = 0;
    int rc;
    list_items(j, w, head, &before, &after);
    if ((double)before < LOWER_GAIN * (double)after)
        return OTR_FAIL(err, UNSUPPORTED, "%s makes a pass over this model only %.2f times lighter (%s), at least %.1f",
                        ggml_type_name((uint32_t)j->type), (double)before / (double)after, gguf_path(w->g), LOWER_GAIN);
    for (size_t i = 0; i < j->n; i++)
        bytes += j->items[i].bytes;
    if (bytes > max_bytes)
        return OTR_FAIL(err, LIMIT, "no room for lower weights (%s): %zu MB, and %zu MB are free", gguf_path(w->g),
                        bytes >> 20, max_bytes >> 20);
    if ((rc = gguf_check_size(w->g, err)) < 0 || (rc = map_items(j, w, err)) < 0 || (rc = make_all(j, pool, err)) < 0)
        return rc;
    return gguf_check_size(w->g, err); /* cut short meanwhile: nothing of it may be used */
}

int weights_lower(struct weights **out, const struct weights *of, enum ggml_type type, enum lower_head head,
                  size_t max_bytes, struct pool *pool, struct otr_err *err)
{
    const size_t n_layer = (size_t)of->hp.n_layer;
    if (of->unit_bytes > 0)
        return OTR_FAIL(err, UNSUPPORTED, "lower weights beside ones that are not packed (%s): use no --no-repack",
                        gguf_path(of->g));
    struct weights *w = malloc(sizeof *w);
    struct job j = {.of = of, .type = type, .items = calloc(PER_LAYER * n_layer + 1, sizeof *j.items)};
    int rc = OTR_OK;
    if (w) {
        *w = *of;
        w->packed = NULL;
        w->vectors = NULL;
        w->layer = malloc(n_layer * sizeof *w->layer);
    }
    if (!w || !w->layer || !j.items)
        rc = OTR_FAIL(err, NOMEM, "no memory for lower weights");
    if (rc == OTR_OK) {
        memcpy(w->layer, of->layer, n_layer * sizeof *w->layer);
        rc = fill(&j, w, head, max_bytes, pool, err);
    }
    free(j.items);
    if (rc < 0) {
        weights_close(w);
        return rc;
    }
    *out = w;
    return OTR_OK;
}
