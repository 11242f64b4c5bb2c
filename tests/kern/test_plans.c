/* Plans: every plan that any machine may be offered gives level c's bits, at every number of tokens; their text takes
 * what was written for this machine and refuses everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/kern_check.h"

enum { SEED = 20261124, MANY_TOK = 17 };

#if defined(__x86_64__)
#include "kern/x86/panel.h"

/* Outputs that differ from want with all classes cut by choice c of the menu, where there is one. */
static long check_choice(struct held *h, const struct plan_menu *menu, int c, const float *want)
{
    const struct product *p = h->p;
    struct plan_choice all;
    struct plan_set set;
    long bad = 0;
    for (int k = 0; k < PLAN_N_KIND; k++)
        for (int i = 0; i < PLAN_N_CLASS; i++)
            all.at[k][i] = (int8_t)(c < plan_n_choice(menu, k, i) ? c : -1);
    plan_set_fill(&set, menu, &all);
    h->w.plan = set.plan[plan_kind_of(p->type)];
    for (int n_tok = 1; n_tok <= MANY_TOK; n_tok++) {
        struct guard got = held_all(h, n_tok);
        for (size_t i = 0; i < (size_t)n_tok * (size_t)p->n_rows; i++)
            bad += !same_bits(((const float *)got.p)[i], want[i]);
        guard_free(&got);
    }
    return bad;
}

static void check_menu(const char *level, const struct plan_menu *menu)
{
    struct kernels c, k;
    assert_int_equal(kernels_init(&c, "c"), 0);
    if (!level_open(&k, level))
        return;
    for (const struct kern_type *t = kern_types; t->name; t++) {
        struct test_rng r = {.seed = SEED};
        struct product p = product_make(&r, DATA_SANE, t->type, 5 * KERN_ROW_UNIT + 9, 512, MANY_TOK);
        struct held hc = held_make(&c, &p), hk = held_make(&k, &p);
        struct guard want = held_all(&hc, MANY_TOK);
        for (int choice = 0; choice < PLAN_MAX_CHOICE; choice++) {
            const long bad = check_choice(&hk, menu, choice, want.p);
            if (bad)
                fail_msg("level %s, %s, choice %d, seed %d: %ld wrong", level, t->name, choice, SEED, bad);
        }
        guard_free(&want);
        held_free(&hc);
        held_free(&hk);
        product_free(&p);
    }
}

/* The menus of machines we do not run on too. */
static void test_every_plan(void **state)
{
    (void)state;
    for (unsigned vendor = 0; vendor <= CPU_AMD; vendor += CPU_AMD) {
        check_menu("avx2", plan_menu_avx2(vendor | CPU_AVX2));
        check_menu("avx2", plan_menu_avx2(vendor | CPU_AVX2 | CPU_AVX512_VNNI));
        check_menu("avx512vnni", plan_menu_avx512(vendor | CPU_AVX2 | CPU_AVX512_VNNI));
    }
}
#endif

/* ---- text ---- */

/* Two plans everywhere, one for the 9 to 16 tokens of floats. */
static struct plan_menu small_menu(void)
{
    struct plan_menu m;
    memset(&m, 0, sizeof m);
    for (int c = 0; c < 2; c++)
        for (int k = 0; k < PLAN_N_KIND; k++)
            for (int i = 0; i < PLAN_N_CLASS; i++)
                if (c == 0 || k < PLAN_F16 || i != PLAN_N_CLASS - 1)
                    m.set[c].plan[k][i] = (struct tile_plan){1, 1, 0, (uint8_t)(1 + c)};
    return m;
}

static const char machine[] = "a machine, level x, 2 threads";

static void refused(const char *text, const struct plan_menu *m)
{
    struct plan_choice c;
    if (plan_read(&c, text, machine, m) != -1)
        fail_msg("taken: %s", text);
    for (int k = 0; k < PLAN_N_KIND; k++)
        for (int i = 0; i < PLAN_N_CLASS; i++)
            assert_int_equal(c.at[k][i], -1);
}

static void test_text(void **state)
{
    (void)state;
    const struct plan_menu m = small_menu();
    static const char want[] =
        "outrider plans 3\na machine, level x, 2 threads\nq4 01010\nq8 -----\nk 11111\nf16 00000\nf32 -----\n";
    struct plan_choice c = {{{0, 1, 0, 1, 0}, {-1, -1, -1, -1, -1}, {1, 1, 1, 1, 1}, {0}, {-1, -1, -1, -1, -1}}}, got;
    char text[PLAN_TEXT_MAX], bad[PLAN_TEXT_MAX];
    const size_t n = plan_write(text, sizeof text, machine, &c);
    assert_string_equal(text, want);
    assert_int_equal(n, strlen(want));
    assert_int_equal(plan_read(&got, text, machine, &m), 0);
    assert_memory_equal(&got, &c, sizeof c);

    struct plan_set set;
    plan_set_fill(&set, &m, &c);
    assert_int_equal(set.plan[PLAN_Q4][1].reach, 2);
    assert_int_equal(set.plan[PLAN_Q8][1].reach, 1);

    for (size_t cut = 0; cut < n; cut++) {
        memcpy(bad, text, cut);
        bad[cut] = 0;
        refused(bad, &m);
    }
    memcpy(bad, text, n);
    memcpy(bad + n, "\n", 2);
    refused(bad, &m);
    /* every byte replaced: other choices may be taken, but only those the menu has */
    for (size_t i = 0; i < n; i++)
        for (int b = 1; b < 256; b++) {
            if (b == text[i])
                continue;
            memcpy(bad, text, n + 1);
            bad[i] = (char)b;
            if (plan_read(&got, bad, machine, &m) == 0) {
                assert_true(b == '-' || b == '0' || b == '1');
                for (int k = 0; k < PLAN_N_KIND; k++)
                    for (int j = 0; j < PLAN_N_CLASS; j++)
                        assert_true(got.at[k][j] < plan_n_choice(&m, k, j));
            }
        }
    refused("", &m);
    memcpy(bad, text, n + 1);
    bad[n - 2] = '1'; /* floats, 9 to 16 tokens: there is no second */
    refused(bad, &m);
    assert_int_equal(plan_read(&got, text, "another machine", &m), -1);
}

static void test_classes(void **state)
{
    (void)state;
    static const int want[16] = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4};
    for (int m = 1; m <= 16; m++)
        assert_int_equal(plan_class_of(m), want[m - 1]);
    for (int i = 0; i < PLAN_N_CLASS; i++)
        assert_int_equal(plan_class_of(plan_class_tokens(i)), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
        cmocka_unit_test(test_every_plan),
#endif
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
