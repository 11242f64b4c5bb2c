/* Owns the tables of methods (x.name(...)) and globals (name(...)).
 * In: the object and the bound arguments. Out: a value. To add one: its function, its line in the table. Methods that
 * change their object are left out, as in Jinja's immutable sandbox. Read next: tmpl_text.c. */
#include "template/tmpl_priv.h"

#include <locale.h>

/* ---- strings ---- */

static struct value strip(struct run *r, struct value self, const struct args *a, int sides)
{
    const struct tstr chars = tmpl_str_arg(r, a->v[0], TSTR(""));
    return v_str(text_strip(r, self.s, a->v[0].kind == V_STR ? &chars : NULL, sides));
}

static struct value m_strip(struct run *r, struct value self, const struct args *a)
{
    return strip(r, self, a, STRIP_LEFT | STRIP_RIGHT);
}

static struct value m_lstrip(struct run *r, struct value self, const struct args *a)
{
    return strip(r, self, a, STRIP_LEFT);
}

static struct value m_rstrip(struct run *r, struct value self, const struct args *a)
{
    return strip(r, self, a, STRIP_RIGHT);
}

/* A string, or a tuple of strings of which one must fit. */
static struct value begins_or_ends(struct run *r, struct value self, struct value what, bool begins)
{
    if (what.kind != V_STR && what.kind != V_TUPLE)
        return TMPL_FAIL(r, FORMAT, "%s needs a string, not %s", begins ? "startswith" : "endswith", tmpl_type(what));
    const size_t n = what.kind == V_STR ? 1 : what.list.n;
    for (size_t i = 0; i < n && r->rc == OTR_OK; i++) {
        const struct tstr s = tmpl_str_arg(r, what.kind == V_STR ? what : what.list.v[i], TSTR(""));
        if (s.n > self.s.n || !tmpl_spend(r, s.n))
            continue;
        const size_t lo = begins ? 0 : self.s.n - s.n;
        if (tstr_eq(tstr_sub(self.s, lo, lo + s.n), s))
            return v_bool(true);
    }
    return v_bool(false);
}

static struct value m_startswith(struct run *r, struct value self, const struct args *a)
{
    return begins_or_ends(r, self, a->v[0], true);
}

static struct value m_endswith(struct run *r, struct value self, const struct args *a)
{
    return begins_or_ends(r, self, a->v[0], false);
}

static struct value m_split(struct run *r, struct value self, const struct args *a)
{
    const struct tstr sep = tmpl_str_arg(r, a->v[0], TSTR(""));
    return text_split(r, self.s, a->v[0].kind == V_STR ? &sep : NULL, tmpl_int_arg(r, a->v[1], -1));
}

static struct value m_splitlines(struct run *r, struct value self, const struct args *a)
{
    return text_lines(r, self.s, tmpl_truth(a->v[0]));
}

static struct value needs_strings(struct run *r, const struct args *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a->v[i].kind != V_STR)
            return TMPL_FAIL(r, FORMAT, "a string was expected, not %s", tmpl_type(a->v[i]));
    return v_none();
}

static struct value m_replace(struct run *r, struct value self, const struct args *a)
{
    needs_strings(r, a, 2);
    return r->rc < 0 ? self : v_str(text_replace(r, self.s, a->v[0].s, a->v[1].s, tmpl_int_arg(r, a->v[2], -1)));
}

static struct value m_find(struct run *r, struct value self, const struct args *a)
{
    needs_strings(r, a, 1);
    const size_t at = r->rc < 0 ? SIZE_MAX : text_find(r, self.s, a->v[0].s, 0);
    return v_int(at == SIZE_MAX ? -1 : (int64_t)text_length(r, tstr_sub(self.s, 0, at)));
}

static struct value m_count(struct run *r, struct value self, const struct args *a)
{
    needs_strings(r, a, 1);
    if (r->rc < 0 || a->v[0].s.n == 0)
        return v_int((int64_t)text_length(r, self.s) + 1);
    int64_t n = 0;
    for (size_t at = 0; (at = text_find(r, self.s, a->v[0].s, at)) != SIZE_MAX; at += a->v[0].s.n)
        n++;
    return v_int(n);
}

static struct value m_join(struct run *r, struct value self, const struct args *a)
{
    const struct value all = tmpl_iter(r, a->v[0]);
    for (size_t i = 0; i < all.list.n; i++)
        if (all.list.v[i].kind != V_STR)
            return TMPL_FAIL(r, FORMAT, "join needs strings, not %s", tmpl_type(all.list.v[i]));
    return v_str(text_join(r, self.s, all.list.v, all.list.n));
}

static struct value m_upper(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, self.s, TEXT_UPPER));
}

static struct value m_lower(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, self.s, TEXT_LOWER));
}

static struct value m_title(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, self.s, TEXT_TITLE));
}

static struct value m_capitalize(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return v_str(text_case(r, self.s, TEXT_CAPITALIZE));
}

/* ---- dicts ---- */

static struct value m_get(struct run *r, struct value self, const struct args *a)
{
    const struct value *v = tmpl_dict_get(r, self.dict, a->v[0]);
    return v ? *v : a->v[1].kind == V_ABSENT ? v_none() : a->v[1];
}

static struct value m_items(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return tmpl_dict_list(r, self.dict, true, true);
}

static struct value m_keys(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return tmpl_dict_list(r, self.dict, true, false);
}

static struct value m_values(struct run *r, struct value self, const struct args *a)
{
    (void)a;
    return tmpl_dict_list(r, self.dict, false, true);
}

/* ---- loop ---- */

static struct value m_cycle(struct run *r, struct value self, const struct args *a)
{
    return a->n > 0 ? a->v[self.loop->at % a->n] : TMPL_FAIL(r, FORMAT, "loop.cycle without values");
}

static struct value m_changed(struct run *r, struct value self, const struct args *a)
{
    const struct value now = {.kind = V_TUPLE, .list = {a->v, a->n}};
    const bool same = tmpl_equal(r, self.loop->changed, now);
    self.loop->changed = now;
    return v_bool(!same);
}

static const struct builtin methods[] = {
    {"capitalize", "", m_capitalize, V_STR},
    {"count", "sub", m_count, V_STR},
    {"endswith", "suffix", m_endswith, V_STR},
    {"find", "sub", m_find, V_STR},
    {"join", "iterable", m_join, V_STR},
    {"lower", "", m_lower, V_STR},
    {"lstrip", "? chars", m_lstrip, V_STR},
    {"replace", "old new ? count", m_replace, V_STR},
    {"rstrip", "? chars", m_rstrip, V_STR},
    {"split", "? sep maxsplit", m_split, V_STR},
    {"splitlines", "? keepends", m_splitlines, V_STR},
    {"startswith", "prefix", m_startswith, V_STR},
    {"strip", "? chars", m_strip, V_STR},
    {"title", "", m_title, V_STR},
    {"upper", "", m_upper, V_STR},
    {"get", "key ? default", m_get, V_DICT},
    {"items", "", m_items, V_DICT},
    {"keys", "", m_keys, V_DICT},
    {"values", "", m_values, V_DICT},
    {"changed", "*", m_changed, V_LOOP},
    {"cycle", "*", m_cycle, V_LOOP},
};

const struct builtin *tmpl_find_method(enum vkind self, struct tstr name)
{
    return tmpl_find(methods, sizeof methods / sizeof *methods, self, name);
}

/* ---- globals ---- */

static struct value g_raise(struct run *r, struct value self, const struct args *a)
{
    (void)self;
    return TMPL_FAIL(r, FORMAT, "the template says: %s", tmpl_quote(tmpl_str(r, a->v[0])).text);
}

static struct value g_range(struct run *r, struct value self, const struct args *a)
{
    (void)self;
    const bool one = a->v[1].kind == V_ABSENT;
    const int64_t from = one ? 0 : tmpl_int_arg(r, a->v[0], 0), to = tmpl_int_arg(r, one ? a->v[0] : a->v[1], 0);
    const int64_t step = tmpl_int_arg(r, a->v[2], 1);
    int64_t span;
    if (step == 0)
        return TMPL_FAIL(r, FORMAT, "range() with step 0");
    const bool wraps = __builtin_sub_overflow(step > 0 ? to : from, step > 0 ? from : to, &span);
    const uint64_t stride = step > 0 ? (uint64_t)step : -(uint64_t)step;
    const uint64_t n = wraps ? UINT64_MAX : span <= 0 ? 0 : ((uint64_t)span - 1) / stride + 1;
    if (n > TMPL_MAX_RANGE)
        return TMPL_FAIL(r, LIMIT, "range() of more than %d items", TMPL_MAX_RANGE);
    struct value *v = tmpl_take_n(r, n, sizeof *v);
    if (!v)
        return v_undef(TSTR(""));
    for (uint64_t i = 0; i < n; i++)
        v[i] = v_int(from + (int64_t)i * step);
    return v_list(v, n);
}

/* dict(mapping, name=value, ...), namespace(the same) */
static struct value make_dict(struct run *r, const struct args *a, enum vkind kind)
{
    struct vdict *d = tmpl_dict(r);
    if (a->n > 1 || (a->n == 1 && a->v[0].kind != V_DICT))
        return TMPL_FAIL(r, FORMAT, "a dict or named arguments were expected");
    for (size_t i = 0; a->n == 1 && i < a->v[0].dict->n && r->rc == OTR_OK; i++)
        tmpl_dict_put(r, d, a->v[0].dict->p[i].k, a->v[0].dict->p[i].v);
    for (size_t i = 0; i < a->n_kw && r->rc == OTR_OK; i++)
        tmpl_dict_put(r, d, v_str(a->kw[i].name), a->kw[i].v);
    return d ? (struct value){.kind = kind, .dict = d} : v_undef(TSTR(""));
}

static struct value g_dict(struct run *r, struct value self, const struct args *a)
{
    (void)self;
    return make_dict(r, a, V_DICT);
}

static struct value g_namespace(struct run *r, struct value self, const struct args *a)
{
    (void)self;
    return make_dict(r, a, V_NAMESPACE);
}

/* The date, in English whatever the locale. A format from the caller makes a text from the caller. */
static struct value g_strftime_now(struct run *r, struct value self, const struct args *a)
{
    (void)self;
    enum { CAP = 256 };
    const struct tstr format = tmpl_str_arg(r, a->v[0], TSTR(""));
    char *fmt = tmpl_take(r, format.n + 1), *text = tmpl_take(r, CAP);
    unsigned char *lit = tmpl_take(r, CAP);
    struct tm now;
    if (!fmt || !text || !lit)
        return v_undef(TSTR(""));
    if (format.n > 0)
        memcpy(fmt, format.p, format.n);
    fmt[format.n] = 0;
    if (r->now) {
        now = *r->now;
    } else {
        const time_t t = time(NULL);
        localtime_r(&t, &now);
    }
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return TMPL_FAIL(r, NOMEM, "no memory for the date");
    const size_t n = strftime_l(text, CAP, fmt, &now, plain);
    freelocale(plain);
    if (n == 0 && format.n > 0)
        return TMPL_FAIL(r, FORMAT, "strftime_now cannot write '%s'", tmpl_quote(format).text);
    memset(lit, format.lit && memchr(format.lit, 1, format.n) != NULL, CAP);
    return v_str((struct tstr){text, lit, n});
}

static const struct builtin globals[] = {
    {"dict", "*", g_dict, 0},
    {"namespace", "*", g_namespace, 0},
    {"raise_exception", "message", g_raise, 0},
    {"range", "start ? stop step", g_range, 0},
    {"strftime_now", "format", g_strftime_now, 0},
};

const struct builtin *tmpl_find_global(struct tstr name)
{
    return tmpl_find(globals, sizeof globals / sizeof *globals, 0, name);
}
