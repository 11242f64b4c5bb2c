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

void spread_add(struct spread *sum, const struct spread *s)
{
    sum->min += s->min;
    sum->q25 += s->q25;
    sum->median += s->median;
}
