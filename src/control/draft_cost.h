/* What asking a drafter takes, by how deep its draft is: a line, cost = base + slope * depth. A model that drafts runs
 * once for every level, so its cost grows with the length; a lookup's does not. Old calls fade; one call moves the
 * line only so far: a stolen core says nothing about the next call. Read next: control.c. */
#ifndef OTR_CONTROL_DRAFT_COST_H
#define OTR_CONTROL_DRAFT_COST_H

struct draft_cost {
    double n, x, xx, y, xy; /* fading sums over calls: 1, depth, depth^2, ms, depth * ms; n 0: nothing known */
};

double dc_ms(const struct draft_cost *c, int depth);
void dc_see(struct draft_cost *c, int depth, double ms);
/* A guess that real calls soon outweigh: what a file said. */
void dc_guess(struct draft_cost *c, double base_ms, double slope_ms);

#endif
