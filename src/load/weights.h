/* The weights of a model as the forward pass reads them: one struct per layer, packed for one kernel level.
 *
 * In: a checked GGUF and its hyper-parameters. Out: matrices in the level's panels (or where they lie in the file),
 * norms and biases as floats. Read-only after open; may be shared by engines. Read next: kv.h, forward.h. */
#ifndef OTR_LOAD_WEIGHTS_H
#define OTR_LOAD_WEIGHTS_H

#include "base/pool.h"
#include "kern/kern.h"
#include "load/arch.h"

/* One layer is one struct, so that a draft head with a layer of its own runs through the same code.
 * Matrices are [n_out, n_in]; vectors are NULL where the model has none. */
struct layer_weights {
    struct mat q, k, v, o;     /* [n_head*d_head, n_embd], [n_head_kv*d_head, n_embd] twice, [n_embd, n_head*d_head] */
    struct mat gate, up, down; /* [n_ff, n_embd] twice, [n_embd, n_ff] */
    const float *attn_norm, *ffn_norm;           /* [n_embd] */
    const float *q_norm, *k_norm;                /* [d_head] */
    const float *post_attn_norm, *post_ffn_norm; /* [n_embd] */
    const float *q_b, *k_b, *v_b, *o_b, *gate_b, *up_b, *down_b;
};

struct weights {
    struct hparams hp;
    struct kernels kern;
    struct gguf *g;                 /* not owned: must outlive this */
    const struct gguf_tensor *embd; /* [n_vocab, n_embd] rows in the file: looked up by token */
    struct layer_weights *layer;    /* [n_layer] */
    struct mat head;                /* [n_vocab, n_embd] */
    const float *out_norm;          /* [n_embd] */
    const float *rope_factors;      /* [n_rot / 2] or NULL */
    void *packed;                   /* one mapping for all packed matrices */
    size_t packed_bytes;
    size_t unit_bytes; /* > 0: not packed; a product packs KERN_ROW_UNIT rows at a time into so much room */
    float *vectors;    /* one block for all norms and biases */
    uint64_t n_params, tensor_bytes;
    struct plan_set plans; /* what the matrices' plans point into, once they were timed (tune.h) */
};

/* Finds, checks and packs everything; `pool` shares the packing. OTR_E_MISSING, OTR_E_FORMAT name the tensor.
 * no_repack: matrices stay in the file, so there is no second copy of them in memory; the products are slower. */
int weights_open(struct weights **out, struct gguf *g, const struct hparams *hp, const struct kernels *k,
                 struct pool *pool, bool no_repack, struct otr_err *err);
void weights_close(struct weights *w);
/* Memory that the matrices take: the packed ones, or the file's, where a level or the caller leaves them there. */
static inline size_t weights_bytes(const struct weights *w)
{
    return w->packed_bytes > 0 ? w->packed_bytes : (size_t)w->tensor_bytes;
}

/* Multiply-adds of a row in all layers: what a token of a prompt takes, for it has no head. */
static inline double weights_layer_products(const struct weights *w)
{
    double n = 0;
    for (int i = 0; i < w->hp.n_layer; i++) {
        const struct layer_weights *L = &w->layer[i];
        const struct mat *const mats[] = {&L->q, &L->k, &L->v, &L->o, &L->gate, &L->up, &L->down};
        for (size_t k = 0; k < sizeof mats / sizeof *mats; k++)
            n += (double)mats[k]->n_rows * mats[k]->n_cols;
    }
    return n;
}

/* All checks of weights_open and what it will need, without reading a weight. */
struct weights_plan {
    uint64_t n_params, tensor_bytes;
    size_t packed_bytes, vector_bytes;
    size_t unit_bytes; /* of each thread, in place of packed_bytes: with no_repack */
};
int weights_plan(struct weights_plan *out, struct gguf *g, const struct hparams *hp, const struct kernels *k,
                 struct otr_err *err);

#endif
