/* psi against its definition: the sum over all drafts, one by one, of those that begin with a token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/letters.h"

enum { DEPTH = 4, TOP = LETTERS_DRAFT, N_MODEL = 200 };

/* Draws are followed one after the other until the draft ends; every draft adds its probability to its first token. */
static void enumerate(const struct psi_source *src, int32_t *path, int n, double mass, double *psi)
{
    bool done = false;
    int32_t id[TOP];
    double q[TOP];
    const int32_t first = n > 0 ? src->first(src->self, path, n, &done) : -1;
    if (done || n == DEPTH) {
        psi[first < 0 ? LETTERS_TARGET : first] += mass;
        return;
    }
    const int m = letters_law(src->self, path, n, id, q, TOP);
    for (int i = 0; i < m; i++) {
        path[n] = id[i];
        enumerate(src, path, n + 1, mass * q[i], psi);
    }
}

static void test_enumeration(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= N_MODEL; seed++) {
        static struct psi s;
        struct letters l = {seed, (int32_t)(seed % 5)};
        const struct psi_source src = letters_source(&l);
        double want[LETTERS_TARGET + 1] = {0}, got[LETTERS_TARGET + 1] = {0}, sum = 0;
        int32_t path[PSI_MAX_DEPTH];
        enumerate(&src, path, 0, 1, want);
        s.top = TOP;
        s.depth = DEPTH;
        s.rows = PSI_MAX_ROWS;
        assert_int_equal(psi_run(&s, &src), OTR_OK);
        for (int i = 0; i < s.n; i++) {
            got[s.id[i]] = s.p[i];
            sum += s.p[i];
            assert_true(i == 0 || s.id[i] > s.id[i - 1]);
            bool done;
            const int n = psi_path(&s, s.best[i], path);
            assert_int_equal(src.first(src.self, path, n, &done), s.id[i]);
        }
        for (int t = 0; t < LETTERS_TARGET; t++)
            assert_true(fabs(got[t] - want[t]) < 1e-14);
        assert_true(fabs(sum - 1) < 1e-14); /* every draft here has a first token */
        assert_true(s.n_row <= 40 && s.complete <= 1 + 1e-14);
        /* "ab" is spelled "a" "b" or "a" "bb": one spelling alone is not psi */
    }
}

/* Fewer laws than the walk needs: still a law, and the same each time. */
static void test_cap(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= N_MODEL; seed++) {
        double before = -1;
        for (int rows = 1; rows <= 12; rows++) {
            static struct psi s, again;
            struct letters l = {seed, 1};
            const struct psi_source src = letters_source(&l);
            s = again = (struct psi){.top = TOP, .depth = DEPTH, .rows = rows};
            assert_int_equal(psi_run(&s, &src), OTR_OK);
            assert_int_equal(psi_run(&again, &src), OTR_OK);
            double sum = 0;
            for (int i = 0; i < s.n; i++) {
                sum += s.p[i];
                assert_true(s.p[i] == again.p[i] && s.id[i] == again.id[i] && s.best[i] == again.best[i]);
            }
            assert_true(fabs(sum - 1) < 1e-14 && s.n_row <= rows);
            assert_true(s.complete >= before);
            before = s.complete;
        }
    }
}

/* A law that is cut to its best tokens: what is never drafted is missing from the sum, and from nothing else. */
static void test_short_law(void **state)
{
    static struct psi s;
    struct letters l = {3, 1};
    const struct psi_source src = letters_source(&l);
    int32_t id[TOP];
    double q[TOP], sum = 0;
    (void)state;
    const int n = letters_law(&l, NULL, 0, id, q, TOP);
    assert_true(n > 1);
    s = (struct psi){.top = 1, .depth = 1, .rows = 1};
    assert_int_equal(psi_run(&s, &src), OTR_OK);
    for (int i = 0; i < s.n; i++)
        sum += s.p[i];
    assert_true(sum == q[0]);
}

/* Nothing at first, or an error later on. */
static int no_law(void *self, const struct psi *s, int node, int32_t *id, double *q, int cap)
{
    (void)self;
    (void)s;
    (void)cap;
    *id = 0;
    *q = 1;
    return node == 0 ? 0 : OTR_E_NUMERIC;
}

static int broken_law(void *self, const struct psi *s, int node, int32_t *id, double *q, int cap)
{
    const int rc = no_law(self, s, node, id, q, cap);
    return rc == 0 ? 1 : rc;
}

static void test_no_law(void **state)
{
    static struct psi s = {.top = TOP, .depth = DEPTH, .rows = 8};
    struct letters l = {3, 1};
    struct psi_source src = letters_source(&l);
    (void)state;
    src.law = no_law;
    assert_int_equal(psi_run(&s, &src), OTR_OK);
    assert_int_equal(s.n, 0);
    src.law = broken_law;
    assert_int_equal(psi_run(&s, &src), OTR_E_NUMERIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_enumeration), cmocka_unit_test(test_cap),
                                       cmocka_unit_test(test_short_law), cmocka_unit_test(test_no_law)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
