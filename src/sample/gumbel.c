/* Owns the noise and the draw: argmax of logit + G(key, id), lowest id on ties. In: logits, a key. Out: an id.
 * That argmax has the law softmax(logits); noise that depends on (seed, choice, tokens before, id) alone makes it the
 * same token whatever else is computed beside it.
 * WHY most candidates cost next to nothing: G is at most GUMBEL_MAX, and bounded by a word's leading zeros, so what
 * cannot win any more is passed over before the noise, or before the logarithms. The bounds have slack for rounding.
 * SRC: verification-law.md 1. Read next: emit/emit.h. */
#include "sample/sample_priv.h"

#include <assert.h>
#include <math.h>

#include "sample/sample_math.h"

/* Above 33 ln 2 = 22.8739, G of the word 0. */
#define GUMBEL_MAX 22.875

double gumbel_of_word(uint32_t x)
{
    const double w = ((double)x + 0.5) * 0x1p-32;
    const double e = -sample_log(1.0 - w); /* -log1p(-w): 1 - w is exact, w has 33 bits */
    return -sample_log(e);
}

/* At least G: E >= w, and w >= 2^-(1 + leading zeros). */
static double gumbel_bound(uint32_t x)
{
    return 0.6932 * (1 + (x ? __builtin_clz(x) : 32));
}

/* The words of the ids 4 * quad .. 4 * quad + 3. The three top bits of the first counter word are 0: draws for other
 * purposes set them. */
static struct philox noise_words(const struct noise_key *key, uint32_t quad)
{
    return philox4x32(key->seed,
                      (struct philox){{quad, key->choice, (uint32_t)key->n_before, (uint32_t)(key->n_before >> 32)}});
}

double gumbel_noise(uint64_t seed, uint32_t choice, uint64_t n_before, int32_t id)
{
    const struct noise_key key = {.seed = seed, .n_before = n_before, .choice = choice};
    assert(id >= 0);
    return gumbel_of_word(noise_words(&key, (uint32_t)id / 4).v[id % 4]);
}

struct best {
    double value;
    int32_t id;
};

static void consider(struct best *b, float logit, uint32_t word, int32_t id)
{
    if ((double)logit + gumbel_bound(word) < b->value)
        return;
    const double value = (double)logit + gumbel_of_word(word);
    if (value > b->value || (value == b->value && id < b->id))
        *b = (struct best){value, id};
}

int32_t draw_list(const struct noise_key *key, const int32_t *id, const float *logit, int n)
{
    struct best b = {-HUGE_VAL, INT32_MAX};
    for (int i = 0; i < n; i++)
        if ((double)logit[i] + GUMBEL_MAX >= b.value)
            consider(&b, logit[i], noise_words(key, (uint32_t)id[i] / 4).v[id[i] % 4], id[i]);
    return b.id;
}

/* Logits below this lose to `best` whatever their noise. */
static float losing_below(double best, float temp)
{
    const double x = (best - GUMBEL_MAX) * (double)temp;
    return (float)fmax(x - 1e-6 * fabs(x), (double)-FLT_MAX);
}

int32_t draw_row(const struct noise_key *key, const float *x, int n, float temp, float floor, struct cand top)
{
    struct best b = {-HUGE_VAL, INT32_MAX};
    consider(&b, top.logit / temp, noise_words(key, (uint32_t)top.id / 4).v[top.id % 4], top.id);
    for (int lo = 0; lo < n; lo += 4) {
        const int hi = n - lo < 4 ? n : lo + 4;
        const float limit = fmaxf(floor, losing_below(b.value, temp));
        bool any = false;
        for (int i = lo; i < hi; i++)
            any |= x[i] >= limit;
        if (!any)
            continue;
        const struct philox words = noise_words(key, (uint32_t)lo / 4);
        for (int i = lo; i < hi; i++)
            if (x[i] >= limit)
                consider(&b, x[i] / temp, words.v[i - lo], i);
    }
    return b.id;
}
