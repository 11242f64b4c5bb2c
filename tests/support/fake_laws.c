/* See fake_laws.h. */
#include "support/fake_laws.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/draft_rig.h"

void fake_law(const struct fake_laws *f, const struct draft_ask *ask, const int32_t *path, int n, double *p)
{
    double sum = 0;
    uint64_t s = f->seed + ask->seq * 7919;
    if (f->law) {
        f->law(f, ask, path, n, p);
        return;
    }
    for (int i = 0; i < n; i++) {
        s ^= (uint64_t)path[i] + 1;
        s = dr_rand(&s);
    }
    for (int t = 0; t < f->n_vocab; t++)
        sum += p[t] = pow((double)(dr_rand(&s) >> 11) * 0x1p-53 + 1e-3, f->sharp);
    for (int t = 0; t < f->n_vocab; t++)
        p[t] /= sum;
}

static int fake_begin(void *self, const struct draft_ask *ask, int n_ask, int *row)
{
    struct fake_laws *f = self;
    (void)ask;
    f->n_row = 0;
    for (int i = 0; i < n_ask; i++) {
        row[i] = i + 1 == f->no_room ? -1 : f->n_row;
        if (row[i] >= 0)
            f->row[f->n_row++] = (struct draft_law_row){i, -1, -1};
    }
    return OTR_OK;
}

static int fake_more(void *self, const struct draft_ask *ask, const struct draft_law_row *rows, int n)
{
    struct fake_laws *f = self;
    const int first = f->n_row;
    (void)ask;
    if (++f->n_more == f->fail_at)
        return OTR_E_LIMIT;
    if (first + n > FAKE_ROWS)
        abort();
    for (int i = 0; i < n; i++) {
        if (rows[i].parent < 0 || rows[i].parent >= first || f->row[rows[i].parent].ask != rows[i].ask)
            abort();
        f->row[f->n_row++] = rows[i];
    }
    return first;
}

static const struct draft_row *fake_law_of(void *self, const struct draft_ask *ask, const int32_t *path, int n_path,
                                           int row)
{
    struct fake_laws *f = self;
    double p[FAKE_V];
    for (int i = n_path; i-- > 0; row = f->row[row].parent)
        if (f->row[row].token != path[i]) {
            printf("a law was asked for with another path than its row has\n");
            abort();
        }
    if (f->row[row].parent != -1)
        abort();
    fake_law(f, ask, path, n_path, p);
    f->out = (struct draft_row){.n = 0, .id = f->id, .p = f->p};
    for (int t = 0; t < f->n_vocab; t++) {
        int k = f->out.n;
        if (p[t] <= 0)
            continue;
        for (; k > 0 && p[t] > f->p[k - 1]; k--) {
            f->p[k] = f->p[k - 1];
            f->id[k] = f->id[k - 1];
        }
        f->p[k] = p[t];
        f->id[k] = t;
        f->out.n++;
    }
    return &f->out;
}

const struct draft_laws fake_source = {.begin = fake_begin, .more = fake_more, .law = fake_law_of};

struct draft_ask fake_ask(const struct fake_laws *f, uint64_t seq, enum accept_rule rule, int max_entries)
{
    static const int32_t tok = 0;
    const struct accept_key key = {.seed = f->seed, .step = seq};
    return (struct draft_ask){
        .seq = seq, .tok = &tok, .n = 1, .max_entries = max_entries, .luck = tree_luck_make(rule, &key, 1, f->n_vocab)};
}
