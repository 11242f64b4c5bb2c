/* The law of whole replies: a tiny random model over LE_V tokens, drafters that draw or choose, every rule, every
 * sampler chain, through the engine's public calls; against the exact law of texts.
 *
 * In: a case. Out: counts of texts, by their LE_TOK tokens as digits, and of drafted tokens kept in the first step.
 * The law is worked out anew from the model's plain logits (le_law): the sampler's chain in double from its
 * description, then all texts enumerated. Nothing of src/sample or src/accept takes part in it.
 * INV: a draft has a depth of at most 2, so LE_TOK tokens take at least 2 steps after the first token.
 * Bugs are planted through the linker: programs that use this file are linked with --wrap=accept_decide.
 * Read next: law_engine.c, law_engine_cases.c; tests/prop/test_law_engine.c, tests/proof/proof_law.c. */
#ifndef OTR_TESTS_LAW_ENGINE_H
#define OTR_TESTS_LAW_ENGINE_H

#include "engine/engine.h"
#include "support/law.h"

enum { LE_V = 5, LE_TOK = 5, LE_TEXTS = LE_V * LE_V * LE_V * LE_V * LE_V, LE_DEPTH = 2 };

enum le_bug {
    LE_HONEST,
    LE_STEP,         /* the rules compiled with a wrong step: `planted` of planted_rules.h says which */
    LE_BY_POSITION,  /* all draws keyed by (seed, position in the text, purpose) */
    LE_NOT_STRICT,   /* u <= h where u has so few bits that 0 is drawn */
    LE_NO_CHECK,     /* whatever is drafted is accepted */
    LE_TOP_K,        /* likeliest tokens, chosen, pass for draws */
    LE_WRONG_Q,      /* rows sharper than what was drawn from */
    LE_NOT_NORMAL,   /* a later sibling's row is not renormalised */
    LE_DEDUPLICATED, /* of siblings with one token only the first stays */
    LE_RESORTED,     /* siblings by falling probability */
    LE_DROPPED,      /* an entry goes when its own token was unlikely (rule R1) */
};

struct le_case {
    enum accept_rule rule;
    const char *shape, *kinds; /* of a draft: law_shapes; 'd' drawn, 'c' chosen, by entry */
    int chain;                 /* le_sampling */
    enum le_bug bug;
    const char *method; /* a listed one drafts, no deeper than LE_DEPTH; NULL: the drafter of the shape */
    int entries;        /* so many of them; 0: LE_DEPTH */
    bool controller;    /* it chooses the length of drafts (which are those of the shape, or cut) */
};

int le_chains(void);
const char *le_sampling(int chain, struct otr_sampling *sp); /* the name of a chain */

struct le_counts {
    long n, text[LE_TEXTS];
    long kept[LE_DEPTH + 1]; /* first steps that kept so many drafted tokens */
    long drafted, accepted;  /* tokens of all steps */
    enum otr_exact exact;    /* what the replies claim */
};

struct le_rig {
    struct otr_model *m;
    int fd; /* the model's file, in memory */
    char path[64];
    /* by prefix: the plain logits after it, [law_index][LE_V] */
    float logits[(LE_TEXTS - 1) / (LE_V - 1)][LE_V];
};
void le_open(struct le_rig *r, uint64_t seed);
void le_close(struct le_rig *r);
/* law [LE_TEXTS] of texts */
void le_law(const struct le_rig *r, int chain, double *law);
/* The probability that a first step keeps at least i + 1 drafted tokens: want[LE_DEPTH]. Chains of drawn entries under
 * ratio, block and gumbel, by their formulas. */
void le_acceptance(const struct le_rig *r, const struct le_case *c, double *want);
void le_run(const struct le_rig *r, const struct le_case *c, long n, uint64_t seed, struct le_counts *out);

/* ---- law_engine_cases.c: what the tests and the proof run; n: replies a case ---- */

int le_every_rule(const struct le_rig *r, long n, int stride);   /* cases that are off; every stride-th one is run */
int le_controller(const struct le_rig *r, long n);               /* it goes by time: not repeatable by seed */
int le_models(const struct le_rig *r, long n);                   /* the target drafts for itself */
int le_trees(const struct le_rig *r, long n, int stride);        /* trees out of its own laws; every stride-th case */
int le_beside(const struct le_rig *r, long n);                   /* a drafter with a thread of its own */
int le_lossy(const struct le_rig *r, long n);                    /* typical, relaxed: cases that pass for the law */
int le_planted(const struct le_rig *r, long n, bool large_only); /* bugs that are not seen */

#endif
