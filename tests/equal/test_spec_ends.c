/* A reply that ends inside an accepted run ends where plain decoding ends it: at any limit of tokens, at the context's
 * end, at a stop string, at a callback that aborts; alone and among replies that go on. With a drafter that knows the
 * answer and drafts of 16, so that ends fall at every place of a run. What is compared: tokens, text, pieces of text,
 * the reason, the sequence's length, and the bits of the logits after more text, which depend on every row it kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"

#define MODEL "../shared/data/stories260K/stories260K-f32.gguf"
enum { N_TOK = 72, N_CTX = 256, MAX_AT_ONCE = 6 };

static struct otr_model *model;
static int32_t prompt[64], more[64];
static size_t n_prompt, n_more;
static struct otr_gen_result known[2]; /* by temperature: the whole reply, what the drafter knows */

struct want { /* how a reply is to end */
    size_t max_tokens;
    int abort_after; /* calls of on_text; 0: never */
    const char *stop;
};
struct got {
    struct otr_gen_result r;
    int n_piece; /* calls of on_text */
    size_t n_seq;
    float *logits; /* after more text; NULL: no room for it */
};
struct watch {
    int left;
    struct got *g;
};

static bool on_text(void *user, const char *text, size_t n, int32_t token)
{
    struct watch *w = user;
    (void)text;
    (void)token;
    assert_true(n > 0);
    w->g->n_piece++;
    return w->left == 0 || --w->left > 0;
}

static void ok(int rc, const struct otr_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->msg);
}

/* n replies at once, each with an end of its own. */
static void run(bool warm, bool drafted, int n_ctx, const struct want *want, int n, struct got *got)
{
    static const char *const oracle[] = {"oracle"};
    struct otr_err err = {0};
    struct otr_engine *e;
    struct otr_seq *s[MAX_AT_ONCE];
    struct otr_reply *r[MAX_AT_ONCE];
    struct watch w[MAX_AT_ONCE];
    ok(otr_engine_create(&e, model, &(struct otr_engine_opts){.n_threads = 1, .n_ctx = n_ctx, .n_seq = n}, &err), &err);
    if (drafted)
        ok(otr_engine_speculate(e, &(struct otr_spec){.methods = oracle, .n_methods = 1, .draft_fixed = 16}, &err),
           &err);
    for (int i = 0; i < n; i++) {
        struct otr_gen g = {.sampling = otr_sampling_default(),
                            .max_tokens = want[i].max_tokens,
                            .stops = &want[i].stop,
                            .n_stops = want[i].stop != NULL,
                            .on_text = on_text,
                            .user = &w[i],
                            .predicted = known[warm].tokens,
                            .n_predicted = known[warm].n_reply};
        g.sampling.temp = warm ? 0.8f : 0;
        g.sampling.seed = 3;
        got[i] = (struct got){0};
        w[i] = (struct watch){want[i].abort_after, &got[i]};
        ok(otr_seq_create(&s[i], e, &err), &err);
        ok(otr_reply_open(&r[i], s[i], prompt, n_prompt, &g, &err), &err);
    }
    for (int left = 1; left > 0;)
        ok(left = otr_step(e, r, n, &err), &err);
    for (int i = 0; i < n; i++) {
        ok(otr_reply_close(r[i], &got[i].r, &err), &err);
        got[i].n_seq = otr_seq_len(s[i]);
    }
    for (int i = 0; i < n; i++) {
        if (got[i].n_seq + n_more <= (size_t)n_ctx) {
            const size_t bytes = (size_t)otr_model_info(model)->n_vocab * sizeof(float);
            ok(otr_seq_append(s[i], more, n_more, &err), &err);
            got[i].logits = malloc(bytes);
            assert_non_null(got[i].logits);
            memcpy(got[i].logits, otr_seq_logits(s[i]), bytes);
        }
        otr_seq_destroy(s[i]);
    }
    otr_engine_destroy(e);
}

static long n_cases, n_accepted, n_at_end[4];

/* Cases are there only with the model. */
static void need_model(void)
{
    if (!model)
        skip();
}

static void compare(const char *what, int end, bool warm, int n_ctx, const struct want *want, int n)
{
    struct got a[MAX_AT_ONCE], b[MAX_AT_ONCE];
    run(warm, false, n_ctx, want, n, a);
    run(warm, true, n_ctx, want, n, b);
    for (int i = 0; i < n; i++) {
        const struct otr_gen_result *x = &a[i].r, *y = &b[i].r;
        const size_t bytes = (size_t)otr_model_info(model)->n_vocab * sizeof(float);
        if (x->n_reply != y->n_reply || memcmp(x->tokens, y->tokens, x->n_reply * sizeof *x->tokens) != 0 ||
            x->n_text != y->n_text || memcmp(x->text, y->text, x->n_text) != 0 || x->stop != y->stop ||
            a[i].n_piece != b[i].n_piece || a[i].n_seq != b[i].n_seq)
            fail_msg("%s %d, temperature %s, reply %d of %d: %zu tokens, %zu bytes, %d pieces, stop %d, %zu in the "
                     "sequence; drafted %zu, %zu, %d, %d, %zu",
                     what, end, warm ? "0.8" : "0", i, n, x->n_reply, x->n_text, a[i].n_piece, (int)x->stop, a[i].n_seq,
                     y->n_reply, y->n_text, b[i].n_piece, (int)y->stop, b[i].n_seq);
        assert_int_equal(a[i].logits != NULL, b[i].logits != NULL);
        if (a[i].logits && memcmp(a[i].logits, b[i].logits, bytes) != 0)
            fail_msg("%s %d: the sequence holds something else", what, end);
        n_cases++;
        n_accepted += (long)y->spec.n_accepted;
        n_at_end[y->stop]++;
        free(a[i].logits);
        free(b[i].logits);
        otr_gen_result_free(&a[i].r);
        otr_gen_result_free(&b[i].r);
    }
}

static void test_max_tokens(void **state)
{
    (void)state;
    need_model();
    for (int n = 0; n <= 40; n++)
        compare("limit of tokens", n, n % 2, N_CTX, &(struct want){.max_tokens = (size_t)n}, 1);
}

static void test_context(void **state)
{
    (void)state;
    need_model();
    for (int n = 1; n <= 40; n++)
        compare("context", n, n % 2, (int)n_prompt + n, &(struct want){.max_tokens = SIZE_MAX}, 1);
}

static void test_stop_string(void **state)
{
    (void)state;
    need_model();
    for (int n = 1; n <= 40; n++) { /* a piece of the reply itself: it ends where that is complete first */
        char stop[16];
        const struct otr_gen_result *k = &known[n % 2];
        snprintf(stop, sizeof stop, "%.*s", 2 + n % 6, k->text + (size_t)n * (k->n_text - 10) / 42);
        compare("stop string", n, n % 2, N_CTX, &(struct want){.max_tokens = N_TOK, .stop = stop}, 1);
    }
}

static void test_abort(void **state)
{
    (void)state;
    need_model();
    for (int n = 1; n <= 40; n++)
        compare("abort", n, n % 2, N_CTX, &(struct want){.max_tokens = N_TOK, .abort_after = n}, 1);
}

/* In one step some replies end, each in its own way, and others go on. */
static void test_batches(void **state)
{
    (void)state;
    need_model();
    for (int n = 0; n < 24; n++) {
        const struct want want[] = {{.max_tokens = (size_t)(1 + n)},
                                    {.max_tokens = N_TOK, .abort_after = 30 - n},
                                    {.max_tokens = N_TOK},
                                    {.max_tokens = N_TOK, .stop = n % 3 ? " the" : "."},
                                    {.max_tokens = (size_t)(50 - n)},
                                    {.max_tokens = SIZE_MAX}};
        compare("batch", n, n % 2, (int)n_prompt + 60 - n % 7, want, 2 + n % 5);
    }
}

static int open_model(void **state)
{
    (void)state;
    struct otr_err err;
    struct got g;
    if (access(MODEL, R_OK) != 0)
        return 0;
    if (otr_model_open(&model, MODEL, NULL, &err) < 0)
        return -1;
    n_prompt = (size_t)otr_tokenize(model, "Once upon a time, there was", 27, OTR_TOK_ADD_SPECIAL, prompt, 64, &err);
    n_more = (size_t)otr_tokenize(model, " big red ball", 13, 0, more, 64, &err);
    for (int warm = 0; warm < 2; warm++) {
        run(warm, false, N_CTX, &(struct want){.max_tokens = N_TOK}, 1, &g);
        known[warm] = g.r;
        free(g.logits);
    }
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    if (!model) {
        printf("SKIPPED: %s is not there\n", MODEL);
        return 0;
    }
    printf("%ld replies: %ld ended by length, %ld by a stop string, %ld by abort; %ld drafted tokens kept\n", n_cases,
           n_at_end[OTR_STOP_LENGTH], n_at_end[OTR_STOP_STRING], n_at_end[OTR_STOP_ABORT], n_accepted);
    otr_gen_result_free(&known[0]);
    otr_gen_result_free(&known[1]);
    otr_model_close(model);
    return n_accepted > 1000 && n_at_end[OTR_STOP_STRING] > 20 && n_at_end[OTR_STOP_ABORT] > 20 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_max_tokens), cmocka_unit_test(test_context), cmocka_unit_test(test_stop_string),
        cmocka_unit_test(test_abort),      cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
