/* outrider quantize: a model in another type. Each tensor is read as floats and written as blocks, a chunk at a time,
 * so that memory does not grow with the model; the pool's threads share a chunk.
 *
 * In: any model we can read. Out: one GGUF file that llama.cpp opens too, whole or not at all.
 * Read next: src/load/quant.h (blocks), src/load/gguf_write.h (the file). */
#include "cli.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "kern/blocks.h"
#include "load/dequant.h"
#include "load/gguf_write.h"
#include "load/quant.h"

enum {
    CHUNK = 1 << 20,         /* values that are converted between two writes */
    CHUNK_BYTES = 4 * CHUNK, /* as F32, the widest */
    STEP = 4096,             /* values of a thread that are floats at a time */
    SHOW_EVERY_MS = 100,
    QUANT_VERSION = 2, /* of the blocks' layout, as ggml counts */
};

struct opts {
    const char *in, *out;
    const struct target *to;
    int n_threads;
    bool pure;
};

/* The types we make. file_type: SRC: enum llama_ftype of llama.h (what most of the file is). */
static const struct target {
    const char *name;
    enum ggml_type type;
    uint32_t file_type;
} targets[] = {
    {"F32", GGML_F32, 0},   {"F16", GGML_F16, 1},   {"BF16", GGML_BF16, 32},
    {"Q8_0", GGML_Q8_0, 7}, {"Q4_0", GGML_Q4_0, 2}, {"Q4_1", GGML_Q4_1, 3},
};
enum { N_TARGETS = sizeof targets / sizeof targets[0] };

struct work {
    const struct opts *o;
    struct gguf *g;
    enum ggml_type *types; /* [n_tensor] of the result */
    struct pool *pool;
    unsigned char *chunk; /* [CHUNK_BYTES] */
    struct gguf_writer *w;
    uint64_t done; /* bytes of tensors written */
    double shown_ms;
};

/* ---- being stopped: WHY not cli_catch_interrupt: a second Ctrl-C must not leave the temporary file behind ---- */

static volatile sig_atomic_t stopped_by;

static void on_stop(int sig)
{
    stopped_by = sig;
}

static void catch_stops(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction a = {.sa_handler = on_stop, .sa_flags = SA_RESTART}, old;
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup stays */
            sigaction(signals[i], &a, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a limit of file size is a write error, with a message */
}

static int check_stopped(const struct work *k, struct otr_err *err)
{
    return stopped_by ? OTR_FAIL(err, ABORTED, "interrupted (%.200s): nothing was written", k->o->out) : OTR_OK;
}

/* ---- which type a tensor gets ---- */

static bool name_is(const struct gguf_tensor *t, const char *name)
{
    return t->name.n == strlen(name) && memcmp(t->name.p, name, t->name.n) == 0;
}

static bool name_has(const struct gguf_tensor *t, const char *part)
{
    return memmem(t->name.p, t->name.n, part, strlen(part)) != NULL;
}

/* Vectors, norms, routers of experts, and what is no matrix of weights: small, and not worth a loss. */
static bool stays_float(const struct gguf_tensor *t)
{
    static const char end[] = ".weight";
    const size_t n = sizeof end - 1;
    const bool vector = t->ne[1] == 1 && t->ne[2] == 1 && t->ne[3] == 1;
    const bool weight = t->name.n > n && memcmp(t->name.p + t->name.n - n, end, n) == 0;
    return vector || !weight || name_has(t, "_norm.") || name_has(t, "ffn_gate_inp.");
}

static bool is_float(enum ggml_type type)
{
    return type == GGML_F32 || type == GGML_F16 || type == GGML_BF16;
}

static bool is_4_bit(enum ggml_type type)
{
    return type == GGML_Q4_0 || type == GGML_Q4_1;
}

static enum ggml_type choose_type(const struct gguf_tensor *t, const struct opts *o)
{
    enum ggml_type to = o->to->type;
    if (stays_float(t))
        return is_float(t->type) || (to == GGML_F32 && ggml_traits((uint32_t)t->type)) ? GGML_F32 : t->type;
    if (is_4_bit(to) && !o->pure && (name_is(t, "token_embd.weight") || name_is(t, "output.weight")))
        to = GGML_Q8_0;
    return t->ne[0] % block_values(to) == 0 ? to : GGML_F16;
}

/* Fills k->types, and says what a person may not expect. */
static int choose_types(struct work *k, struct otr_err *err)
{
    const size_t n = gguf_n_tensors(k->g);
    size_t n_odd = 0, n_lossy = 0;
    char q[72];
    if (!(k->types = calloc(n ? n : 1, sizeof *k->types)))
        return OTR_FAIL(err, NOMEM, "no memory for the types of %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(k->g, i);
        k->types[i] = choose_type(t, k->o);
        if (k->types[i] != t->type && !ggml_traits((uint32_t)t->type))
            return OTR_FAIL(err, UNSUPPORTED, "cannot quantize (%s): tensor %s has type %s, which we do not read",
                            gguf_path(k->g), err_quote(q, sizeof q, t->name.p, t->name.n),
                            ggml_type_name((uint32_t)t->type));
        n_odd += k->types[i] == GGML_F16 && k->o->to->type != GGML_F16;
        n_lossy += k->types[i] != t->type && !is_float(t->type) && !is_float(k->types[i]);
    }
    if (n_odd > 0)
        cli_note("%zu %s F16: the rows are no multiple of the %d of a block", n_odd,
                 n_odd == 1 ? "tensor becomes" : "tensors become", BLOCK_Q);
    if (n_lossy > 0)
        cli_note("%zu %s quantized already and lose a second time; the original model gives a better result", n_lossy,
                 n_lossy == 1 ? "tensor is" : "tensors are");
    return OTR_OK;
}

/* ---- one tensor ---- */

struct share {
    enum ggml_type from, to;
    const unsigned char *src;
    unsigned char *dst;
    int n; /* values */
    atomic_bool misfit;
};

/* WHY rows do not matter: they are whole blocks of both types, so a tensor is one long row. */
static void convert_share(const struct pool_ctx *ctx, void *arg)
{
    struct share *s = arg;
    float x[STEP];
    int lo, hi;
    pool_share(ctx, s->n, BLOCK_K, &lo, &hi);
    for (int i = lo; i < hi; i += STEP) {
        const int n = hi - i < STEP ? hi - i : STEP;
        const size_t from = (size_t)(i / block_values(s->from)) * block_bytes(s->from);
        const size_t to = (size_t)(i / block_values(s->to)) * block_bytes(s->to);
        dequant_row(s->from, x, s->src + from, n);
        if (!quant_row(s->to, s->dst + to, x, n))
            atomic_store(&s->misfit, true);
    }
}

/* "57 of 270 MB", where somebody watches. */
static void show_progress(struct work *k)
{
    const double now = clock_ms();
    if (!isatty(STDERR_FILENO) || now - k->shown_ms < SHOW_EVERY_MS)
        return;
    k->shown_ms = now;
    fprintf(stderr, "\r%.0f of %.0f MB\033[K", (double)k->done / 1e6, (double)gguf_writer_bytes(k->w) / 1e6);
}

static int put(struct work *k, const void *bytes, size_t n, struct otr_err *err)
{
    const int rc = gguf_writer_put(k->w, bytes, n, err);
    k->done += n;
    show_progress(k);
    return rc < 0 ? rc : check_stopped(k, err);
}

static int copy_tensor(struct work *k, const struct gguf_tensor *t, struct otr_err *err)
{
    int rc = OTR_OK;
    for (size_t at = 0, n; at < t->bytes && rc == OTR_OK; at += n) {
        n = t->bytes - at < CHUNK_BYTES ? t->bytes - at : CHUNK_BYTES;
        rc = put(k, t->data + at, n, err);
    }
    return rc;
}

static int convert_tensor(struct work *k, const struct gguf_tensor *t, enum ggml_type to, struct otr_err *err)
{
    const int64_t n = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    const unsigned char *src = t->data;
    char q[72];
    int rc = OTR_OK;
    for (int64_t at = 0; at < n && rc == OTR_OK; at += CHUNK) {
        struct share s = {.from = t->type, .to = to, .src = src, .dst = k->chunk};
        s.n = n - at < CHUNK ? (int)(n - at) : CHUNK;
        pool_run(k->pool, convert_share, &s);
        if (atomic_load(&s.misfit))
            return OTR_FAIL(
                err, NUMERIC, "cannot quantize (%s): tensor %s holds a value that is no finite number in %s",
                gguf_path(k->g), err_quote(q, sizeof q, t->name.p, t->name.n), ggml_type_name((uint32_t)to));
        rc = put(k, k->chunk, (size_t)(s.n / block_values(to)) * block_bytes(to), err);
        src += (size_t)(s.n / block_values(t->type)) * block_bytes(t->type);
    }
    return rc;
}

/* ---- the model ---- */

static int write_tensors(struct work *k, struct otr_err *err)
{
    int rc = check_stopped(k, err);
    for (size_t i = 0; i < gguf_n_tensors(k->g) && rc == OTR_OK; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(k->g, i);
        if ((rc = gguf_check_size(k->g, err)) < 0)
            return rc;
        rc = k->types[i] == t->type ? copy_tensor(k, t, err) : convert_tensor(k, t, k->types[i], err);
        gguf_drop_pages(k->g, t->data, t->bytes);
    }
    return rc;
}

static int write_model(struct work *k, struct otr_err *err)
{
    const struct target *to = k->o->to;
    const struct gguf_u32 set[] = {{"general.file_type", to->file_type},
                                   {"general.quantization_version", QUANT_VERSION}};
    const struct gguf_head head = {k->g, set, is_float(to->type) ? 1 : 2, k->types};
    int rc;
    if ((rc = gguf_writer_open(&k->w, k->o->out, &head, err)) < 0)
        return rc;
    if (!(k->chunk = malloc(CHUNK_BYTES)))
        return OTR_FAIL(err, NOMEM, "no memory for %d bytes of a tensor", CHUNK_BYTES);
    if ((rc = pool_create(&k->pool, k->o->n_threads, err)) < 0 || (rc = write_tensors(k, err)) < 0)
        return rc;
    return gguf_writer_commit(k->w, err);
}

static void print_result(const struct work *k)
{
    uint64_t n = 0;
    for (size_t i = 0; i < gguf_n_tensors(k->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(k->g, i);
        n += (uint64_t)(t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
    }
    printf("%s: %s, %" PRIu64 " weights, %.1f MB", k->o->out, k->o->to->name, n, (double)gguf_writer_bytes(k->w) / 1e6);
    if (n > 0)
        printf(", %.2f bits each", 8 * (double)k->done / (double)n);
    putchar('\n');
}

static int quantize(const struct opts *o)
{
    struct work k = {.o = o};
    struct otr_err err;
    int rc, status;
    catch_stops();
    if ((rc = gguf_open(&k.g, o->in, &err)) == OTR_OK && (rc = choose_types(&k, &err)) == OTR_OK)
        rc = write_model(&k, &err);
    if (k.shown_ms > 0)
        fputs("\r\033[K", stderr);
    if (rc == OTR_OK) {
        print_result(&k);
        status = cli_close_stdout();
    } else {
        gguf_writer_close(k.w); /* before the message: who reads it finds the folder clean */
        k.w = NULL;
        status = cli_fail(&err);
        if (rc == OTR_E_ABORTED)
            status = 128 + stopped_by; /* SIGINT: CLI_INTERRUPTED */
    }
    gguf_writer_close(k.w);
    pool_destroy(k.pool);
    free(k.chunk);
    free(k.types);
    gguf_close(k.g);
    return status;
}

static const struct target *target_of(const char *name)
{
    for (int i = 0; i < N_TARGETS; i++)
        if (strcasecmp(name, targets[i].name) == 0)
            return &targets[i];
    return NULL;
}

int cmd_quantize(int argc, char **argv)
{
#define AT(member) offsetof(struct opts, member)
    static const struct flag flags[] = {
        {"--pure", FLAG_BOOL, AT(pure), NULL, "embeddings and output too in TYPE (Q4_0, Q4_1: else Q8_0)", 0, 0, NULL},
        {"-t --threads", FLAG_INT, AT(n_threads), "N", "threads (default: one for each core); the file is the same", -1,
         POOL_MAX_THREADS, "LLAMA_ARG_THREADS"},
        {"--allow-requantize", FLAG_IGNORED, 0, NULL, "models of any type are taken", 0, 0, NULL},
        {"--imatrix --output-tensor-type --token-embedding-type --tensor-type --leave-output-tensor --keep-split "
         "--override-kv --prune-layers",
         FLAG_REFUSED, 0, NULL, "every matrix becomes TYPE; --pure is the only choice", 0, 0, NULL},
    };
    struct opts o = {0};
    const struct flag_cmd c = {
        .name = "quantize",
        .usage = "IN OUT TYPE [flags]",
        .about = "Writes the model IN as OUT, its matrices in TYPE: F32 F16 BF16 Q8_0 Q4_0 Q4_1. Vectors stay F32.\n"
                 "An existing OUT is replaced once the new file is whole; on failure nothing changes.",
        .example = "~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf /tmp/SmolLM2-Q8_0.gguf Q8_0",
        .sets = {{flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    int status = CLI_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    if (words.n != 3) {
        OTR_FAIL(&err, ARG, "%s words (quantize): IN OUT TYPE are wanted", words.n < 3 ? "too few" : "too many");
        return cli_usage(&err);
    }
    o.in = words.v[0];
    o.out = words.v[1];
    if (!(o.to = target_of(words.v[2]))) {
        char q[40];
        OTR_FAIL(&err, ARG, "bad type (%s): the types are F32 F16 BF16 Q8_0 Q4_0 Q4_1",
                 err_quote(q, sizeof q, words.v[2], strlen(words.v[2])));
        return cli_usage(&err);
    }
    o.n_threads = o.n_threads < 0 ? 0 : o.n_threads;
    return quantize(&o);
}
