/* AVX2: operations on rows of floats, and stores into the KV cache. In, out: as kern.h says; the bits of c/ops_c.c.
 * INV: a tail goes through the same vector code with absent lanes, never through a scalar twin.
 * Read next: poly_avx2.h, attn_avx2.c. */
#include "kern/levels.h"
#include "kern/x86/attn_avx2.h"
#include "kern/x86/poly_avx2.h"

static void rms_norm_avx2(float *out, const float *x, const float *w, int n, float eps)
{
    __m256 l0 = _mm256_setzero_ps(), l1 = l0; /* lanes 0..7, 8..15; an absent value adds 0 * 0 */
    for (int i = 0; i < n; i += 16) {
        const __m256 a = row_load(x + i, n - i), b = row_load(x + i + 8, n - i - 8);
        l0 = _mm256_fmadd_ps(a, a, l0);
        l1 = _mm256_fmadd_ps(b, b, l1);
    }
    const float l = v8_sum(_mm256_add_ps(l0, l1));
    const __m256 r = V8(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(l / (float)n + eps))) + (l - l));
    for (int i = 0; i < n; i += 8) {
        __m256 y = _mm256_mul_ps(row_load(x + i, n - i), r);
        if (w)
            y = _mm256_mul_ps(y, row_load(w + i, n - i));
        row_store(out + i, y, n - i);
    }
}

static void add_avx2(float *out, const float *x, const float *y, int n)
{
    for (int i = 0; i < n; i += 8)
        row_store(out + i, _mm256_add_ps(row_load(x + i, n - i), row_load(y + i, n - i)), n - i);
}

static void scale_avx2(float *out, const float *x, float s, int n)
{
    for (int i = 0; i < n; i += 8)
        row_store(out + i, _mm256_mul_ps(row_load(x + i, n - i), V8(s)), n - i);
}

static void gate_avx2(float *out, const float *gate, const float *up, int n, enum act_fn fn)
{
    for (int i = 0; i < n; i += 8) {
        const __m256 g = row_load(gate + i, n - i), u = row_load(up + i, n - i);
        row_store(out + i, _mm256_mul_ps(fn == ACT_FN_SILU ? silu_v8(g) : gelu_v8(g), u), n - i);
    }
}

static void softcap_avx2(float *out, const float *x, float cap, int n)
{
    for (int i = 0; i < n; i += 8)
        row_store(out + i, softcap_v8(row_load(x + i, n - i), cap), n - i);
}

static void exp_avx2(float *out, const float *x, int n)
{
    for (int i = 0; i < n; i += 8)
        row_store(out + i, exp_v8(row_load(x + i, n - i)), n - i);
}

/* Pairs (2i, 2i+1): cs has the same shape as x. */
static void rope_norm(float *x, const float *cs, int n_head, int d_head, int n_rot)
{
    for (int i = 0; i < n_rot; i += 8) {
        const __m256 t = row_load(cs + i, n_rot - i), c = _mm256_moveldup_ps(t), s = _mm256_movehdup_ps(t);
        for (int h = 0; h < n_head; h++) {
            float *p = x + h * d_head + i;
            const __m256 v = row_load(p, n_rot - i), swapped = _mm256_permute_ps(v, 0xb1);
            row_store(p, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s)), n_rot - i);
        }
    }
}

/* Pairs (i, i + n), n = n_rot / 2. */
static void rope_neox(float *x, const float *cs, int n_head, int d_head, int n)
{
    for (int i = 0; i < n; i += 8) {
        const __m256 t0 = row_load(cs + 2 * i, 2 * (n - i)), t1 = row_load(cs + 2 * i + 8, 2 * (n - i) - 8);
        const __m256 lo = _mm256_permute2f128_ps(t0, t1, 0x20), hi = _mm256_permute2f128_ps(t0, t1, 0x31);
        const __m256 c = _mm256_shuffle_ps(lo, hi, 0x88), s = _mm256_shuffle_ps(lo, hi, 0xdd);
        for (int h = 0; h < n_head; h++) {
            float *pa = x + h * d_head + i, *pb = pa + n;
            const __m256 a = row_load(pa, n - i), b = row_load(pb, n - i);
            row_store(pa, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)), n - i);
            row_store(pb, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)), n - i);
        }
    }
}

static void rope_avx2(float *x, const float *cs, int n_head, int d_head, int n_rot, enum rope_kind kind)
{
    if (kind == ROPE_NORM)
        rope_norm(x, cs, n_head, d_head, n_rot);
    else
        rope_neox(x, cs, n_head, d_head, n_rot / 2);
}

static int argmax_avx2(const float *x, int n)
{
    const __m256 least = V8(-INFINITY);
    __m256 m[4] = {least, least, least, least}, nan = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 32) /* four chains: one alone waits for itself */
        for (int u = 0; u < 4; u++) {
            const int left = n - i - 8 * u;
            __m256 v = row_load(x + i + 8 * u, left);
            if (left < 8)
                v = _mm256_blendv_ps(least, v, _mm256_castsi256_ps(row_lanes(left)));
            nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
            m[u] = _mm256_max_ps(v, m[u]);
        }
    if (_mm256_movemask_ps(nan))
        return -1;
    const __m256 max = V8(v8_max(_mm256_max_ps(_mm256_max_ps(m[0], m[1]), _mm256_max_ps(m[2], m[3]))));
    for (int i = 0;; i += 8) { /* it is there, and an absent 0 stands behind all values */
        const int at = _mm256_movemask_ps(_mm256_cmp_ps(row_load(x + i, n - i), max, _CMP_EQ_OQ));
        if (at)
            return i + __builtin_ctz((unsigned)at);
    }
}

static __m128i store_halves(const float *x)
{
    __m256 v = _mm256_min_ps(V8(65504.0f), _mm256_loadu_ps(x)); /* this way round NaN stays */
    v = _mm256_max_ps(V8(-65504.0f), v);
    return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
}

static void store_k_avx2(void *block, int lane, const float *k, int d_head, enum kv_type type)
{
    if (type == KV_F32) {
        float *b = (float *)block + lane;
        for (int d = 0; d < d_head; d++)
            b[ATTN_BLOCK * d] = k[d];
        return;
    }
    uint16_t *b = (uint16_t *)block + lane;
    for (int d = 0; d < d_head; d += 8, b += 8 * ATTN_BLOCK) {
        uint16_t h[8];
        _mm_storeu_si128((__m128i *)(void *)h, store_halves(k + d));
        for (int i = 0; i < 8; i++)
            b[ATTN_BLOCK * i] = h[i];
    }
}

static void store_v_avx2(void *block, int lane, const float *v, int d_head, enum kv_type type)
{
    for (int d = 0; d < d_head; d += 8) {
        const int at = lane * d_head + d;
        if (type == KV_F16)
            _mm_storeu_si128((__m128i *)(void *)((uint16_t *)block + at), store_halves(v + d));
        else
            _mm256_storeu_ps((float *)block + at, _mm256_loadu_ps(v + d));
    }
}

void ops_init_avx2(struct kernels *k)
{
    k->rms_norm = rms_norm_avx2;
    k->add = add_avx2;
    k->scale = scale_avx2;
    k->gate = gate_avx2;
    k->softcap = softcap_avx2;
    k->exp = exp_avx2;
    k->rope = rope_avx2;
    k->argmax = argmax_avx2;
    k->store_k = store_k_avx2;
    k->store_v = store_v_avx2;
    k->attn = attn_avx2;
    k->attn_merge = attn_merge_avx2;
}
