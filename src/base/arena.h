/* A bump allocator over one block. Sizes are found by running the same carving code on a NULL base (style.md 5). */
#ifndef OTR_BASE_ARENA_H
#define OTR_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena {
    char *base;       /* NULL: only counts */
    size_t used, cap; /* bytes */
};

/* 64-byte aligned: cache line and widest vector. NULL when it does not fit, and while counting. */
static inline void *arena_take(struct arena *a, size_t bytes)
{
    const size_t at = (a->used + 63) & ~(size_t)63;
    if (at < a->used || bytes > a->cap || at > a->cap - bytes)
        return NULL;
    a->used = at + bytes;
    return a->base ? a->base + at : NULL;
}

/* a * b, or SIZE_MAX when it wraps: no arena and no malloc has room for that. */
static inline size_t size_mul(size_t a, size_t b)
{
    size_t r;
    return __builtin_mul_overflow(a, b, &r) ? SIZE_MAX : r;
}

#endif
