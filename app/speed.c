/* outrider bench speed: tokens a second of replies and of prompts, as a user sees them, beside what the memory allows.
 *
 * In: a model. Out: a table, or JSON with every sample, so that runs can be merged (bench/peers/measure.py).
 * Read next: bench/bench.h, src/bench/bench_speed.c. */
#include "bench_cmd.h"

#include <stdlib.h>

#include "bench_show.h"
#include "cli.h"
#include "json_out.h"

enum { MAX_TOKENS = 1 << 20 };

struct speed_opts {
    struct engine_opts engine;
    struct bench_speed_opts o;
    const char *level, *prompts_text;
    bool json;
};

static int speed(const struct speed_opts *o)
{
    struct bench_target t;
    struct bench_speed r = {0};
    struct otr_err err;
    int far = o->o.depth + o->o.n_gen, status = CLI_FAIL;
    for (int i = 0; i < o->o.n_prompts; i++)
        far = o->o.prompts[i] > far ? o->o.prompts[i] : far;
    int rc = bench_target_open(&t, &o->engine, o->level, far, &err);
    if (rc == OTR_OK)
        rc = bench_speed(&r, t.e, t.team, &o->o, &err);
    bench_progress_end();
    if (rc < 0) {
        cli_fail(&err);
    } else if (o->json) {
        status = json_print(bench_json_speed(&r, &o->o, t.team, o->engine.model)) ? cli_close_stdout() : CLI_FAIL;
    } else {
        bench_show_speed(&r, &o->o, t.team);
        status = cli_close_stdout();
    }
    bench_speed_free(&r);
    bench_target_close(&t);
    return status;
}

int cmd_bench_speed(int argc, char **argv)
{
#define AT(member) offsetof(struct speed_opts, member)
    static const struct flag flags[] = {
        {"-d --n-depth", FLAG_INT, AT(o.depth), "N", "tokens before the reply (64)", 1, MAX_TOKENS, NULL},
        {"-n --n-gen", FLAG_INT, AT(o.n_gen), "N", "tokens of the reply (64)", 1, MAX_TOKENS, NULL},
        {"-p --n-prompt", FLAG_STR, AT(prompts_text), "LIST", "prompts to time as well, in tokens (256,2048)", 0, 0,
         NULL},
        {"--mb", FLAG_INT, AT(o.mb), "N", "megabytes read for the roof of the memory (600; 0: none)", 0, 1 << 20, NULL},
        {"--rounds", FLAG_INT, AT(o.n_round), "N", "times that everything is measured, in turn (15)", 1, 1000, NULL},
        {"--level", FLAG_STR, AT(level), "NAME", "kernel level (default: OUTRIDER_KERN, or the best of this CPU)", 0, 0,
         NULL},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object, with every sample", 0, 0, NULL},
    };
#undef AT
    struct speed_opts o = {.engine = engine_opts_default(),
                           .level = cli_env.kern,
                           .o = {.depth = 64, .n_gen = 64, .mb = 600, .n_round = 15, .progress = bench_show_progress}};
    const struct flag_cmd c = {
        .name = "bench speed",
        .usage = "-m MODEL [flags]",
        .about = "Times replies and prompts, beside a pure read of the weights and of memory.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf -p 256",
        .sets = {engine_flags(&o.engine), {flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    int status = CLI_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    if (bench_no_words(&words, c.name, &err) < 0 || engine_opts_check(&o.engine, &err) < 0)
        return cli_usage(&err);
    if (o.prompts_text && (o.o.n_prompts = bench_parse_ints(o.prompts_text, "-p", 1, MAX_TOKENS, o.o.prompts,
                                                            SPEED_MAX_PROMPTS, &err)) < 0)
        return cli_usage(&err);
    return speed(&o);
}
