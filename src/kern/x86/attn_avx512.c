/* Level avx512vnni: one attention chunk. In, out: as kern.h says; the bits of c/attn_c.c.
 *
 * K and V go through a square of 64 positions x 64 dimensions of floats, converted once and then read by all queries
 * from the first-level cache: 16 rows of a prompt times the heads of a group are many. A vector of the K square is 16
 * positions of one d, of the V square 16 d of one position. Queries go in tiles of up to 6: with 4 vectors 24 chains.
 * INV: a chain that is cut where a square ends is stored and taken up again, so the cut changes no bit; nor does the
 * size of a tile, which changes only who shares a load.
 * Read next: poly_avx512.h, attn_avx2.c. */
#include "kern/x86/attn_avx512.h"

#include <string.h>

#include "kern/x86/attn_avx2.h"
#include "kern/x86/poly_avx2.h"
#include "kern/x86/poly_avx512.h"
#include "kern/x86/tile_avx512.h"

enum {
    N = ATTN_BLOCK,
    SQUARE = 64,         /* positions, and dimensions: 16 KB */
    VECS = SQUARE / 16,  /* vectors of a row of a square */
    BLOCKS = SQUARE / N, /* K/V blocks of a square */
    NQ_MAX = 6,          /* queries of a tile */
    NQ_MIN = 4,          /* OPT: fewer do not pay for the squares (SPEED.md) */
};

/* n values of a block from value i on, as floats; n: 8 or 16 */
V16_INLINE __m512 kv_load16(const void *p, ptrdiff_t i, const enum kv_type type)
{
    if (type == KV_F16)
        return ZHALVES((const uint16_t *)p + i);
    return _mm512_loadu_ps((const float *)p + i);
}

V16_INLINE __m256 kv_load8(const void *p, ptrdiff_t i, const enum kv_type type)
{
    if (type == KV_F16)
        return TILE_HALVES((const uint16_t *)p + i);
    return _mm256_loadu_ps((const float *)p + i);
}

/* Queries [i0, i0 + n) of the t-th of n_tile tiles of nearly equal size. INV: n is 3 to 6, because n_q is 4 or more. */
struct qtile {
    int i0, n;
};
static struct qtile qtile_at(int n_q, int n_tile, int t)
{
    const int i0 = n_q * t / n_tile;
    return (struct qtile){i0, n_q * (t + 1) / n_tile - i0};
}

/* -- scores */

/* Block b, or the last one before b_hi: the last step repeats it instead of running short. */
V16_INLINE int block_at(int b, int b_hi)
{
    return b < b_hi ? b : b_hi - 1;
}

/* sq[d][0 .. 64): blocks b0 .. b0 + 7 at d0 .. d0 + n_d.
 * OPT: fetches the next square's K and, for later, its own V: pages are short runs at far places (attn_avx2.c). */
V16_INLINE void k_square_of(float *sq, const struct attn_chunk *a, int b0, int b_hi, int d0, int n_d,
                            const enum kv_type type)
{
    const int bytes = type == KV_F16 ? 2 : 4;
    const char *k[BLOCKS];
    EACH(i, BLOCKS) {
        const ptrdiff_t from = (ptrdiff_t)d0 * N * bytes;
        const char *next = a->k[block_at(b0 + BLOCKS + i, b_hi)], *v = a->v[block_at(b0 + i, b_hi)];
        k[i] = (const char *)a->k[block_at(b0 + i, b_hi)] + from;
        for (int at = 0; at < n_d * N * bytes; at += 64) {
            _mm_prefetch(next + from + at, _MM_HINT_T0);
            _mm_prefetch(v + from + at, _MM_HINT_T0);
        }
    }
    for (int d = 0; d < n_d; d++)
        EACH(v, VECS) {
            __m512 x;
            if (type == KV_F16) {
                const __m128i lo = _mm_loadu_si128((const __m128i *)(const void *)(k[2 * v] + d * N * 2));
                const __m128i hi = _mm_loadu_si128((const __m128i *)(const void *)(k[2 * v + 1] + d * N * 2));
                x = _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(lo), hi, 1));
            } else {
                x = _mm512_insertf32x8(_mm512_castps256_ps512(kv_load8(k[2 * v], (ptrdiff_t)d * N, type)),
                                       kv_load8(k[2 * v + 1], (ptrdiff_t)d * N, type), 1);
            }
            _mm512_store_ps(sq + d * SQUARE + 16 * v, x);
        }
}

static void k_square(float *sq, const struct attn_chunk *a, int b0, int b_hi, int d0, int n_d)
{
    if (a->kv_type == KV_F16)
        k_square_of(sq, a, b0, b_hi, d0, n_d, KV_F16);
    else
        k_square_of(sq, a, b0, b_hi, d0, n_d, KV_F32);
}

/* Scores of NQ queries at NV vectors of the square that holds d0 .. d0 + n_d of blocks b0 ...; from +0 or taken up. */
V16_INLINE void qk_body(const struct attn_chunk *a, const float *sq, int i0, int b0, int b_hi, int d0, int n_d,
                        const int NQ, const int NV)
{
    const float *q[(NQ_MAX + 2) / 3]; /* WHY every third: an address is a base and one of 0, 1, 2 strides */
    const size_t ld = a->ld_q;
    __m512 s[NQ_MAX][VECS];
    EACH(i, (NQ + 2) / 3)
        q[i] = a->q + (size_t)(i0 + 3 * i) * ld + d0;
    EACH(i, NQ)
        EACH(v, NV) {
            float *at = a->score + (i0 + i) * ATTN_CHUNK;
            s[i][v] =
                d0 == 0
                    ? _mm512_setzero_ps()
                    : _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(at + N * block_at(b0 + 2 * v, b_hi))),
                                         _mm256_loadu_ps(at + N * block_at(b0 + 2 * v + 1, b_hi)), 1);
            ZPIN(s[i][v]);
        }
    for (int d = 0; d < n_d; d++, sq += SQUARE) {
        __m512 k[VECS];
        EACH(v, NV)
            k[v] = _mm512_load_ps(sq + 16 * v);
        EACH(i, NQ) {
            const __m512 qd = V16(q[i / 3][(size_t)(i % 3) * ld]);
            EACH(v, NV) {
                s[i][v] = _mm512_fmadd_ps(k[v], qd, s[i][v]);
                ZPIN(s[i][v]);
            }
        }
        EACH(i, (NQ + 2) / 3)
            q[i]++;
    }
    EACH(i, NQ)
        EACH(v, NV) {
            float *at = a->score + (i0 + i) * ATTN_CHUNK;
            _mm256_storeu_ps(at + N * block_at(b0 + 2 * v, b_hi), _mm512_castps512_ps256(s[i][v]));
            _mm256_storeu_ps(at + N * block_at(b0 + 2 * v + 1, b_hi), _mm512_extractf32x8_ps(s[i][v], 1));
        }
}

#define QK_ONE(NQ, NV)                                                                                                 \
    static void qk_##NQ##_##NV(const struct attn_chunk *a, const float *sq, int i0, int b0, int b_hi, int d0, int n_d) \
    {                                                                                                                  \
        qk_body(a, sq, i0, b0, b_hi, d0, n_d, NQ, NV);                                                                 \
    }
#define QK_ROW(NQ) QK_ONE(NQ, 1) QK_ONE(NQ, 2) QK_ONE(NQ, 3) QK_ONE(NQ, 4)
#define QK_ENTRY(NQ)                                                                                                   \
    {                                                                                                                  \
        qk_##NQ##_1, qk_##NQ##_2, qk_##NQ##_3, qk_##NQ##_4                                                             \
    }
QK_ROW(3)
QK_ROW(4)
QK_ROW(5)
QK_ROW(6)

/* Scores of all queries, in whole blocks, at least where each is seen. */
static void scores(const struct attn_chunk *a, float *sq, int n_tile)
{
    static void (*const qk[NQ_MAX][VECS])(const struct attn_chunk *, const float *, int, int, int, int,
                                          int) = {[2] = QK_ENTRY(3), QK_ENTRY(4), QK_ENTRY(5), QK_ENTRY(6)};
    int lo = a->lo[0], hi = a->hi[0];
    for (int i = 1; i < a->n_q; i++) {
        lo = a->lo[i] < lo ? a->lo[i] : lo;
        hi = a->hi[i] > hi ? a->hi[i] : hi;
    }
    const int b_hi = (hi + N - 1) / N;
    for (int b0 = lo / N; b0 < b_hi; b0 += BLOCKS)
        for (int d0 = 0; d0 < a->d_head; d0 += SQUARE) {
            const int n_d = a->d_head - d0 < SQUARE ? a->d_head - d0 : SQUARE;
            k_square(sq, a, b0, b_hi, d0, n_d);
            for (int t = 0; t < n_tile; t++) {
                const struct qtile qt = qtile_at(a->n_q, n_tile, t);
                int n_vec = 0; /* what the tile's queries see of the square */
                for (int i = qt.i0; i < qt.i0 + qt.n; i++) {
                    const int n = (a->hi[i] - N * b0 + 15) / 16;
                    if (a->lo[i] < N * (b0 + BLOCKS))
                        n_vec = n > n_vec ? n : n_vec;
                }
                n_vec = n_vec < VECS ? n_vec : VECS;
                if (n_vec > 0)
                    qk[qt.n - 1][n_vec - 1](a, sq, qt.i0, b0, b_hi, d0, n_d);
            }
        }
}

/* -- softmax */

/* Positions p .. p + 15 of s: minus infinity where [lo, hi) ends. */
V16_INLINE void hide(float *s, int p, int lo, int hi)
{
    const __mmask16 seen = row_lanes16(hi - p) & (__mmask16)(0xffffu << (lo > p ? lo - p : 0));
    _mm512_storeu_ps(s + p, _mm512_mask_loadu_ps(V16(-INFINITY), seen, s + p));
}

/* s [ATTN_CHUNK]: scores in, exp(score - max) out. WHY hidden lanes need no further care: minus infinity gives way to
 * any score and its exp is exactly 0, unless the maximum itself is not finite: then the sum is NaN anyway. */
static void softmax(float *s, int lo, int hi, float softcap, float *max, float *sum)
{
    const int p_lo = lo / 16 * 16;
    __m512 m = V16(-INFINITY);
    __m256 l = _mm256_setzero_ps();
    if (softcap != 0.0f)
        for (int p = p_lo; p < hi; p += 16)
            _mm512_storeu_ps(s + p, softcap_v16(_mm512_loadu_ps(s + p), softcap));
    hide(s, p_lo, lo, hi);
    hide(s, (hi - 1) / 16 * 16, lo, hi);
    for (int p = p_lo; p < hi; p += 16)
        m = _mm512_max_ps(_mm512_loadu_ps(s + p), m); /* a NaN on the left gives way to the right */
    *max = v8_max(_mm256_max_ps(_mm512_castps512_ps256(m), _mm512_extractf32x8_ps(m, 1)));
    m = V16(*max);
    for (int p = p_lo; p < hi; p += 16) { /* lanes by position mod 8: its two blocks one after the other */
        const __m512 e = exp_low_v16(_mm512_sub_ps(_mm512_loadu_ps(s + p), m));
        _mm512_storeu_ps(s + p, e);
        l = _mm256_add_ps(l, _mm512_castps512_ps256(e));
        l = _mm256_add_ps(l, _mm512_extractf32x8_ps(e, 1));
    }
    *sum = v8_sum(l);
}

/* -- values */

/* sq[p][0 .. 64): positions p0 .. p0 + n_p at d0 ...; what is behind the end of a position's d is 0. */
V16_INLINE void v_square_of(float *sq, const struct attn_chunk *a, int p0, int n_p, int d0, const enum kv_type type)
{
    const int n_d = a->d_head - d0 < SQUARE ? a->d_head - d0 : SQUARE;
    for (int p = p0; p < p0 + n_p; p++, sq += SQUARE) {
        const void *blk = a->v[p / N];
        const ptrdiff_t at = (ptrdiff_t)(p % N) * a->d_head + d0;
        int d = 0;
        for (; d + 16 <= n_d; d += 16)
            _mm512_store_ps(sq + d, kv_load16(blk, at + d, type));
        if (d < n_d)
            _mm512_store_ps(sq + d, _mm512_zextps256_ps512(kv_load8(blk, at + d, type)));
    }
}

static void v_square(float *sq, const struct attn_chunk *a, int p0, int n_p, int d0)
{
    if (a->kv_type == KV_F16)
        v_square_of(sq, a, p0, n_p, d0, KV_F16);
    else
        v_square_of(sq, a, p0, n_p, d0, KV_F32);
}

/* A square of values: sq[0] is position p0, and d from d0 on. */
struct v_view {
    const float *sq;
    int p0, d0;
};

/* Chains of NQ queries, NV vectors from vw->d0 + d on, over positions [p_lo, p_hi): taken from a->acc and put back.
 * last: the lanes of the last vector that exist. */
V16_INLINE void pv_body(const struct attn_chunk *a, const struct v_view *vw, int i0, int p_lo, int p_hi, int d,
                        __mmask16 last, const int NQ, const int NV)
{
    const float *w = a->score + i0 * ATTN_CHUNK, *x = vw->sq + (p_lo - vw->p0) * SQUARE + d;
    float *out[NQ_MAX];
    __m512 o[NQ_MAX][VECS];
    EACH(i, NQ) {
        out[i] = a->acc + (size_t)(i0 + i) * a->ld_acc + vw->d0 + d;
        EACH(v, NV) {
            o[i][v] = _mm512_maskz_loadu_ps(v == NV - 1 ? last : (__mmask16)0xffff, out[i] + 16 * v);
            ZPIN(o[i][v]);
        }
    }
    for (int p = p_lo; p < p_hi; p++, x += SQUARE) {
        __m512 val[VECS];
        EACH(v, NV)
            val[v] = _mm512_load_ps(x + 16 * v);
        EACH(i, NQ) {
            const __m512 wp = V16(w[i * ATTN_CHUNK + p]);
            EACH(v, NV) {
                o[i][v] = _mm512_fmadd_ps(wp, val[v], o[i][v]);
                ZPIN(o[i][v]);
            }
        }
    }
    EACH(i, NQ)
        EACH(v, NV)
            _mm512_mask_storeu_ps(out[i] + 16 * v, v == NV - 1 ? last : (__mmask16)0xffff, o[i][v]);
}

#define PV_ONE(NQ, NV)                                                                                                 \
    static void pv_##NQ##_##NV(const struct attn_chunk *a, const struct v_view *vw, int i0, int p_lo, int p_hi, int d, \
                               __mmask16 last)                                                                         \
    {                                                                                                                  \
        pv_body(a, vw, i0, p_lo, p_hi, d, last, NQ, NV);                                                               \
    }
#define PV_ROW(NQ) PV_ONE(NQ, 1) PV_ONE(NQ, 4)
PV_ROW(1)
PV_ROW(3)
PV_ROW(4)
PV_ROW(5)
PV_ROW(6)

/* n queries over positions [p_lo, p_hi) that all of them see and the square holds. */
static void pv(const struct attn_chunk *a, const struct v_view *vw, int i0, int n, int p_lo, int p_hi)
{
    typedef void (*pv_fn)(const struct attn_chunk *, const struct v_view *, int, int, int, int, __mmask16);
    static const pv_fn four[] = {pv_1_4, NULL, pv_3_4, pv_4_4, pv_5_4, pv_6_4};
    static const pv_fn one[] = {pv_1_1, NULL, pv_3_1, pv_4_1, pv_5_1, pv_6_1};
    const int n_d = a->d_head - vw->d0;
    if (p_lo >= p_hi)
        return;
    if (n_d >= SQUARE)
        four[n - 1](a, vw, i0, p_lo, p_hi, 0, 0xffff);
    else
        for (int d = 0; d < n_d; d += 16)
            one[n - 1](a, vw, i0, p_lo, p_hi, d, row_lanes16(n_d - d));
}

static int at_least(int x, int lo)
{
    return x > lo ? x : lo;
}

static int at_most(int x, int hi)
{
    return x < hi ? x : hi;
}

/* A tile of queries, each over its own positions inside [p_lo, p_hi): together where they overlap, else alone. */
static void pv_tile(const struct attn_chunk *a, const struct v_view *vw, struct qtile qt, int p_lo, int p_hi)
{
    int lo = p_lo, hi = p_hi;
    for (int i = qt.i0; i < qt.i0 + qt.n; i++) {
        lo = at_least(lo, a->lo[i]);
        hi = at_most(hi, a->hi[i]);
    }
    hi = at_least(hi, lo); /* nothing in common: each up to lo, and from there on */
    for (int i = qt.i0; i < qt.i0 + qt.n; i++)
        pv(a, vw, i, 1, at_least(p_lo, a->lo[i]), at_most(at_most(lo, p_hi), a->hi[i]));
    pv(a, vw, qt.i0, qt.n, lo, hi);
    for (int i = qt.i0; i < qt.i0 + qt.n; i++)
        pv(a, vw, i, 1, at_least(hi, a->lo[i]), at_most(p_hi, a->hi[i]));
}

static void values(const struct attn_chunk *a, float *sq, int n_tile)
{
    int lo = a->lo[0], hi = a->hi[0];
    for (int i = 0; i < a->n_q; i++) {
        lo = at_most(lo, a->lo[i]);
        hi = at_least(hi, a->hi[i]);
        memset(a->acc + (size_t)i * a->ld_acc, 0, (size_t)a->d_head * sizeof(float));
    }
    for (int d0 = 0; d0 < a->d_head; d0 += SQUARE)
        for (int p0 = lo; p0 < hi; p0 += SQUARE) {
            const struct v_view vw = {sq, p0, d0};
            const int p_hi = at_most(p0 + SQUARE, hi);
            v_square(sq, a, p0, p_hi - p0, d0);
            for (int t = 0; t < n_tile; t++)
                pv_tile(a, &vw, qtile_at(a->n_q, n_tile, t), p0, p_hi);
        }
}

void attn_avx512(const struct attn_chunk *a)
{
    if (a->n_q < NQ_MIN) {
        attn_avx2(a);
        return;
    }
    _Alignas(64) float sq[SQUARE * SQUARE];
    const int n_tile = (a->n_q + NQ_MAX - 1) / NQ_MAX;
    scores(a, sq, n_tile);
    for (int i = 0; i < a->n_q; i++)
        softmax(a->score + i * ATTN_CHUNK, a->lo[i], a->hi[i], a->softcap, &a->max[i], &a->sum[i]);
    values(a, sq, n_tile);
}
