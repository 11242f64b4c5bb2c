/* Owns T(rows, context). See time_model.h; read next: acceptance.h. */
#include "control/time_model.h"

#include <math.h>

#define QUANTILE 0.4 /* followed; not the mean: a pass on a stolen core takes three times as long */
#define UP 1.15      /* most that one pass changes an estimate */
#define DOWN 0.75
enum {
    CELL_TRUST = 4, /* passes after which a ratio of its own counts */
    FRESH = 128,    /* passes after which what was not tried begins to look cheaper ... */
};
#define OPTIMISM 0.02 /* ... by this much for each doubling of the time, at most five */

int tm_ctx_class(int ctx)
{
    int c = 0;
    while (c < TM_CTX - 1 && ctx > 64 << c)
        c++;
    return c;
}

/* Stochastic approximation of the quantile, in steps relative to the value: large at first, then `least`. */
static double follow(double value, double n, double x, double least)
{
    const double step = n < 12 ? 0.3 / (n + 1) + least : least;
    double to = value * (1 + step * 2 * (x < value ? QUANTILE - 1 : QUANTILE));
    if ((x < value && to < x) || (x > value && to > x))
        to = x; /* never past what was seen */
    return fmin(fmax(to, value * DOWN), value * UP);
}

static void see(struct tm_ratio *r, double x, double start, long now)
{
    r->x = r->n > 0 ? follow(r->x, r->n, x, 0.02) : fmin(fmax(x, start * DOWN), start * UP);
    r->n += r->n < 1 ? 1 - r->n : r->n < 1e6;
    r->last = now;
}

void tm_guess(struct time_model *m, int rows, double ms)
{
    if (rows < 1 || rows > TM_ROWS || !(ms > 0))
        return;
    if (rows == 1) {
        m->pace = ms;
        m->n_pace = 0.5;
    }
    if (m->pace > 0 && m->rel[rows].n < 1)
        m->rel[rows] = (struct tm_ratio){ms / m->pace, 0.5, m->n};
}

/* rel at any number of rows: between known ones by a line, beyond them by the last slope. */
static double line(const struct time_model *m, int rows)
{
    int lo = rows < TM_ROWS ? rows : TM_ROWS, hi = lo;
    if (rows == 1)
        return 1;
    if (rows <= TM_ROWS && m->rel[rows].n > 0)
        return m->rel[rows].x;
    while (lo > 1 && !(m->rel[lo].n > 0))
        lo--;
    while (hi <= TM_ROWS && !(m->rel[hi].n > 0))
        hi++;
    const double a = lo == 1 ? 1 : m->rel[lo].x;
    if (hi <= TM_ROWS)
        return a + (m->rel[hi].x - a) * (rows - lo) / (hi - lo);
    int before = lo - 1;
    while (before > 1 && !(m->rel[before].n > 0))
        before--;
    const double b = before <= 1 ? 1 : m->rel[before].x;
    const double slope =
        lo > 1 ? (a - b) / (lo - before) : 0.1; /* a row costs a tenth of a pass, before anything is known */
    return a + (rows - lo) * fmax(slope, 0.02);
}

/* A ratio that was not tried for long. */
static double optimistic(const struct time_model *m, int rows, double x)
{
    const double age = rows > 1 && rows <= TM_ROWS && m->rel[rows].n >= 1 ? (double)(m->n - m->rel[rows].last) : 0;
    double doublings = 0;
    for (double a = FRESH; a < age && doublings < 5; a *= 2)
        doublings++;
    return x * (1 - OPTIMISM * doublings);
}

/* Not above what more rows take. */
static double rel(const struct time_model *m, int rows)
{
    double x = optimistic(m, rows, line(m, rows));
    for (int r = rows + 1; r <= TM_ROWS && r <= rows + 16; r++)
        if (m->rel[r].n > 0)
            x = fmin(x, m->rel[r].x);
    return fmax(x, rows > 1 ? 1.0 : x);
}

/* The factor of a class, or of the nearest one that is known. */
static double ctx_factor(const struct time_model *m, int class)
{
    for (int d = 0; d < TM_CTX; d++) {
        if (class - d >= 0 && m->ctx[class - d].n > 0)
            return m->ctx[class - d].x;
        if (class + d < TM_CTX && m->ctx[class + d].n > 0)
            return m->ctx[class + d].x;
    }
    return 1;
}

static double both_factor(const struct time_model *m, int rows, int class)
{
    return rows > 1 && rows <= TM_ROWS && m->both[rows][class].n >= CELL_TRUST ? m->both[rows][class].x : 1;
}

double tm_time(const struct time_model *m, int rows, int ctx)
{
    const int class = tm_ctx_class(ctx);
    if (rows < 1 || !(m->pace > 0))
        return 0;
    return m->pace * rel(m, rows) * ctx_factor(m, class) * both_factor(m, rows, class);
}

void tm_see(struct time_model *m, int rows, int ctx, double ms)
{
    const int class = tm_ctx_class(ctx);
    if (rows < 1 || rows > TM_ROWS || !(ms > 0))
        return;
    m->n++;
    if (!(m->pace > 0))
        m->pace = ms / line(m, rows);
    const double x = line(m, rows), c = ctx_factor(m, class), b = both_factor(m, rows, class);
    m->pace = follow(m->pace, m->n_pace, ms / (x * c * b), 0.05);
    m->n_pace += m->n_pace < 1 ? 1 - m->n_pace : m->n_pace < 1e6;
    const double now = ms / m->pace; /* in passes of one row */
    if (rows > 1) {
        see(&m->rel[rows], now / (c * b), x, m->n);
        see(&m->both[rows][class], now / (line(m, rows) * c), 1, m->n);
    } else if (m->n_pace > CELL_TRUST) {
        see(&m->ctx[class], now, c, m->n);
    }
}
