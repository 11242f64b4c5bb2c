/* Owns what templates do with strings, as Python's str does it: by code point, with Unicode's white space and case.
 * In: strings with their origin per byte. Out: the same; a byte keeps its origin through every function here.
 * Bytes that are not UTF-8 count as one character each and stay as they are. Upper and lower case are Unicode's
 * one-to-one mappings (utf8proc): of the letters that become several, only the sharp s does. Read next: tmpl_value.c.
 */
#include "template/tmpl_priv.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

/* ---- code points ---- */

int32_t text_next(const char *p, size_t n, size_t *len)
{
    utf8proc_int32_t cp;
    const utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)p, n < 4 ? (utf8proc_ssize_t)n : 4, &cp);
    *len = got > 0 ? (size_t)got : 1;
    return got > 0 ? cp : -1;
}

size_t text_put(char buf[4], uint32_t cp)
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)buf);
}

bool text_is_space(int32_t cp)
{
    return (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x20) || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f ||
           cp == 0x3000;
}

/* The character that ends at n > 0; *at: where it begins. */
static int32_t prev(const char *p, size_t n, size_t *at)
{
    size_t len;
    for (size_t back = 1; back <= 4 && back <= n; back++)
        if (((unsigned char)p[n - back] & 0xc0) != 0x80) {
            const int32_t cp = text_next(p + n - back, back, &len);
            if (len != back)
                break;
            *at = n - back;
            return cp;
        }
    *at = n - 1;
    return -1;
}

size_t text_space_end(const char *p, size_t n)
{
    size_t at = 0, len;
    while (at < n && text_is_space(text_next(p + at, n - at, &len)))
        at += len;
    return at;
}

size_t text_space_start(const char *p, size_t n)
{
    size_t at;
    while (n > 0 && text_is_space(prev(p, n, &at)))
        n = at;
    return n;
}

size_t text_length(struct run *r, struct tstr s)
{
    size_t count = 0, len;
    if (tmpl_spend(r, s.n))
        for (size_t at = 0; at < s.n; at += len, count++)
            text_next(s.p + at, s.n - at, &len);
    return count;
}

struct tstr text_cut(struct run *r, struct tstr s, size_t lo, size_t hi)
{
    size_t at = 0, i = 0, from = 0, len;
    if (!tmpl_spend(r, s.n))
        return s;
    for (; i < hi && at < s.n; i++, at += len) {
        if (i == lo)
            from = at;
        text_next(s.p + at, s.n - at, &len);
    }
    return i > lo ? tstr_sub(s, from, at) : tstr_sub(s, 0, 0);
}

struct value text_chars(struct run *r, struct tstr s)
{
    const size_t n = text_length(r, s);
    struct value *v = tmpl_take_n(r, n, sizeof *v);
    size_t len;
    if (!v)
        return v_list(NULL, 0);
    for (size_t i = 0, at = 0; i < n; i++, at += len) {
        text_next(s.p + at, s.n - at, &len);
        v[i] = v_str(tstr_sub(s, at, at + len));
    }
    return v_list(v, n);
}

/* ---- cutting ---- */

static bool is_member(struct run *r, const struct tstr *chars, const char *p, size_t len, int32_t cp)
{
    if (!chars)
        return text_is_space(cp);
    size_t each;
    for (size_t at = 0; at < chars->n && tmpl_spend(r, 1); at += each) {
        text_next(chars->p + at, chars->n - at, &each);
        if (each == len && memcmp(chars->p + at, p, len) == 0)
            return true;
    }
    return false;
}

struct tstr text_strip(struct run *r, struct tstr s, const struct tstr *chars, int sides)
{
    size_t lo = 0, hi = s.n, len, at;
    if (!tmpl_spend(r, s.n))
        return s;
    while ((sides & STRIP_LEFT) && lo < hi) {
        const int32_t cp = text_next(s.p + lo, hi - lo, &len);
        if (!is_member(r, chars, s.p + lo, len, cp))
            break;
        lo += len;
    }
    while ((sides & STRIP_RIGHT) && lo < hi) {
        const int32_t cp = prev(s.p + lo, hi - lo, &at);
        if (!is_member(r, chars, s.p + lo + at, hi - lo - at, cp))
            break;
        hi = lo + at;
    }
    return tstr_sub(s, lo, hi);
}

size_t text_find(struct run *r, struct tstr s, struct tstr what, size_t from)
{
    if (what.n == 0)
        return from;
    if (from > s.n || what.n > s.n - from || !tmpl_spend(r, 1))
        return SIZE_MAX;
    const char *p = memmem(s.p + from, s.n - from, what.p, what.n);
    const size_t at = p ? (size_t)(p - s.p) : SIZE_MAX;
    return tmpl_spend(r, (p ? at : s.n) - from) ? at : SIZE_MAX; /* pays for what was searched */
}

struct tstr text_replace(struct run *r, struct tstr s, struct tstr what, struct tstr with, int64_t most)
{
    struct sbuf b = {0};
    size_t at = 0, len;
    bool any = false;
    while (most != 0 && r->rc == OTR_OK) {
        const size_t hit = text_find(r, s, what, at);
        if (hit == SIZE_MAX)
            break;
        sbuf_put(r, &b, tstr_sub(s, at, hit));
        sbuf_put(r, &b, with);
        any = true;
        at = hit + what.n;
        most -= most > 0;
        if (what.n == 0) { /* Python puts it before each character and at the end */
            if (at == s.n)
                break;
            text_next(s.p + at, s.n - at, &len);
            sbuf_put(r, &b, tstr_sub(s, at, at + len));
            at += len;
        }
    }
    if (!any)
        return s;
    sbuf_put(r, &b, tstr_sub(s, at, s.n));
    return sbuf_str(&b);
}

struct vlist_buf { /* a list being built */
    struct value *v;
    size_t n, cap;
};

static void push(struct run *r, struct vlist_buf *l, struct value v)
{
    if (l->n == l->cap) {
        struct value *more = tmpl_take_n(r, l->cap ? 2 * l->cap : 8, sizeof *more);
        if (!more)
            return;
        if (l->n > 0)
            memcpy(more, l->v, l->n * sizeof *more);
        l->v = more;
        l->cap = l->cap ? 2 * l->cap : 8;
    }
    l->v[l->n++] = v;
}

static struct value split_space(struct run *r, struct tstr s, int64_t most)
{
    struct vlist_buf l = {0};
    size_t at = text_space_end(s.p, s.n), len;
    while (at < s.n && tmpl_spend(r, 1)) {
        size_t end = most == 0 ? s.n : at; /* the last one keeps what follows */
        while (end < s.n && !text_is_space(text_next(s.p + end, s.n - end, &len)))
            end += len;
        push(r, &l, v_str(tstr_sub(s, at, end)));
        most--;
        at = end + text_space_end(s.p + end, s.n - end);
    }
    return v_list(l.v, l.n);
}

struct value text_split(struct run *r, struct tstr s, const struct tstr *sep, int64_t most)
{
    struct vlist_buf l = {0};
    if (!tmpl_spend(r, s.n))
        return v_list(NULL, 0);
    if (!sep)
        return split_space(r, s, most < 0 ? INT64_MAX : most);
    if (sep->n == 0)
        return TMPL_FAIL(r, FORMAT, "split() with an empty separator");
    size_t at = 0;
    for (; most != 0 && r->rc == OTR_OK; most -= most > 0) {
        const size_t hit = text_find(r, s, *sep, at);
        if (hit == SIZE_MAX)
            break;
        push(r, &l, v_str(tstr_sub(s, at, hit)));
        at = hit + sep->n;
    }
    push(r, &l, v_str(tstr_sub(s, at, s.n)));
    return v_list(l.v, l.n);
}

static bool ends_line(int32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

struct value text_lines(struct run *r, struct tstr s, bool keep_ends)
{
    struct vlist_buf l = {0};
    size_t len, from = 0;
    for (size_t at = 0; at < s.n && tmpl_spend(r, 1);) {
        const int32_t cp = text_next(s.p + at, s.n - at, &len);
        const size_t end = at;
        at += len;
        if (cp == '\r' && at < s.n && s.p[at] == '\n')
            at++;
        if (ends_line(cp) || at == s.n) {
            push(r, &l, v_str(tstr_sub(s, from, keep_ends || !ends_line(cp) ? at : end)));
            from = at;
        }
    }
    return v_list(l.v, l.n);
}

struct tstr text_join(struct run *r, struct tstr sep, const struct value *v, size_t n)
{
    struct sbuf b = {0};
    for (size_t i = 0; i < n && tmpl_spend(r, 1); i++) {
        if (i > 0)
            sbuf_put(r, &b, sep);
        tmpl_write(r, &b, v[i], false);
    }
    return sbuf_str(&b);
}

/* ---- case ---- */

static bool is_cased(int32_t cp)
{
    const utf8proc_category_t c = cp < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

bool text_has_case(struct run *r, struct tstr s, bool upper)
{
    bool any = false;
    size_t len;
    if (!tmpl_spend(r, s.n))
        return false;
    for (size_t at = 0; at < s.n; at += len) {
        const int32_t cp = text_next(s.p + at, s.n - at, &len);
        if (!is_cased(cp))
            continue;
        if ((utf8proc_category(cp) == UTF8PROC_CATEGORY_LL) == upper)
            return false;
        any = true;
    }
    return any;
}

static bool starts_word(int32_t before) /* the title filter's own idea of words */
{
    return text_is_space(before) || (before > 0 && before < 0x80 && strchr("-({[<", (int)before));
}

static int32_t map_case(int32_t cp, bool up, bool title)
{
    if (!up)
        return utf8proc_tolower(cp);
    return title ? utf8proc_totitle(cp) : utf8proc_toupper(cp);
}

struct tstr text_case(struct run *r, struct tstr s, enum text_case how)
{
    const bool title = how == TEXT_TITLE || how == TEXT_CAPITALIZE; /* the letter dz has three cases */
    struct sbuf b = {0};
    size_t len;
    bool first = true; /* of the word, or of the whole */
    for (size_t at = 0; at < s.n && r->rc == OTR_OK; at += len) {
        const int32_t cp = text_next(s.p + at, s.n - at, &len);
        const bool up = how == TEXT_UPPER || (how != TEXT_LOWER && first);
        first = how == TEXT_TITLE ? !is_cased(cp) : how == TEXT_TITLE_FILTER && starts_word(cp);
        struct tstr c = tstr_sub(s, at, at + len);
        unsigned char lit[4] = {0};
        char out[4];
        if (cp == 0xdf && up) {
            c.p = title ? "Ss" : "SS"; /* as many bytes as the letter has */
        } else if (cp >= 0) {
            if (s.lit)
                memset(lit, s.lit[at], sizeof lit);
            c = (struct tstr){out, lit, text_put(out, (uint32_t)map_case(cp, up, title))};
        }
        sbuf_put(r, &b, c);
    }
    return sbuf_str(&b);
}

/* ---- repr ---- */

static bool is_printable(int32_t cp)
{
    switch (utf8proc_category(cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return cp == ' ';
    default:
        return true;
    }
}

void text_write_repr(struct run *r, struct sbuf *b, struct tstr s)
{
    const bool dbl = memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n);
    const char quote = dbl ? '"' : '\'';
    size_t len;
    sbuf_text(r, b, dbl ? "\"" : "'");
    for (size_t at = 0; at < s.n && r->rc == OTR_OK; at += len) {
        const int32_t cp = text_next(s.p + at, s.n - at, &len);
        char text[12];
        unsigned char lit[12] = {0};
        const char c = s.p[at];
        if (c == quote || c == '\\')
            snprintf(text, sizeof text, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (cp < 0 || (cp < 0x100 && !is_printable(cp)))
            snprintf(text, sizeof text, "\\x%02x", cp < 0 ? (unsigned)(unsigned char)c : (unsigned)cp);
        else if (!is_printable(cp))
            snprintf(text, sizeof text, cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
        else {
            sbuf_put(r, b, tstr_sub(s, at, at + len));
            continue;
        }
        if (s.lit)
            memset(lit, s.lit[at], sizeof lit);
        sbuf_put(r, b, (struct tstr){text, lit, strlen(text)});
    }
    sbuf_text(r, b, dbl ? "\"" : "'");
}

/* ---- numbers ---- */

static struct tstr trimmed(struct tstr s)
{
    const size_t lo = text_space_end(s.p, s.n);
    return tstr_sub(s, lo, lo + text_space_start(s.p + lo, s.n - lo));
}

bool text_to_int(struct tstr s, int base, int64_t *i)
{
    s = trimmed(s);
    size_t at = 0;
    const bool minus = s.n > 0 && s.p[0] == '-';
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
        at++;
    const char mark = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : 0;
    if (mark && s.n - at > 2 && s.p[at] == '0' && (s.p[at + 1] | 0x20) == mark)
        at += s.p[at + 2] == '_' ? 3 : 2;
    bool digit = false;
    *i = 0;
    for (; at < s.n; at++) {
        const char c = s.p[at], low = (char)(c | 0x20);
        const int d = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'z' ? low - 'a' + 10 : 99;
        if (c == '_' && digit) {
            digit = false;
            continue;
        }
        if (d >= base || __builtin_mul_overflow(*i, (int64_t)base, i) ||
            __builtin_add_overflow(*i, (int64_t)(minus ? -d : d), i))
            return false;
        digit = true;
    }
    return digit;
}

/* Python's grammar of float(), then the C library's conversion in its own locale, which rounds right. */
bool text_to_float(struct run *r, struct tstr s, double *f)
{
    s = trimmed(s);
    char *buf = tmpl_take(r, s.n + 1), *end;
    if (!buf)
        return false;
    size_t n = 0;
    bool digit = false;
    for (size_t at = 0; at < s.n; at++) {
        const char c = s.p[at];
        const bool is_d = c >= '0' && c <= '9';
        if (c == '_') {
            if (!digit || at + 1 == s.n || s.p[at + 1] < '0' || s.p[at + 1] > '9')
                return false;
            digit = false;
            continue;
        }
        if (c == 0 || (c | 0x20) == 'x' || c == '(') /* strtod would read hex and nan(...) */
            return false;
        digit = is_d;
        buf[n++] = c;
    }
    buf[n] = 0;
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain) {
        TMPL_FAIL(r, NOMEM, "no memory for a number");
        return false;
    }
    *f = strtod_l(buf, &end, plain);
    freelocale(plain);
    return n > 0 && end == buf + n;
}
