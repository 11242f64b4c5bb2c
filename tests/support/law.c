#include "support/law.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* ---- models -------------------------------------------------------------------------------------------------------*/

struct words {
    uint64_t seed;
    uint32_t n;
};

static int random_below(struct words *w, int n)
{
    return (int)(philox4x32(w->seed, (struct philox){{w->n++, 4711, 0, 0}}).v[0] % (uint32_t)n);
}

static int n_contexts(const struct law_model *m)
{
    return m->order == 1 ? 1 + m->v : 1 + m->v + m->v * m->v;
}

int law_ctx(const struct law_model *m, const int32_t *tok, int n)
{
    if (n == 0)
        return 0;
    if (n == 1 || m->order == 1)
        return 1 + tok[n - 1];
    return 1 + m->v + tok[n - 1] * m->v + tok[n - 2];
}

void law_model_set(struct law_model *m, int ctx, const float *logit)
{
    double sum = 0;
    m->n[ctx] = 0;
    for (int t = 0; t < m->v; t++) {
        m->p[ctx][t] = isinf(logit[t]) ? 0 : exp((double)logit[t]);
        sum += m->p[ctx][t];
        if (isinf(logit[t]))
            continue;
        int at = m->n[ctx]++; /* insertion: logit down, id up */
        for (; at > 0 && m->logit[ctx][at - 1] < logit[t]; at--) {
            m->logit[ctx][at] = m->logit[ctx][at - 1];
            m->id[ctx][at] = m->id[ctx][at - 1];
        }
        m->logit[ctx][at] = logit[t];
        m->id[ctx][at] = t;
    }
    for (int t = 0; t < m->v; t++)
        m->p[ctx][t] /= sum;
}

/* Small whole weights, at most `support` of them not 0. */
static void random_weights(struct words *w, int v, int support, int *out)
{
    for (int t = 0; t < v; t++)
        out[t] = 0;
    for (int k = 0; k < support;) {
        const int t = random_below(w, v);
        if (out[t] == 0) {
            out[t] = 1 + random_below(w, random_below(w, 2) ? 9 : 3);
            k++;
        }
    }
}

void law_model_random(struct law_model *m, uint64_t seed, int v, int order, int support, bool zeros)
{
    struct words w = {seed, 0};
    int weight[LAW_V];
    memset(m, 0, sizeof *m);
    m->v = v;
    m->order = order;
    for (int c = 0; c < n_contexts(m); c++) {
        float logit[LAW_V];
        random_weights(&w, v, zeros ? 2 + random_below(&w, v - 2) : v, weight);
        for (int t = 0; t < v; t++)
            logit[t] = weight[t] ? (float)log(weight[t]) : -HUGE_VALF;
        law_model_set(m, c, logit);
        for (int i = 0; i < LAW_Q; i++) {
            random_weights(&w, v, support, weight);
            for (int t = 0; t < v; t++)
                m->q[i][c][t] = weight[t];
        }
        for (int e = 0; e < LAW_ENTRIES; e++)
            m->choice[e][c] = random_below(&w, v);
    }
}

/* ---- drafts -------------------------------------------------------------------------------------------------------*/

const struct law_shape law_shapes[] = {
    {"1x1", 2, {-1, 0}},
    {"2x1", 4, {-1, -1, 0, 1}},
    {"2x2", 6, {-1, -1, 0, 0, 1, 1}},
    {"2x2-deep", 6, {-1, 0, 0, -1, 3, 3}}, /* the same, drawn depth first */
    {"3x2", 9, {-1, -1, -1, 0, 0, 1, 1, 2, 2}},
    {"k1", 1, {-1}},
    {"k2", 2, {-1, 0}},
    {"k3", 3, {-1, 0, 1}},
    {"3x0", 3, {-1, -1, -1}},
    {"uneven", 5, {-1, 0, -1, 1, 0}},
    {NULL, 0, {0}},
};

const struct law_shape *law_shape_find(const char *name)
{
    for (const struct law_shape *s = law_shapes; s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

/* The context after history and the path to a node. */
static int node_ctx(const struct law_rig *r, int node)
{
    int32_t tail[2] = {0, 0}; /* its last two tokens, in order */
    int n = 0;
    for (; node > 0 && n < 2; node = r->t.node_parent[node])
        tail[1 - n++] = r->t.node_token[node];
    for (int i = r->n_hist - 1; i >= 0 && n < 2; i--)
        tail[1 - n++] = r->hist[i];
    return law_ctx(r->c->m, tail + 2 - n, n);
}

static int target_dist(void *self, int node, struct dist *out, struct otr_err *err)
{
    const struct law_rig *r = self;
    const int c = node_ctx(r, node);
    (void)err;
    *out = (struct dist){r->c->m->n[c], r->c->m->id[c], r->c->m->logit[c]};
    return OTR_OK;
}

static void draft(struct law_rig *r, const struct accept_dice *dice)
{
    const struct law_case *c = r->c;
    const struct law_model *m = c->m;
    static const int32_t ids[2][LAW_V] = {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}};
    int made[LAW_ENTRIES], sum = 0;
    tree_clear(&r->t);
    if (c->grow) {
        c->grow(r, dice);
        return;
    }
    for (int e = 0; e < c->shape->n; e++) {
        const int up = c->shape->parent[e], parent = up < 0 ? TREE_ROOT : made[up];
        made[e] = -2;
        if (parent == -2 || (c->stop && parent >= 0 && r->t.entry[parent].token == 0))
            continue;
        const int ctx = node_ctx(r, parent < 0 ? 0 : r->t.entry[parent].node);
        int rc;
        if (c->kinds[(size_t)e % strlen(c->kinds)] == 'c') {
            rc = tree_add(&r->t, parent, m->choice[e][ctx], NAN, m->v);
        } else { /* rows come in both orders of their ids */
            const double *q = m->q[c->nosy ? (sum + e) % LAW_Q : 0][ctx];
            double p[LAW_V];
            for (int i = 0; i < m->v; i++)
                p[i] = q[ids[e % 2][i + (e % 2 ? LAW_V - m->v : 0)]];
            rc = tree_draw_with(&r->t, parent, ids[e % 2] + (e % 2 ? LAW_V - m->v : 0), p, m->v, &r->luck, dice);
        }
        if (rc == OTR_E_LIMIT) /* nothing left to draw */
            continue;
        if (rc < 0)
            abort();
        made[e] = rc;
        sum += r->t.entry[rc].token;
    }
    if (tree_check(&r->t, m->v, TREE_MAX, NULL) < 0)
        abort();
}

void law_rig_open(struct law_rig *r, const struct law_case *c)
{
    memset(r, 0, sizeof *r);
    r->c = c;
    r->luck = (struct tree_luck){.rule = c->draw, .n_vocab = c->m->v};
    if (accept_scratch_open(&r->s, c->m->v, NULL) < 0)
        abort();
}

void law_rig_close(struct law_rig *r)
{
    accept_scratch_close(r->s);
}

static void decide(struct law_rig *r, const struct accept_dice *dice)
{
    const struct accept_target target = {.self = r, .dist = target_dist};
    if ((r->c->run ? r->c->run : accept_decide)(r->c->decide, &r->t, &target, dice, r->s, &r->verdict, NULL) < 0)
        abort();
}

static int emitted_tokens(const struct law_rig *r, int32_t *tok)
{
    for (int i = 0; i < r->verdict.n; i++)
        tok[i] = r->t.node_token[r->verdict.node[i]];
    tok[r->verdict.n] = r->verdict.next;
    return r->verdict.n + 1;
}

int law_step(struct law_rig *r, const int32_t *hist, int n_hist, const struct accept_dice *draft_dice,
             const struct accept_dice *test, int32_t *emitted)
{
    r->hist = hist;
    r->n_hist = n_hist;
    draft(r, draft_dice);
    if (r->c->spoil)
        r->c->spoil(&r->t, r->c->m->v);
    decide(r, test);
    return emitted_tokens(r, emitted);
}

/* ---- enumeration --------------------------------------------------------------------------------------------------*/

/* One run follows taken[0..len), and takes the first branch wherever it comes to a new choice. */
struct tour {
    int taken[64], n[64], len, at;
    double weight; /* of the run so far */
    bool (*coin)(double h, bool honest);
};

static int branch(struct tour *t, int n)
{
    if (t->at == t->len) {
        t->taken[t->len] = 0;
        t->n[t->len++] = n;
    }
    return t->taken[t->at++];
}

/* On to the next run; false when all were made. */
static bool next_run(struct tour *t)
{
    while (t->len > 0 && t->taken[t->len - 1] + 1 == t->n[t->len - 1])
        t->len--;
    if (t->len == 0)
        return false;
    t->taken[t->len - 1]++;
    return true;
}

static void start_run(struct tour *t)
{
    t->at = 0;
    t->weight = 1;
}

static bool tour_coin(void *self, double h, int entry)
{
    struct tour *t = self;
    (void)entry;
    bool yes = h >= 1;
    if (h > 0 && h < 1) {
        yes = branch(t, 2) == 0;
        t->weight *= yes ? h : 1 - h;
    }
    return t->coin ? t->coin(h, yes) : yes;
}

static int tour_pick(void *self, const double *w, int n, int entry)
{
    struct tour *t = self;
    int place[LAW_V], m = 0;
    double sum = 0;
    (void)entry;
    for (int i = 0; i < n; i++) {
        sum += w[i];
        if (w[i] > 0)
            place[m++] = i;
    }
    const int i = place[m == 1 ? 0 : branch(t, m)];
    t->weight *= w[i] / sum;
    return i;
}

int law_index(int v, const int32_t *tok, int n)
{
    int before = 0, at = 0, size = 1;
    for (int i = 0; i < n; i++) {
        before += size;
        size *= v;
        at = at * v + tok[i];
    }
    return before + at;
}

/* The law of one step's tokens after hist: out[law_index]; returns the mean number of kept ones. */
static double step_law(struct law_rig *r, const int32_t *hist, int n_hist, double *out, long *n_run)
{
    struct tour drafts = {.len = 0}, tests = {.coin = r->c->coin};
    const struct accept_dice draw_dice = {&drafts, NULL, tour_pick}, test_dice = {&tests, tour_coin, tour_pick};
    double kept = 0;
    r->hist = hist;
    r->n_hist = n_hist;
    memset(out, 0, sizeof(double) * LAW_STRINGS);
    do {
        start_run(&drafts);
        draft(r, &draw_dice);
        if (r->c->spoil)
            r->c->spoil(&r->t, r->c->m->v);
        tests.len = 0;
        do {
            int32_t tok[TREE_MAX + 1];
            start_run(&tests);
            decide(r, &test_dice);
            const double w = drafts.weight * tests.weight;
            out[law_index(r->c->m->v, tok, emitted_tokens(r, tok))] += w;
            kept += w * r->verdict.n;
            ++*n_run;
        } while (next_run(&tests));
    } while (next_run(&drafts));
    return kept;
}

static int power(int v, int n)
{
    return n == 0 ? 1 : v * power(v, n - 1);
}

static void digits(int v, int index, int n, int32_t *tok)
{
    for (int i = n; i-- > 0; index /= v)
        tok[i] = index % v;
}

void law_target(const struct law_model *m, int n, double *out)
{
    for (int i = 0; i < power(m->v, n); i++) {
        int32_t tok[8];
        digits(m->v, i, n, tok);
        out[i] = 1;
        for (int k = 0; k < n; k++)
            out[i] *= m->p[law_ctx(m, tok, k)][tok[k]];
    }
}

/* Adds one step after the string s of n tokens and weight w to what steps end in; longer strings are cut. */
static void join(int v, double (*at)[LAW_STRINGS], const int32_t *s, int n, double w, const double *step, int max_len)
{
    int32_t tok[16];
    memcpy(tok, s, sizeof *s * (size_t)n);
    for (int len = 1; len <= max_len; len++)
        for (int i = 0; i < power(v, len); i++) {
            digits(v, i, len, tok + n);
            const double x = step[law_index(v, tok + n, len)];
            if (x == 0)
                continue;
            const int m = n + len < LAW_TOK ? n + len : LAW_TOK;
            int to = 0;
            for (int k = 0; k < m; k++)
                to = to * v + tok[k];
            at[m][to] += w * x;
        }
}

void law_enumerate(const struct law_case *c, struct law_result *out)
{
    static double step[LAW_CTX][LAW_STRINGS], at[LAW_TOK + 1][LAW_STRINGS], want[LAW_STRINGS];
    bool known[LAW_CTX] = {false};
    struct law_rig r;
    const int v = c->m->v;
    int max_len = 1;
    law_rig_open(&r, c);
    memset(at, 0, sizeof at);
    memset(out, 0, sizeof *out);
    for (int e = 0; e < c->shape->n; e++) {
        int depth = 2;
        for (int up = c->shape->parent[e]; up >= 0; up = c->shape->parent[up])
            depth++;
        max_len = depth > max_len ? depth : max_len;
    }
    at[0][0] = 1;
    for (int n = 0; n < LAW_TOK; n++)
        for (int i = 0; i < power(v, n); i++) {
            int32_t s[8];
            digits(v, i, n, s);
            if (at[n][i] == 0)
                continue;
            const int ctx = law_ctx(c->m, s, n);
            if (!known[ctx]) {
                const double kept = step_law(&r, s, n, step[ctx], &out->n_run);
                known[ctx] = true;
                if (n == 0)
                    out->accepted = kept;
            }
            join(v, at, s, n, at[n][i], step[ctx], max_len);
        }
    memcpy(out->law, step[0], sizeof out->law);
    law_target(c->m, LAW_TOK, want);
    for (int i = 0; i < power(v, LAW_TOK); i++)
        out->tv += fabs(at[LAW_TOK][i] - want[i]) / 2;
    law_rig_close(&r);
}
