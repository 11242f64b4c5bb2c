/* Three measurements: products of one matrix type with 1 to 16 tokens, whole forward passes of 1 to 16 rows, and the
 * tokens a second that a user sees.
 *
 * The rules are kernels.md E: the roof in the same run, far more bytes than the last cache holds, all row counts in
 * turn inside a pass, threads started together, passes only while the threads are cores of their own, and every row
 * compared with the one-row product before any time is believed. In: a kernel level and sizes; an engine. Out: structs
 * of milliseconds; app/bench.c prints them. Read next: bench_kernels.c, bench_forward.c,
 * bench_speed.c. */
#ifndef OTR_BENCH_BENCH_H
#define OTR_BENCH_BENCH_H

#include "bench/roof.h"
#include "bench/team.h"
#include "engine/engine.h"

enum { BENCH_MAX_M = 16 };

/* Called before each pass; may be NULL. */
typedef void (*bench_progress)(const char *what, int pass, int n_pass);

/* ---- what the command line says ---- */

/* "16,256,1024": 1..cap whole numbers of [lo, hi]. Returns how many, or OTR_E_ARG. flag: for the message. */
int bench_parse_ints(const char *text, const char *flag, int lo, int hi, int *out, int cap, struct otr_err *err);
/* "Q4_0", "q4_0": a type that we multiply. */
int bench_parse_type(const char *text, enum ggml_type *out, struct otr_err *err);
extern const enum ggml_type bench_types[]; /* [BENCH_N_TYPE] all of them */
enum { BENCH_N_TYPE = 11 };

/* ---- the machine, once a run ---- */

struct bench_machine {
    const char *level;
    int n_threads;
    size_t l3_bytes;   /* 0: not known */
    double barrier_ns; /* median */
    double lost_frac;
};
struct bench_machine bench_machine(struct team *t);
/* Weights of so many bytes may partly stay in the last cache between passes. */
static inline bool bench_is_small(size_t bytes, size_t l3_bytes)
{
    return bytes < 4 * l3_bytes;
}

/* ---- products ---- */

/* Megabytes of weights to measure with: 10 x the last cache, at least 600, at most 1200 (a pass takes seconds). */
int bench_default_mb(size_t l3_bytes);

struct bench_kernel_opts {
    int n_rows, n_cols; /* n_rows: a multiple of KERN_ROW_UNIT */
    int mb;             /* of weights at least; never less than one matrix */
    int n_pass;
    bench_progress progress;
};
struct bench_kernel {
    enum ggml_type type;
    int n_mat;                    /* matrices that are multiplied one after the other */
    size_t bytes, tensor_bytes;   /* of all: as the kernels read them, and as GGUF holds them */
    double huge_frac;             /* share of bytes in huge pages; -1: not known */
    struct spread roof[ROOF_N];   /* reading all bytes; sums over chunks, ms */
    struct spread t[BENCH_MAX_M]; /* multiplying all of them with m = i + 1 tokens */
    bool same[BENCH_MAX_M];       /* bits equal to those of m = 1 */
    double gop[BENCH_MAX_M];      /* 1e9 operations of that; 1 multiply-add = 2 */
    double peak_gops, peak1_gops; /* from a cached matrix: all threads; one alone */
    struct pair_count pair;
    struct tile_plan plan[PLAN_N_CLASS]; /* what was followed; most 0: the level has no plans */
};
/* OTR_E_ARG: n_cols does not fit the type. */
int bench_kernel(struct bench_kernel *out, struct team *t, enum ggml_type type, const struct bench_kernel_opts *o,
                 struct otr_err *err);

/* ---- a whole model: what is read ---- */

/* Text is of no account, but it must be the same in each pass. */
int32_t bench_token_at(const struct otr_model *m, int pos);
size_t bench_weight_bytes(const struct otr_model *m); /* that one token reads, in the file's types */

struct bench_reads {
    const void *weights; /* as the kernels read them; as many bytes of memory where they lie in the file */
    size_t weights_bytes;
    char *own, *memory; /* mappings or NULL */
    size_t memory_bytes;
};
/* mb: of memory; 0: none. bench_reads_close in any case. */
int bench_reads_open(struct bench_reads *r, const struct otr_engine *e, int mb, struct otr_err *err);
void bench_reads_close(struct bench_reads *r);
/* One pass with each number of streams into column `pass` of ms[ROOF_N][n_pass]. */
void bench_read(struct team *t, const void *p, size_t bytes, double *ms, int pass, int n_pass);

/* Two ways to multiply, A and B: levels, or plans of one. */
struct bench_side {
    struct kernels k;
    int plan_no; /* in the level's menu; where it offers less, its own */
    bool has_plan;
    struct plan_set plans;
};
/* "avx2", "1", "avx2:1"; n bytes of text. level: of a plan alone; NULL: the best. */
int bench_side_parse(struct bench_side *out, const char *text, size_t n, const char *level, struct otr_err *err);
struct ab_ratio {
    double q25, median, q75; /* of B's time / A's, chunk by chunk and pass by pass */
};
struct bench_ab {
    enum ggml_type type;
    size_t bytes;                                   /* of A, and of B again */
    struct ab_ratio ratio[BENCH_MAX_M], roof_ratio; /* roof: of reading with 2 streams; 1 but for where the bytes lie */
    struct spread roof[2], t[2][BENCH_MAX_M];
    bool same[BENCH_MAX_M]; /* bits of A and B equal, and to those of m = 1 */
    struct pair_count pair;
};
int bench_ab(struct bench_ab *out, struct team *t, enum ggml_type type, const struct bench_side side[2],
             const struct bench_kernel_opts *o, struct otr_err *err);

/* ---- targets (kernels.md D: avx2, D.2: avx512vnni) ---- */

enum { TARGET_T1, TARGET_T2, TARGET_T4, TARGET_T8, TARGET_T16, TARGET_KNEE, TARGET_REST, TARGET_P, TARGET_N };
extern const char *const target_name[TARGET_N];
struct target {
    double got, want;
    bool at_least; /* else at most */
    bool pass;
};
/* false: there are none for this level or number of threads. */
bool bench_targets(struct target out[TARGET_N], const struct bench_kernel *r, const char *level, int n_threads);
/* Tokens with which arithmetic at P takes as long as reading at the roof: where T(M) is furthest above either. */
double bench_crossing(const struct bench_kernel *r, int n_threads);

/* ---- forward passes ---- */

struct bench_forward_opts {
    int mb; /* memory read for the roof of the memory itself; 0: none */
    int n_pass;
    bench_progress progress;
};
struct bench_forward {
    int ctx;
    size_t weight_bytes, kv_bytes; /* that one row reads: in the file's types; K and V */
    size_t read_bytes;             /* weights as the kernels read them */
    struct spread roof[ROOF_N];    /* reading read_bytes, where the weights lie; ms */
    size_t memory_bytes;           /* 0: not asked for */
    struct spread memory[ROOF_N];  /* reading memory_bytes */
    struct spread t[BENCH_MAX_M];
    bool same[BENCH_MAX_M];
    double phase[BENCH_MAX_M][FWD_N_PHASE]; /* minima, ms */
    struct pair_count pair;
    double huge_frac;
};
/* Passes at the end of ctx tokens in a sequence of its own; nothing of it stays. ctx + BENCH_MAX_M <= n_ctx of e. */
int bench_forward(struct bench_forward *out, struct otr_engine *e, struct team *t, int ctx,
                  const struct bench_forward_opts *o, struct otr_err *err);

/* ---- replies ---- */

/* How tokens are drawn: the likeliest; from all of them at temperature 0.7; from the likeliest at 0.7 without top-k. */
enum bench_speed_kind { SPEED_GREEDY, SPEED_TEMP, SPEED_TOP_P, SPEED_N_KIND };
enum { SPEED_MAX_PROMPTS = 4 };

struct bench_speed_opts {
    int depth, n_gen; /* tokens before the reply, and in it */
    int prompts[SPEED_MAX_PROMPTS], n_prompts;
    int mb;
    int n_round;
    bench_progress progress;
};
struct bench_series {
    int n_tok;
    double *ms; /* [n_round], of n_tok tokens */
};
struct bench_speed {
    size_t weight_bytes, read_bytes, memory_bytes;                /* as in bench_forward */
    struct bench_series series[SPEED_N_KIND + SPEED_MAX_PROMPTS]; /* [n_series]: each kind, then each prompt */
    int n_series;
    double *roof_ms, *memory_ms; /* [ROOF_N][n_round] of read_bytes and memory_bytes */
    double *samples;             /* owned: all of the above */
};
/* Sequences of its own. bench_speed_free in any case. */
int bench_speed(struct bench_speed *out, struct otr_engine *e, struct team *t, const struct bench_speed_opts *o,
                struct otr_err *err);
void bench_speed_free(struct bench_speed *r);

#endif
