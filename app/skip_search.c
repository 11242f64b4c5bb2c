/* outrider bench skip-search: which sub-layers `--spec skip` leaves out, searched on a text that the model writes.
 *
 * In: a model, a beginning. Out: the best set, kept in the cache folder, where `skip` finds it.
 * Read next: src/draft/skip_set.h. */
#include "bench_cmd.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "draft/skip_set.h"
#include "json_out.h"

enum { MAX_TRIES = 100000, MAX_WINDOWS = 16, MAX_TEXT = 1 << 14 };

struct search_opts {
    struct engine_opts engine;
    const char *prompt;
    int n_try, n_window, n_text;
    bool json;
};

struct found {
    struct skip_set set;
    double cost;
};

/* Windows one after another over the text that the model wrote, from..n. */
static void windows(size_t *at, int n, int turn, size_t from, size_t end)
{
    const size_t room = end - SKIP_WINDOW - 1 - from;
    for (int i = 0; i < n; i++)
        at[i] = from + (size_t)(turn * n + i) * (SKIP_WINDOW + 5) % (room + 1);
}

static int search_on(struct found *out, struct bench_target *t, struct fwd *f, struct kv_seq *scratch,
                     struct otr_seq *s, size_t from, const struct search_opts *o, struct otr_err *err)
{
    const struct weights *w = t->m->w;
    struct skip_search search;
    size_t at[MAX_WINDOWS];
    skip_search_begin(&search, w, 1);
    for (int i = 0; i < o->n_try; i++) {
        windows(at, o->n_window, i, from, s->n);
        const int rc = skip_search_try(&search, f, scratch, s->kv, s->tok, at, o->n_window, w);
        if (rc < 0)
            return OTR_FAIL(err, LIMIT,
                            "no room in the KV cache for the windows of a search: use a larger context (-c)");
        bench_show_progress("tries", i, o->n_try);
    }
    *out = (struct found){search.best, skip_set_cost(&search.best, w)};
    skip_set_save(&search.best, cli_cache_dir(), w);
    return OTR_OK;
}

static int search(struct found *out, struct bench_target *t, const struct search_opts *o, struct otr_err *err)
{
    int32_t *ids = malloc((size_t)MAX_TEXT * sizeof *ids);
    struct otr_seq *s = NULL;
    struct fwd *f = NULL;
    struct kv_seq *scratch = NULL;
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = (size_t)o->n_text, .ignore_eos = true};
    struct otr_gen_result text = {0};
    g.sampling.temp = 0;
    int64_t n = ids ? otr_tokenize(t->m, o->prompt, strlen(o->prompt), OTR_TOK_ADD_SPECIAL, ids, MAX_TEXT, err)
                    : OTR_FAIL(err, NOMEM, "no memory for a prompt");
    int rc = n < 0 ? (int)n : OTR_OK;
    if (rc == OTR_OK && (n < 1 || n > MAX_TEXT))
        rc = OTR_FAIL(err, ARG, "a prompt of %d tokens (1..%d)", (int)n, MAX_TEXT);
    if (rc == OTR_OK && (rc = otr_seq_create(&s, t->e, err)) == OTR_OK &&
        (rc = otr_generate(s, ids, (size_t)n, &g, &text, err)) == OTR_OK && s->n < (size_t)n + SKIP_WINDOW + 2)
        rc = OTR_FAIL(err, ARG, "%zu tokens of text are too few for a search", text.n_reply);
    if (rc == OTR_OK)
        rc = fwd_create(&f, t->m->w, t->e->pool, t->e->kv, &(struct fwd_opts){SKIP_WINDOW, t->e->n_ctx}, err);
    if (rc == OTR_OK && (rc = kv_seq_create(&scratch, t->e->kv, t->e->n_ctx, err)) == OTR_OK)
        rc = search_on(out, t, f, scratch, s, (size_t)n, o, err);
    bench_progress_end();
    kv_drop(scratch);
    fwd_destroy(f);
    otr_gen_result_free(&text);
    otr_seq_destroy(s);
    free(ids);
    return rc;
}

static int show(const struct found *r, const struct search_opts *o)
{
    char set[SKIP_MAX_LAYER + 1];
    skip_set_write(&r->set, set);
    if (o->json) {
        json_t *j = json_pack("{s:s, s:f, s:f, s:f}", "set", set, "match", r->set.match, "cost", r->cost,
                              "expected_speedup", r->set.rate);
        return json_print(j) ? cli_close_stdout() : CLI_FAIL;
    }
    printf("set %s\n%.1f %% of a text's tokens predicted, %.1f %% of the bytes read: %.2fx expected%s\n", set,
           100 * r->set.match, 100 * r->cost, r->set.rate, r->set.rate > 1 ? "" : ", so skip drafts nothing");
    return cli_close_stdout();
}

int cmd_bench_skip_search(int argc, char **argv)
{
#define AT(member) offsetof(struct search_opts, member)
    static const struct flag flags[] = {
        {"-p --prompt", FLAG_STR, AT(prompt), "TEXT", "where the model's text begins", 0, 0, NULL},
        {"-n --n-gen", FLAG_INT, AT(n_text), "N", "tokens that it writes (512)", SKIP_WINDOW + 4, MAX_TEXT, NULL},
        {"--tries", FLAG_INT, AT(n_try), "N", "sets that are scored (200)", 1, MAX_TRIES, NULL},
        {"--windows", FLAG_INT, AT(n_window), "N", "windows of 32 tokens for each (4)", 1, MAX_WINDOWS, NULL},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object", 0, 0, NULL},
    };
#undef AT
    struct search_opts o = {.engine = engine_opts_default(),
                            .prompt = "Explain how a sailing boat can sail against the wind.",
                            .n_try = 200,
                            .n_window = 4,
                            .n_text = 512};
    const struct flag_cmd c = {
        .name = "bench skip-search",
        .usage = "-m MODEL [flags]",
        .about = "Searches the sub-layers that --spec skip leaves out, and keeps the best set for this model.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf --tries 100",
        .sets = {engine_flags(&o.engine), {flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct bench_target t = {0};
    struct found r;
    struct otr_err err;
    int status = CLI_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    if (bench_no_words(&words, c.name, &err) < 0 || engine_opts_check(&o.engine, &err) < 0)
        return cli_usage(&err);
    int rc = bench_target_open(&t, &o.engine, cli_env.kern, 2 * (o.n_text + 256), &err);
    if (rc == OTR_OK)
        rc = search(&r, &t, &o, &err);
    if (rc == OTR_OK)
        status = show(&r, &o);
    else
        cli_fail(&err);
    bench_target_close(&t);
    return rc == OTR_OK ? status : CLI_FAIL;
}
