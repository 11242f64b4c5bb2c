/* Owns what the system says of memory: huge pages. See team.h. */
#include "bench/team.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

double machine_huge_frac(const void *p, size_t bytes)
{
    char line[256];
    bool inside = false;
    uintptr_t lo = 0, hi = 0;
    size_t kb, sum = 0;
    const uintptr_t at = (uintptr_t)p, end = at + bytes;
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &lo, &hi) == 2)
            inside = lo < end && hi > at;
        else if (inside && sscanf(line, "AnonHugePages: %zu kB", &kb) == 1)
            sum += kb << 10;
    }
    fclose(f);
    const double frac = bytes > 0 ? (double)sum / (double)bytes : 0;
    return frac < 1 ? frac : 1; /* a mapping may reach beyond what was asked for */
}

void *bench_map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}
