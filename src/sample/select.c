/* Owns the picking and sorting of candidates by (logit descending, id ascending). In: logits. Out: candidates.
 * Each thread picks from its piece of the row. Few are kept in a heap whose root is the worst of them; many are sorted
 * by radix. The order is total, so the set does not depend on the pieces. Read next: chain.c. */
#include "sample/sample_priv.h"

#include <string.h>

enum { HEAP_MAX = 1024, RADIX_BITS = 11, RADIX_SIZE = 1 << RADIX_BITS };

static bool is_worse(struct cand a, struct cand b)
{
    return a.logit < b.logit || (a.logit == b.logit && a.id > b.id);
}

/* Lets c[i] sink to its place: every entry of the heap [0, n) is worse than its children. */
static void heap_sink(struct cand *c, int n, int i)
{
    const struct cand it = c[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_worse(c[child + 1], c[child]))
            child++;
        if (!is_worse(c[child], it))
            break;
        c[i] = c[child];
    }
    c[i] = it;
}

static void heap_make(struct cand *c, int n)
{
    for (int i = n / 2 - 1; i >= 0; i--)
        heap_sink(c, n, i);
}

/* A heap to a list, best first: the worst goes last, again and again. */
static void heap_unroll(struct cand *c, int n)
{
    while (n > 1) {
        const struct cand worst = c[0];
        c[0] = c[--n];
        c[n] = worst;
        heap_sink(c, n, 0);
    }
}

/* Rises as the logit falls; equal for equal floats: + 0.0f turns -0 into 0. */
static uint32_t radix_key(float logit)
{
    const float x = logit + 0.0f;
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & 0x80000000u ? u : ~u & 0x7fffffffu;
}

/* Three stable passes, from s->cand through s->spare; the ids come in ascending order, so ties stay so. */
static void radix_sort(struct sampler *s, int n)
{
    for (int shift = 0; shift < 32; shift += RADIX_BITS) {
        int at[RADIX_SIZE] = {0};
        for (int i = 0; i < n; i++)
            at[radix_key(s->cand[i].logit) >> shift & (RADIX_SIZE - 1)]++;
        for (int b = 0, sum = 0; b < RADIX_SIZE; b++) {
            const int count = at[b];
            at[b] = sum;
            sum += count;
        }
        for (int i = 0; i < n; i++)
            s->spare[at[radix_key(s->cand[i].logit) >> shift & (RADIX_SIZE - 1)]++] = s->cand[i];
        struct cand *sorted = s->spare;
        s->spare = s->cand;
        s->cand = sorted;
    }
}

struct pick {
    struct sampler *s;
    const float *x;
    int k; /* 0: all */
    float floor;
    int n[POOL_MAX_THREADS]; /* candidates of each piece, from s->cand + (start of the piece) on */
};

/* The piece's candidates by rising id, or its best k as a heap. A later one with the logit of the worst of k has the
 * higher id, so it stays out. */
static void pick_piece(const struct pool_ctx *ctx, void *arg)
{
    enum { BLOCK = 512 };
    struct pick *p = arg;
    int32_t at[BLOCK];
    int lo, hi, n = 0;
    row_piece(ctx, p->s, &lo, &hi);
    struct cand *c = p->s->cand + lo;
    for (int b = lo; b < hi; b += BLOCK) {
        const float floor = p->k && n == p->k ? c[0].logit : p->floor; /* at the root itself it is too late */
        const int found = p->s->k.at_least(at, p->x + b, hi - b < BLOCK ? hi - b : BLOCK, floor);
        for (int i = 0; i < found; i++) {
            const struct cand it = {p->x[b + at[i]], b + at[i]};
            if (!p->k || n < p->k) {
                c[n++] = it;
                if (n == p->k)
                    heap_make(c, n);
            } else if (it.logit > c[0].logit) {
                c[0] = it;
                heap_sink(c, n, 0);
            }
        }
    }
    p->n[ctx->tid] = n;
}

/* Candidates in s->cand, by rising id where k is 0. k > 0: the best k are among them. */
static int pick(struct sampler *s, const float *x, int k, float floor)
{
    struct pick p = {.s = s, .x = x, .k = k, .floor = floor};
    const int n_thread = row_share(s, pick_piece, &p);
    int n = p.n[0];
    for (int t = 1; t < n_thread; t++) { /* close the gaps */
        int lo, hi;
        row_piece(&(struct pool_ctx){.tid = t, .n_threads = n_thread}, s, &lo, &hi);
        memmove(s->cand + n, s->cand + lo, (size_t)p.n[t] * sizeof *s->cand);
        n += p.n[t];
    }
    return n;
}

/* All with logit >= floor; k > 0: fewer, but the best k are among them. */
static int pick_many(struct sampler *s, const float *x, int k, float floor, float top)
{
    for (int round = 0; k > 0; round++) {
        const float from = nearer_floor(top, round, floor);
        const int n = pick(s, x, 0, from);
        if (n >= k || from <= floor)
            return n;
    }
    return pick(s, x, 0, floor);
}

struct span select_top(struct sampler *s, const float *x, int k, float floor, float top, bool sorted)
{
    const bool few = k > 0 && k <= HEAP_MAX;
    const int n = few ? pick(s, x, k, floor) : pick_many(s, x, k, floor, top);
    const bool cut = k > 0 && n > k;
    if ((sorted || cut) && (few || n <= HEAP_MAX)) {
        heap_make(s->cand, n);
        heap_unroll(s->cand, n);
    } else if (sorted || cut) {
        radix_sort(s, n);
    }
    return (struct span){s->cand, cut ? k : n};
}
