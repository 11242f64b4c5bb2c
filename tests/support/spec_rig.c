/* Owns the rig that compares drafted replies with plain ones. See spec_rig.h. */
#include "support/spec_rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_AT_ONCE = 8, MAX_METHODS = 8, MAX_WORDS = 4096 };

struct otr_gen sr_settings(const struct spec_rig *s, int i)
{
    static const char *const stops[] = {"ing the", ". The", "\n\n\n", "e of"};
    static struct otr_logit_bias bias[2] = {{3, -INFINITY}, {5, 2.0f}};
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = (size_t)s->n_tok};
    struct otr_sampling *sp = &g.sampling;
    sp->temp = s->warm ? 0.8f : 0.0f;
    sp->seed = 1000 + (uint64_t)i;
    switch (i % 6) {
    case 1:
        sp->top_k = 0;
        sp->top_p = 1;
        sp->min_p = 0;
        break;
    case 2:
        sp->repeat_penalty = 1.1f;
        sp->penalty_last_n = 64;
        break;
    case 3:
        sp->dry_multiplier = 0.8f;
        sp->top_k = 100;
        break;
    case 4:
        sp->bias = bias;
        sp->n_bias = 2;
        sp->frequency_penalty = 0.2f;
        break;
    case 5:
        sp->typical_p = 0.9f;
        break;
    default:
        break;
    }
    g.ignore_eos = i % 4 == 3;
    if (i % 3 == 2) {
        g.stops = stops;
        g.n_stops = 4;
    }
    if (i % 7 == 6)
        g.max_tokens = (size_t)(1 + i % s->n_tok);
    return g;
}

static int engine_open(const struct spec_rig *s, int n_threads, int n_seq, enum otr_kv_type kv, struct otr_engine **e,
                       struct otr_err *err)
{
    int longest = 0;
    for (int i = 0; i < s->n; i++)
        longest = s->n_prompt[i] > longest ? s->n_prompt[i] : longest;
    /* WHY so tight a context: some replies end at it */
    const struct otr_engine_opts eo = {
        .n_threads = n_threads, .n_ctx = longest + s->n_tok * 7 / 8, .n_seq = n_seq, .n_batch = 256, .kv_type = kv};
    return otr_engine_create(e, s->m, &eo, err);
}

/* Replies of prompts [from, from + n) at once. */
static int run_group(const struct spec_rig *s, struct otr_engine *e, int from, int n, bool predict,
                     struct sr_reply *out, struct otr_err *err)
{
    struct otr_seq *seq[MAX_AT_ONCE] = {0};
    struct otr_reply *r[MAX_AT_ONCE] = {0};
    int rc = OTR_OK;
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        const int p = from + i;
        struct otr_gen g = sr_settings(s, p);
        if (predict) {
            g.predicted = s->plain[p].r.tokens;
            g.n_predicted = s->plain[p].r.n_reply;
        }
        const int n_run = e == s->e ? s->n_prompt[p] - 1 : 0;
        rc = n_run > 0 ? otr_seq_fork(&seq[i], s->base[p], err) : otr_seq_create(&seq[i], e, err);
        if (rc == OTR_OK)
            rc = otr_reply_open(&r[i], seq[i], s->prompt[p] + n_run, (size_t)(s->n_prompt[p] - n_run), &g, err);
    }
    for (int left = 1; rc == OTR_OK && left > 0;)
        if ((left = otr_step(e, r, n, err)) < 0)
            rc = left;
    for (int i = 0; i < n; i++) {
        if (r[i]) {
            const int rc2 = otr_reply_close(r[i], &out[i].r, rc == OTR_OK ? err : NULL);
            rc = rc < 0 ? rc : rc2;
        }
        if (seq[i])
            out[i].n_seq = otr_seq_len(seq[i]);
        otr_seq_destroy(seq[i]);
    }
    return rc;
}

static void drop_plain(struct spec_rig *s)
{
    for (int i = 0; i < s->n && s->plain; i++)
        otr_gen_result_free(&s->plain[i].r);
    free(s->plain);
    s->plain = NULL;
}

static int make_plain(struct spec_rig *s, struct otr_engine *e, struct otr_err *err)
{
    int rc = OTR_OK;
    if (!(s->plain = calloc((size_t)s->n, sizeof *s->plain)))
        return OTR_FAIL(err, NOMEM, "no memory for %d replies", s->n);
    for (int i = 0; i < s->n && rc == OTR_OK; i++)
        rc = run_group(s, e, i, 1, false, &s->plain[i], err);
    return rc;
}

int sr_open(struct spec_rig *s, struct otr_model *m, const int32_t *const *prompt, const int *n_prompt, int n,
            int n_tok, bool warm, int n_threads, struct otr_err *err)
{
    struct otr_engine *e = NULL;
    *s = (struct spec_rig){.m = m, .n_tok = n_tok, .n = n, .prompt = prompt, .n_prompt = n_prompt, .warm = warm};
    int rc = engine_open(s, n_threads, 1, OTR_KV_F16, &e, err);
    if (rc == OTR_OK)
        rc = make_plain(s, e, err);
    otr_engine_destroy(e);
    return rc;
}

int sr_open_shared(struct spec_rig *s, struct otr_model *m, const int32_t *const *prompt, const int *n_prompt, int n,
                   int n_tok, int n_threads, struct otr_err *err)
{
    *s = (struct spec_rig){.m = m, .n_tok = n_tok, .n = n, .prompt = prompt, .n_prompt = n_prompt};
    if (!(s->base = calloc((size_t)n, sizeof(struct otr_seq *))))
        return OTR_FAIL(err, NOMEM, "no memory for %d prompts", n);
    int rc = engine_open(s, n_threads, MAX_AT_ONCE + n, OTR_KV_F16, &s->e, err);
    for (int i = 0; i < n && rc == OTR_OK; i++)
        if (n_prompt[i] > 1 && (rc = otr_seq_create(&s->base[i], s->e, err)) == OTR_OK)
            rc = otr_seq_append(s->base[i], prompt[i], (size_t)n_prompt[i] - 1, err);
    return rc;
}

int sr_plain(struct spec_rig *s, bool warm, struct otr_err *err)
{
    drop_plain(s);
    s->warm = warm;
    const int rc = otr_engine_speculate(s->e, NULL, err);
    return rc < 0 ? rc : make_plain(s, s->e, err);
}

void sr_close(struct spec_rig *s)
{
    drop_plain(s);
    for (int i = 0; i < s->n && s->base; i++)
        otr_seq_destroy(s->base[i]);
    free(s->base);
    otr_engine_destroy(s->e);
    *s = (struct spec_rig){0};
}

static void compare(struct spec_rig *s, const struct sr_way *w, int i, const struct sr_reply *b)
{
    const struct sr_reply *a = &s->plain[i];
    size_t k = 0;
    while (k < a->r.n_reply && k < b->r.n_reply && a->r.tokens[k] == b->r.tokens[k])
        k++;
    s->n_reply++;
    s->n_compared += (long)a->r.n_reply;
    s->n_draft += (long)b->r.spec.n_draft;
    s->n_accepted += (long)b->r.spec.n_accepted;
    if (k == a->r.n_reply && k == b->r.n_reply && a->r.stop == b->r.stop && a->n_seq == b->n_seq &&
        a->r.n_text == b->r.n_text && memcmp(a->r.text, b->r.text, a->r.n_text) == 0)
        return;
    s->n_differ++;
    printf("DIFFERS: prompt %d, %s, temperature %s, %d threads, %d at once: token %zu of %zu and %zu, stop %d and %d, "
           "text of %zu and %zu, sequence of %zu and %zu\n",
           i, w->method ? w->method : "auto", s->warm ? "0.8" : "0", w->n_threads, w->n_batch, k, a->r.n_reply,
           b->r.n_reply, (int)a->r.stop, (int)b->r.stop, a->r.n_text, b->r.n_text, a->n_seq, b->n_seq);
}

int sr_run(struct spec_rig *s, const struct sr_way *w, int from, int to, struct otr_err *err)
{
    struct otr_engine *e = s->e;
    const char *method[MAX_METHODS];
    char words[MAX_WORDS];
    size_t n_method = 0;
    snprintf(words, sizeof words, "%s", w->method ? w->method : "");
    for (char *m = strtok(words, " "); m && n_method < MAX_METHODS; m = strtok(NULL, " "))
        method[n_method++] = m;
    const struct otr_spec sp = {
        .methods = method, .n_methods = n_method, .verify = w->verify, .draft_fixed = w->draft_fixed, .seed = w->seed};
    int rc = s->e ? OTR_OK : engine_open(s, w->n_threads, w->n_batch, w->kv_type, &e, err);
    if (rc == OTR_OK)
        rc = otr_engine_speculate(e, &sp, err);
    for (int i = from; i < to && rc == OTR_OK; i += w->n_batch) {
        struct sr_reply out[MAX_AT_ONCE] = {0};
        const int n = to - i < w->n_batch ? to - i : w->n_batch;
        rc = run_group(s, e, i, n, w->predict, out, err);
        for (int k = 0; k < n; k++) {
            if (rc == OTR_OK)
                compare(s, w, i + k, &out[k]);
            otr_gen_result_free(&out[k].r);
        }
    }
    if (!s->e)
        otr_engine_destroy(e);
    else if (rc == OTR_OK)
        rc = otr_engine_speculate(e, NULL, err);
    return rc;
}
