/* outrider bench spec: does drafting pay, on these prompts, with this model, here?
 *
 * In: a model, prompts (JSON lines of Spec-Bench, MT-Bench, HumanEval, MBPP, GSM8K or EditEval). For each prompt every
 * method and plain decoding take turns, so that both meet the same machine; a prompt's figure is the median of its
 * pairs. Out: per category speedup (median, worst prompt), acceptance length, share of time, and whether every drafted
 * reply had the bytes of the plain one. A method may be "NAME@K": always K entries, no controller.
 * Replies that loop are counted apart: they flatter drafting (methods/01). Read next: bench_cmd.h, src/engine/step.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "bench/stats.h"
#include "bench_cmd.h"
#include "cli.h"
#include "engine/engine.h"
#include "json_out.h"

enum { MAX_METHODS = 16, MAX_CATEGORIES = 32, MAX_ROUNDS = 64 };

struct spec_bench_opts {
    struct engine_opts engine;
    struct flag_list files, methods;
    int n_prompts, n_tokens, n_rounds, skip;
    float temp;
    bool json, keep_loops;
};

struct task { /* one prompt */
    int32_t *ids, *predicted;
    size_t n_ids, n_predicted;
    int category;
};

struct figure {                        /* of one method on one category */
    double speedup[1024], whole[1024]; /* per prompt: decode, end to end */
    int n, n_same;
    size_t steps, plain, draft, kept, tokens;
    double draft_ms, verify_ms, all_ms;
};

struct bench {
    const struct spec_bench_opts *o;
    struct otr_model *m;
    struct otr_engine *e;
    struct spec *spec[MAX_METHODS];
    struct task *task;
    int n_task, n_loop, n_category, n_of[MAX_CATEGORIES];
    char category[MAX_CATEGORIES][32];
    struct figure (*fig)[MAX_METHODS]; /* [n_category] */
};

/* ---- prompts ---- */

static int category_of(struct bench *b, const char *file, const json_t *line)
{
    static const char *const mt[] = {"writing", "roleplay",   "reasoning", "math",
                                     "coding",  "extraction", "stem",      "humanities"};
    const char *slash = strrchr(file, '/'), *name = json_string_value(json_object_get(line, "category"));
    for (size_t i = 0; i < sizeof mt / sizeof *mt && name; i++)
        if (strcmp(name, mt[i]) == 0)
            name = "multi-turn";
    if (!name)
        name = slash ? slash + 1 : file;
    int c = 0;
    while (c < b->n_category && strncmp(b->category[c], name, strcspn(name, ".")) != 0)
        c++;
    if (c == MAX_CATEGORIES)
        return -1;
    if (c == b->n_category) {
        snprintf(b->category[c], sizeof b->category[c], "%.*s", (int)strcspn(name, "."), name);
        b->n_category++;
    }
    return c;
}

static char *prompt_text(const json_t *line)
{
    static const char *const keys[] = {"instruction", "prompt", "text", "question"};
    const char *text = json_string_value(json_array_get(json_object_get(line, "turns"), 0));
    const char *input = json_string_value(json_object_get(line, "input"));
    for (int i = 0; i < 4 && !text; i++)
        text = json_string_value(json_object_get(line, keys[i]));
    char *all = NULL;
    return text && asprintf(&all, "%s%s%s", text, input ? "\n\n" : "", input ? input : "") >= 0 ? all : NULL;
}

/* The model's template around the text, or the text as it stands. */
static int encode(const struct bench *b, const char *text, struct task *t, struct otr_err *err)
{
    const struct otr_message msg = {"user", text};
    const bool chat = otr_model_info(b->m)->has_chat_template;
    const size_t cap = strlen(text) + 512;
    int64_t n = OTR_E_NOMEM;
    t->ids = malloc(cap * sizeof *t->ids);
    if (!t->ids)
        return OTR_FAIL(err, NOMEM, "no memory for a prompt");
    n = chat ? otr_chat_tokenize(b->m, &msg, 1, true, t->ids, cap, err)
             : otr_tokenize(b->m, text, strlen(text), OTR_TOK_ADD_SPECIAL, t->ids, cap, err);
    if (n > (int64_t)cap)
        return OTR_FAIL(err, LIMIT, "a prompt of %lld tokens", (long long)n);
    t->n_ids = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : OTR_OK;
}

static int add_task(struct bench *b, const char *file, const json_t *line, struct otr_err *err)
{
    const int c = category_of(b, file, line);
    char *text = prompt_text(line);
    int rc = OTR_OK;
    if (text && c >= 0 && b->n_of[c]++ >= b->o->skip && b->n_of[c] <= b->o->skip + b->o->n_prompts) {
        struct task *t = &b->task[b->n_task];
        const char *input = json_string_value(json_object_get(line, "input"));
        *t = (struct task){.category = c};
        rc = encode(b, text, t, err);
        if (rc == OTR_OK && input) { /* an edit: the old text is what the reply will resemble */
            t->predicted = malloc((strlen(input) + 1) * sizeof *t->predicted);
            const int64_t n =
                t->predicted ? otr_tokenize(b->m, input, strlen(input), 0, t->predicted, strlen(input), err) : 0;
            t->n_predicted = n > 0 ? (size_t)n : 0;
        }
        const size_t room = (size_t)otr_engine_n_ctx(b->e);
        if (rc == OTR_OK && t->n_ids > 1 && t->n_ids + (size_t)b->o->n_tokens < room)
            b->n_task++;
        else
            free(t->ids), free(t->predicted);
    }
    free(text);
    return rc;
}

static int read_file(struct bench *b, const char *file, struct otr_err *err)
{
    FILE *f = fopen(file, "re");
    char *line = NULL;
    size_t cap = 0;
    int rc = f ? OTR_OK : OTR_FAIL(err, IO, "cannot open the prompts (%.200s)", file);
    while (f && rc == OTR_OK && getline(&line, &cap, f) > 0) {
        json_t *j = json_loads(line, 0, NULL);
        struct task *more = realloc(b->task, (size_t)(b->n_task + 1) * sizeof *more);
        if (more)
            b->task = more;
        if (!j || !more)
            rc = OTR_FAIL(err, FORMAT, "not a line of JSON (%.200s)", file);
        else
            rc = add_task(b, file, j, err);
        json_decref(j);
    }
    free(line);
    if (f)
        fclose(f);
    return rc;
}

/* ---- measuring ---- */

static int open_methods(struct bench *b, struct otr_err *err)
{
    int rc = OTR_OK;
    for (size_t k = 0; k < b->o->methods.n && rc == OTR_OK; k++) {
        char name[128];
        snprintf(name, sizeof name, "%s", b->o->methods.v[k]);
        char *at = strchr(name, '@');
        if (at)
            *at++ = 0;
        const char *one = name;
        const bool automatic = strcmp(name, "auto") == 0;
        const struct otr_spec sp = {.methods = &one, .n_methods = automatic ? 0 : 1, .draft_fixed = at ? atoi(at) : 0};
        rc = otr_engine_speculate(b->e, &sp, err);
        b->spec[k] = b->e->spec; /* put away: the engine has it for a reply at a time */
        b->e->spec = NULL;
    }
    return rc;
}

/* One reply after the prompt's rows, by method k (-1: plain). */
static int reply(struct bench *b, const struct task *t, struct otr_seq *base, int k, struct otr_gen_result *r,
                 struct otr_err *err)
{
    struct otr_seq *s;
    struct otr_gen g = {.sampling = otr_sampling_default(),
                        .max_tokens = (size_t)b->o->n_tokens,
                        .predicted = t->predicted,
                        .n_predicted = t->n_predicted};
    g.sampling.temp = b->o->temp;
    g.sampling.seed = 1;
    /* WHY: a drafter that has drafted for this prompt before would know the answer */
    int rc = k < 0 ? OTR_OK : spec_forget(b->spec[k], b->e, err);
    if (rc == OTR_OK)
        rc = otr_seq_fork(&s, base, err);
    if (rc < 0)
        return rc;
    b->e->spec = k < 0 ? NULL : b->spec[k];
    rc = otr_generate(s, &t->ids[t->n_ids - 1], 1, &g, r, err);
    otr_seq_destroy(s); /* its drafters hear of it: before the spec is put away */
    b->e->spec = NULL;
    return rc;
}

static void add_up(struct figure *f, const struct otr_gen_result *r, bool same)
{
    f->steps += r->spec.n_steps;
    f->plain += r->spec.n_plain;
    f->draft += r->spec.n_draft;
    f->kept += r->spec.n_accepted;
    f->tokens += r->n_reply;
    f->draft_ms += r->spec.draft_ms;
    f->verify_ms += r->spec.verify_ms;
    f->all_ms += r->reply_ms;
    f->n_same += same;
}

static int run_task(struct bench *b, const struct task *t, struct otr_err *err)
{
    const int n_m = (int)b->o->methods.n;
    double pair[MAX_METHODS][MAX_ROUNDS], whole[MAX_METHODS][MAX_ROUNDS];
    struct otr_seq *base;
    bool loops = false;
    int rc = otr_seq_create(&base, b->e, err);
    if (rc < 0)
        return rc;
    const double t0 = clock_ms();
    rc = otr_seq_append(base, t->ids, t->n_ids - 1, err);
    const double prompt_ms = clock_ms() - t0;
    for (int round = 0; round < b->o->n_rounds && rc == OTR_OK && !loops; round++)
        for (int k = 0; k < n_m && rc == OTR_OK && !loops; k++) { /* each beside a plain one of its own */
            struct otr_gen_result plain = {0}, r = {0};
            const bool first = (round + k) % 2 == 0;
            if (first)
                rc = reply(b, t, base, -1, &plain, err);
            if (rc == OTR_OK)
                rc = reply(b, t, base, k, &r, err);
            if (rc == OTR_OK && !first)
                rc = reply(b, t, base, -1, &plain, err);
            loops = !b->o->keep_loops && otr_tokens_loop(plain.tokens, plain.n_reply);
            if (rc == OTR_OK && !loops) {
                const bool same = plain.n_reply == r.n_reply &&
                                  memcmp(plain.tokens, r.tokens, r.n_reply * sizeof *r.tokens) == 0 &&
                                  plain.stop == r.stop;
                pair[k][round] = plain.reply_ms / r.reply_ms;
                whole[k][round] = (prompt_ms + plain.reply_ms) / (prompt_ms + r.reply_ms);
                add_up(&b->fig[t->category][k], &r, same);
            }
            otr_gen_result_free(&plain);
            otr_gen_result_free(&r);
        }
    otr_seq_destroy(base);
    b->n_loop += loops;
    for (int k = 0; k < n_m && rc == OTR_OK && !loops; k++) {
        struct figure *f = &b->fig[t->category][k];
        if (f->n == 1024)
            continue;
        f->speedup[f->n] = spread_of(pair[k], (size_t)b->o->n_rounds).median;
        f->whole[f->n++] = spread_of(whole[k], (size_t)b->o->n_rounds).median;
    }
    return rc;
}

/* ---- showing ---- */

static double least(const double *v, int n)
{
    double x = v[0];
    for (int i = 1; i < n; i++)
        x = v[i] < x ? v[i] : x;
    return x;
}

static double acceptance(const struct figure *f)
{
    const size_t n = f->steps - f->plain;
    return n > 0 ? 1 + (double)f->kept / (double)n : 1;
}

static void show(struct bench *b)
{
    printf("%d threads, level %s, temperature %g, %d tokens, %d rounds; ratios are of neighbouring runs\n",
           otr_engine_n_threads(b->e), otr_model_info(b->m)->kern, (double)b->o->temp, b->o->n_tokens, b->o->n_rounds);
    printf("%-16s %-20s %7s %8s %8s %8s %8s %7s %7s %7s  %s\n", "category", "method", "prompts", "speedup", "worst",
           "whole", "tokens/", "accept.", "draft", "verify", "same bytes");
    printf("%-16s %-20s %7s %8s %8s %8s %8s %7s %7s %7s\n", "", "", "", "median", "prompt", "median", "pass", "length",
           "%time", "%time");
    for (int c = 0; c < b->n_category; c++)
        for (size_t k = 0; k < b->o->methods.n; k++) {
            struct figure *f = &b->fig[c][k];
            if (f->n == 0)
                continue;
            printf("%-16s %-20s %7d %8.3f %8.3f %8.3f %8.2f %7.2f %7.1f %7.1f  %d of %d\n", b->category[c],
                   b->o->methods.v[k], f->n, spread_of(f->speedup, (size_t)f->n).median, least(f->speedup, f->n),
                   spread_of(f->whole, (size_t)f->n).median, f->steps ? (double)f->tokens / (double)f->steps : 0,
                   acceptance(f), 100 * f->draft_ms / f->all_ms, 100 * f->verify_ms / f->all_ms, f->n_same,
                   f->n * b->o->n_rounds);
        }
    if (b->n_loop > 0)
        printf("%d more prompts left out: their replies loop (--loops keeps them)\n", b->n_loop);
}

static json_t *to_json(struct bench *b)
{
    json_t *list = json_array();
    for (int c = 0; c < b->n_category; c++)
        for (size_t k = 0; k < b->o->methods.n; k++) {
            struct figure *f = &b->fig[c][k];
            json_t *each = json_array();
            for (int i = 0; i < f->n; i++)
                json_array_append_new(each, json_real(f->speedup[i]));
            if (f->n == 0) {
                json_decref(each);
                continue;
            }
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:o}", "category",
                                b->category[c], "method", b->o->methods.v[k], "prompts", f->n, "speedup",
                                spread_of(f->speedup, (size_t)f->n).median, "worst", least(f->speedup, f->n), "whole",
                                spread_of(f->whole, (size_t)f->n).median, "mean_acceptance_length", acceptance(f),
                                "draft_share", f->draft_ms / f->all_ms, "verify_share", f->verify_ms / f->all_ms,
                                "same", f->n_same, "replies", f->n * b->o->n_rounds, "speedups", each));
        }
    return json_pack("{s:s, s:s, s:i, s:f, s:i, s:i, s:i, s:o}", "model", b->o->engine.model, "kernel_level",
                     otr_model_info(b->m)->kern, "threads", otr_engine_n_threads(b->e), "temperature",
                     (double)b->o->temp, "tokens", b->o->n_tokens, "rounds", b->o->n_rounds, "looping", b->n_loop,
                     "figures", list);
}

static int measure(struct bench *b, struct otr_err *err)
{
    const struct engine_opts *eo = &b->o->engine;
    const struct otr_model_opts mo = {eo->n_threads, cli_env.kern, eo->no_repack, cli_plan_dir()};
    const struct otr_engine_opts e = {.n_threads = eo->n_threads, .n_ctx = 2048, .n_seq = 2, .kv_type = eo->kv_type};
    int rc = otr_model_open(&b->m, eo->model, &mo, err);
    if (rc == OTR_OK)
        rc = otr_engine_create(&b->e, b->m, &e, err);
    for (size_t i = 0; i < b->o->files.n && rc == OTR_OK; i++)
        rc = read_file(b, b->o->files.v[i], err);
    if (rc == OTR_OK && b->n_task == 0)
        rc = OTR_FAIL(err, ARG, "no prompts to measure (--prompts)");
    if (rc == OTR_OK && !(b->fig = calloc((size_t)b->n_category, sizeof *b->fig)))
        rc = OTR_FAIL(err, NOMEM, "no memory for the figures");
    if (rc == OTR_OK)
        rc = open_methods(b, err);
    for (int i = 0; i < b->n_task && rc == OTR_OK; i++) {
        bench_show_progress("prompt", i + 1, b->n_task);
        rc = run_task(b, &b->task[i], err);
    }
    bench_progress_end();
    return rc;
}

static void bench_close(struct bench *b)
{
    for (size_t i = 0; i < b->o->methods.n; i++)
        spec_free(b->spec[i]);
    for (int i = 0; i < b->n_task; i++) {
        free(b->task[i].ids);
        free(b->task[i].predicted);
    }
    free(b->task);
    free(b->fig);
    otr_engine_destroy(b->e);
    otr_model_close(b->m);
}

static int run(struct spec_bench_opts *o)
{
    struct bench b = {.o = o};
    struct otr_err err;
    int status = CLI_FAIL;
    if (measure(&b, &err) < 0)
        cli_fail(&err);
    else if (o->json)
        status = json_print(to_json(&b)) ? cli_close_stdout() : CLI_FAIL;
    else {
        show(&b);
        status = cli_close_stdout();
    }
    bench_close(&b);
    return status;
}

int cmd_bench_spec(int argc, char **argv)
{
#define AT(member) offsetof(struct spec_bench_opts, member)
    static const struct flag flags[] = {
        {"--prompts", FLAG_LIST, AT(files), "FILE", "prompts, JSON lines; may be repeated", 0, 0, NULL},
        {"--method --spec", FLAG_LIST, AT(methods), "NAME", "auto (default), a method, or NAME@K: always K entries", 0,
         0, NULL},
        {"--count", FLAG_INT, AT(n_prompts), "N", "prompts of each category (20)", 1, 1000, NULL},
        {"--skip", FLAG_INT, AT(skip), "N", "prompts of each category left out at first (0)", 0, 100000, NULL},
        {"-n --n-predict", FLAG_INT, AT(n_tokens), "N", "tokens of a reply (128)", 2, 1024, NULL},
        {"--rounds", FLAG_INT, AT(n_rounds), "N", "pairs for each prompt and method (9)", 1, MAX_ROUNDS, NULL},
        {"--temp", FLAG_FLOAT, AT(temp), "X", "temperature (0)", 0, 100, NULL},
        {"--loops", FLAG_BOOL, AT(keep_loops), NULL, "keep prompts whose replies loop", 0, 0, NULL},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object", 0, 0, NULL},
    };
#undef AT
    struct spec_bench_opts o = {
        .engine = engine_opts_default(), .n_prompts = 20, .n_tokens = 128, .n_rounds = 9, .temp = 0};
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
    if (rc == OTR_OK && o.files.n == 0)
        rc = OTR_FAIL(&err, ARG, "no prompts (--prompts): give a file of JSON lines");
    if (rc == OTR_OK && o.methods.n > MAX_METHODS)
        rc = OTR_FAIL(&err, ARG, "%zu methods (at most %d)", o.methods.n, MAX_METHODS);
    if (rc == OTR_OK && o.methods.n == 0 && !(o.methods.v = malloc(sizeof *o.methods.v)))
        rc = OTR_FAIL(&err, NOMEM, "no memory");
    if (rc == OTR_OK && o.methods.n == 0)
        o.methods.v[o.methods.n++] = automatic;
    status = rc < 0 ? cli_usage(&err) : run(&o);
    flag_list_free(&o.files);
    flag_list_free(&o.methods);
    return status;
}
