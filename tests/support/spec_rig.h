/* Equality of drafted replies with plain ones: the same prompts, settings and seeds, compared token by token with
 * everything else that a user can see (text, stop, what the sequence holds).
 *
 * In: a model, prompts. Out: counts of compared tokens and of replies that differ (each is printed). Settings go round
 * by prompt: temperature 0 or above; chains with and without top-k, penalties, DRY, biases; stop strings; short limits.
 * Used by tests/equal/test_spec.c (short) and tests/proof/proof_spec.c (1,000 prompts). */
#ifndef OTR_TESTS_SPEC_RIG_H
#define OTR_TESTS_SPEC_RIG_H

#include "engine/engine.h"

struct sr_reply {
    struct otr_gen_result r;
    size_t n_seq; /* tokens the sequence held after it */
};
struct spec_rig {
    struct otr_model *m;
    int n_tok; /* longest reply */
    int n;     /* prompts */
    const int32_t *const *prompt;
    const int *n_prompt;
    bool warm;                          /* temperature > 0 */
    struct sr_reply *plain;             /* [n] */
    long n_reply, n_compared, n_differ; /* replies, tokens, replies that differ */
    long n_draft, n_accepted;
    struct otr_engine *e;  /* of all ways, or NULL: each has its own */
    struct otr_seq **base; /* [n] of e: the prompts but for their last token */
};

/* Plain replies of all prompts, one at a time; n_threads 0: as many as an engine takes. The prompts are the caller's
 * and must stay. */
int sr_open(struct spec_rig *s, struct otr_model *m, const int32_t *const *prompt, const int *n_prompt, int n,
            int n_tok, bool warm, int n_threads, struct otr_err *err);
/* The same with one engine of n_threads for everything, in which each prompt has run once: replies go on from forks of
 * it. No plain replies yet; sr_plain makes them, at one temperature after the other. */
int sr_open_shared(struct spec_rig *s, struct otr_model *m, const int32_t *const *prompt, const int *n_prompt, int n,
                   int n_tok, int n_threads, struct otr_err *err);
int sr_plain(struct spec_rig *s, bool warm, struct otr_err *err);
void sr_close(struct spec_rig *s);

struct sr_way {                          /* one way to draft them */
    const char *method;                  /* "suffix:form=path", or several, by spaces; NULL: auto */
    const char *verify;                  /* NULL: gumbel */
    int draft_fixed, n_threads, n_batch; /* n_batch: replies at once, 1..8 */
    bool predict;                        /* the plain reply is handed over as the predicted text */
    uint64_t seed;
    enum otr_kv_type kv_type;
};
/* Prompts [from, to) in this way (n_threads and kv_type: of an engine of its own only); with a KV type of its own the
 * plain replies must have been made with it too. */
int sr_run(struct spec_rig *s, const struct sr_way *w, int from, int to, struct otr_err *err);
struct otr_gen sr_settings(const struct spec_rig *s, int i); /* of prompt i */

#endif
