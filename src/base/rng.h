/* Philox4x32-10: a random word is a pure function of (key, counter), so there is no state to roll back.
 * SRC: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3; checked with its known-answer vectors. */
#ifndef OTR_BASE_RNG_H
#define OTR_BASE_RNG_H

#include <stdint.h>

struct philox {
    uint32_t v[4];
};

static inline struct philox philox4x32(uint64_t key, struct philox ctr)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * ctr.v[0];
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * ctr.v[2];
        ctr = (struct philox){
            {(uint32_t)(p1 >> 32) ^ ctr.v[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ ctr.v[3] ^ k1, (uint32_t)p0}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return ctr;
}

#endif
