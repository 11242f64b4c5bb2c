/* Level c of the sampler's kernels: the truth in plain loops. In: logits. Out: the indices worth a second look.
 * Read next: kern/noise.h; x86/sample_avx2.c. */
#include "kern/levels.h"
#include "kern/noise.h"

static int at_least_c(int32_t *at, const float *x, int n, float floor)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (x[i] >= floor)
            at[count++] = i;
    return count;
}

static int may_win_c(int32_t *id, const float *x, int lo, int hi, const struct noise_scan *s)
{
    int count = 0;
    for (int quad = lo / 4; 4 * quad < hi; quad++) {
        const struct philox words = noise_words(s->seed, s->ctr, (uint32_t)quad);
        for (int i = 4 * quad; i < 4 * quad + 4 && i < hi; i++)
            if (x[i] >= s->floor && fmaf(gumbel_bound(words.v[i % 4]), s->temp, x[i]) >= s->cut)
                id[count++] = i;
    }
    return count;
}

void sample_init_c(struct kernels *k)
{
    k->at_least = at_least_c;
    k->may_win = may_win_c;
}
