/* The table of Sequoia's program, apart so that tests compare it with all trees. Read next: tree_sequoia.c. */
#ifndef OTR_DRAFT_TREE_SEQUOIA_H
#define OTR_DRAFT_TREE_SEQUOIA_H

#include "draft/tree_build.h"

enum { SEQUOIA_DEPTH = TREE_MAX };

struct sequoia {
    double tried[TREE_KIDS], right[TREE_KIDS]; /* children by rank; fading */
    double p[TREE_KIDS];                       /* chances of the table */
    long n_seen;
    double best[SEQUOIA_DEPTH + 1][TREE_KIDS + 1][TREE_MAX + 1];        /* by levels, rank, nodes */
    unsigned char take[SEQUOIA_DEPTH + 1][TREE_KIDS + 1][TREE_MAX + 1]; /* nodes of that child's subtree; 0: none */
};

void sequoia_table(struct sequoia *s); /* from p */
void sequoia_plan(const struct sequoia *s, int n, int depth, struct tree_shape *out);

#endif
