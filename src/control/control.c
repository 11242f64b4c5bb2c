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
/* Plain steps' time that a drafter that runs a model is lent at first, and must have saved for a probe once it does not
 * pay; more for one that works beside the pass, whose first steps cannot bring anything. */
#define START_STEPS 2
#define BESIDE_STEPS 4
#define BESIDE_AFTER 8 /* passes: what it costs is what they take longer with it */
#define HOPE 0.85      /* chance of a drafted token, for a first guess of whether it can pay at all */
enum {
    FIRST_LENGTH = 3,  /* of its first draft: what it costs is not known yet */
    LIKELY_LEFT = 256, /* tokens: most replies end before their limit */
    LEAST_CAUGHT = 32, /* tokens caught up with that say what one takes */
    STOPS_MORE = 2,    /* levels beyond twice the best length, for one that stops by itself */
    PROMPT_ROWS = 4,   /* rows of a prompt in the time of a pass of one, where no prompt was seen yet */
};

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

/* What it takes until a drafter has read what the sequences hold. */
static double catch_ms(const struct control *c, int d, const struct ctl_seq *seq, int n_seq, double plain_ms)
{
    const struct ctl_state *s = &c->st[d];
    const double seen = tm_prompt_ms(&c->time), of_prompt = seen > 0 ? seen : plain_ms / PROMPT_ROWS,
                 each = s->catch_ms > 0 ? s->catch_ms : c->drafter[d].prompt * of_prompt;
    double behind = 0;
    for (int i = 0; i < n_seq; i++)
        if (seq[i].asked >> d & 1 && seq[i].behind[d] >= LEAST_CAUGHT) /* fewer: mostly its own drafts, which it has */
            behind += seq[i].behind[d];
    return each * behind;
}

/* What one level more of chains of len takes. WHY a wide slope: between neighbours it is mostly noise, and up to len it
 * misses the edge that made len the best. */
static double level_ms(const struct control *c, const struct ctl_state *s, int n_seq, int ctx, int len)
{
    const double rows = tm_time(&c->time, n_seq * (1 + 2 * len), ctx) - tm_time(&c->time, n_seq, ctx);
    return dc_ms(&s->cost, 2) - dc_ms(&s->cost, 1) + rows / (2 * len);
}

/* How many entries a drafter that runs a model is asked for, before anything is drawn (rule R1): the most tokens per
 * ms, its own time counted, every length looked at. 0: it is not asked now. All sequences of a batch take one length:
 * each level is one pass for all of them. */
static void plan_model(struct control *c, int d, const struct ctl_seq *seq, int n_seq)
{
    struct ctl_state *s = &c->st[d];
    int ctx = 0, most = 0, left = 0, len = c->o.min_entries;
    for (int i = 0; i < n_seq; i++) {
        ctx += seq[i].ctx / n_seq;
        most = seq[i].budget > most ? seq[i].budget : most;
        left += seq[i].left < LIKELY_LEFT ? seq[i].left : LIKELY_LEFT;
    }
    const double rest = c->rest_ms * n_seq, plain_ms = tm_time(&c->time, n_seq, ctx);
    const bool guessed = !(s->cost.n > 0) && c->drafter[d].row > 0;
    double reach = 1, sum = 0, best = 0;
    if (!s->met) { /* a first credit, so that there is something to judge by */
        s->purse = s->purse > START_STEPS * plain_ms ? s->purse : START_STEPS * plain_ms;
        s->met = true;
    }
    for (int i = 1; i <= most; i++) {
        const double chance = ac_chance_at(&s->accept, i),
                     cost = guessed ? i * c->drafter[d].row * plain_ms : dc_ms(&s->cost, i);
        reach *= guessed && chance < HOPE ? HOPE : chance;
        sum += reach;
        const double rate = n_seq * (1 + sum) / (tm_time(&c->time, n_seq * (1 + i), ctx) + cost + rest);
        if (rate > best && i >= c->o.min_entries) {
            best = rate;
            len = i;
        }
    }
    if (!(s->cost.n > 0)) /* it may cost anything */
        len = len < FIRST_LENGTH ? len : FIRST_LENGTH;
    s->plan = (struct ctl_plan){.n = len, .rate = best};
    if (c->drafter[d].stops && s->cost.n > 0) { /* it sees how sure each entry is: then longer ones are worth it, too */
        s->plan.gain = best / n_seq * level_ms(c, s, n_seq, ctx, len);
        s->plan.n = 2 * len + STOPS_MORE;
    }
    if (c->drafter[d].trees && s->cost.n > 0)
        plan_trees(c, d, seq, n_seq, ctx, most);
    const double plain_rate = n_seq / (plain_ms + rest);
    s->worth = s->plan.rate > CTL_MARGIN * plain_rate;
    const double catch_up = catch_ms(c, d, seq, n_seq, plain_ms), saved = 1 / plain_rate - 1 / s->plan.rate;
    if (s->worth ? catch_up > saved * left : s->purse < START_STEPS * plain_ms + catch_up)
        s->plan.n = 0;
}

/* The plan of a drafter for one sequence. */
static void hand_out(struct control *c, int d, const struct ctl_plan *p, struct ctl_seq *s)
{
    s->most[d] = (unsigned char)(p->n < s->budget ? p->n : s->budget);
    s->deep[d] = (unsigned char)p->deep;
    s->gain[d] = (float)p->gain;
    if (c->drafter[d].trees && p->deep == 0)
        s->narrow |= 1ull << d;
}

/* WHY a drafter that works beside the pass saves first: one step says nothing of it, it drafts from the next one on. */
static bool can_pay(struct control *c, int d, int n_seq, int ctx)
{
    struct ctl_state *s = &c->st[d];
    if (!c->drafter[d].beside)
        return s->purse >= 0;
    if (c->time.n < BESIDE_AFTER)
        return false;
    const double plain_ms = tm_time(&c->time, n_seq, ctx);
    if (!s->met)
        s->purse = BESIDE_STEPS * plain_ms;
    s->worth = s->purse >= (s->worth ? 0 : BESIDE_STEPS * plain_ms);
    s->met = true;
    return s->worth;
}

void control_plan(struct control *c, struct ctl_seq *seq, int n_seq)
{
    const bool fixed = c->o.fixed_entries >= 0;
    /* nothing to choose by, before the first step of all: it is plain, and says what a plain one takes */
    const bool blind = !fixed && tm_time(&c->time, 1, 1) <= 0;
    for (int i = 0; i < n_seq; i++) {
        struct ctl_seq *s = &seq[i];
        s->narrow = 0;
        s->budget = s->room < c->o.max_entries ? s->room : c->o.max_entries;
        if (fixed && c->o.fixed_entries < s->budget)
            s->budget = c->o.fixed_entries;
    }
    for (int d = 0; d < c->o.n_drafter; d++) {
        struct ctl_plan all = {.n = TREE_MAX, .deep = TREE_MAX, .gain = fixed ? -1 : 0}, *p = &all;
        if (c->drafter[d].runs && !fixed && !blind) {
            plan_model(c, d, seq, n_seq);
            p = &c->st[d].plan;
        } else {
            c->st[d].plan = all;
        }
        for (int i = 0; i < n_seq; i++) {
            struct ctl_seq *s = &seq[i];
            hand_out(c, d, p, s);
            if (blind || s->most[d] < c->o.min_entries || (!fixed && !can_pay(c, d, n_seq, s->ctx)))
                s->asked &= ~(1ull << d);
        }
    }
}

/* ---- after the step ---- */

static void mean(double *m, double x)
{
    *m = *m > 0 ? *m + MEAN * (x - *m) : x;
}

/* Learns T from a pass. Where threads were lent, it took longer by a factor, which is learnt from passes without drafts
 * and says what the same pass would have taken; the rest is returned: it is for who has the threads to pay. */
static double see_pass(struct control *c, const struct step_record *r, int ctx, double ms)
{
    const double t = tm_time(&c->time, r->n_rows, ctx);
    bool lent = false;
    for (int d = 0; d < c->o.n_drafter; d++)
        lent |= r->lent[d];
    if (!lent || t <= 0) {
        tm_see(&c->time, r->n_rows, ctx, ms);
        return 0;
    }
    if (r->n_rows == r->n_seq || c->lent <= 0)
        mean(&c->lent, ms / t > 1 ? ms / t : 1);
    if (r->n_rows > r->n_seq)
        tm_see_ratio(&c->time, r->n_rows, ctx, ms / c->lent / tm_time(&c->time, 1, ctx));
    return ms - ms / c->lent;
}

/* gain_ms: by drafter, what plain steps for its accepted tokens would have taken. */
static void pay(struct control *c, const struct step_record *r, const double *gain_ms, double step_ms, double plain_ms)
{
    for (int d = 0; d < c->o.n_drafter; d++) {
        struct ctl_state *s = &c->st[d];
        s->purse += PROBE_SHARE * step_ms - r->ask_ms[d] + gain_ms[d];
        if (!s->worth) /* for one that is, catching up with a long prompt is an investment */
            s->purse -= r->prepare_ms[d];
        const double most = PURSE_STEPS * plain_ms;
        if (s->purse > most)
            s->purse = most;
    }
}

/* What a drafter that runs a model took. */
static void see_cost(struct control *c, int d, const struct step_record *r)
{
    struct ctl_state *s = &c->st[d];
    const int deep = c->drafter[d].trees ? s->plan.deep : 0;
    /* WHY planned levels of a tree: what was run for it may be deeper than what it keeps */
    const bool planned = deep > 0 && deep < TREE_MAX && r->depth[d] > 0;
    dc_see(deep > 0 ? &s->wide : &s->cost, planned ? deep : r->depth[d], r->ask_ms[d]);
    if (r->behind[d] >= LEAST_CAUGHT)
        mean(&s->catch_ms, r->prepare_ms[d] / r->behind[d]);
}

void control_learn(struct control *c, const struct step_record *r)
{
    int ctx = 0;
    for (int i = 0; i < r->n_seq; i++)
        ctx += r->seq[i].ctx;
    ctx /= r->n_seq; /* sequences of one batch count as their mean */
    const double lent_ms = see_pass(c, r, ctx, r->forward_ms / (1 - r->early_share));
    mean(&c->rest_ms, (r->accept_ms + r->emit_ms + r->other_ms) / r->n_seq);
    const double plain = tm_time(&c->time, r->n_seq, ctx) / r->n_seq; /* ms of a token without drafts */
    double gain_ms[CTL_MAX_DRAFTERS] = {0};
    for (int d = 0; d < c->o.n_drafter; d++) {
        if (r->lent[d])
            gain_ms[d] -= lent_ms;
        if (c->drafter[d].runs)
            see_cost(c, d, r);
    }
    for (int i = 0; i < r->n_seq; i++) {
        const struct step_seq *s = &r->seq[i];
        for (int d = 0; d < c->o.n_drafter; d++) {
            const struct step_offer *o = &r->offer[i * c->o.n_drafter + d];
            if (o->drafter < 0)
                continue;
            if (c->drafter[d].trees)
                plan_see_tree(&c->st[d], d == s->drafter ? s->tree->n : o->tree->n,
                              d == s->drafter ? s->n_path : o->n_path);
            if (d == s->drafter) /* the rule's own verdict; under law rules it says more than the text */
                ac_see_path(&c->st[d].accept, s->tree, s->path, s->n_path, true);
            else
                ac_see_path(&c->st[d].accept, o->tree, o->path, o->n_path, o->missed);
        }
        if (s->drafter >= 0 && c->drafter[s->drafter].runs) /* to the ms: its entries must pay for their rows, too */
            gain_ms[s->drafter] += s->n_emitted * plain - (r->forward_ms + r->early_ms) / r->n_seq;
        else if (s->drafter >= 0 && s->n_emitted > 1)
            gain_ms[s->drafter] += (s->n_emitted - 1) * plain;
    }
    pay(c, r, gain_ms, r->draft_ms + r->early_ms + r->forward_ms + r->accept_ms + r->emit_ms + r->other_ms, plain);
}
