/* tli: a drafter with another vocabulary, by token-level intersection. Its law is read over the target's ids (what has
 * no token there is masked, ids of the same bytes add up), and the core draws from that: so every rule takes it as it
 * takes a drafter of the same vocabulary, and under gumbel both share the noise of the target's ids.
 * SRC: methods/16 section 3, TLI (Alg. 4). Read next: slem.c. */
#include "draft/unlike.h"

static bool tli_next(struct unlike *u, struct unlike_seq *s, const struct draft_ask *ask, const struct unlike_law *law,
                     struct tree *out)
{
    int32_t t[UNLIKE_TOP];
    double p[UNLIKE_TOP], best = 0;
    const int n = vocab_map_law(u->map, law->id, law->q, law->n, t, p);
    for (int i = 0; i < n; i++)
        best = p[i] > best ? p[i] : best;
    if (n == 0 || best < u->p_min || out->n >= ask->max_entries) /* R1: by the row, before the draw */
        return false;
    const int e = tree_draw(out, out->n - 1, t, p, n, &ask->luck);
    if (e < 0)
        return false;
    const int32_t id = u->map->draft_of[out->entry[e].token];
    return id >= 0 && unlike_push(u, s, id, (double)out->entry[e].conf) && out->n < ask->max_entries;
}

const struct unlike_way unlike_tli = {.name = UNLIKE_TLI, .next = tli_next};

static int tli_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return unlike_create(self, &unlike_tli, env, err);
}

const struct draft_method draft_tli = {
    .name = "tli",
    .about = "model=FILE, its own vocabulary: draws from the tokens that both have (TLI, Timor 2025)",
    .flags = DRAFT_GIVE_PROBS | DRAFT_NEED_FILE | DRAFT_RUNS_MODEL,
    .open = tli_open,
    .close = unlike_close,
    .prepare = unlike_prepare,
    .propose = unlike_propose,
    .observe = unlike_observe,
    .bytes = unlike_bytes,
    .guess = unlike_guess,
};
