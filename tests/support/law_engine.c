/* See law_engine.h. */
#include "support/law_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "support/gguf_build.h"
#include "support/planted_rules.h"
#include "support/planted_trees.h"

enum { N_EMBD = 32, N_FF = 32, N_SLOT = 8, N_CTX = 24, N_PROMPT = 2 };
static const int32_t prompt[N_PROMPT] = {3, 1};

static void must(int rc, const struct otr_err *err)
{
    if (rc >= 0)
        return;
    printf("law through the engine: %s\n", err->msg);
    exit(99);
}

static double uniform_of(uint64_t seed, uint32_t a, uint32_t b, uint32_t c) /* in (0, 1) */
{
    return ((double)philox4x32(seed, (struct philox){{a, b, c, 77}}).v[0] + 0.5) * 0x1p-32;
}

/* ---- the model ---- */

/* Weights of a normal law around `mean`. */
static void add_tensor(struct gguf_build *b, const char *name, uint64_t seed, int n_in, int n_out, double mean,
                       double dev)
{
    static float w[N_EMBD * N_EMBD * 2];
    const int64_t ne[2] = {n_in, n_out};
    for (int i = 0; i < n_in * n_out; i++) {
        const double r = sqrt(-2 * log(uniform_of(seed, (uint32_t)b->n_tensor, (uint32_t)i, 0))),
                     t = 6.283185307179586 * uniform_of(seed, (uint32_t)b->n_tensor, (uint32_t)i, 1);
        w[i] = (float)(mean + dev * r * cos(t));
    }
    gb_tensor(b, name, GGML_F32, n_out > 1 ? 2 : 1, ne, w);
}

static void add_tensors(struct gguf_build *b, uint64_t seed)
{
    add_tensor(b, "token_embd.weight", seed, N_EMBD, LE_V, 0, 1);
    add_tensor(b, "output_norm.weight", seed, N_EMBD, 1, 1, 0.1);
    add_tensor(b, "output.weight", seed, N_EMBD, LE_V, 0, 0.2); /* logits of deviation 0.2 sqrt(32) */
    add_tensor(b, "blk.0.attn_norm.weight", seed, N_EMBD, 1, 1, 0.1);
    add_tensor(b, "blk.0.attn_q.weight", seed, N_EMBD, N_EMBD, 0, 0.25);
    add_tensor(b, "blk.0.attn_k.weight", seed, N_EMBD, N_EMBD, 0, 0.25);
    add_tensor(b, "blk.0.attn_v.weight", seed, N_EMBD, N_EMBD, 0, 0.25);
    add_tensor(b, "blk.0.attn_output.weight", seed, N_EMBD, N_EMBD, 0, 0.25);
    add_tensor(b, "blk.0.ffn_norm.weight", seed, N_EMBD, 1, 1, 0.1);
    add_tensor(b, "blk.0.ffn_gate.weight", seed, N_EMBD, N_FF, 0, 0.25);
    add_tensor(b, "blk.0.ffn_up.weight", seed, N_EMBD, N_FF, 0, 0.25);
    add_tensor(b, "blk.0.ffn_down.weight", seed, N_FF, N_EMBD, 0, 0.25);
}

/* SPM's vocabulary of LE_V pieces. */
static void add_vocab(struct gguf_build *b)
{
    static const char *const piece[LE_V] = {"<unk>", "a", "b", "c", "d"};
    static const float score[LE_V] = {0, -1, -2, -3, -4};
    static const int32_t type[LE_V] = {2, 1, 1, 1, 1};
    gb_str(b, "tokenizer.ggml.model", "llama");
    gb_strs(b, "tokenizer.ggml.tokens", piece, LE_V);
    gb_arr(b, "tokenizer.ggml.scores", GGUF_F32, LE_V, score, sizeof score);
    gb_arr(b, "tokenizer.ggml.token_type", GGUF_I32, LE_V, type, sizeof type);
    gb_u32(b, "tokenizer.ggml.unknown_token_id", 0);
}

static void open_model(struct le_rig *r, uint64_t seed)
{
    struct gguf_build b;
    struct otr_err err = {0};
    gb_init(&b);
    gb_str(&b, "general.architecture", "llama");
    gb_u32(&b, "llama.context_length", 64);
    gb_u32(&b, "llama.embedding_length", N_EMBD);
    gb_u32(&b, "llama.block_count", 1);
    gb_u32(&b, "llama.feed_forward_length", N_FF);
    gb_u32(&b, "llama.attention.head_count", 2);
    gb_u32(&b, "llama.attention.head_count_kv", 2);
    gb_u32(&b, "llama.rope.dimension_count", N_EMBD / 2);
    gb_f32(&b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    add_vocab(&b);
    add_tensors(&b, seed);
    struct bytes f = gb_file(&b);
    r->fd = memory_file(f.p, f.n, r->path);
    must(otr_model_open(&r->m, r->path, NULL, &err), &err);
    free(f.p);
    gb_free(&b);
}

static struct otr_engine *open_engine(const struct le_rig *r)
{
    struct otr_engine *e;
    struct otr_err err = {0};
    const struct otr_engine_opts eo = {.n_threads = 1, .n_ctx = N_CTX, .n_seq = N_SLOT, .n_batch = 64};
    must(otr_engine_create(&e, r->m, &eo, &err), &err);
    return e;
}

/* The logits after every prefix, in the order of law_index. */
static void know_logits(struct le_rig *r)
{
    struct otr_engine *e = open_engine(r);
    struct otr_seq *s;
    struct otr_err err = {0};
    int at = 0;
    must(otr_seq_create(&s, e, &err), &err);
    for (int n = 0, count = 1; n < LE_TOK; n++, count *= LE_V)
        for (int i = 0; i < count; i++) {
            int32_t text[N_PROMPT + LE_TOK];
            memcpy(text, prompt, sizeof prompt);
            for (int k = n - 1, rest = i; k >= 0; k--, rest /= LE_V)
                text[N_PROMPT + k] = rest % LE_V;
            must(otr_seq_truncate(s, 0, &err), &err);
            must(otr_seq_append(s, text, (size_t)(N_PROMPT + n), &err), &err);
            memcpy(r->logits[at++], otr_seq_logits(s), sizeof r->logits[0]);
        }
    otr_seq_destroy(s);
    otr_engine_destroy(e);
}

void le_open(struct le_rig *r, uint64_t seed)
{
    *r = (struct le_rig){0};
    open_model(r, seed);
    know_logits(r);
}

void le_close(struct le_rig *r)
{
    otr_model_close(r->m);
    close(r->fd);
}

/* ---- the sampler's chain, from its description ---- */

static const struct otr_logit_bias biases[] = {{0, 0.9f}, {2, -INFINITY}, {4, -0.6f}};
static const char *const chain_name[] = {"temperature", "temperature 0.7, top-k", "top-p", "min-p", "penalties", "bias",
                                         "all of them"};

int le_chains(void)
{
    return sizeof chain_name / sizeof *chain_name;
}

const char *le_sampling(int chain, struct otr_sampling *sp)
{
    *sp = (struct otr_sampling){.temp = 1, .top_p = 1, .typical_p = 1, .repeat_penalty = 1, .dry_base = 2};
    switch (chain) {
    case 1:
        sp->temp = 0.7f;
        sp->top_k = 3;
        break;
    case 2:
        sp->top_p = 0.8f;
        break;
    case 3:
        sp->min_p = 0.2f;
        break;
    case 4:
        sp->repeat_penalty = 1.3f;
        sp->frequency_penalty = 0.3f;
        sp->presence_penalty = 0.2f;
        sp->penalty_last_n = 3;
        break;
    case 5:
        sp->bias = biases;
        sp->n_bias = 3;
        break;
    case 6:
        sp->temp = 1.2f;
        sp->top_k = 4;
        sp->top_p = 0.95f;
        sp->min_p = 0.05f;
        sp->repeat_penalty = 1.2f;
        sp->presence_penalty = 0.3f;
        sp->penalty_last_n = -1;
        sp->bias = biases;
        sp->n_bias = 1;
        break;
    default:
        break;
    }
    return chain_name[chain];
}

/* Keeps the tokens of the first n places. */
static void keep_first(double *x, const int *place, int n)
{
    for (int t = 0; t < LE_V; t++)
        if (place[t] >= n)
            x[t] = -HUGE_VAL;
}

/* p[LE_V] after text [n], prompt included: penalties, bias, top-k, top-p, min-p, temperature. */
static void law_of_row(const float *logit, const struct otr_sampling *sp, const int32_t *text, int n, double *p)
{
    double x[LE_V], z = 0, top = -HUGE_VAL;
    int place[LE_V]; /* of a token: how many are likelier, the lower id on ties */
    const int window = sp->penalty_last_n < 0 || sp->penalty_last_n > n ? n : sp->penalty_last_n;
    for (int t = 0; t < LE_V; t++) {
        int count = 0;
        for (int i = n - window; i < n; i++)
            count += text[i] == t;
        x[t] = (double)logit[t];
        if (count > 0) {
            x[t] = x[t] > 0 ? x[t] / (double)sp->repeat_penalty : x[t] * (double)sp->repeat_penalty;
            x[t] -= count * (double)sp->frequency_penalty + (double)sp->presence_penalty;
        }
        for (size_t i = 0; i < sp->n_bias; i++)
            x[t] += sp->bias[i].token == t ? (double)sp->bias[i].bias : 0;
    }
    for (int t = 0; t < LE_V; t++) {
        place[t] = 0;
        for (int u = 0; u < LE_V; u++)
            place[t] += x[u] > x[t] || (x[u] == x[t] && u < t);
        top = fmax(top, x[t]);
    }
    if (sp->top_k > 0)
        keep_first(x, place, sp->top_k);
    for (int t = 0; t < LE_V; t++)
        z += exp(x[t] - top);
    int kept = 0; /* top-p: the shortest beginning that holds the mass */
    for (double held = 0; kept < LE_V && held < (double)sp->top_p; kept++)
        for (int t = 0; t < LE_V; t++)
            held += place[t] == kept ? exp(x[t] - top) / z : 0;
    keep_first(x, place, kept);
    for (int t = 0; t < LE_V; t++)
        if (exp(x[t] - top) < (double)sp->min_p)
            x[t] = -HUGE_VAL;
    z = 0;
    for (int t = 0; t < LE_V; t++)
        z += p[t] = exp((x[t] - top) / (double)sp->temp);
    for (int t = 0; t < LE_V; t++)
        p[t] /= z;
}

static void law_after(const struct le_rig *r, int chain, const int32_t *reply, int n, double *p)
{
    int32_t text[N_PROMPT + LE_TOK];
    struct otr_sampling sp;
    le_sampling(chain, &sp);
    memcpy(text, prompt, sizeof prompt);
    memcpy(text + N_PROMPT, reply, (size_t)n * sizeof *reply);
    law_of_row(r->logits[law_index(LE_V, reply, n)], &sp, text, N_PROMPT + n, p);
}

static void enumerate(const struct le_rig *r, int chain, int32_t *reply, int n, double mass, double *law)
{
    double p[LE_V];
    if (n == LE_TOK) {
        law[law_index(LE_V, reply, n) - (LE_TEXTS - 1) / (LE_V - 1)] = mass;
        return;
    }
    law_after(r, chain, reply, n, p);
    for (reply[n] = 0; reply[n] < LE_V; reply[n]++)
        enumerate(r, chain, reply, n + 1, mass * p[reply[n]], law);
}

void le_law(const struct le_rig *r, int chain, double *law)
{
    int32_t reply[LE_TOK] = {0};
    enumerate(r, chain, reply, 0, 1, law);
}

/* ---- the drafter: rows and choices are functions of the last two tokens ---- */

struct law_drafter {
    const struct le_case *c;
    const struct law_shape *shape;
    struct tree *now;  /* being drafted */
    size_t n_before;   /* of the newest ask */
    uint64_t own_seed; /* of the reply that was opened last; an ask does not say it */
};

/* Weights of a proposal; one token of five has none. */
static void proposal(const int32_t *last, double *q)
{
    const uint32_t ctx = (uint32_t)(last[-1] * LE_V + last[0]);
    for (int t = 0; t < LE_V; t++)
        q[t] = 0.1 + uniform_of(5, ctx, (uint32_t)t, 1);
    q[(int)(uniform_of(5, ctx, 99, 1) * LE_V)] = 0;
}

static int32_t choice(const int32_t *last, int entry)
{
    return (int32_t)(uniform_of(6, (uint32_t)(last[-1] * LE_V + last[0]), (uint32_t)entry, 2) * LE_V);
}

/* The planted key: (seed, position in the text, purpose), for all draws. */
static uint64_t position_word(const struct law_drafter *d, const struct tree *t, enum accept_purpose purpose, int entry)
{
    const struct philox x = philox4x32(
        d->own_seed,
        (struct philox){{(uint32_t)purpose << 29, 0, (uint32_t)d->n_before + (uint32_t)tree_depth(t, entry), 0}});
    return (uint64_t)x.v[0] << 32 | x.v[1];
}

static int position_draft(void *self, const double *w, int n, int entry)
{
    const struct law_drafter *d = self;
    return pick_of_word(position_word(d, d->now, DICE_DRAFT, d->shape->parent[entry]), w, n);
}

static void draft_tree(struct law_drafter *d, const struct draft_ask *a, struct tree *t)
{
    static const int32_t ids[LE_V] = {0, 1, 2, 3, 4};
    const size_t n_kinds = strlen(d->c->kinds);
    d->now = t;
    d->n_before = a->n;
    for (int e = 0; e < d->shape->n && t->n < a->max_entries; e++) {
        const int parent = d->shape->parent[e];
        const bool first = parent < 0;
        const int32_t last[2] = {a->tok[a->n - (first ? 2 : 1)], first ? a->tok[a->n - 1] : t->entry[parent].token};
        double q[LE_V];
        int rc;
        proposal(last + 1, q);
        const struct accept_dice by_position = {d, NULL, position_draft};
        if (d->c->kinds[(size_t)e % n_kinds] == 'c')
            rc = tree_add(t, parent, choice(last + 1, e), NAN, LE_V);
        else if (d->c->bug == LE_BY_POSITION)
            rc = tree_draw_with(t, parent, ids, q, LE_V, &a->luck, &by_position);
        else
            rc = tree_draw(t, parent, ids, q, LE_V, &a->luck);
        if (rc < 0)
            return;
    }
    if (d->c->bug == LE_TOP_K)
        spoil_top_k_as_draws(t, LE_V);
}

static int law_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    for (int i = 0; i < n_ask; i++)
        draft_tree(self, &ask[i], &out[i]);
    return OTR_OK;
}

static int law_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    (void)self;
    (void)seen;
    (void)n_seen;
    return OTR_OK;
}

static void law_close(void *self)
{
    (void)self; /* le_run's */
}

static const struct draft_method law_method = {
    .name = "law", .close = law_close, .propose = law_propose, .observe = law_observe};

/* ---- planted bugs: every verdict of the engine comes through here ---- */

static struct law_drafter *drafter_now; /* NULL: honest */

static bool position_coin(void *self, double h, int entry)
{
    return coin_of_word(position_word(drafter_now, self, DICE_ACCEPT, entry), h);
}

static int position_pick(void *self, const double *w, int n, int entry)
{
    return pick_of_word(position_word(drafter_now, self, DICE_RESIDUAL, entry), w, n);
}

static const struct accept_dice *honest_dice;

static bool coin_not_strict(void *self, double h, int entry)
{
    return h <= 0 || honest_dice->coin(self, h, entry);
}

static bool coin_no_check(void *self, double h, int entry)
{
    (void)self;
    (void)h;
    (void)entry;
    return true;
}

int __real_accept_decide(enum accept_rule rule, const struct tree *t, const struct accept_target *target,
                         const struct accept_dice *dice, struct accept_scratch *s, struct accept_verdict *out,
                         struct otr_err *err);
int __wrap_accept_decide(enum accept_rule rule, const struct tree *t, const struct accept_target *target,
                         const struct accept_dice *dice, struct accept_scratch *s, struct accept_verdict *out,
                         struct otr_err *err);

int __wrap_accept_decide(enum accept_rule rule, const struct tree *t, const struct accept_target *target,
                         const struct accept_dice *dice, struct accept_scratch *s, struct accept_verdict *out,
                         struct otr_err *err)
{
    const enum le_bug bug = drafter_now ? drafter_now->c->bug : LE_HONEST;
    static struct tree bad;
    struct accept_dice d = *dice;
    honest_dice = dice;
    tree_copy(&bad, t);
    switch (bug) {
    case LE_HONEST:
    case LE_TOP_K: /* in the draft */
        break;
    case LE_STEP:
        return planted_decide(rule, t, target, dice, s, out, err);
    case LE_BY_POSITION:
        d = (struct accept_dice){&bad, position_coin, position_pick};
        break;
    case LE_NOT_STRICT:
        d.coin = coin_not_strict;
        break;
    case LE_NO_CHECK:
        d.coin = coin_no_check;
        break;
    case LE_WRONG_Q:
        spoil_wrong_q(&bad, LE_V);
        break;
    case LE_NOT_NORMAL:
        spoil_not_renormalised(&bad, LE_V);
        break;
    case LE_DEDUPLICATED:
        spoil_deduplicated(&bad, LE_V);
        break;
    case LE_RESORTED:
        spoil_resorted(&bad, LE_V);
        break;
    case LE_DROPPED:
        spoil_dropped_by_own_q(&bad, LE_V);
        break;
    }
    return __real_accept_decide(rule, &bad, target, &d, s, out, err);
}

/* ---- replies ---- */

struct run {
    struct otr_engine *e;
    struct law_drafter d;
    struct otr_gen g;
    struct otr_seq *seq[N_SLOT];
    struct otr_reply *reply[N_SLOT];
    struct le_counts *out;
};

static void run_open(struct run *u, const struct le_rig *r, const struct le_case *c, struct le_counts *out)
{
    static const char *const stand_in[] = {"random"};
    struct otr_err err = {0};
    u->e = open_engine(r);
    u->out = out;
    u->d = (struct law_drafter){.c = c, .shape = law_shape_find(c->shape ? c->shape : "k2")};
    const struct otr_spec spec = {.methods = c->method ? &c->method : stand_in,
                                  .n_methods = 1,
                                  .verify = accept_rule_name(c->rule),
                                  .draft_fixed = c->controller ? 0
                                                 : c->entries  ? c->entries
                                                 : c->method   ? LE_DEPTH
                                                               : u->d.shape->n};
    must(otr_engine_speculate(u->e, &spec, &err), &err);
    if (!c->method) {
        struct drafter *d = &u->e->spec->d[0]; /* the engine never asks which method it holds */
        d->m->close(d->self);
        d->m = &law_method;
        d->self = &u->d;
    }
    /* so many tokens that they never limit a draft; a reply is closed after LE_TOK */
    u->g = (struct otr_gen){.max_tokens = LE_TOK + 10, .ignore_eos = true};
    le_sampling(c->chain, &u->g.sampling);
    drafter_now = &u->d;
    for (int i = 0; i < N_SLOT; i++) {
        must(otr_seq_create(&u->seq[i], u->e, &err), &err);
        must(otr_seq_append(u->seq[i], prompt, N_PROMPT - 1, &err), &err);
    }
}

static void run_close(struct run *u)
{
    drafter_now = NULL;
    for (int i = 0; i < N_SLOT; i++)
        otr_seq_destroy(u->seq[i]);
    otr_engine_destroy(u->e);
}

/* A reply of LE_TOK tokens is counted, and its sequence is as new. */
static void finish(struct run *u, int slot)
{
    struct otr_gen_result res;
    struct otr_err err = {0};
    must(otr_reply_close(u->reply[slot], &res, &err), &err);
    u->reply[slot] = NULL;
    u->out->text[law_index(LE_V, res.tokens, LE_TOK) - (LE_TEXTS - 1) / (LE_V - 1)]++;
    u->out->n++;
    u->out->exact = res.spec.exact;
    u->out->drafted += (long)res.spec.n_draft;
    u->out->accepted += (long)res.spec.n_accepted;
    otr_gen_result_free(&res);
    must(otr_seq_truncate(u->seq[slot], N_PROMPT - 1, &err), &err);
}

void le_run(const struct le_rig *r, const struct le_case *c, long n, uint64_t seed, struct le_counts *out)
{
    struct run u = {0};
    struct otr_err err = {0};
    /* WHY one by one there: the planted key needs to know whose verdict it is */
    const int n_slot = c->bug == LE_BY_POSITION ? 1 : N_SLOT;
    *out = (struct le_counts){0};
    run_open(&u, r, c, out);
    for (long begun = 0; out->n < n;) {
        struct otr_reply *on[N_SLOT];
        int n_on = 0;
        for (int i = 0; i < n_slot; i++) {
            if (!u.reply[i] && begun < n) {
                u.g.sampling.seed = u.d.own_seed = seed + (uint64_t)begun++;
                must(otr_reply_open(&u.reply[i], u.seq[i], prompt + N_PROMPT - 1, 1, &u.g, &err), &err);
            }
            if (u.reply[i])
                on[n_on++] = u.reply[i];
        }
        must(otr_step(u.e, on, n_on, &err), &err);
        for (int i = 0; i < n_slot; i++) {
            const struct otr_reply *p = u.reply[i];
            if (p && p->spec.n_steps == 1 && p->spec.n_accepted <= LE_DEPTH)
                out->kept[p->spec.n_accepted]++;
            if (p && p->n >= LE_TOK)
                finish(&u, i);
        }
    }
    run_close(&u);
}

/* ---- acceptance by its formulas ---- */

/* sum over i of 1 / sum over j of max(p_j / p_i, q_j / q_i) at i = x; 0 where p or q is. SRC: Gumbel coupling. */
static double coupled(const double *p, const double *q, int x)
{
    double s = 0;
    if (p[x] <= 0 || q[x] <= 0)
        return 0;
    for (int j = 0; j < LE_V; j++)
        s += fmax(p[j] / p[x], q[j] / q[x]);
    return 1 / s;
}

/* want[i] += the chance that the entries up to depth i + 1 are kept, after text [n]; w: of getting here; a: the weight
 * so far (ratio: of the product; block: P). */
static void chance(const struct le_rig *r, const struct le_case *c, int32_t *text, int n, int depth, double w, double a,
                   double *want)
{
    double p[LE_V], q[LE_V], z = 0;
    int32_t last[2] = {text[n - 2], text[n - 1]}; /* prompt included */
    if (depth == LE_DEPTH)
        return;
    law_after(r, c->chain, text + N_PROMPT, n - N_PROMPT, p);
    proposal(last + 1, q);
    for (int t = 0; t < LE_V; t++)
        z += q[t];
    for (int t = 0; t < LE_V; t++)
        q[t] /= z;
    for (int t = 0; t < LE_V; t++) {
        double to = w, b = a;
        if (c->rule == RULE_GUMBEL) {
            to *= coupled(p, q, t);
        } else if (q[t] > 0) {
            to *= q[t];
            b = c->rule == RULE_RATIO ? a * fmin(1, p[t] / q[t]) : fmin(1, a * p[t] / q[t]);
        } else {
            continue;
        }
        want[depth] += to * b;
        text[n] = t;
        chance(r, c, text, n + 1, depth + 1, to, b, want);
    }
}

void le_acceptance(const struct le_rig *r, const struct le_case *c, double *want)
{
    int32_t text[N_PROMPT + LE_TOK] = {0};
    double p[LE_V];
    memcpy(text, prompt, sizeof prompt);
    for (int i = 0; i < LE_DEPTH; i++)
        want[i] = 0;
    law_after(r, c->chain, text + N_PROMPT, 0, p);
    for (int t = 0; t < LE_V; t++) { /* the first token, which nobody drafts */
        text[N_PROMPT] = t;
        chance(r, c, text, N_PROMPT + 1, 0, p[t], 1, want);
    }
}
