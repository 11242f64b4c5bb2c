/* Text to token ids and back, as the GGUF's vocabulary says: BPE with the named pre-tokenizers, SPM with byte fallback.
 *
 * In: the tokenizer.ggml.* keys. Out: ids, pieces, streaming text. A tokenizer is read-only after open and may be
 * shared by threads. Other vocabulary kinds (WordPiece, Unigram, ...) are refused by name. Read next: template.h. */
#ifndef OTR_TOKENIZE_TOKENIZER_H
#define OTR_TOKENIZE_TOKENIZER_H

#include "base/ids.h"
#include "load/gguf.h"

struct tokenizer;

int tokenizer_open(struct tokenizer **out, const struct gguf *g, struct otr_err *err); /* copies what it needs of g */
void tokenizer_close(struct tokenizer *t);

enum {
    TOK_ADD_SPECIAL = OTR_TOK_ADD_SPECIAL,
    TOK_PARSE_SPECIAL = OTR_TOK_PARSE_SPECIAL,
    TOK_CONTINUE = 1 << 16, /* other text stands in front: SPM puts no space of its own at the start */
};

/* Appends the ids of text[n] to *out. Invalid UTF-8 counts as U+FFFD (as Python's errors='replace').
 * literal: NULL, or one byte per byte of text; where it is not 0 the text came from a user and no special token may
 * cover that byte, even with TOK_PARSE_SPECIAL. On error *out holds what it held before. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags,
                     const unsigned char *literal, struct ids *out, struct otr_err *err);

int tokenizer_n_vocab(const struct tokenizer *t);
int32_t tokenizer_bos(const struct tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_add_bos(const struct tokenizer *t);            /* TOK_ADD_SPECIAL puts BOS in front */
bool tokenizer_adds_space(const struct tokenizer *t);         /* SPM: at the start of text, and after special tokens */
bool tokenizer_is_end(const struct tokenizer *t, int32_t id); /* eos, eot and the known end-of-turn names */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id); /* control and unknown tokens */
/* Bytes of text that no token stands for (SmolLM2 lacks 21 of 256), left out of all encodes so far. */
size_t tokenizer_n_dropped(const struct tokenizer *t);
size_t tokenizer_n_steps(const struct tokenizer *t); /* work of all encodes so far, for tests of its growth */
int32_t tokenizer_find(const struct tokenizer *t, const char *piece, size_t n); /* by its piece in the file; -1 */

/* The bytes a token stands for in running text, as a view; 0 bytes for special ones unless special is true (then: its
 * name). SPM: U+2581 is already a space. id must be in range. */
const char *tokenizer_bytes(const struct tokenizer *t, int32_t id, bool special, size_t *n);

/* Streaming text: holds back an incomplete UTF-8 character, removes SPM's added first space, turns bytes that can never
 * become a character into U+FFFD. Caller's storage; init with detok_init. */
struct detok {
    const struct tokenizer *t;
    bool special, at_start;
    unsigned n_held;
    char held[4];
};
/* at_start: the text begins here, so SPM's first space is the tokenizer's own and is dropped. */
void detok_init(struct detok *d, const struct tokenizer *t, bool special, bool at_start);
/* Text that became final with this token: into buf, returns its bytes (0 is common). cap is at least detok_max(t). */
size_t detok_push(struct detok *d, int32_t id, char *buf, size_t cap);
size_t detok_flush(struct detok *d, char *buf, size_t cap); /* the end: a held part becomes U+FFFD */
size_t detok_max(const struct tokenizer *t);

#endif
