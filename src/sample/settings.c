/* Owns what sampling settings may be: the defaults, and the sentence for each bad one. In: struct otr_sampling.
 * Out: OTR_OK, or OTR_E_ARG with the setting's name and value. Read next: sample.c. */
#include "sample/sample_priv.h"

#include <inttypes.h>
#include <math.h>

struct otr_sampling otr_sampling_default(void)
{
    return (struct otr_sampling){
        .temp = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1.0f,
        .penalty_last_n = 64,
        .repeat_penalty = 1.0f,
        .dry_base = 1.75f,
        .dry_allowed_length = 2,
        .dry_penalty_last_n = -1,
    };
}

static int check_bias(const struct otr_sampling *sp, int n_vocab, struct otr_err *err)
{
    if (sp->n_bias && !sp->bias)
        return OTR_FAIL(err, ARG, "logit bias: %zu entries, but no list", sp->n_bias);
    for (size_t i = 0; i < sp->n_bias; i++) {
        const struct otr_logit_bias b = sp->bias[i];
        if (b.token < 0 || b.token >= n_vocab)
            return OTR_FAIL(err, ARG, "logit bias: token %" PRId32 " is outside the vocabulary of %d", b.token,
                            n_vocab);
        if (isnan(b.bias) || (isinf(b.bias) && b.bias > 0))
            return OTR_FAIL(err, ARG, "logit bias of token %" PRId32 ": %g (a number, or -inf to ban it)", b.token,
                            (double)b.bias);
    }
    return OTR_OK;
}

static int check_dry(const struct otr_sampling *sp, int n_vocab, struct otr_err *err)
{
    if (!(isfinite(sp->dry_multiplier) && sp->dry_multiplier >= 0))
        return OTR_FAIL(err, ARG, "dry_multiplier %g (0 or more; 0: off)", (double)sp->dry_multiplier);
    if (sp->n_dry_breakers && !sp->dry_breakers)
        return OTR_FAIL(err, ARG, "dry_breakers: %zu tokens, but no list", sp->n_dry_breakers);
    for (size_t i = 0; i < sp->n_dry_breakers; i++)
        if (sp->dry_breakers[i] < 0 || sp->dry_breakers[i] >= n_vocab)
            return OTR_FAIL(err, ARG, "dry_breakers: token %" PRId32 " is outside the vocabulary of %d",
                            sp->dry_breakers[i], n_vocab);
    if (sp->dry_multiplier <= 0)
        return OTR_OK; /* off: the rest says nothing */
    if (!(isfinite(sp->dry_base) && sp->dry_base >= 1))
        return OTR_FAIL(err, ARG, "dry_base %g (1 or more)", (double)sp->dry_base);
    if (sp->dry_allowed_length < 0)
        return OTR_FAIL(err, ARG, "dry_allowed_length %d (0 or more)", sp->dry_allowed_length);
    if (sp->dry_penalty_last_n < -1)
        return OTR_FAIL(err, ARG, "dry_penalty_last_n %d (-1: all, 0: off, or a number of tokens)",
                        sp->dry_penalty_last_n);
    return OTR_OK;
}

int settings_check(const struct otr_sampling *sp, int n_vocab, struct otr_err *err)
{
    if (!(isfinite(sp->temp) && sp->temp >= 0))
        return OTR_FAIL(err, ARG, "temperature %g (0 or more; 0: greedy)", (double)sp->temp);
    if (sp->top_k < 0)
        return OTR_FAIL(err, ARG, "top_k %d (0 or more; 0: off)", sp->top_k);
    if (!(sp->top_p > 0 && sp->top_p <= 1))
        return OTR_FAIL(err, ARG, "top_p %g (above 0, up to 1; 1: off)", (double)sp->top_p);
    if (!(sp->min_p >= 0 && sp->min_p < 1))
        return OTR_FAIL(err, ARG, "min_p %g (from 0, below 1; 0: off)", (double)sp->min_p);
    if (!(sp->typical_p > 0 && sp->typical_p <= 1))
        return OTR_FAIL(err, ARG, "typical_p %g (above 0, up to 1; 1: off)", (double)sp->typical_p);
    if (sp->penalty_last_n < -1)
        return OTR_FAIL(err, ARG, "penalty_last_n %d (-1: all, 0: off, or a number of tokens)", sp->penalty_last_n);
    if (!(isfinite(sp->repeat_penalty) && sp->repeat_penalty > 0))
        return OTR_FAIL(err, ARG, "repeat_penalty %g (above 0; 1: off)", (double)sp->repeat_penalty);
    if (!isfinite(sp->frequency_penalty))
        return OTR_FAIL(err, ARG, "frequency_penalty %g (a number; 0: off)", (double)sp->frequency_penalty);
    if (!isfinite(sp->presence_penalty))
        return OTR_FAIL(err, ARG, "presence_penalty %g (a number; 0: off)", (double)sp->presence_penalty);
    const int rc = check_dry(sp, n_vocab, err);
    return rc < 0 ? rc : check_bias(sp, n_vocab, err);
}
