/* Owns the growing of id lists. */
#include "base/ids.h"

#include <stdlib.h>

#include "base/err.h"

int ids_push(struct ids *l, int32_t id)
{
    if (l->n == l->cap) {
        const size_t cap = l->cap ? l->cap * 2 : 64;
        int32_t *v = cap > SIZE_MAX / sizeof *v ? NULL : realloc(l->v, cap * sizeof *v);
        if (!v)
            return OTR_E_NOMEM;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = id;
    return OTR_OK;
}

void ids_free(struct ids *l)
{
    free(l->v);
    *l = (struct ids){0};
}
