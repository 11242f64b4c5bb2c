/* Chat templates: a small Jinja interpreter, bounded in steps, depth and output.
 *
 * In: the template text of the model file (untrusted) and messages (untrusted). Out: the prompt, and for each of its
 * bytes whether it came from the caller's messages. Read next: tokenizer.h (literal). */
#ifndef OTR_TEMPLATE_TEMPLATE_H
#define OTR_TEMPLATE_TEMPLATE_H

#include <time.h>

#include "base/err.h"

struct chat_template;

/* Parses text[n] (trim_blocks and lstrip_blocks on, as everybody renders chat templates). Errors name the line. */
int template_open(struct chat_template **out, const char *text, size_t n, struct otr_err *err);
void template_close(struct chat_template *t);

struct template_args {
    const struct otr_message *msgs;
    size_t n_msgs;
    bool add_generation_prompt;
    const char *bos_token, *eos_token; /* "" where there is none; not user text */
    const struct tm *now;              /* the date for strftime_now; NULL: the local time */
};

struct template_out {
    char *text;             /* [n] and a zero byte */
    unsigned char *literal; /* [n] 1: the byte came from a message's role or content */
    size_t n;
};

/* OTR_E_FORMAT: the template raised (raise_exception's own words are in err) or used something unknown.
 * OTR_E_LIMIT: over the bounds on steps, depth or output. Thread-safe: the template is read-only. */
int template_render(const struct chat_template *t, const struct template_args *a, struct template_out *out,
                    struct otr_err *err);
void template_out_free(struct template_out *o);

#endif
