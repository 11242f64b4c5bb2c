/* outrider bench: how fast products (kernels), whole forward passes (forward) and replies (speed) are on this machine,
 * beside what its memory allows. Read next: bench/bench.h, speed.c, bench_show.c. */
#include "bench_cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_show.h"
#include "cli.h"
#include "json_out.h"

#include "base/cache_file.h"
#include "kern/blocks.h"
#include "load/gguf.h"

enum { MAX_CTX_LIST = 16, MAX_CTX = 1 << 20, MAX_LEVELS = 4 };

void bench_show_progress(const char *what, int pass, int n_pass)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: pass %d of %d\033[K", what, pass + 1, n_pass);
}

void bench_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* Adds v to the list and says whether it could; a NULL v, or list, is no memory and shows when the list is printed. */
static json_t *append(json_t *list, json_t *v)
{
    if (list && json_array_append_new(list, v) == 0)
        return list;
    json_decref(list);
    return NULL;
}

int bench_no_words(const struct flag_words *words, const char *name, struct otr_err *err)
{
    char q[40];
    return words->n == 0 ? OTR_OK
                         : OTR_FAIL(err, ARG, "unexpected word (%s): %s takes flags only",
                                    err_quote(q, sizeof q, words->v[0], strlen(words->v[0])), name);
}

/* ---- kernels ---- */

struct kernels_opts {
    struct bench_kernel_opts o;
    const char *level;
    struct flag_list types;
    const char *ab;
    struct bench_side side[2]; /* of ab */
    int n_threads;
    bool json, targets;
};

/* "A,B" into o->side. */
static int parse_ab(struct kernels_opts *o, struct otr_err *err)
{
    const char *comma = strchr(o->ab, ',');
    if (!comma)
        return OTR_FAIL(err, ARG, "bad value (--ab): two sides, A,B, each LEVEL, PLAN or LEVEL:PLAN");
    const int rc = bench_side_parse(&o->side[0], o->ab, (size_t)(comma - o->ab), o->level, err);
    return rc < 0 ? rc : bench_side_parse(&o->side[1], comma + 1, strlen(comma + 1), o->level, err);
}

/* Two kernels, type by type. */
static int ab_run(const struct kernels_opts *o, struct team *t, const enum ggml_type *types, int n, struct otr_err *err)
{
    const struct bench_machine m = bench_machine(t);
    int rc = OTR_OK;
    bench_show_machine(&m);
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        struct bench_ab r;
        rc = bench_ab(&r, t, types[i], o->side, &o->o, err);
        bench_progress_end();
        if (rc == OTR_OK)
            bench_show_ab(&r, o->side, &m, &o->o);
        fflush(stdout);
    }
    return rc;
}

/* Types asked for, or all whose block divides K. Returns how many. */
static int choose_types(const struct kernels_opts *o, enum ggml_type *types, struct otr_err *err)
{
    int n = 0;
    if (o->types.n > BENCH_N_TYPE)
        return OTR_FAIL(err, ARG, "bad value (--type): more than %d types", BENCH_N_TYPE);
    for (size_t i = 0; i < o->types.n; i++) {
        enum ggml_type *t = &types[n++];
        const int rc = bench_parse_type(o->types.v[i], t, err);
        if (rc < 0)
            return rc;
        if (o->o.n_cols % block_values(*t) != 0)
            return OTR_FAIL(err, ARG, "bad value (-K): %d is not a multiple of %d, the block of %s", o->o.n_cols,
                            block_values(*t), ggml_type_name((uint32_t)*t));
    }
    for (int i = 0; i < BENCH_N_TYPE && o->types.n == 0; i++)
        if (o->o.n_cols % block_values(bench_types[i]) == 0)
            types[n++] = bench_types[i];
    return n;
}

static int kernels_run(const struct kernels_opts *o, struct team *t, const enum ggml_type *types, int n, json_t **list,
                       struct otr_err *err)
{
    const struct bench_machine m = bench_machine(t);
    int rc = OTR_OK;
    if (!o->json)
        bench_show_machine(&m);
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        struct bench_kernel r;
        rc = bench_kernel(&r, t, types[i], &o->o, err);
        bench_progress_end();
        if (rc == OTR_OK && o->json)
            *list = append(*list, bench_json_kernel(&r, &m));
        else if (rc == OTR_OK)
            bench_show_kernel(&r, &m, &o->o);
        if (rc == OTR_OK && !o->json && o->targets)
            bench_show_targets(&r, &m);
        fflush(stdout);
    }
    if (o->json && rc == OTR_OK)
        *list = json_pack("{s:o, s:i, s:i, s:i, s:o}", "machine", bench_json_machine(&m), "k", o->o.n_cols, "n",
                          o->o.n_rows, "passes", o->o.n_pass, "types", *list);
    return rc;
}

static int kernels(struct kernels_opts *o)
{
    enum ggml_type types[BENCH_N_TYPE];
    struct kernels k;
    struct pool *pool = NULL;
    struct team *t = NULL;
    json_t *list = o->json ? json_array() : NULL;
    struct otr_err err;
    const int n = choose_types(o, types, &err);
    int rc = n < 0 ? n : OTR_OK;
    if (rc == OTR_OK && o->o.n_rows % KERN_ROW_UNIT != 0)
        rc = OTR_FAIL(&err, ARG, "bad value (-N): %d is not a multiple of %d", o->o.n_rows, KERN_ROW_UNIT);
    if (rc == OTR_OK && o->ab && (o->json || o->targets))
        rc = OTR_FAIL(&err, ARG, "two flags that exclude each other (--ab, %s)", o->json ? "--json" : "--targets");
    if (rc == OTR_OK && o->ab)
        rc = parse_ab(o, &err);
    if (rc == OTR_OK && kernels_init(&k, o->level) < 0)
        rc = OTR_FAIL(&err, ARG, "no kernel level '%.40s' here (this CPU runs: %s)", o->level, kernels_levels());
    const bool usage = rc < 0;
    if (rc == OTR_OK)
        rc = pool_create(&pool, o->n_threads, &err);
    if (rc == OTR_OK)
        rc = team_open(&t, &k, pool, &err);
    if (rc == OTR_OK)
        rc = o->ab ? ab_run(o, t, types, n, &err) : kernels_run(o, t, types, n, &list, &err);
    team_close(t);
    pool_destroy(pool);
    if (rc < 0) {
        json_decref(list);
        return usage ? cli_usage(&err) : cli_fail(&err);
    }
    return o->json && !json_print(list) ? CLI_FAIL : cli_close_stdout();
}

static int cmd_kernels(int argc, char **argv)
{
#define AT(member) offsetof(struct kernels_opts, member)
    static const struct flag flags[] = {
        {"--type", FLAG_LIST, AT(types), "TYPE", "type of weights (Q4_0 ... F32; all); may be repeated", 0, 0, NULL},
        {"-K", FLAG_INT, AT(o.n_cols), "N", "columns of the matrix: the length of a sum (2048)", 1, 1 << 20, NULL},
        {"-N", FLAG_INT, AT(o.n_rows), "N", "rows of the matrix (8192)", KERN_ROW_UNIT, 1 << 20, NULL},
        {"--mb", FLAG_INT, AT(o.mb), "N", "megabytes of weights to pass over (10 x the L3, within 600..1200)", 1,
         1 << 20, NULL},
        {"-t --threads", FLAG_INT, AT(n_threads), "N", "threads (default: one for each core)", 0, POOL_MAX_THREADS,
         NULL},
        {"--passes", FLAG_INT, AT(o.n_pass), "N", "times that everything is measured (9)", 1, 1000, NULL},
        {"--level", FLAG_STR, AT(level), "NAME", "kernel level (default: OUTRIDER_KERN, or the best of this CPU)", 0, 0,
         NULL},
        {"--ab", FLAG_STR, AT(ab), "A,B",
         "two kernels in turn: each a level, a plan of the menu (0, 1, 2), or both (avx2:1)", 0, 0, NULL},
        {"--targets", FLAG_BOOL, AT(targets), NULL, "say what reaches its target and what does not", 0, 0, NULL},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object", 0, 0, NULL},
    };
#undef AT
    struct kernels_opts o = {.level = cli_env.kern,
                             .o = {.n_rows = 8192,
                                   .n_cols = 2048,
                                   .mb = bench_default_mb(cache_bytes(3)),
                                   .n_pass = 9,
                                   .progress = bench_show_progress}};
    const struct flag_cmd c = {
        .name = "bench kernels",
        .usage = "[flags]",
        .about = "Times products of weights with 1 to 16 tokens, beside a pure read of the same bytes.",
        .example = "--type Q4_0 -t 1",
        .sets = {{flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    int status = CLI_OK;
    if (cli_parse(&c, argc, argv, &words, &status))
        status = bench_no_words(&words, c.name, &err) < 0 ? cli_usage(&err) : kernels(&o);
    flag_list_free(&o.types);
    return status;
}

/* ---- forward ---- */

struct forward_opts {
    struct engine_opts engine;
    struct bench_forward_opts o;
    const char *levels_text, *ctx_text;
    const char *levels[MAX_LEVELS]; /* [n_levels]; one NULL: the best of this CPU */
    int ctx[MAX_CTX_LIST], n_ctx, n_levels;
    bool json;
};

int bench_target_open(struct bench_target *t, const struct engine_opts *o, const char *level, int n_ctx,
                      struct otr_err *err)
{
    const struct otr_engine_opts eo = {
        .n_threads = o->n_threads, .n_ctx = n_ctx, .n_seq = 1, .n_batch = o->n_batch, .kv_type = o->kv_type};
    *t = (struct bench_target){0};
    int rc = otr_model_open(&t->m, o->model,
                            &(struct otr_model_opts){o->n_threads, level, o->no_repack, cli_plan_dir()}, err);
    if (rc == OTR_OK)
        rc = otr_engine_create(&t->e, t->m, &eo, err);
    if (rc == OTR_OK)
        rc = team_open(&t->team, &t->m->w->kern, t->e->pool, err);
    return rc;
}

void bench_target_close(struct bench_target *t)
{
    team_close(t->team);
    otr_engine_destroy(t->e);
    otr_model_close(t->m);
}

/* All contexts at one level, into r[n_ctx]; shows them, or appends their JSON object to *list. */
static int forward_level(const struct forward_opts *o, const char *level, struct bench_forward *r,
                         struct bench_machine *m, json_t **list, struct otr_err *err)
{
    struct bench_target t;
    json_t *contexts = o->json ? json_array() : NULL;
    int far = 0;
    for (int i = 0; i < o->n_ctx; i++)
        far = o->ctx[i] > far ? o->ctx[i] : far;
    int rc = bench_target_open(&t, &o->engine, level, far + BENCH_MAX_M, err);
    if (rc == OTR_OK)
        *m = bench_machine(t.team);
    if (rc == OTR_OK && !o->json)
        bench_show_machine(m);
    for (int i = 0; i < o->n_ctx && rc == OTR_OK; i++) {
        rc = bench_forward(&r[i], t.e, t.team, o->ctx[i], &o->o, err);
        bench_progress_end();
        if (rc == OTR_OK && o->json)
            contexts = append(contexts, bench_json_forward(&r[i], m));
        else if (rc == OTR_OK)
            bench_show_forward(&r[i], m);
        fflush(stdout);
    }
    bench_target_close(&t);
    if (o->json && rc == OTR_OK)
        *list = append(*list, json_pack("{s:o, s:s, s:s, s:i, s:o}", "machine", bench_json_machine(m), "model",
                                        o->engine.model, "kv_type", kv_type_name(o->engine.kv_type), "passes",
                                        o->o.n_pass, "contexts", contexts));
    else
        json_decref(contexts);
    return rc;
}

static int forward(const struct forward_opts *o)
{
    struct bench_forward *r = calloc((size_t)o->n_levels * (size_t)o->n_ctx, sizeof *r);
    struct bench_machine m[MAX_LEVELS];
    json_t *list = o->json ? json_array() : NULL;
    struct otr_err err;
    int rc = r ? OTR_OK : OTR_FAIL(&err, NOMEM, "no memory for %d contexts", o->n_ctx);
    for (int i = 0; i < o->n_levels && rc == OTR_OK; i++) {
        if (i > 0 && !o->json)
            printf("\n");
        rc = forward_level(o, o->levels[i], r + (size_t)i * (size_t)o->n_ctx, &m[i], &list, &err);
    }
    if (rc == OTR_OK && o->n_levels > 1 && !o->json)
        bench_show_levels(r, o->n_ctx, m, o->n_levels);
    free(r);
    if (rc < 0) {
        json_decref(list);
        return cli_fail(&err);
    }
    if (!o->json)
        return cli_close_stdout();
    json_t *only = json_incref(json_array_get(list, 0));
    if (o->n_levels > 1) {
        json_decref(only);
        only = json_pack("{s:O}", "levels", list);
    }
    json_decref(list);
    return json_print(only) ? cli_close_stdout() : CLI_FAIL;
}

/* "avx2,avx512vnni", cut at the commas in `text`, which is the caller's. */
static int split_levels(struct forward_opts *o, char *text, struct otr_err *err)
{
    char *at = NULL;
    for (char *p = text ? strtok_r(text, ",", &at) : NULL; p; p = strtok_r(NULL, ",", &at)) {
        if (o->n_levels == MAX_LEVELS)
            return OTR_FAIL(err, ARG, "bad value (--level): more than %d levels", MAX_LEVELS);
        o->levels[o->n_levels++] = p;
    }
    o->n_levels += o->n_levels == 0; /* NULL: the best */
    return OTR_OK;
}

static int cmd_forward(int argc, char **argv)
{
#define AT(member) offsetof(struct forward_opts, member)
    static const struct flag flags[] = {
        {"--ctx", FLAG_STR, AT(ctx_text), "LIST", "tokens before the measured rows (16,256,1024)", 0, 0, NULL},
        {"--mb", FLAG_INT, AT(o.mb), "N", "megabytes read for the roof of the memory (600; 0: none)", 0, 1 << 20, NULL},
        {"--passes", FLAG_INT, AT(o.n_pass), "N", "times that everything is measured (15)", 1, 1000, NULL},
        {"--level --levels", FLAG_STR, AT(levels_text), "LIST",
         "kernel levels (default: OUTRIDER_KERN, or the best of this CPU)", 0, 0, NULL},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object", 0, 0, NULL},
    };
#undef AT
    struct forward_opts o = {.engine = engine_opts_default(),
                             .levels_text = cli_env.kern,
                             .ctx_text = "16,256,1024",
                             .o = {.mb = 600, .n_pass = 15, .progress = bench_show_progress}};
    const struct flag_cmd c = {
        .name = "bench forward",
        .usage = "-m MODEL [flags]",
        .about = "Times whole forward passes of 1 to 16 rows, beside a pure read of the weights and of memory.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf --ctx 256",
        .sets = {engine_flags(&o.engine), {flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    int status = CLI_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    char *levels = o.levels_text ? strdup(o.levels_text) : NULL;
    if (bench_no_words(&words, c.name, &err) < 0 || engine_opts_check(&o.engine, &err) < 0 ||
        (o.n_ctx = bench_parse_ints(o.ctx_text, "--ctx", 1, MAX_CTX, o.ctx, MAX_CTX_LIST, &err)) < 0 ||
        split_levels(&o, levels, &err) < 0)
        status = cli_usage(&err);
    else
        status = forward(&o);
    free(levels);
    return status;
}

/* ---- which of them ---- */

int cmd_bench(int argc, char **argv)
{
    static const char text[] = "usage: outrider bench WHAT [flags]\n\n"
                               "  kernels      products of one matrix with 1 to 16 tokens, for each type of weights\n"
                               "  forward      whole passes of a model, of 1 to 16 rows\n"
                               "  speed        tokens a second of replies and prompts\n"
                               "  spec         drafted replies beside plain ones\n"
                               "  skip-search  what --spec skip leaves out\n\n"
                               "  each has --help\n\nexample:\n";
    struct otr_err err;
    char q[40];
    if (argc > 1 && strcmp(argv[1], "kernels") == 0)
        return cmd_kernels(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "forward") == 0)
        return cmd_forward(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "speed") == 0)
        return cmd_bench_speed(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "spec") == 0)
        return cmd_bench_spec(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "skip-search") == 0)
        return cmd_bench_skip_search(argc - 1, argv + 1);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("%s  %s bench kernels --type Q4_0 -t 1\n", text, cli_env.program);
        return cli_close_stdout();
    }
    if (argc > 1)
        OTR_FAIL(&err, ARG, "cannot measure (%s): bench knows kernels, forward, speed, spec and skip-search",
                 err_quote(q, sizeof q, argv[1], strlen(argv[1])));
    else
        OTR_FAIL(&err, ARG, "nothing to measure (bench): say kernels, forward, speed, spec or skip-search");
    return cli_usage(&err);
}
