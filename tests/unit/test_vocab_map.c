/* The map between two vocabularies: bytes, roles, duplicates, its file; on toys, on the vocabularies of the tokenizer's
 * tests, and on SmolLM2 and Gemma 3. What must hold of any pair is asked of every pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/vocab_map.h"
#include "support/toktest.h"
#include "tokenize/tok_priv.h"

static struct vocab_map *map_of(const struct tokenizer *target, const struct tokenizer *draft)
{
    struct vocab_map *m = NULL;
    struct otr_err err = {0};
    if (vocab_map_open(&m, target, draft, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    return m;
}

/* ---- toys: one vocabulary with byte-level pieces, one with U+2581 and byte tokens ---- */

#define SPM_SPACE "\xe2\x96\x81"
#define BPE_SPACE "\xc4\xa0" /* U+0120 */

static const char *const bpe_pieces[] = {"a",
                                         "b",
                                         BPE_SPACE,
                                         BPE_SPACE "a",
                                         "\xc4\x8a" /* newline */,
                                         "<|im_end|>",
                                         "<|im_start|>",
                                         "\xc3\xb0" /* byte F0 */,
                                         "ba",
                                         "<|odd|>"};
static const int32_t bpe_types[] = {1, 1, 1, 1, 1, 3, 3, 1, 1, 3};
static const char *const spm_pieces[] = {"<unk>",       "<bos>", "<eos>", "<0x0A>", "<0xF0>", "<0x61>",       "a",
                                         SPM_SPACE "a", "\n",    "b",     "ab",     "a",      "<end_of_turn>"};
static const int32_t spm_types[] = {2, 3, 3, 6, 6, 6, 1, 1, 4, 1, 1, 1, 3};
enum { N_BPE = sizeof bpe_types / sizeof *bpe_types, N_SPM = sizeof spm_types / sizeof *spm_types };

static struct tokenizer *toy_bpe(void)
{
    struct gguf_build b;
    struct tokenizer *t = NULL;
    const struct toy y = {"gpt2", "gpt-2", bpe_pieces, N_BPE, bpe_types, NULL, (const char *const[]){""}, 0};
    toy_keys(&b, &y);
    gb_u32(&b, "tokenizer.ggml.bos_token_id", 6);
    gb_u32(&b, "tokenizer.ggml.eos_token_id", 5);
    assert_int_equal(toy_open(&t, &b, NULL), OTR_OK);
    return t;
}

static struct tokenizer *toy_spm(void)
{
    struct gguf_build b;
    struct tokenizer *t = NULL;
    static const float scores[N_SPM];
    const struct toy y = {"llama", NULL, spm_pieces, N_SPM, spm_types, scores, NULL, 0};
    toy_keys(&b, &y);
    gb_u32(&b, "tokenizer.ggml.bos_token_id", 1);
    gb_u32(&b, "tokenizer.ggml.eos_token_id", 2);
    assert_int_equal(toy_open(&t, &b, NULL), OTR_OK);
    return t;
}

static void test_toys(void **state)
{
    /* of the BPE toy's ids: a -> the last "a", b, the space alone has none, " a", newline -> the user-defined one
     * rather than <0x0A>, the end of a turn by role, the start of one has no counterpart, F0, "ba" none, odd none */
    static const int32_t to_spm[N_BPE] = {11, 9, -1, 7, 8, 12, -1, 4, -1, -1};
    /* both "a" and <0x61> read "a"; <eos> has no namesake: the BPE toy ends texts with its eos, which is the turn's */
    static const int32_t to_bpe[N_SPM] = {-1, 6, 5, 4, 7, 0, 0, 3, 4, 1, -1, 0, 5};
    (void)state;
    struct tokenizer *b = toy_bpe(), *s = toy_spm();
    struct vocab_map *m = map_of(s, b), *back = map_of(b, s);
    for (int i = 0; i < N_BPE; i++)
        assert_int_equal(m->target_of[i], to_spm[i]);
    for (int i = 0; i < N_SPM; i++)
        if (i != 1) /* <bos>: the BPE toy's BOS opens turns, which is another role */
            assert_int_equal(back->target_of[i], to_bpe[i]);
    assert_int_equal(back->target_of[1], -1);
    assert_int_equal(m->n_mapped, 6);
    assert_int_equal(back->n_mapped, 10);
    assert_int_equal(back->n_shared, 6); /* a b " a" newline F0 <|im_end|> */
    assert_int_equal(back->draft_of[0], 11);
    assert_int_equal(back->draft_of[4], 8);
    assert_int_equal(m->draft_of[2], 5); /* <eos> of a target: what the drafter ends with */
    assert_int_equal(back->draft_byte[0xf0], 4);
    assert_int_equal(back->draft_byte[0x80], -1);
    assert_int_equal(m->target_byte['b'], 9);
    vocab_map_close(m);
    vocab_map_close(back);
    tokenizer_close(b);
    tokenizer_close(s);
}

static void test_law(void **state)
{
    (void)state;
    struct tokenizer *b = toy_bpe(), *s = toy_spm();
    struct vocab_map *m = map_of(b, s);
    static const int32_t d[] = {7, 11, 10, 5, 9, 0};
    static const double q[] = {0.25, 0.125, 0.25, 0.0625, 0.25, 0.0625};
    int32_t t[6];
    double p[6];
    assert_int_equal(vocab_map_law(m, d, q, 6, t, p), 3);
    assert_int_equal(t[0], 0); /* "a": ids 11 and 5 */
    assert_true(p[0] == 0.1875);
    assert_int_equal(t[1], 1);
    assert_true(p[1] == 0.25);
    assert_int_equal(t[2], 3);
    assert_true(p[2] == 0.25);
    assert_int_equal(vocab_map_law(m, d + 2, q + 2, 1, t, p), 0);
    vocab_map_close(m);
    tokenizer_close(b);
    tokenizer_close(s);
}

/* ---- any pair ---- */

static void check_pair(const struct tokenizer *target, const struct tokenizer *draft, const char *what)
{
    struct vocab_map *m = map_of(target, draft);
    int n_mapped = 0, n_special = 0;
    for (int32_t d = 0; d < m->n_draft; d++) {
        size_t n, k;
        const int32_t t = m->target_of[d];
        assert_true(t >= -1 && t < m->n_target);
        n_mapped += t >= 0;
        if (t < 0)
            continue;
        assert_int_equal(tokenizer_is_special(draft, d), tokenizer_is_special(target, t));
        n_special += tokenizer_is_special(draft, d);
        const char *p = tokenizer_bytes(draft, d, false, &n), *q = tokenizer_bytes(target, t, false, &k);
        assert_true(n == k && memcmp(p, q, n) == 0);
        assert_true(m->draft_of[t] >= 0);
    }
    for (int32_t t = 0; t < m->n_target; t++)
        if (m->draft_of[t] >= 0 && !tokenizer_is_special(target, t))
            assert_int_equal(m->target_of[m->draft_of[t]], t);
    assert_int_equal(n_mapped, m->n_mapped);
    printf("%-24s target %6d, draft %6d: %6d of the draft's ids map (%.1f %%), %6d of the target's are reached, "
           "%d special\n",
           what, m->n_target, m->n_draft, m->n_mapped, 100.0 * m->n_mapped / m->n_draft, m->n_shared, n_special);
    vocab_map_close(m);
}

static void test_real_vocabularies(void **state)
{
    static const char *const files[] = {"gpt-2", "llama-spm", "starcoder", "phi-3", "falcon", "deepseek-coder"};
    enum { N = sizeof files / sizeof *files };
    struct tokenizer *t[N];
    char path[128], what[64];
    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, TOK_DATA "ggml-vocab-%s.gguf", files[i]);
        t[i] = toktest_open(path);
    }
    for (int a = 0; a < N; a++) {
        const int b = (a + 1) % N;
        snprintf(what, sizeof what, "%s <- %s", files[a], files[b]);
        if (t[a] && t[b])
            check_pair(t[a], t[b], what);
    }
    if (t[0]) { /* a vocabulary and itself: every token that text can hold is its own */
        struct vocab_map *m = map_of(t[0], t[0]);
        for (int32_t i = 0; i < m->n_draft; i++)
            assert_int_equal(m->target_of[i], i);
        vocab_map_close(m);
    }
    for (int i = 0; i < N; i++)
        tokenizer_close(t[i]);
}

static int32_t named(const struct tokenizer *t, const char *name)
{
    const int32_t id = tokenizer_find(t, name, strlen(name));
    assert_true(id >= 0);
    return id;
}

static void test_smollm2_gemma3(void **state)
{
    (void)state;
    struct tokenizer *s = toktest_open(toktest_model(TOK_SMOLLM2)), *g = toktest_open(toktest_model(TOK_GEMMA3));
    if (!s || !g)
        skip();
    check_pair(g, s, "Gemma 3 <- SmolLM2");
    check_pair(s, g, "SmolLM2 <- Gemma 3");
    struct vocab_map *m = map_of(g, s);
    static const char *const same[][2] = {
        {"the", "the"},
        {BPE_SPACE "the", SPM_SPACE "the"},
        {"\xc4\x8a\xc4\x8a", "\n\n"},
        {"<|im_end|>", "<end_of_turn>"},
        {"<|im_start|>", "<start_of_turn>"},
        {"<|endoftext|>", "<eos>"},
        {"7", "7"},
        {"\xc3\xb0", "<0xF0>"},
        {"\xc3\x83\xc2\xa9", "\xc3\xa9"}, /* e with an acute accent: two bytes in the byte-level alphabet */
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_int_equal(m->target_of[named(s, same[i][0])], named(g, same[i][1]));
    assert_int_equal(m->target_of[named(s, "<jupyter_start>")], -1);
    assert_int_equal(m->draft_of[named(g, "<unused7>")], -1);
    vocab_map_close(m);
    tokenizer_close(s);
    tokenizer_close(g);
}

/* ---- the file ---- */

static bool equal_maps(const struct vocab_map *a, const struct vocab_map *b)
{
    return a->n_mapped == b->n_mapped && a->n_shared == b->n_shared &&
           memcmp(a->target_of, b->target_of, (size_t)a->n_draft * sizeof *a->target_of) == 0 &&
           memcmp(a->draft_of, b->draft_of, (size_t)a->n_target * sizeof *a->draft_of) == 0 &&
           memcmp(a->draft_byte, b->draft_byte, sizeof a->draft_byte) == 0 &&
           memcmp(a->target_byte, b->target_byte, sizeof a->target_byte) == 0;
}

static void put_file(const char *path, const char *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

/* The map from this folder equals `want`, and whether it came from the file. */
static void expect(const struct tokenizer *t, const struct tokenizer *d, const char *dir, const struct vocab_map *want,
                   bool cached)
{
    struct vocab_map *m = NULL;
    assert_int_equal(vocab_map_open(&m, t, d, dir, NULL), OTR_OK);
    assert_true(equal_maps(m, want));
    assert_int_equal(m->cached, cached);
    vocab_map_close(m);
}

static void check_file(const struct tokenizer *t, const struct tokenizer *d, size_t step)
{
    char dir[] = P_tmpdir "/test_vocab_map_XXXXXX", name[64], path[256];
    assert_non_null(mkdtemp(dir));
    vocab_map_file(t, d, name, sizeof name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct vocab_map *m = map_of(t, d);
    expect(t, d, dir, m, false);
    expect(t, d, dir, m, true);
    size_t n;
    char *good = toktest_read(path, &n);
    assert_non_null(good);
    for (size_t i = 0; i < n; i += step) { /* a byte changed, the file cut short, something behind it */
        char *bad = malloc(n + 1);
        assert_non_null(bad);
        memcpy(bad, good, n);
        bad[i] = (char)(bad[i] == '1' ? '2' : '1');
        put_file(path, bad, n);
        expect(t, d, dir, m, false);
        put_file(path, good, i);
        expect(t, d, dir, m, false);
        free(bad);
    }
    expect(t, d, dir, m, true); /* the last one was written again */
    char name2[64];
    vocab_map_file(d, t, name2, sizeof name2);
    assert_string_not_equal(name, name2);
    unlink(path);
    rmdir(dir);
    free(good);
    vocab_map_close(m);
}

static void test_file(void **state)
{
    (void)state;
    struct tokenizer *b = toy_bpe(), *s = toy_spm();
    check_file(b, s, 1);
    check_file(s, b, 1);
    struct vocab_map *m = map_of(b, s);
    expect(b, s, "/dev/null/no", m, false); /* a folder that cannot be made is no error */
    vocab_map_close(m);
    tokenizer_close(b);
    tokenizer_close(s);
}

static void test_real_file(void **state)
{
    (void)state;
    struct tokenizer *s = toktest_open(toktest_model(TOK_SMOLLM2)), *g = toktest_open(toktest_model(TOK_GEMMA3));
    if (!s || !g)
        skip();
    check_file(g, s, 100000);
    tokenizer_close(s);
    tokenizer_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_toys),           cmocka_unit_test(test_law),  cmocka_unit_test(test_real_vocabularies),
        cmocka_unit_test(test_smollm2_gemma3), cmocka_unit_test(test_file), cmocka_unit_test(test_real_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
