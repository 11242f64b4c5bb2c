/* Owns the randomness of the law rules and of drafts: Philox words keyed by (seed, choice, step, entry, purpose).
 * INV: no two draws of a sequence share a word, nor one with the Gumbel noise: the purpose stands in the three bits
 * that the noise leaves 0 (sample/gumbel.c), the step only grows, and an entry is drawn, tested and followed by a draw
 * at most once in a step.
 * SRC: verification-law.md 1. Read next: decide.c. */
#include "accept/accept_priv.h"

#include "base/rng.h"

static uint64_t word_of(const struct accept_key *key, enum accept_purpose purpose, int entry)
{
    const struct philox x =
        philox4x32(key->seed, (struct philox){{(uint32_t)purpose << 29 | (uint32_t)(entry + 1), key->choice,
                                               (uint32_t)key->step, (uint32_t)(key->step >> 32)}});
    return (uint64_t)x.v[0] << 32 | x.v[1];
}

/* In [0, 1): 53 bits, all of which a double holds. */
static double uniform(uint64_t word)
{
    return (double)(word >> 11) * 0x1p-53;
}

bool coin_of_word(uint64_t word, double h)
{
    return uniform(word) < h; /* INV: never <=: u = 0 would accept what has no chance */
}

int pick_of_word(uint64_t word, const double *w, int n)
{
    double sum = 0, below = 0;
    int last = 0;
    for (int i = 0; i < n; i++)
        sum += w[i];
    const double u = uniform(word) * sum;
    for (int i = 0; i < n; i++) {
        if (w[i] <= 0)
            continue;
        last = i;
        below += w[i];
        if (u < below)
            break;
    }
    return last; /* of those with a chance, even where u * sum was rounded up to sum */
}

static bool keyed_coin(void *self, double h, int entry)
{
    return coin_of_word(word_of(self, DICE_ACCEPT, entry), h);
}

static int keyed_pick(void *self, const double *w, int n, int entry)
{
    return pick_of_word(word_of(self, DICE_RESIDUAL, entry), w, n);
}

static int draft_pick(void *self, const double *w, int n, int entry)
{
    return pick_of_word(word_of(self, DICE_DRAFT, entry), w, n);
}

struct accept_dice accept_keyed_dice(const struct accept_key *key)
{
    return (struct accept_dice){(void *)(uintptr_t)key, keyed_coin, keyed_pick};
}

struct accept_dice accept_draft_dice(const struct accept_key *key)
{
    return (struct accept_dice){(void *)(uintptr_t)key, NULL, draft_pick};
}

struct tree_luck tree_luck_make(enum accept_rule rule, const struct accept_key *key, uint64_t n_before, int n_vocab)
{
    struct tree_luck luck = {.rule = rule, .key = *key, .n_before = n_before, .n_vocab = n_vocab};
    if (rule != RULE_GUMBEL) /* a word of the seed, which does not tell the seed; the entry is none of this step's */
        luck.key.seed = word_of(key, DICE_DRAFT, TREE_MAX);
    return luck;
}
