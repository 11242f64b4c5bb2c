/* The trie of SuffixDecoding against counting by hand, its drafts against the method as its note states it, the store
 * of earlier replies under eviction, and its file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/suffix_store.h"
#include "support/draft_rig.h"

enum { MAX_TEXTS = 12, MAX_LEN = 60 };
static const uint64_t seed = 20261126;

struct texts {
    int32_t tok[MAX_TEXTS][MAX_LEN];
    int len[MAX_TEXTS], n;
};

static int occurrences(const struct texts *x, const int32_t *key, int n)
{
    int count = 0;
    for (int k = 0; k < x->n; k++)
        for (int i = 0; i + n <= x->len[k]; i++)
            count += memcmp(x->tok[k] + i, key, (size_t)n * sizeof *key) == 0;
    return count;
}

/* All sub-sequences up to the depth, each counted by hand; *distinct: how many there are. */
static void compare_counts(const struct suffix_trie *t, const struct texts *x)
{
    uint32_t distinct = 0;
    for (int k = 0; k < x->n; k++)
        for (int i = 0; i < x->len[k]; i++) {
            uint32_t at = 0;
            for (int n = 1; n <= t->depth && i + n <= x->len[k]; n++) {
                at = suffix_child(t, at, x->tok[k][i + n - 1]);
                assert_true(at != SUFFIX_NONE);
                assert_int_equal(t->node[at].count, occurrences(x, x->tok[k] + i, n));
                bool first = true; /* the first place of this sub-sequence: count it once */
                for (int k2 = 0; k2 <= k && first; k2++)
                    for (int j = 0; j + n <= x->len[k2] && (k2 < k || j < i) && first; j++)
                        first = memcmp(x->tok[k2] + j, x->tok[k] + i, (size_t)n * sizeof(int32_t)) != 0;
                distinct += first;
            }
        }
    assert_int_equal(t->n_live, distinct + 1);
}

static void add_random(struct suffix_trie *t, struct texts *x, uint64_t *rng, int n_vocab)
{
    struct suffix_cursor c;
    int32_t *tok = x->tok[x->n];
    const int n = 1 + dr_below(rng, MAX_LEN);
    suffix_cursor_init(&c);
    for (int i = 0; i < n; i++) {
        tok[i] = i > 6 && dr_below(rng, 3) ? tok[i - 5] : dr_below(rng, n_vocab);
        assert_true(suffix_add(t, &c, tok[i]));
        for (int d = 0; d <= c.n; d++) /* the cursor holds all suffixes */
            assert_true(d == 0 || t->node[c.node[d]].token == tok[i]);
        assert_int_equal(c.n, i + 1 < t->depth ? i + 1 : t->depth);
    }
    x->len[x->n++] = n;
}

static void drop_random(struct suffix_trie *t, struct texts *x, uint64_t *rng)
{
    const int k = dr_below(rng, x->n);
    suffix_remove(t, x->tok[k], (size_t)x->len[k]);
    x->n--;
    memcpy(x->tok[k], x->tok[x->n], sizeof x->tok[k]);
    x->len[k] = x->len[x->n];
}

static void test_counts(void **state)
{
    (void)state;
    for (int round = 0; round < 24; round++) {
        static struct texts x;
        struct suffix_trie t;
        uint64_t rng = seed + (uint64_t)round;
        x.n = 0;
        assert_true(suffix_trie_init(&t, 1 + round % 9, 1 << 20));
        for (int i = 0; i < 30; i++) {
            if (x.n > 0 && (x.n == MAX_TEXTS || dr_below(&rng, 3) == 0))
                drop_random(&t, &x, &rng);
            else
                add_random(&t, &x, &rng, 2 + round % 5);
            const char *wrong = suffix_check(&t);
            if (wrong)
                fail_msg("round %d, change %d: %s", round, i, wrong);
            if (i % 5 == 4)
                compare_counts(&t, &x);
        }
        while (x.n > 0)
            drop_random(&t, &x, &rng);
        assert_null(suffix_check(&t));
        assert_int_equal(t.n_live, 1);
        suffix_trie_free(&t);
    }
}

/* A full trie: what was added in part is taken out again whole, at every length at which it can fill up. */
static void test_full(void **state)
{
    (void)state;
    for (int nodes = 2; nodes < 120; nodes++) {
        struct suffix_trie t;
        struct suffix_cursor c;
        int32_t tok[MAX_LEN];
        uint64_t rng = seed + (uint64_t)nodes;
        int n = 0;
        assert_true(suffix_trie_init(&t, 6, (size_t)nodes * 40));
        assert_true(t.max == (uint32_t)nodes);
        suffix_cursor_init(&c);
        for (bool fits = true; n < MAX_LEN && fits; n++) {
            tok[n] = dr_below(&rng, 3);
            fits = suffix_add(&t, &c, tok[n]);
        }
        assert_null(suffix_check(&t));
        assert_true(suffix_trie_bytes(&t) <= (size_t)nodes * 40);
        suffix_remove(&t, tok, (size_t)n);
        assert_null(suffix_check(&t));
        assert_int_equal(t.n_live, 1);
        suffix_trie_free(&t);
    }
}

/* The checker itself sees damage. */
static void test_checker(void **state)
{
    (void)state;
    for (int damage = 0; damage < 6; damage++) {
        struct suffix_trie t;
        static struct texts x;
        uint64_t rng = seed;
        x.n = 0;
        assert_true(suffix_trie_init(&t, 6, 1 << 20));
        add_random(&t, &x, &rng, 4);
        add_random(&t, &x, &rng, 4);
        const uint32_t child = t.node[0].child;
        switch (damage) {
        case 0:
            t.node[child].count = 0;
            break;
        case 1:
            t.node[child].token += 100;
            break;
        case 2:
            t.node[t.node[child].child].count = t.node[child].count + 1;
            break;
        case 3:
            t.node[t.node[child].child].next = t.node[child].child; /* a ring */
            break;
        case 4:
            t.n_live--;
            break;
        default:
            t.node[t.node[child].child].parent = 0;
            break;
        }
        assert_non_null(suffix_check(&t));
        suffix_trie_free(&t);
    }
}

/* ---- drafts ---- */

enum { DEPTH = 12, MAX_PROBS = 100000 };

struct note {              /* the method, by counting */
    const struct texts *x; /* the sequence alone, or all earlier replies */
    int32_t key[DEPTH];
    double prob[MAX_PROBS];
    int n;
};

static double share(const struct note *o, int n, int32_t token)
{
    int32_t key[DEPTH];
    int all = 0, own = 0;
    memcpy(key, o->key, (size_t)n * sizeof *key);
    for (int32_t v = 0; v < 4; v++) {
        key[n] = v;
        const int c = occurrences(o->x, key, n + 1);
        all += c;
        own = v == token ? c : own;
    }
    return all ? (double)own / all : 0;
}

/* Probabilities of all paths below key [n] that are likely enough. */
static void walk(struct note *o, int n, double prob)
{
    for (int32_t v = 0; v < 4 && n < DEPTH; v++) {
        const double p = prob * share(o, n, v);
        if (p < 0.1 || o->n == MAX_PROBS)
            continue;
        o->prob[o->n++] = p;
        o->key[n] = v;
        walk(o, n + 1, p);
    }
}

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The best score over the lengths of match. A path's entries are taken likeliest
 * first and a child is never likelier than its parent, so the score is the sum of the likeliest. */
static double best_score(const struct texts *x, const int32_t *tok, int n_tok, int max, double factor)
{
    static struct note o;
    double best = 0;
    for (int m = n_tok < DEPTH ? n_tok : DEPTH; m >= 1; m--) {
        double score = 0;
        const int budget = (int)floor(factor * m);
        o = (struct note){.x = x};
        memcpy(o.key, tok + n_tok - m, (size_t)m * sizeof *tok);
        if (occurrences(x, o.key, m) == 0)
            continue;
        walk(&o, m, 1);
        qsort(o.prob, (size_t)o.n, sizeof *o.prob, falling);
        for (int i = 0; i < o.n && i < budget && i < max; i++)
            score += o.prob[i];
        best = fmax(best, score);
    }
    return best;
}

/* What the draft promises, and that each confidence is the share of how its places went on. */
static double promised(const struct tree *t, const struct texts *a, const struct texts *b, const int32_t *tok, int n)
{
    double prob[TREE_MAX], sum = 0;
    for (int e = 0; e < t->n; e++) {
        const int parent = t->entry[e].parent, depth = tree_depth(t, parent);
        struct note oa = {.x = a}, ob = {.x = b};
        memcpy(oa.key, tok + n - t->match, (size_t)t->match * sizeof *tok);
        for (int k = parent, i = t->match + depth; k >= 0; k = t->entry[k].parent)
            oa.key[--i] = t->entry[k].token;
        memcpy(ob.key, oa.key, sizeof ob.key);
        const double conf = (double)t->entry[e].conf, in_a = share(&oa, t->match + depth, t->entry[e].token),
                     in_b = share(&ob, t->match + depth, t->entry[e].token);
        assert_true(fabs(conf - in_a) < 1e-6 || fabs(conf - in_b) < 1e-6);
        prob[e] = conf * (parent < 0 ? 1 : prob[parent]);
        sum += prob[e];
    }
    return sum;
}

static void test_drafts(void **state)
{
    (void)state;
    static const double factors[] = {4, 1, 0.5};
    static struct texts earlier, own;
    static struct tree t;
    long n_entries = 0;
    for (int round = 0; round < 30; round++) {
        uint64_t rng = seed + (uint64_t)round;
        const double factor = factors[round % 3];
        struct dr d;
        struct dr_seq s = {.id = 100, .n_prompt = 2, .tok = own.tok[0]};
        char params[96];
        struct otr_err err;
        snprintf(params, sizeof params, "max_depth=%d,factor=%g", DEPTH, factor);
        assert_int_equal(dr_open(&d, "suffix", params, 4, seed, &err), OTR_OK);
        earlier.n = 0;
        for (int k = 0; k < round % 4; k++) { /* earlier replies: the first token of each sequence is its prompt */
            struct dr_seq e = {.id = 1 + (uint64_t)k, .n_prompt = 1, .n = MAX_LEN, .tok = earlier.tok[earlier.n]};
            for (int i = 0; i < MAX_LEN; i++)
                e.tok[i] = i > 7 && dr_below(&rng, 6) ? e.tok[i - 7] : dr_below(&rng, 4);
            assert_int_equal(dr_propose(&d, &e, 0, false, &t), OTR_OK);
            dr_event(&d, &e, SEEN_FINISHED);
            memmove(e.tok, e.tok + 1, (MAX_LEN - 1) * sizeof *e.tok);
            earlier.len[earlier.n++] = MAX_LEN - 1;
        }
        own.n = 1;
        for (s.n = 0; s.n < MAX_LEN;) {
            s.tok[s.n] = s.n > 9 && dr_below(&rng, 8) ? s.tok[s.n - 9] : dr_below(&rng, 4);
            s.n++;
            if (s.n < 3)
                continue;
            own.len[0] = (int)s.n;
            const int budget = 1 + dr_below(&rng, 31);
            const double a = best_score(&own, s.tok, (int)s.n, budget, factor),
                         b = best_score(&earlier, s.tok, (int)s.n, budget, factor);
            assert_int_equal(dr_propose(&d, &s, budget, false, &t), OTR_OK);
            assert_int_equal(tree_check(&t, 4, budget, NULL), OTR_OK);
            const double got = promised(&t, &own, &earlier, s.tok, (int)s.n);
            if (fabs(got - fmax(a, b)) > 1e-5)
                fail_msg("round %d at %zu: the draft promises %g; by the note %g (own), %g (earlier)", round, s.n, got,
                         a, b);
            n_entries += t.n;
            assert_int_equal(dr_propose(&d, &s, budget, true, &t), OTR_OK);
            assert_true(dr_is_chain(&t));
            promised(&t, &own, &earlier, s.tok, (int)s.n);
        }
        dr_close(&d);
    }
    assert_true(n_entries > 1000);
}

/* A long passage that stood there once before is copied as far as the depth allows, not a token at a time. */
static void test_long_copy(void **state)
{
    (void)state;
    static struct tree t;
    struct dr d;
    struct dr_seq s;
    struct otr_err err;
    const struct dr_text text = {DR_RANDOM, 1000, seed};
    dr_seq_open(&s, 1, &text, 200);
    assert_int_equal(dr_open(&d, "suffix", "", 1000, seed, &err), OTR_OK);
    memcpy(s.tok + s.n, s.tok + 20, 100 * sizeof *s.tok);
    s.n += 100;
    assert_int_equal(dr_propose(&d, &s, 31, false, &t), OTR_OK);
    assert_true(t.n >= 24);
    for (int i = 0; i < t.n; i++)
        assert_int_equal(t.entry[i].token, s.tok[120 + i]);
    dr_seq_close(&s);
    dr_close(&d);
}

/* ---- the store ---- */

static void open_store(struct suffix_store *st, const char *path, size_t max_bytes, const char *model, int n_vocab)
{
    const struct draft_param p = {"file", path};
    const struct draft_env env = {.n_vocab = n_vocab, .model = model, .param = &p, .n_param = path ? 1 : 0};
    struct otr_err err;
    assert_int_equal(suffix_store_open(st, &env, 8, max_bytes, &err), OTR_OK);
}

static void test_store(void **state)
{
    (void)state;
    struct suffix_store st;
    uint64_t rng = seed;
    long epoch = 0;
    int32_t tok[700];
    open_store(&st, NULL, 100000, DR_MODEL, 50);
    for (int i = 0; i < 300; i++) {
        const int n = 2 + dr_below(&rng, i % 17 == 16 ? 690 : 60);
        for (int k = 0; k < n; k++)
            tok[k] = dr_below(&rng, 50);
        const size_t before = st.n;
        suffix_store_add(&st, tok, (size_t)n);
        assert_null(suffix_check(&st.trie));
        assert_true(suffix_store_bytes(&st) <= 100000);
        assert_true(st.epoch > epoch || st.n == before); /* cursors into it are told */
        epoch = st.epoch;
        if (n < 200) { /* the newest is in, and whole */
            const struct suffix_reply *r = &st.reply[(st.first + st.n - 1) % st.cap];
            assert_true(st.n > 0 && r->n == (size_t)n && memcmp(r->tok, tok, r->n * sizeof *tok) == 0);
        }
        static struct texts x; /* what it holds is what its trie counts */
        if (st.n <= MAX_TEXTS && i % 10 == 0) {
            bool fits = true;
            x.n = 0;
            for (size_t k = 0; k < st.n && fits; k++) {
                const struct suffix_reply *r = &st.reply[(st.first + k) % st.cap];
                fits = r->n <= MAX_LEN;
                x.len[x.n] = (int)r->n;
                if (fits)
                    memcpy(x.tok[x.n++], r->tok, r->n * sizeof *tok);
            }
            if (fits)
                compare_counts(&st.trie, &x);
        }
    }
    assert_true(st.n > 3);
    for (size_t k = 0; k < 700; k++)
        tok[k] = 7; /* hardly a node: the replies themselves have a bound too */
    for (int i = 0; i < 200; i++)
        suffix_store_add(&st, tok, 700);
    assert_true(st.n > 1 && suffix_store_bytes(&st) <= 100000);
    suffix_store_close(&st);
}

static void test_file(void **state)
{
    (void)state;
    char path[256];
    struct suffix_store a, b;
    dr_tmp_file(path, sizeof path);
    open_store(&a, path, 1 << 20, DR_MODEL, 50);
    uint64_t rng = seed;
    for (int i = 0; i < 20; i++) {
        int32_t tok[40];
        for (int k = 0; k < 40; k++)
            tok[k] = dr_below(&rng, 50);
        suffix_store_add(&a, tok, (size_t)(2 + 2 * i));
    }
    suffix_store_close(&a);
    open_store(&b, path, 1 << 20, DR_MODEL, 50);
    assert_int_equal(b.n, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(b.reply[i].n, 2 + 2 * i);
    assert_null(suffix_check(&b.trie));
    suffix_store_close(&b);
    open_store(&b, path, 1 << 20, "fedcba9876543210", 50); /* of another vocabulary: left alone */
    assert_int_equal(b.n, 0);
    suffix_store_close(&b);
    open_store(&b, path, 1 << 20, DR_MODEL, 20);
    assert_int_equal(b.n, 0);
    suffix_store_close(&b);
    FILE *f = fopen(path, "re");
    static char bytes[8192];
    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    open_store(&b, NULL, 1 << 20, DR_MODEL, 50);
    long n_sound = 0;
    for (size_t cut = 0; cut <= n; cut++) { /* cut anywhere: whole replies or nothing */
        struct otr_err err = {0};
        const int rc = suffix_store_read(&b, bytes, cut, &err);
        n_sound += rc == OTR_OK;
        assert_true(rc == OTR_OK || (rc == OTR_E_FORMAT && b.n == 0 && err.msg[0]));
    }
    assert_int_equal(n_sound, 21);
    suffix_store_close(&b);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts), cmocka_unit_test(test_full),      cmocka_unit_test(test_checker),
        cmocka_unit_test(test_drafts), cmocka_unit_test(test_long_copy), cmocka_unit_test(test_store),
        cmocka_unit_test(test_file),
    };
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
