/* Rotary tables: {cos, sin} of every position, built once in double, as far as sequences have come.
 * SRC: Su et al. 2021, RoFormer; llama3 frequency factors: the file's rope_freqs tensor divides the frequencies.
 * Read next: attention.c. */
#include "forward/fwd_priv.h"

#include <math.h>

void rope_fill(struct fwd *f, int n_pos)
{
    const struct hparams *hp = f->hp;
    const int half = hp->n_rot / 2;
    for (int local = 0; local < 2; local++) {
        const double base = (double)(local ? hp->rope_base_local : hp->rope_base);
        /* WHY: layers with a base of their own (gemma3) see a window; only the others are stretched */
        const double factor = local ? 1.0 : (double)hp->rope_linear_factor;
        if (!f->rope[local])
            continue;
        for (int i = 0; i < half; i++) {
            double freq = pow(base, -2.0 * i / hp->n_rot) / factor;
            if (!local && f->w->rope_factors)
                freq /= (double)f->w->rope_factors[i];
            for (int p = f->n_rope; p < n_pos; p++) {
                float *cs = f->rope[local] + (size_t)p * (size_t)hp->n_rot + 2 * (size_t)i;
                cs[0] = (float)cos(p * freq);
                cs[1] = (float)sin(p * freq);
            }
        }
    }
    f->n_rope = n_pos;
}
