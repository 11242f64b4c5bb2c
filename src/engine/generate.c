/* Owns the loop of a reply: prompt -> (draw -> emit -> forward)*. See otr_generate in outrider.h.
 * The draw of a token is keyed by the number of tokens before it, so it does not matter how the text got there. */
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct reply {
    struct otr_seq *s;
    const struct otr_gen *g;
    struct emitter emit;
    int32_t *tokens;
    size_t n, max;
    int32_t last;
};

static int reply_open(struct reply *r, struct otr_seq *s, const struct otr_gen *g, size_t n_prompt, struct otr_err *err)
{
    const size_t room = (size_t)s->e->n_ctx - s->n - n_prompt + 1; /* the last token needs no row */
    *r = (struct reply){.s = s, .g = g, .max = g->max_tokens < room ? g->max_tokens : room};
    const struct emit_opts eo = {s->e->m->tok, g->stops, g->n_stops, g->on_text, g->user, false};
    const int rc = emit_open(&r->emit, &eo, err);
    if (rc < 0)
        return rc;
    if (!(r->tokens = malloc((r->max + 1) * sizeof *r->tokens)))
        return OTR_FAIL(err, NOMEM, "no memory for a reply of %zu tokens", r->max);
    return OTR_OK;
}

/* Draws, emits and runs tokens until something ends the reply. */
static int reply_run(struct reply *r, enum otr_stop *stop, struct otr_err *err)
{
    const struct otr_model *m = r->s->e->m;
    for (*stop = OTR_STOP_LENGTH; r->n < r->max;) {
        int rc = emit_reserve(&r->emit, err);
        if (rc < 0)
            return rc;
        if (r->n > 0 && (rc = seq_append(r->s, &r->last, 1, true, err)) < 0)
            return rc;
        const int32_t id = otr_seq_sample(r->s, &r->g->sampling, err);
        if (id < 0)
            return id;
        r->tokens[r->n++] = r->last = id;
        if (!r->g->ignore_eos && otr_token_is_end(m, id)) {
            *stop = OTR_STOP_EOS;
            break;
        }
        /* rows past the vocabulary's pieces (padding of the embedding) have no text */
        const enum emit_verdict v = id < tokenizer_n_vocab(m->tok) ? emit_token(&r->emit, id) : EMIT_GO;
        if (v != EMIT_GO) {
            *stop = v == EMIT_ABORT ? OTR_STOP_ABORT : OTR_STOP_STRING;
            return OTR_OK;
        }
    }
    switch (emit_finish(&r->emit, r->last)) {
    case EMIT_STOP_STRING:
        *stop = OTR_STOP_STRING;
        break;
    case EMIT_ABORT:
        *stop = OTR_STOP_ABORT;
        break;
    case EMIT_GO:
        break;
    }
    return OTR_OK;
}

int otr_generate(struct otr_seq *s, const int32_t *prompt, size_t n_prompt, const struct otr_gen *g,
                 struct otr_gen_result *out, struct otr_err *err)
{
    const size_t before = s->n;
    struct reply r = {0};
    *out = (struct otr_gen_result){.n_prompt = n_prompt, .n_cached = before};
    if (n_prompt == 0)
        return OTR_FAIL(err, ARG, "an empty prompt");
    if (n_prompt > (size_t)s->e->n_ctx - before)
        return OTR_FAIL(err, LIMIT,
                        "a prompt of %zu tokens does not fit (context of %d, %zu in use): use a larger context (-c)",
                        n_prompt, s->e->n_ctx, before);
    int rc = reply_open(&r, s, g, n_prompt, err);
    const double t0 = clock_ms();
    if (rc == OTR_OK)
        rc = seq_append(s, prompt, n_prompt, true, err);
    const double t1 = clock_ms();
    if (rc == OTR_OK)
        rc = reply_run(&r, &out->stop, err);
    if (rc < 0) {
        otr_seq_truncate(s, before, NULL);
        emit_close(&r.emit);
        free(r.tokens);
        *out = (struct otr_gen_result){0};
        return rc;
    }
    out->prompt_ms = t1 - t0;
    out->reply_ms = clock_ms() - t1;
    out->tokens = r.tokens;
    out->n_reply = r.n;
    out->text = r.emit.text;
    out->n_text = r.emit.n_text;
    out->text[out->n_text] = 0;
    return OTR_OK;
}

void otr_gen_result_free(struct otr_gen_result *r)
{
    free(r->text);
    free(r->tokens);
    *r = (struct otr_gen_result){0};
}
