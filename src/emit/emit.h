/* From tokens to final text: whole UTF-8 characters, nothing of a stop string, in order.
 *
 * In: reply tokens one by one. Out: text to the callback and into one buffer. Text that may yet become a stop string is
 * held back. Read next: engine/generate.c. */
#ifndef OTR_EMIT_EMIT_H
#define OTR_EMIT_EMIT_H

#include "tokenize/tokenizer.h"

struct emit_opts {
    const struct tokenizer *tok;
    const char *const *stops; /* [n_stops] not owned; UTF-8, empty strings are refused */
    size_t n_stops;
    otr_text_cb on_text; /* or NULL */
    void *user;
    bool at_start;   /* the reply is the first text of its sequence (SPM's first space) */
    size_t n_likely; /* bytes of the whole text: so much room is made at once */
};

enum emit_verdict { EMIT_GO, EMIT_STOP_STRING, EMIT_ABORT };

struct emitter {
    struct emit_opts o;
    struct detok detok;
    char *text; /* [n_text] all text so far, [n_sent] of it given away */
    size_t n_text, n_sent, cap;
    size_t longest_stop; /* bytes */
};

int emit_open(struct emitter *e, const struct emit_opts *o, struct otr_err *err);
void emit_close(struct emitter *e); /* frees text; a caller that keeps it sets e->text to NULL first */
/* Makes room, so that the next emit_token allocates nothing. */
int emit_reserve(struct emitter *e, struct otr_err *err);
/* Adds a token. text is cut before a completed stop string; after EMIT_ABORT it is what was given away. */
enum emit_verdict emit_token(struct emitter *e, int32_t id);
/* The reply ended for another reason: what is held back is sent. */
enum emit_verdict emit_finish(struct emitter *e, int32_t last_id);

#endif
