/* Reply text against a reference that looks at the finished text one byte at a time: where it stops, what is given away
 * and when. The same text is cut into tokens in random ways, single bytes too, so stop strings and characters lie
 * across their borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "emit/emit.h"
#include "support/toktest.h"

enum { BYTE0 = 3, WORD0 = BYTE0 + 256, MAX_TEXT = 200 };
static const uint64_t SEED = 20250304;

/* The letters of the random texts, and the pieces they can be cut into. */
static const char *const letter[] = {"a", "b", "c", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
static const char *const word[] = {"a",
                                   "b",
                                   "c",
                                   "ab",
                                   "ba",
                                   "abc",
                                   "bca",
                                   "cab",
                                   "aab",
                                   "\xc3\xa9",
                                   "a\xc3\xa9",
                                   "\xe2\x82",
                                   "\xac",
                                   "b\xe2",
                                   "\xf0\x9f\x98\x80",
                                   "\x98\x80\x61",
                                   "\xc3\xa9\xc3\xa9",
                                   "aaaa"};
enum { N_LETTER = sizeof letter / sizeof *letter, N_WORD = sizeof word / sizeof *word };

static struct tokenizer *tok;
static uint64_t rng_at;

static uint32_t rnd(uint32_t n) /* below n */
{
    const struct philox r = philox4x32(SEED, (struct philox){{(uint32_t)rng_at++, 0, 0, 0}});
    return (uint32_t)((uint64_t)r.v[0] * n >> 32);
}

static int make_vocabulary(void **state)
{
    static char names[256][8];
    const char *pieces[WORD0 + N_WORD] = {"<unk>", "<s>", "</s>"};
    int32_t types[WORD0 + N_WORD] = {2, 3, 3};
    float scores[WORD0 + N_WORD] = {0};
    (void)state;
    for (int i = 0; i < 256; i++) {
        snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)i);
        pieces[BYTE0 + i] = names[i];
        types[BYTE0 + i] = 6;
    }
    for (int i = 0; i < N_WORD; i++) {
        pieces[WORD0 + i] = word[i];
        types[WORD0 + i] = 1;
    }
    tok = toy_make(
        &(struct toy){.model = "llama", .pieces = pieces, .n = WORD0 + N_WORD, .types = types, .scores = scores});
    return 0;
}

static int drop_vocabulary(void **state)
{
    (void)state;
    tokenizer_close(tok);
    return 0;
}

/* ---- the caller's side ---- */

struct sink {
    char text[4 * MAX_TEXT];
    size_t n, n_call, abort_at; /* abort_at: the call that says no, from 1; 0: none */
    int32_t last;
};

static bool take(void *user, const char *text, size_t n_bytes, int32_t token)
{
    struct sink *s = user;
    uint32_t cp;
    assert_true(n_bytes > 0 && s->n + n_bytes <= sizeof s->text);
    for (size_t i = 0, len; i < n_bytes; i += len)
        assert_true((len = utf8_char(text + i, n_bytes - i, &cp)) > 0); /* whole characters */
    memcpy(s->text + s->n, text, n_bytes);
    s->n += n_bytes;
    s->last = token;
    return ++s->n_call != s->abort_at;
}

static struct emitter open_emitter(struct sink *s, const char *const *stops, size_t n_stops)
{
    struct emitter e;
    struct otr_err err;
    *s = (struct sink){.last = -1};
    if (emit_open(&e, &(struct emit_opts){.tok = tok, .stops = stops, .n_stops = n_stops, .on_text = take, .user = s},
                  &err) < 0)
        fail_msg("%s", err.msg);
    return e;
}

static enum emit_verdict feed(struct emitter *e, int32_t id)
{
    assert_int_equal(emit_reserve(e, NULL), OTR_OK);
    const char *room = e->text;
    const enum emit_verdict v = emit_token(e, id);
    assert_ptr_equal(e->text, room); /* the room was enough */
    return v;
}

static void expect(const struct emitter *e, const struct sink *s, const char *text)
{
    assert_int_equal(e->n_text, strlen(text));
    assert_memory_equal(e->text, text, e->n_text);
    assert_int_equal(s->n, e->n_text); /* the text is what was given away */
    assert_memory_equal(s->text, e->text, s->n);
}

/* ---- the reference ---- */

static bool ends_with(const char *text, size_t n, const char *stop)
{
    const size_t m = strlen(stop);
    return n >= m && memcmp(text + n - m, stop, m) == 0;
}

/* Goes through the text byte by byte: the longest stop string that ends there ends the reply. Returns whether one did;
 * *n becomes the length of what is left. */
static bool reference_stop(const char *text, size_t *n, const char *const *stops, size_t n_stops)
{
    for (size_t end = 1; end <= *n; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n_stops; i++)
            if (strlen(stops[i]) > longest && ends_with(text, end, stops[i]))
                longest = strlen(stops[i]);
        if (longest > 0) {
            *n = end - longest;
            return true;
        }
    }
    return false;
}

/* Bytes that can be given away of a text without a complete stop string: no more is held back than must be. */
static size_t reference_sent(const char *text, size_t n, const char *const *stops, size_t n_stops)
{
    uint32_t cp;
    size_t whole = 0;
    for (size_t len; whole < n && (len = utf8_char(text + whole, n - whole, &cp)) > 0;)
        whole += len;
    for (size_t at = 0; at < whole; at++)
        for (size_t i = 0; i < n_stops; i++)
            if (strlen(stops[i]) > whole - at && memcmp(text + at, stops[i], whole - at) == 0)
                return at;
    return whole;
}

/* ---- random texts ---- */

static size_t random_text(char *out, int n_letter)
{
    const uint32_t kinds = rnd(3) ? 2 : N_LETTER;
    size_t n = 0;
    for (int i = 0; i < n_letter; i++) {
        const char *l = letter[rnd(kinds)];
        memcpy(out + n, l, strlen(l));
        n += strlen(l);
    }
    out[n] = 0;
    return n;
}

/* A token that the text goes on with: a piece, or a byte. */
static int32_t next_token(const char *text, size_t n, size_t *used)
{
    for (int try = 0; try < 6; try++) {
        const uint32_t w = rnd(N_WORD);
        if (strlen(word[w]) <= n && memcmp(text, word[w], strlen(word[w])) == 0) {
            *used = strlen(word[w]);
            return (int32_t)(WORD0 + w);
        }
    }
    *used = 1;
    return BYTE0 + (unsigned char)text[0];
}

static void test_random_texts(void **state)
{
    long n_stopped = 0, n_token = 0;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[MAX_TEXT], stop[4][MAX_TEXT];
        const char *stops[4];
        const size_t n = random_text(text, (int)rnd(24)), n_stops = rnd(5);
        for (size_t i = 0; i < n_stops; i++) {
            random_text(stop[i], 1 + (int)rnd(5));
            stops[i] = stop[i];
        }
        size_t n_want = n;
        const bool stopped = reference_stop(text, &n_want, stops, n_stops);
        struct sink s;
        struct emitter e = open_emitter(&s, stops, n_stops);
        enum emit_verdict v = EMIT_GO;
        int32_t id = -1;
        for (size_t at = 0, used; at < n && v == EMIT_GO; at += used, n_token++) {
            id = next_token(text + at, n - at, &used);
            v = feed(&e, id);
            if (v == EMIT_GO)
                assert_int_equal(s.n, reference_sent(text, at + used, stops, n_stops));
        }
        if (v == EMIT_GO)
            v = emit_finish(&e, id);
        assert_int_equal(v, stopped ? EMIT_STOP_STRING : EMIT_GO);
        text[n_want] = 0;
        expect(&e, &s, text);
        n_stopped += stopped;
        emit_close(&e);
    }
    printf("20000 texts (seed %llu), %ld tokens, %ld stopped\n", (unsigned long long)SEED, n_token, n_stopped);
    assert_in_range(n_stopped, 4000, 16000);
}

/* The caller says no at any call: no call after it, and the text is what it was given. */
static void test_abort(void **state)
{
    static const char *const stops[] = {"cab", "bb"};
    (void)state;
    int n_abort = 0;
    for (int round = 0; round < 3000; round++) {
        char text[MAX_TEXT];
        const size_t n = random_text(text, 20);
        struct sink s;
        struct emitter e = open_emitter(&s, stops, 2);
        s.abort_at = 1 + rnd(12);
        enum emit_verdict v = EMIT_GO;
        int32_t id = -1;
        for (size_t at = 0, used; at < n && v == EMIT_GO; at += used) {
            id = next_token(text + at, n - at, &used);
            v = feed(&e, id);
        }
        if (v == EMIT_GO)
            v = emit_finish(&e, id);
        assert_int_equal(v == EMIT_ABORT, s.n_call == s.abort_at);
        n_abort += v == EMIT_ABORT;
        assert_true(e.n_text == s.n && memcmp(e.text, s.text, s.n) == 0);
        assert_memory_equal(s.text, text, s.n);
        emit_close(&e);
    }
    assert_in_range(n_abort, 500, 2900);
}

/* ---- single cases ---- */

static void feed_all(struct emitter *e, const char *bytes)
{
    for (const char *p = bytes; *p; p++)
        assert_int_equal(feed(e, BYTE0 + (unsigned char)*p), EMIT_GO);
}

static void test_held_character(void **state)
{
    struct sink s;
    struct emitter e = open_emitter(&s, NULL, 0);
    (void)state;
    feed_all(&e, "a\xf0\x9f\x98");
    assert_int_equal(s.n, 1);
    feed_all(&e, "\x80");
    assert_int_equal(s.n, 5);
    feed_all(&e, "\xe2\x82"); /* the reply ends inside a character */
    assert_int_equal(emit_finish(&e, BYTE0 + 0x82), EMIT_GO);
    assert_int_equal(s.last, BYTE0 + 0x82);
    expect(&e, &s, "a\xf0\x9f\x98\x80\xef\xbf\xbd");
    emit_close(&e);
    emit_close(&e); /* twice is fine */
}

/* A stop string may be made of what a broken character turns into, at the very end too. */
static void test_stop_on_replacement(void **state)
{
    static const char *const stops[] = {"b\xef\xbf\xbd"};
    struct sink s;
    struct emitter e = open_emitter(&s, stops, 1);
    (void)state;
    feed_all(&e, "ab\xe2");
    assert_int_equal(s.n, 1);
    assert_int_equal(emit_finish(&e, BYTE0), EMIT_STOP_STRING);
    expect(&e, &s, "a");
    emit_close(&e);
}

/* Special tokens have no text; no callback; nothing at all. */
static void test_nothing_to_say(void **state)
{
    struct sink s;
    struct emitter e = open_emitter(&s, NULL, 0);
    (void)state;
    assert_int_equal(feed(&e, 2), EMIT_GO);
    assert_int_equal(emit_finish(&e, 2), EMIT_GO);
    assert_int_equal(s.n_call, 0);
    emit_close(&e);
    e.o.on_text = NULL;
    assert_int_equal(emit_open(&e, &(struct emit_opts){.tok = tok}, NULL), OTR_OK);
    feed_all(&e, "abc");
    assert_int_equal(emit_finish(&e, BYTE0), EMIT_GO);
    assert_true(e.n_text == 3 && memcmp(e.text, "abc", 3) == 0);
    emit_close(&e);
}

static void test_bad_stops(void **state)
{
    static const char *const bad[] = {"", NULL, "\xa9x", "a\xc3", "\xff"};
    struct otr_err err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *stops[] = {"fine", bad[i]};
        struct emitter e;
        err = (struct otr_err){0};
        assert_int_equal(emit_open(&e, &(struct emit_opts){.tok = tok, .stops = stops, .n_stops = 2}, &err), OTR_E_ARG);
        assert_non_null(strstr(err.msg, "stop string"));
        emit_close(&e);
    }
}

/* A long reply grows by reserve alone, and stays cheap: held text is bounded by the longest stop string. */
static void test_long_reply(void **state)
{
    static const char *const stops[] = {"aaaaaaaaab"};
    struct sink s;
    struct emitter e = open_emitter(&s, stops, 1);
    (void)state;
    e.o.on_text = NULL;
    for (int i = 0; i < 200000; i++) {
        assert_int_equal(feed(&e, WORD0), EMIT_GO);
        assert_true(e.n_text - e.n_sent <= 9);
    }
    assert_int_equal(feed(&e, WORD0 + 1), EMIT_STOP_STRING);
    assert_int_equal(e.n_text, 200000 - 9);
    emit_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_texts),   cmocka_unit_test(test_abort),
        cmocka_unit_test(test_held_character), cmocka_unit_test(test_stop_on_replacement),
        cmocka_unit_test(test_nothing_to_say), cmocka_unit_test(test_bad_stops),
        cmocka_unit_test(test_long_reply),
    };
    return cmocka_run_group_tests(tests, make_vocabulary, drop_vocabulary);
}
