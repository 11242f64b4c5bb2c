/* What the measurements of `outrider bench` share, each in a file of its own. Read next: bench.c, speed.c,
 * spec_bench.c. */
#ifndef OTR_APP_BENCH_CMD_H
#define OTR_APP_BENCH_CMD_H

#include "bench/bench.h"
#include "run_opts.h"

/* A model with an engine and a team on it. */
struct bench_target {
    struct otr_model *m;
    struct otr_engine *e;
    struct team *team;
};
/* bench_target_close in any case. */
int bench_target_open(struct bench_target *t, const struct engine_opts *o, const char *level, int n_ctx,
                      struct otr_err *err);
void bench_target_close(struct bench_target *t);

int bench_no_words(const struct flag_words *words, const char *name, struct otr_err *err);
/* A line on stderr where that is a terminal. */
void bench_show_progress(const char *what, int pass, int n_pass);
void bench_progress_end(void);

int cmd_bench_speed(int argc, char **argv); /* argv[0]: "speed" */
int cmd_bench_spec(int argc, char **argv);
int cmd_bench_skip_search(int argc, char **argv);

#endif
