/* A hash map from byte strings to small numbers. Init with {0}; keys are views that must outlive the map.
 * WHY: SipHash with a key of this process, so that no file can be made whose names all collide. */
#ifndef OTR_BASE_STRMAP_H
#define OTR_BASE_STRMAP_H

#include <stddef.h>
#include <stdint.h>

struct strmap_slot {
    const char *p; /* NULL: empty */
    size_t n;
    uint64_t hash;
    uint32_t value;
};

struct strmap {
    struct strmap_slot *slot; /* [cap] a power of two, at most half full */
    size_t n, cap;
};

/* 1: added. 0: the key was there, the map is unchanged. OTR_E_NOMEM: the map is unchanged. */
int strmap_add(struct strmap *m, const char *p, size_t n, uint32_t value);
/* The value of a key, or -1. */
int64_t strmap_get(const struct strmap *m, const char *p, size_t n);
void strmap_fini(struct strmap *m); /* and back to {0} */

/* SRC: Aumasson & Bernstein 2012, SipHash-2-4. */
uint64_t siphash24(const uint64_t key[2], const void *data, size_t n);

#endif
