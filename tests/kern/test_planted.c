/* Planted bugs: each check of support/kern_check.c must report the kernel that breaks what it checks. The broken
 * kernels are level c with one thing wrong, so every machine runs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kern/act.h"
#include "support/kern_check.h"

enum { SEED = 20260304, ROWS = 100, COLS = 512, TOKS = 6 };

static struct kernels good; /* level c */
static const int toks[] = {1, 2, 3, 4, 5, 6};

/* Level c, but with rows copied on packing, so that packing can be wrong as well. */
static size_t copy_bytes(enum ggml_type type, int n_rows, int n_cols)
{
    return mat_row_bytes(type, n_cols) * (size_t)n_rows;
}

static void copy_rows(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int row_lo, int row_hi)
{
    const size_t row = mat_row_bytes(type, n_cols), at = row * (size_t)row_lo;
    (void)n_rows;
    memcpy((char *)dst + at, (const char *)src + at, row * (size_t)(row_hi - row_lo));
}

static struct kernels copying(void)
{
    struct kernels k = good;
    k.pack_bytes = copy_bytes;
    k.pack = copy_rows;
    return k;
}

/* The scales of the first blocks of two neighbouring rows change places. */
static void pack_swapped_scale(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int lo, int hi)
{
    copy_rows(dst, src, type, n_rows, n_cols, lo, hi);
    if (lo <= 3 && hi > 4) {
        uint8_t *a = (uint8_t *)dst + 3 * mat_row_bytes(type, n_cols), *b = a + mat_row_bytes(type, n_cols), save[2];
        memcpy(save, a, 2);
        memcpy(a, b, 2);
        memcpy(b, save, 2);
    }
}

/* The last row of a piece is forgotten, unless it is the matrix's last. */
static void pack_short_piece(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int lo, int hi)
{
    copy_rows(dst, src, type, n_rows, n_cols, lo, hi < n_rows ? hi - 1 : hi);
}

/* Wrong for a matrix of one unit only: what a product of unpacked rows is made of. */
static void pack_bad_unit(void *dst, const void *src, enum ggml_type type, int n_rows, int n_cols, int lo, int hi)
{
    if (n_rows == KERN_ROW_UNIT)
        pack_swapped_scale(dst, src, type, n_rows, n_cols, lo, hi);
    else
        copy_rows(dst, src, type, n_rows, n_cols, lo, hi);
}

static float next_up(float v)
{
    return nextafterf(v, INFINITY);
}

/* One bit off in one output, with 5 tokens only: what a tile with another formula does. */
static void matmul_one_bit(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                           int n_tok)
{
    good.matmul(out, ld_out, w, row_lo, row_hi, act, n_tok);
    if (n_tok == 5 && row_hi > 9)
        out[3 * ld_out + 9] = next_up(out[3 * ld_out + 9]);
}

/* Writes one row beyond a range that ends inside the matrix. */
static void matmul_beyond(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                          int n_tok)
{
    const int hi = row_hi + 1 < w->n_rows ? row_hi + 1 : row_hi;
    good.matmul(out, ld_out, w, row_lo, hi, act, n_tok);
}

/* Depends on where the range starts. */
static void matmul_range(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                         int n_tok)
{
    good.matmul(out, ld_out, w, row_lo, row_hi, act, n_tok);
    if (row_lo)
        out[row_lo] = next_up(out[row_lo]);
}

/* A sum cut to int16, as an accumulator that overflows would: seen at the limits, not on ordinary data. */
static void matmul_saturating(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                              int n_tok)
{
    const float limit = 15.0f * 127.0f * 31.0f; /* just under the largest sum of a Q4_1 block */
    good.matmul(out, ld_out, w, row_lo, row_hi, act, n_tok);
    for (int t = 0; t < n_tok; t++)
        for (int r = row_lo; r < row_hi; r++)
            if (fabsf(out[(size_t)t * ld_out + (size_t)r]) > limit)
                out[(size_t)t * ld_out + (size_t)r] = copysignf(limit, out[(size_t)t * ld_out + (size_t)r]);
}

/* Less precise than it may be. */
static void matmul_rough(float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi, const void *act,
                         int n_tok)
{
    good.matmul(out, ld_out, w, row_lo, row_hi, act, n_tok);
    for (int t = 0; t < n_tok; t++)
        for (int r = row_lo; r < row_hi; r++) {
            float *o = &out[(size_t)t * ld_out + (size_t)r];
            *o = bf16_to_float(bf16_of_float(*o));
        }
}

/* Codes that are cut instead of rounded, in tokens packed one by one. */
static void act_cut(void *act, enum act_kind kind, const float *x, size_t ld_x, int n_cols, int n_tok, int lo, int hi)
{
    good.act_pack(act, kind, x, ld_x, n_cols, n_tok, lo, hi);
    if (kind == ACT_Q8 && hi - lo == 1) {
        const int t0 = lo / ACT_TILE * ACT_TILE;
        struct act_q8 *a = (struct act_q8 *)(void *)((char *)act + (size_t)t0 * act_tok_bytes(kind, n_cols));
        for (int i = 0; i < 32; i++)
            a[lo - t0].q[i] = (int8_t)(x[(size_t)lo * ld_x + (size_t)i] / a[lo - t0].d);
    }
}

static struct product make(enum data_kind kind, enum ggml_type type)
{
    struct test_rng r = {.seed = SEED};
    return product_make(&r, kind, type, ROWS, COLS, TOKS);
}

/* The fixture itself is clean: without a bug nothing is reported. */
static void test_no_bug(void **state)
{
    struct product p = make(DATA_SANE, GGML_Q4_1), whole = make(DATA_INTEGERS, GGML_Q4_1);
    const struct kernels k = copying();
    struct test_rng r = {.seed = SEED};
    double worst;
    (void)state;
    assert_int_equal(check_levels(&good, &k, &p, toks, TOKS), 0);
    assert_int_equal(check_row_ranges(&k, &p, &r) + check_pack_pieces(&k, &p, &r) + check_unpacked(&k, &p, &r), 0);
    assert_int_equal(check_integers(&k, &whole) + check_extremes(&k, GGML_Q4_1) + check_accuracy(&k, &p, &worst), 0);
    product_free(&p);
    product_free(&whole);
}

static void test_packing(void **state)
{
    struct product p = make(DATA_SANE, GGML_Q4_0);
    struct kernels k = copying();
    struct test_rng r = {.seed = SEED};
    double worst;
    (void)state;
    k.pack = pack_swapped_scale;
    assert_true(check_levels(&good, &k, &p, toks, TOKS) > 0);
    assert_true(check_accuracy(&k, &p, &worst) > 0);
    k.pack = pack_short_piece;
    assert_int_equal(check_levels(&good, &k, &p, toks, TOKS), 0); /* the whole is right ... */
    assert_true(check_pack_pieces(&k, &p, &r) > 0);               /* ... and only the pieces show it */
    k.pack = pack_bad_unit;
    assert_int_equal(check_levels(&good, &k, &p, toks, TOKS) + check_pack_pieces(&k, &p, &r), 0);
    assert_true(check_unpacked(&k, &p, &r) > 0);
    product_free(&p);
}

static void test_products(void **state)
{
    struct product p = make(DATA_SANE, GGML_Q6_K), whole = make(DATA_INTEGERS, GGML_Q8_0);
    struct kernels k = good;
    struct test_rng r = {.seed = SEED};
    double worst;
    (void)state;
    k.matmul = matmul_one_bit;
    assert_int_equal(check_levels(&good, &k, &p, toks, TOKS), 1);
    k.matmul = matmul_beyond;
    assert_int_equal(check_levels(&good, &k, &p, toks, TOKS), 0);
    assert_true(check_row_ranges(&k, &p, &r) > 0);
    k.matmul = matmul_range;
    assert_true(check_row_ranges(&k, &p, &r) > 0);
    k.matmul = matmul_rough;
    assert_true(check_accuracy(&k, &p, &worst) > 0 && worst > 1.0);
    assert_true(check_integers(&k, &whole) > 0);
    k.matmul = matmul_saturating;
    assert_int_equal(check_levels(&good, &k, &p, toks, TOKS), 0);
    assert_true(check_extremes(&k, GGML_Q4_1) > 0);
    product_free(&p);
    product_free(&whole);
}

static void test_activations(void **state)
{
    struct product p = make(DATA_SANE, GGML_Q4_0);
    struct kernels k = good;
    struct test_rng r = {.seed = SEED};
    long bad = 0;
    (void)state;
    k.act_pack = act_cut;
    for (int i = 0; i < 4; i++) /* some of the random pieces are one token */
        bad += check_act(&good, &k, ACT_Q8, p.x.p, p.ld_x, COLS, TOKS, &r);
    assert_true(bad > 0);
    product_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_bug),
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_activations),
    };
    printf("seed %d\n", SEED);
    if (kernels_init(&good, "c") < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
