/* Acceptance on real models against theory, depth by depth, at temperature 1.
 *
 * Along replies that steps of `ratio` write, seven chains of four and five 2x2 trees are drafted at each step, and each
 * rule judges them with dice of its own. ratio, gumbel, block and traversal (on chains) stand beside their formulas
 * (support/accept_theory.h) at every depth, within 4 standard errors on both sides; block >= ratio, and on trees
 * traversal >= multi, within 4.
 *
 *   proof_accept TARGET.gguf DRAFT.gguf|lowbit[:TYPE] PROMPTS.jsonl [SECONDS [SEED|plant]]
 *
 * lowbit: the target's own weights in a lower type (Q4_1), on its K and V. It ends when the time (60 s) is over, and
 * what it has by then counts; of fewer than 100 steps no verdict is made. plant: the rules are told a wrong q, and it
 * must fail. One thread: run as many at once as there are cores. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "draft/draft_row.h"
#include "load/lower.h"
#include "support/accept_theory.h"
#include "support/equal.h"

enum { CHAINS = 7, TREES = 5, ROWS = 32, DICE = 2, TREE_N = 6, LAW = 1024, MAX_POS = 160, N_TOK = 96, LEAST = 100 };
static const int chain_shape[AT_DEPTH] = {-1, 0, 1, 2}, tree_shape[TREE_N] = {-1, -1, 0, 0, 1, 1};

struct side { /* one of the two models, and its cache of the text */
    struct fwd *f;
    struct kv_seq *s;
};

struct group { /* drafts of one kind at one position */
    enum accept_rule rule;
    const int *shape;
    int n, depth, n_draft;
    struct tree tree[CHAINS];
    int row[CHAINS][TREE_MAX + 1]; /* of the target's pass, by node */
    int n_law[CHAINS][TREE_N];
    int32_t law_id[CHAINS][TREE_N][LAW];
    double law_p[CHAINS][TREE_N][LAW];
};

struct proof {
    struct otr_model *m, *dm;
    struct otr_engine *e, *de;
    struct weights *lower;
    struct side target, draft;
    bool shared; /* the drafter reads the target's cache */
    struct sampler *sampler;
    struct draft_row row;
    struct accept_scratch *scratch;
    int n_vocab;
    struct group group;
    /* laws of the target by row of its pass: [ROWS, n_vocab] */
    int n[ROWS];
    int32_t *id;
    float *logit;
    double *p; /* by token */
    /* the text: tok[n_tok - 1] is the newest, whose row is in no cache */
    int32_t tok[MAX_POS + N_TOK + 2 * TREE_MAX];
    int n_tok;
    struct accept_key key;
    bool plant;
    uint64_t seed; /* of the first reply. WHY to choose: draws of one seed and place are alike whatever the text */
    /* counts */
    struct at_cell cell[N_RULE][AT_DEPTH];
    struct at_gain block, traversal;
    double kept_chain[N_RULE], kept_tree[N_RULE], n_chain, n_tree;
    long n_step, n_reply;
};

static void must(int rc, const struct otr_err *err)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "proof_accept: error: %s\n", err->msg);
    exit(1);
}

static struct accept_key key_of(const struct proof *u, int draft, int die)
{
    struct accept_key key = u->key;
    key.choice = (uint32_t)(draft + 16 * die);
    return key;
}

/* ---- drafting ---- */

static int level_of(const int *shape, int e)
{
    int level = 0;
    for (; shape[e] >= 0; e = shape[e])
        level++;
    return level;
}

/* Entry e of draft k, drawn from the drafter's row; the law goes on record before the core sees it. */
static void draw(struct proof *u, struct group *g, int k, int e, const float *logits)
{
    struct otr_err err = {0};
    const struct accept_key key = key_of(u, k, 0);
    const struct draft_ask ask = {.tok = u->tok,
                                  .n = (size_t)u->n_tok,
                                  .max_entries = g->n,
                                  .luck = tree_luck_make(g->rule, &key, (uint64_t)u->n_tok, u->n_vocab),
                                  .sampling = {.temp = 1, .top_p = 1, .typical_p = 1, .repeat_penalty = 1}};
    must(draft_row_make(&u->row, &ask, NULL, 0, logits, &err), &err);
    const int n = g->n_law[k][e] = u->row.n < LAW ? u->row.n : LAW;
    memcpy(g->law_id[k][e], u->row.id, (size_t)n * sizeof *u->row.id);
    memcpy(g->law_p[k][e], u->row.p, (size_t)n * sizeof *u->row.p);
    if (tree_draw(&g->tree[k], g->shape[e], u->row.id, u->row.p, u->row.n, &ask.luck) != e)
        must(OTR_FAIL(&err, ARG, "entry %d was not drawn", e), &err);
}

static void draft(struct proof *u, struct group *g)
{
    struct fwd_row rows[ROWS] = {
        {.token = u->tok[u->n_tok - 1], .seq = u->draft.s, .parent = FWD_END, .keep = FWD_KEEP_LOGITS}};
    int at[CHAINS][TREE_N];
    struct otr_err err;
    must(fwd_run(u->draft.f, rows, 1, &err), &err);
    for (int k = 0; k < g->n_draft; k++)
        tree_clear(&g->tree[k]);
    for (int level = 0; level < g->depth; level++) {
        int n = 0;
        for (int k = 0; k < g->n_draft; k++)
            for (int e = 0; e < g->n; e++) {
                if (level_of(g->shape, e) != level)
                    continue;
                const int parent = g->shape[e] < 0 ? 0 : at[k][g->shape[e]];
                draw(u, g, k, e, fwd_logits(u->draft.f, parent));
                at[k][e] = n;
                rows[n++] = (struct fwd_row){
                    .token = g->tree[k].entry[e].token, .seq = u->draft.s, .parent = parent, .keep = FWD_KEEP_LOGITS};
            }
        if (level + 1 == g->depth)
            break;
        const int first = fwd_run_more(u->draft.f, rows, n, &err);
        must(first, &err);
        for (int k = 0; k < g->n_draft; k++)
            for (int e = 0; e < g->n; e++)
                at[k][e] += level_of(g->shape, e) == level ? first : 0;
    }
    if (u->shared)
        kv_truncate(u->draft.s, kv_len(u->draft.s)); /* reserved pages go back */
}

/* ---- the target's laws ---- */

static void keep_law(struct proof *u, int row)
{
    struct otr_err err;
    struct dist d;
    const struct history h = {u->tok, (size_t)u->n_tok, NULL, 0};
    const size_t at = (size_t)row * (size_t)u->n_vocab;
    double z = 0;
    must(sampler_dist(u->sampler, fwd_logits(u->target.f, row), &h, &d, &err), &err);
    u->n[row] = d.n;
    memcpy(u->id + at, d.id, (size_t)d.n * sizeof *d.id);
    memcpy(u->logit + at, d.logit, (size_t)d.n * sizeof *d.logit);
    memset(u->p + at, 0, (size_t)u->n_vocab * sizeof *u->p);
    for (int i = 0; i < d.n; i++)
        z += u->p[at + (size_t)d.id[i]] = exp((double)d.logit[i] - (double)d.logit[0]);
    for (int i = 0; i < u->n_vocab; i++)
        u->p[at + (size_t)i] /= z;
}

/* One pass over all drafts of the group. */
static void verify(struct proof *u, struct group *g)
{
    struct fwd_row rows[ROWS] = {
        {.token = u->tok[u->n_tok - 1], .seq = u->target.s, .parent = FWD_END, .keep = FWD_KEEP_LOGITS}};
    struct otr_err err;
    int n = 1;
    for (int k = 0; k < g->n_draft; k++) {
        const struct tree *t = &g->tree[k];
        g->row[k][0] = 0;
        for (int node = 1; node < t->n_node; node++) {
            g->row[k][node] = n;
            rows[n++] = (struct fwd_row){.token = t->node_token[node],
                                         .seq = u->target.s,
                                         .parent = g->row[k][t->node_parent[node]],
                                         .keep = FWD_KEEP_LOGITS};
        }
    }
    must(fwd_run(u->target.f, rows, n, &err), &err);
    for (int i = 0; i < n; i++)
        keep_law(u, i);
}

struct answer {
    struct proof *u;
    int draft;
};

static int dist_at(void *self, int node, struct dist *out, struct otr_err *err)
{
    const struct answer *a = self;
    const int row = a->u->group.row[a->draft][node];
    const size_t at = (size_t)row * (size_t)a->u->n_vocab;
    (void)err;
    *out = (struct dist){a->u->n[row], a->u->id + at, a->u->logit + at};
    return OTR_OK;
}

static int32_t pick_at(void *self, int node, struct otr_err *err)
{
    const struct answer *a = self;
    const struct tree *t = &a->u->group.tree[a->draft];
    struct dist d;
    int depth = 0;
    dist_at(self, node, &d, err);
    for (int k = node; k > 0; k = t->node_parent[k])
        depth++;
    return sampler_draw(a->u->sampler, &d, (uint32_t)a->draft, (uint64_t)(a->u->n_tok + depth));
}

/* ---- judging ---- */

static int decide(struct proof *u, enum accept_rule rule, int k, int die, struct accept_verdict *v)
{
    struct answer a = {u, k};
    const struct accept_target target = {&a, pick_at, dist_at};
    const struct accept_key key = key_of(u, k, 1 + die + DICE * (int)rule);
    const struct accept_dice dice = accept_keyed_dice(&key);
    struct otr_err err;
    must(accept_decide(rule, &u->group.tree[k], &target, &dice, u->scratch, v, &err), &err);
    return v->n;
}

static void chain_of(const struct proof *u, int k, struct at_chain *c)
{
    const struct group *g = &u->group;
    *c = (struct at_chain){.n = AT_DEPTH};
    for (int i = 0; i < AT_DEPTH; i++) {
        c->x[i] = g->tree[k].entry[i].token;
        c->p[i] = u->p + (size_t)g->row[k][i] * (size_t)u->n_vocab; /* before entry i stands node i */
        c->q[i] = (struct at_law){g->n_law[k][i], g->law_id[k][i], g->law_p[k][i]};
    }
}

static void begin_group(struct proof *u, enum accept_rule rule, const int *shape, int n, int depth, int n_draft)
{
    struct group *g = &u->group;
    g->rule = rule;
    g->shape = shape;
    g->n = n;
    g->depth = depth;
    g->n_draft = n_draft;
    draft(u, g);
    verify(u, g);
    for (int k = 0; u->plant && k < n_draft; k++)
        at_spoil_q(&g->tree[k]);
}

/* Chains under one rule after the other; first: what `ratio` decided of the first one. */
static void chains(struct proof *u, const enum accept_rule *rules, int n_rule, struct accept_verdict *first)
{
    struct accept_verdict v;
    for (int k = 0; k < CHAINS; k++) {
        struct at_chain c;
        chain_of(u, k, &c);
        for (int die = 0; die < (rules[0] == RULE_GUMBEL ? 1 : DICE); die++) {
            double kept[N_RULE] = {0};
            for (int r = 0; r < n_rule; r++) {
                kept[rules[r]] = decide(u, rules[r], k, die, &v);
                at_chain_seen(u->cell[rules[r]], rules[r], &c, v.n);
                u->kept_chain[rules[r]] += v.n;
                if (first && k == 0 && die == 0 && rules[r] == RULE_RATIO)
                    *first = v;
            }
            if (n_rule > 1) {
                at_gain_add(&u->block, kept[RULE_BLOCK] - kept[RULE_RATIO]);
                u->n_chain++;
            }
        }
    }
    for (int r = 0; r < n_rule; r++)
        for (int i = 0; i < AT_DEPTH; i++)
            at_close(&u->cell[rules[r]][i]);
    at_gain_close(&u->block);
}

static void trees(struct proof *u)
{
    struct accept_verdict v;
    for (int k = 0; k < TREES; k++)
        for (int die = 0; die < DICE; die++) {
            const double multi = decide(u, RULE_MULTI, k, die, &v), whole = decide(u, RULE_TRAVERSAL, k, die, &v);
            u->kept_tree[RULE_MULTI] += multi;
            u->kept_tree[RULE_TRAVERSAL] += whole;
            at_gain_add(&u->traversal, whole - multi);
            u->n_tree++;
        }
    at_gain_close(&u->traversal);
}

/* ---- replies ---- */

/* The first n tokens after what the cache holds are committed. */
static void commit(struct proof *u, struct side *s, int until)
{
    struct otr_err err;
    for (int at = kv_len(s->s); at < until;) {
        struct fwd_row rows[256];
        int path[256], n = 0;
        for (; n < 256 && at < until; n++, at++) {
            rows[n] = (struct fwd_row){.token = u->tok[at], .seq = s->s, .parent = n - 1};
            path[n] = n;
        }
        must(fwd_run(s->f, rows, n, &err), &err);
        fwd_commit(s->f, s->s, path, n);
    }
}

/* One step of `ratio`; false: the reply ends. */
static bool step(struct proof *u)
{
    static const enum accept_rule drawn[] = {RULE_RATIO, RULE_BLOCK, RULE_TRAVERSAL}, coupled[] = {RULE_GUMBEL};
    struct accept_verdict v = {0};
    int32_t run[TREE_MAX + 1];
    commit(u, &u->target, u->n_tok - 1);
    if (!u->shared)
        commit(u, &u->draft, u->n_tok - 1);
    u->key.step++;
    u->n_step++;
    begin_group(u, RULE_RATIO, chain_shape, AT_DEPTH, AT_DEPTH, CHAINS);
    chains(u, drawn, 3, &v);
    for (int i = 0; i < v.n; i++)
        run[i] = u->group.tree[0].node_token[v.node[i]];
    run[v.n] = v.next;
    begin_group(u, RULE_GUMBEL, chain_shape, AT_DEPTH, AT_DEPTH, CHAINS);
    chains(u, coupled, 1, NULL);
    begin_group(u, RULE_MULTI, tree_shape, TREE_N, 2, TREES);
    trees(u);
    for (int i = 0; i <= v.n; i++) {
        if (run[i] >= tokenizer_n_vocab(u->m->tok) || tokenizer_is_end(u->m->tok, run[i]))
            return false;
        u->tok[u->n_tok++] = run[i];
    }
    return true;
}

static void reply(struct proof *u, const struct eq_prompts *p, int i, double until_ms)
{
    struct otr_sampling sp = otr_sampling_default();
    struct otr_err err;
    sp.temp = sp.top_p = 1;
    sp.top_k = 0;
    sp.min_p = 0;
    sp.seed = u->seed + (uint64_t)u->n_reply;
    must(sampler_set(u->sampler, &sp, &err), &err);
    u->key = (struct accept_key){.seed = sp.seed};
    u->n_tok = p->n_ids[i];
    memcpy(u->tok, p->ids[i], (size_t)u->n_tok * sizeof *u->tok);
    must(kv_seq_create(&u->target.s, u->e->kv, u->e->n_ctx, &err), &err);
    u->draft.s = u->target.s;
    if (!u->shared)
        must(kv_seq_create(&u->draft.s, u->de->kv, u->de->n_ctx, &err), &err);
    const int most = u->n_tok + N_TOK;
    while (u->n_tok < most && clock_ms() < until_ms && step(u))
        ;
    if (!u->shared)
        kv_drop(u->draft.s);
    kv_drop(u->target.s);
    u->n_reply++;
}

/* ---- the table ---- */

static bool show_cells(const struct proof *u, enum accept_rule rule, int *n_cell)
{
    bool good = true;
    for (int i = 0; i < AT_DEPTH; i++) {
        const struct at_cell *c = &u->cell[rule][i];
        const double n = c->n > 0 ? (double)c->n : 1, z = at_z(c);
        if (c->n == 0)
            continue;
        printf("%-10s %5d %9ld %10.4f %9.4f %10.4f %8.4f %6.2f%s\n", i ? "" : accept_rule_name(rule), i + 1, c->n,
               c->kept / n, c->chance / n, (c->kept - c->chance) / n, at_error(c) / n, z,
               fabs(z) < AT_LIMIT ? "" : "  FAILED");
        good = good && fabs(z) < AT_LIMIT;
        ++*n_cell;
    }
    return good;
}

static bool show_gain(const char *text, double more, double less, double n, const struct at_gain *g, int *n_cell)
{
    const double z = at_gain_z(g);
    printf("%s: %.4f and %.4f tokens a draft, gain %+.4f (%.1f standard errors)%s\n", text, more / n, less / n,
           g->sum / (double)g->n, z, z > -AT_LIMIT ? "" : "  FAILED");
    ++*n_cell;
    return z > -AT_LIMIT;
}

static bool show(const struct proof *u, const char *target, const char *drafter, double s)
{
    static const enum accept_rule rules[] = {RULE_RATIO, RULE_GUMBEL, RULE_BLOCK, RULE_TRAVERSAL};
    bool good = u->n_step >= LEAST; /* WHY: the errors come from the steps themselves */
    int n = 0;
    printf("%s, drafted by %s%s, temperature 1: %ld steps of %ld replies in %.0f s, %d chains and %d trees a step\n",
           target, drafter, u->plant ? ", WRONG Q PLANTED" : "", u->n_step, u->n_reply, s, CHAINS, TREES);
    printf("rule       depth    tested   observed   formula       diff     s.e.      z\n");
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
        good = show_cells(u, rules[r], &n) && good;
    good = show_gain("chains, block over ratio", u->kept_chain[RULE_BLOCK], u->kept_chain[RULE_RATIO], u->n_chain,
                     &u->block, &n) &&
           good;
    good = show_gain("2x2 trees, traversal over multi", u->kept_tree[RULE_TRAVERSAL], u->kept_tree[RULE_MULTI],
                     u->n_tree, &u->traversal, &n) &&
           good;
    printf("%d comparisons, each within %.0f standard errors: a false alarm in one of %.0f such tables. %s\n", n,
           AT_LIMIT, 1 / (n * AT_ALARM),
           good                ? "proved"
           : u->n_step < LEAST ? "FAILED: too few steps"
                               : "FAILED");
    return good;
}

/* ---- */

static void open_draft(struct proof *u, const char *drafter)
{
    struct otr_err err;
    if (strncmp(drafter, "lowbit", 6) == 0) {
        enum ggml_type type = GGML_Q4_1;
        static const enum ggml_type types[] = {GGML_Q4_0, GGML_Q4_1, GGML_Q8_0};
        for (int i = 0; i < 3; i++)
            if (drafter[6] == ':' && strcasecmp(drafter + 7, ggml_type_name((uint32_t)types[i])) == 0)
                type = types[i];
        must(weights_lower(&u->lower, u->m->w, type, true, SIZE_MAX, u->e->pool, &err), &err);
        must(fwd_create(&u->draft.f, u->lower, u->e->pool, u->e->kv, &(struct fwd_opts){256, u->e->n_ctx}, &err), &err);
        u->shared = true;
        return;
    }
    must(otr_model_open(&u->dm, drafter, &(struct otr_model_opts){.n_threads = 1}, &err), &err);
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = u->e->n_ctx, .n_batch = 256};
    must(otr_engine_create(&u->de, u->dm, &eo, &err), &err);
    u->draft.f = u->de->fwd;
    if (u->dm->info.n_vocab != u->n_vocab)
        must(OTR_FAIL(&err, ARG, "%.200s has another vocabulary", drafter), &err);
}

int main(int argc, char **argv)
{
    static struct proof u;
    struct otr_err err = {0};
    struct eq_prompts p;
    if (argc < 4 || argc > 6) {
        fprintf(stderr,
                "usage: proof_accept TARGET.gguf DRAFT.gguf|lowbit[:TYPE] PROMPTS.jsonl [SECONDS [SEED|plant]]\n");
        return 2;
    }
    const double t0 = clock_ms(), until = t0 + 1e3 * (argc > 4 ? atof(argv[4]) : 60);
    u.plant = argc > 5 && strcmp(argv[5], "plant") == 0;
    char none[] = "", *end = none;
    u.seed = argc > 5 && !u.plant ? strtoull(argv[5], &end, 10) : 20261129;
    if (*end)
        must(OTR_FAIL(&err, ARG, "'%.40s' is neither a seed nor 'plant'", argv[5]), &err);
    must(otr_model_open(&u.m, argv[1], &(struct otr_model_opts){.n_threads = 1}, &err), &err);
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = MAX_POS + N_TOK + 2 * TREE_MAX, .n_batch = 256};
    must(otr_engine_create(&u.e, u.m, &eo, &err), &err);
    u.n_vocab = u.m->info.n_vocab;
    u.target.f = u.e->fwd;
    open_draft(&u, argv[2]);
    const struct otr_sampling any = otr_sampling_default();
    must(sampler_open(&u.sampler, &any, u.n_vocab, &err), &err);
    sampler_use(u.sampler, &u.m->w->kern, NULL);
    must(draft_row_open(&u.row, u.n_vocab, &u.m->w->kern, NULL, &err), &err);
    must(accept_scratch_open(&u.scratch, u.n_vocab, &err), &err);
    const size_t n = (size_t)ROWS * (size_t)u.n_vocab;
    u.id = malloc(n * sizeof *u.id);
    u.logit = malloc(n * sizeof *u.logit);
    u.p = malloc(n * sizeof *u.p);
    if (!u.id || !u.logit || !u.p || eq_prompts_read(&p, u.m, argv[3], EQ_MAX_PROMPTS, MAX_POS) < 1)
        must(OTR_FAIL(&err, ARG, "no memory, or no prompts in %.200s", argv[3]), &err);
    /* 7 is prime to the number of prompts of all our files: short runs see every category */
    for (int i = 0; clock_ms() < until; i++)
        reply(&u, &p, (int)(i * 7L % p.n), until);
    const bool good = show(&u, argv[1], argv[2], (clock_ms() - t0) / 1e3);
    eq_prompts_free(&p);
    accept_scratch_close(u.scratch);
    draft_row_close(&u.row);
    sampler_close(u.sampler);
    if (u.shared)
        fwd_destroy(u.draft.f);
    weights_close(u.lower);
    otr_engine_destroy(u.de);
    otr_model_close(u.dm);
    otr_engine_destroy(u.e);
    otr_model_close(u.m);
    free(u.id);
    free(u.logit);
    free(u.p);
    return good ? 0 : 1;
}
