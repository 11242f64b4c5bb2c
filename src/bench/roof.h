/* The read roof: how fast these threads can read these bytes if they do nothing else. Every speed is quoted beside it.
 * Machines differ in the number of streams they like, so the roof is the best of three (kernels.md E.1). */
#ifndef OTR_BENCH_ROOF_H
#define OTR_BENCH_ROOF_H

#include "bench/team.h"

enum { ROOF_N = 3 }; /* 1, 2 and 4 far streams per thread */

/* Reads bytes from p in 1 << kind streams; whole lines of 64 of each stream (the rest is less than 256 bytes). */
uint64_t roof_read(const void *p, size_t bytes, int kind);
/* All threads of the team on their slices, started together. Returns milliseconds. */
double roof_pass(struct team *t, const void *p, size_t bytes, int kind);
/* The best of s[ROOF_N]: by minimum, by first quartile, by median. */
struct spread roof_best(const struct spread *s);

#endif
