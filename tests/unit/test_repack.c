/* Repacking at load: the same bytes by 1 to 4 threads as by one call of the level's packer for each matrix; and a model
 * opened without it has its matrices in the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load/weights.h"
#include "support/equal.h"

static const char *const models[] = {"tests/golden/tiny/gemma3.gguf", "tests/golden/tiny/llama-bias-untied.gguf",
                                     "tests/golden/tiny/qwen3.gguf"};
static const char *const levels[] = {"avx2", "avx512vnni"};

/* The matrix's bytes as one call makes them; the room around them must be left alone (the next matrix is there). */
static void check_matrix(const struct weights *w, const struct mat *m, const char *name)
{
    const struct gguf_tensor *t = gguf_tensor(w->g, name);
    const size_t bytes = w->kern.pack_bytes(m->type, m->n_rows, m->n_cols);
    assert_non_null(t);
    if (w->unit_bytes > 0) {
        assert_ptr_equal(m->data, t->data);
        assert_true(w->unit_bytes >= w->kern.pack_bytes(m->type, KERN_ROW_UNIT, m->n_cols));
        return;
    }
    void *want = malloc(bytes);
    assert_non_null(want);
    w->kern.pack(want, t->data, t->type, m->n_rows, m->n_cols, 0, m->n_rows);
    if (memcmp(want, m->data, bytes) != 0)
        fail_msg("%s, level %s: %s differs", gguf_path(w->g), w->kern.level, name);
    free(want);
}

static void check_weights(const struct weights *w)
{
    char name[64];
    for (int i = 0; i < w->hp.n_layer; i++) {
        const struct layer_weights *L = &w->layer[i];
        const struct {
            const char *name;
            const struct mat *m;
        } mats[] = {{"attn_q", &L->q},      {"attn_k", &L->k},  {"attn_v", &L->v},     {"attn_output", &L->o},
                    {"ffn_gate", &L->gate}, {"ffn_up", &L->up}, {"ffn_down", &L->down}};
        for (size_t m = 0; m < sizeof mats / sizeof *mats; m++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, mats[m].name);
            check_matrix(w, mats[m].m, name);
        }
    }
    check_matrix(w, &w->head, gguf_tensor(w->g, "output.weight") ? "output.weight" : "token_embd.weight");
}

/* By min..max threads, and, first, without repacking. */
static void check_model(const char *path, const char *level, int min_threads, int max_threads)
{
    struct otr_err err = {0};
    struct kernels k;
    struct gguf *g;
    struct hparams hp;
    if (kernels_init(&k, level) < 0) {
        printf("SKIPPED: this CPU lacks level %s\n", level);
        return;
    }
    assert_int_equal(gguf_open(&g, path, &err), OTR_OK);
    assert_int_equal(hparams_read(&hp, g, &err), OTR_OK);
    for (int i = 0; i <= max_threads; i = i > 0 ? i + 1 : min_threads) { /* 0: without repacking */
        struct pool *pool;
        struct weights *w;
        assert_int_equal(pool_create(&pool, i > 0 ? i : 1, &err), OTR_OK);
        if (weights_open(&w, g, &hp, &k, pool, i == 0, &err) < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(w->packed == NULL, i == 0);
        assert_int_equal(w->unit_bytes > 0, i == 0);
        check_weights(w);
        weights_close(w);
        pool_destroy(pool);
    }
    gguf_close(g);
}

static void test_tiny(void **state)
{
    (void)state;
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        for (size_t i = 0; i < sizeof models / sizeof *models; i++)
            check_model(models[i], levels[l], 1, 4);
}

static void test_real(void **state)
{
    (void)state;
    static const char *const files[] = {"SmolLM2-135M-Instruct-Q4_1.gguf", "gemma-3-270m-Q4_K_M.gguf"};
    char path[512];
    for (size_t i = 0; i < 2; i++)
        if (eq_model_path(path, sizeof path, files[i]))
            check_model(path, NULL, 3, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tiny), cmocka_unit_test(test_real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
