/* The threads that measure: started together, timed by one clock, and asked first whether they are two cores now.
 *
 * A virtual machine's two CPUs are two cores at one moment and two threads of one core at the next (kernels.md A,
 * "Noise"): a pass of the threads counts only when a short probe just before says that they do about twice the work of
 * one. Everything here belongs to the thread that made the team, but for the lanes. Read next: roof.h. */
#ifndef OTR_BENCH_TEAM_H
#define OTR_BENCH_TEAM_H

#include <sched.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "base/ticks.h"
#include "bench/stats.h"
#include "kern/kern.h"

/* A starting line: all threads leave within a few nanoseconds. gate_reset, then each thread waits for round 1, 2, ...
 */
struct gate {
    _Alignas(64) _Atomic uint64_t arrived;
};
static inline void gate_reset(struct gate *g)
{
    atomic_store(&g->arrived, 0);
}
static inline void gate_wait(struct gate *g, uint64_t round, int n_threads)
{
    enum { SPINS = 1 << 16 };
    int n = 0;
    atomic_fetch_add(&g->arrived, 1);
    while (atomic_load_explicit(&g->arrived, memory_order_acquire) < round * (uint64_t)n_threads)
        if (++n > SPINS) /* more threads than cores */
            sched_yield();
}

struct team_lane {                    /* one thread's own */
    _Alignas(64) uint64_t start, end; /* ticks */
    uint64_t lost;                    /* ticks in which a polling thread did not run */
    uint64_t sink;                    /* what was read, so that reading cannot be left out */
    float *out;                       /* of the probe */
};

struct team {
    const struct kernels *k;
    struct pool *pool;
    struct gate gate;
    struct team_lane *lane; /* [n_threads] */
    double ticks_per_ms;
    void *arena;          /* of the probe: */
    struct mat w;         /* small, Q8_0 */
    const void *act;      /* 8 tokens */
    int repeat;           /* products that take about 100 us alone */
    double best_alone_ms; /* of these, so far */
};

/* k and pool are borrowed. */
int team_open(struct team **out, const struct kernels *k, struct pool *pool, struct otr_err *err);
void team_close(struct team *t);
double team_ms(const struct team *t, uint64_t ticks);
double team_span_ms(const struct team *t); /* last end - first start of the lanes */

/* What all threads together do of the probe's work, in units of what one does alone. */
double team_pair_factor(struct team *t);
#define PAIR_LEAST 0.85 /* of the number of threads: 1.7 of 2 */
struct pair_count {
    double sum, least; /* of the factors that were accepted */
    int n;             /* passes */
    int n_dropped;     /* probes that said no; the pass was put off */
    int n_low;         /* passes made in spite of a no, because it stayed one */
};
/* Called before each pass of n_pass: returns when the pass may run, and counts. */
void team_admit(struct team *t, struct pair_count *c, int n_pass);

double team_barrier_ns(struct team *t);           /* median of the pool's barriers */
double team_lost_frac(struct team *t, double ms); /* share of the time in which polling threads did not run */

/* ---- the machine ---- */
/* Share of [p, p + bytes) that lies in huge pages; -1: not known. */
double machine_huge_frac(const void *p, size_t bytes);

/* Anonymous memory in huge pages where the system has them; NULL: none. Released by munmap. */
void *bench_map(size_t bytes);

#endif
