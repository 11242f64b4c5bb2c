/* Owns the flags of speculation. See spec_opts.h; read next: src/engine/spec.c. */
#include "spec_opts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "draft/draft.h"

#define SPEC_AT(member) offsetof(struct spec_opts, member)
#define TUNE(i) (offsetof(struct spec_opts, tune) + (i) * sizeof(const char *))

/* llama.cpp's flags of single methods: which method, which of its parameters. */
static const struct tune {
    const char *flag, *method, *key;
} tunes[SPEC_N_TUNE] = {
    {"--spec-ngram-simple-size-n", "ngram-simple", "size_n"},
    {"--spec-ngram-simple-size-m", "ngram-simple", "size_m"},
    {"--spec-ngram-simple-min-hits", "ngram-simple", "min_hits"},
    {"--spec-ngram-map-k-size-n", "ngram-map-k", "size_n"},
    {"--spec-ngram-map-k-size-m", "ngram-map-k", "size_m"},
    {"--spec-ngram-map-k-min-hits", "ngram-map-k", "min_hits"},
    {"--spec-ngram-map-k4v-size-n", "ngram-map-k4v", "size_n"},
    {"--spec-ngram-map-k4v-size-m", "ngram-map-k4v", "size_m"},
    {"--spec-ngram-map-k4v-min-hits", "ngram-map-k4v", "min_hits"},
    {"--spec-ngram-mod-n-match", "ngram-mod", "n_match"},
    {"--spec-ngram-mod-n-min", "ngram-mod", "n_min"},
    {"--spec-ngram-mod-n-max", "ngram-mod", "n_max"},
    {"-lcs", "ngram-cache", "static"},
    {"-lcd", "ngram-cache", "dynamic"},
    {"--spec-draft-p-min", "draft", "p_min"},
    {"--spec-ngram-size-n", "ngram-simple", "size_n"},
    {"--spec-ngram-size-m", "ngram-simple", "size_m"},
    {"--spec-ngram-min-hits", "ngram-simple", "min_hits"},
};
enum { FIRST_OLD_TUNE = 15 };

struct flag_set spec_flags(struct spec_opts *o)
{
    static const struct flag flags[] = {
        {"--spec --spec-type --speculative-algorithm --speculative-algo", FLAG_LIST, SPEC_AT(methods), "METHOD",
         "speculation: auto (default), none, METHOD:key=value,... ; or help", 0, 0, "LLAMA_ARG_SPEC_TYPE"},
        {"--spec-draft-model -md --model-draft --speculative-draft-model-path --speculative-draft-model", FLAG_STR,
         SPEC_AT(draft_model), "FILE", "a smaller model drafts, too; its vocabulary may be another", 0, 0,
         "LLAMA_ARG_SPEC_DRAFT_MODEL"},
        {"--spec-draft-n-max --speculative-num-draft-tokens", FLAG_INT, SPEC_AT(draft_max), "N", "+", 0, TREE_MAX,
         "LLAMA_ARG_SPEC_DRAFT_N_MAX"},
        {"--spec-draft-n-min", FLAG_INT, SPEC_AT(draft_min), "N", "longest draft (31) and shortest worth verifying (1)",
         0, TREE_MAX, "LLAMA_ARG_SPEC_DRAFT_N_MIN"},
        {"--draft-max --draft --draft-n", FLAG_INT, SPEC_AT(old_max), "N", NULL, 0, 1 << 20, NULL},
        {"--draft-min --draft-n-min", FLAG_INT, SPEC_AT(old_min), "N", NULL, 0, 1 << 20, NULL},
        {"--speculative-num-steps", FLAG_INT, SPEC_AT(n_steps), "N", NULL, 0, TREE_MAX, NULL},
        {"-sc --speculative-config", FLAG_STR, SPEC_AT(config), "JSON", NULL, 0, 0, NULL},
        {"--spec-default", FLAG_BOOL, SPEC_AT(preset), NULL, NULL, 0, 0, NULL},
        {"--prediction", FLAG_STR, SPEC_AT(prediction), "FILE", "the reply will resemble this text (an old file, say)",
         0, 0, NULL},
        {"--verify", FLAG_STR, SPEC_AT(verify), "RULE", "rule at temperature > 0 (gumbel); --spec help lists them", 0,
         0, NULL},
        {"--show-drafts", FLAG_BOOL, SPEC_AT(show_drafts), NULL, "colour reply tokens by the method that drafted them",
         0, 0, NULL},
#define T(i, name) {name, FLAG_STR, TUNE(i), "X", NULL, 0, 0, NULL}
        T(0, "--spec-ngram-simple-size-n --speculative-ngram-min-match-window-size"),
        T(1, "--spec-ngram-simple-size-m --speculative-ngram-branch-length"),
        T(2, "--spec-ngram-simple-min-hits"),
        T(3, "--spec-ngram-map-k-size-n"),
        T(4, "--spec-ngram-map-k-size-m"),
        T(5, "--spec-ngram-map-k-min-hits"),
        T(6, "--spec-ngram-map-k4v-size-n"),
        T(7, "--spec-ngram-map-k4v-size-m"),
        T(8, "--spec-ngram-map-k4v-min-hits"),
        T(9, "--spec-ngram-mod-n-match"),
        T(10, "--spec-ngram-mod-n-min"),
        T(11, "--spec-ngram-mod-n-max"),
        T(12, "-lcs --lookup-cache-static"),
        T(13, "-lcd --lookup-cache-dynamic"),
        T(14, "--spec-draft-p-min --draft-p-min"),
        T(15, "--spec-ngram-size-n"),
        T(16, "--spec-ngram-size-m"),
        T(17, "--spec-ngram-min-hits"),
#undef T
    };
    return (struct flag_set){flags, sizeof flags / sizeof flags[0], o};
}

static void note_old(FILE *notes, const char *old, const char *now)
{
    if (notes)
        fprintf(notes, "outrider: note: %s is now %s\n", old, now);
}

/* Adds n bytes as a method. */
static int add_word(struct spec_opts *o, const char *s, size_t n, struct otr_err *err)
{
    char **w = realloc(o->words, (o->n_words + 1) * sizeof *w);
    if (w)
        o->words = w;
    const size_t name = strcspn(s, ":,") < n ? strcspn(s, ":,") : n;
    const char *ours;
    const int rc = spec_our_name(s, name, &ours, err);
    if (rc < 0)
        return rc;
    char *copy = NULL;
    if (w && asprintf(&copy, "%.*s%.*s", ours ? (int)strlen(ours) : (int)name, ours ? ours : s, (int)(n - name),
                      s + name) < 0)
        copy = NULL;
    if (!copy)
        return OTR_FAIL(err, NOMEM, "no memory for the drafting methods");
    o->words[o->n_words++] = copy;
    return OTR_OK;
}

/* "suffix,ngram-mod:n_max=8,n_min=2": a comma before a piece that is no key=value separates methods (llama.cpp's
 * lists). */
int spec_add_methods(struct spec_opts *o, const char *s, struct otr_err *err)
{
    const char *from = s;
    for (const char *c = s;; c++) {
        if (*c && (*c != ',' || c[1 + strcspn(c + 1, ":=,")] == '='))
            continue;
        const size_t n = (size_t)(c - from);
        if (n == 4 && strncmp(from, "help", n) == 0)
            o->help = true;
        else if (n == 4 && strncmp(from, "none", n) == 0)
            o->none = true;
        else if (n == 4 && strncmp(from, "auto", n) == 0)
            o->automatic = true;
        else if (n > 0) {
            const int rc = add_word(o, from, n, err);
            if (rc < 0)
                return rc;
        }
        if (!*c)
            return OTR_OK;
        from = c + 1;
    }
}

/* Whether a word names a method. What -md adds may become any that runs a model: it has the settings of all. */
static bool names(const char *word, const char *method)
{
    const size_t n = strcspn(word, ":");
    return (n == strlen(method) && strncmp(word, method, n) == 0) ||
           (n == 2 && strncmp(word, "md", n) == 0 && strcmp(method, "draft") == 0);
}

int spec_add_setting(struct spec_opts *o, const char *method, const char *shown, const char *key, const char *value,
                     struct otr_err *err)
{
    bool found = false;
    for (size_t i = 0; i < o->n_words; i++) {
        const char *w = o->words[i];
        char *longer;
        if (!names(w, method))
            continue;
        found = true;
        if (asprintf(&longer, "%s%c%s=%s", w, strchr(w, ':') ? ',' : ':', key, value) < 0)
            return OTR_FAIL(err, NOMEM, "no memory for the drafting methods");
        free(o->words[i]);
        o->words[i] = longer;
    }
    return found ? OTR_OK
                 : OTR_FAIL(err, ARG, "a setting of %s (%s), which is not among the methods: add --spec %s", method,
                            shown, method);
}

/* Whether a method is the drafting model, and which model is not said. */
static bool lacks_model(const char *word)
{
    return names(word, "draft") && !strstr(word, "model=");
}

/* A model goes to the method that lacks one; else it is a method more, and alone it joins those of `auto`. */
int spec_add_model(struct spec_opts *o, const char *path, const char *shown, struct otr_err *err)
{
    char *word, q[60];
    if (o->none)
        return OTR_FAIL(err, ARG, "flags at odds (--spec none, %s): give one of them", shown);
    if (strchr(path, ','))
        return OTR_FAIL(err, ARG, "cannot name a model with a comma in its path (%s %s): give it another name", shown,
                        err_quote(q, sizeof q, path, strlen(path)));
    for (size_t i = 0; i < o->n_words; i++)
        if (lacks_model(o->words[i]))
            return spec_add_setting(o, "draft", shown, "model", path, err);
    o->automatic |= o->n_words == 0;
    if (asprintf(&word, "md:model=%s", path) < 0)
        return OTR_FAIL(err, NOMEM, "no memory for the drafting methods");
    const int rc = add_word(o, word, strlen(word), err);
    free(word);
    return rc;
}

char *spec_beside(const struct spec_opts *o, const char *target)
{
    static const char end[] = ".gguf";
    const size_t n = strlen(target);
    char *word;
    if (o->none || (o->n_words > 0 && !o->automatic) || n < sizeof end ||
        strcmp(target + n - (sizeof end - 1), end) != 0 || strchr(target, ','))
        return NULL;
    for (size_t i = 0; i < o->n_words; i++)
        if (strstr(o->words[i], "model="))
            return NULL;
    if (asprintf(&word, "md:model=%.*s.draft%s", (int)(n - (sizeof end - 1)), target, end) < 0)
        return NULL;
    if (access(strchr(word, '=') + 1, F_OK) == 0)
        return word;
    free(word);
    return NULL;
}

int spec_opts_check(struct spec_opts *o, FILE *notes, struct otr_err *err)
{
    int rc = OTR_OK;
    for (size_t i = 0; i < o->methods.n && rc == OTR_OK; i++)
        rc = spec_add_methods(o, o->methods.v[i], err);
    if (rc == OTR_OK && o->preset)
        rc = add_word(o, "ngram-mod", strlen("ngram-mod"), err);
    if (rc == OTR_OK)
        rc = spec_config(o, notes, err);
    if (rc == OTR_OK && o->draft_model && !o->help)
        rc = spec_add_model(o, o->draft_model, "-md", err);
    if (rc == OTR_OK && o->automatic && o->n_words > 0)
        rc = add_word(o, "auto", strlen("auto"), err);
    if (rc < 0 || o->help)
        return rc;
    if (o->none && o->n_words > 0)
        return OTR_FAIL(err, ARG, "flags at odds (--spec none, --spec %.60s): give one of them", o->words[0]);
    if (o->old_max)
        note_old(notes, "--draft-max", "--spec-draft-n-max");
    if (o->old_min)
        note_old(notes, "--draft-min", "--spec-draft-n-min");
    for (int i = 0; i < SPEC_N_TUNE && rc == OTR_OK; i++) {
        if (!o->tune[i])
            continue;
        if (i >= FIRST_OLD_TUNE)
            note_old(notes, tunes[i].flag, tunes[i - FIRST_OLD_TUNE].flag);
        rc = spec_add_setting(o, tunes[i].method, tunes[i].flag, tunes[i].key, o->tune[i], err);
    }
    for (size_t i = 0; i < o->n_words && rc == OTR_OK; i++) {
        char name[60];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(o->words[i], ":"), o->words[i]);
        if (strcmp(name, "auto") != 0 && !draft_find(name))
            rc = draft_unknown(name, err);
    }
    if (rc == OTR_OK && o->verify && accept_rule_find(o->verify) < 0)
        rc = OTR_FAIL(err, ARG, "unknown rule (--verify %.40s): --spec help lists them", o->verify);
    o->draft_max = o->draft_max ? o->draft_max : o->n_steps;
    o->draft_max = o->draft_max ? o->draft_max : o->old_max < TREE_MAX ? o->old_max : TREE_MAX;
    o->draft_min = o->draft_min ? o->draft_min : o->old_min < TREE_MAX ? o->old_min : TREE_MAX;
    return rc;
}

void spec_opts_free(struct spec_opts *o)
{
    flag_list_free(&o->methods);
    for (size_t i = 0; i < o->n_words; i++)
        free(o->words[i]);
    free(o->words);
    o->words = NULL;
    o->n_words = 0;
}
