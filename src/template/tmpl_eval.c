/* Owns the walk over the nodes: expressions to values, statements to text. In: nodes, scopes. Out: text in run.out.
 * A set writes the innermost scope, a name is looked up from there outwards, then among the globals: a for loop, a
 * macro, a with and a block that is captured each open one. Read next: tmpl_value.c. */
#include "template/tmpl_priv.h"

static struct value eval(struct run *r, const struct node *n);

/* ---- names ---- */

static struct scope *open_scope(struct run *r, struct scope *up)
{
    struct scope *s = tmpl_take(r, sizeof *s);
    if (s)
        *s = (struct scope){.up = up};
    return s;
}

void tmpl_define(struct run *r, struct tstr name, struct value v)
{
    for (struct var *var = r->scope->vars; var && tmpl_spend(r, 1); var = var->next)
        if (tstr_eq(var->name, name)) {
            var->v = v;
            return;
        }
    struct var *var = tmpl_take(r, sizeof *var);
    if (!var)
        return;
    *var = (struct var){name, v, r->scope->vars};
    r->scope->vars = var;
}

static struct value look_up(struct run *r, struct tstr name)
{
    for (const struct scope *s = r->scope; s; s = s->up)
        for (const struct var *var = s->vars; var && tmpl_spend(r, 1); var = var->next)
            if (tstr_eq(var->name, name))
                return var->v;
    const struct builtin *f = tmpl_find_global(name);
    return f ? (struct value){.kind = V_BUILTIN, .call = {f, NULL}} : v_undef(name);
}

static void assign(struct run *r, const struct node *target, struct value v)
{
    r->line = target->line;
    if (target->kind == N_NAME) {
        tmpl_define(r, target->v.s, v);
    } else if (target->kind == N_NSREF) {
        const struct value ns = look_up(r, target->a->v.s);
        if (ns.kind == V_NAMESPACE)
            tmpl_dict_put(r, ns.dict, v_str(target->v.s), v);
        else
            TMPL_FAIL(r, FORMAT, "cannot set an attribute of '%s': it is %s, not a namespace",
                      tmpl_quote(target->a->v.s).text, tmpl_type(ns));
    } else { /* N_TUPLE */
        const struct value all = tmpl_iter(r, v);
        size_t i = 0;
        const struct node *each = target->list;
        for (; each && i < all.list.n; each = each->next, i++)
            assign(r, each, all.list.v[i]);
        if (each || i < all.list.n)
            TMPL_FAIL(r, FORMAT, "cannot unpack %zu values: there are more or fewer names", all.list.n);
    }
}

/* ---- calls ---- */

/* Evaluates arguments; names and values live as long as the render. */
static struct args eval_args(struct run *r, const struct node *list)
{
    struct args a = {0};
    size_t n = 0;
    for (const struct node *e = list; e; e = e->next)
        n++;
    if (n == 0)
        return a;
    struct value *v = tmpl_take_n(r, n, sizeof *v);
    struct kwarg *kw = tmpl_take_n(r, n, sizeof *kw);
    if (!v || !kw)
        return a;
    for (const struct node *e = list; e; e = e->next) {
        const struct value x = eval(r, e->kind == N_KWARG ? e->a : e);
        if (e->kind == N_KWARG)
            kw[a.n_kw++] = (struct kwarg){e->v.s, x};
        else
            v[a.n++] = x;
    }
    a.v = v;
    a.kw = kw;
    return a;
}

/* The i-th parameter's argument, V_ABSENT where it was not given. Counts the named ones. */
static struct value find_arg(const struct args *a, size_t i, struct tstr name, size_t *n_named)
{
    if (i < a->n)
        return a->v[i];
    for (size_t k = 0; k < a->n_kw; k++)
        if (tstr_eq(a->kw[k].name, name)) {
            ++*n_named;
            return a->kw[k].v;
        }
    return (struct value){.kind = V_ABSENT};
}

static void check_counts(struct run *r, const struct args *a, size_t n_param, size_t n_named, struct tstr name)
{
    if (a->n > n_param)
        TMPL_FAIL(r, FORMAT, "'%s' takes at most %zu arguments, not %zu", tmpl_quote(name).text, n_param, a->n);
    else if (n_named != a->n_kw)
        TMPL_FAIL(r, FORMAT, "'%s' has no such named argument as is given", tmpl_quote(name).text);
}

struct value tmpl_invoke(struct run *r, const struct builtin *f, struct value self, const struct args *a)
{
    struct value v[TMPL_MAX_PARAMS];
    size_t n = 0, n_named = 0, len;
    bool optional = false;
    if (f->params[0] == '*')
        return f->fn(r, self, a);
    for (const char *p = f->params; *p; p += len + (p[len] == ' ')) {
        len = strcspn(p, " ");
        if (*p == '?') {
            optional = true;
            continue;
        }
        v[n] = find_arg(a, n, (struct tstr){p, NULL, len}, &n_named);
        if (v[n].kind == V_ABSENT && !optional)
            return TMPL_FAIL(r, FORMAT, "'%s' lacks its argument '%.*s'", f->name, (int)len, p);
        n++;
    }
    check_counts(r, a, n, n_named, (struct tstr){f->name, NULL, strlen(f->name)});
    return r->rc < 0 ? v_undef(TSTR("")) : f->fn(r, self, &(struct args){v, n, NULL, 0});
}

static struct value call_macro(struct run *r, const struct macro *m, const struct args *a)
{
    struct scope *const outer = r->scope;
    struct sbuf *const out = r->out;
    struct sbuf body = {0};
    struct scope *const inner = open_scope(r, m->scope);
    size_t i = 0, n_named = 0;
    if (!inner)
        return v_undef(TSTR(""));
    r->scope = inner;
    r->out = &body;
    for (const struct node *p = m->node->list; p; p = p->next, i++) {
        struct value v = find_arg(a, i, p->v.s, &n_named);
        if (v.kind == V_ABSENT)
            v = p->a ? eval(r, p->a) : v_undef(p->v.s);
        tmpl_define(r, p->v.s, v);
    }
    check_counts(r, a, i, n_named, m->node->v.s);
    tmpl_exec(r, m->node->body);
    r->scope = outer;
    r->out = out;
    return v_str(sbuf_str(&body));
}

static struct value eval_call(struct run *r, const struct node *n)
{
    const struct value f = eval(r, n->a);
    const struct args a = eval_args(r, n->list);
    if (r->rc < 0)
        return v_undef(TSTR(""));
    switch (f.kind) {
    case V_MACRO:
        return call_macro(r, f.macro, &a);
    case V_BUILTIN:
        return tmpl_invoke(r, f.call.fn, f.call.self ? *f.call.self : v_none(), &a);
    case V_UNDEF:
        return TMPL_FAIL(r, FORMAT, "'%s' is undefined, so it cannot be called", tmpl_quote(f.s).text);
    default:
        return TMPL_FAIL(r, FORMAT, "%s cannot be called", tmpl_type(f));
    }
}

static struct value eval_filter(struct run *r, const struct node *n)
{
    const struct value self = n->a ? eval(r, n->a) : r->captured;
    const struct builtin *f = tmpl_find_filter(n->v.s);
    if (!f)
        return TMPL_FAIL(r, FORMAT, "unknown filter '%s'", tmpl_quote(n->v.s).text);
    const struct args a = eval_args(r, n->list);
    return r->rc < 0 ? self : tmpl_invoke(r, f, self, &a);
}

static struct value eval_test(struct run *r, const struct node *n)
{
    const struct value self = eval(r, n->a);
    const struct builtin *f = tmpl_find_test(n->v.s);
    if (!f)
        return TMPL_FAIL(r, FORMAT, "unknown test '%s'", tmpl_quote(n->v.s).text);
    const struct args a = eval_args(r, n->list);
    return r->rc < 0 ? self : v_bool(tmpl_truth(tmpl_invoke(r, f, self, &a)));
}

/* ---- expressions ---- */

static struct value eval_compare(struct run *r, const struct node *n)
{
    struct value left = eval(r, n->a);
    bool so = true;
    for (const struct node *o = n->list; o && so && r->rc == OTR_OK; o = o->next) { /* a < b < c */
        const struct value right = eval(r, o->a);
        so = r->rc == OTR_OK && tmpl_compare(r, (enum tok)o->op, left, right);
        left = right;
    }
    return v_bool(so);
}

static struct value eval_list(struct run *r, const struct node *n)
{
    const struct args a = eval_args(r, n->list);
    return (struct value){.kind = n->kind == N_LIST ? V_LIST : V_TUPLE, .list = {a.v, a.n}};
}

static struct value eval_dict(struct run *r, const struct node *n)
{
    struct vdict *d = tmpl_dict(r);
    for (const struct node *e = n->list; e && e->next && r->rc == OTR_OK; e = e->next->next) {
        const struct value k = eval(r, e), v = eval(r, e->next);
        tmpl_dict_put(r, d, k, v);
    }
    return d ? (struct value){.kind = V_DICT, .dict = d} : v_undef(TSTR(""));
}

static struct value eval_concat(struct run *r, const struct node *n)
{
    struct sbuf b = {0};
    for (const struct node *e = n->list; e && r->rc == OTR_OK; e = e->next)
        tmpl_write(r, &b, eval(r, e), false);
    return v_str(sbuf_str(&b));
}

static struct value eval_slice(struct run *r, const struct node *n)
{
    const struct value v = eval(r, n->a);
    const struct node *const part[3] = {n->b, n->c, n->list};
    struct value bound[3];
    for (int i = 0; i < 3; i++)
        bound[i] = part[i] ? eval(r, part[i]) : (struct value){.kind = V_ABSENT};
    return r->rc < 0 ? v : tmpl_slice(r, v, bound);
}

static struct value eval_binary(struct run *r, const struct node *n)
{
    const struct value a = eval(r, n->a), b = eval(r, n->b);
    return r->rc < 0 ? a : tmpl_binary(r, (enum tok)n->op, a, b);
}

static struct value eval_sign(struct run *r, const struct node *n)
{
    const struct value v = tmpl_negate(r, eval(r, n->a)); /* "+x" too: it fails where "-x" does */
    return n->kind == N_NEG ? v : tmpl_negate(r, v);
}

static struct value eval_node(struct run *r, const struct node *n)
{
    struct value v;
    switch (n->kind) {
    case N_CONST:
        return n->v;
    case N_NAME:
        return look_up(r, n->v.s);
    case N_ATTR:
        v = eval(r, n->a);
        return r->rc < 0 ? v : tmpl_attr(r, v, n->v.s);
    case N_ITEM:
        v = eval(r, n->a);
        return r->rc < 0 ? v : tmpl_item(r, v, eval(r, n->b));
    case N_SLICE:
        return eval_slice(r, n);
    case N_CALL:
        return eval_call(r, n);
    case N_FILTER:
        return eval_filter(r, n);
    case N_TEST:
        return eval_test(r, n);
    case N_NOT:
        return v_bool(!tmpl_truth(eval(r, n->a)));
    case N_NEG:
    case N_POS:
        return eval_sign(r, n);
    case N_AND:
        v = eval(r, n->a);
        return tmpl_truth(v) ? eval(r, n->b) : v;
    case N_OR:
        v = eval(r, n->a);
        return tmpl_truth(v) ? v : eval(r, n->b);
    case N_BINARY:
        return eval_binary(r, n);
    case N_COND:
        if (tmpl_truth(eval(r, n->a)))
            return eval(r, n->b);
        return n->c ? eval(r, n->c) : v_undef(TSTR("the inline if without else"));
    case N_CONCAT:
        return eval_concat(r, n);
    case N_COMPARE:
        return eval_compare(r, n);
    case N_LIST:
    case N_TUPLE:
        return eval_list(r, n);
    case N_DICT:
        return eval_dict(r, n);
    default:
        return TMPL_FAIL(r, FORMAT, "this cannot stand in an expression");
    }
}

static struct value eval(struct run *r, const struct node *n)
{
    struct value v = v_undef(TSTR(""));
    const int line = r->line;
    if (tmpl_enter(r) && tmpl_spend(r, TMPL_NODE_COST)) {
        r->line = n->line;
        v = eval_node(r, n);
    }
    tmpl_leave(r);
    if (r->rc == OTR_OK)
        r->line = line;
    return v;
}

/* ---- statements ---- */

/* WHY one at a time: the test may depend on what the body has set, and is asked ahead only for loop.last and the like.
 */
bool tmpl_loop_more(struct run *r, struct vloop *l)
{
    struct scope *const inner = r->scope;
    bool found = false;
    while (!found && l->n_rest > 0 && r->rc == OTR_OK) {
        const struct value item = *l->rest++;
        l->n_rest--;
        if (!(r->scope = open_scope(r, l->scope)))
            break;
        assign(r, l->node->a, item);
        found = tmpl_truth(eval(r, l->node->c)) && r->rc == OTR_OK;
        if (found)
            l->room[l->n++] = item;
    }
    r->scope = inner;
    return found;
}

static enum flow exec_for(struct run *r, const struct node *n)
{
    struct scope *const outer = r->scope;
    struct value all = eval(r, n->b);
    all = r->rc < 0 ? v_list(NULL, 0) : tmpl_iter(r, all);
    struct vloop *loop = tmpl_take(r, sizeof *loop);
    struct value *room = n->c ? tmpl_take_n(r, all.list.n, sizeof *room) : NULL;
    if (r->rc < 0)
        return FLOW_NEXT;
    *loop = (struct vloop){.v = all.list.v, .n = all.list.n, .node = n, .scope = outer};
    if (n->c)
        *loop = (struct vloop){
            .v = room, .room = room, .rest = all.list.v, .n_rest = all.list.n, .node = n, .scope = outer};
    enum flow f = FLOW_NEXT;
    bool finished = false;
    for (; f != FLOW_BREAK && r->rc == OTR_OK && (loop->at < loop->n || tmpl_loop_more(r, loop)); loop->at++) {
        if (!(r->scope = open_scope(r, outer)))
            break;
        tmpl_define(r, TSTR("loop"), (struct value){.kind = V_LOOP, .loop = loop});
        assign(r, n->a, loop->v[loop->at]);
        f = tmpl_exec(r, n->body);
        finished = finished || f == FLOW_NEXT;
    }
    /* Jinja's else: where no body has run to its end, be it for want of items or by break and continue */
    f = !finished && (r->scope = open_scope(r, outer)) ? tmpl_exec(r, n->list) : FLOW_NEXT;
    r->scope = outer;
    return f; /* a break in the else is one of the loop around this one */
}

/* Runs a body in its own scope; what it writes, through the filters (may be NULL), is the value. */
static struct value capture(struct run *r, const struct node *body, const struct node *filters)
{
    struct scope *const outer = r->scope;
    struct sbuf *const out = r->out;
    struct sbuf text = {0};
    if ((r->scope = open_scope(r, outer))) {
        r->out = &text;
        tmpl_exec(r, body);
    }
    r->scope = outer;
    r->out = out;
    r->captured = v_str(sbuf_str(&text)); /* the first filter reads it before anything else runs */
    return filters ? eval(r, filters) : r->captured;
}

static enum flow exec_with(struct run *r, const struct node *n)
{
    struct scope *const outer = r->scope, *const inner = open_scope(r, outer);
    if (!inner)
        return FLOW_NEXT;
    for (const struct node *s = n->list; s && r->rc == OTR_OK; s = s->next) {
        const struct value v = eval(r, s->b); /* which does not see the names to its left */
        r->scope = inner;
        assign(r, s->a, v);
        r->scope = outer;
    }
    r->scope = inner;
    const enum flow f = tmpl_exec(r, n->body);
    r->scope = outer;
    return f;
}

static void exec_macro(struct run *r, const struct node *n)
{
    struct macro *m = tmpl_take(r, sizeof *m);
    if (!m)
        return;
    *m = (struct macro){n, r->scope};
    tmpl_define(r, n->v.s, (struct value){.kind = V_MACRO, .macro = m});
}

static enum flow exec_if(struct run *r, const struct node *n)
{
    for (; n && r->rc == OTR_OK; n = n->b)
        if (!n->a || tmpl_truth(eval(r, n->a)))
            return tmpl_exec(r, n->body);
    return FLOW_NEXT;
}

static enum flow exec_one(struct run *r, const struct node *n)
{
    switch (n->kind) {
    case N_TEXT:
        sbuf_put(r, r->out, n->v.s);
        break;
    case N_PRINT:
        tmpl_write(r, r->out, eval(r, n->a), false);
        break;
    case N_IF:
        return exec_if(r, n);
    case N_FOR:
        return exec_for(r, n);
    case N_SET:
        assign(r, n->a, eval(r, n->b));
        break;
    case N_SET_BLOCK:
        assign(r, n->a, capture(r, n->body, n->b));
        break;
    case N_MACRO:
        exec_macro(r, n);
        break;
    case N_WITH:
        return exec_with(r, n);
    case N_FILTER_BLOCK:
        tmpl_write(r, r->out, capture(r, n->body, n->a), false);
        break;
    case N_BREAK:
        return FLOW_BREAK;
    case N_CONTINUE:
        return FLOW_CONTINUE;
    default:
        TMPL_FAIL(r, FORMAT, "this is no statement");
    }
    return FLOW_NEXT;
}

enum flow tmpl_exec(struct run *r, const struct node *list)
{
    enum flow f = FLOW_NEXT;
    if (tmpl_enter(r))
        for (const struct node *n = list; n && f == FLOW_NEXT && tmpl_spend(r, TMPL_NODE_COST); n = n->next) {
            r->line = n->line;
            f = exec_one(r, n);
        }
    tmpl_leave(r);
    return f;
}
