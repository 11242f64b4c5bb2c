/* Proof of equality under speculation: prompts of several data sets, each drafted in a way of its own and compared with
 * its plain reply, byte for byte; both temperatures. A run that stops resumes where it was.
 *   usage: proof_spec MODEL WAY N_PROMPTS N_TOK PROGRESS_FILE PROMPTS.jsonl...
 * WAY: auto; shuffle (another method for every step, hostile ones included, 1..4 threads, batches of 1..8 in turn);
 * each (every single method). PROGRESS_FILE keeps counts, a line per finished block of prompts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/equal.h"
#include "support/spec_rig.h"

enum { BLOCK = 16, MAX_PROMPT = 160, MAX_FILES = 16 };

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

static int one_block(struct otr_model *m, const char *way, const int32_t *const *ids, const int *n_ids, int n,
                     int n_tok, long block, struct sums *s, struct otr_err *err)
{
    for (int warm = 0; warm < 2; warm++) {
        struct spec_rig r;
        int rc = sr_open(&r, m, ids, n_ids, n, n_tok, warm, err);
        struct sr_way w = {.n_threads = 2, .n_batch = 1, .seed = 7 + (uint64_t)block};
        if (strcmp(way, "shuffle") == 0) {
            w.method = "shuffle";
            w.draft_fixed = 16;
            w.predict = true;
            w.n_threads = 1 + (int)(block % 4);
            w.n_batch = 1 + (int)(block / 4 % 8);
        }
        if (strcmp(way, "each") != 0 && rc == OTR_OK)
            rc = sr_run(&r, &w, 0, n, err);
        for (int i = 0; i < draft_count() && strcmp(way, "each") == 0 && rc == OTR_OK; i++) {
            w.method = draft_at(i)->name;
            w.predict = true;
            if (!(draft_at(i)->flags & (DRAFT_WRAPPER | DRAFT_NEED_FILE)))
                rc = sr_run(&r, &w, 0, n, err);
        }
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

int main(int argc, char **argv)
{
    struct otr_err err = {0};
    struct otr_model *m;
    static const int32_t *ids[MAX_FILES * EQ_MAX_PROMPTS];
    static int n_ids[MAX_FILES * EQ_MAX_PROMPTS];
    int n = 0;
    if (argc < 7 || argc > 6 + MAX_FILES) {
        fprintf(stderr, "usage: proof_spec MODEL auto|shuffle|each N_PROMPTS N_TOK PROGRESS_FILE PROMPTS.jsonl...\n");
        return 2;
    }
    const int want = atoi(argv[3]), n_tok = atoi(argv[4]);
    const double t0 = clock_ms();
    if (otr_model_open(&m, argv[1], NULL, &err) < 0)
        return die(&err);
    static struct eq_prompts p[MAX_FILES];
    for (int f = 6; f < argc; f++) {
        eq_prompts_read(&p[f - 6], m, argv[f], EQ_MAX_PROMPTS, MAX_PROMPT);
        for (int i = 0; i < p[f - 6].n && n < want; i++) {
            ids[n] = p[f - 6].ids[i];
            n_ids[n++] = p[f - 6].n_ids[i];
        }
    }
    struct sums s = resume(argv[5]);
    FILE *progress = fopen(argv[5], "a");
    if (n < want || !progress) {
        fprintf(stderr, "proof_spec: error: %d prompts, %d wanted; progress in %s\n", n, want, argv[5]);
        return 1;
    }
    for (; s.block * BLOCK < n; s.block++) {
        const int at = (int)s.block * BLOCK, k = n - at < BLOCK ? n - at : BLOCK;
        if (one_block(m, argv[2], ids + at, n_ids + at, k, n_tok, s.block, &s, &err) < 0)
            return die(&err);
        fprintf(progress, "%ld %ld %ld %ld %ld %ld\n", s.block + 1, s.reply, s.token, s.differ, s.draft, s.kept);
        fflush(progress);
        fprintf(stderr, "%d of %d prompts: %ld tokens, %ld replies differ (%.0f s)\n", at + k, n, s.token, s.differ,
                (clock_ms() - t0) / 1e3);
    }
    printf("%s, %s: %d prompts, temperatures 0 and 0.8: %ld replies, %ld tokens compared, %ld drafted, %ld kept: %ld "
           "replies differ\n",
           argv[1], argv[2], n, s.reply, s.token, s.draft, s.kept, s.differ);
    fclose(progress);
    otr_model_close(m);
    return s.differ == 0 && s.kept > 0 ? 0 : 1;
}
