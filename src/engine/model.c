/* Owns the public model handle: file, weights, vocabulary, template. See outrider.h; read next: engine.c. */
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "load/tune.h"

static char *copy_key(const struct gguf *g, const char *key)
{
    struct gguf_str s = {"", 0};
    char buf[96];
    if (gguf_get_str(g, key, &s, NULL) < 0)
        s = (struct gguf_str){"", 0};
    return strdup(err_quote(buf, sizeof buf, s.p, s.n));
}

static void fill_info(struct otr_model *m)
{
    const struct hparams *hp = &m->w->hp;
    const struct kv_shape shape = {hp->n_layer, hp->n_head_kv, hp->d_head, KV_F16};
    m->info = (struct otr_model_info){
        .name = m->name,
        .arch = m->arch,
        .n_vocab = hp->n_vocab,
        .n_ctx_train = hp->n_ctx_train,
        .n_embd = hp->n_embd,
        .n_layer = hp->n_layer,
        .n_head = hp->n_head,
        .n_head_kv = hp->n_head_kv,
        .d_head = hp->d_head,
        .n_params = m->w->n_params,
        .tensor_bytes = m->w->tensor_bytes,
        .repacked_bytes = m->w->packed_bytes,
        .kv_bytes_per_tok = kv_page_bytes(&shape) / KV_PAGE,
        .bos = tokenizer_bos(m->tok),
        .eos = tokenizer_eos(m->tok),
        .has_chat_template = m->tmpl != NULL || m->tmpl_err.code != 0,
        .kern = m->w->kern.level,
    };
}

/* A template we cannot parse is no reason to refuse the model: raw completion still works, chat says why it does not.
 */
static int open_template(struct otr_model *m, struct otr_err *err)
{
    struct gguf_str s;
    if (gguf_get_str(m->g, "tokenizer.chat_template", &s, NULL) < 0)
        return OTR_OK;
    const int rc = template_open(&m->tmpl, s.p, s.n, &m->tmpl_err);
    if (rc == OTR_E_NOMEM)
        return OTR_FAIL(err, NOMEM, "no memory for the chat template");
    return OTR_OK;
}

/* Refused before a weight is read. Matrices that stay in the file are the page cache's, which gives way. */
static int check_room(struct gguf *g, const struct hparams *hp, const struct kernels *k, const struct otr_model_opts *o,
                      struct otr_err *err)
{
    struct weights_plan plan;
    const int rc = weights_plan(&plan, g, hp, k, err);
    const size_t free_now = memory_available();
    if (rc < 0)
        return rc;
    const size_t want = plan.vector_bytes + (o->no_repack ? 0 : plan.packed_bytes);
    return want <= free_now
               ? OTR_OK
               : OTR_FAIL(err, LIMIT,
                          "no room for the model (%.200s): weights of %zu MB, and %zu MB of memory are free: "
                          "use a smaller model or type, or leave the weights in the file (--no-repack)",
                          gguf_path(g), want >> 20, free_now >> 20);
}

static int open_parts(struct otr_model *m, const char *path, const struct kernels *k, struct pool *pool,
                      const struct otr_model_opts *o, struct otr_err *err)
{
    struct hparams hp;
    int rc;
    if ((rc = gguf_open(&m->g, path, err)) < 0 || (rc = hparams_read(&hp, m->g, err)) < 0)
        return rc;
    m->name = copy_key(m->g, "general.name");
    m->arch = copy_key(m->g, "general.architecture");
    if (!m->name || !m->arch)
        return OTR_FAIL(err, NOMEM, "no memory for the model's name");
    if ((rc = tokenizer_open(&m->tok, m->g, err)) < 0 || (rc = open_template(m, err)) < 0)
        return rc;
    if (tokenizer_n_vocab(m->tok) > hp.n_vocab)
        return OTR_FAIL(err, FORMAT,
                        "cannot read model (%s): %d pieces in the vocabulary, but the embedding has %d rows", path,
                        tokenizer_n_vocab(m->tok), hp.n_vocab);
    if ((rc = check_room(m->g, &hp, k, o, err)) < 0)
        return rc;
    /* WHY twice: a file cut short while it is mapped must not be read, nor weights of it be used */
    if ((rc = gguf_check_size(m->g, err)) < 0 ||
        (rc = weights_open(&m->w, m->g, &hp, k, pool, o->no_repack, err)) < 0 || (rc = gguf_check_size(m->g, err)) < 0)
        return rc;
    weights_tune(m->w, pool, o->plan_dir);
    fill_info(m);
    return OTR_OK;
}

int otr_model_open(struct otr_model **out, const char *path, const struct otr_model_opts *opts, struct otr_err *err)
{
    static const struct otr_model_opts none;
    struct kernels k;
    struct pool *pool = NULL;
    const struct otr_model_opts *o = opts ? opts : &none;
    if (kernels_init(&k, o->kern) < 0)
        return OTR_FAIL(err, ARG, "no kernel level '%s' here (this CPU runs: %s)", o->kern, kernels_levels());
    struct otr_model *m = calloc(1, sizeof *m);
    if (!m)
        return OTR_FAIL(err, NOMEM, "no memory for the model handle");
    int rc = pool_create(&pool, o->n_threads, err);
    if (rc == OTR_OK)
        rc = open_parts(m, path, &k, pool, o, err);
    pool_destroy(pool);
    if (rc < 0) {
        otr_model_close(m);
        return rc;
    }
    *out = m;
    return OTR_OK;
}

void otr_model_close(struct otr_model *m)
{
    if (!m)
        return;
    template_close(m->tmpl);
    tokenizer_close(m->tok);
    weights_close(m->w);
    gguf_close(m->g);
    free(m->name);
    free(m->arch);
    free(m);
}

const struct otr_model_info *otr_model_info(const struct otr_model *m)
{
    return &m->info;
}

/* ---- text ---- */

static int64_t give_ids(const struct ids *l, int32_t *ids, size_t cap)
{
    if (l->n > 0 && cap > 0)
        memcpy(ids, l->v, (l->n < cap ? l->n : cap) * sizeof *ids);
    return (int64_t)l->n;
}

int64_t otr_tokenize(const struct otr_model *m, const char *text, size_t n_bytes, unsigned flags, int32_t *ids,
                     size_t cap, struct otr_err *err)
{
    struct ids l = {0};
    int64_t rc = tokenizer_encode(m->tok, text, n_bytes, flags, NULL, &l, err);
    if (rc == OTR_OK)
        rc = give_ids(&l, ids, cap);
    ids_free(&l);
    return rc;
}

size_t otr_n_dropped(const struct otr_model *m)
{
    return tokenizer_n_dropped(m->tok);
}

int64_t otr_token_bytes(const struct otr_model *m, int32_t id, bool special, char *buf, size_t cap)
{
    size_t n = 0;
    if (id < 0 || id >= m->info.n_vocab)
        return OTR_E_ARG;
    const char *p = id < tokenizer_n_vocab(m->tok) ? tokenizer_bytes(m->tok, id, special, &n) : "";
    if (n > 0 && cap > 0)
        memcpy(buf, p, n < cap ? n : cap);
    return (int64_t)n;
}

bool otr_token_is_end(const struct otr_model *m, int32_t id)
{
    return id >= 0 && id < tokenizer_n_vocab(m->tok) && tokenizer_is_end(m->tok, id);
}

/* A special token's name as a terminated string; "" for none. */
static char *token_name(const struct tokenizer *t, int32_t id)
{
    size_t n = 0;
    const char *p = id >= 0 ? tokenizer_bytes(t, id, true, &n) : "";
    return strndup(p, n);
}

/* WHY BOS is not left to TOK_ADD_SPECIAL: many templates write it themselves, and EOS must not follow a prompt. */
static int encode_chat(const struct otr_model *m, const struct template_out *text, struct ids *l, struct otr_err *err)
{
    const int32_t bos = tokenizer_bos(m->tok);
    const int rc = tokenizer_encode(m->tok, text->text, text->n, TOK_PARSE_SPECIAL, text->literal, l, err);
    if (rc < 0 || !tokenizer_add_bos(m->tok) || bos < 0 || (l->n > 0 && l->v[0] == bos))
        return rc;
    if (ids_push(l, bos) < 0)
        return OTR_FAIL(err, NOMEM, "no memory for the prompt's tokens");
    memmove(l->v + 1, l->v, (l->n - 1) * sizeof *l->v);
    l->v[0] = bos;
    return OTR_OK;
}

int64_t otr_chat_tokenize(const struct otr_model *m, const struct otr_message *msgs, size_t n_msgs,
                          bool add_generation_prompt, int32_t *ids, size_t cap, struct otr_err *err)
{
    if (m->tmpl_err.code)
        return OTR_FAIL(err, UNSUPPORTED, "cannot use the model's chat template: %.200s", m->tmpl_err.msg);
    if (!m->tmpl)
        return OTR_FAIL(err, MISSING, "the model has no chat template (a base model: complete text with --raw)");
    struct ids l = {0};
    struct template_out text = {0};
    char *bos = token_name(m->tok, tokenizer_bos(m->tok)), *eos = token_name(m->tok, tokenizer_eos(m->tok));
    const struct template_args a = {.msgs = msgs,
                                    .n_msgs = n_msgs,
                                    .add_generation_prompt = add_generation_prompt,
                                    .bos_token = bos,
                                    .eos_token = eos};
    int64_t rc = bos && eos ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for the chat prompt");
    if (rc == OTR_OK)
        rc = template_render(m->tmpl, &a, &text, err);
    if (rc == OTR_OK)
        rc = encode_chat(m, &text, &l, err);
    if (rc == OTR_OK)
        rc = give_ids(&l, ids, cap);
    template_out_free(&text);
    ids_free(&l);
    free(bos);
    free(eos);
    return rc;
}
