/* A drafter's short head (draft/few_rows.h) and counts of tokens (draft/freq.h): the bits of each logit that is left
 * are those of the whole head; the right tokens are left; files that are cut, changed or of another vocabulary are
 * refused, and what runs saw is kept. That replies stay the same is tested in tests/equal. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/draft_row.h"
#include "draft/few_rows.h"
#include "engine/engine.h"
#include "load/lower.h"
#include "support/draft_rig.h"
#include "support/equal.h"
#include "support/model_rig.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
enum { N_CTX = 128, MAX_ROWS = FWD_MAX_LOGITS };

struct rig {
    struct otr_model *m;
    struct otr_engine *e;
    struct draft_host host;
};

static void open_rig(struct rig *r, const char *path, const struct otr_model_opts *mo, int n_threads)
{
    const struct otr_engine_opts eo = {.n_threads = n_threads, .n_ctx = N_CTX, .n_seq = 2};
    struct otr_err err = {0};
    if (otr_model_open(&r->m, path, mo, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
    assert_int_equal(otr_engine_create(&r->e, r->m, &eo, NULL), OTR_OK);
    r->host = mr_host(r->e, N_CTX, 2);
}

static void close_rig(struct rig *r)
{
    lm_files_destroy(r->host.files);
    otr_engine_destroy(r->e);
    otr_model_close(r->m);
}

static int open_few(struct few_rows **f, const struct rig *r, const struct weights *w, enum ggml_type type, int rows,
                    const char *freq, struct otr_err *err)
{
    char n[16];
    snprintf(n, sizeof n, "%d", rows);
    const struct draft_param param[] = {{"rows", n}, {"freq", freq}};
    const struct draft_env env = {
        .host = &r->host, .tok = r->m->tok, .n_vocab = r->m->info.n_vocab, .param = param, .n_param = freq ? 2 : 1};
    return few_rows_open(f, &env, r->m->tok, w, type, err);
}

/* ---- bits ---- */

/* Logits of `n` rows by the whole head of w, then by some of its rows. */
static void compare_bits(const struct rig *r, const struct weights *w, enum ggml_type type, int rows, int n)
{
    const size_t v = (size_t)r->m->info.n_vocab;
    struct fwd *f;
    struct few_rows *few;
    struct kv_seq *s;
    struct otr_err err = {0};
    struct fwd_row row[MAX_ROWS];
    int keep[MAX_ROWS], bad = 0;
    float *want = malloc((size_t)n * v * sizeof *want);
    assert_non_null(want);
    if (open_few(&few, r, w, type, rows, NULL, &err) < 0)
        fail_msg("%d rows: %s", rows, err.msg);
    assert_non_null(few);
    assert_int_equal(few->n, few->head.n_rows);
    assert_true(few->n >= rows);
    for (int i = 1; i < few->n; i++)
        assert_true(few->id[i] > few->id[i - 1]);
    assert_int_equal(kv_seq_create(&s, r->e->kv, N_CTX, NULL), OTR_OK);
    assert_int_equal(fwd_create(&f, w, r->e->pool, r->e->kv, &(struct fwd_opts){MAX_ROWS, N_CTX}, NULL), OTR_OK);
    for (int i = 0; i < n; i++) {
        row[i] = (struct fwd_row){.token = 5 + 7 * i % 400, .seq = s, .parent = i - 1, .keep = FWD_KEEP_LOGITS};
        keep[i] = i;
    }
    assert_int_equal(fwd_run(f, row, n, NULL), OTR_OK);
    for (int i = 0; i < n; i++)
        memcpy(want + (size_t)i * v, fwd_logits(f, i), v * sizeof *want);
    fwd_set_head(f, &few->head);
    assert_int_equal(fwd_head(f, keep, n, NULL), OTR_OK);
    for (int i = 0; i < n; i++) {
        const float *got = fwd_logits(f, i);
        int best = 0;
        for (int k = 0; k < few->n; k++) {
            // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bits, not values
            bad += memcmp(&got[k], &want[(size_t)i * v + (size_t)few->id[k]], sizeof *got) != 0;
            best = got[k] > got[best] ? k : best;
        }
        assert_int_equal(fwd_argmax(f, i), best);
    }
    fwd_set_head(f, NULL);
    assert_int_equal(fwd_head(f, keep, n, NULL), OTR_OK);
    assert_memory_equal(fwd_logits(f, n - 1), want + (size_t)(n - 1) * v, v * sizeof *want);
    if (bad)
        fail_msg("%d of %d logits differ (%d rows of the head, %d at once, %s)", bad, n * few->n, rows, n,
                 ggml_type_name((uint32_t)type));
    few_rows_close(few);
    fwd_destroy(f);
    kv_drop(s);
    free(want);
}

static void all_sizes(const struct rig *r, const struct weights *w, enum ggml_type type)
{
    static const int rows[] = {1, 31, 32, 33, 64, 301, 500};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int n = 1; n <= MAX_ROWS; n += i % 2 ? 31 : 4)
            compare_bits(r, w, type, rows[i], n);
}

static void test_bits(void **state)
{
    (void)state;
    static const struct otr_model_opts ways[] = {{0}, {.kern = "c"}, {.no_repack = true}};
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    for (int i = 0; i < 3; i++) {
        struct rig r;
        open_rig(&r, STORIES, &ways[i], 1 + i);
        all_sizes(&r, r.m->w, r.m->w->head.type);
        if (!ways[i].no_repack)
            for (int k = 0; k < 3; k++) { /* as lowbit has them: whole heads of these types are the oracle */
                static const enum ggml_type types[] = {GGML_Q4_0, GGML_Q4_1, GGML_Q8_0};
                struct weights *low;
                assert_int_equal(weights_lower(&low, r.m->w, types[k], LOWER_HEAD, SIZE_MAX, r.e->pool, NULL), OTR_OK);
                all_sizes(&r, low, types[k]);
                weights_close(low);
            }
        close_rig(&r);
    }
}

/* The types of real files. */
static void test_real_bits(void **state)
{
    static const char *const files[] = {"SmolLM2-135M-Instruct-Q4_1.gguf", "gemma-3-270m-Q4_K_M.gguf",
                                        "SmolLM2-135M-Instruct-F16.gguf"};
    (void)state;
    int n = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char buf[512];
        struct rig r;
        const char *path = eq_model_path(buf, sizeof buf, files[i]);
        if (!path)
            continue;
        open_rig(&r, path, NULL, 2);
        compare_bits(&r, r.m->w, r.m->w->head.type, 64, 3);
        compare_bits(&r, r.m->w, r.m->w->head.type, 8192, 1);
        close_rig(&r);
        n++;
    }
    if (n == 0) {
        printf("SKIPPED: no models\n");
        skip();
    }
}

/* ---- rows of such logits ---- */

/* The law is that of the whole row with -inf where there is no logit, whichever way it is worked out. */
static void test_law_of_few(void **state)
{
    (void)state;
    enum { V = 400, N = 70 };
    static struct otr_logit_bias no_change = {7, 0.0f};
    static float whole[V], few[N];
    int32_t of[N], hist[3] = {1, 2, 3};
    uint64_t rng = 1;
    for (int round = 0; round < 200; round++) {
        struct draft_row a, b;
        struct draft_ask ask = {.tok = hist, .n = 3, .max_entries = 1 + round % 20, .sampling = otr_sampling_default()};
        ask.sampling.temp = round % 5 == 0 ? 0 : 0.9f;
        ask.sampling.top_k = round % 3 ? 0 : 10;
        ask.sampling.top_p = round % 2 ? 0.9f : 1;
        ask.luck.rule = round % 4 ? RULE_GUMBEL : RULE_RATIO;
        for (int i = 0; i < V; i++)
            whole[i] = -INFINITY;
        for (int i = 0, id = 0; i < N; i++) {
            id += 1 + dr_below(&rng, V / N - 1);
            of[i] = id;
            whole[id] = few[i] = (float)dr_below(&rng, 60) / 8; /* with ties */
        }
        assert_int_equal(draft_row_open(&a, V, NULL, NULL, NULL), OTR_OK);
        assert_int_equal(draft_row_open(&b, V, NULL, NULL, NULL), OTR_OK);
        assert_int_equal(draft_row_few(&b, of, N, NULL, NULL, NULL), OTR_OK);
        for (int edited = 0; edited < 2; edited++) {
            ask.sampling.bias = edited ? &no_change : NULL;
            ask.sampling.n_bias = (size_t)edited;
            assert_int_equal(draft_row_make(&a, &ask, NULL, 0, whole, NULL), OTR_OK);
            assert_int_equal(draft_row_make(&b, &ask, NULL, 0, few, NULL), OTR_OK);
            assert_int_equal(a.n, b.n);
            assert_memory_equal(a.id, b.id, (size_t)a.n * sizeof *a.id);
            assert_memory_equal(a.p, b.p, (size_t)a.n * sizeof *a.p);
        }
        draft_row_close(&a);
        draft_row_close(&b);
    }
}

/* ---- counts ---- */

static struct tokenizer *stories_tok(struct gguf **g)
{
    struct tokenizer *t;
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    assert_int_equal(gguf_open(g, STORIES, NULL), OTR_OK);
    assert_int_equal(tokenizer_open(&t, *g, NULL), OTR_OK);
    return t;
}

static bool has(const int32_t *id, int n, int32_t what)
{
    for (int i = 0; i < n; i++)
        if (id[i] == what)
            return true;
    return false;
}

static void test_choice(void **state)
{
    (void)state;
    struct gguf *g;
    struct tokenizer *t = stories_tok(&g);
    const int v = tokenizer_n_vocab(t);
    int32_t *id = malloc((size_t)v * sizeof *id);
    const int32_t text[] = {400, 400, 400, 401, 401, 500, 500, 30, 7, -1, 1 << 20};
    struct freq f;
    assert_non_null(id);
    assert_int_equal(freq_init(&f, v, NULL), OTR_OK);
    freq_add(&f, text, sizeof text / sizeof *text);
    int n = freq_choose(&f, t, 5, id, NULL); /* bos and eos, then by count, ties by id */
    assert_int_equal(n, 5);
    assert_true(has(id, n, tokenizer_bos(t)) && has(id, n, tokenizer_eos(t)));
    assert_true(has(id, n, 400) && has(id, n, 401) && has(id, n, 500) && id[0] < id[1] && id[3] < id[4]);
    n = freq_choose(&f, t, 64, id, NULL); /* then the order of the vocabulary */
    assert_int_equal(n, 64);
    assert_true(has(id, n, 7) && has(id, n, 30) && has(id, n, 10) && has(id, n, 50) && !has(id, n, 300));
    assert_true(freq_choose(&f, t, 1, id, NULL) >= 2); /* an end may always be drafted */
    assert_int_equal(freq_choose(&f, t, v + 9, id, NULL), v);
    freq_fini(&f);
    free(id);
    tokenizer_close(t);
    gguf_close(g);
}

static void write_bytes(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Refused with that word, and nothing was added. */
static void bad_file(const char *path, const char *key, int v, int code, const char *says)
{
    struct freq f;
    struct otr_err err = {0};
    assert_int_equal(freq_init(&f, v, NULL), OTR_OK);
    const int rc = freq_read(&f, path, key, &err);
    if (rc != code || !strstr(err.msg, says) || !strstr(err.msg, path))
        fail_msg("code %d, '%s', wanted '%s'", rc, err.msg, says);
    for (int i = 0; i < v; i++)
        assert_int_equal(f.count[i], 0);
    freq_fini(&f);
}

static void test_file(void **state)
{
    (void)state;
    enum { V = 100 };
    char path[300];
    const char *key = "0123456789abcdef", *other = "0123456789abcdee";
    const int32_t text[] = {5, 5, 99, 0};
    struct freq f, back;
    size_t bytes;
    assert_int_equal(freq_init(&f, V, NULL), OTR_OK);
    freq_add(&f, text, 4);
    char *image = freq_image(&f, key, &bytes);
    assert_non_null(image);
    dr_tmp_file(path, sizeof path);
    write_bytes(path, image, bytes);
    assert_int_equal(freq_init(&back, V, NULL), OTR_OK);
    for (int k = 1; k <= 2; k++) { /* it adds */
        assert_int_equal(freq_read(&back, path, key, NULL), OTR_OK);
        assert_true(back.count[5] == 2 * (uint32_t)k && back.count[99] == (uint32_t)k && back.count[1] == 0);
    }
    back.count[5] = UINT32_MAX - 1;
    assert_int_equal(freq_read(&back, path, key, NULL), OTR_OK);
    assert_true(back.count[5] == UINT32_MAX); /* and stays there */
    freq_add(&back, text, 4);
    assert_true(back.count[5] == UINT32_MAX);
    bad_file(path, other, V, OTR_E_FORMAT, "another vocabulary");
    bad_file(path, key, V + 1, OTR_E_FORMAT, "another vocabulary");
    for (size_t n = 0; n < bytes; n++) {
        write_bytes(path, image, n);
        bad_file(path, key, V, OTR_E_FORMAT, n < sizeof(struct freq_head) ? "not a frequency file" : "damaged");
    }
    for (size_t i = 0; i < bytes; i++) {
        if (i >= offsetof(struct freq_head, zero) && i < offsetof(struct freq_head, sum))
            continue; /* means nothing yet */
        image[i] ^= 0x10;
        write_bytes(path, image, bytes);
        bad_file(path, key, V, OTR_E_FORMAT, "make ");
        image[i] ^= 0x10;
    }
    unlink(path);
    bad_file(path, key, V, OTR_E_IO, "No such file");
    assert_int_equal(mkfifo(path, 0600), 0);
    bad_file(path, key, V, OTR_E_IO, "not a regular file");
    unlink(path);
    free(image);
    freq_fini(&f);
    freq_fini(&back);
}

/* ---- what runs saw ---- */

static void reply(struct rig *r, const char *method, const char *dir)
{
    struct otr_seq *s;
    struct otr_gen_result out;
    struct otr_err err = {0};
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = 50, .ignore_eos = true};
    g.sampling.temp = 0;
    const struct otr_spec sp = {.methods = &method, .n_methods = 1, .dir = dir, .draft_fixed = 4};
    if (otr_engine_speculate(r->e, &sp, &err) < 0)
        fail_msg("%s: %s", method, err.msg);
    assert_int_equal(otr_seq_create(&s, r->e, NULL), OTR_OK);
    assert_int_equal(otr_generate(s, (int32_t[]){1, 403, 407}, 3, &g, &out, NULL), OTR_OK);
    otr_gen_result_free(&out);
    otr_seq_destroy(s);
    assert_int_equal(otr_engine_speculate(r->e, NULL, NULL), OTR_OK);
}

static uint64_t total(const char *path, const struct tokenizer *t, uint32_t *of_403)
{
    struct freq f;
    char key[FREQ_KEY + 1];
    uint64_t n = 0;
    freq_key(t, key);
    assert_int_equal(freq_init(&f, tokenizer_n_vocab(t), NULL), OTR_OK);
    if (freq_read(&f, path, key, NULL) == OTR_OK)
        for (int i = 0; i < f.n_vocab; i++)
            n += f.count[i];
    *of_403 = f.count[403];
    freq_fini(&f);
    return n;
}

static void test_seen(void **state)
{
    (void)state;
    static const char *const methods[] = {"lowbit:rows=64", "exit:rows=64", "skip:set=-af--,rows=64",
                                          "draft:model=" STORIES ",rows=64", "tli:model=" STORIES ",rows=64"};
    char dir[] = "/tmp/outrider-few-XXXXXX", key[FREQ_KEY + 1], name[FEW_ROWS_NAME], path[128];
    struct rig r;
    uint32_t of_403;
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    assert_non_null(mkdtemp(dir));
    open_rig(&r, STORIES, NULL, 1);
    freq_key(r.m->tok, key);
    few_rows_file(name, key);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    reply(&r, "lowbit", dir);
    assert_int_equal(access(path, R_OK), -1); /* nobody asked for it */
    uint64_t before = 0;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        reply(&r, methods[i], dir);
        const uint64_t n = total(path, r.m->tok, &of_403);
        assert_true(n >= before + 52 && n <= before + 53); /* the last token has no row */
        assert_true(of_403 > i);
        before = n;
    }
    struct few_rows *few; /* what was seen is drafted now: 403 is far behind in the vocabulary's order */
    r.host.cache_dir = dir;
    assert_int_equal(open_few(&few, &r, r.m->w, r.m->w->head.type, 64, NULL, NULL), OTR_OK);
    assert_true(has(few->id, few->n, 403));
    few_rows_close(few);
    write_bytes(path, "OUTRIDER-FREQ 1\nrubbish", 23); /* a damaged one counts as none, and is written anew */
    reply(&r, methods[0], dir);
    assert_true(total(path, r.m->tok, &of_403) >= 52);
    char cmd[160];
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    assert_int_equal(system(cmd), 0); // NOLINT(cert-env33-c)
    close_rig(&r);
}

/* Rows that hold a reply's tokens: a drafter that is the model is always right with them. One that had other tokens'
 * logits, or ids, would be wrong. */
static void test_right(void **state)
{
    (void)state;
    static const char *const methods[] = {"draft:model=" STORIES, "skip:set=-----", "tli:model=" STORIES};
    struct rig r;
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = 60, .ignore_eos = true};
    struct freq f;
    char path[300], method[500], key[FREQ_KEY + 1];
    size_t bytes;
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    open_rig(&r, STORIES, NULL, 1);
    assert_int_equal(freq_init(&f, tokenizer_n_vocab(r.m->tok), NULL), OTR_OK);
    freq_key(r.m->tok, key);
    dr_tmp_file(path, sizeof path);
    for (int i = -1; i < 6; i++) {
        const char *one = method;
        struct otr_seq *s;
        struct otr_gen_result out;
        struct otr_err err = {0};
        g.sampling.temp = i % 2 == 1 ? 0.8f : 0;
        g.sampling.top_k = 0;
        g.sampling.top_p = 1;
        snprintf(method, sizeof method, "%s,rows=150,freq=%s,p_min=0", methods[i < 0 ? 0 : i / 2], path);
        const struct otr_spec sp = {.methods = &one, .n_methods = 1, .draft_fixed = 4};
        if (i >= 0 && otr_engine_speculate(r.e, &sp, &err) < 0)
            fail_msg("%s: %s", method, err.msg);
        assert_int_equal(otr_seq_create(&s, r.e, NULL), OTR_OK);
        assert_int_equal(otr_generate(s, (int32_t[]){1, 403, 407}, 3, &g, &out, NULL), OTR_OK);
        if (i < 0) {
            freq_add(&f, out.tokens, out.n_reply);
            char *image = freq_image(&f, key, &bytes);
            assert_non_null(image);
            write_bytes(path, image, bytes);
            free(image);
        } else if (out.spec.n_draft < 20 || (g.sampling.temp <= 0 && out.spec.n_accepted != out.spec.n_draft) ||
                   out.spec.n_accepted == 0)
            fail_msg("%s, temperature %.1f: %zu of %zu kept", method, (double)g.sampling.temp, out.spec.n_accepted,
                     out.spec.n_draft);
        otr_gen_result_free(&out);
        otr_seq_destroy(s);
    }
    unlink(path);
    freq_fini(&f);
    close_rig(&r);
}

static void test_refused(void **state)
{
    (void)state;
    struct rig r;
    struct few_rows *few;
    struct otr_err err = {0};
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        skip();
    }
    open_rig(&r, STORIES, NULL, 1);
    assert_int_equal(open_few(&few, &r, r.m->w, r.m->w->head.type, 0, NULL, &err), OTR_E_ARG);
    assert_non_null(strstr(err.msg, "rows"));
    assert_int_equal(open_few(&few, &r, r.m->w, r.m->w->head.type, 1 << 20, NULL, &err), OTR_OK);
    assert_null(few); /* all of them */
    assert_int_equal(open_few(&few, &r, r.m->w, r.m->w->head.type, 64, "/nowhere/x", &err), OTR_E_IO);
    r.host.mem_cap = 100;
    assert_int_equal(open_few(&few, &r, r.m->w, r.m->w->head.type, 64, NULL, &err), OTR_E_LIMIT);
    assert_non_null(strstr(err.msg, "no room for a drafter"));
    static const char *const alone[] = {"lowbit:freq=x", "draft:model=" STORIES ",freq=x"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(otr_engine_speculate(r.e, &(struct otr_spec){.methods = &alone[i], .n_methods = 1}, &err),
                         OTR_E_ARG);
        assert_non_null(strstr(err.msg, "add rows=N"));
    }
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),   cmocka_unit_test(test_real_bits), cmocka_unit_test(test_law_of_few),
        cmocka_unit_test(test_choice), cmocka_unit_test(test_file),      cmocka_unit_test(test_seen),
        cmocka_unit_test(test_right),  cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
