/* prediction: the caller hands over the text that the reply will resemble (the old file of an edit), and we copy from
 * it.
 *
 * A cursor walks along the predicted tokens with the reply. Where the reply departs from them the cursor is lost; it is
 * set anew where the last tokens of the reply occur in the prediction: the longest match counts, then the nearest place
 * ahead. O(1) a token in step; a lost token looks at no more than MAX_PLACES places. Memory: 16 bytes a predicted
 * token. SRC: OpenAI's predicted outputs (the request field); methods/03 row 3d "prompt lookup"; alignment is ours.
 * Read next: ngram.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draft/draft.h"

enum {
    MAX_MATCH = 32,  /* tokens compared backwards */
    MAX_PLACES = 64, /* places tried for one lost token */
    SURE = 2,        /* a shorter match is trusted only where the cursor stood */
};

struct cursor { /* of one sequence */
    int32_t *p; /* [n] the prediction */
    int *prev;  /* [n] the place before with the same token; -1: none */
    int *head;  /* [n_head] last place by token modulo n_head, a power of two */
    size_t n, n_head;
    size_t n_prompt; /* of the reply it belongs to */
    size_t seen;     /* tokens of the history that were looked at */
    size_t at;       /* the place of the next token */
    int run;         /* tokens in step with the prediction before it; 0: lost */
};

struct prediction {
    struct draft_seqs seqs;
};

static int prediction_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    const int rc = draft_param_check(env, NULL, 0, err);
    if (rc < 0)
        return rc;
    struct prediction *p = calloc(1, sizeof *p);
    if (!p)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    p->seqs.size = sizeof(struct cursor);
    *self = p;
    return OTR_OK;
}

static void cursor_clear(struct cursor *c)
{
    free(c->p);
    free(c->prev);
    free(c->head);
    *c = (struct cursor){0};
}

static void prediction_close(void *self)
{
    struct prediction *p = self;
    for (int i = 0; i < p->seqs.cap; i++)
        if (p->seqs.seq[i])
            cursor_clear(p->seqs.record[i]);
    draft_seqs_close(&p->seqs);
    free(p);
}

static size_t bucket(const struct cursor *c, int32_t token)
{
    return ((uint32_t)token * 2654435761u >> 7) & (c->n_head - 1);
}

/* A new reply: its prediction, indexed by token. false: no memory. */
static bool cursor_set(struct cursor *c, const struct draft_ask *a)
{
    cursor_clear(c);
    c->n_head = 16;
    while (c->n_head < a->n_predicted)
        c->n_head *= 2;
    c->p = malloc(a->n_predicted * sizeof *c->p);
    c->prev = malloc(a->n_predicted * sizeof *c->prev);
    c->head = malloc(c->n_head * sizeof *c->head);
    if (!c->p || !c->prev || !c->head) {
        cursor_clear(c);
        return false;
    }
    c->n = a->n_predicted;
    c->n_prompt = c->seen = a->n_prompt;
    memcpy(c->p, a->predicted, c->n * sizeof *c->p);
    memset(c->head, 0xff, c->n_head * sizeof *c->head);
    for (size_t i = 0; i < c->n; i++) {
        int *h = &c->head[bucket(c, c->p[i])];
        c->prev[i] = *h;
        *h = (int)i;
    }
    c->run = 1; /* it may begin as predicted */
    return true;
}

/* Tokens that end at place i of the prediction and at the end of the reply tok[n]. */
static int match_back(const struct cursor *c, size_t i, const int32_t *tok, size_t n, size_t n_reply)
{
    int m = 0;
    while (m < MAX_MATCH && (size_t)m <= i && (size_t)m < n_reply && c->p[i - (size_t)m] == tok[n - 1 - (size_t)m])
        m++;
    return m;
}

/* The reply is tok[c->n_prompt..n), its last token departed from the prediction: where does it go on? */
static void find_place(struct cursor *c, const int32_t *tok, size_t n)
{
    int best = 0, places = 0;
    size_t where = c->at;
    for (int i = c->head[bucket(c, tok[n - 1])]; i >= 0 && places < MAX_PLACES; i = c->prev[i]) {
        if (c->p[i] != tok[n - 1])
            continue;
        places++;
        const int m = match_back(c, (size_t)i, tok, n, n - c->n_prompt);
        const size_t next = (size_t)i + 1;
        const bool ahead = next >= c->at, best_ahead = where >= c->at;
        if (m > best || (m == best && (ahead != best_ahead ? ahead : ahead ? next < where : next > where))) {
            best = m;
            where = next;
        }
    }
    if (best >= SURE || (best > 0 && where >= c->at && where <= c->at + MAX_MATCH)) {
        c->at = where;
        c->run = best;
    }
}

static void catch_up(struct cursor *c, const int32_t *tok, size_t n)
{
    for (; c->seen < n; c->seen++) {
        const int32_t t = tok[c->seen];
        if (c->run > 0 && c->at < c->n && c->p[c->at] == t) {
            c->at++;
            c->run++;
            continue;
        }
        c->run = 0;
        find_place(c, tok, c->seen + 1);
    }
}

static void propose_one(struct prediction *p, const struct draft_ask *a, struct tree *out)
{
    if (a->n_predicted == 0)
        return;
    struct cursor *c = draft_seqs_get(&p->seqs, a->seq);
    if (!c || ((c->n != a->n_predicted || c->n_prompt != a->n_prompt) && !cursor_set(c, a)))
        return;
    catch_up(c, a->tok, a->n);
    out->match = c->run;
    for (int k = 0; c->run > 0 && k < a->max_entries && c->at + (size_t)k < c->n; k++)
        tree_add(out, k - 1, c->p[c->at + (size_t)k], NAN, a->luck.n_vocab);
}

static int prediction_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    for (int i = 0; i < n_ask; i++)
        propose_one(self, &ask[i], &out[i]);
    return OTR_OK;
}

static int prediction_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    struct prediction *p = self;
    for (int i = 0; i < n_seen; i++) {
        struct cursor *c = draft_seqs_find(&p->seqs, seen[i].seq);
        if (!c || seen[i].event == SEEN_STEP)
            continue;
        cursor_clear(c); /* cut back or finished: the next reply brings its own */
        if (seen[i].event == SEEN_FINISHED)
            draft_seqs_drop(&p->seqs, seen[i].seq);
    }
    return OTR_OK;
}

const struct draft_method draft_prediction = {.name = "prediction",
                                              .about = "copies from the reply that the caller expects (--prediction)",
                                              .flags = DRAFT_NEED_PREDICTION,
                                              .open = prediction_open,
                                              .close = prediction_close,
                                              .propose = prediction_propose,
                                              .observe = prediction_observe};
