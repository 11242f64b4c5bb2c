/* Level avx512vnni: matrix times activations. Says how tokens and panels are cut on this CPU, and which tiles do it.
 * In: panels of 16 rows, packed activations (act_avx512.c). Out: floats, the bits of c/matmul_c.c.
 * Read next: panels.h, matmul_q_avx512.c. */
#include "kern/levels.h"
#include "kern/x86/panels.h"

/* {most tokens, panels, far, reach}, by machine. [choice][kind][class]; the first choice:
 *   Intel, measured on Sapphire Rapids, and CPUs we have not met: two far streams up to 8 tokens, and
 *     weights asked for 8 KB ahead; floats want 8 chains (+10..40 % over one panel at 1 to 5 tokens, from cache)
 *   AMD, measured on Zen 4: to 2 tokens the processor's own prefetch is best left alone; above, weights asked for
 *     16 KB ahead (-5..30 %) */
static const struct plan_menu menu_intel = {{
    {{
        [PLAN_Q4] = {{2, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 8}},
        [PLAN_Q8] = {{2, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 8}},
        [PLAN_K] = {{2, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 8}},
        [PLAN_F16] = {{2, 4, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 8}},
        [PLAN_F32] = {{2, 4, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 8}},
    }},
    {{
        [PLAN_Q4] = {{2, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {16, 1, 0, 0}},
        [PLAN_Q8] = {{2, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {16, 1, 0, 0}},
        [PLAN_K] = {{2, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {16, 1, 0, 0}},
        [PLAN_F16] = {{2, 4, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {16, 1, 0, 0}},
        [PLAN_F32] = {{2, 4, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {8, 2, 1, 0}, {16, 1, 0, 0}},
    }},
    {{
        [PLAN_Q4] = {{2, 1, 0, 8}, {8, 1, 0, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 2, 1, 8}},
        [PLAN_Q8] = {{2, 1, 0, 8}, {8, 1, 0, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 2, 1, 8}},
        [PLAN_K] = {{2, 1, 0, 8}, {8, 1, 0, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 2, 1, 8}},
        [PLAN_F16] = {{2, 2, 1, 8}, {8, 1, 0, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 2, 1, 8}},
        [PLAN_F32] = {{2, 2, 1, 8}, {8, 1, 0, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 2, 1, 8}},
    }},
}};
static const struct plan_menu menu_amd = {{
    {{
        [PLAN_Q4] = {{2, 1, 0, 0}, {8, 1, 0, 16}, {8, 1, 0, 16}, {8, 1, 0, 16}, {16, 1, 0, 16}},
        [PLAN_Q8] = {{2, 1, 0, 0}, {8, 2, 1, 8}, {8, 1, 0, 16}, {8, 1, 0, 16}, {16, 1, 0, 16}},
        [PLAN_K] = {{2, 1, 0, 0}, {8, 1, 0, 16}, {8, 1, 0, 16}, {8, 1, 0, 16}, {16, 1, 0, 16}},
        [PLAN_F16] = {{2, 1, 0, 0}, {8, 1, 0, 16}, {8, 1, 0, 16}, {8, 1, 0, 16}, {16, 1, 0, 16}},
        [PLAN_F32] = {{2, 2, 0, 0}, {8, 2, 1, 0}, {8, 1, 0, 16}, {8, 1, 0, 16}, {16, 1, 0, 16}},
    }},
    {{
        [PLAN_Q4] = {{2, 2, 1, 8}, {8, 2, 1, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {16, 1, 0, 0}},
        [PLAN_Q8] = {{2, 2, 1, 8}, {8, 1, 0, 16}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 0}},
        [PLAN_K] = {{2, 2, 1, 8}, {8, 2, 1, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {16, 1, 0, 0}},
        [PLAN_F16] = {{2, 2, 0, 0}, {8, 2, 1, 0}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 0}},
        [PLAN_F32] = {{2, 1, 0, 0}, {8, 1, 0, 16}, {8, 2, 1, 8}, {8, 2, 1, 8}, {16, 1, 0, 0}},
    }},
    {{
        [PLAN_Q4] = {{2, 1, 0, 8}, {8, 1, 0, 0}},
        [PLAN_Q8] = {{2, 1, 0, 8}, {8, 1, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_K] = {{2, 1, 0, 8}, {8, 1, 0, 0}},
        [PLAN_F16] = {{2, 4, 0, 0}, {8, 2, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
        [PLAN_F32] = {{2, 4, 0, 0}, {8, 2, 0, 0}, {8, 1, 0, 0}, {8, 1, 0, 0}},
    }},
}};

const struct plan_menu *plan_menu_avx512(unsigned cpu)
{
    return cpu & CPU_AMD ? &menu_amd : &menu_intel;
}

static const ztile_table *ztiles_of(enum ggml_type type)
{
    switch (type) {
    case GGML_F32:
        return &ztiles_f32;
    case GGML_F16:
        return &ztiles_f16;
    case GGML_BF16:
        return &ztiles_bf16;
    case GGML_Q4_0:
        return &ztiles_q4_0;
    case GGML_Q4_1:
        return &ztiles_q4_1;
    case GGML_Q5_0:
        return &ztiles_q5_0;
    case GGML_Q5_1:
        return &ztiles_q5_1;
    case GGML_Q8_0:
        return &ztiles_q8_0;
    case GGML_Q4_K:
        return &ztiles_q4_k;
    case GGML_Q5_K:
        return &ztiles_q5_k;
    case GGML_Q6_K:
        return &ztiles_q6_k;
    }
    return NULL;
}

static void matmul_avx512(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                          int n_tok)
{
    const struct panels_job j = {.w = w,
                                 .tiles = *ztiles_of(w->type),
                                 .plan = w->plan ? w->plan
                                                 : plan_menu_avx512(kern_cpu())->set[0].plan[plan_kind_of(w->type)],
                                 .panel_rows = ZPANEL_ROWS,
                                 .panel = panel_bytes(w->type, w->n_cols, ZPANEL_ROWS),
                                 .out = out,
                                 .ld_out = ld_out,
                                 .row_hi = row_hi,
                                 .act = act,
                                 .n_tok = n_tok};
    panels_matmul(&j, row_lo);
}

void matmul_init_avx512(struct kernels *k)
{
    k->panel_rows = ZPANEL_ROWS;
    k->pack_bytes = pack_bytes_avx512;
    k->pack = pack_avx512;
    k->act_bytes = act_bytes_avx512;
    k->act_pack = act_pack_avx512;
    k->matmul = matmul_avx512;
    k->menu = plan_menu_avx512(kern_cpu());
}
