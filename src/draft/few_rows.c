/* Owns a drafter's short head: which tokens, their rows, and the counts of what was seen. See few_rows.h; read next:
 * freq.c, draft_row.c. */
#include "draft/few_rows.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cache_file.h"
#include "draft/lm_priv.h"
#include "load/dequant.h"
#include "load/quant.h"

/* ---- the rows ---- */

struct gather {
    struct few_rows *f;
    const struct weights *w;
    const struct gguf_tensor *t; /* of the whole head, in the file */
    size_t row;                  /* bytes of a row of the result, as in a file */
    bool packs;                  /* into the level's panels; else rows as in a file */
    char *units;                 /* KERN_ROW_UNIT rows for each thread, and a row of floats */
    size_t unit_bytes;
    atomic_bool bad; /* a value that the type cannot hold */
};

/* Token id's row, in the type of the result. */
static bool take_row(const struct gather *g, char *to, float *x, int32_t id)
{
    const int n = g->f->head.n_cols;
    const unsigned char *from = g->t->data + mat_row_bytes(g->t->type, n) * (size_t)id;
    if (g->f->head.type == g->t->type) {
        memcpy(to, from, g->row);
        return true;
    }
    dequant_row(g->t->type, x, from, n); /* as load/lower.c makes them */
    return quant_row(g->f->head.type, to, x, n);
}

static void gather_thread(const struct pool_ctx *ctx, void *arg)
{
    struct gather *g = arg;
    const struct kernels *k = &g->w->kern;
    const struct mat *m = &g->f->head;
    char *unit = g->units + g->unit_bytes * (size_t)ctx->tid, *base = g->f->map;
    float *x = (float *)(void *)(unit + g->row * KERN_ROW_UNIT);
    int lo, hi;
    pool_share(ctx, m->n_rows, KERN_ROW_UNIT, &lo, &hi);
    for (int r = lo; r < hi; r += KERN_ROW_UNIT) {
        const int n = hi - r < KERN_ROW_UNIT ? hi - r : KERN_ROW_UNIT;
        char *to = g->packs ? unit : base + g->row * (size_t)r;
        for (int i = 0; i < n; i++)
            if (!take_row(g, to + g->row * (size_t)i, x, g->f->id[r + i]))
                atomic_store(&g->bad, true);
        if (g->packs)
            k->pack(base + k->pack_bytes(m->type, r, m->n_cols), unit, m->type, n, m->n_cols, 0, n);
    }
}

static int gather_rows(struct gather *g, struct pool *pool, struct otr_err *err)
{
    struct few_rows *f = g->f;
    int rc = gguf_check_size(g->w->g, err);
    g->row = mat_row_bytes(f->head.type, f->head.n_cols);
    g->unit_bytes = (g->row * KERN_ROW_UNIT + (size_t)f->head.n_cols * sizeof(float) + 63) & ~(size_t)63;
    if (rc < 0)
        return rc;
    if (!(g->units = aligned_alloc(64, g->unit_bytes * (size_t)pool_n_threads(pool))))
        return OTR_FAIL(err, NOMEM, "no memory to gather the rows of a head");
    pool_run(pool, gather_thread, g);
    free(g->units);
    if (atomic_load(&g->bad))
        return OTR_FAIL(err, FORMAT, "%s cannot hold tensor %.*s (%s): a weight is not finite, or too large",
                        ggml_type_name((uint32_t)f->head.type), (int)g->t->name.n, g->t->name.p, gguf_path(g->w->g));
    return gguf_check_size(g->w->g, err); /* cut short meanwhile: nothing of it may be used */
}

/* The matrix of f->id, and what it lies in. */
static int make_head(struct few_rows *f, const struct draft_host *host, const struct weights *w, enum ggml_type type,
                     struct otr_err *err)
{
    const struct gguf_tensor *own = gguf_tensor(w->g, "output.weight");
    struct gather g = {.f = f, .w = w, .t = own ? own : w->embd};
    const int d = w->hp.n_embd;
    if (d % ggml_traits((uint32_t)type)->block_elems != 0 || mat_row_bytes(type, d) >= mat_row_bytes(g.t->type, d))
        type = g.t->type;
    const size_t packed = w->unit_bytes > 0 ? 0 : w->kern.pack_bytes(type, f->n, d);
    const size_t bytes = packed ? packed : mat_row_bytes(type, d) * (size_t)f->n;
    int rc = lm_check_fits(host, gguf_path(w->g), bytes, 0, err);
    if (rc < 0)
        return rc;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return OTR_FAIL(err, NOMEM, "no memory for %d rows of a head (%s)", f->n, gguf_path(w->g));
    madvise(p, bytes, MADV_HUGEPAGE);
    f->map = p;
    f->bytes = bytes;
    f->files = host->files;
    f->files->made_bytes += bytes;
    f->head = (struct mat){type, f->n, d, p, plan_kind_of(type) == plan_kind_of(w->head.type) ? w->head.plan : NULL};
    g.packs = packed > 0;
    return gather_rows(&g, host->pool, err);
}

/* ---- what was seen ---- */

void few_rows_file(char *name, const char *key)
{
    snprintf(name, FEW_ROWS_NAME, "freq-%.*s.bin", FREQ_KEY, key);
}

/* Adds what earlier runs saw. A file that is not there or not sound counts as none. */
static void add_past(struct freq *f, const struct few_rows *r)
{
    char path[PATH_MAX], name[FEW_ROWS_NAME];
    few_rows_file(name, r->key);
    if (snprintf(path, sizeof path, "%s/%s", r->dir, name) < (int)sizeof path)
        freq_read(f, path, r->key, NULL);
}

void few_rows_seen(struct few_rows *f, const int32_t *tok, size_t n)
{
    if (f && f->seen.count)
        freq_add(&f->seen, tok, n);
}

/* Of runs that end at once, the last one's counts stay. */
static void keep_seen(struct few_rows *f)
{
    enum { MANY = 1 << 30 }; /* then old text fades */
    char name[FEW_ROWS_NAME];
    uint64_t now = 0, all = 0;
    size_t bytes;
    for (int i = 0; i < f->seen.n_vocab; i++)
        now += f->seen.count[i];
    if (now == 0)
        return;
    add_past(&f->seen, f);
    for (int i = 0; i < f->seen.n_vocab; i++)
        all += f->seen.count[i];
    for (int i = 0; i < f->seen.n_vocab && all > MANY; i++)
        f->seen.count[i] /= 2;
    void *image = freq_image(&f->seen, f->key, &bytes);
    few_rows_file(name, f->key);
    if (image)
        cache_write(f->dir, name, image, bytes);
    free(image);
}

/* ---- open, close ---- */

static int read_rows(const struct draft_env *env, const struct tokenizer *tok, int *rows, struct otr_err *err)
{
    const int all = tokenizer_n_vocab(tok);
    const int rc = draft_param_int(env, "rows", all, 1, INT32_MAX / 2, rows, err);
    if (rc == OTR_OK && draft_param_get(env, "freq") && !draft_param_get(env, "rows"))
        return OTR_FAIL(err, ARG, "bad parameter (--spec, freq): it says which rows are kept; add rows=N");
    return rc;
}

int few_rows_wanted(bool *wanted, const struct draft_env *env, const struct tokenizer *tok, struct otr_err *err)
{
    int rows;
    const int rc = read_rows(env, tok, &rows, err);
    *wanted = rc == OTR_OK && rows < tokenizer_n_vocab(tok);
    return rc;
}

/* Counts of a file, or of the past; with these, the tokens. */
static int choose(struct few_rows *f, const struct draft_env *env, const struct tokenizer *tok, int rows,
                  struct otr_err *err)
{
    const char *file = draft_param_get(env, "freq"), *dir = env->host->cache_dir;
    const int all = tokenizer_n_vocab(tok);
    struct freq counts;
    int rc = freq_init(&counts, all, err);
    if (rc == OTR_OK && !(f->id = malloc((size_t)all * sizeof *f->id)))
        rc = OTR_FAIL(err, NOMEM, "no memory for %d tokens", all);
    if (rc == OTR_OK && !file && dir) {
        if (!(f->dir = strdup(dir)))
            rc = OTR_FAIL(err, NOMEM, "no memory for a drafter");
        else if ((rc = freq_init(&f->seen, all, err)) == OTR_OK)
            add_past(&counts, f);
    }
    if (rc == OTR_OK && file)
        rc = freq_read(&counts, file, f->key, err);
    if (rc == OTR_OK && (rc = freq_choose(&counts, tok, rows, f->id, err)) > 0) {
        f->n = rc;
        rc = OTR_OK;
    }
    freq_fini(&counts);
    return rc;
}

int few_rows_open(struct few_rows **out, const struct draft_env *env, const struct tokenizer *tok,
                  const struct weights *w, enum ggml_type type, struct otr_err *err)
{
    int rows, rc = read_rows(env, tok, &rows, err);
    *out = NULL;
    if (rc < 0 || rows >= tokenizer_n_vocab(tok))
        return rc;
    struct few_rows *f = calloc(1, sizeof *f);
    if (!f)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    freq_key(tok, f->key);
    if ((rc = choose(f, env, tok, rows, err)) < 0 || (rc = make_head(f, env->host, w, type, err)) < 0) {
        few_rows_close(f);
        return rc;
    }
    *out = f;
    return OTR_OK;
}

void few_rows_close(struct few_rows *f)
{
    if (!f)
        return;
    if (f->seen.count)
        keep_seen(f);
    freq_fini(&f->seen);
    if (f->map) {
        munmap(f->map, f->bytes);
        f->files->made_bytes -= f->bytes;
    }
    free(f->id);
    free(f->dir);
    free(f);
}
