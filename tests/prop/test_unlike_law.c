/* Drafters with a vocabulary of their own keep the target's law: exact enumeration of what the core draws from the rows
 * that TLI and SLRS make (vocab_map_law, psi_run), LAW_TOK tokens over at least 2 steps; and the same with the planted
 * bugs of verification-law.md 6, which must be seen. Then shared ids of the real pair, sampled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "draft/vocab_map.h"
#include "support/gtest.h"
#include "support/law.h"
#include "support/letters.h"
#include "support/toktest.h"

enum { MODELS = 20, N_CTX = 1 + LAW_V, N_DRAFT = 8 };

/* What a wrong program would claim to have drawn from, by context. */
static double claimed[N_CTX][LAW_V];
static const struct law_model *drawn; /* and what was drawn from */

/* The rows of a tree say `claimed` instead of the law that was drawn from. */
static void claim(struct tree *t, int v)
{
    for (int r = 0; r < t->n_row; r++)
        for (int ctx = 0; ctx < 1 + v; ctx++) { /* whose row is it? */
            double sum = 0, off = 0;
            for (int k = 0; k < v; k++)
                sum += drawn->q[0][ctx][k];
            for (int i = 0; i < t->row[r].n; i++)
                off += fabs(t->row[r].p[i] - drawn->q[0][ctx][t->row[r].id[i]] / sum);
            if (off > 1e-12)
                continue;
            for (int i = 0; i < t->row[r].n; i++)
                ((double *)(uintptr_t)t->row[r].p)[i] = claimed[ctx][t->row[r].id[i]];
            break;
        }
}

static const struct {
    enum accept_rule rule;
    const char *shape, *kinds;
} cases[] = {
    {RULE_RATIO, "k2", "d"},     {RULE_MULTI, "2x1", "d"},     {RULE_MULTI_IID, "3x0", "d"}, {RULE_BLOCK, "k3", "d"},
    {RULE_TRAVERSAL, "k2", "d"}, {RULE_TRAVERSAL, "2x1", "d"}, {RULE_RATIO, "k2", "dc"},     {RULE_BLOCK, "k3", "dcc"},
};
enum { N_CASE = sizeof cases / sizeof *cases };

static double tv_of(const struct law_model *m, int i, bool lie)
{
    struct law_result r;
    drawn = m;
    const struct law_case c = {.m = m,
                               .shape = law_shape_find(cases[i].shape),
                               .kinds = cases[i].kinds,
                               .draw = cases[i].rule,
                               .decide = cases[i].rule,
                               .spoil = lie ? claim : NULL};
    law_enumerate(&c, &r);
    return r.tv;
}

/* ---- TLI ---- */

/* Two ids for token 0, two for 2, one for 1 and for 3; two that the target does not have. kept: the same with all but
 * the first id of each token masked. */
static int32_t target_of[N_DRAFT] = {0, -1, 1, 2, 0, 3, 2, -1};
static int32_t kept_of[N_DRAFT] = {0, -1, 1, 2, -1, 3, -1, -1};

/* Every row by its map; claimed: what the first id of each token has alone. */
static void tli_model(struct law_model *m, uint64_t seed, bool keep_one)
{
    static const int32_t d[N_DRAFT] = {5, 3, 0, 7, 2, 6, 1, 4};
    law_model_random(m, seed, 4, 1, 4, seed % 2);
    for (int ctx = 0; ctx < 1 + m->v; ctx++) {
        const struct vocab_map map = {.target_of = keep_one ? kept_of : target_of}, alone = {.target_of = kept_of};
        double q[N_DRAFT], p[N_DRAFT], sum = 0;
        int32_t t[N_DRAFT];
        for (int i = 0; i < N_DRAFT; i++) {
            const struct philox w = philox4x32(seed, (struct philox){{(uint32_t)ctx, (uint32_t)i, 3, 0}});
            q[i] = (1 + w.v[0] % 9) / 64.0;
        }
        memset(m->q[0][ctx], 0, sizeof m->q[0][ctx]);
        int n = vocab_map_law(&map, d, q, N_DRAFT, t, p);
        for (int i = 0; i < n; i++)
            sum += m->q[0][ctx][t[i]] = p[i];
        n = vocab_map_law(&alone, d, q, N_DRAFT, t, p);
        for (int i = 0; i < n; i++)
            claimed[ctx][t[i]] = p[i] / sum;
    }
}

static void test_tli(void **state)
{
    double worst = 0, worst_kept = 0;
    (void)state;
    for (uint64_t k = 0; k < MODELS; k++)
        for (int i = 0; i < N_CASE; i++) {
            struct law_model m;
            tli_model(&m, 700 + k, false);
            worst = fmax(worst, tv_of(&m, i, false));
            tli_model(&m, 700 + k, true);
            worst_kept = fmax(worst_kept, tv_of(&m, i, false));
        }
    printf("TLI: q' summed over ids %.0e, one id kept %.0e\n", worst, worst_kept);
    assert_true(worst < 1e-12 && worst_kept < 1e-12);
}

static void test_tli_planted(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASE; i++) {
        double worst = 0;
        for (uint64_t k = 0; k < MODELS; k++) {
            struct law_model m;
            tli_model(&m, 700 + k, false);
            worst = fmax(worst, tv_of(&m, i, true));
        }
        printf("the drawn id's q alone      %-10s %-4s %-3s total variation %.3f\n", accept_rule_name(cases[i].rule),
               cases[i].shape, cases[i].kinds, worst);
        assert_true(worst > 0.05);
    }
}

/* ---- SLRS: one token drawn from psi, then what is left of the text as chosen entries ---- */

enum slrs_bug { SLRS_HONEST, SLRS_ONE_SPELLING, SLRS_NO_CAP };

static void slrs_model(struct law_model *m, uint64_t seed, int rows, enum slrs_bug bug)
{
    static struct psi s;
    law_model_random(m, seed, LETTERS_TARGET, 1, LETTERS_TARGET, seed % 2);
    for (int ctx = 0; ctx < 1 + m->v; ctx++) {
        struct letters l = {seed, ctx};
        const struct psi_source src = letters_source(&l);
        s = (struct psi){.top = LETTERS_DRAFT, .depth = bug == SLRS_NO_CAP ? 2 : 3, .rows = rows};
        if (psi_run(&s, &src) < 0)
            fail();
        memset(m->q[0][ctx], 0, sizeof m->q[0][ctx]);
        memset(claimed[ctx], 0, sizeof claimed[ctx]);
        for (int i = 0; i < s.n; i++) {
            m->q[0][ctx][s.id[i]] = s.p[i];
            if (bug == SLRS_ONE_SPELLING)
                claimed[ctx][s.id[i]] = s.node[s.best[i]].mass;
        }
        for (int v = 1; v < s.n_node && bug == SLRS_NO_CAP; v++) { /* only drafts that ended of themselves */
            int32_t path[PSI_MAX_DEPTH];
            bool done;
            const int32_t first = src.first(src.self, path, psi_path(&s, v, path), &done);
            if (done)
                claimed[ctx][first] += s.node[v].mass / s.complete;
        }
    }
}

static void test_slrs(void **state)
{
    (void)state;
    for (int rows = 1; rows <= PSI_MAX_ROWS; rows *= 4) {
        double worst = 0;
        for (uint64_t k = 0; k < MODELS; k++)
            for (int i = 0; i < N_CASE; i++) {
                struct law_model m;
                if (cases[i].rule == RULE_BLOCK || cases[i].rule == RULE_MULTI_IID || k % 4 == 0) {
                    slrs_model(&m, 900 + k, rows, SLRS_HONEST);
                    worst = fmax(worst, tv_of(&m, i, false));
                }
            }
        printf("SLRS, psi of at most %2d laws: %.0e\n", rows, worst);
        assert_true(worst < 1e-12);
    }
}

static void test_slrs_planted(void **state)
{
    static const char *const what[] = {"", "psi of one spelling", "psi without the draft cap"};
    (void)state;
    for (int bug = SLRS_ONE_SPELLING; bug <= SLRS_NO_CAP; bug++) {
        double worst = 0;
        for (uint64_t k = 0; k < MODELS; k++) {
            struct law_model m;
            slrs_model(&m, 900 + k, PSI_MAX_ROWS, (enum slrs_bug)bug);
            worst = fmax(worst, tv_of(&m, 6, true));
        }
        printf("%-27s ratio      k2   dc  total variation %.3f\n", what[bug], worst);
        assert_true(worst > 0.05);
    }
}

/* ---- the real pair: a toy over four ids that both share, two of them with two ids in the drafter ---- */

static struct {
    struct law_rig rig;
} sampled;

static void emit(void *self, uint64_t i, int32_t *tok, int n_tok)
{
    struct law_rig *rig = self;
    int32_t text[64];
    int n = 0;
    for (uint64_t step = 0; n < n_tok; step++) {
        const struct accept_key key = {.seed = 20261125 + i / 16, .choice = (uint32_t)(i % 16), .step = step};
        const struct tree_luck luck = tree_luck_make(rig->c->draw, &key, (uint64_t)n, rig->c->m->v);
        const struct accept_dice draft = accept_draft_dice(&luck.key), test = accept_keyed_dice(&key);
        n += law_step(rig, text, n, &draft, &test, text + n);
    }
    memcpy(tok, text, sizeof *tok * (size_t)n_tok);
}

static void test_real_ids(void **state)
{
    static const char *const pieces[] = {"a", "<0x61>", "b", "<0x62>", "the", "\xe2\x96\x81of", "<unused7>"};
    enum { N_PIECE = sizeof pieces / sizeof *pieces, N_TOK = 3 };
    static double want[LAW_STRINGS];
    (void)state;
    struct tokenizer *s = toktest_open(toktest_model(TOK_SMOLLM2)), *g = toktest_open(toktest_model(TOK_GEMMA3));
    struct vocab_map *map = NULL;
    if (!s || !g)
        skip();
    assert_int_equal(vocab_map_open(&map, s, g, NULL, NULL), OTR_OK);
    struct law_model m;
    int32_t shared[4], d[N_PIECE], n_shared = 0;
    for (int i = 0; i < N_PIECE; i++) {
        d[i] = tokenizer_find(g, pieces[i], strlen(pieces[i]));
        assert_true(d[i] >= 0);
        const int32_t t = map->target_of[d[i]];
        if (t >= 0 && (n_shared == 0 || shared[n_shared - 1] != t))
            shared[n_shared++] = t;
    }
    assert_int_equal(n_shared, 4);
    law_model_random(&m, 41, 4, 1, 4, false);
    for (int ctx = 0; ctx < 5; ctx++) {
        double q[N_PIECE], p[N_PIECE];
        int32_t t[N_PIECE];
        for (int i = 0; i < N_PIECE; i++)
            q[i] = (1 + philox4x32(42, (struct philox){{(uint32_t)ctx, (uint32_t)i, 0, 0}}).v[0] % 9) / 63.0;
        const int n = vocab_map_law(map, d, q, N_PIECE, t, p);
        assert_int_equal(n, 4);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < 4; k++)
                if (shared[k] == t[i])
                    m.q[0][ctx][k] = p[i];
    }
    const struct law_case c = {
        .m = &m, .shape = law_shape_find("k2"), .kinds = "d", .draw = RULE_RATIO, .decide = RULE_RATIO};
    law_rig_open(&sampled.rig, &c);
    law_target(&m, N_TOK, want);
    const double p = g_test_replies("TLI, SmolLM2 <- Gemma 3, shared ids", emit, &sampled.rig, 4, N_TOK, want, 200000);
    law_rig_close(&sampled.rig);
    assert_true(p > 0.01);
    vocab_map_close(map);
    tokenizer_close(s);
    tokenizer_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tli),          cmocka_unit_test(test_tli_planted), cmocka_unit_test(test_slrs),
        cmocka_unit_test(test_slrs_planted), cmocka_unit_test(test_real_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
