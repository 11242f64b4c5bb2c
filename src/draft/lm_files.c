/* Owns the model files that drafters opened: each once, shared by all that name it. In: a path. Out: weights and a
 * vocabulary. The target's own file is not opened again. See lm.h; read next: lm.c. */
#include "draft/lm_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "load/tune.h"

struct lm_files *lm_files_create(void)
{
    return calloc(1, sizeof(struct lm_files));
}

static void file_free(struct lm_file *f)
{
    tokenizer_close(f->tok);
    weights_close(f->w);
    gguf_close(f->g);
    free(f);
}

void lm_files_destroy(struct lm_files *fs)
{
    if (!fs)
        return;
    for (struct lm_file *f = fs->first, *next; f; f = next) {
        next = f->next;
        file_free(f);
    }
    free(fs);
}

void lm_files_bytes(const struct lm_files *fs, size_t *weights, size_t *caches)
{
    *weights = fs->made_bytes;
    *caches = fs->cache_bytes;
    for (const struct lm_file *f = fs->first; f; f = f->next)
        *weights += weights_bytes(f->w);
}

size_t lm_room(const struct draft_host *host)
{
    const size_t promised = host->kv_bytes + host->files->cache_bytes, free_now = memory_available();
    const size_t room = free_now > promised ? free_now - promised : 0;
    return host->mem_cap > 0 && host->mem_cap < room ? host->mem_cap : room;
}

/* Refused before a weight is read; w: what a new file brings. */
int lm_check_fits(const struct draft_host *host, const char *name, size_t w, size_t cache, struct otr_err *err)
{
    const size_t cap = lm_room(host);
    if (w <= cap && cache <= cap - w)
        return OTR_OK;
    return OTR_FAIL(
        err, LIMIT,
        "no room for a drafter (%s): weights of %zu MB and a KV cache of %zu MB, %zu MB are left beside the "
        "model and its cache: use a smaller drafter or a smaller context (-c)",
        name, w >> 20, cache >> 20, cap >> 20);
}

static int file_load(struct lm_file *f, const struct draft_host *host, const char *path, lm_cache_bytes cache_bytes,
                     struct otr_err *err)
{
    const bool in_file = host->weights->unit_bytes > 0;
    struct weights_plan plan;
    struct hparams hp;
    int rc;
    if ((rc = gguf_open(&f->g, path, err)) < 0 || (rc = hparams_read(&hp, f->g, err)) < 0 ||
        (rc = tokenizer_open(&f->tok, f->g, err)) < 0)
        return rc;
    if (tokenizer_n_vocab(f->tok) > hp.n_vocab)
        return OTR_FAIL(err, FORMAT,
                        "cannot read model (%s): %d pieces in the vocabulary, but the embedding has %d rows",
                        gguf_path(f->g), tokenizer_n_vocab(f->tok), hp.n_vocab);
    if ((rc = weights_plan(&plan, f->g, &hp, &host->weights->kern, err)) < 0 ||
        (rc = lm_check_fits(host, gguf_path(f->g), in_file ? plan.unit_bytes : plan.packed_bytes + plan.vector_bytes,
                            cache_bytes(host, &hp), err)) < 0 ||
        (rc = gguf_check_size(f->g, err)) < 0 ||
        (rc = weights_open(&f->w, f->g, &hp, &host->weights->kern, host->pool, in_file, err)) < 0 ||
        (rc = gguf_check_size(f->g, err)) < 0)
        return rc;
    weights_tune(f->w, host->pool, host->cache_dir);
    return OTR_OK;
}

int lm_file_open(const struct lm_file **out, const struct draft_host *host, const char *path,
                 lm_cache_bytes cache_bytes, struct otr_err *err)
{
    for (const struct lm_file *f = host->files->first; f; f = f->next)
        if (gguf_is_file(f->g, path)) {
            *out = f;
            return OTR_OK;
        }
    struct lm_file *f = calloc(1, sizeof *f);
    if (!f)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter's model");
    const int rc = file_load(f, host, path, cache_bytes, err);
    if (rc < 0) {
        file_free(f);
        return rc;
    }
    f->next = host->files->first;
    host->files->first = f;
    *out = f;
    return OTR_OK;
}

int lm_check_vocabulary(const struct tokenizer *a, const struct tokenizer *b, const char *path, struct otr_err *err)
{
#define OTHER "another vocabulary; -md FILE or --spec tli:model=FILE drafts with it"
    const int n = tokenizer_n_vocab(a);
    char q[64];
    if (tokenizer_n_vocab(b) != n)
        return OTR_FAIL(err, ARG, "cannot draft with %s: a vocabulary of %d pieces, the target's has %d; " OTHER,
                        err_quote(q, sizeof q, path, strlen(path)), tokenizer_n_vocab(b), n);
    for (int32_t id = 0; id < n; id++) {
        size_t n_a, n_b;
        const char *p_a = tokenizer_bytes(a, id, true, &n_a), *p_b = tokenizer_bytes(b, id, true, &n_b);
        if (n_a != n_b || memcmp(p_a, p_b, n_a) != 0 || tokenizer_is_special(a, id) != tokenizer_is_special(b, id) ||
            tokenizer_is_end(a, id) != tokenizer_is_end(b, id))
            return OTR_FAIL(err, ARG, "cannot draft with %s: token %d is another piece there; " OTHER,
                            err_quote(q, sizeof q, path, strlen(path)), id);
    }
    if (tokenizer_bos(a) != tokenizer_bos(b) || tokenizer_eos(a) != tokenizer_eos(b))
        return OTR_FAIL(err, ARG, "cannot draft with %s: other tokens begin and end a text there; " OTHER,
                        err_quote(q, sizeof q, path, strlen(path)));
    return OTR_OK;
#undef OTHER
}
