/* What the files of `outrider bench spec` share: its prompts, their replies, what was measured.
 * Read next: spec_bench.c (measuring), spec_prompts.c (reading), spec_figures.c (showing). */
#ifndef OTR_APP_SPEC_BENCH_H
#define OTR_APP_SPEC_BENCH_H

#include <jansson.h>

#include "bench/spec_bounds.h"
#include "bench/stats.h"
#include "engine/engine.h"
#include "run_opts.h"

enum { SPEC_METHODS = 16, SPEC_CATEGORIES = 32, SPEC_ROUNDS = 64, SPEC_NAME = 32 };
#define SPEC_GOOD 1.05 /* after the least rounds the first method goes on where it gains less */

struct spec_bench_opts {
    struct engine_opts engine;
    struct flag_list files, methods;
    const char *rounds, *category; /* rounds: "MIN:MAX"; category NULL: all */
    int n_prompts, n_tokens, min_rounds, max_rounds, skip, seconds;
    float temp;
    bool json, keep_loops, bounds;
};

struct spec_result { /* of one method on one prompt */
    int n;           /* pairs */
    struct median decode;
    double whole, ms, plain_ms; /* medians; whole: speedup with the prompt's time */
};
struct spec_rounds { /* of one prompt: pair [method][round] */
    double pair[SPEC_METHODS][SPEC_ROUNDS], whole[SPEC_METHODS][SPEC_ROUNDS], ms[SPEC_METHODS][SPEC_ROUNDS],
        plain_ms[SPEC_ROUNDS];
    int n[SPEC_METHODS], n_plain;
};
struct spec_task {            /* one prompt */
    int32_t *ids, *predicted; /* ids [n_ids + n_text]: the reply behind the prompt, once it is known */
    size_t n_ids, n_predicted, n_text;
    int category, number; /* its place among those of its category in the file, from 0 */
    bool loops;
    struct otr_seq *base; /* holds the prompt but for its last token, while its category is measured */
    double prompt_ms;
    struct spec_rounds *rounds;
    struct spec_result result[SPEC_METHODS];
    /* of the recording */
    struct sb_place *place;
    double row_ms, rest_ms, pass_ms[SB_ROWS + 1], cost_ms[SB_DRAFTERS];
};

struct spec_sum { /* of one method on one category: over all replies */
    int n_reply, n_same;
    size_t steps, plain, drafted, kept, tokens;
    double draft_ms, verify_ms, all_ms;
};
struct spec_bounds { /* of one category, ms of all its replies */
    double plain_ms, best_ms, causal_ms, clairvoyant_ms;
    double auto_ms, auto_worst; /* its controller on the same tables, plain / drafted of its worst text; 0: the first
                                   method is another */
    int drafter, len;           /* the best fixed ones; drafter -1: plain decoding */
    double rel[SB_ROWS + 1], cost_ms[SB_DRAFTERS]; /* as in struct sb_case */
    char best[SPEC_NAME];                          /* "NAME@K", or "none" */
};

struct spec_bench {
    const struct spec_bench_opts *o;
    struct otr_model *m;
    struct otr_engine *e;
    struct spec *spec[SPEC_METHODS]; /* NULL: "best", where there is none yet */
    struct spec *replayed;           /* a controller of its own for the tables, where the first method is auto */
    struct spec *recorded;           /* the drafters of the bounds, those of `auto` first */
    int best;                        /* the method that is "best", or -1 */
    struct spec_task *task;          /* [n_task], by category */
    int n_task, n_category, n_of[SPEC_CATEGORIES];
    char category[SPEC_CATEGORIES][SPEC_NAME];
    struct spec_sum (*sum)[SPEC_METHODS]; /* [n_category] */
    struct spec_bounds bounds[SPEC_CATEGORIES];
};

/* spec_prompts.c: all tasks, in order of their categories. */
int spec_prompts_read(struct spec_bench *b, struct otr_err *err);
void spec_prompts_free(struct spec_bench *b);

/* spec_figures.c */
void spec_show(const struct spec_bench *b);
json_t *spec_to_json(const struct spec_bench *b);

#endif
