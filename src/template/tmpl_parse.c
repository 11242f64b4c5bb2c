/* Owns the grammar: tokens to nodes, by recursive descent, as Jinja's parser does it. In: source. Out: the statements,
 * in the run's memory. Names of filters and tests are not checked here: a template may hold some we lack in a branch
 * that no chat takes. Read next: tmpl_eval.c.
 * SRC: jinja2 3.1 parser.py (same functions, same order of precedence). */
#include "template/tmpl_priv.h"

struct parser {
    struct run *r;
    struct lexer lx;
    struct token cur, ahead;
    int n_loop; /* loops that a break here could leave */
};

struct list { /* nodes being linked; {0} is empty */
    struct node *first, *last;
};

/* ---- tokens ---- */

static void next(struct parser *p)
{
    p->cur = p->ahead;
    lex_next(&p->lx, &p->ahead);
    if (p->r->rc < 0)
        p->cur.kind = T_EOF; /* every loop of the parser ends here */
}

/* Says what stands here and what was expected. */
static struct node *unexpected(struct parser *p, const char *wanted)
{
    static const char *const names[] = {
        [T_EOF] = "the end of the template", [T_DATA] = "text", [T_VAR_END] = "'}}'", [T_BLOCK_END] = "'%}'"};
    const struct token *t = &p->cur;
    p->r->line = t->line;
    if (t->kind == T_NAME || t->kind == T_STRING)
        TMPL_FAIL(p->r, FORMAT, "%s was expected, not '%s'", wanted, tmpl_quote(t->v.s).text);
    else if (t->kind < sizeof names / sizeof *names && names[t->kind])
        TMPL_FAIL(p->r, FORMAT, "%s was expected, not %s", wanted, names[t->kind]);
    else
        TMPL_FAIL(p->r, FORMAT, "%s was expected", wanted);
    p->cur.kind = T_EOF;
    return NULL;
}

static bool at_name(const struct token *t, const char *name)
{
    return t->kind == T_NAME && t->v.s.n == strlen(name) && memcmp(t->v.s.p, name, t->v.s.n) == 0;
}

static bool accept(struct parser *p, enum tok kind)
{
    const bool here = p->cur.kind == kind;
    if (here)
        next(p);
    return here;
}

static bool accept_name(struct parser *p, const char *name)
{
    const bool here = at_name(&p->cur, name);
    if (here)
        next(p);
    return here;
}

static void expect(struct parser *p, enum tok kind, const char *wanted)
{
    if (!accept(p, kind))
        unexpected(p, wanted);
}

static struct tstr expect_name(struct parser *p)
{
    const struct token t = p->cur;
    expect(p, T_NAME, "a name");
    return t.kind == T_NAME ? t.v.s : TSTR("");
}

/* ---- nodes ---- */

static struct node *make(struct parser *p, enum nkind kind, int line, struct node *a, struct node *b)
{
    struct node *n = tmpl_take(p->r, sizeof *n);
    if (!n)
        return NULL; /* an error is set, maybe an earlier one: no node is made after it */
    *n = (struct node){.kind = kind, .line = line, .a = a, .b = b};
    return n;
}

static struct node *make_named(struct parser *p, enum nkind kind, int line, struct tstr name, struct node *a)
{
    struct node *n = make(p, kind, line, a, NULL);
    if (n)
        n->v = v_str(name);
    return n;
}

static struct node *make_op(struct parser *p, enum nkind kind, int line, enum tok op, struct node *a, struct node *b)
{
    struct node *n = make(p, kind, line, a, b);
    if (n)
        n->op = (int)op;
    return n;
}

static struct node *make_list(struct parser *p, enum nkind kind, int line, struct node *a, struct node *list)
{
    struct node *n = make(p, kind, line, a, NULL);
    if (n)
        n->list = list;
    return n;
}

static struct node *make_body(struct parser *p, enum nkind kind, int line, struct node *a, struct node *body)
{
    struct node *n = make(p, kind, line, a, NULL);
    if (n)
        n->body = body;
    return n;
}

static void push(struct list *l, struct node *n)
{
    if (!n)
        return;
    if (l->last)
        l->last->next = n;
    else
        l->first = n;
    l->last = n;
}

/* ---- expressions ---- */

enum { NO_COND = 1, IN_PARENS = 2, TARGETS = 4, END_IN = 8, END_RECURSIVE = 16 };
static struct node *parse_expr(struct parser *p);
static struct node *parse_or(struct parser *p);
static struct node *parse_unary(struct parser *p, bool with_filter);
static struct node *parse_tuple(struct parser *p, int how);

static struct node *parse_string(struct parser *p)
{
    const int line = p->cur.line;
    struct sbuf b = {0};
    struct tstr s = p->cur.v.s;
    next(p);
    if (p->cur.kind == T_STRING) { /* 'a' 'b' is one string */
        sbuf_put(p->r, &b, s);
        for (; p->cur.kind == T_STRING; next(p))
            sbuf_put(p->r, &b, p->cur.v.s);
        s = (struct tstr){b.n ? b.p : "", NULL, b.n};
    }
    return make_named(p, N_CONST, line, s, NULL);
}

static struct node *parse_name(struct parser *p)
{
    static const struct {
        const char *name;
        struct value v;
    } constants[] = {{"true", {.kind = V_BOOL, .b = true}},
                     {"True", {.kind = V_BOOL, .b = true}},
                     {"false", {.kind = V_BOOL, .b = false}},
                     {"False", {.kind = V_BOOL, .b = false}},
                     {"none", {.kind = V_NONE}},
                     {"None", {.kind = V_NONE}}};
    const struct token t = p->cur;
    next(p);
    struct node *n = make_named(p, N_NAME, t.line, t.v.s, NULL);
    for (size_t i = 0; n && i < sizeof constants / sizeof *constants; i++)
        if (at_name(&t, constants[i].name)) {
            n->kind = N_CONST;
            n->v = constants[i].v;
        }
    return n;
}

/* Comma-separated expressions up to `end`, which is taken. dict: "key: value" instead. */
static struct node *parse_items(struct parser *p, enum tok end, const char *wanted, bool dict)
{
    struct list l = {0};
    while (p->cur.kind != end && p->cur.kind != T_EOF) {
        push(&l, parse_expr(p));
        if (dict) {
            expect(p, T_COLON, "':'");
            push(&l, parse_expr(p));
        }
        if (p->cur.kind != end)
            expect(p, T_COMMA, "','");
    }
    expect(p, end, wanted);
    return l.first;
}

static struct node *parse_primary(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n;
    switch (p->cur.kind) {
    case T_NAME:
        return parse_name(p);
    case T_STRING:
        return parse_string(p);
    case T_NUMBER:
        n = make(p, N_CONST, line, NULL, NULL);
        if (n)
            n->v = p->cur.v;
        next(p);
        return n;
    case T_LPAREN:
        next(p);
        n = parse_tuple(p, IN_PARENS);
        expect(p, T_RPAREN, "')'");
        return n;
    case T_LBRACKET:
        next(p);
        return make_list(p, N_LIST, line, NULL, parse_items(p, T_RBRACKET, "']'", false));
    case T_LBRACE:
        next(p);
        return make_list(p, N_DICT, line, NULL, parse_items(p, T_RBRACE, "'}'", true));
    default:
        return unexpected(p, "an expression");
    }
}

static struct node *parse_args(struct parser *p)
{
    struct list l = {0};
    bool named = false;
    expect(p, T_LPAREN, "'('");
    while (p->cur.kind != T_RPAREN && p->cur.kind != T_EOF) {
        const struct token t = p->cur;
        if (t.kind == T_NAME && p->ahead.kind == T_ASSIGN) {
            named = true;
            next(p);
            next(p);
            push(&l, make_named(p, N_KWARG, t.line, t.v.s, parse_expr(p)));
        } else if (named || t.kind == T_MUL || t.kind == T_POW) {
            return unexpected(p, named ? "a named argument" : "an argument");
        } else {
            push(&l, parse_expr(p));
        }
        if (p->cur.kind != T_RPAREN)
            expect(p, T_COMMA, "','");
    }
    expect(p, T_RPAREN, "')'");
    return l.first;
}

/* a[key], a[from:to:step]; the "[" is taken. */
static struct node *parse_subscript(struct parser *p, struct node *object, int line)
{
    struct node *part[3] = {NULL};
    int n = 0;
    for (; n < 3; n++) {
        if (p->cur.kind != T_COLON && p->cur.kind != T_RBRACKET)
            part[n] = parse_expr(p);
        if (n == 2 || !accept(p, T_COLON))
            break;
    }
    if (n == 0 && !part[0])
        return unexpected(p, "an index");
    expect(p, T_RBRACKET, "']'");
    struct node *item = make(p, n == 0 ? N_ITEM : N_SLICE, line, object, part[0]);
    if (item) {
        item->c = part[1];
        item->list = part[2];
    }
    return item;
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
    for (;;) {
        const int line = p->cur.line;
        if (accept(p, T_LBRACKET)) {
            n = parse_subscript(p, n, line);
        } else if (p->cur.kind == T_LPAREN) {
            n = make_list(p, N_CALL, line, n, parse_args(p));
        } else if (accept(p, T_DOT)) {
            if (p->cur.kind == T_NUMBER && p->cur.v.kind == V_INT) /* a.0 */
                n = make(p, N_ITEM, line, n, parse_primary(p));
            else
                n = make_named(p, N_ATTR, line, expect_name(p), n);
        } else {
            return n;
        }
    }
}

static struct node *parse_filter(struct parser *p, struct node *n) /* behind "|" */
{
    const int line = p->cur.line;
    const struct tstr name = expect_name(p);
    n = make_named(p, N_FILTER, line, name, n);
    struct node *args = p->cur.kind == T_LPAREN ? parse_args(p) : NULL;
    if (n)
        n->list = args;
    return n;
}

static struct node *parse_test(struct parser *p, struct node *n) /* behind "is" */
{
    const int line = p->cur.line;
    const bool negated = accept_name(p, "not");
    struct node *args = NULL;
    n = make_named(p, N_TEST, line, expect_name(p), n);
    switch (p->cur.kind) {
    case T_LPAREN:
        args = parse_args(p);
        break;
    case T_NAME:
        if (at_name(&p->cur, "else") || at_name(&p->cur, "or") || at_name(&p->cur, "and"))
            break;
        if (at_name(&p->cur, "is"))
            return unexpected(p, "an argument of the test");
        /* fall through */
    case T_STRING:
    case T_NUMBER:
    case T_LBRACKET:
    case T_LBRACE:
        args = parse_postfix(p, parse_primary(p)); /* "x is divisibleby 3" */
        break;
    default:
        break;
    }
    if (n)
        n->list = args;
    return negated ? make(p, N_NOT, line, n, NULL) : n;
}

static struct node *parse_unary(struct parser *p, bool with_filter)
{
    const int line = p->cur.line;
    struct node *n = NULL;
    if (!tmpl_enter(p->r))
        p->cur.kind = T_EOF;
    else if (accept(p, T_SUB))
        n = make(p, N_NEG, line, parse_unary(p, false), NULL);
    else if (accept(p, T_ADD))
        n = make(p, N_POS, line, parse_unary(p, false), NULL);
    else
        n = parse_primary(p);
    tmpl_leave(p->r);
    n = parse_postfix(p, n);
    while (with_filter) {
        if (accept(p, T_PIPE))
            n = parse_filter(p, n);
        else if (accept_name(p, "is"))
            n = parse_test(p, n);
        else if (p->cur.kind == T_LPAREN)
            n = make_list(p, N_CALL, line, n, parse_args(p));
        else
            break;
    }
    return n;
}

static struct node *parse_pow(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n = parse_unary(p, true);
    while (accept(p, T_POW))
        n = make_op(p, N_BINARY, line, T_POW, n, parse_unary(p, true));
    return n;
}

static struct node *parse_product(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n = parse_pow(p);
    for (;;) {
        const enum tok op = p->cur.kind;
        if (op != T_MUL && op != T_DIV && op != T_FLOORDIV && op != T_MOD)
            return n;
        next(p);
        n = make_op(p, N_BINARY, line, op, n, parse_pow(p));
    }
}

static struct node *parse_concat(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n = parse_product(p);
    if (p->cur.kind != T_TILDE)
        return n;
    struct list l = {0};
    push(&l, n);
    while (accept(p, T_TILDE))
        push(&l, parse_product(p));
    return make_list(p, N_CONCAT, line, NULL, l.first);
}

static struct node *parse_sum(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n = parse_concat(p);
    for (;;) {
        const enum tok op = p->cur.kind;
        if (op != T_ADD && op != T_SUB)
            return n;
        next(p);
        n = make_op(p, N_BINARY, line, op, n, parse_concat(p));
    }
}

static struct node *parse_compare(struct parser *p)
{
    const int line = p->cur.line;
    struct node *first = parse_sum(p);
    struct list l = {0};
    for (;;) {
        enum tok op = p->cur.kind;
        if (at_name(&p->cur, "in")) {
            op = T_IN;
        } else if (at_name(&p->cur, "not") && at_name(&p->ahead, "in")) {
            op = T_NOT_IN;
            next(p);
        } else if (op != T_EQ && op != T_NE && op != T_GT && op != T_GE && op != T_LT && op != T_LE) {
            break;
        }
        next(p);
        push(&l, make_op(p, N_OPERAND, line, op, parse_sum(p), NULL));
    }
    return l.first ? make_list(p, N_COMPARE, line, first, l.first) : first;
}

static struct node *parse_not(struct parser *p)
{
    const int line = p->cur.line;
    if (!accept_name(p, "not"))
        return parse_compare(p);
    struct node *n = NULL;
    if (tmpl_enter(p->r))
        n = make(p, N_NOT, line, parse_not(p), NULL);
    tmpl_leave(p->r);
    return n;
}

static struct node *parse_and(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n = parse_not(p);
    while (accept_name(p, "and"))
        n = make(p, N_AND, line, n, parse_not(p));
    return n;
}

static struct node *parse_or(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n = parse_and(p);
    while (accept_name(p, "or"))
        n = make(p, N_OR, line, n, parse_and(p));
    return n;
}

static struct node *parse_expr(struct parser *p)
{
    const int line = p->cur.line;
    struct node *n = NULL;
    if (tmpl_enter(p->r)) {
        n = parse_or(p);
        while (accept_name(p, "if")) {
            struct node *test = parse_or(p);
            struct node *cond = make(p, N_COND, line, test, n);
            struct node *other = accept_name(p, "else") ? parse_expr(p) : NULL;
            if (cond)
                cond->c = other;
            n = cond;
        }
    } else {
        p->cur.kind = T_EOF;
    }
    tmpl_leave(p->r);
    return n;
}

/* What may be assigned to: a name, or namespace.name. */
static struct node *parse_target(struct parser *p)
{
    const int line = p->cur.line;
    if (p->cur.kind == T_LPAREN) {
        struct node *n = NULL;
        next(p);
        if (tmpl_enter(p->r))
            n = parse_tuple(p, TARGETS | IN_PARENS);
        tmpl_leave(p->r);
        expect(p, T_RPAREN, "')'");
        return n;
    }
    if (p->cur.kind != T_NAME)
        return unexpected(p, "a name to assign to");
    struct node *n = parse_name(p);
    if (n && n->kind != N_NAME) {
        p->r->line = line;
        TMPL_FAIL(p->r, FORMAT, "cannot assign to a constant");
    }
    return accept(p, T_DOT) ? make_named(p, N_NSREF, line, expect_name(p), n) : n;
}

/* One expression, or a tuple where there are commas. */
static struct node *parse_tuple(struct parser *p, int how)
{
    const int line = p->cur.line;
    struct list l = {0};
    bool tuple = false;
    for (;;) {
        const enum tok k = p->cur.kind;
        if (k == T_VAR_END || k == T_BLOCK_END || k == T_RPAREN || ((how & END_IN) && at_name(&p->cur, "in")) ||
            ((how & END_RECURSIVE) && at_name(&p->cur, "recursive")))
            break;
        push(&l, how & TARGETS ? parse_target(p) : how & NO_COND ? parse_or(p) : parse_expr(p));
        if (!accept(p, T_COMMA))
            break;
        tuple = true;
    }
    if (!tuple && l.first)
        return l.first;
    if (!tuple && !(how & IN_PARENS))
        return unexpected(p, "an expression");
    return make_list(p, N_TUPLE, line, NULL, l.first);
}

/* ---- statements ---- */

static struct node *parse_body(struct parser *p, const char *const ends[]);

/* The body behind a tag, up to one of the words in ends; that word is the current token. */
static struct node *parse_block(struct parser *p, const char *const ends[])
{
    accept(p, T_COLON);
    expect(p, T_BLOCK_END, "'%}'");
    struct node *body = NULL;
    if (tmpl_enter(p->r))
        body = parse_body(p, ends);
    tmpl_leave(p->r);
    if (p->cur.kind == T_EOF)
        unexpected(p, ends[0]);
    return body;
}

/* The same where only one word may end it; the word is taken. */
static struct node *parse_until(struct parser *p, const char *end)
{
    struct node *body = parse_block(p, (const char *const[]){end, NULL});
    next(p);
    return body;
}

/* The same for a body whose text is kept: no break leaves it. */
static struct node *parse_captured(struct parser *p, const char *end)
{
    const int n_loop = p->n_loop;
    p->n_loop = 0;
    struct node *body = parse_until(p, end);
    p->n_loop = n_loop;
    return body;
}

static struct node *parse_if(struct parser *p, int line)
{
    struct node *first = NULL, *last = NULL;
    bool more = true;
    while (more && p->r->rc == OTR_OK) {
        struct node *test = NULL;
        if (!first || accept_name(p, "elif"))
            test = parse_tuple(p, NO_COND);
        else
            more = !accept_name(p, "else"); /* the branch without a test is the last */
        struct node *body = more ? parse_block(p, (const char *const[]){"endif", "elif", "else", NULL})
                                 : parse_block(p, (const char *const[]){"endif", NULL});
        struct node *n = make_body(p, N_IF, line, test, body);
        if (last)
            last->b = n;
        else
            first = n;
        last = n;
        line = p->cur.line;
        if (accept_name(p, "endif"))
            break;
    }
    return first;
}

static struct node *parse_for(struct parser *p, int line)
{
    struct node *target = parse_tuple(p, TARGETS | END_IN);
    if (!accept_name(p, "in"))
        return unexpected(p, "'in'");
    struct node *in = parse_tuple(p, NO_COND | END_RECURSIVE);
    struct node *test = accept_name(p, "if") ? parse_expr(p) : NULL;
    p->n_loop++;
    struct node *body = parse_block(p, (const char *const[]){"endfor", "else", NULL});
    p->n_loop--;
    struct node *n = make_body(p, N_FOR, line, target, body);
    struct node *other = NULL;
    if (accept_name(p, "else"))
        other = parse_until(p, "endfor");
    else
        next(p);
    if (n) {
        n->b = in;
        n->c = test;
        n->list = other;
    }
    return n;
}

static struct node *parse_set(struct parser *p, int line)
{
    struct node *target = parse_tuple(p, TARGETS);
    if (accept(p, T_ASSIGN))
        return make(p, N_SET, line, target, parse_tuple(p, 0));
    struct node *filters = NULL;
    while (accept(p, T_PIPE))
        filters = parse_filter(p, filters);
    struct node *n = make_body(p, N_SET_BLOCK, line, target, parse_captured(p, "endset"));
    if (n)
        n->b = filters;
    return n;
}

static struct node *parse_macro(struct parser *p, int line)
{
    const struct tstr name = expect_name(p);
    struct list params = {0};
    bool defaults = false;
    expect(p, T_LPAREN, "'('");
    while (p->cur.kind != T_RPAREN && p->cur.kind != T_EOF) {
        const int at = p->cur.line;
        const struct tstr param = expect_name(p);
        struct node *value = NULL;
        if (accept(p, T_ASSIGN))
            value = parse_expr(p);
        else if (defaults)
            return unexpected(p, "a default value");
        defaults = defaults || value;
        push(&params, make_named(p, N_PARAM, at, param, value));
        if (p->cur.kind != T_RPAREN)
            expect(p, T_COMMA, "','");
    }
    expect(p, T_RPAREN, "')'");
    struct node *n = make_named(p, N_MACRO, line, name, NULL), *body = parse_captured(p, "endmacro");
    if (n) {
        n->list = params.first;
        n->body = body;
    }
    return n;
}

static struct node *parse_with(struct parser *p, int line)
{
    struct list sets = {0};
    while (p->cur.kind != T_BLOCK_END && p->cur.kind != T_EOF) {
        const int at = p->cur.line;
        struct node *target = parse_target(p);
        expect(p, T_ASSIGN, "'='");
        push(&sets, make(p, N_SET, at, target, parse_expr(p)));
        if (p->cur.kind != T_BLOCK_END)
            expect(p, T_COMMA, "','");
    }
    struct node *n = make_body(p, N_WITH, line, NULL, parse_until(p, "endwith"));
    if (n)
        n->list = sets.first;
    return n;
}

static struct node *parse_filter_block(struct parser *p, int line)
{
    struct node *filters = parse_filter(p, NULL);
    while (accept(p, T_PIPE))
        filters = parse_filter(p, filters);
    return make_body(p, N_FILTER_BLOCK, line, filters, parse_captured(p, "endfilter"));
}

/* Marks what the assistant said, for training. The text is the same: a filter block without a filter. */
static struct node *parse_generation(struct parser *p, int line)
{
    return make_body(p, N_FILTER_BLOCK, line, NULL, parse_captured(p, "endgeneration"));
}

static struct node *parse_jump(struct parser *p, int line, enum nkind kind)
{
    if (p->n_loop == 0) {
        p->r->line = line;
        TMPL_FAIL(p->r, FORMAT, "break or continue outside a loop");
    }
    return make(p, kind, line, NULL, NULL);
}

static struct node *parse_break(struct parser *p, int line)
{
    return parse_jump(p, line, N_BREAK);
}

static struct node *parse_continue(struct parser *p, int line)
{
    return parse_jump(p, line, N_CONTINUE);
}

static struct node *parse_statement(struct parser *p)
{
    static const struct {
        const char *word;
        struct node *(*parse)(struct parser *p, int line);
    } statements[] = {{"if", parse_if},
                      {"for", parse_for},
                      {"set", parse_set},
                      {"macro", parse_macro},
                      {"with", parse_with},
                      {"filter", parse_filter_block},
                      {"generation", parse_generation},
                      {"break", parse_break},
                      {"continue", parse_continue}};
    const struct token t = p->cur;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (at_name(&t, statements[i].word)) {
            next(p);
            return statements[i].parse(p, t.line);
        }
    if (t.kind != T_NAME)
        return unexpected(p, "a statement");
    p->r->line = t.line;
    TMPL_FAIL(p->r, FORMAT, "unknown statement '%s'", tmpl_quote(t.v.s).text);
    return NULL;
}

static struct node *parse_body(struct parser *p, const char *const ends[])
{
    struct list l = {0};
    while (p->cur.kind != T_EOF && p->r->rc == OTR_OK) {
        const struct token t = p->cur;
        next(p);
        if (t.kind == T_DATA) {
            push(&l, make_named(p, N_TEXT, t.line, t.v.s, NULL));
        } else if (t.kind == T_VAR_BEGIN) {
            push(&l, make(p, N_PRINT, t.line, parse_tuple(p, 0), NULL));
            expect(p, T_VAR_END, "'}}'");
        } else { /* T_BLOCK_BEGIN */
            for (size_t i = 0; ends[i]; i++)
                if (at_name(&p->cur, ends[i]))
                    return l.first;
            push(&l, parse_statement(p));
            expect(p, T_BLOCK_END, "'%}'");
        }
    }
    return l.first;
}

struct node *tmpl_parse(struct run *r, const char *src, size_t n)
{
    struct parser p = {.r = r, .lx = {.r = r, .src = src, .n = n, .line = 1}};
    next(&p);
    next(&p);
    return parse_body(&p, (const char *const[]){NULL});
}
