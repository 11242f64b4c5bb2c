/* outrider bench spec: does drafting pay, on these prompts, with this model, here?
 *
 * A category at a time. Each prompt runs once, and one plain reply to it is its text (spec_record.h records what
 * drafters could have done along it, and spec_bounds.h what that could have been worth). Then come rounds: plain
 * decoding and every method, so that all meet the same machine; a ratio is of two replies of one round, and the first
 * method, the one under test, runs right beside the plain one. After the least rounds only the first method goes on,
 * where it gains little: whether it loses is what needs many pairs. A round goes over all prompts of the category, so
 * that time running out (--seconds) leaves some pairs of each. Out: per category speedup (median, worst prompt with an
 * interval of order statistics), acceptance length, share of time, and whether every drafted reply had the bytes of the
 * plain one.
 * A method is "auto", a name, "NAME@K" (always K entries, no controller), several joined by "+", or "best": the fixed
 * one that the recording says is the best of its category. `auto` is the lookups: a model is named
 * (auto+md:model=FILE). Replies that loop are counted apart: they flatter drafting (methods/01). Read next:
 * spec_figures.c, spec_bench.h. */
#include "spec_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/spec_replay.h"
#include "bench_cmd.h"
#include "cli.h"
#include "json_out.h"

/* ---- methods ---- */

/* Drafters "A+B", `fixed` entries or the controller's choice (0), into *out. */
static int open_spec(struct spec_bench *b, const char *names, int fixed, struct spec **out, struct otr_err *err)
{
    const char *method[CTL_MAX_DRAFTERS];
    size_t n = 0, n_auto;
    char *words = strdup(names), *rest = words;
    int rc = words ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for a method");
    for (char *w; rc == OTR_OK && (w = strsep(&rest, "+")) != NULL;) {
        const char *const *automatic = spec_auto(&n_auto);
        const bool is_auto = strcmp(w, "auto") == 0;
        if (n + (is_auto ? n_auto : 1) > CTL_MAX_DRAFTERS)
            rc = OTR_FAIL(err, LIMIT, "too many drafters in one method (%.60s)", names);
        for (size_t i = 0; rc == OTR_OK && i < (is_auto ? n_auto : 1); i++)
            method[n++] = is_auto ? automatic[i] : w;
    }
    const struct otr_spec sp = {.methods = method, .n_methods = n, .draft_fixed = fixed};
    if (rc == OTR_OK)
        rc = otr_engine_speculate(b->e, &sp, err);
    free(words);
    if (rc == OTR_OK) {
        *out = b->e->spec; /* put away: the engine has it for a reply at a time */
        b->e->spec = NULL;
    }
    return rc;
}

static int open_named(struct spec_bench *b, const char *name, struct spec **out, struct otr_err *err)
{
    char names[128], *end = NULL;
    snprintf(names, sizeof names, "%s", name);
    char *at = strchr(names, '@');
    if (at)
        *at++ = 0;
    const long fixed = at ? strtol(at, &end, 10) : 0;
    if (at && (end == at || *end || fixed < 1 || fixed > TREE_MAX))
        return OTR_FAIL(err, ARG, "bad method (--method): %.60s is not NAME@K, K from 1 to %d", name, TREE_MAX);
    return open_spec(b, names, (int)fixed, out, err);
}

/* All that draft from text alone; those of `auto` first, whose bounds are shown. */
static int open_recorded(struct spec_bench *b, struct otr_err *err)
{
    const uint32_t without =
        DRAFT_HOSTILE | DRAFT_WRAPPER | DRAFT_NEED_FILE | DRAFT_NEED_DIST | DRAFT_NEED_HIDDEN | DRAFT_RUNS_MODEL;
    char names[512] = "auto";
    size_t n;
    const char *const *automatic = spec_auto(&n);
    int n_open = (int)n;
    for (int i = 0; i < draft_count() && n_open < SB_DRAFTERS; i++) {
        const struct draft_method *m = draft_at(i);
        bool known = false;
        for (size_t k = 0; k < n; k++)
            known = known || strcmp(m->name, automatic[k]) == 0;
        if (known || (m->flags & without))
            continue;
        const size_t n_names = strlen(names);
        snprintf(names + n_names, sizeof names - n_names, "+%s", m->name);
        n_open++;
    }
    return open_spec(b, names, 0, &b->recorded, err);
}

static int open_methods(struct spec_bench *b, struct otr_err *err)
{
    int rc = OTR_OK;
    for (size_t k = 0; k < b->o->methods.n && rc == OTR_OK; k++)
        if (strcmp(b->o->methods.v[k], "best") == 0)
            b->best = (int)k;
        else
            rc = open_named(b, b->o->methods.v[k], &b->spec[k], err);
    if (rc == OTR_OK && (b->o->bounds || b->best >= 0))
        rc = open_recorded(b, err);
    if (rc == OTR_OK && b->recorded && strcmp(b->o->methods.v[0], "auto") == 0)
        rc = open_named(b, "auto", &b->replayed, err);
    return rc;
}

/* ---- replies ---- */

/* One reply after the prompt's rows, by method k (-1: plain). */
static int reply(struct spec_bench *b, const struct spec_task *t, int k, struct otr_gen_result *r, struct otr_err *err)
{
    struct otr_seq *s;
    struct otr_gen g = {.sampling = otr_sampling_default(),
                        .max_tokens = (size_t)b->o->n_tokens,
                        .predicted = t->predicted,
                        .n_predicted = t->n_predicted};
    g.sampling.temp = b->o->temp;
    g.sampling.seed = 1;
    if (!t->predicted && k >= 0 && b->spec[k]->n_d == 1 && (b->spec[k]->d[0].m->flags & DRAFT_HOSTILE)) {
        g.predicted = t->ids + t->n_ids; /* an adversary that is told the answer */
        g.n_predicted = t->n_text;
    }
    /* WHY: a drafter that has drafted for this prompt before would know the answer */
    int rc = k < 0 ? OTR_OK : spec_forget(b->spec[k], b->e, err);
    if (rc == OTR_OK)
        rc = otr_seq_fork(&s, t->base, err);
    if (rc != OTR_OK)
        return rc;
    b->e->spec = k < 0 ? NULL : b->spec[k];
    rc = otr_generate(s, &t->ids[t->n_ids - 1], 1, &g, r, err);
    otr_seq_destroy(s); /* its drafters hear of it: before the spec is put away */
    b->e->spec = NULL;
    return rc;
}

static struct record_text text_of(const struct spec_bench *b, const struct spec_task *t)
{
    return (struct record_text){t->ids, t->n_ids, t->n_text, (size_t)b->o->n_tokens, t->predicted, t->n_predicted};
}

/* What its drafters might have done along the text of t. */
static int record(struct spec_bench *b, struct spec_task *t, struct otr_err *err)
{
    int32_t tok[SB_ROWS];
    const size_t n = t->n_ids + t->n_text;
    const struct record_text text = {t->ids, t->n_ids, t->n_text, (size_t)b->o->n_tokens, t->predicted, t->n_predicted};
    if (!(t->place = calloc((size_t)b->recorded->n_d * t->n_text + 1, sizeof *t->place)))
        return OTR_FAIL(err, NOMEM, "no memory to record a text");
    for (size_t i = 0; i < SB_ROWS; i++)
        tok[i] = t->ids[t->n_ids - 1 + i < n ? t->n_ids - 1 + i : n - 1];
    const int rc = record_passes(t->base, tok, t->pass_ms, err);
    return rc < 0 ? rc : record_places(b->e, b->recorded, &text, t->place, t->cost_ms, err);
}

/* The prompt's rows, and the text: what plain decoding replies. It is a run to warm up, and is not compared. */
static int begin(struct spec_bench *b, struct spec_task *t, struct otr_err *err)
{
    struct otr_gen_result r = {0};
    int rc = otr_seq_create(&t->base, b->e, err);
    if (rc < 0)
        return rc;
    const double t0 = clock_ms();
    rc = otr_seq_append(t->base, t->ids, t->n_ids - 1, err);
    t->prompt_ms = clock_ms() - t0;
    if (rc == OTR_OK)
        rc = reply(b, t, -1, &r, err);
    if (rc == OTR_OK) {
        const double n = r.spec.n_steps > 0 ? (double)r.spec.n_steps : 1;
        t->n_text = r.n_reply;
        memcpy(t->ids + t->n_ids, r.tokens, r.n_reply * sizeof *r.tokens);
        t->row_ms = r.spec.verify_ms / n;
        t->rest_ms = (r.reply_ms - r.spec.verify_ms) / n;
        t->loops = !b->o->keep_loops && otr_tokens_loop(r.tokens, r.n_reply);
    }
    otr_gen_result_free(&r);
    return rc == OTR_OK && b->recorded && !t->loops ? record(b, t, err) : rc;
}

/* ---- rounds ---- */

static void add_up(struct spec_sum *f, const struct otr_gen_result *r, bool same)
{
    f->steps += r->spec.n_steps;
    f->plain += r->spec.n_plain;
    f->drafted += r->spec.n_draft;
    f->kept += r->spec.n_accepted;
    f->tokens += r->n_reply;
    f->draft_ms += r->spec.draft_ms;
    f->verify_ms += r->spec.verify_ms;
    f->all_ms += r->reply_ms;
    f->n_reply++;
    f->n_same += same;
}

/* Plain (-1) and the first method side by side, in turn; the others behind or before them, another one first each time.
 * Returns how many. */
static int order_round(const struct spec_bench *b, int round, int *who)
{
    const int n_other = round < b->o->min_rounds ? (int)b->o->methods.n - 1 : 0;
    int n = 0;
    for (int i = 0; i < n_other && round % 2; i++)
        who[n++] = 1 + (i + round) % n_other;
    who[n++] = round % 2 ? 0 : -1;
    who[n++] = round % 2 ? -1 : 0;
    for (int i = 0; i < n_other && round % 2 == 0; i++)
        who[n++] = 1 + (i + round) % n_other;
    return n;
}

static int run_round(struct spec_bench *b, struct spec_task *t, int round, struct otr_err *err)
{
    int who[SPEC_METHODS + 1], rc = OTR_OK;
    const int n = order_round(b, round, who);
    struct spec_rounds *all = t->rounds;
    double ms[SPEC_METHODS] = {0}, plain = 0;
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        struct otr_gen_result r = {0};
        const int k = who[i];
        if (k >= 0 && !b->spec[k])
            continue; /* best, and plain decoding is */
        rc = reply(b, t, k, &r, err);
        if (rc == OTR_OK && k >= 0) {
            const bool same =
                r.n_reply == t->n_text && memcmp(r.tokens, t->ids + t->n_ids, t->n_text * sizeof *r.tokens) == 0;
            ms[k] = r.reply_ms;
            add_up(&b->sum[t->category][k], &r, same);
        } else {
            plain = r.reply_ms;
        }
        otr_gen_result_free(&r);
    }
    if (rc != OTR_OK)
        return rc;
    all->plain_ms[all->n_plain++] = plain;
    for (int i = 0; i < n; i++) {
        const int k = who[i];
        if (k < 0 || !b->spec[k])
            continue;
        const int at = all->n[k]++;
        all->pair[k][at] = plain / ms[k];
        all->whole[k][at] = (t->prompt_ms + plain) / (t->prompt_ms + ms[k]);
        all->ms[k][at] = ms[k];
    }
    return OTR_OK;
}

/* Whether the prompt takes part in the round. */
static bool is_wanted(const struct spec_bench *b, const struct spec_task *t, int round)
{
    const size_t n = (size_t)b->o->min_rounds;
    double v[SPEC_ROUNDS];
    if (t->loops || round < b->o->min_rounds)
        return !t->loops;
    memcpy(v, t->rounds->pair[0], sizeof v);
    return t->rounds->n[0] >= b->o->min_rounds && median_of(v, n).x < SPEC_GOOD;
}

static int run_rounds(struct spec_bench *b, struct spec_task *task, int n, double until_ms, struct otr_err *err)
{
    int rc = OTR_OK;
    for (int i = 0; i < n; i++)
        if (!task[i].loops && !(task[i].rounds = calloc(1, sizeof *task[i].rounds)))
            return OTR_FAIL(err, NOMEM, "no memory for the rounds");
    for (int round = 0; round < b->o->max_rounds && rc == OTR_OK; round++) {
        bench_show_progress(b->category[task->category], round + 1, b->o->max_rounds);
        for (int i = 0; i < n && rc == OTR_OK; i++)
            if (is_wanted(b, &task[i], round) && (round == 0 || until_ms <= 0 || clock_ms() < until_ms))
                rc = run_round(b, &task[i], round, err);
    }
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        struct spec_rounds *all = task[i].rounds;
        for (size_t k = 0; k < b->o->methods.n && all; k++)
            if (all->n[k] > 0) {
                const size_t m = (size_t)all->n[k];
                task[i].result[k] =
                    (struct spec_result){all->n[k], median_of(all->pair[k], m), median_of(all->whole[k], m).x,
                                         median_of(all->ms[k], m).x, median_of(all->plain_ms, (size_t)all->n_plain).x};
            }
    }
    return rc;
}

/* ---- a category ---- */

/* Medians over the texts of tasks [n]: times by rows, costs. v [n]: scratch */
static void fill_tables(const struct spec_task *task, int n, double *v, struct sb_case *k)
{
    for (int x = 1; x <= SB_ROWS + k->n_drafter; x++) {
        const int d = x - SB_ROWS - 1;
        int m = 0;
        for (int i = 0; i < n; i++)
            if (!task[i].loops)
                v[m++] = d < 0 ? task[i].pass_ms[x] / task[i].pass_ms[1] : task[i].cost_ms[d];
        *(d < 0 ? &k->rel[x] : &k->cost_ms[d]) = spread_of(v, (size_t)m).median;
    }
}

/* The controller of auto along all texts. Out: their time, and what it gains on the one where that is least. */
static int replay(struct spec_bench *b, const struct spec_task *task, int n, const struct sb_case *k,
                  struct spec_bounds *out, struct otr_err *err)
{
    int rc = OTR_OK;
    for (int i = 0, at = 0; i < n && rc == OTR_OK; i++) {
        const struct record_text text = text_of(b, &task[i]);
        double ms;
        if (task[i].loops)
            continue;
        const struct sb_text *x = &k->text[at++];
        struct sb_case alone = *k;
        alone.text = x;
        alone.n_text = 1;
        rc = replay_text(b->e, b->replayed, &text, k, x, &ms, err);
        const double gain = ms > 0 ? sb_plain(&alone) / ms : 1;
        out->auto_worst = out->auto_ms > 0 ? fmin(out->auto_worst, gain) : gain;
        out->auto_ms += ms;
    }
    return rc;
}

/* The bounds of the tasks [n] of category c, and its best fixed method, opened. */
static int find_best(struct spec_bench *b, const struct spec_task *task, int n, int c, struct otr_err *err)
{
    struct spec_bounds *out = &b->bounds[c];
    struct sb_case k = {.n_drafter = b->recorded->n_d};
    struct sb_text *text = calloc((size_t)n + 1, sizeof *text);
    double *v = calloc((size_t)n + 1, sizeof *v);
    struct sb_policy *fit = malloc(sizeof *fit);
    size_t n_auto;
    int rc = text && v && fit ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for the bounds");
    spec_auto(&n_auto);
    k.text = text;
    for (int i = 0; i < n && rc == OTR_OK; i++)
        if (!task[i].loops)
            text[k.n_text++] = (struct sb_text){(int)task[i].n_text, task[i].place, task[i].row_ms, task[i].rest_ms};
    if (rc == OTR_OK && k.n_text > 0) {
        fill_tables(task, n, v, &k);
        memcpy(out->rel, k.rel, sizeof out->rel);
        memcpy(out->cost_ms, k.cost_ms, sizeof out->cost_ms);
        out->plain_ms = sb_plain(&k);
        out->best_ms = sb_best_fixed(&k, &out->drafter, &out->len);
        out->causal_ms = sb_best_causal(&k, (int)n_auto, fit);
        out->clairvoyant_ms = sb_clairvoyant(&k, (int)n_auto);
        snprintf(out->best, sizeof out->best, "none");
        if (out->drafter >= 0)
            snprintf(out->best, sizeof out->best, "%.20s@%d", b->recorded->d[out->drafter].m->name, out->len);
        if (b->replayed)
            rc = replay(b, task, n, &k, out, err);
        if (rc == OTR_OK && b->best >= 0 && out->drafter >= 0)
            rc = open_named(b, out->best, &b->spec[b->best], err);
    }
    free(text);
    free(v);
    free(fit);
    return rc;
}

static int run_category(struct spec_bench *b, struct spec_task *task, int n, struct otr_err *err)
{
    const int c = task->category, at = (int)(task - b->task);
    const double until_ms = b->o->seconds > 0 ? clock_ms() + 1000.0 * b->o->seconds : 0;
    int rc = OTR_OK;
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        bench_show_progress("text", at + i + 1, b->n_task);
        rc = begin(b, &task[i], err);
    }
    if (rc == OTR_OK && b->recorded)
        rc = find_best(b, task, n, c, err);
    if (rc == OTR_OK)
        rc = run_rounds(b, task, n, until_ms, err);
    for (int i = 0; i < n; i++) {
        otr_seq_destroy(task[i].base);
        task[i].base = NULL;
    }
    if (b->best >= 0) {
        spec_free(b->spec[b->best]);
        b->spec[b->best] = NULL;
    }
    return rc;
}

/* Room for the prompts of a category, and for one reply. */
static int open_engine(struct spec_bench *b, struct otr_err *err)
{
    size_t most = 0;
    int n_seq = 0, same = 0;
    for (int i = 0; i < b->n_task; i++) {
        most = b->task[i].n_ids > most ? b->task[i].n_ids : most;
        same = i > 0 && b->task[i].category == b->task[i - 1].category ? same + 1 : 1;
        n_seq = same > n_seq ? same : n_seq;
    }
    const struct otr_engine_opts e = {.n_threads = b->o->engine.n_threads,
                                      .n_ctx = (int)most + b->o->n_tokens + SB_ROWS,
                                      .n_seq = n_seq + 1,
                                      .kv_type = b->o->engine.kv_type};
    return otr_engine_create(&b->e, b->m, &e, err);
}

static int measure(struct spec_bench *b, struct otr_err *err)
{
    const struct engine_opts *eo = &b->o->engine;
    const struct otr_model_opts mo = {eo->n_threads, cli_env.kern, eo->no_repack, cli_plan_dir()};
    int rc = otr_model_open(&b->m, eo->model, &mo, err);
    if (rc == OTR_OK)
        rc = spec_prompts_read(b, err);
    if (rc == OTR_OK && !(b->sum = calloc((size_t)b->n_category, sizeof *b->sum)))
        rc = OTR_FAIL(err, NOMEM, "no memory for the figures");
    if (rc == OTR_OK)
        rc = open_engine(b, err);
    if (rc == OTR_OK)
        rc = open_methods(b, err);
    for (int i = 0, n; i < b->n_task && rc == OTR_OK; i += n) {
        for (n = 1; i + n < b->n_task && b->task[i + n].category == b->task[i].category;)
            n++;
        rc = run_category(b, &b->task[i], n, err);
    }
    bench_progress_end();
    return rc;
}

static int run(struct spec_bench_opts *o)
{
    struct spec_bench b = {.o = o, .best = -1};
    struct otr_err err;
    int status = CLI_FAIL;
    if (measure(&b, &err) < 0)
        cli_fail(&err);
    else if (o->json)
        status = json_print(spec_to_json(&b)) ? cli_close_stdout() : CLI_FAIL;
    else {
        spec_show(&b);
        status = cli_close_stdout();
    }
    for (size_t i = 0; i < o->methods.n; i++)
        spec_free(b.spec[i]);
    spec_free(b.recorded);
    spec_free(b.replayed);
    spec_prompts_free(&b);
    free(b.sum);
    otr_engine_destroy(b.e);
    otr_model_close(b.m);
    return status;
}

/* "MIN:MAX" or "N" */
static int parse_rounds(struct spec_bench_opts *o, struct otr_err *err)
{
    int end = 0;
    char q[40];
    if (sscanf(o->rounds, "%d%n:%d%n", &o->min_rounds, &end, &o->max_rounds, &end) == 1)
        o->max_rounds = o->min_rounds;
    if (end == 0 || o->rounds[end] || o->min_rounds < 1 || o->max_rounds < o->min_rounds || o->max_rounds > SPEC_ROUNDS)
        return OTR_FAIL(err, ARG, "bad rounds (--rounds): '%s' is not N or MIN:MAX, 1 to %d",
                        err_quote(q, sizeof q, o->rounds, strlen(o->rounds)), SPEC_ROUNDS);
    return OTR_OK;
}

int cmd_bench_spec(int argc, char **argv)
{
#define AT(member) offsetof(struct spec_bench_opts, member)
    static const struct flag flags[] = {
        {"--prompts", FLAG_LIST, AT(files), "FILE", "prompts, JSON lines; may be repeated", 0, 0, NULL},
        {"--method --spec", FLAG_LIST, AT(methods), "NAME", "auto (default), NAME, NAME@K: always K entries, A+B, best",
         0, 0, NULL},
        {"--count", FLAG_INT, AT(n_prompts), "N", "prompts of each category (20)", 1, 1000, NULL},
        {"--skip", FLAG_INT, AT(skip), "N", "prompts of each category left out at first (0)", 0, 100000, NULL},
        {"-n --n-predict", FLAG_INT, AT(n_tokens), "N", "tokens of a reply (128)", 2, 1024, NULL},
        {"--rounds", FLAG_STR, AT(rounds), "MIN:MAX",
         "pairs (3:9): MAX for the first method where it gains little, else MIN", 0, 0, NULL},
        {"--seconds", FLAG_INT, AT(seconds), "N", "no pair but the first begins later in a category (0: no limit)", 0,
         1 << 20, NULL},
        {"--category", FLAG_STR, AT(category), "NAME", "only the prompts of this one", 0, 0, NULL},
        {"--bounds", FLAG_BOOL, AT(bounds), NULL, "what drafting could have been worth on these texts", 0, 0, NULL},
        {"--temp", FLAG_FLOAT, AT(temp), "X", "temperature (0)", 0, 100, NULL},
        {"--loops", FLAG_BOOL, AT(keep_loops), NULL, "keep prompts whose replies loop", 0, 0, NULL},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object", 0, 0, NULL},
    };
#undef AT
    struct spec_bench_opts o = {
        .engine = engine_opts_default(), .n_prompts = 20, .n_tokens = 128, .rounds = "3:9", .temp = 0};
    const struct flag_cmd c = {
        .name = "bench spec",
        .usage = "-m MODEL --prompts FILE [flags]",
        .about = "Drafted against plain replies, in turn: speedup, acceptance, and whether the bytes are the same.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf --prompts question.jsonl --count 5",
        .sets = {engine_flags(&o.engine), {flags, sizeof flags / sizeof *flags, &o}},
    };
    static const char *automatic = "auto";
    struct flag_words words;
    struct otr_err err;
    int status;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    int rc = bench_no_words(&words, c.name, &err);
    if (rc == OTR_OK)
        rc = engine_opts_check(&o.engine, &err);
    if (rc == OTR_OK)
        rc = parse_rounds(&o, &err);
    if (rc == OTR_OK && o.files.n == 0)
        rc = OTR_FAIL(&err, ARG, "no prompts (--prompts): give a file of JSON lines");
    if (rc == OTR_OK && o.methods.n > SPEC_METHODS)
        rc = OTR_FAIL(&err, ARG, "%zu methods (at most %d)", o.methods.n, SPEC_METHODS);
    if (rc == OTR_OK && o.methods.n == 0 && !(o.methods.v = malloc(sizeof *o.methods.v)))
        rc = OTR_FAIL(&err, NOMEM, "no memory");
    if (rc == OTR_OK && o.methods.n == 0)
        o.methods.v[o.methods.n++] = automatic;
    status = rc < 0 ? cli_usage(&err) : run(&o);
    flag_list_free(&o.files);
    flag_list_free(&o.methods);
    return status;
}
