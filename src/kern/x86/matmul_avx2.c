/* Level avx2: matrix times activations. Cuts the rows into panels and the tokens into passes, and calls tiles.
 * In: panels, packed activations. Out: floats, the bits of c/matmul_c.c.
 * INV: nothing here changes a bit: a tile's output does not depend on its shape (panel.h), so this file is only speed.
 * Read next: panel.h, matmul_q4_avx2.c. */
#include "kern/c/level_c.h"
#include "kern/levels.h"
#include "kern/x86/panel.h"

/* How m tokens of a packed tile are done: passes of nearly equal size (5 = 3 + 2, never 4 + 1), R panels at once.
 * far: the R panels are far apart, so that each is a long stream of its own. */
struct plan {
    uint8_t n_pass, r, far;
};

enum { PLAN_Q4, PLAN_Q8, PLAN_K, PLAN_F, PLAN_N };

static int plan_kind(enum ggml_type type)
{
    switch (type) {
    case GGML_Q8_0:
        return PLAN_Q8;
    case GGML_Q4_K:
    case GGML_Q5_K:
    case GGML_Q6_K:
        return PLAN_K;
    case GGML_F32:
    case GGML_F16:
    case GGML_BF16:
        return PLAN_F;
    default:
        return PLAN_Q4;
    }
}

/* By machine. [plan kind][tokens - 1]
 *   Intel, measured on Sapphire Rapids (1 thread, busy host), and CPUs we have not met: four far streams at 1 and 2
 *     tokens (+20..25 % over one, from DRAM); from 5 on one pass of one panel (at 5, from cache, +3..20 % over two
 *     passes of two); floats want 12 chains (+32..47 % over one panel at 5 and 6)
 *   Zen 3: kernels.md B.2, measured with a prototype there
 *   Zen 4 and later AMD: one stream, as kernels.md A.3 found with another kernel; not measured with this one */
typedef struct plan plan_table[PLAN_N][ACT_TILE];
static const plan_table plan_intel = {
    [PLAN_Q4] = {[0 ... 1] = {1, 4, 1}, [2 ... 3] = {1, 2, 1}, [4 ... 7] = {1, 1, 0}, [8 ... 15] = {2, 1, 0}},
    [PLAN_Q8] = {[0 ... 1] = {1, 4, 1}, [2 ... 3] = {1, 2, 1}, [4 ... 7] = {1, 1, 0}, [8 ... 15] = {2, 1, 0}},
    [PLAN_K] = {[0 ... 1] = {1, 4, 1}, [2 ... 3] = {1, 2, 1}, [4 ... 7] = {1, 1, 0}, [8 ... 15] = {2, 1, 0}},
    [PLAN_F] = {[0 ... 1] = {1, 4, 1},
                [2 ... 5] = {1, 2, 1},
                [6 ... 7] = {1, 1, 0},
                [8 ... 11] = {2, 2, 1},
                [12 ... 15] = {3, 2, 1}},
};
static const plan_table plan_zen3 = {
    [PLAN_Q4] = {[0 ... 1] = {1, 4, 1}, [2 ... 3] = {1, 2, 1}, [4 ... 7] = {1, 1, 0}, [8 ... 15] = {2, 1, 0}},
    [PLAN_Q8] = {[0 ... 1] = {1, 4, 1},
                 [2 ... 3] = {1, 2, 1},
                 [4 ... 7] = {2, 2, 1},
                 [8 ... 11] = {3, 2, 1},
                 [12 ... 15] = {4, 2, 1}},
    [PLAN_K] = {[0 ... 1] = {1, 4, 1},
                [2 ... 3] = {1, 2, 1},
                [4 ... 7] = {2, 2, 1},
                [8 ... 11] = {3, 2, 1},
                [12 ... 15] = {4, 2, 1}},
    [PLAN_F] = {[0 ... 1] = {1, 4, 1},
                [2 ... 5] = {1, 2, 1},
                [6 ... 7] = {1, 1, 0},
                [8 ... 11] = {2, 2, 1},
                [12 ... 15] = {3, 2, 1}},
};
static const plan_table plan_zen4 = {
    [PLAN_Q4] = {[0 ... 7] = {1, 1, 0}, [8 ... 15] = {2, 1, 0}},
    [PLAN_Q8] = {[0 ... 7] = {1, 1, 0}, [8 ... 15] = {2, 1, 0}},
    [PLAN_K] = {[0 ... 3] = {1, 1, 0}, [4 ... 7] = {2, 1, 0}, [8 ... 11] = {3, 1, 0}, [12 ... 15] = {4, 1, 0}},
    [PLAN_F] = {[0 ... 1] = {1, 4, 0},
                [2 ... 5] = {1, 2, 0},
                [6 ... 7] = {1, 1, 0},
                [8 ... 11] = {2, 2, 0},
                [12 ... 15] = {3, 2, 0}},
};

static const plan_table *plans_of_cpu(void)
{
    const unsigned cpu = kern_cpu();
    if (!(cpu & CPU_AMD))
        return &plan_intel;
    return cpu & CPU_AVX512_VNNI ? &plan_zen4 : &plan_zen3;
}

static const tile_table *tiles_of(enum ggml_type type)
{
    switch (type) {
    case GGML_F32:
        return &tiles_f32;
    case GGML_F16:
        return &tiles_f16;
    case GGML_BF16:
        return &tiles_bf16;
    case GGML_Q4_0:
        return &tiles_q4_0;
    case GGML_Q4_1:
        return &tiles_q4_1;
    case GGML_Q5_0:
        return &tiles_q5_0;
    case GGML_Q5_1:
        return &tiles_q5_1;
    case GGML_Q8_0:
        return &tiles_q8_0;
    case GGML_Q4_K:
        return &tiles_q4_k;
    case GGML_Q5_K:
        return &tiles_q5_k;
    case GGML_Q6_K:
        return &tiles_q6_k;
    }
    return NULL;
}

/* One matmul, as its helpers need it. */
struct job {
    const struct mat *w;
    const tile_table *tiles;
    size_t panel; /* bytes */
    float *out;
    size_t ld_out;
    int row_hi;
    const char *act;
    int n_tok;
};

/* Panels p[0..R) x the tokens of the packed tile at t0, in passes. */
static void run_panels(const struct job *j, struct plan plan, const int *p, int R, int t0)
{
    const int mt = act_tile_tok(j->n_tok, t0), n_cols = j->w->n_cols;
    const enum act_kind kind = act_kind_of(j->w->type);
    const char *act = j->act + (size_t)t0 * act_tok_bytes(kind, n_cols);
    const char *wide = NULL;
    size_t tok_bytes = BLOCK_F * sizeof(float);
    if (kind == ACT_Q8) {
        tok_bytes = sizeof(struct act_q8);
        wide = j->act + act_q8w_at(n_cols, j->n_tok) + (size_t)t0 * (size_t)(n_cols / BLOCK_Q) * sizeof(struct act_q8w);
    } else if (kind == ACT_Q8K) {
        tok_bytes = sizeof(struct act_q8k);
    }
    struct tile_args t = {.ld_out = j->ld_out, .mt = mt, .n_cols = n_cols};
    for (int r = 0; r < R; r++) {
        const int left = j->row_hi - p[r] * PANEL_ROWS;
        t.w[r] = (const uint8_t *)j->w->data + (size_t)p[r] * j->panel;
        t.n_row[r] = left < PANEL_ROWS ? left : PANEL_ROWS;
    }
    for (int pass = 0, m0 = 0; pass < plan.n_pass; pass++) {
        const int m = (mt - m0) / (plan.n_pass - pass);
        for (int r = 0; r < R; r++)
            t.out[r] = j->out + (size_t)(t0 + m0) * j->ld_out + (size_t)p[r] * PANEL_ROWS;
        t.act = act + (size_t)m0 * tok_bytes;
        t.wide = wide ? wide + (size_t)m0 * sizeof(struct act_q8w) : NULL;
        (*j->tiles)[m - 1][R / 2](&t);
        m0 += m;
    }
}

/* Panels [lo, hi) x one packed tile. */
static void run_tile(const struct job *j, struct plan plan, int lo, int hi, int t0)
{
    const int n = (hi - lo) / plan.r;
    for (int i = 0; i < n; i++) {
        int p[TILE_MAX_PANEL];
        for (int r = 0; r < plan.r; r++)
            p[r] = plan.far ? lo + i + r * n : lo + i * plan.r + r;
        run_panels(j, plan, p, plan.r, t0);
    }
    for (int p = lo + n * plan.r; p < hi; p++)
        run_panels(j, plan, &p, 1, t0);
}

static void matmul_avx2(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                        int n_tok)
{
    enum { GROUP_BYTES = 192 << 10 }; /* of weights kept in L2 while the tiles of a long prompt pass over them */
    const struct job j = {.w = w,
                          .tiles = tiles_of(w->type),
                          .panel = panel_bytes(w->type, w->n_cols),
                          .out = out,
                          .ld_out = ld_out,
                          .row_hi = row_hi,
                          .act = act,
                          .n_tok = n_tok};
    const struct plan *plan = (*plans_of_cpu())[plan_kind(w->type)];
    const int lo = row_lo / PANEL_ROWS, hi = (row_hi + PANEL_ROWS - 1) / PANEL_ROWS;
    int group = hi - lo;
    if (n_tok > ACT_TILE) {
        group = (int)(GROUP_BYTES / j.panel) / TILE_MAX_PANEL * TILE_MAX_PANEL;
        group = group < TILE_MAX_PANEL ? TILE_MAX_PANEL : group;
    }
    for (int p = lo; p < hi; p += group)
        for (int t0 = 0; t0 < n_tok; t0 += ACT_TILE)
            run_tile(&j, plan[act_tile_tok(n_tok, t0) - 1], p, hi - p < group ? hi : p + group, t0);
}

void matmul_init_avx2(struct kernels *k)
{
    k->panel_rows = PANEL_ROWS;
    k->pack_bytes = pack_bytes_avx2;
    k->pack = pack_avx2;
    k->act_pack = act_pack_avx2;
    k->matmul = matmul_avx2;
}
