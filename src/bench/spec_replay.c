/* Owns the replay of a controller. See spec_replay.h; read next: engine/step.c. */
#include "bench/spec_replay.h"

#include <stdlib.h>

enum { SEQ = 1 }; /* the drafters know no other: they are new */

struct replay {
    struct tree none, tree[CTL_MAX_DRAFTERS];
    struct ctl_offer offer[CTL_MAX_DRAFTERS];
    struct step_offer judged[CTL_MAX_DRAFTERS];
};

/* The proposals of those that the plan asks. */
static void ask(const struct otr_engine *e, const struct spec *sp, const struct record_text *t, size_t p,
                const struct ctl_seq *plan, struct replay *r)
{
    const struct draft_ask a = record_ask(e, t, p, plan->budget);
    for (int d = 0; d < sp->n_d; d++) {
        struct tree *tree = &r->tree[d];
        r->offer[d] = (struct ctl_offer){.drafter = -1};
        tree_clear(tree);
        if (plan->asked >> d & 1 && sp->d[d].m->propose(sp->d[d].self, &a, 1, tree) >= 0 && tree->n > 0 &&
            tree_check(tree, e->m->info.n_vocab, plan->budget, NULL) == OTR_OK)
            r->offer[d] = (struct ctl_offer){d, tree};
    }
}

/* One step with p tokens out; returns how many more are. */
static size_t step(const struct otr_engine *e, struct spec *sp, const struct record_text *t, size_t p,
                   const struct sb_case *c, const struct sb_text *text, struct replay *r, double *ms)
{
    const int32_t *rest = t->tok + t->n_prompt + p;
    const int n_rest = (int)(t->n - p), room = (int)(t->max - p - 1);
    struct ctl_seq plan = {.ctx = (int)(t->n_prompt + p), .room = room < TREE_MAX ? room : TREE_MAX};
    int take, path[TREE_MAX + 1];
    for (int d = 0; d < sp->n_d; d++)
        if (t->n_predicted > 0 || !(sp->d[d].flags & DRAFT_NEED_PREDICTION))
            plan.asked |= 1ull << d;
    control_plan(sp->ctl, &plan, 1);
    ask(e, sp, t, p, &plan, r);
    control_choose(sp->ctl, &plan, 1, r->offer, &take);
    const struct tree *tree = take < 0 ? &r->none : r->offer[take].tree;
    const int n_path = tree_follow(tree, rest, n_rest, path), n = n_path < n_rest ? n_path + 1 : n_rest;
    const struct step_seq seq = {SEQ, (int)(t->n_prompt + p) + n, take, tree, path, n_path, n};
    struct step_record record = {.n_seq = 1,
                                 .n_rows = tree->n_node,
                                 .seq = &seq,
                                 .offer = r->judged,
                                 .forward_ms = text->row_ms * c->rel[tree->n_node],
                                 .other_ms = text->rest_ms};
    for (int d = 0; d < sp->n_d; d++) {
        struct step_offer *j = &r->judged[d];
        record.asked[d] = plan.asked >> d & 1;
        record.ask_ms[d] = record.asked[d] ? c->cost_ms[d] : 0;
        record.draft_ms += record.ask_ms[d];
        *j = (struct step_offer){.drafter = r->offer[d].drafter, .tree = r->offer[d].tree};
        if (j->drafter >= 0)
            j->n_path = tree_follow(j->tree, rest, n, j->path);
        j->missed = j->n_path < n;
    }
    control_learn(sp->ctl, &record);
    *ms += record.draft_ms + record.forward_ms + record.other_ms;
    for (int d = 0; d < sp->n_d; d++) {
        const struct draft_seen seen = {.seq = SEQ,
                                        .event = SEEN_STEP,
                                        .tok = t->tok,
                                        .n = t->n_prompt + p + (size_t)n,
                                        .n_new = (size_t)n,
                                        .tree = tree,
                                        .path = path,
                                        .n_path = n_path < n - 1 ? n_path : n - 1,
                                        .mine = d == take};
        sp->d[d].m->observe(sp->d[d].self, &seen, 1);
    }
    return (size_t)n;
}

int replay_text(const struct otr_engine *e, struct spec *sp, const struct record_text *t, const struct sb_case *c,
                const struct sb_text *text, double *ms, struct otr_err *err)
{
    struct replay *r = malloc(sizeof *r);
    int rc = r ? spec_forget(sp, e, err) : OTR_FAIL(err, NOMEM, "no memory to replay a text");
    *ms = 0;
    if (r)
        tree_clear(&r->none);
    for (size_t p = 1; p < t->n && rc == OTR_OK;)
        p += step(e, sp, t, p, c, text, r, ms);
    free(r);
    return rc;
}
