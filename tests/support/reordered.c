#include "support/reordered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/gguf_build.h"

enum { FIXED = 3, N_MORE = 8, CONTROL = 3 }; /* <unk> <s> </s> keep their ids */

static const char *const liked[N_MORE] = {".",
                                          "\xe2\x96\x81the",
                                          "\xe2\x96\x81",
                                          ",",
                                          "\xe2\x96\x81to",
                                          "\xe2\x96\x81"
                                          "a",
                                          "e",
                                          "s"};

/* Whose row and piece the new id has. */
static size_t old_of(size_t id, size_t n, const struct gguf_str *piece)
{
    if (id < FIXED)
        return id;
    if (id < n)
        return n - 1 - (id - FIXED);
    const char *name = liked[id - n];
    for (size_t i = 0; i < n; i++)
        if (piece[i].n == strlen(name) && memcmp(piece[i].p, name, piece[i].n) == 0)
            return i;
    fail_msg("no piece '%s'", name);
    return 0;
}

static void put_key(struct gguf_build *b, const struct gguf_kv *kv)
{
    char key[128];
    snprintf(key, sizeof key, "%.*s", (int)kv->key.n, kv->key.p);
    if (kv->type == GGUF_ARR || strcmp(key, "llama.vocab_size") == 0 || strcmp(key, "general.alignment") == 0)
        return;
    gb_key(b, key, kv->type);
    if (kv->type == GGUF_STR)
        put_str(&b->keys, (const char *)kv->data, kv->arr.n);
    else
        put(&b->keys, kv->data, gguf_scalar_bytes(kv->type));
}

static void put_vocabulary(struct gguf_build *b, const struct gguf *g, const struct gguf_str *piece, size_t n)
{
    struct gguf_arr scores, types;
    char name[N_MORE][16], (*text)[64] = calloc(n + N_MORE, sizeof *text);
    const char **names = calloc(n + N_MORE, sizeof *names);
    float *score = calloc(n + N_MORE, sizeof *score);
    int32_t *type = calloc(n + N_MORE, sizeof *type);
    assert_true(text && names && score && type);
    assert_int_equal(gguf_get_arr(g, "tokenizer.ggml.scores", GGUF_F32, &scores, NULL), OTR_OK);
    assert_int_equal(gguf_get_arr(g, "tokenizer.ggml.token_type", GGUF_I32, &types, NULL), OTR_OK);
    for (size_t i = 0; i < n + N_MORE; i++) {
        const size_t old = old_of(i, n, piece);
        snprintf(text[i], sizeof *text, "%.*s", (int)piece[old].n, piece[old].p);
        names[i] = text[i];
        score[i] = gguf_arr_f32(&scores, old);
        type[i] = gguf_arr_i32(&types, old);
        if (i >= n && (i - n) % 2 == 0) {
            snprintf(name[i - n], sizeof name[0], "<liked%d>", (int)(i - n));
            names[i] = name[i - n];
            type[i] = CONTROL;
        }
    }
    gb_u32(b, "llama.vocab_size", (uint32_t)(n + N_MORE));
    gb_strs(b, "tokenizer.ggml.tokens", names, n + N_MORE);
    gb_arr(b, "tokenizer.ggml.scores", GGUF_F32, n + N_MORE, score, 4 * (n + N_MORE));
    gb_arr(b, "tokenizer.ggml.token_type", GGUF_I32, n + N_MORE, type, 4 * (n + N_MORE));
    free(text);
    free(names);
    free(score);
    free(type);
}

static void put_embedding(struct gguf_build *b, const struct gguf_tensor *t, const struct gguf_str *piece, size_t n)
{
    const size_t row = (size_t)t->ne[0] * sizeof(float);
    const int64_t ne[2] = {t->ne[0], t->ne[1] + N_MORE};
    char *data = malloc(row * (n + N_MORE));
    assert_non_null(data);
    for (size_t i = 0; i < n + N_MORE; i++)
        memcpy(data + row * i, t->data + row * old_of(i, n, piece), row);
    gb_tensor(b, "token_embd.weight", t->type, 2, ne, data);
    free(data);
}

void reordered_write(const char *from, const char *to)
{
    struct gguf *g = NULL;
    struct otr_err err = {0};
    struct gguf_build b;
    struct gguf_arr tokens;
    if (gguf_open(&g, from, &err) < 0 || gguf_get_arr(g, "tokenizer.ggml.tokens", GGUF_STR, &tokens, &err) < 0)
        fail_msg("%s", err.msg);
    struct gguf_str *piece = calloc(tokens.n, sizeof *piece);
    assert_non_null(piece);
    gguf_arr_strings(&tokens, piece);
    gb_init(&b);
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv kv = gguf_kv_at(g, i);
        put_key(&b, &kv);
    }
    put_vocabulary(&b, g, piece, tokens.n);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        if (strcmp(name, "token_embd.weight") == 0)
            put_embedding(&b, t, piece, tokens.n);
        else
            gb_tensor(&b, name, t->type, t->n_dims, t->ne, t->data);
    }
    gb_write(&b, to);
    gb_free(&b);
    free(piece);
    gguf_close(g);
}
