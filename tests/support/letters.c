#include "support/letters.h"

#include <string.h>

#include "base/rng.h"

static const char *const draft_piece[LETTERS_DRAFT] = {"a", "b", "bb", ""};
static const char *const target_piece[LETTERS_TARGET] = {"a", "b", "ab", "bb", ""};

/* Tokens, likeliest first; now and then one is missing. */
int letters_law(const struct letters *l, const int32_t *path, int n, int32_t *id, double *q, int cap)
{
    const uint32_t c1 = (uint32_t)(n > 0 ? path[n - 1] : l->before),
                   c2 = (uint32_t)(n > 1 ? path[n - 2] : l->before + 9);
    const struct philox r = philox4x32(l->seed, (struct philox){{c1, c2, 77, 0}});
    double sum = 0;
    int m = 0;
    for (int32_t t = 0; t < LETTERS_DRAFT; t++) {
        const double w = (t == 0) + r.v[t] % 8;
        int at = m;
        if (w == 0)
            continue;
        for (m++; at > 0 && q[at - 1] < w; at--) {
            q[at] = q[at - 1];
            id[at] = id[at - 1];
        }
        q[at] = w;
        id[at] = t;
        sum += w;
    }
    m = m < cap ? m : cap;
    for (int i = 0; i < m; i++)
        q[i] /= sum;
    return m;
}

static int law(void *self, const struct psi *s, int node, int32_t *id, double *q, int cap)
{
    int32_t path[PSI_MAX_DEPTH];
    return letters_law(self, path, psi_path(s, node, path), id, q, cap);
}

/* The longest piece first; sure once a second one stands behind it, or the draft ended. */
static int32_t first(void *self, const int32_t *path, int n, bool *done)
{
    char text[2 * PSI_MAX_DEPTH + 1] = "";
    (void)self;
    const bool ended = n > 0 && path[n - 1] == LETTERS_END;
    for (int i = 0; i < n; i++)
        strcat(text, draft_piece[path[i]]);
    int32_t id = -1;
    for (int32_t t = 0; t < LETTERS_STOP; t++)
        if (strncmp(text, target_piece[t], strlen(target_piece[t])) == 0 &&
            (id < 0 || strlen(target_piece[t]) > strlen(target_piece[id])))
            id = t;
    if (id < 0)
        id = ended ? LETTERS_STOP : -1;
    *done = ended || (id >= 0 && strlen(text) > strlen(target_piece[id]));
    return id;
}

struct psi_source letters_source(struct letters *l)
{
    return (struct psi_source){l, NULL, law, first};
}
