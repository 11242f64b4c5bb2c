/* Owns what each parse and each render has: memory that is freed at once, the budget, the first error, and the building
 * of strings. In: sizes. Out: memory, or a sticky error in the run. Read next: tmpl_lex.c. */
#include "template/tmpl_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- memory ---- */

struct tmem_block {
    struct tmem_block *below;
    size_t used, cap;
    _Alignas(16) char data[];
};

void *tmem_take(struct tmem *m, size_t bytes)
{
    enum { FIRST = 4 << 10, LARGEST = 256 << 10 };
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    struct tmem_block *b = m->top;
    if (!b || bytes > b->cap - b->used) {
        size_t cap = !b ? FIRST : b->cap < LARGEST ? 2 * b->cap : LARGEST;
        if (cap < bytes)
            cap = bytes;
        if (!(b = malloc(sizeof *b + cap)))
            return NULL;
        *b = (struct tmem_block){.below = m->top, .cap = cap};
        m->top = b;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

void tmem_free(struct tmem *m)
{
    while (m->top) {
        struct tmem_block *b = m->top;
        m->top = b->below;
        free(b);
    }
}

/* ---- errors and budget ---- */

struct value tmpl_fail(struct run *r, int code, const char *file, int line, const char *fmt, ...)
{
    if (r->rc == OTR_OK) {
        char msg[256];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(msg, sizeof msg, fmt, ap);
        va_end(ap);
        otr_fail(r->err, code, file, line, "chat template line %d: %s", r->line, msg);
        r->rc = code;
    }
    return v_undef(TSTR(""));
}

struct quoted tmpl_quote(struct tstr s)
{
    struct quoted q = {""};
    err_quote(q.text, sizeof q.text, s.p, s.n);
    return q;
}

bool tmpl_spend(struct run *r, size_t units)
{
    if (r->rc < 0)
        return false;
    if (units > r->budget) {
        TMPL_FAIL(r, LIMIT, "the template takes too many steps");
        return false;
    }
    r->budget -= units;
    return true;
}

bool tmpl_enter(struct run *r)
{
    if (++r->depth > TMPL_MAX_DEPTH)
        TMPL_FAIL(r, LIMIT, "nested more than %d deep", TMPL_MAX_DEPTH);
    return r->rc == OTR_OK;
}

void tmpl_leave(struct run *r)
{
    r->depth--;
}

void *tmpl_take(struct run *r, size_t bytes)
{
    if (!tmpl_spend(r, bytes))
        return NULL;
    void *p = tmem_take(&r->mem, bytes);
    if (!p)
        TMPL_FAIL(r, NOMEM, "no memory for the chat template");
    return p;
}

void *tmpl_take_n(struct run *r, size_t n, size_t bytes)
{
    return tmpl_take(r, n > SIZE_MAX / bytes ? SIZE_MAX : n * bytes);
}

/* ---- building strings ---- */

static bool grow(struct run *r, struct sbuf *b, size_t more)
{
    if (more > r->max_out || b->n > r->max_out - more) {
        TMPL_FAIL(r, LIMIT, "a text of more than %zu bytes", r->max_out);
        return false;
    }
    if (more <= b->cap - b->n)
        return true;
    const size_t cap = b->n + more < 64 ? 64 : 2 * (b->n + more);
    char *p = tmpl_take(r, cap);
    unsigned char *lit = tmpl_take(r, cap);
    if (!p || !lit)
        return false;
    if (b->n > 0) {
        memcpy(p, b->p, b->n);
        memcpy(lit, b->lit, b->n);
    }
    b->p = p;
    b->lit = lit;
    b->cap = cap;
    return true;
}

void sbuf_put(struct run *r, struct sbuf *b, struct tstr s)
{
    if (s.n == 0 || !tmpl_spend(r, s.n) || !grow(r, b, s.n))
        return;
    memcpy(b->p + b->n, s.p, s.n);
    if (s.lit)
        memcpy(b->lit + b->n, s.lit, s.n);
    else
        memset(b->lit + b->n, 0, s.n);
    b->n += s.n;
}

void sbuf_text(struct run *r, struct sbuf *b, const char *text)
{
    sbuf_put(r, b, (struct tstr){text, NULL, strlen(text)});
}

struct tstr sbuf_str(const struct sbuf *b)
{
    return (struct tstr){b->p ? b->p : "", b->lit, b->n};
}
