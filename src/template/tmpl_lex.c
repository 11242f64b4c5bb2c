/* Owns the cutting of a template into tokens, as Jinja's lexer does with trim_blocks and lstrip_blocks.
 * In: the source with its newlines made "\n". Out: one token a call. Read next: tmpl_parse.c.
 * SRC: jinja2 3.1 lexer.py (the regular expressions named below are its). */
#include "template/tmpl_priv.h"

static char peek(const struct lexer *lx, size_t ahead)
{
    return ahead < lx->n - lx->pos ? lx->src[lx->pos + ahead] : 0;
}

static bool looking_at(const struct lexer *lx, const char *text)
{
    const size_t n = strlen(text);
    return n <= lx->n - lx->pos && memcmp(lx->src + lx->pos, text, n) == 0;
}

static void skip(struct lexer *lx, size_t n)
{
    for (const size_t end = lx->pos + n; lx->pos < end; lx->pos++)
        lx->line += lx->src[lx->pos] == '\n';
}

static void skip_space(struct lexer *lx)
{
    skip(lx, text_space_end(lx->src + lx->pos, lx->n - lx->pos));
}

static void lex_fail(struct lexer *lx, const char *what)
{
    lx->r->line = lx->line;
    TMPL_FAIL(lx->r, FORMAT, "%s", what);
}

static struct value source(const struct lexer *lx, size_t from, size_t to)
{
    return v_str((struct tstr){lx->src + from, NULL, to - from});
}

/* ---- text between tags ---- */

/* Where the text [from, at) before a tag ends: "{%-" takes all white space away, a plain "{%" or "{#" the blanks of its
 * line if nothing else stands before it there. */
static size_t text_end(const struct lexer *lx, size_t from, size_t at, char sign, bool is_var)
{
    if (sign == '-')
        return from + text_space_start(lx->src + from, at - from);
    if (sign == '+' || is_var)
        return at;
    size_t bol = at;
    while (bol > from && lx->src[bol - 1] != '\n')
        bol--;
    const bool line_start = bol > from || from == 0 || lx->src[from - 1] == '\n';
    return line_start && text_space_end(lx->src + bol, at - bol) == at - bol ? bol : at;
}

static size_t find_tag(const struct lexer *lx)
{
    for (size_t at = lx->pos; at + 1 < lx->n; at++) {
        const char *p = memchr(lx->src + at, '{', lx->n - 1 - at);
        if (!p)
            break;
        at = (size_t)(p - lx->src);
        if (p[1] == '%' || p[1] == '{' || p[1] == '#')
            return at;
    }
    return lx->n;
}

/* The end of a tag at pos, without its bracket's first sign: "-%}" takes the white space behind it, "%}" one newline,
 * "+%}" nothing. False: no end here. */
static bool tag_end(struct lexer *lx, const char *end, bool trim)
{
    const char sign = peek(lx, 0);
    if (sign != '-' && sign != '+') {
        if (!looking_at(lx, end))
            return false;
        skip(lx, 2);
        if (trim && peek(lx, 0) == '\n')
            skip(lx, 1);
        return true;
    }
    lx->pos++;
    const bool here = looking_at(lx, end) && (trim || sign == '-'); /* there is no "+}}" */
    lx->pos--;
    if (!here)
        return false;
    skip(lx, 3);
    if (sign == '-')
        skip_space(lx);
    return true;
}

static void skip_comment(struct lexer *lx)
{
    const char *p = memmem(lx->src + lx->pos, lx->n - lx->pos, "#}", 2);
    if (!p) {
        lex_fail(lx, "a comment without an end");
        return;
    }
    size_t at = (size_t)(p - lx->src);
    if (at > lx->pos && (p[-1] == '-' || p[-1] == '+'))
        at--;
    skip(lx, at - lx->pos);
    tag_end(lx, "#}", true);
}

/* "{%- raw %}", "{% endraw -%}": at pos, behind "{%". Moves only if it is one. */
static bool raw_tag(struct lexer *lx, const char *word, bool is_end)
{
    const struct lexer before = *lx;
    if (peek(lx, 0) == '-' || peek(lx, 0) == '+')
        skip(lx, 1);
    skip_space(lx);
    if (looking_at(lx, word)) {
        skip(lx, strlen(word));
        skip_space(lx);
        /* the tag that opens knows no "+%}" and trims no newline */
        if (is_end ? tag_end(lx, "%}", true) : tag_end(lx, "%}", false))
            return true;
    }
    *lx = before;
    return false;
}

static void lex_raw(struct lexer *lx, struct token *t)
{
    const size_t from = lx->pos;
    for (;;) {
        const char *p = memmem(lx->src + lx->pos, lx->n - lx->pos, "{%", 2);
        if (!p) {
            lex_fail(lx, "{% raw %} without {% endraw %}");
            return;
        }
        const size_t at = (size_t)(p - lx->src);
        skip(lx, at + 2 - lx->pos);
        const char sign = peek(lx, 0);
        if (raw_tag(lx, "endraw", true)) {
            t->kind = T_DATA;
            t->v = source(lx, from, text_end(lx, from, at, sign, false));
            lx->state = LEX_TEXT;
            return;
        }
    }
}

static void lex_text(struct lexer *lx, struct token *t)
{
    while (lx->pos < lx->n && lx->r->rc == OTR_OK) {
        const size_t from = lx->pos, at = find_tag(lx);
        t->line = lx->line;
        if (at == lx->n) {
            t->kind = T_DATA;
            t->v = source(lx, from, at);
            lx->pos = at;
            return;
        }
        skip(lx, at + 2 - from);
        const char what = lx->src[at + 1], sign = peek(lx, 0);
        const size_t end = text_end(lx, from, at, sign, what == '{');
        const bool raw = what == '%' && raw_tag(lx, "raw", false);
        if (raw) {
            lx->state = LEX_RAW;
        } else {
            if (sign == '-' || sign == '+')
                skip(lx, 1);
            if (what == '#') {
                skip_comment(lx);
            } else {
                lx->state = what == '{' ? LEX_VAR : LEX_BLOCK;
                lx->pending = what == '{' ? T_VAR_BEGIN : T_BLOCK_BEGIN;
            }
        }
        if (end > from) {
            t->kind = T_DATA;
            t->v = source(lx, from, end);
            return;
        }
        if (lx->state != LEX_TEXT) {
            lex_next(lx, t);
            return;
        }
    }
}

/* ---- inside tags ---- */

static int digit(char c)
{
    const char lower = (char)(c | 0x20);
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

static bool is_digit(char c, int base)
{
    return digit(c) < base;
}

static bool starts_name(char c)
{
    return c == '_' || (unsigned char)c >= 0x80 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* End of the digits at `at`, with single "_" between them. */
static size_t digits_end(const struct lexer *lx, size_t at, int base)
{
    size_t end = at;
    while (at < lx->n && is_digit(lx->src[at], base)) {
        end = ++at;
        if (at < lx->n && lx->src[at] == '_')
            at++;
    }
    return end;
}

static char at_or_0(const struct lexer *lx, size_t at)
{
    return at < lx->n ? lx->src[at] : 0;
}

static void set_number(struct lexer *lx, struct token *t, size_t end, int base)
{
    const struct tstr s = source(lx, lx->pos, end).s;
    t->kind = T_NUMBER;
    if (base == 0) {
        double f = 0;
        if (!text_to_float(lx->r, s, &f))
            lex_fail(lx, "not a number");
        t->v = v_float(f);
    } else {
        int64_t i = 0;
        if (!text_to_int(s, base, &i))
            lex_fail(lx, "an integer of more than 64 bits");
        t->v = v_int(i);
    }
    lx->pos = end;
}

static void lex_number(struct lexer *lx, struct token *t)
{
    const size_t from = lx->pos, whole = digits_end(lx, from, 10);
    size_t end = whole;
    if (at_or_0(lx, end) == '.' && digits_end(lx, end + 1, 10) > end + 1)
        end = digits_end(lx, end + 1, 10);
    if (at_or_0(lx, end) == 'e' || at_or_0(lx, end) == 'E') {
        const size_t exp = end + 1 + (at_or_0(lx, end + 1) == '+' || at_or_0(lx, end + 1) == '-');
        if (digits_end(lx, exp, 10) > exp)
            end = digits_end(lx, exp, 10);
    }
    if (end > whole && !(from > 0 && lx->src[from - 1] == '.')) {
        set_number(lx, t, end, 0);
        return;
    }
    const char mark = at_or_0(lx, from) == '0' ? (char)(at_or_0(lx, from + 1) | 0x20) : 0;
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    if (base != 10) {
        const size_t first = from + 2 + (at_or_0(lx, from + 2) == '_');
        if (digits_end(lx, first, base) > first) {
            set_number(lx, t, digits_end(lx, first, base), base);
            return;
        }
    }
    /* a decimal that starts with 0 has no other digits */
    set_number(lx, t, lx->src[from] == '0' ? digits_end(lx, from, 1) : whole, 10);
}

static void lex_name(struct lexer *lx, struct token *t)
{
    const size_t from = lx->pos;
    while (lx->pos < lx->n) {
        size_t len;
        const char c = lx->src[lx->pos];
        if ((!starts_name(c) && !is_digit(c, 10)) || text_is_space(text_next(lx->src + lx->pos, lx->n - lx->pos, &len)))
            break;
        lx->pos += len;
    }
    t->kind = T_NAME;
    t->v = source(lx, from, lx->pos);
}

/* One escape, behind the backslash: p[0..n), n > 0. Writes what it means; false: malformed. */
static bool unescape(const char *p, size_t n, size_t *n_in, char out[4], size_t *n_out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *simple = p[0] ? strchr(from, p[0]) : NULL;
    const bool octal = is_digit(p[0], 8);
    const size_t want = octal ? 3 : p[0] == 'x' ? 2 : p[0] == 'u' ? 4 : p[0] == 'U' ? 8 : 0;
    *n_in = *n_out = 1;
    if (simple) {
        out[0] = to[simple - from];
    } else if (p[0] == '\n') {
        *n_out = 0;
    } else if (want == 0) { /* no escape: both characters stand for themselves */
        out[0] = '\\';
        *n_in = 0;
    } else {
        uint32_t cp = 0;
        size_t at = octal ? 0 : 1;
        const size_t end = at + want;
        for (; at < end && at < n && is_digit(p[at], octal ? 8 : 16); at++)
            cp = cp * (octal ? 8 : 16) + (uint32_t)digit(p[at]);
        if ((!octal && at < end) || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
            return false;
        *n_in = at;
        *n_out = text_put(out, cp);
    }
    return p[0] != 'N'; /* "\N{name}" */
}

static void lex_string(struct lexer *lx, struct token *t)
{
    const size_t from = lx->pos + 1;
    const char quote = lx->src[lx->pos];
    size_t end = from;
    bool escapes = false;
    for (; end < lx->n && lx->src[end] != quote; end++)
        if (lx->src[end] == '\\') {
            escapes = true;
            end++;
        }
    if (end >= lx->n) {
        lex_fail(lx, "a string without an end");
        return;
    }
    t->kind = T_STRING;
    t->v = source(lx, from, end);
    if (escapes) {
        char *buf = tmpl_take(lx->r, end - from + 4); /* WHY: no escape grows, but one writes up to 4 bytes at a time */
        size_t n = 0;
        for (size_t i = from; buf && i < end; i++) {
            if (lx->src[i] != '\\') {
                buf[n++] = lx->src[i];
                continue;
            }
            size_t n_in, n_out;
            if (!unescape(lx->src + i + 1, end - i - 1, &n_in, buf + n, &n_out)) {
                lex_fail(lx, "a string with an escape that cannot be read");
                return;
            }
            n += n_out;
            i += n_in;
        }
        t->v = v_str((struct tstr){buf, NULL, n});
    }
    skip(lx, end + 1 - lx->pos);
}

static void lex_operator(struct lexer *lx, struct token *t)
{
    static const struct {
        char text[3];
        enum tok kind;
    } ops[] = {/* longer ones first */
               {"**", T_POW},     {"//", T_FLOORDIV}, {"==", T_EQ},      {"!=", T_NE},      {">=", T_GE},
               {"<=", T_LE},      {"+", T_ADD},       {"-", T_SUB},      {"/", T_DIV},      {"*", T_MUL},
               {"%", T_MOD},      {"~", T_TILDE},     {"[", T_LBRACKET}, {"]", T_RBRACKET}, {"(", T_LPAREN},
               {")", T_RPAREN},   {"{", T_LBRACE},    {"}", T_RBRACE},   {">", T_GT},       {"<", T_LT},
               {"=", T_ASSIGN},   {".", T_DOT},       {":", T_COLON},    {"|", T_PIPE},     {",", T_COMMA},
               {";", T_SEMICOLON}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (looking_at(lx, ops[i].text)) {
            t->kind = ops[i].kind;
            lx->pos += strlen(ops[i].text);
            break;
        }
    switch (t->kind) {
    case T_EOF:
        lx->r->line = lx->line;
        TMPL_FAIL(lx->r, FORMAT, "unexpected character '%s'", tmpl_quote(source(lx, lx->pos, lx->pos + 1).s).text);
        break;
    case T_LBRACKET:
    case T_LPAREN:
    case T_LBRACE:
        if (lx->n_open == TMPL_MAX_DEPTH) {
            lex_fail(lx, "brackets nested too deep");
            break;
        }
        lx->open[lx->n_open++] = t->kind == T_LBRACKET ? ']' : t->kind == T_LPAREN ? ')' : '}';
        break;
    case T_RBRACKET:
    case T_RPAREN:
    case T_RBRACE:
        if (lx->n_open == 0 || lx->open[--lx->n_open] != lx->src[lx->pos - 1]) {
            lx->r->line = lx->line;
            TMPL_FAIL(lx->r, FORMAT, "unexpected '%c'", lx->src[lx->pos - 1]);
        }
        break;
    default:
        break;
    }
}

static void lex_tag(struct lexer *lx, struct token *t)
{
    skip_space(lx);
    t->line = lx->line;
    const bool var = lx->state == LEX_VAR;
    if (lx->pos == lx->n)
        return; /* the parser knows what is missing */
    /* WHY n_open: in "{{ {'a': {}} }}" the first "}}" ends two dicts */
    if (lx->n_open == 0 && tag_end(lx, var ? "}}" : "%}", !var)) {
        t->kind = var ? T_VAR_END : T_BLOCK_END;
        lx->state = LEX_TEXT;
        return;
    }
    const char c = lx->src[lx->pos];
    if (is_digit(c, 10))
        lex_number(lx, t);
    else if (starts_name(c))
        lex_name(lx, t);
    else if (c == '\'' || c == '"')
        lex_string(lx, t);
    else
        lex_operator(lx, t);
}

void lex_next(struct lexer *lx, struct token *t)
{
    *t = (struct token){.kind = T_EOF, .line = lx->line};
    if (lx->r->rc < 0)
        return;
    if (lx->pending != T_EOF) {
        t->kind = lx->pending;
        lx->pending = T_EOF;
    } else if (lx->state == LEX_TEXT) {
        lex_text(lx, t);
    } else if (lx->state == LEX_RAW) {
        lex_raw(lx, t);
    } else {
        lex_tag(lx, t);
    }
    if (lx->r->rc < 0)
        t->kind = T_EOF;
}
