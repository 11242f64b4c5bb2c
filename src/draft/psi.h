/* psi of string-level rejection sampling: with which probability a draft, read in the target's vocabulary, begins with
 * each target token.
 *
 * In: the drafter's laws after drafted paths, and what the first target token of a path's text is. Out: a law over the
 * target's ids, and for each of them the likeliest draft that begins with it.
 * A draft grows token by token from the drafter's `top` likeliest ones; it ends when the caller says that its first
 * target token can no longer change (the look-ahead), at a special token, or after `depth` tokens: then its text counts
 * as it stands. Drafts are followed by falling probability, until `rows` laws were asked for; what is still open then
 * counts as it stands too. So psi is the law of a way to draft that reads committed text and rows only (rule R1): the
 * core draws from exactly it, and nothing is lost by the cap but acceptance.
 * WHY a cap: a text of n bytes can have 2^(n-1) spellings. Byte-like drafters stay under it, others need `complete`.
 * SRC: methods/16 section 3, SLRS; verification-law.md 6. Read next: slrs.c. */
#ifndef OTR_DRAFT_PSI_H
#define OTR_DRAFT_PSI_H

#include "base/err.h"

enum {
    PSI_MAX_ROWS = 64,
    PSI_MAX_TOP = 32,
    PSI_MAX_DEPTH = 16,
    PSI_MAX_NODES = 1 + PSI_MAX_ROWS * PSI_MAX_TOP,
    PSI_AT_ONCE = 8, /* laws that are asked for together */
};

struct psi;
struct psi_source {
    void *self;
    /* Drafts whose laws are asked for next, node[n], all at once; may be NULL. OTR_OK, or a negative error. */
    int (*prepare)(void *self, const struct psi *s, const int *node, int n);
    /* The drafter's law after a draft: at most cap ids and their probabilities, likeliest first; their number, or a
     * negative error. A law may be short of 1: the rest is never drafted. */
    int (*law)(void *self, const struct psi *s, int node, int32_t *id, double *q, int cap);
    /* The target's first token of the text of path[n], or -1: it has none. *done: no longer draft changes it. A
     * negative error below -1. */
    int32_t (*first)(void *self, const int32_t *path, int n, bool *done);
};

struct psi_node { /* a draft: its parent's and one token more */
    double mass;  /* the probability that drafting comes here */
    int32_t id, first;
    int16_t parent, depth;
    bool open, inner; /* may grow; has grown */
};

struct psi {
    int top, depth, rows; /* settings, at most PSI_MAX_ */
    struct psi_node node[PSI_MAX_NODES];
    int n_node, n_row;                              /* laws that were asked for */
    int n;                                          /* target tokens that a draft can begin with */
    int32_t id[PSI_MAX_NODES], best[PSI_MAX_NODES]; /* [n] by rising id; the node of the likeliest draft of each */
    double p[PSI_MAX_NODES];                        /* [n] */
    double complete; /* share of the mass whose first token could no longer change, or whose draft ended of itself */
};

/* Fills everything behind the settings. OTR_OK, or the source's error. */
int psi_run(struct psi *s, const struct psi_source *src);
int psi_path(const struct psi *s, int node, int32_t *path); /* [PSI_MAX_DEPTH]; its length */

#endif
