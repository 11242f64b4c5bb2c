/* What the files of the controller share. Read next: control.c. */
#ifndef OTR_CONTROL_CONTROL_PRIV_H
#define OTR_CONTROL_CONTROL_PRIV_H

#include "control/acceptance.h"
#include "control/control.h"
#include "control/draft_cost.h"
#include "control/time_model.h"

/* A draft must promise this much more than no draft. WHY: estimates are noise, and the promise is never slower. */
#define CTL_MARGIN 1.02

/* What a drafter that runs a model is asked for: so many entries, in so many levels. */
struct ctl_plan {
    int n, deep; /* deep 0: a chain */
    double rate; /* tokens per ms that it promises */
    double gain; /* tokens that a level more must promise to be worth its time; 0: not known */
};

struct ctl_state { /* of one drafter */
    struct acceptance accept;
    double catch_ms;        /* of a token that it catches up with; 0: not measured */
    double purse;           /* ms that it may still spend: see control.c */
    struct draft_cost cost; /* of drafters that run a model */
    struct draft_cost wide; /* ... for trees, by their planned depth */
    float hoped, came;      /* of its newest trees: accepted entries that the places promised, and that came */
    struct ctl_plan plan;   /* the last one, and what its trees promise by entries */
    double promise[TREE_MAX + 1];
    bool met, worth; /* its first credit was given; the last plan found it worth asking */
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

/* plan_trees.c: replaces the plan of a chain where a tree promises more. */
void plan_trees(struct control *c, int d, const struct ctl_seq *seq, int n_seq, int ctx, int most);
/* What became of a tree of a wide plan. */
void plan_see_tree(struct ctl_state *s, int n_entries, int n_path);

/* state.c: what was learnt, as text. A file that cannot be read or is not sound changes nothing. */
void control_load(struct control *c);
int control_save(const struct control *c, struct otr_err *err);

#endif
