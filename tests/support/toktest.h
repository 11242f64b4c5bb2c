/* What the tokenizer's tests share: opening a vocabulary, reading files, the hash of a list of ids. */
#ifndef OTR_TESTS_TOKTEST_H
#define OTR_TESTS_TOKTEST_H

#include "support/gguf_build.h"
#include "tokenize/tokenizer.h"

#define TOK_DATA "../shared/data/tokenizer-tests/"
#define TOK_STORIES "../shared/data/stories260K/stories260K-f32.gguf"
#define TOK_SMOLLM2 "SmolLM2-135M-Instruct-Q4_1.gguf"
#define TOK_GEMMA3 "gemma-3-270m-Q4_K_M.gguf"

/* The path of a model in ${OUTRIDER_MODELS:-~/.cache/outrider}; a static buffer. */
const char *toktest_model(const char *name);
/* NULL, and a SKIPPED line, where the file is absent. Fails the test where it is there and does not open. */
struct tokenizer *toktest_open(const char *path);
/* A whole file, terminated; NULL where it is absent. free() it. */
char *toktest_read(const char *path, size_t *n);
/* FNV-1a over the ids as little-endian 32-bit words, as tools/make_tokenizer_golden.py has it. */
uint32_t toktest_hash(const struct ids *l);
/* Splits at '\n' in place: the line at *p (terminated, *n bytes), and *p moves on; false at the end. */
bool toktest_line(char **p, char **line, size_t *n);

/* A small vocabulary: pieces, and what goes with them; NULL where the file has no such array. */
struct toy {
    const char *model, *pre; /* NULL: no such key */
    const char *const *pieces;
    size_t n;
    const int32_t *types;
    const float *scores;
    const char *const *merges;
    size_t n_merges;
};
void toy_keys(struct gguf_build *b, const struct toy *y);
/* Opens what b holds, as a file in memory; frees b. */
int toy_open(struct tokenizer **t, struct gguf_build *b, struct otr_err *err);
/* Both at once; fails the test where it does not open. */
struct tokenizer *toy_make(const struct toy *y);
/* "3 1 4" of the ids of text, in a static buffer. */
const char *toktest_ids(const struct tokenizer *t, const char *text, size_t n, unsigned flags,
                        const unsigned char *lit);

#endif
