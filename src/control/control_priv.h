/* What the files of the controller share. Read next: control.c. */
#ifndef OTR_CONTROL_CONTROL_PRIV_H
#define OTR_CONTROL_CONTROL_PRIV_H

#include "control/acceptance.h"
#include "control/control.h"
#include "control/time_model.h"

struct ctl_state { /* of one drafter */
    struct acceptance accept;
    double purse; /* ms that it may still spend: see control.c */
};

struct control {
    struct ctl_opts o;
    char *state_path;
    struct ctl_drafter drafter[CTL_MAX_DRAFTERS];
    struct ctl_state st[CTL_MAX_DRAFTERS];
    struct time_model time;
    double rest_ms; /* accept, emit and the like of one sequence's step; moving mean */
};

/* state.c: what was learnt, as text. A file that cannot be read or is not sound changes nothing. */
void control_load(struct control *c);
int control_save(const struct control *c, struct otr_err *err);

#endif
