/* Which plans (kern/plan.h) are fast on this machine: timed once, on a model's own weights, then kept in a file.
 *
 * The timing walks round and round all matrices of a kind, so that a matrix is as cold as it is in decoding: everything
 * else of its kind was read since. A kind is not timed that fits the cores' own caches twice, or the shared one where
 * the model as a whole does not: it would be timed warmer than it is in a pass. It takes at most TUNE_MS, and only when
 * the file knows no answer for these types. In: weights just packed, a folder. Out: the plans of their matrices; never
 * an error, the level's own plans are always there. Read next: kern/plan.h. */
#ifndef OTR_LOAD_TUNE_H
#define OTR_LOAD_TUNE_H

#include "load/weights.h"

enum { TUNE_MS = 40 };

/* dir: folder of the file, made where it is missing; NULL: nothing is timed, read or written. */
void weights_tune(struct weights *w, struct pool *pool, const char *dir);

/* What the times depend on, as one line: CPU, caches, level, threads, and where weights of so many bytes lie. */
enum { TUNE_MACHINE_MAX = 256 };
void tune_machine(char *buf, size_t cap, const struct kernels *k, int n_threads, size_t weight_bytes);
/* The name of the file of that machine. */
enum { TUNE_NAME_MAX = 64 };
void tune_file(char *buf, size_t cap, const char *machine);

#endif
