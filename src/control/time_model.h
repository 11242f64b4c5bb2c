/* T(rows, context): what a pass takes on this machine, now.
 *
 * A value per number of rows, times a factor per context class; a cell that has seen enough passes of its own overrides
 * both. Each value is a moving low quantile of real passes: it follows the machine, and forgets what a neighbour stole.
 * Rows in between are interpolated, rows beyond extrapolated by the last slope. SRC: kernels.md A.2. */
#ifndef OTR_CONTROL_TIME_MODEL_H
#define OTR_CONTROL_TIME_MODEL_H

#include <stdbool.h>
#include <stdio.h>

enum { TM_ROWS = 96, TM_CTX = 12 }; /* rows 1..TM_ROWS; context classes: up to 64, 128, 256, ... */

struct tm_cell {
    double ms;
    double n; /* passes seen; 0: nothing, below 1: a fit's or a file's guess */
};
struct time_model {
    struct tm_cell rows[TM_ROWS + 1];
    struct tm_cell ctx[TM_CTX]; /* ms: the factor on rows[] */
    struct tm_cell cell[TM_ROWS + 1][TM_CTX];
};

int tm_ctx_class(int ctx);
void tm_guess(struct time_model *m, int rows, double ms); /* kept until real passes come */
void tm_see(struct time_model *m, int rows, int ctx, double ms);
double tm_time(const struct time_model *m, int rows, int ctx); /* 0: nothing known */

#endif
