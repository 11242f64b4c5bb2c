/* md: what `-md FILE` means. The model drafts as `draft` where its vocabulary is the target's, as `hetero` where it is
 * another one (draft says OTR_E_ARG; what else may be wrong with it hetero says too).
 * Read next: draft_model.c, hetero.c. */
#include <stdlib.h>

#include "draft/draft.h"

struct md {
    const struct draft_method *m;
    void *self;
};

static int md_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    struct md *d = calloc(1, sizeof *d);
    if (!d)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    d->m = &draft_draft;
    int rc = d->m->open(&d->self, env, err);
    if (rc == OTR_E_ARG) {
        d->m = &draft_hetero;
        rc = d->m->open(&d->self, env, err);
    }
    if (rc < 0) {
        free(d);
        return rc;
    }
    *self = d;
    return OTR_OK;
}

static void md_close(void *self)
{
    struct md *d = self;
    d->m->close(d->self);
    free(d);
}

static int md_prepare(void *self, const struct draft_ask *ask, int n_ask)
{
    struct md *d = self;
    return d->m->prepare(d->self, ask, n_ask);
}

static int md_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct md *d = self;
    return d->m->propose(d->self, ask, n_ask, out);
}

static int md_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct md *d = self;
    return d->m->observe(d->self, seen, n_seen);
}

static size_t md_bytes(const void *self)
{
    const struct md *d = self;
    return d->m->bytes(d->self);
}

static struct draft_guess md_guess(const void *self)
{
    const struct md *d = self;
    return d->m->guess(d->self);
}

static uint32_t md_flags(const void *self)
{
    const struct md *d = self;
    return d->m->flags;
}

const struct draft_method draft_md = {
    .name = "md",
    .about = "model=FILE (-md): draft where the vocabulary is the target's, hetero where it is not",
    .flags = DRAFT_GIVE_PROBS | DRAFT_NEED_FILE | DRAFT_RUNS_MODEL,
    .open = md_open,
    .close = md_close,
    .prepare = md_prepare,
    .propose = md_propose,
    .observe = md_observe,
    .bytes = md_bytes,
    .guess = md_guess,
    .flags_of = md_flags,
};
