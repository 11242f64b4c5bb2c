/* Owns order statistics. See stats.h; read next: team.c. */
#include "bench/stats.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double sorted_quantile(const double *v, size_t n, double frac)
{
    const double at = frac * (double)(n - 1);
    const size_t i = (size_t)at;
    return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

struct spread spread_of(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return (struct spread){v[0], sorted_quantile(v, n, 0.25), sorted_quantile(v, n, 0.5)};
}

struct median median_of(double *v, size_t n)
{
    double term = 1, outside, covers; /* term: P(Binomial(n, 1/2) = k) */
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        term /= 2;
    outside = 2 * term;
    covers = 1 - outside;
    for (size_t i = 1; 2 * i < n; i++) {
        term *= (double)(n - i + 1) / (double)i;
        outside += 2 * term;
        if (1 - outside < 0.95)
            break;
        k = i;
        covers = 1 - outside;
    }
    qsort(v, n, sizeof *v, by_value);
    return (struct median){sorted_quantile(v, n, 0.5), v[k], v[n - 1 - k], covers};
}

void spread_add(struct spread *sum, const struct spread *s)
{
    sum->min += s->min;
    sum->q25 += s->q25;
    sum->median += s->median;
}
