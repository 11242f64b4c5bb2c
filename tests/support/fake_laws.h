/* A drafter's laws without a model: random ones, a function of the path (and of a seed) alone.
 *
 * Rows are numbered as a pass does; a law is asked for with the path that its row stands for, or the test ends. Used by
 * tests/unit/test_tree_build.c, tests/prop/test_tree_law.c. */
#ifndef OTR_TESTS_FAKE_LAWS_H
#define OTR_TESTS_FAKE_LAWS_H

#include "draft/draft_row.h"
#include "draft/tree_build.h"

enum { FAKE_V = 12, FAKE_ROWS = 512 };

struct fake_laws {
    uint64_t seed;
    int n_vocab;
    double sharp; /* 1: as weights fall; above: surer */
    /* NULL: the random law */
    void (*law)(const struct fake_laws *f, const struct draft_ask *ask, const int32_t *path, int n, double *p);
    const void *arg;
    int fail_at; /* this call of more fails; 0: none */
    int no_room; /* ask number + 1 that gets no row */
    /* what was asked */
    int n_more, n_row;
    struct draft_law_row row[FAKE_ROWS];
    struct draft_row out;
    int32_t id[FAKE_V];
    double p[FAKE_V];
};
extern const struct draft_laws fake_source;
/* p [n_vocab] by token. */
void fake_law(const struct fake_laws *f, const struct draft_ask *ask, const int32_t *path, int n, double *p);

/* An ask of a text of one token. */
struct draft_ask fake_ask(const struct fake_laws *f, uint64_t seq, enum accept_rule rule, int max_entries);

#endif
