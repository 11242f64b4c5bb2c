/* Owns the cases of attention that tests/kern/test_attn.c and test_attn_q8.c share. See attn_check.h. */
#include "support/attn_check.h"

#include <string.h>

void attn_queries_make(struct attn_case *c)
{
    c->q = guard_alloc(((size_t)(c->n_q - 1) * c->ld_q + (size_t)c->d_head) * sizeof(float));
    c->lo = guard_alloc((size_t)c->n_q * sizeof(int));
    c->hi = guard_alloc((size_t)c->n_q * sizeof(int));
}

void attn_block_make(struct attn_case *c, int b, size_t bytes)
{
    c->k_blk[b] = guard_alloc(bytes);
    c->v_blk[b] = guard_alloc(bytes);
    memset(c->k_blk[b].p, 0xff, bytes);
    memset(c->v_blk[b].p, 0xff, bytes);
    c->k[b] = c->k_blk[b].p;
    c->v[b] = c->v_blk[b].p;
}

void attn_case_free(struct attn_case *c)
{
    for (int b = 0; b < c->n_blk; b++) {
        guard_free(&c->k_blk[b]);
        guard_free(&c->v_blk[b]);
    }
    guard_free(&c->q);
    guard_free(&c->lo);
    guard_free(&c->hi);
}

struct attn_out attn_out_make(const struct attn_case *c)
{
    const size_t n = (size_t)c->n_q;
    return (struct attn_out){guard_alloc(n * ATTN_CHUNK * sizeof(float)), guard_alloc(n * sizeof(float)),
                             guard_alloc(n * sizeof(float)),
                             guard_alloc(((n - 1) * c->ld_acc + (size_t)c->d_head) * sizeof(float))};
}

void attn_out_free(struct attn_out *o)
{
    guard_free(&o->score);
    guard_free(&o->max);
    guard_free(&o->sum);
    guard_free(&o->acc);
}

void attn_run(const struct kernels *k, const struct attn_case *c, const struct attn_out *o, int q0, int n)
{
    const struct attn_chunk a = {
        .k = c->k,
        .v = c->v,
        .kv_type = c->type,
        .n_blk = c->n_blk,
        .d_head = c->d_head,
        .n_q = n,
        .q = (const float *)c->q.p + (size_t)q0 * c->ld_q,
        .ld_q = c->ld_q,
        .lo = attn_lo(c) + q0,
        .hi = attn_hi(c) + q0,
        .softcap = c->softcap,
        .score = (float *)o->score.p + q0 * ATTN_CHUNK,
        .max = (float *)o->max.p + q0,
        .sum = (float *)o->sum.p + q0,
        .acc = (float *)o->acc.p + (size_t)q0 * c->ld_acc,
        .ld_acc = c->ld_acc,
    };
    (c->type == KV_Q8 ? k->attn_q8 : k->attn)(&a);
}

long floats_differ(const float *a, const float *b, int n)
{
    long bad = 0;
    for (int i = 0; i < n; i++)
        bad += !same_bits(a[i], b[i]);
    return bad;
}

static long outs_differ(const struct attn_case *c, const struct attn_out *a, const struct attn_out *b)
{
    long bad = floats_differ(a->max.p, b->max.p, c->n_q) + floats_differ(a->sum.p, b->sum.p, c->n_q);
    for (int i = 0; i < c->n_q; i++)
        bad += floats_differ((const float *)a->acc.p + (size_t)i * c->ld_acc,
                             (const float *)b->acc.p + (size_t)i * c->ld_acc, c->d_head);
    for (size_t i = 0; i + c->ld_acc < (size_t)c->n_q * c->ld_acc; i++) /* nothing between the rows */
        bad += i % c->ld_acc >= (size_t)c->d_head && float_bits(((const float *)b->acc.p)[i]) != 0xa5a5a5a5u;
    return bad;
}

long attn_check_same(const struct kernels *ref, const struct kernels *k, const struct attn_case *c)
{
    struct attn_out want = attn_out_make(c), got = attn_out_make(c), alone = attn_out_make(c);
    attn_run(ref, c, &want, 0, c->n_q);
    attn_run(k, c, &got, 0, c->n_q);
    for (int i = 0; i < c->n_q; i++)
        attn_run(k, c, &alone, i, 1);
    const long bad = outs_differ(c, &want, &got) + outs_differ(c, &want, &alone);
    attn_out_free(&want);
    attn_out_free(&got);
    attn_out_free(&alone);
    return bad;
}
