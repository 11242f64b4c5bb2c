/* Start-up timing of plans and the file it keeps: what it leaves behind, what it does with a file that others wrote,
 * broke or are writing, and that products keep their bits. No time is asserted, and no choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cache_file.h"
#include "bench/weights_random.h"
#include "load/tune.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/outrider_tune_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char cmd[96];
    chmod(dir, 0700);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static int n_files(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* ---- small files ---- */

static void test_files(void **state)
{
    (void)state;
    char buf[16], sub[96], path[128];
    assert_int_equal(cache_read(buf, sizeof buf, dir, "none"), -1);
    assert_string_equal(buf, "");
    snprintf(sub, sizeof sub, "%s/a/b", dir);
    assert_int_equal(cache_write(sub, "f", "hello", 5), 0);
    assert_int_equal(cache_write(sub, "f", "hello again", 11), 0);
    assert_int_equal(cache_read(buf, sizeof buf, sub, "f"), 0);
    assert_string_equal(buf, "hello again");
    assert_int_equal(n_files(sub), 1);
    assert_int_equal(cache_write(sub, "f", "0123456789abcdef", 15), 0); /* just fits */
    assert_int_equal(cache_read(buf, sizeof buf, sub, "f"), 0);
    assert_int_equal(cache_write(sub, "f", "0123456789abcdef", 16), 0);
    assert_int_equal(cache_read(buf, sizeof buf, sub, "f"), -1);
    assert_string_equal(buf, "");
    assert_int_equal(cache_write(sub, "f", "a\0b", 3), 0);
    assert_int_equal(cache_read(buf, sizeof buf, sub, "f"), -1);
    /* what is no file: neither read, nor waited for, nor replaced */
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(cache_read(buf, sizeof buf, dir, "pipe"), -1);
    assert_int_equal(cache_read(buf, sizeof buf, dir, "a"), -1);
    assert_int_equal(cache_write(dir, "a", "x", 1), -1); /* a folder */
    assert_int_equal(cache_write(path, "f", "x", 1), -1);
    assert_int_equal(cache_write("", "f", "x", 1), -1);
    assert_int_equal(n_files(dir), 2); /* no temporary file stays */
}

enum { N_WRITERS = 4, N_WRITES = 200, LONG_TEXT = 500 };

static void *write_often(void *arg)
{
    char text[LONG_TEXT];
    memset(text, *(char *)arg, sizeof text);
    for (int i = 0; i < N_WRITES; i++)
        cache_write(dir, "shared", text, sizeof text);
    return NULL;
}

/* Whoever reads meanwhile sees the whole of one writer's text. */
static void test_writers_together(void **state)
{
    (void)state;
    pthread_t th[N_WRITERS];
    char buf[LONG_TEXT + 1], names[] = "abcd";
    assert_int_equal(cache_write(dir, "shared", "", 0), 0);
    for (int i = 0; i < N_WRITERS; i++)
        assert_int_equal(pthread_create(&th[i], NULL, write_often, &names[i]), 0);
    for (int i = 0; i < N_WRITES; i++) {
        assert_int_equal(cache_read(buf, sizeof buf, dir, "shared"), 0);
        const size_t n = strlen(buf);
        assert_true(n == 0 || n == LONG_TEXT);
        for (size_t j = 1; j < n; j++)
            assert_int_equal(buf[j], buf[0]);
    }
    for (int i = 0; i < N_WRITERS; i++)
        pthread_join(th[i], NULL);
    assert_int_equal(n_files(dir), 1);
}

/* ---- timing ---- */

/* A model that is nothing but its head, large enough to be timed. */
struct rig {
    struct weights w;
    struct pool *pool;
    void *rows, *act;
    float *before, *after; /* [N_TOK, n_rows] */
    char machine[TUNE_MACHINE_MAX], name[TUNE_NAME_MAX];
};
enum { COLS = 1024, N_TOK = 5 };

static void rig_run(struct rig *r, float *out)
{
    r->w.kern.matmul(out, (size_t)r->w.head.n_rows, &r->w.head, 0, r->w.head.n_rows, r->act, N_TOK);
}

static void rig_open(struct rig *r, int n_threads)
{
    struct otr_err err;
    memset(r, 0, sizeof *r);
    assert_int_equal(kernels_init(&r->w.kern, NULL), 0);
    assert_int_equal(pool_create(&r->pool, n_threads, &err), OTR_OK);
    const struct kernels *k = &r->w.kern;
    const size_t want = 2 * cache_bytes(2) * (size_t)n_threads + (1 << 20), row = mat_row_bytes(GGML_Q4_0, COLS);
    const int n = (int)(want / row / KERN_ROW_UNIT + 1) * KERN_ROW_UNIT;
    r->rows = malloc((size_t)n * row);
    float *x = malloc((size_t)N_TOK * COLS * sizeof *x);
    r->before = malloc((size_t)N_TOK * (size_t)n * sizeof *x);
    r->after = malloc((size_t)N_TOK * (size_t)n * sizeof *x);
    r->act = aligned_alloc(64, k->act_bytes(ACT_Q8, COLS, N_TOK));
    assert_true(r->rows && x && r->before && r->after && r->act);
    rows_random(r->rows, GGML_Q4_0, n, COLS, 5);
    floats_random(x, (size_t)N_TOK * COLS, 6);
    k->act_pack(r->act, ACT_Q8, x, COLS, COLS, N_TOK, 0, N_TOK);
    free(x);
    r->w.head = (struct mat){.type = GGML_Q4_0, .n_rows = n, .n_cols = COLS, .data = r->rows};
    r->w.packed_bytes = k->pack_bytes(GGML_Q4_0, n, COLS);
    if (r->w.packed_bytes > 0) {
        r->w.head.data = r->w.packed = aligned_alloc(64, r->w.packed_bytes);
        assert_non_null(r->w.packed);
        k->pack(r->w.packed, r->rows, GGML_Q4_0, n, COLS, 0, n);
    }
    tune_machine(r->machine, sizeof r->machine, k, n_threads, r->w.packed_bytes);
    tune_file(r->name, sizeof r->name, r->machine);
    rig_run(r, r->before);
}

static void rig_close(struct rig *r)
{
    rig_run(r, r->after);
    assert_memory_equal(r->before, r->after, (size_t)N_TOK * (size_t)r->w.head.n_rows * sizeof *r->after);
    pool_destroy(r->pool);
    free(r->w.packed);
    free(r->rows);
    free(r->act);
    free(r->before);
    free(r->after);
}

static bool can_tune(const struct rig *r)
{
    if (r->w.kern.menu)
        return true;
    printf("SKIPPED: level %s has nothing to choose\n", r->w.kern.level);
    return false;
}

static void assert_known(const struct rig *r, bool q4, bool k)
{
    char text[PLAN_TEXT_MAX];
    struct plan_choice c;
    assert_int_equal(cache_read(text, sizeof text, dir, r->name), 0);
    assert_int_equal(plan_read(&c, text, r->machine, r->w.kern.menu), 0);
    assert_true((c.at[PLAN_Q4][0] >= 0) == q4 && (c.at[PLAN_K][0] >= 0) == k);
}

static void test_timed_once(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 2);
    weights_tune(&r.w, r.pool, NULL);
    assert_null(r.w.head.plan);
    assert_int_equal(n_files(dir), 0);
    if (can_tune(&r)) {
        weights_tune(&r.w, r.pool, dir);
        assert_ptr_equal(r.w.head.plan, r.w.plans.plan[PLAN_Q4]);
        assert_int_equal(n_files(dir), 1);
        assert_known(&r, true, false);
        struct stat a, b;
        char path[160];
        snprintf(path, sizeof path, "%s/%s", dir, r.name);
        assert_int_equal(stat(path, &a), 0);
        weights_tune(&r.w, r.pool, dir); /* reads it */
        assert_int_equal(stat(path, &b), 0);
        assert_true(a.st_ino == b.st_ino);
    }
    rig_close(&r);
}

/* A kind that the file does not know is added; what it knows is followed and stays. */
static void test_file_is_followed(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 1);
    if (can_tune(&r)) {
        char text[PLAN_TEXT_MAX];
        struct plan_choice c;
        memset(&c, -1, sizeof c);
        for (int i = 0; i < PLAN_N_CLASS; i++)
            c.at[PLAN_K][i] = (int8_t)(plan_n_choice(r.w.kern.menu, PLAN_K, i) - 1);
        assert_int_equal(cache_write(dir, r.name, text, plan_write(text, sizeof text, r.machine, &c)), 0);
        weights_tune(&r.w, r.pool, dir);
        assert_known(&r, true, true);
        for (int i = 0; i < PLAN_N_CLASS; i++)
            assert_memory_equal(&r.w.plans.plan[PLAN_K][i], &r.w.kern.menu->set[c.at[PLAN_K][i]].plan[PLAN_K][i],
                                sizeof(struct tile_plan));
        for (int i = 0; i < PLAN_N_CLASS; i++)
            c.at[PLAN_Q4][i] = (int8_t)(plan_n_choice(r.w.kern.menu, PLAN_Q4, i) - 1);
        assert_int_equal(cache_write(dir, r.name, text, plan_write(text, sizeof text, r.machine, &c)), 0);
        weights_tune(&r.w, r.pool, dir);
        for (int i = 0; i < PLAN_N_CLASS; i++)
            assert_memory_equal(&r.w.head.plan[i], &r.w.kern.menu->set[c.at[PLAN_Q4][i]].plan[PLAN_Q4][i],
                                sizeof(struct tile_plan));
    }
    rig_close(&r);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 1);
    if (can_tune(&r)) {
        static char big[1 << 16];
        memset(big, '0', sizeof big);
        assert_int_equal(cache_write(dir, r.name, big, sizeof big), 0);
        weights_tune(&r.w, r.pool, dir);
        assert_known(&r, true, false);
        assert_int_equal(cache_write(dir, r.name, "outrider plans 3\nanother machine\nq4 99999\n", 41), 0);
        weights_tune(&r.w, r.pool, dir);
        assert_known(&r, true, false);
        /* nowhere to write: timed, followed, forgotten */
        weights_tune(&r.w, r.pool, "/proc/self/no-such-folder");
        assert_non_null(r.w.head.plan);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_writers_together, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_timed_once, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_file_is_followed, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_bad_files, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
