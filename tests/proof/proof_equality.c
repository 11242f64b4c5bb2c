/* Proof of row-invariance on a real model: 100 prompts x 128 tokens, at least 5,000 draws, and level c against the best
 * level for the whole pass on 20 prompts. usage: proof_equality MODEL PROMPTS.jsonl [DRAWS [PROMPTS_AT_LEVEL_C]] */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/equal.h"

enum { N_PROMPT = 100, N_TOK = 128 };

static int die(const struct otr_err *err)
{
    fprintf(stderr, "proof_equality: error: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    struct eq_rig r;
    struct eq_prompts p;
    struct otr_err err = {0};
    const uint64_t seed = 20261124;
    if (argc < 3) {
        fprintf(stderr, "usage: proof_equality MODEL PROMPTS.jsonl [DRAWS [PROMPTS_AT_LEVEL_C]]\n");
        return 2;
    }
    const long want = argc > 3 ? atol(argv[3]) : 5000;
    const int at_c = argc > 4 ? atoi(argv[4]) : 20;
    long c_row = 0, c_differ = 0;
    int c_text = 0;
    const double t0 = clock_ms();
    if (eq_open(&r, argv[1], NULL, seed, &err) < 0)
        return die(&err);
    if (eq_prompts_read(&p, r.m, argv[2], N_PROMPT, 48) < N_PROMPT) {
        fprintf(stderr, "proof_equality: error: fewer than %d prompts in %s\n", N_PROMPT, argv[2]);
        return 1;
    }
    const int n_group = (N_PROMPT + EQ_GROUP - 1) / EQ_GROUP;
    for (int g = 0; g < n_group; g++) {
        const int at = g * EQ_GROUP, n = p.n - at < EQ_GROUP ? p.n - at : EQ_GROUP;
        if (eq_load(&r, (const int32_t *const *)p.ids + at, p.n_ids + at, n, N_TOK, &err) < 0)
            return die(&err);
        while (r.n_draw < want * (g + 1) / n_group)
            if (eq_draw(&r, &err) < 0)
                return die(&err);
        if (c_text < at_c) {
            long rows, differ;
            r.n_text = at_c - c_text < n ? at_c - c_text : n;
            if (eq_compare_model(&r, argv[1], &(struct otr_model_opts){.kern = "c"}, &rows, &differ, &err) < 0)
                return die(&err);
            c_text += r.n_text;
            c_row += rows;
            c_differ += differ;
            r.n_text = n;
        }
        fprintf(stderr, "group %d of %d: %ld draws, %ld rows, %ld differ (%.0f s)\n", g + 1, n_group, r.n_draw, r.n_row,
                r.n_differ, (clock_ms() - t0) / 1e3);
    }
    printf("%s, level %s, seed %llu: %d prompts x %d tokens, %ld draws: %ld rows (%ld on chains and trees, %ld on side "
           "branches), "
           "%ld differ; level c against %s: %d prompts, %ld rows, %ld differ; %.0f s\n",
           r.m->info.name, r.m->info.kern, (unsigned long long)seed, N_PROMPT, N_TOK, r.n_draw, r.n_row - c_row,
           r.n_tree_row, r.n_branch_row, r.n_differ - c_differ, r.m->info.kern, c_text, c_row, c_differ,
           (clock_ms() - t0) / 1e3);
    const int bad = r.n_differ != 0;
    eq_prompts_free(&p);
    eq_close(&r);
    return bad;
}
