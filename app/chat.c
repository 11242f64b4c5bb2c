/* The terminal chat of `run`: reads a message, renders the whole conversation with the model's template, replies.
 *
 * In: lines, commands (/help). Out: replies on stdout; everything about them on stderr. What the engine still holds of
 * the conversation is not computed again (session_reply). INV: the system text is never dropped.
 * Read next: session.h, line.h. */
#include "chat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/words.h"
#include "line.h"
#include "session.h"

struct turn {
    char *user, *reply; /* reply NULL: not made yet */
};

struct sum { /* of one reply, or of all so far */
    size_t prompt, cached, reply;
    double prompt_ms, reply_ms;
};

struct chat {
    struct session s;
    struct line_reader *lines;
    char *system; /* NULL: none */
    struct turn *turns;
    size_t n_turns, cap_turns;
    struct sum sum;
};

static void turn_free(struct turn *t)
{
    free(t->user);
    free(t->reply);
}

static void drop_oldest(struct chat *c, size_t n)
{
    if (n == 0) /* there may be no list yet */
        return;
    for (size_t i = 0; i < n; i++)
        turn_free(&c->turns[i]);
    c->n_turns -= n;
    memmove(c->turns, c->turns + n, c->n_turns * sizeof *c->turns);
}

static void chat_close(struct chat *c)
{
    drop_oldest(c, c->n_turns);
    free(c->turns);
    free(c->system);
    line_close(c->lines);
    session_close(&c->s);
}

/* ---- the conversation as ids ---- */

static int render(struct chat *c, struct prompt *p, struct otr_err *err)
{
    struct otr_message *m = malloc((2 * c->n_turns + 1) * sizeof *m);
    size_t n = 0;
    if (!m)
        return OTR_FAIL(err, NOMEM, "no memory for %zu messages", 2 * c->n_turns + 1);
    if (c->system)
        m[n++] = (struct otr_message){"system", c->system};
    for (size_t i = 0; i < c->n_turns; i++) {
        m[n++] = (struct otr_message){"user", c->turns[i].user};
        if (c->turns[i].reply)
            m[n++] = (struct otr_message){"assistant", c->turns[i].reply};
    }
    const int rc = session_encode_chat(&c->s, m, n, p, err);
    free(m);
    return rc;
}

/* Renders what fits beside `extra` tokens and room for a reply; drops the oldest turns until it does, and says so. */
static int render_fitting(struct chat *c, size_t extra, struct prompt *p, struct otr_err *err)
{
    const size_t n_ctx = (size_t)otr_engine_n_ctx(c->s.engine), quarter = n_ctx / 4;
    const int n_predict = c->s.o->n_predict;
    const size_t room = n_predict > 0 && (size_t)n_predict < quarter ? (size_t)n_predict : quarter;
    size_t dropped = 0;
    int rc;
    while ((rc = render(c, p, err)) == OTR_OK && p->n + extra + room > n_ctx && c->n_turns > 1) {
        free(p->ids);
        p->ids = NULL;
        drop_oldest(c, 1);
        dropped++;
    }
    if (dropped > 0) /* in the middle of a reply: on a line of its own */
        fprintf(stderr, "%s[context of %zu tokens full: forgot the %zu oldest message%s]\n", extra > 0 ? "\n" : "",
                n_ctx, dropped, dropped > 1 ? "s and their replies" : " and its reply");
    return rc;
}

/* ---- one reply ---- */

struct reply {
    char *text; /* [n_text] and a zero byte */
    size_t n_text;
    int32_t *ids; /* [n] */
    size_t n;
    struct sum sum;
};

static void sum_add(struct sum *s, const struct sum *more)
{
    s->prompt += more->prompt;
    s->cached += more->cached;
    s->reply += more->reply;
    s->prompt_ms += more->prompt_ms;
    s->reply_ms += more->reply_ms;
}

static int reply_add(struct reply *r, const struct otr_gen_result *g, struct otr_err *err)
{
    const struct sum sum = {g->n_prompt, g->n_cached, g->n_reply, g->prompt_ms, g->reply_ms};
    char *text = realloc(r->text, r->n_text + g->n_text + 1);
    if (!text)
        return OTR_FAIL(err, NOMEM, "no memory for the reply");
    r->text = text;
    int32_t *ids = realloc(r->ids, (r->n + g->n_reply + 1) * sizeof *ids);
    if (!ids)
        return OTR_FAIL(err, NOMEM, "no memory for the reply");
    r->ids = ids;
    if (g->n_text > 0)
        memcpy(r->text + r->n_text, g->text, g->n_text);
    if (g->n_reply > 0)
        memcpy(r->ids + r->n, g->tokens, g->n_reply * sizeof *ids);
    r->n_text += g->n_text;
    r->n += g->n_reply;
    r->text[r->n_text] = 0;
    sum_add(&r->sum, &sum);
    return OTR_OK;
}

static int prompt_add(struct prompt *p, const int32_t *ids, size_t n, struct otr_err *err)
{
    if (n == 0)
        return OTR_OK;
    int32_t *v = realloc(p->ids, (p->n + n) * sizeof *v);
    if (!v)
        return OTR_FAIL(err, NOMEM, "no memory for a prompt of %zu tokens", p->n + n);
    p->ids = v;
    memcpy(p->ids + p->n, ids, n * sizeof *v);
    p->n += n;
    return OTR_OK;
}

/* One stretch of the reply: to its end, or until the context is full (*full). */
static int stretch(struct chat *c, struct reply *r, bool *full, struct otr_err *err)
{
    struct prompt p = {0};
    struct otr_gen_result g = {0};
    const size_t n_ctx = (size_t)otr_engine_n_ctx(c->s.engine);
    const size_t max = c->s.o->n_predict < 0 ? SIZE_MAX : (size_t)c->s.o->n_predict - r->n;
    int rc = render_fitting(c, r->n, &p, err);
    if (rc == OTR_OK)
        rc = prompt_add(&p, r->ids, r->n, err);
    *full = rc == OTR_OK && p.n >= n_ctx;
    if (*full && r->n == 0)
        rc = OTR_FAIL(err, LIMIT, "message too long (%zu tokens): the context has %zu; use a larger one (-c)", p.n,
                      n_ctx);
    if (rc == OTR_OK && !*full)
        rc = session_reply(&c->s, &p, max, false, &g, err);
    if (rc == OTR_OK && !*full) {
        *full = g.stop == OTR_STOP_LENGTH && g.n_reply < max;
        rc = reply_add(r, &g, err);
    }
    otr_gen_result_free(&g);
    free(p.ids);
    return rc;
}

static void say_sum(const char *what, const struct sum *s)
{
    fprintf(stderr, "[%s%zu prompt tokens, %.1f/s; %zu reply tokens, %.1f/s]\n", what, s->prompt,
            per_second(s->prompt, s->prompt_ms), s->reply, per_second(s->reply, s->reply_ms));
}

/* Replies to the newest turn; on error that turn is gone. A reply that fills the context goes on after the oldest turns
 * are dropped. */
static int reply(struct chat *c, struct otr_err *err)
{
    struct reply r = {0};
    bool full;
    int rc;
    cli_catch_interrupt();
    do
        rc = stretch(c, &r, &full, err);
    while (rc == OTR_OK && full && c->n_turns > 1); /* INV: each time round drops a turn: what is full does not fit */
    if (r.n_text > 0 && r.text[r.n_text - 1] != '\n')
        cli_write("\n", 1);
    free(r.ids);
    if (rc < 0) {
        free(r.text);
        turn_free(&c->turns[--c->n_turns]);
        return rc;
    }
    if (full)
        fprintf(stderr, "[context of %d tokens full: the reply ends here]\n", otr_engine_n_ctx(c->s.engine));
    say_sum(cli_interrupted ? "stopped; " : "", &r.sum);
    sum_add(&c->sum, &r.sum);
    c->turns[c->n_turns - 1].reply = r.text;
    if (r.n == 0) /* stopped before the first token: as if it had never been sent */
        turn_free(&c->turns[--c->n_turns]);
    return OTR_OK;
}

static int say(struct chat *c, const char *message, struct otr_err *err)
{
    int rc = cli_check_utf8(message, strlen(message), "message", err);
    if (rc < 0)
        return rc;
    if (c->n_turns == c->cap_turns) {
        const size_t cap = c->cap_turns ? 2 * c->cap_turns : 16;
        struct turn *t = realloc(c->turns, cap * sizeof *t);
        if (!t)
            return OTR_FAIL(err, NOMEM, "no memory for message %zu", c->n_turns + 1);
        c->turns = t;
        c->cap_turns = cap;
    }
    char *copy = strdup(message);
    if (!copy)
        return OTR_FAIL(err, NOMEM, "no memory for message %zu", c->n_turns + 1);
    c->turns[c->n_turns++] = (struct turn){.user = copy};
    return reply(c, err);
}

/* ---- commands ---- */

static bool do_help(struct chat *c, const char *arg);

static bool do_quit(struct chat *c, const char *arg)
{
    (void)c;
    (void)arg;
    return false;
}

static bool do_clear(struct chat *c, const char *arg)
{
    (void)arg;
    drop_oldest(c, c->n_turns);
    otr_seq_truncate(c->s.seq, 0, NULL);
    fputs(c->system ? "[conversation forgotten; the system text stays]\n" : "[conversation forgotten]\n", stderr);
    return true;
}

static bool do_system(struct chat *c, const char *arg)
{
    char *text = *arg ? strdup(arg) : NULL;
    if (*arg && !text) {
        fputs("[no memory for the system text]\n", stderr);
        return true;
    }
    free(c->system);
    c->system = text;
    fputs(text ? "[system text set; it counts from the next message on]\n" : "[no system text]\n", stderr);
    return true;
}

static bool do_stats(struct chat *c, const char *arg)
{
    (void)arg;
    const struct run_opts *o = c->s.o;
    say_sum("so far: ", &c->sum);
    fprintf(stderr, "[context: %zu of %d tokens, %zu message%s; seed %llu; %d threads, kernels %s]\n",
            otr_seq_len(c->s.seq), otr_engine_n_ctx(c->s.engine), c->n_turns, c->n_turns == 1 ? "" : "s",
            (unsigned long long)o->sampling.seed, otr_engine_n_threads(c->s.engine), c->s.info->kern);
    return true;
}

static const struct chat_command {
    const char *name, *arg, *about;
    bool (*run)(struct chat *c, const char *arg); /* false: the chat ends */
} commands[] = {
    {"/help", "", "this list", do_help},
    {"/system", "TEXT", "set the system text; alone: take it away", do_system},
    {"/clear", "", "forget the conversation", do_clear},
    {"/stats", "", "tokens, speed, context, seed", do_stats},
    {"/quit", "", "end (also Ctrl-D)", do_quit},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static bool do_help(struct chat *c, const char *arg)
{
    (void)c;
    (void)arg;
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "  %-7s %-5s %s\n", commands[i].name, commands[i].arg, commands[i].about);
    fputs("  Ctrl-C stops a reply. A \\ at the end of a line goes on with the next one.\n", stderr);
    return true;
}

static bool run_command(struct chat *c, const char *line)
{
    char name[32], q[40];
    const size_t n = strcspn(line, " ");
    const struct chat_command *best = commands;
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), line);
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(c, line + n + strspn(line + n, " "));
        if (word_distance(name, commands[i].name) < word_distance(name, best->name))
            best = &commands[i];
    }
    fprintf(stderr, "[no command %s: the nearest is %s; /help lists them]\n", err_quote(q, sizeof q, line, n),
            best->name);
    return true;
}

/* ---- the loop ---- */

/* A message: one line, or several where each but the last ends with a backslash. NULL: the end, or Ctrl-C. */
static char *read_message(struct chat *c, bool *interrupted)
{
    char *all = NULL;
    size_t n = 0;
    for (;;) {
        const char *line = line_read(c->lines, all ? ". " : "> ", interrupted);
        const size_t more = line ? strlen(line) : 0;
        char *p = line ? realloc(all, n + more + 2) : NULL;
        if (!p) {
            free(all);
            return NULL;
        }
        all = p;
        memcpy(all + n, line, more + 1);
        n += more;
        if (n == 0 || all[n - 1] != '\\')
            return all;
        all[n - 1] = '\n';
    }
}

static void converse(struct chat *c)
{
    struct otr_err err;
    for (bool go = true; go;) {
        bool interrupted;
        char *line = read_message(c, &interrupted);
        if (!line && interrupted) {
            fputs("\n[/quit or Ctrl-D ends the chat]\n", stderr);
            continue;
        }
        if (!line)
            return;
        if (line[0] == '/')
            go = run_command(c, line);
        else if (line[strspn(line, " \t\n")] && say(c, line, &err) < 0)
            cli_fail(&err);
        free(line);
        go = go && cli_write("", 0); /* stdout is gone: nobody reads the replies */
    }
}

static int chat_open(struct chat *c, const struct run_opts *o, struct otr_err *err)
{
    int rc = o->system ? cli_check_utf8(o->system, strlen(o->system), "--system", err) : OTR_OK;
    if (rc < 0 || (rc = session_open(&c->s, o, err)) < 0)
        return rc;
    if (!c->s.info->has_chat_template)
        return OTR_FAIL(err, UNSUPPORTED,
                        "cannot chat (%.200s): the model has no chat template; complete a text with --raw -p TEXT",
                        o->engine.model);
    if (o->system && !(c->system = strdup(o->system)))
        return OTR_FAIL(err, NOMEM, "no memory for the system text");
    return line_open(&c->lines, err);
}

int chat(const struct run_opts *o)
{
    struct chat c = {0};
    struct otr_err err;
    int status;
    if (chat_open(&c, o, &err) < 0) {
        status = cli_fail(&err);
    } else {
        fprintf(stderr, "%s, context of %d tokens. /help lists commands, Ctrl-D ends.\n", c.s.info->name,
                otr_engine_n_ctx(c.s.engine));
        converse(&c);
        if (isatty(STDIN_FILENO))
            fputc('\n', stderr);
        status = cli_close_stdout();
    }
    chat_close(&c);
    return status;
}
