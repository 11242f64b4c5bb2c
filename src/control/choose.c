/* Owns the choice after the proposals: for each sequence one tree and how many of its entries, for the batch as a
 * whole.
 *
 * An entry is worth its chance to be accepted, so the best k entries of a tree are the k likeliest; a parent is at
 * least as likely as its child, so they are a tree again. The batch takes entries in the order of their worth,
 * whichever sequence they belong to, and stops where tokens per millisecond are most: every number of rows is looked
 * at, because T is not convex at the edges of tiles. SRC: verification-law.md 7, methods/02 (goodput). Read next:
 * state.c. */
#include <stdlib.h>
#include <string.h>

#include "control/control_priv.h"

struct ranked { /* the entries of one tree, likeliest first */
    int n, entry[TREE_MAX];
    double reach[TREE_MAX];   /* by entry */
    double sum[TREE_MAX + 1]; /* of the first k */
};

static void rank(struct ranked *k, const struct acceptance *a, const struct tree *t)
{
    ac_reach(a, t, k->reach);
    k->n = t->n;
    for (int i = 0; i < t->n; i++) { /* insertion: stable, so a parent stays before its children */
        int j = i;
        for (; j > 0 && k->reach[k->entry[j - 1]] < k->reach[i]; j--)
            k->entry[j] = k->entry[j - 1];
        k->entry[j] = i;
    }
    k->sum[0] = 0;
    for (int i = 0; i < t->n; i++)
        k->sum[i + 1] = k->sum[i] + k->reach[k->entry[i]];
}

/* Tokens per ms of one sequence alone at its best length; *len: that length. */
static double best_alone(const struct control *c, const struct ranked *k, int ctx, int *len)
{
    const double plain = 1 / (tm_time(&c->time, 1, ctx) + c->rest_ms), most = plain * (1 + k->sum[k->n]);
    double best = plain;
    *len = 0;
    /* WHY most: no pass takes less than one of one row, so a hopeless tree ends the scan before it begins */
    for (int i = c->o.min_entries; i <= k->n && most > best * (*len ? 1 : CTL_MARGIN); i++) {
        const double rate = (1 + k->sum[i]) / (tm_time(&c->time, 1 + i, ctx) + c->rest_ms);
        if (rate > best * (*len ? 1 : CTL_MARGIN)) {
            best = rate;
            *len = i;
        }
    }
    return best;
}

/* Keeps the first n of the ranking. */
static void cut(struct tree *t, const struct ranked *k, int n)
{
    bool keep[TREE_MAX] = {false};
    for (int i = 0; i < n; i++)
        keep[k->entry[i]] = true;
    tree_keep(t, keep);
}

/* What was drawn under a law rule is verified: its length was planned (rule R1). */
static bool is_planned(const struct control *c, const struct ctl_seq *s, int drafter)
{
    return s->law && c->drafter[drafter].draws;
}

/* The offer of a sequence that promises most, its ranking and how many of its entries may be taken; -1: none.
 * company: the rows of a batch are dear or cheap together, so that all entries are looked at later. */
static int pick_offer(const struct control *c, const struct ctl_seq *s, const struct ctl_offer *offer, bool company,
                      struct ranked *out, int *len)
{
    struct ranked k;
    double best = 0;
    int pick = -1, n = 0;
    for (int d = 0; d < c->o.n_drafter; d++) {
        if (offer[d].drafter < 0 || offer[d].tree->n < c->o.min_entries)
            continue;
        rank(&k, &c->st[d].accept, offer[d].tree);
        double rate = best_alone(c, &k, s->ctx, &n);
        if (c->o.fixed_entries >= 0) {
            n = k.n < c->o.fixed_entries ? k.n : c->o.fixed_entries;
            rate = k.sum[n];
        } else if (company || is_planned(c, s, d)) {
            n = k.n;
        }
        if (n > 0 && (pick < 0 || rate > best)) {
            pick = d;
            best = rate;
            *out = k;
            *len = n;
        }
    }
    return pick;
}

void control_narrow(struct control *c, struct ctl_seq *seq, int n_seq, const struct ctl_offer *offers)
{
    struct ranked k;
    double best = 0;
    int n;
    if (c->o.fixed_entries >= 0 || n_seq > 1) /* a model serves a whole batch with one pass */
        return;
    for (int d = 0; d < c->o.n_drafter; d++)
        /* WHY not what was drawn under a law rule: it must not decide what else is drawn (rule R1) */
        if (offers[d].drafter >= 0 && offers[d].tree->n >= c->o.min_entries && !is_planned(c, seq, d)) {
            rank(&k, &c->st[d].accept, offers[d].tree);
            const double rate = best_alone(c, &k, seq->ctx, &n);
            best = n > 0 && rate > best ? rate : best;
        }
    for (int d = 0; d < c->o.n_drafter; d++)
        if (c->drafter[d].runs && best > c->st[d].plan.rate)
            seq->asked &= ~(1ull << d);
}

/* How many rows in all: entries go in order of worth until the rate falls for good. */
static void share_rows(const struct control *c, const struct ctl_seq *seq, int n_seq, const struct ranked *k,
                       const int *len, const int *take, int *keep)
{
    int at[CTL_MAX_BATCH] = {0}, ctx = 0, rows = n_seq;
    double tokens = n_seq, best;
    for (int i = 0; i < n_seq; i++) {
        ctx += seq[i].ctx;
        if (take[i] >= 0 && is_planned(c, &seq[i], take[i])) {
            at[i] = len[i];
            rows += len[i];
            tokens += k[i].sum[len[i]];
        }
        keep[i] = at[i];
    }
    ctx /= n_seq;
    const double rest = c->rest_ms * n_seq;
    best = tokens / (tm_time(&c->time, rows, ctx) + rest) * CTL_MARGIN;
    for (;;) {
        int top = -1;
        for (int i = 0; i < n_seq; i++)
            if (take[i] >= 0 && at[i] < len[i] &&
                (top < 0 || k[i].reach[k[i].entry[at[i]]] > k[top].reach[k[top].entry[at[top]]]))
                top = i;
        if (top < 0)
            break;
        tokens += k[top].reach[k[top].entry[at[top]]];
        at[top]++;
        rows++;
        const double rate = tokens / (tm_time(&c->time, rows, ctx) + rest);
        if (rate > best) {
            best = rate;
            memcpy(keep, at, (size_t)n_seq * sizeof *keep);
        }
    }
}

void control_choose(struct control *c, const struct ctl_seq *seq, int n_seq, const struct ctl_offer *offers, int *take)
{
    static _Thread_local struct ranked k[CTL_MAX_BATCH]; /* 50 KB: too much for a small stack */
    int len[CTL_MAX_BATCH], keep[CTL_MAX_BATCH];
    for (int i = 0; i < n_seq; i++) {
        take[i] = pick_offer(c, &seq[i], offers + i * c->o.n_drafter, n_seq > 1, &k[i], &len[i]);
        keep[i] = take[i] >= 0 ? len[i] : 0;
    }
    if (n_seq > 1 && c->o.fixed_entries < 0)
        share_rows(c, seq, n_seq, k, len, take, keep);
    for (int i = 0; i < n_seq; i++) {
        if (take[i] < 0)
            continue;
        if (keep[i] < c->o.min_entries)
            take[i] = -1;
        else if (keep[i] < k[i].n)
            cut(offers[i * c->o.n_drafter + take[i]].tree, &k[i], keep[i]);
    }
}
