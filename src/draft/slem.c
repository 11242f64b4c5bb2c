/* slem: a drafter with another vocabulary, by its text. It drafts in its own tokens, always the likeliest; the text is
 * spelled in the target's, and the target's own choices are compared with these ids, never with the text. Every entry
 * is chosen (a delta), under every rule.
 * SRC: methods/16 section 3, SLEM (Alg. 2); verification-law.md 6. Read next: retext.h, slrs.c. */
#include "draft/unlike.h"

static bool slem_next(struct unlike *u, struct unlike_seq *s, const struct draft_ask *ask, const struct unlike_law *law,
                      struct tree *out)
{
    int32_t tok[UNLIKE_MAX];
    (void)out;
    if (law->q[0] < u->p_min)
        return false;
    return unlike_push(u, s, law->id[0], law->q[0]) &&
           retext_back(&s->text, s->path, s->n, tok, UNLIKE_MAX, NULL) < ask->max_entries;
}

static int slem_finish(struct unlike *u, struct unlike_seq *s, const struct draft_ask *ask, struct tree *out)
{
    return unlike_add_text(u, s, TREE_ROOT, 0, ask->max_entries, out);
}

const struct unlike_way unlike_slem = {.name = UNLIKE_SLEM, .next = slem_next, .finish = slem_finish};

static int slem_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return unlike_create(self, &unlike_slem, env, err);
}

const struct draft_method draft_slem = {
    .name = "slem",
    .about = "model=FILE, its own vocabulary: drafts text, read in the target's tokens (SLEM, Timor 2025)",
    .flags = DRAFT_NEED_FILE | DRAFT_RUNS_MODEL,
    .open = slem_open,
    .close = unlike_close,
    .prepare = unlike_prepare,
    .propose = unlike_propose,
    .observe = unlike_observe,
    .bytes = unlike_bytes,
    .guess = unlike_guess,
};
