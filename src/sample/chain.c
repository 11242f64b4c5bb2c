/* Owns the stations of the chain that drop candidates: top-k, typical, top-p, min-p, in this order. In: edited logits.
 * Out: what is left.
 * INV: sums run in (logit descending, id ascending) order, in double, with our own exp: the same set on every machine.
 * SRC: Fan et al. 2018 (top-k); Meister et al. 2023, Locally typical sampling; Holtzman et al. 2020 (top-p); Nguyen et
 * al. 2024 (min-p). Read next: gumbel.c. */
#include "sample/sample_priv.h"

#include <math.h>

#include "sample/sample_math.h"

/* Where typical or top-p sum, logits this far under the largest stay out: e^-40 is below half a unit in the last place
 * of any sum that starts with 1. */
static const float FAR = 40.0f;

/* log of a candidate's weight; the first one's weight is 1. */
static double log_weight(struct span s, int i)
{
    return (double)s.c[i].logit - (double)s.c[0].logit;
}

static double sum_weights(struct span s)
{
    double z = 0.0;
    for (int i = 0; i < s.n; i++)
        z += sample_exp(log_weight(s, i));
    return z;
}

/* Keeps the tokens whose surprise -log p is closest to the mean surprise H, until they hold `mass`.
 * With d = log_weight, H = log z - (sum of e^d d) / z, so |-log p - H| = |d + e|, e = -(sum of e^d d) / z >= 0: the set
 * is one piece of the list, which grows from where d + e changes its sign. Equal logits stay or go together. */
static struct span keep_typical(struct span s, double mass)
{
    double z = 0.0, wd = 0.0, held = 0.0;
    for (int i = 0; i < s.n; i++) {
        const double d = log_weight(s, i), w = sample_exp(d);
        z += w;
        wd += w * d;
    }
    const double e = -wd / z;
    int lo = 0;
    while (lo < s.n && log_weight(s, lo) + e >= 0)
        lo++;
    for (int hi = lo;;) { /* [lo, hi) is kept */
        const bool up = lo > 0 && (hi == s.n || log_weight(s, lo - 1) + e <= -(log_weight(s, hi) + e));
        if (held >= mass * z || (!up && hi == s.n))
            return (struct span){s.c + lo, hi - lo};
        const float logit = s.c[up ? lo - 1 : hi].logit;
        const double w = sample_exp(log_weight(s, up ? lo - 1 : hi));
        for (; up && lo > 0 && s.c[lo - 1].logit == logit; lo--)
            held += w;
        for (; !up && hi < s.n && s.c[hi].logit == logit; hi++)
            held += w;
    }
}

/* Keeps the shortest beginning that holds `mass`. */
static struct span keep_top_p(struct span s, double mass)
{
    const double need = mass * sum_weights(s);
    double held = 0.0;
    int n = 0;
    while (n < s.n && held < need)
        held += sample_exp(log_weight(s, n++));
    return (struct span){s.c, n};
}

float min_p_floor(const struct sampler *s, float top)
{
    return s->sp.min_p > 0 ? (float)((double)top + s->log_min_p) : -FLT_MAX;
}

bool chain_sums(const struct otr_sampling *sp)
{
    return sp->typical_p < 1 || sp->top_p < 1;
}

/* Top-p, then min-p, over all candidates >= floor, without sorting them all: both keep a beginning of the list, so
 * the shorter one is the result. Where top-p ends depends on a sum over all, whose order is fixed; but the weight of
 * the row tells it within a small error, and where that does not tell the end for certain, the answer is false.
 * WHY the bits are those of keep_top_p: `held` is its sum, term by term, and its `need` lies between less and more. */
static bool top_p_near(struct sampler *s, const float *x, float top, float floor, struct span *kept)
{
    const double need = (double)s->sp.top_p * row_weight(s, x, top);
    const double less = need * (1 - 2 * ROW_WEIGHT_ERR), more = need * (1 + 2 * ROW_WEIGHT_ERR);
    const float min_p = min_p_floor(s, top), least = min_p > floor ? min_p : floor;
    double held = 0.0;
    for (int round = 0;; round++) {
        const float from = nearer_floor(top, round, least);
        int n = 0;
        *kept = select_top(s, x, 0, from, top, true);
        for (held = 0.0; n < kept->n && held < less;)
            held += sample_exp(log_weight(*kept, n++));
        if (held >= less) {
            kept->n = n;
            return held >= more;
        }
        if (from <= least) /* top-p's end is further off than min-p's; or only the exact sum tells */
            return min_p > floor;
    }
}

struct span chain_run(struct sampler *s, const float *x, struct cand top, bool sorted)
{
    const struct otr_sampling *sp = &s->sp;
    if (!chain_sums(sp)) /* the largest logit is in, so min-p's floor is known before top-k, and commutes with it */
        return select_top(s, x, sp->top_k, min_p_floor(s, top.logit), top.logit, sorted);
    const float floor = fmaxf(top.logit - FAR, -FLT_MAX);
    struct span kept;
    if (sp->top_k == 0 && sp->typical_p >= 1 && top_p_near(s, x, top.logit, floor, &kept))
        return kept;
    kept = select_top(s, x, sp->top_k, floor, top.logit, true);
    if (sp->typical_p < 1)
        kept = keep_typical(kept, (double)sp->typical_p);
    if (sp->top_p < 1)
        kept = keep_top_p(kept, (double)sp->top_p);
    const float least = min_p_floor(s, kept.c[0].logit);
    while (kept.c[kept.n - 1].logit < least)
        kept.n--;
    return kept;
}
