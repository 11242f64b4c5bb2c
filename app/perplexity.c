/* outrider perplexity: the mean negative log-likelihood (natural logarithm) of a text, and its exponential.
 *
 * The text is cut into windows of ids; each starts a sequence of its own, with BOS in front where the vocabulary adds
 * one. All of a window but its first row is scored. Read next: engine_score in src/engine/engine.c. */
#include "cli.h"
#include "json_out.h"
#include "run_opts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"

struct opts {
    struct engine_opts engine;
    const char *file;
    int max_tokens, window;
    bool json;
};

struct score {
    double nll; /* sum */
    size_t n;   /* tokens scored */
    double ms;
};

static void progress(const struct score *s, size_t done, size_t all)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%zu of %zu tokens, perplexity %.3f\033[K", done, all, exp(s->nll / (double)s->n));
}

/* ids holds one place in front of the text's n ids, for BOS; it is overwritten as the windows pass. */
static int score_windows(struct otr_engine *e, int32_t *ids, size_t n, size_t window, bool bos, struct score *s,
                         struct otr_err *err)
{
    const double t0 = clock_ms();
    int rc = OTR_OK;
    for (size_t i = 0; i < n && rc == OTR_OK; i += window) {
        const size_t len = n - i < window ? n - i : window, rows = len + bos;
        int32_t *w = ids + 1 + i - bos;
        double nll;
        if (rows < 2)
            break;
        if (bos)
            w[0] = e->m->info.bos;
        if ((rc = engine_score(e, w, rows, &nll, err)) < 0)
            break;
        s->nll += nll;
        s->n += rows - 1;
        progress(s, i + len, n);
    }
    s->ms = clock_ms() - t0;
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    return rc == OTR_OK && s->n == 0 ? OTR_FAIL(err, ARG, "text too short: it has nothing to predict") : rc;
}

static int print_score(const struct score *s, bool json)
{
    const double nll = s->nll / (double)s->n, rate = s->ms > 0 ? 1e3 * (double)s->n / s->ms : 0;
    if (json && !json_print(json_pack("{s:I, s:f, s:f, s:f}", "tokens", (json_int_t)s->n, "nll", nll, "ppl", exp(nll),
                                      "tokens_per_second", rate)))
        return CLI_FAIL;
    if (!json)
        printf("%zu tokens scored, nll %.6f, perplexity %.4f, %.1f tokens/s\n", s->n, nll, exp(nll), rate);
    return cli_close_stdout();
}

/* Reads and tokenises the text; one place in front of the ids is free. A token's name is that token, as in the oracle:
 * wikitext writes "<unk>", and spelt out it would be several tokens that are easily foretold. */
static int read_ids(const struct opts *o, const struct otr_model *m, struct ids *ids, struct otr_err *err)
{
    struct text t = {0};
    int rc = cli_read_file(&t, o->file, err);
    if (rc == OTR_OK)
        rc = cli_check_utf8(t.bytes, t.n, o->file, err);
    if (rc == OTR_OK && ids_push(ids, 0) < 0)
        rc = OTR_FAIL(err, NOMEM, "no memory for the text's tokens");
    if (rc == OTR_OK)
        rc = tokenizer_encode(m->tok, t.bytes, t.n, TOK_PARSE_SPECIAL, NULL, ids, err);
    free(t.bytes);
    cli_note_dropped(otr_n_dropped(m));
    return rc;
}

static int perplexity(const struct opts *o)
{
    struct otr_model *m = NULL;
    struct otr_engine *e = NULL;
    struct score s = {0};
    struct otr_err err;
    struct ids ids = {0};
    size_t n = 0;
    const struct otr_engine_opts eo = {.n_threads = o->engine.n_threads,
                                       .n_ctx = o->window + 1,
                                       .n_seq = 1,
                                       .n_batch = o->engine.n_batch,
                                       .kv_type = o->engine.kv_type};
    int rc = otr_model_open(
        &m, o->engine.model,
        &(struct otr_model_opts){o->engine.n_threads, cli_env.kern, o->engine.no_repack, cli_plan_dir()}, &err);
    if (rc == OTR_OK)
        rc = read_ids(o, m, &ids, &err);
    n = rc == OTR_OK ? ids.n - 1 : 0;
    if (rc == OTR_OK)
        rc = otr_engine_create(&e, m, &eo, &err);
    if (rc == OTR_OK && o->max_tokens > 0 && (size_t)o->max_tokens < n)
        n = (size_t)o->max_tokens;
    if (rc == OTR_OK)
        rc = score_windows(e, ids.v, n, (size_t)o->window, tokenizer_add_bos(m->tok), &s, &err);
    const int status = rc < 0 ? cli_fail(&err) : print_score(&s, o->json);
    ids_free(&ids);
    otr_engine_destroy(e);
    otr_model_close(m);
    return status;
}

int cmd_perplexity(int argc, char **argv)
{
#define AT(member) offsetof(struct opts, member)
    static const struct flag flags[] = {
        {"-f --file", FLAG_STR, AT(file), "FILE", "the text, if it is not given as a word (- is stdin)", 0, 0, NULL},
        {"--tokens", FLAG_INT, AT(max_tokens), "N", "only the first N tokens of the text (0, the default: all)", 0,
         INT32_MAX, NULL},
        {"--window -c --ctx-size", FLAG_INT, AT(window), "N", "tokens of a window (512)", 1, 1 << 20,
         "LLAMA_ARG_CTX_SIZE"},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object: tokens, nll, ppl, tokens_per_second", 0, 0, NULL},
    };
    struct opts o = {.engine = engine_opts_default(), .window = 512};
    const struct flag_cmd c = {
        .name = "perplexity",
        .usage = "-m MODEL FILE [flags]",
        .about = "Scores a text in windows that each start afresh: mean negative log-likelihood and perplexity.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf /usr/share/common-licenses/BSD",
        .sets = {engine_flags(&o.engine), {flags, sizeof flags / sizeof flags[0], &o}, foreign_flags()},
    };
    struct flag_words words;
    struct otr_err err;
    int status = CLI_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    if (engine_opts_check(&o.engine, &err) < 0)
        return cli_usage(&err);
    const int n_texts = words.n + (o.file != NULL);
    if (n_texts != 1) {
        OTR_FAIL(&err, ARG, "%s (perplexity): give one file", n_texts > 1 ? "too many texts" : "no text");
        return cli_usage(&err);
    }
    if (!o.file)
        o.file = words.v[0];
    return perplexity(&o);
}
