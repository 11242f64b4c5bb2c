/* Owns the controller: whom to ask, and what a step teaches. See control.h; read next: choose.c, state.c.
 *
 * Asking is paid from a purse. It fills with a small share of all time spent, and with what the drafter's accepted
 * tokens saved; a proposal empties it by its cost, and a drafter with an empty purse is not asked. So a drafter that is
 * worth its time is always asked, and one that is not costs at most that share, in ever rarer probes. */
#include "control/control_priv.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_SHARE 0.01 /* of the time, for each drafter that earns nothing */
#define PURSE_STEPS 8    /* a purse holds at most so many plain steps' time */
#define MEAN 0.05        /* share of the newest in a moving mean */

int control_open(struct control **out, const struct ctl_opts *o, struct otr_err *err)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return OTR_FAIL(err, NOMEM, "no memory for the controller");
    c->o = *o;
    memcpy(c->drafter, o->drafter, (size_t)o->n_drafter * sizeof *o->drafter);
    c->o.drafter = c->drafter;
    if (o->state_path && !(c->state_path = strdup(o->state_path))) {
        free(c);
        return OTR_FAIL(err, NOMEM, "no memory for the controller");
    }
    control_load(c);
    *out = c;
    return OTR_OK;
}

int control_close(struct control *c, struct otr_err *err)
{
    if (!c)
        return OTR_OK;
    const int rc = c->state_path ? control_save(c, err) : OTR_OK;
    free(c->state_path);
    free(c);
    return rc;
}

void control_guess_time(struct control *c, int rows, double ms)
{
    tm_guess(&c->time, rows, ms);
}

void control_see_prompt(struct control *c, int rows, double ms, double layers)
{
    tm_see_prompt(&c->time, rows, ms, layers);
}

double control_time(const struct control *c, int rows, int ctx)
{
    return tm_time(&c->time, rows, ctx);
}

/* ---- before the proposals ---- */

void control_plan(struct control *c, struct ctl_seq *seq, int n_seq)
{
    /* nothing to choose by, before the first step of all: it is plain, and says what a plain one takes */
    const bool blind = c->o.fixed_entries < 0 && tm_time(&c->time, 1, 1) <= 0;
    for (int i = 0; i < n_seq; i++) {
        struct ctl_seq *s = &seq[i];
        s->budget = s->room < c->o.max_entries ? s->room : c->o.max_entries;
        if (c->o.fixed_entries >= 0 && c->o.fixed_entries < s->budget)
            s->budget = c->o.fixed_entries;
        for (int d = 0; d < c->o.n_drafter; d++)
            if (blind || s->budget < c->o.min_entries || (c->o.fixed_entries < 0 && c->st[d].purse < 0))
                s->asked &= ~(1ull << d);
    }
}

/* ---- after the step ---- */

static void mean(double *m, double x)
{
    *m = *m > 0 ? *m + MEAN * (x - *m) : x;
}

/* gain_ms: by drafter, what plain steps for its accepted tokens would have taken. */
static void pay(struct control *c, const struct step_record *r, const double *gain_ms, double step_ms, double plain_ms)
{
    for (int d = 0; d < c->o.n_drafter; d++) {
        struct ctl_state *s = &c->st[d];
        s->purse += PROBE_SHARE * step_ms - r->ask_ms[d] + gain_ms[d];
        const double most = PURSE_STEPS * plain_ms;
        if (s->purse > most)
            s->purse = most;
    }
}

void control_learn(struct control *c, const struct step_record *r)
{
    int ctx = 0;
    for (int i = 0; i < r->n_seq; i++)
        ctx += r->seq[i].ctx;
    ctx /= r->n_seq; /* sequences of one batch count as their mean */
    tm_see(&c->time, r->n_rows, ctx, r->forward_ms);
    mean(&c->rest_ms, (r->accept_ms + r->emit_ms + r->other_ms) / r->n_seq);
    const double plain = tm_time(&c->time, r->n_seq, ctx) / r->n_seq; /* ms of a token without drafts */
    double gain_ms[CTL_MAX_DRAFTERS] = {0};
    for (int i = 0; i < r->n_seq; i++) {
        const struct step_seq *s = &r->seq[i];
        for (int d = 0; d < c->o.n_drafter; d++) {
            const struct step_offer *o = &r->offer[i * c->o.n_drafter + d];
            if (o->drafter < 0)
                continue;
            if (d == s->drafter) /* the rule's own verdict; under law rules it says more than the text */
                ac_see_path(&c->st[d].accept, s->tree, s->path, s->n_path, true);
            else
                ac_see_path(&c->st[d].accept, o->tree, o->path, o->n_path, o->missed);
        }
        if (s->drafter >= 0 && s->n_emitted > 1)
            gain_ms[s->drafter] += (s->n_emitted - 1) * plain;
    }
    pay(c, r, gain_ms, r->draft_ms + r->forward_ms + r->accept_ms + r->emit_ms + r->other_ms, plain);
}
