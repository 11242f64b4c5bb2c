/* Owns the reading of key values: each getter states type and range, and the file's value must agree.
 *
 * In: tables that gguf_parse has checked. Out: values, or a sentence with key and offset. Read next: arch.h. */
#include <inttypes.h>
#include <string.h>

#include "load/gguf_priv.h"

static const struct {
    const char *name;
    size_t bytes; /* 0: not a scalar */
} kinds[] = {
    [GGUF_U8] = {"u8", 1},      [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2}, [GGUF_I16] = {"i16", 2},
    [GGUF_U32] = {"u32", 4},    [GGUF_I32] = {"i32", 4},   [GGUF_F32] = {"f32", 4}, [GGUF_BOOL] = {"bool", 1},
    [GGUF_STR] = {"string", 0}, [GGUF_ARR] = {"array", 0}, [GGUF_U64] = {"u64", 8}, [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

const char *gguf_kv_type_name(enum gguf_type type)
{
    return (size_t)type < sizeof kinds / sizeof *kinds ? kinds[type].name : "unknown";
}

size_t gguf_scalar_bytes(uint32_t type)
{
    return type < sizeof kinds / sizeof *kinds ? kinds[type].bytes : 0;
}

#define BAD_KEY(err, name, p, kv, key, fmt, ...)                                                                       \
    OTR_FAIL(err, name, "cannot read model (%s): key %s at offset %zu " fmt, (p)->shown, key,                          \
             (size_t)((kv)->data - (p)->map), ##__VA_ARGS__)

static const struct gguf_kv *find(const struct gguf_part *p, const char *key, struct otr_err *err)
{
    const int64_t i = strmap_get(&p->keys, key, strlen(key));
    if (i >= 0)
        return &p->kv[i];
    OTR_FAIL(err, MISSING, "cannot read model (%s): key %s is not there", p->shown, key);
    return NULL;
}

/* False where the value is not an integer, or one over INT64_MAX. */
static bool int_value(const struct gguf_kv *kv, int64_t *v)
{
    const unsigned char *b = kv->data;
    switch (kv->type) {
    case GGUF_U8:
        *v = b[0];
        return true;
    case GGUF_I8:
        *v = (b[0] ^ 0x80) - 0x80;
        return true;
    case GGUF_U16:
        *v = b[0] | b[1] << 8;
        return true;
    case GGUF_I16:
        *v = (int16_t)(b[0] | b[1] << 8);
        return true;
    case GGUF_U32:
        *v = load_u32(b);
        return true;
    case GGUF_I32:
        *v = (int32_t)load_u32(b);
        return true;
    case GGUF_U64:
    case GGUF_I64:
        *v = (int64_t)load_u64(b);
        return kv->type == GGUF_I64 || *v >= 0;
    default:
        return false;
    }
}

static bool is_int(enum gguf_type type)
{
    return gguf_scalar_bytes(type) > 0 && type != GGUF_F32 && type != GGUF_F64 && type != GGUF_BOOL;
}

int gguf_part_int(const struct gguf_part *p, const char *key, int64_t lo, int64_t hi, int64_t *out, struct otr_err *err)
{
    const struct gguf_kv *kv = find(p, key, err);
    int64_t v;
    if (!kv)
        return OTR_E_MISSING;
    if (!is_int(kv->type))
        return BAD_KEY(err, FORMAT, p, kv, key, "has type %s, expected an integer", gguf_kv_type_name(kv->type));
    if (!int_value(kv, &v))
        return BAD_KEY(err, FORMAT, p, kv, key, "is %" PRIu64 ", expected %" PRId64 " to %" PRId64, load_u64(kv->data),
                       lo, hi);
    if (v < lo || v > hi)
        return BAD_KEY(err, FORMAT, p, kv, key, "is %" PRId64 ", expected %" PRId64 " to %" PRId64, v, lo, hi);
    *out = v;
    return OTR_OK;
}

int gguf_get_int(const struct gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out, struct otr_err *err)
{
    return gguf_part_int(g->part, key, lo, hi, out, err);
}

int gguf_get_float(const struct gguf *g, const char *key, double lo, double hi, double *out, struct otr_err *err)
{
    const struct gguf_part *p = g->part;
    const struct gguf_kv *kv = find(p, key, err);
    double v;
    if (!kv)
        return OTR_E_MISSING;
    if (kv->type == GGUF_F32) {
        const uint32_t bits = load_u32(kv->data);
        float f;
        memcpy(&f, &bits, sizeof f);
        v = (double)f;
    } else if (kv->type == GGUF_F64) {
        const uint64_t bits = load_u64(kv->data);
        memcpy(&v, &bits, sizeof v);
    } else {
        return BAD_KEY(err, FORMAT, p, kv, key, "has type %s, expected f32 or f64", gguf_kv_type_name(kv->type));
    }
    if (!(v >= lo && v <= hi)) /* NaN is out of every range */
        return BAD_KEY(err, FORMAT, p, kv, key, "is %g, expected %g to %g", v, lo, hi);
    *out = v;
    return OTR_OK;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct otr_err *err)
{
    const struct gguf_kv *kv = find(g->part, key, err);
    if (!kv)
        return OTR_E_MISSING;
    if (kv->type != GGUF_BOOL)
        return BAD_KEY(err, FORMAT, g->part, kv, key, "has type %s, expected bool", gguf_kv_type_name(kv->type));
    *out = kv->data[0] != 0;
    return OTR_OK;
}

int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct otr_err *err)
{
    const struct gguf_kv *kv = find(g->part, key, err);
    if (!kv)
        return OTR_E_MISSING;
    if (kv->type != GGUF_STR)
        return BAD_KEY(err, FORMAT, g->part, kv, key, "has type %s, expected string", gguf_kv_type_name(kv->type));
    *out = (struct gguf_str){(const char *)kv->data, kv->arr.n};
    return OTR_OK;
}

/* Do all values of a 32-bit array mean the same, signed and unsigned? */
static bool all_below_2_31(const struct gguf_arr *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->data[4 * i + 3] & 0x80)
            return false;
    return true;
}

int gguf_get_arr(const struct gguf *g, const char *key, enum gguf_type type, struct gguf_arr *out, struct otr_err *err)
{
    const struct gguf_kv *kv = find(g->part, key, err);
    if (!kv)
        return OTR_E_MISSING;
    if (kv->type != GGUF_ARR)
        return BAD_KEY(err, FORMAT, g->part, kv, key, "has type %s, expected array of %s", gguf_kv_type_name(kv->type),
                       gguf_kv_type_name(type));
    const enum gguf_type is = kv->arr.type;
    const bool other_sign = (type == GGUF_I32 && is == GGUF_U32) || (type == GGUF_U32 && is == GGUF_I32);
    if (is != type && !other_sign)
        return BAD_KEY(err, FORMAT, g->part, kv, key, "has type array of %s, expected array of %s",
                       gguf_kv_type_name(is), gguf_kv_type_name(type));
    if (other_sign && !all_below_2_31(&kv->arr))
        return BAD_KEY(err, FORMAT, g->part, kv, key, "holds a value of type %s that no %s can hold",
                       gguf_kv_type_name(is), gguf_kv_type_name(type));
    *out = kv->arr;
    out->type = type;
    return OTR_OK;
}

void gguf_arr_strings(const struct gguf_arr *a, struct gguf_str *strs)
{
    const unsigned char *p = a->data;
    for (size_t i = 0; i < a->n; i++) {
        strs[i] = (struct gguf_str){(const char *)p + 8, (size_t)load_u64(p)};
        p += 8 + strs[i].n;
    }
}

int32_t gguf_arr_i32(const struct gguf_arr *a, size_t i)
{
    return (int32_t)load_u32(a->data + 4 * i);
}

float gguf_arr_f32(const struct gguf_arr *a, size_t i)
{
    const uint32_t bits = load_u32(a->data + 4 * i);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

size_t gguf_n_kv(const struct gguf *g)
{
    return g->part->n_kv;
}

struct gguf_kv gguf_kv_at(const struct gguf *g, size_t i)
{
    return g->part->kv[i];
}
