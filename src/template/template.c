/* Owns the public face of chat templates: a parsed template, and one render of it. In: text, messages. Out: the prompt
 * and the origin of its bytes. Read next: tmpl_priv.h, tmpl_eval.c. */
#include "template/tmpl_priv.h"

#include <stdlib.h>

struct chat_template {
    struct tmem mem; /* everything below */
    const struct node *body;
};

/* "\r\n" and "\r" become "\n", and the last newline goes: Jinja's keep_trailing_newline is off. Returns the length. */
static size_t normalize(char *out, const char *text, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n')
            continue;
        out[used++] = text[i] == '\r' ? '\n' : text[i];
    }
    return used > 0 && out[used - 1] == '\n' ? used - 1 : used;
}

int template_open(struct chat_template **out, const char *text, size_t n, struct otr_err *err)
{
    if (n > TMPL_MAX_SOURCE)
        return OTR_FAIL(err, LIMIT, "chat template of %zu bytes: at most %d are read", n, TMPL_MAX_SOURCE);
    struct run r = {.err = err, .line = 1, .budget = TMPL_BASE_COST, .max_out = TMPL_MAX_OUT};
    struct chat_template *t = malloc(sizeof *t);
    char *src = tmpl_take(&r, n + 1);
    if (!t || !src) {
        free(t);
        tmem_free(&r.mem);
        return OTR_FAIL(err, NOMEM, "no memory for the chat template");
    }
    t->body = tmpl_parse(&r, src, normalize(src, text, n));
    t->mem = r.mem;
    if (r.rc < 0)
        template_close(t);
    else
        *out = t;
    return r.rc;
}

void template_close(struct chat_template *t)
{
    if (!t)
        return;
    tmem_free(&t->mem);
    free(t);
}

/* ---- a render ---- */

static size_t longest_text(const struct template_args *a, size_t *total)
{
    size_t most = 0;
    *total = 0;
    for (size_t i = 0; i < a->n_msgs; i++) {
        const size_t role = strlen(a->msgs[i].role), content = strlen(a->msgs[i].content);
        most = role > most ? role : most;
        most = content > most ? content : most;
        *total += role + content + sizeof(struct otr_message);
    }
    return most;
}

/* The messages as a list of dicts. Their bytes stay where the caller has them. */
static struct value make_messages(struct run *r, const struct template_args *a, const unsigned char *ones)
{
    struct value *v = tmpl_take_n(r, a->n_msgs, sizeof *v);
    for (size_t i = 0; v && ones && i < a->n_msgs; i++) {
        const struct otr_message *m = &a->msgs[i];
        struct vdict *d = tmpl_dict(r);
        tmpl_dict_put(r, d, v_str(TSTR("role")), v_str((struct tstr){m->role, ones, strlen(m->role)}));
        tmpl_dict_put(r, d, v_str(TSTR("content")), v_str((struct tstr){m->content, ones, strlen(m->content)}));
        v[i] = (struct value){.kind = V_DICT, .dict = d};
    }
    return v_list(v, r->rc < 0 ? 0 : a->n_msgs);
}

static int copy_out(struct run *r, const struct sbuf *b, struct template_out *out)
{
    out->text = malloc(b->n + 1);
    out->literal = malloc(b->n + 1);
    if (!out->text || !out->literal) {
        template_out_free(out);
        TMPL_FAIL(r, NOMEM, "no memory for the prompt");
        return r->rc;
    }
    if (b->n > 0) {
        memcpy(out->text, b->p, b->n);
        memcpy(out->literal, b->lit, b->n);
    }
    out->text[b->n] = 0;
    out->n = b->n;
    return OTR_OK;
}

int template_render(const struct chat_template *t, const struct template_args *a, struct template_out *out,
                    struct otr_err *err)
{
    size_t total;
    const size_t longest = longest_text(a, &total);
    struct sbuf text = {0};
    struct scope root = {0};
    struct run r = {.err = err,
                    .line = 1,
                    .scope = &root,
                    .out = &text,
                    .now = a->now,
                    .budget = TMPL_BASE_COST + (uint64_t)TMPL_BYTE_COST * total,
                    .max_out = TMPL_MAX_OUT + TMPL_BYTE_OUT * total};
    *out = (struct template_out){0};
    unsigned char *ones = tmpl_take(&r, longest + 1);
    if (ones)
        memset(ones, 1, longest + 1);
    tmpl_define(&r, TSTR("messages"), make_messages(&r, a, ones));
    tmpl_define(&r, TSTR("add_generation_prompt"), v_bool(a->add_generation_prompt));
    tmpl_define(&r, TSTR("bos_token"), v_str((struct tstr){a->bos_token, NULL, strlen(a->bos_token)}));
    tmpl_define(&r, TSTR("eos_token"), v_str((struct tstr){a->eos_token, NULL, strlen(a->eos_token)}));
    tmpl_exec(&r, t->body);
    const int rc = r.rc < 0 ? r.rc : copy_out(&r, &text, out);
    tmem_free(&r.mem);
    return rc;
}

void template_out_free(struct template_out *o)
{
    free(o->text);
    free(o->literal);
    *o = (struct template_out){0};
}
