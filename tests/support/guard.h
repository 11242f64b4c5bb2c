/* Buffers that end at an unreadable page, so that one byte too far is a crash and not a lucky read. */
#ifndef OTR_TESTS_GUARD_H
#define OTR_TESTS_GUARD_H

#include <stddef.h>

struct guard {
    void *p; /* the buffer; 64-byte aligned where its size is a multiple of 64 */
    void *map;
    size_t map_bytes;
};

/* Filled with 0xa5. Ends the program when there is no memory: only tests use it. */
struct guard guard_alloc(size_t bytes);
void guard_free(struct guard *g);

#endif
