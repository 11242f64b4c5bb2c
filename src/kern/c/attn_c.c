/* Level c: one attention chunk, and the merge of chunks. The truth: the other levels give these bits.
 *
 * INV (kernels.md C.7): a score is one chain over d; max and sum of exp run in 8 lanes by position mod 8, then one
 * tree; a value is one chain over visible positions, ascending. What a query does not see is left out by the loop's
 * bounds, never by a factor 0 or a bias: such a slot may hold NaN. Read next: kern/poly.h. */
#include <math.h>
#include <string.h>

#include "kern/c/level_c.h"
#include "kern/poly.h"

enum { N = ATTN_BLOCK };

static float kv_value(const void *block, int i, enum kv_type type)
{
    return type == KV_F16 ? half_to_float(((const uint16_t *)block)[i]) : ((const float *)block)[i];
}

/* score[q][p] of blocks [b_lo, b_hi): the chains of all queries, d by d. */
static void scores(const struct attn_chunk *a, int b_lo, int b_hi)
{
    for (int b = b_lo; b < b_hi; b++) {
        for (int i = 0; i < a->n_q; i++)
            memset(a->score + i * ATTN_CHUNK + N * b, 0, N * sizeof(float));
        for (int d = 0; d < a->d_head; d++) {
            float k[N];
            for (int j = 0; j < N; j++)
                k[j] = kv_value(a->k[b], N * d + j, a->kv_type);
            for (int i = 0; i < a->n_q; i++) {
                float *s = a->score + i * ATTN_CHUNK + N * b;
                const float q = a->q[(size_t)i * a->ld_q + (size_t)d];
                for (int j = 0; j < N; j++)
                    s[j] = fmaf(k[j], q, s[j]);
            }
        }
    }
}

static float larger(float a, float b)
{
    return a > b ? a : b;
}

/* s [ATTN_CHUNK]: scores in, exp(score - max) out, of visible positions. */
void attn_softmax_c(float *s, int lo, int hi, float softcap, float *max, float *sum)
{
    float m[N], l[N] = {0};
    for (int j = 0; j < N; j++)
        m[j] = -INFINITY;
    for (int p = lo; p < hi; p++) {
        if (softcap != 0.0f)
            s[p] = softcap_f32(s[p], softcap);
        m[p % N] = larger(s[p], m[p % N]);
    }
    for (int step = N / 2; step > 0; step /= 2)
        for (int j = 0; j < step; j++)
            m[j] = larger(m[j], m[j + step]);
    for (int p = lo; p < hi; p++) {
        s[p] = exp_low_f32(s[p] - m[0]);
        l[p % N] += s[p];
    }
    for (int step = N / 2; step > 0; step /= 2)
        for (int j = 0; j < step; j++)
            l[j] += l[j + step];
    *max = m[0];
    *sum = l[0];
}

static void values(const struct attn_chunk *a, int p_lo, int p_hi)
{
    for (int i = 0; i < a->n_q; i++)
        memset(a->acc + (size_t)i * a->ld_acc, 0, (size_t)a->d_head * sizeof(float));
    for (int p = p_lo; p < p_hi; p++)
        for (int d = 0; d < a->d_head; d++) {
            const float v = kv_value(a->v[p / N], p % N * a->d_head + d, a->kv_type);
            for (int i = 0; i < a->n_q; i++) {
                float *o = &a->acc[(size_t)i * a->ld_acc + (size_t)d];
                if (a->lo[i] <= p && p < a->hi[i])
                    *o = fmaf(a->score[i * ATTN_CHUNK + p], v, *o);
            }
        }
}

void attn_c(const struct attn_chunk *a)
{
    int lo = a->lo[0], hi = a->hi[0];
    for (int i = 1; i < a->n_q; i++) {
        lo = a->lo[i] < lo ? a->lo[i] : lo;
        hi = a->hi[i] > hi ? a->hi[i] : hi;
    }
    scores(a, lo / N, (hi + N - 1) / N);
    for (int i = 0; i < a->n_q; i++)
        attn_softmax_c(a->score + i * ATTN_CHUNK, a->lo[i], a->hi[i], a->softcap, &a->max[i], &a->sum[i]);
    values(a, lo, hi);
}

void attn_merge_c(float *out, int d_head, int n_chunk, const float *max, const float *sum, const float *acc,
                  size_t ld_acc)
{
    float m = max[0], l = 0.0f;
    for (int c = 1; c < n_chunk; c++)
        m = larger(m, max[c]);
    memset(out, 0, (size_t)d_head * sizeof *out);
    for (int c = 0; c < n_chunk; c++) {
        const float w = exp_low_f32(max[c] - m);
        l = fmaf(w, sum[c], l);
        for (int d = 0; d < d_head; d++)
            out[d] = fmaf(w, acc[(size_t)c * ld_acc + (size_t)d], out[d]);
    }
    const float r = 1.0f / l;
    for (int d = 0; d < d_head; d++)
        out[d] *= r;
}
