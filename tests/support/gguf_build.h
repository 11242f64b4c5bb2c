/* Makes GGUF files for tests, right ones and wrong ones, byte by byte. Out of memory ends the test program.
 * A file is keys, tensor entries and tensor bytes, put together by gb_file; each part and the header can be made wrong.
 */
#ifndef OTR_TESTS_GGUF_BUILD_H
#define OTR_TESTS_GGUF_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/gguf.h"

struct bytes {
    unsigned char *p;
    size_t n, cap;
};
void put(struct bytes *b, const void *p, size_t n);
void put_u8(struct bytes *b, uint8_t v);
void put_u32(struct bytes *b, uint32_t v);
void put_u64(struct bytes *b, uint64_t v);
void put_str(struct bytes *b, const char *s, size_t n); /* length and text */

struct gguf_build {
    uint32_t version, alignment; /* alignment: of gb_file; gb_u32 of general.alignment is the caller's */
    uint64_t n_kv, n_tensor;     /* of the header; counted by the functions below, may be changed */
    struct bytes keys, infos, data;
    struct bytes raw; /* not empty: the whole file, and the rest is ignored */
    size_t cut;       /* bytes to leave out at the end of the file */
};
void gb_init(struct gguf_build *b); /* version 3, alignment 32, nothing in it */
void gb_free(struct gguf_build *b);

/* Keys with values. gb_key only begins one: the value is then put to b->keys. */
void gb_key(struct gguf_build *b, const char *key, uint32_t type);
void gb_u32(struct gguf_build *b, const char *key, uint32_t v);
void gb_f32(struct gguf_build *b, const char *key, float v);
void gb_bool(struct gguf_build *b, const char *key, bool v);
void gb_str(struct gguf_build *b, const char *key, const char *v);
void gb_arr(struct gguf_build *b, const char *key, uint32_t type, uint64_t n, const void *data, size_t bytes);
void gb_strs(struct gguf_build *b, const char *key, const char *const *v, size_t n);

/* A tensor with its bytes (zeros for NULL) at the next aligned place. */
void gb_tensor(struct gguf_build *b, const char *name, enum ggml_type type, int n_dims, const int64_t *ne,
               const void *data);
/* An entry of the tensor table as it is told, without bytes. */
void gb_info(struct gguf_build *b, const char *name, size_t n_name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
             uint64_t offset);

struct bytes gb_file(const struct gguf_build *b); /* the caller frees .p */
void gb_write(const struct gguf_build *b, const char *path);

/* A file in memory that gguf_open can open: its path is written to path. Returns the descriptor that keeps it. */
int memory_file(const void *p, size_t n, char path[64]);

#endif
