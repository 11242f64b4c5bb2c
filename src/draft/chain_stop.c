/* Owns where a chain ends. See chain_stop.h. */
#include "draft/chain_stop.h"

#include <math.h>

#define LEAST 0.05 /* chances that a chain goes on from, at most and at least */
#define MOST 0.95
#define HOPE 0.8  /* of any entry, before anything is known */
#define WORTH 0.5 /* what an entry must promise while nobody knows what it costs: a first draft */
enum {
    MEMORY = 128, /* entries of a lead */
    PRIOR = 4,    /* entries that a first guess counts as */
};

float chain_conf(const double *p, int n)
{
    return n > 1 ? (float)(p[0] / (p[0] + p[1])) : 1.0f;
}

/* In half nats. */
static int lead_class(float conf) /* of an entry that somebody else made, maybe: any number or none */
{
    if (!(conf < 1))
        return CHAIN_LEADS - 1;
    const double lead = conf > 0.5f ? 2 * log((double)conf / (1 - (double)conf)) : 0;
    return lead < CHAIN_LEADS - 1 ? (int)lead : CHAIN_LEADS - 1;
}

static double chance(const struct chain_count *c, double before)
{
    return (c->right + PRIOR * before) / (c->tried + PRIOR);
}

bool chain_goes_on(const struct chain_stop *s, const struct draft_ask *ask, float conf, double least, double *reach)
{
    *reach *= chance(&s->lead[lead_class(conf)], conf < 1 ? (double)conf : 1);
    if (least >= 0 || ask->level_gain < 0)
        return *reach >= least;
    const double next = *reach * chance(&s->all, HOPE), /* that of an entry which is not seen yet */
        need = ask->level_gain > 0 ? ask->level_gain : WORTH;
    return next >= fmin(fmax(need, LEAST), MOST);
}

bool chain_grow(const struct chain_stop *s, const struct chain_opts *o, const struct draft_ask *ask,
                const struct draft_row *row, const struct tokenizer *tok, struct tree *t, double *reach)
{
    if (row->p[0] < o->p_min)
        return false;
    const float conf = chain_conf(row->p, row->n);
    const int e = tree_draw(t, t->n - 1, row->id, row->p, row->n, &ask->luck);
    if (e < 0)
        return false;
    const int32_t id = t->entry[e].token; /* may be of the embedding's padding */
    t->entry[e].conf = conf;
    return t->n < o->n_max && t->n < ask->max_entries && chain_goes_on(s, ask, conf, o->reach, reach) &&
           (id >= tokenizer_n_vocab(tok) || !tokenizer_is_end(tok, id));
}

static void see(struct chain_count *c, bool right)
{
    if (c->tried >= MEMORY) {
        c->right *= (MEMORY - 1) / c->tried;
        c->tried = MEMORY - 1;
    }
    c->tried += 1;
    c->right += right;
}

void chain_see(struct chain_stop *s, const struct draft_seen *seen)
{
    if (seen->event != SEEN_STEP || !seen->mine)
        return;
    /* a chain: n_path entries were right, the next was not (or stood behind an end: rare, and no harm) */
    for (int k = 0; k < seen->tree->n && k <= seen->n_path; k++) {
        see(&s->lead[lead_class(seen->tree->entry[k].conf)], k < seen->n_path);
        see(&s->all, k < seen->n_path);
    }
}
