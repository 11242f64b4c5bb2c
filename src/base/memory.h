/* How much memory this process may still take without swapping: what the system says is available, within the limit of
 * the cgroup. Read next: memory.c. */
#ifndef OTR_BASE_MEMORY_H
#define OTR_BASE_MEMORY_H

#include <stddef.h>

size_t memory_available(void); /* SIZE_MAX: unknown */

#endif
