/* slrs: a drafter with another vocabulary, by string-level rejection sampling. One token is drawn from psi, the law of
 * the first target token of the drafter's text (psi.h); what its likeliest draft says behind that token, and goes on to
 * say, enters as chosen: it was conditioned by the look-ahead, so it is no draw from any row.
 * Where the cap on the work leaves most of psi unsettled, the likeliest text alone is drafted, as slem does.
 * WHY only for drafters of few tokens a character: psi asks for dozens of laws a step.
 * SRC: methods/16 section 3, SLRS (Alg. 3); verification-law.md 6. Read next: psi.h. */
#include "draft/psi.h"
#include "draft/unlike.h"

static const double ENOUGH = 0.5; /* of psi, settled */

struct walk {
    struct unlike *u;
    struct unlike_seq *s;
    const struct draft_ask *ask;
    int row[PSI_MAX_NODES]; /* of a node, once it ran */
};

static int walk_prepare(void *self, const struct psi *psi, const int *node, int n)
{
    struct walk *w = self;
    struct lm_row row[PSI_AT_ONCE];
    if (n < 1 || node[0] == 0) /* its row ran */
        return OTR_OK;
    for (int i = 0; i < n; i++)
        row[i] = (struct lm_row){w->row[psi->node[node[i]].parent], psi->node[node[i]].id};
    const int first = lm_more(w->u->lm, row, n, NULL);
    for (int i = 0; i < n && first >= 0; i++)
        w->row[node[i]] = first + i;
    return first < 0 ? first : OTR_OK;
}

static int walk_law(void *self, const struct psi *psi, int node, int32_t *id, double *q, int cap)
{
    struct walk *w = self;
    struct unlike_law law = w->s->root;
    (void)psi;
    /* cppcheck-suppress arrayIndexOutOfBoundsCond ; node < PSI_MAX_NODES: psi made it */
    const int rc = node > 0 ? unlike_law_at(w->u, w->row[node], w->ask, &law) : OTR_OK;
    const int n = law.n < cap ? law.n : cap;
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        id[i] = law.id[i];
        q[i] = law.q[i];
    }
    return rc < 0 ? rc : n;
}

/* Sure: another token stands behind it, or the draft has ended. */
static int32_t walk_first(void *self, const int32_t *path, int n, bool *done)
{
    struct walk *w = self;
    int32_t tok[2] = {-1, -1};
    const int m = retext_back(&w->s->text, path, n, tok, 2, NULL);
    *done = m > 1 || tokenizer_is_special(w->u->draft, path[n - 1]);
    return m < 0 ? m : m > 0 ? tok[0] : -1;
}

/* The draft that a node of psi is, into s->path. */
static void take_path(struct unlike_seq *s, const struct psi *psi, int node)
{
    s->n = psi_path(psi, node, s->path);
    for (int i = s->n; i-- > 0; node = psi->node[node].parent)
        s->conf[i] = psi->node[node].mass / psi->node[psi->node[node].parent].mass;
}

static int slrs_alone(struct unlike *u, struct unlike_seq *s, const struct draft_ask *ask, struct tree *out)
{
    static const struct psi_source walk = {NULL, walk_prepare, walk_law, walk_first};
    struct walk w = {.u = u, .s = s, .ask = ask, .row = {s->row}};
    struct psi_source src = walk;
    struct psi *psi = u->psi;
    src.self = &w;
    s->row = -1;
    int rc = psi_run(psi, &src);
    if (rc < 0 || psi->n == 0)
        return rc;
    int best = 0, parent = TREE_ROOT;
    for (int i = 1; i < psi->n; i++)
        best = psi->p[i] > psi->p[best] ? i : best;
    if (psi->complete >= ENOUGH) {
        if ((parent = tree_draw(out, TREE_ROOT, psi->id, psi->p, psi->n, &ask->luck)) < 0)
            return OTR_OK;
        for (best = 0; psi->id[best] != out->entry[parent].token;)
            best++;
    }
    take_path(s, psi, psi->best[best]);
    return unlike_add_text(u, s, parent, parent == TREE_ROOT ? 0 : 1, ask->max_entries, out);
}

const struct unlike_way unlike_slrs = {.name = UNLIKE_SLRS, .alone = slrs_alone};

static int slrs_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return unlike_create(self, &unlike_slrs, env, err);
}

const struct draft_method draft_slrs = {
    .name = "slrs",
    .about = "model=FILE of few bytes a token: draws the first token its text reads as (SLRS, Timor 2025)",
    .flags = DRAFT_GIVE_PROBS | DRAFT_NEED_FILE | DRAFT_RUNS_MODEL,
    .open = slrs_open,
    .close = unlike_close,
    .prepare = unlike_prepare,
    .propose = unlike_propose,
    .observe = unlike_observe,
    .bytes = unlike_bytes,
    .guess = unlike_guess,
};
