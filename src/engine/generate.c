/* Owns the loop of one reply: open, step until done, close. See otr_generate in outrider.h; read next: step.c. */
#include "engine/engine.h"

int otr_generate(struct otr_seq *s, const int32_t *prompt, size_t n_prompt, const struct otr_gen *g,
                 struct otr_gen_result *out, struct otr_err *err)
{
    struct otr_reply *r;
    *out = (struct otr_gen_result){0};
    int rc = otr_reply_open(&r, s, prompt, n_prompt, g, err);
    if (rc < 0)
        return rc;
    while (!otr_reply_done(r))
        if ((rc = otr_step(s->e, &r, 1, &r->err)) < 0) {
            r->rc = rc;
            break;
        }
    return otr_reply_close(r, out, err);
}
