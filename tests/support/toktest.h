/* What the tokenizer's tests share: opening a vocabulary, reading files, the hash of a list of ids. */
#ifndef OTR_TESTS_TOKTEST_H
#define OTR_TESTS_TOKTEST_H

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

#endif
