/* outrider inspect: what a model file holds, what it needs, why it is refused. Nothing of the weights is read.
 *
 * In: a path. Out: keys, tensors by type, the memory plan; or the sentence of the loader, and exit status 1.
 * A file that can be read but not run (another architecture, a vocabulary alone) is shown, with the reason, and is no
 * failure. Text from the file is never printed as it is. Read next: inspect_json.c, src/load/gguf.h. */
#include "inspect.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"

/* ---- what there is to say ---- */

static int read_vocabulary(struct report *r)
{
    struct tokenizer *tok = NULL;
    const int rc = tokenizer_open(&tok, r->g, &r->vocab_why);
    if (rc == OTR_OK)
        r->n_pieces = tokenizer_n_vocab(tok);
    tokenizer_close(tok);
    return rc;
}

/* Asks each module in the order in which a run would; the first that refuses is why. */
static int plan_run(struct report *r)
{
    struct hparams hp;
    int rc;
    if ((rc = hparams_read(&hp, r->g, &r->why)) < 0)
        return rc;
    if (r->vocab_rc < 0) {
        r->why = r->vocab_why;
        return r->vocab_rc;
    }
    const struct kv_shape shape = {hp.n_layer, hp.n_head_kv, hp.d_head, KV_F16};
    r->kv_bytes_per_tok = kv_page_bytes(&shape) / KV_PAGE;
    return weights_plan(&r->plan, r->g, &hp, &r->kern, &r->why);
}

static void count_tensors(struct report *r)
{
    for (size_t i = 0; i < gguf_n_tensors(r->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(r->g, i);
        r->type[t->type].n++;
        r->type[t->type].bytes += t->bytes;
        r->tensor_bytes += t->bytes;
        r->n_unread += ggml_traits((uint32_t)t->type) == NULL;
    }
}

static int make_report(struct report *r, const char *path, struct otr_err *err)
{
    int rc;
    if (kernels_init(&r->kern, cli_env.kern) < 0)
        return OTR_FAIL(err, ARG, "no kernel level '%s' here (this CPU runs: %s)", cli_env.kern, kernels_levels());
    if ((rc = gguf_open(&r->g, path, err)) < 0)
        return rc;
    count_tensors(r);
    r->vocab_rc = read_vocabulary(r);
    r->rc = plan_run(r);
    if (r->vocab_rc == OTR_E_NOMEM || r->rc == OTR_E_NOMEM)
        return OTR_FAIL(err, NOMEM, "no memory to inspect %s", gguf_path(r->g));
    return gguf_check_size(r->g, err);
}

/* ---- as text ---- */

enum { MAX_TEXT = 72, MAX_ITEMS = 6, MAX_UNREAD = 10 }; /* characters of a string, elements, tensors that are shown */

/* Quoted as in C, so that neither escapes nor broken UTF-8 reach the terminal; long text ends in "...". */
static void print_quoted(const char *p, size_t n, size_t max)
{
    size_t shown = 0;
    putchar('"');
    for (size_t i = 0, len; i < n && shown < max; i += len, shown++) {
        uint32_t cp;
        len = utf8_char(p + i, n - i, &cp);
        if (len == 0) {
            printf("\\x%02x", (unsigned char)p[i]);
            len = 1;
        } else if (cp == '\n' || cp == '\t' || cp == '"' || cp == '\\') {
            printf("\\%c", cp == '\n' ? 'n' : cp == '\t' ? 't' : (char)cp);
        } else if (utf8_is_hostile(cp)) {
            printf("\\u%04" PRIx32, cp);
        } else {
            fwrite(p + i, 1, len, stdout);
        }
        if (shown + 1 == max && i + len < n)
            printf("...");
    }
    putchar('"');
}

static void print_number(enum gguf_type type, const unsigned char *p)
{
    const struct number v = number_of(type, p);
    switch (v.kind) {
    case NUMBER_BOOL:
        printf("%s", v.i ? "true" : "false");
        break;
    case NUMBER_INT:
        printf("%" PRId64, v.i);
        break;
    case NUMBER_UINT:
        printf("%" PRIu64, v.u);
        break;
    case NUMBER_FLOAT:
        printf("%s", v.text);
        break;
    }
}

static void print_array(const struct gguf_arr *a)
{
    const unsigned char *p = a->data;
    for (size_t i = 0; i < a->n && i < MAX_ITEMS; i++) {
        printf("%s", i ? ", " : "");
        if (a->type == GGUF_STR) {
            const struct gguf_str s = next_string(&p);
            print_quoted(s.p, s.n, MAX_TEXT / MAX_ITEMS);
        } else {
            print_number(a->type, p);
            p += gguf_scalar_bytes(a->type);
        }
    }
    printf("%s", a->n > MAX_ITEMS ? ", ..." : "");
}

static void print_key(const struct gguf_kv *kv)
{
    char name[64], type[40];
    err_quote(name, sizeof name, kv->key.p, kv->key.n);
    snprintf(type, sizeof type, "%s", gguf_kv_type_name(kv->type));
    if (kv->type == GGUF_ARR)
        snprintf(type, sizeof type, "%s[%zu]", gguf_kv_type_name(kv->arr.type), kv->arr.n);
    printf("  %-42s %-16s ", name, type);
    if (kv->type == GGUF_STR)
        print_quoted((const char *)kv->data, kv->arr.n, MAX_TEXT);
    else if (kv->type == GGUF_ARR)
        print_array(&kv->arr);
    else
        print_number(kv->type, kv->data);
    putchar('\n');
}

static void print_tensor(const struct gguf_tensor *t)
{
    char name[80];
    printf("  %-42s %-8s", err_quote(name, sizeof name, t->name.p, t->name.n), ggml_type_name((uint32_t)t->type));
    for (int d = t->n_dims - 1; d >= 0; d--)
        printf("%s%" PRId64, d == t->n_dims - 1 ? " [" : ", ", t->ne[d]);
    printf("]  %zu bytes\n", t->bytes);
}

static void print_tensors(const struct report *r, bool all)
{
    printf("tensors (%zu, %" PRIu64 " bytes)\n", gguf_n_tensors(r->g), r->tensor_bytes);
    for (uint32_t type = 0; type < GGML_N_TYPES; type++)
        if (r->type[type].n)
            printf("  %-8s %6zu tensors %14" PRIu64 " bytes%s\n", ggml_type_name(type), r->type[type].n,
                   r->type[type].bytes, ggml_traits(type) ? "" : "   (a type we do not read)");
    size_t shown = 0;
    for (size_t i = 0; i < gguf_n_tensors(r->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(r->g, i);
        if (all || (!ggml_traits((uint32_t)t->type) && shown++ < MAX_UNREAD))
            print_tensor(t);
    }
    if (!all && r->n_unread > MAX_UNREAD)
        printf("  and %zu more of types we do not read (--tensors lists all)\n", r->n_unread - MAX_UNREAD);
}

static double mb(uint64_t bytes)
{
    return (double)bytes * 1e-6;
}

static int print_text(const struct report *r, const char *path, bool tensors)
{
    printf("file     ");
    print_quoted(path, strlen(path), 4096);
    printf("\nformat   GGUF version %" PRIu32 ", %" PRIu64 " bytes", gguf_version(r->g), gguf_file_bytes(r->g));
    if (gguf_n_parts(r->g) > 1)
        printf(" in %zu parts", gguf_n_parts(r->g));
    printf("\nkeys (%zu)\n", gguf_n_kv(r->g));
    for (size_t i = 0; i < gguf_n_kv(r->g); i++) {
        const struct gguf_kv kv = gguf_kv_at(r->g, i);
        print_key(&kv);
    }
    print_tensors(r, tensors);
    if (r->vocab_rc < 0)
        printf("vocab    no: %s\n", r->vocab_why.msg);
    else
        printf("vocab    yes: %d pieces\n", r->n_pieces);
    if (r->rc < 0) {
        printf("runs     no: %s\n", r->why.msg);
        return cli_close_stdout();
    }
    printf("memory\n");
    printf("  weights in the file   %10.1f MB, %" PRIu64 " parameters\n", mb(r->plan.tensor_bytes), r->plan.n_params);
    printf("  weights repacked      %10.1f MB, for kernel level %s; with --no-repack %.0f KB a thread\n",
           mb(r->plan.packed_bytes), r->kern.level, (double)r->plan.unit_bytes * 1e-3);
    printf("  norms and biases      %10.1f MB\n", mb(r->plan.vector_bytes));
    printf("  KV cache              %10.1f MB per 1000 tokens, f16\n", mb(r->kv_bytes_per_tok * 1000));
    printf("runs     yes\n");
    return cli_close_stdout();
}

/* ---- the command ---- */

struct opts {
    const char *model;
    bool json, tensors;
};
#define AT(member) offsetof(struct opts, member)

int cmd_inspect(int argc, char **argv)
{
    static const struct flag flags[] = {
        {"-m --model", FLAG_STR, AT(model), "FILE", "the file, instead of as a word", 0, 0, "LLAMA_ARG_MODEL"},
        {"--tensors", FLAG_BOOL, AT(tensors), NULL, "list every tensor", 0, 0, NULL},
        {"--json", FLAG_BOOL, AT(json), NULL, "one JSON object; of a refused file too", 0, 0, NULL},
    };
    struct opts o = {0};
    const struct flag_cmd c = {
        .name = "inspect",
        .usage = "FILE [flags]",
        .about = "Prints what a GGUF file holds and what a run of it needs. Exit status 1: the file is refused.",
        .example = "~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf",
        .sets = {{flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    struct report r = {0};
    int status = CLI_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    const char *path = words.n > 0 ? words.v[0] : o.model;
    if (!path || words.n > 1) {
        OTR_FAIL(&err, ARG, "%s (inspect): give one GGUF file", path ? "too many files" : "no file");
        return cli_usage(&err);
    }
    const int rc = make_report(&r, path, &err);
    if (rc < 0) {
        if (o.json)
            json_print(refusal_json(path, &err));
        cli_fail(&err);
        cli_close_stdout();
        status = CLI_FAIL;
    } else if (o.json) {
        status = json_print(report_json(&r, path, o.tensors)) ? cli_close_stdout() : CLI_FAIL;
    } else {
        status = print_text(&r, path, o.tensors);
    }
    gguf_close(r.g);
    return status;
}
