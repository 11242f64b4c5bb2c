#include "support/planted_rules.h"

enum planted_bug planted;

static double planted_refuse(struct decision *d, double a, int entry)
{
    const struct tree_entry *e = &d->t->entry[entry];
    switch (planted) {
    case PLANTED_NO_RESIDUAL:
        d->node = -1;
        return row_excess(d, a, entry);
    case PLANTED_NEW_A: {
        const double s = row_excess(d, a, entry);
        row_refuse(d, refused_weight(s, a), entry);
        return s;
    }
    case PLANTED_NO_NORM: {
        double s = 0;
        d->node = -1;
        for (int i = 0; i < d->n; i++)
            s += d->p[i] *= d->id[i] != e->token;
        for (int i = 0; i < d->n; i++)
            d->p[i] /= s > 0 ? s : 1;
        return a * s;
    }
    case PLANTED_Q_FIRST:
        if (e->row >= 0) { /* the stored row, for the time of the call */
            const struct tree_row *row = &d->t->row[e->row];
            double *p = (double *)(uintptr_t)row->p, own = 0;
            for (int i = 0; i < row->n; i++)
                own = row->id[i] == e->token ? p[i] : own;
            for (int i = 0; i < row->n && own < 1; i++)
                p[i] = row->id[i] == e->token ? 0 : p[i] / (1 - own);
            const double s = row_refuse(d, a, entry);
            for (int i = 0; i < row->n && own < 1; i++)
                p[i] = row->id[i] == e->token ? own : p[i] * (1 - own);
            return s;
        }
        break;
    case PLANTED_NONE:
        break;
    }
    return row_refuse(d, a, entry);
}

/* The real sources, under other names. */
int planted_bytes(struct decision *d);
int planted_multi(struct decision *d, int n_siblings);
int planted_block(struct decision *d);
int planted_traversal(struct decision *d);
void planted_keep(struct decision *d, int entry);
int planted_end_with_draw(struct decision *d, int last);
int planted_end_with_pick(struct decision *d, int node);
#define row_refuse planted_refuse
#define rule_bytes planted_bytes
#define rule_multi planted_multi
#define rule_block planted_block
#define rule_traversal planted_traversal
#define keep planted_keep
#define end_with_draw planted_end_with_draw
#define end_with_pick planted_end_with_pick
#define accept_decide planted_decide
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "accept/rules.c"
#include "accept/block.c"
#include "accept/traversal.c"
#include "accept/decide.c"
/* NOLINTEND(bugprone-suspicious-include) */
