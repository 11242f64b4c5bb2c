/* Every x86 tile of every type, called directly: whatever shape a plan may pick on some other machine gives level c's
 * bits, at any place in a packed tile, on panels in any order, with a last panel that is not full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/kern_check.h"

enum { SEED = 20260303 };

#if defined(__x86_64__)
#include "kern/x86/panel.h"

/* What the two levels have: rows of a panel, tokens of a tile. */
struct tiles {
    const char *level;
    int rows, max_tok;
};
static const struct tiles avx2 = {"avx2", PANEL_ROWS, TILE_MAX_TOK},
                          avx512 = {"avx512vnni", ZPANEL_ROWS, ZTILE_MAX_TOK};

static tile_fn tile_of(const struct tiles *l, enum ggml_type type, int MT, int R)
{
    switch (type) {
#define TILE(name, table)                                                                                              \
    case GGML_##name:                                                                                                  \
        return l == &avx2 ? (table)[MT - 1][R / 2] : (z##table)[MT - 1][R / 2];
        TILE(F32, tiles_f32)
        TILE(F16, tiles_f16)
        TILE(BF16, tiles_bf16)
        TILE(Q4_0, tiles_q4_0)
        TILE(Q4_1, tiles_q4_1)
        TILE(Q5_0, tiles_q5_0)
        TILE(Q5_1, tiles_q5_1)
        TILE(Q8_0, tiles_q8_0)
        TILE(Q4_K, tiles_q4_k)
        TILE(Q5_K, tiles_q5_k)
        TILE(Q6_K, tiles_q6_k)
#undef TILE
    }
    return NULL;
}

/* The most tokens of a tile of R panels; up to that every tile exists. */
static int most_tokens(const struct tiles *l, enum ggml_type type, int R)
{
    const int is_float = block_values(type) == 1;
    if (R == 1)
        return l->max_tok;
    if (l == &avx2)
        return R == 4 ? 2 : is_float ? 6 : 4;
    return R == 2 ? 8 : is_float ? 2 : 0;
}

/* Points the tile at tokens m0.. of a packed tile of mt tokens. */
static void set_tokens(struct tile_args *t, enum ggml_type type, const char *act, int m0, int mt)
{
    t->mt = mt;
    t->wide = NULL;
    switch (act_kind_of(type)) {
    case ACT_Q8:
        t->act = (const struct act_q8 *)(const void *)act + m0;
        t->wide = (const struct act_q8w *)(const void *)(act + act_q8w_at(t->n_cols, mt)) + m0;
        break;
    case ACT_Q8K:
        t->act = (const struct act_q8k *)(const void *)act + m0;
        break;
    default:
        t->act = (const float *)(const void *)act + m0 * BLOCK_F;
    }
}

/* One tile with its tokens at m0, on R panels of random order; outputs that are wrong or outside of the tile. */
static long check_tile(const struct tiles *l, const struct held *h, const char *act, const float *want, int MT, int R,
                       struct test_rng *r)
{
    const struct product *p = h->p;
    const int n_panel = (p->n_rows + l->rows - 1) / l->rows, m0 = rng_below(r, p->n_tok - MT + 1);
    const size_t n = (size_t)p->n_rows, bytes = (size_t)p->n_tok * n * sizeof(float);
    struct guard out = guard_alloc(bytes), expect = guard_alloc(bytes);
    struct tile_args t = {.ld_out = n, .n_cols = p->n_cols};
    long bad = 0;
    set_tokens(&t, p->type, act, m0, p->n_tok);
    for (int i = 0, first = rng_below(r, n_panel); i < R; i++) {
        const int panel = (first + i * (1 + 2 * rng_below(r, 2))) % n_panel, row = panel * l->rows;
        const int rows = p->n_rows - row < l->rows ? p->n_rows - row : l->rows;
        t.w[i] = (const uint8_t *)h->w.data + (size_t)panel * panel_bytes(p->type, p->n_cols, l->rows);
        t.out[i] = (float *)out.p + (size_t)m0 * n + row;
        t.n_row[i] = rows;
        for (int m = m0; m < m0 + MT; m++)
            memcpy((float *)expect.p + (size_t)m * n + row, want + (size_t)m * n + row, (size_t)rows * sizeof(float));
    }
    tile_of(l, p->type, MT, R)(&t);
    for (size_t i = 0; i < (size_t)p->n_tok * n; i++)
        bad += !same_bits(((const float *)out.p)[i], ((const float *)expect.p)[i]);
    guard_free(&out);
    guard_free(&expect);
    return bad;
}

/* All tiles of a type on one product. */
static void check_product(const struct tiles *l, const struct kern_type *type, const struct kernels *c,
                          const struct kernels *k, const struct product *p, struct test_rng *r)
{
    const enum act_kind kind = act_kind_of(p->type);
    struct held hc = held_make(c, p), hk = held_make(k, p);
    struct guard want = held_all(&hc, p->n_tok);
    struct guard act = guard_alloc(k->act_bytes(kind, p->n_cols, p->n_tok));
    k->act_pack(act.p, kind, p->x.p, p->ld_x, p->n_cols, p->n_tok, 0, p->n_tok);
    for (int R = 1; R <= TILE_MAX_PANEL; R *= 2)
        for (int MT = 1; MT <= most_tokens(l, p->type, R) && MT <= p->n_tok; MT++) {
            assert_non_null(tile_of(l, p->type, MT, R));
            const long bad = check_tile(l, &hk, act.p, want.p, MT, R, r);
            if (bad)
                fail_msg("%s: %s tile of %d tokens x %d panels, %d columns, seed %d: %ld wrong", l->level, type->name,
                         MT, R, p->n_cols, SEED, bad);
        }
    guard_free(&act);
    guard_free(&want);
    held_free(&hc);
    held_free(&hk);
}

static void every_tile(const struct tiles *l)
{
    struct kernels c, k;
    assert_int_equal(kernels_init(&c, "c"), 0);
    if (!level_open(&k, l->level))
        return;
    assert_int_equal(k.panel_rows, l->rows);
    for (const struct kern_type *type = kern_types; type->name; type++) {
        struct test_rng r = {.seed = SEED};
        for (int round = 0; round < 8; round++) { /* 9..16 tokens: one packed tile */
            const int n_cols = block_values(type->type) == 1 ? 64 * round + 37 : 256 * (1 + round % 3);
            struct product p = product_make(&r, round % 2 ? DATA_WIDE : DATA_SANE, type->type, 4 * l->rows + 1 + round,
                                            n_cols, 9 + round);
            check_product(l, type, &c, &k, &p, &r);
            product_free(&p);
        }
    }
}

static void test_tiles_avx2(void **state)
{
    (void)state;
    every_tile(&avx2);
}

static void test_tiles_avx512(void **state)
{
    (void)state;
    every_tile(&avx512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tiles_avx2), cmocka_unit_test(test_tiles_avx512)};
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    printf("SKIPPED: this build lacks the x86 levels\n");
    return 0;
}
#endif
