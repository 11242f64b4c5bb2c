/* How many threads pay: physical cores that this process may use. In: the affinity mask, the kernel's topology files,
 * the cgroup's quota. Out: pool_default_threads. */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"

/* First CPU of the physical core that `cpu` belongs to; itself where the kernel does not say. */
static size_t core_of(size_t cpu)
{
    char path[96];
    size_t first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "r");
    if (!f)
        return cpu;
    if (fscanf(f, "%zu", &first) != 1)
        first = cpu;
    fclose(f);
    return first;
}

static int cores_in_mask(void)
{
    cpu_set_t mine, seen;
    int n = 0;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0)
        return 1;
    CPU_ZERO(&seen);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &mine))
            continue;
        const size_t core = core_of(cpu);
        if (core < CPU_SETSIZE && !CPU_ISSET(core, &seen)) {
            CPU_SET(core, &seen);
            n++;
        }
    }
    return n;
}

/* CPUs that a cgroup's file grants, rounded up; 0: no limit said. v2: "max 100000" or "150000 100000". */
static int quota_of(const char *path)
{
    long quota = 0, period = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    const int n = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    return n == 2 && quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

/* The least quota on the way from the process's own cgroup (v2) up to the root; 0: none. */
static int cgroup_cpus(void)
{
    char line[512], path[640];
    int best = 0;
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = 0;
        for (char *end = line + strlen(line); end; end = strrchr(line + 3, '/')) {
            *end = 0;
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", line + 3);
            const int n = quota_of(path);
            best = n > 0 && (best == 0 || n < best) ? n : best;
        }
    }
    fclose(f);
    return best;
}

int pool_default_threads(void)
{
    int n = cores_in_mask();
    const int quota = cgroup_cpus();
    n = quota > 0 && quota < n ? quota : n;
    return n < 1 ? 1 : n > POOL_MAX_THREADS ? POOL_MAX_THREADS : n;
}
