#include "support/law_cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How many ways there are to draw the drafts of a case, at most, with proposals of `support` tokens. */
static double n_drafts(const struct law_case *c, int support)
{
    double n = 1;
    for (int e = 0; e < c->shape->n; e++)
        if (c->kinds[(size_t)e % strlen(c->kinds)] == 'd') {
            int left = support;
            for (int k = 0; k < e; k++) /* without replacement */
                left -= c->shape->parent[k] == c->shape->parent[e] && c->draw != RULE_MULTI_IID;
            n *= left > 1 ? left : 1;
        }
    return n;
}

static void run_case(struct law_case c, uint64_t seed, int max_drafts, bool zeros, struct law_totals *sum)
{
    struct law_model m;
    struct law_result r;
    int support = 4;
    while (support > 2 && n_drafts(&c, support) > max_drafts)
        support--;
    /* one token of context where the enumeration is long: 5 laws of a step instead of 21 */
    law_model_random(&m, seed, 4, n_drafts(&c, support) > 50 ? 1 : 2, support, zeros);
    c.m = &m;
    law_enumerate(&c, &r);
    sum->n_case++;
    sum->n_run += r.n_run;
    sum->worst = fmax(sum->worst, r.tv);
    if (!(r.tv < 1e-12))
        printf("%s drawn as %s, %s of %s%s%s, model %llu: total variation %.3e\n", accept_rule_name(c.decide),
               accept_rule_name(c.draw), c.shape->name, c.kinds, c.nosy ? ", nosy" : "", c.stop ? ", stop" : "",
               (unsigned long long)seed, r.tv);
}

void law_cases_run(uint64_t seed, int n_model, int max_drafts, struct law_totals *out)
{
    static const enum accept_rule pairs[][2] = {
        {RULE_RATIO, RULE_RATIO}, {RULE_MULTI, RULE_MULTI},         {RULE_MULTI_IID, RULE_MULTI_IID},
        {RULE_BLOCK, RULE_BLOCK}, {RULE_TRAVERSAL, RULE_TRAVERSAL}, {RULE_MULTI_IID, RULE_TRAVERSAL},
    };
    static const char *const kinds[] = {"d", "c", "dc", "cd", "ddc", "cdd"};
    *out = (struct law_totals){0, 0, 0};
    for (int i = 0; i < n_model; i++)
        for (const struct law_shape *shape = law_shapes; shape->name; shape++)
            for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
                for (int k = 0; k < 2; k++) { /* all drawn in every model; the other kinds in turn */
                    const int other = 1 + (i + (int)p) % 5;
                    const struct law_case c = {.shape = shape,
                                               .kinds = kinds[k ? other : 0],
                                               .draw = pairs[p][0],
                                               .decide = pairs[p][1],
                                               .nosy = i % 3 == 1,
                                               .stop = i % 4 == 2};
                    run_case(c, seed + (uint64_t)i, i % 5 ? max_drafts : 5 * max_drafts, i % 2, out);
                }
}
