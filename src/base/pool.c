/* Owns the threads of an engine and the ways they wait for each other. See pool.h; read next: cpus.c.
 *
 * A run is one increment of `epoch`; a barrier is a count of arrivals and one increment of `turn`. Whoever waits for
 * such a word spins, then sleeps in the kernel; whoever changes it wakes sleepers only if there are any.
 * WHY no yielding in between: it gives a whole time slice to any other program; a sleeper is woken at once (SPEED.md).
 */
#include "base/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* WHY a long spin: who sleeps loses its core for a time slice, to programs of low priority too.
 * WHY a short one: two of our threads on one core keep each other waiting for as long as they spin.
 * So a spin that was in vain shortens the next ones, and success lengthens them again (SPEED.md). */
enum {
    SPIN_MIN = 2000,  /* about 0.1 ms: longer than a wait on a quiet machine */
    SPIN_MAX = 40000, /* 0.5 to 3 ms */
    CACHE_LINE = 64,
};
static _Thread_local int spin_rounds = SPIN_MAX;

struct signal { /* a word that changes, alone on its cache line */
    _Alignas(CACHE_LINE) _Atomic uint32_t word;
    _Atomic uint32_t sleepers;
};

struct pool {
    struct signal epoch, turn;
    _Alignas(CACHE_LINE) _Atomic int arrived;
    int n_threads;
    bool crowded;  /* more threads than CPUs: no spinning, it would keep another of ours waiting */
    int n_started; /* pthreads that exist */
    bool quit;     /* written before an epoch, read after it */
    pool_fn fn;
    void *arg;
    pthread_t *thread;    /* [n_threads - 1] */
    struct pool_ctx *ctx; /* [n_threads] */
};

/* ---- waiting ---- */

static void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    return syscall(SYS_futex, (void *)word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void signal_change(struct signal *s)
{
    atomic_fetch_add(&s->word, 1);
    if (atomic_load(&s->sleepers) > 0) /* INV: a sleeper counted itself before the kernel compared the word */
        futex(&s->word, FUTEX_WAKE, INT32_MAX);
}

static void signal_wait(struct signal *s, uint32_t old, bool crowded)
{
    for (int i = 0; i < spin_rounds && !crowded; i++) {
        if (atomic_load_explicit(&s->word, memory_order_acquire) != old) {
            spin_rounds += spin_rounds < SPIN_MAX ? spin_rounds / 8 : 0;
            return;
        }
        relax();
    }
    if (!crowded) /* where nothing was spun, nothing was learnt */
        spin_rounds = spin_rounds / 4 > SPIN_MIN ? spin_rounds / 4 : SPIN_MIN;
    atomic_fetch_add(&s->sleepers, 1);
    while (atomic_load(&s->word) == old)
        futex(&s->word, FUTEX_WAIT, old);
    atomic_fetch_sub(&s->sleepers, 1);
}

void pool_barrier(const struct pool_ctx *ctx)
{
    struct pool *p = ctx->pool;
    if (p->n_threads == 1)
        return;
    const uint32_t turn = atomic_load_explicit(&p->turn.word, memory_order_relaxed);
    if (atomic_fetch_add(&p->arrived, 1) == p->n_threads - 1) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        signal_change(&p->turn);
    } else {
        signal_wait(&p->turn, turn, p->crowded);
    }
}

/* ---- running ---- */

/* Rounding to nearest, no flushing of denormals: the same numbers in whatever program we are linked into.
 * Returns what to restore. */
static unsigned float_mode_set(void)
{
#if defined(__x86_64__)
    const unsigned old = _mm_getcsr();
    _mm_setcsr((old & ~0xe040u) | 0x1f80u); /* RC, FTZ, DAZ off; exceptions masked */
    return old;
#else
    return 0;
#endif
}

static void float_mode_restore(unsigned old)
{
#if defined(__x86_64__)
    _mm_setcsr(old);
#else
    (void)old;
#endif
}

static void *worker(void *arg)
{
    const struct pool_ctx *ctx = arg;
    struct pool *p = ctx->pool;
    float_mode_set();
    for (uint32_t seen = 0;; seen++) {
        signal_wait(&p->epoch, seen, p->crowded);
        if (p->quit)
            return NULL;
        p->fn(ctx, p->arg);
        pool_barrier(ctx);
    }
}

void pool_run(struct pool *p, pool_fn fn, void *arg)
{
    const unsigned mode = float_mode_set();
    p->fn = fn;
    p->arg = arg;
    if (p->n_threads > 1)
        signal_change(&p->epoch);
    fn(&p->ctx[0], arg);
    pool_barrier(&p->ctx[0]);
    float_mode_restore(mode);
}

/* ---- life ---- */

int pool_create(struct pool **out, int n_threads, struct otr_err *err)
{
    const int n_core = pool_default_threads(), n = n_threads > 0 ? n_threads : n_core;
    if (n > POOL_MAX_THREADS)
        return OTR_FAIL(err, ARG, "%d threads (at most %d)", n, POOL_MAX_THREADS);
    struct pool *p = aligned_alloc(CACHE_LINE, sizeof *p);
    if (!p)
        return OTR_FAIL(err, NOMEM, "no memory for the thread pool");
    *p = (struct pool){.n_threads = n, .crowded = n > n_core};
    p->ctx = calloc((size_t)n, sizeof *p->ctx);
    p->thread = calloc((size_t)n, sizeof *p->thread);
    int rc = p->ctx && p->thread ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for %d threads", n);
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        p->ctx[i] = (struct pool_ctx){p, i, n};
        if (i == 0)
            continue;
        if (pthread_create(&p->thread[i], NULL, worker, &p->ctx[i]) != 0)
            rc = OTR_FAIL(err, LIMIT, "cannot start thread %d of %d: use fewer threads (-t)", i + 1, n);
        else
            p->n_started++;
    }
    if (rc < 0) {
        pool_destroy(p);
        return rc;
    }
    *out = p;
    return OTR_OK;
}

void pool_destroy(struct pool *p)
{
    if (!p)
        return;
    p->quit = true;
    signal_change(&p->epoch);
    for (int i = 1; i <= p->n_started; i++)
        pthread_join(p->thread[i], NULL);
    free(p->ctx);
    free(p->thread);
    free(p);
}

int pool_n_threads(const struct pool *p)
{
    return p->n_threads;
}
