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
/* The median of n >= 1 values and an interval of order statistics about it, the (k+1)-th value from each end with the
 * largest k that covers the true median 95 times in 100 or more (any continuous law); the ends where none does. */
struct median {
    double x, low, high, covers; /* covers: the chance, 1 - 2 P(Binomial(n, 1/2) <= k) */
};
struct median median_of(double *v, size_t n); /* sorts v */
void spread_add(struct spread *sum, const struct spread *s);

#endif
