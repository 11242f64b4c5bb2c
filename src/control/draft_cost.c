/* Owns the cost of a draft by its depth. See draft_cost.h. */
#include "control/draft_cost.h"

#include <math.h>

#define FADE 0.97
#define FAR 3.0    /* a call counts for at most so many times what was expected */
#define FEW 4      /* calls after which that holds */
#define SPREAD 0.5 /* of depth, from which on two unknowns can be told apart */

static void line(const struct draft_cost *c, double *base, double *slope)
{
    const double mean_x = c->x / c->n, mean_y = c->y / c->n, var = c->xx / c->n - mean_x * mean_x;
    *base = 0;
    *slope = mean_y / fmax(mean_x, 1); /* all of it grows with the depth */
    if (var < SPREAD)
        return;
    const double s = fmin(fmax((c->xy / c->n - mean_x * mean_y) / var, 0), *slope);
    *base = mean_y - s * mean_x;
    *slope = s;
}

double dc_ms(const struct draft_cost *c, int depth)
{
    double base, slope;
    if (!(c->n > 0))
        return 0;
    line(c, &base, &slope);
    return base + slope * depth;
}

static void add(struct draft_cost *c, double weight, double x, double y)
{
    c->n += weight;
    c->x += weight * x;
    c->xx += weight * x * x;
    c->y += weight * y;
    c->xy += weight * x * y;
}

void dc_see(struct draft_cost *c, int depth, double ms)
{
    if (!(ms > 0) || depth < 1)
        return;
    const double most = c->n >= FEW ? FAR * dc_ms(c, depth) : (double)INFINITY;
    c->n *= FADE;
    c->x *= FADE;
    c->xx *= FADE;
    c->y *= FADE;
    c->xy *= FADE;
    add(c, 1, depth, fmin(ms, most));
}

void dc_guess(struct draft_cost *c, double base_ms, double slope_ms)
{
    *c = (struct draft_cost){0};
    add(c, 0.5, 1, base_ms + slope_ms);
    add(c, 0.5, 8, base_ms + slope_ms * 8);
}
