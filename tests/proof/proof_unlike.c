/* Drafters with a vocabulary of their own, on the real pair, both ways (methods/16 section 7):
 *   1  every reply of tli, slem, slrs and hetero is what plain decoding gives, at temperature 0 and above
 *   2  TLI's acceptance is the sum of min(p, q'), position by position, and never below that of min(p, q); measured by
 * the core's own draws and the rule `ratio`. One comparison a direction: 4 standard errors, a false alarm in 16,000.
 * In: two models, prompts, how many of them and of how many tokens. Out: figures; the exit status is the verdict.
 *   proof_unlike TARGET DRAFT PROMPTS.jsonl [n_prompt [n_tok]] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draft/unlike.h"
#include "support/equal.h"
#include "support/spec_rig.h"
#include "support/tiny.h"

enum { DRAWS = 50, MAX_POS = 160 };

static bool equal(struct otr_model *m, const struct eq_prompts *p, const char *draft, int n_tok)
{
    static const char *const methods[] = {"tli", "slem", "hetero", "slrs"};
    bool same = true;
    for (int warm = 0; warm < 2; warm++) {
        struct otr_err err = {0};
        struct spec_rig s;
        int rc = sr_open(&s, m, (const int32_t *const *)p->ids, p->n_ids, p->n, n_tok, warm, 0, &err);
        for (int k = 0; k < 4 && rc == OTR_OK; k++) {
            char method[512];
            const struct sr_way w = {.method = method, .draft_fixed = 6, .n_batch = 1 + k % 2, .seed = 3};
            const struct spec_rig before = s;
            snprintf(method, sizeof method, "%s:model=%s", methods[k], draft);
            rc = sr_run(&s, &w, 0, k == 3 ? (p->n + 7) / 8 : p->n, &err); /* slrs is slow */
            const long n_draft = s.n_draft - before.n_draft, n_kept = s.n_accepted - before.n_accepted;
            printf("%-6s temperature %s: %ld replies, %ld tokens, %ld drafted, %ld kept (%.3f), %ld differ\n",
                   methods[k], warm ? "0.8" : "0", s.n_reply - before.n_reply, s.n_compared - before.n_compared,
                   n_draft, n_kept, (double)n_kept / (double)(n_draft > 0 ? n_draft : 1), s.n_differ - before.n_differ);
            fflush(stdout);
        }
        if (rc < 0)
            printf("%s\n", err.msg);
        same = same && rc == OTR_OK && s.n_differ == 0;
        sr_close(&s);
    }
    return same;
}

/* ---- theory ---- */

struct theory {
    struct unlike *u;
    const int32_t *tok;
    int first, n_vocab;
    double *p, *q; /* [n_vocab] */
    struct sampler *s;
    struct accept_scratch *scratch;
    const float *logits;
    double min_pq, expected, variance, measured;
    long n_pos, n_draw, n_below;
};

static int dist_here(void *self, int node, struct dist *out, struct otr_err *err)
{
    const struct theory *t = self;
    const struct history none = {0};
    (void)node;
    return sampler_dist(t->s, t->logits, &none, out, err);
}

/* At one position: p from the target's logits, q and q' from the drafter's law, and DRAWS steps of one draft. */
static void position(void *arg, int pos, const float *logits, int argmax)
{
    struct theory *t = arg;
    struct unlike_law law;
    struct retext *r = &((struct unlike_seq *)draft_seqs_get(&t->u->seqs, 1))->text;
    int32_t id[UNLIKE_TOP];
    double qs[UNLIKE_TOP], sum = 0, both = 0, plain = 0;
    const struct draft_ask ask = {.sampling = {.temp = 1, .top_p = 1}};
    struct dist d;
    (void)argmax;
    t->logits = logits;
    if (!r->map)
        retext_init(r, t->u->target, t->u->draft, t->u->map);
    struct lm_item item = {.seq = 1};
    if (retext_follow(r, t->tok, (size_t)pos + 1, NULL) < 0 || dist_here(t, 0, &d, NULL) < 0)
        exit(1);
    item.tok = r->z.id;
    item.n = r->z.n;
    if (lm_begin(t->u->lm, &item, 1, NULL) < 0 || item.row < 0 || unlike_law_at(t->u, item.row, &ask, &law) < 0)
        exit(1);
    const int n = vocab_map_law(t->u->map, law.id, law.q, law.n, id, qs);
    for (int i = 0; i < n; i++)
        sum += qs[i];
    if (n == 0)
        return;
    double z = 0;
    for (int i = 0; i < d.n; i++)
        z += t->p[d.id[i]] = exp((double)d.logit[i] - (double)d.logit[0]);
    for (int i = 0; i < n; i++) {
        both += fmin(t->p[id[i]] / z, qs[i] / sum);
        plain += fmin(t->p[id[i]] / z, qs[i]);
    }
    for (int i = 0; i < d.n; i++)
        t->p[d.id[i]] = 0;
    const struct accept_target target = {.self = t, .dist = dist_here};
    for (uint32_t k = 0; k < DRAWS; k++) {
        static struct tree tree;
        struct accept_verdict v;
        const struct accept_key key = {.seed = 20261125, .choice = k, .step = (uint64_t)t->n_pos};
        const struct tree_luck luck = tree_luck_make(RULE_RATIO, &key, (uint64_t)pos, t->n_vocab);
        const struct accept_dice dice = accept_keyed_dice(&key);
        tree_clear(&tree);
        if (tree_draw(&tree, TREE_ROOT, id, qs, n, &luck) < 0 ||
            accept_decide(RULE_RATIO, &tree, &target, &dice, t->scratch, &v, NULL) < 0)
            exit(1);
        t->measured += v.n;
    }
    t->n_draw += DRAWS;
    t->n_pos++;
    t->expected += both;
    t->min_pq += plain;
    t->variance += both * (1 - both) * DRAWS;
    t->n_below += both < plain - 1e-12;
}

static bool theory(struct otr_model *m, const struct eq_prompts *p, const char *draft)
{
    struct otr_err err = {0};
    struct otr_engine *e = NULL;
    struct theory t = {.n_vocab = m->info.n_vocab};
    struct otr_sampling sp = otr_sampling_default();
    const char *file = draft;
    void *self = NULL;
    int rc = otr_engine_create(&e, m, &(struct otr_engine_opts){.n_ctx = 1024}, &err);
    struct lm_files *files = lm_files_create();
    const struct draft_host host = {.pool = e ? e->pool : NULL,
                                    .weights = m->w,
                                    .kv = e ? e->kv : NULL,
                                    .kv_bytes = e ? kv_bytes(e->kv) : 0,
                                    .fwd = e ? e->fwd : NULL,
                                    .files = files,
                                    .n_ctx = 1024,
                                    .n_seq = 1};
    const struct draft_param param = {"model", file};
    const struct draft_env env = {.host = &host, .tok = m->tok, .n_vocab = t.n_vocab, .param = &param, .n_param = 1};
    sp.temp = 1;
    sp.top_k = 0;
    sp.top_p = 1;
    sp.min_p = 0;
    if (rc == OTR_OK)
        rc = unlike_create(&self, &unlike_tli, &env, &err);
    t.u = self;
    t.p = calloc((size_t)t.n_vocab, sizeof *t.p);
    if (rc < 0 || sampler_open(&t.s, &sp, t.n_vocab, &err) < 0 || accept_scratch_open(&t.scratch, t.n_vocab, &err) < 0)
        printf("%s\n", err.msg);
    for (int i = 0; i < p->n && rc == OTR_OK; i++) {
        t.tok = p->ids[i];
        rc = rows_run(e, p->ids[i], p->n_ids[i], 256, 4, position, &t, &err);
    }
    const double got = t.measured / (double)t.n_draw, want = t.expected / (double)t.n_pos,
                 se = sqrt(t.variance) / (double)t.n_draw;
    printf(
        "acceptance of tli at %ld positions, %ld draws: measured %.4f, sum of min(p, q') %.4f (%.1f standard errors), "
        "of min(p, q) %.4f; positions below it: %ld; shared mass %.3f\n",
        t.n_pos, t.n_draw, got, want, (got - want) / se, t.min_pq / (double)t.n_pos, t.n_below,
        t.u->shared / t.u->n_law);
    unlike_close(self);
    lm_files_destroy(files);
    accept_scratch_close(t.scratch);
    sampler_close(t.s);
    otr_engine_destroy(e);
    free(t.p);
    return rc == OTR_OK && fabs(got - want) < 4 * se && t.n_below == 0;
}

int main(int argc, char **argv)
{
    struct otr_model *m;
    struct otr_err err = {0};
    struct eq_prompts p;
    if (argc < 4) {
        printf("proof_unlike TARGET DRAFT PROMPTS.jsonl [n_prompt [n_tok]]\n");
        return 2;
    }
    const int n = argc > 4 ? atoi(argv[4]) : 40, n_tok = argc > 5 ? atoi(argv[5]) : 128;
    if (otr_model_open(&m, argv[1], NULL, &err) < 0) {
        printf("%s\n", err.msg);
        return 1;
    }
    if (eq_prompts_read(&p, m, argv[3], n, MAX_POS) != n) {
        printf("not %d prompts in %s\n", n, argv[3]);
        return 1;
    }
    const bool good = theory(m, &p, argv[2]), same = equal(m, &p, argv[2], n_tok);
    eq_prompts_free(&p);
    otr_model_close(m);
    printf("%s\n", good && same ? "proved" : "FAILED");
    return good && same ? 0 : 1;
}
