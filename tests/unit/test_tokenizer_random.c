/* Random vocabularies and texts against the definitions, done naively; and the growth of work on long texts of one
 * kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/toktest.h"
#include "tokenize/tok_priv.h"

enum { SEED = 20240614, N_CASES = 3000, MAX_PIECES = 64, MAX_TEXT = 48 };

static uint32_t n_drawn;

static uint32_t below(uint32_t n)
{
    return philox4x32(SEED, (struct philox){{n_drawn++, 0, 0, 0}}).v[0] % n;
}

struct vocab {
    char piece[MAX_PIECES][16];
    const char *p[MAX_PIECES];
    int32_t type[MAX_PIECES];
    float score[MAX_PIECES];
    char merge[MAX_PIECES][24];
    const char *m[MAX_PIECES];
    int left[MAX_PIECES], right[MAX_PIECES], made[MAX_PIECES]; /* of merges, by id */
    size_t n, n_merge;
};

static int find(const struct vocab *v, const char *s, size_t n)
{
    for (size_t i = v->n; i-- > 0;)
        if (strlen(v->p[i]) == n && memcmp(v->p[i], s, n) == 0)
            return (int)i;
    return -1;
}

static int add(struct vocab *v, const char *s, int32_t type)
{
    const int have = find(v, s, strlen(s));
    if (have >= 0 || strlen(s) >= sizeof v->piece[0] || v->n == MAX_PIECES)
        return have;
    strcpy(v->piece[v->n], s);
    v->p[v->n] = v->piece[v->n];
    v->type[v->n] = type;
    v->score[v->n] = -(float)below(6); /* many ties */
    return (int)v->n++;
}

/* a, b, c, and what some random joins of pieces make; type NORMAL. */
static void draw_vocab(struct vocab *v, int n_join)
{
    char joined[48];
    memset(v, 0, sizeof *v);
    add(v, "a", TOK_NORMAL);
    add(v, "b", TOK_NORMAL);
    add(v, "c", TOK_NORMAL);
    for (int i = 0; i < n_join; i++) {
        const int l = (int)below((uint32_t)v->n), r = (int)below((uint32_t)v->n);
        snprintf(joined, sizeof joined, "%s%s", v->p[l], v->p[r]);
        const int made = add(v, joined, TOK_NORMAL);
        if (made < 0)
            continue;
        v->left[v->n_merge] = l;
        v->right[v->n_merge] = r;
        v->made[v->n_merge] = made;
        snprintf(v->merge[v->n_merge], sizeof v->merge[0], "%s %s", v->p[l], v->p[r]);
        v->m[v->n_merge] = v->merge[v->n_merge];
        v->n_merge++;
    }
}

static size_t draw_text(char *text)
{
    const size_t n = below(MAX_TEXT);
    for (size_t i = 0; i < n; i++)
        text[i] = "abc"[below(3)];
    text[n] = 0;
    return n;
}

/* The definition of BPE: again and again the pair of the lowest rank, of equal ones the leftmost. */
static size_t naive_bpe(const struct vocab *v, const char *text, size_t n, int32_t *ids)
{
    size_t k = 0;
    for (; k < n; k++)
        ids[k] = text[k] - 'a';
    for (;;) {
        size_t best = SIZE_MAX, at = 0;
        for (size_t i = 0; i + 1 < k; i++)
            for (size_t m = 0; m < v->n_merge && m < best; m++)
                if (v->left[m] == ids[i] && v->right[m] == ids[i + 1]) {
                    best = m;
                    at = i;
                }
        if (best == SIZE_MAX)
            return k;
        ids[at] = v->made[best];
        memmove(ids + at + 1, ids + at + 2, (--k - at - 1) * sizeof *ids);
    }
}

/* The definition of SPM: again and again the neighbours whose join is the piece of the highest score. */
static size_t naive_spm(const struct vocab *v, const char *text, size_t n, int32_t *ids)
{
    size_t k = n, len[MAX_TEXT];
    for (size_t i = 0; i < n; i++)
        len[i] = 1;
    for (;;) {
        int best = -1;
        size_t at = 0;
        for (size_t i = 0, p = 0; i + 1 < k; p += len[i++]) {
            const int id = find(v, text + p, len[i] + len[i + 1]);
            if (id >= 0 && (best < 0 || v->score[id] > v->score[best])) {
                best = id;
                at = i;
            }
        }
        if (best < 0)
            break;
        len[at] += len[at + 1];
        memmove(len + at + 1, len + at + 2, (--k - at - 1) * sizeof *len);
    }
    for (size_t i = 0, p = 0; i < k; p += len[i++])
        ids[i] = find(v, text + p, len[i]);
    return k;
}

static void check(const struct tokenizer *t, const char *text, size_t n, unsigned flags, const unsigned char *lit,
                  const int32_t *want, size_t k)
{
    struct ids l = {0};
    struct otr_err err = {0};
    if (tokenizer_encode(t, text, n, flags, lit, &l, &err) < 0)
        fail_msg("%s", err.msg);
    if (l.n != k || (k && memcmp(l.v, want, k * sizeof *want) != 0))
        fail_msg("'%.*s': %s (draw %u)", (int)n, text, toktest_ids(t, text, n, flags, lit), n_drawn);
    ids_free(&l);
}

static void test_merges(void **state)
{
    (void)state;
    char text[MAX_TEXT + 1];
    int32_t want[MAX_TEXT];
    printf("seed %d\n", SEED);
    for (int i = 0; i < N_CASES; i++) {
        struct vocab v;
        draw_vocab(&v, 1 + (int)below(24));
        const struct toy bpe = {"gpt2", "gpt-2", v.p, v.n, v.type, NULL, v.m, v.n_merge};
        const struct toy spm = {"llama", NULL, v.p, v.n, v.type, v.score, NULL, 0};
        struct gguf_build b;
        struct tokenizer *tb = toy_make(&bpe), *ts = NULL;
        toy_keys(&b, &spm);
        gb_bool(&b, "tokenizer.ggml.add_space_prefix", false);
        assert_int_equal(toy_open(&ts, &b, NULL), OTR_OK);
        for (int k = 0; k < 4; k++) {
            const size_t n = draw_text(text);
            check(tb, text, n, 0, NULL, want, naive_bpe(&v, text, n, want));
            check(ts, text, n, 0, NULL, want, naive_spm(&v, text, n, want));
        }
        tokenizer_close(tb);
        tokenizer_close(ts);
    }
}

/* The definition of cutting: for each length from the longest, from left to right, what matches and is still free. */
static size_t naive_cut(const struct vocab *v, const char *text, size_t n, bool parse, const unsigned char *lit,
                        int32_t *ids)
{
    bool taken[MAX_TEXT] = {0};
    int32_t at[MAX_TEXT];
    size_t k = 0;
    memset(at, 0xff, sizeof at);
    for (size_t len = n; len > 0; len--)
        for (size_t p = 0; p + len <= n; p++) {
            const int id = find(v, text + p, len);
            bool ok = id >= 3 && (v->type[id] == TOK_USER || parse);
            for (size_t i = p; i < p + len; i++)
                ok = ok && !taken[i] && (v->type[id] == TOK_USER || !lit[i]);
            if (!ok)
                continue;
            at[p] = id;
            for (size_t i = p; i < p + len; i++)
                taken[i] = true;
        }
    for (size_t p = 0; p < n; p++)
        if (!taken[p])
            ids[k++] = text[p] - 'a';
        else if (at[p] >= 0)
            ids[k++] = at[p];
    return k;
}

static void test_cuts(void **state)
{
    (void)state;
    char text[MAX_TEXT + 1];
    int32_t want[MAX_TEXT];
    for (int i = 0; i < N_CASES; i++) {
        struct vocab v;
        unsigned char lit[MAX_TEXT];
        draw_vocab(&v, 1 + (int)below(16));
        for (size_t k = 3; k < v.n; k++)
            v.type[k] = below(2) ? TOK_USER : TOK_CONTROL;
        const struct toy y = {"gpt2", "gpt-2", v.p, v.n, v.type, NULL, (const char *const[]){""}, 0};
        struct tokenizer *t = toy_make(&y);
        for (int k = 0; k < 8; k++) {
            const size_t n = draw_text(text);
            const bool parse = below(4) > 0;
            for (size_t p = 0; p < n; p++)
                lit[p] = below(8) == 0;
            check(t, text, n, parse ? TOK_PARSE_SPECIAL : 0, lit, want, naive_cut(&v, text, n, parse, lit, want));
        }
        tokenizer_close(t);
    }
}

/* ---- growth: twice the text, at most 2.2 times the work ---- */

static size_t steps(const struct tokenizer *t, char *text, const char *unit, size_t n)
{
    struct ids l = {0};
    struct otr_err err = {0};
    const size_t len = strlen(unit), before = tokenizer_n_steps(t);
    for (size_t i = 0; i < n; i++)
        text[i] = unit[i % len];
    if (tokenizer_encode(t, text, n, TOK_PARSE_SPECIAL, NULL, &l, &err) < 0)
        fail_msg("%s", err.msg);
    ids_free(&l);
    return tokenizer_n_steps(t) - before;
}

static void check_growth(const struct tokenizer *t, const char *name)
{
    static const char *const units[] = {"a",         " ",       "\n",           "=", "7",  "ab",   "<",
                                        "<|im_end|", "<unused", "\xe5\x93\x88", "'", "a ", "\t\n "};
    char *text = malloc(1 << 20);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const size_t n = i == 0 ? 1 << 20 : 1 << 18;
        const size_t half = steps(t, text, units[i], n / 2), whole = steps(t, text, units[i], n);
        if ((double)whole > 2.2 * (double)half)
            fail_msg("%s: %zu steps for %zu bytes of '%s', %zu for half of them", name, whole, n, units[i], half);
        if (i == 0)
            printf("%s: 1 MB of one letter: %zu steps, 512 KB: %zu\n", name, whole, half);
    }
    free(text);
}

static void test_growth(void **state)
{
    (void)state;
    struct vocab v;
    memset(&v, 0, sizeof v);
    add(&v, "a", TOK_NORMAL);
    for (int i = 0; i < 3; i++) { /* aa, aaaa, aaaaaaaa */
        char joined[32];
        snprintf(joined, sizeof joined, "%s%s", v.p[i], v.p[i]);
        add(&v, joined, TOK_NORMAL);
        snprintf(v.merge[i], sizeof v.merge[0], "%s %s", v.p[i], v.p[i]);
        v.m[i] = v.merge[i];
    }
    struct tokenizer *t = toy_make(&(struct toy){"gpt2", "gpt-2", v.p, v.n, NULL, NULL, v.m, 3});
    check_growth(t, "toy BPE");
    tokenizer_close(t);
    static const char *const models[] = {TOK_SMOLLM2, TOK_GEMMA3};
    for (size_t i = 0; i < 2; i++)
        if ((t = toktest_open(toktest_model(models[i])))) {
            check_growth(t, models[i]);
            tokenizer_close(t);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_merges), cmocka_unit_test(test_cuts),
                                       cmocka_unit_test(test_growth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
