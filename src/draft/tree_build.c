/* Owns the growing of trees, for all policies. See tree_build.h.
 * A round: every tree of the batch says which of its nodes want their rows; these run in one pass; their laws are read,
 * and candidates chosen or children drawn. INV: nothing is allocated after open. */
#include "draft/tree_build.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draft/draft_row.h"
#include "sample/sample_math.h"

enum { NOISY = 4096 }; /* longest law that noise is put on */

struct tree_build {
    const struct tree_policy *policy;
    struct tree_opts o;
    void *state; /* of the policy */
    int n_at_once, n_vocab;
    const struct tokenizer *tok;
    double noisy[NOISY];
    struct draft_law_row *rows; /* [n_at_once * TREE_MAX] of a round */
    struct tree_node **of;      /* their nodes */
    struct tree_grow *grow;     /* [n_at_once] */
};

enum { N_POLICY = 5 };
static const struct tree_policy *const policies[N_POLICY] = {&tree_eagle2, &tree_opt, &tree_dyspec, &tree_sequoia,
                                                             &tree_medusa};

const struct tree_policy *tree_policy_find(const char *name)
{
    for (int i = 0; i < N_POLICY; i++)
        if (strcmp(policies[i]->name, name) == 0)
            return policies[i];
    return NULL;
}

bool tree_is_drawn(const struct draft_ask *ask)
{
    return accept_rule_exact(ask->luck.rule) == EXACT_LAW;
}

double tree_worth(const struct tree_opts *o, const struct draft_ask *ask, double unknown)
{
    return o->gain >= 0 ? o->gain : ask->level_gain > 0 ? ask->level_gain : unknown;
}

void tree_build_close(struct tree_build *b)
{
    if (!b)
        return;
    free(b->state);
    free(b->rows);
    free(b->of);
    free(b->grow);
    free(b);
}

int tree_build_open(struct tree_build **out, const struct tree_policy *policy, const struct tree_opts *o, int n_at_once,
                    int n_vocab, const struct tokenizer *tok, struct otr_err *err)
{
    const size_t n_rows = (size_t)n_at_once * TREE_MAX;
    struct tree_build *b = calloc(1, sizeof *b);
    if (!b)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    b->policy = policy;
    b->o = *o;
    b->n_at_once = n_at_once;
    b->n_vocab = n_vocab;
    b->tok = tok;
    b->rows = malloc(n_rows * sizeof *b->rows);
    b->of = malloc(n_rows * sizeof(struct tree_node *));
    b->grow = malloc((size_t)n_at_once * sizeof *b->grow);
    int rc = b->rows && b->of && b->grow ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for a drafter's trees");
    if (rc == OTR_OK && policy->open)
        rc = policy->open(&b->state, o, err);
    if (rc < 0) {
        tree_build_close(b);
        return rc;
    }
    *out = b;
    return OTR_OK;
}

void tree_build_learn(struct tree_build *b, const struct draft_seen *seen)
{
    if (b->policy->learn && seen->event == SEEN_STEP && seen->tree && seen->tree->n > 0)
        b->policy->learn(b->state, seen);
}

/* ---- nodes ---- */

static bool ends(const struct tree_build *b, int32_t token)
{
    return b->tok && token < tokenizer_n_vocab(b->tok) && tokenizer_is_end(b->tok, token);
}

/* conf: as in the node. Returns it. */
static struct tree_node *add_node(const struct tree_build *b, struct tree_grow *g, int parent, int32_t token,
                                  double conf)
{
    struct tree_node *up = &g->node[parent], *x = &g->node[g->n];
    assert(g->n < TREE_CANDS);
    *x = (struct tree_node){.token = token,
                            .parent = parent,
                            .depth = up->depth + 1,
                            .place = SHAPE_OUTSIDE,
                            .entry = TREE_ROOT,
                            .row = -1,
                            .conf = conf,
                            .reach = up->reach * conf,
                            .left = 1,
                            .n_law = -1};
    if (g->shape && up->place != SHAPE_OUTSIDE)
        x->place = shape_child(g->shape, up->place, up->n_kid);
    x->end = x->depth >= g->deepest || ends(b, token) ||
             (g->shape && (x->place == SHAPE_OUTSIDE || shape_last_rank(g->shape, x->place, g->budget) < 0));
    up->n_kid++;
    g->n++;
    return x;
}

static void grow_begin(const struct tree_build *b, struct tree_grow *g, const struct draft_ask *ask, struct tree *tree)
{
    g->ask = ask;
    g->tree = tree;
    g->budget = ask->max_entries < b->o.nodes ? ask->max_entries : b->o.nodes;
    g->deepest = ask->max_depth > 0 && ask->max_depth < b->o.depth ? ask->max_depth : b->o.depth;
    g->level = g->used = g->n_row = 0;
    g->last = false;
    g->promised = 0;
    g->shape = NULL;
    g->n = 1;
    g->node[0] = (struct tree_node){.parent = -1,
                                    .place = SHAPE_ROOT,
                                    .entry = TREE_ROOT,
                                    .row = -1,
                                    .conf = 1,
                                    .reach = 1,
                                    .left = 1,
                                    .n_law = -1};
    if (b->policy->begin)
        b->policy->begin(b->state, g);
}

/* ---- laws ---- */

/* The n likeliest of row, under gumbel with the target's noise: into id and p, likeliest first, by the order in which
 * tree_draw would take them. p: the share of all. */
static int take_best(struct tree_build *b, const struct tree_luck *luck, int depth, const struct draft_row *row, int n,
                     int32_t *id, double *p)
{
    const bool noise = luck->rule == RULE_GUMBEL;
    const int m = row->n < NOISY ? row->n : NOISY;
    int kept = 0;
    double sum = 0, top = -HUGE_VAL;
    for (int i = 0; i < m; i++) {
        double w = row->p[i];
        if (noise) /* a row's p may be too small for a logarithm: it is never drawn then */
            w = w > 0x1p-1000 ? sample_log(w) + gumbel_noise(luck->key.seed, luck->key.choice,
                                                             luck->n_before + (uint64_t)depth, row->id[i])
                              : -HUGE_VAL;
        b->noisy[i] = w;
        top = fmax(top, w);
        int k = kept;
        for (; k > 0 && (w > p[k - 1] || (w == p[k - 1] && row->id[i] < id[k - 1])); k--)
            if (k < n) {
                p[k] = p[k - 1];
                id[k] = id[k - 1];
            }
        if (k < n) {
            p[k] = w;
            id[k] = row->id[i];
            kept += kept < n;
        }
    }
    for (int i = 0; i < m && noise; i++)
        sum += sample_exp(fmax(b->noisy[i] - top, -700));
    for (int k = 0; k < kept && noise; k++)
        p[k] = sample_exp(fmax(p[k] - top, -700)) / sum;
    return kept;
}

/* Reads the law of a node's row into the store; candidates are chosen from it at once. */
static void read_law(struct tree_build *b, const struct draft_laws *laws, void *self, struct tree_grow *g, int node)
{
    struct tree_node *x = &g->node[node];
    int32_t path[TREE_MAX];
    for (int i = x->depth, k = node; i > 0; k = g->node[k].parent)
        path[--i] = g->node[k].token;
    const struct draft_row *row = laws->law(self, g->ask, path, x->depth, x->row);
    const bool whole = b->policy->draws && tree_is_drawn(g->ask);
    int32_t *id = g->id + g->used;
    double *p = g->p + g->used;
    x->id = id;
    x->p = p;
    x->n_law = 0;
    if (!row)
        return;
    if (whole) {
        const int room = (int)(sizeof g->id / sizeof *g->id) - g->used;
        x->n_law = row->n <= room ? row->n : 0;
        memcpy(id, row->id, (size_t)x->n_law * sizeof *id);
        memcpy(p, row->p, (size_t)x->n_law * sizeof *p);
    } else {
        x->n_law = take_best(b, &g->ask->luck, x->depth, row, TREE_KIDS, id, p);
    }
    g->used += x->n_law;
    if (b->policy->draws)
        return;
    const int most = g->shape ? shape_last_rank(g->shape, x->place, g->budget) + 1 : b->o.top_k;
    for (int k = 0; k < most && k < x->n_law; k++)
        add_node(b, g, node, id[k], p[k]);
}

/* ---- chosen ---- */

/* The nodes that would be kept now, best first; a parent before its children, for it scores no less. Their number. */
static int best_nodes(const struct tree_build *b, const struct tree_grow *g, int *best)
{
    double score[TREE_MAX];
    int n = 0;
    for (int i = 1; i < g->n; i++) {
        const double s = b->policy->score(g, &g->node[i]);
        if (!(s > 0))
            continue;
        int k = n;
        for (; k > 0 && s > score[k - 1]; k--)
            if (k < g->budget) {
                score[k] = score[k - 1];
                best[k] = best[k - 1];
            }
        if (k < g->budget) {
            score[k] = s;
            best[k] = i;
            n += n < g->budget;
        }
    }
    return n;
}

double tree_promise(const struct tree_grow *g)
{
    double best[TREE_MAX], sum = 0;
    int n = 0;
    for (int i = 1; i < g->n; i++) {
        const double r = g->node[i].reach;
        int k = n;
        for (; k > 0 && r > best[k - 1]; k--)
            if (k < g->budget)
                best[k] = best[k - 1];
        if (k < g->budget) {
            best[k] = r;
            n += n < g->budget;
        }
    }
    for (int k = 0; k < n; k++)
        sum += best[k];
    return sum;
}

/* Which nodes of the newest level are expanded: the best top_k of it. WHY only such as would be kept now: what lies
 * below the others is worth no more than they are. */
static int chosen_level(struct tree_build *b, struct tree_grow *g, int *want)
{
    int best[TREE_MAX], n = 0;
    const int n_best = best_nodes(b, g, best), most = g->shape ? TREE_MAX : b->o.top_k;
    if (b->policy->stop && b->policy->stop(&b->o, g))
        return 0;
    for (int k = 0; k < n_best && n < most && g->n_row + n < TREE_MAX; k++) {
        const struct tree_node *x = &g->node[best[k]];
        if (x->depth == g->level && !x->end && x->row < 0)
            want[n++] = best[k];
    }
    return n;
}

static void keep_chosen(const struct tree_build *b, struct tree_grow *g)
{
    int best[TREE_MAX];
    const int n = best_nodes(b, g, best);
    for (int k = 0; k < n; k++) {
        struct tree_node *x = &g->node[best[k]];
        const int parent = x->parent == 0 ? TREE_ROOT : g->node[x->parent].entry;
        x->entry = tree_add(g->tree, parent, x->token, (float)x->conf, b->n_vocab);
        if (x->entry < 0) /* a token that is none of the target's: it, and what is below, stays away */
            return;
    }
}

/* ---- drawn ---- */

/* The node whose next child is worth most, of those that are not passed over; -1: none is worth anything. */
static int best_draw(const struct tree_build *b, const struct tree_grow *g, const bool *passed)
{
    double most = 0;
    int at = -1;
    for (int i = 0; i < g->n; i++) {
        const struct tree_node *x = &g->node[i];
        if (x->end || (passed && passed[i]) || (x->n_law < 0 && g->last))
            continue;
        const double s = b->policy->score(g, x);
        if (s > most) {
            most = s;
            at = i;
        }
    }
    return at;
}

/* One child more. A node that has nothing left to draw is closed. */
static void draw_child(const struct tree_build *b, struct tree_grow *g, int node)
{
    struct tree_node *x = &g->node[node];
    const int n_node = g->tree->n_node;
    int e;
    if (tree_is_drawn(g->ask))
        e = x->n_law > 0 ? tree_draw(g->tree, x->entry, x->id, x->p, x->n_law, &g->ask->luck) : OTR_E_LIMIT;
    else
        e = x->n_kid < x->n_law ? tree_add(g->tree, x->entry, x->id[x->n_kid], 0, b->n_vocab) : OTR_E_LIMIT;
    if (e < 0) {
        x->end = true;
        return;
    }
    struct tree_entry *entry = &g->tree->entry[e];
    /* of a drawn one what the core said: its chance if its earlier siblings are wrong */
    const double conf = tree_is_drawn(g->ask) ? x->left * (double)entry->conf : x->p[x->n_kid];
    struct tree_node *kid = add_node(b, g, node, entry->token, conf);
    kid->entry = e;
    kid->end |= entry->node < n_node; /* drawn again: what is below it is there already */
    x->left = fmax(x->left - conf, 0);
    entry->conf = (float)conf;
}

/* Draws in the order of worth until the best child's row is wanted; then: the rows that all draws still to come would
 * want if nothing better came of them. */
static int drawn_level(struct tree_build *b, struct tree_grow *g, int *want)
{
    bool passed[TREE_CANDS] = {false};
    int n = 0, node;
    while (g->tree->n < g->budget && (node = best_draw(b, g, NULL)) >= 0) {
        if (g->node[node].n_law >= 0) {
            draw_child(b, g, node);
            continue;
        }
        if (g->level > 0 && (g->level >= g->deepest || (b->policy->stop && b->policy->stop(&b->o, g)))) {
            g->last = true; /* nodes whose law is known may still have more */
            continue;
        }
        for (int left = g->budget - g->tree->n; left > 0 && (node = best_draw(b, g, passed)) >= 0; left--) {
            passed[node] = true;
            if (g->node[node].n_law < 0 && g->n_row + n < TREE_MAX)
                want[n++] = node;
        }
        g->last = n == 0;
        if (n > 0)
            return n;
    }
    return 0;
}

/* ---- rounds ---- */

/* The rows of a round, over all trees. */
static int collect(struct tree_build *b, int n_ask)
{
    int n = 0, want[TREE_MAX];
    for (int i = 0; i < n_ask; i++) {
        struct tree_grow *g = &b->grow[i];
        if (g->node[0].row < 0 || g->budget < 1 || g->last)
            continue;
        const int m = b->policy->draws ? drawn_level(b, g, want) : chosen_level(b, g, want);
        g->last = m == 0;
        for (int k = 0; k < m; k++) {
            const struct tree_node *x = &g->node[want[k]];
            b->rows[n] = (struct draft_law_row){i, g->node[x->parent].row, x->token};
            b->of[n++] = &g->node[want[k]];
        }
        g->n_row += m;
    }
    return n;
}

static void read_laws(struct tree_build *b, const struct draft_laws *laws, void *self, int first, int n)
{
    for (int k = 0; k < n; k++)
        b->of[k]->row = first + k;
    for (int k = 0; k < n; k++) {
        struct tree_grow *g = &b->grow[b->rows[k].ask];
        read_law(b, laws, self, g, (int)(b->of[k] - g->node));
        g->level += k + 1 == n || b->rows[k + 1].ask != b->rows[k].ask;
    }
}

int tree_build_run(struct tree_build *b, const struct draft_laws *laws, void *self, const struct draft_ask *ask,
                   int n_ask, struct tree *out)
{
    const int n = n_ask < b->n_at_once ? n_ask : b->n_at_once;
    int row[64], rc, m;
    assert(n <= 64);
    if (n < 1)
        return OTR_OK;
    if ((rc = laws->begin(self, ask, n, row)) < 0)
        return rc;
    for (int i = 0; i < n; i++) {
        struct tree_grow *g = &b->grow[i];
        grow_begin(b, g, &ask[i], &out[i]);
        g->node[0].row = row[i];
        if (row[i] >= 0 && g->budget > 0) {
            read_law(b, laws, self, g, 0);
            g->level = 1;
        }
    }
    while ((m = collect(b, n)) > 0 && (rc = laws->more(self, ask, b->rows, m)) >= 0)
        read_laws(b, laws, self, rc, m);
    for (int i = 0; i < n; i++) {
        struct tree_grow *g = &b->grow[i];
        int none[TREE_MAX];
        if (row[i] < 0 || g->budget < 1)
            continue;
        g->last = true;
        if (b->policy->draws)
            drawn_level(b, g, none); /* where a pass failed: what known laws have left */
        else
            keep_chosen(b, g);
    }
    if (laws->end)
        laws->end(self, ask, n);
    return OTR_OK;
}
