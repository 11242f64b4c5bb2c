/* What names from files go through: UTF-8 characters, the quoting of messages, the hash map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/strmap.h"
#include "base/utf8.h"

/* ---- UTF-8 ---- */

/* RFC 3629's definition, from code point to bytes. */
static size_t encode(uint32_t cp, char *b)
{
    if (cp < 0x80) {
        b[0] = (char)cp;
        return 1;
    }
    const size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, cp >>= 6)
        b[i] = (char)(0x80 | (cp & 0x3f));
    b[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | cp);
    return n;
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000 + 0x1000; cp++) {
        char b[4];
        uint32_t got = UINT32_MAX;
        const size_t n = encode(cp, b);
        const int valid = cp < 0x110000 && !(cp >= 0xd800 && cp < 0xe000);
        if (utf8_char(b, n, &got) != (valid ? n : 0) || (valid && got != cp))
            fail_msg("U+%04X", cp);
        for (size_t cut = 0; cut < n; cut++)
            if (utf8_char(b, cut, &got) != 0)
                fail_msg("U+%04X, %zu bytes of it", cp, cut);
    }
}

/* All two-byte and some longer strings: what utf8_char takes is what encode makes. */
static void test_no_other_bytes(void **state)
{
    static const unsigned char tails[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    int n_valid = 0;
    (void)state;
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (size_t t = 0; t < sizeof tails * sizeof tails; t++) {
                const char s[4] = {(char)first, (char)second, (char)tails[t / sizeof tails],
                                   (char)tails[t % sizeof tails]};
                char b[4];
                uint32_t cp;
                const size_t n = utf8_char(s, 4, &cp);
                if (n == 0)
                    continue;
                n_valid++;
                if (encode(cp, b) != n || memcmp(b, s, n) != 0)
                    fail_msg("%02x %02x: U+%04X", first, second, cp);
            }
    assert_true(n_valid > 100000);
}

/* ---- messages ---- */

static void test_quote(void **state)
{
    static const struct {
        const char *text, *want;
        size_t cap;
    } cases[] = {
        {"plain", "plain", 32},
        {"J\xc3\xbcrgen \xe6\xbc\xa2 \xf0\x9f\x98\x80", "J\xc3\xbcrgen \xe6\xbc\xa2 \xf0\x9f\x98\x80", 32},
        {"a\x1b[31m\n\r\tb\x7f", "a?[31m???b?", 32},
        {"\xff\xc3(\xed\xa0\x80", "?\?(???", 32},
        {"c1 \xc2\x9b 31m", "c1 ? 31m", 32},         /* U+009B opens escapes too */
        {"bidi \xe2\x80\xae gpj", "bidi ? gpj", 32}, /* U+202E turns the text round */
        {"0123456789", "0123456789", 14},
        {"0123456789", "012345678...", 13},
        {"01234567\xc3\xbc", "01234567...", 13}, /* no half characters */
    };
    char buf[32];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(err_quote(buf, cases[i].cap, cases[i].text, strlen(cases[i].text)), cases[i].want);
    assert_string_equal(err_quote(buf, sizeof buf, "a\0b", 3), "a?b");
    assert_string_equal(err_quote(buf, sizeof buf, "", 0), "");
    for (size_t cap = 0; cap < 8; cap++) { /* tiny buffers */
        char *small = malloc(cap ? cap : 1);
        assert_non_null(small);
        const char *q = err_quote(small, cap, "abcdefghij", 10);
        assert_true(strlen(q) < (cap ? cap : 1));
        free(small);
    }
}

static void test_messages(void **state)
{
    struct otr_err e;
    char text[600];
    (void)state;
    assert_int_equal(OTR_FAIL(&e, FORMAT, "%s: %d", "line\nbreak \x1b[0m \xff \xc3\xbc", 5), OTR_E_FORMAT);
    assert_string_equal(e.msg, "line?break ?[0m ? \xc3\xbc: 5");
    assert_int_equal(e.code, OTR_E_FORMAT);
    assert_int_equal(OTR_FAIL(NULL, NOMEM, "x"), OTR_E_NOMEM);
    for (size_t i = 0; i < sizeof text - 1; i += 3) /* three-byte characters: the cut falls into one */
        memcpy(text + i, "\xe6\xbc\xa2", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        uint32_t cp;
        text[sizeof text - 1] = 0;
        OTR_FAIL(&e, FORMAT, "%.*s%s", (int)shift, "xx", text);
        for (size_t i = 0, n = strlen(e.msg); i < n;) {
            const size_t len = utf8_char(e.msg + i, n - i, &cp);
            assert_true(len > 0);
            i += len;
        }
    }
}

/* ---- hash map ---- */

static void test_siphash(void **state)
{
    /* SRC: the reference implementation's vectors (key 00..0f, input 00, 01, ...): lengths 0, 1, 7, 8, 15, 16, 63 */
    static const struct {
        size_t n;
        uint64_t h;
    } v[] = {{0, 0x726fdb47dd0e0e31u},  {1, 0x74f839c593dc67fdu},  {7, 0xab0200f58b01d137u}, {8, 0x93f5f5799a932462u},
             {15, 0xa129ca6149be45e5u}, {16, 0x3f2acc7f57c29bdbu}, {63, 0x958a324ceb064572u}};
    const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    unsigned char data[64];
    (void)state;
    for (unsigned i = 0; i < 64; i++)
        data[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        assert_true(siphash24(key, data, v[i].n) == v[i].h);
}

static void test_strmap(void **state)
{
    enum { N = 20000 };
    static char names[N][8];
    struct strmap m = {0};
    (void)state;
    assert_int_equal(strmap_get(&m, "a", 1), -1);
    for (uint32_t i = 0; i < N; i++) {
        const int n = snprintf(names[i], sizeof names[i], "%x", i);
        assert_int_equal(strmap_add(&m, names[i], (size_t)n, i), 1);
        assert_int_equal(strmap_add(&m, names[i], (size_t)n, i + 1), 0);
    }
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(strmap_get(&m, names[i], strlen(names[i])), i);
    assert_int_equal(strmap_get(&m, "g", 1), -1);
    assert_int_equal(strmap_get(&m, "", 0), -1);
    assert_int_equal(strmap_get(&m, "1", 2), -1); /* the zero byte counts */
    assert_int_equal(strmap_add(&m, "", 0, 7), 1);
    assert_int_equal(strmap_add(&m, "a\0b", 3, 8), 1);
    assert_int_equal(strmap_add(&m, "a\0c", 3, UINT32_MAX), 1);
    assert_int_equal(strmap_get(&m, "", 0), 7);
    assert_int_equal(strmap_get(&m, "a\0b", 3), 8);
    assert_true(strmap_get(&m, "a\0c", 3) == UINT32_MAX);
    strmap_fini(&m);
    assert_int_equal(strmap_get(&m, "a", 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point), cmocka_unit_test(test_no_other_bytes), cmocka_unit_test(test_quote),
        cmocka_unit_test(test_messages),         cmocka_unit_test(test_siphash),        cmocka_unit_test(test_strmap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
