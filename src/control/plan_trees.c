/* Owns the size of trees that a model writes: entries and levels, and whether width pays at all.
 *
 * A tree costs the drafter one pass a level, whatever it is as wide as, nearly; and the target a row an entry. What it
 * brings is worked out from chances by place: a first child as in a chain, later ones by their rank, the best tree for
 * every number of entries and levels; corrected by what such trees brought lately beside that. All sizes are looked at;
 * where no tree promises more tokens per ms than the best chain, a chain is asked for.
 * SRC: verification-law.md 7; methods/21 section 5 (Sequoia). Read next: control.c. */
#include <math.h>

#include "control/control_priv.h"

#define LEAN 4.0f            /* entries */
#define FADE (1 - 1 / 24.0f) /* a tree */

/* What trees bring beside what their places promise. */
static double kept_share(const struct ctl_state *s)
{
    return fmin(fmax((double)((s->came + LEAN) / (s->hoped + LEAN)), 0.5), 2);
}

void plan_trees(struct control *c, int d, const struct ctl_seq *seq, int n_seq, int ctx, int most)
{
    struct ctl_state *s = &c->st[d];
    const struct draft_cost *cost =
        s->wide.n > 0 ? &s->wide : &s->cost; /* of levels, until a tree says what its take */
    double sum[TREE_MAX + 1], ms[TREE_MAX + 1] = {0};
    int deep[TREE_MAX + 1];
    bool wide = false;
    for (int i = 0; i < n_seq; i++)
        wide |= !seq[i].chain;
    if (!wide)
        return;
    most = most < TREE_MAX ? most : TREE_MAX;
    for (int n = 1; n <= most; n++)
        ms[n] = tm_time(&c->time, n_seq * (1 + n), ctx) + c->rest_ms * n_seq;
    const double share = kept_share(s);
    for (int levels = 1, deepest = most; levels <= deepest; levels++) {
        const int n_tree = ac_best_trees(&s->accept, levels, most, sum, deep);
        bool better = false;
        for (int n = c->o.min_entries; n <= n_tree; n++) {
            if (n == 0 || deep[n] < levels || deep[n] == n) /* as good with fewer levels; a chain */
                continue;
            const double rate = n_seq * (1 + share * sum[n]) / (ms[n] + dc_ms(cost, levels));
            if (rate > s->plan.rate) {
                s->plan = (struct ctl_plan){n, levels, rate, rate / n_seq * (dc_ms(cost, 2) - dc_ms(cost, 1))};
                better = true;
            }
        }
        if (better)
            for (int n = 0; n <= TREE_MAX; n++)
                s->promise[n] = n <= n_tree ? sum[n] : sum[n_tree];
        if (deep[n_tree] < levels) /* more levels make no other trees */
            break;
    }
    if (s->plan.deep == 0)
        ac_forget_ranks(&s->accept);
}

void plan_see_tree(struct ctl_state *s, int n_entries, int n_path)
{
    if (s->plan.deep == 0 || n_entries == 0 || s->plan.deep == TREE_MAX) /* not planned */
        return;
    s->hoped = s->hoped * FADE + (float)s->promise[n_entries];
    s->came = s->came * FADE + (float)n_path;
}
