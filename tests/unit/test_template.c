/* Chat templates. Oracle: jinja2, whose results are in tests/golden/template_chats.json (its first field names the
 * script that made it); the templates and chats are there too. Below that: the origin of bytes, bounds, error texts. */
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
static const struct tm golden_now = {
    .tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_hour = 9, .tm_min = 5, .tm_sec = 7, .tm_wday = 5, .tm_yday = 207};

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
static int render(const char *text, size_t n, const struct otr_message *m, size_t n_m, bool add,
                  struct template_out *out, struct otr_err *err)
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

/* The chats mark their own bytes: letters of the private range U+E000 ... are theirs, and where a chat holds such
 * letters nothing else that is not white space is. */
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

/* ---- the origin of bytes ---- */

static void has_origin(const char *text, const char *content, const char *want, const char *mask)
{
    struct template_out out = {0};
    struct otr_err err = {0};
    const struct otr_message m[] = {{"user", content}};
    char got[256] = "";
    assert_int_equal(strlen(want), strlen(mask));
    if (render(text, strlen(text), m, 1, true, &out, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    for (size_t i = 0; i < out.n && i + 1 < sizeof got; i++)
        got[i] = out.literal[i] ? '1' : '0';
    if (strcmp(out.text, want) != 0 || strcmp(got, mask) != 0)
        fail_msg("%s: '%s' (%s), not '%s' (%s)", text, out.text, got, want, mask);
    template_out_free(&out);
}

static void bytes_keep_their_origin(void **state)
{
    (void)state;
#define C "messages[0].content"
    has_origin("a{{ " C " }}b", "xy", "axyb", "0110");
    has_origin("{{ messages[0]['role'] + ':' }}{{ bos_token }}", "", "user:<s>", "11110000");
    has_origin("{{ 'a' + " C " + 'b' ~ " C " }}", "xy", "axybxy", "011011");
    has_origin("{{ '[' ~ (" C " | trim) ~ ']' }}", "  xy ", "[xy]", "0110");
    has_origin("{{ '<' + " C ".strip('x') + '>' }}", "xxyx", "<y>", "010");
    has_origin("{{ ('a' + " C " + 'b')[1:] }}", "xy", "xyb", "110");
    has_origin("{{ ('a' + " C " + 'b')[::-1] }}|{{ ('a' ~ " C ")[-1] }}", "x\xc3\xa9", "b\xc3\xa9xa|\xc3\xa9",
               "01110011");
    has_origin("{{ ('a' ~ " C ") | upper }}{{ ('A' ~ " C ").lower() }}", "x\xc3\xa9",
               "AX\xc3\x89"
               "ax\xc3\xa9",
               "01110111");
    has_origin("{{ ('a ' ~ " C ") | title }}|{{ ('\xc3\x9f' ~ " C ") | upper }}", "\xc3\x9f", "A SS|SSSS", "001100011");
    has_origin("{{ " C " | replace('x', '<>') }}", "axa", "a<>a", "1001");
    has_origin("{{ 'a-b' | replace('-', " C ") }}", "x", "axb", "010");
    has_origin("{{ " C " | replace('q', '') }}", "xy", "xy", "11");
    has_origin("{{ ['a', " C ", 'b'] | join('-') }}", "xy", "a-xy-b", "001100");
    has_origin("{{ ['a', 'b'] | join(" C ") }}", "x", "axb", "010");
    has_origin("{{ (" C " ~ '-c').split('-') | join('+') }}", "x-y", "x+y+c", "10100");
    has_origin("{{ (" C " ~ '-c').split('-')[-1] }}", "x-y", "c", "0");
    has_origin("{{ " C ".split() | last }}{{ " C ".splitlines() | first }}", "x\ny", "yx", "11");
    has_origin("{{ " C " | tojson }}", "x\"\n", "\"x\\\"\\n\"", "0111110");
    has_origin("{{ {'k': " C "} | tojson }}", "x", "{\"k\": \"x\"}", "0000000100");
    has_origin("{{ [" C ", 'b'] }}{{ {" C ": 1} }}", "x'", "[\"x'\", 'b']{\"x'\": 1}", "00110000000001100000");
    has_origin("{{ {'k': [" C "]}['k'][0] }}{{ {'k': " C "}.get('k') }}", "x", "xx", "11");
    has_origin("{{ {" C ": 'v'}[" C "] }}{{ 'yes' if " C " == 'x' else 'no' }}", "x", "vyes", "0000");
    has_origin("{% for k, v in {" C ": 'v'} | items %}{{ k }}{{ v }}{% endfor %}", "x", "xv", "10");
    has_origin("{% for c in 'a' ~ " C " %}<{{ c }}>{% endfor %}", "x", "<a><x>", "000010");
    has_origin("{{ ('a' ~ " C ") * 2 }}{{ [" C "] * 2 }}", "x", "axax['x', 'x']", "01010010000100");
    has_origin("{% macro f(t) %}({{ t }}){% endmacro %}{{ f(" C ") | upper }}", "x", "(X)", "010");
    has_origin("{% set t %}({{ " C " }}){% endset %}{{ t }}{% filter upper %}a{{ " C " }}{% endfilter %}", "x", "(x)AX",
               "01001");
    has_origin(
        "{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ '#' ~ m.content %}{% endfor %}"
        "{{ ns.t }}",
        "x", "#x", "01");
    has_origin("{{ " C " | indent(2) }}", "x\ny", "x\n  y", "10001");
    has_origin("{{ missing | default(" C ") }}{{ " C " | list | reverse | first }}{{ " C " | string }}", "x", "xxx",
               "111");
    has_origin("{{ messages | map(attribute='content') | map('upper') | join(',') }}", "x", "X", "1");
    has_origin("{{ strftime_now(" C ") }}|{{ strftime_now('%Y') }}", "<%d>", "<26>|2024", "111100000");
    has_origin("{{ " C " | length }}{{ '7' ~ (" C " | int) }}", "7", "177", "000");
#undef C
}

static void look_alikes_are_the_callers(void **state)
{
    (void)state;
    const char *chatml =
        "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}";
    has_origin(chatml, "<|im_end|>", "<|im_start|>user\n<|im_end|><|im_end|>\n",
               "0000000000001111"
               "0"
               "1111111111"
               "0000000000"
               "0");
}

/* ---- bounds ---- */

static int rc_of(const char *text, size_t n, const char *content, struct otr_err *err)
{
    struct template_out out = {0};
    const struct otr_message m[] = {{"user", content}};
    const int rc = render(text, n, m, 1, false, &out, err);
    if (rc == OTR_OK)
        template_out_free(&out);
    else
        assert_null(out.text);
    return rc;
}

/* a, b n times, c, d n times */
static char *nested(const char *a, const char *b, const char *c, const char *d, size_t n)
{
    char *s = malloc(strlen(a) + strlen(c) + n * (strlen(b) + strlen(d)) + 1), *p = s;
    assert_non_null(s);
    p = stpcpy(p, a);
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, b);
    p = stpcpy(p, c);
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, d);
    return s;
}

static void work_is_bounded(void **state)
{
    (void)state;
    static const char *const all[] = {
        "{% set ns = namespace(a='aaaa') %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
        "{% set ns = namespace(a='aaaa') %}{% for i in range(99) %}{% set ns.a = ns.a | replace('a', ns.a) %}{% endfor "
        "%}",
        "{% set ns = namespace(a='aaaa') %}{% for i in range(99) %}{% set ns.a = [ns.a, ns.a] | join %}{% endfor %}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a | "
        "tojson }}",
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}"
        "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}{% set x = range(100000) %}{% endfor %}",
        "{{ 'a' * 1000000000000 }}",
        "{{ [0] * 1000000000000 }}",
        "{{ ('a' * 1000000).split('a') | map('string') | list | length }}{{ ('a' * 1000000) | list | length }}",
        "{{ range(100001) }}",
        "{{ 'x' | indent(100000000) }}",
        "{{ [1] | tojson(indent=100000000) }}",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{{ f(n) ~ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a | string }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ 2 ** 64 }}",
        "{{ -9223372036854775807 - 2 }}",
        "{{ 9223372036854775807 * 9223372036854775807 }}",
        "{{ 1e19 | int }}",
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct otr_err err = {0};
        const int rc = rc_of(all[i], strlen(all[i]), "", &err);
        if (rc != OTR_E_LIMIT)
            fail_msg("%s: %d, %s", all[i], rc, err.msg);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *c, *d;
    } all[] = {
        {"{{ ", "(", "1", ")"},     {"{{ ", "[", "1", "]"},
        {"{{ ", "{1:", "1", "}"},   {"{{ ", "not ", "1", ""},
        {"{{ ", "-", "1", ""},      {"{{ 1", " + 1", "", ""},
        {"{{ 1", ".a", "", ""},     {"{{ 1", "[0]", "", ""},
        {"{{ 1", "|trim", "", ""},  {"{{ f", "(f", "", ")"},
        {"{{ 1", " if 1", "", ""},  {"{{ 1", " is x", "", ""},
        {"", "{% if 1 %}", "", ""}, {"", "{% for x in y %}", "", ""},
        {"{% set ", "(", "a", ")"}, {"{{ 1", " else 1 if 1", "", ""},
        {"{{ 1", " and 1", "", ""}, {"", "{% filter trim %}", "", ""},
        {"{{ 1", " ** 1", "", ""},  {"{{ 1 ", "if 1 else 1 ", "", ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t n = 1000; n <= 20000; n *= 20) {
            char *s = nested(all[i].a, all[i].b, all[i].c, all[i].d, n);
            struct otr_err err = {0};
            assert_true(rc_of(s, strlen(s), "", &err) < 0); /* LIMIT or FORMAT: many of them have no end */
            free(s);
        }
    char *deep = nested("{{ ", "(", "1", ")", 90), *text = nested(deep, " }}", "", "", 1);
    assert_int_equal(rc_of(text, strlen(text), "", NULL), OTR_OK);
    free(deep);
    free(text);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    struct otr_err err = {0};
    char *s = nested("", "x", "", "", 300000);
    assert_int_equal(rc_of(s, 300000, "", &err), OTR_E_LIMIT);
    assert_int_equal(rc_of(s, 200000, "", &err), OTR_OK);
    /* what a caller really sends is no attack */
    char *content = nested("", "word ", "", "", 1 << 20);
    const char *t = "{% for m in messages %}{{ '<' + m.role + '>' + (m.content | trim) + '</>' }}{% endfor %}";
    struct template_out out = {0};
    const struct otr_message m[] = {{"user", content}, {"assistant", content}};
    assert_int_equal(render(t, strlen(t), m, 2, true, &out, &err), OTR_OK);
    assert_int_equal(out.n, 2 * (strlen(content) - 1) + strlen("<user><assistant></></>"));
    template_out_free(&out);
    free(content);
    free(s);
}

/* ---- errors ---- */

static void errors_name_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        const char *msg;
    } all[] = {
        {"a\n\n{{ 'x' | nofilter }}", OTR_E_FORMAT, "chat template line 3: unknown filter 'nofilter'"},
        {"{{ 'x' is\nnotest }}", OTR_E_FORMAT, "chat template line 2: unknown test 'notest'"},
        {"{#\n\n#}\n{{ raise_exception('Roles must\\nalternate') }}", OTR_E_FORMAT,
         "chat template line 4: the template says: Roles must?alternate"},
        {"{{ a.b }}", OTR_E_FORMAT, "chat template line 1: 'a' is undefined"},
        {"{{ messages[0].tool.name }}", OTR_E_FORMAT, "chat template line 1: 'tool' is undefined"},
        {"\n{% if 1 %}\n{{ 1 + 'a' }}{% endif %}", OTR_E_FORMAT, "chat template line 3: cannot compute int + str"},
        {"{% macro f() %}\n{{ none < 1 }}{% endmacro %}\n\n{{ f() }}", OTR_E_FORMAT,
         "chat template line 2: cannot compare none < int"},
        {"{{ 'a'.upper(1) }}", OTR_E_FORMAT, "chat template line 1: 'upper' takes at most 0 arguments, not 1"},
        {"{{ 'a'.replace('b') }}", OTR_E_FORMAT, "chat template line 1: 'replace' lacks its argument 'new'"},
        {"{{ f() }}", OTR_E_FORMAT, "chat template line 1: 'f' is undefined, so it cannot be called"},
        {"{% if 1 %}\n\n", OTR_E_FORMAT, "chat template line 2: endif was expected, not the end of the template"},
        {"\n{% include 'x' %}", OTR_E_FORMAT, "chat template line 2: unknown statement 'include'"},
        {"{{ 1 +\n }}", OTR_E_FORMAT, "chat template line 2: an expression was expected, not '}}'"},
        {"{{ a b }}", OTR_E_FORMAT, "chat template line 1: '}}' was expected, not 'b'"},
        {"{{ ? }}", OTR_E_FORMAT, "chat template line 1: unexpected character '?'"},
        {"\r\n\r\n{{ (1] }}", OTR_E_FORMAT, "chat template line 3: unexpected ']'"},
        {"{{ 'abc }}", OTR_E_FORMAT, "chat template line 1: a string without an end"},
        {"x\n{# abc", OTR_E_FORMAT, "chat template line 2: a comment without an end"},
        {"{% for i in range(3) %}\n{% set x = x ~ 'a' * 99999999 %}{% endfor %}", OTR_E_LIMIT,
         "chat template line 2: a text of more than 4194"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct otr_err err = {0};
        const int rc = rc_of(all[i].text, strlen(all[i].text), "hi", &err);
        if (rc != all[i].rc || strncmp(err.msg, all[i].msg, strlen(all[i].msg)) != 0)
            fail_msg("%s: %d '%s', not %d '%s'", all[i].text, rc, err.msg, all[i].rc, all[i].msg);
        assert_int_equal(rc_of(all[i].text, strlen(all[i].text), "hi", NULL), all[i].rc);
    }
}

static void the_date_is_now_unless_given(void **state)
{
    (void)state;
    const char *text = "{{ strftime_now('%Y-%m-%d') }}";
    struct chat_template *t = NULL;
    struct template_out out = {0};
    const struct template_args a = {.bos_token = "", .eos_token = ""};
    char before[16], after[16];
    time_t now = time(NULL);
    strftime(before, sizeof before, "%Y-%m-%d", localtime(&now));
    assert_int_equal(template_open(&t, text, strlen(text), NULL), OTR_OK);
    assert_int_equal(template_render(t, &a, &out, NULL), OTR_OK);
    now = time(NULL);
    strftime(after, sizeof after, "%Y-%m-%d", localtime(&now));
    assert_true(strcmp(out.text, before) == 0 || strcmp(out.text, after) == 0); /* midnight may pass */
    template_out_free(&out);
    template_close(t);
}

static void messages_may_be_empty_or_malformed(void **state)
{
    (void)state;
    struct template_out out = {0};
    struct otr_err err = {0};
    const char *t =
        "{{ bos_token }}{{ messages | length }}{% if messages and messages[0].role == 'user' %}x{% endif %}";
    assert_int_equal(render(t, strlen(t), NULL, 0, true, &out, &err), OTR_OK);
    assert_string_equal(out.text, "<s>0");
    template_out_free(&out);
    assert_int_equal(render("", 0, NULL, 0, true, &out, &err), OTR_OK);
    assert_int_equal(out.n, 0);
    assert_string_equal(out.text, "");
    template_out_free(&out);
    template_out_free(&out); /* again: nothing there */
    /* bytes that are not UTF-8 pass through as they are, whatever is done to them */
    const struct otr_message bad[] = {{"user", "\xff"
                                               "a\xc3"}};
    t = "{{ messages[0].content | upper | trim }}|{{ messages[0].content | length }}|{{ messages[0].content[::-1] }}";
    assert_int_equal(render(t, strlen(t), bad, 1, true, &out, &err), OTR_OK);
    assert_string_equal(out.text, "\xff"
                                  "A\xc3|3|\xc3"
                                  "a\xff");
    template_out_free(&out);
    template_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_equal_jinja2),
        cmocka_unit_test(snippets_equal_jinja2),
        cmocka_unit_test(bytes_keep_their_origin),
        cmocka_unit_test(look_alikes_are_the_callers),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(errors_name_line_and_reason),
        cmocka_unit_test(the_date_is_now_unless_given),
        cmocka_unit_test(messages_may_be_empty_or_malformed),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
