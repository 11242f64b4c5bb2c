/* Inside of the tokenizer: what vocab.c loads, and the pieces of an encode (tokenizer.c) that special.c, pretok.c and
 * merge.c do. Read next: vocab.c. */
#ifndef OTR_TOKENIZE_TOK_PRIV_H
#define OTR_TOKENIZE_TOK_PRIV_H

#include <stdatomic.h>

#include "base/arena.h"
#include "tokenize/tokenizer.h"

enum {
    TOK_TEXT_MAX = 1 << 30,  /* bytes of one encode: three times that (U+FFFD, U+2581) still counts in 32 bits */
    TOK_PIECE_MAX = 1 << 16, /* bytes of one piece; the longest known is 512 */
    TOK_VOCAB_MAX = 1 << 24,
    TOK_BYTES_MAX = 1 << 30, /* all pieces */
};
#define TOK_NONE UINT32_MAX

enum tok_kind { TOK_BPE, TOK_SPM };

/* Numbers are the file's. */
enum tok_type { TOK_UNDEFINED, TOK_NORMAL, TOK_UNKNOWN, TOK_CONTROL, TOK_USER, TOK_UNUSED, TOK_BYTE };

enum {
    TOK_TYPE = 7, /* mask: the enum tok_type of an attr */
    TOK_END = 8,  /* ends a reply */
};

struct piece {             /* offsets into tokenizer.bytes */
    uint32_t raw, n_raw;   /* as the file spells it */
    uint32_t text, n_text; /* what it stands for in running text */
};

struct slot {          /* of the hash of pieces */
    uint32_t tag, id1; /* part of the hash; id + 1, 0: empty */
};

struct pair {      /* of the hash of merges */
    uint64_t key1; /* (left << 32 | right) + 1, 0: empty */
    uint32_t rank;
    int32_t id; /* what the two become */
};

struct trie_node {                   /* of the tokens that are cut out of the text before anything else */
    uint32_t child, sibling, parent; /* 0: none (node 0 is the root) */
    uint32_t depth;                  /* bytes from the root */
    int32_t id;                      /* -1: no token ends here */
    unsigned char byte;
};

struct tokenizer {
    enum tok_kind kind;
    size_t n_vocab, max_raw, max_text; /* max_: bytes of the longest piece */
    struct piece *piece;               /* [n_vocab] */
    unsigned char *attr;               /* [n_vocab] enum tok_type with flags */
    uint32_t *prio;                    /* [n_vocab] SPM: the lower, the earlier merged */
    struct slot *slot;                 /* [slot_mask + 1] */
    struct pair *pair;                 /* [pair_mask + 1] BPE */
    size_t slot_mask, pair_mask;
    uint64_t key[2]; /* of the hashes */
    char *bytes;
    int32_t byte_id[256]; /* the token of a lone byte, -1: none */
    int32_t bos, eos, unk;
    bool add_bos, add_eos, add_space_prefix, ignore_merges;
    struct trie_node *trie; /* [n_trie] */
    size_t n_trie;
    uint32_t trie_root[256]; /* the root's child for a byte */
    struct pretok *pretok;   /* BPE */
    void *arena;             /* holds piece, attr, prio, slot, pair and bytes */
    struct tok_counts *counts;
};

struct tok_counts { /* apart from the tokenizer: the only part that encodes write */
    atomic_size_t dropped, steps;
};

#define TOK_NOMEM(err, n) OTR_FAIL(err, NOMEM, "no memory to tokenize %zu bytes of text", (size_t)(n))

/* ---- vocab.c ---- */

int vocab_load(struct tokenizer *t, const struct gguf *g, struct otr_err *err);
int32_t vocab_find(const struct tokenizer *t, const char *p, size_t n); /* by raw bytes; -1 */
const struct pair *vocab_pair(const struct tokenizer *t, int32_t left, int32_t right);
/* May this token come out of ordinary text? Never a special one: so no text can spell one piece by piece. */
static inline bool tok_is_plain(const struct tokenizer *t, int32_t id)
{
    const unsigned type = t->attr[id] & TOK_TYPE;
    return type == TOK_NORMAL || type == TOK_USER;
}
/* The character that byte-level BPE writes for a byte, as UTF-8 into out[2]; returns its bytes. */
size_t bpe_alphabet(unsigned char byte, char out[2]);

/* ---- pretok.c: text to words ---- */

struct pretok;

struct words {
    uint32_t *end, *next; /* [n] where each word ends; the other list while splitting */
    size_t n, n_next, cap, cap_next;
    void *match; /* of the regex library */
};

/* pre: the value of tokenizer.ggml.pre. OTR_E_UNSUPPORTED for names nobody knows. */
int pretok_open(struct pretok **out, const char *pre, size_t n, struct otr_err *err);
void pretok_close(struct pretok *p);
bool pretok_add_bos(const struct pretok *p);       /* where the file does not say */
bool pretok_ignore_merges(const struct pretok *p); /* a word that is a token stays whole */
int pretok_split(const struct pretok *p, const char *text, size_t n, struct words *w, struct otr_err *err);
void words_fini(struct words *w);

/* ---- heap.c ---- */

struct item { /* the least (prio, at) comes first */
    uint32_t prio, at, n;
    int32_t id;
};

struct heap {
    struct item *v;
    size_t n, cap, steps; /* steps: moves of items so far */
};

int heap_push(struct heap *h, struct item it); /* OTR_OK or OTR_E_NOMEM */
struct item heap_pop(struct heap *h);          /* h->n > 0 */

/* ---- special.c: tokens that are cut out of the text ---- */

struct cut {
    uint32_t at, n;
    int32_t id;
};

struct cuts {
    struct cut *v; /* in the order of the text, not overlapping */
    size_t n;
};

int trie_build(struct tokenizer *t); /* OTR_OK or OTR_E_NOMEM */
/* h: scratch. lit as in tokenizer_encode. */
int special_find(const struct tokenizer *t, const char *text, size_t n, bool parse, const unsigned char *lit,
                 struct heap *h, struct cuts *out, struct otr_err *err);

/* ---- merge.c: a word (BPE) or a stretch of text (SPM) to ids ---- */

struct sym {
    uint32_t at, n;      /* bytes; n = 0: swallowed by the one before */
    uint32_t prev, next; /* TOK_NONE: none */
    int32_t id;          /* -1: not known yet (SPM), none (BPE) */
};

struct enc {
    const struct tokenizer *t;
    struct ids *out;
    struct otr_err *err;
    struct sym *sym;
    size_t cap_sym;
    struct heap heap;
    struct words words;
    char *buf; /* BPE: a word in the byte alphabet */
    size_t cap_buf, n_dropped;
};

int merge_text(struct enc *e, const char *text, size_t n);

#endif
