/* Owns the making of error sentences. In: code and format. Out: struct otr_err. Read next: arena.c. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int otr_fail(struct otr_err *e, int code, const char *file, int line, const char *fmt, ...)
{
    if (!e)
        return code;
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    e->line = line;
    e->file = file;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return code;
}

const char *err_quote(char *buf, size_t cap, const char *text, size_t n)
{
    size_t used = 0, i = 0;
    const size_t room = cap > 4 ? cap - 4 : 0;
    for (; i < n && used < room; i++) {
        const unsigned char c = (unsigned char)text[i];
        buf[used++] = (c >= 0x20 && c < 0x7f) ? (char)c : '?';
    }
    if (cap == 0)
        return "";
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
