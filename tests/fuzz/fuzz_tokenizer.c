/* Fuzzes the tokenizer. Input with the line MARK in it: a GGUF file, MARK, a text; else a text for two vocabularies
 * made here (SPM with every byte, byte-level BPE), for which decode of encode must give the text back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tokenize/tok_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MARK "\n==text==\n"
#define NEED(ok)                                                                                                       \
    do                                                                                                                 \
        if (!(ok))                                                                                                     \
            abort();                                                                                                   \
    while (0)

/* ---- vocabularies made here ---- */

struct file {
    unsigned char b[32768];
    size_t n;
    uint64_t n_kv;
};

static void put(struct file *f, const void *p, size_t n)
{
    NEED(n <= sizeof f->b - f->n);
    memcpy(f->b + f->n, p, n);
    f->n += n;
}

static void put_u(struct file *f, uint64_t v, size_t n)
{
    put(f, &v, n);
}

static void put_str(struct file *f, const char *s)
{
    put_u(f, strlen(s), 8);
    put(f, s, strlen(s));
}

static void key(struct file *f, const char *name, uint32_t type)
{
    f->n_kv++;
    put_str(f, name);
    put_u(f, type, 4);
}

static void key_str(struct file *f, const char *name, const char *v)
{
    key(f, name, GGUF_STR);
    put_str(f, v);
}

static void key_arr(struct file *f, const char *name, uint32_t type, uint64_t n)
{
    key(f, name, GGUF_ARR);
    put_u(f, type, 4);
    put_u(f, n, 8);
}

/* Open a file in memory; NULL where it is refused (with a proper sentence). */
static struct tokenizer *open_bytes(const unsigned char *p, size_t n)
{
    static int fd = -1;
    char path[64];
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct otr_err err = {0};
    if (fd < 0)
        fd = memfd_create("fuzz_tokenizer", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    NEED(ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)n) == 0 && pwrite(fd, p, n, 0) == (ssize_t)n);
    int rc = gguf_open(&g, path, &err);
    if (rc == OTR_OK)
        rc = tokenizer_open(&t, g, &err);
    NEED(rc == OTR_OK ? t != NULL : !t && err.code == rc && err.msg[0] && !strchr(err.msg, '\n'));
    gguf_close(g);
    return t;
}

/* Pieces: the specials, every byte, then these. */
static const char *const specials[] = {"<unk>", "<s>", "<|im_end|>", "  ", "\n\n", "<tag>"};
static const int32_t special_types[] = {TOK_UNKNOWN, TOK_CONTROL, TOK_CONTROL, TOK_USER, TOK_USER, TOK_USER};
/* the fourth is U+2581 and an a */
static const char *const spm_rest[] = {"\xe2\x96\x81", "a", "b", "\xe2\x96\x81\141", "ab", "aa", "aaaa", "é", "<s", ">",
                                       "<|",           "im"};
static const char *const bpe_rest[] = {"ab", "aa", "aaaa", "Ġa", "<s", "<s>", "im", "Ã©", "12"};
static const char *const merges[] = {"a b", "a a", "aa aa", "Ġ a", "< s", "<s >", "i m", "Ã ©", "1 2"};
enum { N_SPECIAL = 6, N_SPM = 12, N_BPE = 9 };

static struct tokenizer *make(bool spm)
{
    static struct file body, whole;
    const size_t n_rest = spm ? N_SPM : N_BPE, n = N_SPECIAL + 256 + n_rest;
    memset(&body, 0, sizeof body);
    memset(&whole, 0, sizeof whole);
    key_str(&body, "general.architecture", "llama");
    key_str(&body, "tokenizer.ggml.model", spm ? "llama" : "gpt2");
    key_str(&body, "tokenizer.ggml.pre", "smollm");
    key_arr(&body, "tokenizer.ggml.tokens", GGUF_STR, n);
    for (size_t i = 0; i < n; i++) {
        char name[8] = "";
        const char *piece = name;
        const size_t byte = i - N_SPECIAL;
        if (i < N_SPECIAL)
            piece = specials[i];
        else if (byte >= 256)
            piece = spm ? spm_rest[byte - 256] : bpe_rest[byte - 256];
        else if (spm)
            snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        else
            name[bpe_alphabet((unsigned char)byte, name)] = 0;
        put_str(&body, piece);
    }
    key_arr(&body, "tokenizer.ggml.token_type", GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        put_u(&body,
              i < N_SPECIAL                ? (uint64_t)special_types[i]
              : spm && i < N_SPECIAL + 256 ? TOK_BYTE
                                           : TOK_NORMAL,
              4);
    key_arr(&body, "tokenizer.ggml.scores", GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        put(&body, &(float){-(float)i}, 4);
    key_arr(&body, "tokenizer.ggml.merges", GGUF_STR, N_BPE);
    for (size_t i = 0; i < N_BPE; i++)
        put_str(&body, merges[i]);
    key(&body, "tokenizer.ggml.add_space_prefix", GGUF_BOOL);
    put_u(&body, 0, 1);
    put(&whole, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    put_u(&whole, body.n_kv, 8);
    put(&whole, body.b, body.n);
    return open_bytes(whole.b, whole.n);
}

/* ---- checks ---- */

/* The text of ids into a new buffer. */
static char *decode(const struct tokenizer *t, const struct ids *l, size_t *n)
{
    struct detok d;
    const size_t cap = detok_max(t);
    char *out = malloc((l->n + 1) * cap);
    NEED(out);
    *n = 0;
    detok_init(&d, t, false, true);
    for (size_t i = 0; i < l->n; i++) {
        NEED(l->v[i] >= 0 && l->v[i] < tokenizer_n_vocab(t));
        *n += detok_push(&d, l->v[i], out + *n, cap);
    }
    *n += detok_flush(&d, out + *n, cap);
    return out;
}

static void encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags, const unsigned char *lit,
                   struct ids *l)
{
    struct otr_err err = {0};
    *l = (struct ids){0};
    NEED(tokenizer_encode(t, text, n, flags, lit, l, &err) == OTR_OK);
}

static bool same(const struct ids *a, const struct ids *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof *a->v) == 0);
}

/* bytes: the first of 256 tokens that are the bytes, in their order; then the text comes back. -1: not known. */
static void check(const struct tokenizer *t, const char *text, size_t n, int32_t bytes)
{
    struct ids plain, marked, special;
    unsigned char *lit = malloc(n + 1);
    size_t n_out;
    NEED(lit);
    memset(lit, 1, n + 1);
    encode(t, text, n, 0, NULL, &plain);
    encode(t, text, n, TOK_PARSE_SPECIAL, lit, &marked);
    NEED(same(&plain, &marked)); /* no special token over what a user wrote */
    for (size_t i = 0; i < plain.n; i++)
        NEED(bytes < 0 || !tokenizer_is_special(t, plain.v[i]));
    for (size_t i = 0; i < n; i++)
        lit[i] = (unsigned char)(text[i] & 1);
    encode(t, text, n, TOK_PARSE_SPECIAL | TOK_ADD_SPECIAL, lit, &special);
    char *out = decode(t, &plain, &n_out), *spelled = decode(t, &special, &(size_t){0});
    if (bytes >= 0 && !memmem(text, n, "\xe2\x96\x81", 3)) { /* U+2581 comes back as a space */
        struct ids single = {0};
        size_t n_want;
        for (size_t i = 0; i < n; i++)
            NEED(ids_push(&single, bytes + (unsigned char)text[i]) == OTR_OK);
        char *want = decode(t, &single, &n_want); /* bad bytes meet the stream here, and the encoder above */
        NEED(n_out == n_want && memcmp(out, want, n_out) == 0);
        ids_free(&single);
        free(want);
    }
    ids_free(&plain);
    ids_free(&marked);
    ids_free(&special);
    free(out);
    free(spelled);
    free(lit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *made[2];
    const uint8_t *mark = memmem(data, size, MARK, strlen(MARK));
    if (mark) {
        struct tokenizer *t = open_bytes(data, (size_t)(mark - data));
        const uint8_t *text = mark + strlen(MARK);
        if (t)
            check(t, (const char *)text, size - (size_t)(text - data), -1);
        tokenizer_close(t);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        if (!made[i])
            NEED(made[i] = make(i == 0));
        check(made[i], (const char *)data, size, N_SPECIAL);
    }
    return 0;
}
