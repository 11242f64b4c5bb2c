/* A model that drafts (draft/lm.h): whatever happened to its sequences before (follow, cut, fork, drop, pages that ran
 * out), every row that it runs has the logits of plain decoding, and no token runs twice without need. Oracle: the
 * whole text in one pass of the engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/lm.h"
#include "engine/engine.h"
#include "support/draft_rig.h"
#include "support/model_rig.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"

enum { N_CTX = 96, N_SEQ = 6 };
static const uint64_t seed = 20261125;

struct rig {
    struct otr_model *m;
    struct otr_engine *e;
    struct draft_host host;
    struct lm *lm;
    uint64_t rng;
    int n_read; /* of the drafter; 0: all */
    long n_row; /* compared */
};

struct text {
    uint64_t id;
    int n;
    int32_t tok[N_CTX];
};

static void open_rig(struct rig *r, int n_seq, int n_read)
{
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = N_CTX, .n_batch = N_CTX, .n_seq = 2};
    struct otr_err err = {0};
    *r = (struct rig){.rng = seed, .n_read = n_read};
    if (access(MODEL, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", MODEL);
        skip();
    }
    assert_int_equal(otr_model_open(&r->m, MODEL, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&r->e, r->m, &eo, NULL), OTR_OK);
    r->host = mr_host(r->e, N_CTX, n_seq);
    if (lm_open(&r->lm, &r->host, &(struct lm_opts){.path = MODEL, .n_read = n_read}, &err) < 0)
        fail_msg("%s", err.msg);
}

static void close_rig(struct rig *r)
{
    lm_close(r->lm);
    lm_files_destroy(r->host.files);
    otr_engine_destroy(r->e);
    otr_model_close(r->m);
}

/* Whether these are the logits after the text, from a token on, and the path: in one pass of the engine. */
static bool is_row(struct rig *r, const struct text *t, int from, const int32_t *path, int n_path, const float *got)
{
    struct fwd_row rows[2 * N_CTX];
    struct kv_seq *s;
    const int n_text = t->n - from, n = n_text + n_path;
    assert_int_equal(kv_seq_create(&s, r->e->kv, N_CTX, NULL), OTR_OK);
    for (int i = 0; i < n; i++)
        rows[i] =
            (struct fwd_row){.token = i < n_text ? t->tok[from + i] : path[i - n_text], .seq = s, .parent = i - 1};
    rows[n - 1].keep = FWD_KEEP_LOGITS;
    assert_int_equal(fwd_run(r->e->fwd, rows, n, NULL), OTR_OK);
    const bool same = memcmp(got, fwd_logits(r->e->fwd, n - 1), (size_t)r->m->info.n_vocab * sizeof *got) == 0;
    kv_drop(s);
    return same;
}

/* Those of all the text; where the drafter does not read all, of an end of it that is long enough. */
static void check_row(struct rig *r, const struct text *t, const int32_t *path, int n_path, int row)
{
    const float *got = lm_logits(r->lm, row);
    int from = 0;
    assert_non_null(got);
    while (from < t->n && !is_row(r, t, from, path, n_path, got))
        from++;
    assert_in_range(from, 0, r->n_read ? t->n - 1 : 0);
    assert_true(from == 0 || t->n - 1 - from >= r->n_read / 2);
    r->n_row++;
}

static int32_t some_token(struct rig *r)
{
    return 3 + dr_below(&r->rng, 500);
}

/* A random tree of `level` levels below each item's row. Rows are checked as they come; the path to one row of the last
 * level of item k is drafted[k] [n_drafted[k]]. */
static void grow(struct rig *r, const struct text *const *t, const struct lm_item *it, int n, int level,
                 int32_t drafted[][8], int *n_drafted)
{
    struct lm_row rows[N_SEQ * 3];
    int tip[N_SEQ][3], n_tip[N_SEQ];
    int32_t path[N_SEQ][3][8];
    for (int i = 0; i < n; i++) {
        n_tip[i] = it[i].row >= 0;
        tip[i][0] = it[i].row;
        n_drafted[i] = 0;
    }
    for (int l = 0; l < level; l++) {
        int n_rows = 0, of[N_SEQ * 3], k = 0;
        int32_t next[N_SEQ][3][8];
        for (int i = 0; i < n; i++) {
            const int m = n_tip[i] ? 1 + dr_below(&r->rng, 3) : 0;
            for (int j = 0; j < m; j++) {
                const int p = dr_below(&r->rng, n_tip[i]);
                memcpy(next[i][j], path[i][p], sizeof next[i][j]);
                next[i][j][l] = some_token(r);
                of[n_rows] = i;
                rows[n_rows++] = (struct lm_row){tip[i][p], next[i][j][l]};
            }
            n_tip[i] = m;
        }
        if (n_rows == 0)
            return;
        const int first = lm_more(r->lm, rows, n_rows, NULL);
        if (first == OTR_E_LIMIT && r->host.n_seq < N_SEQ) /* no page is left: the drafts end here */
            return;
        assert_true(first > 0);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n_tip[i]; j++, k++) {
                assert_int_equal(of[k], i);
                memcpy(path[i][j], next[i][j], sizeof path[i][j]);
                tip[i][j] = first + k;
                check_row(r, t[i], path[i][j], l + 1, first + k);
                memcpy(drafted[i], path[i][j], sizeof path[i][j]);
                n_drafted[i] = l + 1;
            }
    }
}

/* What a step does to a text: some of the draft is kept, then a token of the target's own. */
static void step(struct rig *r, struct text *t, const int32_t *drafted, int n_drafted)
{
    const int keep = dr_below(&r->rng, n_drafted + 1);
    memcpy(t->tok + t->n, drafted, (size_t)keep * sizeof *drafted);
    t->n += keep;
    t->tok[t->n++] = some_token(r);
}

/* Random work on six texts with room for `room` of them at full length. */
static void work(int room, int rounds, int n_read)
{
    struct rig r;
    struct text text[N_SEQ] = {{0}};
    uint64_t next_id = 1;
    open_rig(&r, room, n_read);
    for (int i = 0; i < N_SEQ; i++) {
        text[i] = (struct text){.id = next_id++, .n = 2};
        text[i].tok[0] = 1;
        text[i].tok[1] = some_token(&r);
    }
    for (int round = 0; round < rounds; round++) {
        struct lm_item it[N_SEQ];
        struct text *of[N_SEQ];
        int32_t drafted[N_SEQ][8];
        int n = 0, n_drafted[N_SEQ];
        for (int i = 0; i < N_SEQ; i++) {
            struct text *t = &text[i];
            const int what = dr_below(&r.rng, 16);
            if (t->n > N_CTX - 20 || what == 0) { /* a new text that begins as another one does: a fork */
                const struct text *from = &text[dr_below(&r.rng, N_SEQ)];
                const int keep = 1 + dr_below(&r.rng, from->n < 40 ? from->n : 40);
                lm_drop(r.lm, t->id);
                memmove(t->tok, from->tok, (size_t)keep * sizeof *t->tok);
                t->n = keep;
                t->id = next_id++;
            } else if (what == 1) { /* cut, and told or not */
                t->n = 1 + dr_below(&r.rng, t->n);
                if (round % 2)
                    lm_follow(r.lm, t->id, t->tok, (size_t)t->n);
            } else if (what == 2) { /* tokens that it was not asked about */
                for (int k = dr_below(&r.rng, 19); k >= 0 && t->n < N_CTX - 20; k--)
                    t->tok[t->n++] = some_token(&r);
            }
            if (dr_below(&r.rng, 3))
                of[n++] = t;
        }
        for (int i = 0; i < n; i++)
            it[i] = (struct lm_item){.seq = of[i]->id, .tok = of[i]->tok, .n = (size_t)of[i]->n};
        if (n == 0)
            continue;
        const int n_ahead = round % 4 == 1 ? 1 + dr_below(&r.rng, 5) : 0; /* chains that run in the first pass */
        for (int i = 0; i < n; i++) {
            it[i].n_ahead = n_ahead;
            for (int k = 0; k < n_ahead; k++)
                of[i]->tok[of[i]->n + k] = some_token(&r);
        }
        const uint64_t n_run = lm_rows_run(r.lm);
        if (round % 3 == 0)
            assert_int_equal(lm_sync(r.lm, it, n, NULL), OTR_OK);
        assert_int_equal(lm_begin(r.lm, it, n, NULL), OTR_OK);
        assert_true(it[0].row >= 0 || room == 0);
        if (n_read > 0)
            assert_in_range(lm_rows_run(r.lm) - n_run, n, n * (n_read + 1 + n_ahead));
        for (int i = 0; i < n; i++) {
            if (room >= N_SEQ)
                assert_true(it[i].row >= 0);
            for (int k = 0; k <= n_ahead && it[i].row >= 0; k++)
                check_row(&r, of[i], of[i]->tok + of[i]->n, k, it[i].row + k);
        }
        grow(&r, (const struct text *const *)of, it, n, dr_below(&r.rng, 5), drafted, n_drafted);
        for (int i = 0; i < n; i++) {
            step(&r, of[i], drafted[i], n_drafted[i]);
            if (round % 5)
                lm_follow(r.lm, of[i]->id, of[i]->tok, (size_t)of[i]->n);
        }
    }
    printf("room for %d of %d texts, %d tokens read: %ld rows compared (seed %llu)\n", room, N_SEQ, n_read, r.n_row,
           (unsigned long long)seed);
    assert_true(r.n_row > rounds);
    close_rig(&r);
}

static void test_same_bits(void **state)
{
    (void)state;
    work(N_SEQ, 150, 0);
}

static void test_few_pages(void **state)
{
    (void)state;
    work(1, 150, 0);
}

/* A drafter that reads the ends of texts. */
static void test_reads_few(void **state)
{
    (void)state;
    struct rig r;
    struct text t = {.id = 1, .n = 60};
    work(N_SEQ, 100, 20);
    work(N_SEQ, 20, 1);
    open_rig(&r, N_SEQ, 16);
    for (int i = 0; i < t.n; i++)
        t.tok[i] = some_token(&r);
    struct lm_item it = {.seq = 1, .tok = t.tok, .n = 60};
    assert_int_equal(lm_begin(r.lm, &it, 1, NULL), OTR_OK);
    assert_int_equal(lm_rows_run(r.lm), 17); /* and the newest token */
    lm_follow(r.lm, 1, t.tok, 60);
    t.tok[t.n++] = 7;
    it.n = 61;
    assert_int_equal(lm_begin(r.lm, &it, 1, NULL), OTR_OK);
    assert_int_equal(lm_rows_run(r.lm), 19); /* the 60th again, which was not followed; what it has stays */
    check_row(&r, &t, NULL, 0, it.row);
    t.n = 50; /* six tokens of it are left: that is less than a half of 16 */
    it.n = 50;
    assert_int_equal(lm_begin(r.lm, &it, 1, NULL), OTR_OK);
    assert_int_equal(lm_rows_run(r.lm), 36);
    check_row(&r, &t, NULL, 0, it.row);
    t.n = 12; /* all of it */
    it.n = 12;
    assert_int_equal(lm_begin(r.lm, &it, 1, NULL), OTR_OK);
    assert_int_equal(lm_rows_run(r.lm), 48);
    check_row(&r, &t, NULL, 0, it.row);
    close_rig(&r);
}

/* Rows that ran, counted: the prompt once, every drafted row once, and of a text that follows the draft only what the
 * draft did not run. */
static void test_never_twice(void **state)
{
    (void)state;
    struct rig r;
    struct text t = {.id = 1, .n = 60}, fork;
    open_rig(&r, N_SEQ, 0);
    for (int i = 0; i < t.n; i++)
        t.tok[i] = some_token(&r);
    struct lm_item it = {.seq = 1, .tok = t.tok, .n = 60};
    assert_int_equal(lm_begin(r.lm, &it, 1, NULL), OTR_OK);
    assert_int_equal(lm_rows_run(r.lm), 60);
    int row = it.row;
    int32_t d[4];
    for (int i = 0; i < 4; i++) {
        d[i] = some_token(&r);
        row = lm_more(r.lm, &(struct lm_row){row, d[i]}, 1, NULL);
    }
    assert_int_equal(lm_rows_run(r.lm), 64);
    memcpy(t.tok + t.n, d, sizeof d); /* all four were right, and one more came */
    t.n += 5;
    t.tok[t.n - 1] = 7;
    lm_follow(r.lm, 1, t.tok, (size_t)t.n);
    it.n = (size_t)t.n;
    assert_int_equal(lm_begin(r.lm, &it, 1, NULL), OTR_OK);
    assert_int_equal(lm_rows_run(r.lm), 65);
    check_row(&r, &t, NULL, 0, it.row);
    lm_more(r.lm, &(struct lm_row){it.row, 9}, 1, NULL); /* wrong */
    t.tok[t.n++] = 11;
    it.n = (size_t)t.n;
    assert_int_equal(lm_begin(r.lm, &it, 1, NULL), OTR_OK); /* nobody told it: it sees by itself */
    assert_int_equal(lm_rows_run(r.lm), 67);
    check_row(&r, &t, NULL, 0, it.row);
    fork = t;
    fork.tok[fork.n++] = 12;
    struct lm_item two = {.seq = 2, .tok = fork.tok, .n = (size_t)fork.n};
    assert_int_equal(lm_begin(r.lm, &two, 1, NULL), OTR_OK);
    assert_int_equal(lm_rows_run(r.lm), 69); /* the token before the last one's row was never committed */
    check_row(&r, &fork, NULL, 0, two.row);
    check_row(&r, &fork, NULL, 0, two.row);
    close_rig(&r);
}

static void test_refused(void **state)
{
    (void)state;
    struct rig r;
    struct otr_err err = {0};
    struct lm *lm = NULL;
    const int32_t tok[2] = {1, 1 << 20};
    open_rig(&r, 1, 0);
    struct lm_item it = {.seq = 1, .tok = tok, .n = 2};
    assert_int_equal(lm_begin(r.lm, &it, 1, &err), OTR_E_ARG); /* a token that it does not know */
    assert_int_equal(it.row, -1);
    it.n = 1;
    assert_int_equal(lm_begin(r.lm, &it, 1, &err), OTR_OK);
    assert_int_equal(lm_more(r.lm, &(struct lm_row){7, 1}, 1, &err), OTR_E_ARG);
    assert_int_equal(lm_more(r.lm, &(struct lm_row){it.row, -1}, 1, &err), OTR_E_ARG);
    assert_int_equal(lm_more(r.lm, &(struct lm_row){it.row, 1}, 0, &err), OTR_E_LIMIT);
    assert_int_equal(lm_more(r.lm, &(struct lm_row){it.row, 1}, 1, &err), 1); /* the pass is as it was */
    r.host.mem_cap = 100;                                                     /* bytes */
    assert_int_equal(lm_open(&lm, &r.host, &(struct lm_opts){.path = MODEL}, &err), OTR_E_LIMIT);
    assert_non_null(strstr(err.msg, "no room for a drafter"));
    assert_int_equal(lm_open(&lm, NULL, &(struct lm_opts){.path = MODEL}, &err), OTR_E_ARG);
    assert_null(lm);
    assert_int_equal(lm_bytes(r.lm), 32 * 2 * 5 * 4 * 8 * 2); /* one page in use; the weights are the target's */
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),   cmocka_unit_test(test_few_pages), cmocka_unit_test(test_reads_few),
        cmocka_unit_test(test_never_twice), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
