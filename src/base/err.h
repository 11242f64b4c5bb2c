/* Errors: a negative int for the program, one sentence for a person (style.md 4). Read next: arena.h. */
#ifndef OTR_BASE_ERR_H
#define OTR_BASE_ERR_H

#include "outrider/outrider.h"

/* Fills *e (a NULL e is fine). */
void otr_fail(struct otr_err *e, int code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* WHY a function that says its argument again: every reader, the static analyser too, then sees what comes out. */
static inline int otr_code(int code)
{
    return code;
}
#define OTR_FAIL(e, name, ...) (otr_fail((e), OTR_E_##name, __FILE__, __LINE__, __VA_ARGS__), otr_code(OTR_E_##name))

/* Copies n bytes of untrusted text into buf[cap] so that it can stand in a message: control characters and invalid
 * UTF-8 become '?', long text ends in "...". Returns buf. */
const char *err_quote(char *buf, size_t cap, const char *text, size_t n);

#endif
