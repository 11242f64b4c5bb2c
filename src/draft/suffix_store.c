/* Owns the store of earlier replies. See suffix_store.h; read next: suffix.c. */
#include "draft/suffix_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/replace_file.h"

#define HEAD "outrider-suffix 1\n"

enum { MAX_REPLIES = 10000, MAX_REPLY = 1 << 20, MAX_FILE = 1 << 28 };

static void drop_oldest(struct suffix_store *s)
{
    struct suffix_reply *r = &s->reply[s->first];
    suffix_remove(&s->trie, r->tok, r->n);
    free(r->tok);
    s->n_tok -= r->n;
    s->first = (s->first + 1) % s->cap;
    s->n--;
    s->epoch++;
}

static void drop_all(struct suffix_store *s)
{
    for (; s->n > 0; s->n--, s->first = (s->first + 1) % s->cap)
        free(s->reply[s->first].tok);
    s->first = s->n_tok = 0;
    s->epoch++;
    suffix_trie_clear(&s->trie);
}

static bool add_tokens(struct suffix_store *s, const int32_t *tok, size_t n)
{
    struct suffix_cursor c;
    suffix_cursor_init(&c);
    for (size_t i = 0; i < n; i++)
        if (!suffix_add(&s->trie, &c, tok[i])) {
            suffix_remove(&s->trie, tok, i + 1);
            return false;
        }
    return true;
}

void suffix_store_add(struct suffix_store *s, const int32_t *tok, size_t n)
{
    if (n < 2 || n > MAX_REPLY || n > s->max_tok)
        return;
    int32_t *copy = malloc(n * sizeof *copy);
    if (!copy)
        return; /* a reply that is not remembered does no harm */
    memcpy(copy, tok, n * sizeof *copy);
    while (s->n == s->cap || s->n_tok + n > s->max_tok)
        drop_oldest(s);
    for (size_t drop = 1; !add_tokens(s, tok, n); drop *= 2) { /* WHY ever more: each try reads the whole reply */
        if (s->n == 0) {                                       /* too long for the memory there is */
            free(copy);
            return;
        }
        for (size_t i = 0; i < drop && s->n > 0; i++)
            drop_oldest(s);
    }
    s->reply[(s->first + s->n++) % s->cap] = (struct suffix_reply){copy, n};
    s->n_tok += n;
    s->epoch++;
    s->changed = true;
}

/* ---- the file ---- */

static int not_sound(struct suffix_store *s, size_t at, const char *what, struct otr_err *err)
{
    drop_all(s);
    return OTR_FAIL(err, FORMAT, "not a file of earlier replies (byte %zu): %s", at, what);
}

int suffix_store_read(struct suffix_store *s, const char *bytes, size_t n, struct otr_err *err)
{
    const size_t head = strlen(HEAD), model = strlen(s->model);
    if (n < head + model + 1 || memcmp(bytes, HEAD, head) != 0)
        return not_sound(s, 0, "another head", err);
    if (memcmp(bytes + head, s->model, model) != 0 || bytes[head + model] != '\n')
        return not_sound(s, head, "another vocabulary", err);
    for (size_t at = head + model + 1; at < n;) {
        uint32_t count;
        if (n - at < sizeof count)
            return not_sound(s, at, "it ends inside a count", err);
        memcpy(&count, bytes + at, sizeof count);
        at += sizeof count;
        if (count < 2 || count > MAX_REPLY || (n - at) / sizeof(int32_t) < count)
            return not_sound(s, at, "a count that cannot be", err);
        int32_t *tok = malloc(count * sizeof *tok);
        if (!tok)
            return not_sound(s, at, "no memory", err);
        memcpy(tok, bytes + at, count * sizeof *tok);
        at += count * sizeof *tok;
        bool sound = true;
        for (uint32_t i = 0; i < count; i++)
            sound &= tok[i] >= 0 && tok[i] < s->n_vocab;
        if (sound)
            suffix_store_add(s, tok, count);
        free(tok);
        if (!sound)
            return not_sound(s, at, "a token outside the vocabulary", err);
    }
    s->changed = false;
    return OTR_OK;
}

static void load(struct suffix_store *s)
{
    struct stat st;
    FILE *f = fopen(s->path, "re");
    if (!f)
        return;
    if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MAX_FILE) {
        const size_t n = (size_t)st.st_size;
        char *bytes = malloc(n);
        if (bytes && fread(bytes, 1, n, f) == n)
            suffix_store_read(s, bytes, n, NULL);
        free(bytes);
    }
    fclose(f);
}

static bool write_all(const struct suffix_store *s, FILE *f)
{
    bool ok = fprintf(f, HEAD "%s\n", s->model) > 0;
    for (size_t i = 0; i < s->n && ok; i++) {
        const struct suffix_reply *r = &s->reply[(s->first + i) % s->cap];
        const uint32_t count = (uint32_t)r->n;
        ok = fwrite(&count, sizeof count, 1, f) == 1 && fwrite(r->tok, sizeof *r->tok, r->n, f) == r->n;
    }
    return ok;
}

/* WHY silent on failure: what is lost is speed of later runs, and the reply is already out. */
static void save(const struct suffix_store *s)
{
    struct replace_file r;
    if (replace_open(&r, s->path, 0666))
        replace_close(&r, write_all(s, r.f));
}

int suffix_store_open(struct suffix_store *s, const struct draft_env *env, int depth, size_t max_bytes,
                      struct otr_err *err)
{
    const size_t replies = max_bytes / 8; /* the trie has the rest: a reply's token is up to `depth` nodes */
    *s = (struct suffix_store){.n_vocab = env->n_vocab,
                               .cap = max_bytes > 0 ? MAX_REPLIES : 0,
                               .max_tok = replies / sizeof(int32_t),
                               .epoch = 1};
    bool ok = suffix_trie_init(&s->trie, depth, max_bytes - replies);
    ok = ok && (s->cap == 0 || (s->reply = calloc(s->cap, sizeof *s->reply)) != NULL);
    ok = ok && (s->model = strdup(env->model ? env->model : "")) != NULL;
    const char *file = draft_param_get(env, "file");
    if (ok && file && s->cap > 0)
        ok = (s->path = strdup(file)) != NULL;
    if (!ok) {
        suffix_store_close(s);
        return OTR_FAIL(err, NOMEM, "no memory for earlier replies (%zu MB)", max_bytes >> 20);
    }
    if (s->path)
        load(s);
    return OTR_OK;
}

size_t suffix_store_bytes(const struct suffix_store *s)
{
    return suffix_trie_bytes(&s->trie) + s->n_tok * sizeof(int32_t);
}

void suffix_store_close(struct suffix_store *s)
{
    if (s->cap > 0 && s->reply) {
        if (s->path && s->changed)
            save(s);
        drop_all(s);
    }
    free(s->reply);
    suffix_trie_free(&s->trie);
    free(s->path);
    free(s->model);
    *s = (struct suffix_store){0};
}
