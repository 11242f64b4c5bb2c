/* Drafts made wrong between the draw and the verdict, as slips of a program would leave them (verification-law.md 9).
 * The token and node of an entry stay, so that rows of a forward pass still fit; but for top_k_as_draws, which draws
 * anew. */
#ifndef OTR_TESTS_PLANTED_TREES_H
#define OTR_TESTS_PLANTED_TREES_H

#include "accept/accept_priv.h"

void spoil_not_renormalised(struct tree *t, int n_vocab);
void spoil_top_k_as_draws(struct tree *t, int n_vocab);
void spoil_deduplicated(struct tree *t, int n_vocab); /* siblings are leaves */
void spoil_resorted(struct tree *t, int n_vocab);     /* siblings at the root, leaves */
void spoil_wrong_q(struct tree *t, int n_vocab);
void spoil_dropped_by_own_q(struct tree *t, int n_vocab);

#endif
