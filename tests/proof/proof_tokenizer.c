/* Proof of the tokenizers' speed on real models: opening, 1 MB of mixed text, and 1 MB of one kind for every model and
 * pre-tokenizer against 512 KB of it, in processor time (the unit tests count steps, but not those of the regex
 * library). usage: proof_tokenizer MODEL... ; exits 1 where 1 MB of mixed text takes a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include "tokenize/tok_priv.h"

enum { MB = 1 << 20, HALF = MB / 2 };

static const char *const units[] = {"a", "A",  " ",  "\n",  "\t",   " \n",          "=",       "7",
                                    "'", "'s", "a ", "  a", "   7", "\xe5\x93\x88", "\xcc\x81"};

/* WHY processor time: one thread works, and a busy machine must not change the verdict. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static const char *shown(const char *unit)
{
    static char buf[16];
    size_t n = 0;
    for (; *unit; unit++)
        n += (size_t)snprintf(buf + n, sizeof buf - n, *unit == '\n' ? "\\n" : *unit == '\t' ? "\\t" : "%c", *unit);
    return buf;
}

static void fill(char *text, size_t n, const char *unit)
{
    const size_t len = strlen(unit);
    for (size_t i = 0; i < n; i++)
        text[i] = unit[i % len];
}

/* 1 MB of the committed lines and, where they are there, of shared texts, one line of each in turn. */
static int mixed(char *text)
{
    static const char *const names[] = {"tests/golden/tok_lines.txt", "../shared/data/wikitext-2/test.txt",
                                        "../shared/data/humanevalpack/python.jsonl",
                                        "../shared/data/oasst/oasst-filtered.jsonl"};
    enum { N = sizeof names / sizeof *names };
    FILE *f[N];
    char *line = NULL;
    size_t cap = 0, n = 0;
    int there = 0;
    for (int i = 0; i < N; i++)
        there += (f[i] = fopen(names[i], "r")) != NULL;
    while (n < MB && there > 0)
        for (int i = 0; i < N && n < MB; i++) {
            ssize_t len = f[i] ? getline(&line, &cap, f[i]) : 0;
            if (f[i] && len < 0) {
                rewind(f[i]);
                len = 0;
            }
            const size_t take = (size_t)len < MB - n ? (size_t)len : MB - n;
            memcpy(text + n, line ? line : "", line ? take : 0);
            n += take;
        }
    for (int i = 0; i < N; i++)
        if (f[i])
            fclose(f[i]);
    free(line);
    return there;
}

static double encode_ms(const struct tokenizer *t, const char *text, size_t n, size_t *n_ids)
{
    struct ids l = {0};
    struct otr_err err = {0};
    const double t0 = cpu_ms();
    if (tokenizer_encode(t, text, n, TOK_PARSE_SPECIAL, NULL, &l, &err) < 0)
        printf("error: %s\n", err.msg);
    const double ms = cpu_ms() - t0;
    *n_ids = l.n;
    ids_free(&l);
    return ms;
}

static int prove_model(const char *path, char *text)
{
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct otr_err err = {0};
    size_t n_ids;
    if (gguf_open(&g, path, &err) < 0) {
        printf("SKIPPED: %s\n", err.msg);
        return 0;
    }
    double t0 = cpu_ms();
    if (tokenizer_open(&t, g, &err) < 0) {
        printf("error: %s\n", err.msg);
        gguf_close(g);
        return 1;
    }
    const double open_ms = cpu_ms() - t0;
    const int sources = mixed(text);
    const double ms = encode_ms(t, text, MB, &n_ids);
    printf("%s: %d pieces opened in %.0f ms; 1 MB of mixed text (%d sources): %zu tokens in %.0f ms\n", path,
           tokenizer_n_vocab(t), open_ms, sources, n_ids, ms);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        fill(text, MB, units[i]);
        const double half = encode_ms(t, text, HALF, &n_ids), whole = encode_ms(t, text, MB, &n_ids);
        printf("  1 MB of '%s': %.0f ms, 512 KB: %.0f ms\n", shown(units[i]), whole, half);
    }
    tokenizer_close(t);
    gguf_close(g);
    return ms >= 1000.0;
}

/* The slowest kind of text of each pre-tokenizer. */
static int prove_words(char *text)
{
    static const char *const names[] = {"default",    "gpt-2",        "smollm",         "llama-bpe",   "qwen2",
                                        "qwen35",     "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon",
                                        "bloom",      "viking",       "tekken",         "gpt-4o",      "bailingmoe",
                                        "seed-coder", "minicpm5"};
    int failed = 0;
    struct words w = {0};
    struct otr_err err = {0};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct pretok *p;
        double worst = 0;
        const char *unit = "";
        if (pretok_open(&p, names[k], strlen(names[k]), &err) < 0)
            return 1;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            fill(text, MB, units[i]);
            memcpy(text + MB - 2, " x", 2); /* a run that does not reach the end makes expressions step back */
            const double t0 = cpu_ms();
            const int rc = pretok_split(p, text, MB, &w, &err);
            if (rc < 0)
                printf("  %s: %s\n", names[k], err.msg);
            failed += rc < 0;
            if (cpu_ms() - t0 > worst) {
                worst = cpu_ms() - t0;
                unit = units[i];
            }
        }
        printf("  words of %-14s at most %.0f ms for 1 MB (of '%s')\n", names[k], worst, shown(unit));
        failed += worst > 1000.0;
        pretok_close(p);
    }
    words_fini(&w);
    return failed;
}

int main(int argc, char **argv)
{
    char *text = malloc(MB);
    int failed = 0;
    if (argc < 2 || !text) {
        fprintf(stderr, "usage: proof_tokenizer MODEL...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        failed += prove_model(argv[i], text);
    failed += prove_words(text);
    printf("proof_tokenizer: %s\n", failed ? "FAILED" : "passed");
    free(text);
    return failed > 0;
}
