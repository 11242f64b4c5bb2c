/* What the files of the controller share. Read next: control.c. */
#ifndef OTR_CONTROL_CONTROL_PRIV_H
#define OTR_CONTROL_CONTROL_PRIV_H

#include "control/acceptance.h"
#include "control/control.h"
#include "control/draft_cost.h"
#include "control/time_model.h"

/* A draft must promise this much more than no draft. WHY: estimates are noise, and the promise is never slower. */
#define CTL_MARGIN 1.02

struct ctl_state { /* of one drafter */
    struct acceptance accept;
    double purse;           /* ms that it may still spend: see control.c */
    struct draft_cost cost; /* of drafters that run a model */
    double rate;            /* tokens per ms that its last plan promised */
    bool met, worth;        /* its first credit was given; the last plan found it worth asking */
};

struct control {
    struct ctl_opts o;
    char *state_path;
    struct ctl_drafter drafter[CTL_MAX_DRAFTERS];
    struct ctl_state st[CTL_MAX_DRAFTERS];
    struct time_model time;
    double rest_ms; /* accept, emit and the like of one sequence's step; moving mean */
    double lent;    /* how many times as long a pass takes while threads are lent; moving mean, 0: not known */
};

/* state.c: what was learnt, as text. A file that cannot be read or is not sound changes nothing. */
void control_load(struct control *c);
int control_save(const struct control *c, struct otr_err *err);

#endif
