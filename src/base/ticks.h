/* The cheapest clock there is, for short intervals: the time-stamp counter, or nanoseconds where there is none.
 * How many ticks make a millisecond is measured where it is needed (bench/team.h). */
#ifndef OTR_BASE_TICKS_H
#define OTR_BASE_TICKS_H

#include <stdint.h>
#include <time.h>

static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1000000000u * (uint64_t)t.tv_sec + (uint64_t)t.tv_nsec;
#endif
}

#endif
