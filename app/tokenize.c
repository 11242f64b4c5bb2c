/* outrider tokenize and detokenize: text to ids and back. Only the vocabulary of the model file is read, so files
 * without weights do too. Read next: src/tokenize/tokenizer.h. */
#include "cli.h"
#include "json_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "tokenize/tokenizer.h"

struct opts {
    const char *model, *prompt, *file;
    bool json, no_bos, parse_special, special;
};
#define AT(member) offsetof(struct opts, member)

static int open_vocabulary(struct tokenizer **out, const char *path, struct otr_err *err)
{
    struct gguf *g = NULL;
    int rc = gguf_open(&g, path, err);
    if (rc == OTR_OK)
        rc = tokenizer_open(out, g, err);
    gguf_close(g);
    return rc;
}

static int usage(const char *msg)
{
    struct otr_err err;
    OTR_FAIL(&err, ARG, "%s", msg);
    return cli_usage(&err);
}

/* ---- tokenize ---- */

static int read_text(const struct opts *o, struct text *t, struct otr_err *err)
{
    int rc = OTR_OK;
    if (!o->prompt)
        rc = cli_read_file(t, o->file ? o->file : "-", err);
    else if ((t->bytes = strdup(o->prompt)))
        t->n = strlen(t->bytes);
    else
        rc = OTR_FAIL(err, NOMEM, "no memory for the text");
    return rc < 0 ? rc : cli_check_utf8(t->bytes, t->n, o->prompt ? "-p" : o->file ? o->file : "stdin", err);
}

/* "id<TAB>piece": control characters and bytes that are no whole character are escaped as in C. */
static void print_piece(const struct tokenizer *t, int32_t id)
{
    size_t n, k;
    uint32_t cp;
    const char *p = tokenizer_bytes(t, id, true, &n);
    printf("%d\t", id);
    for (size_t i = 0; i < n; i += k) {
        k = utf8_char(p + i, n - i, &cp);
        if (k > 0 && p[i] != '\\' && !utf8_is_hostile(cp)) {
            fwrite(p + i, 1, k, stdout);
            continue;
        }
        k = 1;
        if (p[i] == '\n' || p[i] == '\t' || p[i] == '\\')
            printf("\\%c", p[i] == '\n' ? 'n' : p[i] == '\t' ? 't' : '\\');
        else
            printf("\\x%02x", (unsigned char)p[i]);
    }
    putchar('\n');
}

static int print_ids(const struct tokenizer *t, const struct ids *l, bool json)
{
    if (!json) {
        for (size_t i = 0; i < l->n; i++)
            print_piece(t, l->v[i]);
        return CLI_OK;
    }
    json_t *a = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(a, json_integer(l->v[i]));
    return json_print(a) ? CLI_OK : CLI_FAIL;
}

int cmd_tokenize(int argc, char **argv)
{
    static const struct flag flags[] = {
        {"-m --model", FLAG_STR, AT(model), "FILE", "model, or a file with the vocabulary only", 0, 0,
         "LLAMA_ARG_MODEL"},
        {"-p --prompt", FLAG_STR, AT(prompt), "TEXT", "the text", 0, 0, NULL},
        {"-f --file", FLAG_STR, AT(file), "FILE", "the text from a file, byte for byte; - is stdin, the default", 0, 0,
         NULL},
        {"--no-bos", FLAG_BOOL, AT(no_bos), NULL, "no BOS in front (and no EOS), whatever the vocabulary says", 0, 0,
         NULL},
        {"--parse-special", FLAG_BOOL, AT(parse_special), NULL, "the name of a special token becomes that token", 0, 0,
         NULL},
        {"--json --ids", FLAG_BOOL, AT(json), NULL, "one JSON array of ids", 0, 0, NULL},
    };
    struct opts o = {0};
    const struct flag_cmd c = {
        .name = "tokenize",
        .usage = "-m MODEL [-p TEXT | -f FILE] [flags]",
        .about = "Prints the token ids of a text, each with its piece on a line of its own.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf -p \"Name three birds.\"",
        .sets = {{flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    struct tokenizer *tok = NULL;
    struct text t = {0};
    struct ids ids = {0};
    int status = CLI_OK, rc;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    if (!o.model)
        return usage("no model (-m): give a GGUF file");
    if (words.n > 0 || (o.prompt && o.file))
        return usage("too many texts (tokenize): give one, with -p, -f or stdin");
    const unsigned how = (o.no_bos ? 0 : TOK_ADD_SPECIAL) | (o.parse_special ? TOK_PARSE_SPECIAL : 0);
    rc = open_vocabulary(&tok, o.model, &err);
    if (rc == OTR_OK)
        rc = read_text(&o, &t, &err);
    if (rc == OTR_OK)
        rc = tokenizer_encode(tok, t.bytes, t.n, how, NULL, &ids, &err);
    cli_note_dropped(rc < 0 ? 0 : tokenizer_n_dropped(tok));
    status = rc < 0 ? cli_fail(&err) : print_ids(tok, &ids, o.json);
    ids_free(&ids);
    free(t.bytes);
    tokenizer_close(tok);
    return status == CLI_OK ? cli_close_stdout() : status;
}

/* ---- detokenize ---- */

/* Ids of a text like "[1, 22,333]": commas, brackets and white space only separate. */
static int parse_ids(const char *s, struct ids *out, struct otr_err *err)
{
    char q[40], *end;
    for (s += strspn(s, "[], \t\r\n"); *s; s += strspn(s, "[], \t\r\n")) {
        errno = 0;
        const long id = strtol(s, &end, 10);
        if (end == s || errno || id < 0 || id > INT32_MAX || !strchr("[], \t\r\n", *end)) {
            const size_t n = strcspn(s, "[], \t\r\n");
            return OTR_FAIL(err, ARG, "bad token id (%s): it is not a whole number from 0 on",
                            err_quote(q, sizeof q, s, n));
        }
        if (ids_push(out, (int32_t)id) < 0)
            return OTR_FAIL(err, NOMEM, "no memory for %zu token ids", out->n + 1);
        s = end;
    }
    return OTR_OK;
}

static int read_ids(const struct flag_words *words, struct ids *out, struct otr_err *err)
{
    struct text t = {0};
    int rc = OTR_OK;
    for (int i = 0; i < words->n && rc == OTR_OK; i++)
        rc = parse_ids(words->v[i], out, err);
    if (words->n > 0)
        return rc;
    if ((rc = cli_read_file(&t, "-", err)) == OTR_OK)
        rc = strlen(t.bytes) == t.n ? parse_ids(t.bytes, out, err)
                                    : OTR_FAIL(err, FORMAT, "zero byte among the token ids (stdin)");
    free(t.bytes);
    return rc;
}

static int print_text(const struct tokenizer *tok, const struct ids *ids, bool special, struct otr_err *err)
{
    struct detok d;
    const size_t cap = detok_max(tok);
    char *buf = malloc(cap + 1);
    if (!buf)
        return OTR_FAIL(err, NOMEM, "no memory for %zu bytes of text", cap);
    detok_init(&d, tok, special, true);
    char last = '\n';
    for (size_t i = 0; i <= ids->n; i++) {
        const size_t n = i < ids->n ? detok_push(&d, ids->v[i], buf, cap) : detok_flush(&d, buf, cap);
        last = n ? buf[n - 1] : last;
        fwrite(buf, 1, n, stdout);
    }
    if (last != '\n' && isatty(STDOUT_FILENO))
        putchar('\n');
    free(buf);
    return OTR_OK;
}

int cmd_detokenize(int argc, char **argv)
{
    static const struct flag flags[] = {
        {"-m --model", FLAG_STR, AT(model), "FILE", "model, or a file with the vocabulary only", 0, 0,
         "LLAMA_ARG_MODEL"},
        {"--special", FLAG_BOOL, AT(special), NULL, "special tokens show their names", 0, 0, NULL},
    };
    struct opts o = {0};
    const struct flag_cmd c = {
        .name = "detokenize",
        .usage = "-m MODEL [IDS...] [flags]",
        .about = "Prints the text of token ids, given as words or on stdin; commas and brackets between them are fine.",
        .example = "-m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf 19556 905",
        .sets = {{flags, sizeof flags / sizeof flags[0], &o}},
    };
    struct flag_words words;
    struct otr_err err;
    struct tokenizer *tok = NULL;
    struct ids ids = {0};
    int status = CLI_OK;
    if (!cli_parse(&c, argc, argv, &words, &status))
        return status;
    if (!o.model)
        return usage("no model (-m): give a GGUF file");
    int rc = open_vocabulary(&tok, o.model, &err);
    if (rc == OTR_OK)
        rc = read_ids(&words, &ids, &err);
    for (size_t i = 0; rc == OTR_OK && i < ids.n; i++)
        if (ids.v[i] >= tokenizer_n_vocab(tok))
            rc = OTR_FAIL(&err, ARG, "bad token id (%d): the vocabulary ends at %d", ids.v[i],
                          tokenizer_n_vocab(tok) - 1);
    if (rc == OTR_OK)
        rc = print_text(tok, &ids, o.special, &err);
    ids_free(&ids);
    tokenizer_close(tok);
    return rc < 0 ? cli_fail(&err) : cli_close_stdout();
}
