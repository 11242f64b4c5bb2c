/* Allocations of the map and of the text in two vocabularies: each fails once, nothing leaks, and what comes after a
 * failure is what would have come without it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "draft/retext.h"
#include "support/toktest.h"
#include "support/wrapmem.h"

static struct tokenizer *target, *draft;

static int open_vocabularies(void **state)
{
    static const char *const letters[] = {"<unk>",
                                          "a",
                                          "b",
                                          "\xe2\x96\x81",
                                          "ab",
                                          "\xe2\x96\x81"
                                          "a"};
    static const int32_t types[] = {2, 1, 1, 1, 1, 1};
    static const float scores[] = {0, 0, 0, 0, -1, -2};
    static const char *const pieces[] = {"a", "b", "\xc4\xa0", "ba"};
    const struct toy spm = {"llama", NULL, letters, 6, types, scores, NULL, 0};
    const struct toy bpe = {"gpt2", "gpt-2", pieces, 4, NULL, NULL, (const char *const[]){"b a"}, 1};
    (void)state;
    target = toy_make(&spm);
    draft = toy_make(&bpe);
    return 0;
}

static int close_vocabularies(void **state)
{
    (void)state;
    tokenizer_close(target);
    tokenizer_close(draft);
    return 0;
}

static void test_map(void **state)
{
    char dir[] = P_tmpdir "/test_retext_torture_XXXXXX", name[64], path[256];
    struct vocab_map *m = NULL;
    struct otr_err err;
    int rc = OTR_E_NOMEM, n = 1;
    (void)state;
    assert_non_null(mkdtemp(dir));
    vocab_map_file(target, draft, name, sizeof name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (; n < 100; n++) {
        const long open = wrapmem_open;
        err.msg[0] = 0;
        wrapmem_fail_at = n;
        rc = vocab_map_open(&m, target, draft, dir, &err);
        const bool reached = wrapmem_fail_at == 0;
        wrapmem_fail_at = 0;
        if (rc == OTR_OK) { /* the file is optional: its memory may be missing */
            assert_true(m->n_mapped == 3 && m->target_of[0] == 1);
            vocab_map_close(m);
        } else
            assert_true(rc == OTR_E_NOMEM && err.msg[0]);
        m = NULL;
        assert_int_equal(wrapmem_open, open);
        unlink(path);
        if (!reached)
            break;
    }
    assert_true(rc == OTR_OK && n > 4 && n < 100);
    rmdir(dir);
}

/* All of it: follow, go on, back, cut and go on elsewhere. */
static int work(struct retext *r, int32_t *out, int *n_out, struct otr_err *err)
{
    static const int32_t tok[] = {5, 2, 3, 3, 1, 2, 4, 3, 1, 1, 2, 3, 1, 4, 2, 2, 5, 4}, d[] = {3, 2, 0, 1};
    int rc;
    for (size_t n = 1; n <= sizeof tok / sizeof *tok; n += 4)
        if ((rc = retext_follow(r, tok, n, err)) < 0)
            return rc;
    if ((rc = *n_out = retext_back(r, d, 4, out, 16, err)) < 0)
        return rc;
    return retext_follow(r, tok + 3, 12, err);
}

static void test_retext(void **state)
{
    struct vocab_map *m = NULL;
    struct retext whole;
    struct otr_err err;
    int32_t want[16], got[16];
    int n_want, n_got, rc = OTR_E_NOMEM, n = 1;
    (void)state;
    assert_int_equal(vocab_map_open(&m, target, draft, NULL, NULL), OTR_OK);
    retext_init(&whole, target, draft, m);
    assert_int_equal(work(&whole, want, &n_want, &err), OTR_OK);
    for (; rc < 0 && n < 2000; n++) {
        const long open = wrapmem_open;
        struct retext r;
        retext_init(&r, target, draft, m);
        err.msg[0] = 0;
        wrapmem_fail_at = n;
        rc = work(&r, got, &n_got, &err);
        wrapmem_fail_at = 0;
        if (rc < 0) {
            assert_true(rc == OTR_E_NOMEM && err.msg[0]);
            assert_int_equal(work(&r, got, &n_got, &err), OTR_OK); /* the same one, once more */
        }
        assert_true(n_got == n_want && memcmp(got, want, (size_t)n_got * sizeof *got) == 0);
        assert_true(r.z.n == whole.z.n && memcmp(r.z.id, whole.z.id, r.z.n * sizeof *r.z.id) == 0);
        retext_fini(&r);
        assert_int_equal(wrapmem_open, open);
    }
    printf("%d allocations failed, one at a time\n", n - 2);
    assert_true(rc == OTR_OK && n > 20);
    retext_fini(&whole);
    vocab_map_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_map), cmocka_unit_test(test_retext)};
    return cmocka_run_group_tests(tests, open_vocabularies, close_vocabularies);
}
