/* The sampler against other people's: tests/golden/sampler.txt, made by tools/make_sampler_golden.py from transformers,
 * llama.cpp and the published description of DRY. Same kept tokens; probabilities within 1e-5 + 1e-4 p (theirs are
 * float). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample/sample.h"

enum { MAX = 512 };

struct gold {
    char oracle[16];
    struct otr_sampling sp;
    int n_vocab, n_hist, n_bias, n_breaker, n_kept;
    int32_t hist[MAX], breaker[MAX], kept[MAX];
    struct otr_logit_bias bias[MAX];
    float logits[MAX];
    double prob[MAX]; /* by token id; -1: not kept */
};

static void word(FILE *f, const char *want)
{
    char got[32] = "";
    if (fscanf(f, "%31s", got) != 1 || strcmp(got, want) != 0)
        fail_msg("golden file: '%s' where '%s' should stand", got, want);
}

static double number(FILE *f)
{
    double x = -1;
    if (fscanf(f, "%lf", &x) != 1)
        fail_msg("golden file: a number is missing");
    return x;
}

static int count(FILE *f)
{
    const double x = number(f);
    assert_true(x >= 0 && x <= MAX);
    return (int)x;
}

/* False at the end of the file. */
static bool read_case(FILE *f, struct gold *g)
{
    char head[16];
    if (fscanf(f, "%15s", head) != 1)
        return false;
    assert_string_equal(head, "case");
    assert_int_equal(fscanf(f, "%15s", g->oracle), 1);
    g->n_vocab = count(f);
    g->n_hist = count(f);
    g->n_bias = count(f);
    g->n_breaker = count(f);
    g->n_kept = count(f);
    g->sp = (struct otr_sampling){.temp = (float)number(f), .top_k = (int)number(f)};
    g->sp.top_p = (float)number(f);
    g->sp.min_p = (float)number(f);
    g->sp.typical_p = (float)number(f);
    g->sp.penalty_last_n = (int)number(f);
    g->sp.repeat_penalty = (float)number(f);
    g->sp.frequency_penalty = (float)number(f);
    g->sp.presence_penalty = (float)number(f);
    g->sp.dry_multiplier = (float)number(f);
    g->sp.dry_base = (float)number(f);
    g->sp.dry_allowed_length = (int)number(f);
    g->sp.dry_penalty_last_n = (int)number(f);
    word(f, "hist");
    for (int i = 0; i < g->n_hist; i++)
        g->hist[i] = (int32_t)number(f);
    word(f, "bias");
    for (int i = 0; i < g->n_bias; i++) {
        g->bias[i].token = (int32_t)number(f);
        g->bias[i].bias = (float)number(f);
    }
    word(f, "breakers");
    for (int i = 0; i < g->n_breaker; i++)
        g->breaker[i] = (int32_t)number(f);
    word(f, "logits");
    for (int i = 0; i < g->n_vocab; i++) {
        g->logits[i] = (float)(number(f) / 256);
        g->prob[i] = -1;
    }
    word(f, "kept");
    for (int i = 0; i < g->n_kept; i++) {
        g->kept[i] = (int32_t)number(f);
        g->prob[g->kept[i]] = number(f);
    }
    g->sp.bias = g->bias;
    g->sp.n_bias = (size_t)g->n_bias;
    g->sp.dry_breakers = g->breaker;
    g->sp.n_dry_breakers = (size_t)g->n_breaker;
    return true;
}

static void check_case(const struct gold *g, int number_of_case)
{
    struct otr_err err;
    struct sampler *s;
    struct dist d;
    const struct history h = {.base = g->hist, .n_base = (size_t)g->n_hist};
    if (sampler_open(&s, &g->sp, g->n_vocab, &err) < 0 || sampler_dist(s, g->logits, &h, &d, &err) < 0)
        fail_msg("case %d (%s): %s", number_of_case, g->oracle, err.msg);
    double sum = 0;
    for (int i = 0; i < d.n; i++)
        sum += exp((double)d.logit[i] - (double)d.logit[0]);
    if (d.n != g->n_kept)
        fail_msg("case %d (%s): %d tokens kept, oracle %d", number_of_case, g->oracle, d.n, g->n_kept);
    for (int i = 0; i < d.n; i++) {
        const double p = exp((double)d.logit[i] - (double)d.logit[0]) / sum, want = g->prob[d.id[i]];
        if (want < 0)
            fail_msg("case %d (%s): token %d was not kept by the oracle", number_of_case, g->oracle, d.id[i]);
        if (!(fabs(p - want) <= 1e-5 + 1e-4 * want))
            fail_msg("case %d (%s): token %d has p %.9g, oracle %.9g", number_of_case, g->oracle, d.id[i], p, want);
        assert_true(i == 0 || d.logit[i] < d.logit[i - 1] || (d.logit[i] == d.logit[i - 1] && d.id[i] > d.id[i - 1]));
    }
    sampler_close(s);
}

static void test_golden(void **state)
{
    (void)state;
    char line[512];
    struct gold *g = malloc(sizeof *g);
    FILE *f = fopen("tests/golden/sampler.txt", "r");
    assert_non_null(g);
    assert_non_null(f);
    for (int i = 0; i < 3; i++) /* the heading */
        assert_true(fgets(line, sizeof line, f) && line[0] == '#');
    int n = 0, n_hf = 0, n_llama = 0, n_dry = 0;
    for (; read_case(f, g); n++) {
        check_case(g, n);
        n_hf += strcmp(g->oracle, "hf") == 0;
        n_llama += strcmp(g->oracle, "llama") == 0;
        n_dry += strcmp(g->oracle, "dry") == 0;
    }
    printf("%d cases: %d transformers, %d llama.cpp, %d DRY\n", n, n_hf, n_llama, n_dry);
    assert_true(n_hf >= 40 && n_llama >= 60 && n_dry >= 40);
    fclose(f);
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
