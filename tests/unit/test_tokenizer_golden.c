/* Ids of 10,955 mixed lines for each of two real models, against independent tokenizers (PyPI tokenizers,
 * sentencepiece); the words of 15 pre-tokenizers; and every line decoded again. Goldens: tools/make_tokenizer_golden.py
 * says how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/toktest.h"
#include "tokenize/tok_priv.h"

enum { LINE_BYTES = 600 }; /* of a raw line of the shared data, as the script cuts it */

/* Undoes \\ \n and \x0a in place; returns the bytes. */
static size_t unescape(char *s, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '\\') {
            s[k++] = s[i];
        } else if (s[i + 1] == 'x') {
            const char hex[3] = {s[i + 2], s[i + 3], 0};
            s[k++] = (char)strtol(hex, NULL, 16);
            i += 3;
        } else {
            s[k++] = s[++i] == 'n' ? '\n' : '\\';
        }
    }
    return k;
}

/* Lines of tok_lines.txt, or those of a raw file that are more than spaces. */
struct source {
    char *text, *at;
    bool ours;
};

static bool source_open(struct source *s, const char *name)
{
    char path[512];
    size_t n;
    s->ours = strcmp(name, "tok_lines.txt") == 0;
    snprintf(path, sizeof path, "%s/%s", s->ours ? "tests/golden" : "../shared/data", name);
    s->at = s->text = toktest_read(path, &n);
    if (!s->text) {
        printf("SKIPPED: %s is not there\n", path);
        return false;
    }
    if (s->ours)
        assert_true(toktest_line(&s->at, &(char *){NULL}, &n)); /* the header */
    return true;
}

static void source_next(struct source *s, char **text, size_t *n, unsigned *flags)
{
    *flags = 0;
    do
        assert_true(toktest_line(&s->at, text, n));
    while (!s->ours && strspn(*text, " ") == *n);
    if (s->ours) {
        *flags = **text == 'S' ? TOK_PARSE_SPECIAL : 0;
        *text += 2;
        *n = unescape(*text, *n - 2);
    } else if (*n > LINE_BYTES) {
        *n = LINE_BYTES;
    }
}

/* Decode of encode is the identity: for valid UTF-8 without special tokens, where every byte has a token. */
static void check_round_trip(const struct tokenizer *t, const struct ids *l, const char *text, size_t n)
{
    struct detok d;
    char *got = malloc(l->n * detok_max(t) + detok_max(t));
    size_t k = 0;
    assert_non_null(got);
    detok_init(&d, t, false, true);
    for (size_t i = 0; i < l->n; i++)
        k += detok_push(&d, l->v[i], got + k, detok_max(t));
    k += detok_flush(&d, got + k, detok_max(t));
    if (k != n || memcmp(got, text, n) != 0)
        fail_msg("decode of encode of '%.*s' is '%.*s'", (int)n, text, (int)k, got);
    free(got);
}

struct tally {
    int lines, wrong, round;
};

static void check_line(const struct tokenizer *t, struct source *s, const char *want, struct tally *y)
{
    struct ids l = {0};
    struct otr_err err = {0};
    char *text, got[32];
    size_t n;
    unsigned flags;
    source_next(s, &text, &n, &flags);
    const size_t dropped = tokenizer_n_dropped(t);
    if (tokenizer_encode(t, text, n, flags, NULL, &l, &err) < 0)
        fail_msg("%s", err.msg);
    snprintf(got, sizeof got, "%zu %08x", l.n, toktest_hash(&l));
    y->lines++;
    if (strcmp(got, want) != 0 && y->wrong++ < 5) {
        printf("line %d '%.*s': %s, expected %s:", y->lines, (int)n, text, got, want);
        for (size_t i = 0; i < l.n && i < 40; i++)
            printf(" %d", l.v[i]);
        printf("\n");
    }
    /* A cut line may end inside a character; U+2581 and a space are the same to SPM. */
    if (s->ours && !flags && tokenizer_n_dropped(t) == dropped && !strstr(text, "\xe2\x96\x81")) {
        check_round_trip(t, &l, text, n);
        y->round++;
    }
    ids_free(&l);
}

static void check_model(const char *model, const char *golden)
{
    size_t n, len;
    struct tally y = {0};
    struct tokenizer *t = toktest_open(toktest_model(model));
    if (!t)
        skip();
    char *want = toktest_read(golden, &n), *at = want, *line;
    assert_non_null(want);
    while (toktest_line(&at, &line, &len)) {
        char name[256];
        int count;
        if (*line == '#')
            continue;
        assert_int_equal(sscanf(line, "file %255s %d", name, &count), 2);
        struct source s;
        const bool there = source_open(&s, name);
        for (int i = 0; i < count; i++) {
            assert_true(toktest_line(&at, &line, &len));
            if (there)
                check_line(t, &s, line, &y);
        }
        free(s.text);
    }
    printf("%s: %d lines, %d wrong; %d decoded again\n", model, y.lines, y.wrong, y.round);
    free(want);
    tokenizer_close(t);
    assert_int_equal(y.wrong, 0);
    assert_true(y.lines >= 4000 && y.round >= 3000);
}

static void test_smollm2(void **state)
{
    (void)state;
    check_model(TOK_SMOLLM2, "tests/golden/tok_smollm2.txt");
}

static void test_gemma3(void **state)
{
    (void)state;
    check_model(TOK_GEMMA3, "tests/golden/tok_gemma3.txt");
}

static void test_words(void **state)
{
    (void)state;
    size_t n, len;
    struct words w = {0};
    struct otr_err err = {0};
    char *want = toktest_read("tests/golden/tok_pretok.txt", &n), *at = want, *line, name[64];
    int names = 0, lines = 0;
    assert_non_null(want);
    while (toktest_line(&at, &line, &len)) {
        struct source s;
        struct pretok *p;
        int wrong = 0;
        if (*line == '#')
            continue;
        assert_int_equal(sscanf(line, "pre %63s", name), 1);
        if (pretok_open(&p, name, strlen(name), &err) < 0)
            fail_msg("%s: %s", name, err.msg);
        assert_true(source_open(&s, "tok_lines.txt"));
        for (int i = 0; *s.at; i++) {
            char *text, got[32];
            unsigned flags;
            source_next(&s, &text, &len, &flags);
            if (i % 4 != 0)
                continue;
            if (pretok_split(p, text, len, &w, &err) < 0)
                fail_msg("%s: %s", name, err.msg);
            const struct ids ends = {.v = (int32_t *)w.end, .n = w.n};
            snprintf(got, sizeof got, "%zu %08x", w.n, toktest_hash(&ends));
            size_t n_text = len;
            assert_true(toktest_line(&at, &line, &len));
            lines++;
            if (strcmp(got, line) != 0 && wrong++ < 3) {
                printf("%s: line %d is %s, expected %s:", name, i, got, line);
                for (size_t k = 0, from = 0; k < w.n; from = w.end[k++])
                    printf(" [%.*s]", (int)(w.end[k] - from), text + from);
                printf(" (%zu bytes)\n", n_text);
            }
        }
        if (wrong)
            fail_msg("%s: %d lines are cut in another way", name, wrong);
        free(s.text);
        pretok_close(p);
        names++;
    }
    printf("%d pre-tokenizers, %d lines\n", names, lines);
    words_fini(&w);
    free(want);
    assert_int_equal(names, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_smollm2),
                                       cmocka_unit_test(test_gemma3)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
