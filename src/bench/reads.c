/* Owns what the measurements of a whole model share: the bytes that a token reads, and what the read roof reads beside
 * it. See bench.h; read next: bench_forward.c, bench_speed.c. */
#include "bench/bench.h"

#include <string.h>
#include <sys/mman.h>

int32_t bench_token_at(const struct otr_model *m, int pos)
{
    return (int32_t)((uint32_t)pos * 2654435761u % (uint32_t)m->info.n_vocab);
}

size_t bench_weight_bytes(const struct otr_model *m)
{
    const struct weights *w = m->w;
    const bool tied = !gguf_tensor(w->g, "output.weight");
    return w->tensor_bytes - (tied ? 0 : w->embd->bytes); /* read one row at a time where it is not the head too */
}

struct touch_job {
    char *p;
    size_t bytes;
};

static void touch_thread(const struct pool_ctx *ctx, void *arg)
{
    const struct touch_job *j = arg;
    const size_t lo = j->bytes / (size_t)ctx->n_threads * (size_t)ctx->tid;
    const size_t hi = ctx->tid + 1 == ctx->n_threads ? j->bytes : lo + j->bytes / (size_t)ctx->n_threads;
    memset(j->p + lo, 1, hi - lo);
}

static char *map_touched(struct pool *pool, size_t bytes)
{
    char *p = bench_map(bytes);
    if (p)
        pool_run(pool, touch_thread, &(struct touch_job){p, bytes});
    return p;
}

int bench_reads_open(struct bench_reads *r, const struct otr_engine *e, int mb, struct otr_err *err)
{
    const struct weights *w = e->m->w;
    *r = (struct bench_reads){.weights = w->packed, .weights_bytes = w->packed_bytes, .memory_bytes = (size_t)mb << 20};
    if (!w->packed) { /* WHY: the file's pages come and go */
        r->weights_bytes = w->tensor_bytes;
        r->weights = r->own = map_touched(e->pool, r->weights_bytes);
    }
    if (mb > 0)
        r->memory = map_touched(e->pool, r->memory_bytes);
    if (!r->weights || (mb > 0 && !r->memory))
        return OTR_FAIL(err, NOMEM, "no memory to measure in (%zu MB)", (r->weights_bytes + r->memory_bytes) >> 20);
    return OTR_OK;
}

void bench_reads_close(struct bench_reads *r)
{
    if (r->own)
        munmap(r->own, r->weights_bytes);
    if (r->memory)
        munmap(r->memory, r->memory_bytes);
}

void bench_read(struct team *t, const void *p, size_t bytes, double *ms, int pass, int n_pass)
{
    for (int i = 0; i < ROOF_N; i++)
        ms[i * n_pass + pass] = roof_pass(t, p, bytes, i);
}
