/* The thread pool: all threads run, barriers order what they say they order (TSan checks the same by name), more
 * threads than cores, thousands of runs, and shares that cover everything once; who is left out by load, where threads
 * are pinned and where not, no work while idle; the cgroup's quota. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fenv.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/pool.h"

enum { MAX_T = 48 };
static cpu_set_t at_start; /* where this program may run */

static struct pool *create(int n)
{
    struct otr_err err;
    struct pool *p = NULL;
    if (pool_create(&p, n, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(pool_n_threads(p), n);
    return p;
}

/* Every field is plain memory: only the pool orders the accesses. */
struct work {
    long ran[MAX_T]; /* by thread */
    long sum[MAX_T]; /* what each thread saw of the others after a barrier */
    int n_barrier, bad;
    long turn;
};

static void count_run(const struct pool_ctx *ctx, void *arg)
{
    struct work *w = arg;
    w->ran[ctx->tid]++;
}

static void test_runs(void **state)
{
    static const int threads[] = {1, 2, 3, 8};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct pool *p = create(threads[t]);
        struct work w = {0};
        for (long i = 1; i <= 2000; i++) {
            pool_run(p, count_run, &w);
            for (int j = 0; j < threads[t]; j++) /* done when pool_run is back */
                assert_int_equal(w.ran[j], i);
        }
        pool_destroy(p);
    }
    pool_destroy(NULL);
}

/* Threads write, meet, read what all wrote, meet again. */
static void write_and_read(const struct pool_ctx *ctx, void *arg)
{
    struct work *w = arg;
    for (int b = 0; b < w->n_barrier; b++) {
        w->ran[ctx->tid] = 1000L * b + ctx->tid;
        pool_barrier(ctx);
        long sum = 0;
        for (int j = 0; j < ctx->n_threads; j++)
            sum += w->ran[j];
        w->sum[ctx->tid] = sum;
        if (ctx->tid == b % ctx->n_threads) /* one thread at a time, another one each time */
            w->turn++;
        pool_barrier(ctx);
        for (int j = 0; j < ctx->n_threads; j++)
            if (w->sum[j] != 1000L * b * ctx->n_threads + (long)ctx->n_threads * (ctx->n_threads - 1) / 2 &&
                ctx->tid == 0)
                w->bad++;
        pool_barrier(ctx);
    }
}

static void test_barriers(void **state)
{
    static const int threads[] = {1, 2, 4, MAX_T}; /* the last: more than any core count here */
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct pool *p = create(threads[t]);
        for (int run = 0; run < 20; run++) {
            struct work w = {.n_barrier = threads[t] == MAX_T ? 10 : 100};
            pool_run(p, write_and_read, &w);
            assert_int_equal(w.bad, 0);
            assert_int_equal(w.turn, w.n_barrier);
        }
        pool_destroy(p);
    }
}

/* Waits longer than spinning and yielding last: the sleeping path, for barriers and between runs. */
static void late(const struct pool_ctx *ctx, void *arg)
{
    struct work *w = arg;
    if (ctx->tid == (int)w->turn % ctx->n_threads)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    w->ran[ctx->tid] = w->turn;
    pool_barrier(ctx);
    for (int j = 0; j < ctx->n_threads; j++)
        if (w->ran[j] != w->turn)
            w->sum[ctx->tid]++;
}

static void test_sleep(void **state)
{
    struct pool *p = create(3);
    struct work w = {0};
    (void)state;
    for (w.turn = 0; w.turn < 12; w.turn++) {
        pool_run(p, late, &w);
        if (w.turn % 3 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    for (int j = 0; j < 3; j++)
        assert_int_equal(w.sum[j], 0);
    pool_destroy(p);
}

static void test_create_destroy(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct pool *p = create(1 + i % 5);
        struct work w = {0};
        if (i % 2)
            pool_run(p, count_run, &w);
        pool_destroy(p);
    }
    struct otr_err err;
    struct pool *p = NULL;
    assert_int_equal(pool_create(&p, POOL_MAX_THREADS + 1, &err), OTR_E_ARG);
    assert_null(p);
    assert_in_range(pool_default_threads(), 1, POOL_MAX_THREADS);
    assert_int_equal(pool_create(&p, 0, &err), OTR_OK);
    assert_int_equal(pool_n_threads(p), pool_default_threads());
    pool_destroy(p);
}

/* Two pools, driven by one thread in turn, do not meet. */
static void test_two_pools(void **state)
{
    struct pool *a = create(2), *b = create(3);
    struct work wa = {.n_barrier = 5}, wb = {.n_barrier = 7};
    (void)state;
    for (int i = 0; i < 200; i++) {
        pool_run(a, write_and_read, &wa);
        pool_run(b, write_and_read, &wb);
    }
    assert_int_equal(wa.bad + wb.bad, 0);
    pool_destroy(a);
    pool_destroy(b);
}

/* Shares are whole units, in order, next to each other, and all of [0, n). */
static void test_share(void **state)
{
    static const int ns[] = {0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 1000, 49152, INT32_MAX - 64};
    static const int units[] = {1, 4, 8, 32};
    (void)state;
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (size_t u = 0; u < sizeof units / sizeof *units; u++)
            for (int t = 1; t <= 70; t++) {
                int end = 0, least = INT32_MAX, most = 0;
                for (int tid = 0; tid < t; tid++) {
                    int lo, hi;
                    pool_share(&(struct pool_ctx){NULL, tid, t}, ns[i], units[u], &lo, &hi);
                    assert_true(lo == end && hi >= lo && hi <= ns[i]);
                    assert_true(lo % units[u] == 0 || lo == ns[i]);
                    end = hi;
                    const int n_unit = (hi - lo + units[u] - 1) / units[u];
                    least = n_unit < least ? n_unit : least;
                    most = n_unit > most ? n_unit : most;
                }
                assert_int_equal(end, ns[i]);
                assert_true(most - least <= 1); /* fair */
            }
}

/* Whatever the caller's rounding mode, work is done in round-to-nearest, and the mode comes back. */
static volatile float one = 1, tiny = 1e-10f;
static void add_tiny(const struct pool_ctx *ctx, void *arg)
{
    ((float *)arg)[ctx->tid] = one + tiny;
}

static void test_rounding_mode(void **state)
{
    float got[4] = {0};
    struct pool *p = create(4);
    (void)state;
    assert_int_equal(fesetround(FE_UPWARD), 0);
    pool_run(p, add_tiny, got);
    const int mode = fegetround();
    fesetround(FE_TONEAREST);
    assert_int_equal(mode, FE_UPWARD);
    for (int i = 0; i < 4; i++)
        assert_true(got[i] == 1);
    pool_destroy(p);
}

/* Threads left out do not run; the others are numbered from 0 and meet as ever. */
static void test_set_active(void **state)
{
    enum { N = 5 };
    struct pool *p = create(N);
    (void)state;
    for (int i = 0; i < 300; i++) {
        const int n = 1 + (i * 7 + i / N) % N;
        struct work w = {.n_barrier = 3};
        pool_set_active(p, n);
        assert_int_equal(pool_n_active(p), n);
        pool_run(p, write_and_read, &w);
        assert_int_equal(w.bad, 0);
        assert_int_equal(w.turn, w.n_barrier);
        for (int t = 0; t < N; t++)
            assert_int_equal(w.ran[t], t < n ? 1000L * (w.n_barrier - 1) + t : 0);
    }
    pool_set_active(p, N + 1);
    assert_int_equal(pool_n_active(p), N);
    assert_int_equal(pool_n_threads(p), N);
    pool_destroy(p);
}

/* Threads that are lent do not run either, and come back; one is always left. */
static void test_lend(void **state)
{
    enum { N = 4 };
    struct pool *p = create(N);
    (void)state;
    for (int i = 0; i < 200; i++) {
        const int active = 1 + i % N, lent = i / 3 % (N + 1), n = active > lent ? active - lent : 1;
        struct work w = {.n_barrier = 3};
        pool_set_active(p, i % 5 ? active : POOL_BY_LOAD);
        pool_lend(p, lent + 1);
        pool_lend(p, -1);
        assert_int_equal(pool_n_lent(p), lent);
        if (i % 5)
            assert_int_equal(pool_n_active(p), n);
        const int m = pool_n_active(p);
        pool_run(p, write_and_read, &w);
        assert_int_equal(w.bad, 0);
        for (int t = 0; t < N; t++)
            assert_int_equal(w.ran[t], t < m ? 1000L * (w.n_barrier - 1) + t : 0);
        pool_lend(p, -lent);
    }
    pool_set_active(p, N);
    assert_int_equal(pool_n_active(p), N);
    pool_destroy(p);
}

/* ---- by load ---- */

struct late_work {
    long late;          /* the kernel's id of the thread that is late; 0: nobody */
    _Atomic int n_late; /* of this run */
    long id[MAX_T];
};

static void some_are_late(const struct pool_ctx *ctx, void *arg)
{
    struct late_work *w = arg;
    w->id[ctx->tid] = syscall(SYS_gettid);
    if (w->id[ctx->tid] == w->late) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        w->n_late++;
    }
    pool_barrier(ctx);
}

/* Runs until `n` threads are active (n < 0: until the late one is left out). */
static bool run_until(struct pool *p, struct late_work *w, int n)
{
    const double end = clock_ms() + 30000;
    while (clock_ms() < end) {
        w->n_late = 0;
        pool_run(p, some_are_late, w);
        if (n < 0 ? w->n_late == 0 : pool_n_active(p) == n)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return false;
}

static void test_by_load(void **state)
{
    (void)state;
    for (int n = 2; n <= 4; n++)
        for (int late = 0, tries = 0; late < n; late++) {
            struct pool *p = create(n);
            struct late_work w = {0};
            pool_run(p, some_are_late, &w);
            w.late = w.id[late];
            for (int i = 0; i < 20; i++) /* nobody is left out unasked */
                pool_run(p, some_are_late, &w);
            assert_int_equal(w.n_late, 20);
            pool_set_active(p, POOL_BY_LOAD);
            assert_int_equal(pool_n_active(p), n);
            assert_true(late == 0 ? run_until(p, &w, 1) : run_until(p, &w, -1));
            if (late > 0 && pool_n_active(p) != n - 1) { /* others first: they may be late too, on a busy machine */
                assert_true(++tries < 20);
                late--;
            }
            if (n == 2) { /* and is asked again */
                w.late = 0;
                assert_true(run_until(p, &w, n));
            }
            pool_destroy(p);
        }
}

/* ---- where threads are ---- */

struct place {
    cpu_set_t mask[MAX_T];
};

static void note_mask(const struct pool_ctx *ctx, void *arg)
{
    struct place *w = arg;
    sched_getaffinity(0, sizeof w->mask[0], &w->mask[ctx->tid]);
    pool_barrier(ctx);
}

/* How many of a pool's threads are bound to less than `mine`, checking that these share no CPU, and that the caller
 * has its mask back. */
static int n_bound(struct pool *p, const cpu_set_t *mine)
{
    struct place w;
    cpu_set_t seen, both, after;
    int n = 0;
    CPU_ZERO(&seen);
    pool_run(p, note_mask, &w);
    for (int i = 0; i < pool_n_threads(p); i++) {
        if (CPU_EQUAL(&w.mask[i], mine))
            continue;
        n++;
        CPU_AND(&both, &w.mask[i], &seen);
        assert_int_equal(CPU_COUNT(&both), 0);
        CPU_OR(&seen, &seen, &w.mask[i]);
    }
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&after, mine));
    return n;
}

static void pinned(void)
{
    const int n = pool_default_threads();
    cpu_set_t mine;
    int status = -1, go[2];
    char byte;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    assert_int_equal(pipe(go), 0);
    const pid_t other = fork(); /* another process, later on: its pool is refused as well */
    if (other == 0)
        _exit(read(go[0], &byte, 1) == 1 && n_bound(create(n), &mine) == 0 ? 0 : 1);
    struct pool *first = create(n), *second = create(n), *more = create(n + 1);
    assert_int_equal(n_bound(first, &mine), n);
    assert_int_equal(n_bound(second, &mine), 0); /* two pools never compete for a core */
    assert_int_equal(n_bound(more, &mine), 0);
    pool_set_active(first, 1);
    assert_int_equal(n_bound(first, &mine), 0); /* alone, the caller goes where there is room */
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(status, 0);
    pool_set_active(first, n);
    assert_int_equal(n_bound(first, &mine), n);
    pool_destroy(first);
    struct pool *third = create(n);
    assert_int_equal(n_bound(third, &mine), n);
    pool_destroy(second);
    pool_destroy(third);
    pool_destroy(more);
}

/* WHY a network namespace: claims are names in it, so other programs of this machine take no part. */
static void test_pinning(void **state)
{
    cpu_set_t now;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&now, &at_start)); /* after all the runs before */
    if (pool_default_threads() < 2) {
        printf("SKIPPED: one core, nothing to pin\n");
        skip();
    }
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
            _exit(77);
        pinned();
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("SKIPPED: no network namespace of our own\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* One CPU allowed: one thread by default, and more still work. */
static void test_one_cpu(void **state)
{
    cpu_set_t mine, first;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    CPU_ZERO(&first);
    for (size_t i = 0; CPU_COUNT(&first) == 0; i++)
        if (CPU_ISSET(i, &mine))
            CPU_SET(i, &first);
    assert_int_equal(sched_setaffinity(0, sizeof first, &first), 0);
    const int n = pool_default_threads();
    struct pool *p = create(3);
    struct work w = {.n_barrier = 20};
    pool_run(p, write_and_read, &w);
    pool_destroy(p);
    assert_int_equal(sched_setaffinity(0, sizeof mine, &mine), 0);
    assert_int_equal(n, 1);
    assert_int_equal(w.bad, 0);
}

/* Between runs nobody spins for long: the CPU time of a second is next to nothing, also after a run that was short. */
static void test_idle(void **state)
{
    struct timespec a, b;
    struct pool *p = create(3);
    struct work w = {.n_barrier = 5};
    (void)state;
    pool_run(p, write_and_read, &w);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    const double ms = 1e3 * (double)(b.tv_sec - a.tv_sec) + 1e-6 * (double)(b.tv_nsec - a.tv_nsec);
    if (ms > 10)
        fail_msg("%.1f ms of CPU time in an idle second", ms);
    pool_destroy(p); /* all asleep */
}

/* ---- the quota ---- */

static void put(const char *root, const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *s = strchr(full + strlen(root) + 1, '/'); s; s = strchr(s + 1, '/')) {
        *s = 0;
        mkdir(full, 0700);
        *s = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_quota(void **state)
{
    char root[] = "/tmp/otr-quota-XXXXXX", cmd[64];
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_int_equal(cpus_quota(root), 0);
    put(root, "/proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(cpus_quota(root), 0);
    put(root, "/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cpus_quota(root), 0);
    put(root, "/sys/fs/cgroup/a/cpu.max", "350000 100000\n");
    assert_int_equal(cpus_quota(root), 4); /* a parent's */
    put(root, "/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_int_equal(cpus_quota(root), 2); /* the root's, as a container sees it */
    put(root, "/proc/self/cgroup", "9:cpuset:/x\n4:cpuacct,cpu:/c\n0::/none\n");
    put(root, "/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "100000\n");
    put(root, "/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "-1\n");
    put(root, "/sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_quota(root), 2);
    put(root, "/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "50000\n");
    assert_int_equal(cpus_quota(root), 1); /* version 1: half a CPU */
    put(root, "/proc/self/cgroup", "4:cpuset:/c\n");
    assert_int_equal(cpus_quota(root), 0);
    snprintf(cmd, sizeof cmd, "rm -rf %s", root);
    assert_int_equal(system(cmd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),           cmocka_unit_test(test_barriers),   cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_create_destroy), cmocka_unit_test(test_two_pools),  cmocka_unit_test(test_share),
        cmocka_unit_test(test_rounding_mode),  cmocka_unit_test(test_set_active), cmocka_unit_test(test_lend),
        cmocka_unit_test(test_by_load),        cmocka_unit_test(test_pinning),    cmocka_unit_test(test_one_cpu),
        cmocka_unit_test(test_idle),           cmocka_unit_test(test_quota),
    };
    if (sched_getaffinity(0, sizeof at_start, &at_start) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
