/* Owns the model, engine and sequence of a run. See session.h; read next: run.c, chat.c. */
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "spec_show.h"

/* A line on stderr, when that is a terminal, that the next one or progress_end replaces. */
static void progress(const char *what, size_t done, size_t all)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%s", what);
    if (all)
        fprintf(stderr, " %zu of %zu tokens", done, all);
    fputs("\033[K", stderr);
}

static void progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* What a drafter takes beside its model; nothing to say of one model alone. */
static void show_memory(const struct session *s)
{
    struct otr_memory m;
    otr_engine_memory(s->engine, &m);
    if (m.draft_kv == 0 && m.draft_weights == 0)
        return;
    if (m.draft_kv == 0)
        cli_note("memory: model %zu MB and its cache up to %zu MB, which the drafter shares; drafter %zu MB",
                 m.weights >> 20, m.kv >> 20, m.draft_weights >> 20);
    else if (m.draft_weights == 0)
        cli_note("memory: model %zu MB and its cache up to %zu MB; the drafter is the model, its cache up to %zu MB",
                 m.weights >> 20, m.kv >> 20, m.draft_kv >> 20);
    else
        cli_note("memory: model %zu MB and its cache up to %zu MB; drafter %zu MB and its cache up to %zu MB",
                 m.weights >> 20, m.kv >> 20, m.draft_weights >> 20, m.draft_kv >> 20);
    if (m.draft_weights > m.weights)
        cli_note("the drafter is larger than the model: drafting with it can hardly pay");
}

static void warn_of_async(const struct spec_opts *o)
{
    for (size_t i = 0; i < o->n_words; i++)
        if (strncmp(o->words[i], "async", strlen("async")) == 0 && pool_default_threads() < 2)
            cli_note("async has no core of its own here: --spec draft drafts faster");
}

/* With the model that lies beside the target, where one does. WHY a note where it cannot draft: nobody asked for it. */
static int open_spec(const struct session *s, const struct otr_spec *sp, struct otr_err *err)
{
    static const char *const automatic = "auto";
    const size_t n = sp->n_methods > 0 ? sp->n_methods : 1;
    char *beside = spec_beside(&s->o->spec, s->o->engine.model);
    const char **methods = beside ? malloc((n + 1) * sizeof *methods) : NULL;
    struct otr_spec with = *sp;
    struct otr_err why;
    int rc = OTR_E_NOMEM;
    if (methods) {
        memcpy(methods, sp->n_methods > 0 ? sp->methods : &automatic, n * sizeof *methods);
        methods[n] = beside;
        with.methods = methods;
        with.n_methods = n + 1;
        if ((rc = otr_engine_speculate(s->engine, &with, &why)) == OTR_OK)
            cli_note("%s drafts, too", strchr(beside, '=') + 1);
        else
            cli_note("%s lies beside the model but cannot draft: %s", strchr(beside, '=') + 1, why.msg);
    }
    free(methods);
    free(beside);
    return rc == OTR_OK ? rc : otr_engine_speculate(s->engine, sp, err);
}

/* The engine's speculation, and the predicted text as ids. */
static int speculate(struct session *s, struct otr_err *err)
{
    const struct spec_opts *o = &s->o->spec;
    const struct otr_spec sp = {.methods = (const char *const *)o->words,
                                .n_methods = o->n_words,
                                .verify = o->verify,
                                .draft_max = o->draft_max,
                                .draft_min = o->draft_min,
                                .dir = cli_cache_dir(),
                                .seed = s->o->sampling.seed};
    struct text t = {0};
    int rc = open_spec(s, &sp, err);
    if (rc == OTR_OK) {
        show_memory(s);
        warn_of_async(o);
    }
    if (rc < 0 || !o->prediction || (rc = cli_read_file(&t, o->prediction, err)) < 0)
        return rc;
    s->predicted.n = t.n; /* a token is at least a byte */
    if (t.n > 0 && !(s->predicted.ids = malloc(t.n * sizeof *s->predicted.ids)))
        rc = OTR_FAIL(err, NOMEM, "no memory for the predicted text");
    const int64_t n = rc < 0 ? rc : otr_tokenize(s->model, t.bytes, t.n, 0, s->predicted.ids, t.n, err);
    free(t.bytes);
    s->predicted.n = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : OTR_OK;
}

int session_open(struct session *s, const struct run_opts *o, struct otr_err *err)
{
    const struct engine_opts *e = &o->engine;
    *s = (struct session){.o = o};
    progress("loading", 0, 0);
    int rc = otr_model_open(&s->model, e->model,
                            &(struct otr_model_opts){e->n_threads, cli_env.kern, e->no_repack, cli_plan_dir()}, err);
    progress_end();
    if (rc < 0)
        return rc;
    s->info = otr_model_info(s->model);
    const struct otr_engine_opts eo = {
        .n_threads = e->n_threads, .n_ctx = e->n_ctx, .n_seq = 1, .n_batch = e->n_batch, .kv_type = e->kv_type};
    rc = otr_engine_create(&s->engine, s->model, &eo, err);
    if (rc == OTR_OK)
        rc = otr_seq_create(&s->seq, s->engine, err);
    if (rc == OTR_OK && !o->spec.none)
        rc = speculate(s, err);
    if (rc < 0)
        session_close(s);
    else if (e->n_ctx > s->info->n_ctx_train)
        cli_note("a context of %d tokens is more than the model was trained for (%d)", e->n_ctx, s->info->n_ctx_train);
    return rc;
}

void session_close(struct session *s)
{
    otr_seq_destroy(s->seq);
    otr_engine_destroy(s->engine);
    otr_model_close(s->model);
    free(s->predicted.ids);
    *s = (struct session){0};
}

/* ---- ids ---- */

/* Either a text as it stands or messages for the template. */
struct source {
    const struct text *raw;
    const struct otr_message *msgs;
    size_t n_msgs;
};

static int64_t encode_once(const struct session *s, const struct source *from, const struct prompt *to,
                           struct otr_err *err)
{
    if (from->raw)
        return otr_tokenize(s->model, from->raw->bytes, from->raw->n, OTR_TOK_ADD_SPECIAL | OTR_TOK_PARSE_SPECIAL,
                            to->ids, to->n, err);
    return otr_chat_tokenize(s->model, from->msgs, from->n_msgs, true, to->ids, to->n, err);
}

static int encode(const struct session *s, const struct source *from, struct prompt *out, struct otr_err *err)
{
    size_t cap = 1024;
    for (;;) { /* the second time round there is room */
        struct prompt p = {malloc(cap * sizeof *p.ids), cap};
        if (!p.ids)
            return OTR_FAIL(err, NOMEM, "no memory for a prompt of %zu tokens", cap);
        const size_t before = otr_n_dropped(s->model);
        const int64_t n = encode_once(s, from, &p, err);
        if (n >= 0 && (size_t)n <= cap) {
            cli_note_dropped(otr_n_dropped(s->model) - before);
            *out = (struct prompt){p.ids, (size_t)n};
            return OTR_OK;
        }
        free(p.ids);
        if (n < 0)
            return (int)n;
        cap = (size_t)n;
    }
}

int session_encode_raw(const struct session *s, const struct text *t, struct prompt *out, struct otr_err *err)
{
    return encode(s, &(struct source){.raw = t}, out, err);
}

int session_encode_chat(const struct session *s, const struct otr_message *msgs, size_t n_msgs, struct prompt *out,
                        struct otr_err *err)
{
    return encode(s, &(struct source){.msgs = msgs, .n_msgs = n_msgs}, out, err);
}

/* ---- reply ---- */

struct printer {
    bool quiet, coloured;
    const char *drafted_by;
};

static bool on_text(void *user, const char *text, size_t n, int32_t token)
{
    const struct printer *p = user;
    const char *colour = p->coloured ? spec_colour(p->drafted_by) : NULL;
    (void)token;
    if (p->quiet)
        return !cli_interrupted;
    bool ok = !colour || cli_write(colour, strlen(colour));
    ok = ok && cli_write(text, n);
    ok = ok && (!colour || cli_write("[0m", 4));
    return ok && !cli_interrupted;
}

/* Forgets what is not a beginning of the prompt; keeps at least one token of it to run. Returns what is left. */
static size_t keep_common(struct otr_seq *seq, const struct prompt *p)
{
    const int32_t *have = otr_seq_tokens(seq);
    const size_t n = otr_seq_len(seq);
    size_t same = 0;
    while (same < n && same + 1 < p->n && have[same] == p->ids[same])
        same++;
    otr_seq_truncate(seq, same, NULL);
    return same;
}

/* Runs all but the last pass of the prompt from *done on. WHY not leave it to otr_generate: to show progress and to
 * hear Ctrl-C. The bits do not depend on it. */
static int run_prompt(struct session *s, const struct prompt *p, size_t *done, struct otr_err *err)
{
    const size_t pass = s->o->engine.n_batch ? (size_t)s->o->engine.n_batch : 256;
    int rc = OTR_OK;
    while (rc == OTR_OK && !cli_interrupted && p->n - *done > pass) {
        progress("prompt", *done, p->n);
        if ((rc = otr_seq_append(s->seq, p->ids + *done, pass, err)) == OTR_OK)
            *done += pass;
    }
    progress_end();
    return rc;
}

int session_reply(struct session *s, const struct prompt *p, size_t max_tokens, bool quiet, struct otr_gen_result *out,
                  struct otr_err *err)
{
    struct printer printer = {.quiet = quiet, .coloured = s->o->spec.show_drafts};
    const struct otr_gen g = {.sampling = s->o->sampling,
                              .max_tokens = max_tokens,
                              .ignore_eos = s->o->ignore_eos,
                              .stops = s->o->stops.v,
                              .n_stops = s->o->stops.n,
                              .on_text = on_text,
                              .user = &printer,
                              .predicted = s->predicted.ids,
                              .n_predicted = s->predicted.n,
                              .drafted_by = &printer.drafted_by};
    const size_t cached = keep_common(s->seq, p);
    size_t done = cached;
    int rc = OTR_OK;
    *out = (struct otr_gen_result){0};
    const double t0 = clock_ms();
    if (p->n <= (size_t)otr_engine_n_ctx(s->engine)) /* otherwise otr_generate says what is wrong, at once */
        rc = run_prompt(s, p, &done, err);
    const double run_ms = clock_ms() - t0;
    if (rc == OTR_OK && cli_interrupted)
        out->stop = OTR_STOP_ABORT;
    else if (rc == OTR_OK)
        rc = otr_generate(s->seq, p->ids + done, p->n - done, &g, out, err);
    if (rc < 0)
        return rc;
    out->prompt_ms += run_ms;
    out->n_prompt += done - cached;
    out->n_cached = cached;
    return OTR_OK;
}

double per_second(size_t n, double ms)
{
    return ms > 0 ? 1e3 * (double)n / ms : 0;
}
