/* From logits to a token: one chain for plain and for verified rows.
 *
 * In: the logits of one row, the sampler's settings, and the history of that row's branch (committed text, then the
 * path of drafted tokens). Out: a distribution (sorted candidates), and a token drawn from it with keyed noise.
 * INV: no state. The result is a pure function of (settings, logits, history, key), so nothing is ever rolled back.
 * Order: penalties, DRY, bias, top-k, typical, top-p, min-p, temperature. Ties: lowest id.
 * SRC: verification-law.md 1 and 4. Read next: sample_priv.h; emit.h. */
#ifndef OTR_SAMPLE_SAMPLE_H
#define OTR_SAMPLE_SAMPLE_H

#include "base/pool.h"
#include "kern/kern.h"

struct history { /* tokens before the row's prediction: base then path; ids inside the vocabulary */
    const int32_t *base;
    size_t n_base;
    const int32_t *path;
    size_t n_path;
};

struct sampler; /* settings and scratch for one vocabulary: no draw state. One thread at a time. */

/* Checks the settings (OTR_E_ARG names the bad one), copies them and the biases; all memory is taken here. */
int sampler_open(struct sampler **out, const struct otr_sampling *sp, int n_vocab, struct otr_err *err);
/* Changes the settings; keeps the memory where it suffices. On error the old settings stay. */
int sampler_set(struct sampler *s, const struct otr_sampling *sp, struct otr_err *err);
/* Lets it work with these kernels and, over large vocabularies, in this pool (NULL: alone; it must outlive s). At
 * first: level c, alone. What is drawn does not depend on it. */
void sampler_use(struct sampler *s, const struct kernels *k, struct pool *pool);
void sampler_close(struct sampler *s);
/* True when the draw is argmax of the raw logits, so that the forward pass can do it alone. */
bool sampler_is_plain_greedy(const struct sampler *s);

/* True when the history or single tokens' ids change the logits (penalties, DRY, biases). */
bool sampler_edits(const struct sampler *s);

/* The target distribution after the chain: candidates by (logit down, id up). A view, until the next call. */
struct dist {
    int n;
    const int32_t *id;  /* [n] */
    const float *logit; /* [n] final logits, already divided by the temperature (greedy: as they were) */
};
int sampler_dist(struct sampler *s, const float *logits, const struct history *h, struct dist *out,
                 struct otr_err *err); /* OTR_E_NUMERIC: a logit is NaN; n is at least 1 on OTR_OK */

/* argmax over the dist of logit + G(id), lowest id on ties: the Gumbel-coupled choice; greedy: the first candidate.
 * choice: index of the reply among several for one prompt (0); n_before: tokens before it in the history. */
int32_t sampler_draw(const struct sampler *s, const struct dist *d, uint32_t choice, uint64_t n_before);

/* Both in one: the next token, or an error. Skips sorting where the settings allow. */
int32_t sampler_pick(struct sampler *s, const float *logits, const struct history *h, uint32_t choice,
                     struct otr_err *err);

/* Gumbel noise of one token: w = (x + 0.5) * 2^-32 in double, E = -log1p(-w), G = -log E, with our own log. */
double gumbel_noise(uint64_t seed, uint32_t choice, uint64_t n_before, int32_t id);
/* The map from a random word to G, for the test of 1e9 words. */
double gumbel_of_word(uint32_t x);

#endif
