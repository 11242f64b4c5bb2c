/* What the files of the template interpreter share: the run (memory, budget, first error), strings, values, nodes.
 *
 *   source -> tmpl_lex.c (tokens) -> tmpl_parse.c (nodes) -> tmpl_eval.c (values, text)
 *   tmpl_value.c  what Python does with values        tmpl_filters.c  tables of filters and tests
 *   tmpl_text.c   what Python does with strings       tmpl_methods.c  tables of methods and globals
 *   tmpl_run.c    memory, budget, building strings    tmpl_json.c     tojson
 *
 * To add a filter, test, method or global: write its function, add its line to the table. Nothing else knows its name.
 *
 * Errors are sticky: the first failure is kept in run.rc, everything after it yields nothing and spends nothing, and
 * every loop over untrusted things asks run.rc or spends budget. So a function may use the result of a failed one.
 * INV: what is copied, searched, kept or visited costs budget; each recursion goes through tmpl_enter. */
#ifndef OTR_TEMPLATE_TMPL_PRIV_H
#define OTR_TEMPLATE_TMPL_PRIV_H

#include <string.h>
#include <time.h>

#include "template/template.h"

enum {
    TMPL_MAX_SOURCE = 256 << 10, /* bytes of a template; real ones have up to 30 KB */
    TMPL_MAX_DEPTH = 200,        /* nested expressions, blocks and macro calls: at most 256 KB of C stack */
    TMPL_MAX_RANGE = 100000,     /* items of range(), as in Jinja's sandbox */
    TMPL_MAX_PARAMS = 6,         /* parameters of a builtin */
    TMPL_NODE_COST = 8,          /* units of budget per node; a byte costs one */
    TMPL_BASE_COST = 1 << 26,    /* budget of any run */
    TMPL_BYTE_COST = 64,         /* and more for each byte of the messages */
    TMPL_MAX_OUT = 4 << 20,      /* bytes of the longest string of any run */
    TMPL_BYTE_OUT = 8,           /* and more for each byte of the messages */
};

/* ---- strings ---- */

struct tstr {
    const char *p;
    const unsigned char *lit; /* [n] 1: from the caller's messages; NULL: no byte is */
    size_t n;
};
#define TSTR(text) ((struct tstr){(text), NULL, sizeof(text) - 1})

static inline bool tstr_eq(struct tstr a, struct tstr b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline struct tstr tstr_sub(struct tstr s, size_t lo, size_t hi) /* bytes [lo, hi) */
{
    return (struct tstr){s.p + lo, s.lit ? s.lit + lo : NULL, hi - lo};
}

struct sbuf { /* a string being built; {0} is empty */
    char *p;
    unsigned char *lit;
    size_t n, cap;
};

/* ---- values ---- */

/* clang-format off */
enum vkind {
    V_ABSENT, /* an argument that was not given; never seen by templates */
    V_UNDEF, V_NONE, V_BOOL, V_INT, V_FLOAT, V_STR, V_LIST, V_TUPLE, V_DICT, V_NAMESPACE, V_LOOP, V_MACRO, V_BUILTIN
};
/* clang-format on */

struct value {
    enum vkind kind;
    union {
        bool b;
        int64_t i;
        double f;
        struct tstr s; /* V_STR; V_UNDEF: the name that had no value */
        struct {
            const struct value *v; /* never written once it is a value: slices share it */
            size_t n;
        } list;             /* V_LIST, V_TUPLE */
        struct vdict *dict; /* V_DICT (never written once it is a value), V_NAMESPACE */
        struct vloop *loop;
        const struct macro *macro;
        struct {
            const struct builtin *fn;
            const struct value *self; /* a method's object; NULL: a global */
        } call;
    };
};

struct pair {
    struct value k, v;
};
struct vdict { /* in order of insertion; looked up one by one, which costs budget */
    struct pair *p;
    size_t n, cap;
};
struct vloop {
    const struct value *v; /* [n] items that have passed the loop's test */
    size_t n, at;
    const struct value *rest; /* [n_rest] items the test has not seen yet; none where there is no test */
    size_t n_rest;
    struct value *room; /* v, where there is a test */
    const struct node *node;
    struct scope *scope;  /* around the loop */
    struct value changed; /* the last arguments of loop.changed */
};

static inline struct value v_undef(struct tstr name)
{
    return (struct value){.kind = V_UNDEF, .s = name};
}
static inline struct value v_none(void)
{
    return (struct value){.kind = V_NONE};
}
static inline struct value v_bool(bool b)
{
    return (struct value){.kind = V_BOOL, .b = b};
}
static inline struct value v_int(int64_t i)
{
    return (struct value){.kind = V_INT, .i = i};
}
static inline struct value v_float(double f)
{
    return (struct value){.kind = V_FLOAT, .f = f};
}
static inline struct value v_str(struct tstr s)
{
    return (struct value){.kind = V_STR, .s = s};
}
static inline struct value v_list(const struct value *v, size_t n)
{
    return (struct value){.kind = V_LIST, .list = {v, n}};
}
static inline bool v_is_list(struct value v)
{
    return v.kind == V_LIST || v.kind == V_TUPLE;
}

/* ---- nodes ---- */

/* clang-format off */
/* What the fields of a node hold; lists are linked by next. ("name" is in v.s) */
enum nkind {
    /* statements           v      a            b            c        list            body */
    N_TEXT,       /*        text */
    N_PRINT,      /*               expression */
    N_IF,         /*               test or NULL next branch                           yes */
    N_FOR,        /*               target       iterable     test     else            yes */
    N_SET,        /*               target       expression */
    N_SET_BLOCK,  /*               target       filters                               yes */
    N_MACRO,      /*        name                                      N_PARAM         yes */
    N_WITH,       /*                                                  N_SET           yes */
    N_FILTER_BLOCK, /*             filters                                            yes */
    N_BREAK, N_CONTINUE,
    N_PARAM,      /*        name   default or NULL */
    /* expressions */
    N_CONST,      /*        value */
    N_NAME,       /*        name */
    N_NSREF,      /*        name   namespace (N_NAME); only as a target */
    N_ATTR,       /*        name   object */
    N_ITEM,       /*               object       key */
    N_SLICE,      /*               object       from         to       step (one) */
    N_CALL,       /*               callee                             arguments */
    N_FILTER,     /*        name   value *                            arguments */
    N_TEST,       /*        name   value                              arguments */
    N_KWARG,      /*        name   value: in argument lists */
    N_NOT, N_NEG, N_POS, /*        operand */
    N_AND, N_OR,  /*               left         right */
    N_BINARY,     /*               left         right        (op: a token) */
    N_COND,       /*               test         then         else or NULL */
    N_CONCAT,     /*                                                  operands */
    N_COMPARE,    /*               first                              N_OPERAND (op: a token, a: expression) */
    N_OPERAND,
    N_LIST, N_TUPLE, N_DICT /*                                        elements (N_DICT: key, value, key, ...) */
    /* * NULL: what the filter block has captured */
};
/* clang-format on */

struct node {
    enum nkind kind;
    int op, line;
    struct value v;
    struct node *a, *b, *c, *list, *body, *next;
};

/* clang-format off */
enum tok {
    T_EOF, T_DATA, T_VAR_BEGIN, T_VAR_END, T_BLOCK_BEGIN, T_BLOCK_END, T_NAME, T_STRING, T_NUMBER,
    T_ADD, T_SUB, T_DIV, T_FLOORDIV, T_MUL, T_MOD, T_POW, T_TILDE, T_LBRACKET, T_RBRACKET, T_LPAREN, T_RPAREN,
    T_LBRACE, T_RBRACE, T_EQ, T_NE, T_GT, T_GE, T_LT, T_LE, T_ASSIGN, T_DOT, T_COLON, T_PIPE, T_COMMA, T_SEMICOLON,
    T_IN, T_NOT_IN /* made by the parser */
};
/* clang-format on */
struct token {
    enum tok kind;
    int line;
    struct value v; /* T_DATA, T_NAME, T_STRING: .s; T_NUMBER: the number */
};

/* ---- a run: one parse or one render ---- */

struct tmem { /* memory that is freed all at once; {0} is empty */
    struct tmem_block *top;
};
void *tmem_take(struct tmem *m, size_t bytes); /* 16-byte aligned, or NULL */
void tmem_free(struct tmem *m);

struct var {
    struct tstr name;
    struct value v;
    struct var *next;
};
struct scope {
    struct scope *up;
    struct var *vars;
};
struct macro {
    const struct node *node;
    struct scope *scope; /* where it was defined */
};

struct run {
    struct tmem mem;
    struct otr_err *err;
    int rc, line, depth;
    uint64_t budget;
    size_t max_out;
    /* render only */
    struct scope *scope;
    struct sbuf *out;
    struct value captured; /* of the filter block whose filters are being evaluated */
    const struct tm *now;  /* NULL: ask the clock */
};

/* Keeps the first error, with the template's line before it. Returns an undefined value. */
struct value tmpl_fail(struct run *r, int code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
#define TMPL_FAIL(r, name, ...) tmpl_fail((r), OTR_E_##name, __FILE__, __LINE__, __VA_ARGS__)
struct quoted {
    char text[160];
};
struct quoted tmpl_quote(struct tstr s); /* for a message: tmpl_quote(name).text */

bool tmpl_spend(struct run *r, size_t units); /* false: an error is set */
bool tmpl_enter(struct run *r);               /* one level deeper; tmpl_leave follows in any case */
void tmpl_leave(struct run *r);
void *tmpl_take(struct run *r, size_t bytes);             /* NULL: an error is set */
void *tmpl_take_n(struct run *r, size_t n, size_t bytes); /* an array */

void sbuf_put(struct run *r, struct sbuf *b, struct tstr s);
void sbuf_text(struct run *r, struct sbuf *b, const char *text); /* our own words */
struct tstr sbuf_str(const struct sbuf *b);

/* ---- lexer, parser, evaluator ---- */

struct lexer {
    struct run *r;
    const char *src;
    size_t n, pos;
    int line, n_open;
    enum { LEX_TEXT, LEX_VAR, LEX_BLOCK, LEX_RAW } state;
    enum tok pending;          /* T_EOF: none */
    char open[TMPL_MAX_DEPTH]; /* brackets that wait for their end */
};
void lex_next(struct lexer *lx, struct token *t); /* T_EOF at the end and after an error */

struct node *tmpl_parse(struct run *r, const char *src, size_t n); /* NULL: an error, or nothing to do */

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };
enum flow tmpl_exec(struct run *r, const struct node *list);
void tmpl_define(struct run *r, struct tstr name, struct value v); /* in the innermost scope */
bool tmpl_loop_more(struct run *r, struct vloop *l);               /* finds one more item; false: there is none */

/* ---- builtins ---- */

struct kwarg {
    struct tstr name;
    struct value v;
};
struct args {
    const struct value *v;
    size_t n;
    const struct kwarg *kw;
    size_t n_kw;
};
struct builtin {
    const char *name;
    const char *params; /* names; those after "?" may be left out (V_ABSENT). "*": fn gets the arguments as they come */
    struct value (*fn)(struct run *r, struct value self, const struct args *a);
    enum vkind self; /* methods: of what */
};
/* Binds a to the parameters and calls. With named parameters fn sees all of them, in order, in a->v. */
struct value tmpl_invoke(struct run *r, const struct builtin *f, struct value self, const struct args *a);

/* NULL: there is none */
const struct builtin *tmpl_find_filter(struct tstr name);
const struct builtin *tmpl_find_test(struct tstr name);
const struct builtin *tmpl_find_method(enum vkind self, struct tstr name);
const struct builtin *tmpl_find_global(struct tstr name);
const struct builtin *tmpl_find(const struct builtin *table, size_t n, enum vkind self, struct tstr name);

/* ---- values, as Python has them (tmpl_value.c) ---- */

const char *tmpl_type(struct value v); /* "str", "dict", ... */
bool tmpl_truth(struct value v);
bool tmpl_equal(struct run *r, struct value a, struct value b);
bool tmpl_compare(struct run *r, enum tok op, struct value a, struct value b); /* T_EQ ... T_NOT_IN */
struct value tmpl_binary(struct run *r, enum tok op, struct value a, struct value b);
struct value tmpl_negate(struct run *r, struct value v);
struct tstr tmpl_str(struct run *r, struct value v);                       /* str(v) */
void tmpl_write(struct run *r, struct sbuf *b, struct value v, bool repr); /* str(v) or repr(v) */
void tmpl_write_float(struct run *r, struct sbuf *b, double f);
struct value tmpl_iter(struct run *r, struct value v); /* a list of what a for loop would see */
struct value tmpl_attr(struct run *r, struct value v, struct tstr name);
struct value tmpl_item(struct run *r, struct value v, struct value key);
struct value tmpl_slice(struct run *r, struct value v, const struct value bound[3]);
struct value tmpl_length(struct run *r, struct value v);
bool tmpl_as_int(struct value v, int64_t *i);                        /* an int or a bool */
int64_t tmpl_int_arg(struct run *r, struct value v, int64_t absent); /* V_ABSENT and none: absent */
struct tstr tmpl_str_arg(struct run *r, struct value v, struct tstr absent);

struct vdict *tmpl_dict(struct run *r);
void tmpl_dict_put(struct run *r, struct vdict *d, struct value k, struct value v);
const struct value *tmpl_dict_get(struct run *r, const struct vdict *d, struct value k);   /* NULL: no such key */
struct value tmpl_dict_list(struct run *r, const struct vdict *d, bool keys, bool values); /* both: (key, value) */

/* ---- strings, as Python has them (tmpl_text.c) ---- */

int32_t text_next(const char *p, size_t n, size_t *len);                  /* code point at p; -1: not UTF-8, *len 1 */
bool text_is_space(int32_t cp);                                           /* str.isspace */
size_t text_put(char buf[4], uint32_t cp);                                /* UTF-8; returns its length */
size_t text_space_end(const char *p, size_t n);                           /* bytes of white space at the start */
size_t text_space_start(const char *p, size_t n);                         /* where the white space at the end begins */
size_t text_length(struct run *r, struct tstr s);                         /* code points */
struct tstr text_cut(struct run *r, struct tstr s, size_t lo, size_t hi); /* characters [lo, hi) */
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
struct tstr text_strip(struct run *r, struct tstr s, const struct tstr *chars, int sides); /* chars NULL: white space */
enum text_case { TEXT_UPPER, TEXT_LOWER, TEXT_TITLE, TEXT_CAPITALIZE, TEXT_TITLE_FILTER };
struct tstr text_case(struct run *r, struct tstr s, enum text_case how);
bool text_has_case(struct run *r, struct tstr s, bool upper);                  /* str.isupper, str.islower */
size_t text_find(struct run *r, struct tstr s, struct tstr what, size_t from); /* byte offset, SIZE_MAX: none */
struct tstr text_replace(struct run *r, struct tstr s, struct tstr what, struct tstr with, int64_t most); /* <0: all */
struct value text_split(struct run *r, struct tstr s, const struct tstr *sep, int64_t most); /* sep NULL: white space */
struct value text_lines(struct run *r, struct tstr s, bool keep_ends);
struct value text_chars(struct run *r, struct tstr s);
struct tstr text_join(struct run *r, struct tstr sep, const struct value *v, size_t n); /* str() of each */
void text_write_repr(struct run *r, struct sbuf *b, struct tstr s);
bool text_to_int(struct tstr s, int base, int64_t *i); /* int(s, base); false: ValueError (or over 64 bits) */
bool text_to_float(struct run *r, struct tstr s, double *f);

/* tmpl_json.c: json.dumps of Python. indent NULL: one line. */
struct json_style {
    const struct tstr *indent;
    struct tstr item_sep, key_sep;
    bool ascii, sort_keys;
};
struct tstr tmpl_json(struct run *r, struct value v, const struct json_style *style);

#endif
