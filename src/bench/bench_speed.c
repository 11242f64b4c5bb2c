/* Owns `bench speed`: tokens a second as a user sees them, with sampling and text, in turn with the read roof. See
 * bench.h. In one round: each kind of decoding after a fresh prompt of `depth` tokens, each prompt, the roof of the
 * weights' own bytes, the roof of the memory. Read next: app/speed.c; bench/peers/measure.py puts other engines beside
 * it. */
#include "bench/bench.h"

#include <stdlib.h>

/* The law of `temp` is the whole vocabulary's; `top_p` is what --temp 0.7 --top-k 0 gives. */
static struct otr_sampling sampling_of(enum bench_speed_kind kind)
{
    struct otr_sampling s = otr_sampling_default();
    s.temp = kind == SPEED_GREEDY ? 0 : 0.7f;
    s.top_k = 0;
    if (kind != SPEED_TOP_P) {
        s.top_p = 1;
        s.min_p = 0;
    }
    return s;
}

/* A prompt of n_prompt tokens, then n_gen passes of one row. Milliseconds of the passes; of the prompt, without any.
 * The reply has a token more than passes: the prompt's own logits give the first. */
static int time_reply(double *ms, struct otr_engine *e, int n_prompt, int n_gen, enum bench_speed_kind kind,
                      struct otr_err *err)
{
    struct otr_seq *s = NULL;
    struct otr_gen_result r;
    const struct otr_gen g = {
        .sampling = sampling_of(kind), .max_tokens = n_gen > 0 ? (size_t)n_gen + 1 : 0, .ignore_eos = true};
    int32_t *ids = malloc((size_t)n_prompt * sizeof *ids);
    if (!ids)
        return OTR_FAIL(err, NOMEM, "no memory for %d tokens", n_prompt);
    for (int i = 0; i < n_prompt; i++)
        ids[i] = bench_token_at(e->m, i);
    int rc = otr_seq_create(&s, e, err);
    if (rc == OTR_OK && (rc = otr_generate(s, ids, (size_t)n_prompt, &g, &r, err)) == OTR_OK) {
        *ms = n_gen > 0 ? r.reply_ms : r.prompt_ms;
        otr_gen_result_free(&r);
    }
    otr_seq_destroy(s);
    free(ids);
    return rc;
}

static int one_round(struct bench_speed *out, struct otr_engine *e, struct team *t, const struct bench_reads *reads,
                     const struct bench_speed_opts *o, int round, struct otr_err *err)
{
    int rc = OTR_OK;
    for (int i = 0; i < out->n_series && rc == OTR_OK; i++) {
        const struct bench_series *s = &out->series[i];
        rc = i < SPEED_N_KIND ? time_reply(&s->ms[round], e, o->depth, s->n_tok, (enum bench_speed_kind)i, err)
                              : time_reply(&s->ms[round], e, s->n_tok, 0, SPEED_GREEDY, err);
    }
    if (rc < 0)
        return rc;
    bench_read(t, reads->weights, reads->weights_bytes, out->roof_ms, round, o->n_round);
    if (reads->memory)
        bench_read(t, reads->memory, reads->memory_bytes, out->memory_ms, round, o->n_round);
    return OTR_OK;
}

int bench_speed(struct bench_speed *out, struct otr_engine *e, struct team *t, const struct bench_speed_opts *o,
                struct otr_err *err)
{
    const size_t n = (size_t)o->n_round;
    struct bench_reads reads;
    *out = (struct bench_speed){.n_series = SPEED_N_KIND + o->n_prompts, .weight_bytes = bench_weight_bytes(e->m)};
    int rc = bench_reads_open(&reads, e, o->mb, err);
    out->read_bytes = reads.weights_bytes;
    out->memory_bytes = reads.memory_bytes;
    out->samples = calloc((size_t)(out->n_series + 2 * ROOF_N) * n, sizeof *out->samples);
    if (rc == OTR_OK && !out->samples)
        rc = OTR_FAIL(err, NOMEM, "no memory for %d rounds", o->n_round);
    if (rc == OTR_OK) {
        for (int i = 0; i < out->n_series; i++)
            out->series[i] = (struct bench_series){i < SPEED_N_KIND ? o->n_gen : o->prompts[i - SPEED_N_KIND],
                                                   out->samples + (size_t)i * n};
        out->roof_ms = out->samples + (size_t)out->n_series * n;
        out->memory_ms = out->roof_ms + ROOF_N * n;
    }
    for (int round = 0; round < o->n_round && rc == OTR_OK; round++) {
        if (o->progress)
            o->progress("speed", round, o->n_round);
        rc = one_round(out, e, t, &reads, o, round, err);
    }
    bench_reads_close(&reads);
    return rc;
}

void bench_speed_free(struct bench_speed *r)
{
    free(r->samples);
}
