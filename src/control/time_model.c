/* Owns T(rows, context). See time_model.h; read next: acceptance.h. */
#include "control/time_model.h"

/* The quantile that is followed. WHY not the mean: a stolen core triples a pass and says nothing about the next one. */
#define QUANTILE 0.4
enum { CELL_TRUST = 6 }; /* passes after which a cell stands for itself */

int tm_ctx_class(int ctx)
{
    int c = 0;
    while (c < TM_CTX - 1 && ctx > 64 << c)
        c++;
    return c;
}

/* Stochastic approximation of the quantile, in steps relative to the value: large at first, then 3 %. */
static void follow(struct tm_cell *c, double x)
{
    if (c->n < 1) {
        c->ms = x;
        c->n = 1;
        return;
    }
    const double step = c->n < 16 ? 0.3 / c->n + 0.03 : 0.03;
    double to = c->ms * (1 + step * (x < c->ms ? QUANTILE - 1 : QUANTILE));
    if ((x < c->ms && to < x) || (x > c->ms && to > x))
        to = x; /* never past what was seen */
    c->ms = to;
    c->n += c->n < 1e6;
}

void tm_guess(struct time_model *m, int rows, double ms)
{
    if (rows >= 1 && rows <= TM_ROWS && m->rows[rows].n < 1)
        m->rows[rows] = (struct tm_cell){ms, 0.5};
}

/* rows[] at any number of rows. */
static double by_rows(const struct time_model *m, int rows)
{
    int lo = rows < TM_ROWS ? rows : TM_ROWS, hi = lo;
    if (rows <= TM_ROWS && m->rows[rows].n > 0)
        return m->rows[rows].ms;
    while (lo >= 1 && !(m->rows[lo].n > 0))
        lo--;
    while (hi <= TM_ROWS && !(m->rows[hi].n > 0))
        hi++;
    if (lo < 1)
        return hi > TM_ROWS ? 0 : m->rows[hi].ms; /* fewer rows than anything seen: at most that */
    if (hi > TM_ROWS) { /* beyond: by the slope of the last two, at least 2 % of a pass a row */
        int before = lo - 1;
        while (before >= 1 && !(m->rows[before].n > 0))
            before--;
        const double a = m->rows[lo].ms, floor = 0.02 * a;
        const double slope = before >= 1 ? (a - m->rows[before].ms) / (lo - before) : 0.1 * a;
        return a + (rows - lo) * (slope > floor ? slope : floor);
    }
    return m->rows[lo].ms + (m->rows[hi].ms - m->rows[lo].ms) * (rows - lo) / (hi - lo);
}

static double factor(const struct time_model *m, int class)
{
    for (int d = 0; d < TM_CTX; d++) { /* the nearest class that is known */
        if (class - d >= 0 && m->ctx[class - d].n > 0)
            return m->ctx[class - d].ms;
        if (class + d < TM_CTX && m->ctx[class + d].n > 0)
            return m->ctx[class + d].ms;
    }
    return 1;
}

double tm_time(const struct time_model *m, int rows, int ctx)
{
    const int class = tm_ctx_class(ctx);
    if (rows < 1)
        return 0;
    if (rows <= TM_ROWS && m->cell[rows][class].n >= CELL_TRUST)
        return m->cell[rows][class].ms;
    return by_rows(m, rows) * factor(m, class);
}

void tm_see(struct time_model *m, int rows, int ctx, double ms)
{
    const int class = tm_ctx_class(ctx);
    if (rows < 1 || rows > TM_ROWS || !(ms > 0))
        return;
    follow(&m->cell[rows][class], ms);
    const double base = by_rows(m, rows);
    if (m->rows[rows].n >= 1 && base > 0)
        follow(&m->ctx[class], ms / base);
    follow(&m->rows[rows], ms / factor(m, class));
}
