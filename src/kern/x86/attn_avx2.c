/* AVX2: one attention chunk, and the merge of chunks. In, out: as kern.h says; the bits of c/attn_c.c.
 *
 * Queries go in tiles of up to 6, through all three steps, so that the scores stay in the first-level cache; a K or V
 * vector is converted once per tile (kernels.md B.6).
 * INV: a tile's size changes only who shares a load: an output is one lane with one chain, whatever the tile.
 * INV: accumulator arrays are indexed by constants only; one variable index would keep them in memory.
 * Read next: poly_avx2.h. */
#include "kern/x86/attn_avx2.h"

#include <string.h>

#include "kern/x86/poly_avx2.h"
#include "kern/x86/tile.h"

enum {
    N = ATTN_BLOCK,
    NQ_MAX = 6, /* queries of a tile */
    NV_MAX = 8, /* vectors of a tile */
};

V8_INLINE __m256 kv_load(const void *p, ptrdiff_t i, const enum kv_type type)
{
    if (type == KV_F16)
        return TILE_HALVES((const uint16_t *)p + i);
    if (type == KV_Q8)
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)((const int8_t *)p + i))));
    return _mm256_loadu_ps((const float *)p + i);
}

/* -- scores */

/* Block b, or the last one before b_hi. */
V8_INLINE int block_at(int b, int b_hi)
{
    return b < b_hi ? b : b_hi - 1;
}

/* NQ queries on blocks [b_lo, b_hi), NV at a time; the last step repeats its last block instead of running short.
 * OPT: each step fetches the next step's K and, for later, its own V: pages are short runs at far places, so the
 * hardware's own prefetch keeps starting over (a third of T(1) at context 256 where KV comes from memory). */
V8_INLINE void qk_body(const struct attn_chunk *a, int i0, int b_lo, int b_hi, const enum kv_type type, const int NQ,
                       const int NV)
{
    const int d_bytes = type == KV_F16 ? 2 * N : 4 * N, d_line = 64 / d_bytes;
    const float *q[NQ_MAX];
    EACH(i, NQ)
        q[i] = a->q + (size_t)(i0 + i) * a->ld_q;
    for (int b = b_lo; b < b_hi; b += NV) {
        const char *k[NV_MAX], *next_k[NV_MAX], *val[NV_MAX];
        __m256 s[NQ_MAX][NV_MAX];
        EACH(v, NV) {
            k[v] = a->k[block_at(b + v, b_hi)];
            next_k[v] = a->k[block_at(b + v + NV, b_hi)];
            val[v] = a->v[block_at(b + v, b_hi)];
        }
        EACH(i, NQ)
            EACH(v, NV)
                s[i][v] = _mm256_setzero_ps();
        for (int d = 0; d < a->d_head; d++) {
            if (d % d_line == 0)
                EACH(v, NV) {
                    _mm_prefetch(next_k[v] + d * d_bytes, _MM_HINT_T0);
                    _mm_prefetch(val[v] + d * d_bytes, _MM_HINT_T0);
                }
            if (NQ <= NV) { /* WHY: 16 registers; the shorter side is held, the longer passes by */
                __m256 qd[NQ_MAX];
                EACH(i, NQ)
                    qd[i] = _mm256_broadcast_ss(q[i] + d);
                EACH(v, NV) {
                    const __m256 kd = kv_load(k[v], N * d, type);
                    EACH(i, NQ) {
                        s[i][v] = _mm256_fmadd_ps(kd, qd[i], s[i][v]);
                        PIN(s[i][v]);
                    }
                }
            } else {
                __m256 kd[NV_MAX];
                EACH(v, NV)
                    kd[v] = kv_load(k[v], N * d, type);
                EACH(i, NQ) {
                    const __m256 qd = _mm256_broadcast_ss(q[i] + d);
                    EACH(v, NV) {
                        s[i][v] = _mm256_fmadd_ps(kd[v], qd, s[i][v]);
                        PIN(s[i][v]);
                    }
                }
            }
        }
        EACH(i, NQ)
            EACH(v, NV)
                _mm256_storeu_ps(a->score + (i0 + i) * ATTN_CHUNK + N * block_at(b + v, b_hi), s[i][v]);
    }
}

#define QK_ONE(NQ, NV)                                                                                                 \
    static void qk_##NQ(const struct attn_chunk *a, int i0, int b_lo, int b_hi)                                        \
    {                                                                                                                  \
        if (a->kv_type == KV_F16)                                                                                      \
            qk_body(a, i0, b_lo, b_hi, KV_F16, NQ, NV);                                                                \
        else                                                                                                           \
            qk_body(a, i0, b_lo, b_hi, KV_F32, NQ, NV);                                                                \
    }
QK_ONE(1, 8)
QK_ONE(2, 4)
QK_ONE(3, 4)
QK_ONE(4, 3)
QK_ONE(5, 2)
QK_ONE(6, 2)

/* -- softmax */

/* Positions p .. p + 7 of s: minus infinity where [lo, hi) ends. */
V8_INLINE void hide(float *s, int p, int lo, int hi)
{
    const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(lo - p), at);
    const __m256i seen = _mm256_andnot_si256(before, _mm256_cmpgt_epi32(_mm256_set1_epi32(hi - p), at));
    _mm256_store_ps(s + p, _mm256_blendv_ps(V8(-INFINITY), _mm256_load_ps(s + p), _mm256_castsi256_ps(seen)));
}

/* s [ATTN_CHUNK]: scores in, exp(score - max) out. WHY hidden lanes need no further care: minus infinity gives way to
 * any score and its exp is exactly 0, unless the maximum itself is not finite: then the sum is NaN anyway. */
void attn_softmax_avx2(float *s, int lo, int hi, float softcap, float *max, float *sum)
{
    const int p_lo = lo / N * N;
    __m256 m = V8(-INFINITY), l = _mm256_setzero_ps();
    if (softcap != 0.0f)
        for (int p = p_lo; p < hi; p += N)
            _mm256_store_ps(s + p, softcap_v8(_mm256_load_ps(s + p), softcap));
    hide(s, p_lo, lo, hi);
    hide(s, (hi - 1) / N * N, lo, hi);
    for (int p = p_lo; p < hi; p += N)
        m = _mm256_max_ps(_mm256_load_ps(s + p), m);
    *max = v8_max(m);
    m = V8(*max);
    for (int p = p_lo; p < hi; p += N) {
        const __m256 e = exp_low_v8(_mm256_sub_ps(_mm256_load_ps(s + p), m));
        _mm256_store_ps(s + p, e);
        l = _mm256_add_ps(l, e);
    }
    *sum = v8_sum(l);
}

/* -- values */

/* Chains of NQ queries, NV vectors from d0 on, over positions [p_lo, p_hi): taken from a->acc and put back. */
V8_INLINE void pv_body(const struct attn_chunk *a, int i0, int p_lo, int p_hi, int d0, const enum kv_type type,
                       const int NQ, const int NV)
{
    const float *w[NQ_MAX];
    float *out[NQ_MAX];
    __m256 o[NQ_MAX][NV_MAX];
    EACH(i, NQ) {
        w[i] = a->score + (i0 + i) * ATTN_CHUNK;
        out[i] = a->acc + (size_t)(i0 + i) * a->ld_acc + d0;
        EACH(v, NV)
            o[i][v] = _mm256_loadu_ps(out[i] + 8 * v);
    }
    for (int p = p_lo; p < p_hi;) {
        const void *blk = a->v[p / N];
        const int end = p / N * N + N < p_hi ? p / N * N + N : p_hi;
        ptrdiff_t at = p % N * a->d_head + d0;
        for (; p < end; p++, at += a->d_head) {
            if (NQ <= NV) {
                __m256 wp[NQ_MAX];
                EACH(i, NQ)
                    wp[i] = _mm256_broadcast_ss(w[i] + p);
                EACH(v, NV) {
                    const __m256 x = kv_load(blk, at + 8 * v, type);
                    EACH(i, NQ) {
                        o[i][v] = _mm256_fmadd_ps(wp[i], x, o[i][v]);
                        PIN(o[i][v]);
                    }
                }
            } else {
                __m256 x[NV_MAX];
                EACH(v, NV)
                    x[v] = kv_load(blk, at + 8 * v, type);
                EACH(i, NQ) {
                    const __m256 wp = _mm256_broadcast_ss(w[i] + p);
                    EACH(v, NV) {
                        o[i][v] = _mm256_fmadd_ps(wp, x[v], o[i][v]);
                        PIN(o[i][v]);
                    }
                }
            }
        }
    }
    EACH(i, NQ)
        EACH(v, NV)
            _mm256_storeu_ps(out[i] + 8 * v, o[i][v]);
}

#define PV_ONE(NQ, NV)                                                                                                 \
    static void pv_##NQ##_##NV(const struct attn_chunk *a, int i0, int p_lo, int p_hi, int d0)                         \
    {                                                                                                                  \
        if (a->kv_type == KV_F16)                                                                                      \
            pv_body(a, i0, p_lo, p_hi, d0, KV_F16, NQ, NV);                                                            \
        else if (a->kv_type == KV_Q8)                                                                                  \
            pv_body(a, i0, p_lo, p_hi, d0, KV_Q8, NQ, NV);                                                             \
        else                                                                                                           \
            pv_body(a, i0, p_lo, p_hi, d0, KV_F32, NQ, NV);                                                            \
    }
PV_ONE(1, 1)
PV_ONE(1, 8)
PV_ONE(2, 4)
PV_ONE(3, 4)
PV_ONE(4, 2)
PV_ONE(5, 2)
PV_ONE(6, 2)

/* n queries over positions [p_lo, p_hi) that all of them see. */
static void pv(const struct attn_chunk *a, int i0, int n, int p_lo, int p_hi)
{
    static const struct {
        void (*fn)(const struct attn_chunk *, int, int, int, int);
        int n_vec;
    } tile[] = {{pv_1_8, 8}, {pv_2_4, 4}, {pv_3_4, 4}, {pv_4_2, 2}, {pv_5_2, 2}, {pv_6_2, 2}};
    int d = 0;
    if (p_lo >= p_hi)
        return;
    for (const int step = 8 * tile[n - 1].n_vec; d + step <= a->d_head; d += step)
        tile[n - 1].fn(a, i0, p_lo, p_hi, d);
    for (; d < a->d_head; d += 8)
        for (int i = i0; i < i0 + n; i++)
            pv_1_1(a, i, p_lo, p_hi, d);
}

/* n queries, each over its own positions: together where they overlap, alone before and after. */
void attn_values_avx2(const struct attn_chunk *a, int i0, int n)
{
    int lo = a->lo[i0], hi = a->hi[i0];
    for (int i = i0; i < i0 + n; i++) {
        lo = a->lo[i] > lo ? a->lo[i] : lo;
        hi = a->hi[i] < hi ? a->hi[i] : hi;
        memset(a->acc + (size_t)i * a->ld_acc, 0, (size_t)a->d_head * sizeof(float));
    }
    if (lo >= hi) { /* nothing in common */
        for (int i = i0; i < i0 + n; i++)
            pv(a, i, 1, a->lo[i], a->hi[i]);
        return;
    }
    for (int i = i0; i < i0 + n; i++)
        pv(a, i, 1, a->lo[i], lo);
    pv(a, i0, n, lo, hi);
    for (int i = i0; i < i0 + n; i++)
        pv(a, i, 1, hi, a->hi[i]);
}

void attn_avx2(const struct attn_chunk *a)
{
    static void (*const qk[])(const struct attn_chunk *, int, int, int) = {qk_1, qk_2, qk_3, qk_4, qk_5, qk_6};
    const int n_tile = (a->n_q + NQ_MAX - 1) / NQ_MAX;
    for (int t = 0, i0 = 0; t < n_tile; t++) {
        const int n = (a->n_q - i0) / (n_tile - t); /* balanced; 7 is 3 + 4 */
        int lo = a->lo[i0], hi = a->hi[i0];
        for (int i = i0 + 1; i < i0 + n; i++) {
            lo = a->lo[i] < lo ? a->lo[i] : lo;
            hi = a->hi[i] > hi ? a->hi[i] : hi;
        }
        qk[n - 1](a, i0, lo / N, (hi + N - 1) / N);
        for (int i = i0; i < i0 + n; i++)
            attn_softmax_avx2(a->score + i * ATTN_CHUNK, a->lo[i], a->hi[i], a->softcap, &a->max[i], &a->sum[i]);
        attn_values_avx2(a, i0, n);
        i0 += n;
    }
}

/* -- merge */

void attn_merge_avx2(float *out, int d_head, int n_chunk, const float *max, const float *sum, const float *acc,
                     size_t ld_acc)
{
    __m256 m = V8(max[0]), l = _mm256_setzero_ps();
    for (int c = 1; c < n_chunk; c++)
        m = _mm256_max_ps(m, V8(max[c]));
    memset(out, 0, (size_t)d_head * sizeof *out);
    for (int c = 0; c < n_chunk; c++) {
        const __m256 w = exp_low_v8(_mm256_sub_ps(V8(max[c]), m)); /* the same in all lanes */
        l = _mm256_fmadd_ps(w, V8(sum[c]), l);
        for (int d = 0; d < d_head; d += 8)
            _mm256_storeu_ps(
                out + d, _mm256_fmadd_ps(w, _mm256_loadu_ps(acc + (size_t)c * ld_acc + d), _mm256_loadu_ps(out + d)));
    }
    const __m256 r = _mm256_div_ps(V8(1.0f), l);
    for (int d = 0; d < d_head; d += 8)
        _mm256_storeu_ps(out + d, _mm256_mul_ps(_mm256_loadu_ps(out + d), r));
}
