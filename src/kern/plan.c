/* Owns choices of plans: their numbers and their text. See plan.h. */
#include "kern/plan.h"

#include <stdio.h>
#include <string.h>

/* WHY a version: a file of another one may mean other plans or another layout by the same numbers. Raise it whenever a
 * menu, a panel's layout or a tile's body changes. */
#define PLAN_HEAD "outrider plans 3"

static const char *const kind_name[PLAN_N_KIND] = {"q4", "q8", "k", "f16", "f32"};

enum plan_kind plan_kind_of(enum ggml_type type)
{
    switch (type) {
    case GGML_Q8_0:
        return PLAN_Q8;
    case GGML_Q4_K:
    case GGML_Q5_K:
    case GGML_Q6_K:
        return PLAN_K;
    case GGML_F32:
        return PLAN_F32;
    case GGML_F16:
    case GGML_BF16:
        return PLAN_F16;
    default:
        return PLAN_Q4;
    }
}

int plan_class_tokens(int class_)
{
    static const int tokens[PLAN_N_CLASS] = {1, 4, 6, 8, 16};
    return tokens[class_];
}

int plan_n_choice(const struct plan_menu *m, int kind, int class_)
{
    int n = 0;
    while (n < PLAN_MAX_CHOICE && m->set[n].plan[kind][class_].most > 0)
        n++;
    return n;
}

void plan_set_fill(struct plan_set *out, const struct plan_menu *m, const struct plan_choice *c)
{
    for (int k = 0; k < PLAN_N_KIND; k++)
        for (int i = 0; i < PLAN_N_CLASS; i++)
            out->plan[k][i] = m->set[c->at[k][i] > 0 ? c->at[k][i] : 0].plan[k][i];
}

/* A line for each kind: its name and, for each class, the number of a plan or '-'. */
size_t plan_write(char *buf, size_t cap, const char *machine, const struct plan_choice *c)
{
    size_t n = (size_t)snprintf(buf, cap, PLAN_HEAD "\n%s\n", machine);
    for (int k = 0; k < PLAN_N_KIND && n < cap; k++) {
        char at[PLAN_N_CLASS];
        for (int i = 0; i < PLAN_N_CLASS; i++)
            at[i] = c->at[k][i] < 0 ? '-' : (char)('0' + c->at[k][i]);
        n += (size_t)snprintf(buf + n, cap - n, "%s %.*s\n", kind_name[k], PLAN_N_CLASS, at);
    }
    return n < cap ? n : cap - 1;
}

/* The rest of text after `start`; NULL: it does not start so. */
static const char *after(const char *text, const char *start)
{
    const size_t n = strlen(start);
    return text && strncmp(text, start, n) == 0 ? text + n : NULL;
}

int plan_read(struct plan_choice *out, const char *text, const char *machine, const struct plan_menu *m)
{
    struct plan_choice c;
    const char *p = after(after(after(text, PLAN_HEAD "\n"), machine), "\n");
    memset(out, -1, sizeof *out);
    for (int k = 0; k < PLAN_N_KIND; k++) {
        if (!(p = after(after(p, kind_name[k]), " ")))
            return -1;
        for (int i = 0; i < PLAN_N_CLASS; i++, p++) {
            const int at = *p - '0';
            if (*p != '-' && (at < 0 || at >= plan_n_choice(m, k, i))) /* the text's end too */
                return -1;
            c.at[k][i] = (int8_t)(*p == '-' ? -1 : at);
        }
        if (!(p = after(p, "\n")))
            return -1;
    }
    if (*p)
        return -1;
    *out = c;
    return 0;
}
