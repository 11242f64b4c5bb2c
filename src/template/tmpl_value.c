/* Owns what templates do with values, as Python does it: truth, order, arithmetic, str() and repr(), indexing.
 * In: values. Out: values, or a sticky error. Read next: tmpl_filters.c.
 * Integers have 64 bits: a result that needs more is an error, never a wrong number. */
#include "template/tmpl_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

const char *tmpl_type(struct value v)
{
    static const char *const names[] = {"nothing", "undefined", "none", "bool",      "int",  "float", "str",
                                        "list",    "tuple",     "dict", "namespace", "loop", "macro", "function"};
    return names[v.kind];
}

bool tmpl_truth(struct value v)
{
    switch (v.kind) {
    case V_ABSENT:
    case V_UNDEF:
    case V_NONE:
        return false;
    case V_BOOL:
        return v.b;
    case V_INT:
        return v.i != 0;
    case V_FLOAT:
        return v.f < 0 || v.f > 0 || isnan(v.f);
    case V_STR:
        return v.s.n > 0;
    case V_LIST:
    case V_TUPLE:
        return v.list.n > 0;
    case V_DICT:
        return v.dict->n > 0;
    case V_LOOP:
        return v.loop->n > 0;
    case V_NAMESPACE:
    case V_MACRO:
    case V_BUILTIN:
        break;
    }
    return true;
}

/* ---- numbers ---- */

bool tmpl_as_int(struct value v, int64_t *i)
{
    if (v.kind != V_INT && v.kind != V_BOOL)
        return false;
    *i = v.kind == V_INT ? v.i : v.b;
    return true;
}

static bool is_number(struct value v)
{
    return v.kind == V_INT || v.kind == V_BOOL || v.kind == V_FLOAT;
}

/* WHY long double: it holds every int64 and every double on x86-64 and AArch64. */
static long double number(struct value v)
{
    return v.kind == V_FLOAT ? (long double)v.f : v.kind == V_INT ? (long double)v.i : (long double)v.b;
}

int64_t tmpl_int_arg(struct run *r, struct value v, int64_t absent)
{
    int64_t i = absent;
    if (v.kind != V_ABSENT && v.kind != V_NONE && !tmpl_as_int(v, &i))
        TMPL_FAIL(r, FORMAT, "an integer was expected, not %s", tmpl_type(v));
    return i;
}

struct tstr tmpl_str_arg(struct run *r, struct value v, struct tstr absent)
{
    if (v.kind == V_ABSENT || v.kind == V_NONE)
        return absent;
    if (v.kind != V_STR) {
        TMPL_FAIL(r, FORMAT, "a string was expected, not %s", tmpl_type(v));
        return absent;
    }
    return v.s;
}

static struct value undefined_used(struct run *r, struct value v)
{
    return TMPL_FAIL(r, FORMAT, "'%s' is undefined", tmpl_quote(v.s).text);
}

static struct value too_large(struct run *r)
{
    return TMPL_FAIL(r, LIMIT, "an integer of more than 64 bits");
}

static struct value power(struct run *r, int64_t base, int64_t exp)
{
    if (exp < 0) {
        if (base == 0)
            return TMPL_FAIL(r, FORMAT, "division by zero");
        return v_float(pow((double)base, (double)exp));
    }
    int64_t out = 1;
    for (; exp > 0; exp >>= 1) {
        if ((exp & 1) && __builtin_mul_overflow(out, base, &out))
            return too_large(r);
        if (exp > 1 && __builtin_mul_overflow(base, base, &base))
            return too_large(r);
    }
    return v_int(out);
}

static struct value int_math(struct run *r, enum tok op, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool over = false;
    switch (op) {
    case T_ADD:
        over = __builtin_add_overflow(a, b, &out);
        break;
    case T_SUB:
        over = __builtin_sub_overflow(a, b, &out);
        break;
    case T_MUL:
        over = __builtin_mul_overflow(a, b, &out);
        break;
    case T_POW:
        return power(r, a, b);
    default:
        if (b == 0)
            return TMPL_FAIL(r, FORMAT, "division by zero");
        if (op == T_DIV)
            return v_float((double)((long double)a / (long double)b));
        if (b == -1) { /* WHY: INT64_MIN / -1 traps */
            over = op == T_FLOORDIV && __builtin_sub_overflow((int64_t)0, a, &out);
            break;
        }
        /* Python rounds down, C towards zero */
        out = op == T_FLOORDIV ? a / b - (a % b != 0 && (a < 0) != (b < 0)) : a % b;
        if (op == T_MOD && out != 0 && (out < 0) != (b < 0))
            out += b;
    }
    return over ? too_large(r) : v_int(out);
}

static struct value float_math(struct run *r, enum tok op, double a, double b)
{
    switch (op) {
    case T_ADD:
        return v_float(a + b);
    case T_SUB:
        return v_float(a - b);
    case T_MUL:
        return v_float(a * b);
    case T_POW:
        if ((a < 0 && b != floor(b)) || (a == 0.0 && b < 0))
            return TMPL_FAIL(r, FORMAT, "a power that is not a real number");
        return v_float(pow(a, b));
    default:
        break;
    }
    if (b == 0.0)
        return TMPL_FAIL(r, FORMAT, "division by zero");
    if (op == T_DIV)
        return v_float(a / b);
    /* as CPython's float_divmod: the remainder has the divisor's sign, zeros too */
    double mod = fmod(a, b), div = (a - mod) / b;
    if (mod != 0.0 && (mod < 0) != (b < 0)) {
        mod += b;
        div -= 1.0;
    } else if (mod == 0.0) {
        mod = copysign(0.0, b);
    }
    return v_float(op == T_MOD ? mod : div != 0.0 ? floor(div + 0.5) : copysign(0.0, a / b));
}

static struct value repeat(struct run *r, struct value v, int64_t times)
{
    if (v.kind == V_STR) {
        struct sbuf b = {0};
        for (int64_t i = 0; i < times && v.s.n > 0 && r->rc == OTR_OK; i++)
            sbuf_put(r, &b, v.s);
        return v_str(sbuf_str(&b));
    }
    const size_t n = times <= 0 ? 0 : size_mul(v.list.n, (size_t)times);
    struct value *out = tmpl_take_n(r, n, sizeof *out);
    for (size_t i = 0; out && i < n; i++)
        out[i] = v.list.v[i % v.list.n];
    return (struct value){.kind = v.kind, .list = {out, out ? n : 0}};
}

static struct value add(struct run *r, struct value a, struct value b)
{
    if (a.kind == V_STR) {
        struct sbuf out = {0};
        sbuf_put(r, &out, a.s);
        sbuf_put(r, &out, b.s);
        return v_str(sbuf_str(&out));
    }
    const size_t n = a.list.n + b.list.n;
    struct value *v = tmpl_take_n(r, n, sizeof *v);
    if (v && a.list.n > 0)
        memcpy(v, a.list.v, a.list.n * sizeof *v);
    if (v && b.list.n > 0)
        memcpy(v + a.list.n, b.list.v, b.list.n * sizeof *v);
    return (struct value){.kind = a.kind, .list = {v, v ? n : 0}};
}

struct value tmpl_binary(struct run *r, enum tok op, struct value a, struct value b)
{
    static const char *const signs[] = {
        [T_ADD] = "+", [T_SUB] = "-", [T_DIV] = "/", [T_FLOORDIV] = "//", [T_MUL] = "*", [T_MOD] = "%", [T_POW] = "**"};
    int64_t x, y;
    if (a.kind == V_UNDEF || b.kind == V_UNDEF)
        return undefined_used(r, a.kind == V_UNDEF ? a : b);
    if (tmpl_as_int(a, &x) && tmpl_as_int(b, &y))
        return int_math(r, op, x, y);
    if (is_number(a) && is_number(b))
        return float_math(r, op, (double)number(a), (double)number(b));
    const bool a_seq = a.kind == V_STR || v_is_list(a), b_seq = b.kind == V_STR || v_is_list(b);
    if (op == T_ADD && a_seq && a.kind == b.kind)
        return add(r, a, b);
    if (op == T_MUL && a_seq && tmpl_as_int(b, &y))
        return repeat(r, a, y);
    if (op == T_MUL && b_seq && tmpl_as_int(a, &x))
        return repeat(r, b, x);
    return TMPL_FAIL(r, FORMAT, "cannot compute %s %s %s", tmpl_type(a), signs[op], tmpl_type(b));
}

struct value tmpl_negate(struct run *r, struct value v)
{
    int64_t i;
    if (v.kind == V_UNDEF)
        return undefined_used(r, v);
    if (v.kind == V_FLOAT)
        return v_float(-v.f);
    if (!tmpl_as_int(v, &i))
        return TMPL_FAIL(r, FORMAT, "cannot negate %s", tmpl_type(v));
    return int_math(r, T_SUB, 0, i);
}

/* ---- comparing ---- */

static bool equal_lists(struct run *r, struct value a, struct value b)
{
    bool same = a.list.n == b.list.n;
    if (a.list.v == b.list.v)
        return same;
    for (size_t i = 0; same && i < a.list.n; i++)
        same = tmpl_equal(r, a.list.v[i], b.list.v[i]);
    return same;
}

static bool equal_dicts(struct run *r, const struct vdict *a, const struct vdict *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; a != b && same && i < a->n; i++) {
        const struct value *v = tmpl_dict_get(r, b, a->p[i].k);
        same = v && tmpl_equal(r, a->p[i].v, *v);
    }
    return same;
}

bool tmpl_equal(struct run *r, struct value a, struct value b)
{
    if (!tmpl_spend(r, TMPL_NODE_COST))
        return false;
    if (is_number(a) && is_number(b))
        return number(a) == number(b);
    if (a.kind != b.kind)
        return false;
    bool same = false;
    if (tmpl_enter(r))
        switch (a.kind) {
        case V_STR:
            same = a.s.n == b.s.n && tmpl_spend(r, a.s.n) && tstr_eq(a.s, b.s);
            break;
        case V_LIST:
        case V_TUPLE:
            same = equal_lists(r, a, b);
            break;
        case V_DICT:
            same = equal_dicts(r, a.dict, b.dict);
            break;
        case V_NAMESPACE:
            same = a.dict == b.dict;
            break;
        case V_LOOP:
            same = a.loop == b.loop;
            break;
        case V_MACRO:
            same = a.macro == b.macro;
            break;
        case V_BUILTIN:
            same = a.call.fn == b.call.fn && a.call.self == b.call.self;
            break;
        default: /* none, undefined */
            same = true;
        }
    tmpl_leave(r);
    return same;
}

static int order(struct run *r, struct value a, struct value b, const char *op);

static int order_lists(struct run *r, struct value a, struct value b, const char *op)
{
    size_t i = 0;
    while (i < a.list.n && i < b.list.n && tmpl_equal(r, a.list.v[i], b.list.v[i]))
        i++;
    if (i == a.list.n || i == b.list.n)
        return a.list.n < b.list.n ? -1 : a.list.n > b.list.n;
    const int cmp = tmpl_enter(r) ? order(r, a.list.v[i], b.list.v[i], op) : 0;
    tmpl_leave(r);
    return cmp;
}

/* <0, 0, >0; 2: never ordered (NaN) */
static int order(struct run *r, struct value a, struct value b, const char *op)
{
    int cmp = 0;
    if (a.kind == V_UNDEF || b.kind == V_UNDEF) {
        undefined_used(r, a.kind == V_UNDEF ? a : b);
    } else if (is_number(a) && is_number(b)) {
        const long double x = number(a), y = number(b);
        cmp = x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
    } else if (a.kind == V_STR && b.kind == V_STR) {
        const size_t n = a.s.n < b.s.n ? a.s.n : b.s.n; /* UTF-8 sorts as its code points do */
        if (tmpl_spend(r, n))
            cmp = memcmp(a.s.p, b.s.p, n);
        if (cmp == 0)
            cmp = a.s.n < b.s.n ? -1 : a.s.n > b.s.n;
        cmp = cmp < 0 ? -1 : cmp > 0;
    } else if (v_is_list(a) && a.kind == b.kind) {
        cmp = order_lists(r, a, b, op);
    } else {
        TMPL_FAIL(r, FORMAT, "cannot compare %s %s %s", tmpl_type(a), op, tmpl_type(b));
    }
    return cmp;
}

static bool contains(struct run *r, struct value box, struct value item)
{
    bool found = false;
    switch (box.kind) {
    case V_STR:
        if (item.kind == V_STR)
            return text_find(r, box.s, item.s, 0) != SIZE_MAX;
        TMPL_FAIL(r, FORMAT, "'in' a string needs a string, not %s", tmpl_type(item));
        return false;
    case V_LIST:
    case V_TUPLE:
        for (size_t i = 0; !found && i < box.list.n && r->rc == OTR_OK; i++)
            found = tmpl_equal(r, box.list.v[i], item);
        return found;
    case V_DICT:
        return tmpl_dict_get(r, box.dict, item) != NULL;
    case V_UNDEF:
        return false;
    default:
        TMPL_FAIL(r, FORMAT, "'in' cannot look into %s", tmpl_type(box));
        return false;
    }
}

bool tmpl_compare(struct run *r, enum tok op, struct value a, struct value b)
{
    int cmp;
    switch (op) {
    case T_EQ:
        return tmpl_equal(r, a, b);
    case T_NE:
        return !tmpl_equal(r, a, b);
    case T_IN:
        return contains(r, b, a);
    case T_NOT_IN:
        return !contains(r, b, a);
    case T_LT:
        return order(r, a, b, "<") == -1;
    case T_LE:
        cmp = order(r, a, b, "<=");
        return cmp == -1 || cmp == 0;
    case T_GT:
        return order(r, a, b, ">") == 1;
    default: /* T_GE */
        cmp = order(r, a, b, ">=");
        return cmp == 1 || cmp == 0;
    }
}

/* ---- dicts ---- */

struct vdict *tmpl_dict(struct run *r)
{
    struct vdict *d = tmpl_take(r, sizeof *d);
    if (d)
        *d = (struct vdict){0};
    return d;
}

static bool hashable(struct value v)
{
    return v.kind != V_LIST && v.kind != V_DICT;
}

static size_t find_key(struct run *r, const struct vdict *d, struct value k) /* SIZE_MAX: none */
{
    if (!hashable(k))
        TMPL_FAIL(r, FORMAT, "%s cannot be a key", tmpl_type(k));
    for (size_t i = 0; i < d->n && r->rc == OTR_OK; i++)
        if (tmpl_equal(r, d->p[i].k, k))
            return i;
    return SIZE_MAX;
}

const struct value *tmpl_dict_get(struct run *r, const struct vdict *d, struct value k)
{
    const size_t at = find_key(r, d, k);
    return at == SIZE_MAX ? NULL : &d->p[at].v;
}

void tmpl_dict_put(struct run *r, struct vdict *d, struct value k, struct value v)
{
    if (!d)
        return; /* an error is set */
    const size_t at = find_key(r, d, k);
    if (at != SIZE_MAX)
        d->p[at].v = v;
    if (at != SIZE_MAX || r->rc < 0)
        return;
    if (d->n == d->cap) {
        const size_t cap = d->cap ? 2 * d->cap : 8;
        struct pair *p = tmpl_take_n(r, cap, sizeof *p);
        if (!p)
            return;
        if (d->n > 0)
            memcpy(p, d->p, d->n * sizeof *p);
        d->p = p;
        d->cap = cap;
    }
    d->p[d->n++] = (struct pair){k, v};
}

struct value tmpl_dict_list(struct run *r, const struct vdict *d, bool keys, bool values)
{
    struct value *out = tmpl_take_n(r, d->n, sizeof *out);
    struct value *pair = keys && values ? tmpl_take_n(r, 2 * d->n, sizeof *pair) : NULL;
    if (!out || (keys && values && !pair))
        return v_list(NULL, 0);
    for (size_t i = 0; i < d->n; i++) {
        if (pair) {
            pair[2 * i] = d->p[i].k;
            pair[2 * i + 1] = d->p[i].v;
            out[i] = (struct value){.kind = V_TUPLE, .list = {pair + 2 * i, 2}};
        } else {
            out[i] = keys ? d->p[i].k : d->p[i].v;
        }
    }
    return v_list(out, d->n);
}

/* ---- reading inside ---- */

struct value tmpl_iter(struct run *r, struct value v)
{
    switch (v.kind) {
    case V_LIST:
    case V_TUPLE:
        return v_list(v.list.v, v.list.n);
    case V_STR:
        return text_chars(r, v.s);
    case V_DICT:
        return tmpl_dict_list(r, v.dict, true, false);
    case V_UNDEF:
        return v_list(NULL, 0);
    default:
        TMPL_FAIL(r, FORMAT, "%s is not iterable", tmpl_type(v));
        return v_list(NULL, 0);
    }
}

static int64_t loop_length(struct run *r, struct vloop *l)
{
    while (tmpl_loop_more(r, l))
        ;
    return (int64_t)l->n;
}

struct value tmpl_length(struct run *r, struct value v)
{
    switch (v.kind) {
    case V_UNDEF:
        return v_int(0);
    case V_STR:
        return v_int((int64_t)text_length(r, v.s));
    case V_LIST:
    case V_TUPLE:
        return v_int((int64_t)v.list.n);
    case V_DICT:
        return v_int((int64_t)v.dict->n);
    case V_LOOP:
        return v_int(loop_length(r, v.loop));
    default:
        return TMPL_FAIL(r, FORMAT, "%s has no length", tmpl_type(v));
    }
}

static struct value loop_attr(struct run *r, struct vloop *l, struct tstr name)
{
    const int64_t at = (int64_t)l->at;
    const bool counts =
        tstr_eq(name, TSTR("length")) || tstr_eq(name, TSTR("revindex")) || tstr_eq(name, TSTR("revindex0"));
    const bool peeks = tstr_eq(name, TSTR("last")) || tstr_eq(name, TSTR("nextitem"));
    const int64_t n = counts ? loop_length(r, l) : (int64_t)l->n;
    const bool more = l->at + 1 < l->n || (peeks && tmpl_loop_more(r, l));
    const struct {
        struct tstr name;
        struct value v;
    } all[] = {
        {TSTR("index"), v_int(at + 1)},
        {TSTR("index0"), v_int(at)},
        {TSTR("revindex"), v_int(n - at)},
        {TSTR("revindex0"), v_int(n - at - 1)},
        {TSTR("first"), v_bool(at == 0)},
        {TSTR("last"), v_bool(!more)},
        {TSTR("length"), v_int(n)},
        {TSTR("depth"), v_int(1)},
        {TSTR("depth0"), v_int(0)},
        {TSTR("previtem"), at > 0 ? l->v[at - 1] : v_undef(name)},
        {TSTR("nextitem"), more ? l->v[at + 1] : v_undef(name)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (tstr_eq(all[i].name, name))
            return all[i].v;
    return v_undef(name);
}

/* What Python calls an attribute: a method, or a name of ours. V_UNDEF: there is none. */
static struct value own_attr(struct run *r, struct value v, struct tstr name)
{
    const struct builtin *f = tmpl_find_method(v.kind, name);
    if (f) {
        struct value *self = tmpl_take(r, sizeof *self);
        if (self)
            *self = v;
        return (struct value){.kind = V_BUILTIN, .call = {f, self}};
    }
    if (v.kind == V_LOOP)
        return loop_attr(r, v.loop, name);
    if (v.kind == V_NAMESPACE) {
        const struct value *found = tmpl_dict_get(r, v.dict, v_str(name));
        return found ? *found : v_undef(name);
    }
    return v_undef(name);
}

struct value tmpl_attr(struct run *r, struct value v, struct tstr name)
{
    if (v.kind == V_UNDEF)
        return undefined_used(r, v);
    const struct value own = own_attr(r, v, name);
    if (own.kind != V_UNDEF || v.kind != V_DICT)
        return own;
    const struct value *found = tmpl_dict_get(r, v.dict, v_str(name));
    return found ? *found : v_undef(name);
}

static size_t from_end(int64_t i, size_t n) /* SIZE_MAX: outside */
{
    if (i < 0)
        i += (int64_t)n;
    return i < 0 || i >= (int64_t)n ? SIZE_MAX : (size_t)i;
}

struct value tmpl_item(struct run *r, struct value v, struct value key)
{
    int64_t i;
    if (v.kind == V_UNDEF)
        return undefined_used(r, v);
    if (v.kind == V_DICT && hashable(key)) {
        const struct value *found = tmpl_dict_get(r, v.dict, key);
        if (found)
            return *found;
    }
    if ((v_is_list(v) || v.kind == V_STR) && tmpl_as_int(key, &i)) {
        const size_t at = from_end(i, v.kind == V_STR ? text_length(r, v.s) : v.list.n);
        if (at == SIZE_MAX)
            return v_undef(TSTR("element"));
        return v.kind == V_STR ? v_str(text_cut(r, v.s, at, at + 1)) : v.list.v[at];
    }
    return key.kind == V_STR ? own_attr(r, v, key.s) : v_undef(TSTR("element"));
}

/* Python's slice.indices: the bounds of a step through n items. */
static int64_t clip(int64_t i, int64_t n, bool back)
{
    if (i < 0)
        i = i < -n ? -1 : i + n;
    if (i < 0)
        return back ? -1 : 0;
    return i >= n ? (back ? n - 1 : n) : i;
}

struct value tmpl_slice(struct run *r, struct value v, const struct value bound[3])
{
    if (v.kind == V_UNDEF)
        return undefined_used(r, v);
    if (!v_is_list(v) && v.kind != V_STR)
        return TMPL_FAIL(r, FORMAT, "cannot slice %s", tmpl_type(v));
    const int64_t step = tmpl_int_arg(r, bound[2], 1);
    if (step == 0)
        return TMPL_FAIL(r, FORMAT, "a slice with step 0");
    const int64_t n = (int64_t)(v.kind == V_STR ? text_length(r, v.s) : v.list.n);
    const int64_t lo = clip(tmpl_int_arg(r, bound[0], step < 0 ? INT64_MAX : 0), n, step < 0);
    int64_t hi = step < 0 ? -1 : n;
    if (bound[1].kind != V_ABSENT && bound[1].kind != V_NONE)
        hi = clip(tmpl_int_arg(r, bound[1], 0), n, step < 0);
    if (r->rc < 0)
        return v_undef(TSTR(""));
    /* how many: WHY divided, lo + k * step could wrap */
    const int64_t span = step > 0 ? hi - lo : lo - hi;
    const uint64_t stride = step > 0 ? (uint64_t)step : -(uint64_t)step;
    const size_t count = span <= 0 ? 0 : (size_t)(((uint64_t)span - 1) / stride + 1);
    if (step == 1 && v.kind == V_STR)
        return v_str(text_cut(r, v.s, (size_t)lo, (size_t)lo + count));
    if (step == 1)
        return (struct value){.kind = v.kind, .list = {count ? v.list.v + lo : NULL, count}};
    const struct value all = tmpl_iter(r, v);
    struct value *out = tmpl_take_n(r, count, sizeof *out);
    if (r->rc < 0)
        return v_undef(TSTR(""));
    for (size_t k = 0; k < count; k++)
        out[k] = all.list.v[lo + (int64_t)k * step];
    if (v.kind == V_STR)
        return v_str(text_join(r, TSTR(""), out, count));
    return (struct value){.kind = v.kind, .list = {out, count}};
}

/* ---- writing ---- */

/* repr(float): the shortest digits that read back as f. WHY not %g: its point is the locale's. */
void tmpl_write_float(struct run *r, struct sbuf *b, double f)
{
    if (!isfinite(f)) {
        sbuf_text(r, b, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    char sci[40], digits[20] = "", out[48];
    for (int prec = 0; prec < 17; prec++) {
        snprintf(sci, sizeof sci, "%.*e", prec, f);
        if (strtod(sci, NULL) == f)
            break;
    }
    int n = 0, at = 0;
    const char *p = sci;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    const int exp = atoi(p + 1);
    if (signbit(f))
        out[at++] = '-';
    if (exp < -4 || exp >= 16) {
        out[at++] = digits[0];
        at += snprintf(out + at, sizeof out - (size_t)at, n > 1 ? ".%.*s" : "%.*s", n - 1, digits + 1);
        snprintf(out + at, sizeof out - (size_t)at, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
    } else {
        const int whole = exp + 1; /* digits before the point */
        for (int i = whole < 1 ? whole - 1 : 0; i < whole || i < n; i++) {
            if (i == whole)
                out[at++] = '.';
            out[at++] = i >= 0 && i < n ? digits[i] : '0';
        }
        if (n <= whole) {
            out[at++] = '.';
            out[at++] = '0';
        }
        out[at] = 0;
    }
    sbuf_text(r, b, out);
}

static void write_list(struct run *r, struct sbuf *b, struct value v)
{
    sbuf_text(r, b, v.kind == V_TUPLE ? "(" : "[");
    for (size_t i = 0; i < v.list.n && r->rc == OTR_OK; i++) {
        if (i > 0)
            sbuf_text(r, b, ", ");
        tmpl_write(r, b, v.list.v[i], true);
    }
    sbuf_text(r, b, v.kind == V_LIST ? "]" : v.list.n == 1 ? ",)" : ")");
}

static void write_dict(struct run *r, struct sbuf *b, const struct vdict *d)
{
    sbuf_text(r, b, "{");
    for (size_t i = 0; i < d->n && r->rc == OTR_OK; i++) {
        if (i > 0)
            sbuf_text(r, b, ", ");
        tmpl_write(r, b, d->p[i].k, true);
        sbuf_text(r, b, ": ");
        tmpl_write(r, b, d->p[i].v, true);
    }
    sbuf_text(r, b, "}");
}

void tmpl_write(struct run *r, struct sbuf *b, struct value v, bool repr)
{
    char text[64];
    if (tmpl_enter(r) && tmpl_spend(r, TMPL_NODE_COST))
        switch (v.kind) {
        case V_ABSENT:
        case V_UNDEF:
            sbuf_text(r, b, repr ? "Undefined" : "");
            break;
        case V_NONE:
            sbuf_text(r, b, "None");
            break;
        case V_BOOL:
            sbuf_text(r, b, v.b ? "True" : "False");
            break;
        case V_INT:
            snprintf(text, sizeof text, "%" PRId64, v.i);
            sbuf_text(r, b, text);
            break;
        case V_FLOAT:
            tmpl_write_float(r, b, v.f);
            break;
        case V_STR:
            if (repr)
                text_write_repr(r, b, v.s);
            else
                sbuf_put(r, b, v.s);
            break;
        case V_LIST:
        case V_TUPLE:
            write_list(r, b, v);
            break;
        case V_DICT:
            write_dict(r, b, v.dict);
            break;
        case V_NAMESPACE:
            sbuf_text(r, b, "<Namespace ");
            write_dict(r, b, v.dict);
            sbuf_text(r, b, ">");
            break;
        case V_LOOP:
            snprintf(text, sizeof text, "<LoopContext %zu/%" PRId64 ">", v.loop->at + 1, loop_length(r, v.loop));
            sbuf_text(r, b, text);
            break;
        case V_MACRO:
            sbuf_text(r, b, "<Macro ");
            text_write_repr(r, b, v.macro->node->v.s);
            sbuf_text(r, b, ">");
            break;
        case V_BUILTIN:
            sbuf_text(r, b, "<function ");
            sbuf_text(r, b, v.call.fn->name);
            sbuf_text(r, b, ">");
            break;
        }
    tmpl_leave(r);
}

struct tstr tmpl_str(struct run *r, struct value v)
{
    struct sbuf b = {0};
    if (v.kind == V_STR)
        return v.s;
    tmpl_write(r, &b, v, false);
    return sbuf_str(&b);
}
