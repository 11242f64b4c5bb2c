/* Which tokens of two vocabularies are the same: those that stand for the same bytes, and special ones of one role.
 *
 * In: the tokenizers of a target and of a drafter. Out: for each id of one the id of the other. Bytes are compared as
 * they read in running text, so that U+2581, U+0120, byte tokens and byte-level alphabets need no care here. A special
 * token has no bytes: it is mapped to one of the same name or role (end of a turn, of the text, ...), or not at all,
 * and what is not mapped is never proposed.
 * The map of a pair is built once and kept in a file that may be lost or damaged: then it is built again.
 * SRC: methods/16 section 3, TLI. Read next: retext.h (the same for whole texts), tli.c. */
#ifndef OTR_DRAFT_VOCAB_MAP_H
#define OTR_DRAFT_VOCAB_MAP_H

#include "tokenize/tokenizer.h"

struct vocab_map {
    int n_target, n_draft;
    int32_t *target_of;                        /* [n_draft] -1: none. Several may have one */
    int32_t *draft_of;                         /* [n_target] of several the one that text is encoded with; -1: none */
    int32_t target_byte[256], draft_byte[256]; /* the token of a lone byte, -1: none */
    int n_mapped;                              /* ids of the drafter that have a target */
    int n_shared;                              /* ids of the target that a draft can reach */
    bool cached;                               /* read from a file */
};

/* dir: the folder of the map's file; NULL: it is neither read nor written. */
int vocab_map_open(struct vocab_map **out, const struct tokenizer *target, const struct tokenizer *draft,
                   const char *dir, struct otr_err *err);
void vocab_map_close(struct vocab_map *m);
/* The name of the file of a pair, into buf [cap]. */
void vocab_map_file(const struct tokenizer *target, const struct tokenizer *draft, char *buf, size_t cap);

/* q' of TLI: a drafter's law over its own ids, as a law over the target's: p(t) = sum of q over all ids mapped to t,
 * what has no target is left out. d, q [n] in any order; t, p [n] by rising t, not normalised; their number is
 * returned, 0 where nothing is shared. INV: never the q of one id alone (verification-law.md 6: TV .20). */
int vocab_map_law(const struct vocab_map *m, const int32_t *d, const double *q, int n, int32_t *t, double *p);

#endif
