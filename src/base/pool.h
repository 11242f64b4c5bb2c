/* The one thread pool of an engine. Work is split by index, never by who is free, so results cannot depend on it.
 *
 * pool_run starts fn on the active threads (the caller is thread 0) and returns when all are done. Inside fn,
 * pool_barrier joins them. Waiting spins first, then sleeps on a futex; between runs the threads sleep.
 * A child of fork has no threads: it must not use the pool, nor destroy it. */
#ifndef OTR_BASE_POOL_H
#define OTR_BASE_POOL_H

#include "base/err.h"

enum { POOL_MAX_THREADS = 256, POOL_BY_LOAD = 0 };

struct pool;

/* One per call of fn. */
struct pool_ctx {
    struct pool *pool;
    int tid, n_threads; /* of this run */
};
typedef void (*pool_fn)(const struct pool_ctx *ctx, void *arg);

int pool_create(struct pool **out, int n_threads, struct otr_err *err); /* n_threads 0: pool_default_threads() */
void pool_destroy(struct pool *p);
int pool_n_threads(const struct pool *p);
int pool_default_threads(void); /* physical cores within the affinity mask and the cgroup quota, at least 1 */

/* How many threads run from now on; at first all. POOL_BY_LOAD: fewer while another program holds a core of ours. */
void pool_set_active(struct pool *p, int n);
/* So many threads less run from now on, but at least one, while their cores do other work of ours. Adds up; a negative
 * number takes threads back. Between runs, by the engine thread. */
void pool_lend(struct pool *p, int n);
int pool_n_lent(const struct pool *p);
int pool_n_active(const struct pool *p); /* of the next run */

void pool_run(struct pool *p, pool_fn fn, void *arg); /* engine thread */
void pool_barrier(const struct pool_ctx *ctx);        /* inside fn, by every thread */

/* This thread's share [*lo, *hi) of n items in units of `unit` items (the last unit may be short). */
static inline void pool_share(const struct pool_ctx *ctx, int n, int unit, int *lo, int *hi)
{
    const long long n_unit = (n + unit - 1) / unit;
    const long long a = n_unit * ctx->tid / ctx->n_threads * unit, b = n_unit * (ctx->tid + 1) / ctx->n_threads * unit;
    *lo = (int)(a < n ? a : n);
    *hi = (int)(b < n ? b : n);
}

#endif
