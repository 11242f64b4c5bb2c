/* AVX2: the scale of a block of codes (kern/act.h). Read next: act_avx2.c. */
#ifndef OTR_KERN_ACT_AVX2_H
#define OTR_KERN_ACT_AVX2_H

#include "kern/act.h"
#include "kern/x86/tile.h"

/* max: the largest absolute values as integers, per lane. Gives the scale d and the factor 127 / amax; both 0 for a
 * block that counts as zero, NaN and 0 for one not finite. */
TILE_INLINE float scale_of(__m256i max, float *factor)
{
    __m128i v = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
    const uint32_t bits = (uint32_t)_mm_cvtsi128_si32(v);
    *factor = 0.0f;
    if (bits >= ACT_AMAX_INF_BITS || bits < ACT_AMAX_MIN_BITS)
        return bits < ACT_AMAX_MIN_BITS ? 0.0f : float_of_bits(0x7fc00000u);
    const float amax = float_of_bits(bits);
    *factor = 127.0f / amax;
    return amax / 127.0f;
}

#endif
