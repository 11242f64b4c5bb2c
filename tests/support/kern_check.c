/* Checks of kernel levels. See kern_check.h. */
#include "kern/act.h"
#include "support/kern_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/dequant.h"

int level_open(struct kernels *k, const char *name)
{
    if (kernels_init(k, name) == 0)
        return 1;
    printf("SKIPPED: this CPU lacks level %s (it has: %s)\n", name, kernels_levels());
    return 0;
}

struct held held_make(const struct kernels *k, const struct product *p)
{
    struct held h = {
        .k = k, .p = p, .w = {.type = p->type, .n_rows = p->n_rows, .n_cols = p->n_cols, .data = p->src.p}};
    const size_t bytes = k->pack_bytes(p->type, p->n_rows, p->n_cols);
    if (bytes) {
        h.packed = guard_alloc(bytes);
        k->pack(h.packed.p, p->src.p, p->type, p->n_rows, p->n_cols, 0, p->n_rows);
        h.w.data = h.packed.p;
    }
    return h;
}

void held_free(struct held *h)
{
    guard_free(&h->packed);
}

static struct guard act_make(const struct kernels *k, const struct product *p, int n_tok)
{
    const enum act_kind kind = act_kind_of(p->type);
    struct guard act = guard_alloc(k->act_bytes(kind, p->n_cols, n_tok));
    k->act_pack(act.p, kind, p->x.p, p->ld_x, p->n_cols, n_tok, 0, n_tok);
    return act;
}

void held_run(const struct held *h, float *out, size_t ld_out, int row_lo, int row_hi, int n_tok)
{
    struct guard act = act_make(h->k, h->p, n_tok);
    h->k->matmul(out, ld_out, &h->w, row_lo, row_hi, act.p, n_tok);
    guard_free(&act);
}

struct guard held_all(const struct held *h, int n_tok)
{
    const size_t n = (size_t)h->p->n_rows;
    struct guard out = guard_alloc((size_t)n_tok * n * sizeof(float));
    held_run(h, out.p, n, 0, h->p->n_rows, n_tok);
    return out;
}

static long differ(const float *a, const float *b, size_t n)
{
    long bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += !same_bits(a[i], b[i]);
    return bad;
}

long check_levels(const struct kernels *ref, const struct kernels *k, const struct product *p, const int *toks, int n)
{
    struct held hr = held_make(ref, p), hk = held_make(k, p);
    struct guard want = held_all(&hr, p->n_tok);
    long bad = 0;
    for (int i = 0; i < n && toks[i] <= p->n_tok; i++) {
        struct guard got = held_all(&hk, toks[i]);
        bad += differ(want.p, got.p, (size_t)toks[i] * (size_t)p->n_rows);
        guard_free(&got);
    }
    guard_free(&want);
    held_free(&hr);
    held_free(&hk);
    return bad;
}

/* A random cut after lo: a multiple of the unit, or n_rows. */
static int next_cut(struct test_rng *r, int lo, int n_rows)
{
    const int hi = lo + KERN_ROW_UNIT * (1 + rng_below(r, 3));
    return hi < n_rows ? hi : n_rows;
}

long check_row_ranges(const struct kernels *k, const struct product *p, struct test_rng *r)
{
    const size_t ld = (size_t)p->n_rows + 5, n = (size_t)(p->n_tok - 1) * ld + (size_t)p->n_rows;
    struct held h = held_make(k, p);
    struct guard whole = held_all(&h, p->n_tok);
    long bad = 0;
    for (int lo = 0, hi; lo < p->n_rows; lo = hi) {
        hi = next_cut(r, lo, p->n_rows);
        struct guard out = guard_alloc(n * sizeof(float)), untouched = guard_alloc(n * sizeof(float));
        float *o = out.p;
        held_run(&h, o, ld, lo, hi, p->n_tok);
        for (int t = 0; t < p->n_tok; t++) {
            const float *w = (const float *)whole.p + (size_t)t * (size_t)p->n_rows;
            bad += differ(o + (size_t)t * ld + lo, w + lo, (size_t)(hi - lo));
            memset(o + (size_t)t * ld + lo, 0xa5, (size_t)(hi - lo) * sizeof *o); /* what is left must be untouched */
        }
        bad += differ(o, untouched.p, n);
        guard_free(&out);
        guard_free(&untouched);
    }
    guard_free(&whole);
    held_free(&h);
    return bad;
}

static long bytes_differ(const void *a, const void *b, size_t n)
{
    long bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += ((const uint8_t *)a)[i] != ((const uint8_t *)b)[i];
    return bad;
}

long check_pack_pieces(const struct kernels *k, const struct product *p, struct test_rng *r)
{
    const size_t bytes = k->pack_bytes(p->type, p->n_rows, p->n_cols);
    struct held h = held_make(k, p);
    struct guard pieces = guard_alloc(bytes);
    for (int lo = 0, hi; lo < p->n_rows; lo = hi) {
        hi = next_cut(r, lo, p->n_rows);
        k->pack(pieces.p, p->src.p, p->type, p->n_rows, p->n_cols, lo, hi);
    }
    const long bad = bytes ? bytes_differ(h.packed.p, pieces.p, bytes) : 0;
    guard_free(&pieces);
    held_free(&h);
    return bad;
}

long check_unpacked(const struct kernels *k, const struct product *p, struct test_rng *r)
{
    const size_t ld = (size_t)p->n_rows + 3, bytes = ld * (size_t)p->n_tok * sizeof(float);
    const size_t unit_bytes = k->pack_bytes(p->type, KERN_ROW_UNIT, p->n_cols);
    const struct mat rows = {.type = p->type, .n_rows = p->n_rows, .n_cols = p->n_cols, .data = p->src.p};
    if (!unit_bytes)
        return 0;
    struct held h = held_make(k, p);
    struct guard want = guard_alloc(bytes), got = guard_alloc(bytes), unit = guard_alloc(unit_bytes);
    struct guard act = act_make(k, p, p->n_tok);
    held_run(&h, want.p, ld, 0, p->n_rows, p->n_tok);
    for (int lo = 0, hi; lo < p->n_rows; lo = hi) {
        hi = next_cut(r, lo, p->n_rows);
        matmul_rows(k, got.p, ld, &rows, lo, hi, act.p, p->n_tok, unit.p);
    }
    const long bad = differ(want.p, got.p, bytes / sizeof(float));
    guard_free(&act);
    guard_free(&unit);
    guard_free(&got);
    guard_free(&want);
    held_free(&h);
    return bad;
}

static void *must(void *p)
{
    if (!p)
        exit(1);
    return p;
}

long check_integers(const struct kernels *k, const struct product *p)
{
    struct held h = held_make(k, p);
    struct guard got = held_all(&h, p->n_tok);
    float *w = must(malloc((size_t)p->n_cols * sizeof *w));
    long bad = 0;
    for (int row = 0; row < p->n_rows; row++) {
        dequant_row(p->type, w, (const uint8_t *)p->src.p + (size_t)row * mat_row_bytes(p->type, p->n_cols), p->n_cols);
        for (int t = 0; t < p->n_tok; t++) {
            const float *x = (const float *)p->x.p + (size_t)t * p->ld_x;
            int64_t sum = 0;
            for (int c = 0; c < p->n_cols; c++)
                sum += (int64_t)w[c] * (int64_t)x[c];
            bad += ((const float *)got.p)[(size_t)t * (size_t)p->n_rows + (size_t)row] != (float)sum;
        }
    }
    free(w);
    guard_free(&got);
    held_free(&h);
    return bad;
}

/* -- the limits of int16 */

enum { N_SIGN = 7, N_CODES = 4, N_SCALES = 4 };

/* Signs of the activations: what makes two products, a lane's products, or everything, add up. */
static int sign_of(int pattern, int i)
{
    switch (pattern) {
    case 0:
        return 1;
    case 1:
        return -1;
    case 2: /* + + - - : the two int16 lanes of a row against each other */
        return i % 4 < 2 ? 1 : -1;
    case 3:
        return i % 4 < 2 ? -1 : 1;
    case 4:
        return i % 2 ? -1 : 1;
    case 5: /* halves of a legacy block, sub-blocks of Q6_K */
        return i % 32 < 16 ? 1 : -1;
    default:
        return (uint32_t)i * 2654435761u >> 31 ? 1 : -1;
    }
}

/* Codes: all largest, all smallest, or by the sign of pattern s, so that every product has one sign. */
static int code_of(enum ggml_type type, int codes, int s, int i)
{
    int lo, hi, offset;
    block_code_range(type, &lo, &hi, &offset);
    const int up = codes == 0 || (codes == 2 && sign_of(s, i) > 0) || (codes == 3 && sign_of(s, i) < 0);
    return up ? hi : lo;
}

/* Scale and minimum of the K-quants' sub-blocks, and the minimum of the others. */
static void scales_of(enum ggml_type type, int scales, int *sc, int *mn)
{
    const int is_min = type == GGML_Q4_K || type == GGML_Q5_K || type == GGML_Q4_1 || type == GGML_Q5_1;
    *sc = type == GGML_Q6_K ? (scales % 2 ? 127 : -128) : type == GGML_Q4_K || type == GGML_Q5_K ? 63 : 1;
    *mn = is_min && scales / 2 ? 63 : 0;
}

/* What row x token of check_extremes gives: kernels.md C.1, with every float scale 1. */
static float extreme_want(enum ggml_type type, int row, int t)
{
    int lo, hi, offset, sc, mn;
    int32_t isum = 0, xsum = 0;
    block_code_range(type, &lo, &hi, &offset);
    scales_of(type, row % N_SCALES, &sc, &mn);
    for (int i = 0; i < block_values(type); i++) {
        const int x = 127 * sign_of(t, i);
        isum += (code_of(type, row / N_SCALES % N_CODES, row / N_SCALES / N_CODES, i) - offset) * sc * x;
        xsum += x;
    }
    if (type == GGML_Q4_1 || type == GGML_Q5_1)
        return fmaf((float)mn, (float)xsum, (float)isum);
    if (type == GGML_Q4_K || type == GGML_Q5_K)
        return fmaf(-(float)(mn * xsum), 1.0f, (float)isum);
    return (float)isum;
}

long check_extremes(const struct kernels *k, enum ggml_type type)
{
    const int n = block_values(type), n_rows = N_SIGN * N_CODES * N_SCALES;
    if (n == 1)
        return 0;
    /* row: (codes, the pattern they follow, scales); token: pattern of the activations, all of them +-127, so d = 1 */
    struct product p = {.type = type, .n_rows = n_rows, .n_cols = n, .n_tok = N_SIGN, .ld_x = (size_t)n};
    p.src = guard_alloc(block_bytes(type) * (size_t)n_rows);
    p.x = guard_alloc((size_t)n * N_SIGN * sizeof(float));
    memset(p.src.p, 0, block_bytes(type) * (size_t)n_rows);
    for (int row = 0; row < n_rows; row++) {
        uint8_t *blk = (uint8_t *)p.src.p + (size_t)row * block_bytes(type);
        int sc, mn;
        scales_of(type, row % N_SCALES, &sc, &mn);
        block_put_scales(type, blk, 1.0f, type == GGML_Q4_1 || type == GGML_Q5_1 ? (float)mn : 1.0f, sc, mn);
        for (int i = 0; i < n; i++)
            block_put_code(type, blk, i, code_of(type, row / N_SCALES % N_CODES, row / N_SCALES / N_CODES, i));
    }
    for (int i = 0; i < n * N_SIGN; i++)
        ((float *)p.x.p)[i] = 127.0f * (float)sign_of(i / n, i % n);

    struct held h = held_make(k, &p);
    long bad = 0;
    for (int n_tok = 1; n_tok <= N_SIGN; n_tok++) { /* tiles of other shapes */
        struct guard got = held_all(&h, n_tok);
        for (int row = 0; row < n_rows; row++)
            for (int t = 0; t < n_tok; t++)
                bad += ((const float *)got.p)[t * n_rows + row] != extreme_want(type, row, t);
        guard_free(&got);
    }
    held_free(&h);
    product_free(&p);
    return bad;
}

/* -- accuracy */

/* The activations that a quantised type sees: x rounded to its block's scale (act.h), as doubles. */
static void quantised(double *to, const float *x, int n, int block)
{
    for (int i = 0; i < n; i += block) {
        float amax = 0.0f;
        for (int j = i; j < i + block; j++)
            amax = fmaxf(amax, fabsf(x[j]));
        const float id = amax > 0.0f ? 127.0f / amax : 0.0f, d = amax / 127.0f;
        for (int j = i; j < i + block; j++)
            to[j] = (double)rintf(x[j] * id) * (double)d;
    }
}

/* A row's weights as two parts whose products the kernels add apart: codes with their scale, and minimums. */
static void weight_parts(const struct product *p, int row, double *code_part, double *min_part)
{
    const size_t bb = block_bytes(p->type), bytes = mat_row_bytes(p->type, p->n_cols);
    const int n = block_values(p->type);
    const uint8_t *src = (const uint8_t *)p->src.p + (size_t)row * bytes;
    for (int i = 0; i < p->n_cols; i += n, src += bb) {
        uint8_t bare[256];
        float w[BLOCK_K], m[BLOCK_K];
        memcpy(bare, src, bb);
        for (int c = 0; n > 1 && c < n; c++) { /* code 0 leaves the minimum; types without one: weight part is all */
            int lo, hi, offset;
            block_code_range(p->type, &lo, &hi, &offset);
            block_put_code(p->type, bare, c, offset);
        }
        dequant_row(p->type, w, src, n);
        dequant_row(p->type, m, bare, n);
        for (int c = 0; c < n; c++) {
            min_part[i + c] = n > 1 ? (double)m[c] : 0.0;
            code_part[i + c] = (double)w[c] - min_part[i + c];
        }
    }
}

long check_accuracy(const struct kernels *k, const struct product *p, double *worst)
{
    const enum act_kind kind = act_kind_of(p->type);
    const size_t n = (size_t)p->n_cols;
    struct held h = held_make(k, p);
    struct guard got = held_all(&h, p->n_tok);
    double *x = must(malloc(n * sizeof *x)), *w = must(malloc(n * sizeof *w)), *m = must(malloc(n * sizeof *m));
    long bad = 0;
    *worst = 0.0;
    for (int t = 0; t < p->n_tok; t++) {
        const float *xt = (const float *)p->x.p + (size_t)t * p->ld_x;
        for (size_t i = 0; i < n; i++)
            x[i] = (double)xt[i];
        if (kind != ACT_F32)
            quantised(x, xt, p->n_cols, kind == ACT_Q8K ? BLOCK_K : BLOCK_Q);
        for (int row = 0; row < p->n_rows; row++) {
            double sum = 0.0, squares = 0.0;
            weight_parts(p, row, w, m);
            for (size_t i = 0; i < n; i++) {
                sum += (w[i] + m[i]) * x[i];
                squares += w[i] * x[i] * w[i] * x[i] + m[i] * x[i] * m[i] * x[i];
            }
            const double bound = 8.0 * sqrt((double)n) * 0x1p-24 * sqrt(squares);
            const double err = fabs((double)((const float *)got.p)[(size_t)t * (size_t)p->n_rows + (size_t)row] - sum);
            bad += !(err <= bound);
            if (bound > 0.0 && err / bound > *worst)
                *worst = err / bound;
        }
    }
    free(x);
    free(w);
    free(m);
    guard_free(&got);
    held_free(&h);
    return bad;
}

/* -- activations */

long check_act(const struct kernels *ref, const struct kernels *k, enum act_kind kind, const float *x, size_t ld_x,
               int n_cols, int n_tok, struct test_rng *r)
{
    const size_t all = ref->act_bytes(kind, n_cols, n_tok), bytes = k->act_bytes(kind, n_cols, n_tok);
    if (bytes != all && (kind != ACT_Q8 || bytes != act_q8w_at(n_cols, n_tok))) /* a level may leave out act_q8w */
        return 1;
    struct guard want = guard_alloc(all), whole = guard_alloc(bytes), pieces = guard_alloc(bytes);
    ref->act_pack(want.p, kind, x, ld_x, n_cols, n_tok, 0, n_tok);
    k->act_pack(whole.p, kind, x, ld_x, n_cols, n_tok, 0, n_tok);
    for (int lo = 0, hi; lo < n_tok; lo = hi) {
        hi = lo + 1 + rng_below(r, n_tok - lo);
        k->act_pack(pieces.p, kind, x, ld_x, n_cols, n_tok, lo, hi);
    }
    const long bad = bytes_differ(want.p, whole.p, bytes) + bytes_differ(want.p, pieces.p, bytes);
    guard_free(&want);
    guard_free(&whole);
    guard_free(&pieces);
    return bad;
}
