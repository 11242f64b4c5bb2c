/* Sweeps over weights that no cache holds: what `bench kernels` and its comparison of two kernels are made of.
 *
 * The same random matrix lies in memory n_mat times. A pass sweeps over all copies for one kind of work after the other
 * (three ways of reading, then 1 to 16 tokens), so that each sweep finds the caches full of something else. A sweep is
 * cut into chunks of about 1 MB per thread; threads start each chunk together; its time is last end - first start.
 * Read next: sweep.c. */
#ifndef OTR_BENCH_SWEEP_H
#define OTR_BENCH_SWEEP_H

#include "bench/bench.h"

enum { SWEEP_N_KIND = ROOF_N + BENCH_MAX_M }; /* ways of reading, then 1 to 16 tokens */

struct sweep_span {
    uint64_t start, end;
};

struct sweep {
    struct team *team;
    const struct kernels *k;
    enum ggml_type type;
    int n_rows, n_cols, n_mat, n_chunk; /* n_chunk: of one matrix */
    size_t mat_bytes;                   /* a multiple of 64 */
    size_t row_bytes;                   /* of the matrix in GGUF */
    bool packed;                        /* false: the level multiplies GGUF rows */
    const struct tile_plan *plan;       /* NULL: the level's own */
    char *weights;                      /* [n_mat] of mat_bytes */
    char *rows;                         /* GGUF rows of the matrix */
    void *arena;
    const void *act[BENCH_MAX_M + 1]; /* tokens 0..m-1, packed together */
    const void *one[BENCH_MAX_M];     /* token i alone */
    float *x, *out, *ref;             /* [16, n_cols]; [16, n_rows] twice */
    struct sweep_span *span;          /* [n_threads][SWEEP_N_KIND * n_mat * n_chunk] of this pass */
    double *ms;                       /* [SWEEP_N_KIND * n_mat * n_chunk][n_pass] */
    int m;                            /* tokens of check_thread */
    const void *m_act;
    float *m_out;
    double peak_gops;
};

/* In: team, k, type, plan; n_mat and n_chunk, or 0: by o. The rest zero. sweep_close takes a half-opened one. */
int sweep_open(struct sweep *s, const struct bench_kernel_opts *o, struct otr_err *err);
void sweep_close(struct sweep *s);
size_t sweep_n_item(const struct sweep *s); /* times of a pass: [kind][matrix][chunk] */
/* Fills s->ref, token by token, and says for m = i + 1 whether all at once give the same bits. */
void sweep_check(struct sweep *s, bool *same);
void sweep_pass(struct sweep *s, int pass, int n_pass);
/* Per chunk the quantiles over the passes, summed. Sorts the chunks' times: no pass belongs to a place any more. */
struct spread sweep_sum(const struct sweep *s, int kind, int n_pass);
double sweep_gop(const struct sweep *s, int n_rows, int m);
/* A piece of the matrix that stays in a core's own cache: the best GOP/s so far, of all threads and of one. */
void sweep_peaks(struct sweep *s, double *all, double *alone);

#endif
