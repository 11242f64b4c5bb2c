/* Owns streaming text: bytes of tokens in, whole characters out.
 *
 * In: token ids one by one. Out: text that never ends inside a character; bytes that can no longer become a character
 * turn into U+FFFD.  Read next: emit.c. */
#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenize/tok_priv.h"
#include "tokenize/utf8_bad.h"

void detok_init(struct detok *d, const struct tokenizer *t, bool special, bool at_start)
{
    *d = (struct detok){.t = t, .special = special, .at_start = at_start && t->add_space_prefix};
}

size_t detok_max(const struct tokenizer *t)
{
    const size_t longest = t->max_raw > t->max_text ? t->max_raw : t->max_text;
    return 3 * (longest + sizeof((struct detok *)0)->held); /* each byte a U+FFFD */
}

/* One more byte: what it completes goes to buf. */
static size_t push_byte(struct detok *d, char byte, char *buf)
{
    size_t n = 0;
    uint32_t cp;
    d->held[d->n_held++] = byte;
    while (d->n_held > 0) {
        bool open = false;
        size_t used = utf8_char(d->held, d->n_held, &cp);
        if (used > 0) {
            memcpy(buf + n, d->held, used);
            n += used;
        } else {
            used = utf8_bad(d->held, d->n_held, &open);
            if (open)
                break;
            memcpy(buf + n, UTF8_REPLACEMENT, 3);
            n += 3;
        }
        d->n_held -= (unsigned)used;
        memmove(d->held, d->held + used, d->n_held);
    }
    return n;
}

size_t detok_push(struct detok *d, int32_t id, char *buf, size_t cap)
{
    size_t n_bytes, n = 0;
    const char *p = tokenizer_bytes(d->t, id, d->special, &n_bytes);
    assert(cap >= 3 * (n_bytes + sizeof d->held));
    (void)cap;
    if (d->at_start && n_bytes > 0) {
        const bool own = p[0] == ' ' && (d->t->attr[id] & TOK_TYPE) == TOK_NORMAL;
        p += own;
        n_bytes -= own;
        d->at_start = false;
    }
    for (size_t i = 0; i < n_bytes; i++)
        n += push_byte(d, p[i], buf + n);
    return n;
}

size_t detok_flush(struct detok *d, char *buf, size_t cap)
{
    if (d->n_held == 0)
        return 0;
    assert(cap >= 3);
    (void)cap;
    memcpy(buf, UTF8_REPLACEMENT, 3); /* held bytes are the beginning of one character */
    d->n_held = 0;
    return 3;
}
