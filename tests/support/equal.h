/* The equality suite: many ways to compute the same row, compared by memcmp of its logits.
 *
 * In: a model, a KV type and texts. The reference of a row is plain decoding: one thread, one token at a time, alone. A
 * draw builds some sequences in some way (chunks, forks, truncation), runs chains and trees of them in one pass on 1..4
 * threads, in one call or grown in several, and compares every row. Out: how many rows were compared, and how many
 * differed (each is printed). Used by tests/equal (short) and tests/proof (5,000 draws on both models). */
#ifndef OTR_TESTS_EQUAL_H
#define OTR_TESTS_EQUAL_H

#include "engine/engine.h"

enum { EQ_GROUP = 8, EQ_MAX_TOK = 256, EQ_ENGINES = 4, EQ_MAX_ROWS = 16 };

struct eq_text {
    int n;
    int32_t tok[EQ_MAX_TOK];
    float *logits; /* [n, n_vocab] by plain decoding */
};

struct eq_rig {
    struct otr_model *m;
    enum otr_kv_type kv;
    struct otr_engine *e[EQ_ENGINES];          /* of 1..4 threads */
    struct kv_seq *full[EQ_ENGINES][EQ_GROUP]; /* whole texts, to fork from */
    struct eq_text text[EQ_GROUP];
    int n_text;
    uint64_t rng;
    float *kept; /* [n_vocab] */
    long n_draw, n_row, n_tree_row, n_branch_row, n_differ;
    long n_grown; /* rows that were added to a pass that had begun */
};

const char *eq_kv_name(enum otr_kv_type kv);

/* Sequential random numbers of a seed (splitmix64). */
uint64_t eq_random(uint64_t *state);

int eq_open(struct eq_rig *r, const char *model, const char *kern, enum otr_kv_type kv, uint64_t seed,
            struct otr_err *err);
void eq_close(struct eq_rig *r);
/* Takes up to EQ_GROUP prompts (ids) and lets the model write each on, greedily, up to n_tok tokens. */
int eq_load(struct eq_rig *r, const int32_t *const *prompt, const int *n_prompt, int n_text, int n_tok,
            struct otr_err *err);
/* One draw; differences are counted and printed, errors of the engine are returned. */
int eq_draw(struct eq_rig *r, struct otr_err *err);

/* Compares the logits of every position of the rig's texts with those of the model opened otherwise (another level,
 * weights left in the file): one pass of all rows, the head on all. */
int eq_compare_model(struct eq_rig *r, const char *model, const struct otr_model_opts *mo, long *n_row, long *n_differ,
                     struct otr_err *err);

/* Up to `cap` prompts as ids, out of a folder of data sets; returns how many. */
enum { EQ_MAX_PROMPTS = 1024 };
struct eq_prompts {
    int n;
    int32_t *ids[EQ_MAX_PROMPTS];
    int n_ids[EQ_MAX_PROMPTS];
};
int eq_prompts_read(struct eq_prompts *p, const struct otr_model *m, const char *jsonl, int cap, int max_tok);
void eq_prompts_free(struct eq_prompts *p);

/* Path of a downloaded model, or NULL with a SKIPPED line printed. */
const char *eq_model_path(char *buf, size_t cap, const char *file);

#endif
