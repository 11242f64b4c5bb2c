/* Owns the read roof. In: bytes. Out: the time of reading them. See roof.h; read next: bench_kernels.c.
 * WHY plain C: 16 bytes at a time from L1 still take less than half of what a line from memory costs. */
#include "bench/roof.h"

#include <string.h>

/* WHY two distances, to L1 and to L2: as x86/tile.h. With one (1 KB) products read 7 % faster than this "roof". */
enum { LINE = 64, NEAR = 3072, REACH = 8192 };

typedef uint64_t pair __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) pair read_streams(const char *p, size_t stream, const size_t n)
{
    pair s = {0, 0};
    for (size_t i = 0; i + LINE <= stream; i += LINE)
        for (size_t k = 0; k < n; k++) {
            const char *x = p + k * stream + i;
            pair v[LINE / sizeof(pair)];
            __builtin_prefetch(x + REACH, 0, 2);
            __builtin_prefetch(x + NEAR, 0, 3);
            memcpy(v, x, sizeof v);
            s ^= (v[0] ^ v[1]) ^ (v[2] ^ v[3]);
        }
    return s;
}

uint64_t roof_read(const void *p, size_t bytes, int kind)
{
    const size_t stream = (bytes >> kind) / LINE * LINE;
    const pair s = kind == 0   ? read_streams(p, stream, 1)
                   : kind == 1 ? read_streams(p, stream, 2)
                               : read_streams(p, stream, 4);
    return s[0] ^ s[1];
}

struct read_job {
    struct team *team;
    const char *p;
    size_t bytes;
    int kind;
};

static void read_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct read_job *j = arg;
    const size_t lines = j->bytes / LINE, n = (size_t)ctx->n_threads, id = (size_t)ctx->tid;
    const size_t lo = lines * id / n * LINE, hi = lines * (id + 1) / n * LINE;
    struct team_lane *l = &j->team->lane[ctx->tid];
    gate_wait(&j->team->gate, 1, ctx->n_threads);
    l->start = ticks_now();
    l->sink ^= roof_read(j->p + lo, hi - lo, j->kind);
    l->end = ticks_now();
}

double roof_pass(struct team *t, const void *p, size_t bytes, int kind)
{
    gate_reset(&t->gate);
    pool_run(t->pool, read_thread, &(struct read_job){t, p, bytes, kind});
    return team_span_ms(t);
}

struct spread roof_best(const struct spread *s)
{
    struct spread b = s[0];
    for (int i = 1; i < ROOF_N; i++) {
        b.min = s[i].min < b.min ? s[i].min : b.min;
        b.q25 = s[i].q25 < b.q25 ? s[i].q25 : b.q25;
        b.median = s[i].median < b.median ? s[i].median : b.median;
    }
    return b;
}
