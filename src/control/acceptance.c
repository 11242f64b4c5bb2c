/* Owns the acceptance counts of a drafter. See acceptance.h; read next: choose.c. */
#include "control/acceptance.h"

#include <math.h>

/* Counts fade by this much of themselves for each entry once there are as many. */
enum { MEMORY = 64, MEMORY_ALL = 256 };
#define PRIOR 0.5 /* of a drafter never seen: tried, and found out within a few entries */
#define LEAN_ALL 2.0f
#define LEAN_CLASS 4.0f
#define LEAN_LEAF 8.0f
#define NEWEST 16.0f /* entries */
#define LEAN_NEWEST 3.0f
#define LEAN_RANK 6.0f
#define PRIOR_SECOND 0.3 /* of what the first child misses; later ones half of the one before */
#define FORGET 0.998f

static int match_class(int match)
{
    static const int edge[AC_MATCH - 1] = {1, 2, 4, 6, 9, 16, 32};
    int c = 0;
    while (c < AC_MATCH - 1 && match >= edge[c])
        c++;
    return c;
}

static int conf_class(float conf)
{
    if (isnan(conf))
        return AC_CONF - 1;
    const int c = (int)(conf * (AC_CONF - 1));
    return c < 0 ? 0 : c > AC_CONF - 2 ? AC_CONF - 2 : c;
}

int ac_class(int match, float conf)
{
    return match_class(match) * AC_CONF + conf_class(conf);
}

static int depth_class(int depth)
{
    static const int edge[AC_DEPTH - 1] = {2, 3, 5, 9, 17};
    int c = 0;
    while (c < AC_DEPTH - 1 && depth >= edge[c])
        c++;
    return c;
}

static double lean(struct ac_count c, double on, float weight)
{
    return ((double)c.right + (double)weight * on) / (double)(c.tried + weight);
}

/* By its class alone. */
static double class_chance(const struct acceptance *a, const struct tree *t, int entry, int depth)
{
    const int m = match_class(t->match), c = conf_class(t->entry[entry].conf), d = depth_class(depth);
    const double all = lean(a->all, PRIOR, LEAN_ALL);
    return lean(a->leaf[m][c][d], lean(a->class[m][c], all, LEAN_CLASS), LEAN_LEAF);
}

double ac_chance(const struct acceptance *a, const struct tree *t, int entry, int depth)
{
    /* WHY only down: a text that turns bad costs passes at once, one that turns good soon shows in its classes */
    const double kept = (double)(a->came + LEAN_NEWEST) / (double)(a->hoped + LEAN_NEWEST);
    return class_chance(a, t, entry, depth) * fmin(kept, 1);
}

double ac_chance_at(const struct acceptance *a, int depth)
{
    return lean(a->depth[depth_class(depth)], lean(a->rank[0], PRIOR, LEAN_ALL), LEAN_CLASS);
}

/* Never more than the sibling before it: so much is true of likely tokens, and it makes the best entries a tree. */
static double rank_chance(const struct acceptance *a, int rank, double before)
{
    const double guess = rank == 1 ? PRIOR_SECOND * (1 - lean(a->rank[0], PRIOR, LEAN_ALL)) : before / 2;
    return fmin(lean(a->rank[rank], guess, LEAN_RANK), before);
}

int ac_best_trees(const struct acceptance *a, int depth, int n, double *sum, int *deep)
{
    struct {
        double worth, above; /* of the entry; of its parent */
        int depth, rank;
    } open[2 * TREE_MAX + 1];
    double first[TREE_MAX + 2] = {0}, later[AC_RANK];
    int n_open = 1, k = 0;
    for (int d = 1; d <= depth && d <= TREE_MAX; d++)
        first[d] = ac_chance_at(a, d);
    later[0] = 1;
    for (int r = 1; r < AC_RANK; r++)
        later[r] = rank_chance(a, r, later[r - 1]);
    open[0].worth = first[1];
    open[0].above = 1;
    open[0].depth = 1;
    open[0].rank = 0;
    sum[0] = 0;
    deep[0] = 0;
    while (k < n && k < TREE_MAX && n_open > 0) {
        int top = 0;
        for (int i = 1; i < n_open; i++)
            if (open[i].worth > open[top].worth)
                top = i;
        const double worth = open[top].worth, above = open[top].above;
        const int d = open[top].depth, r = open[top].rank;
        k++;
        sum[k] = sum[k - 1] + worth;
        deep[k] = d > deep[k - 1] ? d : deep[k - 1];
        open[top] = open[--n_open];
        if (r + 1 < AC_RANK) {
            open[n_open].worth = above * fmin(later[r + 1], first[d]);
            open[n_open].above = above;
            open[n_open].depth = d;
            open[n_open++].rank = r + 1;
        }
        if (d < depth && d < TREE_MAX) {
            open[n_open].worth = worth * first[d + 1];
            open[n_open].above = worth;
            open[n_open].depth = d + 1;
            open[n_open++].rank = 0;
        }
    }
    return k;
}

void ac_forget_ranks(struct acceptance *a)
{
    for (int r = 1; r < AC_RANK; r++) {
        a->rank[r].tried *= FORGET;
        a->rank[r].right *= FORGET;
    }
}

static void see(struct ac_count *c, bool right, float memory)
{
    if (c->tried >= memory) {
        c->right *= (memory - 1) / c->tried;
        c->tried = memory - 1;
    }
    c->tried += 1;
    c->right += right ? 1.0f : 0.0f;
}

/* Its place among its siblings, from 0 on. */
static int rank_of(const struct tree *t, int entry)
{
    const int p = t->entry[entry].parent, above = p < 0 ? 0 : t->entry[p].node;
    int rank = 0;
    for (int e = -1; (e = tree_child(t, above, e)) >= 0 && e < entry;)
        rank++;
    return rank;
}

void ac_see(struct acceptance *a, const struct tree *t, int entry, int depth, bool right)
{
    const int rank = rank_of(t, entry), m = match_class(t->match), c = conf_class(t->entry[entry].conf),
              d = depth_class(depth);
    const float fade = 1 - 1 / NEWEST;
    a->hoped = a->hoped * fade + (float)class_chance(a, t, entry, depth);
    a->came = a->came * fade + (right ? 1.0f : 0.0f);
    see(&a->all, right, MEMORY_ALL);
    if (rank == 0)
        see(&a->depth[d], right, MEMORY);
    if (rank < AC_RANK)
        see(&a->rank[rank], right, MEMORY_ALL); /* small chances take long to tell apart */
    see(&a->class[m][c], right, MEMORY);
    see(&a->leaf[m][c][d], right, MEMORY);
}

void ac_reach(const struct acceptance *a, const struct tree *t, double *reach)
{
    int depth[TREE_MAX];
    for (int i = 0; i < t->n; i++) {
        const int p = t->entry[i].parent;
        depth[i] = p < 0 ? 1 : depth[p] + 1;
        reach[i] = (p < 0 ? 1.0 : reach[p]) * ac_chance(a, t, i, depth[i]);
    }
}

void ac_see_path(struct acceptance *a, const struct tree *t, const int *path, int n_path, bool missed)
{
    int depth[TREE_MAX + 1] = {0}; /* of a node on the path, + 1; 0: not on it */
    depth[0] = 1;
    for (int i = 0; i < n_path; i++)
        depth[path[i]] = i + 2;
    const int last = n_path > 0 ? path[n_path - 1] : 0;
    for (int i = 0; i < t->n; i++) {
        const int p = t->entry[i].parent, from = p < 0 ? 0 : t->entry[p].node;
        if (depth[from] == 0 || (from == last && !missed))
            continue; /* never tested */
        ac_see(a, t, i, depth[from], depth[t->entry[i].node] == depth[from] + 1);
    }
}
