/* Owns the search for a prepared draft. See outcomes.h. */
#include "draft/outcomes.h"

#include <string.h>

const int32_t *outcome_after(const struct outcome_base *b, const int32_t *tok, size_t n, size_t *n_after)
{
    if (n <= b->n || memcmp(tok, b->tok, b->n * sizeof *tok) != 0)
        return NULL;
    *n_after = n - b->n;
    return tok + b->n;
}

int outcome_place(const struct outcome_base *b, const int32_t *after, size_t n)
{
    int j = 0;
    while (j < b->n_chain && (size_t)j < n && b->chain[j] == after[j])
        j++;
    return j;
}

/* Token i of the path that `at` tokens of the chain and an outcome make. */
static int32_t path_token(const struct outcome_base *b, const struct outcome *o, int at, int i)
{
    return i < at ? b->chain[i] : o->tok[i - at];
}

static bool begins_with(const struct outcome_base *b, const struct outcome *o, const int32_t *after, int n)
{
    if (n >= o->at + o->n)
        return false;
    for (int i = 0; i < n; i++)
        if (path_token(b, o, o->at, i) != after[i])
            return false;
    return true;
}

int outcome_find(const struct outcome_base *b, const struct outcome *o, int n_outcome, const int32_t *after, size_t n,
                 int cap, int32_t *tok, float *conf)
{
    static const struct outcome none;
    struct outcome chain = none;
    const struct outcome *best = NULL;
    int m = 0;
    chain.at = b->n_chain;
    if (n < 1 || n > TREE_MAX + OUTCOME_LEN)
        return 0;
    for (int i = 0; i < n_outcome; i++)
        if ((!best || o[i].at > best->at) && begins_with(b, &o[i], after, (int)n))
            best = &o[i];
    if ((!best || best->at < b->n_chain) && begins_with(b, &chain, after, (int)n))
        best = &chain;
    if (!best)
        return 0;
    for (int i = (int)n; i < best->at + best->n && m < cap; i++, m++) {
        tok[m] = path_token(b, best, best->at, i);
        conf[m] = i < best->at ? b->conf[i] : best->conf[i - best->at];
    }
    return m;
}
