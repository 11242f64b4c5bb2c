/* Self-speculation (lowbit, skip, exit): what its drafters leave behind in the target's cache (nothing), what they
 * refuse, and what is known of their drafts: with nothing left out, or with a type that loses little, they are right.
 * That replies stay the same is tested in tests/equal/test_spec.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "draft/skip_set.h"
#include "engine/engine.h"

#define STORIES "../shared/data/stories260K/stories260K-f32.gguf"
/* WHY 94 tokens: a draft reaches into the next page */
enum { N_CTX = 160, N_TEXT = 94, N_DRAFT = 6 };

struct rig {
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_seq *s, *fork; /* the fork shares its last page */
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = N_CTX, .n_seq = 3};
    int32_t tok[N_TEXT];
    assert_non_null(r);
    *state = r;
    if (access(STORIES, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", STORIES);
        return 0;
    }
    assert_int_equal(otr_model_open(&r->m, STORIES, NULL, NULL), OTR_OK);
    assert_int_equal(otr_engine_create(&r->e, r->m, &eo, NULL), OTR_OK);
    assert_int_equal(otr_seq_create(&r->s, r->e, NULL), OTR_OK);
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = N_TEXT, .ignore_eos = true};
    struct otr_gen_result out;
    g.sampling.temp = 0;
    tok[0] = r->m->info.bos;
    assert_int_equal(otr_generate(r->s, tok, 1, &g, &out, NULL), OTR_OK);
    r->s->tok[r->s->n] = out.tokens[out.n_reply - 1]; /* as in a step: the newest token has no row yet */
    otr_gen_result_free(&out);
    assert_int_equal(otr_seq_fork(&r->fork, r->s, NULL), OTR_OK);
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    otr_seq_destroy(r->fork);
    otr_seq_destroy(r->s);
    otr_engine_destroy(r->e);
    otr_model_close(r->m);
    free(r);
    return 0;
}

static struct rig *rig_of(void **state)
{
    struct rig *r = *state;
    if (!r->m)
        skip();
    return r;
}

/* All committed keys and values of a sequence, one row after another. */
static char *copy_kv(const struct kv_seq *s, const struct kv_shape *sh, size_t *n)
{
    const size_t row = kv_row_bytes(sh->type, sh->d_head);
    char *out = calloc((size_t)kv_len(s) * (size_t)sh->n_layer * 2 * (size_t)sh->n_head_kv + 1, row), *at = out;
    char k[ATTN_BLOCK * 1024], v[ATTN_BLOCK * 1024]; /* a lane of a block is row 0 of a copy */
    assert_non_null(out);
    for (int p = 0; p < kv_len(s); p++)
        for (int l = 0; l < sh->n_layer; l++)
            for (int h = 0; h < sh->n_head_kv; h++, at += 2 * row) {
                memset(k, 0, sizeof k);
                kv_copy_k(k, 0, kv_k_block(s, l, h, p / ATTN_BLOCK), p % ATTN_BLOCK, sh->d_head, sh->type);
                kv_copy_v(v, 0, kv_v_block(s, l, h, p / ATTN_BLOCK), p % ATTN_BLOCK, sh->d_head, sh->type);
                for (int d = 0; d < sh->d_head; d++) /* f16 */
                    memcpy(at + 2 * (size_t)d, k + 2 * (size_t)d * ATTN_BLOCK, 2);
                memcpy(at + row, v, row);
            }
    *n = (size_t)(at - out);
    return out;
}

static struct draft_ask ask_of(struct otr_seq *s)
{
    struct draft_ask a = {.seq = s->id,
                          .tok = s->tok,
                          .n = s->n + 1,
                          .n_prompt = 1,
                          .max_entries = N_DRAFT,
                          .luck = {.rule = RULE_GREEDY, .n_vocab = s->e->m->info.n_vocab},
                          .sampling = otr_sampling_default(),
                          .kv = s->kv};
    a.sampling.temp = 0;
    return a;
}

static void open_ok(struct rig *r, const char *method)
{
    struct otr_err err = {0};
    if (otr_engine_speculate(r->e, &(struct otr_spec){.methods = &method, .n_methods = 1}, &err) < 0)
        fail_msg("%s: %s", method, err.msg);
}

static void test_no_trace(void **state)
{
    struct rig *r = rig_of(state);
    static const char *const methods[] = {"lowbit", "lowbit:type=Q4_0,head=0", "skip:set=-af--", "skip:search=4"};
    static struct tree t[2];
    const struct kv_shape *sh = kv_get_shape(r->e->kv);
    size_t n;
    char *before = copy_kv(r->s->kv, sh, &n);
    const int free_pages = kv_pages_free(r->e->kv);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        open_ok(r, methods[i]);
        const struct drafter *d = &r->e->spec->d[0];
        const struct draft_ask ask[2] = {ask_of(r->s), ask_of(r->fork)};
        r->fork->tok[r->fork->n] = (r->s->tok[r->s->n] + 1) % r->m->info.n_vocab; /* they part here */
        for (int k = 0; k < 6; k++) {
            tree_clear(&t[0]);
            tree_clear(&t[1]);
            assert_int_equal(d->m->propose(d->self, ask, 2, t), OTR_OK);
        }
        assert_true(t[0].n > 0 || strstr(methods[i], "search"));
        size_t n2;
        char *s = copy_kv(r->s->kv, sh, &n2), *f = copy_kv(r->fork->kv, sh, &n2);
        assert_int_equal(n, n2);
        assert_memory_equal(before, s, n);
        assert_memory_equal(before, f, n);
        /* a shared last page may have been copied for one of the two; nothing else stays */
        assert_true(kv_pages_free(r->e->kv) >= free_pages - 1);
        free(s);
        free(f);
    }
    free(before);
}

/* The target's own answers, as a plain reply gives them. */
static void answers(struct rig *r, int32_t *want)
{
    struct otr_seq *s;
    struct otr_gen g = {.sampling = otr_sampling_default(), .max_tokens = N_DRAFT, .ignore_eos = true};
    struct otr_gen_result out;
    assert_int_equal(otr_engine_speculate(r->e, NULL, NULL), OTR_OK);
    assert_int_equal(otr_seq_fork(&s, r->s, NULL), OTR_OK);
    g.sampling.temp = 0;
    assert_int_equal(otr_generate(s, &r->s->tok[r->s->n], 1, &g, &out, NULL), OTR_OK);
    memcpy(want, out.tokens, N_DRAFT * sizeof *want);
    otr_gen_result_free(&out);
    otr_seq_destroy(s);
}

static void test_drafts(void **state)
{
    struct rig *r = rig_of(state);
    static struct tree t;
    int32_t want[N_DRAFT];
    answers(r, want);
    static const char *const methods[] = {"skip:set=-----,n_max=6", "lowbit:type=Q8_0"}; /* all of it; nearly all */
    for (size_t i = 0; i < 2; i++) {
        open_ok(r, methods[i]);
        const struct draft_ask ask = ask_of(r->s);
        tree_clear(&t);
        assert_int_equal(r->e->spec->d[0].m->propose(r->e->spec->d[0].self, &ask, 1, &t), OTR_OK);
        assert_true(t.n > 0);
        for (int k = 0; k < t.n; k++)
            assert_int_equal(t.entry[k].token, want[k]);
    }
}

static void test_refusals(void **state)
{
    struct rig *r = rig_of(state);
    static const struct {
        const char *method;
        int code;
        const char *says;
    } bad[] = {{"lowbit:type=Q5_K", OTR_E_ARG, "Q4_0, Q4_1, Q8_0"},
               {"lowbit:head=2", OTR_E_ARG, "head"},
               {"lowbit:n_max=0", OTR_E_ARG, "n_max"},
               {"lowbit:tipe=Q4_0", OTR_E_ARG, "did you mean type"},
               {"exit:layers=0", OTR_E_ARG, "from 1 to 4"},
               {"exit:layers=5", OTR_E_ARG, "from 1 to 4"},
               {"skip:set=bbbbb", OTR_E_ARG, "nothing of the model"},
               {"skip:set=--", OTR_E_ARG, "2 letters for a model of 5 layers"},
               {"skip:set=--x--", OTR_E_ARG, "'x'"},
               {"exit:layers=99", OTR_E_ARG, "from 1 to 4"},
               {"exit:layers=-1", OTR_E_ARG, "from 1 to 4"},
               {"exit:layers=1.5", OTR_E_ARG, "whole number"},
               {"lowbit:rows=0", OTR_E_ARG, "rows"},
               {"lowbit:rows=9,freq=/nowhere", OTR_E_IO, "frequency file"},
               {"fault:of=exit", OTR_E_UNSUPPORTED, "exit"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct otr_err err = {0};
        const struct otr_spec sp = {.methods = &bad[i].method, .n_methods = 1};
        assert_int_equal(otr_engine_speculate(r->e, &sp, &err), bad[i].code);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%s: '%s' says nothing of '%s'", bad[i].method, err.msg, bad[i].says);
    }
}

/* A wrapper needs and gives what the method inside does: a model that runs is planned for as one. */
static void test_wrapped_flags(void **state)
{
    struct rig *r = rig_of(state);
    static const struct {
        const char *method;
        uint32_t flags;
    } ways[] = {
        {"lowbit", DRAFT_NEED_TARGET | DRAFT_RUNS_MODEL | DRAFT_GIVE_PROBS | DRAFT_STOPS},
        {"delay:of=lowbit,ms=0", DRAFT_NEED_TARGET | DRAFT_RUNS_MODEL | DRAFT_GIVE_PROBS | DRAFT_STOPS | DRAFT_WRAPPER},
        {"trace:of=fault,of=draft,file=/dev/null,model=" STORIES,
         DRAFT_RUNS_MODEL | DRAFT_GIVE_PROBS | DRAFT_STOPS | DRAFT_WRAPPER},
        {"fault:of=suffix,every=3", DRAFT_WRAPPER},
        {"fault:of=recycle", DRAFT_NEED_DIST | DRAFT_GIVE_TREE | DRAFT_WRAPPER}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        open_ok(r, ways[i].method);
        const uint32_t own = draft_find("suffix")->flags;
        const uint32_t want = i == 3 ? own | DRAFT_WRAPPER : ways[i].flags;
        assert_int_equal(r->e->spec->d[0].flags, want);
    }
    assert_int_equal(otr_engine_speculate(r->e, NULL, NULL), OTR_OK);
}

/* A set comes back from its file; a file that is not sound counts as none. */
static void test_set_file(void **state)
{
    struct rig *r = rig_of(state);
    char dir[] = "/tmp/outrider-skip-XXXXXX", cmd[128], text[8];
    struct skip_set s, back;
    assert_non_null(mkdtemp(dir));
    assert_false(skip_set_load(&back, dir, r->m->w));
    assert_int_equal(skip_set_read(&s, "-afb-", 5, NULL), OTR_OK);
    s.match = 0.75;
    s.rate = 1.25;
    skip_set_save(&s, dir, r->m->w);
    assert_true(skip_set_load(&back, dir, r->m->w));
    skip_set_write(&back, text);
    assert_string_equal(text, "-afb-");
    assert_true(back.match == 0.75 && back.rate == 1.25);
    assert_true(skip_set_cost(&back, r->m->w) > 0.2 && skip_set_cost(&back, r->m->w) < 0.9);
    snprintf(cmd, sizeof cmd, "sed -i s/-afb-/bbbbb/ %s/skip-*.txt", dir);
    assert_int_equal(system(cmd), 0);
    assert_false(skip_set_load(&back, dir, r->m->w));
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    assert_int_equal(system(cmd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_trace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drafts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrapped_flags, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
