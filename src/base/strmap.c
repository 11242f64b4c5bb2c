/* Owns the hash map of names: keyed hash, open addressing, linear probing. See strmap.h. */
#include "base/strmap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/err.h"

#if defined(__clang__)
#define WRAPS __attribute__((no_sanitize("integer"))) /* arithmetic modulo 2^64 is meant */
#else
#define WRAPS
#endif

WRAPS static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

WRAPS static inline void sip_rounds(uint64_t v[4], int n)
{
    while (n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] = rotl(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] = rotl(v[2], 32);
    }
}

static inline uint64_t load_le(const unsigned char *p, size_t n)
{
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)p[i] << (8 * i);
    return w;
}

WRAPS uint64_t siphash24(const uint64_t key[2], const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    const size_t whole = n / 8 * 8;
    for (size_t i = 0; i <= whole; i += 8) {
        const uint64_t w = i < whole ? load_le(p + i, 8) : load_le(p + i, n - whole) | (uint64_t)(n & 0xff) << 56;
        v[3] ^= w;
        sip_rounds(v, 2);
        v[0] ^= w;
    }
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash_of(const char *p, size_t n)
{
    uint64_t key[2] = {0};
    const void *random = (const void *)getauxval(AT_RANDOM); /* 16 random bytes that the kernel gives each process */
    if (random)
        memcpy(key, random, sizeof key);
    return siphash24(key, p, n);
}

/* The slot of this key, or the empty one where it belongs. */
static struct strmap_slot *find(const struct strmap *m, const char *p, size_t n, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct strmap_slot *s = &m->slot[i];
        if (!s->p || (s->hash == hash && s->n == n && memcmp(s->p, p, n) == 0))
            return s;
    }
}

static int grow(struct strmap *m)
{
    const size_t cap = m->cap ? m->cap * 2 : 64;
    struct strmap_slot *slot = calloc(cap, sizeof *slot);
    if (!slot)
        return OTR_E_NOMEM;
    const struct strmap bigger = {slot, m->n, cap};
    for (size_t i = 0; i < m->cap; i++)
        if (m->slot[i].p)
            *find(&bigger, m->slot[i].p, m->slot[i].n, m->slot[i].hash) = m->slot[i];
    free(m->slot);
    *m = bigger;
    return OTR_OK;
}

int strmap_add(struct strmap *m, const char *p, size_t n, uint32_t value)
{
    if (m->n >= m->cap / 2 && grow(m) < 0)
        return OTR_E_NOMEM;
    const uint64_t hash = hash_of(p, n);
    struct strmap_slot *s = find(m, p, n, hash);
    if (s->p)
        return 0;
    *s = (struct strmap_slot){p, n, hash, value};
    m->n++;
    return 1;
}

int64_t strmap_get(const struct strmap *m, const char *p, size_t n)
{
    if (m->n == 0)
        return -1;
    const struct strmap_slot *s = find(m, p, n, hash_of(p, n));
    return s->p ? (int64_t)s->value : -1;
}

void strmap_fini(struct strmap *m)
{
    free(m->slot);
    *m = (struct strmap){0};
}
