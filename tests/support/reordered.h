/* A model whose vocabulary stands in another order: the same function, other ids. With 4 special tokens that nobody
 * else has and that it likes to say (copies of its likeliest rows), and 4 tokens that it has twice: half of the mass
 * each. So a drafter with a vocabulary of its own that agrees with the target nearly always, if the ids are read right.
 */
#ifndef OTR_TESTS_REORDERED_H
#define OTR_TESTS_REORDERED_H

/* From a GGUF of the llama kind with an SPM vocabulary and F32 embeddings that are its head too. Fails the test. */
void reordered_write(const char *from, const char *to);

#endif
