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
    return lean(a->depth[depth_class(depth)], lean(a->all, PRIOR, LEAN_ALL), LEAN_CLASS);
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

void ac_see(struct acceptance *a, const struct tree *t, int entry, int depth, bool right)
{
    const int m = match_class(t->match), c = conf_class(t->entry[entry].conf), d = depth_class(depth);
    const float fade = 1 - 1 / NEWEST;
    a->hoped = a->hoped * fade + (float)class_chance(a, t, entry, depth);
    a->came = a->came * fade + (right ? 1.0f : 0.0f);
    see(&a->all, right, MEMORY_ALL);
    see(&a->depth[d], right, MEMORY);
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
