/* A drafter's head over the most frequent tokens of its vocabulary (FR-Spec).
 *
 * rows=N     tokens that are drafted (all); what ends a text or a turn is always among them
 * freq=FILE  counts of tokens (outrider datastore freq); else what this drafter's replies were made of so far, kept in
 *            the cache folder; and before there is any, the vocabulary's own order (freq.h)
 * The rows of the output matrix of these tokens, gathered once into a matrix of their own, in their own type: a token
 * that is left has the bits of the whole head. Logits of tokens that are out are never made, so a draft is drawn from
 * the law over the rest; the target's head is whole, and so the result does not change.
 * SRC: FR-Spec (methods/21 section 1); verification-law.md 2: the renormalised law is the one that is drawn from.
 * Read next: draft_row.h (rows of such logits), forward.h (fwd_set_head). */
#ifndef OTR_DRAFT_FEW_ROWS_H
#define OTR_DRAFT_FEW_ROWS_H

#include "draft/draft.h"
#include "draft/freq.h"

struct few_rows {
    struct mat head; /* [n, n_embd] */
    int n;
    int32_t *id; /* [n] the tokens of its rows, rising: ids of the drafter's vocabulary */
    void *map;   /* what head lies in */
    size_t bytes;
    struct lm_files *files; /* that count it */
    struct freq seen;       /* since it was opened; no counts: not kept */
    char *dir, key[FREQ_KEY + 1];
};

#define FEW_ROWS_PARAMS "rows", "freq"
/* True if the parameters ask for fewer rows than there are tokens. */
int few_rows_wanted(bool *wanted, const struct draft_env *env, const struct tokenizer *tok, struct otr_err *err);
/* *out: NULL where the head stays whole. tok: the vocabulary of w, whose file is mapped; type: of the gathered rows
 * (the file's own where that is not larger). OTR_E_LIMIT: no room. */
int few_rows_open(struct few_rows **out, const struct draft_env *env, const struct tokenizer *tok,
                  const struct weights *w, enum ggml_type type, struct otr_err *err);
void few_rows_close(struct few_rows *f); /* keeps what was seen */
/* A history that has ended, in the drafter's ids. f may be NULL. */
void few_rows_seen(struct few_rows *f, const int32_t *tok, size_t n);
/* The name of the file of what was seen, by freq_key. */
enum { FEW_ROWS_NAME = 40 };
void few_rows_file(char *name, const char *key);

#endif
