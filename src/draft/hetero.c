/* hetero: a drafter with another vocabulary, by whichever way keeps more of its drafts here. What `-md FILE` means
 * where the vocabularies differ.
 *
 * In: which share of the drafter's law the target's vocabulary has, and how many tokens of each way's drafts stayed.
 * Out: tli or slem for the next draft. At first the share decides: where it is small, most of what tli would say is
 * masked. Then both are tried in turn, tli first where noise is shared (above temperature 0), and the better one goes
 * on; now and then the other has another try. (slrs asks for dozens of laws a draft: by name only.)
 * R1: the choice reads what was accepted before, never a draw of this step. SRC: methods/16 section 3, "which one
 * when". Read next: tli.c, slem.c. */
#include "draft/unlike.h"

enum { TRY = 6, AGAIN = 24 }; /* drafts of each way before they are compared; drafts between later tries */
static const double LEAST_SHARE = 0.3;

const struct unlike_way *unlike_choose(struct unlike *u, const struct draft_ask *ask)
{
    const bool warm = ask->luck.rule != RULE_GREEDY;
    const struct unlike_score *tli = &u->score[warm][UNLIKE_TLI], *slem = &u->score[warm][UNLIKE_SLEM];
    if (u->n_law >= TRY && u->shared / u->n_law < LEAST_SHARE)
        return &unlike_slem;
    if (tli->n < TRY || slem->n < TRY)
        return tli->n < slem->n || (tli->n <= slem->n && warm) ? &unlike_tli : &unlike_slem;
    const bool better = tli->kept / tli->n >= slem->kept / slem->n;
    const bool other = ++u->n_choice % AGAIN == 0;
    return better != other ? &unlike_tli : &unlike_slem;
}

static int hetero_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return unlike_create(self, NULL, env, err);
}

const struct draft_method draft_hetero = {
    .name = "hetero",
    .about = "model=FILE, its own vocabulary: tli or slem, whichever keeps more",
    .flags = DRAFT_GIVE_PROBS | DRAFT_NEED_FILE | DRAFT_RUNS_MODEL,
    .open = hetero_open,
    .close = unlike_close,
    .prepare = unlike_prepare,
    .propose = unlike_propose,
    .observe = unlike_observe,
    .bytes = unlike_bytes,
    .guess = unlike_guess,
};
