/* Drives a drafting method as a step does, without a model: asks, greedy acceptance, what was seen.
 *
 * In: a method by name and parameters; texts that are pure functions of the history, so that every node of a tree has
 * one right answer. Out: proposals. Used by tests/unit/test_draft_*.c. */
#ifndef OTR_TESTS_DRAFT_RIG_H
#define OTR_TESTS_DRAFT_RIG_H

#include "draft/draft.h"

uint64_t dr_rand(uint64_t *state); /* splitmix64 */
int dr_below(uint64_t *state, int n);

enum dr_kind {
    DR_RANDOM, /* nothing repeats */
    DR_MARKOV, /* a function of the last token */
    DR_REPEAT, /* the token 17 places before */
    DR_MIXED,  /* stretches of both */
    DR_N_KIND
};
struct dr_text {
    enum dr_kind kind;
    int n_vocab;
    uint64_t seed;
};
/* The token after tok [n]. */
int32_t dr_next(const struct dr_text *t, const int32_t *tok, size_t n);

enum { DR_MAX_TOK = 1 << 15, DR_MAX_PARAM = 8, DR_MODEL_KEY = 16 };
#define DR_MODEL "0123456789abcdef"

struct dr {
    const struct draft_method *m;
    void *self;
    int n_vocab;
    char words[512];
    struct draft_param param[DR_MAX_PARAM];
    int n_param;
};
/* params: "key=value,key=value" or "". */
int dr_open(struct dr *d, const char *name, const char *params, int n_vocab, uint64_t seed, struct otr_err *err);
void dr_close(struct dr *d);

struct dr_seq {
    uint64_t id;
    int32_t *tok; /* [DR_MAX_TOK] */
    size_t n, n_prompt;
    const int32_t *predicted;
    size_t n_predicted;
};
/* A prompt of n_prompt tokens and the first token after it. Exits where there is no memory. */
void dr_seq_open(struct dr_seq *s, uint64_t id, const struct dr_text *t, size_t n_prompt);
void dr_seq_close(struct dr_seq *s);

struct draft_ask dr_ask(const struct dr_seq *s, int n_vocab, int max_entries, bool chain);
int dr_propose(struct dr *d, const struct dr_seq *s, int max_entries, bool chain, struct tree *out);
/* The greedy step after a proposal: the accepted path and a token more are appended, and told to every method of d[n].
 * A tree that is not sound (tree_check) runs as none. Returns the number of accepted tokens. */
int dr_step(struct dr *d, int n, int owner, struct dr_seq *s, const struct dr_text *t, struct tree *tree);
void dr_event(struct dr *d, const struct dr_seq *s, enum draft_event event);
/* Cuts the history to n tokens and tells it. */
void dr_truncate(struct dr *d, struct dr_seq *s, size_t n);

bool dr_same_tree(const struct tree *a, const struct tree *b); /* entries, parents, confidences, match */
bool dr_is_chain(const struct tree *t);

/* An empty file of a new name in the folder for such. Exits where there can be none. */
void dr_tmp_file(char *path, size_t cap);
/* A datastore of a text at path, its suffixes sorted by plain comparison. */
void dr_write_datastore(const char *path, const int32_t *tok, size_t n, int n_vocab);

#endif
