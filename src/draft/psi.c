/* Owns the walk over drafts that psi sums up. See psi.h. Read next: slrs.c. */
#include "draft/psi.h"

#include <string.h>

int psi_path(const struct psi *s, int node, int32_t *path)
{
    const int n = s->node[node].depth;
    for (int i = n; i > 0; node = s->node[node].parent)
        path[--i] = s->node[node].id;
    return n;
}

/* The likeliest open drafts, at most n, the first of equal ones first; their number. */
static int likeliest_open(const struct psi *s, int *node, int n)
{
    int m = 0;
    for (int i = 0; i < s->n_node; i++) {
        if (!s->node[i].open)
            continue;
        int at = m < n ? m++ : n;
        for (; at > 0 && s->node[i].mass > s->node[node[at - 1]].mass; at--)
            if (at < n)
                node[at] = node[at - 1];
        if (at < n)
            node[at] = i;
    }
    return m;
}

/* All drafts of one token more. */
static int grow(struct psi *s, const struct psi_source *src, int at)
{
    int32_t path[PSI_MAX_DEPTH + 1], id[PSI_MAX_TOP];
    double q[PSI_MAX_TOP];
    const int n = psi_path(s, at, path), n_law = src->law(src->self, s, at, id, q, s->top);
    if (n_law < 0)
        return n_law;
    s->n_row++;
    s->node[at].open = false;
    s->node[at].inner = n_law > 0;
    for (int i = 0; i < n_law; i++) {
        bool done = false;
        path[n] = id[i];
        const int32_t first = src->first(src->self, path, n + 1, &done);
        if (first < -1)
            return first;
        s->node[s->n_node++] = (struct psi_node){.mass = s->node[at].mass * q[i],
                                                 .id = id[i],
                                                 .first = first,
                                                 .parent = (int16_t)at,
                                                 .depth = (int16_t)(n + 1),
                                                 .open = !done && n + 1 < s->depth};
        s->complete += done ? s->node[at].mass * q[i] : 0;
    }
    return OTR_OK;
}

/* The mass of a draft that has ended, to the token it begins with. */
static void count(struct psi *s, int node)
{
    const struct psi_node *v = &s->node[node];
    int at = s->n;
    if (v->first < 0)
        return;
    while (at > 0 && s->id[at - 1] > v->first)
        at--;
    if (at > 0 && s->id[at - 1] == v->first) {
        s->p[--at] += v->mass;
        if (v->mass > s->node[s->best[at]].mass)
            s->best[at] = node;
        return;
    }
    const size_t n_move = (size_t)(s->n++ - at);
    memmove(s->id + at + 1, s->id + at, n_move * sizeof *s->id);
    memmove(s->p + at + 1, s->p + at, n_move * sizeof *s->p);
    memmove(s->best + at + 1, s->best + at, n_move * sizeof *s->best);
    s->id[at] = v->first;
    s->p[at] = v->mass;
    s->best[at] = node;
}

int psi_run(struct psi *s, const struct psi_source *src)
{
    int rc = OTR_OK;
    s->n = s->n_row = 0;
    s->complete = 0;
    s->n_node = 1;
    s->node[0] = (struct psi_node){.mass = 1, .id = -1, .first = -1, .parent = -1, .open = true};
    while (s->n_row < s->rows && rc == OTR_OK) {
        int node[PSI_AT_ONCE];
        const int left = s->rows - s->n_row, n = likeliest_open(s, node, left < PSI_AT_ONCE ? left : PSI_AT_ONCE);
        if (n == 0)
            break;
        if (src->prepare)
            rc = src->prepare(src->self, s, node, n);
        for (int i = 0; i < n && rc == OTR_OK; i++)
            rc = grow(s, src, node[i]);
    }
    for (int i = 0; i < s->n_node && rc == OTR_OK; i++)
        if (!s->node[i].inner)
            count(s, i);
    return rc;
}
