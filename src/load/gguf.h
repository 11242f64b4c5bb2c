/* A GGUF file (v2, v3; split files too), mapped read-only, with every length checked before use.
 *
 * In: a path. Out: typed values of keys, and tensors whose bytes lie inside the file. Nothing here trusts the file:
 * the rules of loader-safety.md are all applied in gguf_open, so a struct gguf that exists is safe to read.
 * Read next: dequant.h (tensor types), arch.h (hyper-parameters). */
#ifndef OTR_LOAD_GGUF_H
#define OTR_LOAD_GGUF_H

#include "base/err.h"
#include "kern/types.h" /* enum ggml_type: of tensors; ggml_type_name knows the names of all */

/* Types of key values. Numbers are the file's. */
enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STR,
    GGUF_ARR,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

struct gguf;

struct gguf_str {
    const char *p; /* not terminated, not validated as UTF-8; view into the file */
    size_t n;
};

struct gguf_arr {
    enum gguf_type type; /* of the elements; never GGUF_ARR */
    size_t n;
    const unsigned char *data; /* unaligned, little-endian; for strings use gguf_arr_strings */
};

struct gguf_tensor {
    struct gguf_str name; /* < 64 bytes, unique in the file */
    enum ggml_type type;
    int n_dims;                /* 1..4 */
    int64_t ne[4];             /* ne[0] is the row (fastest); unused ones are 1 */
    size_t bytes;              /* whole tensor; row bytes = bytes / (ne[1]*ne[2]*ne[3]) */
    const unsigned char *data; /* mapped, aligned to general.alignment */
};

/* path: a file, or the first part of a split model. *out is set only on OTR_OK. */
int gguf_open(struct gguf **out, const char *path, struct otr_err *err);
void gguf_close(struct gguf *g);
/* OTR_E_IO when a file is shorter now than when it was opened: what is cut off cannot be read any more (SIGBUS).
 * Somebody may still cut it later; this turns the likely case, a download that was started anew, into a sentence. */
int gguf_check_size(const struct gguf *g, struct otr_err *err);

/* Typed getters. OTR_OK; OTR_E_MISSING when the key is absent (err says so: optional keys pass err NULL and keep their
 * default, since *out is then untouched); OTR_E_FORMAT when it is there with another type or out of [lo, hi]. */
int gguf_get_int(const struct gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out, struct otr_err *err);
int gguf_get_float(const struct gguf *g, const char *key, double lo, double hi, double *out, struct otr_err *err);
int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct otr_err *err);
int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct otr_err *err);
/* type: the element type wanted; GGUF_I32 also takes a u32 array whose values fit (and the other way round). */
int gguf_get_arr(const struct gguf *g, const char *key, enum gguf_type type, struct gguf_arr *out, struct otr_err *err);
/* Fills strs[a->n] with views. a->type must be GGUF_STR. */
void gguf_arr_strings(const struct gguf_arr *a, struct gguf_str *strs);
/* Element i of an i32/u32 or f32 array (unaligned read). */
int32_t gguf_arr_i32(const struct gguf_arr *a, size_t i);
float gguf_arr_f32(const struct gguf_arr *a, size_t i);

/* Whether path names the file (the first part) that is open here. */
bool gguf_is_file(const struct gguf *g, const char *path);
const char *gguf_path(const struct gguf *g);    /* of the first part, for messages: printable, shortened if long */
uint64_t gguf_file_bytes(const struct gguf *g); /* all parts */
size_t gguf_n_parts(const struct gguf *g);
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name); /* NULL when absent; hashed */
/* Tells the kernel that these bytes of the mapping will be read soon: it starts to read what is not in memory. */
void gguf_want_pages(const struct gguf *g, const void *data, size_t bytes);
/* Tells the kernel that these bytes of the mapping are not needed for now (they come back from the file when read). */
void gguf_drop_pages(const struct gguf *g, const void *data, size_t bytes);

/* Iteration for `inspect`: key i of n. */
struct gguf_kv {
    struct gguf_str key;
    enum gguf_type type;
    const unsigned char *data; /* the value's bytes; of a string: its text, arr.n bytes */
    struct gguf_arr arr;       /* type == GGUF_ARR */
};
size_t gguf_n_kv(const struct gguf *g);
struct gguf_kv gguf_kv_at(const struct gguf *g, size_t i);
const char *gguf_kv_type_name(enum gguf_type type); /* "u32", "string", "array", ... */
size_t gguf_scalar_bytes(uint32_t type);            /* bytes of a value; 0 for strings, arrays and unknown types */
uint32_t gguf_version(const struct gguf *g);

const char *ggml_type_name(uint32_t type); /* "Q4_1", ...; NULL: not a known type (gguf_open has refused those) */

#endif
