/* Owns the parsing of command lines and the help text. See flags.h; read next: run_opts.c, a command's table. */
#include "flags.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/words.h"

enum { QUOTE = 80 }; /* bytes of the user's text in a message */

/* ---- names ---- */

/* '_' counts as '-' after the leading dashes: people mix them. */
static bool same_name(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((a[i] == '_' ? '-' : a[i]) != (b[i] == '_' ? '-' : b[i]))
            return false;
    return true;
}

/* Walks "a b c": returns the next name and its length, or NULL. */
static const char *next_name(const char **names, size_t *n)
{
    const char *p = *names + strspn(*names, " ");
    *n = strcspn(p, " ");
    *names = p + *n;
    return *n ? p : NULL;
}

static bool has_no_form(const struct flag *f)
{
    return f->kind == FLAG_BOOL || (f->kind == FLAG_IGNORED && !f->arg);
}

/* A word of the command line, taken apart. */
struct word {
    const char *name; /* [n] "--top-k" of "--top-k=40" */
    size_t n;
    const char *value; /* "40", NULL: none attached */
    bool no;           /* --no-name */
};

static bool names_flag(const struct flag *f, struct word *w)
{
    size_t n;
    for (const char *names = f->names, *name; (name = next_name(&names, &n));) {
        if (n == w->n && same_name(name, w->name, n)) {
            w->no = false;
            return true;
        }
        if (has_no_form(f) && n > 2 && name[1] == '-' && w->n == n + 3 && same_name(w->name, "--no-", 5) &&
            same_name(name + 2, w->name + 5, n - 2)) {
            w->no = true;
            return true;
        }
    }
    return false;
}

static const struct flag *find_flag(const struct flag_cmd *c, struct word *w, void **base)
{
    for (int s = 0; s < FLAG_MAX_SETS; s++)
        for (size_t i = 0; i < c->sets[s].n; i++)
            if (names_flag(&c->sets[s].flags[i], w)) {
                *base = c->sets[s].base;
                return &c->sets[s].flags[i];
            }
    return NULL;
}

/* The flag that we have whose name is nearest; the first in the tables where several are. */
static void nearest_flag(const struct flag_cmd *c, const struct word *w, char *best, size_t cap)
{
    char typed[QUOTE], name[QUOTE];
    int least = 1 << 20;
    snprintf(typed, sizeof typed, "%.*s", (int)(w->n < QUOTE ? w->n : QUOTE), w->name);
    snprintf(best, cap, "--help");
    for (int s = 0; s < FLAG_MAX_SETS; s++)
        for (size_t i = 0; i < c->sets[s].n; i++) {
            const struct flag *f = &c->sets[s].flags[i];
            size_t n;
            if (f->kind == FLAG_IGNORED || f->kind == FLAG_REFUSED)
                continue;
            for (const char *names = f->names, *p; (p = next_name(&names, &n));) {
                snprintf(name, sizeof name, "%.*s", (int)n, p);
                const int d = word_distance(typed, name);
                if (d < least) {
                    least = d;
                    snprintf(best, cap, "%s", name);
                }
            }
        }
}

/* ---- values ---- */

static int range_error(const struct flag *f, bool under, const char *shown, const char *q, struct otr_err *err)
{
    return OTR_FAIL(err, ARG, "bad value (%s): %s is %s %.10g", shown, q, under ? "under" : "over",
                    under ? f->lo : f->hi);
}

static int set_number(const struct flag *f, void *at, const char *shown, const char *value, struct otr_err *err)
{
    char *end, q[QUOTE];
    err_quote(q, sizeof q, value, strlen(value));
    errno = 0;
    if (f->kind == FLAG_FLOAT) {
        const float x = strtof(value, &end);
        if (end == value || *end || isspace((unsigned char)value[0]) || !isfinite(x))
            return OTR_FAIL(err, ARG, "bad value (%s): '%s' is not a finite number", shown, q);
        if ((double)x < f->lo || (double)x > f->hi)
            return range_error(f, (double)x < f->lo, shown, q, err);
        *(float *)at = x;
        return OTR_OK;
    }
    const long long x = strtoll(value, &end, 10);
    if (end == value || *end || isspace((unsigned char)value[0]))
        return OTR_FAIL(err, ARG, "bad value (%s): '%s' is not a whole number", shown, q);
    if (errno == ERANGE || (double)x < f->lo || (double)x > f->hi)
        return range_error(f, x < 0 || (double)x < f->lo, shown, q, err);
    if (f->kind == FLAG_INT)
        *(int *)at = (int)x;
    else
        *(int64_t *)at = x;
    return OTR_OK;
}

/* Yes and no as llama.cpp's variables write them; -1: neither. */
static int truth(const char *s)
{
    static const char *const no[] = {"0", "off", "false", "disabled"}, *const yes[] = {"1", "on", "true", "enabled"};
    for (size_t i = 0; i < 4; i++)
        if (strcasecmp(s, no[i]) == 0 || strcasecmp(s, yes[i]) == 0)
            return strcasecmp(s, yes[i]) == 0;
    return -1;
}

static int list_add(struct flag_list *l, const char *value)
{
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 4;
        const char **v = realloc(l->v, cap * sizeof *v);
        if (!v)
            return OTR_E_NOMEM;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = value;
    return OTR_OK;
}

void flag_list_free(struct flag_list *l)
{
    free(l->v);
    *l = (struct flag_list){0};
}

/* shown: the flag as typed, or the name of the variable. */
static int set_value(const struct flag *f, void *base, const char *shown, const char *value, struct otr_err *err)
{
    void *at = (char *)base + f->at;
    switch (f->kind) {
    case FLAG_BOOL:
        if (truth(value) < 0)
            return OTR_FAIL(err, ARG, "bad value (%s): it is on or off", shown);
        *(bool *)at = truth(value);
        return OTR_OK;
    case FLAG_INT:
    case FLAG_INT64:
    case FLAG_FLOAT:
        return set_number(f, at, shown, value, err);
    case FLAG_STR:
        *(const char **)at = value;
        return OTR_OK;
    case FLAG_LIST:
        return list_add(at, value) < 0 ? OTR_FAIL(err, NOMEM, "no memory for the values of %s", shown) : OTR_OK;
    case FLAG_IGNORED:
    case FLAG_REFUSED:
        break;
    }
    return OTR_OK;
}

static int from_environment(const struct flag_cmd *c, struct otr_err *err)
{
    for (int s = 0; s < FLAG_MAX_SETS; s++)
        for (size_t i = 0; i < c->sets[s].n; i++) {
            const struct flag *f = &c->sets[s].flags[i];
            const char *value = f->env ? getenv(f->env) : NULL;
            if (!value || !*value)
                continue;
            const int rc = f->kind == FLAG_REFUSED
                               ? OTR_FAIL(err, ARG, "variable not supported (%s): %s", f->env, f->help)
                               : set_value(f, c->sets[s].base, f->env, value, err);
            if (rc < 0)
                return rc;
        }
    return OTR_OK;
}

/* ---- the command line ---- */

static bool wants_value(const struct flag *f, const char *next)
{
    if (f->kind != FLAG_IGNORED)
        return f->kind != FLAG_BOOL;
    if (!f->arg || f->arg[0] != '?')
        return f->arg != NULL;
    return next && (truth(next) >= 0 || strcasecmp(next, "auto") == 0);
}

/* One flag of the line; next is the word after it. Returns how many words it took, or an error. */
static int take_flag(const struct flag_cmd *c, const char *arg, const char *next, FILE *notes, struct otr_err *err)
{
    const size_t n = strcspn(arg, "=");
    struct word w = {arg, n, arg[n] ? arg + n + 1 : NULL, false};
    char shown[QUOTE], near[QUOTE];
    void *base = NULL;
    const struct flag *f = find_flag(c, &w, &base);
    err_quote(shown, sizeof shown, arg, n);
    if (!f) {
        nearest_flag(c, &w, near, sizeof near);
        return OTR_FAIL(err, ARG, "unknown flag (%s): the nearest of '%s' is %s", shown, c->name, near);
    }
    if (f->kind == FLAG_REFUSED)
        return OTR_FAIL(err, ARG, "flag not supported (%s): %s", shown, f->help);
    int took = 1;
    if (f->kind == FLAG_BOOL && !w.value) {
        *(bool *)(void *)((char *)base + f->at) = !w.no;
        return took;
    }
    if (w.value && (w.no || (f->kind == FLAG_IGNORED && !f->arg)))
        return OTR_FAIL(err, ARG, "bad flag (%s): it takes no value", shown);
    if (!w.value && wants_value(f, next)) {
        if (!next)
            return OTR_FAIL(err, ARG, "missing value (%s): it needs %s", shown, f->arg ? f->arg : "one");
        w.value = next;
        took = 2;
    }
    if (f->kind == FLAG_IGNORED && notes)
        fprintf(notes, "outrider: note: %s does nothing here: %s\n", shown, f->help);
    const int rc = f->kind == FLAG_IGNORED ? OTR_OK : set_value(f, base, shown, w.value, err);
    return rc < 0 ? rc : took;
}

int flags_parse(const struct flag_cmd *c, int argc, char **argv, FILE *notes, struct flag_words *words,
                struct otr_err *err)
{
    *words = (struct flag_words){.v = argv};
    int rc = from_environment(c, err);
    if (rc < 0)
        return rc;
    bool flags_over = false;
    for (int i = 1; i < argc;) {
        char *arg = argv[i];
        if (flags_over || arg[0] != '-' || arg[1] == 0) { /* "-" alone is a word: stdin */
            argv[words->n++] = arg;                       /* never ahead of i: argv[0] is free */
            i++;
        } else if (strcmp(arg, "--") == 0) {
            flags_over = true;
            i++;
        } else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            words->help = true;
            return OTR_OK;
        } else {
            if ((rc = take_flag(c, arg, i + 1 < argc ? argv[i + 1] : NULL, notes, err)) < 0)
                return rc;
            i += rc;
        }
    }
    return OTR_OK;
}

/* ---- help ---- */

/* "-n, --n-predict N": the first name, and the second where they are a short and a long one. */
static size_t show_names(const struct flag *f, bool both, char *buf, size_t cap)
{
    size_t n;
    const char *names = f->names, *name = next_name(&names, &n);
    int used = snprintf(buf, cap, "%.*s", (int)n, name);
    if (both && name[1] != '-' && (name = next_name(&names, &n)) && name[1] == '-')
        used += snprintf(buf + used, cap - (size_t)used, ", %.*s", (int)n, name);
    if (f->arg)
        used += snprintf(buf + used, cap - (size_t)used, " %s", f->arg);
    return (size_t)used;
}

void flags_help(const struct flag_cmd *c, const char *program, FILE *out)
{
    enum { COLUMN = 32 };
    fprintf(out, "usage: outrider %s %s\n%s\n\n", c->name, c->usage, c->about);
    for (int s = 0; s < FLAG_MAX_SETS; s++) {
        char left[200]; /* the longest line of our own tables takes half of it */
        size_t used = 0;
        for (size_t i = 0; i < c->sets[s].n; i++) {
            const struct flag *f = &c->sets[s].flags[i];
            if (f->kind == FLAG_IGNORED || f->kind == FLAG_REFUSED || !f->help)
                continue;
            const bool joined = strcmp(f->help, "+") == 0;
            used += show_names(f, used == 0 && !joined, left + used, sizeof left - used);
            if (joined) {
                used += (size_t)snprintf(left + used, sizeof left - used, ", ");
                continue;
            }
            if (used < COLUMN)
                fprintf(out, "  %-*s %s\n", COLUMN, left, f->help);
            else
                fprintf(out, "  %s\n  %-*s %s\n", left, COLUMN, "", f->help);
            used = 0;
        }
    }
    fprintf(out, "\nexample:\n  %s %s %s\n", program, c->name, c->example);
}
