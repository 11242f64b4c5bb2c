/* The program: picks the subcommand. Read next: cli.h (what subcommands share), run.c. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/words.h"

static const struct command {
    const char *name, *about;
    int (*run)(int argc, char **argv);
} commands[] = {
#define X(name, about) {#name, about, cmd_##name},
    COMMAND_LIST(X)
#undef X
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static int help(FILE *out)
{
    fputs("usage: outrider COMMAND [flags]\n\n", out);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].about);
    fprintf(out,
            "\n  --help, --version; each command has --help\n"
            "\nexample:\n  %s run -m ~/.cache/outrider/SmolLM2-135M-Instruct-Q4_1.gguf -p \"Name three birds.\"\n",
            cli_env.program);
    return out == stdout ? cli_close_stdout() : CLI_USAGE;
}

static int unknown(const char *name)
{
    struct otr_err err;
    char q[60];
    const struct command *best = commands;
    for (int i = 1; i < N_COMMANDS; i++)
        if (word_distance(name, commands[i].name) < word_distance(name, best->name))
            best = &commands[i];
    OTR_FAIL(&err, ARG, "unknown command (%s): the nearest is %s", err_quote(q, sizeof q, name, strlen(name)),
             best->name);
    return cli_usage(&err);
}

/* A file must never be opened as descriptor 0, 1 or 2: results or messages would go into it. Returns false if stdout
 * was closed. */
static bool claim_standard_files(void)
{
    bool open_out = true;
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        open_out = open_out && fd != STDOUT_FILENO;
        if (open("/dev/null", O_RDWR) != fd)
            _exit(CLI_FAIL);
    }
    return open_out;
}

/* OUTRIDER_PLAN: unset or "timed", or "builtin". */
static int read_plan(bool *builtin, struct otr_err *err)
{
    char q[40];
    const char *plan = getenv("OUTRIDER_PLAN");
    *builtin = plan && strcmp(plan, "builtin") == 0;
    if (!plan || !*plan || *builtin || strcmp(plan, "timed") == 0)
        return OTR_OK;
    return OTR_FAIL(err, ARG, "bad value (OUTRIDER_PLAN): '%s' is neither timed nor builtin",
                    err_quote(q, sizeof q, plan, strlen(plan)));
}

int main(int argc, char **argv)
{
    struct otr_err err;
    if (!claim_standard_files()) {
        fputs("outrider: error: cannot write (stdout): it is closed\n", stderr);
        return CLI_FAIL;
    }
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is a write error, with a message */
    setlocale(LC_CTYPE, "");  /* for line editing; numbers stay as in C */
    if (MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8"); /* bare machines name no locale, but their terminals speak UTF-8 */
    const char *kern = getenv("OUTRIDER_KERN");
    cli_env = (struct cli_env){.program = argc > 0 ? argv[0] : "outrider", .kern = kern && *kern ? kern : NULL};
    if (read_plan(&cli_env.builtin_plan, &err) < 0)
        return cli_usage(&err);
    if (argc < 2)
        return help(stderr);
    if (strcmp(argv[1], "--version") == 0) {
        printf("outrider %s\n", otr_version());
        return cli_close_stdout();
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return help(stdout);
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
