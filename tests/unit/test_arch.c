/* Hyper-parameters: a right file is read, and each hostile value of each key is refused with the key's name (the rows
 * "bound every hyper-parameter" of loader-safety.md). A file is a right one with one key replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load/arch.h"
#include "support/gguf_build.h"

static const struct {
    const char *suffix;
    uint32_t v;
} sizes[] = {
    {"context_length", 512},      {"embedding_length", 64},    {"block_count", 5},
    {"feed_forward_length", 172}, {"attention.head_count", 8}, {"attention.head_count_kv", 4},
    {"rope.dimension_count", 8},
};

/* A small llama; the key `without` is left to the caller. */
static void begin(struct gguf_build *b, const char *without)
{
    char key[64];
    gb_init(b);
    gb_str(b, "general.architecture", "llama");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(key, sizeof key, "llama.%s", sizes[i].suffix);
        if (strcmp(key, without) != 0)
            gb_u32(b, key, sizes[i].v);
    }
    if (strcmp(without, "llama.attention.layer_norm_rms_epsilon") != 0)
        gb_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gb_tensor(b, "token_embd.weight", GGML_F32, 2, (const int64_t[]){64, 3}, NULL);
}

static int read_and_free(struct gguf_build *b, struct hparams *hp, struct otr_err *err)
{
    struct gguf *g = NULL;
    char path[64];
    struct bytes f = gb_file(b);
    const int fd = memory_file(f.p, f.n, path);
    int rc = gguf_open(&g, path, err);
    if (rc == OTR_OK)
        rc = hparams_read(hp, g, err);
    gguf_close(g);
    close(fd);
    free(f.p);
    gb_free(b);
    return rc;
}

static void test_right(void **state)
{
    struct gguf_build b;
    struct hparams hp;
    struct otr_err err = {0};
    (void)state;
    begin(&b, "");
    if (read_and_free(&b, &hp, &err) != OTR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(hp.n_vocab, 3);
    assert_int_equal(hp.n_layer, 5);
    assert_int_equal(hp.d_head, 8);
    assert_int_equal(hp.n_head_kv, 4);
    assert_true(hp.rope_base == 10000.0f && hp.norm_eps == 1e-5f);
}

static void test_integers(void **state)
{
    static const struct {
        const char *key;
        uint32_t v;
        const char *says;
    } bad[] = {
        {"llama.block_count", 0, "key llama.block_count at offset"},
        {"llama.block_count", 1025, "is 1025, expected 1 to 1024"}, /* #25821: more than 512 overran arrays */
        {"llama.block_count", UINT32_MAX, "is 4294967295, expected 1 to 1024"},
        {"llama.context_length", 0, "llama.context_length"},
        {"llama.context_length", 0x80000000u, "llama.context_length"},
        {"llama.embedding_length", 0, "llama.embedding_length"},
        {"llama.embedding_length", 1 << 30, "llama.embedding_length"},
        {"llama.feed_forward_length", 0, "llama.feed_forward_length"},
        {"llama.attention.head_count", 0, "llama.attention.head_count"}, /* a division by zero elsewhere */
        {"llama.attention.head_count", 20, "heads of 3 key"},
        {"llama.attention.head_count_kv", 0, "llama.attention.head_count_kv"},
        {"llama.attention.head_count_kv", 3, "8 query heads cannot share 3 KV heads"},
        {"llama.attention.head_count_kv", 16, "8 query heads cannot share 16 KV heads"},
        {"llama.rope.dimension_count", 7, "llama.rope.dimension_count is 7"},
        {"llama.rope.dimension_count", 16, "llama.rope.dimension_count is 16"},
        {"llama.attention.key_length", 12, "heads of 12 key"},
        {"llama.attention.key_length", 0, "llama.attention.key_length"},
        {"llama.attention.value_length", 16, "heads of 8 key and 16 value"},
        {"llama.attention.sliding_window", UINT32_MAX, "llama.attention.sliding_window"},
        {"llama.expert_count", 8, "mixture of experts"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gguf_build b;
        struct hparams hp;
        struct otr_err err = {0};
        begin(&b, bad[i].key);
        gb_u32(&b, bad[i].key, bad[i].v);
        const int rc = read_and_free(&b, &hp, &err);
        if (rc >= 0 || !strstr(err.msg, bad[i].says))
            fail_msg("%s = %u: code %d, '%s', expected '%s'", bad[i].key, bad[i].v, rc, err.msg, bad[i].says);
    }
}

static void test_floats(void **state)
{
    static const struct {
        const char *key;
        float v;
    } bad[] = {
        {"llama.attention.layer_norm_rms_epsilon", __builtin_nanf("")},
        {"llama.attention.layer_norm_rms_epsilon", -1.0f},
        {"llama.attention.layer_norm_rms_epsilon", __builtin_inff()},
        {"llama.rope.freq_base", 0.0f},
        {"llama.rope.freq_base", __builtin_inff()},
        {"llama.rope.scale_linear", 0.0f},
        {"llama.attention.scale", __builtin_nanf("")},
        {"llama.attn_logit_softcapping", -1.0f},
        {"llama.residual_scale", 0.0f},
        {"llama.logit_scale", 0.0f},
        {"llama.embedding_scale", __builtin_inff()},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gguf_build b;
        struct hparams hp;
        struct otr_err err = {0};
        begin(&b, bad[i].key);
        gb_f32(&b, bad[i].key, bad[i].v);
        const int rc = read_and_free(&b, &hp, &err);
        if (rc != OTR_E_FORMAT || !strstr(err.msg, bad[i].key))
            fail_msg("%s = %g: code %d, '%s'", bad[i].key, (double)bad[i].v, rc, err.msg);
    }
}

/* Required keys that are absent, keys of another type, other architectures. */
static void test_absent_and_other(void **state)
{
    struct gguf_build b;
    struct hparams hp;
    struct otr_err err = {0};
    char key[64];
    (void)state;
    for (int i = 0; i < 5; i++) {
        snprintf(key, sizeof key, "llama.%s", sizes[i].suffix);
        begin(&b, key);
        assert_int_equal(read_and_free(&b, &hp, &err), OTR_E_MISSING);
        assert_non_null(strstr(err.msg, key));
        begin(&b, key);
        gb_str(&b, key, "8");
        assert_int_equal(read_and_free(&b, &hp, &err), OTR_E_FORMAT);
        assert_non_null(strstr(err.msg, key));
    }
    gb_init(&b);
    gb_str(&b, "general.architecture", "mamba\x1b[31m");
    gb_tensor(&b, "t", GGML_F32, 1, (const int64_t[]){1}, NULL);
    assert_int_equal(read_and_free(&b, &hp, &err), OTR_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "architecture 'mamba?[31m' (we run llama"));
    gb_init(&b);
    gb_u32(&b, "general.architecture", 1);
    gb_tensor(&b, "t", GGML_F32, 1, (const int64_t[]){1}, NULL);
    assert_int_equal(read_and_free(&b, &hp, &err), OTR_E_FORMAT);
    gb_init(&b);
    gb_str(&b, "general.architecture", "llama");
    assert_int_equal(read_and_free(&b, &hp, &err), OTR_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "vocabulary only"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_absent_and_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
