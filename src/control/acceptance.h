/* How likely an entry of a tree is right if its parent is: counts per drafter, by what was known before.
 *
 * Class of an entry: the tree's match length, the drafter's confidence, the depth. A class leans on its parent (the
 * same without the depth), that on the drafter's whole, that on a prior; old counts fade, so that a change of text is
 * seen within some dozen entries. Where the newest entries, of all classes, came less often than hoped, the chances of
 * all are lowered in proportion: what other texts taught is not held against this one for long. SRC:
 * verification-law.md 7 (classes), methods/02. */
#ifndef OTR_CONTROL_ACCEPTANCE_H
#define OTR_CONTROL_ACCEPTANCE_H

#include "accept/tree.h"

enum { AC_MATCH = 8, AC_CONF = 9, AC_DEPTH = 6, AC_RANK = 8 };

struct ac_count {
    float tried, right;
};
struct acceptance {
    struct ac_count all, class[AC_MATCH][AC_CONF], leaf[AC_MATCH][AC_CONF][AC_DEPTH];
    struct ac_count depth[AC_DEPTH]; /* of first children: a chain is made of those */
    struct ac_count rank[AC_RANK];   /* by place among siblings */
    float hoped, came; /* of the newest entries: the chances that classes gave them, and those that were right */
};

/* The class of a tree's first entries, in [0, AC_MATCH * AC_CONF): match length, then confidence. */
int ac_class(int match, float conf);
double ac_chance(const struct acceptance *a, const struct tree *t, int entry, int depth);
/* The same before anything is known of the entry but its depth, and that it is its parent's first. */
double ac_chance_at(const struct acceptance *a, int depth);
void ac_see(struct acceptance *a, const struct tree *t, int entry, int depth, bool right);

/* reach[i]: chance that entry i is on the accepted path, for all entries of the tree. */
void ac_reach(const struct acceptance *a, const struct tree *t, double *reach);
/* What a step says: path [n_path] nodes were right; missed: so was none of the children of the last. */
void ac_see_path(struct acceptance *a, const struct tree *t, const int *path, int n_path, bool missed);

/* What the best trees of 1 .. n entries and at most `depth` levels promise beyond the first token: sum[1..n], and how
 * deep they are: deep[1..n]; [0] is 0. Returns n, or fewer where no more are worth anything. */
int ac_best_trees(const struct acceptance *a, int depth, int n, double *sum, int *deep);
/* Nothing was learnt of later siblings in this step: what is known of them slowly becomes a guess again. */
void ac_forget_ranks(struct acceptance *a);

#endif
