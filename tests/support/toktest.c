/* Owns what the tokenizer's tests share. See toktest.h. */
#include "support/toktest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const char *toktest_model(const char *name)
{
    static char path[4096];
    const char *dir = getenv("OUTRIDER_MODELS"), *home = getenv("HOME");
    if (dir && *dir)
        snprintf(path, sizeof path, "%s/%s", dir, name);
    else
        snprintf(path, sizeof path, "%s/.cache/outrider/%s", home ? home : "", name);
    return path;
}

struct tokenizer *toktest_open(const char *path)
{
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct otr_err err = {0};
    if (access(path, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", path);
        return NULL;
    }
    if (gguf_open(&g, path, &err) < 0 || tokenizer_open(&t, g, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
    gguf_close(g);
    return t;
}

char *toktest_read(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*n + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *n, f), *n);
    text[*n] = 0;
    fclose(f);
    return text;
}

uint32_t toktest_hash(const struct ids *l)
{
    uint64_t h = 2166136261u;
    for (size_t i = 0; i < l->n; i++)
        for (int b = 0; b < 4; b++)
            h = ((h ^ ((uint32_t)l->v[i] >> 8 * b & 0xff)) * 16777619u) & 0xffffffffu;
    return (uint32_t)h;
}

bool toktest_line(char **p, char **line, size_t *n)
{
    if (!**p)
        return false;
    *line = *p;
    *n = strcspn(*p, "\n");
    *p += *n + ((*p)[*n] == '\n');
    (*line)[*n] = 0;
    return true;
}

void toy_keys(struct gguf_build *b, const struct toy *y)
{
    gb_init(b);
    gb_str(b, "general.architecture", "llama");
    if (y->model)
        gb_str(b, "tokenizer.ggml.model", y->model);
    if (y->pre)
        gb_str(b, "tokenizer.ggml.pre", y->pre);
    if (y->pieces)
        gb_strs(b, "tokenizer.ggml.tokens", y->pieces, y->n);
    if (y->types)
        gb_arr(b, "tokenizer.ggml.token_type", GGUF_I32, y->n, y->types, 4 * y->n);
    if (y->scores)
        gb_arr(b, "tokenizer.ggml.scores", GGUF_F32, y->n, y->scores, 4 * y->n);
    if (y->merges)
        gb_strs(b, "tokenizer.ggml.merges", y->merges, y->n_merges);
}

int toy_open(struct tokenizer **t, struct gguf_build *b, struct otr_err *err)
{
    char path[64];
    struct gguf *g = NULL;
    struct bytes f = gb_file(b);
    const int fd = memory_file(f.p, f.n, path);
    int rc = gguf_open(&g, path, err);
    if (rc == OTR_OK)
        rc = tokenizer_open(t, g, err);
    gguf_close(g);
    close(fd);
    free(f.p);
    gb_free(b);
    return rc;
}

struct tokenizer *toy_make(const struct toy *y)
{
    struct gguf_build b;
    struct tokenizer *t = NULL;
    struct otr_err err = {0};
    toy_keys(&b, y);
    if (toy_open(&t, &b, &err) < 0)
        fail_msg("%s", err.msg);
    return t;
}

const char *toktest_ids(const struct tokenizer *t, const char *text, size_t n, unsigned flags, const unsigned char *lit)
{
    static char buf[4096];
    struct ids l = {0};
    struct otr_err err = {0};
    size_t at = 0;
    if (tokenizer_encode(t, text, n, flags, lit, &l, &err) < 0)
        fail_msg("%s", err.msg);
    buf[0] = 0;
    for (size_t i = 0; i < l.n && at < sizeof buf - 16; i++)
        at += (size_t)snprintf(buf + at, sizeof buf - at, i ? " %d" : "%d", l.v[i]);
    ids_free(&l);
    return buf;
}
