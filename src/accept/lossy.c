/* Owns the rules that change the output's law, and are said to: typical and relaxed. An entry stays when its parent
 * stays and the target finds it likely enough; the longest path wins, then the likelier one, then the first. The token
 * after it is the target's own.
 * SRC: typical: Cai et al. 2024, Medusa. relaxed: Song et al. 2025, Speculative Decoding in Decentralized LLM
 * Inference, in the form p(x) >= (1 - tau) max p without its test for key tokens, whose formulas are not published; Xia
 * et al. 2023, SpecDec, has the same test as a difference of logarithms. Read next: draw.c. */
#include "accept/accept_priv.h"

#include "sample/sample_math.h"

#define TYPICAL_EPS 0.09
#define TYPICAL_DELTA 0.3
#define RELAXED_TAU 0.2

/* p(x) > min(eps, delta exp(-H(p))) */
static bool typical(const struct decision *d, double p)
{
    double minus_h = 0;
    for (int i = 0; i < d->n; i++)
        if (d->p[i] >= 0x1p-1022) /* smaller ones add nothing, and log wants normal numbers */
            minus_h += d->p[i] * sample_log(d->p[i]);
    const double limit = TYPICAL_DELTA * sample_exp(minus_h < 0 ? minus_h : 0);
    return p > (limit < TYPICAL_EPS ? limit : TYPICAL_EPS);
}

static bool relaxed(const struct decision *d, double p)
{
    return p >= (1 - RELAXED_TAU) * d->p[0];
}

struct reach {
    int length;   /* of the path, if all of it stays; -1: it does not */
    double log_p; /* of the path */
};

static int longest_path(struct decision *d, bool (*likely)(const struct decision *, double))
{
    const struct tree *t = d->t;
    struct reach to[TREE_MAX + 1];
    int best = 0;
    to[0] = (struct reach){0, 0};
    for (int v = 1; v < t->n_node; v++) /* parents come before their children */
        to[v].length = -1;
    for (int v = 0; v < t->n_node; v++) {
        if (to[v].length < 0)
            continue;
        if (to[v].length > to[best].length || (to[v].length == to[best].length && to[v].log_p > to[best].log_p))
            best = v;
        for (int c = v + 1; c < t->n_node; c++) {
            if (t->node_parent[c] != v)
                continue;
            const int rc = row_load(d, v);
            if (rc < 0)
                return rc;
            const double p = row_prob(d, t->node_token[c]);
            if (p >= 0x1p-1022 && likely(d, p))
                to[c] = (struct reach){to[v].length + 1, to[v].log_p + sample_log(p)};
        }
    }
    d->out->n = to[best].length;
    for (int v = best, i = to[best].length; i > 0; v = t->node_parent[v])
        d->out->node[--i] = v;
    return end_with_pick(d, best);
}

int rule_typical(struct decision *d)
{
    return longest_path(d, typical);
}

int rule_relaxed(struct decision *d)
{
    return longest_path(d, relaxed);
}
