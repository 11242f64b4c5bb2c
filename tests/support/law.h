/* The law of a verification rule on tiny models, by exact enumeration of everything that is random.
 *
 * In: a random model over a few tokens (the target's law and several proposals, each a function of the last two
 * tokens), the shape of a draft, and a rule. The real tree_draw and accept_decide run once for every outcome of every
 * draw and coin, each with its probability (double; sums of products of a few dozen factors). Out: the joint law of
 * the first LAW_TOK tokens over several steps, to be compared with the target's.
 * Used by tests/prop/test_rule_*.c, tests/golden/test_rules_golden.c, tests/proof/proof_rules.c. */
#ifndef OTR_TESTS_LAW_H
#define OTR_TESTS_LAW_H

#include "accept/accept_priv.h"

enum { LAW_V = 5, LAW_CTX = 1 + LAW_V + LAW_V * LAW_V, LAW_TOK = 5, LAW_Q = 3, LAW_ENTRIES = 9, LAW_STRINGS = 4096 };

struct law_model {
    int v, order; /* tokens; tokens of context that count, 1 or 2 */
    /* the target, in the order of the sampler: candidates, logits; p by token, from those very logits */
    int n[LAW_CTX];
    int32_t id[LAW_CTX][LAW_V];
    float logit[LAW_CTX][LAW_V];
    double p[LAW_CTX][LAW_V];
    double q[LAW_Q][LAW_CTX][LAW_V]; /* weights of proposals */
    int32_t choice[LAW_ENTRIES][LAW_CTX];
};
/* support: at most so many tokens of a proposal have a weight; zeros: so may the target's. */
void law_model_random(struct law_model *m, uint64_t seed, int v, int order, int support, bool zeros);
void law_model_set(struct law_model *m, int ctx, const float *logit); /* -inf: not a candidate */
int law_ctx(const struct law_model *m, const int32_t *tok, int n);

struct law_shape {
    const char *name;
    int n, parent[LAW_ENTRIES]; /* in the order of drawing */
};
extern const struct law_shape law_shapes[];
const struct law_shape *law_shape_find(const char *name);

struct law_rig;
struct law_case {
    const struct law_model *m;
    const struct law_shape *shape;
    const char *kinds;             /* 'd' drawn, 'c' chosen, for entry e: kinds[e % length] */
    enum accept_rule draw, decide; /* how entries are drawn; the rule of the verdict */
    bool nosy;                     /* a proposal depends on every entry before it (R1 allows that) */
    bool stop;                     /* nothing is drafted after token 0 (R1 allows that: 0 is kept) */
    void (*grow)(struct law_rig *, const struct accept_dice *); /* drafts, no deeper than the shape; NULL: the shape */
    /* planted bugs: */
    int (*run)(enum accept_rule, const struct tree *, const struct accept_target *, const struct accept_dice *,
               struct accept_scratch *, struct accept_verdict *, struct otr_err *); /* NULL: accept_decide */
    void (*spoil)(struct tree *, int n_vocab);                                      /* the tree, before the verdict */
    bool (*coin)(double h, bool honest);
};

struct law_result {
    double tv;               /* between the joint law of LAW_TOK tokens and the target's */
    double accepted;         /* mean number of drafted tokens kept in the first step */
    double law[LAW_STRINGS]; /* of the first step's tokens from an empty context: [law_index] */
    long n_run;              /* outcomes enumerated */
};
void law_enumerate(const struct law_case *c, struct law_result *out);
/* The place of a string: all shorter strings come first, then by its tokens as digits. */
int law_index(int v, const int32_t *tok, int n);
/* The target's law of strings of n tokens: out [v^n] in the order of law_index. */
void law_target(const struct law_model *m, int n, double *out);

/* The same machinery with the caller's dice: one step after hist[n_hist]. Draws with `draft`, decides with `test`. */
struct law_rig {
    const struct law_case *c;
    struct tree t;
    struct accept_scratch *s;
    struct accept_verdict verdict;
    const int32_t *hist;
    int n_hist;
    struct tree_luck luck;
};
void law_rig_open(struct law_rig *r, const struct law_case *c);
void law_rig_close(struct law_rig *r);
/* Emitted tokens, their number returned. */
int law_step(struct law_rig *r, const int32_t *hist, int n_hist, const struct accept_dice *draft,
             const struct accept_dice *test, int32_t *emitted);

#endif
