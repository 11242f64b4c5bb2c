/* Order statistics of times. Read next: team.h. */
#ifndef OTR_BENCH_STATS_H
#define OTR_BENCH_STATS_H

#include <stddef.h>

/* Minimum: stolen time stripped. First quartile and median: the common case. */
struct spread {
    double min, q25, median;
};

/* The quantile `frac` of n >= 1 ascending values, linear between neighbours. SRC: Hyndman & Fan 1996, definition 7
 * (numpy's and R's default). */
double sorted_quantile(const double *v, size_t n, double frac);
/* n >= 1; sorts v. */
struct spread spread_of(double *v, size_t n);
void spread_add(struct spread *sum, const struct spread *s);

#endif
