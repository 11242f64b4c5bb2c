/* outrider inspect --json: the report as one object; and the values of a file as numbers and strings.
 * Text of the file becomes valid UTF-8 (bad bytes are U+FFFD); long text and arrays are cut and say their length. */
#include "inspect.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { MAX_STRING = 65536, MAX_ELEMENTS = 16 }; /* bytes of a string and elements of an array that are given */

/* ---- values ---- */

static void shortest(struct number *v, bool single)
{
    for (int digits = 7; digits <= 17; digits++) {
        snprintf(v->text, sizeof v->text, "%.*g", digits, v->f);
        const double back = strtod(v->text, NULL);
        if (!isfinite(v->f) || (single ? (float)back == (float)v->f : !(back < v->f || back > v->f)))
            return;
    }
}

struct number number_of(enum gguf_type type, const unsigned char *p)
{
    struct number v = {.kind = NUMBER_INT};
    int shift = 0;
    float f;
    for (size_t i = 0; i < gguf_scalar_bytes(type); i++, shift += 8)
        v.u |= (uint64_t)p[i] << shift;
    switch (type) {
    case GGUF_I8:
        v.i = (int64_t)(v.u ^ 0x80) - 0x80;
        break;
    case GGUF_I16:
        v.i = (int16_t)v.u;
        break;
    case GGUF_I32:
        v.i = (int32_t)v.u;
        break;
    case GGUF_F32:
        v.kind = NUMBER_FLOAT;
        memcpy(&f, p, sizeof f);
        v.f = (double)f;
        shortest(&v, true);
        break;
    case GGUF_F64:
        v.kind = NUMBER_FLOAT;
        memcpy(&v.f, p, sizeof v.f);
        shortest(&v, false);
        break;
    default:
        v.i = (int64_t)v.u;
        if (type == GGUF_BOOL)
            v.kind = NUMBER_BOOL;
        else if (type == GGUF_U64 && v.i < 0)
            v.kind = NUMBER_UINT;
        break;
    }
    return v;
}

struct gguf_str next_string(const unsigned char **p)
{
    struct gguf_str s;
    gguf_arr_strings(&(struct gguf_arr){GGUF_STR, 1, *p}, &s);
    *p += 8 + s.n;
    return s;
}

/* ---- pieces of JSON; NULL: no memory, which all of them pass on ---- */

/* Valid UTF-8 without zero bytes; free it. */
static char *clean(const char *p, size_t n)
{
    char *s = malloc(3 * n + 1);
    size_t used = 0;
    for (size_t i = 0, len; s && i < n; i += len) {
        uint32_t cp;
        len = utf8_char(p + i, n - i, &cp);
        const bool keep = len > 0 && cp != 0;
        len = len ? len : 1;
        memcpy(s + used, keep ? p + i : "\xef\xbf\xbd", keep ? len : 3);
        used += keep ? len : 3;
    }
    if (s)
        s[used] = 0;
    return s;
}

static json_t *string(const char *p, size_t n)
{
    char *s = clean(p, n < MAX_STRING ? n : MAX_STRING);
    json_t *v = s ? json_string(s) : NULL;
    free(s);
    return v;
}

static json_t *number(enum gguf_type type, const unsigned char *p)
{
    const struct number v = number_of(type, p);
    char digits[24];
    switch (v.kind) {
    case NUMBER_BOOL:
        return json_boolean(v.i);
    case NUMBER_INT:
        return json_integer(v.i);
    case NUMBER_UINT:
        snprintf(digits, sizeof digits, "%" PRIu64, v.u); /* WHY a string: JSON readers hold no such integer */
        return json_string(digits);
    case NUMBER_FLOAT:
        return isfinite(v.f) ? json_real(strtod(v.text, NULL)) : json_string(v.text);
    }
    return NULL;
}

static json_t *elements(const struct gguf_arr *a)
{
    json_t *list = json_array();
    const unsigned char *p = a->data;
    for (size_t i = 0; i < a->n && i < MAX_ELEMENTS; i++) {
        if (a->type == GGUF_STR) {
            const struct gguf_str s = next_string(&p);
            json_array_append_new(list, string(s.p, s.n));
        } else {
            json_array_append_new(list, number(a->type, p));
            p += gguf_scalar_bytes(a->type);
        }
    }
    return list;
}

static json_t *key(const struct gguf_kv *kv)
{
    const char *type = gguf_kv_type_name(kv->type);
    if (kv->type == GGUF_STR)
        return json_pack("{s:s, s:I, s:o}", "type", type, "bytes", (json_int_t)kv->arr.n, "value",
                         string((const char *)kv->data, kv->arr.n));
    if (kv->type == GGUF_ARR)
        return json_pack("{s:s, s:s, s:I, s:o}", "type", type, "of", gguf_kv_type_name(kv->arr.type), "n",
                         (json_int_t)kv->arr.n, "first", elements(&kv->arr));
    return json_pack("{s:s, s:o}", "type", type, "value", number(kv->type, kv->data));
}

static json_t *keys(const struct gguf *g)
{
    json_t *all = json_object();
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv kv = gguf_kv_at(g, i);
        char *name = clean(kv.key.p, kv.key.n);
        json_object_set_new(all, name ? name : "", key(&kv));
        free(name);
    }
    return all;
}

static json_t *tensor(const struct gguf_tensor *t)
{
    json_t *shape = json_array();
    for (int d = t->n_dims - 1; d >= 0; d--)
        json_array_append_new(shape, json_integer(t->ne[d]));
    return json_pack("{s:o, s:s, s:o, s:I}", "name", string(t->name.p, t->name.n), "type",
                     ggml_type_name((uint32_t)t->type), "shape", shape, "bytes", (json_int_t)t->bytes);
}

static json_t *tensor_list(const struct report *r, bool all)
{
    json_t *list = json_array();
    for (size_t i = 0; i < gguf_n_tensors(r->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(r->g, i);
        if (all || !ggml_traits((uint32_t)t->type))
            json_array_append_new(list, tensor(t));
    }
    return list;
}

static json_t *types(const struct report *r)
{
    json_t *all = json_object();
    for (uint32_t type = 0; type < GGML_N_TYPES; type++)
        if (r->type[type].n)
            json_object_set_new(all, ggml_type_name(type),
                                json_pack("{s:I, s:I, s:b}", "n", (json_int_t)r->type[type].n, "bytes",
                                          (json_int_t)r->type[type].bytes, "read", ggml_traits(type) != NULL));
    return all;
}

/* ---- the object ---- */

json_t *report_json(const struct report *r, const char *path, bool tensors)
{
    json_t *o = json_pack(
        "{s:o, s:i, s:I, s:I, s:o, s:I, s:I, s:o, s:o, s:b}", "file", string(path, strlen(path)), "version",
        (int)gguf_version(r->g), "parts", (json_int_t)gguf_n_parts(r->g), "bytes", (json_int_t)gguf_file_bytes(r->g),
        "keys", keys(r->g), "n_tensors", (json_int_t)gguf_n_tensors(r->g), "tensor_bytes", (json_int_t)r->tensor_bytes,
        "types", types(r), tensors ? "tensors" : "unread_tensors", tensor_list(r, tensors), "runs", r->rc >= 0);
    if (o && r->vocab_rc >= 0)
        json_object_set_new(o, "pieces", json_integer(r->n_pieces));
    else if (o)
        json_object_set_new(o, "why_no_pieces", json_string(r->vocab_why.msg));
    if (o && r->rc < 0)
        json_object_set_new(o, "why", json_string(r->why.msg));
    if (o && r->rc >= 0)
        json_object_set_new(o, "memory",
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "parameters", (json_int_t)r->plan.n_params,
                                      "weight_bytes", (json_int_t)r->plan.tensor_bytes, "repacked_bytes",
                                      (json_int_t)r->plan.packed_bytes, "no_repack_thread_bytes",
                                      (json_int_t)r->plan.unit_bytes, "vector_bytes", (json_int_t)r->plan.vector_bytes,
                                      "kv_bytes_per_1000_tokens", (json_int_t)r->kv_bytes_per_tok * 1000, "kernels",
                                      r->kern.level));
    return o;
}

json_t *refusal_json(const char *path, const struct otr_err *err)
{
    return json_pack("{s:o, s:b, s:s, s:s}", "file", string(path, strlen(path)), "runs", 0, "why", err->msg, "error",
                     otr_strerror(err->code));
}
