/* Owns counts of tokens: their file, and the choice of the most frequent ones. See freq.h; read next: few_rows.c. */
#include "draft/freq.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

void freq_key(const struct tokenizer *t, char *key)
{
    uint64_t h = FNV1A_START;
    for (int32_t id = 0; id < tokenizer_n_vocab(t); id++) {
        size_t n;
        const char *p = tokenizer_bytes(t, id, true, &n);
        h = fnv1a(fnv1a(h, p, n), "", 1);
    }
    snprintf(key, FREQ_KEY + 1, "%016llx", (unsigned long long)h);
}

int freq_init(struct freq *f, int n_vocab, struct otr_err *err)
{
    *f = (struct freq){n_vocab, calloc((size_t)n_vocab, sizeof *f->count)};
    return f->count ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for counts of %d tokens", n_vocab);
}

void freq_fini(struct freq *f)
{
    free(f->count);
    *f = (struct freq){0};
}

void freq_add(struct freq *f, const int32_t *tok, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tok[i] >= 0 && tok[i] < f->n_vocab)
            f->count[tok[i]] += f->count[tok[i]] < UINT32_MAX;
}

/* ---- the file ---- */

void *freq_image(const struct freq *f, const char *key, size_t *bytes)
{
    const size_t n = (size_t)f->n_vocab * sizeof *f->count;
    struct freq_head h = {.magic = FREQ_MAGIC, .n_vocab = (uint32_t)f->n_vocab, .sum = fnv1a(FNV1A_START, f->count, n)};
    memcpy(h.key, key, FREQ_KEY);
    char *b = malloc(sizeof h + n);
    if (!b)
        return NULL;
    memcpy(b, &h, sizeof h);
    memcpy(b + sizeof h, f->count, n);
    *bytes = sizeof h + n;
    return b;
}

static int check(const struct freq_head *h, size_t bytes, const char *path, const char *key, int n_vocab,
                 struct otr_err *err)
{
    if (bytes < sizeof *h || memcmp(h->magic, FREQ_MAGIC, sizeof h->magic) != 0)
        return OTR_FAIL(err, FORMAT, "not a frequency file (%.200s): make one with outrider datastore freq", path);
    if (memcmp(h->key, key, FREQ_KEY) != 0 || h->n_vocab != (uint32_t)n_vocab)
        return OTR_FAIL(err, FORMAT,
                        "a frequency file of another vocabulary (%.200s): make it again with the model that drafts",
                        path);
    if (bytes != sizeof *h + (size_t)n_vocab * sizeof(uint32_t))
        return OTR_FAIL(err, FORMAT, "a damaged frequency file (%.200s): %zu bytes for %d tokens: make it again", path,
                        bytes, n_vocab);
    return OTR_OK;
}

/* Head and counts; `bytes`: of the file. */
static int read_file(int fd, size_t bytes, struct freq *into, const char *path, const char *key, struct otr_err *err)
{
    struct freq_head h = {0};
    const size_t n = (size_t)into->n_vocab * sizeof *into->count, want = bytes < sizeof h ? bytes : sizeof h;
    if (pread(fd, &h, want, 0) != (ssize_t)want)
        return OTR_FAIL(err, IO, "cannot read the frequency file (%.200s)", path);
    int rc = check(&h, bytes, path, key, into->n_vocab, err);
    if (rc < 0)
        return rc;
    uint32_t *c = malloc(n);
    if (!c)
        return OTR_FAIL(err, NOMEM, "no memory for counts of %d tokens", into->n_vocab);
    if (pread(fd, c, n, sizeof h) != (ssize_t)n)
        rc = OTR_FAIL(err, IO, "cannot read the frequency file (%.200s)", path);
    else if (fnv1a(FNV1A_START, c, n) != h.sum)
        rc = OTR_FAIL(err, FORMAT, "a damaged frequency file (%.200s): its checksum is wrong: make it again", path);
    for (int i = 0; i < into->n_vocab && rc == OTR_OK; i++)
        into->count[i] += c[i] < UINT32_MAX - into->count[i] ? c[i] : UINT32_MAX - into->count[i];
    free(c);
    return rc;
}

int freq_read(struct freq *f, const char *path, const char *key, struct otr_err *err)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe must not hold us up */
    if (fd < 0)
        return OTR_FAIL(err, IO, "cannot open the frequency file (%.200s): %s", path, strerror(errno));
    const int rc = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)
                       ? OTR_FAIL(err, IO, "cannot open the frequency file (%.200s): not a regular file", path)
                       : read_file(fd, (size_t)st.st_size, f, path, key, err);
    close(fd);
    return rc;
}

/* ---- the choice ---- */

enum rank { MUST, SEEN, UNSEEN, UNSEEN_SPECIAL };
struct entry {
    enum rank rank;
    uint32_t count;
    int32_t id;
};

static int by_worth(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_id(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_edge(const struct tokenizer *t, int32_t id)
{
    return tokenizer_is_end(t, id) || id == tokenizer_bos(t) || id == tokenizer_eos(t);
}

int freq_choose(const struct freq *f, const struct tokenizer *t, int n, int32_t *id, struct otr_err *err)
{
    const int all = f->n_vocab;
    int n_special = 0, n_must = 0;
    struct entry *e = malloc((size_t)all * sizeof *e);
    if (!e)
        return OTR_FAIL(err, NOMEM, "no memory to choose among %d tokens", all);
    for (int32_t i = 0; i < all; i++)
        n_special += tokenizer_is_special(t, i);
    const bool few = n_special <= n / 4; /* WHY: some vocabularies hold thousands that nobody uses */
    for (int32_t i = 0; i < all; i++) {
        const bool special = tokenizer_is_special(t, i), must = is_edge(t, i) || (special && few);
        const enum rank rank = must ? MUST : f->count[i] > 0 ? SEEN : special ? UNSEEN_SPECIAL : UNSEEN;
        e[i] = (struct entry){rank, must ? 0 : f->count[i], i};
        n_must += must;
    }
    qsort(e, (size_t)all, sizeof *e, by_worth);
    n = n > n_must ? n : n_must;
    n = n < all ? n : all;
    for (int i = 0; i < n; i++)
        id[i] = e[i].id;
    free(e);
    qsort(id, (size_t)n, sizeof *id, by_id);
    return n;
}
