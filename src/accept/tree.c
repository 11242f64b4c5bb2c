/* Owns the making and checking of draft trees. In: entries one by one, or a whole tree from a drafter that is not
 * trusted. Out: trees in which entries, nodes and rows agree. Read next: draw.c. */
#include "accept/tree.h"

#include <math.h>

static int node_of(const struct tree *t, int entry)
{
    return entry == TREE_ROOT ? 0 : t->entry[entry].node;
}

/* The node of (parent node, token) among the first n, or n. */
static int find_node(const struct tree *t, int n, int parent, int32_t token)
{
    int v = parent + 1; /* nodes come after their parents */
    while (v < n && !(t->node_parent[v] == parent && t->node_token[v] == token))
        v++;
    return v < n ? v : n;
}

void tree_clear(struct tree *t)
{
    t->n = t->n_row = t->row_used = t->match = 0;
    t->n_node = 1;
    t->node_parent[0] = t->node_token[0] = -1;
}

int tree_add(struct tree *t, int parent, int32_t token, float conf, int n_vocab)
{
    if (parent < TREE_ROOT || parent >= t->n || token < 0 || token >= n_vocab)
        return OTR_E_ARG;
    if (t->n == TREE_MAX)
        return OTR_E_LIMIT;
    const int above = node_of(t, parent), node = find_node(t, t->n_node, above, token);
    if (node == t->n_node) {
        t->node_parent[node] = above;
        t->node_token[node] = token;
        t->n_node++;
    }
    t->entry[t->n] = (struct tree_entry){.token = token,
                                         .parent = parent,
                                         .row = -1,
                                         .node = node,
                                         .conf = conf < 0   ? 0
                                                 : conf > 1 ? 1
                                                            : conf};
    return t->n++;
}

int tree_find(const struct tree *t, int node, int32_t token)
{
    const int v = find_node(t, t->n_node, node, token);
    return v < t->n_node ? v : -1;
}

int tree_child(const struct tree *t, int node, int after)
{
    for (int e = after + 1; e < t->n; e++)
        if (node_of(t, t->entry[e].parent) == node)
            return e;
    return -1;
}

int tree_depth(const struct tree *t, int entry)
{
    int n = 0;
    for (; entry != TREE_ROOT; entry = t->entry[entry].parent)
        n++;
    return n;
}

void tree_cut(struct tree *t, int n)
{
    if (n >= t->n)
        return;
    /* nodes and rows stand in order of appearance, so what is kept of them is a beginning too */
    t->n = n < 0 ? 0 : n;
    t->n_node = 1;
    t->n_row = t->row_used = 0;
    for (int e = 0; e < t->n; e++) {
        if (t->entry[e].node >= t->n_node)
            t->n_node = t->entry[e].node + 1;
        if (t->entry[e].row >= 0) {
            t->row_used += t->row[t->n_row].n;
            t->n_row++;
        }
    }
}

void tree_make_chosen(struct tree *t)
{
    for (int e = 0; e < t->n; e++)
        t->entry[e].row = -1;
    t->n_row = t->row_used = 0;
}

/* A row lies in the store where the one before it ends (at `begin`), and is a law. */
static const char *row_wrong(const struct tree *t, int row, int begin, int32_t token, int n_vocab)
{
    const struct tree_row *r = &t->row[row];
    double sum = 0, own = 0;
    if (r->n < 1 || r->n > t->row_used - begin || r->id != t->row_id + begin || r->p != t->row_p + begin)
        return "a row that is not in the store";
    for (int i = 0; i < r->n; i++) {
        if (r->id[i] < 0 || r->id[i] >= n_vocab || (i > 0 && r->id[i] <= r->id[i - 1]))
            return "a row whose ids do not ascend";
        if (!(r->p[i] > 0 && r->p[i] <= 1))
            return "a row with a value outside (0, 1]";
        sum += r->p[i];
        own = r->id[i] == token ? r->p[i] : own;
    }
    return !(fabs(sum - 1) < 1e-9) ? "a row that does not sum to 1" : own == 0 ? "a token its row does not hold" : NULL;
}

/* What is wrong with an entry, given that those before it are right. n_node, n_row, used: what those use. */
static const char *entry_wrong(const struct tree *t, int e, int n_vocab, int n_node, int n_row, int used)
{
    const struct tree_entry *x = &t->entry[e];
    if (x->token < 0 || x->token >= n_vocab)
        return "a token outside the vocabulary";
    if (x->parent < TREE_ROOT || x->parent >= e)
        return "a parent that does not come before it";
    if (!(isnan(x->conf) || (x->conf >= 0 && x->conf <= 1)))
        return "a confidence outside [0, 1]";
    const int above = node_of(t, x->parent), node = find_node(t, n_node, above, x->token);
    if (x->node != node || node >= t->n_node || t->node_parent[node] != above || t->node_token[node] != x->token)
        return "a node that is not its own";
    if (x->row == -1)
        return NULL;
    return x->row != n_row || n_row >= t->n_row ? "a row out of order" : row_wrong(t, n_row, used, x->token, n_vocab);
}

int tree_check(const struct tree *t, int n_vocab, int max_entries, struct otr_err *err)
{
    int n_node = 1, n_row = 0, used = 0;
    if (t->n < 0 || t->n > max_entries || t->n > TREE_MAX)
        return OTR_FAIL(err, ARG, "draft tree: %d entries where at most %d are allowed", t->n,
                        max_entries < TREE_MAX ? max_entries : TREE_MAX);
    if (t->n_node < 1 || t->n_node > t->n + 1 || t->n_row < 0 || t->n_row > t->n || t->row_used < 0 ||
        t->row_used > TREE_ROW_CAP)
        return OTR_FAIL(err, ARG, "draft tree: its counts (%d nodes, %d rows, %d values) do not fit %d entries",
                        t->n_node, t->n_row, t->row_used, t->n);
    for (int e = 0; e < t->n; e++) {
        const char *wrong = entry_wrong(t, e, n_vocab, n_node, n_row, used);
        if (wrong)
            return OTR_FAIL(err, ARG, "draft tree (entry %d of %d): %s", e, t->n, wrong);
        n_node += t->entry[e].node == n_node;
        if (t->entry[e].row >= 0)
            used += t->row[n_row++].n;
    }
    if (n_node != t->n_node || n_row != t->n_row || used != t->row_used)
        return OTR_FAIL(err, ARG, "draft tree: %d nodes, %d rows and %d values are used of the %d, %d and %d it has",
                        n_node, n_row, used, t->n_node, t->n_row, t->row_used);
    return OTR_OK;
}
