/* See gguf_build.h. */
#include "support/gguf_build.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load/dequant.h"

static void give_up(const char *what)
{
    perror(what);
    exit(99);
}

void put(struct bytes *b, const void *p, size_t n)
{
    if (n > b->cap - b->n) {
        b->cap = 2 * b->cap + n;
        if (!(b->p = realloc(b->p, b->cap)))
            give_up("realloc");
    }
    if (n && p)
        memcpy(b->p + b->n, p, n);
    else if (n)
        memset(b->p + b->n, 0, n);
    b->n += n;
}

void put_u8(struct bytes *b, uint8_t v)
{
    put(b, &v, 1);
}

void put_u32(struct bytes *b, uint32_t v)
{
    put(b, &v, sizeof v);
}

void put_u64(struct bytes *b, uint64_t v)
{
    put(b, &v, sizeof v);
}

void put_str(struct bytes *b, const char *s, size_t n)
{
    put_u64(b, n);
    put(b, s, n);
}

static void pad(struct bytes *b, size_t alignment)
{
    put(b, NULL, (alignment - b->n % alignment) % alignment);
}

void gb_init(struct gguf_build *b)
{
    *b = (struct gguf_build){.version = 3, .alignment = 32};
}

void gb_free(struct gguf_build *b)
{
    free(b->keys.p);
    free(b->infos.p);
    free(b->data.p);
    free(b->raw.p);
    *b = (struct gguf_build){0};
}

void gb_key(struct gguf_build *b, const char *key, uint32_t type)
{
    b->n_kv++;
    put_str(&b->keys, key, strlen(key));
    put_u32(&b->keys, type);
}

void gb_u32(struct gguf_build *b, const char *key, uint32_t v)
{
    gb_key(b, key, GGUF_U32);
    put_u32(&b->keys, v);
}

void gb_f32(struct gguf_build *b, const char *key, float v)
{
    gb_key(b, key, GGUF_F32);
    put(&b->keys, &v, sizeof v);
}

void gb_bool(struct gguf_build *b, const char *key, bool v)
{
    gb_key(b, key, GGUF_BOOL);
    put_u8(&b->keys, v);
}

void gb_str(struct gguf_build *b, const char *key, const char *v)
{
    gb_key(b, key, GGUF_STR);
    put_str(&b->keys, v, strlen(v));
}

void gb_arr(struct gguf_build *b, const char *key, uint32_t type, uint64_t n, const void *data, size_t bytes)
{
    gb_key(b, key, GGUF_ARR);
    put_u32(&b->keys, type);
    put_u64(&b->keys, n);
    put(&b->keys, data, bytes);
}

void gb_strs(struct gguf_build *b, const char *key, const char *const *v, size_t n)
{
    gb_arr(b, key, GGUF_STR, n, NULL, 0);
    for (size_t i = 0; i < n; i++)
        put_str(&b->keys, v[i], strlen(v[i]));
}

void gb_tensor(struct gguf_build *b, const char *name, enum ggml_type type, int n_dims, const int64_t *ne,
               const void *data)
{
    const struct ggml_traits *t = ggml_traits_any((uint32_t)type);
    uint64_t dims[4] = {0}, n = 1;
    for (int d = 0; d < n_dims; d++)
        n *= dims[d] = (uint64_t)ne[d];
    pad(&b->data, b->alignment);
    gb_info(b, name, strlen(name), (uint32_t)n_dims, dims, (uint32_t)type, b->data.n);
    put(&b->data, data, (size_t)n / (size_t)t->block_elems * (size_t)t->block_bytes);
}

void gb_info(struct gguf_build *b, const char *name, size_t n_name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
             uint64_t offset)
{
    b->n_tensor++;
    put_str(&b->infos, name, n_name);
    put_u32(&b->infos, n_dims);
    for (uint32_t d = 0; d < n_dims && d < 8; d++)
        put_u64(&b->infos, ne[d]);
    put_u32(&b->infos, type);
    put_u64(&b->infos, offset);
}

struct bytes gb_file(const struct gguf_build *b)
{
    struct bytes f = {0};
    if (b->raw.n) {
        put(&f, b->raw.p, b->raw.n);
    } else {
        put(&f, "GGUF", 4);
        put_u32(&f, b->version);
        put_u64(&f, b->n_tensor);
        put_u64(&f, b->n_kv);
        put(&f, b->keys.p, b->keys.n);
        put(&f, b->infos.p, b->infos.n);
        if (b->data.n) {
            pad(&f, b->alignment);
            put(&f, b->data.p, b->data.n);
        }
    }
    f.n -= b->cut < f.n ? b->cut : f.n;
    return f;
}

void gb_write(const struct gguf_build *b, const char *path)
{
    struct bytes f = gb_file(b);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(f.p, 1, f.n, out) != f.n || fclose(out) != 0)
        give_up(path);
    free(f.p);
}

int memory_file(const void *p, size_t n, char path[64])
{
    const int fd = memfd_create("gguf", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)n) < 0)
        give_up("memfd_create");
    for (size_t at = 0; at < n;) {
        const ssize_t w = pwrite(fd, (const char *)p + at, n - at, (off_t)at);
        if (w <= 0)
            give_up("pwrite");
        at += (size_t)w;
    }
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}
