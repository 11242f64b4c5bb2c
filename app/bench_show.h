/* How `outrider bench` prints what it measured. Read next: bench.c. */
#ifndef OTR_APP_BENCH_SHOW_H
#define OTR_APP_BENCH_SHOW_H

#include <jansson.h>

#include "bench/bench.h"

/* Tables for people, on stdout. */
void bench_show_machine(const struct bench_machine *m);
void bench_show_kernel(const struct bench_kernel *r, const struct bench_machine *m, const struct bench_kernel_opts *o);
/* Each figure beside its target, pass or fail; a line that there is none. */
void bench_show_targets(const struct bench_kernel *r, const struct bench_machine *m);
void bench_show_ab(const struct bench_ab *r, const struct bench_side side[2], const struct bench_machine *m,
                   const struct bench_kernel_opts *o);
void bench_show_forward(const struct bench_forward *r, const struct bench_machine *m);
/* T/T(1) of r[n_levels][n_ctx] side by side. */
void bench_show_levels(const struct bench_forward *r, int n_ctx, const struct bench_machine *m, int n_levels);
void bench_show_speed(const struct bench_speed *r, const struct bench_speed_opts *o, const struct team *t);
/* The same as JSON; NULL: no memory. */
json_t *bench_json_machine(const struct bench_machine *m);
json_t *bench_json_kernel(const struct bench_kernel *r, const struct bench_machine *m);
json_t *bench_json_forward(const struct bench_forward *r, const struct bench_machine *m);
json_t *bench_json_speed(const struct bench_speed *r, const struct bench_speed_opts *o, const struct team *t,
                         const char *model);

#endif
