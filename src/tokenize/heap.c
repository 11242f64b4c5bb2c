/* Owns a binary heap of small items, which counts its moves so that a test can see a quadratic case.
 *
 * In: items. Out: the least one by (prio, at). Read next: merge.c. */
#include <stdlib.h>

#include "tokenize/tok_priv.h"

static bool before(struct item a, struct item b)
{
    return a.prio != b.prio ? a.prio < b.prio : a.at < b.at;
}

int heap_push(struct heap *h, struct item it)
{
    if (h->n == h->cap) {
        const size_t cap = h->cap ? 2 * h->cap : 256;
        struct item *v = cap > SIZE_MAX / sizeof *v ? NULL : realloc(h->v, cap * sizeof *v);
        if (!v)
            return OTR_E_NOMEM;
        h->v = v;
        h->cap = cap;
    }
    size_t i = h->n++;
    for (; i > 0 && before(it, h->v[(i - 1) / 2]); i = (i - 1) / 2, h->steps++)
        h->v[i] = h->v[(i - 1) / 2];
    h->v[i] = it;
    h->steps++;
    return OTR_OK;
}

struct item heap_pop(struct heap *h)
{
    const struct item top = h->v[0], last = h->v[--h->n];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < h->n; i = c, h->steps++) {
        if (c + 1 < h->n && before(h->v[c + 1], h->v[c]))
            c++;
        if (!before(h->v[c], last))
            break;
        h->v[i] = h->v[c];
    }
    h->v[i] = last;
    h->steps++;
    return top;
}
