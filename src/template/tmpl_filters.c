/* Owns the tables of filters (x | name) and tests (x is name). In: the value and the bound arguments. Out: a value.
 * To add one: its function, its line in the table. Read next: tmpl_methods.c. */
#include "template/tmpl_priv.h"

#include <math.h>

const struct builtin *tmpl_find(const struct builtin *table, size_t n, enum vkind self, struct tstr name)
{
    for (size_t i = 0; i < n; i++)
        if (table[i].self == self && strlen(table[i].name) == name.n && memcmp(table[i].name, name.p, name.n) == 0)
            return &table[i];
    return NULL;
}

/* ---- filters on strings: like Jinja they take anything and make it a string ---- */

static struct value f_string(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(tmpl_str(r, self));
}

static struct value f_trim(struct run *r, struct value self, const struct args *a)
{
    const struct tstr chars = tmpl_str_arg(r, a->v[0], TSTR(""));
    return v_str(text_strip(r, tmpl_str(r, self), a->v[0].kind == V_STR ? &chars : NULL, STRIP_LEFT | STRIP_RIGHT));
}

static struct value f_upper(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, tmpl_str(r, self), TEXT_UPPER));
}

static struct value f_lower(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, tmpl_str(r, self), TEXT_LOWER));
}

static struct value f_title(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, tmpl_str(r, self), TEXT_TITLE_FILTER));
}

static struct value f_capitalize(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, tmpl_str(r, self), TEXT_CAPITALIZE));
}

static struct value f_replace(struct run *r, struct value self, const struct args *a)
{
    return v_str(
        text_replace(r, tmpl_str(r, self), tmpl_str(r, a->v[0]), tmpl_str(r, a->v[1]), tmpl_int_arg(r, a->v[2], -1)));
}

static struct value f_indent(struct run *r, struct value self, const struct args *a)
{
    struct tstr pad;
    if (self.kind != V_STR)
        return TMPL_FAIL(r, FORMAT, "indent needs a string, not %s", tmpl_type(self));
    if (a->v[0].kind == V_STR) {
        pad = a->v[0].s;
    } else {
        struct sbuf b = {0};
        for (int64_t i = tmpl_int_arg(r, a->v[0], 4); i > 0 && r->rc == OTR_OK; i--)
            sbuf_text(r, &b, " ");
        pad = sbuf_str(&b);
    }
    const bool first = tmpl_truth(a->v[1]), blank = tmpl_truth(a->v[2]);
    struct sbuf with_end = {0}, out = {0};
    sbuf_put(r, &with_end, self.s);
    sbuf_text(r, &with_end, "\n"); /* as Jinja does: a text that ends in a newline keeps it */
    const struct value lines = text_lines(r, sbuf_str(&with_end), false);
    for (size_t i = 0; i < lines.list.n && r->rc == OTR_OK; i++) {
        const struct tstr line = lines.list.v[i].s;
        if (i > 0)
            sbuf_text(r, &out, "\n");
        if (i == 0 ? first : blank || line.n > 0)
            sbuf_put(r, &out, pad);
        sbuf_put(r, &out, line);
    }
    return v_str(sbuf_str(&out));
}

/* ---- filters on anything ---- */

static struct value f_default(struct run *r, struct value self, const struct args *a)
{
    (void)r;
    if (self.kind != V_UNDEF && !(tmpl_truth(a->v[1]) && !tmpl_truth(self)))
        return self;
    return a->v[0].kind == V_ABSENT ? v_str(TSTR("")) : a->v[0];
}

static struct value f_length(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return tmpl_length(r, self);
}

static struct value f_tojson(struct run *r, struct value self, const struct args *a)
{
    struct tstr indent = TSTR("");
    struct sbuf pad = {0};
    if (a->v[1].kind == V_STR) {
        indent = a->v[1].s;
    } else {
        for (int64_t i = tmpl_int_arg(r, a->v[1], 0); i > 0 && r->rc == OTR_OK; i--)
            sbuf_text(r, &pad, " ");
        indent = sbuf_str(&pad);
    }
    const bool lines = a->v[1].kind != V_ABSENT && a->v[1].kind != V_NONE;
    struct json_style st = {.indent = lines ? &indent : NULL,
                            .ascii = tmpl_truth(a->v[0]),
                            .item_sep = lines ? TSTR(",") : TSTR(", "),
                            .key_sep = TSTR(": "),
                            .sort_keys = tmpl_truth(a->v[3])};
    const struct value sep = a->v[2];
    if (v_is_list(sep) && sep.list.n == 2) {
        st.item_sep = tmpl_str_arg(r, sep.list.v[0], st.item_sep);
        st.key_sep = tmpl_str_arg(r, sep.list.v[1], st.key_sep);
    } else if (sep.kind != V_ABSENT && sep.kind != V_NONE) {
        return TMPL_FAIL(r, FORMAT, "tojson needs two separators");
    }
    return v_str(tmpl_json(r, self, &st));
}

static struct value f_int(struct run *r, struct value self, const struct args *a)
{
    const struct value otherwise = a->v[0].kind == V_ABSENT ? v_int(0) : a->v[0];
    const int64_t base = tmpl_int_arg(r, a->v[1], 10);
    int64_t i;
    double f;
    if (tmpl_as_int(self, &i))
        return v_int(i);
    if (self.kind == V_UNDEF)
        return TMPL_FAIL(r, FORMAT, "'%s' is undefined", tmpl_quote(self.s).text);
    if (self.kind == V_STR && base >= 2 && base <= 36 && text_to_int(self.s, (int)base, &i))
        return v_int(i);
    if (self.kind == V_FLOAT)
        f = self.f;
    else if (self.kind != V_STR || !text_to_float(r, self.s, &f))
        return otherwise;
    if (isnan(f) || (isinf(f) && self.kind == V_STR))
        return otherwise;
    if (f >= 9223372036854775808.0 || f < -9223372036854775808.0) /* 2^63 */
        return TMPL_FAIL(r, LIMIT, "an integer of more than 64 bits");
    return v_int((int64_t)f);
}

static struct value f_float(struct run *r, struct value self, const struct args *a)
{
    int64_t i;
    double f;
    if (self.kind == V_FLOAT)
        return self;
    if (tmpl_as_int(self, &i))
        return v_float((double)i);
    if (self.kind == V_UNDEF)
        return TMPL_FAIL(r, FORMAT, "'%s' is undefined", tmpl_quote(self.s).text);
    if (self.kind == V_STR && text_to_float(r, self.s, &f))
        return v_float(f);
    return a->v[0].kind == V_ABSENT ? v_float(0.0) : a->v[0];
}

static struct value f_abs(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    if (self.kind == V_FLOAT)
        return v_float(fabs(self.f));
    int64_t i;
    return tmpl_as_int(self, &i) && i >= 0 ? v_int(i) : tmpl_negate(r, self);
}

/* ---- filters on lists ---- */

static struct value f_list(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return tmpl_iter(r, self);
}

static struct value f_first(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    const struct value all = tmpl_iter(r, self);
    return all.list.n > 0 ? all.list.v[0] : v_undef(TSTR("the first item of nothing"));
}

static struct value f_last(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    const struct value all = tmpl_iter(r, self);
    return all.list.n > 0 ? all.list.v[all.list.n - 1] : v_undef(TSTR("the last item of nothing"));
}

static struct value f_reverse(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    const struct value all = tmpl_iter(r, self);
    struct value *v = tmpl_take_n(r, all.list.n, sizeof *v);
    if (!v)
        return v_undef(TSTR(""));
    for (size_t i = 0; i < all.list.n; i++)
        v[i] = all.list.v[all.list.n - 1 - i];
    return self.kind == V_STR ? v_str(text_join(r, TSTR(""), v, all.list.n)) : v_list(v, all.list.n);
}

static struct value f_items(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    if (self.kind == V_UNDEF)
        return v_list(NULL, 0);
    if (self.kind != V_DICT)
        return TMPL_FAIL(r, FORMAT, "items needs a dict, not %s", tmpl_type(self));
    return tmpl_dict_list(r, self.dict, true, true);
}

/* "a.b.0" of v, as the filters that take an attribute read it. */
static struct value get_path(struct run *r, struct value v, struct value path)
{
    if (path.kind != V_STR)
        return tmpl_item(r, v, path);
    for (size_t at = 0; at <= path.s.n && r->rc == OTR_OK;) {
        const size_t dot = text_find(r, path.s, TSTR("."), at), end = dot == SIZE_MAX ? path.s.n : dot;
        const struct tstr part = tstr_sub(path.s, at, end);
        int64_t i;
        const bool number = part.n > 0 && part.p[0] >= '0' && part.p[0] <= '9' && text_to_int(part, 10, &i);
        v = tmpl_item(r, v, number ? v_int(i) : v_str(part));
        at = end + 1;
    }
    return v;
}

static struct value f_join(struct run *r, struct value self, const struct args *a)
{
    const struct value all = tmpl_iter(r, self);
    const struct value *v = all.list.v;
    if (a->v[1].kind != V_ABSENT && a->v[1].kind != V_NONE) {
        struct value *picked = tmpl_take_n(r, all.list.n, sizeof *picked);
        if (!picked)
            return v_undef(TSTR(""));
        for (size_t i = 0; i < all.list.n; i++)
            picked[i] = get_path(r, all.list.v[i], a->v[1]);
        v = picked;
    }
    return v_str(text_join(r, tmpl_str(r, a->v[0]), v, all.list.n));
}

static struct value named(const struct args *a, struct tstr name) /* V_ABSENT: not given */
{
    for (size_t i = 0; i < a->n_kw; i++)
        if (tstr_eq(a->kw[i].name, name))
            return a->kw[i].v;
    return (struct value){.kind = V_ABSENT};
}

/* WHY: Jinja's lazy filters look at nothing that is false, be it iterable or not. */
static struct value iter_lazily(struct run *r, struct value self)
{
    return tmpl_truth(self) ? tmpl_iter(r, self) : v_list(NULL, 0);
}

/* map(attribute='x', default=...) or map('filter', its arguments) */
static struct value f_map(struct run *r, struct value self, const struct args *a)
{
    const struct value all = iter_lazily(r, self), path = named(a, TSTR("attribute")),
                       other = named(a, TSTR("default"));
    const struct builtin *f = NULL;
    if (a->n > 0) {
        const struct tstr name = tmpl_str_arg(r, a->v[0], TSTR("none"));
        if (!(f = tmpl_find_filter(name)))
            return TMPL_FAIL(r, FORMAT, "unknown filter '%s'", tmpl_quote(name).text);
    } else if (path.kind == V_ABSENT) {
        return TMPL_FAIL(r, FORMAT, "map needs a filter or an attribute");
    }
    struct value *v = tmpl_take_n(r, all.list.n, sizeof *v);
    const struct args rest = {a->n > 0 ? a->v + 1 : NULL, a->n > 0 ? a->n - 1 : 0, a->kw, a->n_kw};
    if (!tmpl_enter(r)) /* a filter may be map */
        v = NULL;
    for (size_t i = 0; v && i < all.list.n && r->rc == OTR_OK; i++) {
        v[i] = f ? tmpl_invoke(r, f, all.list.v[i], &rest) : get_path(r, all.list.v[i], path);
        if (!f && v[i].kind == V_UNDEF && other.kind != V_ABSENT)
            v[i] = other;
    }
    tmpl_leave(r);
    return r->rc < 0 ? v_undef(TSTR("")) : v_list(v, all.list.n);
}

/* The items for which a test (none: truth) holds, of the item or of its attribute. */
static struct value pick(struct run *r, struct value self, const struct args *a, bool want, bool attr)
{
    const struct value all = iter_lazily(r, self);
    const size_t off = attr ? 1 : 0;
    const struct builtin *f = NULL;
    if (a->n < off)
        return TMPL_FAIL(r, FORMAT, "the name of the attribute is missing");
    if (a->n > off) {
        const struct tstr name = tmpl_str_arg(r, a->v[off], TSTR("none"));
        if (!(f = tmpl_find_test(name)))
            return TMPL_FAIL(r, FORMAT, "unknown test '%s'", tmpl_quote(name).text);
    }
    struct value *v = tmpl_take_n(r, all.list.n, sizeof *v);
    const struct args rest = {f ? a->v + off + 1 : NULL, f ? a->n - off - 1 : 0, a->kw, a->n_kw};
    size_t n = 0;
    for (size_t i = 0; v && i < all.list.n && tmpl_spend(r, TMPL_NODE_COST); i++) {
        struct value x = attr ? get_path(r, all.list.v[i], a->v[0]) : all.list.v[i];
        if (f)
            x = tmpl_invoke(r, f, x, &rest);
        if (tmpl_truth(x) == want)
            v[n++] = all.list.v[i];
    }
    return v_list(v, n);
}

static struct value f_select(struct run *r, struct value self, const struct args *a)
{
    return pick(r, self, a, true, false);
}

static struct value f_reject(struct run *r, struct value self, const struct args *a)
{
    return pick(r, self, a, false, false);
}

static struct value f_selectattr(struct run *r, struct value self, const struct args *a)
{
    return pick(r, self, a, true, true);
}

static struct value f_rejectattr(struct run *r, struct value self, const struct args *a)
{
    return pick(r, self, a, false, true);
}

static const struct builtin filters[] = {
    {"abs", "", f_abs, 0},
    {"capitalize", "", f_capitalize, 0},
    {"count", "", f_length, 0},
    {"d", "? default_value boolean", f_default, 0},
    {"default", "? default_value boolean", f_default, 0},
    {"first", "", f_first, 0},
    {"float", "? default", f_float, 0},
    {"indent", "? width first blank", f_indent, 0},
    {"int", "? default base", f_int, 0},
    {"items", "", f_items, 0},
    {"join", "? d attribute", f_join, 0},
    {"last", "", f_last, 0},
    {"length", "", f_length, 0},
    {"list", "", f_list, 0},
    {"lower", "", f_lower, 0},
    {"map", "*", f_map, 0},
    {"reject", "*", f_reject, 0},
    {"rejectattr", "*", f_rejectattr, 0},
    {"replace", "old new ? count", f_replace, 0},
    {"reverse", "", f_reverse, 0},
    {"safe", "", f_string, 0}, /* nothing is escaped, so everything is safe */
    {"select", "*", f_select, 0},
    {"selectattr", "*", f_selectattr, 0},
    {"string", "", f_string, 0},
    {"title", "", f_title, 0},
    {"tojson", "? ensure_ascii indent separators sort_keys", f_tojson, 0},
    {"trim", "? chars", f_trim, 0},
    {"upper", "", f_upper, 0},
};

const struct builtin *tmpl_find_filter(struct tstr name)
{
    return tmpl_find(filters, sizeof filters / sizeof *filters, 0, name);
}

/* ---- tests ---- */

#define TEST(name, condition)                                                                                          \
    static struct value t_##name(struct run *r, struct value self, const struct args *a)                               \
    {                                                                                                                  \
        (void)r;                                                                                                       \
        (void)a;                                                                                                       \
        return v_bool(condition);                                                                                      \
    }
TEST(defined, self.kind != V_UNDEF)
TEST(undefined, self.kind == V_UNDEF)
TEST(none, self.kind == V_NONE)
TEST(boolean, self.kind == V_BOOL)
TEST(true, self.kind == V_BOOL && self.b)
TEST(false, self.kind == V_BOOL && !self.b)
TEST(integer, self.kind == V_INT)
TEST(float, self.kind == V_FLOAT)
TEST(number, self.kind == V_INT || self.kind == V_FLOAT || self.kind == V_BOOL)
TEST(string, self.kind == V_STR)
TEST(mapping, self.kind == V_DICT)
TEST(sequence, self.kind == V_UNDEF || self.kind == V_STR || v_is_list(self) || self.kind == V_DICT)
TEST(iterable, self.kind == V_UNDEF || self.kind == V_STR || v_is_list(self) || self.kind == V_DICT)
TEST(callable, self.kind == V_UNDEF || self.kind == V_MACRO || self.kind == V_BUILTIN)
TEST(lower, text_has_case(r, tmpl_str(r, self), false))
TEST(upper, text_has_case(r, tmpl_str(r, self), true))
TEST(in, tmpl_compare(r, T_IN, self, a->v[0]))
TEST(eq, tmpl_compare(r, T_EQ, self, a->v[0]))
TEST(ne, tmpl_compare(r, T_NE, self, a->v[0]))
TEST(lt, tmpl_compare(r, T_LT, self, a->v[0]))
TEST(gt, tmpl_compare(r, T_GT, self, a->v[0]))
TEST(le, tmpl_compare(r, T_LE, self, a->v[0]))
TEST(ge, tmpl_compare(r, T_GE, self, a->v[0]))
TEST(sameas, self.kind == a->v[0].kind && tmpl_equal(r, self, a->v[0]))

/* self % by, which fails where Python's does */
static struct value modulo(struct run *r, struct value self, struct value by, int64_t want)
{
    return v_bool(tmpl_equal(r, tmpl_binary(r, T_MOD, self, by), v_int(want)));
}

static struct value t_odd(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return modulo(r, self, v_int(2), 1);
}

static struct value t_even(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return modulo(r, self, v_int(2), 0);
}

static struct value t_divisibleby(struct run *r, struct value self, const struct args *a)
{
    return modulo(r, self, a->v[0], 0);
}

static const struct builtin tests[] = {
    {"!=", "other", t_ne, 0},
    {"<", "other", t_lt, 0},
    {"<=", "other", t_le, 0},
    {"==", "other", t_eq, 0},
    {">", "other", t_gt, 0},
    {">=", "other", t_ge, 0},
    {"boolean", "", t_boolean, 0},
    {"callable", "", t_callable, 0},
    {"defined", "", t_defined, 0},
    {"divisibleby", "num", t_divisibleby, 0},
    {"eq", "other", t_eq, 0},
    {"equalto", "other", t_eq, 0},
    {"even", "", t_even, 0},
    {"false", "", t_false, 0},
    {"float", "", t_float, 0},
    {"ge", "other", t_ge, 0},
    {"greaterthan", "other", t_gt, 0},
    {"gt", "other", t_gt, 0},
    {"in", "seq", t_in, 0},
    {"integer", "", t_integer, 0},
    {"iterable", "", t_iterable, 0},
    {"le", "other", t_le, 0},
    {"lessthan", "other", t_lt, 0},
    {"lower", "", t_lower, 0},
    {"lt", "other", t_lt, 0},
    {"mapping", "", t_mapping, 0},
    {"ne", "other", t_ne, 0},
    {"none", "", t_none, 0},
    {"number", "", t_number, 0},
    {"odd", "", t_odd, 0},
    {"sameas", "other", t_sameas, 0},
    {"sequence", "", t_sequence, 0},
    {"string", "", t_string, 0},
    {"true", "", t_true, 0},
    {"undefined", "", t_undefined, 0},
    {"upper", "", t_upper, 0},
};

const struct builtin *tmpl_find_test(struct tstr name)
{
    return tmpl_find(tests, sizeof tests / sizeof *tests, 0, name);
}
