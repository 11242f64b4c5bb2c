/* Inside of the GGUF loader: what gguf.c opens, gguf_parse.c fills and gguf_get.c reads. */
#ifndef OTR_LOAD_GGUF_PRIV_H
#define OTR_LOAD_GGUF_PRIV_H

#include <sys/types.h>

#include "base/strmap.h"
#include "load/gguf.h"

enum {
    GGUF_MAX_KEYS = 65536,
    GGUF_MAX_TENSORS = 1048576, /* of all parts */
    GGUF_MAX_PARTS = 512,
    GGUF_MAX_ALIGNMENT = 65536,
    GGUF_MAX_KEY_BYTES = 65535,
    GGUF_MAX_NAME_BYTES = 63,
    GGUF_SHOWN_BYTES = 100, /* of a path in a message */
};

/* One file of a model; most models are one part. */
struct gguf_part {
    char *path;                       /* owned, as it was opened */
    char shown[GGUF_SHOWN_BYTES + 4]; /* the path for messages: printable, long ones lose their front */
    const unsigned char *map;         /* [bytes] */
    size_t bytes;
    dev_t dev;
    ino_t ino;
    uint32_t version;
    struct gguf_kv *kv; /* [n_kv] */
    size_t n_kv;
    struct strmap keys; /* to index in kv */
};

struct gguf {
    struct gguf_part *part; /* [n_part]; the first one has the keys of the model */
    size_t n_part;
    struct gguf_tensor *tensor; /* [n_tensor] of all parts */
    size_t n_tensor, cap_tensor;
    struct strmap names; /* to index in tensor */
};

/* Reads all tables of a mapped part, and checks them: its keys go into p, its tensors behind those of g. */
int gguf_parse(struct gguf *g, struct gguf_part *p, struct otr_err *err);
/* gguf_get_int for the keys of one part. */
int gguf_part_int(const struct gguf_part *p, const char *key, int64_t lo, int64_t hi, int64_t *out,
                  struct otr_err *err);

/* A path as messages show it. */
void gguf_show_path(char shown[GGUF_SHOWN_BYTES + 4], const char *path);

static inline uint32_t load_u32(const unsigned char *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t load_u64(const unsigned char *b)
{
    return load_u32(b) | (uint64_t)load_u32(b + 4) << 32;
}

#endif
