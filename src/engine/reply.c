/* Owns a reply: its prompt, its first token, its text, its end. In: a sequence and struct otr_gen. Out: the result.
 * The draw of a token is keyed by the number of tokens before it, so it does not matter how the text got there.
 * Read next: step.c, which makes the tokens; emit/emit.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/engine.h"

enum accept_rule reply_rule(const struct otr_reply *r)
{
    const struct spec *sp = r->s->e->spec;
    return r->g.sampling.temp <= 0 ? RULE_GREEDY : sp ? sp->rule : RULE_GUMBEL;
}

static int reply_init(struct otr_reply *r, struct otr_seq *s, const struct otr_gen *g, size_t n_prompt,
                      struct otr_err *err)
{
    const size_t room = (size_t)s->e->n_ctx - s->n - n_prompt + 1; /* the last token needs no row */
    *r = (struct otr_reply){.s = s, .g = *g, .n_prompt = n_prompt, .before = s->n, .stop = OTR_STOP_LENGTH};
    r->max = g->max_tokens < room ? g->max_tokens : room;
    enum { BYTES = 8, MAX_BYTES = 1 << 20 }; /* of a token's text, mostly; of what is not used, at most */
    const size_t likely = r->max < MAX_BYTES / BYTES ? r->max * BYTES : MAX_BYTES;
    const struct emit_opts eo = {s->e->m->tok, g->stops, g->n_stops, g->on_text, g->user, false, likely};
    const int rc = emit_open(&r->emit, &eo, err);
    if (rc < 0)
        return rc;
    if (!(r->tokens = malloc((r->max + 1) * sizeof *r->tokens)))
        return OTR_FAIL(err, NOMEM, "no memory for a reply of %zu tokens", r->max);
    return OTR_OK;
}

/* What was held back goes out; a stop string can still complete. */
static void finish_text(struct otr_reply *r)
{
    switch (emit_finish(&r->emit, r->n > 0 ? r->tokens[r->n - 1] : -1)) {
    case EMIT_STOP_STRING:
        r->stop = OTR_STOP_STRING;
        break;
    case EMIT_ABORT:
        r->stop = OTR_STOP_ABORT;
        break;
    case EMIT_GO:
        break;
    }
}

/* One token. Sets r->done where it is the last. */
static int emit_one(struct otr_reply *r, int32_t id)
{
    const struct otr_model *m = r->s->e->m;
    const int rc = emit_reserve(&r->emit, &r->err);
    if (rc < 0)
        return rc;
    r->tokens[r->n++] = id;
    if (!r->g.ignore_eos && otr_token_is_end(m, id)) {
        r->stop = OTR_STOP_EOS;
        r->done = true;
        finish_text(r);
        return OTR_OK;
    }
    /* rows past the vocabulary's pieces (padding of the embedding) have no text */
    const enum emit_verdict v = id < tokenizer_n_vocab(m->tok) ? emit_token(&r->emit, id) : EMIT_GO;
    if (v != EMIT_GO) {
        r->stop = v == EMIT_ABORT ? OTR_STOP_ABORT : OTR_STOP_STRING;
        r->done = true;
    } else if (r->n == r->max) {
        r->done = true;
        finish_text(r);
    }
    return OTR_OK;
}

/* The first n_drafted tokens of the run are drafter's. Returns how many tokens count (fewer than n_run: one of them
 * ended the reply), or an error. */
int reply_emit(struct otr_reply *r, const int32_t *run, int n_run, int n_drafted, const char *drafter)
{
    int n = 0;
    while (n < n_run && !r->done) {
        if (r->g.drafted_by)
            *r->g.drafted_by = n < n_drafted ? drafter : NULL;
        const int rc = emit_one(r, run[n]);
        if (rc < 0)
            return rc;
        n++;
    }
    return n;
}

static int first_token(struct otr_reply *r, struct otr_err *err)
{
    if (r->max == 0) {
        r->done = true;
        finish_text(r);
        return OTR_OK;
    }
    const int32_t id = otr_seq_sample(r->s, &r->g.sampling, err);
    if (id < 0)
        return id;
    if (reply_emit(r, &id, 1, 0, NULL) < 0) {
        if (err)
            *err = r->err;
        return r->err.code;
    }
    r->s->tok[r->s->n] = id;
    return OTR_OK;
}

static void reply_free(struct otr_reply *r)
{
    emit_close(&r->emit);
    free(r->tokens);
    free(r);
}

int otr_reply_open(struct otr_reply **out, struct otr_seq *s, const int32_t *prompt, size_t n_prompt,
                   const struct otr_gen *g, struct otr_err *err)
{
    const size_t before = s->n;
    if (n_prompt == 0)
        return OTR_FAIL(err, ARG, "an empty prompt");
    if (n_prompt > (size_t)s->e->n_ctx - before)
        return OTR_FAIL(err, LIMIT,
                        "a prompt of %zu tokens does not fit (context of %d, %zu in use): use a larger context (-c)",
                        n_prompt, s->e->n_ctx, before);
    struct otr_reply *r = calloc(1, sizeof *r);
    if (!r)
        return OTR_FAIL(err, NOMEM, "no memory for a reply");
    int rc = reply_init(r, s, g, n_prompt, err);
    const double t0 = clock_ms();
    if (rc == OTR_OK)
        rc = seq_append(s, prompt, n_prompt, true, err);
    r->t_reply = clock_ms();
    r->prompt_ms = r->t_reply - t0;
    if (rc == OTR_OK)
        rc = first_token(r, err);
    r->reply_ms = clock_ms() - r->t_reply;
    if (rc < 0) {
        otr_seq_truncate(s, before, NULL);
        reply_free(r);
        return rc;
    }
    *out = r;
    return OTR_OK;
}

bool otr_reply_done(const struct otr_reply *r)
{
    return r->done || r->rc < 0;
}

static void settle_stats(struct otr_reply *r)
{
    const struct spec *sp = r->s->e->spec;
    struct otr_spec_stats *st = &r->spec;
    int best = -1;
    for (int i = 0; sp && i < sp->n_d; i++)
        if (r->given[i] > (best < 0 ? 0 : r->given[best]))
            best = i;
    st->exact = (enum otr_exact)accept_rule_exact(reply_rule(r));
    st->method = best < 0 ? NULL : sp->d[best].m->name;
    const double all = st->draft_ms + st->verify_ms + st->accept_ms;
    st->other_ms = r->reply_ms > all ? r->reply_ms - all : 0;
}

int otr_reply_close(struct otr_reply *r, struct otr_gen_result *out, struct otr_err *err)
{
    const int rc = r->rc;
    *out = (struct otr_gen_result){0};
    if (rc < 0) {
        if (err)
            *err = r->err;
        otr_seq_truncate(r->s, r->before, NULL);
        reply_free(r);
        return rc;
    }
    if (!r->done)
        finish_text(r); /* ended by the caller: as if by length */
    settle_stats(r);
    *out = (struct otr_gen_result){.stop = r->stop,
                                   .n_prompt = r->n_prompt,
                                   .n_cached = r->before,
                                   .n_reply = r->n,
                                   .prompt_ms = r->prompt_ms,
                                   .reply_ms = r->reply_ms,
                                   .text = r->emit.text,
                                   .n_text = r->emit.n_text,
                                   .tokens = r->tokens,
                                   .spec = r->spec};
    out->text[out->n_text] = 0;
    r->emit.text = NULL;
    r->tokens = NULL;
    reply_free(r);
    return OTR_OK;
}

void otr_gen_result_free(struct otr_gen_result *r)
{
    free(r->text);
    free(r->tokens);
    *r = (struct otr_gen_result){0};
}
