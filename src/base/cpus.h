/* The physical cores that this process may use, and who of all pools of this machine is pinned to them.
 * Read next: cpus.c. */
#ifndef OTR_BASE_CPUS_H
#define OTR_BASE_CPUS_H

#include <sched.h>

/* The allowed CPUs by physical core: core[i] holds the ones of core i. Returns how many cores, at most cap. */
int cpus_cores(cpu_set_t *core, int cap);
/* CPUs that the cgroup grants, rounded up; 0: no limit. root: "", or where a test keeps its own /proc and /sys. */
int cpus_quota(const char *root);
/* Marks a core as taken by a pinned thread. A descriptor to close, or -1: another pool holds it (or we cannot say). */
int cpus_claim(const cpu_set_t *core);

#endif
