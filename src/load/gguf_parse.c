/* Owns the reading of GGUF bytes: header, keys, tensor table. Everything in here is about bytes that nobody has
 * checked.
 *
 * In: a mapped part. Out: its keys and tensors, each known to lie inside the file; or a sentence with name and offset.
 * INV: a length is compared with the bytes left before it is used, and no value of the file meets a raw * or +.
 * Read next: gguf.c (files and parts), gguf_get.c (values). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/dequant.h"
#include "load/gguf_priv.h"

enum {
    KEY_MIN_BYTES = 8 + 1 + 4 + 1,            /* name length, name, type, value */
    TENSOR_MIN_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name length, name, dims, one dim, type, offset */
};

/* The only way to the bytes. */
struct cursor {
    const struct gguf_part *part;
    struct otr_err *err;
    size_t at, field; /* next byte; where the field read last begins (messages say it) */
    char what[88];    /* "header", "key general.name", ... */
};

#define BAD(c, name, ...) BAD_AT(c, (c)->field, name, __VA_ARGS__)
#define BAD_AT(c, offset, name, fmt, ...)                                                                              \
    OTR_FAIL((c)->err, name, "cannot read model (%s): %s at offset %zu: " fmt, (c)->part->shown, (c)->what,            \
             (size_t)(offset), ##__VA_ARGS__)

static size_t left(const struct cursor *c)
{
    return c->part->bytes - c->at;
}

/* NULL: fewer bytes are left; the error is said and is OTR_E_FORMAT. */
static const unsigned char *take(struct cursor *c, uint64_t n)
{
    const unsigned char *p = c->part->map + c->at;
    c->field = c->at;
    if (n > left(c)) {
        BAD(c, FORMAT, "%" PRIu64 " bytes are declared, %zu are left in the file", n, left(c));
        return NULL;
    }
    c->at += (size_t)n;
    return p;
}

static int take_u32(struct cursor *c, uint32_t *v)
{
    const unsigned char *p = take(c, 4);
    if (!p)
        return OTR_E_FORMAT;
    *v = load_u32(p);
    return OTR_OK;
}

static int take_u64(struct cursor *c, uint64_t *v)
{
    const unsigned char *p = take(c, 8);
    if (!p)
        return OTR_E_FORMAT;
    *v = load_u64(p);
    return OTR_OK;
}

static int take_str(struct cursor *c, struct gguf_str *s)
{
    uint64_t n;
    const int rc = take_u64(c, &n);
    if (rc < 0)
        return rc;
    const unsigned char *p = take(c, n);
    if (!p)
        return OTR_E_FORMAT;
    *s = (struct gguf_str){(const char *)p, (size_t)n};
    return OTR_OK;
}

/* A name of a key or tensor, 1..max bytes; from here on messages use it. */
static int take_name(struct cursor *c, const char *kind, size_t max, struct gguf_str *s)
{
    char quoted[72];
    const size_t start = c->at;
    const int rc = take_str(c, s);
    if (rc < 0)
        return rc;
    if (s->n == 0 || s->n > max)
        return BAD_AT(c, start, FORMAT, "its name has %zu bytes, expected 1 to %zu", s->n, max);
    snprintf(c->what, sizeof c->what, "%s %s", kind, err_quote(quoted, sizeof quoted, s->p, s->n));
    return OTR_OK;
}

/* ---- header ---- */

static int bad_magic(struct cursor *c)
{
    static const struct {
        const char *start, *is;
    } known[] = {
        {"lmgg", "an old GGML file"},
        {"fmgg", "an old GGML file"},
        {"tjgg", "an old GGML file"},
        {"PK\x03\x04", "a zip or PyTorch file"},
        {"version https://git-lfs", "a Git LFS pointer, not the file itself"},
        {"<!DOCTYPE", "a web page"},
        {"<html", "a web page"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i].start);
        if (c->part->bytes >= n && memcmp(c->part->map, known[i].start, n) == 0)
            return BAD(c, FORMAT, "not a GGUF file but %s", known[i].is);
    }
    return BAD(c, FORMAT, "not a GGUF file (it does not begin with GGUF)");
}

/* n_before: tensors of the parts before this one. */
static int take_header(struct cursor *c, size_t n_before, uint32_t *version, uint64_t *n_tensor, uint64_t *n_kv)
{
    int rc;
    snprintf(c->what, sizeof c->what, "header");
    if (c->part->bytes < 4 || memcmp(c->part->map, "GGUF", 4) != 0)
        return bad_magic(c);
    c->at = 4;
    if ((rc = take_u32(c, version)) < 0)
        return rc;
    if (*version != 0 && (*version & 0xffff) == 0)
        return BAD(c, UNSUPPORTED, "the file is big-endian, we read little-endian ones");
    if (*version != 2 && *version != 3)
        return BAD(c, UNSUPPORTED, "GGUF version %" PRIu32 ", we read versions 2 and 3", *version);
    if ((rc = take_u64(c, n_tensor)) < 0)
        return rc;
    if (*n_tensor > GGUF_MAX_TENSORS - n_before)
        return BAD(c, LIMIT, "%" PRIu64 " tensors after %zu, we read at most %d", *n_tensor, n_before,
                   GGUF_MAX_TENSORS);
    if ((rc = take_u64(c, n_kv)) < 0)
        return rc;
    if (*n_kv > GGUF_MAX_KEYS)
        return BAD(c, LIMIT, "%" PRIu64 " keys, we read at most %d", *n_kv, GGUF_MAX_KEYS);
    if (*n_kv > left(c) / KEY_MIN_BYTES || *n_tensor > left(c) / TENSOR_MIN_BYTES)
        return BAD(c, FORMAT, "%" PRIu64 " keys and %" PRIu64 " tensors cannot fit into %zu bytes", *n_kv, *n_tensor,
                   left(c));
    return OTR_OK;
}

/* ---- keys ---- */

static int check_bools(struct cursor *c, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] > 1)
            return BAD_AT(c, c->field + i, FORMAT, "a bool is %d, expected 0 or 1", p[i]);
    return OTR_OK;
}

static int take_array(struct cursor *c, struct gguf_arr *a)
{
    uint32_t type;
    uint64_t n;
    struct gguf_str s;
    int rc;
    if ((rc = take_u32(c, &type)) < 0)
        return rc;
    if (type == GGUF_ARR)
        return BAD(c, UNSUPPORTED, "an array of arrays");
    if (type > GGUF_F64)
        return BAD(c, FORMAT, "the array's elements have unknown type %" PRIu32, type);
    if ((rc = take_u64(c, &n)) < 0)
        return rc;
    const size_t each = type == GGUF_STR ? 8 : gguf_scalar_bytes(type); /* a string: at least its length */
    if (n > left(c) / each)
        return BAD(c, FORMAT, "an array of %" PRIu64 " elements, %zu bytes are left in the file", n, left(c));
    *a = (struct gguf_arr){(enum gguf_type)type, (size_t)n, c->part->map + c->at};
    if (type != GGUF_STR && !take(c, n * each)) /* n * each <= left */
        return OTR_E_FORMAT;
    for (uint64_t i = 0; type == GGUF_STR && i < n; i++)
        if ((rc = take_str(c, &s)) < 0)
            return rc;
    return type == GGUF_BOOL ? check_bools(c, a->data, a->n) : OTR_OK;
}

static int take_kv(struct cursor *c, struct gguf_kv *kv)
{
    struct gguf_str s;
    uint32_t type;
    int rc;
    if ((rc = take_name(c, "key", GGUF_MAX_KEY_BYTES, &kv->key)) < 0 || (rc = take_u32(c, &type)) < 0)
        return rc;
    if (type > GGUF_F64)
        return BAD(c, FORMAT, "unknown type %" PRIu32 " of its value", type);
    kv->type = (enum gguf_type)type;
    if (kv->type == GGUF_STR) {
        if ((rc = take_str(c, &s)) < 0)
            return rc;
        kv->data = (const unsigned char *)s.p;
        kv->arr.n = s.n;
        return OTR_OK;
    }
    if (kv->type == GGUF_ARR) {
        kv->data = c->part->map + c->at;
        return take_array(c, &kv->arr);
    }
    if (!(kv->data = take(c, gguf_scalar_bytes(type))))
        return OTR_E_FORMAT;
    return kv->type == GGUF_BOOL ? check_bools(c, kv->data, 1) : OTR_OK;
}

static int take_keys(struct cursor *c, struct gguf_part *p, size_t n)
{
    if (!(p->kv = calloc(n ? n : 1, sizeof *p->kv)))
        return OTR_FAIL(c->err, NOMEM, "no memory for the %zu keys of %s", n, p->shown);
    for (size_t i = 0; i < n; i++) {
        const size_t start = c->at;
        snprintf(c->what, sizeof c->what, "key %zu of %zu", i + 1, n);
        int rc = take_kv(c, &p->kv[i]);
        if (rc < 0)
            return rc;
        rc = strmap_add(&p->keys, p->kv[i].key.p, p->kv[i].key.n, (uint32_t)i);
        if (rc < 0)
            return OTR_FAIL(c->err, NOMEM, "no memory for the %zu keys of %s", n, p->shown);
        if (rc == 0)
            return BAD_AT(c, start, FORMAT, "this key is in the file twice");
        p->n_kv = i + 1;
    }
    return OTR_OK;
}

/* SRC: the GGUF text says u32 and a multiple of 8; a power of two besides, and bounded. */
static int read_alignment(struct cursor *c, size_t *alignment)
{
    static const char key[] = "general.alignment";
    const int64_t i = strmap_get(&c->part->keys, key, sizeof key - 1);
    *alignment = 32;
    if (i < 0)
        return OTR_OK;
    const struct gguf_kv *kv = &c->part->kv[i];
    const size_t at = (size_t)(kv->data - c->part->map);
    snprintf(c->what, sizeof c->what, "key %s", key);
    if (kv->type != GGUF_U32)
        return BAD_AT(c, at, FORMAT, "its type is %s, expected u32", gguf_kv_type_name(kv->type));
    const uint32_t v = load_u32(kv->data);
    if (v < 8 || v > GGUF_MAX_ALIGNMENT || (v & (v - 1)) != 0)
        return BAD_AT(c, at, FORMAT, "%" PRIu32 " is not a power of two from 8 to %d", v, GGUF_MAX_ALIGNMENT);
    *alignment = v;
    return OTR_OK;
}

/* ---- tensors ---- */

struct extent { /* of a tensor's bytes in its part */
    uint64_t begin, end;
    size_t info; /* offset of its entry in the table */
    uint32_t index;
};

/* Elements and bytes, each multiplication checked: a product that wraps to something small is the classic attack. */
static int tensor_size(struct cursor *c, struct gguf_tensor *t, uint32_t type)
{
    const struct ggml_traits *traits = ggml_traits_any(type);
    int64_t n = 1, n_blocks = 1;
    if (!traits)
        return BAD(c, UNSUPPORTED, "tensor type %" PRIu32 " is not known", type);
    t->type = (enum ggml_type)type;
    if (t->ne[0] % traits->block_elems != 0)
        return BAD(c, FORMAT, "rows of %" PRId64 " are not a multiple of the %d of %s", t->ne[0], traits->block_elems,
                   traits->name);
    for (int d = 0; d < 4; d++)
        if (__builtin_mul_overflow(n, t->ne[d], &n))
            return BAD(c, FORMAT, "its number of elements is 2^63 or more");
    n_blocks = n / traits->block_elems;
    if (__builtin_mul_overflow((uint64_t)n_blocks, (uint64_t)traits->block_bytes, &t->bytes))
        return BAD(c, FORMAT, "its number of bytes is 2^64 or more");
    return OTR_OK;
}

static int take_tensor(struct cursor *c, struct gguf_tensor *t, struct extent *e, size_t alignment)
{
    uint32_t n_dims, type;
    uint64_t dim;
    int rc;
    e->info = c->at;
    if ((rc = take_name(c, "tensor", GGUF_MAX_NAME_BYTES, &t->name)) < 0 || (rc = take_u32(c, &n_dims)) < 0)
        return rc;
    if (n_dims < 1 || n_dims > 4)
        return BAD(c, FORMAT, "%" PRIu32 " dimensions, expected 1 to 4", n_dims);
    t->n_dims = (int)n_dims;
    for (uint32_t d = 0; d < 4; d++) {
        t->ne[d] = 1;
        if (d >= n_dims)
            continue;
        if ((rc = take_u64(c, &dim)) < 0)
            return rc;
        if (dim == 0 || dim > INT64_MAX)
            return BAD(c, FORMAT, "dimension %" PRIu32 " is %" PRIu64, d, dim);
        t->ne[d] = (int64_t)dim;
    }
    if ((rc = take_u32(c, &type)) < 0 || (rc = tensor_size(c, t, type)) < 0 || (rc = take_u64(c, &e->begin)) < 0)
        return rc;
    if (e->begin % alignment != 0)
        return BAD(c, FORMAT, "its offset %" PRIu64 " is not a multiple of the alignment %zu", e->begin, alignment);
    return OTR_OK;
}

/* Offsets of the file become addresses, once they are known to be inside. */
static int place(struct cursor *c, struct gguf_tensor *t, struct extent *e, size_t data_start)
{
    char quoted[72];
    snprintf(c->what, sizeof c->what, "tensor %s", err_quote(quoted, sizeof quoted, t->name.p, t->name.n));
    if (__builtin_add_overflow(e->begin, data_start, &e->begin) ||
        __builtin_add_overflow(e->begin, t->bytes, &e->end) || e->end > c->part->bytes)
        return BAD_AT(c, e->info, FORMAT, "its %zu bytes end after the file (%zu bytes): cut short?", t->bytes,
                      c->part->bytes);
    t->data = c->part->map + e->begin;
    return OTR_OK;
}

static int by_begin(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static int check_overlap(struct cursor *c, const struct gguf *g, struct extent *e, size_t n)
{
    char q[2][48];
    qsort(e, n, sizeof *e, by_begin);
    for (size_t i = 1; i < n; i++) {
        if (e[i].begin >= e[i - 1].end)
            continue;
        const struct gguf_str a = g->tensor[e[i].index].name, b = g->tensor[e[i - 1].index].name;
        snprintf(c->what, sizeof c->what, "tensor %s", err_quote(q[0], sizeof q[0], a.p, a.n));
        return BAD_AT(c, e[i].info, FORMAT, "its bytes overlap those of tensor %s",
                      err_quote(q[1], sizeof q[1], b.p, b.n));
    }
    return OTR_OK;
}

static int grow_tensors(struct gguf *g, size_t n_more)
{
    const size_t want = g->n_tensor + n_more; /* both <= GGUF_MAX_TENSORS */
    if (want <= g->cap_tensor)
        return OTR_OK;
    const size_t cap = want > 2 * g->cap_tensor ? want : 2 * g->cap_tensor;
    struct gguf_tensor *t = realloc(g->tensor, cap * sizeof *t);
    if (!t)
        return OTR_E_NOMEM;
    g->tensor = t;
    g->cap_tensor = cap;
    return OTR_OK;
}

static int take_tensors(struct cursor *c, struct gguf *g, struct extent *e, size_t n, size_t alignment)
{
    const size_t first = g->n_tensor;
    int rc;
    for (size_t i = 0; i < n; i++) {
        struct gguf_tensor *t = &g->tensor[first + i];
        snprintf(c->what, sizeof c->what, "tensor %zu of %zu", i + 1, n);
        e[i].index = (uint32_t)(first + i);
        if ((rc = take_tensor(c, t, &e[i], alignment)) < 0)
            return rc;
        rc = strmap_add(&g->names, t->name.p, t->name.n, e[i].index);
        if (rc < 0)
            return OTR_FAIL(c->err, NOMEM, "no memory for the %zu tensors of %s", n, c->part->shown);
        if (rc == 0)
            return BAD_AT(c, e[i].info, FORMAT, "this tensor is in the file twice");
    }
    const size_t over = c->at % alignment, data_start = c->at + (over ? alignment - over : 0);
    for (size_t i = 0; i < n; i++)
        if ((rc = place(c, &g->tensor[first + i], &e[i], data_start)) < 0)
            return rc;
    g->n_tensor += n;
    return check_overlap(c, g, e, n);
}

int gguf_parse(struct gguf *g, struct gguf_part *p, struct otr_err *err)
{
    struct cursor c = {.part = p, .err = err};
    uint64_t n_tensor = 0, n_kv = 0;
    size_t alignment = 0;
    int rc;
    if ((rc = take_header(&c, g->n_tensor, &p->version, &n_tensor, &n_kv)) < 0 ||
        (rc = take_keys(&c, p, (size_t)n_kv)) < 0 || (rc = read_alignment(&c, &alignment)) < 0 || n_tensor == 0)
        return rc;
    struct extent *e = calloc((size_t)n_tensor, sizeof *e);
    if (e && grow_tensors(g, (size_t)n_tensor) == OTR_OK)
        rc = take_tensors(&c, g, e, (size_t)n_tensor, alignment);
    else
        rc = OTR_FAIL(err, NOMEM, "no memory for the %" PRIu64 " tensors of %s", n_tensor, p->shown);
    free(e);
    return rc;
}
