/* What `outrider bench spec` says: a table, or JSON. In: prompts with their results. Read next: spec_bench.h. */
#include <stdlib.h>
#include <string.h>

#include "spec_bench.h"

/* Of one method on one category, over its prompts. */
struct summary {
    int n;
    const struct spec_task *worst;
    double decode, whole;       /* medians of the prompts' medians */
    double ms, plain_ms, total; /* sums of medians; total: plain_ms / ms */
};

static struct summary summarise(const struct spec_bench *b, int c, size_t k)
{
    struct summary s = {0};
    double *v = calloc((size_t)b->n_task * 2 + 2, sizeof *v), *whole = v ? v + b->n_task : NULL;
    for (int i = 0; i < b->n_task && v; i++) {
        const struct spec_task *t = &b->task[i];
        const struct spec_result *r = &t->result[k];
        if (t->category != c || r->n == 0)
            continue;
        if (!s.worst || r->decode.x < s.worst->result[k].decode.x)
            s.worst = t;
        v[s.n] = r->decode.x;
        whole[s.n++] = r->whole;
        s.ms += r->ms;
        s.plain_ms += r->plain_ms;
    }
    if (s.n > 0) {
        s.decode = spread_of(v, (size_t)s.n).median;
        s.whole = spread_of(whole, (size_t)s.n).median;
        s.total = s.plain_ms / s.ms;
    }
    free(v);
    return s;
}

static double acceptance(const struct spec_sum *f)
{
    const size_t n = f->steps - f->plain;
    return n > 0 ? 1 + (double)f->kept / (double)n : 1;
}

static int n_loop(const struct spec_bench *b)
{
    int n = 0;
    for (int i = 0; i < b->n_task; i++)
        n += b->task[i].loops;
    return n;
}

/* A column that may be missing. */
static void cell(double x)
{
    if (x > 0)
        printf(" %9.3f", x);
    else
        printf(" %9s", "-");
}

static void show_bounds(const struct spec_bench *b)
{
    printf("\nWhat drafting could have been worth: time of all replies, plain / drafted. Simulated: from what drafters "
           "may\npropose along these texts and what passes take (causal and bound: with the drafters of auto).\n");
    printf("%-16s %-18s %9s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "category", "best fixed", "best", "", "auto",
           "worst", "", "auto/", "causal", "auto/", "", "bound");
    printf("%-16s %-18s %9s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "", "", "simulated", "measured", "simulated",
           "text", "measured", "best", "simulated", "causal", "simulated", "simulated");
    for (int c = 0; c < b->n_category; c++) {
        const struct spec_bounds *x = &b->bounds[c];
        if (x->plain_ms <= 0)
            continue;
        const double first = summarise(b, c, 0).total, causal = x->plain_ms / x->causal_ms,
                     best = b->best >= 0 ? summarise(b, c, (size_t)b->best).total : 0, fixed = x->plain_ms / x->best_ms;
        printf("%-16s %-18s", b->category[c], x->best);
        cell(fixed);
        cell(best);
        cell(x->auto_ms > 0 ? x->plain_ms / x->auto_ms : 0);
        cell(x->auto_worst);
        cell(first);
        cell(first / (best > 0 ? best : fixed));
        cell(causal);
        cell(first / causal);
        cell(x->auto_ms > 0 ? x->causal_ms / x->auto_ms : 0);
        cell(x->plain_ms / x->clairvoyant_ms);
        printf("\n");
    }
}

void spec_show(const struct spec_bench *b)
{
    printf("%d threads, level %s, temperature %g, %d tokens, %d to %d rounds; ratios are of replies of one round\n",
           otr_engine_n_threads(b->e), otr_model_info(b->m)->kern, (double)b->o->temp, b->o->n_tokens, b->o->min_rounds,
           b->o->max_rounds);
    printf("%-16s %-20s %7s %8s %8s %-14s %5s %8s %8s %8s %7s %7s  %s\n", "category", "method", "prompts", "speedup",
           "worst", "  its interval", "pairs", "whole", "tokens/", "accept.", "draft", "verify", "same bytes");
    printf("%-16s %-20s %7s %8s %8s %-14s %5s %8s %8s %8s %7s %7s\n", "", "", "", "median", "prompt", "", "", "median",
           "pass", "length", "%time", "%time");
    for (int c = 0; c < b->n_category; c++)
        for (size_t k = 0; k < b->o->methods.n; k++) {
            const struct summary s = summarise(b, c, k);
            const struct spec_sum *f = &b->sum[c][k];
            if (s.n == 0)
                continue;
            const struct spec_result *w = &s.worst->result[k];
            printf("%-16s %-20s %7d %8.3f %8.3f [%5.3f, %5.3f] %5d %8.3f %8.2f %8.2f %7.1f %7.1f  %d of %d\n",
                   b->category[c], (int)k == b->best ? b->bounds[c].best : b->o->methods.v[k], s.n, s.decode,
                   w->decode.x, w->decode.low, w->decode.high, w->n, s.whole,
                   f->steps ? (double)f->tokens / (double)f->steps : 0, acceptance(f), 100 * f->draft_ms / f->all_ms,
                   100 * f->verify_ms / f->all_ms, f->n_same, f->n_reply);
        }
    if (n_loop(b) > 0)
        printf("%d more prompts left out: their replies loop (--loops keeps them)\n", n_loop(b));
    if (b->recorded)
        show_bounds(b);
}

/* ---- JSON ---- */

static json_t *prompts_json(const struct spec_bench *b, int c, size_t k)
{
    json_t *list = json_array();
    for (int i = 0; i < b->n_task; i++) {
        const struct spec_task *t = &b->task[i];
        const struct spec_result *r = &t->result[k];
        if (t->category == c && r->n > 0)
            json_array_append_new(list, json_pack("{s:i, s:i, s:f, s:[f, f], s:f, s:f, s:f, s:f}", "prompt", t->number,
                                                  "pairs", r->n, "speedup", r->decode.x, "interval", r->decode.low,
                                                  r->decode.high, "covers", r->decode.covers, "whole", r->whole, "ms",
                                                  r->ms, "plain_ms", r->plain_ms));
    }
    return list;
}

static json_t *figure_json(const struct spec_bench *b, int c, size_t k, const struct summary *s)
{
    const struct spec_sum *f = &b->sum[c][k];
    json_t *sums =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "steps", (json_int_t)f->steps, "plain_steps",
                  (json_int_t)f->plain, "drafted", (json_int_t)f->drafted, "kept", (json_int_t)f->kept, "tokens",
                  (json_int_t)f->tokens, "draft_ms", f->draft_ms, "verify_ms", f->verify_ms, "ms", f->all_ms);
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:o, s:o}", "category",
                     b->category[c], "method", b->o->methods.v[k], "ran",
                     (int)k == b->best ? b->bounds[c].best : b->o->methods.v[k], "prompts", s->n, "speedup", s->decode,
                     "worst", s->worst->result[k].decode.x, "whole", s->whole, "total", s->total,
                     "mean_acceptance_length", acceptance(f), "draft_share", f->draft_ms / f->all_ms, "verify_share",
                     f->verify_ms / f->all_ms, "same", f->n_same, "replies", f->n_reply, "sums", sums, "each",
                     prompts_json(b, c, k));
}

static json_t *bounds_json(const struct spec_bench *b, int c)
{
    const struct spec_bounds *x = &b->bounds[c];
    json_t *rel = json_array(), *cost = json_object();
    for (int r = 1; r <= SB_ROWS; r++)
        json_array_append_new(rel, json_real(x->rel[r]));
    for (int d = 0; d < b->recorded->n_d; d++)
        json_object_set_new(cost, b->recorded->d[d].m->name, json_real(x->cost_ms[d]));
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "category", b->category[c], "best", x->best,
                     "plain_ms", x->plain_ms, "best_fixed", x->plain_ms / x->best_ms, "auto",
                     x->auto_ms > 0 ? x->plain_ms / x->auto_ms : 0, "auto_worst", x->auto_worst, "causal",
                     x->plain_ms / x->causal_ms, "clairvoyant", x->plain_ms / x->clairvoyant_ms, "rows", rel, "ask_ms",
                     cost);
}

json_t *spec_to_json(const struct spec_bench *b)
{
    json_t *list = json_array(), *bounds = json_array();
    for (int c = 0; c < b->n_category; c++) {
        for (size_t k = 0; k < b->o->methods.n; k++) {
            const struct summary s = summarise(b, c, k);
            if (s.n > 0)
                json_array_append_new(list, figure_json(b, c, k, &s));
        }
        if (b->bounds[c].plain_ms > 0)
            json_array_append_new(bounds, bounds_json(b, c));
    }
    return json_pack("{s:s, s:s, s:i, s:f, s:i, s:[i, i], s:i, s:o, s:o}", "model", b->o->engine.model, "kernel_level",
                     otr_model_info(b->m)->kern, "threads", otr_engine_n_threads(b->e), "temperature",
                     (double)b->o->temp, "tokens", b->o->n_tokens, "rounds", b->o->min_rounds, b->o->max_rounds,
                     "looping", n_loop(b), "figures", list, "bounds", bounds);
}
