/* Owns what all subcommands share: messages, input files, standard output, Ctrl-C. See cli.h; read next: run.c. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

struct cli_env cli_env;
volatile sig_atomic_t cli_interrupted;

static int write_errno; /* of the first failed write to stdout; 0: none */

int cli_fail(const struct otr_err *err)
{
    fflush(stdout); /* text that came before the error, first */
    fprintf(stderr, "outrider: error: %s\n", err->msg);
    return CLI_FAIL;
}

int cli_usage(const struct otr_err *err)
{
    cli_fail(err);
    return CLI_USAGE;
}

const char *cli_cache_dir(void)
{
    static char dir[PATH_MAX];
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    struct stat st;
    int n = -1;
    if (xdg && *xdg == '/') /* the specification: a relative one is to be ignored */
        n = snprintf(dir, sizeof dir, "%s/outrider", xdg);
    else if (home && *home == '/')
        n = snprintf(dir, sizeof dir, "%s/.cache/outrider", home);
    if (n < 0 || n >= (int)sizeof dir)
        return NULL;
    char *slash = strrchr(dir, '/');
    *slash = 0;
    mkdir(dir, 0700);
    *slash = '/';
    mkdir(dir, 0700);
    return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) ? dir : NULL;
}

const char *cli_plan_dir(void)
{
    return cli_env.builtin_plan ? NULL : cli_cache_dir();
}

void cli_note_dropped(size_t n)
{
    static bool said;
    if (n > 0 && !said)
        cli_note("%zu %s of the text dropped: the vocabulary has no token for %s", n, n == 1 ? "byte" : "bytes",
                 n == 1 ? "it" : "them");
    said = said || n > 0;
}

void cli_note(const char *fmt, ...)
{
    va_list ap;
    fputs("outrider: note: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

bool cli_parse(const struct flag_cmd *c, int argc, char **argv, struct flag_words *words, int *status)
{
    struct otr_err err;
    if (flags_parse(c, argc, argv, stderr, words, &err) < 0) {
        *status = cli_usage(&err);
        return false;
    }
    if (words->help) {
        flags_help(c, cli_env.program, stdout);
        *status = cli_close_stdout();
    }
    return !words->help;
}

/* ---- text in ---- */

static int grow(struct text *t, size_t *cap, const char *path, struct otr_err *err)
{
    const size_t more = *cap ? *cap * 2 : 65536;
    char *p = realloc(t->bytes, more);
    if (!p)
        return OTR_FAIL(err, NOMEM, "cannot read (%.200s): no memory for %zu bytes", path, more);
    t->bytes = p;
    *cap = more;
    return OTR_OK;
}

int cli_read_file(struct text *out, const char *path, struct otr_err *err)
{
    const bool from_stdin = strcmp(path, "-") == 0;
    const char *name = from_stdin ? "stdin" : path;
    struct text t = {0};
    size_t cap = 0;
    int rc = OTR_OK;
    const int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return OTR_FAIL(err, IO, "cannot read (%.200s): %s", name, strerror(errno));
    for (ssize_t got = 1; got != 0;) {
        if (t.n + 1 >= cap && (rc = grow(&t, &cap, name, err)) < 0)
            break;
        got = read(fd, t.bytes + t.n, cap - t.n - 1);
        if (got < 0 && errno != EINTR) {
            rc = OTR_FAIL(err, IO, "cannot read (%.200s): %s", name, strerror(errno));
            break;
        }
        t.n += got > 0 ? (size_t)got : 0;
    }
    if (!from_stdin)
        close(fd);
    if (rc < 0) {
        free(t.bytes);
        return rc;
    }
    t.bytes[t.n] = 0;
    *out = t;
    return OTR_OK;
}

int cli_check_utf8(const char *text, size_t n, const char *where, struct otr_err *err)
{
    uint32_t cp;
    for (size_t i = 0, k; i < n; i += k)
        if ((k = utf8_char(text + i, n - i, &cp)) == 0)
            return OTR_FAIL(err, FORMAT, "text is not UTF-8 (%.200s): byte 0x%02x at offset %zu", where,
                            (unsigned char)text[i], i);
    return OTR_OK;
}

/* ---- standard output ---- */

bool cli_write(const char *bytes, size_t n)
{
    if (write_errno == 0 && (fwrite(bytes, 1, n, stdout) != n || fflush(stdout) != 0))
        write_errno = errno ? errno : EIO;
    return write_errno == 0;
}

int cli_close_stdout(void)
{
    struct otr_err err;
    if (fflush(stdout) != 0 && write_errno == 0)
        write_errno = errno;
    if (write_errno == 0 && ferror(stdout))
        write_errno = EIO;
    if (write_errno == 0)
        return CLI_OK;
    OTR_FAIL(&err, IO, "cannot write (stdout): %s", strerror(write_errno));
    fprintf(stderr, "outrider: error: %s\n", err.msg);
    return CLI_FAIL;
}

/* ---- Ctrl-C ---- */

static void on_interrupt(int sig)
{
    (void)sig;
    cli_interrupted = 1;
}

void cli_catch_interrupt(void)
{
    /* No SA_RESTART: a read of the next chat line should return. SA_RESETHAND: a second Ctrl-C ends a program that does
     * not react. */
    struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    cli_interrupted = 0;
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
}

void cli_release_interrupt(void)
{
    signal(SIGINT, SIG_DFL);
}
