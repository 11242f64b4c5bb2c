/* One layer in six synchronisations, and the head (kernels.md B.4).
 *
 *   S1  norm, pack | Q, K and V rows                         -> barrier
 *   S2a QK norm, rope, K and V into the cache                -> barrier
 *   S2b attention items                                      -> barrier
 *   S3  pack | output rows, added to the residual            -> barrier
 *   S4  norm, pack | gate and up rows of one slice, gated    -> barrier
 *   S5  pack | down rows, added to the residual              -> barrier
 * Norm and pack are done by every thread for all rows while that is cheap, else shared with one more barrier; the bits
 * are the same. A branch with a post-norm (a norm over whole rows) is added by the next phase that reads the residual.
 * INV: a thread owns whole output rows; nothing is reduced across threads but the argmax, by (value, lowest id).
 * Read next: attention.c. */
#include "forward/fwd_priv.h"

#include <string.h>

/* A product of a list that shares one input and one index space. */
struct job {
    const struct mat *w;
    const float *bias; /* [n_rows] or NULL */
    float *out;        /* [n, ld] */
    size_t ld;
};

static bool is_private(const struct fwd *f, int n_row, int n_cols)
{
    return n_row <= PRIV_ROWS && pool_n_threads(f->pool) <= PRIV_THREADS &&
           (n_row == 1 || n_row * n_cols <= PRIV_LIMIT);
}

static void pack_rows(const struct fwd *f, void *const *act, unsigned kinds, const float *x, int n_cols, int n_row,
                      int lo, int hi)
{
    for (int kind = 0; kind < ACT_N; kind++)
        if (kinds & 1u << kind)
            f->k->act_pack(act[kind], (enum act_kind)kind, x, (size_t)n_cols, n_cols, n_row, lo, hi);
}

static unsigned kind_bit(const struct mat *w)
{
    return 1u << act_kind_of(w->type);
}

void tap_store(struct lane *ln, int layer, int t, const float *y)
{
    struct fwd *f = ln->f;
    const size_t d = (size_t)f->hp->n_embd;
    const int row = f->first + t;
    if (!(f->row[row].keep & FWD_KEEP_HIDDEN))
        return;
    for (int i = 0; i < f->n_tap; i++)
        if (f->taps[i] == layer)
            memcpy(f->tap + ((size_t)i * (size_t)f->n_batch + (size_t)row) * d, y, d * sizeof *y);
}

/* Residual row t with the pending branch added: x itself, or y [n_embd]. */
static const float *residual_row(const struct lane *ln, int t, float *y)
{
    const struct fwd *f = ln->f;
    const int d = f->hp->n_embd;
    const float *x = residual(f, ln->cur, t);
    if (!ln->pending)
        return x;
    f->k->rms_norm(y, f->branch + (size_t)t * (size_t)d, ln->pending, d, f->hp->norm_eps);
    if (f->hp->residual_scale != 1.0f)
        f->k->scale(y, y, f->hp->residual_scale, d);
    f->k->add(y, x, y, d);
    return y;
}

/* The normed residual of all rows, packed as `kinds`. layer >= 0: also the tap of that layer's input. */
static void *const *input_norm(struct lane *ln, const float *norm, unsigned kinds, int layer)
{
    struct fwd *f = ln->f;
    const int d = f->hp->n_embd;
    const size_t ld = (size_t)d;
    int lo, hi;
    if (is_private(f, fwd_n(f), d)) {
        pool_share(ln->ctx, d, 16, &lo, &hi);
        for (int t = 0; t < fwd_n(f); t++) {
            const float *y = residual_row(ln, t, ln->own->y);
            if (ln->pending) /* WHY a second buffer: others still read x */
                memcpy(residual(f, 1 - ln->cur, t) + lo, y + lo, (size_t)(hi - lo) * sizeof *y);
            if (ln->ctx->tid == 0)
                tap_store(ln, layer, t, y);
            f->k->rms_norm(ln->own->n + (size_t)t * ld, y, norm, d, f->hp->norm_eps);
        }
        if (ln->pending)
            ln->cur = 1 - ln->cur;
        ln->pending = NULL;
        pack_rows(f, ln->own->act, kinds, ln->own->n, d, fwd_n(f), 0, fwd_n(f));
        return ln->own->act;
    }
    pool_share(ln->ctx, fwd_n(f), 1, &lo, &hi);
    for (int t = lo; t < hi; t++) {
        const float *y = residual_row(ln, t, ln->own->y);
        float *x = residual(f, ln->cur, t);
        if (y != x)
            memcpy(x, y, ld * sizeof *y);
        tap_store(ln, layer, t, x);
        f->k->rms_norm(f->norm + (size_t)t * ld, x, norm, d, f->hp->norm_eps);
    }
    ln->pending = NULL;
    pack_rows(f, f->act, kinds, f->norm, d, fwd_n(f), lo, hi);
    lane_barrier(ln);
    return f->act;
}

/* Rows x [n_row, n_cols], packed. */
static void *const *input_plain(struct lane *ln, const float *x, int n_cols, unsigned kinds)
{
    struct fwd *f = ln->f;
    if (is_private(f, fwd_n(f), n_cols)) {
        pack_rows(f, ln->own->act, kinds, x, n_cols, fwd_n(f), 0, fwd_n(f));
        return ln->own->act;
    }
    int lo, hi;
    pool_share(ln->ctx, fwd_n(f), 1, &lo, &hi);
    pack_rows(f, f->act, kinds, x, n_cols, fwd_n(f), lo, hi);
    lane_barrier(ln);
    return f->act;
}

/* The attention output of all rows, packed; merges the chunks first where they were split. */
static void *const *input_attention(struct lane *ln, int layer, unsigned kinds)
{
    struct fwd *f = ln->f;
    const int n_cols = f->hp->n_head * f->hp->d_head;
    if (f->split == ATTN_CHUNKS) {
        int lo, hi;
        pool_share(ln->ctx, fwd_n(f), 1, &lo, &hi);
        for (int t = lo; t < hi; t++)
            attention_merge_row(ln, layer, t, f->att + (size_t)t * (size_t)n_cols);
        lane_barrier(ln);
    }
    return input_plain(ln, f->att, n_cols, kinds);
}

/* Rows [lo, hi) of a matrix, of the packed one or of the file's. */
static void multiply(const struct lane *ln, float *out, size_t ld, const struct mat *w, int lo, int hi,
                     void *const *act, int n_row)
{
    const struct fwd *f = ln->f;
    const void *a = act[act_kind_of(w->type)];
    if (ln->own->unit)
        matmul_rows(f->k, out, ld, w, lo, hi, a, n_row, ln->own->unit);
    else
        f->k->matmul(out, ld, w, lo, hi, a, n_row);
}

/* This thread's rows [*lo, *hi) of one matrix. */
static void product(struct lane *ln, const struct job *j, void *const *act, int lo, int hi)
{
    const struct fwd *f = ln->f;
    if (lo >= hi)
        return;
    multiply(ln, j->out, j->ld, j->w, lo, hi, act, fwd_n(f));
    if (j->bias)
        for (int t = 0; t < fwd_n(f); t++) {
            float *o = j->out + (size_t)t * j->ld + lo;
            f->k->add(o, o, j->bias + lo, hi - lo);
        }
}

/* The thread's share of a list of matrices over one index space, in units of KERN_ROW_UNIT rows. */
static void products(struct lane *ln, const struct job *jobs, int n_job, void *const *act)
{
    int total = 0, first = 0, lo, hi;
    for (int i = 0; i < n_job; i++)
        total += (jobs[i].w->n_rows + KERN_ROW_UNIT - 1) / KERN_ROW_UNIT;
    pool_share(ln->ctx, total, 1, &lo, &hi);
    for (int i = 0; i < n_job; i++) {
        const int n = jobs[i].w->n_rows, units = (n + KERN_ROW_UNIT - 1) / KERN_ROW_UNIT;
        const int a = lo > first ? lo - first : 0, b = hi - first < units ? hi - first : units;
        if (a < b)
            product(ln, &jobs[i], act, a * KERN_ROW_UNIT, b * KERN_ROW_UNIT < n ? b * KERN_ROW_UNIT : n);
        first += units;
    }
}

/* branch = product; without a post-norm the thread adds its own slice to the residual at once. */
static void branch_product(struct lane *ln, const struct mat *w, const float *bias, const float *post_norm,
                           void *const *act)
{
    struct fwd *f = ln->f;
    const size_t d = (size_t)f->hp->n_embd;
    const struct job j = {w, bias, f->branch, d};
    int lo, hi;
    pool_share(ln->ctx, w->n_rows, KERN_ROW_UNIT, &lo, &hi);
    product(ln, &j, act, lo, hi);
    ln->pending = post_norm;
    if (post_norm || lo >= hi)
        return;
    for (int t = 0; t < fwd_n(f); t++) {
        float *b = f->branch + (size_t)t * d + lo, *x = residual(f, ln->cur, t) + lo;
        if (f->hp->residual_scale != 1.0f)
            f->k->scale(b, b, f->hp->residual_scale, hi - lo);
        f->k->add(x, x, b, hi - lo);
    }
}

static void gate_up(struct lane *ln, const struct layer_weights *L, void *const *act)
{
    struct fwd *f = ln->f;
    const size_t ld = (size_t)f->hp->n_ff;
    int lo, hi;
    pool_share(ln->ctx, f->hp->n_ff, KERN_ROW_UNIT, &lo, &hi);
    product(ln, &(struct job){&L->gate, L->gate_b, f->gate, ld}, act, lo, hi);
    product(ln, &(struct job){&L->up, L->up_b, f->up, ld}, act, lo, hi);
    if (lo < hi)
        for (int t = 0; t < fwd_n(f); t++) {
            float *g = f->gate + (size_t)t * ld + lo;
            f->k->gate(g, g, f->up + (size_t)t * ld + lo, hi - lo, f->hp->act);
        }
}

static void attention_layer(struct lane *ln, int layer)
{
    struct fwd *f = ln->f;
    const struct layer_weights *L = &f->w->layer[layer];
    const size_t d_q = (size_t)(f->hp->n_head * f->hp->d_head), d_kv = (size_t)(f->hp->n_head_kv * f->hp->d_head);

    void *const *act = input_norm(ln, L->attn_norm, kind_bit(&L->q) | kind_bit(&L->k) | kind_bit(&L->v), layer);
    const struct job qkv[3] = {{&L->q, L->q_b, f->q, d_q}, {&L->k, L->k_b, f->kk, d_kv}, {&L->v, L->v_b, f->v, d_kv}};
    phase_end(ln, FWD_PACK);
    products(ln, qkv, 3, act);
    phase_end(ln, FWD_QKV);
    lane_barrier(ln);
    attention_append(ln, layer);
    phase_end(ln, FWD_APPEND);
    lane_barrier(ln);
    attention_run(ln, layer);
    phase_end(ln, FWD_ATTENTION);
    lane_barrier(ln);
    act = input_attention(ln, layer, kind_bit(&L->o));
    phase_end(ln, FWD_PACK);
    branch_product(ln, &L->o, L->o_b, L->post_attn_norm, act);
    phase_end(ln, FWD_OUTPUT);
    lane_barrier(ln);
}

static void ffn_layer(struct lane *ln, int layer)
{
    struct fwd *f = ln->f;
    const struct layer_weights *L = &f->w->layer[layer];
    void *const *act = input_norm(ln, L->ffn_norm, kind_bit(&L->gate) | kind_bit(&L->up), -1);
    phase_end(ln, FWD_PACK);
    gate_up(ln, L, act);
    phase_end(ln, FWD_GATE_UP);
    lane_barrier(ln);
    act = input_plain(ln, f->gate, f->hp->n_ff, kind_bit(&L->down));
    phase_end(ln, FWD_PACK);
    branch_product(ln, &L->down, L->down_b, L->post_ffn_norm, act);
    phase_end(ln, FWD_DOWN);
    lane_barrier(ln);
}

void layer_run(struct lane *ln, int layer)
{
    const unsigned skip = ln->f->skip[layer];
    if (!(skip & FWD_SKIP_ATTENTION))
        attention_layer(ln, layer);
    if (!(skip & FWD_SKIP_FFN))
        ffn_layer(ln, layer);
}

void residual_settle(struct lane *ln)
{
    struct fwd *f = ln->f;
    const size_t d = (size_t)f->hp->n_embd;
    int lo, hi;
    pool_share(ln->ctx, fwd_n(f), 1, &lo, &hi);
    for (int t = lo; t < hi; t++) {
        float *x = residual(f, ln->cur, t);
        const float *y = residual_row(ln, t, ln->own->y);
        if (y != x)
            memcpy(x, y, d * sizeof *y);
    }
    ln->pending = NULL;
    phase_end(ln, FWD_PACK);
    lane_barrier(ln);
}

/* Logits of n <= FWD_MAX_LOGITS rows; each thread also keeps the argmax of its slice. */
void head_run(struct lane *ln, const int *rows, int n)
{
    struct fwd *f = ln->f;
    const struct mat *w = f->head;
    const int d = f->hp->n_embd, n_out = w->n_rows;
    int lo, hi;
    for (int i = 0; i < n; i++)
        f->k->rms_norm(ln->own->n + (size_t)i * (size_t)d, f->x[ln->cur] + (size_t)rows[i] * (size_t)d, f->w->out_norm,
                       d, f->hp->norm_eps);
    pack_rows(f, ln->own->act, kind_bit(w), ln->own->n, d, n, 0, n);
    phase_end(ln, FWD_PACK);
    pool_share(ln->ctx, n_out, KERN_ROW_UNIT, &lo, &hi);
    if (lo < hi)
        multiply(ln, f->logits, (size_t)n_out, w, lo, hi, ln->own->act, n);
    for (int i = 0; i < n; i++) {
        int *arg = &f->arg_part[ln->ctx->tid * FWD_MAX_LOGITS + i];
        float *o = f->logits + (size_t)i * (size_t)n_out + lo;
        *arg = -2; /* nothing of this row is mine */
        if (lo >= hi)
            continue;
        if (f->hp->logit_scale != 1.0f)
            f->k->scale(o, o, f->hp->logit_scale, hi - lo);
        if (f->hp->final_softcap > 0)
            f->k->softcap(o, o, f->hp->final_softcap, hi - lo);
        const int a = f->k->argmax(o, hi - lo);
        *arg = a < 0 ? -1 : a + lo;
    }
}
