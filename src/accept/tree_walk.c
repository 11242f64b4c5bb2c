/* What the core does with trees that are made: copy, keep a part, follow tokens down. Read next: draw.c. */
#include <assert.h>
#include <string.h>

#include "accept/tree.h"

void tree_copy(struct tree *to, const struct tree *from)
{
    to->n = from->n;
    to->n_node = from->n_node;
    to->n_row = from->n_row;
    to->match = from->match;
    to->row_used = from->row_used;
    memcpy(to->entry, from->entry, (size_t)from->n * sizeof *to->entry);
    memcpy(to->node_parent, from->node_parent, (size_t)from->n_node * sizeof *to->node_parent);
    memcpy(to->node_token, from->node_token, (size_t)from->n_node * sizeof *to->node_token);
    memcpy(to->row_id, from->row_id, (size_t)from->row_used * sizeof *to->row_id);
    memcpy(to->row_p, from->row_p, (size_t)from->row_used * sizeof *to->row_p);
    for (int i = 0; i < from->n_row; i++)
        to->row[i] = (struct tree_row){from->row[i].n, to->row_id + (from->row[i].id - from->row_id),
                                       to->row_p + (from->row[i].p - from->row_p)};
}

/* The entries are made anew in their order, so that nodes are numbered as if nothing else had ever been there.
 * WHY all become chosen: what is kept may depend on tokens that were drawn (rule R1). */
void tree_keep(struct tree *t, const bool *keep)
{
    int now[TREE_MAX];
    const int n = t->n, match = t->match;
    struct tree_entry old[TREE_MAX];
    memcpy(old, t->entry, (size_t)n * sizeof *old);
    tree_clear(t);
    t->match = match;
    for (int i = 0; i < n; i++) {
        if (!keep[i])
            continue;
        assert(old[i].parent < 0 || keep[old[i].parent]);
        now[i] = tree_add(t, old[i].parent < 0 ? TREE_ROOT : now[old[i].parent], old[i].token, old[i].conf, INT32_MAX);
    }
}

int tree_follow(const struct tree *t, const int32_t *run, int n, int *path)
{
    int at = 0, depth = 0;
    for (int v = 1; v < t->n_node && depth < n; v++) /* a child comes after its parent, so one sweep finds the path */
        if (t->node_parent[v] == at && t->node_token[v] == run[depth])
            path[depth++] = at = v;
    return depth;
}
