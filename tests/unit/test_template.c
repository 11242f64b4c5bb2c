/* Chat templates. Oracle: jinja2, whose results are in tests/golden/template_chats.json (its first field names the script
 * that made it); the templates and chats are there too. Below that: the origin of bytes, bounds, error texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "template/template.h"

#define GOLDEN "tests/golden/template_chats.json"
enum { MAX_MSGS = 64 };

/* As NOW of the script: a Friday, the 208th day of its year. */
static const struct tm golden_now = {.tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_hour = 9, .tm_min = 5, .tm_sec = 7,
                                     .tm_wday = 5, .tm_yday = 207};

static json_t *golden;

static int load(void **state)
{
    (void)state;
    json_error_t e;
    golden = json_load_file(GOLDEN, JSON_ALLOW_NUL, &e);
    if (!golden)
        fprintf(stderr, "%s line %d: %s\n", GOLDEN, e.line, e.text);
    return golden ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

static size_t read_messages(const json_t *list, struct otr_message *m)
{
    size_t i;
    const json_t *each;
    assert_true(json_array_size(list) <= MAX_MSGS);
    json_array_foreach(list, i, each)
    {
        m[i].role = json_string_value(json_object_get(each, "role"));
        m[i].content = json_string_value(json_object_get(each, "content"));
    }
    return json_array_size(list);
}

/* Opens and renders; *out is to be freed where this returns OTR_OK. */
static int render(const char *text, size_t n, const struct otr_message *m, size_t n_m, bool add, struct template_out *out,
                  struct otr_err *err)
{
    struct chat_template *t = NULL;
    int rc = template_open(&t, text, n, err);
    if (rc < 0)
        return rc;
    const struct template_args a = {m, n_m, add, "<s>", "</s>", &golden_now};
    rc = template_render(t, &a, out, err);
    template_close(t);
    return rc;
}

/* want NULL: jinja2 raised. Returns 1 where we differ, and says how. */
static int differs(const char *name, const json_t *text, const struct otr_message *m, size_t n_m, bool add,
                   const json_t *want, struct template_out *out)
{
    struct otr_err err = {0};
    const int rc = render(json_string_value(text), json_string_length(text), m, n_m, add, out, &err);
    const bool raised = !json_is_string(want);
    if (raised && rc < 0)
        return 0;
    if (!raised && rc == OTR_OK && out->n == json_string_length(want) &&
        memcmp(out->text, json_string_value(want), out->n) == 0)
        return 0;
    printf("---- %s\n%s\n---- jinja2:\n%s\n---- we:\n%s\n", name, json_string_value(text),
           raised ? "(raises)" : json_string_value(want), rc < 0 ? err.msg : out->text);
    return 1;
}

/* The chats mark their own bytes: letters of the private range U+E000 ... are theirs, and where a chat holds such letters
 * nothing else that is not white space is. */
static int origin_differs(const char *name, const struct otr_message *m, size_t n_m, const struct template_out *out)
{
    int bad = 0;
    for (size_t i = 0; i < n_m; i++)
        if (strcmp(m[i].role, "narrator") == 0 || !strstr(m[0].content, "\xee\x80\x80"))
            return 0;
    for (size_t i = 0; i < out->n; i++) {
        const unsigned char c = (unsigned char)out->text[i];
        const bool private = c == 0xee || (i > 0 && (unsigned char)out->text[i - 1] == 0xee) ||
                             (i > 1 && (unsigned char)out->text[i - 2] == 0xee);
        const bool role = out->literal[i] && !private && c > ' ';
        if (private && !out->literal[i])
            bad++;
        if (role) { /* the only other thing that is the caller's */
            bool found = false;
            for (size_t k = 0; k < n_m; k++)
                found = found || strchr(m[k].role, c) || strchr("USERASSISTANTSYSTEM", c);
            bad += !found;
        }
    }
    if (bad)
        printf("%s: the origin of %d bytes is wrong\n", name, bad);
    return bad != 0;
}

static void templates_equal_jinja2(void **state)
{
    (void)state;
    size_t i, k;
    int n = 0, bad = 0;
    const json_t *t, *chat, *chats = json_object_get(golden, "chats");
    json_array_foreach(json_object_get(golden, "templates"), i, t)
    {
        const char *name = json_string_value(json_object_get(t, "name"));
        json_array_foreach(chats, k, chat)
        {
            struct otr_message m[MAX_MSGS];
            struct template_out out = {0};
            const size_t n_m = read_messages(json_object_get(chat, "messages"), m);
            bad += differs(name, json_object_get(t, "text"), m, n_m, json_is_true(json_object_get(chat, "add")),
                           json_array_get(json_object_get(t, "out"), k), &out);
            bad += origin_differs(name, m, n_m, &out);
            template_out_free(&out);
            n++;
        }
    }
    printf("%d renders\n", n);
    assert_true(n >= 6 * 20);
    assert_int_equal(bad, 0);
}

static void snippets_equal_jinja2(void **state)
{
    (void)state;
    size_t i;
    int bad = 0;
    const json_t *s;
    struct otr_message m[MAX_MSGS];
    const size_t n_m = read_messages(json_object_get(golden, "snippet_messages"), m);
    json_array_foreach(json_object_get(golden, "snippets"), i, s)
    {
        struct template_out out = {0};
        bad += differs("snippet", json_object_get(s, "text"), m, n_m, true, json_object_get(s, "out"), &out);
        template_out_free(&out);
    }
    printf("%zu snippets\n", i);
    assert_true(i >= 150);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_equal_jinja2),
        cmocka_unit_test(snippets_equal_jinja2),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
