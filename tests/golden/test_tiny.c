/* Logits of tiny random models against transformers: the accuracy oracle of the forward pass.
 *
 * In: tests/golden/tiny (models of all architectures; tools/make_tiny_models.py made them and their goldens).
 * Each model at each kernel level, KV in f32, in one chunk, one by one and in chunks of 7: within the bound at every
 * position, and the same bits in all these ways. Then features are taken away one at a time: the goldens must notice.
 */
#include "support/tiny.h"

#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FOLDER "tests/golden/tiny/"
#define N_MODELS 11
#define BOUND 2e-4 /* times max(1, max |logit|); rounding K and V to f16 alone would move such models by 3.5e-2 */

struct subject {
    struct golden g;
    struct otr_model *m;
    struct otr_engine *e;
};

static void subject_open(struct subject *s, const char *name, const char *level)
{
    char path[256];
    struct otr_err err = {0};
    snprintf(path, sizeof path, FOLDER "%s.golden", name);
    assert_true(golden_read(&s->g, path));
    snprintf(path, sizeof path, FOLDER "%s.gguf", name);
    const struct otr_model_opts mo = {.n_threads = 2, .kern = level};
    if (otr_model_open(&s->m, path, &mo, &err) < 0)
        fail_msg("%s: %s", name, err.msg);
    assert_int_equal(s->m->info.n_vocab, s->g.n_vocab);
    s->e = NULL;
}

/* Logits [n_tok, n_vocab] of the golden's tokens, `chunk` rows a pass. */
static void keep_row(void *arg, int pos, const float *logits, int argmax)
{
    struct subject *s = ((void **)arg)[0];
    float *out = ((void **)arg)[1];
    const size_t n = (size_t)s->g.n_vocab;
    memcpy(out + (size_t)pos * n, logits, n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        assert_true(logits[i] < logits[argmax] || (logits[i] == logits[argmax] && (int)i >= argmax));
}

static float *subject_run(struct subject *s, int chunk)
{
    struct otr_err err = {0};
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = s->g.n_tok, .n_batch = chunk, .kv_type = OTR_KV_F32};
    float *out = malloc((size_t)s->g.n_tok * (size_t)s->g.n_vocab * sizeof *out);
    assert_non_null(out);
    if (otr_engine_create(&s->e, s->m, &eo, &err) < 0)
        fail_msg("%s", err.msg);
    if (rows_run(s->e, s->g.id, s->g.n_tok, chunk, 0, keep_row, (void *[]){s, out}, &err) < 0)
        fail_msg("%s", err.msg);
    otr_engine_destroy(s->e);
    return out;
}

static void subject_close(struct subject *s)
{
    otr_model_close(s->m);
    golden_free(&s->g);
}

/* The largest difference over the bound: at most 1 is right. A NaN counts as infinite. */
static double distance(const struct golden *g, const float *got)
{
    double max = 1.0, off = 0.0;
    for (size_t i = 0; i < (size_t)g->n_tok * (size_t)g->n_vocab; i++) {
        const double d = fabs((double)got[i] - (double)g->logits[i]);
        max = fmax(max, fabs((double)g->logits[i]));
        off = isnan(d) ? HUGE_VAL : fmax(off, d);
    }
    return off / (BOUND * max);
}

/* One model at one level; `first` are the bits of the first level, made by the first call. */
static void check_model(const char *name, const char *level, float **first)
{
    static const int chunks[] = {64, 1, 7};
    struct subject s;
    subject_open(&s, name, level);
    const size_t bytes = (size_t)s.g.n_tok * (size_t)s.g.n_vocab * sizeof(float);
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        float *got = subject_run(&s, chunks[c]);
        const double off = distance(&s.g, got);
        if (c == 0)
            printf("%-22s %-7s %.4f of the bound\n", name, s.m->info.kern, off);
        if (!(off <= 1.0))
            fail_msg("%s, level %s, chunks of %d: %.3f times the bound", name, s.m->info.kern, chunks[c], off);
        if (!*first)
            *first = got;
        else if (memcmp(*first, got, bytes) != 0)
            fail_msg("%s, level %s, chunks of %d: other bits than level c in one chunk", name, s.m->info.kern,
                     chunks[c]);
        if (*first != got)
            free(got);
    }
    subject_close(&s);
}

static void test_models(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(FOLDER "*.golden", 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, N_MODELS);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char name[64];
        float *first = NULL;
        snprintf(name, sizeof name, "%.*s", (int)(strlen(found.gl_pathv[i]) - strlen(FOLDER ".golden")),
                 found.gl_pathv[i] + strlen(FOLDER));
        char levels[64];
        snprintf(levels, sizeof levels, "%s", kernels_levels());
        for (char *save, *level = strtok_r(levels, " ", &save); level; level = strtok_r(NULL, " ", &save))
            check_model(name, level, &first);
        free(first);
    }
    globfree(&found);
}

/* ---- planted faults: what a golden cannot see, it does not test ---- */

#define PLANT(name, change)                                                                                            \
    static void name(struct weights *w)                                                                                \
    {                                                                                                                  \
        change;                                                                                                        \
    }
PLANT(no_window, w->hp.window = 0)
PLANT(window_plus_1, w->hp.window++)
PLANT(all_local, w->hp.window_all = true)
PLANT(other_period, w->hp.window_period++)
PLANT(one_rope_base, w->hp.rope_base_local = w->hp.rope_base)
PLANT(other_pairs, w->hp.rope_kind = w->hp.rope_kind == ROPE_NORM ? ROPE_NEOX : ROPE_NORM)
PLANT(no_linear, w->hp.rope_linear_factor = 1.0f)
PLANT(no_factors, w->rope_factors = NULL)
PLANT(no_embd_scale, w->hp.embd_scale = 1.0f)
PLANT(no_residual_scale, w->hp.residual_scale = 1.0f)
PLANT(no_logit_scale, w->hp.logit_scale = 1.0f)
PLANT(other_attn_scale, w->hp.attn_scale *= 1.02f)
PLANT(no_attn_cap, w->hp.attn_softcap = 0.0f)
PLANT(no_final_cap, w->hp.final_softcap = 0.0f)
PLANT(other_act, w->hp.act = w->hp.act == ACT_FN_SILU ? ACT_FN_GELU_TANH : ACT_FN_SILU)
PLANT(other_eps, w->hp.norm_eps += 1e-2f)
PLANT(no_q_norm, w->layer[0].q_norm = NULL)
PLANT(no_k_norm, w->layer[0].k_norm = NULL)
PLANT(no_q_bias, w->layer[0].q_b = NULL)
PLANT(no_k_bias, w->layer[1].k_b = NULL)
PLANT(no_v_bias, w->layer[0].v_b = NULL)
PLANT(no_o_bias, w->layer[0].o_b = NULL)
PLANT(no_gate_bias, w->layer[0].gate_b = NULL)
PLANT(no_up_bias, w->layer[0].up_b = NULL)
PLANT(no_down_bias, w->layer[1].down_b = NULL)

static const struct fault {
    const char *name, *model;
    void (*plant)(struct weights *w);
} faults[] = {
    {"pairs of the other rope kind", "llama-gqa-tied", other_pairs},
    {"a wrong attention scale", "llama-gqa-tied", other_attn_scale},
    {"the other activation", "llama-gqa-tied", other_act},
    {"a wrong epsilon", "llama-gqa-tied", other_eps},
    {"no q bias", "llama-bias-untied", no_q_bias},
    {"no k bias", "llama-bias-untied", no_k_bias},
    {"no v bias", "llama-bias-untied", no_v_bias},
    {"no output bias", "llama-bias-untied", no_o_bias},
    {"no gate bias", "llama-bias-untied", no_gate_bias},
    {"no up bias", "llama-bias-untied", no_up_bias},
    {"no down bias", "llama-bias-untied", no_down_bias},
    {"no rope factors", "llama-rope-llama3", no_factors},
    {"no linear scaling", "llama-rope-linear", no_linear},
    {"no linear scaling", "mistral-window-linear", no_linear},
    {"no window", "mistral-window-linear", no_window},
    {"a window that is too wide", "mistral-window-linear", window_plus_1},
    {"no embedding scale", "granite", no_embd_scale},
    {"no residual scale", "granite", no_residual_scale},
    {"no logit scale", "granite", no_logit_scale},
    {"no q bias", "qwen2", no_q_bias},
    {"no q norm", "qwen3", no_q_norm},
    {"no k norm", "qwen3", no_k_norm},
    {"pairs of the other rope kind", "qwen3", other_pairs},
    {"no attention cap", "gemma2", no_attn_cap},
    {"no final cap", "gemma2", no_final_cap},
    {"no window", "gemma2", no_window},
    {"another period", "gemma2", other_period},
    {"no window", "gemma3", no_window},
    {"a window that is too wide", "gemma3", window_plus_1},
    {"all layers windowed", "gemma3", all_local},
    {"one rope base", "gemma3", one_rope_base},
    {"no embedding scale", "gemma3", no_embd_scale},
    {"the other activation", "gemma3", other_act},
    {"no linear scaling", "gemma3-linear-cap", no_linear},
    {"no final cap", "gemma3-linear-cap", no_final_cap},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct subject s;
        subject_open(&s, faults[i].model, NULL);
        faults[i].plant(s.m->w);
        float *got = subject_run(&s, 64);
        const double off = distance(&s.g, got);
        printf("%-22s %-32s %.0f times the bound\n", faults[i].model, faults[i].name, off);
        if (!(off > 3.0))
            fail_msg("%s: %s is only %.3f times the bound: the golden would not notice", faults[i].model,
                     faults[i].name, off);
        free(got);
        subject_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models), cmocka_unit_test(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
