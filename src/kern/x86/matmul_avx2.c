/* Level avx2: matrix times activations. Says how tokens and panels are cut on this CPU, and which tiles do it.
 * In: panels, packed activations. Out: floats, the bits of c/matmul_c.c.
 * Read next: panels.h, matmul_q4_avx2.c. */
#include "kern/levels.h"
#include "kern/x86/panels.h"

/* {most tokens, panels, far, reach}, by machine. [choice][kind][class]; the first choice:
 *   Intel, measured on Sapphire Rapids, and CPUs we have not met: four far streams at 1 and 2 tokens (+20..25 % over
 * one, from DRAM); from 5 on one pass of one panel (at 5, from cache, +3..20 % over two passes of two); floats want 12
 *     chains (+32..47 % over one panel at 5 and 6)
 *   Zen 3: kernels.md B.2, measured with a prototype there
 *   Zen 4 and later AMD, measured on Zen 4: to 2 tokens one stream and the processor's own prefetch; above, weights
 *     asked for 16 KB ahead (at 3 and 4: two far streams, 8 KB) */
static const struct plan_menu menu_intel = {{
    {{
        [PLAN_Q4] = {{2, 4, 1, 8}, {4, 2, 1, 8}, {8, 1, 0, 8}, {8, 1, 0, 8}, {8, 1, 0, 8}},
        [PLAN_Q8] = {{2, 4, 1, 8}, {4, 2, 1, 8}, {8, 1, 0, 8}, {8, 1, 0, 8}, {8, 1, 0, 8}},
        [PLAN_K] = {{2, 4, 1, 8}, {4, 2, 1, 8}, {8, 1, 0, 8}, {8, 1, 0, 8}, {8, 1, 0, 8}},
        [PLAN_F16] = {{2, 4, 1, 8}, {4, 2, 1, 8}, {6, 2, 1, 8}, {8, 1, 0, 8}, {6, 2, 1, 8}},
        [PLAN_F32] = {{2, 4, 1, 8}, {4, 2, 1, 8}, {6, 2, 1, 8}, {8, 1, 0, 8}, {6, 2, 1, 8}},
    }},
    {{
        [PLAN_Q4] = {{2, 2, 1, 8}, {4, 1, 0, 8}, {4, 2, 1, 8}, {4, 2, 1, 8}, {4, 2, 1, 8}},
        [PLAN_Q8] = {{2, 2, 1, 8}, {4, 1, 0, 8}, {4, 2, 1, 8}, {4, 2, 1, 8}, {4, 2, 1, 8}},
        [PLAN_K] = {{2, 2, 1, 8}, {4, 1, 0, 8}, {4, 2, 1, 8}, {4, 2, 1, 8}, {4, 2, 1, 8}},
        [PLAN_F16] = {{2, 2, 1, 8}, {4, 2, 0, 8}, {6, 2, 0, 8}, {4, 2, 1, 8}, {6, 2, 0, 8}},
        [PLAN_F32] = {{2, 2, 1, 8}, {4, 2, 0, 8}, {6, 2, 0, 8}, {4, 2, 1, 8}, {6, 2, 0, 8}},
    }},
    {{
        [PLAN_Q4] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_Q8] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_K] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_F16] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {6, 2, 1, 0}, {8, 1, 0, 0}, {6, 2, 1, 0}},
        [PLAN_F32] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {6, 2, 1, 0}, {8, 1, 0, 0}, {6, 2, 1, 0}},
    }},
}};
static const struct plan_menu menu_zen3 = {{
    {{
        [PLAN_Q4] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_Q8] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}},
        [PLAN_K] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}},
        [PLAN_F16] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {6, 2, 1, 0}, {8, 1, 0, 0}, {6, 2, 1, 0}},
        [PLAN_F32] = {{2, 4, 1, 0}, {4, 2, 1, 0}, {6, 2, 1, 0}, {8, 1, 0, 0}, {6, 2, 1, 0}},
    }},
    {{
        [PLAN_Q4] = {{2, 4, 1, 8}, {4, 1, 0, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}, {4, 2, 1, 0}},
        [PLAN_Q8] = {{2, 4, 1, 8}, {4, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_K] = {{2, 4, 1, 8}, {4, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_F16] = {{2, 4, 1, 8}, {4, 2, 0, 0}, {6, 2, 0, 0}, {4, 2, 1, 0}, {6, 2, 0, 0}},
        [PLAN_F32] = {{2, 4, 1, 8}, {4, 2, 0, 0}, {6, 2, 0, 0}, {4, 2, 1, 0}, {6, 2, 0, 0}},
    }},
    {{
        [PLAN_Q4] = {{2, 2, 1, 0}},
        [PLAN_Q8] = {{2, 2, 1, 0}},
        [PLAN_K] = {{2, 2, 1, 0}},
        [PLAN_F16] = {{2, 2, 1, 0}},
        [PLAN_F32] = {{2, 2, 1, 0}},
    }},
}};
static const struct plan_menu menu_zen4 = {{
    {{
        [PLAN_Q4] = {{2, 1, 0, 0}, {4, 2, 1, 8}, {8, 1, 0, 16}, {8, 1, 0, 16}, {4, 2, 0, 16}},
        [PLAN_Q8] = {{2, 1, 0, 0}, {4, 2, 1, 8}, {8, 1, 0, 16}, {8, 1, 0, 16}, {8, 1, 0, 16}},
        [PLAN_K] = {{2, 1, 0, 0}, {4, 1, 0, 0}, {8, 1, 0, 16}, {8, 1, 0, 16}, {8, 1, 0, 16}},
        [PLAN_F16] = {{2, 2, 0, 0}, {4, 2, 1, 8}, {6, 2, 0, 16}, {8, 1, 0, 16}, {6, 2, 0, 16}},
        [PLAN_F32] = {{2, 2, 0, 0}, {4, 2, 1, 8}, {8, 1, 0, 16}, {8, 1, 0, 16}, {8, 1, 0, 16}},
    }},
    {{
        [PLAN_Q4] = {{2, 4, 1, 0}, {4, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_Q8] = {{2, 4, 1, 0}, {4, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_K] = {{2, 4, 1, 0}, {4, 2, 1, 8}, {4, 1, 0, 0}, {4, 1, 0, 0}, {4, 1, 0, 0}},
        [PLAN_F16] = {{2, 4, 0, 0}, {4, 2, 0, 0}, {8, 1, 0, 16}, {8, 1, 0, 0}, {8, 1, 0, 16}},
        [PLAN_F32] = {{2, 4, 0, 0}, {4, 2, 0, 0}, {6, 2, 0, 16}, {8, 1, 0, 0}, {6, 2, 0, 16}},
    }},
    {{
        [PLAN_Q4] = {{2, 1, 0, 8}},
        [PLAN_Q8] = {{2, 1, 0, 8}},
        [PLAN_K] = {{2, 1, 0, 8}},
        [PLAN_F16] = {{2, 4, 1, 0}},
        [PLAN_F32] = {{2, 4, 1, 0}},
    }},
}};

const struct plan_menu *plan_menu_avx2(unsigned cpu)
{
    if (!(cpu & CPU_AMD))
        return &menu_intel;
    return cpu & CPU_AVX512_VNNI ? &menu_zen4 : &menu_zen3;
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

static void matmul_avx2(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                        int n_tok)
{
    const struct panels_job j = {
        .w = w,
        .tiles = *tiles_of(w->type),
        .plan = w->plan ? w->plan : plan_menu_avx2(kern_cpu())->set[0].plan[plan_kind_of(w->type)],
        .panel_rows = PANEL_ROWS,
        .panel = panel_bytes(w->type, w->n_cols, PANEL_ROWS),
        .out = out,
        .ld_out = ld_out,
        .row_hi = row_hi,
        .act = act,
        .wide = act_kind_of(w->type) == ACT_Q8 ? (const char *)act + act_q8w_at(w->n_cols, n_tok) : NULL,
        .n_tok = n_tok};
    panels_matmul(&j, row_lo);
}

void matmul_init_avx2(struct kernels *k)
{
    k->panel_rows = PANEL_ROWS;
    k->pack_bytes = pack_bytes_avx2;
    k->pack = pack_avx2;
    k->act_pack = act_pack_avx2;
    k->matmul = matmul_avx2;
    k->menu = plan_menu_avx2(kern_cpu());
}
