/* Owns the reading of /proc/meminfo and the cgroup's memory limit. See memory.h. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A file that holds one number; SIZE_MAX: it is not there, or says "max". */
static size_t number_in(const char *path)
{
    unsigned long long n;
    FILE *f = fopen(path, "re");
    if (!f)
        return SIZE_MAX;
    const int got = fscanf(f, "%llu", &n);
    fclose(f);
    return got == 1 && n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}

/* The value of a line "KEY VALUE"; 0 where there is none. */
static size_t value_of(const char *path, const char *key)
{
    char line[128], word[64];
    unsigned long long n;
    size_t found = 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%63s %llu", word, &n) == 2 && strcmp(word, key) == 0)
            found = (size_t)n;
    if (f)
        fclose(f);
    return found;
}

/* WHY files: the page cache counts as used, and is given back when it is needed. */
static size_t left(size_t limit, size_t used, size_t files)
{
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    used -= files < used ? files : used;
    return limit > used ? limit - used : 0;
}

#define V2 "/sys/fs/cgroup/memory."
#define V1 "/sys/fs/cgroup/memory/memory."

size_t memory_available(void)
{
    const size_t kb = value_of("/proc/meminfo", "MemAvailable:");
    size_t n = kb > 0 ? kb << 10 : SIZE_MAX;
    const size_t v2 = left(number_in(V2 "max"), number_in(V2 "current"),
                           value_of(V2 "stat", "active_file") + value_of(V2 "stat", "inactive_file"));
    const size_t v1 = left(number_in(V1 "limit_in_bytes"), number_in(V1 "usage_in_bytes"),
                           value_of(V1 "stat", "total_active_file") + value_of(V1 "stat", "total_inactive_file"));
    n = v2 < n ? v2 : n;
    return v1 < n ? v1 : n;
}
