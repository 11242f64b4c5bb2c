/* Every n-th allocation of every drafting method fails, n = 1, 2, ... until a whole run succeeds: opening, proposing
 * for two sequences, learning, cutting back, ends. It may propose less or say that memory is out; it may not crash,
 * leak, or propose what is not sound, and the next step works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/draft_rig.h"
#include "support/wrapmem.h"

enum { V = 500, N_TOK = 900 };
static const uint64_t seed = 20261129;
static char store[256];
static float logits[V];

static const float *the_logits(void *self, int node)
{
    (void)self;
    (void)node;
    return logits;
}

static int32_t the_best(void *self, int node)
{
    (void)self;
    return (7 * node + 3) % V;
}

static void see(struct dr *d, const struct dr_seq *s, size_t n_new, const struct tree *t)
{
    const struct draft_seen seen = {.seq = s->id,
                                    .event = SEEN_STEP,
                                    .tok = s->tok,
                                    .n = s->n,
                                    .n_new = n_new,
                                    .tree = t,
                                    .mine = true,
                                    .logits = the_logits,
                                    .best = the_best};
    d->m->observe(d->self, &seen, 1);
}

/* Returns the code of opening, or the worst of the proposals. */
static int run(const char *name, const char *params, struct dr_seq *s)
{
    static struct tree t;
    struct dr d;
    struct otr_err err = {0};
    const int open = dr_open(&d, name, params, V, seed, &err);
    if (open < 0) {
        if (err.code != open || !err.msg[0] || d.self)
            fail_msg("%s: opening fails with %d, '%s'", name, open, err.msg);
        return open;
    }
    int worst = OTR_OK;
    for (int step = 0; step < 10; step++)
        for (int k = 0; k < 2; k++) {
            s[k].n = 60 + (size_t)(80 * step + 10 * k); /* far enough for tables to grow */
            const int rc = dr_propose(&d, &s[k], 16, step % 2, &t);
            if (rc == OTR_OK && strcmp(name, "toolong") != 0 && strcmp(name, "malformed-tree") != 0 &&
                strcmp(name, "shuffle") != 0)
                assert_int_equal(tree_check(&t, V, 16, NULL), OTR_OK);
            if (rc < 0 || tree_check(&t, V, 16, NULL) < 0)
                tree_clear(&t);
            worst = rc < worst ? rc : worst;
            see(&d, &s[k], 3, &t);
            if (step == 5)
                dr_truncate(&d, &s[k], s[k].n - 30);
        }
    dr_event(&d, &s[0], SEEN_FINISHED);
    dr_close(&d);
    return worst;
}

static void torture(const char *name, const char *params, struct dr_seq *s)
{
    long n = 1;
    for (;; n++) {
        const long open = wrapmem_open;
        wrapmem_fail_at = n;
        const int rc = run(name, params, s);
        const long left = wrapmem_fail_at;
        wrapmem_fail_at = 0;
        if (wrapmem_open != open)
            fail_msg("%s: failing allocation %ld leaks %ld blocks", name, n, wrapmem_open - open);
        if (left > 0)
            break;
        if (rc != OTR_OK && rc != OTR_E_NOMEM && strcmp(name, "rest") != 0 && strcmp(name, "failing") != 0 &&
            strcmp(name, "fault") != 0)
            fail_msg("%s: failing allocation %ld gives %d", name, n, rc);
    }
    printf("%s: %ld allocations failed in turn\n", name, n - 1);
    assert_true(n > 1);
}

static void test_torture(void **state)
{
    (void)state;
    const struct dr_text t = {DR_MIXED, V, seed};
    struct dr_seq s[2];
    for (int k = 0; k < 2; k++) {
        dr_seq_open(&s[k], 1 + (uint64_t)k, &t, N_TOK);
        s[k].n_prompt = 40;
        s[k].predicted = s[k].tok + 40;
        s[k].n_predicted = N_TOK - 40;
    }
    for (int i = 0; i < V; i++)
        logits[i] = (float)((i * 7919) % V);
    for (int i = 0; i < draft_count(); i++) {
        const struct draft_method *m = draft_at(i);
        if (m->flags & DRAFT_RUNS_MODEL) /* it needs an engine: tests/equal/test_spec_model.c */
            continue;
        char params[300] = "";
        if (strcmp(m->name, "trace") == 0)
            snprintf(params, sizeof params, "of=ngram-map-k4v,file=/dev/null");
        else if (m->flags & DRAFT_WRAPPER)
            snprintf(params, sizeof params, "of=suffix%s", strcmp(m->name, "delay") == 0 ? ",ms=0" : "");
        else if (strcmp(m->name, "slow") == 0)
            snprintf(params, sizeof params, "ms=0");
        else if (m->flags & DRAFT_NEED_FILE)
            snprintf(params, sizeof params, "file=%s", store);
        if (strcmp(m->name, "shuffle") == 0) /* all of the above once more, and what is slow */
            continue;
        torture(m->name, params, s);
    }
    dr_seq_close(&s[0]);
    dr_seq_close(&s[1]);
}

static int make_store(void **state)
{
    (void)state;
    static int32_t tok[2000];
    const struct dr_text t = {DR_MIXED, V, seed};
    for (size_t i = 0; i < 2000; i++)
        tok[i] = dr_next(&t, tok, i);
    dr_tmp_file(store, sizeof store);
    dr_write_datastore(store, tok, 2000, V);
    return 0;
}

static int drop_store(void **state)
{
    (void)state;
    return unlink(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_torture)};
    printf("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, make_store, drop_store);
}
