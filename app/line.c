/* Owns the reading of lines. See line.h; read next: chat.c. */
#include "line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#ifdef OTR_HAVE_EDIT
#include <histedit.h>
#endif

enum { HISTORY = 1000 };

struct line_reader {
    bool tty;
    const char *prompt;
    char *buf; /* of the line given out */
    size_t cap;
#ifdef OTR_HAVE_EDIT
    EditLine *el;
    History *hist;
#endif
};

#ifdef OTR_HAVE_EDIT

static char *give_prompt(EditLine *el)
{
    struct line_reader *r;
    el_get(el, EL_CLIENTDATA, &r);
    return (char *)(uintptr_t)r->prompt;
}

static int open_editor(struct line_reader *r, struct otr_err *err)
{
    HistEvent ev;
    r->el = el_init("outrider", stdin, isatty(STDOUT_FILENO) ? stdout : stderr, stderr);
    r->hist = history_init();
    if (!r->el || !r->hist)
        return OTR_FAIL(err, NOMEM, "no memory for the line editor");
    history(r->hist, &ev, H_SETSIZE, HISTORY);
    history(r->hist, &ev, H_SETUNIQUE, 1);
    el_set(r->el, EL_CLIENTDATA, r);
    el_set(r->el, EL_PROMPT, give_prompt);
    el_set(r->el, EL_EDITOR, "emacs");
    el_set(r->el, EL_SIGNAL, 1); /* gives the terminal back on Ctrl-Z, and takes it again */
    el_set(r->el, EL_HIST, history, r->hist);
    el_set(r->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(r->el, NULL); /* the person's own ~/.editrc */
    return OTR_OK;
}

static void close_editor(struct line_reader *r)
{
    if (r->hist)
        history_end(r->hist);
    if (r->el)
        el_end(r->el);
}

static const char *edit_line(struct line_reader *r, int *n)
{
    HistEvent ev;
    const char *s = el_gets(r->el, n);
    if (s && *n > 1)
        history(r->hist, &ev, H_ENTER, s);
    return s;
}

#else

static int open_editor(struct line_reader *r, struct otr_err *err)
{
    (void)err;
    r->tty = false;
    return OTR_OK;
}

static void close_editor(struct line_reader *r)
{
    (void)r;
}

static const char *edit_line(struct line_reader *r, int *n)
{
    (void)r;
    *n = 0;
    return NULL;
}

#endif

int line_open(struct line_reader **out, struct otr_err *err)
{
    struct line_reader *r = calloc(1, sizeof *r);
    if (!r)
        return OTR_FAIL(err, NOMEM, "no memory for the chat's input");
    r->tty = isatty(STDIN_FILENO);
    const int rc = r->tty ? open_editor(r, err) : OTR_OK;
    if (rc < 0) {
        line_close(r);
        return rc;
    }
    *out = r;
    return OTR_OK;
}

void line_close(struct line_reader *r)
{
    if (!r)
        return;
    close_editor(r);
    free(r->buf);
    free(r);
}

static const char *plain_line(struct line_reader *r, int *n)
{
    const ssize_t got = getline(&r->buf, &r->cap, stdin);
    *n = got < 0 ? -1 : (int)got;
    if (got < 0)
        clearerr(stdin); /* after Ctrl-C the next line should be read */
    return got < 0 ? NULL : r->buf;
}

const char *line_read(struct line_reader *r, const char *prompt, bool *interrupted)
{
    int n = 0;
    r->prompt = prompt;
    cli_catch_interrupt();
    if (!r->tty && isatty(STDIN_FILENO)) {
        fputs(prompt, stderr);
        fflush(stderr);
    }
    const char *s = r->tty ? edit_line(r, &n) : plain_line(r, &n);
    *interrupted = cli_interrupted != 0;
    if (!s || n <= 0 || *interrupted)
        return NULL;
    if (s != r->buf) { /* libedit's line lives in libedit */
        char *p = realloc(r->buf, (size_t)n + 1);
        if (!p)
            return NULL;
        r->buf = p;
        memcpy(r->buf, s, (size_t)n + 1);
        r->cap = (size_t)n + 1;
    }
    r->buf[strcspn(r->buf, "\r\n")] = 0;
    return r->buf;
}
