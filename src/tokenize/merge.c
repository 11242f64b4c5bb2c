/* Owns the merging of neighbours, for both kinds of vocabulary: BPE takes the pair of the lowest rank, SPM the pair
 * whose piece has the highest score; among equals the leftmost.
 *
 * In: a word, or a stretch of text. Out: ids. A heap of pairs over a linked list: n log n steps, whatever the text.
 * SRC: Sennrich et al. 2016, section 3.2; Kudo & Richardson 2018 (SentencePiece).  Read next: tokenizer.c. */
#include <stdlib.h>

#include "base/utf8.h"
#include "tokenize/tok_priv.h"

/* Puts the pair that begins with symbol l on the heap, if it may become one. */
static int offer(struct enc *e, const char *text, uint32_t l)
{
    const struct tokenizer *t = e->t;
    const uint32_t r = l == TOK_NONE ? TOK_NONE : e->sym[l].next;
    if (r == TOK_NONE)
        return OTR_OK;
    const struct sym *a = &e->sym[l], *b = &e->sym[r];
    struct item it = {.at = l, .n = a->n + b->n};
    if (t->kind == TOK_BPE) {
        const struct pair *p = a->id < 0 || b->id < 0 ? NULL : vocab_pair(t, a->id, b->id);
        if (!p)
            return OTR_OK;
        it.prio = p->rank;
        it.id = p->id;
    } else {
        it.id = vocab_find(t, text + a->at, it.n);
        if (it.id < 0 || !tok_is_plain(t, it.id))
            return OTR_OK;
        it.prio = t->prio[it.id];
    }
    return heap_push(&e->heap, it);
}

/* One symbol a byte (BPE) or a character (SPM), linked. Returns how many. */
static uint32_t cut_symbols(struct enc *e, const char *text, size_t n)
{
    uint32_t k = 0, cp;
    for (size_t at = 0; at < n; k++) {
        const size_t len = e->t->kind == TOK_BPE ? 1 : utf8_char(text + at, n - at, &cp);
        e->sym[k] = (struct sym){(uint32_t)at, (uint32_t)len, k ? k - 1 : TOK_NONE, k + 1, -1};
        if (e->t->kind == TOK_BPE)
            e->sym[k].id = e->t->byte_id[(unsigned char)text[at]];
        at += len;
    }
    e->sym[0].prev = e->sym[k - 1].next = TOK_NONE;
    return k;
}

/* A symbol that nothing was merged into: a piece of its own, else its bytes, else the unknown token, else nothing. */
static int emit_alone(struct enc *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    const int32_t id = t->kind == TOK_SPM ? vocab_find(t, p, n) : -1;
    if (id >= 0 && tok_is_plain(t, id))
        return ids_push(e->out, id);
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all = all && t->byte_id[(unsigned char)p[i]] >= 0;
    if (!all && t->kind == TOK_SPM && t->unk >= 0)
        return ids_push(e->out, t->unk);
    for (size_t i = 0; i < n; i++) {
        const int32_t b = t->byte_id[(unsigned char)p[i]];
        if (b < 0)
            e->n_dropped++;
        else if (ids_push(e->out, b) < 0)
            return OTR_E_NOMEM;
    }
    return OTR_OK;
}

static int run(struct enc *e, const char *text, size_t n)
{
    int rc = OTR_OK;
    const uint32_t k = cut_symbols(e, text, n);
    e->heap.n = 0;
    for (uint32_t i = 0; i < k && rc == OTR_OK; i++)
        rc = offer(e, text, i);
    while (e->heap.n > 0 && rc == OTR_OK) {
        const struct item it = heap_pop(&e->heap);
        struct sym *a = &e->sym[it.at];
        /* WHY this is enough: symbols only grow, so the same first symbol and the same length is the same pair */
        if (a->n == 0 || a->next == TOK_NONE || a->n + e->sym[a->next].n != it.n)
            continue;
        struct sym *b = &e->sym[a->next];
        a->n = it.n;
        a->id = it.id;
        b->n = 0;
        a->next = b->next;
        if (a->next != TOK_NONE)
            e->sym[a->next].prev = it.at;
        rc = offer(e, text, a->prev);
        if (rc == OTR_OK)
            rc = offer(e, text, it.at);
    }
    for (uint32_t i = 0; i != TOK_NONE && rc == OTR_OK; i = e->sym[i].next) {
        const struct sym *s = &e->sym[i];
        rc = s->id >= 0 ? ids_push(e->out, s->id) : emit_alone(e, text + s->at, s->n);
    }
    return rc;
}

int merge_text(struct enc *e, const char *text, size_t n)
{
    if (n == 0)
        return OTR_OK;
    if (n > e->cap_sym) {
        size_t cap = e->cap_sym ? e->cap_sym : 256;
        while (cap < n)
            cap *= 2;
        struct sym *sym = realloc(e->sym, size_mul(cap, sizeof *sym));
        if (!sym)
            return TOK_NOMEM(e->err, n);
        e->sym = sym;
        e->cap_sym = cap;
    }
    return run(e, text, n) < 0 ? TOK_NOMEM(e->err, n) : OTR_OK;
}
