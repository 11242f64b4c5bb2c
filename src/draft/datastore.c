/* Owns the mapping of a datastore and its searches. See datastore.h; read next: rest.c. */
#include "draft/datastore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int check(struct datastore *d, const char *path, const char *key, int n_vocab, struct otr_err *err)
{
    struct datastore_head h;
    if (d->map_bytes < sizeof h)
        return OTR_FAIL(err, FORMAT, "not a datastore (%.200s): it has %zu bytes", path, d->map_bytes);
    memcpy(&h, d->map, sizeof h);
    if (memcmp(h.magic, DATASTORE_MAGIC, sizeof h.magic) != 0)
        return OTR_FAIL(err, FORMAT, "not a datastore (%.200s): build one with outrider datastore build", path);
    if (memcmp(h.key, key, DATASTORE_KEY) != 0 || h.n_vocab != (uint32_t)n_vocab)
        return OTR_FAIL(err, FORMAT, "a datastore of another model (%.200s): build it again with this one", path);
    if (h.n > UINT32_MAX / 2 || d->map_bytes != sizeof h + (size_t)h.n * 8)
        return OTR_FAIL(err, FORMAT, "a damaged datastore (%.200s): %zu bytes for %llu tokens", path, d->map_bytes,
                        (unsigned long long)h.n);
    d->n = (size_t)h.n;
    d->n_vocab = n_vocab;
    d->tok = (const int32_t *)(const void *)((const char *)d->map + sizeof h);
    d->place = (const uint32_t *)(const void *)(d->tok + d->n);
    return OTR_OK;
}

int datastore_open(struct datastore *d, const char *path, const char *key, int n_vocab, struct otr_err *err)
{
    struct stat st;
    *d = (struct datastore){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return OTR_FAIL(err, IO, "cannot open the datastore (%.200s): %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return OTR_FAIL(err, IO, "cannot open the datastore (%.200s): not a regular file", path);
    }
    d->map_bytes = (size_t)st.st_size;
    d->map = d->map_bytes > 0 ? mmap(NULL, d->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (d->map == MAP_FAILED) {
        *d = (struct datastore){0};
        return OTR_FAIL(err, FORMAT, "not a datastore (%.200s): it cannot be mapped", path);
    }
    const int rc = check(d, path, key, n_vocab, err);
    if (rc < 0)
        datastore_close(d);
    return rc;
}

void datastore_close(struct datastore *d)
{
    if (d->map)
        munmap(d->map, d->map_bytes);
    *d = (struct datastore){0};
}

/* Token i of the text at place p; -1: past the end, or not a token. */
static int32_t token_at(const struct datastore *d, size_t p, size_t i)
{
    if (p >= d->n || i >= d->n - p || d->tok[p + i] < 0 || d->tok[p + i] >= d->n_vocab)
        return -1;
    return d->tok[p + i];
}

/* < 0, 0, > 0: the text at place p against key [n]. */
static int compare(const struct datastore *d, size_t p, const int32_t *key, int n)
{
    for (int i = 0; i < n; i++) {
        const int32_t t = token_at(d, p, (size_t)i);
        if (t != key[i])
            return t < key[i] ? -1 : 1;
    }
    return 0;
}

/* The first place in [lo, hi) that is not before the key (after: not before what comes after it). */
static size_t bound(const struct datastore *d, size_t lo, size_t hi, const int32_t *key, int n, bool after)
{
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int c = compare(d, d->place[mid], key, n);
        if (c < 0 || (after && c == 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool datastore_find(const struct datastore *d, const int32_t *key, int n, size_t *lo, size_t *hi)
{
    *lo = bound(d, 0, d->n, key, n, false);
    if (*lo == d->n || compare(d, d->place[*lo], key, n) != 0)
        return false;
    *hi = bound(d, *lo, d->n, key, n, true);
    return *hi > *lo;
}

size_t datastore_run(const struct datastore *d, size_t lo, size_t hi, size_t at, int depth, size_t *from,
                     int32_t *token)
{
    *token = token_at(d, d->place[at], (size_t)depth);
    size_t a = at + 1, b = hi;
    while (a < b) { /* the texts are in order, so those that go on alike stand together */
        const size_t mid = a + (b - a) / 2;
        if (token_at(d, d->place[mid], (size_t)depth) == *token)
            a = mid + 1;
        else
            b = mid;
    }
    *from = at;
    while (lo < *from) {
        const size_t mid = lo + (*from - lo) / 2;
        if (token_at(d, d->place[mid], (size_t)depth) == *token)
            *from = mid;
        else
            lo = mid + 1;
    }
    return a;
}
