/* The story of a step, for many replies at once:
 *
 *   ask the drafters -> rows -> forward -> accept -> emit -> commit -> observe -> learn
 *
 * Every reply stands at its newest token, whose row has not run. The step runs that row and the rows of its draft (a
 * tree; none: plain decoding) in one pass, keeps the path that the rule accepts and one token more, and commits them.
 * INV: nothing is ever rolled back. Rows not committed leave no trace, draws are keyed, text is emitted once.
 * INV: emit finds the end of a reply before anything is committed: what lies behind it is not committed, observed,
 *      counted or cached (verification-law.md 4).
 * Read next: accept/accept.h, draft/draft.h, control/control.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/engine.h"

/* One reply in a step. */
struct turn {
    struct otr_reply *r;
    struct tree *tree;     /* what runs; n = 0: nothing drafted */
    int drafter;           /* whose it is, or -1 */
    int row[TREE_MAX + 1]; /* of the pass, by node of the tree; [0]: of the newest token */
    struct accept_verdict v;
    int n_emitted;
};

struct step {
    struct otr_engine *e;
    int n, cap; /* turns */
    struct turn *turn;
    struct tree *tree;         /* [CTL_MAX_DRAFTERS * cap] proposals: of drafter d, tree[d * cap + j] for ask j */
    struct tree none;          /* the empty tree */
    struct ctl_seq *plan;      /* [cap] */
    struct ctl_offer *offer;   /* [cap * n_d] */
    struct draft_ask *ask;     /* [cap] */
    struct step_seq *seq;      /* [cap] */
    struct step_offer *judged; /* [cap * n_d] */
    int *take, *of;            /* [cap] */
    struct draft_pass pass;    /* of a drafter that works in it; f NULL: not begun */
    int pass_d;                /* that drafter: the last one that was asked */
    struct step_record record;
    struct accept_scratch *scratch;
    int32_t path[TREE_MAX + 1];
};

void step_free(struct step *s)
{
    if (!s)
        return;
    accept_scratch_close(s->scratch);
    free(s->turn);
    free(s->tree);
    free(s->plan);
    free(s->offer);
    free(s->ask);
    free(s->seq);
    free(s->judged);
    free(s->take);
    free(s->of);
    free(s);
}

static int step_reserve(struct otr_engine *e, int n, struct otr_err *err)
{
    if (e->step && e->step->cap >= n)
        return OTR_OK;
    const size_t c = (size_t)n;
    struct step *s = calloc(1, sizeof *s);
    if (s) {
        s->e = e;
        s->cap = n;
        s->turn = calloc(c, sizeof *s->turn);
        s->tree = malloc(c * CTL_MAX_DRAFTERS * sizeof *s->tree); /* untouched pages cost nothing */
        s->plan = calloc(c, sizeof *s->plan);
        s->offer = calloc(c * CTL_MAX_DRAFTERS, sizeof *s->offer);
        s->ask = calloc(c, sizeof *s->ask);
        s->seq = calloc(c, sizeof *s->seq);
        s->judged = calloc(c * CTL_MAX_DRAFTERS, sizeof *s->judged);
        s->take = calloc(c, sizeof *s->take);
        s->of = calloc(c, sizeof *s->of);
    }
    if (!s || !s->turn || !s->tree || !s->plan || !s->offer || !s->ask || !s->seq || !s->judged || !s->take || !s->of) {
        step_free(s);
        return OTR_FAIL(err, NOMEM, "no memory for a step of %d replies", n);
    }
    const int rc = accept_scratch_open(&s->scratch, e->m->info.n_vocab, err);
    if (rc < 0) {
        step_free(s);
        return rc;
    }
    step_free(e->step);
    e->step = s;
    return OTR_OK;
}

static struct accept_key key_of(const struct otr_reply *r)
{
    return (struct accept_key){.seed = r->g.sampling.seed, .step = r->s->n_step};
}

static double lap(double *t)
{
    const double now = clock_ms(), d = now - *t;
    *t = now;
    return d;
}

/* ---- ask ---- */

/* Most entries that the reply, the context and a pass have room for. */
static int room_of(const struct step *st, const struct otr_reply *r)
{
    const struct otr_engine *e = st->e;
    size_t room = r->max - r->n - 1; /* the pass emits one token more than it keeps of the draft */
    const size_t ctx = (size_t)e->n_ctx - r->s->n - 1, batch = (size_t)(e->n_batch / st->n) - 1,
                 scratch = (size_t)(kv_n_scratch(e->kv) / st->n);
    room = ctx < room ? ctx : room;
    room = batch < room ? batch : room;
    room = scratch < room ? scratch : room;
    return room < TREE_MAX ? (int)room : TREE_MAX;
}

static bool takes_chains(enum accept_rule rule)
{
    return rule == RULE_RATIO || rule == RULE_BLOCK;
}

/* What drafter d is asked by the plan of a sequence. */
static void fill_ask(const struct step *st, const struct otr_reply *r, const struct ctl_seq *plan, int d,
                     struct draft_ask *a)
{
    const enum accept_rule rule = reply_rule(r);
    const struct accept_key key = key_of(r);
    *a = (struct draft_ask){.seq = r->s->id,
                            .tok = r->s->tok,
                            .n = r->s->n + 1,
                            .n_prompt = r->before + r->n_prompt,
                            .predicted = r->g.predicted,
                            .n_predicted = r->g.n_predicted,
                            .max_entries = plan->most[d],
                            .max_depth = plan->deep[d],
                            .chain = takes_chains(rule) || (plan->narrow >> d & 1),
                            .level_gain = (double)plan->gain[d],
                            .luck = tree_luck_make(rule, &key, r->s->n + 1, st->e->m->info.n_vocab),
                            .sampling = r->g.sampling,
                            .kv = r->s->kv};
    a->sampling.seed = a->luck.key.seed;
}

/* The pass begins with the newest rows, for a drafter that works in it. */
static int begin_pass(struct step *st)
{
    struct fwd_row *rows = st->e->rows;
    for (int i = 0; i < st->n; i++) {
        struct otr_seq *s = st->turn[i].r->s;
        rows[i] = (struct fwd_row){.token = s->tok[s->n], .seq = s->kv, .parent = FWD_END};
        for (int k = 0; k <= TREE_MAX; k++)
            st->turn[i].row[k] = k == 0 ? i : -1;
    }
    st->e->last = NULL;
    return fwd_begin(st->e->fwd, rows, st->n, NULL);
}

/* Tokens of its history that a drafter would read first, if it forgot none. */
static int behind_of(const struct spec *sp, const struct otr_seq *s, int d)
{
    const int n = s->met[d] <= s->n ? (int)(s->n + 1 - s->met[d]) : 0, reads = sp->d[d].guess.reads;
    return reads > 0 && reads < n ? reads : n;
}

/* One drafter, all sequences that the plan wants it for. A proposal that is not sound counts as none. */
static void ask_one(struct step *st, int d)
{
    const struct spec *sp = st->e->spec;
    const struct drafter *dr = &sp->d[d];
    const bool in_pass = (dr->flags & DRAFT_IN_PASS) != 0;
    struct tree *t = &st->tree[d * st->cap];
    int n = 0;
    for (int i = 0; i < st->n; i++)
        if (st->plan[i].asked >> d & 1) {
            fill_ask(st, st->turn[i].r, &st->plan[i], d, &st->ask[n]);
            st->ask[n].pass = in_pass ? &st->pass : NULL;
            st->ask[n].row = in_pass ? st->turn[i].row : NULL;
            tree_clear(&t[n]);
            st->record.behind[d] += st->plan[i].behind[d];
            st->turn[i].r->s->met[d] = st->turn[i].r->s->n + 1;
            st->of[n++] = i;
        }
    st->pass.f = n > 0 ? NULL : st->pass.f; /* another one's pass ends here */
    if (n == 0 || (in_pass && begin_pass(st) < 0))
        return;
    st->pass = (struct draft_pass){.f = in_pass ? st->e->fwd : NULL};
    double clock = clock_ms();
    if (dr->m->prepare)
        dr->m->prepare(dr->self, st->ask, n);
    st->record.prepare_ms[d] = lap(&clock);
    const int n_lent = pool_n_lent(st->e->pool);
    const int rc = dr->m->propose(dr->self, st->ask, n, t);
    st->record.lent[d] = pool_n_lent(st->e->pool) > n_lent;
    st->record.asked[d] = n;
    st->pass_d = d;
    if (in_pass && (rc < 0 || st->pass.n_layer < 1))
        st->pass.f = NULL; /* what it left is of no use */
    for (int j = 0; j < n && rc >= 0; j++) {
        if (t[j].n == 0 || tree_check(&t[j], st->e->m->info.n_vocab, st->plan[st->of[j]].most[d], NULL) < 0)
            continue;
        for (int k = 0; k < t[j].n; k++) {
            const int depth = tree_depth(&t[j], k);
            st->record.depth[d] = depth > st->record.depth[d] ? depth : st->record.depth[d];
        }
        st->offer[st->of[j] * sp->n_d + d] = (struct ctl_offer){d, &t[j]};
    }
    st->record.ask_ms[d] = lap(&clock); /* with the checks: a large proposal costs them, too */
}

/* Trees for every turn. */
static void step_ask(struct step *st)
{
    const struct spec *sp = st->e->spec;
    for (int i = 0; i < st->n; i++) {
        st->turn[i].tree = &st->none;
        st->turn[i].drafter = -1;
    }
    if (!sp)
        return;
    for (int i = 0; i < st->n; i++) {
        const struct otr_reply *r = st->turn[i].r;
        uint64_t can = 0;
        for (int d = 0; d < sp->n_d; d++)
            if (r->g.n_predicted > 0 || !(sp->d[d].flags & DRAFT_NEED_PREDICTION))
                can |= 1ull << d;
        st->plan[i] = (struct ctl_seq){.ctx = (int)r->s->n + 1,
                                       .room = room_of(st, r),
                                       .left = (int)(r->max - r->n),
                                       .law = accept_rule_exact(reply_rule(r)) == EXACT_LAW,
                                       .chain = takes_chains(reply_rule(r)),
                                       .asked = can};
        for (int d = 0; d < sp->n_d; d++)
            st->plan[i].behind[d] = behind_of(sp, r->s, d);
    }
    for (int i = 0; i < st->n * sp->n_d; i++)
        st->offer[i] = (struct ctl_offer){.drafter = -1};
    control_plan(sp->ctl, st->plan, st->n);
    for (int d = 0; d < sp->n_d; d++)
        if (!(sp->d[d].flags & DRAFT_RUNS_MODEL))
            ask_one(st, d);
    control_narrow(sp->ctl, st->plan, st->n, st->offer);
    for (int last = 0; last < 2; last++) /* WHY in the pass last: the others may run rows on the same cache */
        for (int d = 0; d < sp->n_d; d++)
            if ((sp->d[d].flags & DRAFT_RUNS_MODEL) && ((sp->d[d].flags & DRAFT_IN_PASS) != 0) == last)
                ask_one(st, d);
    control_choose(sp->ctl, st->plan, st->n, st->offer, st->take);
    for (int i = 0; i < st->n; i++)
        if (st->take[i] >= 0) {
            st->turn[i].drafter = st->take[i];
            st->turn[i].tree = st->offer[i * sp->n_d + st->take[i]].tree;
        }
}

/* ---- rows, forward ---- */

static int step_rows(struct step *st)
{
    struct fwd_row *rows = st->e->rows;
    int n = 0;
    for (int i = 0; i < st->n; i++) {
        struct turn *t = &st->turn[i];
        struct otr_seq *s = t->r->s;
        t->row[0] = n;
        rows[n++] = (struct fwd_row){.token = s->tok[s->n], .seq = s->kv, .parent = FWD_END, .keep = FWD_KEEP_LOGITS};
        for (int k = 1; k < t->tree->n_node; k++) {
            t->row[k] = n;
            rows[n++] = (struct fwd_row){.token = t->tree->node_token[k],
                                         .seq = s->kv,
                                         .parent = t->row[t->tree->node_parent[k]],
                                         .keep = FWD_KEEP_LOGITS};
        }
    }
    return n;
}

/* The rest of a pass that a drafter has begun: its first layers for rows that it did not run, then the others for all.
 * Rows of the pass that no tree has are left out where they stand last, and run along where they do not. */
static int finish_pass(struct step *st, int *n_rows, struct otr_err *err)
{
    struct otr_engine *e = st->e;
    int used = 0, n = 0;
    for (int i = 0; i < st->n; i++) {
        struct turn *t = &st->turn[i];
        for (int k = 1; k <= TREE_MAX; k++)
            if (k >= t->tree->n_node || t->drafter != st->pass_d)
                t->row[k] = -1;
        for (int k = 0; k <= TREE_MAX; k++)
            used = t->row[k] >= used ? t->row[k] + 1 : used;
    }
    fwd_cut(e->fwd, used);
    for (int i = 0; i < st->n; i++) {
        struct turn *t = &st->turn[i];
        for (int k = 1; k < t->tree->n_node; k++)
            if (t->row[k] < 0) {
                t->row[k] = used + n;
                e->rows[n++] = (struct fwd_row){
                    .token = t->tree->node_token[k], .seq = t->r->s->kv, .parent = t->row[t->tree->node_parent[k]]};
            }
    }
    *n_rows = used + n;
    if (n > 0) {
        const int rc = fwd_more(e->fwd, e->rows, n, err);
        if (rc < 0)
            return rc;
        fwd_embed(e->fwd);
        fwd_layers(e->fwd, 0, st->pass.n_layer);
        fwd_rows_from(e->fwd, 0);
    }
    fwd_layers(e->fwd, st->pass.n_layer, e->m->info.n_layer);
    return OTR_OK;
}

/* The pass. *whole: the head too; not where its rows are too many for one call, nor where the pass had begun. */
static int step_forward(struct step *st, int *n_rows, bool *whole, struct otr_err *err)
{
    struct otr_engine *e = st->e;
    *whole = false;
    if (st->pass.f)
        return finish_pass(st, n_rows, err);
    const int n = *n_rows = step_rows(st);
    if (n <= FWD_MAX_LOGITS) {
        *whole = true;
        return fwd_run(e->fwd, e->rows, n, err);
    }
    for (int i = 0; i < n; i++)
        e->rows[i].keep = 0;
    const int rc = fwd_begin(e->fwd, e->rows, n, err);
    if (rc < 0)
        return rc;
    fwd_embed(e->fwd);
    fwd_layers(e->fwd, 0, e->m->info.n_layer);
    return OTR_OK;
}

/* ---- accept ---- */

struct answer { /* the target as the rules see it */
    struct step *st;
    const struct turn *t;
};

static struct history history_at(struct step *st, const struct turn *t, int node)
{
    const struct otr_seq *s = t->r->s;
    int depth = 0;
    for (int k = node; k > 0; k = t->tree->node_parent[k])
        depth++;
    for (int k = node, i = depth; k > 0; k = t->tree->node_parent[k])
        st->path[--i] = t->tree->node_token[k];
    return (struct history){s->tok, s->n + 1, st->path, (size_t)depth};
}

static int32_t answer_pick(void *self, int node, struct otr_err *err)
{
    const struct answer *a = self;
    const struct history h = history_at(a->st, a->t, node);
    return engine_pick(a->st->e, a->t->row[node], &h, err);
}

static int answer_dist(void *self, int node, struct dist *out, struct otr_err *err)
{
    const struct answer *a = self;
    const struct history h = history_at(a->st, a->t, node);
    return sampler_dist(a->st->e->sampler, fwd_logits(a->st->e->fwd, a->t->row[node]), &h, out, err);
}

static int turn_accept(struct step *st, struct turn *t)
{
    struct otr_engine *e = st->e;
    struct otr_reply *r = t->r;
    struct answer a = {st, t};
    const struct accept_target target = {&a, answer_pick, answer_dist};
    const struct accept_key key = key_of(r);
    const struct accept_dice dice = accept_keyed_dice(&key);
    const int rc = engine_use_sampling(e, &r->g.sampling, &r->err);
    if (rc < 0)
        return rc;
    return accept_decide(reply_rule(r), t->tree, &target, &dice, st->scratch, &t->v, &r->err);
}

/* ---- emit, commit ---- */

static void count(struct turn *t)
{
    struct otr_spec_stats *sp = &t->r->spec;
    const int kept = t->v.n < t->n_emitted ? t->v.n : t->n_emitted;
    sp->n_steps++;
    if (t->tree->n == 0) {
        sp->n_plain++;
        return;
    }
    int deepest = 0;
    for (int i = 0; i < t->tree->n; i++) {
        const int d = tree_depth(t->tree, i);
        deepest = d > deepest ? d : deepest;
    }
    sp->n_draft += (size_t)t->tree->n;
    sp->n_accepted += (size_t)kept;
    sp->histogram[kept]++;
    for (int i = 0; i < deepest; i++)
        sp->tried_at[i]++;
    for (int i = 0; i < kept; i++)
        sp->kept_at[i]++;
    t->r->given[t->drafter] += (size_t)kept;
}

/* The accepted run goes out, and what is before its end into the cache. */
static int turn_emit(struct step *st, struct turn *t)
{
    struct otr_reply *r = t->r;
    struct otr_seq *s = r->s;
    int32_t run[TREE_MAX + 1];
    int rows[TREE_MAX + 1];
    for (int i = 0; i < t->v.n; i++)
        run[i] = t->tree->node_token[t->v.node[i]];
    run[t->v.n] = t->v.next;
    const char *name = t->drafter >= 0 ? st->e->spec->d[t->drafter].m->name : NULL;
    const int n = reply_emit(r, run, t->v.n + 1, t->v.n, name);
    if (n < 0)
        return n;
    assert(n > 0); /* a turn is of a reply that goes on */
    t->n_emitted = n;
    for (int i = 0; i < n; i++) /* the newest token, and all emitted ones but the last */
        rows[i] = t->row[i == 0 ? 0 : t->v.node[i - 1]];
    fwd_commit(st->e->fwd, s->kv, rows, n);
    memcpy(s->tok + s->n + 1, run, (size_t)n * sizeof *run);
    s->n += (size_t)n;
    s->n_step++;
    count(t);
    st->e->last = s;
    st->e->last_row = rows[n - 1];
    return OTR_OK;
}

/* ---- observe ---- */

static const float *seen_logits(void *self, int node)
{
    const struct answer *a = self;
    return fwd_logits(a->st->e->fwd, a->t->row[node]);
}

static int32_t seen_best(void *self, int node)
{
    const struct answer *a = self;
    return fwd_argmax(a->st->e->fwd, a->t->row[node]);
}

/* Tells every drafter of one turn. WHY one by one: the logits of others may not be there any more. */
static void turn_observe(struct step *st, const struct turn *t)
{
    const struct spec *sp = st->e->spec;
    const struct otr_reply *r = t->r;
    if (!sp || r->rc < 0)
        return;
    struct answer a = {st, t};
    const int kept = t->v.n < t->n_emitted - 1 ? t->v.n : t->n_emitted - 1;
    for (int d = 0; d < sp->n_d; d++) {
        struct draft_seen seen = {.seq = r->s->id,
                                  .event = SEEN_STEP,
                                  .tok = r->s->tok,
                                  .n = r->s->n + (r->done ? 0 : 1), /* an end has no row, and may be replaced */
                                  .n_new = (size_t)(t->n_emitted - (r->done ? 1 : 0)),
                                  .tree = t->tree,
                                  .path = t->v.node,
                                  .n_path = kept,
                                  .mine = d == t->drafter,
                                  .self = &a};
        if (sp->d[d].flags & DRAFT_NEED_DIST) {
            seen.logits = seen_logits;
            seen.best = seen_best;
        }
        sp->d[d].m->observe(sp->d[d].self, &seen, 1);
    }
}

/* ---- the step ---- */

static int turn_run(struct step *st, struct turn *t, double *clock)
{
    int rc = turn_accept(st, t);
    const double accept_ms = lap(clock);
    st->record.accept_ms += accept_ms;
    t->r->spec.accept_ms += accept_ms;
    if (rc == OTR_OK)
        rc = turn_emit(st, t);
    st->record.emit_ms += lap(clock);
    t->r->rc = rc;
    if (rc == OTR_OK)
        turn_observe(st, t);
    st->record.other_ms += lap(clock);
    return rc;
}

/* Heads of as many turns as fit into one call, then each turn's end. All rows were in the pass already if `whole`. */
static int step_turns(struct step *st, bool whole, double *clock, struct otr_err *err)
{
    for (int i = 0; i < st->n;) {
        int heads[FWD_MAX_LOGITS], n = 0, last = i;
        for (; last < st->n && n + st->turn[last].tree->n_node <= FWD_MAX_LOGITS; last++)
            for (int k = 0; k < st->turn[last].tree->n_node; k++)
                heads[n++] = st->turn[last].row[k];
        if (!whole) {
            const int rc = fwd_head(st->e->fwd, heads, n, err);
            if (rc < 0)
                return rc;
        }
        st->record.forward_ms += lap(clock);
        for (; i < last; i++)
            turn_run(st, &st->turn[i], clock);
    }
    return OTR_OK;
}

/* What the emitted tokens say about every proposal for a turn. */
static void judge(struct step *st, int i)
{
    const struct turn *t = &st->turn[i];
    const struct otr_seq *s = t->r->s;
    const int n_d = st->e->spec->n_d, n = t->n_emitted;
    for (int d = 0; d < n_d; d++) {
        const struct ctl_offer *o = &st->offer[i * n_d + d];
        struct step_offer *j = &st->judged[i * n_d + d];
        *j = (struct step_offer){.drafter = t->r->rc < 0 ? -1 : o->drafter, .tree = o->tree};
        if (j->drafter < 0)
            continue;
        j->n_path = tree_follow(o->tree, s->tok + s->n + 1 - n, n, j->path);
        j->missed = j->n_path < n;
    }
}

static double mat_bytes(const struct mat *m)
{
    return (double)mat_row_bytes(m->type, m->n_cols) * m->n_rows;
}

/* The part of a pass, by the bytes it reads, that layers [0, n) are. */
static double bytes_share(const struct weights *w, int n)
{
    double first = 0, all = mat_bytes(&w->head);
    for (int l = 0; l < w->hp.n_layer; l++) {
        const struct layer_weights *L = &w->layer[l];
        const struct mat *const mats[] = {&L->q, &L->k, &L->v, &L->o, &L->gate, &L->up, &L->down};
        for (size_t i = 0; i < sizeof mats / sizeof *mats; i++) {
            all += mat_bytes(mats[i]);
            first += l < n ? mat_bytes(mats[i]) : 0;
        }
    }
    return first / all;
}

/* A drafter in the pass also ran the first layers of the newest rows: no draft cost. */
static void share_pass(struct step *st)
{
    const struct spec *sp = st->e->spec;
    if (!st->pass.f)
        return;
    const double share = bytes_share(st->e->m->w, st->pass.n_layer);
    st->record.early_share = share;
    double *ms = &st->record.ask_ms[st->pass_d];
    const double first = share * control_time(sp->ctl, st->n, (int)st->turn[0].r->s->n);
    st->record.early_ms = first < *ms ? first : *ms;
    *ms -= st->record.early_ms;
}

static void step_learn(struct step *st, int n_rows)
{
    struct spec *sp = st->e->spec;
    const double each = 1.0 / st->n;
    double draft_ms = 0;
    share_pass(st);
    for (int d = 0; sp && d < sp->n_d; d++)
        draft_ms += st->record.ask_ms[d] + st->record.prepare_ms[d];
    st->record.draft_ms = draft_ms;
    for (int i = 0; i < st->n; i++) {
        const struct turn *t = &st->turn[i];
        t->r->spec.draft_ms += draft_ms * each;
        t->r->spec.verify_ms += st->record.forward_ms * each;
        t->r->reply_ms = clock_ms() - t->r->t_reply;
        st->seq[i] = (struct step_seq){.seq = t->r->s->id,
                                       .ctx = (int)t->r->s->n,
                                       .drafter = t->drafter,
                                       .tree = t->tree,
                                       .path = t->v.node,
                                       .n_path = t->v.n,
                                       .n_emitted = t->n_emitted};
        if (sp)
            judge(st, i);
    }
    if (!sp)
        return;
    st->record.n_seq = st->n;
    st->record.n_rows = n_rows;
    st->record.seq = st->seq;
    st->record.offer = st->judged;
    control_learn(sp->ctl, &st->record);
    for (int i = 0; i < st->n; i++)
        st->turn[i].r->spec.plain_ms = control_time(sp->ctl, 1, (int)st->turn[i].r->s->n);
}

int otr_step(struct otr_engine *e, struct otr_reply *const *replies, int n, struct otr_err *err)
{
    int n_run = 0;
    for (int i = 0; i < n; i++)
        n_run += !otr_reply_done(replies[i]);
    if (n_run == 0)
        return 0;
    if (n_run > CTL_MAX_BATCH || n_run > e->n_batch)
        return OTR_FAIL(err, LIMIT, "%d replies in one step (at most %d)", n_run,
                        e->n_batch < CTL_MAX_BATCH ? e->n_batch : CTL_MAX_BATCH);
    int rc = step_reserve(e, n_run, err);
    if (rc < 0)
        return rc;
    struct step *st = e->step;
    struct otr_err why = {0};
    st->n = 0;
    tree_clear(&st->none);
    memset(&st->record, 0, sizeof st->record);
    st->pass.f = NULL;
    for (int i = 0; i < n; i++)
        if (!otr_reply_done(replies[i]))
            st->turn[st->n++] = (struct turn){.r = replies[i]};
    double clock = clock_ms();
    step_ask(st);
    lap(&clock);
    int n_rows;
    bool whole;
    rc = step_forward(st, &n_rows, &whole, &why);
    if (rc == OTR_E_LIMIT && n_rows > st->n) { /* no page for the drafts: without them, then */
        st->pass.f = NULL;
        for (int i = 0; i < st->n; i++) {
            st->turn[i].tree = &st->none;
            st->turn[i].drafter = -1;
        }
        rc = step_forward(st, &n_rows, &whole, &why);
    }
    if (rc == OTR_OK)
        rc = step_turns(st, whole, &clock, &why);
    for (int i = 0; i < st->n && rc < 0; i++) { /* the pass failed for all */
        st->turn[i].r->rc = rc;
        st->turn[i].r->err = why;
    }
    if (rc < 0) {
        if (err)
            *err = why;
        return rc;
    }
    step_learn(st, n_rows);
    for (int i = n_run = 0; i < n; i++)
        n_run += !otr_reply_done(replies[i]);
    return n_run;
}
