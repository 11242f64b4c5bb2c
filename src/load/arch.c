/* Owns the table of architectures and the table of keys with their ranges. See arch.h; read next: weights.c.
 * A new architecture is one row here, as long as its pass is made of parts that the forward pass has.
 * SRC: the GGUF specification's key names; what files leave out (gemma3's local rope base, its layer pattern) is in the
 *      rows; Gemma Team 2024/2025 (Gemma 2, Gemma 3), Granite Team 2024. */
#include "load/arch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CTX = 1 << 24, MAX_EMBD = 1 << 17, MAX_FF = 1 << 20, MAX_LAYER = 1024, MAX_HEAD = 1024, MAX_D_HEAD = 1024 };

struct arch {
    const char *name;
    enum rope_kind rope;
    enum act_fn act;
    bool qk_norm, post_norms;
    bool embd_sqrt;                    /* embeddings are scaled by sqrt(n_embd), rounded to float */
    bool logit_divides;                /* logits are divided by the file's logit_scale, not multiplied */
    int window_period;                 /* where the file does not say; 0: a window holds for all layers */
    float rope_base_local;             /* of windowed layers; 0: they rotate like the others */
    float attn_softcap, final_softcap; /* where the file does not say; 0: none */
    int narrow_q_layers; /* the size (in layers) whose queries are scaled by sqrt(n_embd / n_head), not sqrt(d_head) */
};

static const struct arch archs[] = {
    {.name = "llama", .rope = ROPE_NORM, .act = ACT_FN_SILU},
    {.name = "gemma3",
     .rope = ROPE_NEOX,
     .act = ACT_FN_GELU_TANH,
     .qk_norm = true,
     .post_norms = true,
     .embd_sqrt = true,
     .window_period = 6,
     .rope_base_local = 10000.0f,
     .narrow_q_layers = 62},
    {.name = "gemma2",
     .rope = ROPE_NEOX,
     .act = ACT_FN_GELU_TANH,
     .post_norms = true,
     .embd_sqrt = true,
     .window_period = 2,
     .attn_softcap = 50.0f,
     .final_softcap = 30.0f,
     .narrow_q_layers = 46},
    {.name = "granite", .rope = ROPE_NORM, .act = ACT_FN_SILU, .logit_divides = true},
    {.name = "qwen2", .rope = ROPE_NEOX, .act = ACT_FN_SILU},
    {.name = "qwen3", .rope = ROPE_NEOX, .act = ACT_FN_SILU, .qk_norm = true},
};

const char *arch_names(void)
{
    return "llama gemma3 gemma2 granite qwen2 qwen3";
}

/* Keys of one architecture: "llama." + suffix. */
struct reader {
    const struct gguf *g;
    const char *arch;
    struct otr_err *err;
    char key[96];
};

static const char *key_of(struct reader *r, const char *suffix)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch, suffix);
    return r->key;
}

/* An optional key keeps *out when it is absent; a wrong one is an error all the same. */
static int read_int(struct reader *r, const char *suffix, int lo, int hi, bool required, int *out)
{
    int64_t v = *out;
    const int rc = gguf_get_int(r->g, key_of(r, suffix), lo, hi, &v, r->err);
    *out = (int)v;
    return rc == OTR_E_MISSING && !required ? OTR_OK : rc;
}

static int read_float(struct reader *r, const char *suffix, double lo, double hi, bool required, float *out)
{
    double v = (double)*out;
    const int rc = gguf_get_float(r->g, key_of(r, suffix), lo, hi, &v, r->err);
    *out = (float)v;
    return rc == OTR_E_MISSING && !required ? OTR_OK : rc;
}

static int read_arch(const struct gguf *g, const struct arch **out, struct otr_err *err)
{
    struct gguf_str s;
    char name[48];
    const int rc = gguf_get_str(g, "general.architecture", &s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (s.n == strlen(archs[i].name) && memcmp(s.p, archs[i].name, s.n) == 0) {
            *out = &archs[i];
            return OTR_OK;
        }
    return OTR_FAIL(err, UNSUPPORTED, "cannot run model (%s): architecture '%s' (we run %s)", gguf_path(g),
                    err_quote(name, sizeof name, s.p, s.n), arch_names());
}

static int read_sizes(struct reader *r, struct hparams *hp)
{
    const struct {
        const char *suffix;
        int *v, hi;
    } must[] = {
        {"context_length", &hp->n_ctx_train, MAX_CTX},   {"embedding_length", &hp->n_embd, MAX_EMBD},
        {"block_count", &hp->n_layer, MAX_LAYER},        {"feed_forward_length", &hp->n_ff, MAX_FF},
        {"attention.head_count", &hp->n_head, MAX_HEAD},
    };
    int rc, n_expert = 0, d_value;
    for (size_t i = 0; i < sizeof must / sizeof *must; i++)
        if ((rc = read_int(r, must[i].suffix, 1, must[i].hi, true, must[i].v)) < 0)
            return rc;
    hp->n_head_kv = hp->n_head;
    hp->d_head = hp->n_embd / hp->n_head;
    if ((rc = read_int(r, "attention.head_count_kv", 1, MAX_HEAD, false, &hp->n_head_kv)) < 0 ||
        (rc = read_int(r, "attention.key_length", 1, MAX_D_HEAD, false, &hp->d_head)) < 0 ||
        (rc = read_int(r, "expert_count", 0, 1 << 16, false, &n_expert)) < 0)
        return rc;
    hp->n_rot = d_value = hp->d_head;
    if ((rc = read_int(r, "attention.value_length", 1, MAX_D_HEAD, false, &d_value)) < 0 ||
        (rc = read_int(r, "rope.dimension_count", 1, MAX_D_HEAD, false, &hp->n_rot)) < 0)
        return rc;
    if (n_expert > 0)
        return OTR_FAIL(r->err, UNSUPPORTED, "cannot run model (%s): mixture of experts (%s = %d)", gguf_path(r->g),
                        key_of(r, "expert_count"), n_expert);
    if (hp->n_head % hp->n_head_kv != 0)
        return OTR_FAIL(r->err, FORMAT, "cannot read model (%s): %d query heads cannot share %d KV heads",
                        gguf_path(r->g), hp->n_head, hp->n_head_kv);
    if (hp->d_head % 8 != 0 || hp->d_head > MAX_D_HEAD || d_value != hp->d_head)
        return OTR_FAIL(
            r->err, UNSUPPORTED,
            "cannot run model (%s): heads of %d key and %d value elements (equal, a multiple of 8, at most %d)",
            gguf_path(r->g), hp->d_head, d_value, MAX_D_HEAD);
    if (hp->n_rot % 2 != 0 || hp->n_rot > hp->d_head)
        return OTR_FAIL(r->err, FORMAT, "cannot read model (%s): %s is %d (even, at most the head size %d)",
                        gguf_path(r->g), key_of(r, "rope.dimension_count"), hp->n_rot, hp->d_head);
    return OTR_OK;
}

static int read_rope(struct reader *r, const struct arch *a, struct hparams *hp)
{
    struct gguf_str s;
    char name[48];
    int rc;
    hp->rope_kind = a->rope;
    hp->rope_base = 10000.0f;
    hp->rope_linear_factor = 1.0f;
    if ((rc = read_float(r, "rope.freq_base", 1.0, 1e12, false, &hp->rope_base)) < 0)
        return rc;
    hp->rope_base_local = a->rope_base_local;
    if ((rc = read_float(r, "rope.freq_base_swa", 1.0, 1e12, false, &hp->rope_base_local)) < 0 ||
        (rc = read_float(r, "rope.scale_linear", 1e-3, 1e6, false, &hp->rope_linear_factor)) < 0)
        return rc;
    rc = gguf_get_str(r->g, key_of(r, "rope.scaling.type"), &s, r->err);
    if (rc == OTR_E_MISSING || (rc == OTR_OK && s.n == 4 && memcmp(s.p, "none", 4) == 0))
        return OTR_OK;
    if (rc < 0)
        return rc;
    if (s.n == 6 && memcmp(s.p, "linear", 6) == 0)
        return read_float(r, "rope.scaling.factor", 1e-3, 1e6, true, &hp->rope_linear_factor);
    return OTR_FAIL(r->err, UNSUPPORTED, "cannot run model (%s): rope scaling '%s' (we have none and linear)",
                    gguf_path(r->g), err_quote(name, sizeof name, s.p, s.n));
}

static int read_attention(struct reader *r, const struct arch *a, struct hparams *hp)
{
    int rc;
    hp->qk_norm = a->qk_norm;
    hp->post_norms = a->post_norms;
    hp->window_period = a->window_period;
    hp->attn_softcap = a->attn_softcap;
    hp->final_softcap = a->final_softcap;
    hp->attn_scale =
        (float)(1.0 / sqrt(hp->n_layer == a->narrow_q_layers ? (double)hp->n_embd / hp->n_head : (double)hp->d_head));
    if ((rc = read_int(r, "attention.sliding_window", 0, MAX_CTX, false, &hp->window)) < 0 ||
        (rc = read_float(r, "attention.scale", 1e-6, 1e6, false, &hp->attn_scale)) < 0)
        return rc;
    if (a->window_period > 0 &&
        (rc = read_int(r, "attention.sliding_window_pattern", 1, MAX_LAYER, false, &hp->window_period)) < 0)
        return rc;
    if ((rc = read_float(r, "attn_logit_softcapping", 0.0, 1e6, false, &hp->attn_softcap)) < 0 ||
        (rc = read_float(r, "final_logit_softcapping", 0.0, 1e6, false, &hp->final_softcap)) < 0)
        return rc;
    hp->window_all = a->window_period == 0;
    if (hp->window >= hp->n_ctx_train && hp->window_all)
        hp->window = 0; /* sees everything: no windowed layers */
    return OTR_OK;
}

static int read_scales(struct reader *r, const struct arch *a, struct hparams *hp)
{
    int rc;
    hp->act = a->act;
    hp->residual_scale = hp->logit_scale = 1.0f;
    hp->embd_scale = a->embd_sqrt ? (float)sqrt((double)hp->n_embd) : 1.0f;
    if ((rc = read_float(r, "attention.layer_norm_rms_epsilon", 0.0, 1.0, true, &hp->norm_eps)) < 0 ||
        (rc = read_float(r, "embedding_scale", 1e-6, 1e6, false, &hp->embd_scale)) < 0 ||
        (rc = read_float(r, "residual_scale", 1e-6, 1e6, false, &hp->residual_scale)) < 0 ||
        (rc = read_float(r, "logit_scale", 1e-6, 1e6, false, &hp->logit_scale)) < 0)
        return rc;
    if (a->logit_divides)
        hp->logit_scale = 1.0f / hp->logit_scale;
    return OTR_OK;
}

int hparams_read(struct hparams *out, const struct gguf *g, struct otr_err *err)
{
    const struct arch *a = NULL;
    struct hparams hp = {0};
    if (gguf_n_tensors(g) == 0)
        return OTR_FAIL(err, UNSUPPORTED, "cannot run model (%s): it holds a vocabulary only, no weights",
                        gguf_path(g));
    int rc = read_arch(g, &a, err);
    if (rc < 0)
        return rc;
    struct reader r = {.g = g, .arch = a->name, .err = err};
    if ((rc = read_sizes(&r, &hp)) < 0 || (rc = read_rope(&r, a, &hp)) < 0 || (rc = read_attention(&r, a, &hp)) < 0 ||
        (rc = read_scales(&r, a, &hp)) < 0)
        return rc;
    const struct gguf_tensor *embd = gguf_tensor(g, "token_embd.weight");
    if (!embd)
        return OTR_FAIL(err, MISSING, "cannot read model (%s): tensor token_embd.weight is not there", gguf_path(g));
    if (embd->n_dims != 2 || embd->ne[1] < 1 || embd->ne[1] > 1 << 24)
        return OTR_FAIL(err, FORMAT, "cannot read model (%s): tensor token_embd.weight has %" PRId64 " rows",
                        gguf_path(g), embd->ne[1]);
    hp.n_vocab = (int)embd->ne[1];
    *out = hp;
    return OTR_OK;
}
