/* Owns the filter tojson: json.dumps of Python. In: a value. Out: its JSON; a byte that stands for a byte of a string
 * keeps that one's origin. Read next: tmpl_filters.c. */
#include "template/tmpl_priv.h"

#include <math.h>
#include <stdio.h>

static void write_string(struct run *r, struct sbuf *b, struct tstr s, bool ascii)
{
    size_t len;
    sbuf_text(r, b, "\"");
    for (size_t at = 0; at < s.n && r->rc == OTR_OK; at += len) {
        const int32_t cp = text_next(s.p + at, s.n - at, &len);
        static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
        const char *simple = cp > 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
        char text[16];
        unsigned char lit[16] = {0};
        if (simple) {
            snprintf(text, sizeof text, "\\%c", to[simple - from]);
        } else if (cp >= 0x10000 && ascii) {
            const uint32_t up = (uint32_t)cp - 0x10000;
            snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd800 + (up >> 10), 0xdc00 + (up & 0x3ff));
        } else if ((cp >= 0 && cp < 0x20) || (cp >= 0x7f && ascii)) {
            snprintf(text, sizeof text, "\\u%04x", (unsigned)cp);
        } else {
            sbuf_put(r, b, tstr_sub(s, at, at + len));
            continue;
        }
        if (s.lit)
            memset(lit, s.lit[at], sizeof lit);
        sbuf_put(r, b, (struct tstr){text, lit, strlen(text)});
    }
    sbuf_text(r, b, "\"");
}

static void new_line(struct run *r, struct sbuf *b, const struct json_style *st, int level)
{
    if (!st->indent)
        return;
    sbuf_text(r, b, "\n");
    for (int i = 0; i < level; i++)
        sbuf_put(r, b, *st->indent);
}

static void write_scalar(struct run *r, struct sbuf *b, struct value v)
{
    if (v.kind == V_NONE)
        sbuf_text(r, b, "null");
    else if (v.kind == V_BOOL)
        sbuf_text(r, b, v.b ? "true" : "false");
    else if (v.kind == V_FLOAT && !isfinite(v.f))
        sbuf_text(r, b, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
    else if (v.kind == V_INT || v.kind == V_FLOAT)
        tmpl_write(r, b, v, false);
    else
        TMPL_FAIL(r, FORMAT, "tojson cannot write %s", tmpl_type(v));
}

/* Python's order of keys: stable, and an error where two cannot be compared. */
static struct pair *sorted(struct run *r, const struct vdict *d)
{
    struct pair *p = tmpl_take_n(r, d->n, sizeof *p);
    if (!p)
        return NULL;
    for (size_t i = 0; i < d->n; i++) {
        size_t at = i;
        while (at > 0 && tmpl_spend(r, 1) && tmpl_compare(r, T_LT, d->p[i].k, p[at - 1].k)) {
            p[at] = p[at - 1];
            at--;
        }
        p[at] = d->p[i];
    }
    return p;
}

static void write_value(struct run *r, struct sbuf *b, struct value v, const struct json_style *st, int level);

static void write_dict(struct run *r, struct sbuf *b, const struct vdict *d, const struct json_style *st, int level)
{
    const struct pair *p = st->sort_keys ? sorted(r, d) : d->p;
    sbuf_text(r, b, "{");
    for (size_t i = 0; i < d->n && r->rc == OTR_OK; i++) {
        if (i > 0)
            sbuf_put(r, b, st->item_sep);
        new_line(r, b, st, level + 1);
        if (p[i].k.kind == V_STR) {
            write_string(r, b, p[i].k.s, st->ascii);
        } else {
            sbuf_text(r, b, "\"");
            write_scalar(r, b, p[i].k);
            sbuf_text(r, b, "\"");
        }
        sbuf_put(r, b, st->key_sep);
        write_value(r, b, p[i].v, st, level + 1);
    }
    if (d->n > 0)
        new_line(r, b, st, level);
    sbuf_text(r, b, "}");
}

static void write_value(struct run *r, struct sbuf *b, struct value v, const struct json_style *st, int level)
{
    if (tmpl_enter(r) && tmpl_spend(r, TMPL_NODE_COST)) {
        if (v.kind == V_STR) {
            write_string(r, b, v.s, st->ascii);
        } else if (v.kind == V_DICT) {
            write_dict(r, b, v.dict, st, level);
        } else if (v_is_list(v)) {
            sbuf_text(r, b, "[");
            for (size_t i = 0; i < v.list.n && r->rc == OTR_OK; i++) {
                if (i > 0)
                    sbuf_put(r, b, st->item_sep);
                new_line(r, b, st, level + 1);
                write_value(r, b, v.list.v[i], st, level + 1);
            }
            if (v.list.n > 0)
                new_line(r, b, st, level);
            sbuf_text(r, b, "]");
        } else {
            write_scalar(r, b, v);
        }
    }
    tmpl_leave(r);
}

struct tstr tmpl_json(struct run *r, struct value v, const struct json_style *style)
{
    struct sbuf b = {0};
    write_value(r, &b, v, style, 0);
    return sbuf_str(&b);
}
