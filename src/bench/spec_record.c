/* Owns the recording of drafters along a text. See spec_record.h; read next: spec_bounds.c. */
#include "bench/spec_record.h"

#include <stdlib.h>

#include "base/clock.h"
#include "bench/stats.h"
#include "control/acceptance.h"

enum { SEQ = 1 }; /* the drafters know no other: they are new */

/* What tree t at text place p is worth: right[k] for its first k entries. */
static void judge(const struct record_text *t, size_t p, const struct tree *tree, struct sb_place *out)
{
    int path[TREE_MAX + 1];
    bool on_path[TREE_MAX + 1] = {false};
    const int n = tree_follow(tree, t->tok + t->n_prompt + p, (int)(t->n - p), path);
    for (int i = 0; i < n; i++)
        on_path[path[i]] = true;
    *out = (struct sb_place){.n = (uint8_t)tree->n};
    for (int k = 1; k <= TREE_MAX; k++) {
        out->right[k] = out->right[k - 1];
        if (k > tree->n)
            continue;
        const int node = tree->entry[k - 1].node;
        if (on_path[node]) {
            out->right[k]++;
            on_path[node] = false; /* a repeated entry adds nothing */
        }
    }
    /* the token after the accepted ones is the model's: drafts reach the one before the last at most */
    for (int k = 1; k <= TREE_MAX; k++)
        if (out->right[k] > t->n - p - 1)
            out->right[k] = (uint8_t)(t->n - p - 1);
    if (tree->n > 0) {
        out->class = (uint8_t)ac_class(tree->match, tree->entry[0].conf);
        out->match = (uint8_t)(out->class / AC_CONF);
    }
}

struct draft_ask record_ask(const struct otr_engine *e, const struct record_text *t, size_t p, int budget)
{
    const struct accept_key key = {.seed = 1};
    return (struct draft_ask){.seq = SEQ,
                              .tok = t->tok,
                              .n = t->n_prompt + p,
                              .n_prompt = t->n_prompt,
                              .predicted = t->predicted,
                              .n_predicted = t->n_predicted,
                              .max_entries = budget,
                              .luck = tree_luck_make(RULE_GREEDY, &key, t->n_prompt + p, e->m->info.n_vocab),
                              .sampling = otr_sampling_default()};
}

static void record_one(const struct otr_engine *e, const struct drafter *d, const struct record_text *t,
                       struct sb_place *place, double *ms)
{
    static _Thread_local struct tree tree; /* 100 KB */
    const bool can = t->n_predicted > 0 || !(d->flags & DRAFT_NEED_PREDICTION);
    place[0] = (struct sb_place){0};
    for (size_t p = 1; p < t->n; p++) {
        const size_t room = t->max - p - 1, n = t->n_prompt + p;
        const struct draft_ask ask = record_ask(e, t, p, room < TREE_MAX ? (int)room : TREE_MAX);
        const struct draft_seen seen = {.seq = SEQ, .event = SEEN_STEP, .tok = t->tok, .n = n + 1, .n_new = 1};
        tree_clear(&tree);
        const double t0 = clock_ms();
        const int rc = can ? d->m->propose(d->self, &ask, 1, &tree) : OTR_OK;
        const double t1 = clock_ms();
        if (rc < 0 || tree_check(&tree, e->m->info.n_vocab, ask.max_entries, NULL) < 0)
            tree_clear(&tree);
        judge(t, p, &tree, &place[p]);
        const double t2 = clock_ms();
        d->m->observe(d->self, &seen, 1);
        ms[p - 1] = t1 - t0 + clock_ms() - t2;
    }
}

int record_places(const struct otr_engine *e, struct spec *sp, const struct record_text *t, struct sb_place *place,
                  double *cost_ms, struct otr_err *err)
{
    double *ms = malloc((t->n + 1) * sizeof *ms);
    int rc = ms ? spec_forget(sp, e, err) : OTR_FAIL(err, NOMEM, "no memory to record a text");
    for (int d = 0; d < sp->n_d && rc == OTR_OK; d++) {
        record_one(e, &sp->d[d], t, place + (size_t)d * t->n, ms);
        cost_ms[d] = t->n > 1 ? spread_of(ms, t->n - 1).median : 0;
    }
    free(ms);
    return rc;
}

static int pass(struct otr_seq *s, const int32_t *tok, int n, double *ms, struct otr_err *err)
{
    struct otr_engine *e = s->e;
    for (int r = 0; r < n; r++)
        e->rows[r] = (struct fwd_row){.token = tok[r], .seq = s->kv, .parent = r - 1, .keep = FWD_KEEP_LOGITS};
    const double t0 = clock_ms();
    const int rc = fwd_run(e->fwd, e->rows, n, err);
    *ms = clock_ms() - t0;
    return rc;
}

int record_passes(struct otr_seq *s, const int32_t *tok, double *ms, struct otr_err *err)
{
    enum { BLOCK = 8, N_BLOCK = SB_ROWS / BLOCK };
    double one[N_BLOCK];
    int rc = OTR_OK;
    s->e->last = NULL;                                  /* the pass holds nobody's logits from here on */
    for (int b = 0; b < N_BLOCK && rc == OTR_OK; b++) { /* WHY one row so often: all others are divided by it */
        rc = pass(s, tok, 1, &one[b], err);
        for (int r = BLOCK * b + 1; r <= BLOCK * (b + 1) && rc == OTR_OK; r++)
            rc = pass(s, tok, r, &ms[r], err);
    }
    if (rc == OTR_OK)
        ms[1] = spread_of(one, N_BLOCK).median;
    return rc;
}
