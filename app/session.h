/* A model, an engine and one sequence, and how a reply is made from a prompt's ids: with progress, and so that Ctrl-C
 * stops it at any time. Used by run.c and chat.c. */
#ifndef OTR_APP_SESSION_H
#define OTR_APP_SESSION_H

#include "cli.h"
#include "run_opts.h"

/* Ids of a prompt; free(ids). */
struct prompt {
    int32_t *ids; /* [n] */
    size_t n;
};

struct session {
    const struct run_opts *o;
    struct otr_model *model;
    const struct otr_model_info *info;
    struct otr_engine *engine;
    struct otr_seq *seq;
    struct prompt predicted; /* the reply that is expected (--prediction) */
};

/* Opens all of it; on error nothing is left open. */
int session_open(struct session *s, const struct run_opts *o, struct otr_err *err);
void session_close(struct session *s);

/* As it stands: BOS as the vocabulary says, special tokens in the text are recognised. */
int session_encode_raw(const struct session *s, const struct text *t, struct prompt *out, struct otr_err *err);
int session_encode_chat(const struct session *s, const struct otr_message *msgs, size_t n_msgs, struct prompt *out,
                        struct otr_err *err);

/* Replies to ids. What the sequence already holds of them is kept (n_cached), the rest of the sequence is forgotten.
 * max_tokens as in otr_gen. quiet: text is not written to stdout as it comes. After Ctrl-C the result's stop is
 * OTR_STOP_ABORT (n_reply may be 0, text NULL). */
int session_reply(struct session *s, const struct prompt *p, size_t max_tokens, bool quiet, struct otr_gen_result *out,
                  struct otr_err *err);

double per_second(size_t n, double ms); /* 0 where no time passed */

#endif
