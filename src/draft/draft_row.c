/* Owns the law of a drafter's next token. See draft_row.h. */
#include "draft/draft_row.h"

#include <math.h>
#include <stdlib.h>

#include "sample/sample_math.h"

enum {
    LONGEST = 1024, /* tokens of a row that is not kept; the noise of gumbel is evaluated for each */
    FEW = 10,       /* at temperature 0 */
};

int draft_row_open(struct draft_row *r, int n_vocab, const struct kernels *kern, struct pool *pool, struct otr_err *err)
{
    const struct otr_sampling any = otr_sampling_default();
    *r = (struct draft_row){
        .n_vocab = n_vocab, .id = malloc(LONGEST * sizeof *r->id), .p = malloc(LONGEST * sizeof *r->p)};
    if (!r->id || !r->p) {
        draft_row_close(r);
        return OTR_FAIL(err, NOMEM, "no memory for a drafter's rows");
    }
    const int rc = sampler_open(&r->s, &any, n_vocab, err);
    if (rc < 0) {
        draft_row_close(r);
        return rc;
    }
    if (kern)
        sampler_use(r->s, kern, pool);
    return OTR_OK;
}

int draft_row_few(struct draft_row *r, const int32_t *of, int n, const struct kernels *kern, struct pool *pool,
                  struct otr_err *err)
{
    const struct otr_sampling any = otr_sampling_default();
    const int rc = sampler_open(&r->few, &any, n, err);
    if (rc < 0)
        return rc;
    if (kern)
        sampler_use(r->few, kern, pool);
    if (!(r->whole = malloc((size_t)r->n_vocab * sizeof *r->whole)))
        return OTR_FAIL(err, NOMEM, "no memory for a drafter's rows");
    for (int i = 0; i < r->n_vocab; i++)
        r->whole[i] = -INFINITY;
    r->of = of;
    r->n_of = n;
    return OTR_OK;
}

void draft_row_close(struct draft_row *r)
{
    sampler_close(r->s);
    sampler_close(r->few);
    free(r->whole);
    free(r->id);
    free(r->p);
    *r = (struct draft_row){0};
}

/* The reply's settings, made short. */
static struct otr_sampling short_settings(const struct draft_ask *ask)
{
    struct otr_sampling sp = ask->sampling;
    const int share = TREE_ROW_CAP / (ask->max_entries > 0 ? ask->max_entries : 1);
    int most = accept_rule_exact(ask->luck.rule) == EXACT_LAW && share < LONGEST ? share : LONGEST;
    if (sp.temp <= 0) {
        sp.temp = 1;
        sp.top_p = sp.typical_p = 1;
        sp.min_p = 0;
        sp.top_k = most = FEW;
    }
    if (sp.top_k == 0 || sp.top_k > most)
        sp.top_k = most;
    return sp;
}

/* The chain over logits of the tokens r->of. Numbers of rows stand for tokens: both rise together, so order and ties
 * are those of the whole vocabulary. WHY two ways: settings that name tokens, or look at the history, want real ids;
 * the others need not look at a whole vocabulary of which most is out. */
static int few_dist(struct draft_row *r, const struct otr_sampling *sp, const float *logits, const struct history *h,
                    struct dist *d, struct otr_err *err)
{
    int rc = sampler_set(r->s, sp, err);
    if (rc < 0)
        return rc;
    if (sampler_edits(r->s)) {
        for (int i = 0; i < r->n_of; i++)
            r->whole[r->of[i]] = logits[i];
        return sampler_dist(r->s, r->whole, h, d, err);
    }
    struct otr_sampling plain = *sp;
    plain.n_dry_breakers = 0;
    if ((rc = sampler_set(r->few, &plain, err)) == OTR_OK)
        rc = sampler_dist(r->few, logits, h, d, err);
    return rc;
}

int draft_row_make(struct draft_row *r, const struct draft_ask *ask, const int32_t *path, int n_path,
                   const float *logits, struct otr_err *err)
{
    const struct otr_sampling sp = short_settings(ask);
    const struct history h = {ask->tok, ask->n, path, (size_t)n_path};
    struct dist d = {0};
    double sum = 0;
    int rc;
    if (r->of)
        rc = few_dist(r, &sp, logits, &h, &d, err);
    else if ((rc = sampler_set(r->s, &sp, err)) == OTR_OK)
        rc = sampler_dist(r->s, logits, &h, &d, err);
    if (rc < 0)
        return rc;
    const bool rows = r->of && !sampler_edits(r->s); /* ids are numbers of rows */
    r->n = d.n < LONGEST ? d.n : LONGEST;            /* WHY: top-k keeps ties */
    for (int i = 0; i < r->n; i++) {
        r->id[i] = rows ? r->of[d.id[i]] : d.id[i];
        sum += r->p[i] = sample_exp((double)d.logit[i] - (double)d.logit[0]);
    }
    for (int i = 0; i < r->n; i++)
        r->p[i] /= sum;
    return OTR_OK;
}
