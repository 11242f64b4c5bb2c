/* What every listed drafting method must keep, whatever it does: sound trees within the budget, chains where chains are
 * asked for, the same proposals for the same seed, no influence between sequences, a history cut back that leaves no
 * trace, an end that frees. New methods of draft_list.h are tested without a line here, unless they need parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/draft_rig.h"

enum { N_STEPS = 48 };
static const uint64_t seed = 20261125;
static char store[256], trace[] = "/dev/null";

/* Parameters that a method cannot do without. */
static const char *params_of(const struct draft_method *m, char *buf, size_t cap)
{
    buf[0] = 0;
    if (strcmp(m->name, "trace") == 0)
        snprintf(buf, cap, "of=suffix,file=%s", trace);
    else if (m->flags & DRAFT_WRAPPER)
        snprintf(buf, cap, "of=ngram-simple%s", strcmp(m->name, "delay") == 0 ? ",ms=0" : "");
    else if (strcmp(m->name, "slow") == 0)
        snprintf(buf, cap, "ms=0");
    else if (m->flags & DRAFT_NEED_FILE)
        snprintf(buf, cap, "file=%s", store);
    return buf;
}

static bool is_broken(const struct draft_method *m) /* breaks the contract: that is what it is for */
{
    return m == &draft_toolong || m == &draft_malformed_tree || m == &draft_shuffle;
}

/* What it proposes is a function of the sequence's history, its prediction and its files alone, where it saw no step of
 * its own and no sequence ended. */
static const struct {
    const char *name, *params;
} pure[] = {{"ngram-simple", ""},          {"ngram-simple", "size_n=1,min_hits=2"},
            {"ngram-map-k", ""},           {"ngram-map-k4v", "size_n=2"},
            {"ngram-cache", ""},           {"suffix", "global_mb=0"},
            {"suffix", "form=path"},       {"prediction", ""},
            {"rest", NULL /* the store */}};
enum { N_PURE = sizeof pure / sizeof *pure };

static void open_ok(struct dr *d, const char *name, const char *params, int n_vocab)
{
    struct otr_err err = {0};
    char file[300];
    snprintf(file, sizeof file, "file=%s", store);
    if (dr_open(d, name, params ? params : file, n_vocab, seed, &err) < 0)
        fail_msg("%s: %s", name, err.msg);
}

static struct dr_text text(enum dr_kind kind, int n_vocab)
{
    return (struct dr_text){kind, n_vocab, seed + (uint64_t)kind};
}

/* A prediction that is right in parts. */
static int32_t *predict(struct dr_seq *s, const struct dr_text *t, size_t n)
{
    int32_t *p = calloc(s->n + n + 1, sizeof *p);
    assert_non_null(p);
    memcpy(p, s->tok, s->n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[s->n + i] = i % 23 == 22 ? (int32_t)(i % (size_t)t->n_vocab) : dr_next(t, p, s->n + i);
    s->predicted = p + s->n_prompt;
    s->n_predicted = n;
    return p;
}

/* ---- sound trees ---- */

static void one_text(const struct draft_method *m, enum dr_kind kind, int n_vocab, long *n_entries, long *n_refused)
{
    static const int budgets[] = {31, 5, 1, 0};
    const struct dr_text t = text(kind, n_vocab);
    static struct tree tree;
    struct dr d;
    struct dr_seq s;
    char buf[300];
    open_ok(&d, m->name, params_of(m, buf, sizeof buf), n_vocab);
    dr_seq_open(&s, 1, &t, 60);
    int32_t *p = predict(&s, &t, 3 * N_STEPS);
    for (int i = 0; i < N_STEPS; i++) {
        struct otr_err err = {0};
        const int budget = budgets[dr_below(&(uint64_t){seed + (uint64_t)i}, 8) * 4 / 8 % 4];
        const bool chain = i % 3 == 1;
        const int rc = dr_propose(&d, &s, budget, chain, &tree);
        const bool sound = tree_check(&tree, n_vocab, budget, &err) == OTR_OK;
        if (rc < 0) {
            assert_true(m == &draft_failing || m == &draft_fault);
            tree_clear(&tree);
        } else if (!is_broken(m)) {
            if (!sound)
                fail_msg("%s, budget %d: %s", m->name, budget, err.msg);
            if (chain && !dr_is_chain(&tree))
                fail_msg("%s: a tree where a chain was asked for", m->name);
            if (!(m->flags & DRAFT_GIVE_TREE) && !dr_is_chain(&tree))
                fail_msg("%s: trees, and its flags do not say so", m->name);
            for (int e = 0; e < tree.n && !(m->flags & DRAFT_GIVE_PROBS); e++)
                assert_int_equal(tree.entry[e].row, -1);
            assert_true(tree.match >= 0);
            *n_entries += tree.n;
        } else {
            *n_refused += !sound;
            *n_entries += sound ? tree.n : 0;
        }
        dr_step(&d, 1, 0, &s, &t, &tree);
    }
    dr_event(&d, &s, SEEN_FINISHED);
    free(p);
    dr_seq_close(&s);
    dr_close(&d);
}

static void test_trees(void **state)
{
    (void)state;
    static const int vocab[] = {32, 500, 1000};
    for (int i = 0; i < draft_count(); i++) {
        const struct draft_method *m = draft_at(i);
        if (m->flags & DRAFT_RUNS_MODEL) /* it needs an engine: tests/equal/test_spec_model.c */
            continue;
        long n_entries = 0, n_refused = 0;
        for (int k = 0; k < DR_N_KIND; k++)
            for (int v = 0; v < 3; v++)
                if (!(m->flags & DRAFT_NEED_FILE) || v == 1) /* the store is of one vocabulary */
                    one_text(m, (enum dr_kind)k, vocab[v], &n_entries, &n_refused);
        if (n_entries == 0)
            fail_msg("%s proposed nothing at all", m->name);
        assert_true(!(m == &draft_toolong || m == &draft_malformed_tree) || n_refused > 0);
    }
}

/* ---- the same again ---- */

static void test_repeat(void **state)
{
    (void)state;
    static struct tree a, b;
    for (int i = 0; i < draft_count(); i++) {
        const struct draft_method *m = draft_at(i);
        if (m->flags & DRAFT_RUNS_MODEL) /* it needs an engine: tests/equal/test_spec_model.c */
            continue;
        const struct dr_text t = text(DR_MIXED, 500);
        struct dr d[2];
        struct dr_seq s[2];
        char buf[300];
        int32_t *p[2];
        for (int k = 0; k < 2; k++) {
            open_ok(&d[k], m->name, params_of(m, buf, sizeof buf), 500);
            dr_seq_open(&s[k], 1, &t, 60);
            p[k] = predict(&s[k], &t, 100);
        }
        for (int n = 0; n < N_STEPS; n++) {
            const int ra = dr_propose(&d[0], &s[0], 16, false, &a), rb = dr_propose(&d[1], &s[1], 16, false, &b);
            assert_int_equal(ra, rb);
            if (m != &draft_malformed_tree && m != &draft_toolong && !dr_same_tree(&a, &b))
                fail_msg("%s, step %d: another tree for the same seed", m->name, n);
            dr_step(&d[0], 1, 0, &s[0], &t, &a);
            dr_step(&d[1], 1, 0, &s[1], &t, &b);
            assert_int_equal(s[0].n, s[1].n);
        }
        for (int k = 0; k < 2; k++) {
            free(p[k]);
            dr_seq_close(&s[k]);
            dr_close(&d[k]);
        }
    }
}

/* ---- sequences do not disturb each other ---- */

static void interleave(const char *name, const char *params)
{
    enum { N = 5 };
    static struct tree alone, together[N];
    struct dr shared, own[N];
    struct dr_seq s[N];
    struct dr_text t[N];
    struct draft_ask ask[N];
    int32_t *p[N];
    long n_entries = 0;
    open_ok(&shared, name, params, 500);
    for (int k = 0; k < N; k++) {
        t[k] = text((enum dr_kind)(k % DR_N_KIND), 500);
        open_ok(&own[k], name, params, 500);
        dr_seq_open(&s[k], 1 + (uint64_t)k, &t[k], 50 + (size_t)k);
        p[k] = predict(&s[k], &t[k], 80);
    }
    for (int n = 0; n < N_STEPS; n++) {
        for (int k = 0; k < N; k++) { /* one call for all, in an order that changes */
            const int j = (k + n) % N;
            ask[k] = dr_ask(&s[j], 500, 12, k % 2);
            tree_clear(&together[k]);
        }
        assert_int_equal(shared.m->propose(shared.self, ask, N, together), OTR_OK);
        for (int k = 0; k < N; k++) {
            const int j = (k + n) % N;
            assert_int_equal(dr_propose(&own[j], &s[j], 12, k % 2, &alone), OTR_OK);
            if (!dr_same_tree(&alone, &together[k]))
                fail_msg("%s (%s): sequence %d at %zu tokens differs in company", name, params ? params : "", j,
                         s[j].n);
            n_entries += alone.n;
        }
        for (int k = 0; k < N; k++) {
            struct tree *run = &together[0];
            tree_clear(run);
            dr_propose(&own[k], &s[k], 12, false, run);
            const size_t before = s[k].n;
            dr_step(&own[k], 1, 0, &s[k], &t[k], run);
            const struct draft_seen seen = {
                .seq = s[k].id, .event = SEEN_STEP, .tok = s[k].tok, .n = s[k].n, .n_new = s[k].n - before};
            shared.m->observe(shared.self, &seen, 1);
            if (n % 16 == 15 && k % 2) { /* now and then one is cut back */
                s[k].n -= 9;
                dr_event(&own[k], &s[k], SEEN_TRUNCATED);
                dr_event(&shared, &s[k], SEEN_TRUNCATED);
            }
        }
    }
    assert_true(n_entries > 0);
    for (int k = 0; k < N; k++) {
        free(p[k]);
        dr_seq_close(&s[k]);
        dr_close(&own[k]);
    }
    dr_close(&shared);
}

static void test_interleaved(void **state)
{
    (void)state;
    for (int i = 0; i < N_PURE; i++)
        interleave(pure[i].name, pure[i].params);
}

/* ---- a history cut back and written anew is that history ---- */

static void rollback(const char *name, const char *params, enum dr_kind kind)
{
    static struct tree a, b;
    const struct dr_text t = text(kind, 500);
    uint64_t rng = seed + (uint64_t)kind;
    struct dr d;
    struct dr_seq s;
    open_ok(&d, name, params, 500);
    dr_seq_open(&s, 1, &t, 40);
    int32_t *p = predict(&s, &t, 120);
    for (int n = 0; n < 60; n++) {
        struct dr fresh;
        assert_int_equal(dr_propose(&d, &s, 16, n % 2, &a), OTR_OK);
        open_ok(&fresh, name, params, 500);
        assert_int_equal(dr_propose(&fresh, &s, 16, n % 2, &b), OTR_OK);
        dr_close(&fresh);
        if (!dr_same_tree(&a, &b))
            fail_msg("%s (%s), step %d: %d entries, %d for the same history at once", name, params ? params : "", n,
                     a.n, b.n);
        if (dr_below(&rng, 3) == 0) { /* back, into the prompt too */
            const size_t n_cut = (size_t)dr_below(&rng, s.n > 70 ? 60 : 8);
            dr_truncate(&d, &s, s.n - n_cut);
            s.n_prompt = s.n_prompt < s.n ? s.n_prompt : s.n - 1;
        }
        for (int k = 0, m = 1 + dr_below(&rng, 12); k < m; k++) { /* on with other tokens */
            s.tok[s.n] = dr_below(&rng, 4) ? dr_next(&t, s.tok, s.n) : dr_below(&rng, 500);
            s.n++;
        }
    }
    free(p);
    dr_seq_close(&s);
    dr_close(&d);
}

static void test_rollback(void **state)
{
    (void)state;
    for (int i = 0; i < N_PURE; i++)
        for (int k = 0; k < DR_N_KIND; k++)
            rollback(pure[i].name, pure[i].params, (enum dr_kind)k);
}

/* ---- commits, cuts, forks and ends in any order: a proposal is that of a fresh drafter with the same history ---- */

/* A second sequence with the history of the first, as otr_seq_fork makes: nobody is told. */
static void fork_seq(struct dr_seq *to, const struct dr_seq *from, uint64_t id)
{
    int32_t *tok = to->tok;
    *to = *from;
    to->tok = tok;
    to->id = id;
    memcpy(tok, from->tok, from->n * sizeof *tok);
}

static void any_order(const char *name, const char *params)
{
    enum { N = 4, N_OP = 400, MAX_LEN = 300 };
    static struct tree a, b;
    uint64_t rng = seed, id = N;
    struct dr d, fresh;
    struct dr_seq s[N];
    struct dr_text t[N];
    long n_entries = 0, n_op[4] = {0};
    open_ok(&d, name, params, 500);
    for (int k = 0; k < N; k++) {
        t[k] = text((enum dr_kind)(k % DR_N_KIND), 500);
        dr_seq_open(&s[k], 1 + (uint64_t)k, &t[k], 40);
    }
    int32_t *p = predict(&s[0], &t[0], 120);
    for (int i = 0; i < N_OP; i++) {
        const int k = dr_below(&rng, N), op = dr_below(&rng, 8);
        struct dr_seq *x = &s[k];
        assert_int_equal(dr_propose(&d, x, 16, i % 2, &a), OTR_OK);
        open_ok(&fresh, name, params, 500);
        assert_int_equal(dr_propose(&fresh, x, 16, i % 2, &b), OTR_OK);
        dr_close(&fresh);
        if (!dr_same_tree(&a, &b))
            fail_msg("%s (%s), operation %d: %d entries, %d by a fresh drafter with the same history", name,
                     params ? params : "", i, a.n, b.n);
        n_entries += a.n;
        if (op == 0 && x->n > x->n_prompt + 2) {
            dr_truncate(&d, x, x->n_prompt + 1 + (size_t)dr_below(&rng, (int)(x->n - x->n_prompt - 1)));
            n_op[0]++;
        } else if (op == 1 || x->n > MAX_LEN) { /* one ends, and a fork of another takes its place */
            const int from = (k + 1 + dr_below(&rng, N - 1)) % N;
            dr_event(&d, x, SEEN_FINISHED);
            fork_seq(x, &s[from], ++id);
            n_op[1]++;
        } else if (op == 2) { /* a commit that nobody proposed for */
            tree_clear(&a);
            dr_step(&d, 1, -1, x, &t[k], &a);
            n_op[2]++;
        } else {
            dr_step(&d, 1, 0, x, &t[k], &a);
            n_op[3]++;
        }
    }
    printf("%s (%s): %ld cuts, %ld ends and forks, %ld plain steps, %ld drafted; %ld entries\n", name,
           params ? params : "", n_op[0], n_op[1], n_op[2], n_op[3], n_entries);
    assert_true(n_entries > 0 && n_op[0] > 20 && n_op[1] > 20);
    free(p);
    for (int k = 0; k < N; k++)
        dr_seq_close(&s[k]);
    dr_close(&d);
}

static void test_any_order(void **state)
{
    (void)state;
    for (int i = 0; i < N_PURE; i++)
        /* WHY: an end feeds the tree of earlier replies, which a fresh drafter has not read */
        any_order(pure[i].name, pure[i].params && strcmp(pure[i].params, "form=path") == 0 ? "form=path,global_mb=0"
                                                                                           : pure[i].params);
}

/* ---- calls in an order that no reply makes, and ends ---- */

static size_t bytes_of(const struct dr *d)
{
    return d->m->bytes ? d->m->bytes(d->self) : 0;
}

static void test_odd_orders(void **state)
{
    (void)state;
    static struct tree tree;
    const struct dr_text t = text(DR_REPEAT, 500);
    for (int i = 0; i < draft_count(); i++) {
        const struct draft_method *m = draft_at(i);
        if (m->flags & DRAFT_RUNS_MODEL) /* it needs an engine: tests/equal/test_spec_model.c */
            continue;
        struct dr d;
        struct dr_seq s, other;
        char buf[300];
        open_ok(&d, m->name, params_of(m, buf, sizeof buf), 500);
        dr_seq_open(&s, 1, &t, 60);
        dr_seq_open(&other, 2, &t, 2);
        for (int k = 0; k < 6; k++) { /* it only watches */
            tree_clear(&tree);
            dr_step(&d, 1, -1, &s, &t, &tree);
        }
        dr_event(&d, &other, SEEN_FINISHED); /* never heard of */
        dr_event(&d, &other, SEEN_TRUNCATED);
        const size_t empty = bytes_of(&d);
        dr_propose(&d, &s, 16, false, &tree);
        dr_step(&d, 1, 0, &s, &t, &tree);
        other.id = 3;
        dr_propose(&d, &other, 16, false, &tree);
        dr_event(&d, &other, SEEN_FINISHED); /* right after its first proposal */
        dr_truncate(&d, &s, 1);
        dr_propose(&d, &s, 16, false, &tree); /* a history of one token */
        dr_event(&d, &s, SEEN_FINISHED);
        dr_event(&d, &s, SEEN_FINISHED);
        if (bytes_of(&d) != empty)
            fail_msg("%s: %zu bytes after all sequences ended, %zu before", m->name, bytes_of(&d), empty);
        s.id = 4;
        assert_true(dr_propose(&d, &s, 16, false, &tree) == OTR_OK || m == &draft_failing || m == &draft_fault);
        dr_seq_close(&s);
        dr_seq_close(&other);
        dr_close(&d); /* with a sequence that did not end */
    }
}

/* ---- memory: many long sequences at once, under small limits ---- */

static void test_memory(void **state)
{
    (void)state;
    enum { N_SEQ = 40, N_TOK = 2500 };
    static const struct {
        const char *name, *params;
        size_t max;
    } cases[] = {{"suffix", "global_mb=1,local_mb=1", 2 << 20},
                 {"suffix", "global_mb=0,local_mb=2,max_depth=64", 2 << 20},
                 {"ngram-mod", "log2_slots=12", 4096 * 8},
                 {"ngram-cache", "max_mb=1", 1 << 20},
                 {"recycle", "", 500 * 32},
                 {"lookahead", "", 1 << 20}};
    static struct tree tree;
    const struct dr_text t = text(DR_RANDOM, 500);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct dr d;
        struct dr_seq s[N_SEQ];
        size_t most = 0;
        open_ok(&d, cases[c].name, cases[c].params, 500);
        for (int round = 0; round < 2; round++) {
            for (int k = 0; k < N_SEQ; k++) {
                const struct dr_text own = {t.kind, t.n_vocab, t.seed + (uint64_t)(100 * round + k)};
                dr_seq_open(&s[k], 1 + (uint64_t)(round * N_SEQ + k), &own, N_TOK);
                s[k].n_prompt = 10;
                assert_int_equal(dr_propose(&d, &s[k], 31, false, &tree), OTR_OK);
                assert_int_equal(tree_check(&tree, 500, 31, NULL), OTR_OK);
                most = bytes_of(&d) > most ? bytes_of(&d) : most;
            }
            for (int k = 0; k < N_SEQ; k++) {
                dr_event(&d, &s[k], SEEN_FINISHED);
                most = bytes_of(&d) > most ? bytes_of(&d) : most;
                dr_seq_close(&s[k]);
            }
        }
        if (most == 0 || most > cases[c].max + cases[c].max / 8)
            fail_msg("%s (%s): %zu bytes where %zu are allowed", cases[c].name, cases[c].params, most, cases[c].max);
        dr_close(&d);
    }
}

static void test_parameters(void **state)
{
    (void)state;
    for (int i = 0; i < draft_count(); i++) {
        struct dr d;
        struct otr_err err = {0};
        char buf[300], more[340];
        const struct draft_method *m = draft_at(i);
        if (m->flags & DRAFT_RUNS_MODEL) /* it needs an engine: tests/equal/test_spec_model.c */
            continue;
        params_of(m, buf, sizeof buf);
        snprintf(more, sizeof more, "%s%szebra=1", buf, *buf ? "," : "");
        assert_int_equal(dr_open(&d, m->name, more, 500, seed, &err), OTR_E_ARG);
        assert_non_null(strstr(err.msg, "zebra"));
        assert_null(d.self);
    }
    static const char *const bad[][2] = {{"ngram-simple", "size_n=0"},
                                         {"ngram-simple", "size_n=x"},
                                         {"ngram-simple", "size_n="},
                                         {"ngram-map-k", "size_m=1.5"},
                                         {"ngram-mod", "log2_slots=40"},
                                         {"ngram-mod", "n_match=65"},
                                         {"suffix", "form=bush"},
                                         {"suffix", "min_prob=nan"},
                                         {"suffix", "max_depth=65"},
                                         {"lookahead", "window=9"},
                                         {"rest", "file=/none/x"},
                                         {"rest", ""},
                                         {"ngram-cache", "static=/none"},
                                         {"failing", "every=0"},
                                         {"wrong-at-k", "k=99"},
                                         {"fault", "of=zebra"},
                                         {"fault", "every=2"},
                                         {"trace", "of=suffix"},
                                         {"trace", "of=suffix,file=/"},
                                         {"trace", "of=rest,file=/dev/null,file=/none"},
                                         {"fault", "of=slow,every=2,every=2"},
                                         {"delay", "of=suffix,ms=-1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dr d;
        struct otr_err err = {0};
        if (dr_open(&d, bad[i][0], bad[i][1], 500, seed, &err) == OTR_OK)
            fail_msg("%s took '%s'", bad[i][0], bad[i][1]);
        assert_true(err.code < 0 && err.msg[0] && !strchr(err.msg, '\n'));
        assert_null(d.self);
    }
    /* of two parameters with the wrapper's own name the second is for the method inside */
    char params[300];
    struct dr d;
    snprintf(params, sizeof params, "of=rest,file=/dev/null,file=%s", store);
    assert_int_equal(dr_open(&d, "trace", params, 500, seed, NULL), OTR_OK);
    dr_close(&d);
}

static int make_store(void **state)
{
    (void)state;
    enum { N = 4000 };
    static int32_t tok[N];
    const struct dr_text t = text(DR_MIXED, 500);
    for (size_t i = 0; i < N; i++)
        tok[i] = dr_next(&t, tok, i);
    dr_tmp_file(store, sizeof store);
    dr_write_datastore(store, tok, N, 500);
    printf("seed %llu\n", (unsigned long long)seed);
    return 0;
}

static int drop_store(void **state)
{
    (void)state;
    return unlink(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),    cmocka_unit_test(test_repeat),     cmocka_unit_test(test_interleaved),
        cmocka_unit_test(test_rollback), cmocka_unit_test(test_any_order),  cmocka_unit_test(test_odd_orders),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_parameters),
    };
    return cmocka_run_group_tests(tests, make_store, drop_store);
}
