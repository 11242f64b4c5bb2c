/* What to do with bytes that are no UTF-8: as Python's bytes.decode('utf-8', errors='replace'). */
#ifndef OTR_TOKENIZE_UTF8_BAD_H
#define OTR_TOKENIZE_UTF8_BAD_H

#include <stdbool.h>
#include <stddef.h>

#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* p[n], n > 0, begins no valid character (utf8_char gives 0). Returns the bytes (1..3) that one U+FFFD stands for: the
 * longest part that a valid character could begin with. *open, if asked: all n bytes are such a part, so that more
 * bytes could still complete it. SRC: Unicode 15, section 3.9, substitution of maximal subparts. */
static inline size_t utf8_bad(const char *p, size_t n, bool *open)
{
    const unsigned char *b = (const unsigned char *)p;
    const bool lead = b[0] >= 0xc2 && b[0] <= 0xf4;
    const size_t len = !lead ? 1 : b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    unsigned char lo = 0x80, hi = 0xbf; /* what the second byte may be, then all following ones */
    if (b[0] == 0xe0 || b[0] == 0xf0)
        lo = b[0] == 0xe0 ? 0xa0 : 0x90;
    if (b[0] == 0xed || b[0] == 0xf4)
        hi = b[0] == 0xed ? 0x9f : 0x8f;
    size_t i = 1;
    for (; i < len && i < n && b[i] >= lo && b[i] <= hi; i++) {
        lo = 0x80;
        hi = 0xbf;
    }
    if (open)
        *open = lead && i == n;
    return i;
}

#endif
