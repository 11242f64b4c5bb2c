/* Every noise word there is (2^32): G is finite, falls as the word rises, and stays under the bound that lets the draw
 * pass over tokens (verification-law.md 1 asks for 1e9 words). Argument: log2 of the stride, 0 by default.
 * With it, on 2^26 of the words: the distance to libm's formula. One thread per core. Read next: src/sample/gumbel.c.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sample/sample.h"

enum { MAX_THREADS = 64 };

struct part {
    uint64_t lo, hi, stride; /* words [lo, hi) */
    uint64_t n, n_bad;
    double min, max, off; /* off: largest distance to libm */
};

static void *check(void *arg)
{
    struct part *p = arg;
    double last = p->lo ? gumbel_of_word((uint32_t)(p->lo - 1)) : HUGE_VAL;
    for (uint64_t x = p->lo; x < p->hi; x += p->stride, p->n++) {
        const double g = gumbel_of_word((uint32_t)x);
        p->n_bad += !(isfinite(g) && g <= last && g < 22.875);
        p->min = g < p->min ? g : p->min;
        p->max = g > p->max ? g : p->max;
        last = g;
        if (x % 64 == 0) {
            const double d = fabs(g + log(-log1p(-((double)x + 0.5) * 0x1p-32)));
            p->off = d > p->off ? d : p->off;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct part part[MAX_THREADS];
    pthread_t thread[MAX_THREADS];
    const uint64_t all = (uint64_t)1 << 32, stride = (uint64_t)1 << (argc > 1 ? atoi(argv[1]) : 2);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t n = cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : (uint64_t)cores;
    struct part sum = {.min = HUGE_VAL, .max = -HUGE_VAL};
    for (uint64_t i = 0; i < n; i++) {
        part[i] = (struct part){.lo = all / n * i,
                                .hi = i + 1 < n ? all / n * (i + 1) : all,
                                .stride = stride,
                                .min = HUGE_VAL,
                                .max = -HUGE_VAL};
        if (pthread_create(&thread[i], NULL, check, &part[i]) != 0) {
            fprintf(stderr, "no thread\n");
            return 1;
        }
    }
    for (uint64_t i = 0; i < n; i++) {
        pthread_join(thread[i], NULL);
        sum.n += part[i].n;
        sum.n_bad += part[i].n_bad;
        sum.min = fmin(sum.min, part[i].min);
        sum.max = fmax(sum.max, part[i].max);
        sum.off = fmax(sum.off, part[i].off);
    }
    printf("%" PRIu64 " words: G from %.17g to %.17g, %" PRIu64
           " not finite, out of order or over the bound; at most %.3g"
           " from libm\n",
           sum.n, sum.min, sum.max, sum.n_bad, sum.off);
    const bool ok = sum.n_bad == 0 && sum.off < 4e-15;
    printf("%d passed, %d failed\n", ok, !ok);
    return !ok;
}
