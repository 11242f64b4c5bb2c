/* Owns the files of a model: opening, mapping, finding the other parts of a split model, closing.
 *
 * In: a path. Out: struct gguf, whose tables gguf_parse.c has read and checked.
 * Read next: gguf_parse.c (bytes), gguf_get.c (values). */
#include "load/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load/gguf_priv.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are read as they lie");

#define BAD_PART(p, err, name, fmt, ...) OTR_FAIL(err, name, "cannot read model (%s): " fmt, (p)->shown, ##__VA_ARGS__)

/* ---- one part ---- */

static int part_map(struct gguf_part *p, struct otr_err *err)
{
    struct stat st;
    int rc = OTR_OK;
    const int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* WHY: without NONBLOCK a FIFO would wait */
    if (fd < 0)
        return BAD_PART(p, err, IO, "%s", strerror(errno));
    if (fstat(fd, &st) < 0)
        rc = BAD_PART(p, err, IO, "%s", strerror(errno));
    else if (S_ISDIR(st.st_mode))
        rc = BAD_PART(p, err, IO, "it is a directory, expected a GGUF file");
    else if (!S_ISREG(st.st_mode))
        rc = BAD_PART(p, err, IO, "it is not a regular file, so it cannot be mapped");
    else if (st.st_size == 0)
        rc = BAD_PART(p, err, FORMAT, "the file is empty");
    if (rc == OTR_OK) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            rc = BAD_PART(p, err, NOMEM, "its %" PRId64 " bytes cannot be mapped: %s", (int64_t)st.st_size,
                          strerror(errno));
        } else {
            p->map = map;
            p->bytes = (size_t)st.st_size;
            p->dev = st.st_dev;
            p->ino = st.st_ino;
        }
    }
    close(fd);
    return rc;
}

/* The end of a path is what tells files apart. */
void gguf_show_path(char shown[GGUF_SHOWN_BYTES + 4], const char *path)
{
    const size_t n = strlen(path);
    if (n < GGUF_SHOWN_BYTES) {
        err_quote(shown, GGUF_SHOWN_BYTES + 4, path, n);
        return;
    }
    size_t from = n - (GGUF_SHOWN_BYTES - 4);
    while (((unsigned char)path[from] & 0xc0) == 0x80) /* not into the middle of a character */
        from++;
    char end[GGUF_SHOWN_BYTES + 1];
    snprintf(shown, GGUF_SHOWN_BYTES + 4, "...%s", err_quote(end, sizeof end, path + from, n - from));
}

/* Takes the ownership of path, which may be NULL (no memory). */
static int part_open(struct gguf *g, struct gguf_part *p, char *path, struct otr_err *err)
{
    int rc;
    p->path = path;
    if (!path)
        return OTR_FAIL(err, NOMEM, "no memory for the path of a model");
    gguf_show_path(p->shown, path);
    if ((rc = part_map(p, err)) < 0)
        return rc;
    return gguf_parse(g, p, err);
}

/* ---- split models: NAME-00001-of-00005.gguf holds the keys, all parts hold tensors ---- */

enum { SPLIT_SUFFIX = sizeof "-00001-of-00005.gguf" - 1 };

static void split_suffix(char buf[SPLIT_SUFFIX + 8], int64_t no, int64_t count)
{
    snprintf(buf, SPLIT_SUFFIX + 8, "-%05d-of-%05d.gguf", (int)(no + 1), (int)count);
}

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static char *split_path(const char *first, int64_t no, int64_t count)
{
    char suffix[SPLIT_SUFFIX + 8];
    char *path = strdup(first);
    split_suffix(suffix, no, count);
    if (path)
        memcpy(path + strlen(path) - SPLIT_SUFFIX, suffix, SPLIT_SUFFIX);
    return path;
}

/* How many parts the first file says there are. */
static int split_count(const struct gguf_part *p, int64_t *count, struct otr_err *err)
{
    int64_t no = 0;
    char suffix[SPLIT_SUFFIX + 8], first[SPLIT_SUFFIX + 8];
    int rc;
    *count = 1;
    if ((rc = gguf_part_int(p, "split.count", 0, GGUF_MAX_PARTS, count, err)) == OTR_E_MISSING)
        return OTR_OK;
    if (rc < 0 || *count <= 1 || (rc = gguf_part_int(p, "split.no", 0, *count - 1, &no, err)) < 0)
        return rc;
    split_suffix(first, 0, *count);
    split_suffix(suffix, no, *count);
    if (no != 0)
        return BAD_PART(p, err, FORMAT, "this is part %d of %d: open the file that ends in %s", (int)no + 1,
                        (int)*count, first);
    if (!ends_with(p->path, suffix))
        return BAD_PART(p, err, FORMAT, "the name of part 1 of %d must end in %s, so that the others are found",
                        (int)*count, suffix);
    return OTR_OK;
}

static int open_other_parts(struct gguf *g, int64_t count, struct otr_err *err)
{
    int64_t v;
    int rc;
    struct gguf_part *parts = realloc(g->part, (size_t)count * sizeof *parts);
    if (!parts)
        return OTR_FAIL(err, NOMEM, "no memory for %d parts of a model", (int)count);
    g->part = parts;
    for (int64_t no = 1; no < count; no++) {
        struct gguf_part *p = &g->part[no];
        *p = (struct gguf_part){0};
        g->n_part = (size_t)no + 1;
        if ((rc = part_open(g, p, split_path(g->part[0].path, no, count), err)) < 0 ||
            (rc = gguf_part_int(p, "split.count", count, count, &v, err)) < 0 ||
            (rc = gguf_part_int(p, "split.no", no, no, &v, err)) < 0)
            return rc;
    }
    return gguf_part_int(g->part, "split.tensors.count", (int64_t)g->n_tensor, (int64_t)g->n_tensor, &v, err);
}

/* ---- the model ---- */

int gguf_open(struct gguf **out, const char *path, struct otr_err *err)
{
    int64_t count;
    int rc;
    struct gguf *g = calloc(1, sizeof *g);
    if (!g || !(g->part = calloc(1, sizeof *g->part))) {
        rc = OTR_FAIL(err, NOMEM, "no memory for the handle of a model file");
        goto fail;
    }
    g->n_part = 1;
    if ((rc = part_open(g, g->part, strdup(path), err)) < 0 || (rc = split_count(g->part, &count, err)) < 0 ||
        (count > 1 && (rc = open_other_parts(g, count, err)) < 0) || (rc = gguf_check_size(g, err)) < 0)
        goto fail;
    *out = g;
    return OTR_OK;
fail:
    gguf_close(g);
    return rc;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_part; i++) {
        struct gguf_part *p = &g->part[i];
        if (p->map)
            munmap((void *)(uintptr_t)p->map, p->bytes);
        strmap_fini(&p->keys);
        free(p->kv);
        free(p->path);
    }
    strmap_fini(&g->names);
    free(g->part);
    free(g->tensor);
    free(g);
}

int gguf_check_size(const struct gguf *g, struct otr_err *err)
{
    struct stat st;
    for (size_t i = 0; i < g->n_part; i++) {
        const struct gguf_part *p = &g->part[i];
        if (stat(p->path, &st) < 0 || st.st_dev != p->dev || st.st_ino != p->ino)
            continue; /* removed or replaced: the mapping keeps the old file */
        if ((uint64_t)st.st_size < p->bytes)
            return BAD_PART(p, err, IO, "the file shrank from %zu to %" PRId64 " bytes while it was in use", p->bytes,
                            (int64_t)st.st_size);
    }
    return OTR_OK;
}

bool gguf_is_file(const struct gguf *g, const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_dev == g->part->dev && st.st_ino == g->part->ino;
}

const char *gguf_path(const struct gguf *g)
{
    return g->part->shown;
}

uint32_t gguf_version(const struct gguf *g)
{
    return g->part->version;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < g->n_part; i++)
        sum += g->part[i].bytes; /* mapped at once, so the sum fits */
    return sum;
}

size_t gguf_n_parts(const struct gguf *g)
{
    return g->n_part;
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensor;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensor[i];
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    const int64_t i = strmap_get(&g->names, name, strlen(name));
    return i < 0 ? NULL : &g->tensor[i];
}

void gguf_want_pages(const struct gguf *g, const void *data, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data & ~(page - 1);
    (void)g;
    madvise((void *)begin, (uintptr_t)data + bytes - begin, MADV_WILLNEED);
}

void gguf_drop_pages(const struct gguf *g, const void *data, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data & ~(page - 1),
                    end = ((uintptr_t)data + bytes) & ~(page - 1);
    (void)g;
    if (end > begin) /* the last page may be read on by the next call, which then drops it */
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}
