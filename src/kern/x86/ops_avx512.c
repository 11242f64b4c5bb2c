/* Level avx512vnni: operations on rows of floats. In, out: as kern.h says; the bits of c/ops_c.c.
 * INV: a tail goes through the same vector code with absent lanes, never through a scalar twin.
 * Read next: poly_avx512.h, attn_avx512.c. */
#include "kern/levels.h"
#include "kern/x86/attn_avx512.h"
#include "kern/x86/poly_avx2.h"
#include "kern/x86/poly_avx512.h"

static void rms_norm_avx512(float *out, const float *x, const float *w, int n, float eps)
{
    __m512 l = _mm512_setzero_ps(); /* an absent value adds 0 * 0 */
    for (int i = 0; i < n; i += 16) {
        const __m512 a = row_load16(x + i, n - i);
        l = _mm512_fmadd_ps(a, a, l);
    }
    const float s = v8_sum(_mm256_add_ps(_mm512_castps512_ps256(l), _mm512_extractf32x8_ps(l, 1)));
    const __m512 r = V16(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(s / (float)n + eps))) + (s - s));
    for (int i = 0; i < n; i += 16) {
        __m512 y = _mm512_mul_ps(row_load16(x + i, n - i), r);
        if (w)
            y = _mm512_mul_ps(y, row_load16(w + i, n - i));
        row_store16(out + i, y, n - i);
    }
}

static void add_avx512(float *out, const float *x, const float *y, int n)
{
    for (int i = 0; i < n; i += 16)
        row_store16(out + i, _mm512_add_ps(row_load16(x + i, n - i), row_load16(y + i, n - i)), n - i);
}

static void scale_avx512(float *out, const float *x, float s, int n)
{
    for (int i = 0; i < n; i += 16)
        row_store16(out + i, _mm512_mul_ps(row_load16(x + i, n - i), V16(s)), n - i);
}

static void gate_avx512(float *out, const float *gate, const float *up, int n, enum act_fn fn)
{
    for (int i = 0; i < n; i += 16) {
        const __m512 g = row_load16(gate + i, n - i), u = row_load16(up + i, n - i);
        row_store16(out + i, _mm512_mul_ps(fn == ACT_FN_SILU ? silu_v16(g) : gelu_v16(g), u), n - i);
    }
}

static void softcap_avx512(float *out, const float *x, float cap, int n)
{
    for (int i = 0; i < n; i += 16)
        row_store16(out + i, softcap_v16(row_load16(x + i, n - i), cap), n - i);
}

void ops_init_avx512(struct kernels *k)
{
    k->rms_norm = rms_norm_avx512;
    k->add = add_avx512;
    k->scale = scale_avx512;
    k->gate = gate_avx512;
    k->softcap = softcap_avx512;
    k->attn = attn_avx512;
}
