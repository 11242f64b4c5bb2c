/* Our side of tools/proof_oracle.py: what the engine says along another engine's tokens, and what it writes alone.
 *
 * usage: proof_teacher MODEL.gguf ORACLE.json [-k LEVEL] [-t THREADS] > OURS.json
 * In: items of {prompt, prompt_ids, tokens}. Out, per item: prompt_ids by our tokenizer; argmax and the log-probability
 * of the oracle's token at each of its positions, fed its own tokens; and our own greedy tokens. */
#include "support/tiny.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 512, MAX_TOK = 1 << 20 };

struct teacher {
    const int32_t *tok; /* the oracle's prompt and tokens */
    int n_vocab, first; /* position of the row that predicts the first token */
    json_t *argmax, *logprob;
};

static void score_row(void *arg, int pos, const float *logits, int argmax)
{
    struct teacher *t = arg;
    double sum = 0;
    for (int i = 0; i < t->n_vocab; i++)
        sum += exp((double)logits[i] - (double)logits[argmax]);
    json_array_append_new(t->argmax, json_integer(argmax));
    json_array_append_new(t->logprob, json_real((double)logits[t->tok[pos + 1]] - (double)logits[argmax] - log(sum)));
}

static json_t *ids_json(const int32_t *ids, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, json_integer(ids[i]));
    return a;
}

/* A JSON array of token ids, appended to tok; the new count, or -1: not ids of this model, or too many. */
static int take_ids(const json_t *a, int n_vocab, int32_t *tok, int n)
{
    size_t i;
    json_t *v;
    if (!json_is_array(a) || json_array_size(a) > (size_t)(MAX_TOK - n))
        return -1;
    json_array_foreach(a, i, v)
    {
        const json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= n_vocab)
            return -1;
        tok[n++] = (int32_t)id;
    }
    return n;
}

/* Greedy tokens after tok[n_prompt]. */
static int write_alone(struct otr_engine *e, const int32_t *tok, int n_prompt, int n_reply, json_t *out,
                       struct otr_err *err)
{
    struct otr_seq *s;
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = (size_t)n_reply, .ignore_eos = true};
    struct otr_gen_result r;
    g.sampling.temp = 0;
    int rc = otr_seq_create(&s, e, err);
    if (rc < 0)
        return rc;
    if ((rc = otr_generate(s, tok, (size_t)n_prompt, &g, &r, err)) == OTR_OK) {
        json_object_set_new(out, "greedy", ids_json(r.tokens, r.n_reply));
        otr_gen_result_free(&r);
    }
    otr_seq_destroy(s);
    return rc;
}

static int run_item(const struct otr_model *m, int n_threads, const json_t *item, int32_t *tok, json_t *out,
                    struct otr_err *err)
{
    const char *prompt = json_string_value(json_object_get(item, "prompt"));
    const int n_vocab = otr_model_info(m)->n_vocab;
    const int n_prompt = take_ids(json_object_get(item, "prompt_ids"), n_vocab, tok, 0);
    const int n = n_prompt < 1 ? -1 : take_ids(json_object_get(item, "tokens"), n_vocab, tok, n_prompt);
    if (!prompt || n <= n_prompt)
        return OTR_FAIL(err, FORMAT, "an item without prompt, prompt_ids and tokens of this model");

    struct ids mine = {0};
    struct otr_engine *e = NULL;
    int rc = tokenizer_encode(m->tok, prompt, strlen(prompt), TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL, NULL, &mine, err);
    if (rc == OTR_OK)
        json_object_set_new(out, "prompt_ids", ids_json(mine.v, mine.n));
    ids_free(&mine);
    const struct otr_engine_opts eo = {.n_threads = n_threads, .n_ctx = n, .n_batch = CHUNK};
    if (rc == OTR_OK)
        rc = otr_engine_create(&e, m, &eo, err);
    struct teacher t = {tok, n_vocab, n_prompt - 1, json_array(), json_array()};
    if (rc == OTR_OK)
        rc = rows_run(e, tok, n - 1, CHUNK, t.first, score_row, &t, err);
    json_object_set_new(out, "argmax", t.argmax);
    json_object_set_new(out, "logprob", t.logprob);
    if (rc == OTR_OK)
        rc = write_alone(e, tok, n_prompt, n - n_prompt, out, err);
    otr_engine_destroy(e);
    return rc;
}

int main(int argc, char **argv)
{
    struct otr_model_opts mo = {0};
    struct otr_model *m = NULL;
    struct otr_err err = {0};
    json_error_t bad;
    size_t i;
    json_t *item, *in, *out = json_object(), *items = json_array();
    for (int a = 3; a + 1 < argc; a += 2)
        if (strcmp(argv[a], "-k") == 0)
            mo.kern = argv[a + 1];
        else if (strcmp(argv[a], "-t") == 0)
            mo.n_threads = atoi(argv[a + 1]);
    if (argc < 3 || argc % 2 == 0) {
        fprintf(stderr, "usage: proof_teacher MODEL.gguf ORACLE.json [-k LEVEL] [-t THREADS]\n");
        return 2;
    }
    if (!(in = json_load_file(argv[2], 0, &bad))) {
        fprintf(stderr, "proof_teacher: error: %s: %s\n", argv[2], bad.text);
        return 1;
    }
    int32_t *tok = malloc(MAX_TOK * sizeof *tok);
    int rc = tok ? otr_model_open(&m, argv[1], &mo, &err) : OTR_FAIL(&err, NOMEM, "no memory for the tokens");
    if (rc == OTR_OK)
        json_object_set_new(out, "kern", json_string(otr_model_info(m)->kern));
    json_array_foreach(json_object_get(in, "items"), i, item)
    {
        if (rc < 0)
            break;
        json_t *o = json_object();
        rc = run_item(m, mo.n_threads, item, tok, o, &err);
        json_array_append_new(items, o);
    }
    json_object_set_new(out, "items", items);
    if (rc < 0)
        fprintf(stderr, "proof_teacher: error: %s\n", err.msg);
    else if (json_dumpf(out, stdout, JSON_COMPACT) != 0 || fflush(stdout) != 0)
        rc = OTR_E_IO;
    otr_model_close(m);
    json_decref(in);
    json_decref(out);
    free(tok);
    return rc < 0;
}
