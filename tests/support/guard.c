/* Buffers that end at an unreadable page. See guard.h. */
#include "support/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard guard_alloc(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
    struct guard g = {.map_bytes = body + page};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect((char *)g.map + body, page, PROT_NONE) != 0) {
        perror("guard_alloc");
        exit(1);
    }
    g.p = (char *)g.map + body - bytes;
    memset(g.p, 0xa5, bytes);
    return g;
}

void guard_free(struct guard *g)
{
    if (g->map)
        munmap(g->map, g->map_bytes);
    *g = (struct guard){0};
}
