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
struct lm_files {
    struct lm_file *first;
    size_t cache_bytes, made_bytes; /* of all drafters that are open: KV caches, weights made in memory */
};
/* Bytes that a drafter may take now. The caches of the target and of other drafters count as taken: their pages are
 * touched later. */
size_t lm_room(const struct draft_host *host);
/* OTR_E_LIMIT: so many bytes of weights and of a cache do not fit. */
int lm_check_fits(const struct draft_host *host, const char *name, size_t w, size_t cache, struct otr_err *err);
/* What the cache of a model of this shape may come to. */
typedef size_t (*lm_cache_bytes)(const struct draft_host *host, const struct hparams *hp);
int lm_file_open(const struct lm_file **out, const struct draft_host *host, const char *path,
                 lm_cache_bytes cache_bytes, struct otr_err *err);

#endif
