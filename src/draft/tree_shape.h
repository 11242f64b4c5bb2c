/* A tree that is planned before anything is known of its tokens: which places children take by rank (the likeliest
 * child of its parent is 0, the next 1, ...). Static trees are data: a named one, or a file of rank paths.
 * Read next: tree_shape.c, tree_medusa.c, tree_sequoia.c. */
#ifndef OTR_DRAFT_TREE_SHAPE_H
#define OTR_DRAFT_TREE_SHAPE_H

#include "accept/tree.h"

enum {
    TREE_KIDS = 8,      /* most children of a node */
    SHAPE_ROOT = -1,    /* place of the committed end */
    SHAPE_OUTSIDE = -2, /* of a token that is in no place */
    SHAPE_LINE = 504,   /* bytes of a file's line */
};

struct tree_shape {
    int n;
    signed char parent[TREE_MAX]; /* an earlier place, or SHAPE_ROOT */
    signed char rank[TREE_MAX];
};

int shape_child(const struct tree_shape *s, int place, int rank); /* or SHAPE_OUTSIDE */
/* The last rank that a place has a child of, among the first n places; -1: none. */
int shape_last_rank(const struct tree_shape *s, int place, int n);
/* The n places that are worth most, parents first and the rest by worth, where the child of rank r is right with
 * chance p[r] [TREE_KIDS] (falling) if its parent is. */
void shape_grow(struct tree_shape *s, const double *p, int n);
/* name: one of the list, else a file: a path of ranks a line ("0 1": the second child of the first child), its parent
 * before it, likeliest first. OTR_E_ARG, OTR_E_IO, OTR_E_FORMAT, OTR_E_LIMIT. */
int shape_read(struct tree_shape *s, const char *name, struct otr_err *err);

#endif
