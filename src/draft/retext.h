/* One text in two vocabularies: the target's history in the drafter's ids, and drafted ids in the target's.
 *
 * In: the target's committed ids; drafted ids. Out: ids of the other vocabulary. Everything in between is raw bytes,
 * incomplete UTF-8 included, and offsets into them.
 *   follow  spells only a window at the end again. What a window makes of its first bytes may be wrong (a word is cut
 * in two), and so may be the old spelling of the last ones (the text went on). The two agree in between: a run of equal
 * ids that end at equal bytes, so one diagonal of the table of equal ids. The longest one is the joint. WHY bytes too:
 * in "ha ha ha" several diagonals are equally long, and one token too few would stay for good. back    spells the end
 * of the target's text together with the draft and takes what begins at the committed end. Committed ids are never
 * spelled again: where the target's own last token is not what an encode would give, so that no token begins there, the
 * draft is spelled alone. Special tokens: one that the drafter has by name or role stands for itself; another one
 * counts as its name in plain text, so that the turn it opens still shows. The drafter's template is not applied: the
 * history must stay the target's. At the start stands the drafter's BOS where its vocabulary wants one, whatever the
 * target's says. SRC: methods/16 section 3, SLEM. Read next: slem.c. */
#ifndef OTR_DRAFT_RETEXT_H
#define OTR_DRAFT_RETEXT_H

#include "draft/vocab_map.h"

struct spelling { /* ids, and the byte of the text where each ends */
    int32_t *id;
    size_t *end;
    size_t n, cap;
};

struct retext {
    const struct tokenizer *target, *draft;
    const struct vocab_map *map;
    struct spelling y, z, w; /* the history in the target's ids and in the drafter's; a window */
    struct ids part;         /* scratch of an encode */
    char *text;              /* [cap_text] of a window */
    size_t n_text, cap_text;
    size_t n_spelt; /* bytes given to encodes so far, for tests of its growth */
};

void retext_init(struct retext *r, const struct tokenizer *target, const struct tokenizer *draft,
                 const struct vocab_map *map);
void retext_fini(struct retext *r);
/* r->z becomes the history tok [n] in the drafter's ids. What differs from the last call may lie anywhere.
 * On error the next call starts anew. */
int retext_follow(struct retext *r, const int32_t *tok, size_t n, struct otr_err *err);
/* What the drafted ids d [n] after r->z are in the target's ids: at most cap into out; their number, or an error. Ends
 * with the draft's first special token; bytes of a character that the draft leaves open are left out. */
int retext_back(struct retext *r, const int32_t *d, int n, int32_t *out, int cap, struct otr_err *err);

#endif
