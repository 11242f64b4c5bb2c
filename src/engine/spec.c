/* Owns what an engine speculates with: drafters opened by name and parameters, the controller, the rule.
 * In: struct otr_spec. Out: struct spec, used by step.c. Read next: draft/draft_list.h, control/control.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "draft/freq.h"
#include "engine/engine.h"

/* What `auto` means: drafters that cost microseconds. Models and heads that lie beside the model join them later. */
static const char *const auto_methods[] = {"prediction", "suffix", "ngram-mod"};
enum { N_AUTO = sizeof auto_methods / sizeof *auto_methods };

const char *const *spec_auto(size_t *n)
{
    *n = sizeof auto_methods / sizeof *auto_methods;
    return auto_methods;
}

void spec_free(struct spec *sp)
{
    if (!sp)
        return;
    control_close(sp->ctl, NULL);
    for (int i = 0; i < sp->n_d; i++) {
        if (sp->d[i].self)
            sp->d[i].m->close(sp->d[i].self);
        free(sp->d[i].words);
        free(sp->d[i].param);
    }
    free(sp->state_path);
    free(sp->dir);
    free(sp);
}

/* "METHOD:key=value,key=value" into d->words, d->param. */
static int parse_method(struct drafter *d, const char *text, struct otr_err *err)
{
    size_t n = 1;
    for (const char *c = text; *c; c++)
        n += *c == ',';
    d->words = strdup(text);
    d->param = calloc(n, sizeof *d->param);
    if (!d->words || !d->param)
        return OTR_FAIL(err, NOMEM, "no memory for the settings of a drafting method");
    char *rest = strchr(d->words, ':');
    const int n_name = (int)strcspn(text, ":");
    if (rest) /* what was learnt with other parameters, with another model say, is of no use */
        snprintf(d->key, sizeof d->key, "%.*s-%016llx", n_name < 20 ? n_name : 20, text,
                 (unsigned long long)fnv1a(FNV1A_START, rest, strlen(rest)));
    else
        snprintf(d->key, sizeof d->key, "%.*s", n_name, text);
    if (rest)
        *rest++ = 0;
    for (char *item; rest && *rest && (item = strsep(&rest, ",")) != NULL;) {
        char *eq = strchr(item, '='), q[40];
        if (!eq || eq == item)
            return OTR_FAIL(err, ARG, "bad parameter (--spec %s): '%s' is not key=value", d->words,
                            err_quote(q, sizeof q, item, strlen(item)));
        *eq = 0;
        d->param[d->n_param++] = (struct draft_param){item, eq + 1};
    }
    return OTR_OK;
}

/* Opens the method of d with its parameters. */
static int open_drafter(struct spec *sp, const struct otr_engine *e, struct drafter *d, struct otr_err *err)
{
    if (d->n_param > 0 &&
        !sp->model_key[0]) /* WHY not always: it reads the vocabulary, and only parameters name files */
        model_key(e->m, sp->model_key);
    const struct draft_env env = {.host = &sp->host,
                                  .tok = e->m->tok,
                                  .n_vocab = e->m->info.n_vocab,
                                  .model = sp->model_key,
                                  .seed = sp->seed,
                                  .param = d->param,
                                  .n_param = d->n_param};
    const int rc = d->m->open(&d->self, &env, err);
    d->flags = rc < 0 ? d->m->flags : draft_flags(d->m, d->self);
    d->guess = (struct draft_guess){0};
    if (rc == OTR_OK && (d->flags & DRAFT_RUNS_MODEL) && d->m->guess)
        d->guess = d->m->guess(d->self);
    return rc;
}

static int add_drafter(struct spec *sp, const struct otr_engine *e, const char *text, struct otr_err *err)
{
    if (sp->n_d == CTL_MAX_DRAFTERS)
        return OTR_FAIL(err, LIMIT, "more than %d drafting methods", CTL_MAX_DRAFTERS);
    struct drafter *d = &sp->d[sp->n_d++];
    const int rc = parse_method(d, text, err);
    if (rc < 0)
        return rc;
    if (!(d->m = draft_find(d->words)))
        return draft_unknown(d->words, err);
    return open_drafter(sp, e, d, err);
}

int spec_forget(struct spec *sp, const struct otr_engine *e, struct otr_err *err)
{
    int rc = OTR_OK;
    for (int i = 0; i < sp->n_d && rc == OTR_OK; i++) {
        sp->d[i].m->close(sp->d[i].self);
        sp->d[i].self = NULL;
        rc = open_drafter(sp, e, &sp->d[i], err);
    }
    return rc;
}

void model_key(const struct otr_model *m, char *key)
{
    freq_key(m->tok, key);
}

/* The name of the file of what the controller learns: by the weights' shape, the kernels and the threads. */
static int name_state(struct spec *sp, const struct otr_engine *e, const char *dir, struct otr_err *err)
{
    const struct otr_model_info *m = &e->m->info;
    uint64_t h = fnv1a(FNV1A_START, m->name, strlen(m->name));
    h = fnv1a(h, &m->n_params, sizeof m->n_params);
    h = fnv1a(h, &m->tensor_bytes, sizeof m->tensor_bytes);
    h = fnv1a(h, &m->n_vocab, sizeof m->n_vocab);
    if (asprintf(&sp->state_path, "%s/control-%016llx-%s-%d.txt", dir, (unsigned long long)h, m->kern,
                 pool_n_threads(e->pool)) >= 0)
        return OTR_OK;
    sp->state_path = NULL;
    return OTR_FAIL(err, NOMEM, "no memory for a file name");
}

static int fill_host(struct spec *sp, struct otr_engine *e, const char *dir, struct otr_err *err)
{
    if ((!e->files && !(e->files = lm_files_create())) || (dir && !(sp->dir = strdup(dir))))
        return OTR_FAIL(err, NOMEM, "no memory for speculation");
    sp->host = (struct draft_host){.pool = e->pool,
                                   .weights = e->m->w,
                                   .kv = e->kv,
                                   .kv_bytes = kv_bytes(e->kv),
                                   .fwd = e->fwd,
                                   .files = e->files,
                                   .n_ctx = e->n_ctx,
                                   .n_seq = e->n_seq,
                                   .cache_dir = sp->dir};
    return OTR_OK;
}

/* A drafter as the controller sees it. */
static struct ctl_drafter describe(const struct drafter *d)
{
    const bool runs = (d->flags & DRAFT_RUNS_MODEL) != 0, beside = (d->flags & DRAFT_BESIDE) != 0;
    return (struct ctl_drafter){.name = d->key,
                                .draws = (d->flags & DRAFT_GIVE_PROBS) != 0,
                                .runs = runs && !beside,
                                .stops = runs && (d->flags & DRAFT_STOPS) != 0,
                                .trees = runs && (d->flags & DRAFT_GIVE_TREE) != 0,
                                .beside = beside,
                                .row = d->guess.row,
                                .prompt = d->guess.prompt};
}

static int open_all(struct spec *sp, struct otr_engine *e, const struct otr_spec *o, struct otr_err *err)
{
    const char *const *methods = o->n_methods > 0 ? o->methods : auto_methods;
    const size_t n = o->n_methods > 0 ? o->n_methods : N_AUTO;
    int rc = o->dir ? name_state(sp, e, o->dir, err) : OTR_OK;
    if (rc == OTR_OK)
        rc = fill_host(sp, e, o->dir, err);
    for (size_t i = 0; i < n && rc == OTR_OK; i++)
        if (strcmp(methods[i], "auto") != 0)
            rc = add_drafter(sp, e, methods[i], err);
        else
            for (size_t k = 0; k < N_AUTO && rc == OTR_OK; k++)
                rc = add_drafter(sp, e, auto_methods[k], err);
    if (rc < 0)
        return rc;
    struct ctl_drafter cd[CTL_MAX_DRAFTERS];
    for (int i = 0; i < sp->n_d; i++)
        cd[i] = describe(&sp->d[i]);
    const struct ctl_opts co = {.drafter = cd,
                                .n_drafter = sp->n_d,
                                .max_entries = o->draft_max > 0 ? o->draft_max : TREE_MAX,
                                .min_entries = o->draft_min > 0 ? o->draft_min : 1,
                                .fixed_entries = o->draft_fixed > 0 ? o->draft_fixed : -1,
                                .state_path = sp->state_path};
    return control_open(&sp->ctl, &co, err);
}

int otr_engine_speculate(struct otr_engine *e, const struct otr_spec *o, struct otr_err *err)
{
    struct spec *sp = NULL;
    if (o) {
        const int rule = o->verify ? accept_rule_find(o->verify) : RULE_GUMBEL;
        char q[40];
        if (rule < 0)
            return OTR_FAIL(err, ARG, "unknown verification rule '%s'",
                            err_quote(q, sizeof q, o->verify, strlen(o->verify)));
        if (o->draft_max < 0 || o->draft_max > TREE_MAX || o->draft_min < 0 || o->draft_min > TREE_MAX)
            return OTR_FAIL(err, ARG, "drafts of %d to %d tokens (at most %d)", o->draft_min, o->draft_max, TREE_MAX);
        if (!(sp = calloc(1, sizeof *sp)))
            return OTR_FAIL(err, NOMEM, "no memory for speculation");
        sp->rule = (enum accept_rule)rule;
        sp->seed = o->seed;
        const int rc = open_all(sp, e, o, err);
        if (rc < 0) {
            spec_free(sp);
            return rc;
        }
    }
    spec_free(e->spec);
    e->spec = sp;
    return OTR_OK;
}

const char *otr_spec_method(int i, const char **about, bool *hostile)
{
    if (i < 0 || i >= draft_count())
        return NULL;
    const struct draft_method *m = draft_at(i);
    *about = m->about;
    *hostile = (m->flags & DRAFT_HOSTILE) != 0;
    return m->name;
}

void spec_seq_event(struct otr_seq *s, enum draft_event event)
{
    const struct spec *sp = s->e->spec;
    if (!sp)
        return;
    const struct draft_seen seen = {.seq = s->id, .event = event, .tok = s->tok, .n = s->n};
    for (int i = 0; i < sp->n_d; i++)
        sp->d[i].m->observe(sp->d[i].self, &seen, 1);
}

void otr_engine_memory(const struct otr_engine *e, struct otr_memory *out)
{
    *out = (struct otr_memory){.weights = weights_bytes(e->m->w), .kv = kv_bytes(e->kv)};
    if (e->files)
        lm_files_bytes(e->files, &out->draft_weights, &out->draft_kv);
}

double otr_engine_pass_ms(const struct otr_engine *e, int rows)
{
    return e->spec ? control_time(e->spec->ctl, rows, e->last ? (int)e->last->n : 1) : 0;
}

bool otr_tokens_loop(const int32_t *tok, size_t n)
{
    enum { LAST = 64, MAX_PERIOD = 32, REPEATS = 4 };
    if (n < LAST)
        return false;
    const int32_t *t = tok + n - LAST;
    for (int period = 1; period <= MAX_PERIOD && period * REPEATS <= LAST; period++) {
        int i = LAST - 1;
        while (i >= period && t[i] == t[i - period])
            i--;
        if (LAST - 1 - i >= period * (REPEATS - 1))
            return true;
    }
    int distinct = 0;
    for (int i = 0; i + 2 < LAST; i++) {
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = memcmp(t + i, t + j, 3 * sizeof *t) == 0;
        distinct += !seen;
    }
    return distinct * 10 < (LAST - 2) * 3;
}
