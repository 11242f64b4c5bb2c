/* Owns the list of methods, and what they share: parameters, and records by sequence. See draft.h.
 * Read next: draft_list.h, then any method. */
#include "draft/draft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/words.h"

static const struct draft_method *const methods[] = {
#define X(symbol) &draft_##symbol,
    DRAFT_LIST(X)
#undef X
};
enum { N_METHOD = sizeof methods / sizeof methods[0] };

int draft_count(void)
{
    return N_METHOD;
}

const struct draft_method *draft_at(int i)
{
    return methods[i];
}

uint32_t draft_flags(const struct draft_method *m, const void *self)
{
    return m->flags_of ? m->flags_of(self) : m->flags;
}

const struct draft_method *draft_find(const char *name)
{
    for (int i = 0; i < N_METHOD; i++)
        if (strcmp(methods[i]->name, name) == 0)
            return methods[i];
    return NULL;
}

int draft_unknown(const char *name, struct otr_err *err)
{
    int best = 0;
    char q[40];
    for (int i = 1; i < N_METHOD; i++)
        if (word_distance(name, methods[i]->name) < word_distance(name, methods[best]->name))
            best = i;
    return OTR_FAIL(err, ARG, "unknown drafting method (--spec): '%s'; did you mean %s? --spec help lists them",
                    err_quote(q, sizeof q, name, strlen(name)), methods[best]->name);
}

/* ---- parameters ---- */

const char *draft_param_get(const struct draft_env *env, const char *key)
{
    const char *v = NULL;
    for (int i = 0; i < env->n_param; i++)
        if (strcmp(env->param[i].key, key) == 0)
            v = env->param[i].value;
    return v;
}

int draft_param_real(const struct draft_env *env, const char *key, double def, double lo, double hi, double *out,
                     struct otr_err *err)
{
    const char *v = draft_param_get(env, key);
    char *end = NULL, q[40];
    *out = v ? strtod(v, &end) : def;
    if (v && (end == v || *end || !(*out >= lo && *out <= hi)))
        return OTR_FAIL(err, ARG, "bad parameter (--spec, %s): '%s' is not a number from %g to %g", key,
                        err_quote(q, sizeof q, v, strlen(v)), lo, hi);
    return OTR_OK;
}

int draft_param_int(const struct draft_env *env, const char *key, int def, int lo, int hi, int *out,
                    struct otr_err *err)
{
    double x;
    const int rc = draft_param_real(env, key, (double)def, (double)lo, (double)hi, &x, err);
    if (rc == OTR_OK && x != floor(x))
        return OTR_FAIL(err, ARG, "bad parameter (--spec, %s): %g is not a whole number", key, x);
    *out = rc == OTR_OK ? (int)x : def;
    return rc;
}

int draft_param_check(const struct draft_env *env, const char *const *known, int n, struct otr_err *err)
{
    for (int i = 0; i < env->n_param; i++) {
        const char *key = env->param[i].key;
        int best = 0;
        bool found = false;
        for (int k = 0; k < n && !found; k++) {
            found = strcmp(known[k], key) == 0;
            best = word_distance(key, known[k]) < word_distance(key, known[best]) ? k : best;
        }
        char q[40];
        if (!found && n == 0)
            return OTR_FAIL(err, ARG, "unknown parameter (--spec): '%s'; the method has none",
                            err_quote(q, sizeof q, key, strlen(key)));
        if (!found)
            return OTR_FAIL(err, ARG, "unknown parameter (--spec): '%s'; did you mean %s?",
                            err_quote(q, sizeof q, key, strlen(key)), known[best]);
    }
    return OTR_OK;
}

/* ---- records by sequence ---- */

static int find(const struct draft_seqs *s, uint64_t seq)
{
    for (int i = 0; i < s->cap; i++)
        if (s->seq[i] == seq)
            return i;
    return -1;
}

void *draft_seqs_find(const struct draft_seqs *s, uint64_t seq)
{
    const int i = find(s, seq);
    return i < 0 ? NULL : s->record[i];
}

static bool grow(struct draft_seqs *s)
{
    const int cap = s->cap ? 2 * s->cap : 4;
    void **record = realloc(s->record, (size_t)cap * sizeof *record);
    if (record)
        s->record = record;
    uint64_t *seq = record ? realloc(s->seq, (size_t)cap * sizeof *seq) : NULL;
    if (!seq)
        return false;
    s->seq = seq;
    for (int i = s->cap; i < cap; i++)
        s->seq[i] = 0;
    s->cap = cap;
    return true;
}

void *draft_seqs_get(struct draft_seqs *s, uint64_t seq)
{
    void *r = draft_seqs_find(s, seq);
    if (r || (s->n == s->cap && !grow(s)))
        return r;
    const int i = find(s, 0);
    if (!(r = calloc(1, s->size)))
        return NULL;
    s->seq[i] = seq;
    s->record[i] = r;
    s->n++;
    return r;
}

void draft_seqs_drop(struct draft_seqs *s, uint64_t seq)
{
    const int i = find(s, seq);
    if (i < 0)
        return;
    free(s->record[i]);
    s->seq[i] = 0;
    s->n--;
}

void draft_seqs_close(struct draft_seqs *s)
{
    for (int i = 0; i < s->cap; i++)
        if (s->seq[i])
            free(s->record[i]);
    free(s->record);
    free(s->seq);
    *s = (struct draft_seqs){.size = s->size};
}
