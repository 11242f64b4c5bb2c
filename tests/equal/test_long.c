/* Equality beyond one attention chunk (256 positions): the passes of 1 to 64 rows of a long text, and two children of
 * one parent, give the logits of one token at a time, at every level and at thread counts that make attention share
 * whole tiles, queries and chunks. Oracle: plain decoding by level c on one thread, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "support/kern_data.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define WINDOWED "tests/golden/tiny/gemma2.gguf"

enum {
    SEED = 20261124,
    N_TOK = 800, /* four chunks, the last one short */
    N_BATCH = 64,
};

struct text {
    const char *model;
    int32_t tok[N_TOK], other[N_TOK]; /* other[i]: what a side branch says in place of tok[i] */
    size_t row;                       /* bytes of a row of logits */
    char *want, *want_other;          /* [N_TOK] rows: after tok[0..i], after tok[0..i) other[i] */
};

static void open_engine(const struct text *t, struct otr_model **m, struct otr_engine **e, const char *level,
                        int n_threads)
{
    const struct otr_engine_opts eo = {.n_threads = n_threads, .n_ctx = N_TOK + 8, .n_batch = N_BATCH, .n_seq = 2};
    assert_int_equal(otr_model_open(m, t->model, &(struct otr_model_opts){.kern = level}, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(e, *m, &eo, NULL), OTR_OK);
}

static void append_one(const struct text *t, struct otr_seq *s, int32_t tok, char *to)
{
    assert_int_equal(seq_append(s, &tok, 1, true, NULL), OTR_OK);
    memcpy(to, otr_seq_logits(s), t->row);
}

/* One token at a time; the other child of each position from the same sequence, cut back. */
static void plain(struct text *t)
{
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_seq *s;
    struct test_rng r = {.seed = SEED};
    open_engine(t, &m, &e, "c", 1);
    const int n_vocab = otr_model_info(m)->n_vocab;
    t->row = (size_t)n_vocab * sizeof(float);
    t->want = malloc(2 * N_TOK * t->row);
    assert_non_null(t->want);
    t->want_other = t->want + N_TOK * t->row;
    assert_int_equal(otr_seq_create(&s, e, NULL), OTR_OK);
    for (int i = 0; i < N_TOK; i++) {
        t->tok[i] = rng_below(&r, n_vocab);
        t->other[i] = rng_below(&r, n_vocab);
        append_one(t, s, t->other[i], t->want_other + (size_t)i * t->row);
        assert_int_equal(otr_seq_truncate(s, (size_t)i, NULL), OTR_OK);
        append_one(t, s, t->tok[i], t->want + (size_t)i * t->row);
    }
    otr_seq_destroy(s);
    otr_engine_destroy(e);
    otr_model_close(m);
}

static long row_differs(const struct text *t, const struct otr_engine *e, int row, const char *want)
{
    return memcmp(fwd_logits(e->fwd, row), want, t->row) != 0;
}

/* Passes of random size; before each, one of two children, of which neither stays. Rows that differ. */
static long passes(const struct text *t, const char *level, int n_threads)
{
    static const int most[] = {1, 4, 16, N_BATCH, N_BATCH};
    struct otr_model *m;
    struct otr_engine *e;
    struct kv_seq *s;
    struct test_rng r = {.seed = SEED + (uint64_t)n_threads};
    long bad = 0;
    open_engine(t, &m, &e, level, n_threads);
    assert_int_equal(kv_seq_create(&s, e->kv, N_TOK + 8, NULL), OTR_OK);
    for (int at = 0, n; at < N_TOK; at += n) {
        struct fwd_row rows[N_BATCH] = {
            {.token = t->tok[at], .seq = s, .parent = FWD_END, .keep = FWD_KEEP_LOGITS},
            {.token = t->other[at], .seq = s, .parent = FWD_END, .keep = FWD_KEEP_LOGITS},
        };
        int path[N_BATCH];
        assert_int_equal(fwd_run(e->fwd, rows, 2, NULL), OTR_OK);
        bad += row_differs(t, e, 0, t->want + (size_t)at * t->row);
        bad += row_differs(t, e, 1, t->want_other + (size_t)at * t->row);
        n = 1 + rng_below(&r, most[rng_below(&r, 5)]);
        n = n < N_TOK - at ? n : N_TOK - at;
        for (int i = 0; i < n; i++) {
            const unsigned keep = n - i <= FWD_MAX_LOGITS ? FWD_KEEP_LOGITS : 0;
            rows[i] = (struct fwd_row){.token = t->tok[at + i], .seq = s, .parent = i - 1, .keep = keep};
            path[i] = i;
        }
        assert_int_equal(fwd_run(e->fwd, rows, n, NULL), OTR_OK);
        for (int i = n > FWD_MAX_LOGITS ? n - FWD_MAX_LOGITS : 0; i < n; i++)
            bad += row_differs(t, e, i, t->want + (size_t)(at + i) * t->row);
        fwd_commit(e->fwd, s, path, n);
    }
    kv_drop(s);
    otr_engine_destroy(e);
    otr_model_close(m);
    return bad;
}

static void long_text(const char *model)
{
    static const int threads[] = {1, 2, 7, 11};
    struct text t = {.model = model};
    char level[16];
    if (access(model, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", model);
        skip();
    }
    plain(&t);
    for (const char *l = kernels_levels(); sscanf(l, "%15s", level) == 1; l += strlen(level), l += *l == ' ')
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
            if (passes(&t, level, threads[i]))
                fail_msg("%s, level %s, %d threads, seed %d: rows differ", model, level, threads[i], SEED);
    free(t.want);
}

static void test_stories(void **state)
{
    (void)state;
    long_text(STORIES);
}

/* A window and caps. */
static void test_windowed(void **state)
{
    (void)state;
    long_text(WINDOWED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stories), cmocka_unit_test(test_windowed)};
    printf("seed %d, levels of this CPU: %s\n", SEED, kernels_levels());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
