/* Owns the making of error sentences. In: code and format. Out: struct otr_err. Read next: arena.c. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The next character of untrusted text: its bytes in the text, and as *out the bytes to show for it (itself or "?"). */
static size_t next_shown(const char *text, size_t n, const char **out, size_t *n_out)
{
    uint32_t cp;
    const size_t len = utf8_char(text, n, &cp);
    const int keep = len > 0 && !utf8_is_hostile(cp);
    *out = keep ? text : "?";
    *n_out = keep ? len : 1;
    return len ? len : 1;
}

void otr_fail(struct otr_err *e, int code, const char *file, int line, const char *fmt, ...)
{
    if (!e)
        return;
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    e->line = line;
    e->file = file;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    size_t used = 0; /* INV: one line of valid UTF-8, whatever the arguments held and wherever the end was cut */
    for (size_t i = 0, n = strlen(e->msg), n_out; i < n; used += n_out) {
        const char *out;
        i += next_shown(e->msg + i, n - i, &out, &n_out);
        memmove(e->msg + used, out, n_out);
    }
    e->msg[used] = 0;
}

const char *err_quote(char *buf, size_t cap, const char *text, size_t n)
{
    const size_t room = cap > 4 ? cap - 4 : 0;
    size_t used = 0, i = 0;
    if (cap == 0)
        return "";
    while (i < n) {
        const char *out;
        size_t n_out;
        const size_t len = next_shown(text + i, n - i, &out, &n_out);
        if (n_out > room - used)
            break;
        memcpy(buf + used, out, n_out);
        used += n_out;
        i += len;
    }
    if (i < n && cap > 4) {
        memcpy(buf + used, "...", 3);
        used += 3;
    }
    buf[used] = 0;
    return buf;
}

const char *otr_strerror(int code)
{
    switch (code) {
    case OTR_OK:
        return "no error";
#define X(num, name, text)                                                                                             \
    case OTR_E_##name:                                                                                                 \
        return text;
        OTR_ERR_LIST(X)
#undef X
    default:
        return "unknown error";
    }
}

const char *otr_version(void)
{
    return OTR_VERSION;
}
