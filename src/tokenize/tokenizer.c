/* Owns a tokenizer from open to close, and the way of a text through it: bad bytes become U+FFFD, special tokens are
 * cut out, the rest goes through words (BPE) or U+2581 for spaces (SPM) to the merges.
 *
 * In: a GGUF file; text. Out: ids, bytes of ids.  Read next: vocab.c, special.c, merge.c, detok.c. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenize/tok_priv.h"
#include "tokenize/utf8_bad.h"

/* ---- open, close ---- */

static int find_kind(const struct gguf *g, enum tok_kind *kind, struct otr_err *err)
{
    static const struct {
        const char *name, *what;
    } others[] = {{"bert", "WordPiece"},
                  {"t5", "Unigram"},
                  {"rwkv", "RWKV trie"},
                  {"plamo2", "PLaMo-2"},
                  {"gemma4", "BPE over raw UTF-8"},
                  {"none", "no vocabulary"},
                  {"no_vocab", "no vocabulary"}};
    struct gguf_str s;
    char quoted[40];
    const char *what = "unknown";
    const int rc = gguf_get_str(g, "tokenizer.ggml.model", &s, err);
    if (rc < 0)
        return rc;
    *kind = s.n == 5 && memcmp(s.p, "llama", 5) == 0 ? TOK_SPM : TOK_BPE;
    if (*kind == TOK_SPM || (s.n == 4 && memcmp(s.p, "gpt2", 4) == 0))
        return OTR_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strlen(others[i].name) == s.n && memcmp(others[i].name, s.p, s.n) == 0)
            what = others[i].what;
    return OTR_FAIL(err, UNSUPPORTED, "tokenizer '%s' (%s) is not supported: gpt2 (BPE) and llama (SPM) are",
                    err_quote(quoted, sizeof quoted, s.p, s.n), what);
}

static int open_pretok(struct tokenizer *t, const struct gguf *g, struct otr_err *err)
{
    struct otr_err e = {0};
    struct gguf_str pre = {"default", 7};
    const int rc = gguf_get_str(g, "tokenizer.ggml.pre", &pre, &e);
    if (rc < 0 && rc != OTR_E_MISSING) {
        if (err)
            *err = e;
        return rc;
    }
    return pretok_open(&t->pretok, pre.p, pre.n, err);
}

int tokenizer_open(struct tokenizer **out, const struct gguf *g, struct otr_err *err)
{
    int rc;
    enum tok_kind kind;
    if ((rc = find_kind(g, &kind, err)) < 0)
        return rc;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t || !(t->counts = calloc(1, sizeof *t->counts))) {
        rc = OTR_FAIL(err, NOMEM, "no memory for the tokenizer");
        goto fail;
    }
    t->kind = kind;
    if (kind == TOK_BPE && (rc = open_pretok(t, g, err)) < 0)
        goto fail;
    if ((rc = vocab_load(t, g, err)) < 0)
        goto fail;
    t->ignore_merges = kind == TOK_BPE && pretok_ignore_merges(t->pretok);
    *out = t;
    return OTR_OK;
fail:
    tokenizer_close(t);
    return rc;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    pretok_close(t->pretok);
    free(t->trie);
    free(t->arena);
    free(t->counts);
    free(t);
}

/* ---- encode ---- */

struct clean { /* text without bad bytes; owned only where some had to be replaced */
    const char *text;
    const unsigned char *lit;
    size_t n;
    char *owned;
};

static int clean_text(struct clean *c, const char *text, size_t n, const unsigned char *lit)
{
    size_t bad = 0, len;
    uint32_t cp;
    *c = (struct clean){text, lit, n, NULL};
    for (size_t at = 0; at < n; at += len)
        if (!(len = utf8_char(text + at, n - at, &cp))) {
            len = utf8_bad(text + at, n - at, NULL);
            bad++;
        }
    if (bad == 0)
        return OTR_OK;
    const size_t cap = n + 2 * bad; /* a bad stretch has a byte at least, U+FFFD three */
    if (!(c->owned = malloc(lit ? 2 * cap : cap)))
        return OTR_E_NOMEM;
    unsigned char *l = (unsigned char *)c->owned + cap;
    c->n = 0;
    for (size_t at = 0; at < n; at += len) {
        const char *p = text + at;
        size_t n_put = len = utf8_char(p, n - at, &cp);
        if (len == 0) {
            len = utf8_bad(p, n - at, NULL);
            p = UTF8_REPLACEMENT;
            n_put = 3;
        }
        memcpy(c->owned + c->n, p, n_put);
        for (size_t i = 0; lit && i < n_put; i++)
            l[c->n + i] = lit[at];
        c->n += n_put;
    }
    c->text = c->owned;
    c->lit = lit ? l : NULL;
    return OTR_OK;
}

static int encode_word(struct enc *e, const char *word, size_t n)
{
    const struct tokenizer *t = e->t;
    if (t->ignore_merges && n > 1 && n <= t->max_raw) {
        if (n * 2 > e->cap_buf) {
            char *buf = realloc(e->buf, n * 2);
            if (!buf)
                return TOK_NOMEM(e->err, n);
            e->buf = buf;
            e->cap_buf = n * 2;
        }
        size_t k = 0;
        for (size_t i = 0; i < n; i++)
            k += bpe_alphabet((unsigned char)word[i], e->buf + k);
        const int32_t id = vocab_find(t, e->buf, k);
        if (id >= 0 && tok_is_plain(t, id))
            return ids_push(e->out, id) < 0 ? TOK_NOMEM(e->err, n) : OTR_OK;
    }
    return merge_text(e, word, n);
}

static int encode_bpe(struct enc *e, const char *text, size_t n)
{
    int rc = pretok_split(e->t->pretok, text, n, &e->words, e->err);
    for (size_t k = 0, from = 0; k < e->words.n && rc == OTR_OK; from = e->words.end[k++])
        rc = encode_word(e, text + from, e->words.end[k] - from);
    return rc;
}

/* prefix: 0 or 1 spaces to put in front. */
static int encode_spm(struct enc *e, const char *text, size_t n, size_t prefix)
{
    size_t need = n + 3 * prefix, k = 0;
    for (size_t i = 0; i < n; i++)
        need += text[i] == ' ' ? 2 : 0;
    char *buf = malloc(need);
    if (!buf)
        return TOK_NOMEM(e->err, n);
    for (size_t i = 0; i < n + prefix; i++) /* with a prefix the first is a space that the text does not have */
        if (i < prefix || text[i - prefix] == ' ') {
            memcpy(buf + k, "\xe2\x96\x81", 3);
            k += 3;
        } else {
            buf[k++] = text[i - prefix];
        }
    const int rc = merge_text(e, buf, k);
    free(buf);
    return rc;
}

/* Text between cuts. start: nothing, or a special token, stands in front of it. */
static int encode_part(struct enc *e, const char *text, size_t n, bool start)
{
    const struct tokenizer *t = e->t;
    if (n == 0)
        return OTR_OK;
    if (t->kind == TOK_BPE)
        return encode_bpe(e, text, n);
    return encode_spm(e, text, n, t->add_space_prefix && start);
}

static int encode_all(struct enc *e, const struct clean *c, const struct cuts *cuts, unsigned flags)
{
    const bool special = flags & TOK_ADD_SPECIAL;
    int rc = special && e->t->add_bos ? ids_push(e->out, e->t->bos) : OTR_OK;
    bool start = !(flags & TOK_CONTINUE);
    size_t from = 0;
    for (size_t i = 0; i < cuts->n && rc == OTR_OK; i++) {
        const struct cut *k = &cuts->v[i];
        if ((rc = encode_part(e, c->text + from, k->at - from, start)) < 0)
            return rc;
        rc = ids_push(e->out, k->id);
        start = tokenizer_is_special(e->t, k->id);
        from = (size_t)k->at + k->n;
    }
    if (rc == OTR_OK && (rc = encode_part(e, c->text + from, c->n - from, start)) < 0)
        return rc;
    if (rc == OTR_OK && special && e->t->add_eos)
        rc = ids_push(e->out, e->t->eos);
    return rc < 0 ? TOK_NOMEM(e->err, c->n) : OTR_OK;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags,
                     const unsigned char *literal, struct ids *out, struct otr_err *err)
{
    const size_t before = out->n;
    struct enc e = {.t = t, .out = out, .err = err};
    struct clean c = {0};
    struct cuts cuts = {0};
    if (n > TOK_TEXT_MAX)
        return OTR_FAIL(err, LIMIT, "a text of %zu bytes is over the limit of %d", n, TOK_TEXT_MAX);
    int rc = clean_text(&c, text, n, literal);
    if (rc < 0)
        rc = TOK_NOMEM(err, n);
    if (rc == OTR_OK)
        rc = special_find(t, c.text, c.n, flags & TOK_PARSE_SPECIAL, c.lit, &e.heap, &cuts, err);
    if (rc == OTR_OK)
        rc = encode_all(&e, &c, &cuts, flags);
    if (rc < 0)
        out->n = before;
    else
        atomic_fetch_add_explicit(&t->counts->dropped, e.n_dropped, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->counts->steps, e.heap.steps, memory_order_relaxed);
    free(c.owned);
    free(cuts.v);
    free(e.sym);
    free(e.heap.v);
    free(e.buf);
    words_fini(&e.words);
    return rc;
}

/* ---- what it knows ---- */

size_t tokenizer_n_dropped(const struct tokenizer *t)
{
    return atomic_load_explicit(&t->counts->dropped, memory_order_relaxed);
}

size_t tokenizer_n_steps(const struct tokenizer *t)
{
    return atomic_load_explicit(&t->counts->steps, memory_order_relaxed);
}

int tokenizer_n_vocab(const struct tokenizer *t)
{
    return (int)t->n_vocab;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_add_bos(const struct tokenizer *t)
{
    return t->add_bos;
}

bool tokenizer_adds_space(const struct tokenizer *t)
{
    return t->add_space_prefix;
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id)
{
    return t->attr[id] & TOK_END;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    const unsigned type = t->attr[id] & TOK_TYPE;
    return type == TOK_CONTROL || type == TOK_UNKNOWN;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *piece, size_t n)
{
    return vocab_find(t, piece, n);
}

const char *tokenizer_bytes(const struct tokenizer *t, int32_t id, bool special, size_t *n)
{
    const struct piece *p = &t->piece[id];
    const unsigned type = t->attr[id] & TOK_TYPE;
    if (special && type != TOK_NORMAL && type != TOK_BYTE) {
        *n = p->n_raw;
        return t->bytes + p->raw;
    }
    *n = type == TOK_NORMAL || type == TOK_USER || type == TOK_BYTE ? p->n_text : 0;
    return t->bytes + p->text;
}
