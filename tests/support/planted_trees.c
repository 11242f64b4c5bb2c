#include "support/planted_trees.h"

#include <string.h>

/* A row of the store that the rules read; honest code writes it in tree_draw alone. */
static double *row_p(struct tree *t, int entry)
{
    return (double *)(uintptr_t)t->row[t->entry[entry].row].p;
}

/* The law of a later sibling is left as it was cut out of the first one's: its sum is below 1. */
void spoil_not_renormalised(struct tree *t, int n_vocab)
{
    (void)n_vocab;
    for (int e = 0; e < t->n; e++) {
        const int parent = t->entry[e].parent, node = parent < 0 ? 0 : t->entry[parent].node;
        double left = 1;
        for (int s = tree_child(t, node, -1); s >= 0 && s < e; s = tree_child(t, node, s)) {
            const struct tree_row *row = &t->row[t->entry[s].row]; /* shrunk already */
            for (int i = 0; i < row->n; i++)
                left -= row->id[i] == t->entry[s].token ? row->p[i] : 0;
        }
        for (int i = 0; i < t->row[t->entry[e].row].n; i++)
            row_p(t, e)[i] *= left;
    }
}

/* Likeliest tokens, chosen, that pass for draws. */
void spoil_top_k_as_draws(struct tree *t, int n_vocab)
{
    struct tree out;
    const struct accept_dice first = {NULL, NULL, NULL};
    const struct tree_luck likeliest = {.rule = RULE_GREEDY, .n_vocab = n_vocab};
    tree_clear(&out);
    for (int e = 0; e < t->n; e++) {
        const struct tree_row *row = &t->row[t->entry[e].row];
        tree_draw_with(&out, t->entry[e].parent, row->id, row->p, row->n, &likeliest, &first);
    }
    for (int e = 0; e < out.n; e++) { /* each with the law its place was to be drawn from */
        out.entry[e].row = e;
        out.row[e] = t->row[t->entry[e].row];
    }
    t->n = out.n;
    t->n_node = out.n_node;
    memcpy(t->entry, out.entry, sizeof t->entry);
    memcpy(t->node_parent, out.node_parent, sizeof t->node_parent);
    memcpy(t->node_token, out.node_token, sizeof t->node_token);
    memcpy(t->row, out.row, sizeof t->row);
}

/* Of siblings with one token only the first stays (of leaves, so that no parent moves). */
void spoil_deduplicated(struct tree *t, int n_vocab)
{
    int n = 0;
    (void)n_vocab;
    for (int e = 0; e < t->n; e++)
        if (t->entry[e].node == n + 1) {
            t->entry[n] = t->entry[e];
            n++;
        }
    t->n = n;
}

/* Siblings at the root (leaves) by falling probability of their tokens in the first one's law. */
static double own_q(const struct tree *t, int entry, int32_t token)
{
    const struct tree_row *row = &t->row[t->entry[entry].row];
    for (int i = 0; i < row->n; i++)
        if (row->id[i] == token)
            return row->p[i];
    return 0;
}

void spoil_resorted(struct tree *t, int n_vocab)
{
    const struct tree old = *t;
    (void)n_vocab;
    for (int a = 0; a < t->n; a++)
        for (int b = a + 1; b < t->n; b++)
            if (own_q(&old, 0, t->entry[b].token) > own_q(&old, 0, t->entry[a].token)) {
                const struct tree_entry x = t->entry[a];
                t->entry[a] = t->entry[b];
                t->entry[b] = x;
            }
    /* the laws stay with the places, as a program would do that draws, sorts and then works out q */
    for (int e = 0; e < t->n; e++)
        t->entry[e].row = old.entry[e].row;
}

/* Every row is sharper than what was drawn from: a temperature forgotten on one side. */
void spoil_wrong_q(struct tree *t, int n_vocab)
{
    (void)n_vocab;
    for (int r = 0; r < t->n_row; r++) {
        double *p = (double *)(uintptr_t)t->row[r].p, sum = 0;
        for (int i = 0; i < t->row[r].n; i++)
            sum += p[i] *= p[i];
        for (int i = 0; i < t->row[r].n; i++)
            p[i] /= sum;
    }
}

/* Rule R1 broken: an entry goes when its own token was unlikely. */
void spoil_dropped_by_own_q(struct tree *t, int n_vocab)
{
    (void)n_vocab;
    for (int e = 0; e < t->n; e++)
        if (own_q(t, e, t->entry[e].token) < 0.3) {
            tree_cut(t, e);
            return;
        }
}
