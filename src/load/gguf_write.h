/* Writes a GGUF file (v3) that is another one with some keys set and tensors of other types.
 *
 * In: an open model, keys to set, a type for each tensor, then the tensors' bytes in the model's order. Out: a file
 * that is there whole, under its name, or not at all: it grows under a temporary name in the same folder and is renamed
 * when it is on the disk. Read next: gguf.h; app/quantize.c, which calls this. */
#ifndef OTR_LOAD_GGUF_WRITE_H
#define OTR_LOAD_GGUF_WRITE_H

#include "load/gguf.h"

struct gguf_u32 {
    const char *key;
    uint32_t value;
};

struct gguf_head {
    const struct gguf *from;    /* its keys are copied byte for byte, but for split.* (the result is one file) */
    const struct gguf_u32 *set; /* [n_set] in place of the model's own, or behind its last key */
    size_t n_set;
    const enum ggml_type *types; /* [gguf_n_tensors(from)]; rows must be whole blocks of them */
};

struct gguf_writer;

/* Writes all that stands before the tensors, and takes the room of the whole file where the file system can. An
 * existing file is replaced by gguf_writer_commit; one of the model's own is refused. h is read by this call only. *out
 * is set only on OTR_OK. */
int gguf_writer_open(struct gguf_writer **out, const char *path, const struct gguf_head *h, struct otr_err *err);
/* Appends bytes of the tensor that is not yet full; the padding behind a full one comes by itself. */
int gguf_writer_put(struct gguf_writer *w, const void *bytes, size_t n, struct otr_err *err);
uint64_t gguf_writer_bytes(const struct gguf_writer *w); /* of the whole file */
/* After the last byte of the last tensor: to the disk, then under the file's name. w is then only to be closed. */
int gguf_writer_commit(struct gguf_writer *w, struct otr_err *err);
/* Removes what was not committed. NULL is fine. */
void gguf_writer_close(struct gguf_writer *w);

#endif
