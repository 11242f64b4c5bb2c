/* The command line parser (app/flags.c) and the flags of run (app/run_opts.c, app/foreign_flags.c). They are no part of
 * the library, so they are compiled in here. Distances are checked against the published definition (optimal string
 * alignment), written as a plain recursion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flags.c"
#include "foreign_flags.c"
#include "run_opts.c"
#include "spec_config.c"
#include "spec_opts.c"

/* ---- a small table ---- */

struct small {
    bool on;
    int n;
    int64_t big;
    float x;
    const char *s;
    struct flag_list l;
};

#define S(member) offsetof(struct small, member)
static const struct flag small_table[] = {
    {"--on -o", FLAG_BOOL, S(on), NULL, "yes", 0, 0, "TEST_FLAGS_ON"},
    {"-n --number --n-umber", FLAG_INT, S(n), "N", "a number", -1, 100, "TEST_FLAGS_N"},
    {"--big", FLAG_INT64, S(big), "N", "+", 0, 9e18, NULL},
    {"-x --ex", FLAG_FLOAT, S(x), "X", "two on a line", 0, 2, NULL},
    {"-s --string", FLAG_STR, S(s), "TEXT", "text", 0, 0, NULL},
    {"--list", FLAG_LIST, S(l), "TEXT", NULL, 0, 0, NULL},
    {"-fa --flash", FLAG_IGNORED, 0, "?", "why", 0, 0, NULL},
    {"--mmap", FLAG_IGNORED, 0, NULL, "why", 0, 0, NULL},
    {"-g", FLAG_REFUSED, 0, NULL, "do something else", 0, 0, NULL},
};

enum { MAX_ARGS = 32 };
static struct small got;
static struct flag_words words;
static struct otr_err err;
static char *line[MAX_ARGS];

/* Parses "a b c" (no word holds a space); the words stay until the next call. */
static int parse(const char *text)
{
    static char copy[400];
    int n = 0;
    flag_list_free(&got.l);
    got = (struct small){0};
    snprintf(copy, sizeof copy, "cmd %s", text);
    for (char *w = strtok(copy, " "); w && n < MAX_ARGS; w = strtok(NULL, " "))
        line[n++] = w;
    const struct flag_cmd c = {.name = "cmd",
                               .usage = "",
                               .about = "",
                               .example = "",
                               .sets = {{small_table, sizeof small_table / sizeof small_table[0], &got}}};
    return flags_parse(&c, n, line, NULL, &words, &err);
}

static void refused(const char *text, const char *sentence)
{
    assert_int_equal(parse(text), OTR_E_ARG);
    assert_string_equal(err.msg, sentence);
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("--on -n 7 --big=9000000000 -x 0.5 -s=a=b --list p --list q"), OTR_OK);
    assert_true(got.on);
    assert_int_equal(got.n, 7);
    assert_true(got.big == 9000000000);
    assert_true(got.x == 0.5f);
    assert_string_equal(got.s, "a=b");
    assert_int_equal(got.l.n, 2);
    assert_string_equal(got.l.v[1], "q");
    assert_int_equal(words.n, 0);
    assert_int_equal(parse("--n_umber -1 --on=off"), OTR_OK);
    assert_int_equal(got.n, -1);
    assert_false(got.on);
    assert_int_equal(parse("--on --no-on"), OTR_OK);
    assert_false(got.on);
    assert_int_equal(parse("-n 1 -n 2"), OTR_OK); /* the last one counts */
    assert_int_equal(got.n, 2);
}

static void test_words(void **state)
{
    (void)state;
    assert_int_equal(parse("a -n 3 - b -- -n c"), OTR_OK);
    assert_int_equal(words.n, 5);
    assert_string_equal(words.v[0], "a");
    assert_string_equal(words.v[1], "-");
    assert_string_equal(words.v[3], "-n");
    assert_string_equal(words.v[4], "c");
    assert_int_equal(got.n, 3);
    assert_int_equal(parse("-n 3 --help --unknown"), OTR_OK);
    assert_true(words.help);
}

static void test_ignored(void **state)
{
    (void)state;
    assert_int_equal(parse("-fa -n 1"), OTR_OK); /* its value may be left out */
    assert_int_equal(got.n, 1);
    assert_int_equal(parse("-fa on -n 2 --no-mmap w"), OTR_OK);
    assert_int_equal(got.n, 2);
    assert_int_equal(words.n, 1);
}

static void test_refused(void **state)
{
    (void)state;
    refused("--numbr 1", "unknown flag (--numbr): the nearest of 'cmd' is --number");
    refused("--sting=1", "unknown flag (--sting): the nearest of 'cmd' is --string");
    refused("--no-number", "unknown flag (--no-number): the nearest of 'cmd' is --n-umber");
    refused("-g", "flag not supported (-g): do something else");
    refused("-n", "missing value (-n): it needs N");
    refused("-n x", "bad value (-n): 'x' is not a whole number");
    refused("-n 1.5", "bad value (-n): '1.5' is not a whole number");
    refused("-n=", "bad value (-n): '' is not a whole number");
    refused("-n 101", "bad value (-n): 101 is over 100");
    refused("-n -2", "bad value (-n): -2 is under -1");
    refused("-n 99999999999999999999", "bad value (-n): 99999999999999999999 is over 100");
    refused("-n -99999999999999999999", "bad value (-n): -99999999999999999999 is under -1");
    refused("-x nan", "bad value (-x): 'nan' is not a finite number");
    refused("-x inf", "bad value (-x): 'inf' is not a finite number");
    refused("-x 1e99", "bad value (-x): '1e99' is not a finite number");
    refused("-x -0.1", "bad value (-x): -0.1 is under 0");
    refused("-x 2.5", "bad value (-x): 2.5 is over 2");
    refused("--on=maybe", "bad value (--on): it is on or off");
    refused("--no-on=1", "bad flag (--no-on): it takes no value");
    refused("--mmap=1", "bad flag (--mmap): it takes no value");
    refused("--\x01\xff", "unknown flag (--\?\?): the nearest of 'cmd' is --on");
}

static void test_environment(void **state)
{
    (void)state;
    setenv("TEST_FLAGS_N", "5", 1);
    setenv("TEST_FLAGS_ON", "true", 1);
    assert_int_equal(parse(""), OTR_OK);
    assert_int_equal(got.n, 5);
    assert_true(got.on);
    assert_int_equal(parse("-n 6 --no-on"), OTR_OK); /* the flag wins */
    assert_int_equal(got.n, 6);
    assert_false(got.on);
    setenv("TEST_FLAGS_N", "five", 1);
    refused("", "bad value (TEST_FLAGS_N): 'five' is not a whole number");
    unsetenv("TEST_FLAGS_N");
    unsetenv("TEST_FLAGS_ON");
}

/* Edits by the definition: the last letters are equal, replaced, inserted, deleted, or swapped with those before. */
static int osa(const char *a, int na, const char *b, int nb)
{
    if (na == 0 || nb == 0)
        return na + nb;
    int best = osa(a, na - 1, b, nb - 1) + (a[na - 1] != b[nb - 1]);
    const int del = osa(a, na - 1, b, nb) + 1, ins = osa(a, na, b, nb - 1) + 1;
    best = del < best ? del : best;
    best = ins < best ? ins : best;
    if (na > 1 && nb > 1 && a[na - 1] == b[nb - 2] && a[na - 2] == b[nb - 1]) {
        const int swap = osa(a, na - 2, b, nb - 2) + 1;
        best = swap < best ? swap : best;
    }
    return best;
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(word_distance("kitten", "sitting"), 3);
    assert_int_equal(word_distance("--tmep", "--temp"), 1);
    srand(7); /* seed 7 */
    for (int i = 0; i < 300; i++) {
        char a[8] = {0}, b[8] = {0};
        const int na = rand() % 7, nb = rand() % 7;
        for (int j = 0; j < na; j++)
            a[j] = (char)('a' + rand() % 3);
        for (int j = 0; j < nb; j++)
            b[j] = (char)('a' + rand() % 3);
        assert_int_equal(word_distance(a, b), osa(a, na, b, nb));
    }
    char longer[200] = {0};
    memset(longer, 'a', sizeof longer - 1);
    assert_int_equal(word_distance(longer, ""), 64); /* no more is looked at */
}

/* ---- run ---- */

static struct run_opts run;

static int parse_run(int argc, const char *const *argv)
{
    char *copy[MAX_ARGS];
    for (int i = 0; i < argc; i++)
        copy[i] = (char *)(uintptr_t)argv[i];
    run_opts_free(&run);
    return run_opts_parse(&run, argc, copy, NULL, &words, &err);
}
#define RUN(...)                                                                                                       \
    parse_run((int)(sizeof((const char *const[]){"run", __VA_ARGS__}) / sizeof(char *)),                               \
              (const char *const[]){"run", __VA_ARGS__})
#define RUN_REFUSED(sentence, ...)                                                                                     \
    do {                                                                                                               \
        assert_int_equal(RUN(__VA_ARGS__), OTR_E_ARG);                                                                 \
        assert_string_equal(err.msg, sentence);                                                                        \
    } while (0)

static void test_run_defaults(void **state)
{
    (void)state;
    assert_int_equal(RUN("-m", "f"), OTR_OK);
    assert_true(run.sampling.temp == 0.8f && run.sampling.top_k == 40 && run.sampling.top_p == 0.95f &&
                run.sampling.min_p == 0.05f);
    assert_int_equal(run.n_predict, -1);
    assert_int_equal(run.engine.n_ctx, 0);
    assert_int_equal(run.engine.kv_type, OTR_KV_F16);
    assert_true(run.sampling.seed <= UINT32_MAX);
}

/* Every name of llama.cpp lands in its place. */
static void test_run_names(void **state)
{
    (void)state;
    assert_int_equal(RUN("--model", "f", "--prompt", "p", "--predict", "5", "--ctx-size", "99", "--threads", "3",
                         "--seed", "11", "--temperature", "0.5", "--top-k", "7", "--top-p", "0.25"),
                     OTR_OK);
    assert_string_equal(run.engine.model, "f");
    assert_string_equal(run.prompt, "p");
    assert_int_equal(run.n_predict, 5);
    assert_int_equal(run.engine.n_ctx, 99);
    assert_int_equal(run.engine.n_threads, 3);
    assert_true(run.sampling.seed == 11);
    assert_true(run.sampling.temp == 0.5f && run.sampling.top_k == 7 && run.sampling.top_p == 0.25f);
    assert_int_equal(RUN("-m", "f", "--min-p", "0.125", "--typical", "0.5", "--repeat-penalty", "1.5",
                         "--repeat-last-n", "-1", "--frequency-penalty", "0.25", "--presence-penalty", "-0.25", "-ctk",
                         "f32", "-ctv", "f32"),
                     OTR_OK);
    assert_true(run.sampling.min_p == 0.125f && run.sampling.typical_p == 0.5f && run.sampling.repeat_penalty == 1.5f);
    assert_int_equal(run.sampling.penalty_last_n, -1);
    assert_true(run.sampling.frequency_penalty == 0.25f && run.sampling.presence_penalty == -0.25f);
    assert_int_equal(run.engine.kv_type, OTR_KV_F32);
    assert_int_equal(RUN("-m", "f", "-ctk", "q8", "--cache-type-v", "q8_0"), OTR_OK); /* two names of one type */
    assert_int_equal(run.engine.kv_type, OTR_KV_Q8);
    assert_int_equal(RUN("-m", "f", "--dry-multiplier", "0.5", "--dry-base", "2", "--dry-allowed-length", "3",
                         "--dry-penalty-last-n", "64", "-no-cnv", "-r", "a", "--stop", "b", "--ignore-eos", "--spec",
                         "auto"),
                     OTR_OK);
    assert_true(run.sampling.dry_multiplier == 0.5f && run.sampling.dry_base == 2.0f);
    assert_int_equal(run.sampling.dry_allowed_length, 3);
    assert_int_equal(run.sampling.dry_penalty_last_n, 64);
    assert_true(run.raw && run.ignore_eos);
    assert_int_equal(run.stops.n, 2);
    assert_int_equal(RUN("-m", "f", "-ngl", "99", "-fa", "on", "--no-mmap", "--jinja", "-ub", "512", "-s", "1"),
                     OTR_OK);
    assert_true(run.sampling.seed == 1);
}

static void test_run_bias(void **state)
{
    (void)state;
    assert_int_equal(RUN("-m", "f", "--logit-bias", "15043+1", "-l", "7-0.5", "--logit-bias", "3-inf"), OTR_OK);
    assert_int_equal(run.sampling.n_bias, 3);
    assert_int_equal(run.sampling.bias[0].token, 15043);
    assert_true(run.sampling.bias[0].bias == 1.0f && run.sampling.bias[1].bias == -0.5f);
    assert_true(isinf(run.sampling.bias[2].bias) && run.sampling.bias[2].bias < 0.0f);
    static const char *const bad[] = {"",     "15043", "15043+",        "+1",   "1+nan", "1+inf",
                                      "1+-2", "1+2x",  "99999999999+1", "1 +1", "-1+1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(RUN("-m", "f", "--logit-bias", bad[i]), OTR_E_ARG);
}

static void test_run_refused(void **state)
{
    (void)state;
    RUN_REFUSED("no model (-m): give a GGUF file", "-p", "x");
    RUN_REFUSED("bad value (-n): 0 tokens are no reply (-1: up to the context)", "-m", "f", "-n", "0");
    RUN_REFUSED("bad value (--temp): -1 is under 0", "-m", "f", "--temp", "-1");
    RUN_REFUSED("bad value (--temp): 'nan' is not a finite number", "-m", "f", "--temp", "nan");
    RUN_REFUSED("two prompts (-p, -f): give one of them", "-m", "f", "-p", "x", "-f", "y");
    RUN_REFUSED("unexpected word (hello): a prompt comes after -p, in quotes", "-m", "f", "hello");
    RUN_REFUSED("bad value (--stop): an empty text would end every reply", "-m", "f", "--stop", "");
    RUN_REFUSED("bad value (-ctk, -ctv): f32 and f16, but both must be the same in this version", "-m", "f", "-ctk",
                "f32");
    RUN_REFUSED("bad value (-ctk, -ctv): q8_0 and f32, but both must be the same in this version", "-m", "f", "-ctk",
                "q8_0", "-ctv", "f32");
    RUN_REFUSED("bad value (-ctk): 'int4' is not f16, f32 or q8", "-m", "f", "-ctk", "int4");
    RUN_REFUSED("unknown drafting method (--spec): 'sufix'; did you mean suffix? --spec help lists them", "-m", "f",
                "--spec", "sufix");
    RUN_REFUSED("flags at odds (--spec none, --spec suffix): give one of them", "-m", "f", "--spec", "none", "--spec",
                "suffix");
    RUN_REFUSED("unknown rule (--verify sharp): --spec help lists them", "-m", "f", "--verify", "sharp");
    RUN_REFUSED("a setting of ngram-mod (--spec-ngram-mod-n-max), which is not among the methods: add --spec ngram-mod",
                "-m", "f", "--spec", "suffix", "--spec-ngram-mod-n-max", "8");
    RUN_REFUSED("flag not supported (-hf): nothing is downloaded at run time; fetch the file, then -m FILE", "-hf",
                "a/b");
    RUN_REFUSED("unknown flag (--tmep): the nearest of 'run' is --temp", "-m", "f", "--tmep", "1");
    RUN_REFUSED("flags at odds (--raw, --system): a system text needs the chat template", "-m", "f", "--raw",
                "--system", "x");
    assert_int_equal(RUN("--spec", "help"), OTR_OK);
    assert_true(run.spec.help);
}

/* ---- speculation in the words of others ---- */

/* The words that reach the engine, one after the other. */
static const char *spec_words(char *buf, size_t cap)
{
    size_t used = 0;
    buf[0] = 0;
    for (size_t i = 0; i < run.spec.n_words; i++)
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", i ? " " : "", run.spec.words[i]);
    return buf;
}
#define SPEC(want_words, want_max, want_rule, ...)                                                                     \
    do {                                                                                                               \
        char buf[256];                                                                                                 \
        if (RUN("-m", "f", __VA_ARGS__) != OTR_OK)                                                                     \
            fail_msg("%s", err.msg);                                                                                   \
        assert_string_equal(spec_words(buf, sizeof buf), want_words);                                                  \
        assert_int_equal(run.spec.draft_max, want_max);                                                                \
        assert_string_equal(run.spec.verify ? run.spec.verify : "", want_rule);                                        \
    } while (0)

static void test_spec_vllm(void **state)
{
    (void)state;
    SPEC("ngram-simple:size_n=2", 5, "", "--speculative-config",
         "{\"method\": \"ngram\", \"num_speculative_tokens\": 5, \"prompt_lookup_min\": 2, \"prompt_lookup_max\": 4}");
    SPEC("ngram-simple:size_n=4", 0, "", "-sc", "{\"model\": \"[ngram]\", \"prompt_lookup_max\": 4}");
    SPEC("ngram-simple", 0, "", "-sc", "{\"method\": \"ngram_gpu\"}");
    SPEC("suffix:max_depth=24,factor=1.5,min_prob=0.1", 31, "ratio", "--speculative_config",
         "{\"method\": \"suffix\", \"suffix_decoding_max_tree_depth\": 24, \"suffix_decoding_max_spec_factor\": 1.5, "
         "\"suffix_decoding_min_token_prob\": 0.1, \"suffix_decoding_max_cached_requests\": 10000, "
         "\"num_speculative_tokens\": 31, \"rejection_sample_method\": \"probabilistic\"}");
    SPEC("", 3, "gumbel", "-sc", "{\"num_speculative_tokens\": 3, \"rejection_sample_method\": \"strict\"}");
    SPEC("ngram-mod", 0, "", "-sc",
         "{\"method\": \"ngram-mod\", \"num_speculative_tokens_per_batch_size\": [[1, 4, 3]]}");
    assert_int_equal(RUN("-m", "f", "-sc", "{\"method\": \"none\"}"), OTR_OK);
    assert_true(run.spec.none);
#define SC_REFUSED(sentence, json) RUN_REFUSED(sentence, "-m", "f", "-sc", json)
    SC_REFUSED("method not supported yet (--spec eagle3): heads of a model come with a later version; -md FILE drafts "
               "with a second model (--spec help)",
               "{\"method\": \"eagle3\", \"model\": \"a/b\"}");
    SPEC("draft:model=a/b", 5, "", "-sc", "{\"model\": \"a/b\", \"num_speculative_tokens\": 5}");
    SC_REFUSED("unknown key (--speculative-config): the nearest of 'num_speculative_token' is num_speculative_tokens",
               "{\"num_speculative_token\": 5}");
    SC_REFUSED("bad value (--speculative-config, num_speculative_tokens): it is a whole number from 1 to 31",
               "{\"num_speculative_tokens\": 0}");
    SC_REFUSED("bad value (--speculative-config, method): it is a text", "{\"method\": 5}");
    SC_REFUSED("bad value (--speculative-config, prompt_lookup_min): it is a number",
               "{\"method\": \"ngram\", \"prompt_lookup_min\": \"2\"}");
    SC_REFUSED("bad value (--speculative-config, rejection_sample_method): it is strict or probabilistic here",
               "{\"rejection_sample_method\": \"synthetic\"}");
    SC_REFUSED(
        "key not supported (--speculative-config, synthetic_acceptance_rate): what is accepted is what the model "
        "would have said",
        "{\"synthetic_acceptance_rate\": 0.5}");
    SC_REFUSED(
        "a setting of suffix (suffix_decoding_min_token_prob), which is not among the methods: add --spec suffix",
        "{\"method\": \"ngram\", \"suffix_decoding_min_token_prob\": 0.5}");
    SC_REFUSED("bad value (--speculative-config): it is a JSON object, {\"method\": \"suffix\"}", "[1]");
    assert_int_equal(RUN("-m", "f", "-sc", "{\"method\": "), OTR_E_ARG);
    assert_memory_equal(err.msg, "bad value (--speculative-config): no JSON: ", 43);
    assert_int_equal(RUN("-m", "f", "-sc", "{\"model\": \"a\", \"model\": \"b\"}"), OTR_E_ARG);
}

static void test_spec_sglang(void **state)
{
    (void)state;
    SPEC("ngram-simple", 12, "", "--speculative-algorithm", "NGRAM", "--speculative-num-draft-tokens", "12",
         "--speculative-num-steps", "3");
    SPEC("ngram-simple", 3, "", "--speculative-algo", "NGRAM", "--speculative-num-steps", "3");
    SPEC("ngram-simple:size_n=2,size_m=8", 0, "", "--speculative-algorithm", "NGRAM",
         "--speculative-ngram-min-match-window-size", "2", "--speculative-ngram-branch-length", "8",
         "--speculative-ngram-capacity", "1000", "--speculative-ngram-match-type", "BFS");
    static const char *const later[] = {"EAGLE", "EAGLE3", "NEXTN", "DFLASH"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        assert_int_equal(RUN("-m", "f", "--speculative-algorithm", later[i]), OTR_E_ARG);
        assert_non_null(strstr(err.msg, "not supported yet"));
    }
    SPEC("draft:model=d.gguf", 3, "", "--speculative-algorithm", "STANDALONE", "--speculative-draft-model-path",
         "d.gguf", "--speculative-num-steps", "3");
    RUN_REFUSED("flag not supported (--speculative-eagle-topk): heads of a model come with a later version; -md FILE "
                "drafts with a second model",
                "-m", "f", "--speculative-eagle-topk", "4");
    RUN_REFUSED("flag not supported (--speculative-accept-threshold-single): the rules that change the output have "
                "names: --verify typical, --verify relaxed",
                "-m", "f", "--speculative-accept-threshold-single", "0.9");
}

/* llama.cpp's: those that are, those that were (the new name is told once), those to come. */
static void test_spec_llama(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    char arg[][24] = {"run", "-m", "f", "--draft", "9", "--spec-ngram-size-n", "5", "--spec-type", "ngram-simple"};
    char *argv[9];
    (void)state;
    for (int i = 0; i < 9; i++)
        argv[i] = arg[i];
    run_opts_free(&run);
    assert_int_equal(run_opts_parse(&run, 9, argv, f, &words, &err), OTR_OK);
    fclose(f);
    assert_string_equal(text, "outrider: note: --draft-max is now --spec-draft-n-max\n"
                              "outrider: note: --spec-ngram-size-n is now --spec-ngram-simple-size-n\n");
    free(text);
    assert_int_equal(run.spec.draft_max, 9);
    SPEC("ngram-simple:size_n=4 ngram-mod:n_max=8,n_min=2 suffix", 0, "", "--spec-type",
         "ngram-simple,ngram-mod:n_max=8,n_min=2", "--spec-ngram-simple-size-n", "4", "--spec", "suffix");
    SPEC("ngram-mod", 0, "", "--spec-default");
    static const char *const later[] = {"draft-eagle3", "draft-mtp", "draft-dflash", "draft-dspark"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        assert_int_equal(RUN("-m", "f", "--spec-type", later[i]), OTR_E_ARG);
        assert_non_null(strstr(err.msg, "not supported yet"));
    }
    assert_int_equal(setenv("LLAMA_ARG_SPEC_DRAFT_MODEL", "x.gguf", 1), 0);
    SPEC("md:model=x.gguf auto", 0, "", "--spec", "auto");
    unsetenv("LLAMA_ARG_SPEC_DRAFT_MODEL");
    SPEC("md:model=x.gguf auto", 0, "", "-md", "x.gguf");
    SPEC("suffix md:model=x.gguf", 0, "", "-md", "x.gguf", "--spec", "suffix");
    SPEC("md:model=x.gguf,p_min=0.5 auto", 0, "", "-md", "x.gguf", "--draft-p-min", "0.5");
    SPEC("draft:p_min=0.2,model=x.gguf", 0, "", "-md", "x.gguf", "--spec", "draft:p_min=0.2");
    SPEC("draft:model=x.gguf,p_min=0.5 suffix auto", 0, "", "--spec", "draft-simple,auto,suffix", "--model-draft",
         "x.gguf", "--draft-p-min", "0.5");
    RUN_REFUSED("flags at odds (--spec none, -md): give one of them", "-m", "f", "-md", "x", "--spec", "none");
    RUN_REFUSED("cannot name a model with a comma in its path (-md a,b): give it another name", "-m", "f", "-md",
                "a,b");
}

/* No spelling stands for two flags of one command. */
static void test_run_names_are_unique(void **state)
{
    (void)state;
    struct run_opts o = {0};
    const struct flag_cmd c = run_cmd(&o);
    int n_names = 0;
    for (int s = 0; s < FLAG_MAX_SETS; s++)
        for (size_t i = 0; i < c.sets[s].n; i++) {
            size_t n;
            for (const char *names = c.sets[s].flags[i].names, *p; (p = next_name(&names, &n)); n_names++) {
                struct word w = {p, n, NULL, false};
                void *base;
                if (find_flag(&c, &w, &base) != &c.sets[s].flags[i] || w.no)
                    fail_msg("%.*s is taken by an earlier flag", (int)n, p);
            }
        }
    assert_true(n_names > 100);
}

/* The help of run fits a screen. */
static void test_run_help_fits(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    run_opts_help("outrider", f);
    fclose(f);
    int lines = 0, width = 0, widest = 0;
    for (size_t i = 0; i < n; i++) {
        width = text[i] == '\n' ? 0 : width + 1;
        widest = width > widest ? width : widest;
        lines += text[i] == '\n';
    }
    free(text);
    assert_in_range(lines, 10, 40);
    assert_in_range(widest, 60, 100);
}

static int tear_down(void **state)
{
    (void)state;
    flag_list_free(&got.l);
    run_opts_free(&run);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),         cmocka_unit_test(test_words),
        cmocka_unit_test(test_ignored),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_environment),   cmocka_unit_test(test_distance),
        cmocka_unit_test(test_run_defaults),  cmocka_unit_test(test_run_names),
        cmocka_unit_test(test_run_bias),      cmocka_unit_test(test_run_refused),
        cmocka_unit_test(test_spec_vllm),     cmocka_unit_test(test_spec_sglang),
        cmocka_unit_test(test_spec_llama),    cmocka_unit_test(test_run_names_are_unique),
        cmocka_unit_test(test_run_help_fits),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
