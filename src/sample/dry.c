/* Owns DRY ("don't repeat yourself"): a token that would continue a repetition of the history is penalised by
 * multiplier * base^(length of the repetition - allowed length). In: logits, history. Out: the logits, edited in place.
 *
 * The length for token t: the longest end of the window that also stands before an earlier t in it. Breakers are
 * single tokens: a repetition never reaches back over one, and they are not penalised themselves.
 * SRC: p-e-w 2024, oobabooga/text-generation-webui pull 5677; window and breakers as llama.cpp reads them.
 * Read next: select.c. */
#include "sample/sample_priv.h"

bool dry_on(const struct otr_sampling *sp)
{
    return sp->dry_multiplier > 0 && sp->dry_penalty_last_n != 0;
}

/* base^n in double by squaring; inf where it does not fit. */
static double power(double base, int n)
{
    double r = 1.0;
    for (; n > 0; n >>= 1, base *= base)
        if (n & 1)
            r *= base;
    return r;
}

static float penalty_of(const struct otr_sampling *sp, int len)
{
    const double p = (double)sp->dry_multiplier * power((double)sp->dry_base, len - sp->dry_allowed_length);
    return p < (double)FLT_MAX ? (float)p : FLT_MAX;
}

/* For every token of the window that has one before it: mark[id] = 1 + its longest repetition, where long enough.
 * Z algorithm on the reversed window r: z[k] = how far r and r from k on agree, up to limit. [lt, rt) is the match
 * found that reaches furthest; inside it z[k] is z[k - lt] as far as the match knows. INV: O(n): rt only grows. */
static void mark_repetitions(struct sampler *s, const struct history *h, size_t n, size_t limit)
{
    size_t lt = 0, rt = 0;
    for (size_t k = 1; k < n; k++) {
        size_t len = 0;
        if (k < rt) {
            len = (size_t)s->z[k - lt];
            len = len < rt - k ? len : rt - k;
        }
        while (len < limit && k + len < n && history_back(h, len) == history_back(h, k + len))
            len++;
        if (k + len > rt) {
            lt = k;
            rt = k + len;
        }
        if (k < limit)
            s->z[k] = (int32_t)len; /* WHY only these: a match is at most limit long, so k - lt < limit */
        int32_t *mark = &s->mark[history_back(h, k - 1)];
        if (*mark >= 0 && (int)len >= s->sp.dry_allowed_length && *mark <= (int32_t)len)
            *mark = (int32_t)len + 1;
    }
}

void dry_apply(struct sampler *s, const struct history *h, float *x)
{
    const size_t n = history_window(h, s->sp.dry_penalty_last_n);
    size_t limit = 0;
    for (size_t i = 0; i < s->sp.n_dry_breakers; i++)
        s->mark[s->breaker[i]] = -1;
    while (limit < n && limit < DRY_MAX_MATCH && s->mark[history_back(h, limit)] == 0)
        limit++;
    if ((int)limit >= s->sp.dry_allowed_length) {
        mark_repetitions(s, h, n, limit);
        for (size_t i = 0; i < n; i++) {
            const int32_t id = history_back(h, i);
            if (s->mark[id] <= 0)
                continue;
            x[id] = keep_finite(x[id], x[id] - penalty_of(&s->sp, s->mark[id] - 1));
            s->mark[id] = 0;
        }
    }
    for (size_t i = 0; i < s->sp.n_dry_breakers; i++)
        s->mark[s->breaker[i]] = 0;
}
