/* The KV cache against a model that a person can check: a sequence is a list of stamps (one per committed position) and
 * a list of page numbers. Every element of K and V is a function of its position's stamp, so that one wrong page, row
 * or lane shows. Random operations, seeded; after each one lengths, free pages and some rows are compared, now and then
 * all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kv/kv.h"

enum {
    N_CTX = 200,
    N_PAGE = 24,
    N_SCRATCH = 12,
    N_SEQ = 9,
    SEQ_PAGES = (N_CTX + KV_PAGE - 1) / KV_PAGE,
    N_STEP = 50000
};
static const uint64_t SEED = 20250303;

struct model_seq {
    struct kv_seq *s; /* NULL: slot is empty */
    int n, n_page;
    int page[SEQ_PAGES]; /* the model's own page numbers */
    uint32_t stamp[N_CTX];
};

struct rig {
    struct kv *kv;
    struct kv_shape shape;
    struct model_seq seq[N_SEQ];
    int ref[N_PAGE];
    uint32_t next_stamp;
    uint64_t rng;
    long n_copied, n_full, n_over, n_scratch_rows;
};

static int rnd(struct rig *r, int n) /* 0 .. n - 1 */
{
    const struct philox p = philox4x32(SEED, (struct philox){{(uint32_t)r->rng++, (uint32_t)r->shape.type, 0, 0}});
    return (int)((uint64_t)p.v[0] * (uint64_t)n >> 32);
}

/* ---- what lies where (kv.h) ---- */

static uint32_t element(uint32_t stamp, int layer, int half, int head, int d)
{
    uint32_t x = stamp * 2654435761u ^ (uint32_t)(((layer * 2 + half) * 64 + head) * 1024 + d) * 40503u;
    x ^= x >> 15;
    return x * 2246822519u;
}

static void put(char *at, uint32_t x, size_t e)
{
    memcpy(at, &x, e); /* WHY raw bits: the cache copies elements, it does not read them */
}

static bool holds(const char *at, uint32_t x, size_t e)
{
    return memcmp(at, &x, e) == 0;
}

/* What a position is copied by. q8: 4 codes, or the scale, which stands last. */
static size_t elem_bytes(const struct rig *r)
{
    return r->shape.type == KV_F16 ? 2 : 4;
}

static int n_elem(const struct rig *r)
{
    return r->shape.type == KV_Q8 ? r->shape.d_head / 4 + 1 : r->shape.d_head;
}

static char *k_at(const struct rig *r, const struct kv_seq *s, int layer, int head, int pos, int d)
{
    return (char *)kv_k_block(s, layer, head, pos / 8) + (size_t)(d * 8 + pos % 8) * elem_bytes(r);
}

static char *v_at(const struct rig *r, const struct kv_seq *s, int layer, int head, int pos, int d)
{
    const int n = r->shape.type == KV_Q8 ? r->shape.d_head / 4 : r->shape.d_head;
    return (char *)kv_v_block(s, layer, head, pos / 8) +
           (size_t)(d < n ? pos % 8 * n + d : 8 * n + pos % 8) * elem_bytes(r);
}

static void write_row(struct rig *r, struct kv_seq *s, int pos, uint32_t stamp)
{
    const size_t e = elem_bytes(r);
    for (int l = 0; l < r->shape.n_layer; l++)
        for (int h = 0; h < r->shape.n_head_kv; h++)
            for (int d = 0; d < n_elem(r); d++) {
                put(k_at(r, s, l, h, pos, d), element(stamp, l, 0, h, d), e);
                put(v_at(r, s, l, h, pos, d), element(stamp, l, 1, h, d), e);
            }
}

static void write_scratch(struct rig *r, int slot, uint32_t stamp)
{
    const size_t e = elem_bytes(r);
    for (int l = 0; l < r->shape.n_layer; l++)
        for (int h = 0; h < r->shape.n_head_kv; h++)
            for (int d = 0; d < n_elem(r); d++) {
                put((char *)kv_scratch_k(r->kv, slot, l, h) + (size_t)d * e, element(stamp, l, 0, h, d), e);
                put((char *)kv_scratch_v(r->kv, slot, l, h) + (size_t)d * e, element(stamp, l, 1, h, d), e);
            }
}

static void check_row(struct rig *r, const struct model_seq *m, int pos)
{
    const size_t e = elem_bytes(r);
    for (int l = 0; l < r->shape.n_layer; l++)
        for (int h = 0; h < r->shape.n_head_kv; h++)
            for (int d = 0; d < n_elem(r); d++) {
                assert_true(holds(k_at(r, m->s, l, h, pos, d), element(m->stamp[pos], l, 0, h, d), e));
                assert_true(holds(v_at(r, m->s, l, h, pos, d), element(m->stamp[pos], l, 1, h, d), e));
            }
}

/* ---- the model ---- */

static int model_free(const struct rig *r)
{
    int n = 0;
    for (int i = 0; i < N_PAGE; i++)
        n += r->ref[i] == 0;
    return n;
}

static int model_take(struct rig *r)
{
    int p = 0;
    while (r->ref[p] != 0)
        p++;
    r->ref[p] = 1;
    return p;
}

static void model_keep(struct rig *r, struct model_seq *m, int n_page)
{
    while (m->n_page > n_page)
        r->ref[m->page[--m->n_page]]--;
}

static int pages_of(int n)
{
    return (n + KV_PAGE - 1) / KV_PAGE;
}

/* What kv_reserve should do: OTR_OK or OTR_E_LIMIT. */
static int model_reserve(struct rig *r, struct model_seq *m, int n_more)
{
    if (m->n + n_more > N_CTX) {
        r->n_over++;
        return OTR_E_LIMIT;
    }
    const int want = pages_of(m->n + n_more), add = want > m->n_page ? want - m->n_page : 0;
    const bool copy = n_more > 0 && m->n % KV_PAGE && r->ref[m->page[m->n / KV_PAGE]] > 1;
    if (add + (copy ? 1 : 0) > model_free(r)) {
        r->n_full++;
        return OTR_E_LIMIT;
    }
    if (copy) {
        r->n_copied++;
        r->ref[m->page[m->n / KV_PAGE]]--;
        m->page[m->n / KV_PAGE] = model_take(r);
    }
    for (int i = 0; i < add; i++)
        m->page[m->n_page++] = model_take(r);
    return OTR_OK;
}

/* ---- operations ---- */

static struct model_seq *empty_slot(struct rig *r)
{
    for (int i = 0; i < N_SEQ; i++)
        if (!r->seq[i].s)
            return &r->seq[i];
    return NULL;
}

static void op_create(struct rig *r, struct model_seq *to)
{
    *to = (struct model_seq){0};
    assert_int_equal(kv_seq_create(&to->s, r->kv, N_CTX, NULL), OTR_OK);
    assert_int_equal(kv_limit(to->s), N_CTX);
}

static void op_fork(struct rig *r, struct model_seq *from, struct model_seq *to)
{
    *to = *from;
    assert_int_equal(kv_fork(&to->s, from->s, NULL), OTR_OK);
    to->n_page = pages_of(from->n);
    for (int i = 0; i < to->n_page; i++)
        r->ref[to->page[i]]++;
}

static void op_truncate(struct rig *r, struct model_seq *m, int n)
{
    kv_truncate(m->s, n);
    m->n = n;
    model_keep(r, m, pages_of(n));
}

static void op_drop(struct rig *r, struct model_seq *m)
{
    kv_drop(m->s);
    model_keep(r, m, 0);
    m->s = NULL;
}

/* A step: reserve, write rows in place and in scratch slots, commit some of them (perhaps none). */
static void op_step(struct rig *r, struct model_seq *m)
{
    const int n_more = rnd(r, rnd(r, 4) ? 12 : N_CTX);
    struct otr_err err = {0};
    const int want = model_reserve(r, m, n_more), rc = kv_reserve(m->s, n_more, &err);
    assert_int_equal(rc, want);
    if (rc < 0) {
        assert_non_null(strstr(err.msg, m->n + n_more > N_CTX ? "do not fit" : "KV cache is full"));
        return;
    }
    const int n_chain = rnd(r, n_more + 1);
    int slot[N_SCRATCH], n_slot = rnd(r, n_more - n_chain + 1), n_commit = rnd(r, n_chain + 1);
    uint32_t in_place[N_CTX], in_slot[N_SCRATCH];
    n_slot = n_slot < N_SCRATCH ? n_slot : N_SCRATCH;
    for (int i = 0; i < n_chain; i++)
        write_row(r, m->s, m->n + i, in_place[i] = r->next_stamp++);
    for (int i = 0; i < n_slot; i++) { /* slots in any order: a permutation 5 i + c of 12 */
        slot[i] = (5 * i + (int)(r->rng % N_SCRATCH)) % N_SCRATCH;
        write_scratch(r, slot[i], in_slot[i] = r->next_stamp++);
    }
    n_slot = n_slot ? rnd(r, n_slot + 1) : 0;
    kv_commit(m->s, n_commit, slot, n_slot);
    for (int i = 0; i < n_commit; i++)
        m->stamp[m->n++] = in_place[i];
    for (int i = 0; i < n_slot; i++)
        m->stamp[m->n++] = in_slot[i];
    r->n_scratch_rows += n_slot;
}

static void check_all(struct rig *r)
{
    for (int i = 0; i < N_SEQ; i++)
        for (int pos = 0; r->seq[i].s && pos < r->seq[i].n; pos++)
            check_row(r, &r->seq[i], pos);
}

static void run_model(enum kv_type type)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->shape = (struct kv_shape){.n_layer = 2, .n_head_kv = 3, .d_head = 8, .type = type};
    assert_int_equal(kv_create(&r->kv, &r->shape, N_PAGE, N_SCRATCH, NULL), OTR_OK);
    assert_int_equal(kv_n_scratch(r->kv), N_SCRATCH);
    assert_int_equal(kv_get_shape(r->kv)->d_head, 8);
    assert_int_equal(kv_page_bytes(&r->shape), 32 * 2 * 3 * 2 * (type == KV_F32 ? 32 : type == KV_F16 ? 16 : 8 + 4));
    for (int step = 0; step < N_STEP; step++) {
        struct model_seq *m = &r->seq[rnd(r, N_SEQ)], *to = empty_slot(r);
        const int what = rnd(r, 100);
        if (!m->s)
            op_create(r, m);
        else if (what < 10 && to)
            op_fork(r, m, to);
        else if (what < 18)
            op_drop(r, m);
        else if (what < 30)
            op_truncate(r, m, rnd(r, 3) ? rnd(r, m->n + 1) : m->n);
        else
            op_step(r, m);
        assert_int_equal(kv_pages_free(r->kv), model_free(r));
        for (int i = 0; i < N_SEQ; i++) {
            const struct model_seq *s = &r->seq[i];
            if (!s->s)
                continue;
            assert_int_equal(kv_len(s->s), s->n);
            if (s->n > 0)
                check_row(r, s, rnd(r, s->n));
        }
        if (step % 500 == 0)
            check_all(r);
    }
    check_all(r);
    printf("%d steps (%s, seed %llu): %ld pages copied, %ld times full, %ld times over the context, %ld scratch rows\n",
           N_STEP,
           type == KV_F32   ? "f32"
           : type == KV_F16 ? "f16"
                            : "q8",
           (unsigned long long)SEED, r->n_copied, r->n_full, r->n_over, r->n_scratch_rows);
    assert_true(r->n_copied > 100 && r->n_full > 100 && r->n_over > 100 && r->n_scratch_rows > 1000);
    for (int i = 0; i < N_SEQ; i++)
        if (r->seq[i].s)
            op_drop(r, &r->seq[i]);
    assert_int_equal(kv_pages_free(r->kv), N_PAGE);
    kv_destroy(r->kv);
    free(r);
}

static void test_model_f16(void **state)
{
    (void)state;
    run_model(KV_F16);
}

static void test_model_f32(void **state)
{
    (void)state;
    run_model(KV_F32);
}

static void test_model_q8(void **state)
{
    (void)state;
    run_model(KV_Q8);
}

/* Lane to lane, and row to lane. */
static void test_copies(void **state)
{
    uint16_t from[8 * 8], to[8 * 8], row[8];
    (void)state;
    for (int i = 0; i < 64; i++)
        from[i] = (uint16_t)(1000 + i);
    for (int i = 0; i < 8; i++)
        row[i] = (uint16_t)(1 + i);
    for (int a = 0; a < 8; a++)
        for (int b = 0; b < 8; b++) {
            memset(to, 0, sizeof to);
            kv_copy_k(to, b, from, a, 8, KV_F16); /* [d_head][8 positions] */
            for (int d = 0; d < 8; d++)
                for (int p = 0; p < 8; p++)
                    assert_int_equal(to[d * 8 + p], p == b ? from[d * 8 + a] : 0);
            memset(to, 0, sizeof to);
            kv_copy_v(to, b, from, a, 8, KV_F16); /* [8 positions][d_head] */
            for (int p = 0; p < 8; p++)
                for (int d = 0; d < 8; d++)
                    assert_int_equal(to[p * 8 + d], p == b ? from[a * 8 + d] : 0);
        }
    memset(to, 0, sizeof to);
    kv_copy_k(to, 3, row, -1, 8, KV_F16);
    for (int d = 0; d < 8; d++)
        assert_int_equal(to[d * 8 + 3], row[d]);
    kv_copy_v(to, 5, row, -1, 8, KV_F16);
    assert_memory_equal(to + 5 * 8, row, sizeof row);
}

/* A position of q8 is its codes and its scale, wherever they stand (kern/kv_q8.h). */
static void test_copies_q8(void **state)
{
    enum { DH = 16, BLOCK = 8 * (DH + 4) };
    uint8_t from[BLOCK], to[BLOCK], row[DH + 4];
    (void)state;
    for (int i = 0; i < BLOCK; i++)
        from[i] = (uint8_t)(1 + i);
    for (int i = 0; i < DH + 4; i++)
        row[i] = (uint8_t)(201 + i);
    for (int a = -1; a < 8; a++)
        for (int b = 0; b < 8; b++)
            for (int half = 0; half < 2; half++) {
                memset(to, 0, sizeof to);
                (half ? kv_copy_v : kv_copy_k)(to, b, a < 0 ? row : from, a, DH, KV_Q8);
                for (int p = 0; p < 8; p++)
                    for (int d = 0; d < DH + 4; d++) { /* d >= DH: the scale's bytes */
                        const int in_k = d / 4 * 32 + 4 * p + d % 4,
                                  in_v = d < DH ? DH * p + d : 8 * DH + 4 * p + d - DH;
                        const int at = half ? in_v : in_k;
                        const int was = a < 0 ? row[d] : from[at + (a - p) * (half && d < DH ? DH : 4)];
                        assert_int_equal(to[at], p == b ? was : 0);
                    }
            }
}

static void test_too_large(void **state)
{
    const struct kv_shape huge = {.n_layer = 1 << 20, .n_head_kv = 1 << 10, .d_head = 1 << 20, .type = KV_F32};
    struct otr_err err = {0};
    struct kv *kv = NULL;
    (void)state;
    assert_int_equal(kv_create(&kv, &huge, 1 << 22, 0, &err), OTR_E_NOMEM); /* the product wraps */
    assert_non_null(strstr(err.msg, "no memory for a KV cache"));
    assert_null(kv);
    kv_destroy(NULL);
    kv_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_f16), cmocka_unit_test(test_model_f32), cmocka_unit_test(test_model_q8),
        cmocka_unit_test(test_copies_q8), cmocka_unit_test(test_copies),    cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
