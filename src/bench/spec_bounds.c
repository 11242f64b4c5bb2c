/* Owns the simulations over recorded texts. See spec_bounds.h; read next: spec_record.c. */
#include "bench/spec_bounds.h"

#include <math.h>
#include <string.h>

static const struct sb_place *place_at(const struct sb_text *t, int drafter, int p)
{
    return &t->place[(size_t)drafter * (size_t)t->n + (size_t)p];
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* ---- policies ---- */

/* A step with p tokens out that verifies so many entries: its time, and *gained tokens. */
static double step_ms(const struct sb_case *c, const struct sb_text *t, int p, struct sb_action a, int *gained)
{
    *gained = 1;
    if (a.len == 0)
        return t->row_ms * c->rel[1] + t->rest_ms;
    const struct sb_place *o = place_at(t, a.drafter, p);
    const int len = least(a.len, o->n);
    *gained += o->right[len];
    return t->row_ms * c->rel[1 + len] + t->rest_ms;
}

double sb_fixed(const struct sb_case *c, int drafter, int len)
{
    double ms = 0;
    for (int i = 0; i < c->n_text; i++)
        for (int p = 1, gained; p < c->text[i].n; p += gained) {
            const struct sb_action a = {drafter, len};
            ms += step_ms(c, &c->text[i], p, a, &gained) + (len > 0 ? c->cost_ms[drafter] : 0);
        }
    return ms;
}

double sb_plain(const struct sb_case *c)
{
    return sb_fixed(c, 0, 0);
}

double sb_best_fixed(const struct sb_case *c, int *drafter, int *len)
{
    double best = sb_plain(c);
    *drafter = -1;
    *len = 0;
    for (int d = 0; d < c->n_drafter; d++)
        for (int k = 1; k <= TREE_MAX; k++) {
            const double ms = sb_fixed(c, d, k);
            if (ms < best) {
                best = ms;
                *drafter = d;
                *len = k;
            }
        }
    return best;
}

/* The class of a place, or -1: nobody proposes. */
static int class_at(const struct sb_case *c, const struct sb_text *t, int p, int n_ask)
{
    int best = -1;
    for (int d = 0; d < n_ask && d < c->n_drafter; d++) {
        const struct sb_place *o = place_at(t, d, p);
        if (o->n > 0 && (best < 0 || o->match > place_at(t, best, p)->match))
            best = d;
    }
    return best < 0 ? -1 : best * SB_CLASSES + place_at(t, best, p)->class;
}

static double policy_ms(const struct sb_case *c, int n_ask, const struct sb_policy *f)
{
    double ask = 0, ms = 0;
    for (int d = 0; d < n_ask; d++)
        ask += c->cost_ms[d];
    for (int i = 0; i < c->n_text; i++)
        for (int p = 1, gained; p < c->text[i].n; p += gained) {
            const int class = class_at(c, &c->text[i], p, n_ask);
            const struct sb_action a = class < 0 ? (struct sb_action){0, 0} : f->of[class];
            ms += step_ms(c, &c->text[i], p, a, &gained) + ask;
        }
    return ms;
}

double sb_policy_ms(const struct sb_case *c, const struct sb_policy *p)
{
    return policy_ms(c, c->n_drafter, p);
}

/* Better actions for one class after the other, until none is better. */
static double descend(const struct sb_case *c, int n_ask, const bool *used, struct sb_policy *f)
{
    double best = policy_ms(c, n_ask, f);
    for (bool better = true; better;) {
        better = false;
        for (int k = 0; k < n_ask * SB_CLASSES; k++)
            for (int d = 0; d < n_ask && used[k]; d++)
                for (int len = d > 0; len <= TREE_MAX; len++) {
                    const struct sb_action before = f->of[k];
                    f->of[k] = (struct sb_action){d, len};
                    const double ms = policy_ms(c, n_ask, f);
                    if (ms < best * (1 - 1e-12)) {
                        best = ms;
                        better = true;
                    } else {
                        f->of[k] = before;
                    }
                }
    }
    return best;
}

double sb_best_causal(const struct sb_case *c, int n_ask, struct sb_policy *fit)
{
    bool used[SB_DRAFTERS * SB_CLASSES] = {false};
    struct sb_case asked = *c;
    struct sb_policy other;
    int drafter, len;
    asked.n_drafter = n_ask;
    for (int i = 0; i < c->n_text; i++)
        for (int p = 1; p < c->text[i].n; p++) {
            const int class = class_at(c, &c->text[i], p, n_ask);
            if (class >= 0)
                used[class] = true;
        }
    memset(fit, 0, sizeof *fit);
    double best = descend(c, n_ask, used, fit);
    sb_best_fixed(&asked, &drafter, &len);
    for (int k = 0; k < n_ask * SB_CLASSES; k++)
        other.of[k] = (struct sb_action){drafter < 0 ? 0 : drafter, len};
    const double ms = descend(c, n_ask, used, &other);
    if (ms < best) {
        best = ms;
        *fit = other;
    }
    const double plain = sb_plain(c);
    if (plain < best)
        memset(fit, 0, sizeof *fit);
    return fmin(best, plain);
}

/* ---- the clairvoyant bound ---- */

/* draft[n]: the least cost of a tree at p that holds the next n - 1 tokens, one proposal after the other. */
static void draft_costs(const struct sb_case *c, const struct sb_text *t, int n_ask, int p, int most, double *draft)
{
    draft[1] = 0;
    for (int n = 2; n <= most; n++) {
        draft[n] = INFINITY;
        for (int j = 1; j < n; j++)
            for (int d = 0; d < n_ask; d++) {
                const struct sb_place *o = place_at(t, d, p + j - 1);
                if (o->right[o->n] >= n - j)
                    draft[n] = fmin(draft[n], draft[j] + c->cost_ms[d]);
            }
    }
}

/* ms of one text from place p on is best[p]; a ring of SB_ROWS + 1 places is all that is looked back at. */
static double clairvoyant(const struct sb_case *c, const struct sb_text *t, int n_ask, const double *least_rel)
{
    double best[SB_ROWS + 1], draft[SB_ROWS + 1];
    best[t->n % (SB_ROWS + 1)] = 0;
    for (int p = t->n - 1; p >= 1; p--) {
        const int most = least(t->n - p, SB_ROWS);
        double ms = INFINITY;
        draft_costs(c, t, n_ask, p, most, draft);
        for (int n = 1; n <= most; n++)
            ms = fmin(ms, t->row_ms * least_rel[n] + draft[n] + t->rest_ms + best[(p + n) % (SB_ROWS + 1)]);
        best[p % (SB_ROWS + 1)] = ms;
    }
    return t->n > 1 ? best[1] : 0;
}

double sb_clairvoyant(const struct sb_case *c, int n_ask)
{
    double least_rel[SB_ROWS + 1], ms = 0; /* T*(n): more rows may take less */
    least_rel[SB_ROWS] = c->rel[SB_ROWS];
    for (int r = SB_ROWS - 1; r >= 1; r--)
        least_rel[r] = fmin(c->rel[r], least_rel[r + 1]);
    for (int i = 0; i < c->n_text; i++)
        ms += clairvoyant(c, &c->text[i], n_ask, least_rel);
    return ms;
}
