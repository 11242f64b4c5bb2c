/* One character of UTF-8. SRC: Unicode 15, table 3-7 (no surrogates, no overlong forms, nothing above 10FFFF). */
#ifndef OTR_BASE_UTF8_H
#define OTR_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes (1..4) of the character at p, of which n bytes may be read, and its code point; 0 when it is not valid. */
static inline size_t utf8_char(const char *p, size_t n, uint32_t *cp)
{
    const unsigned char *b = (const unsigned char *)p;
    if (n == 0)
        return 0;
    if (b[0] < 0x80) {
        *cp = b[0];
        return 1;
    }
    const size_t len = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || n < len)
        return 0;
    uint32_t c = b[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (b[i] & 0x3fu);
    }
    if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *cp = c;
    return len;
}

/* Characters that can change what a terminal shows around them: controls, and the marks that turn text round. */
static inline int utf8_is_hostile(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || (cp >= 0x202a && cp <= 0x202e) ||
           (cp >= 0x2066 && cp <= 0x2069);
}

#endif
