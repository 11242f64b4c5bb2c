/* What the subcommands share: how they are called, how they fail, how they read text and write results.
 *
 * A subcommand is one file with one cmd_ function and one line in COMMAND_LIST. It gets its own name as argv[0] and
 * returns the exit status. Read next: flags.h (command lines), then run.c. */
#ifndef OTR_APP_CLI_H
#define OTR_APP_CLI_H

#include <signal.h>
#include <stdio.h>

#include "flags.h"

#define COMMAND_LIST(X)                                                                                                \
    X(run, "complete a prompt, or chat")                                                                               \
    X(tokenize, "text to token ids")                                                                                   \
    X(detokenize, "token ids to text")                                                                                 \
    X(perplexity, "how well a model predicts a text")                                                                  \
    X(inspect, "what a model file holds, what it needs, why it is refused")                                            \
    X(quantize, "a model in another type")                                                                             \
    X(datastore, "a corpus for --spec rest")                                                                           \
    X(bench, "how fast products and passes are here, beside the memory")

#define X(name, about) int cmd_##name(int argc, char **argv);
COMMAND_LIST(X)
#undef X

enum cli_exit { CLI_OK = 0, CLI_FAIL = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

/* Set by main before a subcommand runs; read-only after. */
struct cli_env {
    const char *program; /* argv[0], for the examples in help texts */
    const char *kern;    /* OUTRIDER_KERN, or NULL: kernel level for otr_model_opts */
    bool builtin_plan;   /* OUTRIDER_PLAN=builtin: tile plans are neither timed nor read */
};
extern struct cli_env cli_env;

/* Prints "outrider: error: MSG" and returns CLI_FAIL. */
int cli_fail(const struct otr_err *err);
/* The same with CLI_USAGE. */
int cli_usage(const struct otr_err *err);
/* Says once that a text lost n bytes in the tokenizer; nothing for 0. */
void cli_note_dropped(size_t n);
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "outrider: note: ..." on stderr */

/* ${XDG_CACHE_HOME:-~/.cache}/outrider, made if need be; NULL where that is not possible: nothing is kept then. */
const char *cli_cache_dir(void);
/* That folder, or NULL if plans are builtin: for otr_model_opts. */
const char *cli_plan_dir(void);

/* Parses a command line. Returns true when the command should run; otherwise *status is what to exit with (help was
 * printed, or the error was). */
bool cli_parse(const struct flag_cmd *c, int argc, char **argv, struct flag_words *words, int *status);

/* Bytes of a file or of stdin; free(bytes). */
struct text {
    char *bytes; /* [n] and a zero byte */
    size_t n;
};
int cli_read_file(struct text *out, const char *path, struct otr_err *err); /* "-": stdin */
/* Refuses text that is not UTF-8, with the offset of its first bad byte. where: what it is, for the message. */
int cli_check_utf8(const char *text, size_t n, const char *where, struct otr_err *err);

/* Writes to stdout; a failure is remembered and reported by cli_close_stdout. Returns false on failure. */
bool cli_write(const char *bytes, size_t n);
/* To be called once, when all is written. Returns CLI_OK, or CLI_FAIL after printing why. */
int cli_close_stdout(void);

/* True once Ctrl-C was pressed since the last cli_catch_interrupt. A second Ctrl-C ends the program. */
extern volatile sig_atomic_t cli_interrupted;
void cli_catch_interrupt(void);
void cli_release_interrupt(void); /* back to the default action */

#endif
