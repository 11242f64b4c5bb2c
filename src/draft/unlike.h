/* What the methods for a drafter with a vocabulary of its own share: its model, the map, each sequence's text, and the
 * walk of all sequences' chains through the model at once.
 *
 * In: asks. Out: after each token of a chain the drafter's law over its own ids; tli, slem and slrs make entries of the
 * target's from it. INV: a special token is never proposed unless it is mapped.
 * Read next: tli.c, slem.c, slrs.c, hetero.c; retext.h, lm.h. */
#ifndef OTR_DRAFT_UNLIKE_H
#define OTR_DRAFT_UNLIKE_H

#include "draft/few_rows.h"
#include "draft/lm.h"
#include "draft/retext.h"

struct psi;
struct unlike_score;
struct unlike_way;

enum unlike_name { UNLIKE_TLI, UNLIKE_SLEM, UNLIKE_SLRS, UNLIKE_N_WAY };
enum { UNLIKE_TOP = 64, UNLIKE_MAX = 2 * TREE_MAX }; /* tokens of a law; of a draft */

/* A drafter's law: its likeliest tokens, best first; q sums to 1. */
struct unlike_law {
    int n;
    int32_t id[UNLIKE_TOP];
    double q[UNLIKE_TOP];
};

struct unlike_seq {
    struct retext text;
    const struct unlike_way *way; /* of its last draft */
    struct unlike_score *score;   /* what that draft will count for */
    int row;                      /* the model's, of the newest token; -1: its draft is done */
    int n;                        /* of the draft, in the drafter's ids */
    int32_t path[UNLIKE_MAX];
    double conf[UNLIKE_MAX]; /* of each token, given those before it */
    struct unlike_law root;  /* after the newest token; for ways that draft alone */
};

struct unlike {
    const struct tokenizer *target, *draft;
    int n_vocab; /* of the target */
    struct lm *lm;
    struct few_rows *few; /* of the drafter's vocabulary; NULL: the whole head */
    struct vocab_map *map;
    struct sampler *sampler;      /* for rows of the drafter: of logits, as many as its head has */
    double p_min;                 /* the draft ends where the likeliest token has less */
    double shared, n_law;         /* mass of the laws that the target's vocabulary has; laws so far */
    const struct unlike_way *way; /* of every draft; NULL: hetero chooses */
    struct unlike_score {
        double n, kept;       /* drafts that ran, tokens of them that stayed; fading */
    } score[2][UNLIKE_N_WAY]; /* at temperature 0, above it; by unlike_way.name */
    long n_choice;
    struct psi *psi;        /* slrs: settings and scratch */
    struct draft_seqs seqs; /* struct unlike_seq */
    struct lm_item *item;   /* [cap] of a walk */
    struct lm_row *row;
    struct unlike_seq **seq;
    int cap;
};

/* How a law becomes entries. */
struct unlike_way {
    enum unlike_name name;
    /* Goes on with the draft by one token of s->path, or ends it: false. */
    bool (*next)(struct unlike *u, struct unlike_seq *s, const struct draft_ask *ask, const struct unlike_law *law,
                 struct tree *out);
    int (*finish)(struct unlike *u, struct unlike_seq *s, const struct draft_ask *ask, struct tree *out); /* or NULL */
    /* What one sequence drafts alone, from its newest token's row and s->root on, before the walk;
     * or NULL. */
    int (*alone)(struct unlike *u, struct unlike_seq *s, const struct draft_ask *ask, struct tree *out);
};
extern const struct unlike_way unlike_tli, unlike_slem, unlike_slrs;
const struct unlike_way *unlike_choose(struct unlike *u, const struct draft_ask *ask); /* hetero.c */

/* ---- a method is these, with a way ---- */

/* The parameters model, context, p_min, rows and freq, and those of SLRS where the way is it. */
int unlike_create(void **self, const struct unlike_way *way, const struct draft_env *env, struct otr_err *err);
void unlike_close(void *self); /* of draft_method, as the next ones */
int unlike_prepare(void *self, const struct draft_ask *ask, int n_ask);
int unlike_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out);
/* What the text followed stays in the drafter's cache; what has finished goes. */
int unlike_observe(void *self, const struct draft_seen *seen, int n_seen);
size_t unlike_bytes(const void *self);
struct draft_guess unlike_guess(const void *self);

/* ---- for the ways ---- */

/* The law at a row of the last pass, by the reply's temperature; its n is 0 where nothing may be proposed. */
int unlike_law_at(struct unlike *u, int row, const struct draft_ask *ask, struct unlike_law *law);
/* The draft s->path as chosen entries under `parent`, without its first `skip` tokens of the target. */
int unlike_add_text(struct unlike *u, struct unlike_seq *s, int parent, int skip, int max_entries, struct tree *out);
/* s->path and one token more. false: it is full, or ends with a special token now. */
bool unlike_push(const struct unlike *u, struct unlike_seq *s, int32_t id, double conf);

#endif
