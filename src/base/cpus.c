/* How many threads pay, and where they may be pinned. In: the affinity mask, the kernel's topology files, the cgroup's
 * quota. Out: cpus.h, pool_default_threads.
 *
 * A claim on a core is a socket with an abstract name: the kernel frees it with the process, however that ends, and
 * no file is left behind. It is advice among pools (of one network namespace); who ignores it is only slower. */
#include "base/cpus.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/pool.h"

/* First CPU of the physical core that `cpu` belongs to; itself where the kernel does not say. */
static int core_of(int cpu)
{
    char path[96];
    int first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "r");
    if (!f)
        return cpu;
    if (fscanf(f, "%d", &first) != 1 || first < 0 || first >= CPU_SETSIZE)
        first = cpu;
    fclose(f);
    return first;
}

int cpus_cores(cpu_set_t *core, int cap)
{
    cpu_set_t mine;
    short at[CPU_SETSIZE] = {0}; /* by first CPU: 1 + index of its core */
    int n = 0;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &mine))
            continue;
        const int first = core_of(cpu);
        if (!at[first]) {
            if (n == cap)
                continue;
            CPU_ZERO(&core[n]);
            at[first] = (short)++n;
        }
        CPU_SET((size_t)cpu, &core[at[first] - 1]);
    }
    return n;
}

int cpus_claim(const cpu_set_t *core)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int cpu = 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET((size_t)cpu, core))
        cpu++;
    const int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "outrider-core-%d", core_of(cpu)); /* [0] is 0 */
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* ---- the cgroup's quota ---- */

/* Up to two numbers of a cgroup's file. Returns how many were there: "max 100000" has none. */
static int numbers(const char *dir, const char *name, long *a, long *b)
{
    char path[1088];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    const int n = fscanf(f, "%ld %ld", a, b);
    fclose(f);
    return n;
}

/* CPUs that one cgroup grants, rounded up; 0: no limit said. v2: "max 100000" or "150000 100000"; v1: two files. */
static int quota_of(const char *dir, bool v1)
{
    long quota = 0, period = 0, none;
    if (v1 ? numbers(dir, "cpu.cfs_quota_us", &quota, &none) < 1 ||
                 numbers(dir, "cpu.cfs_period_us", &period, &none) < 1
           : numbers(dir, "cpu.max", &quota, &period) != 2)
        return 0;
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

/* Is `name` one of a comma-separated list that ends at ':'? */
static bool is_listed(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *s = list; *s && *s != ':'; s += *s == ',') {
        const size_t len = strcspn(s, ",:");
        if (len == n && memcmp(s, name, n) == 0)
            return true;
        s += len;
    }
    return false;
}

/* The least quota on the way from the process's own cgroup up to the root; 0: none. Lines: "0::/a/b" is v2,
 * "4:cpu,cpuacct:/a/b" v1, mounted under the name of the controller. */
int cpus_quota(const char *root)
{
    char line[512], dir[1024];
    int best = 0;
    snprintf(dir, sizeof dir, "%s/proc/self/cgroup", root);
    FILE *f = fopen(dir, "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *names = strchr(line, ':'), *path = names ? strchr(++names, ':') : NULL;
        if (!path)
            continue;
        path++;
        const bool v1 = *names != ':';
        if (v1 && !is_listed(names, "cpu"))
            continue;
        for (char *end = path + strlen(path); end; end = strrchr(path, '/')) {
            *end = 0;
            snprintf(dir, sizeof dir, "%s/sys/fs/cgroup%s%s", root, v1 ? "/cpu" : "", path);
            const int n = quota_of(dir, v1);
            best = n > 0 && (best == 0 || n < best) ? n : best;
        }
    }
    fclose(f);
    return best;
}

int pool_default_threads(void)
{
    cpu_set_t core[POOL_MAX_THREADS];
    const int n = cpus_cores(core, POOL_MAX_THREADS), quota = cpus_quota("");
    return n < 1 ? 1 : quota > 0 && quota < n ? quota : n;
}
