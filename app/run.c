/* outrider run: completes one prompt. With no prompt and a terminal: chat.c.
 *
 * In: flags, the prompt's bytes. Out: the reply on stdout as it comes (or one JSON object), a stats line on stderr.
 * Read next: session.h, then src/engine/generate.c, the loop of a reply. */
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "chat.h"
#include "json_out.h"
#include "spec_show.h"

static int read_prompt(const struct run_opts *o, struct text *t, const char **where, struct otr_err *err)
{
    *where = o->prompt ? "-p" : o->file && strcmp(o->file, "-") != 0 ? o->file : "stdin";
    int rc = OTR_OK;
    if (!o->prompt)
        rc = cli_read_file(t, o->file ? o->file : "-", err);
    else if (!(t->bytes = strdup(o->prompt)))
        rc = OTR_FAIL(err, NOMEM, "no memory for the prompt");
    else
        t->n = strlen(t->bytes);
    if (rc < 0)
        return rc;
    if (t->n == 0)
        return OTR_FAIL(err, ARG, "empty prompt (%.200s): there is nothing to reply to", *where);
    if ((rc = cli_check_utf8(t->bytes, t->n, *where, err)) < 0)
        return rc;
    return o->system ? cli_check_utf8(o->system, strlen(o->system), "--system", err) : OTR_OK;
}

/* The prompt as one message of a chat. */
static int encode_message(const struct session *s, struct text *t, const char *where, struct prompt *out,
                          struct otr_err *err)
{
    if (!s->o->prompt && t->n > 1 &&
        t->bytes[t->n - 1] == '\n') /* a file's last line ends so: it is not the message's */
        t->bytes[--t->n] = 0;
    const char *zero = memchr(t->bytes, 0, t->n);
    if (zero)
        return OTR_FAIL(err, FORMAT, "zero byte in a message (%.200s): at offset %td; --raw takes such text", where,
                        zero - t->bytes);
    struct otr_message m[2] = {{"system", s->o->system}, {"user", t->bytes}};
    return s->o->system ? session_encode_chat(s, m, 2, out, err) : session_encode_chat(s, m + 1, 1, out, err);
}

static int encode(const struct session *s, struct text *t, const char *where, struct prompt *out, struct otr_err *err)
{
    if (s->info->has_chat_template && !s->o->raw)
        return encode_message(s, t, where, out, err);
    if (s->o->system)
        return OTR_FAIL(err, ARG, "no place for a system text (--system): the model has no chat template");
    if (!s->o->raw)
        cli_note("the model has no chat template: it completes the prompt as it stands (--raw says that you know)");
    return session_encode_raw(s, t, out, err);
}

static json_t *json_ids(const int32_t *ids, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, json_integer(ids[i]));
    return a;
}

/* What a pass of so many rows takes, as far as it is known. */
static json_t *t_ms(const struct otr_engine *e)
{
    json_t *t = json_object();
    for (int rows = 1; rows <= 16; rows++) {
        char key[8];
        const double ms = otr_engine_pass_ms(e, rows);
        snprintf(key, sizeof key, "%d", rows);
        if (ms > 0)
            json_object_set_new(t, key, json_real(ms));
    }
    return t;
}

/* product.md section 2: keys may be added, never renamed. */
static bool print_json(const struct session *s, const struct prompt *p, const struct otr_gen_result *r)
{
    static const char *const stop[] = {
        [OTR_STOP_EOS] = "eos", [OTR_STOP_LENGTH] = "length", [OTR_STOP_STRING] = "stop", [OTR_STOP_ABORT] = "abort"};
    json_t *timings =
        json_pack("{s:I, s:f, s:f, s:I, s:f, s:f, s:I, s:i, s:i}", "prompt_n", (json_int_t)r->n_prompt, "prompt_ms",
                  r->prompt_ms, "prompt_per_second", per_second(r->n_prompt, r->prompt_ms), "predicted_n",
                  (json_int_t)r->n_reply, "predicted_ms", r->reply_ms, "predicted_per_second",
                  per_second(r->n_reply, r->reply_ms), "cache_n", (json_int_t)r->n_cached, "draft_n",
                  (json_int_t)r->spec.n_draft, "draft_n_accepted", (json_int_t)r->spec.n_accepted);
    static const char *const exact[] = {"bytes", "law", "none"};
    json_t *machine = json_pack("{s:s, s:i, s:o}", "kernel_level", s->info->kern, "threads",
                                otr_engine_n_threads(s->engine), "t_ms", t_ms(s->engine));
    return json_print(
        json_pack("{s:s%, s:o, s:o, s:s, s:b, s:s, s:I, s:s, s:o, s:o, s:b, s:o}", "text", r->text ? r->text : "",
                  r->n_text, "tokens", json_ids(r->tokens, r->n_reply), "prompt_tokens", json_ids(p->ids, p->n), "stop",
                  stop[r->stop], "lossless", r->spec.exact != OTR_EXACT_NONE, "exact", exact[r->spec.exact], "seed",
                  (json_int_t)s->o->sampling.seed, "kv_type", kv_type_name(s->o->engine.kv_type), "timings", timings,
                  "speculative", spec_json(r), "looping", otr_tokens_loop(r->tokens, r->n_reply), "machine", machine));
}

static int finish(const struct session *s, const struct prompt *p, const struct otr_gen_result *r)
{
    bool ok = true;
    if (s->o->json)
        ok = print_json(s, p, r);
    else if (isatty(STDOUT_FILENO) && r->n_text > 0 && r->text[r->n_text - 1] != '\n')
        cli_write("\n", 1); /* so that the shell's prompt starts a line; a pipe gets the reply alone */
    fprintf(stderr, "outrider: %zu prompt tokens (%.1f/s), %zu reply tokens (%.1f/s), seed %llu%s\n", r->n_prompt,
            per_second(r->n_prompt, r->prompt_ms), r->n_reply, per_second(r->n_reply, r->reply_ms),
            (unsigned long long)s->o->sampling.seed, cli_interrupted ? "; stopped" : "");
    spec_line(stderr, r);
    const int status = cli_close_stdout();
    if (status != CLI_OK)
        return status;
    return !ok ? CLI_FAIL : cli_interrupted ? CLI_INTERRUPTED : CLI_OK;
}

static int complete(const struct run_opts *o)
{
    struct session s = {0};
    struct text t = {0};
    struct prompt p = {0};
    struct otr_gen_result r = {0};
    struct otr_err err;
    const char *where;
    int rc, status;
    if ((rc = read_prompt(o, &t, &where, &err)) < 0)
        goto done;
    if ((rc = session_open(&s, o, &err)) < 0 || (rc = encode(&s, &t, where, &p, &err)) < 0)
        goto done;
    cli_catch_interrupt();
    rc = session_reply(&s, &p, o->n_predict < 0 ? SIZE_MAX : (size_t)o->n_predict, o->json, &r, &err);
done:
    status = rc < 0 ? cli_fail(&err) : finish(&s, &p, &r);
    otr_gen_result_free(&r);
    free(p.ids);
    free(t.bytes);
    session_close(&s);
    return status;
}

/* With --raw or --json a terminal without a prompt is no chat, but a prompt forgotten. */
static int chat_wanted(const struct run_opts *o)
{
    struct otr_err err;
    if (!o->raw && !o->json)
        return chat(o);
    OTR_FAIL(&err, ARG, "no prompt (%s): give one with -p, -f or stdin", o->raw ? "--raw" : "--json");
    return cli_usage(&err);
}

int cmd_run(int argc, char **argv)
{
    struct run_opts o;
    struct flag_words words;
    struct otr_err err;
    int status;
    const int rc = run_opts_parse(&o, argc, argv, stderr, &words, &err);
    if (rc < 0) {
        status = cli_usage(&err);
    } else if (words.help) {
        run_opts_help(cli_env.program, stdout);
        status = cli_close_stdout();
    } else if (o.spec.help) {
        status = spec_help();
    } else if (o.chat || (!o.prompt && !o.file && isatty(STDIN_FILENO))) {
        status = chat_wanted(&o);
    } else {
        status = complete(&o);
    }
    run_opts_free(&o);
    return status;
}
