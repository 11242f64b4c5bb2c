/* Owns the arithmetic of the law rules: the target's law p at a node, the proposal q of an entry, and what becomes of p
 * when the entry is refused. All of it in double, from the sampler's final logits.
 * q of a drawn entry is the row it was drawn from; a chosen one is a delta: 1 at its token (verification-law.md 2).
 * Read next: rules.c. */
#include "accept/accept_priv.h"

#include <assert.h>
#include <string.h>

#include "sample/sample_math.h"

int row_load(struct decision *d, int node)
{
    struct dist law;
    if (d->node == node)
        return OTR_OK;
    d->asked |= (uint32_t)1 << node;
    d->node = -1;
    const int rc = d->target->dist(d->target->self, node, &law, d->err);
    if (rc < 0)
        return rc;
    assert(law.n >= 1 && law.n <= d->s->n_vocab);
    double sum = 1; /* the first candidate is the likeliest; alone it is certain, and its logit may be infinite */
    d->p[0] = 1;
    for (int i = 1; i < law.n; i++)
        sum += d->p[i] = sample_exp((double)law.logit[i] - (double)law.logit[0]);
    for (int i = 0; i < law.n; i++)
        d->p[i] /= sum;
    d->node = node;
    d->n = law.n;
    d->id = law.id;
    return OTR_OK;
}

double row_prob(const struct decision *d, int32_t token)
{
    for (int i = 0; i < d->n; i++)
        if (d->id[i] == token)
            return d->p[i];
    return 0;
}

/* q(x) at the entry's own token x. */
static double entry_q(const struct tree *t, int entry)
{
    const struct tree_entry *e = &t->entry[entry];
    if (e->row < 0)
        return 1;
    const struct tree_row *row = &t->row[e->row];
    for (int i = 0; i < row->n; i++)
        if (row->id[i] == e->token)
            return row->p[i];
    return 0;
}

double entry_weight(const struct decision *d, double a, int entry)
{
    const double p = a * row_prob(d, d->t->entry[entry].token), q = entry_q(d->t, entry);
    return p <= 0 ? 0 : p >= q ? 1 : p / q;
}

/* Writes (on) or wipes (off) the entry's law in the scratch row. */
static const double *q_row(struct decision *d, int entry, bool on)
{
    const struct tree_entry *e = &d->t->entry[entry];
    if (e->row < 0) {
        d->s->q[e->token] = on ? 1 : 0;
    } else {
        const struct tree_row *row = &d->t->row[e->row];
        for (int i = 0; i < row->n; i++)
            d->s->q[row->id[i]] = on ? row->p[i] : 0;
    }
    return d->s->q;
}

static double excess(double a, double p, double q)
{
    return a * p > q ? a * p - q : 0;
}

double row_excess(struct decision *d, double a, int entry)
{
    const double *q = q_row(d, entry, true);
    double s = 0;
    for (int i = 0; i < d->n; i++)
        s += excess(a, d->p[i], q[d->id[i]]);
    q_row(d, entry, false);
    return s;
}

double row_refuse(struct decision *d, double a, int entry)
{
    const double s = row_excess(d, a, entry);
    d->node = -1;
    if (s > 0) {
        const double *q = q_row(d, entry, true);
        for (int i = 0; i < d->n; i++)
            d->p[i] = excess(a, d->p[i], q[d->id[i]]) / s;
        q_row(d, entry, false);
    }
    return s;
}

double refused_weight(double s, double a)
{
    return s > 0 ? s / (s + (1 - a)) : 0; /* the brackets keep a = 1 at 1, however small S is */
}
