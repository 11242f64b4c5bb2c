/* One text in two vocabularies: named hard cases, and random texts, characters or not, for every pair of vocabularies
 * at hand. What always holds: the bytes are the same bytes on both sides; what is spelled piece by piece is spelled as
 * the whole would be (counted where it is not: a window has an edge); the work grows with what is new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "draft/retext.h"
#include "support/draft_rig.h"
#include "support/toktest.h"

enum { SEED = 20261125, MAX_TEXT = 4096, N_RANDOM = 10000 };

struct pair {
    const char *name;
    struct tokenizer *target, *draft;
    struct vocab_map *map;
};

static struct pair pairs[8];
static int n_pair;

static void add_pair(const char *name, struct tokenizer *target, struct tokenizer *draft)
{
    struct otr_err err = {0};
    if (!target || !draft)
        return;
    struct pair *p = &pairs[n_pair++];
    *p = (struct pair){name, target, draft, NULL};
    if (vocab_map_open(&p->map, target, draft, NULL, &err) < 0)
        fail_msg("%s", err.msg);
}

static int open_pairs(void **state)
{
    static struct tokenizer *t[5];
    (void)state;
    t[0] = toktest_open(toktest_model(TOK_SMOLLM2));
    t[1] = toktest_open(toktest_model(TOK_GEMMA3));
    t[2] = toktest_open(TOK_DATA "ggml-vocab-llama-spm.gguf");
    t[3] = toktest_open(TOK_DATA "ggml-vocab-gpt-2.gguf");
    t[4] = toktest_open(TOK_DATA "ggml-vocab-phi-3.gguf");
    add_pair("Gemma 3 <- SmolLM2", t[1], t[0]);
    add_pair("SmolLM2 <- Gemma 3", t[0], t[1]);
    add_pair("llama-spm <- gpt-2", t[2], t[3]);
    add_pair("gpt-2 <- llama-spm", t[3], t[2]);
    add_pair("phi-3 <- SmolLM2", t[4], t[0]);
    add_pair("Gemma 3 <- phi-3", t[1], t[4]);
    return 0;
}

static void encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags, struct ids *out)
{
    struct otr_err err = {0};
    out->n = 0;
    if (tokenizer_encode(t, text, n, flags, NULL, out, &err) < 0)
        fail_msg("%s", err.msg);
}

static bool same_ids(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof *a) == 0);
}

static void follow(struct retext *r, const int32_t *tok, size_t n)
{
    struct otr_err err = {0};
    if (retext_follow(r, tok, n, &err) < 0)
        fail_msg("%s", err.msg);
}

/* The bytes of ids, without SPM's own first space. */
static size_t bytes_of(const struct tokenizer *t, const int32_t *id, size_t n, char *out)
{
    size_t at = 0;
    bool start = true;
    for (size_t i = 0; i < n; i++) {
        size_t k;
        const char *p = tokenizer_bytes(t, id[i], false, &k);
        const bool own = start && k > 0 && *p == ' ' && tokenizer_adds_space(t);
        assert_true(at + k < 4 * MAX_TEXT);
        memcpy(out + at, p + own, k - own);
        at += k - own;
        start = tokenizer_is_special(t, id[i]);
    }
    return at;
}

/* ---- named cases ---- */

static const char *const texts[] = {
    "The quick brown fox jumps over the lazy dog.",
    "    four leading spaces, \tand a tab\t\tand two",
    " one",
    "emoji: \xf0\x9f\x98\x80\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb and \xe2\x9c\x93",
    "digits 3.14159265358979 1234567890 007 2026-11-25",
    "one\ntwo\n\nthree\n\n\nfour\n\n\n\n\n\n\n\n\n\nend\n",
    "ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha",
    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe6\x96\x87\xe7\xab\xa0\xe3\x80\x82\xed\x95\x9c\xea\xb5\xad",
    "def f(x):\n    return {\n        'a': x ** 2,  # comment\n    }\n",
    "\xc3\xa9t\xc3\xa9 na\xc3\xafve \xc5\x81\xc3\xb3\xc4\x91\xc5\xba e\xcc\x81 \xce\xb1\xce\xb2\xce\xb3",
    "<html><table><tr></table> &nbsp; <|im_start|> <end_of_turn> </s>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "I'll we've DON'T it's 'quoted' \"double\" -- ...   ??"
    "?!!!",
};
enum { N_TEXT = sizeof texts / sizeof *texts };

/* Token by token: the drafter's ids are those of the text so far, whole. */
static void test_follow(void **state)
{
    (void)state;
    for (int k = 0; k < n_pair; k++) {
        const struct pair *p = &pairs[k];
        long n_step = 0, n_other = 0;
        for (int i = 0; i < N_TEXT; i++) {
            static char text[4 * MAX_TEXT], got[4 * MAX_TEXT];
            struct ids y = {0}, want = {0};
            struct retext r;
            retext_init(&r, p->target, p->draft, p->map);
            encode(p->target, texts[i], strlen(texts[i]), TOK_ADD_SPECIAL, &y);
            for (size_t n = 1; n <= y.n; n++) {
                follow(&r, y.v, n);
                const size_t n_text = bytes_of(p->target, y.v, n, text);
                const size_t n_got = bytes_of(p->draft, r.z.id, r.z.n, got);
                if (n_got != n_text || memcmp(got, text, n_text) != 0)
                    fail_msg("%s, '%s', %zu tokens: '%.*s'", p->name, texts[i], n, (int)n_got, got);
                uint32_t cp;
                bool whole = true;
                for (size_t at = 0, len; at < n_text && whole; at += len)
                    whole = (len = utf8_char(text + at, n_text - at, &cp)) > 0;
                if (!whole)
                    continue;
                encode(p->draft, text, n_text, TOK_ADD_SPECIAL, &want);
                n_step++;
                n_other += !same_ids(want.v, want.n, r.z.id, r.z.n);
            }
            ids_free(&y);
            ids_free(&want);
            retext_fini(&r);
        }
        printf("%-20s %ld steps, %ld spelled otherwise than the whole text\n", p->name, n_step, n_other);
        assert_true(n_other * 50 <= n_step);
    }
}

/* A text cut between two tokens: the rest, spelled by the drafter, comes back as the target spells it. */
static void test_back(void **state)
{
    (void)state;
    for (int k = 0; k < n_pair; k++) {
        const struct pair *p = &pairs[k];
        long n_cut = 0, n_same = 0;
        for (int i = 0; i < N_TEXT; i++) {
            struct ids y = {0}, z = {0};
            struct retext r;
            struct otr_err err = {0};
            int32_t out[256];
            retext_init(&r, p->target, p->draft, p->map);
            encode(p->target, texts[i], strlen(texts[i]), TOK_ADD_SPECIAL, &y);
            encode(p->draft, texts[i], strlen(texts[i]), TOK_ADD_SPECIAL, &z);
            for (size_t n = 1; n < y.n; n++) {
                follow(&r, y.v, n);
                if (r.z.n >= z.n || !same_ids(r.z.id, r.z.n, z.v, r.z.n))
                    continue; /* the drafter's tokens do not end here */
                const int got = retext_back(&r, z.v + r.z.n, (int)(z.n - r.z.n), out, 256, &err);
                assert_true(got >= 0);
                n_cut++;
                n_same += same_ids(out, (size_t)got, y.v + n, y.n - n);
            }
            ids_free(&y);
            ids_free(&z);
            retext_fini(&r);
        }
        printf("%-20s %ld cuts, %ld come back as the target's own ids\n", p->name, n_cut, n_same);
        assert_true(n_cut > 100 && n_same * 100 >= n_cut * 97);
    }
}

/* ---- special tokens ---- */

static int32_t named(const struct tokenizer *t, const char *name)
{
    const int32_t id = tokenizer_find(t, name, strlen(name));
    assert_true(id >= 0);
    return id;
}

static void test_chat(void **state)
{
    static const char chat[] = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                               "<|im_start|>assistant\n";
    static const char want[] = "<start_of_turn>system\nBe brief.<end_of_turn>\n<start_of_turn>user\nHi<end_of_turn>\n"
                               "<start_of_turn>assistant\n";
    (void)state;
    if (n_pair < 2 || strcmp(pairs[1].name, "SmolLM2 <- Gemma 3") != 0)
        skip();
    const struct pair *p = &pairs[1];
    struct ids y = {0}, z = {0};
    struct retext r;
    struct otr_err err = {0};
    int32_t out[8];
    retext_init(&r, p->target, p->draft, p->map);
    encode(p->target, chat, strlen(chat), TOK_PARSE_SPECIAL, &y);
    encode(p->draft, want, strlen(want), TOK_PARSE_SPECIAL | TOK_ADD_SPECIAL, &z);
    assert_int_equal(z.v[0], tokenizer_bos(p->draft));
    for (size_t n = 1; n <= y.n; n++)
        follow(&r, y.v, n);
    assert_true(same_ids(r.z.id, r.z.n, z.v, z.n));
    /* the drafter's end of turn is the target's; what it would say behind it is gone */
    const int32_t d[] = {named(p->draft, "Hello"), named(p->draft, "<end_of_turn>"), named(p->draft, "Hello")};
    assert_int_equal(retext_back(&r, d, 3, out, 8, &err), 2);
    assert_int_equal(out[0], named(p->target, "Hello"));
    assert_int_equal(out[1], named(p->target, "<|im_end|>"));
    /* a special token without a counterpart ends a draft and is not in it */
    const int32_t d2[] = {named(p->draft, "Hello"), named(p->draft, "<unused7>")};
    assert_int_equal(retext_back(&r, d2, 2, out, 8, &err), 1);
    /* one of the target's without a counterpart is plain text to the drafter */
    const int32_t odd = named(p->target, "<jupyter_start>");
    follow(&r, &odd, 1);
    encode(p->draft, "<jupyter_start>", 15, TOK_ADD_SPECIAL, &z);
    assert_true(same_ids(r.z.id, r.z.n, z.v, z.n));
    ids_free(&y);
    ids_free(&z);
    retext_fini(&r);
}

/* An emoji that the target writes byte by byte: the drafter's text ends inside it, and its rest comes back as bytes. */
static void test_open_character(void **state)
{
    (void)state;
    if (n_pair < 1 || strcmp(pairs[0].name, "Gemma 3 <- SmolLM2") != 0)
        skip();
    const struct pair *p = &pairs[0];
    const unsigned char face[] = {0xf0, 0x9f, 0x98, 0x80};
    struct ids y = {0};
    struct retext r;
    struct otr_err err = {0};
    int32_t out[8], d[2];
    retext_init(&r, p->target, p->draft, p->map);
    encode(p->target, "smile ", 6, TOK_ADD_SPECIAL, &y);
    for (int i = 0; i < 2; i++)
        ids_push(&y, p->map->target_byte[face[i]]);
    follow(&r, y.v, y.n);
    assert_int_equal(r.z.id[r.z.n - 1], p->map->draft_byte[0x9f]);
    for (int i = 0; i < 2; i++)
        d[i] = p->map->draft_byte[face[2 + i]];
    assert_int_equal(retext_back(&r, d, 2, out, 8, &err), 2);
    assert_int_equal(out[0], p->map->target_byte[0x98]);
    assert_int_equal(out[1], p->map->target_byte[0x80]);
    assert_int_equal(retext_back(&r, d, 1, out, 8, &err), 0); /* still open */
    ids_push(&y, p->map->target_byte[0x98]);                  /* the target goes on, and the text is whole again */
    ids_push(&y, p->map->target_byte[0x80]);
    follow(&r, y.v, y.n);
    struct ids z = {0};
    encode(p->draft, "smile \xf0\x9f\x98\x80", 10, TOK_ADD_SPECIAL, &z);
    assert_true(same_ids(r.z.id, r.z.n, z.v, z.n));
    ids_free(&y);
    ids_free(&z);
    retext_fini(&r);
}

/* The committed ids stay what they are, however odd: the draft begins where they end. */
static void test_own_spelling(void **state)
{
    (void)state;
    for (int k = 0; k < n_pair; k++) {
        const struct pair *p = &pairs[k];
        struct retext r;
        struct otr_err err = {0};
        struct ids y = {0}, d = {0};
        int32_t out[16];
        char text[64];
        retext_init(&r, p->target, p->draft, p->map);
        encode(p->target, "I say: ", 7, TOK_ADD_SPECIAL, &y);
        for (const char *c = "hel"; *c; c++) /* one letter a token */
            ids_push(&y, p->map->target_byte[(unsigned char)*c]);
        follow(&r, y.v, y.n);
        encode(p->draft, "lo there", 8, TOK_CONTINUE, &d);
        const int n = retext_back(&r, d.v, (int)d.n, out, 16, &err);
        assert_true(n > 0);
        size_t at = 0;
        for (int i = 0; i < n; i++) {
            size_t b;
            const char *s = tokenizer_bytes(p->target, out[i], false, &b);
            memcpy(text + at, s, b);
            at += b;
        }
        assert_true(at == 8 && memcmp(text, "lo there", 8) == 0);
        ids_free(&y);
        ids_free(&d);
        retext_fini(&r);
    }
}

/* ---- random texts ---- */

static size_t random_text(uint64_t *s, char *text, size_t cap, bool whole)
{
    static const char *const bits[] = {" ",
                                       "  ",
                                       "\n",
                                       "\n\n",
                                       "the",
                                       " of",
                                       "ing",
                                       "0",
                                       "42",
                                       ".",
                                       ", ",
                                       "\t",
                                       "A",
                                       "\xc3\xa9",
                                       " \xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xe6\x97\xa5",
                                       "e\xcc\x81",
                                       "'s",
                                       "<",
                                       ">",
                                       "ha ",
                                       "\r\n",
                                       "_",
                                       "function("};
    size_t n = 0;
    const size_t want = (size_t)dr_below(s, (int)cap - 16);
    while (n < want) {
        const char *b = bits[dr_below(s, sizeof bits / sizeof *bits)];
        const int kind = dr_below(s, 8);
        if (kind == 0)
            text[n++] = (char)(32 + dr_below(s, 95));
        else if (kind == 1 && !whole)
            text[n++] = (char)dr_below(s, 256);
        else {
            memcpy(text + n, b, strlen(b));
            n += strlen(b);
        }
    }
    return n;
}

/* Histories of random ids of whatever bytes, growing, cut and replaced; drafts of random ids. */
static void test_random_ids(void **state)
{
    static char text[4 * MAX_TEXT], got[4 * MAX_TEXT];
    uint64_t s = SEED;
    (void)state;
    for (int i = 0; i < N_RANDOM / 10; i++) {
        const struct pair *p = &pairs[i % n_pair];
        struct retext r;
        struct otr_err err = {0};
        int32_t tok[128], d[16], out[32];
        size_t n = 0;
        retext_init(&r, p->target, p->draft, p->map);
        for (int step = 0; step < 10; step++) {
            n = dr_below(&s, 4) == 0 ? (size_t)dr_below(&s, (int)n + 1) : n;
            for (int k = dr_below(&s, 10); k >= 0 && n < 128; k--) {
                do
                    tok[n] = dr_below(&s, tokenizer_n_vocab(p->target));
                while (tokenizer_is_special(p->target, tok[n]) && dr_below(&s, 8) > 0);
                n++;
            }
            follow(&r, tok, n);
            for (size_t k = 0; k < r.z.n; k++)
                assert_true(r.z.id[k] >= 0 && r.z.id[k] < p->map->n_draft && (k == 0 || r.z.end[k] >= r.z.end[k - 1]));
            for (int k = 0; k < 16; k++)
                d[k] = dr_below(&s, p->map->n_draft);
            const int m = retext_back(&r, d, 16, out, 32, &err);
            assert_true(m >= 0 && m <= 32);
            for (int k = 0; k < m; k++)
                assert_true(out[k] >= 0 && out[k] < p->map->n_target);
        }
        struct retext whole; /* the bytes do not depend on the way here */
        retext_init(&whole, p->target, p->draft, p->map);
        follow(&whole, tok, n);
        const size_t a = bytes_of(p->draft, r.z.id, r.z.n, text), b = bytes_of(p->draft, whole.z.id, whole.z.n, got);
        if (a != b || memcmp(text, got, a) != 0)
            fail_msg("%s, case %d (seed %d): %zu and %zu bytes", p->name, i, SEED, a, b);
        retext_fini(&r);
        retext_fini(&whole);
    }
}

/* Random strings, bytes that are no character too: followed in random strides, the bytes are there on both sides. */
static void test_random_texts(void **state)
{
    static char text[256], got[4 * MAX_TEXT], want[4 * MAX_TEXT];
    uint64_t s = SEED + 1;
    long n_other = 0, n_case = 0;
    (void)state;
    if (n_pair == 0)
        skip();
    for (int i = 0; i < N_RANDOM; i++) {
        const struct pair *p = &pairs[i % n_pair];
        const bool whole = i / n_pair % 2 == 0;
        const size_t n_text = random_text(&s, text, sizeof text, whole);
        struct ids y = {0}, z = {0};
        struct retext r;
        retext_init(&r, p->target, p->draft, p->map);
        encode(p->target, text, n_text, TOK_ADD_SPECIAL, &y);
        for (size_t n = 0; n < y.n;) {
            n += 1 + (size_t)dr_below(&s, 6);
            n = n < y.n ? n : y.n;
            follow(&r, y.v, n);
        }
        const size_t n_want = bytes_of(p->target, y.v, y.n, want), n_got = bytes_of(p->draft, r.z.id, r.z.n, got);
        const size_t dropped = tokenizer_n_dropped(p->draft);
        if (dropped == 0 && (n_got != n_want || memcmp(got, want, n_want) != 0))
            fail_msg("%s, case %d (seed %d): '%.*s' became '%.*s'", p->name, i, SEED + 1, (int)n_want, want, (int)n_got,
                     got);
        if (y.n > 0) {
            encode(p->draft, want, n_want, TOK_ADD_SPECIAL, &z);
            n_case++;
            n_other += !same_ids(z.v, z.n, r.z.id, r.z.n);
        }
        ids_free(&y);
        ids_free(&z);
        retext_fini(&r);
    }
    printf("%d random texts, seed %d: %ld of %ld spelled otherwise than the whole text\n", N_RANDOM, SEED + 1, n_other,
           n_case);
    assert_true(n_other * 20 <= n_case);
}

/* ---- growth ---- */

static void test_growth(void **state)
{
    (void)state;
    for (int k = 0; k < n_pair; k++) {
        const struct pair *p = &pairs[k];
        enum { BYTES = 1 << 15 };
        char *text = malloc(BYTES);
        struct ids y = {0};
        struct retext r;
        assert_non_null(text);
        for (size_t i = 0; i < BYTES; i++)
            text[i] = texts[i / 128 % 6][i % strlen(texts[i / 128 % 6])];
        retext_init(&r, p->target, p->draft, p->map);
        encode(p->target, text, BYTES, TOK_ADD_SPECIAL, &y);
        for (size_t n = 1; n <= y.n; n += 2)
            follow(&r, y.v, n);
        printf("%-20s %d bytes token by token: %zu spelled (%.0f a call)\n", p->name, BYTES, r.n_spelt,
               2.0 * (double)r.n_spelt / (double)y.n);
        assert_true(r.n_spelt < 200 * y.n);
        ids_free(&y);
        retext_fini(&r);
        free(text);
    }
}

static int close_pairs(void **state)
{
    (void)state;
    for (int k = 0; k < n_pair; k++)
        vocab_map_close(pairs[k].map);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follow),         cmocka_unit_test(test_back),         cmocka_unit_test(test_chat),
        cmocka_unit_test(test_open_character), cmocka_unit_test(test_own_spelling), cmocka_unit_test(test_random_ids),
        cmocka_unit_test(test_random_texts),   cmocka_unit_test(test_growth),
    };
    return cmocka_run_group_tests(tests, open_pairs, close_pairs);
}
