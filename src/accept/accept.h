/* Which drafted tokens stay: a pure function of a tree, the target's answers and a random key.
 *
 * In: a tree; for a node the target's next token as plain decoding would pick it, or its whole distribution (sampler
 * chain in the state of that branch), both asked for lazily; dice. Out: the path that is kept, and the token after it.
 * Byte rules (greedy, gumbel) emit what plain decoding would, whatever the tree. Law rules emit its distribution.
 * INV: a rule sees distributions and dice and nothing else, so tests enumerate it without a model.
 * SRC: verification-law.md; the rules name theirs. Read next: accept_priv.h, rules.c; draft/draft.h. */
#ifndef OTR_ACCEPT_ACCEPT_H
#define OTR_ACCEPT_ACCEPT_H

#include "accept/tree.h"
#include "sample/sample.h"

/* name, exact: what a reply made with it may claim, text for --help. At temperature 0 every rule runs as greedy. */
#define ACCEPT_RULE_LIST(X)                                                                                            \
    X(GREEDY, "greedy", BYTES, "temperature 0: the likeliest token")                                                   \
    X(GUMBEL, "gumbel", BYTES, "default: the same bytes for the same seed, with any drafter or none")                  \
    X(RATIO, "ratio", LAW, "speculative sampling: min(1, p/q), residual; chains")                                      \
    X(MULTI, "multi", LAW, "several candidates a node, drawn without replacement")                                     \
    X(MULTI_IID, "multi-iid", LAW, "several candidates a node, drawn independently")                                   \
    X(BLOCK, "block", LAW, "a chain as a whole: never fewer tokens than ratio")                                        \
    X(TRAVERSAL, "traversal", LAW, "a tree from leaf to root")                                                         \
    X(TYPICAL, "typical", NONE, "lossy: what is likely enough by the entropy of the target")                           \
    X(RELAXED, "relaxed", NONE, "lossy: near misses within a share of the best token's probability")

enum accept_exact { EXACT_BYTES, EXACT_LAW, EXACT_NONE };
enum accept_rule {
#define X(upper, name, exact, text) RULE_##upper,
    ACCEPT_RULE_LIST(X)
#undef X
        N_RULE
};
const char *accept_rule_name(enum accept_rule r);
const char *accept_rule_text(enum accept_rule r);
enum accept_exact accept_rule_exact(enum accept_rule r);
const char *accept_exact_name(enum accept_exact e); /* "bytes", "law", "none" */
int accept_rule_find(const char *name);             /* enum accept_rule, or -1 */

/* The target's answers. node: of the tree; the state of its branch is committed text + its path. */
struct accept_target {
    void *self;
    /* what plain decoding emits after this node, or a negative error */
    int32_t (*pick)(void *self, int node, struct otr_err *err);
    /* the law of the next token: ids and final logits (sampler_dist). A view until the next call. block and traversal
     * may ask for a node again when they come back to it. */
    int (*dist)(void *self, int node, struct dist *out, struct otr_err *err);
};

/* Randomness of the law rules. In the engine keyed by (seed, choice, step, entry, purpose); in tests enumerated.
 * entry: the one that is tested; for the token after the path the last one kept, or TREE_ROOT. */
enum accept_purpose { DICE_DRAFT = 1, DICE_ACCEPT, DICE_RESIDUAL };
struct accept_dice {
    void *self;
    bool (*coin)(void *self, double h, int entry);              /* true with probability h: u < h, u in [0, 1) */
    int (*pick)(void *self, const double *w, int n, int entry); /* index i with probability w[i] / sum, w[i] > 0 */
};

struct accept_key {
    uint64_t seed, step; /* step: number of the sequence's step; it only grows */
    uint32_t choice;
};
/* Dice of a key. The key must outlive them. */
struct accept_dice accept_keyed_dice(const struct accept_key *key);

struct accept_scratch; /* two rows of the vocabulary */
int accept_scratch_open(struct accept_scratch **out, int n_vocab, struct otr_err *err);
void accept_scratch_close(struct accept_scratch *s);

struct accept_verdict {
    int n, node[TREE_MAX]; /* the kept path, from the root on */
    int32_t next;          /* the token after it, always the target's */
    int n_tested;          /* nodes whose answer was asked for */
};
/* OTR_OK, or the target's error (a logit that is not a number). */
int accept_decide(enum accept_rule rule, const struct tree *t, const struct accept_target *target,
                  const struct accept_dice *dice, struct accept_scratch *s, struct accept_verdict *out,
                  struct otr_err *err);

/* How the core draws an entry from a drafter's row under each rule. The row [n] (weights >= 0, any sum > 0, ids in any
 * order, distinct) is drawn from given the earlier siblings, that is the entries under the parent's node:
 *   multi, traversal          without their tokens, renormalised: without replacement, and never a delta again
 *   ratio, multi-iid, block   as it is: independently
 *   gumbel                    without them: argmax of log q + the target's own noise
 *   greedy, typical, relaxed  without them: the likeliest, lowest id on ties
 * In the first two groups the law that was drawn from is kept in the tree. In the others the entry counts as chosen: no
 * q is read, no row kept, a row may have any length, and its ids are not checked for repeats.
 * Returns the entry's index; OTR_E_LIMIT: tree or row store full, or no token with q > 0 left; OTR_E_ARG: a bad row. */
struct tree_luck {
    enum accept_rule rule; /* as run: greedy at temperature 0 */
    struct accept_key key;
    uint64_t n_before; /* tokens before the first drafted one, for the noise of gumbel */
    int n_vocab;
};
/* What a drafter is given: the target's key under gumbel; under every other rule one from which the key of
 * accept_keyed_dice cannot be had, so that no draft knows how it will be tested. */
struct tree_luck tree_luck_make(enum accept_rule rule, const struct accept_key *key, uint64_t n_before, int n_vocab);
int tree_draw(struct tree *t, int parent, const int32_t *id, const double *p, int n, const struct tree_luck *luck);

#endif
