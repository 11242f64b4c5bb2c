/* Owns the buffers of the forward pass, the plan of a call, and its stages. See forward.h; read next: layer.c. */
#include "forward/fwd_priv.h"

#include <assert.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "load/dequant.h"

/* ---- memory: carved once, counted by the same code on a NULL base ---- */

static float *floats(struct arena *a, size_t n)
{
    return arena_take(a, size_mul(n, sizeof(float)));
}

static int widest_input(const struct hparams *hp)
{
    const int att = hp->n_head * hp->d_head, a = hp->n_ff > att ? hp->n_ff : att;
    return a > hp->n_embd ? a : hp->n_embd;
}

static void carve_thread(struct fwd *f, struct arena *a, struct fwd_thread *t)
{
    const struct hparams *hp = f->hp;
    const size_t n_q = (size_t)(TILE_ROWS * f->group), dh = (size_t)hp->d_head,
                 parts = size_mul(n_q, (size_t)f->n_chunk);
    const size_t row = kv_row_bytes(kv_get_shape(f->kv)->type, hp->d_head);
    t->y = floats(a, (size_t)hp->n_embd);
    t->n = floats(a, FWD_MAX_LOGITS * (size_t)hp->n_embd);
    for (int kind = 0; kind < ACT_N; kind++)
        t->act[kind] = arena_take(a, f->k->act_bytes((enum act_kind)kind, widest_input(hp), FWD_MAX_LOGITS));
    t->unit = f->w->unit_bytes > 0 ? arena_take(a, f->w->unit_bytes) : NULL;
    t->score = floats(a, n_q * ATTN_CHUNK);
    t->max = floats(a, n_q);
    t->sum = floats(a, n_q);
    t->part_max = floats(a, parts);
    t->part_sum = floats(a, parts);
    t->part_acc = floats(a, size_mul(parts, dh));
    t->lo = arena_take(a, n_q * sizeof *t->lo);
    t->hi = arena_take(a, n_q * sizeof *t->hi);
    t->gather_k = arena_take(a, GATHER_BLK * ATTN_BLOCK * row);
    t->gather_v = arena_take(a, GATHER_BLK * ATTN_BLOCK * row);
    t->kv_row = arena_take(a, row);
}

static void carve(struct fwd *f, struct arena *a)
{
    const struct hparams *hp = f->hp;
    const size_t n = (size_t)f->n_batch, d = (size_t)hp->n_embd, d_q = (size_t)(hp->n_head * hp->d_head);
    const size_t d_kv = (size_t)(hp->n_head_kv * hp->d_head), n_thr = (size_t)pool_n_threads(f->pool);
    const size_t parts = size_mul(PRIV_ROWS * (size_t)hp->n_head, (size_t)f->n_chunk);
    f->row = arena_take(a, n * sizeof *f->row);
    f->tile = arena_take(a, n * sizeof *f->tile);
    f->use = arena_take(a, n * sizeof *f->use);
    f->logit_row = arena_take(a, n * sizeof *f->logit_row);
    f->arg_part = arena_take(a, n_thr * FWD_MAX_LOGITS * sizeof *f->arg_part);
    f->skip = arena_take(a, (size_t)hp->n_layer);
    f->x[0] = floats(a, size_mul(n, d));
    f->x[1] = floats(a, size_mul(n, d));
    f->branch = floats(a, size_mul(n, d));
    f->norm = floats(a, size_mul(n, d));
    f->q = floats(a, size_mul(n, d_q));
    f->qh = floats(a, size_mul(n, d_q));
    f->att = floats(a, size_mul(n, d_q));
    f->kk = floats(a, size_mul(n, d_kv));
    f->v = floats(a, size_mul(n, d_kv));
    f->gate = floats(a, size_mul(n, (size_t)hp->n_ff));
    f->up = floats(a, size_mul(n, (size_t)hp->n_ff));
    for (int kind = 0; kind < ACT_N; kind++)
        f->act[kind] = arena_take(a, f->k->act_bytes((enum act_kind)kind, widest_input(hp), f->n_batch));
    f->part_max = floats(a, parts);
    f->part_sum = floats(a, parts);
    f->part_acc = floats(a, size_mul(parts, (size_t)hp->d_head));
    f->logits = floats(a, size_mul(FWD_MAX_LOGITS, (size_t)hp->n_vocab));
    f->rope[0] = floats(a, size_mul((size_t)f->n_ctx, (size_t)hp->n_rot));
    f->rope[1] = hp->rope_base_local > 0.0f ? floats(a, size_mul((size_t)f->n_ctx, (size_t)hp->n_rot)) : NULL;
    f->thr = arena_take(a, n_thr * sizeof *f->thr);
    for (size_t i = 0; i < n_thr; i++) {
        struct fwd_thread unused;
        carve_thread(f, a, f->thr ? &f->thr[i] : &unused);
    }
}

int fwd_create(struct fwd **out, const struct weights *w, struct pool *pool, struct kv *kv, const struct fwd_opts *opts,
               struct otr_err *err)
{
    struct fwd *f = calloc(1, sizeof *f);
    if (!f)
        return OTR_FAIL(err, NOMEM, "no memory for the forward pass");
    f->w = w;
    f->hp = &w->hp;
    f->k = &w->kern;
    f->head = &w->head;
    f->pool = pool;
    f->kv = kv;
    f->n_batch = opts->n_batch;
    f->n_ctx = opts->n_ctx;
    f->n_chunk = (opts->n_ctx + ATTN_CHUNK - 1) / ATTN_CHUNK;
    f->group = w->hp.n_head / w->hp.n_head_kv;
    struct arena a = {.base = NULL, .used = 0, .cap = SIZE_MAX / 2};
    carve(f, &a);
    f->arena_bytes = a.used + 64;
    /* WHY mmap-backed: large blocks of calloc are, so rows that are never used cost no memory */
    f->arena = a.used < SIZE_MAX / 4 ? calloc(1, f->arena_bytes) : NULL;
    if (!f->arena) {
        fwd_destroy(f);
        return OTR_FAIL(err, NOMEM,
                        "no memory for passes of %d rows at a context of %d (%zu MB): use a smaller context (-c)",
                        opts->n_batch, opts->n_ctx, a.used >> 20);
    }
    a = (struct arena){
        .base = (char *)(((uintptr_t)f->arena + 63) & ~(uintptr_t)63), .used = 0, .cap = f->arena_bytes - 64};
    carve(f, &a);
    *out = f;
    return OTR_OK;
}

void fwd_destroy(struct fwd *f)
{
    if (!f)
        return;
    free(f->tap);
    free(f->arena);
    free(f);
}

int fwd_set_taps(struct fwd *f, const int *layers, int n, struct otr_err *err)
{
    if (n < 0 || n > FWD_MAX_TAPS)
        return OTR_FAIL(err, LIMIT, "%d hidden-state taps (at most %d)", n, FWD_MAX_TAPS);
    for (int i = 0; i < n; i++)
        if (layers[i] < 0 || layers[i] > f->hp->n_layer)
            return OTR_FAIL(err, ARG, "no layer %d to tap (0..%d)", layers[i], f->hp->n_layer);
    float *tap = NULL;
    if (n > 0 && !(tap = calloc(size_mul((size_t)n * (size_t)f->n_batch, (size_t)f->hp->n_embd), sizeof *tap)))
        return OTR_FAIL(err, NOMEM, "no memory for %d hidden-state taps", n);
    free(f->tap);
    f->tap = tap;
    f->n_tap = n;
    if (n > 0)
        memcpy(f->taps, layers, (size_t)n * sizeof *layers);
    return OTR_OK;
}

void fwd_set_skip(struct fwd *f, const unsigned char *skip)
{
    if (skip)
        memcpy(f->skip, skip, (size_t)f->hp->n_layer);
    else
        memset(f->skip, 0, (size_t)f->hp->n_layer);
}

/* ---- the plan ---- */

static int plan_row(struct fwd *f, const struct fwd_row *in, int i, struct otr_err *err)
{
    struct plan *r = &f->row[i];
    *r = (struct plan){
        .token = in->token, .embd = in->embd, .seq = in->seq, .parent = in->parent, .slot = -1, .keep = in->keep};
    if (!in->embd && (in->token < 0 || in->token >= f->hp->n_vocab))
        return OTR_FAIL(err, ARG, "token %d is outside the vocabulary of %d", in->token, f->hp->n_vocab);
    if (in->parent < FWD_END || in->parent >= i || (in->parent >= 0 && f->row[in->parent].seq != in->seq))
        return OTR_FAIL(err, ARG, "row %d: parent %d is not an earlier row of its sequence", i, in->parent);
    struct plan *p = in->parent == FWD_END ? NULL : &f->row[in->parent];
    int u = p ? p->use : 0;
    while (u < f->n_use && f->use[u].seq != in->seq)
        u++;
    if (u == f->n_use)
        f->use[f->n_use++] = (struct seq_use){.seq = in->seq, .base = kv_len(in->seq)};
    struct seq_use *use = &f->use[u];
    bool *taken = p ? &p->main_taken : &use->main_taken;
    const bool in_place = (!p || p->slot < 0) && !*taken;
    r->use = u;
    r->base = use->base;
    r->pos = p ? p->pos + 1 : use->base;
    if (kv_len(in->seq) != use->base)
        return OTR_FAIL(err, ARG, "row %d: its sequence has moved on since the pass began", i);
    if (!in_place && r->pos - r->base >= FWD_MAX_DEPTH)
        return OTR_FAIL(err, LIMIT, "row %d: a side branch of %d rows (at most %d)", i, r->pos + 1 - r->base,
                        FWD_MAX_DEPTH);
    if (!in_place && f->counts.n_scratch == kv_n_scratch(f->kv))
        return OTR_FAIL(err, LIMIT, "row %d: more than %d rows in side branches", i, kv_n_scratch(f->kv));
    if (in_place)
        *taken = true;
    else
        r->slot = f->counts.n_scratch++;
    use->need = r->pos + 1 - r->base > use->need ? r->pos + 1 - r->base : use->need;
    return OTR_OK;
}

/* Forgets rows [n_row, n) of a plan that failed, and the sequences from n_use on. */
static void plan_undo(struct fwd *f, int n, int n_use)
{
    while (n-- > f->n_row) {
        const struct plan *r = &f->row[n];
        if (r->slot >= 0)
            f->counts.n_scratch--;
        else if (r->parent == FWD_END)
            f->use[r->use].main_taken = false;
        else
            f->row[r->parent].main_taken = false;
    }
    f->n_use = n_use;
    for (int u = 0; u < n_use; u++)
        f->use[u].need = 0;
    for (int i = 0; i < f->n_row; i++) {
        struct seq_use *use = &f->use[f->row[i].use];
        use->need = f->row[i].pos + 1 - use->base > use->need ? f->row[i].pos + 1 - use->base : use->need;
    }
}

static void plan_tiles(struct fwd *f)
{
    f->n_tile = 0;
    for (int i = f->first; i < f->n_row; i++) {
        struct tile *t = f->n_tile > 0 ? &f->tile[f->n_tile - 1] : NULL;
        const struct plan *r = &f->row[i];
        if (t && r->slot < 0 && r->parent == i - 1 && f->row[i - 1].slot < 0 && t->row0 + t->n_row == i &&
            t->n_row < TILE_ROWS)
            t->n_row++;
        else
            f->tile[f->n_tile++] = (struct tile){i, 1};
    }
}

static uint64_t kv_bytes_read(const struct fwd *f)
{
    uint64_t n = 0;
    for (int i = f->first; i < f->n_row; i++)
        for (int l = 0; l < f->hp->n_layer; l++)
            n += (uint64_t)(f->row[i].pos + 1 - window_lo(f->hp, l, f->row[i].pos));
    return n * 2 * (uint64_t)f->hp->n_head_kv * kv_row_bytes(kv_get_shape(f->kv)->type, f->hp->d_head);
}

void fwd_rows_from(struct fwd *f, int first)
{
    f->first = first;
    plan_tiles(f);
    attention_prepare(f);
}

/* Checks and places rows [f->n_row, n), and reserves their positions. */
static int plan_more(struct fwd *f, const struct fwd_row *rows, int n, struct otr_err *err)
{
    const int first = f->n_row, n_use = f->n_use;
    int rc, n_logits = 0, far = 0;
    for (int i = first; i < n; i++) {
        if ((rc = plan_row(f, &rows[i - first], i, err)) < 0) {
            plan_undo(f, i, n_use);
            return rc;
        }
        n_logits += (rows[i - first].keep & FWD_KEEP_LOGITS) != 0;
        far = f->row[i].pos > far ? f->row[i].pos : far;
    }
    rc = n_logits > FWD_MAX_LOGITS ? OTR_FAIL(err, LIMIT, "%d rows keep logits (at most %d)", n_logits, FWD_MAX_LOGITS)
                                   : OTR_OK;
    for (int u = 0; u < f->n_use && rc == OTR_OK; u++)
        rc = kv_reserve(f->use[u].seq, f->use[u].need, err);
    if (rc < 0) {
        for (int u = n_use; u < f->n_use; u++) /* pages taken for nothing go back */
            kv_truncate(f->use[u].seq, kv_len(f->use[u].seq));
        plan_undo(f, n, n_use);
        return rc;
    }
    assert(far < f->n_ctx); /* no sequence is longer than the tables */
    if (far >= f->n_rope)
        rope_fill(f, far + 1 + ATTN_CHUNK < f->n_ctx ? far + 1 + ATTN_CHUNK : f->n_ctx);
    return OTR_OK;
}

int fwd_more(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err)
{
    const int first = f->n_row;
    if (n_rows < 1)
        return OTR_FAIL(err, ARG, "a forward pass of no rows");
    if (n_rows > f->n_batch - first)
        return OTR_FAIL(err, LIMIT, "%d rows in one forward pass (at most %d)", first + n_rows, f->n_batch);
    const int rc = plan_more(f, rows, first + n_rows, err);
    if (rc < 0)
        return rc;
    f->n_row = first + n_rows;
    for (int i = 0; i < f->n_row; i++)
        f->logit_row[i] = -1;
    fwd_rows_from(f, first);
    f->counts.n_rows = f->n_row;
    f->counts.kv_bytes += kv_bytes_read(f);
    return first;
}

void fwd_cut(struct fwd *f, int n)
{
    const int all = f->n_row;
    f->n_row = n;
    plan_undo(f, all, f->n_use);
    f->counts.n_rows = n;
    fwd_rows_from(f, 0);
}

int fwd_begin(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err)
{
    f->first = f->n_row = f->n_use = f->n_tile = f->cur = 0;
    f->counts = (struct fwd_counts){0};
    const int rc = fwd_more(f, rows, n_rows, err);
    return rc < 0 ? rc : OTR_OK;
}

/* ---- stages: each is one run of the pool ---- */

struct pass {
    struct fwd *f;
    bool embed;
    int l0, l1;
    const int *head;
    int n_head;
};

static void embed_rows(const struct lane *ln)
{
    const struct fwd *f = ln->f;
    const size_t d = (size_t)f->hp->n_embd;
    int lo, hi;
    pool_share(ln->ctx, fwd_n(f), 1, &lo, &hi);
    for (int t = lo; t < hi; t++) {
        float *x = residual(f, ln->cur, t);
        const struct plan *r = &f->row[f->first + t];
        if (r->embd) {
            memcpy(x, r->embd, d * sizeof *x);
            continue;
        }
        const struct gguf_tensor *e = f->w->embd;
        dequant_row(e->type, x, e->data + mat_row_bytes(e->type, f->hp->n_embd) * (size_t)r->token, (int64_t)d);
        if (f->hp->embd_scale != 1.0f)
            f->k->scale(x, x, f->hp->embd_scale, (int)d);
    }
}

static void pass_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct pass *p = arg;
    struct lane ln = {.ctx = ctx, .f = p->f, .own = &p->f->thr[ctx->tid], .cur = p->f->cur};
    if (ctx->tid == 0 && p->f->phase) {
        ln.phase = p->f->phase;
        ln.mark = ticks_now();
    }
    if (p->embed) {
        embed_rows(&ln);
        phase_end(&ln, FWD_EMBED);
        lane_barrier(&ln);
    }
    for (int l = p->l0; l < p->l1; l++)
        layer_run(&ln, l);
    if (ln.pending)
        residual_settle(&ln);
    if (p->l1 == p->f->hp->n_layer && p->l0 < p->l1 && ctx->tid == 0)
        for (int t = 0; t < fwd_n(p->f); t++)
            tap_store(&ln, p->l1, t, residual(p->f, ln.cur, t));
    if (p->n_head > 0)
        head_run(&ln, p->head, p->n_head);
    phase_end(&ln, FWD_HEAD);
    lane_barrier(&ln);
    if (ctx->tid == 0)
        p->f->cur = ln.cur;
}

static void run_pass(struct pass *p)
{
    struct fwd *f = p->f;
    const int cur = f->cur;
    f->n_thr = pool_n_active(f->pool);
    pool_run(f->pool, pass_thread, p);
    if (f->cur != cur) /* the rows before these did not move along */
        memcpy(f->x[f->cur], f->x[cur], (size_t)f->first * (size_t)f->hp->n_embd * sizeof(float));
}

/* Argmax of the kept rows from the threads' slices: largest value, then lowest id; a NaN anywhere gives -1, a row of
 * -inf alone -2. */
static void merge_argmax(struct fwd *f, const int *rows, int n)
{
    for (int i = 0; i < n; i++) {
        const float *o = f->logits + (size_t)i * (size_t)f->head->n_rows;
        int best = -2;
        for (int t = 0; t < f->n_thr && best != -1; t++) {
            const int a = f->arg_part[t * FWD_MAX_LOGITS + i];
            if (a == -1 || (a >= 0 && (best < 0 || o[a] > o[best])))
                best = a;
        }
        f->arg[i] = best >= 0 && o[best] < -FLT_MAX ? -2 : best;
        f->logit_row[rows[i]] = i;
    }
}

void fwd_embed(struct fwd *f)
{
    run_pass(&(struct pass){.f = f, .embed = true});
}

void fwd_layers(struct fwd *f, int l0, int l1)
{
    run_pass(&(struct pass){.f = f, .l0 = l0, .l1 = l1});
}

void fwd_set_head(struct fwd *f, const struct mat *head)
{
    f->head = head ? head : &f->w->head;
}

int fwd_head(struct fwd *f, const int *rows, int n, struct otr_err *err)
{
    if (n < 1 || n > FWD_MAX_LOGITS)
        return OTR_FAIL(err, LIMIT, "logits of %d rows (1..%d)", n, FWD_MAX_LOGITS);
    for (int i = 0; i < f->n_row; i++)
        f->logit_row[i] = -1;
    run_pass(&(struct pass){.f = f, .head = rows, .n_head = n});
    merge_argmax(f, rows, n);
    return OTR_OK;
}

/* All stages of the rows added last, in one run of the pool. */
static void run_all(struct fwd *f)
{
    int keep[FWD_MAX_LOGITS], n = 0;
    for (int i = f->first; i < f->n_row; i++)
        if (f->row[i].keep & FWD_KEEP_LOGITS)
            keep[n++] = i;
    run_pass(&(struct pass){.f = f, .embed = true, .l1 = f->hp->n_layer, .head = keep, .n_head = n});
    merge_argmax(f, keep, n);
}

int fwd_run(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err)
{
    const int rc = fwd_begin(f, rows, n_rows, err);
    if (rc == OTR_OK)
        run_all(f);
    return rc;
}

int fwd_run_more(struct fwd *f, const struct fwd_row *rows, int n_rows, struct otr_err *err)
{
    const int rc = fwd_more(f, rows, n_rows, err);
    if (rc >= 0)
        run_all(f);
    return rc;
}

/* ---- results ---- */

const float *fwd_logits(const struct fwd *f, int row)
{
    const int i = f->logit_row[row];
    return i < 0 ? NULL : f->logits + (size_t)i * (size_t)f->head->n_rows;
}

int fwd_argmax(const struct fwd *f, int row)
{
    return f->logit_row[row] < 0 ? -1 : f->arg[f->logit_row[row]];
}

const float *fwd_tap(const struct fwd *f, int tap, int row)
{
    if (tap >= f->n_tap || !(f->row[row].keep & FWD_KEEP_HIDDEN))
        return NULL;
    return f->tap + ((size_t)tap * (size_t)f->n_batch + (size_t)row) * (size_t)f->hp->n_embd;
}

float *fwd_hidden(struct fwd *f, int row)
{
    return f->x[f->cur] + (size_t)row * (size_t)f->hp->n_embd;
}

struct fwd_counts fwd_get_counts(const struct fwd *f)
{
    return f->counts;
}

void fwd_set_phases(struct fwd *f, uint64_t *ticks)
{
    f->phase = ticks;
}

void fwd_commit(struct fwd *f, struct kv_seq *seq, const int *rows, int n)
{
    int n_in_place = 0, slots[FWD_MAX_DEPTH];
    while (n_in_place < n && f->row[rows[n_in_place]].slot < 0)
        n_in_place++;
    for (int i = 0; i < n; i++)
        assert(f->row[rows[i]].seq == seq && f->row[rows[i]].parent == (i ? rows[i - 1] : FWD_END));
    for (int i = n_in_place; i < n; i++)
        slots[i - n_in_place] = f->row[rows[i]].slot;
    kv_commit(seq, n_in_place, slots, n - n_in_place);
}
