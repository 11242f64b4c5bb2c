/* Matrix times activations over panels, for every x86 level: cuts the rows into panels and the tokens into passes, and
 * calls the level's tiles. In: panels, packed activations, a plan. Out: floats.
 * INV: nothing here changes a bit: a tile's output does not depend on its shape (panel.h), so this file is only speed.
 * Read next: matmul_avx2.c, matmul_avx512.c (plans and tables). */
#ifndef OTR_KERN_PANELS_H
#define OTR_KERN_PANELS_H

#include "kern/x86/panel.h"

/* One product, as the helpers need it. */
struct panels_job {
    const struct mat *w;
    const tile_fn (*tiles)[3];    /* [tokens - 1][R / 2] */
    const struct tile_plan *plan; /* [PLAN_N_CLASS] */
    int panel_rows;
    size_t panel; /* bytes */
    float *out;
    size_t ld_out;
    int row_hi;
    const char *act, *wide; /* wide: the act_q8w part, where there is one */
    int n_tok;
};

/* The packed tile of tokens at t0, in passes. */
struct panels_toks {
    int t0, n_pass, reach;  /* reach: bytes */
    const char *act, *wide; /* first block of the first token */
    size_t tok_bytes;       /* from a token to the next within a block */
    struct tile_args t;     /* what all panels share */
};

static inline struct panels_toks panels_toks_of(const struct panels_job *j, struct tile_plan plan, int t0)
{
    const int mt = act_tile_tok(j->n_tok, t0), n_cols = j->w->n_cols;
    const enum act_kind kind = act_kind_of(j->w->type);
    struct panels_toks k = {.t0 = t0,
                            .n_pass = (mt + plan.most - 1) / plan.most,
                            .reach = plan.reach << 10,
                            .act = j->act + (size_t)t0 * act_tok_bytes(kind, n_cols),
                            .tok_bytes = BLOCK_F * sizeof(float),
                            .t = {.ld_out = j->ld_out, .mt = mt, .n_cols = n_cols}};
    if (kind == ACT_Q8) {
        k.tok_bytes = sizeof(struct act_q8);
        if (j->wide)
            k.wide = j->wide + (size_t)t0 * (size_t)(n_cols / BLOCK_Q) * sizeof(struct act_q8w);
    } else if (kind == ACT_Q8K) {
        k.tok_bytes = sizeof(struct act_q8k);
    }
    return k;
}

/* R panels at t->w x the tokens, in passes; out: first row of each panel, first token. */
static inline void panels_run(const struct panels_job *j, const struct panels_toks *k, struct tile_args *t,
                              float *const *out, int R)
{
    for (int pass = 0, m0 = 0; pass < k->n_pass; pass++) {
        const int m = k->n_pass == 1 ? t->mt : (t->mt - m0) / (k->n_pass - pass);
        for (int r = 0; r < R; r++)
            t->out[r] = out[r] + (size_t)m0 * j->ld_out;
        t->act = k->act + (size_t)m0 * k->tok_bytes;
        t->wide = k->wide ? k->wide + (size_t)m0 * sizeof(struct act_q8w) : NULL;
        j->tiles[m - 1][R / 2](t);
        m0 += m;
    }
}

/* n times R panels: at first lo, lo + gap, ..., then each `step` further on. OPT: near its end a stream reaches less
 * far: what lies behind is not read next. */
static inline void panels_walk(const struct panels_job *j, const struct panels_toks *k, int lo, int n, int R, int gap,
                               int step)
{
    const size_t hop = (size_t)step * j->panel;
    struct tile_args t = k->t;
    float *out[TILE_MAX_PANEL];
    for (int r = 0; r < R; r++) {
        const int p = lo + r * gap;
        t.w[r] = (const uint8_t *)j->w->data + (size_t)p * j->panel;
        t.n_row[r] = j->panel_rows;
        out[r] = j->out + (size_t)k->t0 * j->ld_out + (size_t)p * (size_t)j->panel_rows;
    }
    for (int i = 0; i < n; i++) {
        if (i == n - 1) { /* the matrix may end inside its last panel */
            const int rows = j->row_hi - (lo + (R - 1) * gap + i * step) * j->panel_rows;
            t.n_row[R - 1] = rows < j->panel_rows ? rows : j->panel_rows;
        }
        t.reach = k->reach > TILE_NEAR && (size_t)(n - i) * hop > (size_t)k->reach ? k->reach : TILE_NEAR;
        panels_run(j, k, &t, out, R);
        for (int r = 0; r < R; r++) {
            t.w[r] += hop;
            out[r] += step * j->panel_rows;
        }
    }
}

/* Panels [lo, hi) x one packed tile. */
static inline void panels_tile(const struct panels_job *j, int lo, int hi, int t0)
{
    const struct tile_plan plan = j->plan[plan_class_of(act_tile_tok(j->n_tok, t0))];
    const struct panels_toks k = panels_toks_of(j, plan, t0);
    const int n = (hi - lo) / plan.r;
    panels_walk(j, &k, lo, n, plan.r, plan.far ? n : 1, plan.far ? 1 : plan.r);
    panels_walk(j, &k, lo + n * plan.r, hi - lo - n * plan.r, 1, 0, 1);
}

/* Rows from row_lo to j->row_hi. */
static inline void panels_matmul(const struct panels_job *j, int row_lo)
{
    enum { GROUP_BYTES = 192 << 10 }; /* of weights kept in L2 while the tiles of a long prompt pass over them */
    const int lo = row_lo / j->panel_rows, hi = (j->row_hi + j->panel_rows - 1) / j->panel_rows;
    int group = hi - lo;
    if (j->n_tok > ACT_TILE) {
        group = (int)(GROUP_BYTES / j->panel) / TILE_MAX_PANEL * TILE_MAX_PANEL;
        group = group < TILE_MAX_PANEL ? TILE_MAX_PANEL : group;
    }
    for (int p = lo; p < hi; p += group)
        for (int t0 = 0; t0 < j->n_tok; t0 += ACT_TILE)
            panels_tile(j, p, hi - p < group ? hi : p + group, t0);
}

#endif
