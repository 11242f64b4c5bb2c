/* Level c: operations on rows of floats, and stores into the KV cache. The truth: the other levels give these bits.
 *
 * INV: fixed lanes, one formula, every fused multiply-add written out:
 *   rms_norm  lane j of 16: chain of fma(x, x, .) from +0 over i = j, j + 16, ... ; then l[j] + l[j+8], [j] + [j+4],
 *             [j] + [j+2], [0] + [1]; r = 1 / sqrt(sum / n + eps); out = x * r, then * w
 *   rope      a' = fma(a, cos, -(b * sin)), b' = fma(b, cos, a * sin)
 *   gate      fn(gate) * up
 * sqrt and division are rounded correctly everywhere. Read next: kern/poly.h, attn_c.c. */
#include <math.h>

#include "kern/c/level_c.h"
#include "kern/levels.h"
#include "kern/poly.h"

static void rms_norm_c(float *out, const float *x, const float *w, int n, float eps)
{
    float l[16] = {0};
    for (int i = 0; i < n; i++)
        l[i % 16] = fmaf(x[i], x[i], l[i % 16]);
    for (int step = 8; step > 0; step /= 2)
        for (int j = 0; j < step; j++)
            l[j] += l[j + step];
    /* WHY l - l: 0, or NaN where the sum overflowed, which must not look like a row of zeros */
    const float r = 1.0f / sqrtf(l[0] / (float)n + eps) + (l[0] - l[0]);
    for (int i = 0; i < n; i++)
        out[i] = w ? x[i] * r * w[i] : x[i] * r;
}

static void add_c(float *out, const float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = x[i] + y[i];
}

static void scale_c(float *out, const float *x, float s, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = x[i] * s;
}

static void gate_c(float *out, const float *gate, const float *up, int n, enum act_fn fn)
{
    for (int i = 0; i < n; i++)
        out[i] = (fn == ACT_FN_SILU ? silu_f32(gate[i]) : gelu_f32(gate[i])) * up[i];
}

static void softcap_c(float *out, const float *x, float cap, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = softcap_f32(x[i], cap);
}

static void exp_c(float *out, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = exp_f32(x[i]);
}

static void rope_c(float *x, const float *cs, int n_head, int d_head, int n_rot, enum rope_kind kind)
{
    const int n = n_rot / 2;
    for (int h = 0; h < n_head; h++, x += d_head)
        for (int i = 0; i < n; i++) {
            float *pa = kind == ROPE_NORM ? &x[2 * i] : &x[i], *pb = kind == ROPE_NORM ? &x[2 * i + 1] : &x[i + n];
            const float a = *pa, b = *pb, c = cs[2 * i], s = cs[2 * i + 1];
            *pa = fmaf(a, c, -(b * s));
            *pb = fmaf(b, c, a * s);
        }
}

static int argmax_c(const float *x, int n)
{
    int best = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(x[i]))
            return -1;
        if (x[i] > x[best])
            best = i;
    }
    return best;
}

static uint16_t store_half(float x)
{
    x = x > 65504.0f ? 65504.0f : x;
    x = x < -65504.0f ? -65504.0f : x;
    return half_of_float(x);
}

static void store_k_c(void *block, int lane, const float *k, int d_head, enum kv_type type)
{
    for (int d = 0; d < d_head; d++) {
        const int at = ATTN_BLOCK * d + lane;
        if (type == KV_F16)
            ((uint16_t *)block)[at] = store_half(k[d]);
        else
            ((float *)block)[at] = k[d];
    }
}

static void store_v_c(void *block, int lane, const float *v, int d_head, enum kv_type type)
{
    for (int d = 0; d < d_head; d++) {
        const int at = lane * d_head + d;
        if (type == KV_F16)
            ((uint16_t *)block)[at] = store_half(v[d]);
        else
            ((float *)block)[at] = v[d];
    }
}

void ops_init_c(struct kernels *k)
{
    k->rms_norm = rms_norm_c;
    k->add = add_c;
    k->scale = scale_c;
    k->gate = gate_c;
    k->softcap = softcap_c;
    k->exp = exp_c;
    k->rope = rope_c;
    k->argmax = argmax_c;
    k->store_k = store_k_c;
    k->store_v = store_v_c;
    k->attn = attn_c;
    k->attn_merge = attn_merge_c;
}
