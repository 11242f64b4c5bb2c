/* Owns what others call our methods and their settings: names of methods, and vLLM's --speculative-config (JSON).
 * In: names, one JSON object. Out: our names, struct spec_opts filled; a sentence for what comes with a later version.
 * SRC: the arguments of vLLM's SpeculativeConfig and SGLang's server. Read next: spec_opts.c. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "accept/tree.h"
#include "base/words.h"
#include "spec_opts.h"

static const char FLAG[] = "--speculative-config";

/* ---- names of methods ---- */

static const struct {
    const char *other, *ours; /* NULL: heads, with which we cannot draft yet */
} others[] = {
    {"ngram", "ngram-simple"},
    {"[ngram]", "ngram-simple"},
    {"ngram_gpu", "ngram-simple"},
    {"prompt-lookup", "ngram-simple"},
    {"prompt_lookup", "ngram-simple"},
    {"suffix_decoding", "suffix"},
    {"predicted_outputs", "prediction"},
    {"draft_model", "draft"},
    {"draft-simple", "draft"},
    {"standalone", "draft"},
    {"eagle", NULL},
    {"eagle3", NULL},
    {"draft-eagle3", NULL},
    {"nextn", NULL},
    {"mtp", NULL},
    {"draft-mtp", NULL},
    {"deepseek_mtp", NULL},
    {"medusa", NULL},
    {"mlp_speculator", NULL},
    {"dflash", NULL},
    {"draft-dflash", NULL},
    {"dspark", NULL},
    {"draft-dspark", NULL},
};

int spec_our_name(const char *name, size_t n, const char **ours, struct otr_err *err)
{
    *ours = NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (n != strlen(others[i].other) || strncasecmp(name, others[i].other, n) != 0)
            continue;
        if (!others[i].ours)
            return OTR_FAIL(
                err, ARG,
                "method not supported yet (--spec %.*s): heads of a model come with a later version; -md FILE "
                "drafts with a second model (--spec help)",
                (int)n, name);
        *ours = others[i].ours;
    }
    return OTR_OK;
}

/* ---- the JSON object ---- */

enum key_kind { KEY_READ, KEY_TUNE, KEY_NOTE, KEY_REFUSED };
static const struct key {
    const char *name;
    enum key_kind kind; /* READ: spec_config reads it itself */
    const char *method, *param;
    const char *why;
} keys[] = {
    {"method", KEY_READ, NULL, NULL, NULL},
    {"model", KEY_READ, NULL, NULL, NULL},
    {"num_speculative_tokens", KEY_READ, NULL, NULL, NULL},
    {"rejection_sample_method", KEY_READ, NULL, NULL, NULL},
    {"prompt_lookup_min", KEY_TUNE, "ngram-simple", "size_n", NULL},
    {"prompt_lookup_max", KEY_READ, NULL, NULL, NULL},
    {"suffix_decoding_max_tree_depth", KEY_TUNE, "suffix", "max_depth", NULL},
    {"suffix_decoding_max_spec_factor", KEY_TUNE, "suffix", "factor", NULL},
    {"suffix_decoding_min_token_prob", KEY_TUNE, "suffix", "min_prob", NULL},
    {"suffix_decoding_max_cached_requests", KEY_NOTE, NULL, NULL,
     "earlier replies are kept up to a size (--spec suffix:global_mb=N)"},
    {"num_speculative_tokens_per_batch_size", KEY_NOTE, NULL, NULL, "lengths are chosen by what a batch costs"},
    {"disable_by_batch_size", KEY_NOTE, NULL, NULL, "lengths are chosen by what a batch costs"},
    {"draft_sample_method", KEY_NOTE, NULL, NULL, "the rule says how drafts are drawn (--verify)"},
    {"draft_tensor_parallel_size", KEY_NOTE, NULL, NULL, "a drafter has the settings of the model"},
    {"max_model_len", KEY_NOTE, NULL, NULL, "a drafter has the settings of the model"},
    {"quantization", KEY_NOTE, NULL, NULL, "a drafter has the settings of the model"},
    {"revision", KEY_NOTE, NULL, NULL, "a drafter has the settings of the model"},
    {"synthetic_acceptance_rate", KEY_REFUSED, NULL, NULL, "what is accepted is what the model would have said"},
};
enum { N_KEY = sizeof keys / sizeof *keys };

static const struct key *find_key(const char *name, struct otr_err *err)
{
    char q[60];
    int best = 0;
    for (int i = 0; i < N_KEY; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
        best = word_distance(name, keys[i].name) < word_distance(name, keys[best].name) ? i : best;
    }
    OTR_FAIL(err, ARG, "unknown key (%s): the nearest of '%s' is %s", FLAG, err_quote(q, sizeof q, name, strlen(name)),
             keys[best].name);
    return NULL;
}

/* A string of the object, NULL where it is not there. */
static int text_of(const json_t *config, const char *key, const char **out, struct otr_err *err)
{
    const json_t *v = json_object_get(config, key);
    *out = json_string_value(v);
    return v && !*out ? OTR_FAIL(err, ARG, "bad value (%s, %s): it is a text", FLAG, key) : OTR_OK;
}

static int number_of(const json_t *v, const char *key, char *out, size_t cap, struct otr_err *err)
{
    if (json_is_integer(v))
        snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        snprintf(out, cap, "%.10g", json_real_value(v));
    else
        return OTR_FAIL(err, ARG, "bad value (%s, %s): it is a number", FLAG, key);
    return OTR_OK;
}

/* The method as it is named; the only one that a model's name stands for is vLLM's "ngram". */
static int config_method(struct spec_opts *o, const json_t *config, struct otr_err *err)
{
    const char *method, *model;
    int rc = text_of(config, "method", &method, err);
    if (rc == OTR_OK)
        rc = text_of(config, "model", &model, err);
    if (rc < 0)
        return rc;
    if (!method) /* WHY guessed: vLLM guesses too */
        method = model && strcmp(model, "ngram") != 0 && strcmp(model, "[ngram]") != 0 ? "draft_model"
                 : json_object_get(config, "suffix_decoding_max_tree_depth")           ? "suffix"
                 : model || json_object_get(config, "prompt_lookup_max") || json_object_get(config, "prompt_lookup_min")
                     ? "ngram"
                     : "auto";
    const bool drafts = strcmp(method, "draft_model") == 0;
    if ((rc = spec_add_methods(o, method, err)) == OTR_OK && drafts && model && !o->draft_model)
        rc = spec_add_model(o, model, FLAG, err);
    return rc;
}

static int config_length(struct spec_opts *o, const json_t *config, struct otr_err *err)
{
    const json_t *v = json_object_get(config, "num_speculative_tokens");
    const json_int_t n = json_integer_value(v);
    if (!v)
        return OTR_OK;
    if (!json_is_integer(v) || n < 1 || n > TREE_MAX)
        return OTR_FAIL(err, ARG, "bad value (%s, num_speculative_tokens): it is a whole number from 1 to %d", FLAG,
                        TREE_MAX);
    o->draft_max = o->draft_max ? o->draft_max : (int)n;
    return OTR_OK;
}

static int config_rule(struct spec_opts *o, const json_t *config, struct otr_err *err)
{
    const char *s;
    const int rc = text_of(config, "rejection_sample_method", &s, err);
    if (rc < 0 || !s || o->verify)
        return rc;
    o->verify = strcmp(s, "strict") == 0 ? "gumbel" : strcmp(s, "probabilistic") == 0 ? "ratio" : NULL;
    return o->verify ? OTR_OK
                     : OTR_FAIL(err, ARG, "bad value (%s, rejection_sample_method): it is strict or probabilistic here",
                                FLAG);
}

/* vLLM looks for matches of prompt_lookup_min to _max tokens; where one is missing, it is the other. */
static int config_lookup(struct spec_opts *o, const json_t *config, FILE *notes, struct otr_err *err)
{
    const json_t *most = json_object_get(config, "prompt_lookup_max");
    char value[40];
    if (!most)
        return OTR_OK;
    const int rc = number_of(most, "prompt_lookup_max", value, sizeof value, err);
    if (rc < 0)
        return rc;
    if (!json_object_get(config, "prompt_lookup_min"))
        return spec_add_setting(o, "ngram-simple", "prompt_lookup_max", "size_n", value, err);
    if (notes)
        fprintf(notes, "outrider: note: prompt_lookup_max does nothing here: the longest match wins\n");
    return OTR_OK;
}

static int config_keys(struct spec_opts *o, const json_t *config, FILE *notes, struct otr_err *err)
{
    const char *name;
    const json_t *v;
    char value[40];
    json_object_foreach((json_t *)(uintptr_t)config, name, v)
    {
        const struct key *k = find_key(name, err);
        int rc = k ? OTR_OK : OTR_E_ARG;
        if (k && k->kind == KEY_REFUSED)
            rc = OTR_FAIL(err, ARG, "key not supported (%s, %s): %s", FLAG, name, k->why);
        if (k && k->kind == KEY_NOTE && notes)
            fprintf(notes, "outrider: note: %s does nothing here: %s\n", name, k->why);
        if (k && k->kind == KEY_TUNE && (rc = number_of(v, name, value, sizeof value, err)) == OTR_OK)
            rc = spec_add_setting(o, k->method, k->name, k->param, value, err);
        if (rc < 0)
            return rc;
    }
    return OTR_OK;
}

int spec_config(struct spec_opts *o, FILE *notes, struct otr_err *err)
{
    json_error_t why;
    char q[80];
    if (!o->config)
        return OTR_OK;
    json_t *config = json_loads(o->config, JSON_REJECT_DUPLICATES, &why);
    int rc = OTR_OK;
    if (!config)
        rc =
            OTR_FAIL(err, ARG, "bad value (%s): no JSON: %s", FLAG, err_quote(q, sizeof q, why.text, strlen(why.text)));
    else if (!json_is_object(config))
        rc = OTR_FAIL(err, ARG, "bad value (%s): it is a JSON object, {\"method\": \"suffix\"}", FLAG);
    if (rc == OTR_OK)
        rc = config_method(o, config, err);
    if (rc == OTR_OK)
        rc = config_length(o, config, err);
    if (rc == OTR_OK)
        rc = config_rule(o, config, err);
    if (rc == OTR_OK)
        rc = config_lookup(o, config, notes, err);
    if (rc == OTR_OK)
        rc = config_keys(o, config, notes, err);
    json_decref(config);
    return rc;
}
