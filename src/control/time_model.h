/* T(rows, context): what a pass takes on this machine, now.
 *
 * T = pace(context class) * rel(rows, class). The pace of one row follows every pass of one row, and a change that
 * some passes in a row show alike, whatever their rows; so a machine that got slower or faster is seen at all lengths
 * at once. The ratios, which choices depend on, move slowly. Both follow a low quantile of the real passes, and one
 * pass moves them only so far: a stolen core says nothing about the next pass. A class that was never seen borrows from
 * the nearest. T never falls with rows, and what was not tried for long is taken to be a little cheaper than it was, so
 * that one bad memory does not forbid a length for ever. SRC: kernels.md A.2. Read next: acceptance.h. */
#ifndef OTR_CONTROL_TIME_MODEL_H
#define OTR_CONTROL_TIME_MODEL_H

enum { TM_ROWS = 96, TM_CTX = 12 }; /* rows 1..TM_ROWS; context classes: up to 64, 128, 256, ... */

struct tm_ratio {
    double x, n; /* n: passes seen; 0: nothing known, below 1: a guess of a fit or a file */
    long last;   /* pass at which it was seen */
};
struct time_model {
    struct tm_ratio pace[TM_CTX];             /* x: ms of one row */
    double plain[TM_CTX];                     /* what passes of one row said of it last */
    struct tm_ratio rel[TM_ROWS + 1][TM_CTX]; /* [1] is not used: it is 1 */
    long n;                                   /* passes */
    double jump;                              /* the least change in the last n_jump passes, all to one side */
    int n_jump;
    double prompt_ms, prompt_layers; /* the last pass over a prompt; ms 0: none */
    int prompt_rows;
};

int tm_ctx_class(int ctx);
void tm_guess(struct time_model *m, int rows, double ms); /* rows 1 first; kept until real passes come */
/* What a row more costs, for as long as no pass of several rows has said it. layers: see control.h. */
void tm_see_prompt(struct time_model *m, int rows, double ms, double layers);
void tm_see(struct time_model *m, int rows, int ctx, double ms);
/* A pass that says nothing of the pace, and how many times as long as one row it took. */
void tm_see_ratio(struct time_model *m, int rows, int ctx, double ratio);
double tm_prompt_ms(const struct time_model *m);               /* of a token of a prompt; 0: no prompt was seen */
double tm_time(const struct time_model *m, int rows, int ctx); /* 0: nothing known */

#endif
