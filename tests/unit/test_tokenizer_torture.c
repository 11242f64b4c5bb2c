/* Every n-th allocation fails, n = 1, 2, ... until opening a BPE vocabulary and an encode succeed: out of memory is
 * said, nothing leaks, and the list of ids is as it was. (SPM: test_torture.c, by the way of a whole model.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/toktest.h"
#include "support/wrapmem.h"

static int run(const char *path, struct otr_err *err)
{
    static const char text[] = "ab  <|x|> abcab\xff 12 <tag> ab<|x|>";
    static const unsigned char lit[sizeof text] = {1, 1};
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct ids l = {0};
    int rc = gguf_open(&g, path, err);
    if (rc == OTR_OK)
        rc = tokenizer_open(&t, g, err);
    gguf_close(g);
    if (rc == OTR_OK && (rc = ids_push(&l, 5)) < 0)
        err->code = rc, strcpy(err->msg, "the test's own");
    for (int i = 0; i < 20 && rc == OTR_OK; i++) {
        const size_t n = l.n;
        rc = tokenizer_encode(t, text, sizeof text - 1, TOK_PARSE_SPECIAL, lit, &l, err);
        if (rc < 0)
            assert_int_equal(l.n, n);
    }
    ids_free(&l);
    tokenizer_close(t);
    return rc;
}

static void test_every_allocation(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "c", "ab", "Ġ", "<|x|>", "<tag>", "abc", "1"}, *const merges[] = {
                                                                                                      "a b", "ab c"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 3, 4, 1, 1};
    struct gguf_build b;
    struct otr_err err = {0};
    char path[64];
    toy_keys(&b, &(struct toy){"gpt2", "llama-bpe", pieces, 9, types, NULL, merges, 2});
    struct bytes f = gb_file(&b);
    const int fd = memory_file(f.p, f.n, path);
    gb_free(&b);
    free(f.p);
    assert_int_equal(run(path, &err), OTR_OK);
    long n = 1;
    for (;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        memset(&err, 0, sizeof err);
        const int rc = run(path, &err);
        const long left = wrapmem_fail_at;
        wrapmem_fail_at = 0;
        if (wrapmem_open != open)
            fail_msg("failing allocation %ld leaks %ld blocks", n, wrapmem_open - open);
        if (rc == OTR_OK && left > 0)
            break;
        if (rc != OTR_E_NOMEM || err.code != rc || !err.msg[0])
            fail_msg("failing allocation %ld: code %d, '%s'", n, rc, err.msg);
    }
    printf("%ld allocations failed in turn\n", n - 1);
    assert_true(n > 20);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
