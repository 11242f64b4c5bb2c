/* Owns T(rows, context). See time_model.h; read next: acceptance.h. */
#include "control/time_model.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define QUANTILE 0.4 /* followed; not the mean: a pass on a stolen core takes three times as long */
#define UP 1.15      /* most that one pass changes an estimate */
#define DOWN 0.75
#define JUMP 1.2  /* ... and as many passes in a row beyond this, on one side, are a change of pace */
#define DRIFT 1.1 /* most that passes of more rows change what those of one row said of the pace */
enum {
    JUMP_PASSES = 5,
    JUMP_KNOWN = 4,   /* only passes whose time was seen so often count for that */
    LEAST_PROMPT = 8, /* rows: fewer say nothing of one row's cost */
    MEMORY = 16,      /* passes of a ratio that count ... */
    FRESH = 32,       /* ... fewer, when more than so many others came since ... */
    LEAN = 4,         /* ... against so many of what fewer rows promise */
    OLD = 128,        /* passes after which what was not tried begins to look cheaper ... */
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
    r->x = r->n > 0 ? follow(r->x, r->n, x, 0.04) : fmin(fmax(x, start * DOWN), start * UP);
    r->n += r->n < 1 ? 1 - r->n : r->n < 1e6;
    r->last = now;
}

/* The entry of a class, or of the nearest class that is known; NULL: none is. */
static const struct tm_ratio *nearest(const struct tm_ratio *of, int class)
{
    for (int d = 0; d < TM_CTX; d++) {
        if (class - d >= 0 && of[class - d].n > 0)
            return &of[class - d];
        if (class + d < TM_CTX && of[class + d].n > 0)
            return &of[class + d];
    }
    return NULL;
}

void tm_guess(struct time_model *m, int rows, double ms)
{
    if (rows < 1 || rows > TM_ROWS || !(ms > 0))
        return;
    if (rows == 1)
        m->pace[0] = (struct tm_ratio){ms, 0.5, 0};
    else if (m->pace[0].n > 0)
        m->rel[rows][0] = (struct tm_ratio){ms / m->pace[0].x, 0.5, 0};
}

void tm_see_prompt(struct time_model *m, int rows, double ms, double layers)
{
    if (rows < LEAST_PROMPT || !(ms > 0))
        return;
    m->prompt_rows = rows;
    m->prompt_ms = ms;
    m->prompt_layers = layers;
}

double tm_prompt_ms(const struct time_model *m)
{
    return m->prompt_ms > 0 ? m->prompt_ms / m->prompt_rows : 0;
}

/* rel of one row more, before any pass of several rows: reading the weights and computing with them do not overlap much
 * (kernels.md A.2, D), so the rows of a prompt beyond the first say it. */
static double prior_slope(const struct time_model *m, int class)
{
    const struct tm_ratio *pace = nearest(m->pace, class);
    if (!(m->prompt_ms > 0) || !pace)
        return 0.1;
    return fmin((m->prompt_ms / pace->x - 1) / ((m->prompt_rows - 1) * m->prompt_layers), 1);
}

/* rel by known ones of fewer rows: by their last slope. */
static double from_below(const struct time_model *m, int rows, int class)
{
    const struct tm_ratio *lo = NULL, *before = NULL;
    int at_lo = 1, at_before = 1;
    for (int r = rows - 1 < TM_ROWS ? rows - 1 : TM_ROWS; r > 1 && !before; r--) {
        const struct tm_ratio *x = nearest(m->rel[r], class);
        if (x && !lo)
            lo = x, at_lo = r;
        else if (x && r <= (at_lo + 1) / 2) /* WHY not the next: the slope between two neighbours is mostly noise */
            before = x, at_before = r;
    }
    const double a = lo ? lo->x : 1, b = before ? before->x : 1,
                 slope = lo ? (a - b) / (at_lo - at_before) : prior_slope(m, class);
    return a + (rows - at_lo) * fmax(slope, 0.02);
}

/* rel at any number of rows: as known, between known ones by a line, beyond them by the last slope. */
static double line(const struct time_model *m, int rows, int class)
{
    const struct tm_ratio *lo = NULL, *hi = NULL;
    int at_lo = 1, at_hi = rows;
    if (rows == 1)
        return 1;
    for (int r = rows < TM_ROWS ? rows : TM_ROWS; r > 1 && !lo; r--)
        if ((lo = nearest(m->rel[r], class)))
            at_lo = r;
    if (lo && at_lo == rows)
        return lo->x;
    for (int r = rows; r <= TM_ROWS && !hi; r++)
        if ((hi = nearest(m->rel[r], class)))
            at_hi = r;
    if (!hi)
        return from_below(m, rows, class);
    const double a = lo ? lo->x : 1;
    return a + (hi->x - a) * (rows - at_lo) / (at_hi - at_lo);
}

/* Passes that a ratio counts as: fewer, the longer ago they were. */
static double weight(const struct time_model *m, const struct tm_ratio *r)
{
    return fmin(r->n, MEMORY) / fmax((double)(m->n - r->last) / FRESH, 1);
}

/* x: what it was in a pass; start: what was expected. */
static void see_rel(struct time_model *m, int rows, int class, double x, double start)
{
    struct tm_ratio *r = &m->rel[rows][class];
    if (r->n >= 1)
        r->n = fmax(weight(m, r), 1); /* what is old follows fast again */
    see(r, x, start, m->n);
}

/* A ratio as choices take it: what few passes said, or old ones, leans on what fewer rows promise. WHY
 * only down: some slow passes must not keep a length from being tried again; a fast one soon finds out. */
static double hopeful(const struct time_model *m, int rows, int class, double x)
{
    const struct tm_ratio *r = rows > 1 && rows <= TM_ROWS ? nearest(m->rel[rows], class) : NULL;
    if (!r || r->n < 1)
        return x;
    const double w = weight(m, r);
    double doublings = 0;
    for (double a = OLD; a < (double)(m->n - r->last) && doublings < 5; a *= 2)
        doublings++;
    return fmin(x, (w * x + LEAN * from_below(m, rows, class)) / (w + LEAN)) * (1 - OPTIMISM * doublings);
}

/* Not above what more rows take, nor under one row. */
static double rel(const struct time_model *m, int rows, int class)
{
    double x = hopeful(m, rows, class, line(m, rows, class));
    for (int r = rows + 1; r <= TM_ROWS && r <= rows + 16; r++) {
        const struct tm_ratio *more = nearest(m->rel[r], class);
        if (more)
            x = fmin(x, more->x);
    }
    return rows > 1 ? fmax(x, 1) : 1;
}

double tm_time(const struct time_model *m, int rows, int ctx)
{
    const int class = tm_ctx_class(ctx);
    const struct tm_ratio *pace = nearest(m->pace, class);
    return rows < 1 || !pace ? 0 : pace->x * rel(m, rows, class);
}

/* Ratios do not change from one pass to the next; the machine does: then all its times change by one factor. Without
 * this, where every step drafts, the ratios would take the change, and keep it when the machine is itself again.
 * by: time over what was expected. */
static void see_jump(struct time_model *m, double by)
{
    if (by < JUMP && by > 1 / JUMP) {
        m->n_jump = 0;
        return;
    }
    if (m->n_jump == 0 || (m->jump > 1) != (by > 1)) {
        m->n_jump = 0;
        m->jump = by;
    }
    m->jump = by > 1 ? fmin(m->jump, by) : fmax(m->jump, by);
    if (++m->n_jump < JUMP_PASSES)
        return;
    for (int c = 0; c < TM_CTX; c++) {
        m->pace[c].x *= m->jump;
        m->plain[c] *= m->jump;
    }
    m->n_jump = 0;
}

void tm_see(struct time_model *m, int rows, int ctx, double ms)
{
    const int class = tm_ctx_class(ctx);
    if (rows < 1 || rows > TM_ROWS || !(ms > 0))
        return;
    const struct tm_ratio *known = nearest(m->pace, class);
    struct tm_ratio *pace = &m->pace[class];
    const double x = line(m, rows, class);
    m->n++;
    if (pace->n == 0)
        *pace = (struct tm_ratio){known ? known->x : ms / x, 0.5, m->n};
    if ((rows == 1 ? pace : &m->rel[rows][class])->n >= JUMP_KNOWN)
        see_jump(m, ms / (pace->x * x));
    if (rows == 1 || !(m->plain[class] > 0)) {
        if (rows == 1)
            see(pace, ms, pace->x, m->n);
        m->plain[class] = pace->x;
    }
    if (rows > 1) { /* mostly the ratio: where nothing else runs, the two cannot be told apart, and would drift */
        const double plain = m->plain[class];
        pace->x = fmin(fmax(follow(pace->x, 1e6, ms / x, 0.01), plain / DRIFT), plain * DRIFT);
        see_rel(m, rows, class, ms / pace->x, x);
    }
}

void tm_see_ratio(struct time_model *m, int rows, int ctx, double ratio)
{
    const int class = tm_ctx_class(ctx);
    if (rows < 2 || rows > TM_ROWS || !(ratio > 0))
        return;
    m->n++;
    see_rel(m, rows, class, ratio, line(m, rows, class));
}
