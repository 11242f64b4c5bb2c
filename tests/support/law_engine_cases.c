/* The cases of the law through the engine. See law_engine.h. */
#include <math.h>
#include <stdio.h>

#include "support/gtest.h"
#include "support/law_engine.h"
#include "support/planted_rules.h"

/* False alarms of a whole family of honest cases: its comparisons share this rate. Keys are fixed, so verdicts are. */
static const double FAMILY = 1e-4;
/* What is wrong must be far off: no p-value of a family of honest cases comes near it. */
static const double SEEN = 1e-9;
static const uint64_t SEED = 20261125;

static double p_value(const struct le_rig *r, const struct le_case *c, long n, uint64_t seed, struct le_counts *k)
{
    static double law[LE_TEXTS];
    le_law(r, c->chain, law);
    le_run(r, c, n, seed, k);
    return g_test(k->text, law, LE_TEXTS, n);
}

/* ---- the rules that keep the law ---- */

static const struct drafts {
    enum accept_rule rule;
    const char *shape, *kinds;
} drafts[] = {
    {RULE_GUMBEL, "k2", "d"}, {RULE_GUMBEL, "2x1", "c"}, {RULE_RATIO, "k2", "d"},      {RULE_RATIO, "k2", "c"},
    {RULE_MULTI, "2x2", "d"}, {RULE_MULTI, "2x1", "dc"}, {RULE_MULTI_IID, "2x1", "d"}, {RULE_MULTI_IID, "2x1", "c"},
    {RULE_BLOCK, "k2", "d"},  {RULE_BLOCK, "k2", "c"},   {RULE_TRAVERSAL, "2x2", "d"}, {RULE_TRAVERSAL, "2x1", "c"},
};
enum { N_DRAFTS = sizeof drafts / sizeof *drafts };

/* Measured acceptance of the first step against its formula, 4 standard errors. How many of LE_DEPTH are off. */
static int acceptance_off(const struct le_rig *r, const struct le_case *c, const struct le_counts *k, double *worst)
{
    double want[LE_DEPTH];
    int off = 0;
    le_acceptance(r, c, want);
    for (int i = 0; i < LE_DEPTH; i++) {
        long kept = 0;
        for (int j = i + 1; j <= LE_DEPTH; j++)
            kept += k->kept[j];
        const double n = (double)k->n, se = sqrt(want[i] * (1 - want[i]) / n),
                     by = se > 0 ? fabs((double)kept / n - want[i]) / se : 0;
        *worst = fmax(*worst, by);
        if (by > 4) {
            off++;
            printf("  acceptance at depth %d: %.5f, by its formula %.5f: %.1f standard errors\n", i + 1,
                   (double)kept / n, want[i], by);
        }
    }
    return off;
}

int le_every_rule(const struct le_rig *r, long n, int stride)
{
    static struct le_counts k;
    const int n_case = (N_DRAFTS * le_chains() + stride - 1) / stride;
    const double limit = FAMILY / n_case;
    double least = 1, worst = 0;
    int off = 0, n_cell = 0;
    for (int i = 0; i < N_DRAFTS * le_chains(); i += stride) {
        const struct drafts *d = &drafts[i % N_DRAFTS];
        const struct le_case c = {.rule = d->rule, .shape = d->shape, .kinds = d->kinds, .chain = i / N_DRAFTS};
        struct otr_sampling sp;
        const double p = p_value(r, &c, n, SEED + (uint64_t)i * 1000003, &k);
        const enum accept_exact exact = accept_rule_exact(c.rule);
        printf("%-10s %-4s %-3s %-24s %ld replies, kept %.3f: p-value %.3g\n", accept_rule_name(c.rule), c.shape,
               c.kinds, le_sampling(c.chain, &sp), k.n, (double)(k.kept[1] + 2 * k.kept[2]) / (double)n, p);
        least = fmin(least, p);
        if (!(p > limit) || (int)k.exact != (int)exact || exact == EXACT_NONE || k.kept[0] == k.n) {
            printf("  OFF\n");
            off++;
        }
        if (d->kinds[0] == 'd' && (c.rule == RULE_GUMBEL || c.rule == RULE_RATIO || c.rule == RULE_BLOCK)) {
            off += acceptance_off(r, &c, &k, &worst) > 0;
            n_cell += LE_DEPTH;
        }
    }
    printf("%d cases of %ld replies of %d tokens: least p-value %.3g (each above %.1g: false-alarm rate %.0e for all); "
           "acceptance in %d cells at most %.2f standard errors off (4: false-alarm rate %.1e for all)\n",
           n_case, n, LE_TOK, least, limit, FAMILY, n_cell, worst, n_cell * 6.4e-5);
    return off;
}

int le_models(const struct le_rig *r, long n)
{
    /* WHY reach: they stop by time else, and a verdict must repeat. Above 0: by the rows (rule R1) */
    static const char *const method[] = {"lowbit:type=Q4_0,reach=0",        "lowbit:type=Q4_0,reach=0.4",
                                         "skip:set=a,reach=0,p_min=0",      "skip:set=f,reach=0,p_min=0",
                                         "lowbit:type=Q8_0,reach=0,rows=3", "skip:set=f,reach=0,p_min=0,rows=2"};
    static const enum accept_rule rule[] = {RULE_GUMBEL, RULE_RATIO, RULE_MULTI, RULE_BLOCK, RULE_TRAVERSAL};
    enum {
        N_METHOD = sizeof method / sizeof *method,
        N_RULES = sizeof rule / sizeof *rule,
        N_CASE = N_METHOD * N_RULES
    };
    static struct le_counts k;
    int off = 0;
    for (int i = 0; i < N_CASE; i++) {
        const struct le_case c = {.rule = rule[i % N_RULES], .method = method[i / N_RULES], .chain = i % le_chains()};
        struct otr_sampling sp;
        const double p = p_value(r, &c, n, SEED + (uint64_t)i * 1000033, &k);
        printf("%-10s %-28s %-24s %ld replies, kept %.3f: p-value %.3g\n", accept_rule_name(c.rule), c.method,
               le_sampling(c.chain, &sp), k.n, (double)(k.kept[1] + 2 * k.kept[2]) / (double)n, p);
        off += !(p > FAMILY / N_CASE) || k.kept[0] == k.n;
    }
    return off;
}

int le_trees(const struct le_rig *r, long n, int stride)
{
    static const char *const build[] = {"eagle2", "opt,gain=0", "dyspec,gain=0", "sequoia", "medusa,shape=wide"};
    static const enum accept_rule rule[] = {RULE_GUMBEL, RULE_MULTI, RULE_MULTI_IID, RULE_TRAVERSAL};
    enum { N_BUILD = sizeof build / sizeof *build, N_RULES = sizeof rule / sizeof *rule, N_CASE = N_BUILD * N_RULES };
    static struct le_counts k;
    const int n_case = (N_CASE + stride - 1) / stride;
    int off = 0;
    for (int i = 0; i < N_CASE; i += stride) {
        char method[100];
        snprintf(method, sizeof method, "tree:of=skip,set=a,depth=%d,build=%s", LE_DEPTH, build[i % N_BUILD]);
        const struct le_case c = {.rule = rule[i / N_BUILD], .method = method, .entries = 5, .chain = i % le_chains()};
        struct otr_sampling sp;
        const double p = p_value(r, &c, n, SEED + (uint64_t)i * 1000037, &k);
        printf("%-10s %-46s %-24s %ld replies, kept %.3f: p-value %.3g\n", accept_rule_name(c.rule), c.method,
               le_sampling(c.chain, &sp), k.n, (double)(k.kept[1] + 2 * k.kept[2]) / (double)n, p);
        off += !(p > FAMILY / n_case) || k.kept[0] == k.n;
    }
    return off;
}

int le_beside(const struct le_rig *r, long n)
{
    static const enum accept_rule rule[] = {RULE_GUMBEL, RULE_RATIO, RULE_MULTI, RULE_BLOCK, RULE_TRAVERSAL};
    enum { N_CASE = sizeof rule / sizeof *rule };
    static struct le_counts k;
    char method[120];
    int off = 0;
    /* WHY waited for: a verdict must repeat */
    snprintf(method, sizeof method, "async:model=%s,fan=24,wait_ms=10000", r->path);
    for (int i = 0; i < N_CASE; i++) {
        const struct le_case c = {.rule = rule[i], .method = method, .chain = i % le_chains()};
        struct otr_sampling sp;
        const double p = p_value(r, &c, n, SEED + (uint64_t)i * 1000037, &k);
        printf("%-10s %-28s %-24s %ld replies, %ld drafted, %ld kept: p-value %.3g\n", accept_rule_name(c.rule),
               "async", le_sampling(c.chain, &sp), k.n, k.drafted, k.accepted, p);
        off += !(p > FAMILY / N_CASE) || k.accepted < n / 2 || (c.rule != RULE_GUMBEL && k.accepted == k.drafted);
    }
    return off;
}

int le_controller(const struct le_rig *r, long n)
{
    static struct le_counts k;
    int off = 0;
    for (int i = 0; i < N_DRAFTS; i += 2) { /* those that draw */
        const struct drafts *d = &drafts[i];
        const struct le_case c = {.rule = d->rule, .shape = d->shape, .kinds = d->kinds, .controller = true};
        const double p = p_value(r, &c, n, SEED, &k);
        printf("%-10s %-4s %-3s lengths by the controller   %ld replies, kept %.3f: p-value %.3g\n",
               accept_rule_name(c.rule), c.shape, c.kinds, k.n, (double)(k.kept[1] + 2 * k.kept[2]) / (double)n, p);
        off += !(p > FAMILY / (N_DRAFTS / 2));
    }
    return off;
}

/* ---- what must fail ---- */

int le_lossy(const struct le_rig *r, long n)
{
    static struct le_counts k;
    int passed = 0;
    for (int i = 0; i < 2; i++) {
        const struct le_case c = {.rule = i ? RULE_RELAXED : RULE_TYPICAL, .shape = "2x1", .kinds = "c"};
        const double p = p_value(r, &c, n, SEED, &k);
        printf("%-10s %-4s %-3s lossy, and says so: p-value %.3g\n", accept_rule_name(c.rule), c.shape, c.kinds, p);
        passed += !(p < SEEN) || k.exact != OTR_EXACT_NONE;
    }
    return passed;
}

static const struct {
    const char *what;
    enum le_bug bug;
    enum planted_bug step;
    enum accept_rule rule;
    const char *shape, *kinds;
    int chain;
    int times; /* as many replies in the small edition; 0: a small error, left out there */
} bugs[] = {
    {"key by position only", LE_BY_POSITION, 0, RULE_BLOCK, "k2", "d", 0, 8},
    {"key by position only", LE_BY_POSITION, 0, RULE_MULTI, "2x1", "d", 0, 8},
    {"key by position only", LE_BY_POSITION, 0, RULE_TRAVERSAL, "2x1", "d", 0, 5},
    {"u <= h, and u is 0", LE_NOT_STRICT, 0, RULE_RATIO, "k2", "d", 1, 1},
    {"u <= h, and u is 0", LE_NOT_STRICT, 0, RULE_MULTI, "2x1", "d", 1, 1},
    {"accept without check", LE_NO_CHECK, 0, RULE_RATIO, "k2", "d", 0, 1},
    {"accept without check", LE_NO_CHECK, 0, RULE_MULTI, "2x1", "c", 0, 1},
    {"accept without check", LE_NO_CHECK, 0, RULE_MULTI_IID, "2x1", "d", 0, 1},
    {"accept without check", LE_NO_CHECK, 0, RULE_BLOCK, "k2", "c", 0, 1},
    {"accept without check", LE_NO_CHECK, 0, RULE_TRAVERSAL, "2x1", "d", 0, 1},
    {"missing residual", LE_STEP, PLANTED_NO_RESIDUAL, RULE_RATIO, "k2", "d", 0, 1},
    {"missing residual", LE_STEP, PLANTED_NO_RESIDUAL, RULE_MULTI, "2x1", "d", 0, 1},
    {"missing residual", LE_STEP, PLANTED_NO_RESIDUAL, RULE_MULTI_IID, "2x1", "c", 0, 1},
    {"missing residual", LE_STEP, PLANTED_NO_RESIDUAL, RULE_BLOCK, "k2", "d", 0, 1},
    {"missing residual", LE_STEP, PLANTED_NO_RESIDUAL, RULE_TRAVERSAL, "2x1", "d", 0, 1},
    {"q updated first", LE_STEP, PLANTED_Q_FIRST, RULE_MULTI, "2x1", "d", 0, 1},
    {"q updated first", LE_STEP, PLANTED_Q_FIRST, RULE_TRAVERSAL, "2x2", "d", 0, 1},
    {"p from the new a", LE_STEP, PLANTED_NEW_A, RULE_TRAVERSAL, "2x2", "d", 0, 0},
    {"only the token loses mass", LE_STEP, PLANTED_NO_NORM, RULE_MULTI, "2x1", "d", 0, 1},
    {"only the token loses mass", LE_STEP, PLANTED_NO_NORM, RULE_BLOCK, "k2", "d", 0, 1},
    {"top-k as draws", LE_TOP_K, 0, RULE_RATIO, "k2", "d", 0, 1},
    {"top-k as draws", LE_TOP_K, 0, RULE_MULTI, "2x1", "d", 0, 1},
    {"top-k as draws", LE_TOP_K, 0, RULE_BLOCK, "k2", "d", 0, 1},
    {"top-k as draws", LE_TOP_K, 0, RULE_TRAVERSAL, "2x1", "d", 0, 1},
    {"wrong q", LE_WRONG_Q, 0, RULE_RATIO, "k2", "d", 0, 1},
    {"wrong q", LE_WRONG_Q, 0, RULE_MULTI, "2x1", "d", 0, 1},
    {"wrong q", LE_WRONG_Q, 0, RULE_MULTI_IID, "2x1", "d", 0, 1},
    {"wrong q", LE_WRONG_Q, 0, RULE_BLOCK, "k2", "d", 0, 1},
    {"wrong q", LE_WRONG_Q, 0, RULE_TRAVERSAL, "2x1", "d", 0, 1},
    {"q not renormalised", LE_NOT_NORMAL, 0, RULE_MULTI, "3x0", "d", 0, 0},
    {"q not renormalised", LE_NOT_NORMAL, 0, RULE_TRAVERSAL, "2x2", "d", 0, 0},
    {"entries deduplicated", LE_DEDUPLICATED, 0, RULE_MULTI_IID, "3x0", "d", 0, 0},
    {"entries re-sorted", LE_RESORTED, 0, RULE_MULTI, "3x0", "d", 0, 1},
    {"entries re-sorted", LE_RESORTED, 0, RULE_MULTI_IID, "3x0", "d", 0, 1},
    {"entries re-sorted", LE_RESORTED, 0, RULE_TRAVERSAL, "3x0", "d", 0, 1},
    {"dropped by its own q (R1)", LE_DROPPED, 0, RULE_RATIO, "k2", "d", 0, 1},
    {"dropped by its own q (R1)", LE_DROPPED, 0, RULE_BLOCK, "k2", "d", 0, 1},
};

int le_planted(const struct le_rig *r, long n, bool large_only)
{
    static struct le_counts k;
    int unseen = 0;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        const struct le_case c = {.rule = bugs[i].rule,
                                  .shape = bugs[i].shape,
                                  .kinds = bugs[i].kinds,
                                  .chain = bugs[i].chain,
                                  .bug = bugs[i].bug};
        if (large_only && bugs[i].times == 0)
            continue;
        planted = bugs[i].step;
        const double p = p_value(r, &c, large_only ? bugs[i].times * n : n, SEED, &k);
        printf("%-26s %-10s %-4s %-3s p-value %.3g%s\n", bugs[i].what, accept_rule_name(c.rule), c.shape, c.kinds, p,
               p < SEEN ? "" : "  NOT SEEN");
        unseen += !(p < SEEN);
    }
    const struct le_case same = {.rule = RULE_TRAVERSAL, .shape = "2x2", .kinds = "d", .bug = LE_STEP};
    planted = PLANTED_NONE; /* the second compilation itself is right */
    const double p = p_value(r, &same, n, SEED, &k);
    printf("%-26s p-value %.3g\n", "no bug", p);
    return unseen + !(p > FAMILY);
}
