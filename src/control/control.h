/* The controller: which drafters to ask, how much of a draft to verify, and when to leave it.
 *
 * It knows time and counts, and no tokens: for an entry of a tree it reads the drafter, the entry's confidence, its
 * depth and the tree's match length. Zero entries is always a candidate. State outlives a request.
 *
 * - plan, before anything is drawn: which drafters to ask and with what budget, per sequence (rule R1)
 * - choose, after the proposals: one tree a sequence and how many of its entries, all lengths scanned, over the batch
 * - learn, from the record of the step: T(rows, context), draft cost, acceptance
 *
 * SRC: verification-law.md 7; kernels.md A.2; methods/02, 09, 21 section 7. Read next: time_model.h, control.c,
 * choose.c. */
#ifndef OTR_CONTROL_CONTROL_H
#define OTR_CONTROL_CONTROL_H

#include "accept/accept.h"

enum { CTL_MAX_DRAFTERS = 24, CTL_MAX_BATCH = 64 };

struct ctl_drafter {
    const char *name;   /* key of what was learnt; outlives the controller */
    bool draws;         /* proposes drawn entries: under law rules its trees are planned, not cut */
    bool runs;          /* a model runs for every level: it is asked for as many as are worth their time */
    bool stops;         /* ... or fewer, where an entry that it sees is not: ctl_seq.gain says what one must promise */
    bool trees;         /* ... and for several entries of a level, where wider trees pay */
    double row, prompt; /* its cost before it is measured: parts of the target's, see draft_guess; 0: not known */
    bool beside;        /* it works beside the pass: what it prepares in one step is of use in the next */
};

struct ctl_opts {
    const struct ctl_drafter *drafter; /* [n_drafter] in the order of --spec: ties go to the first */
    int n_drafter;
    int max_entries;   /* --draft-max: a cap, at most TREE_MAX */
    int min_entries;   /* --draft-min: a draft that is shorter is not verified */
    int fixed_entries; /* >= 0: always that many where there are so many, no choice (benchmarks, shuffle tests); -1 */
    const char *state_path; /* file of what was learnt on this machine with this model, or NULL */
};

struct control;
/* A missing or malformed state file is no error: it starts from priors. */
int control_open(struct control **out, const struct ctl_opts *o, struct otr_err *err);
/* Saves (atomic rename) where a path was given. A failed save is reported in err, and the controller is gone. */
int control_close(struct control *c, struct otr_err *err);

/* T(rows, context): what a pass takes. From the state file; else from the pass over the prompt and a first step without
 * drafts. Nothing is run to find out: no token waits for it. Then kept current by moving low quantiles of real passes.
 */
void control_guess_time(struct control *c, int rows, double ms);
/* A pass over a prompt. layers: their share of what a row costs; rows of a prompt pass no head, rows of a draft do. */
void control_see_prompt(struct control *c, int rows, double ms, double layers);
double control_time(const struct control *c, int rows, int ctx); /* expected ms; 0: nothing known yet */

struct ctl_seq {
    int ctx;                      /* tokens in its context */
    int left;                     /* tokens that its reply may still have */
    int behind[CTL_MAX_DRAFTERS]; /* tokens that a drafter would have to catch up with first */
    int room;                     /* most entries this step may have: limits of reply, context, batch */
    bool law;                     /* a law rule: drawn entries are not cut afterwards */
    bool chain;                   /* the rule takes chains only */
    uint64_t asked;               /* in: drafters that can be asked at all (bit i); out of plan: those to ask now */
    int budget;                   /* out: entries to ask for ... */
    unsigned char most[CTL_MAX_DRAFTERS]; /* ... of each drafter */
    unsigned char deep[CTL_MAX_DRAFTERS]; /* of those in a path; 0: any number */
    uint64_t narrow;                      /* drafters to be asked for a chain: wider trees do not pay */
    float gain[CTL_MAX_DRAFTERS];         /* tokens that a level more must promise; 0: not known; < 0: nothing */
};
/* Before the proposals. The same call decides for the whole batch. */
void control_plan(struct control *c, struct ctl_seq *seq, int n_seq);

struct ctl_offer {
    int drafter; /* index, or -1: none came */
    struct tree *tree;
};
/* Between them, when the lookups have answered and no model has run: models that promise less than what is in hand are
 * not asked. */
void control_narrow(struct control *c, struct ctl_seq *seq, int n_seq, const struct ctl_offer *offers);
/* offers[i * n_drafter + d] of sequence i; take[i]: the chosen drafter or -1; its tree is cut to what is worth it. */
void control_choose(struct control *c, const struct ctl_seq *seq, int n_seq, const struct ctl_offer *offers, int *take);

/* One step of the batch, as it went: the controller, metrics, traces and benchmarks read this and nothing else. */
struct step_seq {
    uint64_t seq;
    int ctx, drafter;        /* -1: plain */
    const struct tree *tree; /* what ran (no entries: plain) */
    const int *path;
    int n_path, n_emitted; /* accepted nodes; tokens that count after the cut at an end */
};
/* What became, or would have become, of a proposal: learnt from the text that was emitted anyway, so that a drafter is
 * judged though nothing of it was verified. */
struct step_offer {
    int drafter; /* -1: none */
    const struct tree *tree;
    int path[TREE_MAX], n_path; /* nodes that the emitted tokens follow */
    bool missed;                /* the token after them is none of the children (else: the text ended there) */
};
struct step_record {
    int n_seq, n_rows;
    const struct step_seq *seq;
    const struct step_offer *offer;      /* [n_seq * n_drafter] */
    double ask_ms[CTL_MAX_DRAFTERS];     /* draft time of each drafter, whole batch; 0: not asked */
    int depth[CTL_MAX_DRAFTERS];         /* of its deepest proposal */
    int asked[CTL_MAX_DRAFTERS];         /* sequences it was asked for */
    int behind[CTL_MAX_DRAFTERS];        /* tokens of all sequences that it was behind by */
    double prepare_ms[CTL_MAX_DRAFTERS]; /* before that: catching up with their histories */
    bool lent[CTL_MAX_DRAFTERS];         /* the pass ran on fewer threads for it */
    double draft_ms, forward_ms, accept_ms, emit_ms, other_ms;
    double early_share; /* part of a whole pass that ran before forward_ms: a drafter did the first layers */
    double early_ms;    /* of these, what plain decoding would have needed too: no draft time */
};
void control_learn(struct control *c, const struct step_record *r);

#endif
