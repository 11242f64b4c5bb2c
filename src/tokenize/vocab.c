/* Owns the loading of a vocabulary: pieces, types, scores, merges, special ids, each checked once; and its two hashes.
 *
 * In: the tokenizer.ggml.* keys. Out: the arrays of struct tokenizer in one arena. INV: every id in them is below
 * n_vocab, every piece lies inside `bytes`. Of two equal pieces the last one is found.  Read next: special.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/utf8.h"
#include "tokenize/tok_priv.h"

struct load {
    const struct gguf *g;
    struct otr_err *err;
    struct gguf_arr tokens, types, scores, merges; /* n = 0: not in the file */
    struct gguf_str *strs;                         /* [tokens.n], later [merges.n] */
    size_t n_raw;                                  /* bytes of all pieces */
    char shown[104];
};

#define BAD(l, name, fmt, ...) OTR_FAIL((l)->err, name, "cannot use vocabulary (%s): " fmt, (l)->shown, ##__VA_ARGS__)

/* ---- hashes: open addressing, linear probing, at most half full ---- */

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_bytes(const uint64_t key[2], const char *p, size_t n)
{
    uint64_t h = key[0] ^ n, w;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = fold(h ^ w, key[1]);
    }
    w = 0;
    memcpy(&w, p, n);
    return fold(fold(h ^ w, key[1]), 0x9e3779b97f4a7c15u);
}

/* The slot of this piece, or the empty one where it belongs. */
static size_t slot_of(const struct tokenizer *t, const char *p, size_t n, uint32_t *tag)
{
    const uint64_t h = hash_bytes(t->key, p, n);
    *tag = (uint32_t)(h >> 32);
    for (size_t i = h & t->slot_mask;; i = (i + 1) & t->slot_mask) {
        const struct slot s = t->slot[i];
        if (s.id1 == 0)
            return i;
        const struct piece *pc = &t->piece[s.id1 - 1];
        if (s.tag == *tag && pc->n_raw == n && memcmp(t->bytes + pc->raw, p, n) == 0)
            return i;
    }
}

int32_t vocab_find(const struct tokenizer *t, const char *p, size_t n)
{
    uint32_t tag;
    return n == 0 || n > t->max_raw ? -1 : (int32_t)t->slot[slot_of(t, p, n, &tag)].id1 - 1;
}

static size_t pair_slot(const struct tokenizer *t, uint64_t key1)
{
    size_t i = fold(key1 ^ t->key[0], t->key[1]) & t->pair_mask;
    while (t->pair[i].key1 != 0 && t->pair[i].key1 != key1)
        i = (i + 1) & t->pair_mask;
    return i;
}

static uint64_t pair_key1(int32_t left, int32_t right)
{
    return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1;
}

const struct pair *vocab_pair(const struct tokenizer *t, int32_t left, int32_t right)
{
    const struct pair *p = &t->pair[pair_slot(t, pair_key1(left, right))];
    return p->key1 ? p : NULL;
}

/* WHY a key of this process: no file can be made whose pieces all collide. */
static void choose_key(struct tokenizer *t)
{
    const void *random = (const void *)getauxval(AT_RANDOM); /* 16 random bytes that the kernel gives each process */
    if (random)
        memcpy(t->key, random, sizeof t->key);
    t->key[1] |= 1;
}

/* ---- the arrays of the file ---- */

/* An optional array: *out keeps n = 0 where the file has none. */
static int get_array(struct load *l, const char *key, enum gguf_type type, struct gguf_arr *out, bool needed)
{
    struct otr_err e = {0};
    const int rc = gguf_get_arr(l->g, key, type, out, &e);
    if (rc == OTR_E_MISSING && !needed)
        return OTR_OK;
    if (rc < 0 && l->err)
        *l->err = e;
    return rc;
}

static int get_arrays(struct load *l, enum tok_kind kind)
{
    int rc;
    if ((rc = get_array(l, "tokenizer.ggml.tokens", GGUF_STR, &l->tokens, true)) < 0 ||
        (rc = get_array(l, "tokenizer.ggml.token_type", GGUF_I32, &l->types, false)) < 0 ||
        (rc = get_array(l, "tokenizer.ggml.scores", GGUF_F32, &l->scores, kind == TOK_SPM)) < 0 ||
        (rc = get_array(l, "tokenizer.ggml.merges", GGUF_STR, &l->merges, kind == TOK_BPE)) < 0)
        return rc;
    const size_t n = l->tokens.n;
    if (n == 0 || n > TOK_VOCAB_MAX)
        return BAD(l, FORMAT, "tokenizer.ggml.tokens has %zu pieces, expected 1 to %d", n, TOK_VOCAB_MAX);
    if (l->types.data && l->types.n != n)
        return BAD(l, FORMAT, "tokenizer.ggml.token_type has %zu elements for %zu tokens", l->types.n, n);
    if (kind == TOK_SPM && l->scores.n != n)
        return BAD(l, FORMAT, "tokenizer.ggml.scores has %zu elements for %zu tokens", l->scores.n, n);
    const size_t n_strs = n > l->merges.n ? n : l->merges.n;
    if (!(l->strs = malloc(size_mul(n_strs, sizeof *l->strs))))
        return BAD(l, NOMEM, "no memory for %zu strings", n_strs);
    gguf_arr_strings(&l->tokens, l->strs);
    for (size_t i = 0; i < n; i++) {
        if (l->strs[i].n > TOK_PIECE_MAX || l->n_raw > TOK_BYTES_MAX)
            return BAD(l, LIMIT, "token %zu has %zu bytes (at most %d each, %d in all)", i, l->strs[i].n, TOK_PIECE_MAX,
                       TOK_BYTES_MAX);
        l->n_raw += l->strs[i].n;
    }
    return OTR_OK;
}

static size_t pow2_over(size_t n)
{
    size_t p = 2;
    while (p < n)
        p *= 2;
    return p;
}

/* Gives the arrays their places; on a NULL base only counts. */
static void carve(struct tokenizer *t, const struct load *l, struct arena *a)
{
    const size_t n = t->n_vocab;
    t->slot_mask = pow2_over(2 * n) - 1;
    t->pair_mask = t->kind == TOK_BPE ? pow2_over(2 * l->merges.n) - 1 : 0;
    t->piece = arena_take(a, n * sizeof *t->piece);
    t->attr = arena_take(a, n);
    t->prio = arena_take(a, t->kind == TOK_SPM ? n * sizeof *t->prio : 0);
    t->slot = arena_take(a, (t->slot_mask + 1) * sizeof *t->slot);
    t->pair = arena_take(a, size_mul(t->pair_mask + 1, sizeof *t->pair));
    t->bytes = arena_take(a, 2 * l->n_raw); /* as spelled, and as they read: never longer */
}

static int make_room(struct tokenizer *t, struct load *l)
{
    struct arena a = {.cap = SIZE_MAX};
    t->n_vocab = l->tokens.n;
    carve(t, l, &a);
    const size_t need = a.used;
    if (posix_memalign(&t->arena, 64, need) != 0) {
        t->arena = NULL;
        return BAD(l, NOMEM, "no memory for %zu tokens (%zu bytes)", t->n_vocab, need);
    }
    memset(t->arena, 0, need);
    a = (struct arena){.base = t->arena, .cap = need};
    carve(t, l, &a);
    return OTR_OK;
}

/* ---- pieces ---- */

static bool prints_itself(uint32_t c)
{
    return (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xff && c != 0xad);
}

/* SRC: GPT-2's bytes_to_unicode: bytes that do not print stand at U+0100 and on, in their order. */
size_t bpe_alphabet(unsigned char b, char out[2])
{
    const uint32_t cp = prints_itself(b) ? b : 256u + (b <= 0x20 ? b : b == 0xad ? 67u : b - 0x7fu + 33u);
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    out[0] = (char)(0xc0 | cp >> 6);
    out[1] = (char)(0x80 | (cp & 0x3f));
    return 2;
}

static int alphabet_byte(uint32_t cp)
{
    if (cp < 256)
        return prints_itself(cp) ? (int)cp : -1;
    const uint32_t k = cp - 256;
    return k < 33 ? (int)k : k < 67 ? (int)(k - 33 + 0x7f) : k == 67 ? 0xad : -1;
}

/* A byte-level piece as bytes into dst; 0 where a character is not of the alphabet. */
static size_t decode_bpe(const char *p, size_t n, char *dst)
{
    size_t k = 0;
    uint32_t cp;
    for (size_t at = 0, len; at < n; at += len) {
        len = utf8_char(p + at, n - at, &cp);
        const int b = len ? alphabet_byte(cp) : -1;
        if (b < 0)
            return 0;
        dst[k++] = (char)b;
    }
    return k;
}

static size_t decode_spm(const char *p, size_t n, char *dst)
{
    size_t k = 0;
    for (size_t at = 0; at < n; at++) {
        const bool space = n - at >= 3 && memcmp(p + at, "\xe2\x96\x81", 3) == 0;
        dst[k++] = space ? ' ' : p[at];
        at += space ? 2 : 0;
    }
    return k;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "<0x0A>" names, or -1. */
static int byte_token(const char *p, size_t n)
{
    if (n != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>')
        return -1;
    const int hi = hex_digit(p[3]), lo = hex_digit(p[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

/* Fills piece i; *used counts the bytes taken. */
static int load_piece(struct tokenizer *t, struct load *l, size_t i, size_t *used)
{
    struct piece *p = &t->piece[i];
    const struct gguf_str s = l->strs[i];
    const int32_t type = l->types.data ? gguf_arr_i32(&l->types, i) : TOK_NORMAL;
    if (type < TOK_UNDEFINED || type > TOK_BYTE)
        return BAD(l, FORMAT, "token %zu has the type %d, expected 0 to 6", i, type);
    t->attr[i] = (unsigned char)type;
    char *raw = t->bytes + *used, *text = raw + s.n;
    size_t n_text = 0;
    memcpy(raw, s.p, s.n);
    if (type == TOK_BYTE) {
        const int b = byte_token(s.p, s.n);
        char quoted[40];
        if (b < 0)
            return BAD(l, FORMAT, "token %zu is a byte token, but its piece '%s' is not one of <0x00> to <0xFF>", i,
                       err_quote(quoted, sizeof quoted, s.p, s.n));
        text[0] = (char)b;
        n_text = 1;
        t->byte_id[b] = (int32_t)i;
    } else if (type == TOK_NORMAL) {
        n_text = t->kind == TOK_SPM ? decode_spm(raw, s.n, text) : decode_bpe(raw, s.n, text);
    }
    *p = (struct piece){(uint32_t)*used, (uint32_t)s.n, (uint32_t)(*used + s.n), (uint32_t)n_text};
    *used += s.n + n_text;
    if (n_text == 0 || (n_text == s.n && memcmp(raw, text, s.n) == 0)) { /* it reads as it is spelled */
        p->text = p->raw;
        p->n_text = p->n_raw;
        *used -= n_text;
    }
    t->max_raw = s.n > t->max_raw ? s.n : t->max_raw;
    t->max_text = p->n_text > t->max_text ? p->n_text : t->max_text;
    return OTR_OK;
}

/* Floats to numbers in the contrary order: the highest score is the lowest number. */
static uint32_t prio_of(float score)
{
    uint32_t u;
    score += 0.0f; /* WHY: -0 and 0 are equal */
    memcpy(&u, &score, sizeof u);
    return u & 0x80000000u ? u : 0x7fffffffu - u;
}

static int load_pieces(struct tokenizer *t, struct load *l)
{
    size_t used = 0;
    uint32_t tag;
    memset(t->byte_id, 0xff, sizeof t->byte_id); /* all -1 */
    for (size_t i = 0; i < t->n_vocab; i++) {
        const int rc = load_piece(t, l, i, &used);
        if (rc < 0)
            return rc;
        if (t->kind == TOK_SPM) {
            const float score = gguf_arr_f32(&l->scores, i);
            if (isnan(score))
                return BAD(l, FORMAT, "the score of token %zu is not a number", i);
            t->prio[i] = prio_of(score);
        }
        if (t->piece[i].n_raw == 0)
            continue; /* it has an id, and no text leads to it */
        struct slot *s = &t->slot[slot_of(t, t->bytes + t->piece[i].raw, t->piece[i].n_raw, &tag)];
        *s = (struct slot){tag, (uint32_t)i + 1};
    }
    for (int b = 0; b < 256 && t->kind == TOK_BPE; b++) {
        char c[2];
        const int32_t id = vocab_find(t, c, bpe_alphabet((unsigned char)b, c));
        if (id >= 0 && (t->attr[id] & TOK_TYPE) == TOK_NORMAL)
            t->byte_id[b] = id;
    }
    return OTR_OK;
}

/* ---- merges ---- */

static int no_such_piece(struct load *l, size_t i)
{
    char quoted[64];
    return BAD(l, FORMAT, "merge %zu, '%s', names or makes a piece that is not in the vocabulary", i,
               err_quote(quoted, sizeof quoted, l->strs[i].p, l->strs[i].n));
}

static int load_merge(struct tokenizer *t, struct load *l, size_t i, char *joined)
{
    const struct gguf_str s = l->strs[i];
    const char *gap = s.n > 2 ? memchr(s.p + 1, ' ', s.n - 2) : NULL; /* a piece has a byte at least */
    if (!gap || s.n - 1 > t->max_raw)
        return no_such_piece(l, i);
    const size_t n = (size_t)(gap - s.p);
    memcpy(joined, s.p, n);
    memcpy(joined + n, gap + 1, s.n - n - 1);
    const int32_t left = vocab_find(t, s.p, n), right = vocab_find(t, gap + 1, s.n - n - 1),
                  id = vocab_find(t, joined, s.n - 1);
    if (left < 0 || right < 0 || id < 0)
        return no_such_piece(l, i);
    const uint64_t key1 = pair_key1(left, right);
    struct pair *p = &t->pair[pair_slot(t, key1)];
    if (p->key1 == 0 && tok_is_plain(t, id)) /* the first of equals counts; no merge makes a special token */
        *p = (struct pair){key1, (uint32_t)i, id};
    return OTR_OK;
}

static int load_merges(struct tokenizer *t, struct load *l)
{
    int rc = OTR_OK;
    if (l->merges.n > TOK_VOCAB_MAX)
        return BAD(l, LIMIT, "%zu merges (at most %d)", l->merges.n, TOK_VOCAB_MAX);
    char *joined = malloc(t->max_raw + 1);
    if (!joined)
        return BAD(l, NOMEM, "no memory for the merges");
    gguf_arr_strings(&l->merges, l->strs);
    for (size_t i = 0; i < l->merges.n && rc == OTR_OK; i++)
        rc = load_merge(t, l, i, joined);
    free(joined);
    return rc;
}

/* ---- special ids ---- */

/* An optional key: *v keeps its value where the file has none. */
static int get_id(struct load *l, const char *key, size_t n_vocab, int32_t *v)
{
    struct otr_err e = {0};
    int64_t id;
    const int rc = gguf_get_int(l->g, key, 0, (int64_t)n_vocab - 1, &id, &e);
    if (rc == OTR_OK)
        *v = (int32_t)id;
    if (rc < 0 && rc != OTR_E_MISSING && l->err)
        *l->err = e;
    return rc == OTR_E_MISSING ? OTR_OK : rc;
}

static int get_flag(struct load *l, const char *key, bool *v)
{
    struct otr_err e = {0};
    const int rc = gguf_get_bool(l->g, key, v, &e);
    if (rc < 0 && rc != OTR_E_MISSING && l->err)
        *l->err = e;
    return rc == OTR_E_MISSING ? OTR_OK : rc;
}

/* WHY it becomes a control token whatever its type: text must not be able to spell the end of a turn. */
static void make_end(struct tokenizer *t, int32_t id)
{
    if (id >= 0)
        t->attr[id] = TOK_CONTROL | TOK_END;
}

/* names: words. any: whatever its type in the file. */
static void make_ends(struct tokenizer *t, const char *names, bool any)
{
    for (size_t n; (n = strcspn(names, " ")) > 0; names += n + (names[n] == ' ')) {
        const int32_t id = vocab_find(t, names, n);
        if (id >= 0 && (any || (t->attr[id] & TOK_TYPE) == TOK_CONTROL))
            make_end(t, id);
    }
}

static void find_ends(struct tokenizer *t)
{
    make_ends(t,
              "<|im_end|> <|eot_id|> <|eom_id|> <|eot|> <|end|> <|return|> <|call|> <|endoftext|> <|end_of_text|> "
              "<|end_of_turn|> <end_of_turn> <turn|> <end_of_utterance> <｜end▁of▁sentence｜>",
              true);
    make_ends(t, "<EOT> _<EOT> [EOT] [EOS]", false); /* these may be plain text */
}

static int load_specials(struct tokenizer *t, struct load *l)
{
    int rc;
    const size_t n = t->n_vocab;
    int32_t eot = -1, eom = -1;
    t->bos = t->eos = t->unk = -1;
    t->add_bos = t->kind == TOK_SPM || pretok_add_bos(t->pretok);
    t->add_space_prefix = t->kind == TOK_SPM;
    if ((rc = get_id(l, "tokenizer.ggml.bos_token_id", n, &t->bos)) < 0 ||
        (rc = get_id(l, "tokenizer.ggml.eos_token_id", n, &t->eos)) < 0 ||
        (rc = get_id(l, "tokenizer.ggml.eot_token_id", n, &eot)) < 0 ||
        (rc = get_id(l, "tokenizer.ggml.eom_token_id", n, &eom)) < 0 ||
        (rc = get_id(l, "tokenizer.ggml.unknown_token_id", n, &t->unk)) < 0 ||
        (rc = get_flag(l, "tokenizer.ggml.add_bos_token", &t->add_bos)) < 0 ||
        (rc = get_flag(l, "tokenizer.ggml.add_eos_token", &t->add_eos)) < 0 ||
        (rc = get_flag(l, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix)) < 0)
        return rc;
    t->add_bos = t->add_bos && t->bos >= 0;
    t->add_eos = t->add_eos && t->eos >= 0;
    t->add_space_prefix = t->add_space_prefix && t->kind == TOK_SPM;
    if (t->bos >= 0)
        t->attr[t->bos] = TOK_CONTROL;
    make_end(t, t->eos);
    make_end(t, eot);
    make_end(t, eom);
    find_ends(t);
    return trie_build(t) < 0 ? BAD(l, NOMEM, "no memory for its special tokens") : OTR_OK;
}

int vocab_load(struct tokenizer *t, const struct gguf *g, struct otr_err *err)
{
    struct load l = {.g = g, .err = err};
    const char *path = gguf_path(g);
    int rc;
    err_quote(l.shown, sizeof l.shown, path, strlen(path));
    choose_key(t);
    if ((rc = get_arrays(&l, t->kind)) == OTR_OK && (rc = make_room(t, &l)) == OTR_OK &&
        (rc = load_pieces(t, &l)) == OTR_OK && (rc = load_specials(t, &l)) == OTR_OK && t->kind == TOK_BPE)
        rc = load_merges(t, &l);
    free(l.strs);
    return rc;
}
