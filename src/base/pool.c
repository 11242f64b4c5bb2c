/* Owns the threads of an engine, where they run, and the ways they wait for each other. See pool.h; read next: cpus.c.
 *
 * A worker's run is one increment of its own word `go`; a barrier is a count of arrivals and one increment of `turn`.
 * Whoever waits for such a word spins, then sleeps in the kernel; whoever changes it wakes sleepers only if there are
 * any. WHY no yielding in between: it gives a whole time slice to any other program; a sleeper is woken at once
 * (SPEED.md).
 *
 * Where the threads are as many as the cores and no other pool has claimed these, each is bound to a core of its own:
 * two on one core wait for each other's time slices. The caller's thread is the host program's, so it is bound only
 * while it runs for us.
 *
 * A core that another program keeps busy halves the speed of all threads, for they meet at every barrier. With
 * POOL_BY_LOAD the time lost to late threads is counted, and while it is more than a thread is worth, one less runs. */
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

#include "base/clock.h"
#include "base/cpus.h"

/* WHY a long spin: who sleeps loses its core for a time slice, to programs of low priority too.
 * WHY a short one: two of our threads on one core keep each other waiting for as long as they spin.
 * So a spin that was in vain shortens the next ones, and success lengthens them again (SPEED.md). */
enum {
    SPIN_MIN = 2000,  /* about 0.1 ms: longer than a wait on a quiet machine */
    SPIN_MAX = 40000, /* 0.5 to 3 ms */
    CACHE_LINE = 64,
};
static _Thread_local int spin_rounds = SPIN_MAX;

/* By load: late threads are judged over a window of running time; the judgement holds for a while, longer each time.
 * LATE_MS: shorter waits come from the work itself. WINDOW_MS: a program of nice 19 takes a slice of 4 ms once in a
 * while, one of nice 0 every other one. LOSS_SHARE, of 1 / n_active: where memory is the limit the last thread adds
 * less than that (SPEED.md). */
#define LATE_MS 0.4
#define WINDOW_MS 30.0
#define LOSS_SHARE 0.8
#define HOLD_MIN_MS 300.0
#define HOLD_MAX_MS 2400.0

struct signal { /* a word that changes, alone on its cache line */
    _Alignas(CACHE_LINE) _Atomic uint32_t word;
    _Atomic uint32_t sleepers;
};

struct seat { /* one thread; seat[0] is the caller's. The engine thread writes it between runs */
    struct signal go;
    struct pool_ctx ctx;
    pthread_t thread;
    cpu_set_t core; /* where it runs, in a pinned pool */
    int claim;      /* on that core; -1: none */
};

struct arrivals { /* at a barrier; on a line of its own too */
    _Alignas(CACHE_LINE) _Atomic int n;
    _Atomic int last; /* tid of who came last */
};

struct pool {
    struct signal turn;
    struct arrivals arrived;
    _Atomic uint32_t *late_us; /* [n_threads] by tid: what others waited for it, this window */
    int n_threads;
    bool crowded; /* more threads than CPUs: no spinning, it would keep another of ours waiting */
    bool pinned;
    bool quit;     /* written before `go`, read after it */
    int n_started; /* pthreads that exist */
    pool_fn fn;
    void *arg;
    struct seat *seat;    /* [n_threads] */
    struct seat **by_tid; /* [n_threads] who is which thread of a run; those from n_active on sleep */
    int n_active, n_lent;
    bool by_load;
    double window_ms, hold_ms, hold_until; /* run in this window; how long and until when to do with fewer threads */
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

/* Returns the ms waited; 0 for a short wait, which looks at no clock. */
static double signal_wait(struct signal *s, uint32_t old, bool crowded)
{
    double since = 0;
    for (int i = 0; i < spin_rounds && !crowded; i++) {
        if (atomic_load_explicit(&s->word, memory_order_acquire) != old) {
            spin_rounds += spin_rounds < SPIN_MAX ? spin_rounds / 8 : 0;
            return since > 0 ? clock_ms() - since : 0;
        }
        if (i == SPIN_MIN / 2)
            since = clock_ms();
        relax();
    }
    if (!crowded) /* where nothing was spun, nothing was learnt */
        spin_rounds = spin_rounds / 4 > SPIN_MIN ? spin_rounds / 4 : SPIN_MIN;
    since = since > 0 ? since : clock_ms();
    atomic_fetch_add(&s->sleepers, 1);
    while (atomic_load(&s->word) == old)
        futex(&s->word, FUTEX_WAIT, old);
    atomic_fetch_sub(&s->sleepers, 1);
    return clock_ms() - since;
}

void pool_barrier(const struct pool_ctx *ctx)
{
    struct pool *p = ctx->pool;
    /* INV: ctx is not read after the arrival; the next run may be writing it */
    const int n = ctx->n_threads, tid = ctx->tid;
    if (n == 1)
        return;
    const uint32_t turn = atomic_load_explicit(&p->turn.word, memory_order_relaxed);
    if (atomic_fetch_add(&p->arrived.n, 1) == n - 1) {
        atomic_store_explicit(&p->arrived.n, 0, memory_order_relaxed);
        atomic_store_explicit(&p->arrived.last, tid, memory_order_relaxed);
        signal_change(&p->turn);
        return;
    }
    const double ms = signal_wait(&p->turn, turn, p->crowded);
    if (ms > LATE_MS)
        atomic_fetch_add(&p->late_us[atomic_load_explicit(&p->arrived.last, memory_order_relaxed)],
                         (uint32_t)(1e3 * ms));
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
    struct seat *s = arg;
    struct pool *p = s->ctx.pool;
    float_mode_set();
    for (uint32_t seen = 0;; seen++) {
        signal_wait(&s->go, seen, p->crowded);
        if (p->quit)
            return NULL;
        p->fn(&s->ctx, p->arg);
        pool_barrier(&s->ctx);
    }
}

/* Binds the calling thread to the part of `core` that it may use; *old is what to restore. */
static bool bind_caller(const cpu_set_t *core, cpu_set_t *old)
{
    cpu_set_t both;
    if (sched_getaffinity(0, sizeof *old, old) != 0)
        return false;
    CPU_AND(&both, core, old);
    return CPU_COUNT(&both) > 0 && sched_setaffinity(0, sizeof both, &both) == 0;
}

/* One thread less: the late one, or another that leaves it its core. */
static void leave_out(struct pool *p, int late)
{
    struct seat **last = &p->by_tid[--p->n_active], **s = &p->by_tid[late];
    if (late == 0 && p->pinned) { /* the caller's core is taken: it moves to the one that becomes free */
        const cpu_set_t core = (*s)->core;
        (*s)->core = (*last)->core;
        (*last)->core = core;
        pthread_setaffinity_np((*last)->thread, sizeof core, &core);
    } else if (late > 0) {
        struct seat *t = *s;
        *s = *last;
        *last = t;
    }
}

static void judge(struct pool *p, double now_ms, double ran_ms)
{
    double lost = 0;
    int worst = 0;
    p->window_ms += ran_ms;
    for (int i = 0; i < p->n_active; i++) {
        lost += 1e-3 * p->late_us[i];
        worst = p->late_us[i] > p->late_us[worst] ? i : worst;
    }
    const double all = p->window_ms > WINDOW_MS ? p->window_ms : WINDOW_MS;
    const bool bad = p->n_active > 1 && lost / (p->n_active - 1) * p->n_active > LOSS_SHARE * all;
    if (!bad && p->window_ms < WINDOW_MS)
        return;
    if (bad) {
        p->hold_until = now_ms + p->hold_ms;
        p->hold_ms = 2 * p->hold_ms < HOLD_MAX_MS ? 2 * p->hold_ms : HOLD_MAX_MS;
        leave_out(p, worst);
    } else if (p->n_active == p->n_threads) {
        p->hold_ms = p->hold_ms / 2 > HOLD_MIN_MS ? p->hold_ms / 2 : HOLD_MIN_MS;
    } else if (now_ms > p->hold_until) { /* try again */
        p->n_active++;
    }
    p->window_ms = 0;
    for (int i = 0; i < p->n_threads; i++)
        p->late_us[i] = 0;
}

void pool_run(struct pool *p, pool_fn fn, void *arg)
{
    cpu_set_t old;
    const int n = pool_n_active(p);
    const bool by_load = p->by_load && p->n_lent == 0; /* WHY: a core that is lent may be anybody's */
    const double t0 = by_load ? clock_ms() : 0;
    const unsigned mode = float_mode_set();
    const bool bound = p->pinned && n > 1 && bind_caller(&p->seat[0].core, &old);
    p->fn = fn;
    p->arg = arg;
    for (int i = 0; i < n; i++) {
        struct seat *s = p->by_tid[i];
        s->ctx.tid = i;
        s->ctx.n_threads = n;
        if (i > 0)
            signal_change(&s->go);
    }
    fn(&p->seat[0].ctx, arg);
    pool_barrier(&p->seat[0].ctx);
    if (bound)
        sched_setaffinity(0, sizeof old, &old);
    float_mode_restore(mode);
    if (by_load) {
        const double t1 = clock_ms();
        judge(p, t1, t1 - t0);
    }
}

void pool_set_active(struct pool *p, int n)
{
    p->by_load = n == POOL_BY_LOAD && p->n_threads > 1;
    p->n_active = n == POOL_BY_LOAD || n > p->n_threads ? p->n_threads : n;
}

int pool_n_active(const struct pool *p)
{
    return p->n_active > p->n_lent ? p->n_active - p->n_lent : 1;
}

void pool_lend(struct pool *p, int n)
{
    p->n_lent += n;
    for (int i = 0; i < p->n_threads; i++) /* waits of fewer threads are not judged */
        p->late_us[i] = 0;
}

int pool_n_lent(const struct pool *p)
{
    return p->n_lent;
}

/* ---- life ---- */

/* A core for each thread, if they are ours: as many as threads, no quota below that, and no other pool's. */
static void pin(struct pool *p)
{
    cpu_set_t core[POOL_MAX_THREADS];
    const int n = cpus_cores(core, POOL_MAX_THREADS);
    if (p->n_threads == 1 || p->n_threads != n || p->n_threads != pool_default_threads())
        return;
    int i = 0;
    for (; i < n && (p->seat[i].claim = cpus_claim(&core[i])) >= 0; i++)
        p->seat[i].core = core[i];
    p->pinned = i == n;
    while (!p->pinned && i > 0) {
        close(p->seat[--i].claim);
        p->seat[i].claim = -1;
    }
}

static int start_thread(struct pool *p, struct seat *s)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0)
        return rc;
    if (p->pinned)
        rc = pthread_attr_setaffinity_np(&attr, sizeof s->core, &s->core);
    if (rc == 0)
        rc = pthread_create(&s->thread, &attr, worker, s);
    pthread_attr_destroy(&attr);
    return rc;
}

int pool_create(struct pool **out, int n_threads, struct otr_err *err)
{
    const int n_core = pool_default_threads(), n = n_threads > 0 ? n_threads : n_core;
    if (n > POOL_MAX_THREADS)
        return OTR_FAIL(err, ARG, "%d threads (at most %d)", n, POOL_MAX_THREADS);
    struct pool *p = aligned_alloc(CACHE_LINE, sizeof *p);
    if (!p)
        return OTR_FAIL(err, NOMEM, "no memory for the thread pool");
    *p = (struct pool){.n_threads = n, .n_active = n, .crowded = n > n_core, .hold_ms = HOLD_MIN_MS};
    p->seat = aligned_alloc(CACHE_LINE, (size_t)n * sizeof *p->seat);
    p->by_tid = calloc((size_t)n, sizeof(struct seat *));
    p->late_us = calloc((size_t)n, sizeof *p->late_us);
    int rc = p->seat && p->by_tid && p->late_us ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory for %d threads", n);
    for (int i = 0; i < n && rc == OTR_OK; i++) {
        p->seat[i] = (struct seat){.ctx = {p, i, n}, .claim = -1};
        p->by_tid[i] = &p->seat[i];
    }
    if (rc == OTR_OK)
        pin(p);
    for (int i = 1; i < n && rc == OTR_OK; i++) {
        if (start_thread(p, &p->seat[i]) != 0)
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
    for (int i = 1; i <= p->n_started; i++)
        signal_change(&p->seat[i].go);
    for (int i = 1; i <= p->n_started; i++)
        pthread_join(p->seat[i].thread, NULL);
    for (int i = 0; i < p->n_threads && p->pinned; i++)
        close(p->seat[i].claim);
    free(p->seat);
    free(p->by_tid);
    free(p->late_us);
    free(p);
}

int pool_n_threads(const struct pool *p)
{
    return p->n_threads;
}
