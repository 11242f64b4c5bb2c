/* See tiny.h. */
#include "support/tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_GOLDEN = 1 << 24 };

static bool read_rows(struct golden *g, FILE *f)
{
    for (int t = 0; t < g->n_tok; t++) {
        if (fscanf(f, "%d %f", &g->id[t], &g->margin[t]) != 2)
            return false;
        for (int i = 0; i < g->n_vocab; i++)
            if (fscanf(f, "%f", &g->logits[(size_t)t * (size_t)g->n_vocab + (size_t)i]) != 1)
                return false;
    }
    return true;
}

bool golden_read(struct golden *g, const char *path)
{
    char line[256];
    FILE *f = fopen(path, "r");
    bool ok = false;
    *g = (struct golden){0};
    if (!f) {
        printf("%s: not there\n", path);
        return false;
    }
    if (fgets(line, sizeof line, f) && strncmp(line, "# outrider-golden v1 ", 21) == 0) {
        while (line[0] == '#' && fgets(line, sizeof line, f))
            ;
        ok = sscanf(line, "%d %d", &g->n_tok, &g->n_vocab) == 2 && g->n_tok > 0 && g->n_vocab > 0 &&
             g->n_tok <= MAX_GOLDEN / g->n_vocab;
    }
    if (ok) {
        g->id = calloc((size_t)g->n_tok, sizeof *g->id);
        g->margin = calloc((size_t)g->n_tok, sizeof *g->margin);
        g->logits = calloc((size_t)g->n_tok * (size_t)g->n_vocab, sizeof *g->logits);
        ok = g->id && g->margin && g->logits && read_rows(g, f);
    }
    fclose(f);
    if (!ok) {
        printf("%s: not a golden file of logits\n", path);
        golden_free(g);
    }
    return ok;
}

void golden_free(struct golden *g)
{
    free(g->id);
    free(g->margin);
    free(g->logits);
    *g = (struct golden){0};
}

/* One pass of n rows from position `pos` on. */
static int run_chunk(struct otr_engine *e, struct kv_seq *seq, const int32_t *tok, int n, int pos, int first, row_fn fn,
                     void *arg, struct otr_err *err)
{
    for (int i = 0; i < n; i++) {
        e->rows[i] = (struct fwd_row){.token = tok[i], .seq = seq, .parent = i - 1};
        e->path[i] = i;
    }
    int rc = fwd_begin(e->fwd, e->rows, n, err);
    if (rc < 0)
        return rc;
    fwd_embed(e->fwd);
    fwd_layers(e->fwd, 0, e->m->info.n_layer);
    for (int i = first > pos ? first - pos : 0; i < n; i += FWD_MAX_LOGITS) {
        const int m = n - i < FWD_MAX_LOGITS ? n - i : FWD_MAX_LOGITS;
        if ((rc = fwd_head(e->fwd, e->path + i, m, err)) < 0)
            return rc;
        for (int j = i; j < i + m; j++)
            fn(arg, pos + j, fwd_logits(e->fwd, j), fwd_argmax(e->fwd, j));
    }
    fwd_commit(e->fwd, seq, e->path, n);
    return OTR_OK;
}

int rows_run(struct otr_engine *e, const int32_t *tok, int n, int chunk, int first, row_fn fn, void *arg,
             struct otr_err *err)
{
    struct kv_seq *seq;
    int rc = kv_seq_create(&seq, e->kv, e->n_ctx, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n && rc == OTR_OK; i += chunk)
        rc = run_chunk(e, seq, tok + i, n - i < chunk ? n - i : chunk, i, first, fn, arg, err);
    kv_drop(seq);
    return rc;
}
