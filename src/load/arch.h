/* Hyper-parameters of a model: what the forward pass must know, from one table of keys with ranges.
 *
 * In: a checked GGUF. Out: struct hparams; an architecture is a set of flags here, never a copy of the pass.
 * Read next: arch.c (the tables), weights.h. */
#ifndef OTR_LOAD_ARCH_H
#define OTR_LOAD_ARCH_H

#include "kern/kern.h"
#include "load/gguf.h"

struct hparams {
    int n_vocab, n_ctx_train, n_layer, n_embd, n_ff, n_head, n_head_kv, d_head;
    int n_rot; /* rotated values of a head, even, <= d_head */
    enum rope_kind rope_kind;
    float rope_base;          /* frequency base */
    float rope_base_local;    /* windowed layers have this one, unscaled; 0: they rotate like the others */
    float rope_linear_factor; /* positions are divided by it; 1: off */
    float norm_eps;
    float attn_scale;                              /* of the queries */
    float attn_softcap, final_softcap;             /* 0: none */
    float embd_scale, residual_scale, logit_scale; /* 1: none */
    enum act_fn act;
    int window;        /* positions a windowed layer sees, itself included; 0: no windowed layers */
    int window_period; /* every window_period-th layer is global; 1 with a window: none is windowed */
    bool window_all;   /* every layer is windowed (Mistral) */
    bool qk_norm, post_norms;
};

/* OTR_E_UNSUPPORTED: another architecture, or a feature of it that we lack; OTR_E_MISSING, OTR_E_FORMAT name the key.
 */
int hparams_read(struct hparams *hp, const struct gguf *g, struct otr_err *err);
const char *arch_names(void); /* "llama gemma3": what we run */

static inline bool hparams_is_local(const struct hparams *hp, int layer)
{
    return hp->window > 0 && (hp->window_all || (layer + 1) % hp->window_period != 0);
}

/* Positions this layer sees; 0: all. */
static inline int hparams_window(const struct hparams *hp, int layer)
{
    return hparams_is_local(hp, layer) ? hp->window : 0;
}

/* Whether this layer rotates by the local base. */
static inline bool hparams_rope_local(const struct hparams *hp, int layer)
{
    return hp->rope_base_local > 0.0f && hparams_is_local(hp, layer);
}

#endif
