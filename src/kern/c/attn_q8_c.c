/* Level c: rows of 8-bit keys, values and queries, and one attention chunk over them. The truth: the other levels give
 * these bits. Softmax is that of attn_c.c.
 *
 * INV (kernels.md C.13): a score's sum of products is an exact integer (below 2^31 up to d_head 66,000, also with K's
 * bytes unsigned), so its order is free; then (float)sum * (d_q * d_k), and the value's weight is p * d_v, rounded
 * once. Read next: kern/kv_q8.h. */
#include <math.h>

#include "kern/c/level_c.h"
#include "kern/kv_q8.h"
#include "kern/levels.h"

enum { N = ATTN_BLOCK };

static void q8_row_c(void *row, const float *x, int n, int bias)
{
    uint8_t *q = row;
    const float d = act_quantise_c(row, x, (size_t)n);
    for (int i = 0; i < n; i++)
        q[i] = (uint8_t)(q[i] + bias);
    memcpy(q + n, &d, sizeof d);
}

/* Scores of query i on block b. */
static void scores(const struct attn_chunk *a, int i, int b)
{
    const uint8_t *k = a->k[b];
    const int8_t *q = q8_query(a, i);
    const float d_q = q8_query_scale(a, i), *d_k = q8_scales(k, a->d_head);
    int32_t sum[N] = {0};
    for (int d = 0; d < a->d_head; d += 4)
        for (int j = 0; j < N; j++)
            for (int e = 0; e < 4; e++)
                sum[j] += (k[N * d + 4 * j + e] - Q8_BIAS) * q[d + e];
    for (int j = 0; j < N; j++)
        a->score[i * ATTN_CHUNK + N * b + j] = (float)sum[j] * (d_q * d_k[j]);
}

/* Weighted values of query i over its own positions. */
static void values(const struct attn_chunk *a, int i)
{
    float *o = a->acc + (size_t)i * a->ld_acc;
    memset(o, 0, (size_t)a->d_head * sizeof *o);
    for (int p = a->lo[i]; p < a->hi[i]; p++) {
        const int8_t *v = (const int8_t *)a->v[p / N] + p % N * a->d_head;
        const float w = a->score[i * ATTN_CHUNK + p] * q8_scales(a->v[p / N], a->d_head)[p % N];
        for (int d = 0; d < a->d_head; d++)
            o[d] = fmaf(w, (float)v[d], o[d]);
    }
}

static void attn_q8_c(const struct attn_chunk *a)
{
    for (int i = 0; i < a->n_q; i++) {
        for (int b = a->lo[i] / N; b < (a->hi[i] + N - 1) / N; b++)
            scores(a, i, b);
        attn_softmax_c(a->score + i * ATTN_CHUNK, a->lo[i], a->hi[i], a->softcap, &a->max[i], &a->sum[i]);
        values(a, i);
    }
}

void attn_q8_init_c(struct kernels *k)
{
    k->q8_row = q8_row_c;
    k->attn_q8 = attn_q8_c;
}
