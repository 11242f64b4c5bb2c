/* Owns sets of left-out sub-layers and the search for a good one. See skip_set.h; read next: skip.c. */
#include "draft/skip_set.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cache_file.h"
#include "base/hash.h"

enum { MAX_DRAFT = 8, AGAIN = 8 /* every so many tries the best set is scored again */ };
#define ROW_SHARE 0.03 /* what one row more costs a pass, as a share of it */

/* ---- text ---- */

static const char letters[] = "-afb"; /* by enum fwd_skip */

int skip_set_read(struct skip_set *s, const char *text, int n_layer, struct otr_err *err)
{
    const size_t n = strlen(text);
    bool all = true;
    if (n_layer > SKIP_MAX_LAYER)
        return OTR_FAIL(err, UNSUPPORTED, "a model of %d layers: at most %d can be left out", n_layer, SKIP_MAX_LAYER);
    if (n != (size_t)n_layer)
        return OTR_FAIL(err, ARG, "bad parameter (--spec skip, set): %zu letters for a model of %d layers", n, n_layer);
    *s = (struct skip_set){.n_layer = n_layer};
    for (int i = 0; i < n_layer; i++) {
        const char *at = strchr(letters, text[i]);
        if (!at)
            return OTR_FAIL(err, ARG, "bad parameter (--spec skip, set): '%c' is none of - a f b", text[i]);
        s->skip[i] = (unsigned char)(at - letters);
        all = all && s->skip[i] == (FWD_SKIP_ATTENTION | FWD_SKIP_FFN);
    }
    return all ? OTR_FAIL(err, ARG, "bad parameter (--spec skip, set): it leaves nothing of the model") : OTR_OK;
}

void skip_set_write(const struct skip_set *s, char *text)
{
    for (int i = 0; i < s->n_layer; i++)
        text[i] = letters[s->skip[i]];
    text[s->n_layer] = 0;
}

/* ---- file ---- */

enum { FILE_MAX = SKIP_MAX_LAYER + 64, FILE_NAME = 64 };
#define HEAD "outrider-skip 1\n"

/* Weights of one shape, size and type are taken to be one model. */
static void name_file(char *name, const struct weights *w)
{
    const struct hparams *hp = &w->hp;
    const uint64_t facts[] = {w->n_params,          w->tensor_bytes,       (uint64_t)hp->n_layer,
                              (uint64_t)hp->n_embd, (uint64_t)hp->n_vocab, (uint64_t)w->head.type};
    snprintf(name, FILE_NAME, "skip-%016" PRIx64 ".txt", fnv1a(FNV1A_START, facts, sizeof facts));
}

bool skip_set_load(struct skip_set *s, const char *dir, const struct weights *w)
{
    char name[FILE_NAME], text[FILE_MAX], set[SKIP_MAX_LAYER + 1];
    double match, rate;
    if (!dir)
        return false;
    name_file(name, w);
    cache_read(text, sizeof text, dir, name);
    if (strncmp(text, HEAD, strlen(HEAD)) != 0 ||
        sscanf(text + strlen(HEAD), "%lf %lf %512s", &match, &rate, set) != 3 ||
        skip_set_read(s, set, w->hp.n_layer, NULL) < 0 || !(match > 0 && match <= 1 && rate > 0 && rate < 100))
        return false;
    s->match = match;
    s->rate = rate;
    return true;
}

void skip_set_save(const struct skip_set *s, const char *dir, const struct weights *w)
{
    char name[FILE_NAME], text[FILE_MAX], set[SKIP_MAX_LAYER + 1];
    if (!dir)
        return;
    name_file(name, w);
    skip_set_write(s, set);
    const int n = snprintf(text, sizeof text, HEAD "%.4f %.4f %s\n", s->match, s->rate, set);
    cache_write(dir, name, text, (size_t)n);
}

/* ---- worth ---- */

static double bytes_of(const struct mat *m)
{
    return (double)mat_row_bytes(m->type, m->n_cols) * m->n_rows;
}

double skip_set_cost(const struct skip_set *s, const struct weights *w)
{
    double all = bytes_of(&w->head), run = all;
    for (int i = 0; i < s->n_layer; i++) {
        const struct layer_weights *L = &w->layer[i];
        const double attention = bytes_of(&L->q) + bytes_of(&L->k) + bytes_of(&L->v) + bytes_of(&L->o);
        const double ffn = bytes_of(&L->gate) + bytes_of(&L->up) + bytes_of(&L->down);
        all += attention + ffn;
        run += (s->skip[i] & FWD_SKIP_ATTENTION ? 0 : attention) + (s->skip[i] & FWD_SKIP_FFN ? 0 : ffn);
    }
    return run / all;
}

/* Tokens for the time of a plain one at the best length: (1 + a + .. + a^k) / (k cost + 1 + k ROW_SHARE). */
static double rate_of(double a, double cost)
{
    double best = 1, tokens = 1, p = 1;
    for (int k = 1; k <= MAX_DRAFT; k++) {
        p *= a;
        tokens += p;
        best = fmax(best, tokens / (1 + k * (cost + ROW_SHARE)));
    }
    return best;
}

/* ---- search ---- */

static uint32_t next_word(struct skip_search *s)
{
    s->rng = s->rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s->rng >> 33);
}

/* Some sub-layers of the best set change; with nothing to start from, a third is left out. */
static void vary(struct skip_search *s)
{
    const int n_inner = 2 * (s->best.n_layer - 2); /* the first and the last layer stay */
    s->next = s->best;
    if (n_inner <= 0)
        return;
    const int n = s->best.match > 0 ? 1 + (int)(next_word(s) % 4) : n_inner / 3;
    for (int i = 0; i < n; i++) {
        const int at = (int)(next_word(s) % (uint32_t)n_inner);
        s->next.skip[1 + at / 2] ^= at % 2 ? FWD_SKIP_FFN : FWD_SKIP_ATTENTION;
    }
}

void skip_search_begin(struct skip_search *s, const struct weights *w, uint64_t seed)
{
    *s = (struct skip_search){.rng = seed, .best = {.n_layer = w->hp.n_layer, .rate = 1}};
}

/* How many of a window's tokens the pass predicts, or an error. */
static int count_right(struct fwd *f, struct kv_seq *scratch, const struct kv_seq *seq, const int32_t *tok, size_t at)
{
    struct fwd_row row[SKIP_WINDOW];
    int n = 0;
    kv_share(scratch, seq, (int)at);
    for (int i = 0; i < SKIP_WINDOW; i++)
        row[i] =
            (struct fwd_row){.token = tok[at + (size_t)i], .seq = scratch, .parent = i - 1, .keep = FWD_KEEP_LOGITS};
    const int rc = fwd_run(f, row, SKIP_WINDOW, NULL);
    for (int i = 0; i < SKIP_WINDOW && rc == OTR_OK; i++)
        n += fwd_argmax(f, i) == tok[at + (size_t)i + 1];
    kv_truncate(scratch, 0);
    return rc < 0 ? rc : n;
}

int skip_search_try(struct skip_search *s, struct fwd *f, struct kv_seq *scratch, const struct kv_seq *seq,
                    const int32_t *tok, const size_t *at, int n_at, const struct weights *w)
{
    const bool again = s->best.match > 0 && s->n_try % AGAIN == AGAIN - 1;
    int right = 0, rc = OTR_OK;
    if (again)
        s->next = s->best;
    else
        vary(s);
    fwd_set_skip(f, s->next.skip);
    for (int i = 0; i < n_at && rc >= 0; i++)
        if ((rc = count_right(f, scratch, seq, tok, at[i])) >= 0)
            right += rc;
    if (rc >= 0) {
        const double match = (right + 0.5) / (n_at * SKIP_WINDOW + 1); /* never sure */
        s->next.match = again ? (s->best.match + match) / 2 : match;
        s->next.rate = rate_of(s->next.match, skip_set_cost(&s->next, w));
        if (again || s->best.match <= 0 || s->next.rate > s->best.rate)
            s->best = s->next;
        s->n_try++;
    }
    fwd_set_skip(f, s->best.skip);
    return rc < 0 ? rc : OTR_OK;
}
