/* What lm.c and lm_files.c share. */
#ifndef OTR_DRAFT_LM_PRIV_H
#define OTR_DRAFT_LM_PRIV_H

#include "draft/lm.h"

struct lm_file {
    struct gguf *g;
    struct weights *w;
    struct tokenizer *tok;
    struct lm_file *next;
};
/* What the cache of a model of this shape may come to. */
typedef size_t (*lm_cache_bytes)(const struct draft_host *host, const struct hparams *hp);
int lm_file_open(const struct lm_file **out, const struct draft_host *host, const char *path,
                 lm_cache_bytes cache_bytes, struct otr_err *err);

#endif
