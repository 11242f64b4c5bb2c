/* Owns the writing of GGUF files: see gguf_write.h. Inside, bytes pass a small buffer, and the first failed write is
 * remembered. Read next: gguf_parse.c, which reads the same format. */
#include "load/gguf_write.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load/dequant.h"
#include "load/gguf_priv.h"

enum { BUFFER = 1 << 16, TMP_EXTRA = 48, MAX_TRIES = 100, DEFAULT_ALIGNMENT = 32 };

struct gguf_writer {
    int fd;
    char *path, *tmp; /* the name to be, and the name until then (empty: no file is there) */
    char shown[GGUF_SHOWN_BYTES + 4];
    uint64_t *tensor_bytes;     /* [n_tensor] */
    size_t n_tensor, at_tensor; /* at_tensor: the one that gets the next bytes */
    uint64_t tensor_at;         /* bytes of it that are written */
    uint64_t bytes, total;      /* of the file: so far, and in the end */
    uint64_t alignment;
    int failed; /* errno of the first failed write; 0: none */
    size_t n_buf;
    unsigned char buf[BUFFER];
};

#define CANNOT(w, err, name, fmt, ...) OTR_FAIL(err, name, "cannot write (%s): " fmt, (w)->shown, ##__VA_ARGS__)

/* ---- bytes ---- */

static void write_all(struct gguf_writer *w, const unsigned char *p, size_t n)
{
    while (n > 0 && w->failed == 0) {
        const ssize_t did = write(w->fd, p, n);
        if (did > 0) {
            p += did;
            n -= (size_t)did;
        } else if (did == 0 || errno != EINTR) {
            w->failed = did == 0 ? EIO : errno;
        }
    }
}

static void flush(struct gguf_writer *w)
{
    write_all(w, w->buf, w->n_buf);
    w->n_buf = 0;
}

static void put(struct gguf_writer *w, const void *p, size_t n)
{
    if (n > BUFFER - w->n_buf)
        flush(w);
    if (n >= BUFFER) {
        write_all(w, p, n);
    } else {
        memcpy(w->buf + w->n_buf, p, n);
        w->n_buf += n;
    }
    w->bytes += n;
}

static void put_u32(struct gguf_writer *w, uint32_t v)
{
    put(w, &v, sizeof v); /* little-endian, as gguf.c makes sure */
}

static void put_u64(struct gguf_writer *w, uint64_t v)
{
    put(w, &v, sizeof v);
}

static void put_str(struct gguf_writer *w, const char *p, size_t n)
{
    put_u64(w, n);
    put(w, p, n);
}

static uint64_t padding(const struct gguf_writer *w, uint64_t bytes)
{
    return (w->alignment - bytes % w->alignment) % w->alignment;
}

static void put_padding(struct gguf_writer *w)
{
    static const unsigned char zeros[64];
    for (uint64_t n = padding(w, w->bytes); n > 0;) {
        const size_t part = n < sizeof zeros ? (size_t)n : sizeof zeros;
        put(w, zeros, part);
        n -= part;
    }
}

static int check_written(const struct gguf_writer *w, struct otr_err *err)
{
    if (w->failed == 0)
        return OTR_OK;
    return CANNOT(w, err, IO, "%s (the file takes %" PRIu64 " bytes)", strerror(w->failed), w->total);
}

/* ---- head ---- */

static bool is_split_key(const struct gguf_str *key)
{
    static const char *const names[] = {"split.no", "split.count", "split.tensors.count"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (key->n == strlen(names[i]) && memcmp(key->p, names[i], key->n) == 0)
            return true;
    return false;
}

static const struct gguf_u32 *set_of(const struct gguf_head *h, const struct gguf_str *key)
{
    for (size_t i = 0; i < h->n_set; i++)
        if (key->n == strlen(h->set[i].key) && memcmp(key->p, h->set[i].key, key->n) == 0)
            return &h->set[i];
    return NULL;
}

/* The bytes of a value as they stand in the file, behind its type. */
static const unsigned char *value_span(const struct gguf_kv *kv, size_t *n)
{
    if (kv->type == GGUF_STR) {
        *n = 8 + kv->arr.n;
        return kv->data - 8;
    }
    if (kv->type != GGUF_ARR) {
        *n = gguf_scalar_bytes((uint32_t)kv->type);
        return kv->data;
    }
    const unsigned char *end = kv->arr.data + kv->arr.n * gguf_scalar_bytes((uint32_t)kv->arr.type);
    for (size_t i = 0; kv->arr.type == GGUF_STR && i < kv->arr.n; i++)
        end += 8 + load_u64(end);
    *n = (size_t)(end - kv->data);
    return kv->data;
}

static void put_set(struct gguf_writer *w, const struct gguf_u32 *s)
{
    put_str(w, s->key, strlen(s->key));
    put_u32(w, GGUF_U32);
    put_u32(w, s->value);
}

static void put_keys(struct gguf_writer *w, const struct gguf_head *h)
{
    const struct gguf_part *p = h->from->part;
    for (size_t i = 0; i < p->n_kv; i++) {
        const struct gguf_kv *kv = &p->kv[i];
        const struct gguf_u32 *s = set_of(h, &kv->key);
        size_t n;
        const unsigned char *value = value_span(kv, &n);
        if (is_split_key(&kv->key))
            continue;
        if (s) {
            put_set(w, s);
            continue;
        }
        put_str(w, kv->key.p, kv->key.n);
        put_u32(w, (uint32_t)kv->type);
        put(w, value, n);
    }
    for (size_t i = 0; i < h->n_set; i++)
        if (strmap_get(&p->keys, h->set[i].key, strlen(h->set[i].key)) < 0)
            put_set(w, &h->set[i]);
}

static uint64_t count_keys(const struct gguf_head *h)
{
    const struct gguf_part *p = h->from->part;
    uint64_t n = p->n_kv;
    for (size_t i = 0; i < p->n_kv; i++)
        n -= is_split_key(&p->kv[i].key);
    for (size_t i = 0; i < h->n_set; i++)
        n += strmap_get(&p->keys, h->set[i].key, strlen(h->set[i].key)) < 0;
    return n;
}

/* The table of tensors; fills w->tensor_bytes. No sum can wrap: the input's bytes are mapped, ours at most 8 times. */
static void put_infos(struct gguf_writer *w, const struct gguf_head *h)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < w->n_tensor; i++) {
        const struct gguf_tensor *t = &h->from->tensor[i];
        const struct ggml_traits *traits = ggml_traits_any((uint32_t)h->types[i]);
        assert(traits && t->ne[0] % traits->block_elems == 0);
        w->tensor_bytes[i] =
            (uint64_t)(t->ne[0] / traits->block_elems * t->ne[1] * t->ne[2] * t->ne[3]) * (uint64_t)traits->block_bytes;
        put_str(w, t->name.p, t->name.n);
        put_u32(w, (uint32_t)t->n_dims);
        for (int d = 0; d < t->n_dims; d++)
            put_u64(w, (uint64_t)t->ne[d]);
        put_u32(w, (uint32_t)h->types[i]);
        put_u64(w, offset);
        offset += w->tensor_bytes[i] + padding(w, w->tensor_bytes[i]);
    }
    put_padding(w);
    w->total = w->bytes + offset;
}

static int put_head(struct gguf_writer *w, const struct gguf_head *h, struct otr_err *err)
{
    int64_t alignment = DEFAULT_ALIGNMENT;
    gguf_part_int(h->from->part, "general.alignment", 1, GGUF_MAX_ALIGNMENT, &alignment,
                  NULL); /* checked by gguf_open */
    w->alignment = (uint64_t)alignment;
    w->n_tensor = h->from->n_tensor;
    if (!(w->tensor_bytes = calloc(w->n_tensor ? w->n_tensor : 1, sizeof *w->tensor_bytes)))
        return CANNOT(w, err, NOMEM, "no memory for the table of %zu tensors", w->n_tensor);
    put(w, "GGUF", 4);
    put_u32(w, 3);
    put_u64(w, w->n_tensor);
    put_u64(w, count_keys(h));
    put_keys(w, h);
    put_infos(w, h);
    flush(w);
    /* WHY: a disk that is too small is known now, not after minutes. Where this is not supported, writing tells. */
    if (w->failed == 0 && fallocate(w->fd, 0, 0, (off_t)w->total) < 0 && (errno == ENOSPC || errno == EFBIG))
        w->failed = errno;
    return check_written(w, err);
}

/* ---- the file ---- */

/* Looks at what the name is now: nothing, or a file that may be replaced. *mode: of that file. */
static int check_target(struct gguf_writer *w, const struct gguf *from, mode_t *mode, struct otr_err *err)
{
    const char *slash = strrchr(w->path, '/'), *name = slash ? slash + 1 : w->path;
    struct stat st;
    if (*name == 0)
        return CANNOT(w, err, ARG, "%s", slash ? "it is a folder, give the name of a file" : "its name is empty");
    *mode = 0666;
    if (stat(w->path, &st) < 0) /* ENOENT is what we hope for; a folder that is not there shows when we create */
        return errno == ENOENT ? OTR_OK : CANNOT(w, err, IO, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return CANNOT(w, err, ARG, "it is %s",
                      S_ISDIR(st.st_mode) ? "a folder, give the name of a file" : "no regular file");
    for (size_t i = 0; i < from->n_part; i++)
        if (st.st_dev == from->part[i].dev && st.st_ino == from->part[i].ino)
            return CANNOT(w, err, ARG, "it is the model that is read: the result needs another name");
    if (access(w->path, W_OK) < 0)
        return CANNOT(w, err, IO, "%s", strerror(errno));
    *mode = st.st_mode & 0777;
    return OTR_OK;
}

/* A new file in the folder of the target; its name is independent of the target's, which may be as long as is allowed.
 */
static int create_tmp(struct gguf_writer *w, mode_t mode, struct otr_err *err)
{
    const char *slash = strrchr(w->path, '/');
    const int n_folder = slash ? (int)(slash + 1 - w->path) : 0;
    const size_t cap = (size_t)n_folder + TMP_EXTRA;
    if (!(w->tmp = calloc(1, cap)))
        return CANNOT(w, err, NOMEM, "no memory for a name");
    for (int i = 0; i < MAX_TRIES && w->fd < 0; i++) {
        snprintf(w->tmp, cap, "%.*s.outrider-%ld-%d.part", n_folder, w->path, (long)getpid(), i);
        w->fd = open(w->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (w->fd < 0 && errno != EEXIST)
            break;
    }
    if (w->fd < 0) {
        w->tmp[0] = 0;
        return CANNOT(w, err, IO, "no file can be made in its folder: %s", strerror(errno));
    }
    if (mode != 0666) /* that of the file to be replaced, whatever the umask */
        (void)!fchmod(w->fd, mode);
    return OTR_OK;
}

int gguf_writer_open(struct gguf_writer **out, const char *path, const struct gguf_head *h, struct otr_err *err)
{
    char real[PATH_MAX];
    mode_t mode;
    int rc;
    struct gguf_writer *w = calloc(1, sizeof *w);
    if (!w)
        return OTR_FAIL(err, NOMEM, "no memory to write a model file");
    w->fd = -1;
    gguf_show_path(w->shown, path);
    w->path = strdup(realpath(path, real) ? real : path); /* a link to a file stays a link */
    if (!w->path)
        rc = CANNOT(w, err, NOMEM, "no memory for a name");
    else if ((rc = check_target(w, h->from, &mode, err)) == OTR_OK && (rc = create_tmp(w, mode, err)) == OTR_OK)
        rc = put_head(w, h, err);
    if (rc < 0) {
        gguf_writer_close(w);
        return rc;
    }
    *out = w;
    return OTR_OK;
}

int gguf_writer_put(struct gguf_writer *w, const void *bytes, size_t n, struct otr_err *err)
{
    if (n > 0) {
        assert(w->at_tensor < w->n_tensor && n <= w->tensor_bytes[w->at_tensor] - w->tensor_at);
        put(w, bytes, n);
        w->tensor_at += n;
    }
    if (w->at_tensor < w->n_tensor && w->tensor_at == w->tensor_bytes[w->at_tensor]) {
        put_padding(w);
        w->at_tensor++;
        w->tensor_at = 0;
    }
    return check_written(w, err);
}

uint64_t gguf_writer_bytes(const struct gguf_writer *w)
{
    return w->total;
}

/* The new name is on the disk once its folder is. Best effort: the file itself is safe, and not every file system can.
 */
static void sync_folder(const struct gguf_writer *w)
{
    char *folder = strdup(w->path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash)
        slash[slash == folder] = 0;
    const int fd = folder ? open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

int gguf_writer_commit(struct gguf_writer *w, struct otr_err *err)
{
    int rc;
    assert(w->at_tensor == w->n_tensor && w->bytes == w->total);
    flush(w);
    if (w->failed == 0 && fsync(w->fd) < 0 && errno != EINVAL) /* EINVAL: the file system has no such thing */
        w->failed = errno;
    const int closed = close(w->fd); /* some file systems tell only now */
    w->fd = -1;
    if (w->failed == 0 && closed < 0)
        w->failed = errno;
    if ((rc = check_written(w, err)) < 0)
        return rc;
    if (rename(w->tmp, w->path) < 0)
        return CANNOT(w, err, IO, "%s", strerror(errno));
    w->tmp[0] = 0;
    sync_folder(w);
    return OTR_OK;
}

void gguf_writer_close(struct gguf_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->tmp && w->tmp[0])
        unlink(w->tmp);
    free(w->tensor_bytes);
    free(w->tmp);
    free(w->path);
    free(w);
}
