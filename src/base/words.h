/* How far apart two words are, for "did you mean". */
#ifndef OTR_BASE_WORDS_H
#define OTR_BASE_WORDS_H

/* Fewest insertions, deletions, replacements and swaps of neighbours from a to b (64 bytes of each count). */
int word_distance(const char *a, const char *b);

#endif
