/* Methods around another one, with the same table: they see every call and change nothing but what they are for.
 *   trace  of=METHOD,file=PATH     a line for each proposal and each step
 *   fault  of=METHOD,every=N       every N-th proposal fails
 *   delay  of=METHOD,ms=X          every proposal takes X ms more
 * Other parameters go to the method inside, and so does one that is given again: of=suffix,file=TRACE,file=STORE.
 * SRC: SQLite's VFS shims. Read next: hostile.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "draft/draft.h"

struct wrap {
    const struct draft_method *m; /* inside */
    void *self;
    FILE *trace;
    int every;
    double ms;
    long calls;
};

static void wrap_close(void *self)
{
    struct wrap *w = self;
    if (w->self)
        w->m->close(w->self);
    if (w->trace)
        fclose(w->trace);
    free(w);
}

/* The first parameter of this name is the wrapper's own: its place, or -1. */
static int own_place(const struct draft_env *env, const char *key)
{
    for (int i = 0; i < env->n_param; i++)
        if (strcmp(env->param[i].key, key) == 0)
            return i;
    return -1;
}

/* Opens the method inside with the parameters but those at of and own. */
static int open_inner(struct wrap *w, const struct draft_env *env, int of, int own, struct otr_err *err)
{
    if (of < 0)
        return OTR_FAIL(err, ARG, "a wrapper without a method (--spec): give of=METHOD");
    if (!(w->m = draft_find(env->param[of].value)))
        return draft_unknown(env->param[of].value, err);
    if (w->m->flags & DRAFT_IN_PASS) /* a flag that the step must see before it asks */
        return OTR_FAIL(err, UNSUPPORTED, "no wrapper (--spec) stands around %s", w->m->name);
    struct draft_param *p = calloc((size_t)env->n_param, sizeof *p);
    if (!p)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    struct draft_env inner = *env;
    inner.n_param = 0;
    inner.param = p;
    for (int i = 0; i < env->n_param; i++)
        if (i != of && i != own)
            p[inner.n_param++] = env->param[i];
    const int rc = w->m->open(&w->self, &inner, err);
    free(p);
    return rc;
}

static int wrap_open(void **self, const struct draft_env *env, const char *key, struct otr_err *err)
{
    const int own = own_place(env, key);
    struct draft_env mine = *env;
    struct wrap *w = calloc(1, sizeof *w);
    if (!w)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    mine.param = own < 0 ? NULL : &env->param[own];
    mine.n_param = own >= 0;
    int rc = open_inner(w, env, own_place(env, "of"), own, err);
    if (rc == OTR_OK && strcmp(key, "every") == 0)
        rc = draft_param_int(&mine, key, 2, 1, 1000000, &w->every, err);
    if (rc == OTR_OK && strcmp(key, "ms") == 0)
        rc = draft_param_real(&mine, key, 1, 0, 1e5, &w->ms, err);
    if (rc == OTR_OK && strcmp(key, "file") == 0) {
        const char *path = draft_param_get(&mine, key);
        if (!path)
            rc = OTR_FAIL(err, ARG, "no file to trace to (--spec trace): give file=PATH");
        else if (!(w->trace = fopen(path, "ae")))
            rc = OTR_FAIL(err, IO, "cannot write the trace (%.200s)", path);
    }
    if (rc < 0) {
        wrap_close(w);
        return rc;
    }
    *self = w;
    return OTR_OK;
}

static int wrap_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct wrap *w = self;
    for (int i = 0; i < n_seen && w->trace; i++)
        fprintf(w->trace, "seen seq %llu event %d tokens %zu new %zu accepted %d%s\n", (unsigned long long)seen[i].seq,
                (int)seen[i].event, seen[i].n, seen[i].n_new, seen[i].n_path, seen[i].mine ? " mine" : "");
    return w->m->observe(w->self, seen, n_seen);
}

static int wrap_prepare(void *self, const struct draft_ask *ask, int n_ask)
{
    const struct wrap *w = self;
    return w->m->prepare ? w->m->prepare(w->self, ask, n_ask) : OTR_OK;
}

/* What the method inside needs and gives; a model that runs is planned for as one. */
static uint32_t wrap_flags(const void *self)
{
    const struct wrap *w = self;
    return (draft_flags(w->m, w->self) & ~(uint32_t)(DRAFT_HOSTILE | DRAFT_NEED_FILE)) | DRAFT_WRAPPER;
}

static int trace_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return wrap_open(self, env, "file", err);
}

static int trace_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct wrap *w = self;
    const int rc = w->m->propose(w->self, ask, n_ask, out);
    for (int i = 0; i < n_ask; i++) {
        fprintf(w->trace, "propose seq %llu tokens %zu budget %d match %d rc %d:", (unsigned long long)ask[i].seq,
                ask[i].n, ask[i].max_entries, out[i].match, rc);
        for (int k = 0; k < out[i].n && k < TREE_MAX; k++)
            fprintf(w->trace, " %d<%d", out[i].entry[k].token, out[i].entry[k].parent);
        fputc('\n', w->trace);
    }
    return rc;
}

static int fault_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return wrap_open(self, env, "every", err);
}

static int fault_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct wrap *w = self;
    const int rc = w->m->propose(w->self, ask, n_ask, out);
    return ++w->calls % w->every == 0 ? OTR_E_IO : rc;
}

static int delay_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return wrap_open(self, env, "ms", err);
}

static int delay_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct wrap *w = self;
    const struct timespec ts = {(time_t)(w->ms / 1000), (long)(fmod(w->ms, 1000) * 1e6)};
    nanosleep(&ts, NULL);
    return w->m->propose(w->self, ask, n_ask, out);
}

/* WHY these flags: until it is open, the inner method may be anything. */
#define WRAP(symbol, word, text)                                                                                       \
    const struct draft_method draft_##symbol = {.name = word,                                                          \
                                                .about = text,                                                         \
                                                .flags = DRAFT_NEED_DIST | DRAFT_GIVE_TREE | DRAFT_GIVE_PROBS |        \
                                                         DRAFT_WRAPPER,                                                \
                                                .open = symbol##_open,                                                 \
                                                .close = wrap_close,                                                   \
                                                .prepare = wrap_prepare,                                               \
                                                .propose = symbol##_propose,                                           \
                                                .observe = wrap_observe,                                               \
                                                .flags_of = wrap_flags}
WRAP(trace, "trace", "around another: of=METHOD,file=PATH writes what it proposes");
WRAP(fault, "fault", "around another: of=METHOD,every=N makes it fail");
WRAP(delay, "delay", "around another: of=METHOD,ms=X makes it slow");
