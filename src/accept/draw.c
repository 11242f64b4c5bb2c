/* Owns how an entry is drawn from a drafter's row under each rule (accept.h has the table).
 * In: a tree, a parent, a row that is not trusted. Out: one entry more, and in the tree the very law it was drawn from,
 * so that what the rules call q is true whatever the drafter says. Read next: dice.c. */
#include "accept/accept_priv.h"

#include <float.h>
#include <math.h>

#include "sample/sample_math.h"

enum manner { DRAW_WITHOUT, DRAW_IID, DRAW_GUMBEL, DRAW_LIKELIEST };

static enum manner manner_of(enum accept_rule rule)
{
    switch (rule) {
    case RULE_MULTI:
    case RULE_TRAVERSAL:
        return DRAW_WITHOUT;
    case RULE_RATIO:
    case RULE_MULTI_IID:
    case RULE_BLOCK:
        return DRAW_IID;
    case RULE_GUMBEL:
        return DRAW_GUMBEL;
    case RULE_GREEDY:
    case RULE_TYPICAL:
    case RULE_RELAXED:
    case N_RULE:
        break;
    }
    return DRAW_LIKELIEST;
}

/* The sum of a row's weights, or -1: it is no row. */
static double row_sum(const int32_t *id, const double *p, int n, int n_vocab)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        if (!(p[i] >= 0) || id[i] < 0 || id[i] >= n_vocab)
            return -1;
        sum += p[i];
    }
    return sum > 0 && sum <= DBL_MAX ? sum : -1;
}

/* A token that stands under the parent's node already. */
static bool is_taken(const struct tree *t, int parent, int32_t token)
{
    return tree_find(t, parent == TREE_ROOT ? 0 : t->entry[parent].node, token) >= 0;
}

/* By id. Shell's sort: the rows are short, mostly sorted, and nothing may be allocated. */
static void sort_row(int32_t *id, double *p, int n)
{
    int gap = 1;
    while (gap < n / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3)
        for (int i = gap; i < n; i++) {
            const int32_t id_i = id[i];
            const double p_i = p[i];
            int j = i;
            for (; j >= gap && id[j - gap] > id_i; j -= gap) {
                id[j] = id[j - gap];
                p[j] = p[j - gap];
            }
            id[j] = id_i;
            p[j] = p_i;
        }
}

/* Puts the law to draw from behind the rows of the store: sorted, without tokens of no weight and, where `without`, of
 * earlier siblings; normalised. Its length, or an error; the store's counts stay. */
static int put_law(struct tree *t, int parent, const int32_t *id, const double *p, int n, double sum, bool without)
{
    int32_t *to_id = t->row_id + t->row_used;
    double *to_p = t->row_p + t->row_used, left = 0;
    int m = 0;
    if (n > TREE_ROW_CAP - t->row_used)
        return OTR_E_LIMIT;
    for (int i = 0; i < n; i++) {
        to_id[i] = id[i];
        to_p[i] = p[i] / sum;
    }
    sort_row(to_id, to_p, n);
    for (int i = 1; i < n; i++)
        if (to_id[i] == to_id[i - 1])
            return OTR_E_ARG;
    for (int i = 0; i < n; i++) {
        if (to_p[i] < DBL_MIN || (without && is_taken(t, parent, to_id[i])))
            continue;
        to_id[m] = to_id[i];
        left += to_p[m] = to_p[i];
        m++;
    }
    int kept = 0;
    for (int i = 0; i < m; i++) {
        to_id[kept] = to_id[i];
        to_p[kept] = to_p[i] / left;
        kept += to_p[kept] >= DBL_MIN;
    }
    return kept > 0 ? kept : OTR_E_LIMIT;
}

/* The place in the row of the best token that is not taken, or -1: the largest q, or log q + the noise of the target at
 * this position; lowest id on ties. */
static int best_place(const struct tree *t, int parent, const int32_t *id, const double *p, int n,
                      const struct tree_luck *luck, bool noise)
{
    const uint64_t n_before = luck->n_before + (uint64_t)tree_depth(t, parent);
    double best = 0;
    int at = -1;
    for (int i = 0; i < n; i++) {
        if (p[i] < DBL_MIN)
            continue;
        const double v =
            noise ? sample_log(p[i]) + gumbel_noise(luck->key.seed, luck->key.choice, n_before, id[i]) : p[i];
        if ((at < 0 || v > best || (v == best && id[i] < id[at])) && !is_taken(t, parent, id[i])) {
            best = v;
            at = i;
        }
    }
    return at;
}

int tree_draw_with(struct tree *t, int parent, const int32_t *id, const double *p, int n, const struct tree_luck *luck,
                   const struct accept_dice *dice)
{
    const enum manner how = manner_of(luck->rule);
    const double sum = row_sum(id, p, n, luck->n_vocab);
    if (parent < TREE_ROOT || parent >= t->n || sum < 0)
        return OTR_E_ARG;
    if (t->n == TREE_MAX)
        return OTR_E_LIMIT;
    if (how == DRAW_GUMBEL || how == DRAW_LIKELIEST) {
        const int at = best_place(t, parent, id, p, n, luck, how == DRAW_GUMBEL);
        return at < 0 ? OTR_E_LIMIT : tree_add(t, parent, id[at], (float)(p[at] / sum), luck->n_vocab);
    }
    const int m = put_law(t, parent, id, p, n, sum, how == DRAW_WITHOUT);
    if (m < 0)
        return m;
    const struct tree_row row = {m, t->row_id + t->row_used, t->row_p + t->row_used};
    const int at = dice->pick(dice->self, row.p, m, t->n);
    const int e = tree_add(t, parent, row.id[at], (float)row.p[at], luck->n_vocab);
    t->entry[e].row = t->n_row;
    t->row[t->n_row++] = row;
    t->row_used += m;
    return e;
}

int tree_draw(struct tree *t, int parent, const int32_t *id, const double *p, int n, const struct tree_luck *luck)
{
    const struct accept_dice dice = accept_draft_dice(&luck->key);
    return tree_draw_with(t, parent, id, p, n, luck, &dice);
}
