/* The law rules once more, compiled with a wrong step in place of row_refuse: what a slip in them would do. */
#ifndef OTR_TESTS_PLANTED_RULES_H
#define OTR_TESTS_PLANTED_RULES_H

#include "accept/accept_priv.h"

enum planted_bug {
    PLANTED_NONE,
    PLANTED_NO_RESIDUAL, /* p stays as it was */
    PLANTED_Q_FIRST,     /* q loses the refused token before p is updated */
    PLANTED_NEW_A,       /* p is updated with the new a */
    PLANTED_NO_NORM,     /* the refused token loses its mass, nothing else does: the residual of a delta for any q */
};
extern enum planted_bug planted;

int planted_decide(enum accept_rule rule, const struct tree *t, const struct accept_target *target,
                   const struct accept_dice *dice, struct accept_scratch *s, struct accept_verdict *out,
                   struct otr_err *err);

#endif
