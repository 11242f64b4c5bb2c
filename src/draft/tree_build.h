/* Builds draft trees out of the laws of a model that drafts: one loop, and a policy that says what a token is worth and
 * when there is enough.
 *
 * In: asks, and a source of laws (draft_laws: rows of the drafter, level by level). Out: trees, within the budget and
 * the depth that the controller planned. Policies are of two kinds:
 *   chosen   the likeliest children of every row are candidates, the best of all are kept at the end: deltas
 *   drawn    children are drawn one by one from the row by tree_draw, without replacement where the rule wants that;
 *            what was drawn stays, whether one more is drawn depends on rows and entries that are there (rule R1)
 * Byte rules have no such limits: there both kinds take tokens in the order of the law, under gumbel with the noise of
 * the target on it, for that is how likely they are to be picked.
 * SRC: methods/21 section 5; verification-law.md 2, 3. Read next: tree_build.c, tree_opt.c, tree_dyspec.c, tree_of.c.
 */
#ifndef OTR_DRAFT_TREE_BUILD_H
#define OTR_DRAFT_TREE_BUILD_H

#include "draft/draft.h"
#include "draft/tree_shape.h"

enum { TREE_CANDS = 1 + (TREE_MAX + 1) * TREE_KIDS };

struct tree_node {
    int32_t token;
    int parent;       /* node; -1: this is the committed end */
    int depth, n_kid; /* entries on its path; children so far */
    int place;        /* in a shape, or SHAPE_OUTSIDE */
    int entry;        /* of the tree, or TREE_ROOT */
    int row;          /* of the source; -1: it did not run */
    bool end;         /* nothing goes below it */
    double conf;      /* the drafter's guess that it is right if its parent is */
    double reach;     /* ... that it and all above it are */
    double left;      /* that none of its children so far is right, if it is */
    int n_law;        /* its law: [n_law] tokens, likeliest first; -1: not known */
    const int32_t *id;
    const double *p;
};

/* One tree on its way. */
struct tree_grow {
    const struct draft_ask *ask;
    struct tree *tree;
    int budget, deepest;       /* entries; entries of a path */
    int level;                 /* rows of so many levels have run */
    bool last;                 /* no rows run any more */
    double promised;           /* of the level before: see tree_promise */
    struct tree_shape planned; /* by a policy, for this ask */
    const struct tree_shape *shape;
    int n, n_row, used; /* nodes; rows that ran; values in the store of laws */
    struct tree_node node[TREE_CANDS];
    int32_t id[TREE_ROW_CAP + TREE_CANDS];
    double p[TREE_ROW_CAP + TREE_CANDS];
};

struct tree_opts {
    /* depth: entries of a path, and passes of the drafter */
    int top_k, depth, nodes; /* candidates of a row and rows of a level; caps on the plan of the controller */
    double gain;             /* tokens that a level more must promise; below 0: as the ask says */
    const char *shape;       /* name or file */
};

struct tree_policy {
    const char *name;
    bool draws;
    /* Memory of a policy; may be NULL. */
    int (*open)(void **state, const struct tree_opts *o, struct otr_err *err);
    void (*begin)(const void *state, struct tree_grow *g); /* the plan for an ask; may be NULL */
    /* Chosen: what a node is worth; never more than its parent. Drawn: what one more child of it is. 0: leave it. */
    double (*score)(const struct tree_grow *g, const struct tree_node *x);
    /* Before rows of a further level run: is what there is enough? May be NULL: never. */
    bool (*stop)(const struct tree_opts *o, struct tree_grow *g);
    void (*learn)(void *state, const struct draft_seen *seen); /* from a tree that ran; may be NULL */
};
extern const struct tree_policy tree_eagle2, tree_opt, tree_dyspec, tree_sequoia, tree_medusa;
const struct tree_policy *tree_policy_find(const char *name); /* NULL: unknown */

/* Under law rules a token that was drawn has a row: whether the laws of this ask do. */
bool tree_is_drawn(const struct draft_ask *ask);
/* Expected tokens of the best `budget` nodes there are: the sum of their reach. */
double tree_promise(const struct tree_grow *g);
double tree_worth(const struct tree_opts *o, const struct draft_ask *ask, double unknown); /* of a level */

struct tree_build;
/* n_at_once: trees of one call; asks beyond get none. n_vocab: of the target. tok: may be NULL. */
int tree_build_open(struct tree_build **out, const struct tree_policy *policy, const struct tree_opts *o, int n_at_once,
                    int n_vocab, const struct tokenizer *tok, struct otr_err *err);
void tree_build_close(struct tree_build *b);
/* out[i] comes cleared. Negative: nothing ran; a pass that failed later ends the trees where they are. */
int tree_build_run(struct tree_build *b, const struct draft_laws *laws, void *self, const struct draft_ask *ask,
                   int n_ask, struct tree *out);
void tree_build_learn(struct tree_build *b, const struct draft_seen *seen);

#endif
