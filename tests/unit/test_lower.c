/* Lower weights made in memory equal those of the file that `outrider quantize` writes, byte for byte, by 1 to 4
 * threads and at each level; what is not lowered is the target's own; and the refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load/lower.h"
#include "support/gguf_build.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define UNTIED "tests/golden/tiny/llama-bias-untied.gguf"
static const char *const levels[] = {"c", "avx2", "avx512vnni"};

struct rig {
    struct gguf *g;
    struct hparams hp;
    struct pool *pool;
    struct weights *w;
};

static void rig_open(struct rig *r, const char *path, const char *level, int n_threads, bool no_repack)
{
    struct otr_err err = {0};
    struct kernels k;
    assert_int_equal(kernels_init(&k, level), 0);
    if (gguf_open(&r->g, path, &err) < 0 || hparams_read(&r->hp, r->g, &err) < 0 ||
        pool_create(&r->pool, n_threads, &err) < 0 ||
        weights_open(&r->w, r->g, &r->hp, &k, r->pool, no_repack, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
}

static void rig_close(struct rig *r)
{
    weights_close(r->w);
    pool_destroy(r->pool);
    gguf_close(r->g);
}

static const struct mat *mat_of(const struct weights *w, int i)
{
    const struct layer_weights *L = &w->layer[i / 7 < w->hp.n_layer ? i / 7 : 0];
    const struct mat *const m[] = {&L->q, &L->k, &L->v, &L->o, &L->gate, &L->up, &L->down};
    return i / 7 < w->hp.n_layer ? m[i % 7] : &w->head;
}

static size_t data_bytes(const struct weights *w, const struct mat *m)
{
    const size_t packed = w->kern.pack_bytes(m->type, m->n_rows, m->n_cols);
    return packed ? packed : mat_row_bytes(m->type, m->n_cols) * (size_t)m->n_rows;
}

/* Every matrix of low is the file's where it was lowered, else the target's. Returns how many were lowered. */
static int compare(const struct weights *low, const struct weights *file, const struct weights *of, bool head)
{
    int n = 0;
    for (int i = 0; i <= 7 * of->hp.n_layer; i++) {
        const struct mat *a = mat_of(low, i), *b = mat_of(file, i), *c = mat_of(of, i);
        if (a->data == c->data) {
            assert_true((a == &low->head && !head) || a->n_cols % 32 != 0);
            continue;
        }
        assert_true(a != &low->head || head);
        assert_int_equal(a->type, b->type);
        assert_memory_equal(a->data, b->data, data_bytes(low, a));
        n++;
    }
    assert_ptr_equal(low->out_norm, of->out_norm);
    assert_ptr_equal(low->embd, of->embd);
    assert_ptr_equal(low->layer[0].attn_norm, of->layer[0].attn_norm);
    return n;
}

static void one_model(const char *path, enum ggml_type type, const char *name)
{
    char cmd[512], file[] = "/tmp/outrider-lower-XXXXXX";
    const char *build = getenv("OUTRIDER_BUILD");
    const int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    snprintf(cmd, sizeof cmd, "%s/outrider quantize --pure %s %s %s > /dev/null", build ? build : "build", path, file,
             name);
    assert_int_equal(system(cmd), 0);
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        for (int t = 1; t <= 4; t++)
            for (int head = 0; head < 2; head++) {
                struct rig of, to;
                struct weights *low;
                struct otr_err err = {0};
                struct kernels k;
                if (kernels_init(&k, levels[l]) < 0)
                    continue;
                rig_open(&of, path, levels[l], t, false);
                rig_open(&to, file, levels[l], 1, false);
                if (weights_lower(&low, of.w, type, head ? LOWER_HEAD : LOWER_KEEP_HEAD, SIZE_MAX, of.pool, &err) < 0)
                    fail_msg("%s", err.msg);
                assert_true(compare(low, to.w, of.w, head) >= 5 * of.hp.n_layer);
                weights_close(low);
                rig_close(&to);
                rig_close(&of);
            }
    unlink(file);
}

static void test_equals_the_file(void **state)
{
    (void)state;
    one_model(UNTIED, GGML_Q4_1, "Q4_1");
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        return;
    }
    one_model(STORIES, GGML_Q4_0, "Q4_0");
    one_model(STORIES, GGML_Q8_0, "Q8_0");
}

/* A model whose floats end in one that is not finite. */
static void damage(const char *from, char path[64], int *fd)
{
    struct gguf *g;
    unsigned char *p = malloc(1 << 20);
    FILE *f = fopen(from, "rb");
    assert_true(p && f);
    const size_t n = fread(p, 1, 1 << 20, f);
    fclose(f);
    assert_int_equal(gguf_open(&g, from, NULL), OTR_OK);
    const struct gguf_tensor *t = gguf_tensor(g, "blk.0.ffn_up.weight"), *t0 = gguf_tensor_at(g, 0);
    const size_t at = (size_t)(t->data - t0->data) + t->bytes - sizeof(float);
    size_t data = n; /* of the first tensor: found by its bytes */
    for (size_t i = 0; i + 64 < n && data == n; i += 32)
        data = memcmp(p + i, t0->data, 64) == 0 ? i : n;
    assert_true(data < n);
    memcpy(p + data + at, &(float){NAN}, sizeof(float));
    gguf_close(g);
    *fd = memory_file(p, n, path);
    free(p);
}

static void refused(const struct rig *r, enum ggml_type type, size_t max_bytes, int code, const char *word)
{
    struct weights *low = NULL;
    struct otr_err err = {0};
    assert_int_equal(weights_lower(&low, r->w, type, LOWER_HEAD, max_bytes, r->pool, &err), code);
    assert_null(low);
    if (!strstr(err.msg, word))
        fail_msg("'%s' says nothing of '%s'", err.msg, word);
}

static void test_refusals(void **state)
{
    struct rig r;
    char path[64];
    int fd;
    (void)state;
    rig_open(&r, UNTIED, NULL, 2, false);
    refused(&r, GGML_F32, SIZE_MAX, OTR_E_UNSUPPORTED, "1.00 times");
    refused(&r, GGML_Q4_0, 1000, OTR_E_LIMIT, "are free");
    rig_close(&r);
    damage(UNTIED, path, &fd);
    rig_open(&r, path, NULL, 2, false);
    refused(&r, GGML_Q4_0, SIZE_MAX, OTR_E_FORMAT, "blk.0.ffn_up.weight");
    rig_close(&r);
    close(fd);
    rig_open(&r, UNTIED, "avx2", 1, true);
    refused(&r, GGML_Q4_0, SIZE_MAX, OTR_E_UNSUPPORTED, "--no-repack");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_the_file), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
