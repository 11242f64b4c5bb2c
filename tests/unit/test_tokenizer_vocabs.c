/* The ids of six published vocabularies, as llama.cpp's own tests expect them; WordPiece is refused by name.
 * Data: ../shared/data/tokenizer-tests (texts, and ids without BOS and without parsing of special tokens). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/toktest.h"

static const char sep[] = "\n__ggml_vocab_test__\n";

static void check_text(const struct tokenizer *t, const char *name, int k, const char *text, size_t n, const char *want)
{
    struct ids l = {0};
    struct otr_err err = {0};
    char got[8192] = "";
    size_t at = 0;
    if (tokenizer_encode(t, text, n, 0, NULL, &l, &err) < 0)
        fail_msg("%s text %d: %s", name, k, err.msg);
    for (size_t i = 0; i < l.n; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, " %d", l.v[i]);
    ids_free(&l);
    if (strcmp(got, want) != 0)
        fail_msg("%s text %d '%.*s':\n got %s\nwant %s", name, k, (int)n, text, got, want);
}

/* Returns how many texts agreed. */
static int check_vocab(const char *name)
{
    char path[256];
    size_t n_inp, n_out, n;
    int k = 0;
    snprintf(path, sizeof path, TOK_DATA "ggml-vocab-%s.gguf", name);
    struct tokenizer *t = toktest_open(path);
    if (!t)
        return 0;
    strcat(path, ".inp");
    char *inp = toktest_read(path, &n_inp);
    strcpy(path + strlen(path) - 4, ".out");
    char *out = toktest_read(path, &n_out), *line, *at = out;
    assert_non_null(inp);
    assert_non_null(out);
    for (const char *p = inp, *end; (end = strstr(p, sep)); p = end + strlen(sep), k++) {
        assert_true(toktest_line(&at, &line, &n));
        check_text(t, name, k, p, (size_t)(end - p), line);
    }
    assert_false(toktest_line(&at, &line, &n)); /* as many lines as texts */
    printf("%s: %d texts\n", name, k);
    free(inp);
    free(out);
    tokenizer_close(t);
    return k;
}

static void test_vocabs(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "starcoder", "falcon", "deepseek-coder", "llama-spm", "phi-3"};
    int n = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        n += check_vocab(names[i]);
    if (n == 0)
        skip();
    assert_int_equal(n, 6 * 46);
}

static void test_wordpiece_refused(void **state)
{
    (void)state;
    static const char path[] = TOK_DATA "ggml-vocab-bert-bge.gguf";
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct otr_err err = {0};
    if (access(path, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", path);
        skip();
    }
    assert_int_equal(gguf_open(&g, path, &err), OTR_OK);
    assert_int_equal(tokenizer_open(&t, g, &err), OTR_E_UNSUPPORTED);
    assert_null(t);
    assert_non_null(strstr(err.msg, "'bert'"));
    assert_non_null(strstr(err.msg, "WordPiece"));
    gguf_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vocabs), cmocka_unit_test(test_wordpiece_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
