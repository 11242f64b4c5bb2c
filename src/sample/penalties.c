/* Owns the edits of single logits that look at how often a token came, and the biases. In: logits, history, settings.
 * Out: the logits, edited in place. SRC: repetition: Keskar et al. 2019, CTRL 4.1; the other two: OpenAI's API; window
 * and order as llama.cpp. Read next: dry.c. */
#include "sample/sample_priv.h"

bool penalties_on(const struct otr_sampling *sp)
{
    const bool any = sp->repeat_penalty != 1.0f || sp->frequency_penalty != 0.0f || sp->presence_penalty != 0.0f;
    return any && sp->penalty_last_n != 0;
}

static float penalised(const struct otr_sampling *sp, float x, int32_t count)
{
    /* WHY two cases: dividing a negative logit would favour the token */
    const float y = x <= 0 ? x * sp->repeat_penalty : x / sp->repeat_penalty;
    return keep_finite(x, keep_finite(x, y) - ((float)count * sp->frequency_penalty + sp->presence_penalty));
}

void penalties_apply(struct sampler *s, const struct history *h, float *x)
{
    const size_t n = history_window(h, s->sp.penalty_last_n);
    for (size_t i = 0; i < n; i++)
        s->mark[history_back(h, i)]++;
    for (size_t i = 0; i < n; i++) {
        const int32_t id = history_back(h, i);
        if (s->mark[id] == 0)
            continue; /* done at its newest place */
        x[id] = penalised(&s->sp, x[id], s->mark[id]);
        s->mark[id] = 0;
    }
}

void bias_apply(const struct sampler *s, float *x)
{
    for (size_t i = 0; i < s->sp.n_bias; i++) {
        const struct otr_logit_bias b = s->bias[i];
        x[b.token] = b.bias < -FLT_MAX ? b.bias : keep_finite(x[b.token], x[b.token] + b.bias);
    }
}
