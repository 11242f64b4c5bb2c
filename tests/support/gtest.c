#include "support/gtest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Q(a, x) of the incomplete gamma function. SRC: Abramowitz & Stegun 6.5.29 (series), 6.5.31 (continued fraction, by
 * Lentz's method). */
static double gamma_tail(double a, double x)
{
    if (x <= 0)
        return 1;
    const double front = exp(a * log(x) - x - lgamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (double k = 1; term > sum * 1e-16; k++)
            sum += term *= x / (a + k);
        return 1 - front * sum;
    }
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
    for (double k = 1; k < 10000; k++) {
        const double an = -k * (k - a);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-15)
            break;
    }
    return front * h;
}

double chi_square_tail(double x, int df)
{
    return gamma_tail(df / 2.0, x / 2);
}

static void add_cell(double count, double expected, double *g, int *cells)
{
    if (expected <= 0)
        return;
    *g += count > 0 ? 2 * count * log(count / expected) : 0;
    ++*cells;
}

double g_test(const long *count, const double *prob, int n_cell, long n)
{
    double g = 0, pool = 0, pool_expected = 0, inverse = 0;
    int cells = 0;
    for (int i = 0; i < n_cell; i++) {
        const double expected = (double)n * prob[i];
        if (prob[i] <= 0 && count[i] > 0)
            return 0;
        if (expected >= 5) {
            add_cell((double)count[i], expected, &g, &cells);
            inverse += 1 / prob[i];
        } else {
            pool += (double)count[i];
            pool_expected += expected;
        }
    }
    add_cell(pool, pool_expected, &g, &cells);
    inverse += pool_expected > 0 ? (double)n / pool_expected : 0;
    if (cells < 2)
        return 1;
    const double williams = 1 + (inverse - 1) / (6 * (double)n * (cells - 1));
    return chi_square_tail(g / williams, cells - 1);
}

double g_test_replies(const char *name, emit_fn fn, void *self, int v, int n_tok, const double *prob, long n)
{
    int n_cell = 1;
    for (int k = 0; k < n_tok; k++)
        n_cell *= v;
    long *count = calloc((size_t)n_cell, sizeof *count);
    int32_t *tok = calloc((size_t)n_tok, sizeof *tok);
    if (!count || !tok)
        abort();
    for (long i = 0; i < n; i++) {
        int cell = 0;
        fn(self, (uint64_t)i, tok, n_tok);
        for (int k = 0; k < n_tok; k++)
            cell = cell * v + tok[k];
        count[cell]++;
    }
    const double p = g_test(count, prob, n_cell, n);
    printf("%-40s %ld replies of %d tokens: p-value %.3g\n", name, n, n_tok, p);
    free(count);
    free(tok);
    return p;
}
