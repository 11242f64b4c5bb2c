/* The seams of the forward pass that no program uses yet: hidden-state taps, layer ranges, the head alone, rows with an
 * embedding of their own, and the refusals, after which a sequence must be as it was; and what becomes of damaged
 * logits. Oracle: the same numbers by the plain way, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "load/dequant.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"

enum { N_CTX = 128, N_BATCH = 64, N_TOK = 9 };
static const int32_t text[N_TOK] = {1, 403, 407, 261, 378, 432, 383, 286, 261};

struct rig {
    struct otr_model *m;
    struct otr_engine *e;
    struct kv_seq *s;
    size_t row_bytes, logit_bytes; /* of a hidden state, of a row of logits */
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = N_CTX, .n_batch = N_BATCH, .n_seq = 1};
    assert_non_null(r);
    *state = r;
    if (access(MODEL, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", MODEL);
        return 0;
    }
    assert_int_equal(otr_model_open(&r->m, MODEL, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&r->e, r->m, &eo, NULL), OTR_OK);
    assert_int_equal(kv_seq_create(&r->s, r->e->kv, N_CTX, NULL), OTR_OK);
    r->row_bytes = (size_t)r->m->info.n_embd * sizeof(float);
    r->logit_bytes = (size_t)r->m->info.n_vocab * sizeof(float);
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    kv_drop(r->s);
    otr_engine_destroy(r->e);
    otr_model_close(r->m);
    free(r);
    return 0;
}

static struct rig *rig_of(void **state)
{
    struct rig *r = *state;
    if (!r->m)
        skip();
    return r;
}

/* The text as one chain; all rows keep hidden states, the last its logits. */
static void chain(const struct rig *r, struct fwd_row *rows)
{
    for (int i = 0; i < N_TOK; i++)
        rows[i] = (struct fwd_row){.token = text[i], .seq = r->s, .parent = i - 1, .keep = FWD_KEEP_HIDDEN};
    rows[N_TOK - 1].keep |= FWD_KEEP_LOGITS;
}

static float *copy_of(const float *x, size_t bytes)
{
    float *p = malloc(bytes);
    assert_true(p && x);
    memcpy(p, x, bytes);
    return p;
}

static void test_taps(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    const int n_layer = r->m->info.n_layer, layers[3] = {0, 2, n_layer};
    struct fwd_row rows[N_TOK];
    chain(r, rows);
    rows[4].keep = 0;
    assert_int_equal(fwd_set_taps(f, layers, 3, NULL), OTR_OK);
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    assert_null(fwd_tap(f, 0, 4));
    assert_null(fwd_tap(f, 3, 0));
    float *in0 = copy_of(fwd_tap(f, 0, 7), r->row_bytes);
    float *in2 = copy_of(fwd_tap(f, 1, 7), r->row_bytes), *out = copy_of(fwd_tap(f, 2, 7), r->row_bytes);
    float *logits = copy_of(fwd_logits(f, N_TOK - 1), r->logit_bytes);

    /* the same by hand: embed, two layers, look; the rest, look; the head */
    struct otr_err err = {0};
    assert_int_equal(fwd_begin(f, rows, N_TOK, NULL), OTR_OK);
    fwd_embed(f);
    assert_memory_equal(fwd_hidden(f, 7), in0, r->row_bytes);
    fwd_layers(f, 0, 2);
    assert_memory_equal(fwd_hidden(f, 7), in2, r->row_bytes);
    fwd_layers(f, 2, n_layer);
    assert_memory_equal(fwd_hidden(f, 7), out, r->row_bytes);
    assert_int_equal(fwd_head(f, (int[]){N_TOK - 1, 0}, 2, &err), OTR_OK);
    assert_memory_equal(fwd_logits(f, N_TOK - 1), logits, r->logit_bytes);
    assert_non_null(fwd_logits(f, 0));
    assert_null(fwd_logits(f, 1));
    assert_true(memcmp(in2, out, r->row_bytes) != 0);
    assert_int_equal(fwd_set_taps(f, (int[]){n_layer + 1}, 1, &err), OTR_E_ARG);
    assert_int_equal(fwd_set_taps(f, layers, FWD_MAX_TAPS + 1, &err), OTR_E_LIMIT);
    assert_int_equal(fwd_set_taps(f, NULL, 0, NULL), OTR_OK);
    free(in0);
    free(in2);
    free(out);
    free(logits);
}

/* Hidden states that come from elsewhere: two halves of the model, the second fed by hand. */
static void test_hidden_states_move(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    const int n_layer = r->m->info.n_layer;
    struct fwd_row rows[N_TOK];
    float hidden[N_TOK][512];
    assert_true(r->row_bytes <= sizeof hidden[0]);
    chain(r, rows);
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    float *logits = copy_of(fwd_logits(f, N_TOK - 1), r->logit_bytes);
    assert_int_equal(fwd_begin(f, rows, N_TOK, NULL), OTR_OK);
    fwd_embed(f);
    fwd_layers(f, 0, 3);
    for (int i = 0; i < N_TOK; i++)
        memcpy(hidden[i], fwd_hidden(f, i), r->row_bytes);
    assert_int_equal(fwd_begin(f, rows, N_TOK, NULL), OTR_OK); /* another machine would begin here */
    for (int i = 0; i < N_TOK; i++)
        memcpy(fwd_hidden(f, i), hidden[i], r->row_bytes);
    fwd_layers(f, 3, n_layer);
    assert_int_equal(fwd_head(f, (int[]){N_TOK - 1}, 1, NULL), OTR_OK);
    assert_memory_equal(fwd_logits(f, N_TOK - 1), logits, r->logit_bytes);
    free(logits);
}

static void test_rows_with_an_embedding(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    struct fwd_row rows[N_TOK];
    float embd[512];
    const struct gguf_tensor *t = r->m->w->embd;
    chain(r, rows);
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    float *logits = copy_of(fwd_logits(f, N_TOK - 1), r->logit_bytes);
    dequant_row(t->type, embd, t->data + (size_t)text[3] * r->row_bytes, r->m->info.n_embd);
    rows[3].embd = embd;
    rows[3].token = -1; /* not looked at */
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    assert_memory_equal(fwd_logits(f, N_TOK - 1), logits, r->logit_bytes);
    embd[0] += 0.5f;
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    assert_true(memcmp(fwd_logits(f, N_TOK - 1), logits, r->logit_bytes) != 0);
    free(logits);
}

struct refused {
    const char *what;
    int code, n;
    struct fwd_row rows[FWD_MAX_LOGITS + 1];
};

/* Each refusal says a sentence, and the next plain step gives what it gave before. */
static void test_refusals(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    struct kv_seq *other;
    struct fwd_row rows[N_TOK], many[N_BATCH + 1];
    chain(r, rows);
    assert_int_equal(fwd_run(f, rows, N_TOK - 1, NULL), OTR_OK);
    fwd_commit(f, r->s, (int[]){0, 1, 2, 3, 4, 5, 6, 7}, N_TOK - 1);
    struct fwd_row next = {.token = text[N_TOK - 1], .seq = r->s, .parent = FWD_END, .keep = FWD_KEEP_LOGITS};
    assert_int_equal(fwd_run(f, &next, 1, NULL), OTR_OK);
    float *logits = copy_of(fwd_logits(f, 0), r->logit_bytes);
    assert_int_equal(kv_seq_create(&other, r->e->kv, N_CTX, NULL), OTR_OK);

    struct refused bad[] = {
        {"no rows", OTR_E_ARG, 0, {{0}}},
        {"a token past the vocabulary", OTR_E_ARG, 1, {{.token = r->m->info.n_vocab, .seq = r->s, .parent = FWD_END}}},
        {"a negative token", OTR_E_ARG, 1, {{.token = -1, .seq = r->s, .parent = FWD_END}}},
        {"a row that is its own parent", OTR_E_ARG, 1, {{.token = 1, .seq = r->s, .parent = 0}}},
        {"a parent that comes later",
         OTR_E_ARG,
         2,
         {{.token = 1, .seq = r->s, .parent = 1}, {.seq = r->s, .parent = -1}}},
        {"a parent of another sequence",
         OTR_E_ARG,
         2,
         {{.token = 1, .seq = other, .parent = FWD_END}, {.token = 1, .seq = r->s, .parent = 0}}},
        {"a parent below the end", OTR_E_ARG, 1, {{.token = 1, .seq = r->s, .parent = -2}}},
        {"33 rows of logits", OTR_E_LIMIT, FWD_MAX_LOGITS + 1, {{0}}},
    };
    for (int i = 0; i <= FWD_MAX_LOGITS; i++)
        bad[7].rows[i] = (struct fwd_row){.token = 5, .seq = r->s, .parent = i - 1, .keep = FWD_KEEP_LOGITS};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct otr_err err = {0};
        assert_int_equal(fwd_run(f, bad[i].rows, bad[i].n, &err), bad[i].code);
        assert_true(err.msg[0] && kv_len(r->s) == N_TOK - 1);
        assert_int_equal(fwd_run(f, &next, 1, NULL), OTR_OK);
        assert_memory_equal(fwd_logits(f, 0), logits, r->logit_bytes);
    }

    struct otr_err err = {0};
    for (int i = 0; i <= N_BATCH; i++)
        many[i] = (struct fwd_row){.token = 5, .seq = r->s, .parent = i - 1};
    assert_int_equal(fwd_run(f, many, N_BATCH + 1, &err), OTR_E_LIMIT); /* rows of a call */
    const int free_before = kv_pages_free(r->e->kv);
    while (kv_len(other) + N_BATCH <= N_CTX - 32) { /* fill the pool with the other sequence */
        for (int i = 0; i < N_BATCH; i++)
            many[i].seq = other;
        int path[N_BATCH];
        for (int i = 0; i < N_BATCH; i++)
            path[i] = i;
        assert_int_equal(fwd_run(f, many, N_BATCH, NULL), OTR_OK);
        fwd_commit(f, other, path, N_BATCH);
    }
    assert_true(kv_pages_free(r->e->kv) < free_before);
    for (int i = 0; i < N_BATCH; i++)
        many[i] = (struct fwd_row){.token = 5, .seq = r->s, .parent = i - 1};
    while (fwd_run(f, many, N_BATCH, &err) == OTR_OK && kv_len(r->s) < N_CTX - N_BATCH) {
        int path[N_BATCH];
        for (int i = 0; i < N_BATCH; i++)
            path[i] = i;
        fwd_commit(f, r->s, path, N_BATCH);
    }
    assert_int_equal(err.code, OTR_E_LIMIT); /* out of pages, or the context's end */
    kv_truncate(r->s, N_TOK - 1);
    assert_int_equal(fwd_run(f, &next, 1, NULL), OTR_OK);
    assert_memory_equal(fwd_logits(f, 0), logits, r->logit_bytes);
    kv_drop(other);
    free(logits);
}

static void test_counts(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    const struct kv_shape *sh = kv_get_shape(r->e->kv);
    const int parent[6] = {FWD_END, 0, 1, 0, FWD_END, 4};
    struct fwd_row rows[6];
    for (int i = 0; i < 6; i++)
        rows[i] = (struct fwd_row){.token = 10 + i, .seq = r->s, .parent = parent[i]};
    assert_int_equal(fwd_run(f, rows, 6, NULL), OTR_OK);
    const struct fwd_counts c = fwd_get_counts(f);
    assert_int_equal(c.n_rows, 6);
    assert_int_equal(c.n_scratch, 3); /* rows 3, 4 and 5 are side branches */
    assert_int_equal(c.kv_bytes, (1 + 2 + 3 + 2 + 1 + 2) * 2 * 2 * sh->n_head_kv * sh->d_head * sh->n_layer);
}

/* ---- passes that grow ---- */

enum { N_TREE = 24 };

static unsigned rng;

static int below(int n)
{
    rng = rng * 1664525u + 1013904223u;
    return (int)((rng >> 8) % (unsigned)n);
}

/* Random trees of two sequences, three committed tokens each. */
static void random_tree(struct kv_seq *const *seq, struct fwd_row *rows)
{
    for (int i = 0; i < N_TREE; i++) {
        struct kv_seq *s = seq[below(2)];
        int parent = below(i + 1) - 1;
        while (parent >= 0 && rows[parent].seq != s)
            parent--;
        rows[i] = (struct fwd_row){.token = 3 + below(500), .seq = s, .parent = parent, .keep = FWD_KEEP_LOGITS};
    }
}

static void test_a_pass_grows(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    struct kv_seq *seq[2] = {r->s, NULL};
    struct fwd_row rows[N_TREE], next = {.token = 7, .parent = FWD_END, .keep = FWD_KEEP_LOGITS};
    const int tap = 2;
    float *want = malloc(N_TREE * r->logit_bytes), *taps = malloc(N_TREE * r->row_bytes);
    float *after = malloc(r->logit_bytes);
    assert_true(want && taps && after);
    assert_int_equal(kv_seq_create(&seq[1], r->e->kv, N_CTX, NULL), OTR_OK);
    assert_int_equal(fwd_set_taps(f, &tap, 1, NULL), OTR_OK);
    for (int round = 0; round < 60; round++) {
        const size_t n = r->logit_bytes / sizeof(float), d = r->row_bytes / sizeof(float);
        rng = (unsigned)round;
        for (int s = 0; s < 2; s++) {
            kv_truncate(seq[s], 0);
            for (int i = 0; i < 3; i++)
                rows[i] = (struct fwd_row){.token = text[i + s], .seq = seq[s], .parent = i - 1};
            assert_int_equal(fwd_run(f, rows, 3, NULL), OTR_OK);
            fwd_commit(f, seq[s], (int[]){0, 1, 2}, 3);
        }
        random_tree(seq, rows);
        for (int i = 0; i < N_TREE; i++)
            rows[i].keep |= FWD_KEEP_HIDDEN;
        int path[N_TREE], n_path = 0; /* to the deepest row of the first sequence */
        for (int i = 0; i < N_TREE; i++) {
            int up[N_TREE], m = 0;
            for (int k = i; k >= 0 && rows[k].seq == seq[0]; k = rows[k].parent)
                up[m++] = k;
            for (int k = 0; m > n_path && k < m; k++)
                path[k] = up[m - 1 - k];
            n_path = m > n_path ? m : n_path;
        }
        assert_int_equal(fwd_run(f, rows, N_TREE, NULL), OTR_OK);
        const struct fwd_counts whole = fwd_get_counts(f);
        for (int i = 0; i < N_TREE; i++) {
            memcpy(want + (size_t)i * n, fwd_logits(f, i), r->logit_bytes);
            memcpy(taps + (size_t)i * d, fwd_tap(f, 0, i), r->row_bytes);
        }
        for (int at = 0, m; at < N_TREE; at += m) {
            m = 1 + below(N_TREE - at);
            assert_int_equal((at ? fwd_run_more : fwd_run)(f, rows + at, m, NULL), at);
            for (int i = 0; i < at + m; i++) {
                if (i < at)
                    assert_null(fwd_logits(f, i));
                else
                    assert_memory_equal(fwd_logits(f, i), want + (size_t)i * n, r->logit_bytes);
                assert_memory_equal(fwd_tap(f, 0, i), taps + (size_t)i * d, r->row_bytes);
            }
        }
        const struct fwd_counts grown = fwd_get_counts(f);
        assert_memory_equal(&whole, &grown, sizeof whole);
        fwd_commit(f, seq[0], path, n_path);
        next.seq = seq[0];
        assert_int_equal(fwd_run(f, &next, 1, NULL), OTR_OK);
        memcpy(after, fwd_logits(f, 0), r->logit_bytes);
        kv_truncate(seq[0], 3); /* and the same path token by token */
        for (int k = 0; k < n_path; k++) {
            struct fwd_row one = rows[path[k]];
            one.parent = FWD_END;
            assert_int_equal(fwd_run(f, &one, 1, NULL), OTR_OK);
            fwd_commit(f, seq[0], (int[]){0}, 1);
        }
        assert_int_equal(fwd_run(f, &next, 1, NULL), OTR_OK);
        assert_memory_equal(fwd_logits(f, 0), after, r->logit_bytes);
    }
    assert_int_equal(fwd_set_taps(f, NULL, 0, NULL), OTR_OK);
    kv_drop(seq[1]);
    free(want);
    free(taps);
    free(after);
}

/* What fwd_more refuses leaves the pass as it was: it still grows, and to the same bits. */
static void test_growth_refused(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    struct kv_seq *other, *late;
    struct fwd_row rows[N_BATCH], bad[3];
    assert_int_equal(kv_seq_create(&other, r->e->kv, N_CTX, NULL), OTR_OK);
    assert_int_equal(kv_seq_create(&late, r->e->kv, N_CTX, NULL), OTR_OK);
    chain(r, rows);
    for (int i = 0; i < N_TOK; i++)
        rows[i].keep = FWD_KEEP_LOGITS;
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    float *want = copy_of(fwd_logits(f, N_TOK - 1), r->logit_bytes);
    assert_int_equal(fwd_run(f, rows, 4, NULL), OTR_OK);
    const struct {
        int code, parent, token;
        struct kv_seq *seq;
    } cases[] = {{OTR_E_ARG, 4, 1, other}, {OTR_E_ARG, 6, 1, r->s},  {OTR_E_ARG, 3, 1, other},
                 {OTR_E_ARG, 3, -1, r->s}, {OTR_E_ARG, -2, 1, r->s}, {OTR_E_ARG, 3, 1 << 20, r->s},
                 {OTR_E_ARG, 5, 1, late}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct otr_err err = {0};
        bad[0] = (struct fwd_row){.token = 9, .seq = r->s, .parent = 3}; /* takes the place in the page at first */
        bad[1] = (struct fwd_row){.token = 9, .seq = r->s, .parent = 3};
        bad[2] = (struct fwd_row){.token = cases[i].token, .seq = cases[i].seq, .parent = cases[i].parent};
        assert_int_equal(fwd_run_more(f, bad, 3, &err), cases[i].code);
        assert_true(err.msg[0]);
    }
    for (int i = 0; i < N_BATCH; i++)
        rows[i + 4 < N_BATCH ? i + 4 : 0] = (struct fwd_row){.token = 5, .seq = r->s, .parent = 3};
    assert_int_equal(fwd_more(f, rows, N_BATCH - 3, NULL), OTR_E_LIMIT);
    assert_int_equal(fwd_more(f, rows, 0, NULL), OTR_E_ARG);
    chain(r, rows);
    for (int i = 4; i < N_TOK; i++)
        assert_int_equal(fwd_run_more(f, &rows[i], 1, NULL), i);
    assert_memory_equal(fwd_logits(f, N_TOK - 1), want, r->logit_bytes);
    assert_int_equal(fwd_get_counts(f).n_scratch, 0);
    fwd_commit(f, r->s, (int[]){0, 1}, 2);
    struct otr_err err = {0};
    bad[0] = (struct fwd_row){.token = 9, .seq = r->s, .parent = 1};
    assert_int_equal(fwd_more(f, bad, 1, &err), OTR_E_ARG); /* its end is elsewhere now */
    assert_non_null(strstr(err.msg, "moved on"));
    kv_drop(other);
    kv_drop(late);
    free(want);
}

/* -- damaged logits: the greedy path takes the pass's own argmax, and must not make a token of them */

static struct kernels real;
static const struct mat *head;
static float damage;
static int damage_from, damage_to;

static void matmul_damaged(float *out, size_t ld, const struct mat *w, int lo, int hi, const void *act, int n_tok)
{
    real.matmul(out, ld, w, lo, hi, act, n_tok);
    for (int i = lo; w == head && i < hi; i++)
        if (i >= damage_from && i < damage_to)
            out[i] = damage;
}

static void test_damage_is_reported(void **state)
{
    const struct otr_sampling greedy = {.top_p = 1, .typical_p = 1, .repeat_penalty = 1};
    struct rig *r = rig_of(state);
    struct otr_err err;
    struct otr_seq *s;
    if (!r)
        return;
    const int n = r->m->info.n_vocab;
    const struct {
        float value;
        int from, to, code;
        const char *text;
    } cases[] = {{-INFINITY, 0, n, OTR_E_ARG, "no token can be drawn"},
                 {NAN, 77, 78, OTR_E_NUMERIC, "token 77 after 9 tokens is not a number"},
                 {-INFINITY, 1, n, 0, NULL}}; /* one is left */
    real = r->m->w->kern;
    head = &r->m->w->head;
    r->m->w->kern.matmul = matmul_damaged;
    for (int i = 0; i < 3; i++) {
        damage = cases[i].value;
        damage_from = cases[i].from;
        damage_to = cases[i].to;
        assert_int_equal(otr_seq_create(&s, r->e, NULL), OTR_OK);
        assert_int_equal(otr_seq_append(s, text, N_TOK, NULL), OTR_OK);
        assert_int_equal(otr_seq_sample(s, &greedy, &err), cases[i].code);
        if (cases[i].text)
            assert_non_null(strstr(err.msg, cases[i].text));
        otr_seq_destroy(s);
    }
}

/* Left-out sub-layers: whole layers as if their range was not run; single ones as if their last product gave zeros. */
static void test_skip(void **state)
{
    struct rig *r = rig_of(state);
    struct fwd *f = r->e->fwd;
    const int n_layer = r->m->info.n_layer;
    const size_t last = N_TOK - 1;
    unsigned char skip[64] = {0};
    struct fwd_row rows[N_TOK];
    assert_true(n_layer >= 4 && n_layer < 64);
    chain(r, rows);
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    float *all = copy_of(fwd_logits(f, last), r->logit_bytes);
    assert_int_equal(fwd_begin(f, rows, N_TOK, NULL), OTR_OK);
    fwd_embed(f);
    fwd_layers(f, 0, 1);
    fwd_layers(f, 3, n_layer);
    assert_int_equal(fwd_head(f, (int[]){last}, 1, NULL), OTR_OK);
    float *without = copy_of(fwd_logits(f, last), r->logit_bytes);
    skip[1] = skip[2] = FWD_SKIP_ATTENTION | FWD_SKIP_FFN;
    fwd_set_skip(f, skip);
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    assert_memory_equal(fwd_logits(f, last), without, r->logit_bytes);
    assert_true(memcmp(all, without, r->logit_bytes) != 0);

    struct layer_weights *L = &r->m->w->layer[1];
    const struct mat o = L->o, down = L->down;
    void *zero = aligned_alloc(64, 1 << 20);
    assert_non_null(zero);
    memset(zero, 0, 1 << 20);
    for (int part = 0; part < 2; part++) {
        memset(skip, 0, sizeof skip);
        skip[1] = part ? FWD_SKIP_FFN : FWD_SKIP_ATTENTION;
        fwd_set_skip(f, skip);
        assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
        float *skipped = copy_of(fwd_logits(f, last), r->logit_bytes);
        fwd_set_skip(f, NULL);
        (part ? &L->down : &L->o)->data = zero;
        assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
        L->o = o;
        L->down = down;
        assert_memory_equal(fwd_logits(f, last), skipped, r->logit_bytes);
        assert_true(memcmp(all, skipped, r->logit_bytes) != 0);
        free(skipped);
    }
    assert_int_equal(fwd_run(f, rows, N_TOK, NULL), OTR_OK);
    assert_memory_equal(fwd_logits(f, last), all, r->logit_bytes);
    free(zero);
    free(without);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_taps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hidden_states_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_with_an_embedding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_skip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pass_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_growth_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_reported, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
