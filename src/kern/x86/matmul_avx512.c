/* Level avx512vnni: matrix times activations. Says how tokens and panels are cut on this CPU, and which tiles do it.
 * In: panels of 16 rows, packed activations (act_avx512.c). Out: floats, the bits of c/matmul_c.c.
 * Read next: panels.h, matmul_q_avx512.c. */
#include "kern/levels.h"
#include "kern/x86/panels.h"

/* Intel, and CPUs we have not met; measured on Sapphire Rapids, 1 thread: with up to 8 tokens two far streams read 5 to
 * 13 % faster from DRAM than one (four read like two), and cost 0 to 20 % from cache. Floats want 8 chains: +10..40 %
 * over one panel at 1 to 5 tokens, from cache. */
static const plan_table plan_intel = {
    [PLAN_Q4] = {[0 ... 7] = {1, 2, 1}, [8 ... 15] = {1, 1, 0}},
    [PLAN_Q8] = {[0 ... 7] = {1, 2, 1}, [8 ... 15] = {1, 1, 0}},
    [PLAN_K] = {[0 ... 7] = {1, 2, 1}, [8 ... 15] = {1, 1, 0}},
    [PLAN_F] = {[0 ... 1] = {1, 4, 1}, [2 ... 7] = {1, 2, 1}, [8 ... 15] = {1, 1, 0}},
};
/* Zen 4 and later: one stream, as kernels.md A.3 found with another kernel; not measured with this one. */
static const plan_table plan_amd = {
    [PLAN_Q4] = {[0 ... 15] = {1, 1, 0}},
    [PLAN_Q8] = {[0 ... 15] = {1, 1, 0}},
    [PLAN_K] = {[0 ... 15] = {1, 1, 0}},
    [PLAN_F] = {[0] = {1, 4, 0}, [1 ... 2] = {1, 2, 0}, [3 ... 15] = {1, 1, 0}},
};

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
    const plan_table *plans = kern_cpu() & CPU_AMD ? &plan_amd : &plan_intel;
    const struct panels_job j = {.w = w,
                                 .tiles = *ztiles_of(w->type),
                                 .plan = (*plans)[plan_kind(w->type)],
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
}
