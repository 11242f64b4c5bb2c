/* Owns the weights in memory: finds the tensors, checks their shapes, packs the matrices. See weights.h. */
#include "load/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "load/dequant.h"
#include "load/repack.h"

/* What the loader is doing: the same walk over the model counts, then takes the matrices, then the vectors.
 * WHY vectors last: they lie all over the file, and reading them first would wait for a cold file, page by page. */
enum stage { COUNT, TAKE_MATRICES, TAKE_VECTORS };
struct walk {
    struct weights *w;
    struct arena mats, vecs;   /* base NULL: counting */
    size_t unit_bytes;         /* largest packed unit of rows */
    struct repack_item *items; /* [n_items] taken, to be packed */
    size_t n_items;
    struct otr_err *err;
    enum stage stage;
};

static int wrong_shape(const struct walk *k, const struct gguf_tensor *t, const char *name, int64_t n_in, int64_t n_out)
{
    return OTR_FAIL(k->err, FORMAT,
                    "cannot read model (%s): tensor %s is [%" PRId64 ", %" PRId64
                    "] and %d-dimensional, expected [%" PRId64 ", %" PRId64 "]",
                    gguf_path(k->w->g), name, t->ne[1], t->ne[0], t->n_dims, n_out, n_in);
}

static int missing(const struct walk *k, const char *name)
{
    return OTR_FAIL(k->err, MISSING, "cannot read model (%s): tensor %s is not there", gguf_path(k->w->g), name);
}

static int check_type(const struct walk *k, const struct gguf_tensor *t, const char *name)
{
    if (ggml_traits((uint32_t)t->type))
        return OTR_OK;
    const char *type = ggml_type_name((uint32_t)t->type);
    return OTR_FAIL(
        k->err, UNSUPPORTED,
        "cannot read model (%s): tensor %s has type %s (we read F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K)",
        gguf_path(k->w->g), name, type ? type : "unknown");
}

/* A vector [n] as floats; *out stays NULL where an optional one is absent. */
static int take_vector(struct walk *k, const char *name, int64_t n, bool required, const float **out)
{
    const struct gguf_tensor *t = gguf_tensor(k->w->g, name);
    int rc;
    if (!t)
        return required ? missing(k, name) : OTR_OK;
    if (t->n_dims != 1 || t->ne[0] != n)
        return wrong_shape(k, t, name, n, 1);
    if ((rc = check_type(k, t, name)) < 0)
        return rc;
    if (k->stage == TAKE_MATRICES)
        return OTR_OK;
    float *v = arena_take(&k->vecs, (size_t)n * sizeof *v);
    if (k->stage == COUNT) {
        k->w->n_params += (uint64_t)n;
        k->w->tensor_bytes += t->bytes;
        return OTR_OK;
    }
    dequant_row(t->type, v, t->data, n);
    *out = v;
    return OTR_OK;
}

/* A matrix [n_out, n_in], the units from first_unit on of a split of n_unit among threads (repack.h). */
static int take_matrix(struct walk *k, const char *name, int n_out, int n_in, int first_unit, int n_unit,
                       struct mat *out)
{
    const struct gguf_tensor *t = gguf_tensor(k->w->g, name);
    const struct kernels *kern = &k->w->kern;
    int rc;
    if (!t)
        return missing(k, name);
    if (t->n_dims != 2 || t->ne[0] != n_in || t->ne[1] != n_out)
        return wrong_shape(k, t, name, n_in, n_out);
    if ((rc = check_type(k, t, name)) < 0)
        return rc;
    if (k->stage == TAKE_VECTORS)
        return OTR_OK;
    const size_t bytes = kern->pack_bytes(t->type, n_out, n_in);
    void *dst = arena_take(&k->mats, bytes);
    if (k->stage == COUNT) {
        const size_t unit = kern->pack_bytes(t->type, KERN_ROW_UNIT, n_in);
        k->unit_bytes = unit > k->unit_bytes ? unit : k->unit_bytes;
        k->w->n_params += (uint64_t)n_out * (uint64_t)n_in;
        k->w->tensor_bytes += t->bytes;
        return OTR_OK;
    }
    *out = (struct mat){.type = t->type, .n_rows = n_out, .n_cols = n_in, .data = dst && bytes ? dst : t->data};
    if (out->data == dst)
        k->items[k->n_items++] = (struct repack_item){t, dst, first_unit, n_unit};
    else
        gguf_want_pages(k->w->g, t->data, t->bytes);
    return OTR_OK;
}

#define NAME(buf, ...) (snprintf((buf), sizeof(buf), __VA_ARGS__), (buf))

static int take_layer(struct walk *k, int i)
{
    struct layer_weights counting = {0};
    const struct hparams *hp = &k->w->hp;
    struct layer_weights *L = k->stage != COUNT ? &k->w->layer[i] : &counting;
    const int d = hp->n_embd, d_q = hp->n_head * hp->d_head, d_kv = hp->n_head_kv * hp->d_head;
    const int u_q = repack_units(d_q), u_kv = repack_units(d_kv), u = repack_units(d), u_ff = repack_units(hp->n_ff);
    const struct {
        const char *name;
        struct mat *m;
        const float **bias;
        int n_out, n_in, first_unit, n_unit;
    } mats[] = {
        {"attn_q", &L->q, &L->q_b, d_q, d, 0, u_q + 2 * u_kv},
        {"attn_k", &L->k, &L->k_b, d_kv, d, u_q, u_q + 2 * u_kv},
        {"attn_v", &L->v, &L->v_b, d_kv, d, u_q + u_kv, u_q + 2 * u_kv},
        {"attn_output", &L->o, &L->o_b, d, d_q, 0, u},
        {"ffn_gate", &L->gate, &L->gate_b, hp->n_ff, d, 0, u_ff},
        {"ffn_up", &L->up, &L->up_b, hp->n_ff, d, 0, u_ff},
        {"ffn_down", &L->down, &L->down_b, d, hp->n_ff, 0, u},
    };
    const struct {
        const char *name;
        const float **v;
        int n;
        bool wanted;
    } vecs[] = {
        {"attn_norm", &L->attn_norm, d, true},
        {"ffn_norm", &L->ffn_norm, d, true},
        {"attn_q_norm", &L->q_norm, hp->d_head, hp->qk_norm},
        {"attn_k_norm", &L->k_norm, hp->d_head, hp->qk_norm},
        {"post_attention_norm", &L->post_attn_norm, d, hp->post_norms},
        {"post_ffw_norm", &L->post_ffn_norm, d, hp->post_norms},
    };
    char name[64];
    int rc;
    for (size_t m = 0; m < sizeof mats / sizeof *mats; m++)
        if ((rc = take_matrix(k, NAME(name, "blk.%d.%s.weight", i, mats[m].name), mats[m].n_out, mats[m].n_in,
                              mats[m].first_unit, mats[m].n_unit, mats[m].m)) < 0 ||
            (rc = take_vector(k, NAME(name, "blk.%d.%s.bias", i, mats[m].name), mats[m].n_out, false, mats[m].bias)) <
                0)
            return rc;
    for (size_t v = 0; v < sizeof vecs / sizeof *vecs; v++)
        if (vecs[v].wanted &&
            (rc = take_vector(k, NAME(name, "blk.%d.%s.weight", i, vecs[v].name), vecs[v].n, true, vecs[v].v)) < 0)
            return rc;
    return OTR_OK;
}

static int take_all(struct walk *k)
{
    struct weights *w = k->w;
    const struct hparams *hp = &w->hp;
    int rc;
    for (int i = 0; i < hp->n_layer; i++)
        if ((rc = take_layer(k, i)) < 0)
            return rc;
    w->embd = gguf_tensor(w->g, "token_embd.weight");
    const bool tied = !gguf_tensor(w->g, "output.weight");
    if ((rc = take_vector(k, "output_norm.weight", hp->n_embd, true, &w->out_norm)) < 0 ||
        (rc = take_vector(k, "rope_freqs.weight", hp->n_rot / 2, false, &w->rope_factors)) < 0 ||
        (rc = take_matrix(k, tied ? "token_embd.weight" : "output.weight", hp->n_vocab, hp->n_embd, 0,
                          repack_units(hp->n_vocab), &w->head)) < 0)
        return rc;
    if (tied)
        return OTR_OK;
    if (!w->embd)
        return missing(k, "token_embd.weight");
    if (w->embd->n_dims != 2 || w->embd->ne[0] != hp->n_embd || w->embd->ne[1] != hp->n_vocab)
        return wrong_shape(k, w->embd, "token_embd.weight", hp->n_embd, hp->n_vocab);
    if (k->stage == COUNT) {
        w->n_params += (uint64_t)hp->n_embd * (uint64_t)hp->n_vocab;
        w->tensor_bytes += w->embd->bytes;
    }
    return check_type(k, w->embd, "token_embd.weight");
}

/* One mapping for all packed matrices, in huge pages where the system has them: long streams, few TLB misses. */
static int map_packed(struct weights *w, size_t bytes, struct otr_err *err)
{
    if (bytes == 0)
        return OTR_OK;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return OTR_FAIL(err, NOMEM, "no memory for %zu MB of packed weights (%s)", bytes >> 20, gguf_path(w->g));
    madvise(p, bytes, MADV_HUGEPAGE);
    w->packed = p;
    w->packed_bytes = bytes;
    return OTR_OK;
}

/* Room for what the counting walk found: items to pack and their mapping, or none of them; the vectors. */
static int make_room(struct walk *k, bool no_repack)
{
    struct weights *w = k->w;
    int rc;
    if (no_repack && k->mats.used > 0) {
        w->unit_bytes = k->unit_bytes;
    } else {
        if (!(k->items = calloc(7 * (size_t)w->hp.n_layer + 1, sizeof *k->items)))
            return OTR_FAIL(k->err, NOMEM, "no memory for a list of matrices");
        if ((rc = map_packed(w, k->mats.used, k->err)) < 0)
            return rc;
    }
    const size_t vec_bytes = (k->vecs.used + 63) & ~(size_t)63;
    if (!(w->vectors = aligned_alloc(64, vec_bytes)))
        return OTR_FAIL(k->err, NOMEM, "no memory for the norms");
    k->mats = (struct arena){w->packed, 0, w->packed_bytes};
    k->vecs = (struct arena){(char *)w->vectors, 0, vec_bytes};
    return OTR_OK;
}

int weights_open(struct weights **out, struct gguf *g, const struct hparams *hp, const struct kernels *k,
                 struct pool *pool, bool no_repack, struct otr_err *err)
{
    struct weights *w = calloc(1, sizeof *w);
    if (!w)
        return OTR_FAIL(err, NOMEM, "no memory for the weights' handle");
    w->hp = *hp;
    w->kern = *k;
    w->g = g;
    int rc = OTR_OK;
    struct walk walk = {.w = w, .mats = {.cap = SIZE_MAX / 2}, .vecs = {.cap = SIZE_MAX / 2}, .err = err};
    if (!(w->layer = calloc((size_t)hp->n_layer, sizeof *w->layer)))
        rc = OTR_FAIL(err, NOMEM, "no memory for %d layers", hp->n_layer);
    if (rc == OTR_OK)
        rc = take_all(&walk);
    if (rc == OTR_OK)
        rc = make_room(&walk, no_repack);
    if (rc == OTR_OK) {
        walk.stage = TAKE_MATRICES;
        rc = take_all(&walk);
    }
    if (rc == OTR_OK) {
        repack_run(g, &w->kern, pool, walk.items, walk.n_items);
        walk.stage = TAKE_VECTORS;
        rc = take_all(&walk);
    }
    free(walk.items);
    if (rc < 0) {
        weights_close(w);
        return rc;
    }
    *out = w;
    return OTR_OK;
}

int weights_plan(struct weights_plan *out, struct gguf *g, const struct hparams *hp, const struct kernels *k,
                 struct otr_err *err)
{
    struct weights w = {.hp = *hp, .kern = *k, .g = g};
    struct walk walk = {.w = &w, .mats = {.cap = SIZE_MAX / 2}, .vecs = {.cap = SIZE_MAX / 2}, .err = err};
    const int rc = take_all(&walk);
    if (rc == OTR_OK)
        *out = (struct weights_plan){w.n_params, w.tensor_bytes, walk.mats.used, walk.vecs.used, walk.unit_bytes};
    return rc;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    if (w->packed)
        munmap(w->packed, w->packed_bytes);
    free(w->vectors);
    free(w->layer);
    free(w);
}
