/* A drafter on a thread of its own (draft/beside.h). What it has prepared for a history is what the same model drafts
 * for it there and then (draft_model.c is the oracle, which runs the history token by token), whatever part of the
 * chain was kept, at both temperatures, in company and after forks; what is not prepared is an empty draft; and nothing
 * depends on when the thread gets to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/beside.h"
#include "engine/engine.h"
#include "support/draft_rig.h"
#include "support/model_rig.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"

enum { N_CTX = 160, N_SEQ = 3, N_TEXT = 120, N_PROMPT = 30 };
static const uint64_t seed = 20261129;

struct rig {
    struct otr_model *m;
    struct otr_engine *e;
    struct draft_host host;
    struct draft_env env;
    uint64_t rng;
    int32_t text[N_SEQ][N_TEXT];
    struct otr_sampling sp[N_SEQ];
};

/* What the model writes, but now and then it is made to go on otherwise. */
static void write_text(struct rig *r, int i, float temp)
{
    struct otr_seq *s;
    struct otr_err err = {0};
    int32_t *t = r->text[i];
    static struct otr_logit_bias bias[40];
    r->sp[i] = otr_sampling_default();
    r->sp[i].temp = temp;
    r->sp[i].seed = 5 + (uint64_t)i;
    if (i == 1) { /* settings that point to memory of the caller */
        for (int k = 0; k < 40; k++)
            bias[k] = (struct otr_logit_bias){261 + 5 * k, 2.5f};
        r->sp[i].bias = bias;
        r->sp[i].n_bias = 40;
        r->sp[i].repeat_penalty = 1.2f;
        r->sp[i].penalty_last_n = 16;
    }
    assert_int_equal(otr_seq_create(&s, r->e, NULL), OTR_OK);
    t[0] = 1;
    for (int n = 1; n < N_TEXT; n++) {
        if (otr_seq_append(s, &t[n - 1], 1, &err) < 0 || (t[n] = otr_seq_sample(s, &r->sp[i], &err)) < 0)
            fail_msg("%s", err.msg);
        if (n < N_PROMPT || dr_below(&r->rng, 8) > 1)
            continue;
        const float *x = otr_seq_logits(s);
        int32_t second = t[n] == 3 ? 4 : 3;
        for (int32_t id = 0; id < 512; id++)
            second = id != t[n] && x[id] > x[second] ? id : second;
        t[n] = dr_below(&r->rng, 3) ? second : 3 + dr_below(&r->rng, 500);
    }
    otr_seq_destroy(s);
}

static void open_rig(struct rig *r, float temp)
{
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = N_CTX, .n_seq = N_SEQ};
    *r = (struct rig){.rng = seed};
    if (access(MODEL, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", MODEL);
        skip();
    }
    assert_int_equal(otr_model_open(&r->m, MODEL, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&r->e, r->m, &eo, NULL), OTR_OK);
    r->host = mr_host(r->e, N_CTX, N_SEQ);
    r->env = (struct draft_env){.host = &r->host, .tok = r->m->tok, .n_vocab = r->m->info.n_vocab, .seed = seed};
    for (int i = 0; i < N_SEQ; i++)
        write_text(r, i, temp);
}

static void close_rig(struct rig *r)
{
    lm_files_destroy(r->host.files);
    otr_engine_destroy(r->e);
    otr_model_close(r->m);
}

static struct beside *open_beside(const struct rig *r, const struct beside_opts *o)
{
    struct beside *b;
    struct otr_err err = {0};
    struct beside_opts mine = *o;
    mine.path = MODEL;
    mine.n_threads = o->n_threads ? o->n_threads : 1;
    if (beside_open(&b, &r->env, &mine, &err) < 0)
        fail_msg("%s", err.msg);
    return b;
}

static struct draft_ask ask_of(const struct rig *r, int i, int n, uint64_t id)
{
    const struct accept_key key = {.seed = r->sp[i].seed};
    const enum accept_rule rule = r->sp[i].temp > 0 ? RULE_GUMBEL : RULE_GREEDY;
    return (struct draft_ask){.seq = id,
                              .tok = r->text[i],
                              .n = (size_t)n,
                              .n_prompt = N_PROMPT,
                              .max_entries = 12,
                              .level_gain = -1,
                              .luck = tree_luck_make(rule, &key, (uint64_t)n, r->env.n_vocab),
                              .sampling = r->sp[i]};
}

/* A chain that begins as the oracle's does. */
static void check_chain(const struct tree *got, const struct draft_method *m, void *oracle, const struct draft_ask *ask)
{
    static struct tree want;
    tree_clear(&want);
    assert_int_equal(m->propose(oracle, ask, 1, &want), OTR_OK);
    assert_true(want.n >= got->n);
    for (int k = 0; k < got->n; k++) {
        assert_int_equal(got->entry[k].parent, k - 1);
        assert_true(got->entry[k].conf == want.entry[k].conf);
        if (got->entry[k].token != want.entry[k].token)
            fail_msg("history of %zu tokens: token %d of the draft is %d, %d by the same model at once", ask->n, k,
                     got->entry[k].token, want.entry[k].token);
    }
}

/* The texts are told step by step as an engine would, all at once. Returns the counts. */
static struct beside_counts run(struct rig *r, const struct beside_opts *o, int cut, long *n_entry)
{
    static struct tree tree[N_SEQ];
    const struct draft_param model = {"model", MODEL};
    struct draft_env env = r->env;
    struct beside *b = open_beside(r, o);
    void *oracle;
    int n[N_SEQ];
    env.param = &model;
    env.n_param = 1;
    assert_int_equal(draft_draft.open(&oracle, &env, NULL), OTR_OK);
    for (int i = 0; i < N_SEQ; i++)
        n[i] = N_PROMPT + 3 * i;
    for (int round = 0;; round++) {
        struct draft_ask ask[N_SEQ];
        int of[N_SEQ], m = 0;
        for (int i = 0; i < N_SEQ; i++)
            if (n[i] < N_TEXT - 1) {
                ask[m] = ask_of(r, i, n[i], 10 + (uint64_t)i);
                of[m++] = i;
            }
        if (m == 0)
            break;
        for (int k = 0; k < m; k++) {
            tree_clear(&tree[k]);
            beside_take(b, &ask[k], &tree[k]);
            *n_entry += tree[k].n;
            check_chain(&tree[k], &draft_draft, oracle, &ask[k]);
        }
        assert_int_equal(beside_give(b, ask, m, tree), m);
        for (int k = 0; k < m; k++) {
            const int most = tree[k].n < cut ? tree[k].n : cut; /* the controller verifies less than was proposed */
            int kept = 0, *at = &n[of[k]];
            while (kept < most && *at + kept < N_TEXT - 2 && tree[k].entry[kept].token == r->text[of[k]][*at + kept])
                kept++;
            *at += kept + 1;
            beside_kept(b, kept < most ? kept + 1 : most, kept);
            assert_int_equal(beside_seen(b, 10 + (uint64_t)of[k]), m - 1 - k);
        }
    }
    const struct beside_counts c = beside_get_counts(b);
    beside_close(b);
    draft_draft.close(oracle);
    return c;
}

static void in_time(float temp)
{
    struct rig r;
    long n_entry = 0;
    open_rig(&r, temp);
    for (int cut = 2; cut <= 12; cut += 5) {
        const struct beside_counts c =
            run(&r, &(struct beside_opts){.fan = 12, .depth = 5, .wait_ms = 1e4}, cut, &n_entry);
        printf("temperature %g, cut at %d: %ld prepared, %ld missed (%ld late), %ld entries\n", (double)temp, cut,
               c.hits, c.misses, c.late, n_entry);
        assert_true(c.hits > 20 && c.misses > 3 && c.late <= N_SEQ); /* nothing is ready at first */
    }
    close_rig(&r);
}

static void test_cold(void **state)
{
    (void)state;
    in_time(0);
}

static void test_warm(void **state)
{
    (void)state;
    in_time(0.8f);
}

/* The thread is late in all manners. */
static void test_any_time(void **state)
{
    (void)state;
    static const double nap[] = {0, 0.2, 1}, wait[] = {0, 0.5, 2};
    struct rig r;
    long n_entry = 0, hits = 0, misses = 0, late = 0;
    open_rig(&r, 0.8f);
    for (int i = 0; i < 6; i++) {
        const struct beside_opts o = {
            .n_threads = 1 + i % 2, .fan = 1 + 3 * i, .depth = 1 + i, .wait_ms = wait[i / 2], .nap_ms = nap[i % 3]};
        const struct beside_counts c = run(&r, &o, 12, &n_entry);
        hits += c.hits;
        misses += c.misses;
        late += c.late;
    }
    printf("any time: %ld prepared, %ld missed, %ld of these late, %ld entries\n", hits, misses, late, n_entry);
    assert_true(misses > 20 && late > 5);
    close_rig(&r);
}

/* One step whose job is done: take, give, seen. */
static int step(struct beside *b, const struct draft_ask *ask, struct tree *t)
{
    tree_clear(t);
    beside_take(b, ask, t);
    assert_int_equal(beside_give(b, ask, 1, t), 1);
    assert_int_equal(beside_seen(b, ask->seq), 0);
    return t->n;
}

/* Forks, cuts, jobs that nobody waits for, sequences that end, and a close in the middle of it. */
static void test_odd_orders(void **state)
{
    (void)state;
    static struct tree t;
    struct rig r;
    open_rig(&r, 0);
    struct beside *b = open_beside(&r, &(struct beside_opts){.fan = 16, .depth = 4, .wait_ms = 1e4});
    int n = N_PROMPT, hits = 0;
    for (int i = 0; i < 10; i++) { /* a fork takes what its parent's job prepared */
        struct draft_ask ask = ask_of(&r, 0, n++, 1), fork = ask_of(&r, 0, n, 100 + (uint64_t)i);
        step(b, &ask, &t);
        tree_clear(&t);
        beside_take(b, &fork, &t);
        hits += t.n > 0;
        beside_drop(b, fork.seq);
    }
    assert_true(hits > 3);
    struct draft_ask ask = ask_of(&r, 0, n, 1), back = ask_of(&r, 0, n - 3, 1);
    step(b, &ask, &t);
    tree_clear(&t);
    beside_take(b, &back, &t); /* cut back: nothing is prepared for a history that is shorter */
    assert_int_equal(t.n, 0);
    assert_int_equal(beside_seen(b, 77), 0); /* never heard of */
    beside_drop(b, 77);
    assert_true(beside_bytes(b) > 0);
    for (uint64_t i = 0; i < 200; i++) /* more than there may be room for; how many the thread comes to is luck */
        beside_drop(b, i);
    ask = ask_of(&r, 0, N_TEXT, 1);
    ask.n = N_CTX + 1; /* longer than any sequence */
    tree_clear(&t);
    assert_int_equal(beside_give(b, &ask, 1, &t), 0);
    beside_close(b);
    b = open_beside(&r, &(struct beside_opts){.fan = 32, .depth = 31, .nap_ms = 1});
    for (int i = 0; i < 20; i++) { /* jobs over jobs, seen or not; then closed while it works */
        ask = ask_of(&r, i % N_SEQ, N_PROMPT + i, 1 + (uint64_t)(i % 2));
        tree_clear(&t);
        beside_take(b, &ask, &t);
        assert_int_equal(beside_give(b, &ask, 1, &t), 1);
        if (i % 3 == 0)
            beside_seen(b, ask.seq);
    }
    beside_close(b);
    close_rig(&r);
}

static void test_refused(void **state)
{
    (void)state;
    struct rig r;
    struct beside *b = NULL;
    struct otr_err err = {0};
    open_rig(&r, 0);
    struct beside_opts o = {.path = "/nowhere/x.gguf", .n_threads = 1, .fan = 1, .depth = 1};
    assert_int_equal(beside_open(&b, &r.env, &o, &err), OTR_E_IO);
    o.path = "tests/golden/tiny/llama-gqa-tied.gguf";
    assert_int_equal(beside_open(&b, &r.env, &o, &err), OTR_E_ARG);
    assert_non_null(strstr(err.msg, "another vocabulary"));
    r.host.mem_cap = 100;
    o.path = MODEL;
    assert_int_equal(beside_open(&b, &r.env, &o, &err), OTR_E_LIMIT);
    assert_non_null(strstr(err.msg, "no room for a drafter"));
    assert_int_equal(beside_open(&b, &(struct draft_env){0}, &o, &err), OTR_E_ARG);
    assert_null(b);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cold),       cmocka_unit_test(test_warm),    cmocka_unit_test(test_any_time),
        cmocka_unit_test(test_odd_orders), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
