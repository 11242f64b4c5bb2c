/* Fuzzes the files that drafting methods read: earlier replies (suffix), counts (ngram-cache), a datastore (rest),
 * token counts (freq). The first byte says which; the rest is the file. What opens is drafted from: proposals must be
 * sound, memory bounded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "draft/draft.h"
#include "draft/freq.h"
#include "draft/suffix_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { V = 256, N_TOK = 80, MAX_BYTES = 3 << 20 };

static const char key[] = "0123456789abcdef";

/* Two steps and an end with a method that opened. */
static void draft(const struct draft_method *m, void *self, const uint8_t *data, size_t size)
{
    static struct tree t;
    int32_t tok[N_TOK];
    for (size_t i = 0; i < N_TOK; i++) /* words of the file itself, so that something is found */
        tok[i] = size > 0 ? data[(size - 1 - i % size)] : 1;
    for (size_t n = 8; n <= N_TOK; n += 8) {
        const struct draft_ask a = {.seq = 1,
                                    .tok = tok,
                                    .n = n,
                                    .n_prompt = 4,
                                    .max_entries = (int)(n % 32),
                                    .chain = n % 16 == 0,
                                    .luck = {.n_vocab = V}};
        tree_clear(&t);
        if (m->propose(self, &a, 1, &t) != OTR_OK || tree_check(&t, V, a.max_entries, NULL) != OTR_OK)
            abort();
        for (int e = 0; e < t.n && a.chain; e++)
            if (t.entry[e].parent != e - 1)
                abort();
    }
    if (m->bytes && m->bytes(self) > MAX_BYTES)
        abort();
    m->observe(self, &(struct draft_seen){.seq = 1, .event = SEEN_FINISHED, .tok = tok, .n = N_TOK}, 1);
    if (m->bytes && m->bytes(self) > MAX_BYTES)
        abort();
    m->close(self);
}

static void read_store(const uint8_t *data, size_t size)
{
    struct suffix_store s;
    struct otr_err err = {0};
    const struct draft_env env = {.n_vocab = V, .model = key};
    if (suffix_store_open(&s, &env, 16, 1 << 16, NULL) != OTR_OK)
        abort();
    const int rc = suffix_store_read(&s, (const char *)data, size, &err);
    if (suffix_check(&s.trie) || suffix_store_bytes(&s) > 1 << 16)
        abort();
    if (rc < 0 && (s.n > 0 || err.code != rc || !err.msg[0]))
        abort();
    suffix_store_close(&s);
}

static void read_freq(const char *path)
{
    struct freq f;
    struct otr_err err = {0};
    if (freq_init(&f, V, NULL) != OTR_OK)
        abort();
    const int rc = freq_read(&f, path, key, &err);
    for (int i = 0; i < V && rc < 0; i++)
        if (f.count[i])
            abort();
    if (rc < 0 && (err.code != rc || !err.msg[0] || strchr(err.msg, '\n')))
        abort();
    freq_fini(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct draft_method *const methods[] = {&draft_suffix, &draft_ngram_cache, &draft_rest};
    static const struct draft_param limits[][2] = {
        {{"global_mb", "1"}, {"local_mb", "1"}}, {{"max_mb", "1"}, {"static", ""}}, {{"min_match", "1"}, {"file", ""}}};
    static int fd = -1;
    static char path[64];
    if (size < 1)
        return 0;
    const int which = data[0] % 3;
    data++;
    size--;
    if (fd < 0) {
        fd = memfd_create("fuzz_draft_files", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    read_freq(path); /* its head says what it is */
    if (which == 0)
        read_store(data, size);
    struct draft_param p[3] = {limits[which][0], limits[which][1], {"file", path}};
    if (which > 0)
        p[1].value = path;
    const struct draft_env env = {.n_vocab = V, .model = key, .param = p, .n_param = which == 0 ? 3 : 2};
    void *self = NULL;
    struct otr_err err = {0};
    const int rc = methods[which]->open(&self, &env, &err);
    if (rc < 0) {
        if (self || err.code != rc || !err.msg[0] || strchr(err.msg, '\n'))
            abort();
        return 0;
    }
    draft(methods[which], self, data, size);
    return 0;
}
