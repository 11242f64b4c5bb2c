/* outrider datastore build: a corpus as tokens with a suffix array, for --spec rest; freq: how often it holds each
 * token. In: text files, a model for its vocabulary. Out: a file, written beside and renamed. The suffix array is
 * libdivsufsort's, over the ids as four bytes each, most significant first: then the order of bytes is the order of
 * ids. Read next: src/draft/datastore.h, src/draft/freq.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/replace_file.h"
#include "cli.h"
#include "draft/datastore.h"
#include "draft/freq.h"
#include "engine/engine.h"
#ifdef OTR_HAVE_DIVSUFSORT
#include <divsufsort.h>
#endif

enum { BYTES_PER_ID = 4 };

struct corpus {
    int32_t *ids; /* [n] */
    size_t n, cap;
};

static int add_text(struct corpus *c, const struct otr_model *m, const char *path, struct otr_err *err)
{
    struct text t = {0};
    int rc = cli_read_file(&t, path, err);
    if (rc < 0)
        return rc;
    int32_t *ids = realloc(c->ids, (c->n + t.n + 1) * sizeof *ids); /* a token is at least a byte */
    if (!ids) {
        free(t.bytes);
        return OTR_FAIL(err, NOMEM, "no memory for the tokens of %.200s", path);
    }
    c->ids = ids;
    c->cap = c->n + t.n + 1;
    const int64_t n = otr_tokenize(m, t.bytes, t.n, 0, c->ids + c->n, c->cap - c->n, err);
    free(t.bytes);
    if (n < 0)
        return (int)n;
    c->n += (size_t)n;
    return OTR_OK;
}

#ifdef OTR_HAVE_DIVSUFSORT
/* place [n]: the ids' suffixes in order. */
static int sort_suffixes(const struct corpus *c, uint32_t *place, struct otr_err *err)
{
    const size_t bytes = c->n * BYTES_PER_ID;
    if (bytes > INT32_MAX)
        return OTR_FAIL(err, LIMIT, "a corpus of %zu tokens (at most %d)", c->n, INT32_MAX / BYTES_PER_ID);
    unsigned char *b = malloc(bytes + 1);
    saidx_t *sa = malloc((bytes + 1) * sizeof *sa);
    int rc = b && sa ? OTR_OK : OTR_FAIL(err, NOMEM, "no memory to sort %zu tokens (%zu MB)", c->n, 5 * bytes >> 20);
    for (size_t i = 0; i < c->n && rc == OTR_OK; i++)
        for (int k = 0; k < BYTES_PER_ID; k++)
            b[i * BYTES_PER_ID + (size_t)k] = (unsigned char)((uint32_t)c->ids[i] >> (24 - 8 * k));
    if (rc == OTR_OK && divsufsort(b, sa, (saidx_t)bytes) != 0)
        rc = OTR_FAIL(err, NOMEM, "no memory to sort %zu tokens", c->n);
    for (size_t i = 0, n = 0; i < bytes && rc == OTR_OK; i++)
        if (sa[i] % BYTES_PER_ID == 0)
            place[n++] = (uint32_t)(sa[i] / BYTES_PER_ID);
    free(b);
    free(sa);
    return rc;
}
#else
static int sort_suffixes(const struct corpus *c, uint32_t *place, struct otr_err *err)
{
    (void)c;
    (void)place;
    return OTR_FAIL(err, UNSUPPORTED, "this build has no suffix sorting: install libdivsufsort-dev and build again");
}
#endif

static int write_store(const struct corpus *c, const uint32_t *place, const char *key, int n_vocab, const char *path,
                       struct otr_err *err)
{
    struct datastore_head h = {.magic = DATASTORE_MAGIC, .n_vocab = (uint32_t)n_vocab, .n = c->n};
    memcpy(h.key, key, DATASTORE_KEY);
    struct replace_file r;
    bool ok = replace_open(&r, path, 0666);
    if (ok)
        ok = replace_close(&r, fwrite(&h, sizeof h, 1, r.f) == 1 && fwrite(c->ids, sizeof *c->ids, c->n, r.f) == c->n &&
                                   fwrite(place, sizeof *place, c->n, r.f) == c->n);
    return ok ? OTR_OK : OTR_FAIL(err, IO, "cannot write the datastore (%.200s): %s", path, strerror(errno));
}

/* As write_store, for --spec METHOD:rows=N,freq=FILE. */
static int write_freq(const struct corpus *c, const struct tokenizer *tok, const char *path, struct otr_err *err)
{
    struct freq f;
    char key[FREQ_KEY + 1];
    size_t bytes = 0;
    struct replace_file r;
    int rc = freq_init(&f, tokenizer_n_vocab(tok), err);
    if (rc < 0)
        return rc;
    freq_add(&f, c->ids, c->n);
    freq_key(tok, key);
    void *image = freq_image(&f, key, &bytes);
    if (!image)
        rc = OTR_FAIL(err, NOMEM, "no memory for counts of %d tokens", f.n_vocab);
    else if (!replace_open(&r, path, 0666) || !replace_close(&r, fwrite(image, 1, bytes, r.f) == bytes))
        rc = OTR_FAIL(err, IO, "cannot write the frequency file (%.200s): %s", path, strerror(errno));
    free(image);
    freq_fini(&f);
    return rc;
}

struct datastore_opts {
    const char *model, *out;
    const char *what; /* the result: a datastore, a frequency file */
    bool freq;
};

/* The result replaces a file of ours at most: no device, nothing that is read. */
static int check_out(const struct datastore_opts *o, char **files, int n_files, struct otr_err *err)
{
    struct stat st, in;
    if (stat(o->out, &st) < 0)
        return OTR_OK; /* a folder that is not there shows when the file is made */
    if (!S_ISREG(st.st_mode))
        return OTR_FAIL(err, ARG, "cannot write the %s (%.200s): it is no regular file", o->what, o->out);
    for (int i = -1; i < n_files; i++)
        if (stat(i < 0 ? o->model : files[i], &in) == 0 && in.st_dev == st.st_dev && in.st_ino == st.st_ino)
            return OTR_FAIL(err, ARG, "cannot write the %s (%.200s): it is a file that is read", o->what, o->out);
    return OTR_OK;
}

static int build(const struct datastore_opts *o, char **files, int n_files, struct otr_err *err)
{
    struct otr_model *m = NULL;
    struct corpus c = {0};
    uint32_t *place = NULL;
    char key[DATASTORE_KEY + 1];
    int rc = check_out(o, files, n_files, err);
    if (rc == OTR_OK)
        rc = otr_model_open(&m, o->model, &(struct otr_model_opts){.kern = cli_env.kern}, err);
    for (int i = 0; i < n_files && rc == OTR_OK; i++)
        rc = add_text(&c, m, files[i], err);
    if (rc == OTR_OK && c.n == 0)
        rc = OTR_FAIL(err, ARG, "an empty corpus: there is nothing to build");
    if (rc == OTR_OK && o->freq)
        rc = write_freq(&c, m->tok, o->out, err);
    if (rc == OTR_OK && !o->freq && !(place = malloc(c.n * sizeof *place)))
        rc = OTR_FAIL(err, NOMEM, "no memory for the places of %zu tokens", c.n);
    if (rc == OTR_OK && !o->freq)
        rc = sort_suffixes(&c, place, err);
    if (rc == OTR_OK && !o->freq) {
        model_key(m, key);
        rc = write_store(&c, place, key, otr_model_info(m)->n_vocab, o->out, err);
    }
    if (rc == OTR_OK)
        printf("%s: %zu tokens\n", o->out, c.n);
    free(place);
    free(c.ids);
    otr_model_close(m);
    return rc;
}

int cmd_datastore(int argc, char **argv)
{
#define AT(member) offsetof(struct datastore_opts, member)
    static const struct flag flags[] = {
        {"-m --model", FLAG_STR, AT(model), "FILE", "model whose vocabulary it is for", 0, 0, "LLAMA_ARG_MODEL"},
        {"-o --output", FLAG_STR, AT(out), "FILE", "the result; it replaces one that is there", 0, 0, NULL},
    };
#undef AT
    struct datastore_opts o = {0};
    const struct flag_cmd c = {
        .name = "datastore",
        .usage = "build|freq CORPUS... -m MODEL -o FILE",
        .about = "build: a datastore of text files, for drafting with --spec rest:file=FILE.\n"
                 "freq: how often each token is in them, for drafters with rows=N: a head of the N most frequent\n"
                 "tokens, --spec METHOD:rows=N,freq=FILE (draft, lowbit, skip, exit, tli, slem, slrs, hetero). MODEL\n"
                 "is the one that drafts. Without freq=FILE a drafter counts the tokens of its own replies, in the\n"
                 "cache folder: counts, and no text.",
        .example = "build notes.txt -m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf -o notes.store",
        .sets = {{flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    int status, rc = OTR_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    o.freq = words.n > 0 && strcmp(words.v[0], "freq") == 0;
    o.what = o.freq ? "frequency file" : "datastore";
    if (words.n < 1 || (strcmp(words.v[0], "build") != 0 && !o.freq))
        rc = OTR_FAIL(&err, ARG, "no action (datastore): say build or freq, then the text files");
    else if (words.n < 2)
        rc = OTR_FAIL(&err, ARG, "no corpus (datastore %s): give text files", words.v[0]);
    else if (!o.model || !o.out)
        rc = OTR_FAIL(&err, ARG, "no %s (datastore %s)", o.model ? "output (-o)" : "model (-m)", words.v[0]);
    if (rc < 0)
        return cli_usage(&err);
    if (build(&o, words.v + 1, words.n - 1, &err) < 0)
        return cli_fail(&err);
    return cli_close_stdout();
}
