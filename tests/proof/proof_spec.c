/* Proof of equality under speculation: prompts of several data sets, drafted and compared with their plain replies,
 * byte for byte; both temperatures. Plain replies are made one at a time. A run that stops resumes where it was. usage:
 * proof_spec MODEL WAYS N_PROMPTS N_TOK PART/PARTS PROGRESS_FILE PROMPTS.jsonl... WAYS: auto; shuffle (another method
 * for every step, hostile ones included); both; each (every single method). Batches of 1 to 8, and 1 to 4 threads, go
 * round by block of prompts. PART (from 0): the blocks that this process takes, on one thread mostly: as many processes
 * as cores lose nothing to barriers. The prompts are spread over all files, the first 400 tokens of each. PROGRESS_FILE
 * keeps counts, a line per finished block. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/equal.h"
#include "support/spec_rig.h"

enum { BLOCK = 16, MAX_PROMPT = 400, MAX_FILES = 16 };

struct sums {
    long block, reply, token, differ, draft, kept;
};

static int die(const struct otr_err *err)
{
    fprintf(stderr, "proof_spec: error: %s\n", err->msg);
    return 1;
}

static struct sums resume(const char *path)
{
    struct sums s = {0}, x;
    char line[200];
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%ld %ld %ld %ld %ld %ld", &x.block, &x.reply, &x.token, &x.differ, &x.draft, &x.kept) == 6)
            s = x;
    if (f)
        fclose(f);
    return s;
}

/* Every single method, or auto, or shuffle, of one rig. */
static int run_ways(struct spec_rig *r, const char *ways, long block, struct otr_err *err)
{
    const bool each = strcmp(ways, "each") == 0, both = strcmp(ways, "both") == 0;
    struct sr_way w = {.n_threads = block % 8 == 7 ? 1 + (int)(block / 8 % 4) : 1,
                       .n_batch = 1 + (int)(block % 8),
                       .seed = 7 + (uint64_t)block};
    int rc = OTR_OK;
    if (both || strcmp(ways, "auto") == 0)
        rc = sr_run(r, &w, 0, r->n, err);
    w.predict = true;
    for (int i = 0; each && i < draft_count() && rc == OTR_OK; i++) {
        w.method = draft_at(i)->name;
        if (!(draft_at(i)->flags & (DRAFT_WRAPPER | DRAFT_NEED_FILE)))
            rc = sr_run(r, &w, 0, r->n, err);
        if (rc == OTR_E_UNSUPPORTED && (draft_at(i)->flags & DRAFT_NEED_TARGET))
            rc = OTR_OK; /* not this target */
    }
    if (rc == OTR_OK && (both || strcmp(ways, "shuffle") == 0)) {
        w.method = "shuffle";
        w.draft_fixed = 16;
        rc = sr_run(r, &w, 0, r->n, err);
    }
    return rc;
}

static int one_block(struct otr_model *m, const char *ways, const int32_t *const *ids, const int *n_ids, int n,
                     int n_tok, int parts, long block, struct sums *s, struct otr_err *err)
{
    for (int warm = 0; warm < 2; warm++) {
        struct spec_rig r;
        int rc = sr_open(&r, m, ids, n_ids, n, n_tok, warm, parts > 1 ? 1 : 0, err);
        if (rc == OTR_OK)
            rc = run_ways(&r, ways, block, err);
        s->reply += r.n_reply;
        s->token += r.n_compared;
        s->differ += r.n_differ;
        s->draft += r.n_draft;
        s->kept += r.n_accepted;
        sr_close(&r);
        if (rc < 0)
            return rc;
    }
    return OTR_OK;
}

/* want of the n prompts, spread evenly. */
static void spread(const int32_t **ids, int *n_ids, int n, int want)
{
    for (int i = 0; i < want; i++) {
        const int from = (int)((long)i * n / want);
        ids[i] = ids[from];
        n_ids[i] = n_ids[from];
    }
}

int main(int argc, char **argv)
{
    struct otr_err err = {0};
    struct otr_model *m;
    static const int32_t *ids[MAX_FILES * EQ_MAX_PROMPTS];
    static int n_ids[MAX_FILES * EQ_MAX_PROMPTS];
    int n = 0, part, parts;
    if (argc < 8 || argc > 7 + MAX_FILES || sscanf(argv[5], "%d/%d", &part, &parts) != 2 || part < 0 || part >= parts) {
        fprintf(stderr, "usage: proof_spec MODEL auto|shuffle|both|each N_PROMPTS N_TOK PART/PARTS PROGRESS_FILE "
                        "PROMPTS.jsonl...\n");
        return 2;
    }
    const int want = atoi(argv[3]), n_tok = atoi(argv[4]);
    const double t0 = clock_ms();
    const struct otr_model_opts mo = {.n_threads = parts > 1 ? 1 : 0};
    if (otr_model_open(&m, argv[1], &mo, &err) < 0)
        return die(&err);
    static struct eq_prompts p[MAX_FILES];
    for (int f = 7; f < argc; f++) {
        eq_prompts_read(&p[f - 7], m, argv[f], EQ_MAX_PROMPTS, MAX_PROMPT);
        for (int i = 0; i < p[f - 7].n && n < MAX_FILES * EQ_MAX_PROMPTS; i++) {
            ids[n] = p[f - 7].ids[i];
            n_ids[n++] = p[f - 7].n_ids[i];
        }
    }
    struct sums s = resume(argv[6]);
    FILE *progress = fopen(argv[6], "a");
    if (n < want || !progress) {
        fprintf(stderr, "proof_spec: error: %d prompts, %d wanted; progress in %s\n", n, want, argv[6]);
        return 1;
    }
    spread(ids, n_ids, n, want);
    n = want;
    for (; s.block * BLOCK < n; s.block++) {
        if (s.block % parts != part)
            continue;
        const int at = (int)s.block * BLOCK, k = n - at < BLOCK ? n - at : BLOCK;
        if (one_block(m, argv[2], ids + at, n_ids + at, k, n_tok, parts, s.block, &s, &err) < 0)
            return die(&err);
        fprintf(progress, "%ld %ld %ld %ld %ld %ld\n", s.block + 1, s.reply, s.token, s.differ, s.draft, s.kept);
        fflush(progress);
        fprintf(stderr, "%d of %d prompts: %ld tokens, %ld replies differ (%.0f s)\n", at + k, n, s.token, s.differ,
                (clock_ms() - t0) / 1e3);
    }
    printf("%s, %s, part %s of %d prompts, temperatures 0 and 0.8: %ld replies, %ld tokens compared, %ld drafted, %ld "
           "kept: %ld replies differ\n",
           argv[1], argv[2], argv[5], n, s.reply, s.token, s.draft, s.kept, s.differ);
    fclose(progress);
    otr_model_close(m);
    return s.differ == 0 && s.kept > 0 ? 0 : 1;
}
