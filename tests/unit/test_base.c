/* The base: error codes, id lists, arenas. (Sentences and names: test_names.c, Philox: test_rng.c, threads:
 * test_pool.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/replace_file.h"

/* ---- errors ---- */

static void test_fail(void **state)
{
    struct otr_err err;
    (void)state;
    memset(&err, 'x', sizeof err);
    const int rc = OTR_FAIL(&err, LIMIT, "%d of %s", 3, "four");
    assert_int_equal(rc, OTR_E_LIMIT);
    assert_int_equal(err.code, OTR_E_LIMIT);
    assert_string_equal(err.msg, "3 of four");
    assert_true(err.line > 0 && strstr(err.file, "test_base.c"));
    assert_int_equal(OTR_FAIL(NULL, IO, "nobody listens"), OTR_E_IO);
}

static void test_strerror(void **state)
{
    (void)state;
    assert_string_equal(otr_strerror(OTR_OK), "no error");
    assert_string_equal(otr_strerror(OTR_E_NUMERIC), "not a number");
    assert_string_equal(otr_strerror(1), "unknown error");
    assert_string_equal(otr_strerror(-1000), "unknown error");
    assert_int_equal(OTR_E_NOMEM, -1); /* pinned: result files hold them */
    assert_int_equal(OTR_E_ABORTED, -9);
    assert_string_equal(otr_version(), OTR_VERSION);
}

/* ---- lists, arenas ---- */

static void test_ids(void **state)
{
    struct ids l = {0};
    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(ids_push(&l, i * 7), OTR_OK);
    assert_int_equal(l.n, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(l.v[i], i * 7);
    ids_free(&l);
    assert_true(!l.v && l.n == 0 && l.cap == 0);
    ids_free(&l);
    l = (struct ids){.n = SIZE_MAX / 2, .cap = SIZE_MAX / 2}; /* no room is an error, not a wrap */
    assert_int_equal(ids_push(&l, 1), OTR_E_NOMEM);
    assert_true(l.n == SIZE_MAX / 2 && l.cap == SIZE_MAX / 2);
}

static void test_arena(void **state)
{
    struct arena count = {.cap = SIZE_MAX};
    (void)state;
    for (size_t n = 0; n < 200; n += 7)
        assert_null(arena_take(&count, n)); /* counting gives nothing */
    char *block = aligned_alloc(64, (count.used + 63) / 64 * 64);
    assert_non_null(block);
    struct arena a = {.base = block, .cap = count.used};
    char *end = block;
    for (size_t n = 0; n < 200; n += 7) {
        char *p = arena_take(&a, n);
        assert_true(p && p >= end && (uintptr_t)p % 64 == 0 && p + n <= block + a.cap);
        memset(p, 1, n);
        end = p + n;
    }
    assert_int_equal(a.used, count.used); /* the same carving fits exactly */
    assert_null(arena_take(&a, 1));
    assert_int_equal(a.used, count.used); /* and a refusal takes nothing */
    assert_null(arena_take(&a, SIZE_MAX));
    free(block);
    count = (struct arena){.cap = SIZE_MAX, .used = SIZE_MAX - 10};
    assert_null(arena_take(&count, 1));
    assert_int_equal(count.used, SIZE_MAX - 10);
}

static void test_size_mul(void **state)
{
    const size_t half = (size_t)1 << (sizeof(size_t) * 4);
    (void)state;
    assert_int_equal(size_mul(6, 7), 42);
    assert_int_equal(size_mul(0, SIZE_MAX), 0);
    assert_int_equal(size_mul(SIZE_MAX, 1), SIZE_MAX);
    assert_int_equal(size_mul(half, half - 1), half * (half - 1));
    assert_int_equal(size_mul(half, half), SIZE_MAX);
    assert_int_equal(size_mul(SIZE_MAX, SIZE_MAX), SIZE_MAX);
}

static void file_is(const char *path, const char *want)
{
    char got[16] = "";
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = 0;
    fclose(f);
    assert_string_equal(got, want);
}

static void write_word(struct replace_file *r, const char *path, const char *word)
{
    assert_true(replace_open(r, path, 0666));
    assert_true(fputs(word, r->f) >= 0);
}

/* Two writers at one name at once, one that gives up, one that has no folder; nothing else is left in the folder. */
static void test_replace_file(void **state)
{
    char dir[] = "/tmp/outrider_base_XXXXXX", path[64];
    struct replace_file a, b;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x", dir);
    write_word(&a, path, "one");
    write_word(&b, path, "two");
    assert_true(access(path, F_OK) != 0);
    assert_true(replace_close(&a, true));
    file_is(path, "one");
    assert_true(replace_close(&b, true));
    file_is(path, "two");
    write_word(&a, path, "three");
    assert_false(replace_close(&a, false));
    file_is(path, "two");
    assert_int_equal(unlink(path), 0);
    assert_false(replace_open(&a, "/none/at/all", 0666));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(rmdir(dir), 0); /* it is empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail),  cmocka_unit_test(test_strerror), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_arena), cmocka_unit_test(test_size_mul), cmocka_unit_test(test_replace_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
