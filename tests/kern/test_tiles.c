/* Every AVX2 tile of every type, called directly: whatever shape a plan may pick on some other machine gives level c's
 * bits, at any place in a packed tile, on panels in any order, with a last panel of 1..8 rows. */
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

static const tile_table *table_of(enum ggml_type type)
{
    switch (type) {
#define TABLE(name, table)                                                                                             \
    case GGML_##name:                                                                                                  \
        return &(table);
        TABLE(F32, tiles_f32)
        TABLE(F16, tiles_f16)
        TABLE(BF16, tiles_bf16)
        TABLE(Q4_0, tiles_q4_0)
        TABLE(Q4_1, tiles_q4_1)
        TABLE(Q5_0, tiles_q5_0)
        TABLE(Q5_1, tiles_q5_1)
        TABLE(Q8_0, tiles_q8_0)
        TABLE(Q4_K, tiles_q4_k)
        TABLE(Q5_K, tiles_q5_k)
        TABLE(Q6_K, tiles_q6_k)
#undef TABLE
    }
    return NULL;
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
static long check_tile(const struct product *p, const struct held *h, const char *act, const float *want, int MT, int R,
                       struct test_rng *r)
{
    const int n_panel = (p->n_rows + PANEL_ROWS - 1) / PANEL_ROWS, m0 = rng_below(r, p->n_tok - MT + 1);
    const size_t n = (size_t)p->n_rows, bytes = (size_t)p->n_tok * n * sizeof(float);
    const tile_fn fn = (*table_of(p->type))[MT - 1][R / 2];
    struct guard out = guard_alloc(bytes), expect = guard_alloc(bytes);
    struct tile_args t = {.ld_out = n, .n_cols = p->n_cols};
    long bad = 0;
    set_tokens(&t, p->type, act, m0, p->n_tok);
    for (int i = 0, first = rng_below(r, n_panel); i < R; i++) {
        const int panel = (first + i * (1 + 2 * rng_below(r, 2))) % n_panel, row = panel * PANEL_ROWS;
        const int rows = p->n_rows - row < PANEL_ROWS ? p->n_rows - row : PANEL_ROWS;
        t.w[i] = (const uint8_t *)h->w.data + (size_t)panel * panel_bytes(p->type, p->n_cols);
        t.out[i] = (float *)out.p + (size_t)m0 * n + row;
        t.n_row[i] = rows;
        for (int m = m0; m < m0 + MT; m++)
            memcpy((float *)expect.p + (size_t)m * n + row, want + (size_t)m * n + row, (size_t)rows * sizeof(float));
    }
    fn(&t);
    for (size_t i = 0; i < (size_t)p->n_tok * n; i++)
        bad += !same_bits(((const float *)out.p)[i], ((const float *)expect.p)[i]);
    guard_free(&out);
    guard_free(&expect);
    return bad;
}

static void test_every_tile(void **state)
{
    struct kernels c, k;
    (void)state;
    assert_int_equal(kernels_init(&c, "c"), 0);
    if (!level_open(&k, "avx2"))
        return;
    for (const struct kern_type *type = kern_types; type->name; type++) {
        const int max_tok[3] = {8, block_values(type->type) == 1 ? 6 : 4, 2}; /* of R = 1, 2, 4 */
        struct test_rng r = {.seed = SEED};
        for (int round = 0; round < 8; round++) {
            const int n_cols = block_values(type->type) == 1 ? 64 * round + 37 : 256 * (1 + round % 3);
            struct product p =
                product_make(&r, round % 2 ? DATA_WIDE : DATA_SANE, type->type, 33 + round, n_cols, 8 + round);
            struct held hc = held_make(&c, &p), hk = held_make(&k, &p);
            struct guard want = held_all(&hc, p.n_tok);
            struct guard act = guard_alloc(k.act_bytes(act_kind_of(p.type), n_cols, p.n_tok));
            k.act_pack(act.p, act_kind_of(p.type), p.x.p, p.ld_x, n_cols, p.n_tok, 0, p.n_tok);
            for (int R = 1; R <= 4; R *= 2)
                for (int MT = 1; MT <= max_tok[R / 2]; MT++) {
                    assert_non_null((*table_of(p.type))[MT - 1][R / 2]);
                    const long bad = check_tile(&p, &hk, act.p, want.p, MT, R, &r);
                    if (bad)
                        fail_msg("%s tile of %d tokens x %d panels, %d columns, seed %d: %ld wrong", type->name, MT, R,
                                 n_cols, SEED, bad);
                }
            guard_free(&act);
            guard_free(&want);
            held_free(&hc);
            held_free(&hk);
            product_free(&p);
        }
    }
}
#else
static void test_every_tile(void **state)
{
    (void)state;
    printf("SKIPPED: this build lacks level avx2\n");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_tile)};
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
