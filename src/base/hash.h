/* FNV-1a over bytes: names of cache files and checksums of them. Not against an attacker: strmap.h has a keyed hash. */
#ifndef OTR_BASE_HASH_H
#define OTR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define FNV1A_START 0xcbf29ce484222325ull

/* h: FNV1A_START, or what the bytes before gave. SRC: FNV-1a, 64 bits. */
static inline uint64_t fnv1a(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): it loses sight of arrays seen as bytes */
        h = (h ^ b[i]) * 0x100000001b3ull;
    return h;
}

#endif
