/* The draft of one sequence for one step: a tree of tokens after the committed end.
 *
 * An entry is one proposed token: its parent (an earlier entry, or the committed end), and how it came: drawn by the
 * core from a row of probabilities, or chosen by the drafter (a delta: q = 1 at it). Entries under one parent keep
 * their order; a chain is a tree. Entries with one parent node and one token share a node, that is a row of the forward
 * pass, never the entry: a repeated token is tested, refused, and updates the residual (verification-law.md 2).
 * A node's list is all entries under it, whichever of its entries they name as parent, in order of appearance: so the
 * trees of several drafters merge. (A refused token has no mass left, so a repeated one is never accepted.)
 * Nodes: 0 is the committed end (its row predicts the first entry), 1.. are distinct tokens in order of appearance.
 * INV: only tree_draw makes drawn entries, so a drafter can be silly, not false. Nothing here allocates.
 * Read next: accept.h. */
#ifndef OTR_ACCEPT_TREE_H
#define OTR_ACCEPT_TREE_H

#include "base/err.h"

enum {
    TREE_MAX = 31, /* entries; with the committed end 32 rows of one pass */
    TREE_ROOT = -1,
    TREE_ROW_CAP = 8192, /* values of all probability rows together */
};

struct tree_entry {
    int32_t token;
    int parent; /* index of an earlier entry, or TREE_ROOT */
    int row;    /* the row it was drawn from, or -1: chosen */
    int node;   /* 1..n_node - 1 */
    float conf; /* the drafter's guess that it is right if its parent is; NAN: it has none. A confidence, never q */
};

/* A sparse law: probability p[i] at id[i], zero elsewhere; sums to 1, ids ascending and distinct. */
struct tree_row {
    int n;
    const int32_t *id; /* [n] */
    const double *p;   /* [n] */
};

struct tree {
    int n, n_node, n_row;
    int match; /* what the drafter stood on: length of the matched context, 0 where it means nothing */
    struct tree_entry entry[TREE_MAX];
    int node_parent[TREE_MAX + 1]; /* node -> node; [0] is -1 */
    int32_t node_token[TREE_MAX + 1];
    struct tree_row row[TREE_MAX];
    int row_used; /* of the two stores */
    int32_t row_id[TREE_ROW_CAP];
    double row_p[TREE_ROW_CAP];
};

void tree_clear(struct tree *t);
void tree_copy(struct tree *to, const struct tree *from); /* only what is in use */
/* Adds a chosen entry; returns its index, or OTR_E_LIMIT when the tree is full, OTR_E_ARG for a parent that is not
 * there or a token outside [0, n_vocab). conf is clamped to [0, 1], NAN stays. */
int tree_add(struct tree *t, int parent, int32_t token, float conf, int n_vocab);
/* The node of a token under a node, or -1. */
int tree_find(const struct tree *t, int node, int32_t token);
/* The next entry under a node after entry `after` (-1: the first one), or -1. */
int tree_child(const struct tree *t, int node, int after);
int tree_depth(const struct tree *t, int entry); /* entries on its path, itself included; TREE_ROOT: 0 */
/* Keeps the first n entries. R1: for byte rules and chosen entries any n; a law rule may cut where it planned to. */
void tree_cut(struct tree *t, int n);
/* Keeps the entries i with keep[i]; the parent of a kept entry must be kept. Nodes are numbered anew. */
void tree_keep(struct tree *t, const bool *keep);
/* Follows tokens run [n] down the tree: path gets the nodes, returns how many. */
int tree_follow(const struct tree *t, const int32_t *run, int n, int *path);
/* Every entry becomes chosen: what a plan that broke rule R1 must do (verification-law.md 3). */
void tree_make_chosen(struct tree *t);
/* OTR_OK, or OTR_E_ARG with what is wrong: the core checks every tree it is given. */
int tree_check(const struct tree *t, int n_vocab, int max_entries, struct otr_err *err);

#endif
