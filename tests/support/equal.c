/* See equal.h. */
#include "support/equal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t eq_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

const char *eq_kv_name(enum otr_kv_type kv)
{
    return kv == OTR_KV_F32 ? "f32" : kv == OTR_KV_Q8 ? "q8" : "f16";
}

static int below(struct eq_rig *r, int n)
{
    return (int)(eq_random(&r->rng) % (uint64_t)n);
}

/* ---- setting up ---- */

int eq_open(struct eq_rig *r, const char *model, const char *kern, enum otr_kv_type kv, uint64_t seed,
            struct otr_err *err)
{
    *r = (struct eq_rig){.rng = seed, .kv = kv};
    const struct otr_model_opts mo = {.kern = kern};
    int rc = otr_model_open(&r->m, model, &mo, err);
    for (int i = 0; i < EQ_ENGINES && rc == OTR_OK; i++) {
        const struct otr_engine_opts eo = {
            .n_threads = i + 1, .n_ctx = EQ_MAX_TOK, .n_seq = 5 * EQ_GROUP, .n_batch = 1024, .kv_type = kv};
        rc = otr_engine_create(&r->e[i], r->m, &eo, err);
    }
    if (rc == OTR_OK && !(r->kept = malloc((size_t)r->m->info.n_vocab * sizeof *r->kept)))
        rc = OTR_FAIL(err, NOMEM, "no memory for a row of logits");
    if (rc < 0)
        eq_close(r);
    return rc;
}

static void unload(struct eq_rig *r)
{
    for (int t = 0; t < EQ_GROUP; t++) {
        free(r->text[t].logits);
        r->text[t] = (struct eq_text){0};
        for (int i = 0; i < EQ_ENGINES; i++) {
            kv_drop(r->full[i][t]);
            r->full[i][t] = NULL;
        }
    }
    r->n_text = 0;
}

void eq_close(struct eq_rig *r)
{
    unload(r);
    for (int i = 0; i < EQ_ENGINES; i++)
        otr_engine_destroy(r->e[i]);
    otr_model_close(r->m);
    free(r->kept);
}

/* Commits tok[n] to seq in passes of `chunk` rows; keep: the last row of all keeps its logits. */
static int append(struct otr_engine *e, struct kv_seq *seq, const int32_t *tok, int n, int chunk, bool keep,
                  struct otr_err *err)
{
    for (int at = 0; at < n; at += chunk) {
        const int m = n - at < chunk ? n - at : chunk;
        for (int i = 0; i < m; i++) {
            e->rows[i] = (struct fwd_row){.token = tok[at + i], .seq = seq, .parent = i - 1};
            e->path[i] = i;
        }
        if (keep && at + m == n)
            e->rows[m - 1].keep = FWD_KEEP_LOGITS;
        const int rc = fwd_run(e->fwd, e->rows, m, err);
        if (rc < 0)
            return rc;
        fwd_commit(e->fwd, seq, e->path, m);
    }
    return OTR_OK;
}

/* The reference: plain decoding, one thread. */
static int write_on(struct eq_rig *r, struct eq_text *t, const int32_t *prompt, int n_prompt, int n_tok,
                    struct otr_err *err)
{
    struct otr_engine *e = r->e[0];
    const size_t n_vocab = (size_t)r->m->info.n_vocab;
    struct kv_seq *seq;
    int rc = kv_seq_create(&seq, e->kv, EQ_MAX_TOK, err);
    if (rc < 0)
        return rc;
    t->n = n_tok;
    memcpy(t->tok, prompt, (size_t)(n_prompt < n_tok ? n_prompt : n_tok) * sizeof *prompt);
    t->logits = malloc((size_t)n_tok * n_vocab * sizeof *t->logits);
    if (!t->logits)
        rc = OTR_FAIL(err, NOMEM, "no memory for the reference logits");
    for (int i = 0; i < n_tok && rc == OTR_OK; i++) {
        rc = append(e, seq, &t->tok[i], 1, 1, true, err);
        if (rc < 0)
            break;
        memcpy(t->logits + (size_t)i * n_vocab, fwd_logits(e->fwd, 0), n_vocab * sizeof *t->logits);
        if (i + 1 >= n_prompt && i + 1 < n_tok)
            t->tok[i + 1] = fwd_argmax(e->fwd, 0);
    }
    kv_drop(seq);
    return rc;
}

int eq_load(struct eq_rig *r, const int32_t *const *prompt, const int *n_prompt, int n_text, int n_tok,
            struct otr_err *err)
{
    static const int chunks[EQ_ENGINES] = {64, 7, 512, 1};
    int rc = OTR_OK;
    unload(r);
    for (int t = 0; t < n_text && rc == OTR_OK; t++) {
        rc = write_on(r, &r->text[t], prompt[t], n_prompt[t], n_tok, err);
        for (int i = 0; i < EQ_ENGINES && rc == OTR_OK; i++) {
            rc = kv_seq_create(&r->full[i][t], r->e[i]->kv, EQ_MAX_TOK, err);
            if (rc == OTR_OK)
                rc = append(r->e[i], r->full[i][t], r->text[t].tok, n_tok, chunks[(i + t) % EQ_ENGINES], false, err);
        }
    }
    r->n_text = n_text;
    return rc;
}

/* ---- comparing ---- */

static void compare(struct eq_rig *r, const float *got, const float *want, const char *what, int text, int pos)
{
    const size_t n = (size_t)r->m->info.n_vocab;
    r->n_row++;
    if (memcmp(got, want, n * sizeof *got) == 0)
        return;
    size_t i = 0;
    while (memcmp(&got[i], &want[i], sizeof *got) == 0)
        i++;
    if (r->n_differ++ < 10)
        printf("DIFFERENT: draw %ld, %s, text %d, position %d: logit %zu is %.9g, plain decoding gives %.9g\n",
               r->n_draw, what, text, pos, i, (double)got[i], (double)want[i]);
}

static const float *reference(const struct eq_rig *r, int text, int pos)
{
    return r->text[text].logits + (size_t)pos * (size_t)r->m->info.n_vocab;
}

/* ---- a draw ---- */

struct node {
    int parent, depth; /* in the branch's own list; -1: the committed end */
    int32_t token;
    bool is_true; /* the text's own continuation */
    int row;      /* in the pass */
};

struct branch {                  /* one sequence of a draw */
    int text, p;                 /* committed positions */
    struct kv_seq *seq, *before; /* before: a fork of the state before the pass */
    struct node node[EQ_MAX_ROWS];
    int n_node, n_given;
};

/* A sequence that holds the first p tokens of a text, made in one of four ways. */
static int build(struct eq_rig *r, int engine, struct branch *b, struct otr_err *err)
{
    static const int chunks[8] = {1, 7, 7, 64, 64, 64, 512, 512};
    struct otr_engine *e = r->e[engine];
    const struct eq_text *t = &r->text[b->text];
    const int way = below(r, 16), chunk = chunks[below(r, 8)];
    int rc, from = 0;
    if (way < 13) { /* fork a whole text and cut it; some cut deeper and append again: a shared page is copied */
        rc = kv_fork(&b->seq, r->full[engine][b->text], err);
        if (rc < 0)
            return rc;
        from = way >= 10 ? b->p - below(r, b->p < 40 ? b->p + 1 : 40) : b->p;
        kv_truncate(b->seq, from);
    } else {
        rc = kv_seq_create(&b->seq, e->kv, EQ_MAX_TOK, err);
        if (rc < 0)
            return rc;
        if (way == 13) { /* another text first, thrown away */
            const struct eq_text *o = &r->text[below(r, r->n_text)];
            rc = append(e, b->seq, o->tok, 1 + below(r, 40), 64, false, err);
            kv_truncate(b->seq, 0);
        }
    }
    if (rc == OTR_OK && b->p > from)
        rc = append(e, b->seq, t->tok + from, b->p - from, chunk, false, err);
    return rc < 0 ? rc : kv_fork(&b->before, b->seq, err);
}

/* m nodes: the text's own continuation and, in trees, random tokens hung on any earlier node. */
static void grow(struct eq_rig *r, struct branch *b, int m, bool tree)
{
    const struct eq_text *t = &r->text[b->text];
    int tip = -1; /* deepest true node */
    for (b->n_node = 0; b->n_node < m; b->n_node++) {
        struct node *n = &b->node[b->n_node];
        const int tip_pos = tip < 0 ? b->p - 1 : b->p + b->node[tip].depth;
        const bool go_on = tip_pos + 1 < t->n && (!tree || below(r, 10) < 5);
        n->parent = go_on ? tip : below(r, b->n_node + 1) - 1;
        n->depth = n->parent < 0 ? 0 : b->node[n->parent].depth + 1;
        n->token = go_on ? t->tok[tip_pos + 1] : below(r, r->m->info.n_vocab);
        n->is_true = go_on;
        if (go_on)
            tip = b->n_node;
    }
}

/* All branches' nodes in one random order that keeps parents first; then rows of a prompt that keep nothing. */
static int arrange(struct eq_rig *r, int engine, struct branch *b, int n_branch, struct kv_seq *prompt, int n_prompt)
{
    struct fwd_row *rows = r->e[engine]->rows;
    int n = 0, left = 0;
    for (int i = 0; i < n_branch; i++)
        left += b[i].n_node;
    for (int done = 0; left > 0 || done < n_prompt;) {
        if (left == 0 || (done < n_prompt && below(r, 2))) {
            rows[n] = (struct fwd_row){.token = r->text[0].tok[done], .seq = prompt, .parent = done ? n - 1 : FWD_END};
            for (n++, done++; done < n_prompt;
                 n++, done++) /* WHY at once: its rows then are neighbours, as in a server */
                rows[n] = (struct fwd_row){.token = r->text[0].tok[done], .seq = prompt, .parent = n - 1};
            continue;
        }
        struct branch *br = &b[below(r, n_branch)];
        if (br->n_given == br->n_node)
            continue;
        struct node *nd = &br->node[br->n_given++];
        nd->row = n;
        rows[n++] = (struct fwd_row){.token = nd->token,
                                     .seq = br->seq,
                                     .keep = FWD_KEEP_LOGITS,
                                     .parent = nd->parent < 0 ? FWD_END : br->node[nd->parent].row};
        left--;
    }
    return n;
}

/* A row off the text, again by plain decoding from the state before the pass. */
static int check_side_row(struct eq_rig *r, int engine, struct branch *b, int node, struct otr_err *err)
{
    struct otr_engine *e = r->e[engine];
    int32_t path[EQ_MAX_ROWS];
    const int depth = b->node[node].depth;
    for (int i = node, d = depth; i >= 0; i = b->node[i].parent)
        path[d--] = b->node[i].token;
    const int rc = append(e, b->before, path, depth + 1, 1, true, err);
    if (rc == OTR_OK) {
        r->n_branch_row++;
        compare(r, fwd_logits(e->fwd, 0), r->kept, "side branch", b->text, b->p + depth);
    }
    return rc;
}

/* Commits part of the true path of each branch, then decodes one more true token of all in one pass. */
static int commit_and_step(struct eq_rig *r, int engine, struct branch *b, int n_branch, struct otr_err *err)
{
    struct otr_engine *e = r->e[engine];
    int n = 0, at[EQ_GROUP];
    for (int i = 0; i < n_branch; i++) {
        int path[EQ_MAX_ROWS], len = 0;
        for (int k = 0; k < b[i].n_node; k++)
            if (b[i].node[k].is_true)
                path[len++] = b[i].node[k].row;
        len = below(r, len + 1);
        fwd_commit(e->fwd, b[i].seq, path, len);
        b[i].p += len;
    }
    for (int i = 0; i < n_branch; i++)
        if (b[i].p < r->text[b[i].text].n) {
            at[n] = i;
            e->rows[n++] = (struct fwd_row){
                .token = r->text[b[i].text].tok[b[i].p], .seq = b[i].seq, .parent = FWD_END, .keep = FWD_KEEP_LOGITS};
        }
    if (n == 0)
        return OTR_OK;
    const int rc = fwd_run(e->fwd, e->rows, n, err);
    for (int k = 0; k < n && rc == OTR_OK; k++)
        compare(r, fwd_logits(e->fwd, k), reference(r, b[at[k]].text, b[at[k]].p), "step after commit", b[at[k]].text,
                b[at[k]].p);
    return rc;
}

/* The rows of a draw in one call, or in several: stage by stage or all stages at once, or the first layers call by call
 * and the others for all rows in one go. */
static int run_rows(struct eq_rig *r, struct otr_engine *e, int n, struct otr_err *err)
{
    const int n_layer = r->m->info.n_layer, way = below(r, 4), upto = way == 3 ? below(r, n_layer + 1) : n_layer;
    int keep[FWD_MAX_LOGITS], n_keep = 0, rc = OTR_OK;
    if (way == 0)
        return fwd_run(e->fwd, e->rows, n, err);
    for (int at = 0, m; at < n && rc >= 0; at += m) {
        m = 1 + below(r, n - at < 24 ? n - at : 24);
        r->n_grown += at > 0 ? m : 0;
        if (way == 1) {
            rc = (at == 0 ? fwd_run : fwd_run_more)(e->fwd, e->rows + at, m, err);
            continue;
        }
        if ((rc = (at == 0 ? fwd_begin : fwd_more)(e->fwd, e->rows + at, m, err)) < 0)
            break;
        fwd_embed(e->fwd);
        fwd_layers(e->fwd, 0, upto);
    }
    for (int i = 0; i < n; i++)
        if (e->rows[i].keep & FWD_KEEP_LOGITS)
            keep[n_keep++] = i;
    if (rc < 0)
        return rc;
    fwd_rows_from(e->fwd, 0);
    fwd_layers(e->fwd, upto, n_layer);
    return fwd_head(e->fwd, keep, n_keep, err);
}

static int run_draw(struct eq_rig *r, int engine, struct branch *b, int n_branch, struct kv_seq *prompt,
                    struct otr_err *err)
{
    static const int prompt_rows[8] = {0, 0, 0, 7, 7, 33, 64, 128};
    struct otr_engine *e = r->e[engine];
    const bool tree = below(r, 2);
    int side_branch = -1, side = 0, n_prompt = prompt_rows[below(r, 8)];
    n_prompt = n_prompt > r->text[0].n ? r->text[0].n : n_prompt;
    const int n = arrange(r, engine, b, n_branch, prompt, n_prompt);
    int rc = run_rows(r, e, n, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n_branch; i++)
        for (int k = 0; k < b[i].n_node; k++) {
            const float *got = fwd_logits(e->fwd, b[i].node[k].row);
            if (b[i].node[k].is_true) {
                compare(r, got, reference(r, b[i].text, b[i].p + b[i].node[k].depth), tree ? "tree" : "chain",
                        b[i].text, b[i].p);
                r->n_tree_row++;
            } else if (side_branch < 0 || below(r, 3) == 0) {
                side_branch = i;
                side = k;
                memcpy(r->kept, got, (size_t)r->m->info.n_vocab * sizeof *got);
            }
        }
    rc = commit_and_step(r, engine, b, n_branch, err);
    if (rc == OTR_OK && side_branch >= 0)
        rc = check_side_row(r, engine, &b[side_branch], side, err);
    return rc;
}

int eq_draw(struct eq_rig *r, struct otr_err *err)
{
    const int engine = below(r, EQ_ENGINES), m = 1 + below(r, EQ_MAX_ROWS);
    const bool tree = below(r, 3) > 0;
    struct branch b[EQ_GROUP] = {{0}};
    /* each fourth draw: threads left out, as a pool does by load */
    pool_set_active(r->e[engine]->pool, r->n_draw % 4 == 0 ? 1 + (int)(r->n_draw / 4 % (engine + 1)) : engine + 1);
    struct kv_seq *prompt;
    int n_branch = 1 + below(r, m < EQ_GROUP ? m : EQ_GROUP), left = m;
    int rc = kv_seq_create(&prompt, r->e[engine]->kv, EQ_MAX_TOK, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n_branch && rc == OTR_OK; i++) {
        const int share = i + 1 == n_branch ? left : 1 + below(r, left - (n_branch - 1 - i));
        b[i].text = below(r, r->n_text);
        b[i].p = below(r, r->text[b[i].text].n);
        left -= share;
        rc = build(r, engine, &b[i], err);
        grow(r, &b[i], share, tree);
    }
    if (rc == OTR_OK)
        rc = run_draw(r, engine, b, n_branch, prompt, err);
    for (int i = 0; i < n_branch; i++) {
        kv_drop(b[i].seq);
        kv_drop(b[i].before);
    }
    kv_drop(prompt);
    r->n_draw++;
    return rc;
}

/* ---- levels ---- */

int eq_compare_model(struct eq_rig *r, const char *model, const struct otr_model_opts *mo, long *n_row, long *n_differ,
                     struct otr_err *err)
{
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = EQ_MAX_TOK, .n_batch = EQ_MAX_TOK, .kv_type = r->kv};
    struct otr_model *m = NULL;
    struct otr_engine *e = NULL;
    const long before_row = r->n_row, before_differ = r->n_differ;
    int rc = otr_model_open(&m, model, mo, err);
    if (rc == OTR_OK)
        rc = otr_engine_create(&e, m, &eo, err);
    for (int t = 0; t < r->n_text && rc == OTR_OK; t++) {
        const struct eq_text *x = &r->text[t];
        struct kv_seq *seq;
        if ((rc = kv_seq_create(&seq, e->kv, EQ_MAX_TOK, err)) < 0)
            break;
        for (int i = 0; i < x->n; i++) {
            e->rows[i] = (struct fwd_row){.token = x->tok[i], .seq = seq, .parent = i - 1};
            e->path[i] = i;
        }
        if ((rc = fwd_begin(e->fwd, e->rows, x->n, err)) == OTR_OK) {
            fwd_embed(e->fwd);
            fwd_layers(e->fwd, 0, m->info.n_layer);
        }
        for (int i = 0; i < x->n && rc == OTR_OK; i += FWD_MAX_LOGITS) {
            const int k = x->n - i < FWD_MAX_LOGITS ? x->n - i : FWD_MAX_LOGITS;
            rc = fwd_head(e->fwd, e->path + i, k, err);
            for (int j = i; j < i + k && rc == OTR_OK; j++)
                compare(r, fwd_logits(e->fwd, j), reference(r, t, j), mo->no_repack ? "not repacked" : mo->kern, t, j);
        }
        kv_drop(seq);
    }
    *n_row = r->n_row - before_row;
    *n_differ = r->n_differ - before_differ;
    otr_engine_destroy(e);
    otr_model_close(m);
    return rc;
}

/* ---- texts ---- */

/* The prompt of a line: Spec-Bench and MT-Bench (turns[0]), HumanEval (prompt), MBPP (text), GSM8K (question), EditEval
 * (an instruction, and the code it is about). */
static char *prompt_of(const json_t *line)
{
    const char *const keys[] = {"prompt", "text", "question", "instruction"};
    const char *text = json_string_value(json_array_get(json_object_get(line, "turns"), 0));
    const char *input = json_string_value(json_object_get(line, "input"));
    for (int i = 0; i < 4 && !text; i++)
        text = json_string_value(json_object_get(line, keys[i]));
    char *all = NULL;
    return text && asprintf(&all, "%s%s%s", text, input ? "\n\n" : "", input ? input : "") >= 0 ? all : NULL;
}

int eq_prompts_read(struct eq_prompts *p, const struct otr_model *m, const char *jsonl, int cap, int max_tok)
{
    FILE *f = fopen(jsonl, "r");
    char *line = NULL;
    size_t room = 0;
    *p = (struct eq_prompts){0};
    if (!f)
        return 0;
    while (p->n < cap && p->n < EQ_MAX_PROMPTS && getline(&line, &room, f) > 0) {
        json_t *j = json_loads(line, 0, NULL);
        char *text = j ? prompt_of(j) : NULL;
        if (text && *text) {
            int32_t *ids = malloc((strlen(text) + 8) * sizeof *ids);
            const int64_t n =
                ids ? otr_tokenize(m, text, strlen(text), OTR_TOK_ADD_SPECIAL, ids, strlen(text) + 8, NULL) : 0;
            if (n > 0) {
                p->ids[p->n] = ids;
                p->n_ids[p->n++] = n < max_tok ? (int)n : max_tok;
            } else {
                free(ids);
            }
        }
        free(text);
        json_decref(j);
    }
    free(line);
    fclose(f);
    return p->n;
}

void eq_prompts_free(struct eq_prompts *p)
{
    for (int i = 0; i < p->n; i++)
        free(p->ids[i]);
    *p = (struct eq_prompts){0};
}

const char *eq_model_path(char *buf, size_t cap, const char *file)
{
    const char *dir = getenv("OUTRIDER_MODELS"), *home = getenv("HOME");
    if (dir && *dir)
        snprintf(buf, cap, "%s/%s", dir, file);
    else
        snprintf(buf, cap, "%s/.cache/outrider/%s", home ? home : "/root", file);
    if (access(buf, R_OK) == 0)
        return buf;
    printf("SKIPPED: %s is not there (make models)\n", file);
    return NULL;
}
