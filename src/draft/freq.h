/* How often each token of a vocabulary was seen: in a corpus (outrider datastore freq), or in what a user's runs read
 * and wrote.
 *
 * File, little-endian: 16 bytes "OUTRIDER-FREQ 1\n", vocabulary key (16 hex digits), uint32 n_vocab, uint32 0, uint64
 * checksum of the counts (FNV-1a), then n_vocab counts (uint32; more than that counts as that). Counts, and no text.
 * Read next: few_rows.h, who takes the most frequent ones; app/datastore_freq.c. */
#ifndef OTR_DRAFT_FREQ_H
#define OTR_DRAFT_FREQ_H

#include "tokenize/tokenizer.h"

#define FREQ_MAGIC "OUTRIDER-FREQ 1\n"
enum { FREQ_KEY = 16 };

struct freq_head {
    char magic[16], key[FREQ_KEY];
    uint32_t n_vocab, zero;
    uint64_t sum;
};

struct freq {
    int n_vocab;
    uint32_t *count; /* [n_vocab] */
};

/* What files of token ids carry: a hash of the pieces, as FREQ_KEY hex digits and a zero. */
void freq_key(const struct tokenizer *t, char *key);

int freq_init(struct freq *f, int n_vocab, struct otr_err *err); /* all 0 */
void freq_fini(struct freq *f);
void freq_add(struct freq *f, const int32_t *tok, size_t n); /* ids outside the vocabulary are passed over */
/* Adds a file's counts. On an error f is as it was: OTR_E_IO, OTR_E_FORMAT (another vocabulary's, damaged). */
int freq_read(struct freq *f, const char *path, const char *key, struct otr_err *err);
/* The file as bytes, to be freed; NULL: no memory. */
void *freq_image(const struct freq *f, const char *key, size_t *bytes);

/* The n tokens to draft with, by rising id, into id [n + those that must be there]; returns how many. Always there:
 * what begins or ends a text or a turn, and other special tokens while they are few. Then by falling count; of those
 * never seen the lower ids first, which in BPE and SPM are the earlier merges. */
int freq_choose(const struct freq *f, const struct tokenizer *t, int n, int32_t *id, struct otr_err *err);

#endif
