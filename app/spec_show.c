/* Owns how speculation is shown. See spec_show.h; read next: run.c. */
#include "spec_show.h"

#include "cli.h"
#include "draft/draft.h"

static double plain_estimate(const struct otr_gen_result *r)
{
    return r->spec.plain_ms * (double)(r->n_reply > 0 ? r->n_reply - 1 : 0);
}

static double mean_length(const struct otr_spec_stats *s)
{
    const size_t n = s->n_steps - s->n_plain;
    return n > 0 ? 1 + (double)s->n_accepted / (double)n : 1;
}

json_t *spec_json(const struct otr_gen_result *r)
{
    const struct otr_spec_stats *s = &r->spec;
    if (s->n_draft == 0)
        return json_null();
    json_t *histogram = json_array();
    int last = 0;
    for (int i = 0; i <= OTR_SPEC_MAX; i++)
        last = s->histogram[i] ? i : last;
    for (int i = 0; i <= last; i++)
        json_array_append_new(histogram, json_integer((json_int_t)s->histogram[i]));
    const double plain = plain_estimate(r);
    return json_pack("{s:s?, s:I, s:I, s:I, s:f, s:o, s:f, s:f, s:f, s:I, s:f}", "method", s->method, "num_spec_steps",
                     (json_int_t)(s->n_steps - s->n_plain), "num_draft_tokens", (json_int_t)s->n_draft,
                     "num_accepted_draft_tokens", (json_int_t)s->n_accepted, "mean_acceptance_length", mean_length(s),
                     "acceptance_histogram", histogram, "draft_ms", s->draft_ms, "verify_ms", s->verify_ms, "accept_ms",
                     s->accept_ms, "plain_steps", (json_int_t)s->n_plain, "estimated_speedup",
                     plain > 0 && r->reply_ms > 0 ? plain / r->reply_ms : 1.0);
}

void spec_line(FILE *out, const struct otr_gen_result *r)
{
    const struct otr_spec_stats *s = &r->spec;
    const double all = r->reply_ms > 0 ? r->reply_ms : 1;
    if (s->n_draft == 0)
        return;
    fprintf(out, "outrider: %s: %zu of %zu drafted tokens kept, mean acceptance length %.2f, kept at position", /**/
            s->method ? s->method : "drafts", s->n_accepted, s->n_draft, mean_length(s));
    for (int i = 0; i < 6 && s->tried_at[i] > 0; i++)
        fprintf(out, " %.2f", (double)s->kept_at[i] / (double)s->tried_at[i]);
    fprintf(out, "; time: draft %.1f %%, verify %.1f %%, other %.1f %%\n", 100 * s->draft_ms / all,
            100 * s->verify_ms / all, 100 * (s->accept_ms + s->other_ms) / all);
}

const char *spec_colour(const char *method)
{
    static const char *const colours[] = {"\033[32m", "\033[36m", "\033[33m", "\033[35m", "\033[34m", "\033[31m"};
    for (int i = 0; method && i < draft_count(); i++)
        if (draft_at(i)->name == method)
            return colours[i % (int)(sizeof colours / sizeof *colours)];
    return NULL;
}

int spec_help(void)
{
    printf("Methods (--spec METHOD[:key=value,...]; several are candidates, the most valuable wins at each step):\n"
           "  %-15s the default: prediction where a text is given, suffix, ngram-mod, and NAME.draft.gguf where\n"
           "  %-15s it lies beside the model NAME.gguf\n"
           "  %-15s plain decoding\n",
           "auto", "", "none");
    for (int i = 0; i < draft_count(); i++)
        printf("  %-15s %s\n", draft_at(i)->name, draft_at(i)->about);
    printf(
        "\nRules (--verify RULE) at temperature > 0; what a reply claims then is in brackets. Rules that keep the law\n"
        "choose lengths by time, so the seed does not fix their text:\n");
    for (int r = RULE_GREEDY + 1; r < N_RULE; r++)
        printf("  %-15s [%s] %s\n", accept_rule_name((enum accept_rule)r),
               accept_exact_name(accept_rule_exact((enum accept_rule)r)), accept_rule_text((enum accept_rule)r));
    return cli_close_stdout();
}
