/* Owns the pages of the KV cache and the page lists of sequences. See kv.h; read next: forward.h. */
#include "kv/kv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"

struct kv {
    struct kv_shape shape;
    size_t page_bytes, layer_bytes, half_bytes; /* a page; one layer of it; K or V of one layer */
    size_t row_bytes;                           /* one head of one scratch row */
    char *pages, *scratch;                      /* mapped: [n_page] pages; [n_scratch][n_layer][2][n_head_kv] rows */
    size_t pages_bytes, scratch_bytes;
    int n_page, n_scratch, n_free;
    int *ref;       /* [n_page] owners */
    int *free_list; /* [n_free] stack of free pages */
};

struct kv_seq {
    struct kv *kv;
    int n, n_page, limit; /* committed positions; pages held; most positions */
    int page[];           /* [ceil(limit / KV_PAGE)] */
};

static int ceil_div(int a, int b)
{
    return a / b + (a % b != 0);
}

size_t kv_page_bytes(const struct kv_shape *sh)
{
    const size_t head = size_mul(kv_row_bytes(sh->type, sh->d_head), KV_PAGE);
    return size_mul(size_mul(head, 2 * (size_t)sh->n_head_kv), (size_t)sh->n_layer);
}

/* Zero pages that cost nothing until they are written. */
static void *map_lazily(size_t bytes)
{
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int kv_create(struct kv **out, const struct kv_shape *shape, int n_page, int n_scratch, struct otr_err *err)
{
    struct kv *kv = calloc(1, sizeof *kv);
    if (!kv)
        return OTR_FAIL(err, NOMEM, "no memory for the KV cache");
    kv->shape = *shape;
    kv->row_bytes = kv_row_bytes(shape->type, shape->d_head);
    kv->half_bytes = kv->row_bytes * KV_PAGE * (size_t)shape->n_head_kv;
    kv->layer_bytes = 2 * kv->half_bytes;
    kv->page_bytes = kv_page_bytes(shape);
    kv->n_page = n_page;
    kv->n_scratch = n_scratch;
    kv->pages_bytes = size_mul(kv->page_bytes, (size_t)n_page);
    kv->scratch_bytes = size_mul(kv->page_bytes / KV_PAGE, (size_t)n_scratch);
    kv->ref = calloc((size_t)n_page + 1, sizeof *kv->ref);
    kv->free_list = malloc(((size_t)n_page + 1) * sizeof *kv->free_list);
    if (kv->pages_bytes != SIZE_MAX && kv->scratch_bytes != SIZE_MAX) {
        kv->pages = map_lazily(kv->pages_bytes);
        kv->scratch = map_lazily(kv->scratch_bytes);
    }
    if (!kv->ref || !kv->free_list || !kv->pages || !kv->scratch) {
        const int rc =
            OTR_FAIL(err, NOMEM, "no memory for a KV cache of %lld positions (%zu MB): use a smaller context (-c)",
                     (long long)n_page * KV_PAGE, kv->pages_bytes >> 20);
        kv_destroy(kv);
        return rc;
    }
    for (int i = 0; i < n_page; i++)
        kv->free_list[i] = n_page - 1 - i; /* WHY: low pages first, so that little memory is touched */
    kv->n_free = n_page;
    *out = kv;
    return OTR_OK;
}

void kv_destroy(struct kv *kv)
{
    if (!kv)
        return;
    if (kv->pages)
        munmap(kv->pages, kv->pages_bytes ? kv->pages_bytes : 1);
    if (kv->scratch)
        munmap(kv->scratch, kv->scratch_bytes ? kv->scratch_bytes : 1);
    free(kv->ref);
    free(kv->free_list);
    free(kv);
}

const struct kv_shape *kv_get_shape(const struct kv *kv)
{
    return &kv->shape;
}

int kv_n_scratch(const struct kv *kv)
{
    return kv->n_scratch;
}

int kv_pages_free(const struct kv *kv)
{
    return kv->n_free;
}

size_t kv_bytes(const struct kv *kv)
{
    return kv->pages_bytes;
}

static int take_page(struct kv *kv)
{
    const int p = kv->free_list[--kv->n_free];
    kv->ref[p] = 1;
    return p;
}

static void give_page(struct kv *kv, int p)
{
    if (--kv->ref[p] == 0)
        kv->free_list[kv->n_free++] = p;
}

/* ---- sequences ---- */

int kv_seq_create(struct kv_seq **out, struct kv *kv, int n_ctx, struct otr_err *err)
{
    struct kv_seq *s = calloc(1, sizeof *s + (size_t)ceil_div(n_ctx, KV_PAGE) * sizeof s->page[0]);
    if (!s)
        return OTR_FAIL(err, NOMEM, "no memory for a sequence of %d positions", n_ctx);
    s->kv = kv;
    s->limit = n_ctx;
    *out = s;
    return OTR_OK;
}

void kv_drop(struct kv_seq *s)
{
    if (!s)
        return;
    kv_truncate(s, 0);
    free(s);
}

void kv_share(struct kv_seq *to, const struct kv_seq *s, int n)
{
    assert(to->kv == s->kv && n <= s->n && n <= to->limit);
    kv_truncate(to, 0);
    to->n = n;
    to->n_page = ceil_div(n, KV_PAGE); /* reserved pages behind the end are not part of the history */
    for (int i = 0; i < to->n_page; i++) {
        to->page[i] = s->page[i];
        s->kv->ref[to->page[i]]++;
    }
}

int kv_fork(struct kv_seq **out, const struct kv_seq *s, struct otr_err *err)
{
    struct kv_seq *f = NULL;
    const int rc = kv_seq_create(&f, s->kv, s->limit, err);
    if (!f)
        return rc;
    kv_share(f, s, s->n);
    *out = f;
    return OTR_OK;
}

void kv_truncate(struct kv_seq *s, int n)
{
    assert(n >= 0 && n <= s->n);
    s->n = n;
    for (const int keep = ceil_div(n, KV_PAGE); s->n_page > keep; s->n_page--)
        give_page(s->kv, s->page[s->n_page - 1]);
}

int kv_len(const struct kv_seq *s)
{
    return s->n;
}

int kv_limit(const struct kv_seq *s)
{
    return s->limit;
}

int kv_reserve(struct kv_seq *s, int n_more, struct otr_err *err)
{
    struct kv *kv = s->kv;
    if (n_more > s->limit - s->n)
        return OTR_FAIL(err, LIMIT, "%d tokens do not fit (context of %d, %d in use): use a larger context (-c)",
                        n_more, s->limit, s->n);
    const int last = s->n / KV_PAGE; /* the page of the first position to write */
    const bool copy = s->n % KV_PAGE != 0 && n_more > 0 && kv->ref[s->page[last]] > 1;
    const int want = ceil_div(s->n + n_more, KV_PAGE), add = want > s->n_page ? want - s->n_page : 0;
    if (add + copy > kv->n_free)
        return OTR_FAIL(err, LIMIT, "the KV cache is full (%d pages of %d positions, all in use)", kv->n_page, KV_PAGE);
    if (copy) {
        const int p = take_page(kv);
        memcpy(kv->pages + kv->page_bytes * (size_t)p, kv->pages + kv->page_bytes * (size_t)s->page[last],
               kv->page_bytes);
        give_page(kv, s->page[last]);
        s->page[last] = p;
    }
    for (int i = 0; i < add; i++)
        s->page[s->n_page++] = take_page(kv);
    return OTR_OK;
}

void kv_commit(struct kv_seq *s, int n_in_place, const int *scratch, int n_scratch)
{
    const struct kv_shape *sh = &s->kv->shape;
    assert(s->n + n_in_place + n_scratch <= s->n_page * KV_PAGE);
    s->n += n_in_place;
    for (int i = 0; i < n_scratch; i++, s->n++)
        for (int l = 0; l < sh->n_layer; l++)
            for (int h = 0; h < sh->n_head_kv; h++) {
                const int blk = s->n / ATTN_BLOCK, lane = s->n % ATTN_BLOCK;
                const void *k = kv_scratch_k(s->kv, scratch[i], l, h), *v = kv_scratch_v(s->kv, scratch[i], l, h);
                kv_copy_k(kv_k_block(s, l, h, blk), lane, k, -1, sh->d_head, sh->type);
                kv_copy_v(kv_v_block(s, l, h, blk), lane, v, -1, sh->d_head, sh->type);
            }
}

/* ---- addresses ---- */

static char *block(const struct kv_seq *s, int layer, int half, int head, int blk)
{
    const struct kv *kv = s->kv;
    return kv->pages + kv->page_bytes * (size_t)s->page[blk / KV_BLOCKS] + kv->layer_bytes * (size_t)layer +
           kv->half_bytes * (size_t)half + kv->row_bytes * ATTN_BLOCK * (size_t)(head * KV_BLOCKS + blk % KV_BLOCKS);
}

void *kv_k_block(const struct kv_seq *s, int layer, int head, int blk)
{
    return block(s, layer, 0, head, blk);
}

void *kv_v_block(const struct kv_seq *s, int layer, int head, int blk)
{
    return block(s, layer, 1, head, blk);
}

static char *scratch_row(const struct kv *kv, int slot, int layer, int half, int head)
{
    const size_t i =
        (((size_t)slot * (size_t)kv->shape.n_layer + (size_t)layer) * 2 + (size_t)half) * (size_t)kv->shape.n_head_kv +
        (size_t)head;
    return kv->scratch + i * kv->row_bytes;
}

void *kv_scratch_k(const struct kv *kv, int slot, int layer, int head)
{
    return scratch_row(kv, slot, layer, 0, head);
}

void *kv_scratch_v(const struct kv *kv, int slot, int layer, int head)
{
    return scratch_row(kv, slot, layer, 1, head);
}

void kv_copy_k(void *blk, int to, const void *from, int from_lane, int d_head, enum kv_type type)
{
    /* q8 moves 4 codes at a time, then the scale: 4 bytes too */
    const size_t e = type == KV_F16 ? 2 : 4, step = from_lane < 0 ? e : ATTN_BLOCK * e;
    const int n = type == KV_Q8 ? d_head / 4 + 1 : d_head;
    const char *src = (const char *)from + (from_lane < 0 ? 0 : e * (size_t)from_lane);
    char *dst = (char *)blk + e * (size_t)to;
    for (int d = 0; d < n; d++)
        memcpy(dst + (size_t)d * ATTN_BLOCK * e, src + (size_t)d * step, e);
}

void kv_copy_v(void *blk, int to, const void *from, int from_lane, int d_head, enum kv_type type)
{
    const size_t row = type == KV_Q8 ? (size_t)d_head : kv_row_bytes(type, d_head);
    const char *src = from;
    memcpy((char *)blk + row * (size_t)to, src + (from_lane < 0 ? 0 : row * (size_t)from_lane), row);
    if (type == KV_Q8)
        memcpy((char *)blk + ATTN_BLOCK * row + sizeof(float) * (size_t)to,
               src + (from_lane < 0 ? row : ATTN_BLOCK * row + sizeof(float) * (size_t)from_lane), sizeof(float));
}
