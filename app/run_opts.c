/* Owns the flags of `run` and those shared with other commands. See run_opts.h; read next: run.c. */
#include "run_opts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define AT(member) offsetof(struct run_opts, member)

enum { UNBOUNDED = 1000000000 };

/* ---- model and engine ---- */

struct engine_opts engine_opts_default(void)
{
    return (struct engine_opts){.kv_k = "f16", .kv_v = "f16"};
}

struct flag_set engine_flags(struct engine_opts *o)
{
#define E(member) offsetof(struct engine_opts, member)
    static const struct flag flags[] = {
        {"-m --model", FLAG_STR, E(model), "FILE", "model, a GGUF file", 0, 0, "LLAMA_ARG_MODEL"},
        {"-t --threads", FLAG_INT, E(n_threads), "N", "threads (default: one for each core); the output is the same",
         -1, 256, "LLAMA_ARG_THREADS"},
        {"-b --batch-size", FLAG_INT, E(n_batch), "N", "prompt tokens in one pass (512)", 1, 4096, "LLAMA_ARG_BATCH"},
        {"-ctk --cache-type-k", FLAG_STR, E(kv_k), "TYPE", "+", 0, 0, "LLAMA_ARG_CACHE_TYPE_K"},
        {"-ctv --cache-type-v", FLAG_STR, E(kv_v), "TYPE", "keys and values: f16 (default), f32 or q8", 0, 0,
         "LLAMA_ARG_CACHE_TYPE_V"},
        {"-nr --no-repack", FLAG_BOOL, E(no_repack), NULL, "weights stay in the file: less memory, same output, slower",
         0, 0, NULL},
    };
#undef E
    return (struct flag_set){flags, N_OF(flags), o};
}

static int kv_type_of(const char *name, const char *flag, enum otr_kv_type *out, struct otr_err *err)
{
    char q[40];
    if (strcmp(name, "f16") == 0)
        *out = OTR_KV_F16;
    else if (strcmp(name, "f32") == 0)
        *out = OTR_KV_F32;
    else if (strcmp(name, "q8") == 0 || strcmp(name, "q8_0") == 0)
        *out = OTR_KV_Q8;
    else
        return OTR_FAIL(err, ARG, "bad value (%s): '%s' is not f16, f32 or q8", flag,
                        err_quote(q, sizeof q, name, strlen(name)));
    return OTR_OK;
}

const char *kv_type_name(enum otr_kv_type t)
{
    return t == OTR_KV_F32 ? "f32" : t == OTR_KV_Q8 ? "q8" : "f16";
}

int engine_opts_check(struct engine_opts *o, struct otr_err *err)
{
    enum otr_kv_type v = OTR_KV_F16;
    int rc;
    if (!o->model || !*o->model)
        return OTR_FAIL(err, ARG, "no model (-m): give a GGUF file");
    o->n_threads = o->n_threads < 0 ? 0 : o->n_threads; /* -1 is llama.cpp's way to say automatic */
    if ((rc = kv_type_of(o->kv_k, "-ctk", &o->kv_type, err)) < 0 || (rc = kv_type_of(o->kv_v, "-ctv", &v, err)) < 0)
        return rc;
    if (v != o->kv_type)
        return OTR_FAIL(err, ARG, "bad value (-ctk, -ctv): %s and %s, but both must be the same in this version",
                        o->kv_k, o->kv_v);
    return OTR_OK;
}

/* ---- run ---- */

static const struct flag prompt_flags[] = {
    {"-p --prompt", FLAG_STR, AT(prompt), "TEXT", "prompt; put through the model's chat template if it has one", 0, 0,
     NULL},
    {"-f --file", FLAG_STR, AT(file), "FILE", "prompt from a file, - is stdin; a message loses its last newline", 0, 0,
     NULL},
    {"-sys --system --system-prompt", FLAG_STR, AT(system), "TEXT", "system text, before the prompt or the chat", 0, 0,
     NULL},
    {"--raw -no-cnv --no-conversation", FLAG_BOOL, AT(raw), NULL, "no template: complete the text as it stands", 0, 0,
     NULL},
    {"--chat -cnv --conversation", FLAG_BOOL, AT(chat), NULL,
     "chat, though stdin is no terminal: each line is a message", 0, 0, NULL},
    {"-c --ctx-size --context", FLAG_INT, AT(engine.n_ctx), "N",
     "context in tokens (default: as trained, at most 4096)", 0, 1 << 24, "LLAMA_ARG_CTX_SIZE"},
    {"-n --n-predict --predict", FLAG_INT, AT(n_predict), "N",
     "longest reply in tokens (-1, the default: up to the context)", -2, UNBOUNDED, "LLAMA_ARG_N_PREDICT"},
    {"--stop -r --reverse-prompt", FLAG_LIST, AT(stops), "TEXT", "end the reply before this text; may be repeated", 0,
     0, NULL},
    {"--ignore-eos", FLAG_BOOL, AT(ignore_eos), NULL, "go on after an end token", 0, 0, NULL},
    {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object: text, tokens, timings", 0, 0, NULL},
};

static const struct flag sampling_flags[] = {
    {"-s --seed", FLAG_INT64, AT(seed), "N", "seed of the draws (default: random, and reported)", -1, 9e18, NULL},
    {"--temp --temperature", FLAG_FLOAT, AT(sampling.temp), "X", "temperature (0.8); 0 takes the likeliest token", 0,
     UNBOUNDED, NULL},
    {"--top-k", FLAG_INT, AT(sampling.top_k), "N", "+", 0, UNBOUNDED, "LLAMA_ARG_TOP_K"},
    {"--top-p", FLAG_FLOAT, AT(sampling.top_p), "X", "+", 0, 1, NULL},
    {"--min-p", FLAG_FLOAT, AT(sampling.min_p), "X", "draw from the likeliest (40, 0.95, 0.05; off: 0, 1, 0)", 0, 1,
     NULL},
    {"--typical --typical-p", FLAG_FLOAT, AT(sampling.typical_p), "X", "locally typical mass (1: off)", 0, 1, NULL},
    {"--repeat-penalty", FLAG_FLOAT, AT(sampling.repeat_penalty), "X", "+", 0.01, 100, NULL},
    {"--repeat-last-n", FLAG_INT, AT(sampling.penalty_last_n), "N", "+", -1, UNBOUNDED, NULL},
    {"--frequency-penalty", FLAG_FLOAT, AT(sampling.frequency_penalty), "X", "+", -100, 100, NULL},
    {"--presence-penalty", FLAG_FLOAT, AT(sampling.presence_penalty), "X",
     "penalties for tokens among the last N (1, 64, 0, 0: off)", -100, 100, NULL},
    {"--dry-multiplier", FLAG_FLOAT, AT(sampling.dry_multiplier), "X", "+", 0, 100, NULL},
    {"--dry-base", FLAG_FLOAT, AT(sampling.dry_base), "X", "+", 1, 100, NULL},
    {"--dry-allowed-length", FLAG_INT, AT(sampling.dry_allowed_length), "N", "+", 0, UNBOUNDED, NULL},
    {"--dry-penalty-last-n", FLAG_INT, AT(sampling.dry_penalty_last_n), "N",
     "penalty for longer repeats (0, 1.75, 2, -1: off)", -1, UNBOUNDED, NULL},
    {"--logit-bias -l", FLAG_LIST, AT(bias_text), "ID+X", "add X to a token's logit; ID-inf bans it; may be repeated",
     0, 0, NULL},
};

static struct flag_cmd run_cmd(struct run_opts *o)
{
    return (struct flag_cmd){
        .name = "run",
        .usage = "-m MODEL [-p TEXT | -f FILE] [flags]",
        .about = "Completes a prompt. With no prompt: reads one from stdin, or chats if stdin is a terminal.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf -p \"Name three birds.\"",
        .sets = {engine_flags(&o->engine),
                 {prompt_flags, N_OF(prompt_flags), o},
                 {sampling_flags, N_OF(sampling_flags), o},
                 spec_flags(&o->spec),
                 foreign_flags()},
    };
}

void run_opts_help(const char *program, FILE *out)
{
    struct run_opts o = {0};
    const struct flag_cmd c = run_cmd(&o);
    flags_help(&c, program, out);
}

/* "15043+1", "15043-0.5", "15043-inf" */
static int parse_bias(const char *s, struct otr_logit_bias *out, struct otr_err *err)
{
    char q[40], *end;
    const size_t n = strspn(s, "0123456789");
    const long long id = n > 0 && n < 10 ? atoll(s) : -1;
    const bool sign = s[n] == '+' || s[n] == '-';
    const float x = strtof(s + n, &end); /* of "+-1" nothing is a number */
    if (id < 0 || id > INT32_MAX || !sign || isnan(x) || end == s + n || *end || (isinf(x) && x > 0.0f))
        return OTR_FAIL(
            err, ARG,
            "bad value (--logit-bias): '%s' is not a token id, + or -, and a number or inf to ban it (15043-inf)",
            err_quote(q, sizeof q, s, strlen(s)));
    *out = (struct otr_logit_bias){(int32_t)id, x};
    return OTR_OK;
}

static int parse_biases(struct run_opts *o, struct otr_err *err)
{
    if (o->bias_text.n == 0)
        return OTR_OK;
    struct otr_logit_bias *b = calloc(o->bias_text.n, sizeof *b);
    if (!b)
        return OTR_FAIL(err, NOMEM, "no memory for %zu logit biases", o->bias_text.n);
    o->sampling.bias = b;
    for (size_t i = 0; i < o->bias_text.n; i++) {
        const int rc = parse_bias(o->bias_text.v[i], &b[i], err);
        if (rc < 0)
            return rc;
        o->sampling.n_bias++;
    }
    return OTR_OK;
}

/* WHY 32 bits of the system's randomness: enough to differ, short enough to be typed again. */
static int choose_seed(struct run_opts *o, struct otr_err *err)
{
    uint32_t r;
    if (o->seed >= 0) {
        o->sampling.seed = (uint64_t)o->seed;
        return OTR_OK;
    }
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
        return OTR_FAIL(err, IO, "no random seed (getrandom): give one with --seed");
    o->sampling.seed = r;
    return OTR_OK;
}

static int check(struct run_opts *o, const struct flag_words *words, FILE *notes, struct otr_err *err)
{
    char q[40];
    int rc;
    if ((rc = spec_opts_check(&o->spec, notes, err)) < 0 || o->spec.help)
        return rc;
    if (words->n > 0)
        return OTR_FAIL(err, ARG, "unexpected word (%s): a prompt comes after -p, in quotes",
                        err_quote(q, sizeof q, words->v[0], strlen(words->v[0])));
    if (o->n_predict == 0)
        return OTR_FAIL(err, ARG, "bad value (-n): 0 tokens are no reply (-1: up to the context)");
    if (o->prompt && o->file)
        return OTR_FAIL(err, ARG, "two prompts (-p, -f): give one of them");
    if (o->chat && (o->prompt || o->file || o->raw || o->json))
        return OTR_FAIL(err, ARG, "flags at odds (--chat): a chat takes no -p, -f, --raw or --json");
    if (o->raw && o->system)
        return OTR_FAIL(err, ARG, "flags at odds (--raw, --system): a system text needs the chat template");
    for (size_t i = 0; i < o->stops.n; i++)
        if (!*o->stops.v[i])
            return OTR_FAIL(err, ARG, "bad value (--stop): an empty text would end every reply");
    if ((rc = engine_opts_check(&o->engine, err)) < 0 || (rc = parse_biases(o, err)) < 0)
        return rc;
    return choose_seed(o, err);
}

int run_opts_parse(struct run_opts *o, int argc, char **argv, FILE *notes, struct flag_words *words,
                   struct otr_err *err)
{
    *o = (struct run_opts){
        .engine = engine_opts_default(), .n_predict = -1, .seed = -1, .sampling = otr_sampling_default()};
    const struct flag_cmd c = run_cmd(o);
    const int rc = flags_parse(&c, argc, argv, notes, words, err);
    return rc < 0 || words->help ? rc : check(o, words, notes, err);
}

void run_opts_free(struct run_opts *o)
{
    flag_list_free(&o->stops);
    flag_list_free(&o->bias_text);
    spec_opts_free(&o->spec);
    free((void *)(uintptr_t)o->sampling.bias);
    o->sampling.bias = NULL;
}
