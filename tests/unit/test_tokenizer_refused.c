/* Vocabularies that must be refused, each with a sentence that says what and where (loader-safety.md: array lengths,
 * element types, "<0x-1>", ids out of range, ...); and texts over the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/toktest.h"
#include "tokenize/tok_priv.h"

static const char *const spm_pieces[] = {"<unk>", "<s>", "</s>", "a", "<0x41>"};
static const int32_t spm_types[] = {2, 3, 3, 1, 6};
static const float spm_scores[] = {0, 0, 0, -1, 0};
static const struct toy spm = {"llama", "default", spm_pieces, 5, spm_types, spm_scores, NULL, 0};

static const char *const bpe_pieces[] = {"a", "b", "ab"}, *const bpe_merges[] = {"a b"};
static const struct toy bpe = {"gpt2", "gpt-2", bpe_pieces, 3, NULL, NULL, bpe_merges, 1};

static void refused(struct gguf_build *b, int code, const char *want, const char *want2)
{
    struct tokenizer *t = NULL;
    struct otr_err err = {0};
    const int rc = toy_open(&t, b, &err);
    if (rc != code || err.code != code || !strstr(err.msg, want) || !strstr(err.msg, want2))
        fail_msg("got %d '%s', expected %d with '%s' and '%s'", rc, err.msg, code, want, want2);
    assert_null(t);
    assert_null(strchr(err.msg, '\n'));
}

static void toy_refused(const struct toy *y, int code, const char *want, const char *want2)
{
    struct gguf_build b;
    toy_keys(&b, y);
    refused(&b, code, want, want2);
}

static void test_right_ones_open(void **state)
{
    (void)state;
    tokenizer_close(toy_make(&spm));
    tokenizer_close(toy_make(&bpe));
}

static void test_kinds(void **state)
{
    (void)state;
    static const char *const models[] = {"bert", "t5", "rwkv", "plamo2", "no_vocab", "", "llama2"};
    struct toy y = spm;
    char quoted[16];
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        y.model = models[i];
        snprintf(quoted, sizeof quoted, "'%s'", models[i]);
        toy_refused(&y, OTR_E_UNSUPPORTED, quoted, "not supported");
    }
    y.model = NULL;
    toy_refused(&y, OTR_E_MISSING, "tokenizer.ggml.model", "");
    y = bpe;
    y.pre = "nobody-knows\n";
    toy_refused(&y, OTR_E_UNSUPPORTED, "'nobody-knows?'", "tokenizer.ggml.pre");
}

static void test_arrays(void **state)
{
    (void)state;
    struct gguf_build b;
    struct toy y = spm;
    y.pieces = NULL;
    toy_refused(&y, OTR_E_MISSING, "tokenizer.ggml.tokens", "");
    y = spm;
    y.scores = NULL;
    toy_refused(&y, OTR_E_MISSING, "tokenizer.ggml.scores", "");
    y = bpe;
    y.merges = NULL;
    toy_refused(&y, OTR_E_MISSING, "tokenizer.ggml.merges", "");
    y = spm;
    y.n = 0;
    toy_refused(&y, OTR_E_FORMAT, "has 0 pieces", "");
    y = spm;
    y.types = NULL;
    toy_keys(&b, &y);
    gb_arr(&b, "tokenizer.ggml.token_type", GGUF_I32, 4, spm_types, 16);
    refused(&b, OTR_E_FORMAT, "token_type has 4 elements", "5 tokens");
    y = spm;
    y.scores = NULL;
    toy_keys(&b, &y);
    gb_arr(&b, "tokenizer.ggml.scores", GGUF_F32, 4, spm_scores, 16);
    refused(&b, OTR_E_FORMAT, "scores has 4 elements", "5 tokens");
    toy_keys(&b, &y); /* the wrong element type: never read as floats */
    gb_arr(&b, "tokenizer.ggml.scores", GGUF_U8, 5, "abcde", 5);
    refused(&b, OTR_E_FORMAT, "tokenizer.ggml.scores", "array of u8");
    y = spm;
    y.types = NULL;
    toy_keys(&b, &y);
    gb_arr(&b, "tokenizer.ggml.token_type", GGUF_U8, 5, "\1\1\1\1\1", 5);
    refused(&b, OTR_E_FORMAT, "tokenizer.ggml.token_type", "array of u8");
}

static void test_values(void **state)
{
    (void)state;
    static const char *const bad_bytes[] = {"<0x-1>", "<0x100>", "<0x4>",  "<0xG1>", "0x41",
                                            "",       "<0x41",   "<0X41>", "<0x 1>"};
    const char *pieces[5];
    float scores[5];
    int32_t types[5];
    struct toy y = spm;
    y.pieces = pieces;
    memcpy(pieces, spm_pieces, sizeof pieces);
    for (size_t i = 0; i < sizeof bad_bytes / sizeof *bad_bytes; i++) {
        pieces[4] = bad_bytes[i];
        toy_refused(&y, OTR_E_FORMAT, "token 4 is a byte token", "<0x00> to <0xFF>");
    }
    y = spm;
    y.scores = scores;
    memcpy(scores, spm_scores, sizeof scores);
    scores[3] = NAN;
    toy_refused(&y, OTR_E_FORMAT, "score of token 3", "not a number");
    y = spm;
    y.types = types;
    memcpy(types, spm_types, sizeof types);
    types[3] = 7;
    toy_refused(&y, OTR_E_FORMAT, "token 3 has the type 7", "");
    types[3] = -1;
    toy_refused(&y, OTR_E_FORMAT, "token 3 has the type -1", "");
}

static void test_long_piece(void **state)
{
    (void)state;
    char *piece = malloc(TOK_PIECE_MAX + 2);
    assert_non_null(piece);
    memset(piece, 'x', TOK_PIECE_MAX + 1);
    piece[TOK_PIECE_MAX + 1] = 0;
    const char *pieces[] = {"a", "b", "ab", piece};
    struct toy y = bpe;
    y.pieces = pieces;
    y.n = 4;
    toy_refused(&y, OTR_E_LIMIT, "token 3 has 65537 bytes", "");
    piece[TOK_PIECE_MAX] = 0;
    tokenizer_close(toy_make(&y));
    free(piece);
}

static void test_merges(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a c", "c a", "b a", "ab", "a ", " b", " ", "", "a  b", "a b b", "ab ab ab ab ab ab"};
    struct toy y = bpe;
    const char *merges[2] = {"a b", NULL};
    y.merges = merges;
    y.n_merges = 2;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        merges[1] = bad[i];
        toy_refused(&y, OTR_E_FORMAT, "merge 1", "not in the vocabulary");
    }
}

static void test_ids(void **state)
{
    (void)state;
    static const char *const keys[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
                                       "tokenizer.ggml.unknown_token_id"};
    struct gguf_build b;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        toy_keys(&b, &spm);
        gb_u32(&b, keys[i], 5);
        refused(&b, OTR_E_FORMAT, keys[i], "is 5, expected 0 to 4");
        toy_keys(&b, &spm);
        gb_str(&b, keys[i], "1");
        refused(&b, OTR_E_FORMAT, keys[i], "string");
    }
    toy_keys(&b, &spm);
    gb_u32(&b, "tokenizer.ggml.add_bos_token", 1);
    refused(&b, OTR_E_FORMAT, "add_bos_token", "bool");
    toy_keys(&b, &spm); /* to be added, but there is none: then none is added */
    gb_bool(&b, "tokenizer.ggml.add_bos_token", true);
    struct tokenizer *t;
    assert_int_equal(toy_open(&t, &b, NULL), OTR_OK);
    assert_false(tokenizer_add_bos(t));
    tokenizer_close(t);
}

/* Lengths are size_t: over 2^31 is an error before a byte is read, not a negative number. */
static void test_text_limit(void **state)
{
    (void)state;
    static const size_t lengths[] = {(size_t)TOK_TEXT_MAX + 1, (size_t)1 << 31, ((size_t)1 << 31) + 5, (size_t)1 << 32,
                                     SIZE_MAX};
    struct tokenizer *t = toy_make(&bpe);
    struct ids l = {0};
    struct otr_err err;
    assert_int_equal(ids_push(&l, 7), OTR_OK);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_int_equal(tokenizer_encode(t, "ab", lengths[i], 0, NULL, &l, &err), OTR_E_LIMIT);
        assert_non_null(strstr(err.msg, "over the limit"));
        assert_int_equal(l.n, 1);
    }
    ids_free(&l);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_ones_open),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_long_piece),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_text_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
