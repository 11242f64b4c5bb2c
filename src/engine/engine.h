/* Inside of the public handles. Read outrider.h first; read next: generate.c. */
#ifndef OTR_ENGINE_ENGINE_H
#define OTR_ENGINE_ENGINE_H

#include "emit/emit.h"
#include "forward/forward.h"
#include "sample/sample.h"
#include "template/template.h"
#include "tokenize/tokenizer.h"

struct otr_model {
    struct gguf *g;
    struct weights *w;
    struct tokenizer *tok;
    struct chat_template *tmpl; /* NULL: the file has none */
    struct otr_err tmpl_err;    /* why the file's template cannot be used; code 0 otherwise */
    char *name, *arch;
    struct otr_model_info info;
};

struct otr_engine {
    const struct otr_model *m;
    struct pool *pool;
    struct kv *kv;
    struct fwd *fwd;
    struct sampler *sampler; /* made by the first draw */
    struct fwd_row *rows;    /* [n_batch] */
    int *path;               /* [n_batch] */
    int n_ctx, n_batch, n_seq_open;
    const struct otr_seq *last; /* whose logits the pass holds; NULL: nobody's */
    int last_row;
};

struct otr_seq {
    struct otr_engine *e;
    struct kv_seq *kv;
    size_t n;
    int32_t tok[]; /* [n_ctx] */
};

/* Appends n tokens; keep: the last one keeps its logits. On error the sequence is unchanged. */
int seq_append(struct otr_seq *s, const int32_t *tokens, size_t n, bool keep, struct otr_err *err);

/* Sum over i of -log p(tokens[i] | tokens[0..i)) for i = 1..n-1, natural logarithm, in a sequence of its own. Logits of
 * at most 16 rows are held at a time. n >= 2, n <= n_ctx. */
OTR_API int engine_score(struct otr_engine *e, const int32_t *tokens, size_t n, double *nll, struct otr_err *err);

#endif
