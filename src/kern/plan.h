/* Plans: how a product of m tokens is cut into tiles, and how far ahead its weights are asked for. A plan is about
 * speed only: every plan gives the same bits (x86/panel.h), so one may be chosen by timing, read from a file, or
 * changed between two calls.
 *
 * A level offers a few plans for each kind of types and class of token numbers on this CPU, its menu; the first is what
 * it takes by itself. A choice is numbers into that menu, and so cannot be a wrong plan.
 * In: a menu, the text of a file. Out: a choice, a set of plans. Read next: x86/panels.h (who follows them),
 * load/tune.h (who times them). */
#ifndef OTR_KERN_PLAN_H
#define OTR_KERN_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "kern/types.h"

/* Types whose tiles are alike. */
enum plan_kind {
    PLAN_Q4,
    PLAN_Q8,
    PLAN_K,
    PLAN_F16,
    PLAN_F32,
    PLAN_N_KIND
}; /* Q4: the 5-bit types too; F16: BF16 too */
/* 1-2, 3-4, 5-6, 7-8, 9-16 tokens. */
enum { PLAN_N_CLASS = 5, PLAN_MAX_CHOICE = 3 };

/* Passes of nearly equal size and of at most `most` tokens (5 = 3 + 2, never 4 + 1), r panels of rows at once. */
struct tile_plan {
    uint8_t most, r;
    uint8_t far;   /* the r panels are far apart, so that each is a long stream of its own */
    uint8_t reach; /* KB ahead of each stream that are fetched into L2; 0: none are */
};

/* Plans to follow; what a struct mat points to is one row of it. */
struct plan_set {
    struct tile_plan plan[PLAN_N_KIND][PLAN_N_CLASS];
};
struct plan_menu {
    struct plan_set set[PLAN_MAX_CHOICE]; /* set[0]: the level's own; most 0: not offered, nor are those after it */
};
/* Which of the menu's plans. */
struct plan_choice {
    int8_t at[PLAN_N_KIND][PLAN_N_CLASS]; /* -1: not known */
};

enum plan_kind plan_kind_of(enum ggml_type type);
/* n_tok: 1..16 */
static inline int plan_class_of(int n_tok)
{
    return n_tok > 8 ? PLAN_N_CLASS - 1 : (n_tok - 1) / 2;
}
/* A number of tokens that stands for a class when it is timed. */
int plan_class_tokens(int class_);

int plan_n_choice(const struct plan_menu *m, int kind, int class_);
/* The plans of a choice; the level's own where it says -1. */
void plan_set_fill(struct plan_set *out, const struct plan_menu *m, const struct plan_choice *c);

/* ---- as text, to be kept in a file ---- */

enum { PLAN_TEXT_MAX = 1024 };
/* machine: one line, what the times depend on. Returns the length; the text fits PLAN_TEXT_MAX if machine has less than
 * 512 bytes. */
size_t plan_write(char *buf, size_t cap, const char *machine, const struct plan_choice *c);
/* Fills *out and returns 0 if text is what plan_write gives for this machine and menu, and nothing else; else -1, and
 * *out says -1 everywhere. */
int plan_read(struct plan_choice *out, const char *text, const char *machine, const struct plan_menu *m);

#endif
