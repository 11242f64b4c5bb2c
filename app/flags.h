/* Command lines from tables: one parser, and one help text, for all subcommands.
 *
 * In: argv, the environment, tables of flags. Out: the caller's structs filled, the words that are no flags, or one
 * sentence that names the flag and what is wrong with it. Nothing here prints but flags_help.
 * A flag is `--name value`, `--name=value`, or `--name` and `--no-name` for yes and no; `_` counts as `-`; `--` ends
 * the flags. The environment variable of a flag counts where the flag is not given. Read next: run_opts.c. */
#ifndef OTR_APP_FLAGS_H
#define OTR_APP_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum flag_kind {
    FLAG_BOOL,    /* bool */
    FLAG_INT,     /* int, lo <= value <= hi */
    FLAG_INT64,   /* int64_t, the same */
    FLAG_FLOAT,   /* float, the same; inf and nan are refused */
    FLAG_STR,     /* const char *, into argv or the environment */
    FLAG_LIST,    /* struct flag_list: may be given again */
    FLAG_IGNORED, /* a flag of llama.cpp that can do no harm here: help says why it does nothing. arg: NULL takes no
                     value, "?" takes one that is on, off, auto, 0 or 1, anything else takes one */
    FLAG_REFUSED, /* a flag of llama.cpp that we do not have: help says what to do instead */
};

struct flag {
    const char *names; /* all spellings, a space between: "-n --n-predict --predict" */
    enum flag_kind kind;
    size_t at;        /* offset of the value in the set's struct */
    const char *arg;  /* what the value is called in help: "N" */
    const char *help; /* NULL: not shown; "+": shown in front of the next flag, on its line */
    double lo, hi;
    const char *env; /* NULL: none */
};

struct flag_list {
    const char **v; /* [n] */
    size_t n, cap;
};

struct flag_set {
    const struct flag *flags; /* [n] */
    size_t n;
    void *base; /* the struct that the offsets are in */
};

enum { FLAG_MAX_SETS = 5 };

struct flag_cmd {
    const char *name, *usage, *about; /* "run", "-m MODEL [-p TEXT]", a sentence */
    const char *example;              /* what follows the program's name, works as typed */
    struct flag_set sets[FLAG_MAX_SETS];
};

struct flag_words {
    char **v; /* [n] words that are no flags: argv, reordered */
    int n;
    bool help; /* --help was given; nothing else was looked at after it */
};

/* argv[0] is skipped; argv's order changes. notes: where ignored flags are named, NULL for nowhere.
 * OTR_E_ARG: a bad command line. Lists are the caller's to free, on errors too. */
int flags_parse(const struct flag_cmd *c, int argc, char **argv, FILE *notes, struct flag_words *words,
                struct otr_err *err);
void flags_help(const struct flag_cmd *c, const char *program, FILE *out);
void flag_list_free(struct flag_list *l);

#endif
