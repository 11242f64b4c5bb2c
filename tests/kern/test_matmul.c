/* Matrix products of every level: the same bits as level c at every size, for any number of tokens and any row range;
 * exact where sums are exact; right at the limits of int16; accurate against double sums. The checks are in
 * support/kern_check.c; test_planted.c shows that they can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/fewer.h"
#include "support/kern_check.h"

enum { SEED = 20260301, MANY = 100, FEW = 33 };

static const char *const levels[] = {"c", "avx2", "avx512vnni", NULL};
static const int rows[] = {1, 7, 8, 9, 31, 32, 33, 100, 0};
static const int toks[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 33, 100};
enum { N_TOKS = sizeof toks / sizeof *toks };

/* Widths, all multiples of the type's block; ends with 0. */
static const int *widths(enum ggml_type type)
{
    static const int floats[] = {1, 63, 64, 65, 100, 256, 576, 2048, 0};
    static const int legacy[] = {32, 64, 256, 512, 576, 1536, 2048, 0};
    static const int k_quant[] = {256, 512, 1536, 2048, 0};
    const int n = block_values(type);
    return n == 1 ? floats : n == BLOCK_Q ? legacy : k_quant;
}

/* A test of one level and one type, over sizes; returns how much is wrong. */
typedef long (*size_fn)(const struct kernels *k, const struct kern_type *t, int n_rows, int n_cols, struct test_rng *r);

static void for_all(size_fn fn)
{
    struct kernels k;
    for (const char *const *level = levels; *level; level++) {
        if (!level_open(&k, *level))
            continue;
        for (const struct kern_type *t = kern_types; t->name; t++) {
            struct test_rng r = {.seed = SEED};
            for (const int *n_cols = widths(t->type); *n_cols; n_cols++)
                for (const int *n_rows = rows; *n_rows; n_rows++) {
                    const long bad = fn(&k, t, *n_rows, *n_cols, &r);
                    if (bad)
                        fail_msg("level %s, %s [%d, %d], seed %d: %ld wrong", *level, t->name, *n_rows, *n_cols, SEED,
                                 bad);
                }
        }
    }
}

static long levels_agree(const struct kernels *k, const struct kern_type *t, int n_rows, int n_cols, struct test_rng *r)
{
    struct kernels c;
    long bad = 0;
    if (kernels_init(&c, "c") < 0)
        return 1;
    /* rows of level c are independent; the time is better spent */
    if ((k->matmul == c.matmul || FEWER(0, 1)) && n_rows * n_cols > 9 * 576)
        return 0;
    for (enum data_kind kind = DATA_SANE; kind < DATA_INTEGERS; kind++) {
        if (kind != DATA_SANE && n_rows != 9 && n_rows != 33)
            continue;
        struct product p =
            product_make(r, kind, t->type, n_rows, n_cols, kind == DATA_SANE && n_rows < 40 ? MANY : FEW);
        const long n = check_levels(&c, k, &p, toks, N_TOKS);
        if (n)
            printf("%s data: %ld outputs differ\n", data_name[kind], n);
        bad += n;
        product_free(&p);
    }
    return bad;
}

/* At level c this is row-invariance; at the others equality with c too, for 1..17, 31, 33 and 100 tokens. */
static void test_levels_agree(void **state)
{
    (void)state;
    for_all(levels_agree);
}

static long row_ranges(const struct kernels *k, const struct kern_type *t, int n_rows, int n_cols, struct test_rng *r)
{
    long bad = 0;
    if (n_cols > 576)
        return 0;
    for (int n_tok = 1; n_tok <= 18; n_tok += 17) {
        struct product p = product_make(r, DATA_SANE, t->type, n_rows, n_cols, n_tok);
        bad += check_row_ranges(k, &p, r) + check_pack_pieces(k, &p, r) + check_unpacked(k, &p, r);
        product_free(&p);
    }
    return bad;
}

static void test_row_ranges(void **state)
{
    (void)state;
    for_all(row_ranges);
}

static long integers(const struct kernels *k, const struct kern_type *t, int n_rows, int n_cols, struct test_rng *r)
{
    struct product p = product_make(r, DATA_INTEGERS, t->type, n_rows, n_cols, 17);
    const long bad = check_integers(k, &p);
    product_free(&p);
    return bad;
}

static void test_integers(void **state)
{
    (void)state;
    for_all(integers);
}

static long accuracy(const struct kernels *k, const struct kern_type *t, int n_rows, int n_cols, struct test_rng *r)
{
    static double worst;
    static enum ggml_type of;
    double w;
    if (n_rows > 33)
        return 0;
    if (of != t->type)
        worst = 0.0;
    of = t->type;
    struct product p = product_make(r, DATA_SANE, t->type, n_rows, n_cols, 3);
    const long bad = check_accuracy(k, &p, &w);
    product_free(&p);
    worst = w > worst ? w : worst;
    if (n_rows == 33 && n_cols == 2048)
        printf("level %s, %s: largest error is %.4f of the bound\n", k->level, t->name, worst);
    return bad;
}

static void test_accuracy(void **state)
{
    (void)state;
    for_all(accuracy);
}

static void test_extremes(void **state)
{
    struct kernels k;
    (void)state;
    for (const char *const *level = levels; *level; level++)
        for (const struct kern_type *t = kern_types; t->name && level_open(&k, *level); t++) {
            const long bad = check_extremes(&k, t->type);
            if (bad)
                fail_msg("level %s, %s: %ld outputs wrong at the limits", *level, t->name, bad);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_agree), cmocka_unit_test(test_row_ranges), cmocka_unit_test(test_integers),
        cmocka_unit_test(test_extremes),     cmocka_unit_test(test_accuracy),
    };
    printf("seed %d, levels of this CPU: %s\n", SEED, kernels_levels());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
