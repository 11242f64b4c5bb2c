/* Owns the picking and sorting of candidates by (logit descending, id ascending). In: logits. Out: candidates.
 * Few are kept in a heap whose root is the worst of them; many are sorted by radix. Read next: chain.c. */
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

/* The best k as a heap. A later candidate with the worst one's logit has the higher id, so it stays out. */
static int gather_heap(struct cand *c, const float *x, int n_vocab, int k, float floor)
{
    int n = 0, i = 0;
    for (; i < n_vocab && n < k; i++)
        if (x[i] >= floor)
            c[n++] = (struct cand){x[i], i};
    heap_make(c, n);
    for (; i < n_vocab; i++)
        if (x[i] >= floor && x[i] > c[0].logit) {
            c[0] = (struct cand){x[i], i};
            heap_sink(c, n, 0);
        }
    return n;
}

static int gather_all(struct cand *c, const float *x, int n_vocab, float floor)
{
    int n = 0;
    for (int i = 0; i < n_vocab; i++)
        if (x[i] >= floor)
            c[n++] = (struct cand){x[i], i};
    return n;
}

struct span select_top(struct sampler *s, const float *x, int k, float floor, bool sorted)
{
    const bool few = k > 0 && k <= HEAP_MAX;
    const int n = few ? gather_heap(s->cand, x, s->n_vocab, k, floor) : gather_all(s->cand, x, s->n_vocab, floor);
    const bool cut = k > 0 && n > k;
    if ((sorted || cut) && n <= HEAP_MAX) {
        heap_make(s->cand, n);
        heap_unroll(s->cand, n);
    } else if (sorted || cut) {
        radix_sort(s, n);
    }
    return (struct span){s->cand, cut ? k : n};
}
