/* GGUF files that must be refused, and files that must not be: every row of loader-safety.md that concerns a file.
 * They are tests (tests/unit/test_gguf.c) and the seeds of the fuzzer (tests/fuzz/corpus/gguf). */
#ifndef OTR_TESTS_GGUF_CASES_H
#define OTR_TESTS_GGUF_CASES_H

#include "support/gguf_build.h"

/* want: what the error must say, "" where the file is right. */
typedef void (*gguf_case_fn)(void *user, const char *id, const char *want, const struct gguf_build *b);
void gguf_cases(gguf_case_fn fn, void *user);

#endif
