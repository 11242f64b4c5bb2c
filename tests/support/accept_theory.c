/* See accept_theory.h. */
#include "support/accept_theory.h"

#include <math.h>

double at_overlap(const double *p, const struct at_law *q, double a)
{
    double s = 0;
    for (int i = 0; i < q->n; i++)
        s += fmin(a * p[q->id[i]], q->p[i]);
    return s;
}

/* Places of q by falling p / q: heap sort, the worst of the rest at the root. */
static double ratio_at(const double *p, const struct at_law *q, int32_t i)
{
    return p[q->id[i]] / q->p[i];
}

static void sink(const double *p, const struct at_law *q, int32_t *at, int n, int i)
{
    const int32_t it = at[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && ratio_at(p, q, at[child + 1]) < ratio_at(p, q, at[child]))
            child++;
        if (!(ratio_at(p, q, at[child]) < ratio_at(p, q, it)))
            break;
        at[i] = at[child];
    }
    at[i] = it;
}

/* For i the sum over j is what p_j / p_i is where j has the larger p / q, and q_j / q_i where not. */
double at_coupled(const double *p, const struct at_law *q, int32_t *scratch)
{
    double all = 0, above = 1, below = 1;
    int n = 0;
    for (int32_t i = 0; i < q->n; i++)
        if (q->p[i] > 0) {
            scratch[n++] = i;
            above -= p[q->id[i]]; /* tokens that q does not have stand above all others */
        }
    for (int i = n / 2 - 1; i >= 0; i--)
        sink(p, q, scratch, n, i);
    for (int left = n; left > 1;) {
        const int32_t worst = scratch[0];
        scratch[0] = scratch[--left];
        scratch[left] = worst;
        sink(p, q, scratch, left, 0);
    }
    above = fmax(above, 0);
    for (int k = 0; k < n; k++) { /* best first */
        const int32_t i = scratch[k];
        const double pi = p[q->id[i]], qi = q->p[i];
        above += pi;
        below -= qi;
        if (pi > 0)
            all += 1 / (above / pi + fmax(below, 0) / qi);
    }
    return all;
}

void at_add(struct at_cell *c, bool kept, double chance)
{
    c->n++;
    c->kept += kept;
    c->chance += chance;
    c->model += chance * (1 - chance);
    c->off += kept - chance;
}

void at_close(struct at_cell *c)
{
    c->square += c->off * c->off;
    c->off = 0;
}

double at_error(const struct at_cell *c)
{
    return sqrt(fmax(c->model, c->square));
}

double at_z(const struct at_cell *c)
{
    const double se = at_error(c), off = c->kept - c->chance;
    return se > 1e-9 ? off / se : fabs(off) > 1e-6 ? HUGE_VAL : 0;
}

static double weight(double a, double p, double q)
{
    return a * p >= q ? (p > 0 ? 1 : 0) : a * p / q;
}

static double q_of(const struct at_law *q, int32_t x)
{
    for (int i = 0; i < q->n; i++)
        if (q->id[i] == x)
            return q->p[i];
    return 0;
}

void at_chain_seen(struct at_cell cell[AT_DEPTH], enum accept_rule rule, const struct at_chain *c, int kept)
{
    static _Thread_local int32_t scratch[TREE_ROW_CAP];
    const bool whole = rule == RULE_BLOCK || rule == RULE_TRAVERSAL;
    double a = 1;
    for (int i = 0; i < c->n && (whole || kept >= i); i++) {
        const double chance =
            rule == RULE_GUMBEL ? at_coupled(c->p[i], &c->q[i], scratch) : at_overlap(c->p[i], &c->q[i], a);
        at_add(&cell[i], kept > i, chance);
        if (whole)
            a = weight(a, c->p[i][c->x[i]], q_of(&c->q[i], c->x[i]));
    }
}

void at_spoil_q(struct tree *t)
{
    for (int r = 0; r < t->n_row; r++)
        for (int i = 0; i < t->row[r].n; i++)
            ((double *)(uintptr_t)t->row[r].p)[i] = 1.0 / t->row[r].n;
}

void at_gain_add(struct at_gain *g, double x)
{
    g->n++;
    g->sum += x;
    g->now += x;
}

void at_gain_close(struct at_gain *g)
{
    g->square += g->now * g->now;
    g->now = 0;
}

double at_gain_z(const struct at_gain *g)
{
    return g->square > 0 ? g->sum / sqrt(g->square) : 0;
}
