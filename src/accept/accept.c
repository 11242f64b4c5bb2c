/* Owns the table of rules and the scratch of a decision. Read next: decide.c. */
#include "accept/accept_priv.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
    enum accept_exact exact;
} rules[N_RULE] = {
#define X(upper, name, exact, text) [RULE_##upper] = {name, text, EXACT_##exact},
    ACCEPT_RULE_LIST(X)
#undef X
};

const char *accept_rule_name(enum accept_rule r)
{
    return rules[r].name;
}

const char *accept_rule_text(enum accept_rule r)
{
    return rules[r].text;
}

enum accept_exact accept_rule_exact(enum accept_rule r)
{
    return rules[r].exact;
}

const char *accept_exact_name(enum accept_exact e)
{
    return e == EXACT_BYTES ? "bytes" : e == EXACT_LAW ? "law" : "none";
}

int accept_rule_find(const char *name)
{
    for (int r = 0; r < N_RULE; r++)
        if (strcmp(rules[r].name, name) == 0)
            return r;
    return -1;
}

int accept_scratch_open(struct accept_scratch **out, int n_vocab, struct otr_err *err)
{
    struct accept_scratch *s = calloc(1, sizeof *s);
    if (s) {
        s->n_vocab = n_vocab;
        s->p = calloc((size_t)n_vocab, sizeof *s->p);
        s->q = calloc((size_t)n_vocab, sizeof *s->q);
    }
    if (!s || !s->p || !s->q) {
        accept_scratch_close(s);
        return OTR_FAIL(err, NOMEM, "rows of %d tokens for the verification of drafts", n_vocab);
    }
    *out = s;
    return OTR_OK;
}

void accept_scratch_close(struct accept_scratch *s)
{
    if (!s)
        return;
    free(s->p);
    free(s->q);
    free(s);
}
