/* The lookup methods against the plainest way to do the same: ngram-simple, ngram-map, ngram-cache and its files, rest
 * and its datastore, recycle, lookahead, prediction. suffix has a file of its own: test_suffix.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/datastore.h"
#include "support/draft_rig.h"

static const uint64_t seed = 20261127;
static struct tree tree;

static void open_ok(struct dr *d, const char *name, const char *params, int n_vocab)
{
    struct otr_err err = {0};
    if (dr_open(d, name, params, n_vocab, seed, &err) < 0)
        fail_msg("%s: %s", name, err.msg);
}

static void propose(struct dr *d, const struct dr_seq *s, int budget, bool chain)
{
    struct otr_err err = {0};
    assert_int_equal(dr_propose(d, s, budget, chain, &tree), OTR_OK);
    if (tree_check(&tree, d->n_vocab, budget, &err) < 0)
        fail_msg("%s: %s", d->m->name, err.msg);
}

/* Tokens that agree backwards from i and j. */
static int agree(const int32_t *tok, int i, int j)
{
    int m = 0;
    while (m <= i && tok[i - m] == tok[j - m])
        m++;
    return m;
}

/* A text in which every passage stands a few times. */
static void mixed_text(struct dr_seq *s, uint64_t *rng, int n, int n_vocab)
{
    for (s->n = 0; s->n < (size_t)n;) {
        const int len = 1 + dr_below(rng, 12), from = s->n > 20 ? dr_below(rng, (int)s->n - 13) : -1;
        for (int k = 0; k < len; k++)
            s->tok[s->n++] = from >= 0 && dr_below(rng, 8) ? s->tok[from + k] : dr_below(rng, n_vocab);
    }
}

static void test_ngram_simple(void **state)
{
    (void)state;
    const struct dr_text t = {DR_RANDOM, 40, seed};
    struct dr_seq s;
    long n_found = 0;
    dr_seq_open(&s, 1, &t, 1);
    for (int round = 0; round < 400; round++) {
        uint64_t rng = seed + (uint64_t)round;
        const int size_n = 1 + round % 4, min_hits = 1 + round % 3, budget = dr_below(&rng, 20);
        struct dr d;
        char params[64];
        snprintf(params, sizeof params, "size_n=%d,min_hits=%d,size_m=12", size_n, min_hits);
        open_ok(&d, "ngram-simple", params, 60);
        mixed_text(&s, &rng, 40 + dr_below(&rng, 60), 60);
        propose(&d, &s, budget, true);
        const int end = (int)s.n - 1;
        int best = -1, len = 0, hits = 0;
        for (int i = end - 1; i >= 0; i--) { /* newest first: an older place must be longer to win */
            const int m = agree(s.tok, i, end);
            hits += m >= size_n;
            if (m >= size_n && m > len) {
                best = i;
                len = m;
            }
        }
        if (hits < min_hits)
            best = -1;
        assert_int_equal(tree.n, best < 0 ? 0 : budget < 12 ? budget : 12);
        assert_true(best < 0 || tree.match == len);
        int32_t ahead[200];
        memcpy(ahead, s.tok, s.n * sizeof *ahead);
        for (int k = 0; k < tree.n; k++) {
            ahead[s.n + (size_t)k] = ahead[best + 1 + k];
            assert_int_equal(tree.entry[k].token, ahead[best + 1 + k]);
        }
        n_found += best >= 0;
        dr_close(&d);
    }
    assert_true(n_found > 100);
    dr_seq_close(&s);
}

/* Counts of what followed the last size_n tokens: the commonest (then newest) first; shares as confidence. */
static void test_ngram_map(void **state)
{
    (void)state;
    const struct dr_text t = {DR_RANDOM, 40, seed};
    struct dr_seq s;
    long n_found = 0;
    dr_seq_open(&s, 1, &t, 1);
    for (int round = 0; round < 400; round++) {
        uint64_t rng = seed + (uint64_t)round;
        const int size_n = 1 + round % 3;
        struct dr k1, k4;
        char params[64];
        int count[12] = {0}, newest[12] = {0}, all = 0;
        snprintf(params, sizeof params, "size_n=%d", size_n);
        open_ok(&k1, "ngram-map-k", params, 12);
        open_ok(&k4, "ngram-map-k4v", params, 12);
        mixed_text(&s, &rng, 40 + dr_below(&rng, 60), 12);
        const int end = (int)s.n - 1;
        for (int i = size_n - 1; i < end; i++)
            if (agree(s.tok, i, end) >= size_n) {
                count[s.tok[i + 1]]++;
                newest[s.tok[i + 1]] = i;
                all++;
            }
        int best = 0;
        for (int v = 1; v < 12; v++)
            if (count[v] > count[best] || (count[v] == count[best] && newest[v] > newest[best]))
                best = v;
        propose(&k1, &s, 20, true);
        assert_int_equal(tree.n, all < 2 ? 0 : 20);
        if (tree.n > 0)
            assert_int_equal(tree.entry[0].token, best);
        propose(&k4, &s, 20, false);
        double sum = 0;
        int before = all, n_top = 0;
        for (int e = 0; e < tree.n; e++)
            if (tree.entry[e].parent < 0) {
                const int own = count[tree.entry[e].token];
                assert_true(own > 0 && own <= before); /* commonest first */
                assert_true(fabs((double)tree.entry[e].conf - (double)own / all) < 1e-6);
                before = own;
                sum += (double)tree.entry[e].conf;
                n_top++;
            }
        assert_true(sum < 1 + 1e-6 && n_top <= 4 && (n_top > 0) == (all > 0));
        n_found += n_top > 1;
        dr_close(&k1);
        dr_close(&k4);
    }
    assert_true(n_found > 50);
    dr_seq_close(&s);
}

/* ---- ngram-cache: its files ---- */

static void test_cache_golden(void **state)
{
    (void)state;
    struct dr d;
    struct dr_seq s = {.id = 1, .n_prompt = 1, .tok = (int32_t[]){1, 7, 8}, .n = 3};
    open_ok(&d, "ngram-cache", "static=tests/golden/lookup.bin", 64);
    propose(&d, &s, 31, true);
    assert_int_equal(tree.n, 2); /* 9 (10 of 10), 10 (7 of 8), and nobody is sure */
    assert_int_equal(tree.entry[0].token, 9);
    assert_int_equal(tree.entry[1].token, 10);
    s.id = 2;
    s.tok = (int32_t[]){1, 40, 41};
    propose(&d, &s, 31, true);
    assert_int_equal(tree.n, 1);
    assert_int_equal(tree.entry[0].token, 42); /* 2 of 2 are enough where only the file says anything */
    s.id = 3;
    s.tok = (int32_t[]){1, 50, 51};
    propose(&d, &s, 31, true);
    assert_int_equal(tree.n, 0); /* 1 is not */
    /* the text says 13 and 20, once each; of the two the file has seen 13 (and 12) here, which decides */
    for (int k = 0; k < 2; k++) {
        s.id = 4 + (uint64_t)k;
        s.tok = k ? (int32_t[]){9, 10, 13, 60, 9, 10, 20, 61, 9, 10} : (int32_t[]){9, 10, 20, 60, 9, 10, 13, 61, 9, 10};
        s.n = 10;
        propose(&d, &s, 1, true);
        assert_int_equal(tree.n, 1);
        assert_int_equal(tree.entry[0].token, 13);
    }
    dr_close(&d);
    struct otr_err err = {0};
    assert_int_equal(dr_open(&d, "ngram-cache", "static=tests/golden/lookup.bin", 40, seed, &err),
                     OTR_E_FORMAT); /* of a larger vocabulary */
}

/* The file after a run, read here: every n-gram of one to four tokens with every count, and no other. */
static void test_cache_file(void **state)
{
    (void)state;
    enum { N = 200 };
    char path[256], params[300];
    const struct dr_text t = {DR_MIXED, 30, seed};
    struct dr_seq s;
    struct dr d;
    int32_t w[4];
    int32_t n_pair, pair[2];
    long total = 0;
    dr_tmp_file(path, sizeof path);
    unlink(path); /* absent: a run makes it */
    snprintf(params, sizeof params, "dynamic=%s", path);
    open_ok(&d, "ngram-cache", params, 30);
    dr_seq_open(&s, 1, &t, N - 1);
    propose(&d, &s, 8, true);
    dr_event(&d, &s, SEEN_FINISHED);
    dr_close(&d);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fread(w, sizeof w, 1, f) == 1) {
        int n = 0;
        while (n < 4 && w[n] != -1)
            n++;
        assert_int_equal(fread(&n_pair, sizeof n_pair, 1, f), 1);
        for (int32_t k = 0; k < n_pair; k++) {
            int count = 0;
            assert_int_equal(fread(pair, sizeof pair, 1, f), 1);
            for (int i = n; i < N; i++)
                count += s.tok[i] == pair[0] && memcmp(s.tok + i - n, w, (size_t)n * sizeof *w) == 0;
            assert_int_equal(pair[1], count);
            total += count;
        }
    }
    fclose(f);
    assert_int_equal(total, (N - 1) + (N - 2) + (N - 3) + (N - 4));
    open_ok(&d, "ngram-cache", params, 30); /* and again: a second run adds to it */
    struct dr_seq again = {.id = 9, .n_prompt = 1, .tok = s.tok + 40, .n = 20};
    propose(&d, &again, 8, true);
    assert_true(tree.n > 0); /* what followed in the first run */
    assert_int_equal(tree.entry[0].token, s.tok[60]);
    dr_close(&d);
    unlink(path);
    dr_seq_close(&s);
}

/* ---- rest: the corpus searched by hand ---- */

struct corpus {
    const int32_t *tok;
    int n;
};

/* Places of key [n], and how many of them go on with a token (-1: any token or the end). */
static int places(const struct corpus *c, const int32_t *key, int n, int32_t token)
{
    int count = 0;
    for (int i = 0; i + n <= c->n; i++)
        if (memcmp(c->tok + i, key, (size_t)n * sizeof *key) == 0)
            count += token < 0 || (i + n < c->n && c->tok[i + n] == token);
    return count;
}

struct reach {
    double p[4096];
    int n;
};

static void walk(const struct corpus *c, int32_t *key, int n, double prob, int n_vocab, int depth, struct reach *r)
{
    const int all = places(c, key, n, -1);
    for (int32_t v = 0; v < n_vocab && depth > 0; v++) {
        const double p = prob * places(c, key, n, v) / all;
        if (p < 0.05 - 1e-9 || r->n == 4096)
            continue;
        r->p[r->n++] = p;
        key[n] = v;
        walk(c, key, n + 1, p, n_vocab, depth - 1, r);
    }
}

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void test_rest(void **state)
{
    (void)state;
    enum { N = 900, V = 60, BUDGET = 12 };
    static int32_t tok[N];
    char path[256], params[300];
    long n_found = 0;
    dr_tmp_file(path, sizeof path);
    snprintf(params, sizeof params, "file=%s", path);
    for (int round = 0; round < 60; round++) {
        uint64_t rng = seed + (uint64_t)round;
        struct corpus c = {tok, N};
        struct dr_seq s = {.id = 1, .tok = (int32_t[40]){0}, .n = 20, .n_prompt = 1};
        struct dr d;
        for (int i = 0; i < N; i++) /* a few tokens go on in very many ways, the commonest with a large id */
            tok[i] = i > 0 && tok[i - 1] < 3       ? (dr_below(&rng, 3) ? dr_below(&rng, V) : V - 1)
                     : i > 30 && dr_below(&rng, 3) ? tok[i - 29]
                                                   : dr_below(&rng, round % 2 ? V : 6);
        dr_write_datastore(path, tok, N, V);
        open_ok(&d, "rest", params, V);
        const int from = dr_below(&rng, N - 20);
        memcpy(s.tok, tok + from, 20 * sizeof *s.tok);
        for (int i = 0; i < dr_below(&rng, 18); i++)
            s.tok[i] = dr_below(&rng, V);
        propose(&d, &s, BUDGET, false);
        int m = 16;
        while (m > 0 && places(&c, s.tok + 20 - m, m, -1) == 0)
            m--;
        if (m < 2)
            m = 0;
        static struct reach r;
        int32_t key[64];
        double sum = 0, got = 0, prob[TREE_MAX];
        r.n = 0;
        memcpy(key, s.tok + 20 - m, (size_t)m * sizeof *key);
        if (m > 0)
            walk(&c, key, m, 1, V, BUDGET, &r);
        qsort(r.p, (size_t)r.n, sizeof *r.p, falling);
        for (int i = 0; i < r.n && i < BUDGET; i++)
            sum += r.p[i];
        for (int e = 0; e < tree.n; e++) {
            const int parent = tree.entry[e].parent;
            prob[e] = (parent < 0 ? 1 : prob[parent]) * (double)tree.entry[e].conf;
            got += prob[e];
        }
        assert_int_equal(tree.match, m);
        if (fabs(got - sum) > 1e-5)
            fail_msg("round %d, match %d: the draft promises %g, the corpus %g", round, m, got, sum);
        n_found += tree.n;
        propose(&d, &s, BUDGET, true);
        assert_true(dr_is_chain(&tree));
        dr_close(&d);
    }
    assert_true(n_found > 100);
    unlink(path);
}

/* Files that are no datastore of this model. */
static void test_datastore_refused(void **state)
{
    (void)state;
    static const int32_t tok[] = {1, 2, 3, 1, 2, 4};
    char path[256];
    struct datastore d;
    struct otr_err err;
    dr_tmp_file(path, sizeof path);
    assert_int_equal(datastore_open(&d, path, DR_MODEL, 9, &err), OTR_E_FORMAT); /* empty */
    dr_write_datastore(path, tok, 6, 9);
    assert_int_equal(datastore_open(&d, path, DR_MODEL, 9, &err), OTR_OK);
    size_t lo, hi;
    assert_true(datastore_find(&d, tok, 2, &lo, &hi) && hi - lo == 2);
    assert_false(datastore_find(&d, (int32_t[]){3, 3}, 2, &lo, &hi));
    datastore_close(&d);
    assert_int_equal(datastore_open(&d, path, "fedcba9876543210", 9, &err), OTR_E_FORMAT);
    assert_non_null(strstr(err.msg, "another model"));
    assert_int_equal(datastore_open(&d, path, DR_MODEL, 10, &err), OTR_E_FORMAT);
    for (long n = 0; n < 48 + 48; n += 5) { /* cut */
        assert_int_equal(truncate(path, 0), 0);
        dr_write_datastore(path, tok, 6, 9);
        assert_int_equal(truncate(path, n), 0);
        assert_int_equal(datastore_open(&d, path, DR_MODEL, 9, &err), OTR_E_FORMAT);
    }
    unlink(path);
    assert_int_equal(datastore_open(&d, path, DR_MODEL, 9, &err), OTR_E_IO);
    assert_int_equal(datastore_open(&d, "tests", DR_MODEL, 9, &err), OTR_E_IO);
}

/* ---- recycle: the eight likeliest ---- */

static float row[1000];

static const float *the_row(void *self, int node)
{
    (void)self;
    (void)node;
    return row;
}

static void test_recycle(void **state)
{
    (void)state;
    static const int vocab[] = {3, 8, 31, 32, 33, 1000};
    for (int round = 0; round < 60; round++) {
        uint64_t rng = seed + (uint64_t)round;
        const int n = vocab[round % 6];
        int32_t tok[] = {0, 1, 2};
        struct dr d;
        struct dr_seq s = {.id = 1, .tok = (int32_t[]){2, 1}, .n = 2, .n_prompt = 1};
        open_ok(&d, "recycle", "", n);
        for (int i = 0; i < n; i++)
            row[i] = round % 2 ? (float)dr_below(&rng, 5) : (float)(dr_rand(&rng) >> 40); /* many ties, or none */
        const struct draft_seen seen = {
            .seq = 1, .event = SEEN_STEP, .tok = tok, .n = 3, .n_new = 1, .logits = the_row};
        d.m->observe(d.self, &seen, 1); /* the row after token 1 */
        propose(&d, &s, 31, false);
        int k = 0;
        bool used[1000] = {false};
        for (int e = 0; e < tree.n; e++) {
            if (tree.entry[e].parent >= 0)
                continue;
            int best = -1;
            for (int i = 0; i < n; i++)
                if (!used[i] && (best < 0 || row[i] > row[best]))
                    best = i;
            used[best] = true;
            assert_int_equal(tree.entry[e].token, best);
            k++;
        }
        assert_true(k == (n < 8 ? n : 8) || (k >= 3 && tree.n == 31));
        dr_close(&d);
    }
}

/* ---- lookahead: under a target that looks at one token only, whatever the pool holds is what it said ---- */

static void test_lookahead(void **state)
{
    (void)state;
    long n_gram = 0, n_said = 0, n_own = 0;
    for (int round = 0; round < 24; round++) {
        const struct dr_text t = {DR_MARKOV, 300, seed + (uint64_t)round};
        struct dr d;
        struct dr_seq s;
        open_ok(&d, "lookahead", round % 2 ? "level=3,window=3" : "", 300);
        dr_seq_open(&s, 1, &t, 40);
        for (size_t i = 0; i <= s.n_prompt; i++) /* a prompt that the target would not write */
            s.tok[i] = (int32_t)((i * 7919 + (size_t)round) % 300);
        for (int i = 0; i < 30; i++) {
            propose(&d, &s, 31, false);
            for (int e = 0; e < tree.n; e++) {
                const struct tree_entry *x = &tree.entry[e];
                if (x->conf != 0.5f) /* of the window, not of the pool */
                    continue;
                const int32_t before = x->parent < 0 ? s.tok[s.n - 1] : tree.entry[x->parent].token;
                bool in_text = false; /* n-grams of the text are in the pool too, the prompt's as well */
                for (size_t k = 0; k + 1 < s.n; k++)
                    in_text |= s.tok[k] == before && s.tok[k + 1] == x->token;
                assert_true(in_text || x->token == dr_next(&t, &before, 1));
                n_said += !in_text;
                n_gram++;
            }
            n_own += dr_step(&d, 1, 0, &s, &t, &tree);
        }
        dr_seq_close(&s);
        dr_close(&d);
    }
    printf("lookahead: %ld entries from the pool, %ld that were not in the text; %ld accepted\n", n_gram, n_said,
           n_own);
    assert_true(n_gram > 60 && n_said > 10 && n_own > 20);
}

/* ---- prediction: an edited copy ---- */

struct edit_case {
    const char *what;
    int cut, put; /* tokens taken out, put in, at each edit */
};

/* Replies that are the predicted text with an edit every 40 tokens. Counts tokens that were proposed right, and after
 * an edit the tokens until it is in step again. */
static void edited(const struct edit_case *c, enum dr_kind kind, double least, double most_lost)
{
    enum { N = 1500 };
    long n_right = 0, n_asked = 0, n_lost = 0, n_edits = 0;
    const struct dr_text t = {kind, kind == DR_MARKOV ? 60 : 400, seed};
    static int32_t p[N], reply[3 * N];
    uint64_t rng = seed;
    int n_reply = 0, lost = 0;
    static bool first[3 * N]; /* the first copied token after an edit */
    struct dr_seq s;
    struct dr d;
    memset(first, 0, sizeof first);
    for (size_t i = 0; i < N; i++)
        p[i] = i > 60 && kind == DR_MARKOV && i % 9 == 0 ? (int32_t)(i % 7) : dr_next(&t, p, i);
    for (int i = 0; i < N; i++) {
        if (i % 40 == 39) {
            for (int k = 0; k < c->put; k++)
                reply[n_reply++] = dr_below(&rng, t.n_vocab);
            i += c->cut;
            first[n_reply] = true;
            n_edits++;
        }
        if (i < N)
            reply[n_reply++] = p[i];
    }
    open_ok(&d, "prediction", "", 400);
    dr_seq_open(&s, 1, &t, 10);
    s.predicted = p;
    s.n_predicted = N;
    s.tok[s.n - 1] = reply[0];
    for (int i = 1; i < n_reply; i++) {
        propose(&d, &s, 1, true);
        const bool right = tree.n > 0 && tree.entry[0].token == reply[i];
        n_right += right;
        n_asked++;
        lost = first[i] ? 1 : lost;
        if (lost && right) {
            n_lost += lost - 1;
            lost = 0;
        } else if (lost) {
            lost++;
        }
        s.tok[s.n++] = reply[i];
    }
    const double share = (double)n_right / (double)n_asked, each = (double)n_lost / (double)n_edits;
    printf("prediction, %s, %s: %.3f of the tokens proposed; in step again %.2f tokens after an edit\n", c->what,
           kind == DR_RANDOM ? "words all different" : "a repetitive text", share, each);
    assert_true(share >= least && each <= most_lost);
    dr_seq_close(&s);
    dr_close(&d);
}

static void test_prediction(void **state)
{
    (void)state;
    /* of 40 tokens one is not to be guessed for each that is put in, and one where the copy goes on elsewhere */
    static const struct edit_case cases[] = {{"no edit", 0, 0},      {"one inserted", 0, 1}, {"six inserted", 0, 6},
                                             {"one deleted", 1, 0},  {"six deleted", 6, 0},  {"50 deleted", 50, 0},
                                             {"one replaced", 1, 1}, {"six replaced", 6, 6}, {"3 for 9", 3, 9}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        edited(&cases[i], DR_RANDOM, 0.9 - 0.025 * cases[i].put - (cases[i].cut > 32 ? 0.02 : 0), 2.6);
        edited(&cases[i], DR_MARKOV, 0.7 - 0.025 * cases[i].put, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ngram_simple), cmocka_unit_test(test_ngram_map), cmocka_unit_test(test_cache_golden),
        cmocka_unit_test(test_cache_file),   cmocka_unit_test(test_rest),      cmocka_unit_test(test_datastore_refused),
        cmocka_unit_test(test_recycle),      cmocka_unit_test(test_lookahead), cmocka_unit_test(test_prediction),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
