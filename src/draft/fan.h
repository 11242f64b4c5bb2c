/* For how many next tokens to prepare at each place of a chain that is being verified.
 *
 * The target keeps j of the k drafted tokens and goes on with a token of its own: place j. With the chance a that a
 * drafted token is kept, P(j) = a^j (1 - a) for j < k and P(k) = a^k. F prepared tokens miss the one that comes with
 * probability (1 + F)^-r. The sum of P(j) (1 + F_j)^-r over all places is least, for a given sum of F, where
 *   1 + F_j ~ a^(j / (1 + r)) for j < k,   1 + F_k ~ a^(k / (1 + r)) (1 - a)^(-1 / (1 + r)),
 * cut off at F = 0: a geometric series with a larger last term.
 * WHY 1 + F, where the paper has F: no token prepared always misses, and a place may get none. In whole numbers the
 * best split is found by giving one token at a time to where it gains most, for the gains of a place only fall.
 * SRC: Saguaro (2603.03251) section 4; methods/21 section 8. Read next: outcomes.h. */
#ifndef OTR_DRAFT_FAN_H
#define OTR_DRAFT_FAN_H

#include <stdbool.h>

enum { FAN_MAX = 32 }; /* tokens of all places together */

/* What the drafts so far say of a and r; old ones fade. */
struct fan_stats {
    double tried, kept;           /* drafted tokens */
    double seen, missed, log_fan; /* outcomes that were prepared for; sum of log(1 + F) at their places */
};
double fan_chance(const struct fan_stats *s);   /* a */
double fan_exponent(const struct fan_stats *s); /* r */
void fan_see_chain(struct fan_stats *s, int n_tried, int n_kept);
void fan_see_outcome(struct fan_stats *s, int fan, bool missed);

/* fan [n_chain + 1] gets `total` <= FAN_MAX tokens, none beyond `most` at one place. */
void fan_split(double a, double r, int n_chain, int total, int most, int *fan);

#endif
