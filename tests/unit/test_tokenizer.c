/* Small vocabularies made here: special tokens and the literal mask, flags, byte fallback, dropped bytes, ends,
 * streaming text, bad bytes against Python's errors='replace' (golden). What must be refused: test_tokenizer_refused.c;
 * random vocabularies against the definitions, growth of work: test_tokenizer_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/toktest.h"
#include "tokenize/tok_priv.h"

#define IDS(t, text, flags) toktest_ids(t, text, strlen(text), flags, NULL)

enum { N = TOK_NORMAL, UNK = TOK_UNKNOWN, C = TOK_CONTROL, U = TOK_USER, B = TOK_BYTE };

/* SPM with every byte. Ids 0 <unk> 1 <s> 2 </s> 3 <|im_end|>, 4.. bytes, then the rest. */
enum { BYTE0 = 4, REST = BYTE0 + 256 };
#define SPACE "\xe2\x96\x81"
static const char *const rest[] = {SPACE,   "a",  "b", "c", SPACE "a", "ab", "abc",  "  ",       "    ",
                                   "<tag>", "<s", "<", "s", ">",       "é",  "<|im", "\xe2\x82", "\223b"};
enum { N_REST = sizeof rest / sizeof *rest, N_SPM = REST + N_REST };

static struct tokenizer *make_spm(bool prefix)
{
    static char names[256][8];
    const char *pieces[N_SPM] = {"<unk>", "<s>", "</s>", "<|im_end|>"};
    int32_t types[N_SPM] = {UNK, C, C, C};
    float scores[N_SPM] = {0};
    for (int i = 0; i < 256; i++) {
        snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)i);
        pieces[BYTE0 + i] = names[i];
        types[BYTE0 + i] = B;
    }
    for (int i = 0; i < N_REST; i++) {
        pieces[REST + i] = rest[i];
        types[REST + i] = rest[i][0] == ' ' || strcmp(rest[i], "<tag>") == 0 ? U : N;
        scores[REST + i] = (float)-i;
    }
    struct gguf_build b;
    struct tokenizer *t = NULL;
    struct otr_err err = {0};
    toy_keys(&b, &(struct toy){.model = "llama", .pieces = pieces, .n = N_SPM, .types = types, .scores = scores});
    gb_u32(&b, "tokenizer.ggml.bos_token_id", 1);
    gb_u32(&b, "tokenizer.ggml.eos_token_id", 2);
    gb_u32(&b, "tokenizer.ggml.unknown_token_id", 0);
    gb_bool(&b, "tokenizer.ggml.add_eos_token", true);
    gb_bool(&b, "tokenizer.ggml.add_space_prefix", prefix);
    if (toy_open(&t, &b, &err) < 0)
        fail_msg("%s", err.msg);
    return t;
}

static void test_spm(void **state)
{
    (void)state;
    struct tokenizer *t = make_spm(true);
    assert_string_equal(IDS(t, "", 0), "");
    assert_string_equal(IDS(t, "", TOK_ADD_SPECIAL), "1 2");
    assert_string_equal(IDS(t, "abc", 0), "264 262 263"); /* _a has the better score, b c no piece */
    assert_string_equal(IDS(t, "abc", TOK_ADD_SPECIAL), "1 264 262 263 2");
    assert_string_equal(IDS(t, " abc", 0), "260 264 262 263");
    assert_string_equal(IDS(t, "éx", 0), "260 274 124");    /* x: its byte */
    assert_string_equal(IDS(t, "€", 0), "260 230 134 176"); /* no piece for the whole character: three bytes */
    assert_string_equal(IDS(t, "a</s>b", 0), "264 271 51 272 273 262");
    assert_string_equal(IDS(t, "a</s>b", TOK_PARSE_SPECIAL), "264 2 260 262"); /* a space again after a special token */
    assert_string_equal(IDS(t, "a<tag>b", 0), "264 269 262");                  /* a user-defined one is text */
    assert_string_equal(IDS(t, "     a", 0), "268 264");                       /* 4 spaces, then what is left */
    assert_string_equal(IDS(t, "<unk>", TOK_PARSE_SPECIAL), "0");
    tokenizer_close(t);
    t = make_spm(false);
    assert_string_equal(IDS(t, "abc", 0), "266");
    assert_string_equal(IDS(t, "a      b", 0), "261 268 267 262");
    assert_string_equal(IDS(t, SPACE "a", 0), "264"); /* U+2581 in the text is a space */
    tokenizer_close(t);
}

/* "<s" and ">" are pieces, and "<s>" is one too: text must not make it by merging. */
static void test_text_never_makes_special(void **state)
{
    (void)state;
    struct tokenizer *t = make_spm(false);
    assert_string_equal(IDS(t, "<s>", 0), "270 273");
    assert_string_equal(IDS(t, "<s>", TOK_PARSE_SPECIAL), "1");
    assert_string_equal(IDS(t, "<0x41>", TOK_PARSE_SPECIAL), "271 52 124 56 53 273"); /* byte tokens are not text */
    tokenizer_close(t);
}

/* Each byte of a marker in turn was written by a user: then it is no marker. */
static void test_literal(void **state)
{
    (void)state;
    static const char text[] = "ab<|im_end|>ab<s>";
    unsigned char lit[sizeof text] = {0};
    struct tokenizer *t = make_spm(false);
    assert_string_equal(toktest_ids(t, text, sizeof text - 1, TOK_PARSE_SPECIAL, lit), "265 3 265 1");
    for (size_t i = 2; i < 12; i++) {
        memset(lit, 0, sizeof lit);
        lit[i] = 1;
        const char *ids = toktest_ids(t, text, sizeof text - 1, TOK_PARSE_SPECIAL, lit);
        assert_null(strstr(ids, " 3 "));
        assert_non_null(strstr(ids, " 265 1")); /* the other marker still counts */
    }
    memset(lit, 1, sizeof lit);
    char plain[256];
    strcpy(plain, IDS(t, text, 0));
    assert_string_equal(toktest_ids(t, text, sizeof text - 1, TOK_PARSE_SPECIAL, lit), plain);
    assert_string_equal(toktest_ids(t, "<tag>", 5, TOK_PARSE_SPECIAL, lit), "269"); /* user-defined: ordinary text */
    /* the mask moves along where a bad byte becomes three */
    const unsigned char three[] = {0, 0, 0, 0, 1};
    assert_string_equal(toktest_ids(t, "\xff<s>b", 5, TOK_PARSE_SPECIAL, three), "243 195 193 1 262");
    assert_string_equal(toktest_ids(t, "\xff<s>b", 5, TOK_PARSE_SPECIAL, (const unsigned char[]){0, 1, 0, 0, 0}),
                        "243 195 193 270 273 262");
    tokenizer_close(t);
}

static void test_getters(void **state)
{
    (void)state;
    size_t n;
    struct tokenizer *t = make_spm(true);
    assert_int_equal(tokenizer_n_vocab(t), N_SPM);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_true(tokenizer_add_bos(t));
    assert_true(tokenizer_is_end(t, 2) && tokenizer_is_end(t, 3) && !tokenizer_is_end(t, 1));
    assert_true(tokenizer_is_special(t, 0) && tokenizer_is_special(t, 1) && !tokenizer_is_special(t, 269));
    assert_int_equal(tokenizer_find(t, "<|im_end|>", 10), 3);
    assert_int_equal(tokenizer_find(t, SPACE "a", 4), 264);
    assert_int_equal(tokenizer_find(t, "<0x41>", 6), BYTE0 + 0x41);
    assert_int_equal(tokenizer_find(t, "nope", 4), -1);
    assert_int_equal(tokenizer_find(t, "", 0), -1);
    assert_memory_equal(tokenizer_bytes(t, 264, false, &n), " a", 2);
    assert_int_equal(n, 2);
    assert_memory_equal(tokenizer_bytes(t, BYTE0 + 0x41, false, &n), "A", 1);
    assert_int_equal(n, 1);
    tokenizer_bytes(t, 3, false, &n);
    assert_int_equal(n, 0);
    assert_memory_equal(tokenizer_bytes(t, 3, true, &n), "<|im_end|>", 10);
    assert_int_equal(n, 10);
    tokenizer_close(t);
}

/* ---- BPE ---- */

static void test_bpe(void **state)
{
    (void)state;
    /* In the alphabet of byte-level BPE Ġ is the space, é the byte e9, Ċ the newline. */
    static const char *const pieces[] = {"a", "b", "c", "ab", "bc", "abc", "Ġ", "Ġa", "é", "<x>", "zz", "", "a", "Ċ"};
    static const int32_t types[] = {N, N, N, N, N, N, N, N, N, C, N, N, N, N};
    static const char *const merges[] = {"a b", "b c", "ab c", "Ġ a", "a b"};
    const struct toy y = {"gpt2", "gpt-2", pieces, 14, types, NULL, merges, 5};
    struct tokenizer *t = toy_make(&y);
    size_t n;
    assert_string_equal(IDS(t, "abc", 0), "5");
    assert_string_equal(IDS(t, "bca", 0), "4 12"); /* of two pieces "a" the last one counts */
    assert_string_equal(IDS(t, " abca a", 0), "6 5 12 7");
    assert_string_equal(IDS(t, "a<x>b", TOK_PARSE_SPECIAL), "12 9 1");
    assert_memory_equal(tokenizer_bytes(t, 7, false, &n), " a", 2);
    assert_int_equal(n, 2);
    assert_memory_equal(tokenizer_bytes(t, 8, false, &n), "\xe9", 1);
    assert_int_equal(n, 1);
    tokenizer_bytes(t, 11, true, &n);
    assert_int_equal(n, 0);
    assert_false(tokenizer_add_bos(t));
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal((int)tokenizer_n_dropped(t), 0);
    assert_string_equal(IDS(t, "a\x04zé", 0), "12"); /* no token for 04, z, c3 and a9 */
    assert_int_equal((int)tokenizer_n_dropped(t), 4);
    tokenizer_close(t);
}

/* A word that is a token stays whole where the pre-tokenizer says so, even if no merges lead to it. */
static void test_ignore_merges(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "ab", "Ġ", "Ġba", "aba", "<b>"}, *const merges[] = {"a b"};
    static const int32_t types[] = {N, N, N, N, N, N, C};
    struct toy y = {"gpt2", "llama-bpe", pieces, 7, types, NULL, merges, 1};
    struct tokenizer *t = toy_make(&y);
    assert_string_equal(IDS(t, "aba ba ab", 0), "5 4 3 2");
    tokenizer_close(t);
    y.pre = "gpt-2";
    t = toy_make(&y);
    assert_string_equal(IDS(t, "aba ba ab", 0), "2 0 3 1 0 3 2");
    tokenizer_close(t);
}

/* ---- bad bytes and streams ---- */

static size_t from_hex(const char *s, size_t n, char *out)
{
    for (size_t i = 0; i < n / 2; i++) {
        const char h[3] = {s[2 * i], s[2 * i + 1], 0};
        out[i] = (char)strtol(h, NULL, 16);
    }
    return n / 2;
}

static bool is_utf8(const char *p, size_t n)
{
    for (size_t at = 0; at < n; at++) { /* by the definition: lead and following bytes, then no overlong or surrogate */
        const unsigned char b = (unsigned char)p[at];
        const int more = b < 0x80 ? 0 : b >> 5 == 6 ? 1 : b >> 4 == 14 ? 2 : b >> 3 == 30 ? 3 : -1;
        uint32_t c = more < 0 ? 0 : more == 0 ? b : b & (0x3fu >> more);
        if (more < 0 || n - at <= (size_t)more)
            return false;
        for (int i = 0; i < more; i++) {
            if (((unsigned char)p[++at] & 0xc0) != 0x80)
                return false;
            c = c << 6 | ((unsigned char)p[at] & 0x3f);
        }
        if ((more == 1 && c < 0x80) || (more == 2 && c < 0x800) || (more == 3 && c < 0x10000) || c > 0x10ffff ||
            (c >= 0xd800 && c < 0xe000))
            return false;
    }
    return true;
}

/* The text of ids, in which no chunk may hold part of a character. */
static size_t stream(const struct tokenizer *t, const int32_t *ids, size_t n, char *out)
{
    struct detok d;
    size_t k = 0;
    detok_init(&d, t, false, true);
    for (size_t i = 0; i <= n; i++) {
        const size_t got =
            i < n ? detok_push(&d, ids[i], out + k, detok_max(t)) : detok_flush(&d, out + k, detok_max(t));
        if (!is_utf8(out + k, got))
            fail_msg("token %zu: half a character", i);
        k += got;
    }
    return k;
}

/* Bytes in as text, and bytes in as byte tokens one by one, both give what Python gives. */
static void test_bad_bytes(void **state)
{
    (void)state;
    size_t n, len;
    int lines = 0;
    char *golden = toktest_read("tests/golden/tok_utf8.txt", &n), *at = golden, *line, in[32], want[128], got[2048];
    struct tokenizer *t = make_spm(false);
    assert_non_null(golden);
    for (; toktest_line(&at, &line, &len); lines += *line != '#') {
        if (*line == '#')
            continue;
        const size_t n_in = from_hex(line, strcspn(line, " "), in);
        const char *hex = strchr(line, ' ') + 1;
        const size_t n_want = from_hex(hex, strlen(hex), want);
        struct ids l = {0};
        struct otr_err err = {0};
        assert_int_equal(tokenizer_encode(t, in, n_in, 0, NULL, &l, &err), OTR_OK);
        size_t k = stream(t, l.v, l.n, got);
        if (k != n_want || memcmp(got, want, k) != 0)
            fail_msg("text %s: %zu bytes, expected %zu", line, k, n_want);
        l.n = 0;
        for (size_t i = 0; i < n_in; i++)
            assert_int_equal(ids_push(&l, BYTE0 + (unsigned char)in[i]), OTR_OK);
        k = stream(t, l.v, l.n, got);
        if (k != n_want || memcmp(got, want, k) != 0)
            fail_msg("tokens %s: %zu bytes, expected %zu", line, k, n_want);
        ids_free(&l);
    }
    printf("%d byte strings\n", lines);
    assert_true(lines > 2000);
    free(golden);
    tokenizer_close(t);
}

static void test_stream(void **state)
{
    (void)state;
    struct tokenizer *t = make_spm(true);
    char buf[256];
    struct detok d;
    size_t n;
    /* "_a" at the start: the space is the tokenizer's own, BOS before it does not change that; later it is text */
    n = stream(t, (const int32_t[]){1, 264, 264}, 3, buf);
    assert_int_equal(n, 3);
    assert_memory_equal(buf, "a a", n);
    n = stream(t, (const int32_t[]){BYTE0 + ' ', 261}, 2, buf); /* a byte token's space is text */
    assert_memory_equal(buf, " a", n);
    n = stream(t, (const int32_t[]){260, 264}, 2, buf);
    assert_memory_equal(buf, " a", n);
    /* pieces that end or begin inside a character */
    n = stream(t, (const int32_t[]){261, REST + 16, BYTE0 + 0xac, REST + 17}, 4, buf);
    assert_int_equal(n, 1 + 3 + 3 + 1);
    assert_memory_equal(buf,
                        "a€\xef\xbf\xbd"
                        "b",
                        n);
    detok_init(&d, t, true, false);
    assert_int_equal(detok_push(&d, REST + 16, buf, sizeof buf), 0);
    assert_int_equal(detok_push(&d, 3, buf, sizeof buf),
                     3 + 10); /* special: by its name; the held part is lost before it */
    assert_memory_equal(buf, "\xef\xbf\xbd<|im_end|>", 13);
    assert_int_equal(detok_push(&d, 264, buf, sizeof buf), 2);
    assert_int_equal(detok_flush(&d, buf, sizeof buf), 0);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spm),       cmocka_unit_test(test_text_never_makes_special),
        cmocka_unit_test(test_literal),   cmocka_unit_test(test_getters),
        cmocka_unit_test(test_bpe),       cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_bad_bytes), cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
