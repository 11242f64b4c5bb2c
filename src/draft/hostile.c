/* Methods that mean harm, or know the answer: the tests draft with them, and no byte may change.
 * In: asks like any other's. Out: nonsense of eight kinds. Each keeps one generator and its parameters.
 * Read next: shuffle.c. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "draft/draft.h"

struct hostile {
    uint64_t rng;
    int n_vocab;
    int k;     /* wrong-at-k: the entry that is wrong; failing: every k-th call fails */
    double ms; /* slow */
    long calls;
};

static uint64_t next(struct hostile *h)
{
    h->rng += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = h->rng;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static int below(struct hostile *h, int n)
{
    return (int)(next(h) % (uint64_t)n);
}

static int open_with(void **self, const struct draft_env *env, const char *key, int def, int lo, int hi,
                     struct otr_err *err)
{
    struct hostile *h = calloc(1, sizeof *h);
    if (!h)
        return OTR_FAIL(err, NOMEM, "no memory for a drafter");
    *h = (struct hostile){.rng = env->seed, .n_vocab = env->n_vocab};
    int rc = draft_param_check(env, &key, key ? 1 : 0, err);
    if (rc == OTR_OK && key)
        rc = draft_param_int(env, key, def, lo, hi, &h->k, err);
    if (rc < 0) {
        free(h);
        return rc;
    }
    h->ms = h->k;
    *self = h;
    return OTR_OK;
}

static int open_plain(void **self, const struct draft_env *env, struct otr_err *err)
{
    return open_with(self, env, NULL, 0, 0, 0, err);
}

static void hostile_close(void *self)
{
    free(self);
}

static int observe_nothing(void *self, const struct draft_seen *seen, int n_seen)
{
    (void)self;
    (void)seen;
    (void)n_seen;
    return OTR_OK;
}

/* ---- random: trees of any shape, chosen and drawn entries mixed ---- */

static int add_random(struct hostile *h, const struct draft_ask *a, struct tree *t)
{
    const int parent = a->chain ? t->n - 1 : below(h, t->n + 1) - 1;
    if (next(h) & 1)
        return tree_add(t, parent, below(h, h->n_vocab), next(h) & 1 ? NAN : (float)below(h, 100) / 100, h->n_vocab);
    int32_t id[4];
    double p[4];
    int n = 1 + below(h, 4);
    for (int i = 0; i < n; i++) {
        id[i] = (below(h, h->n_vocab) / 4 * 4 + i) % h->n_vocab;
        p[i] = 1 + below(h, 8);
        for (int j = 0; j < i; j++)
            if (id[j] == id[i])
                n = i; /* ids of a row are distinct */
    }
    return tree_draw(t, parent, id, p, n, &a->luck);
}

static int random_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct hostile *h = self;
    for (int i = 0; i < n_ask; i++) {
        const int n = ask[i].max_entries > 0 ? 1 + below(h, ask[i].max_entries) : 0;
        for (int k = 0; k < n; k++)
            add_random(h, &ask[i], &out[i]);
    }
    return OTR_OK;
}

const struct draft_method draft_random = {.name = "random",
                                          .about = "hostile: random trees, drawn and chosen entries",
                                          .flags = DRAFT_GIVE_TREE | DRAFT_GIVE_PROBS | DRAFT_HOSTILE,
                                          .open = open_plain,
                                          .close = hostile_close,
                                          .propose = random_propose,
                                          .observe = observe_nothing};

/* ---- oracle, wrong-at-k: the caller's predicted text is the answer, at the same place ---- */

/* wrong: index of the entry that is made wrong, or -1. */
static void add_answer(const struct hostile *h, const struct draft_ask *a, struct tree *t, int wrong)
{
    const size_t at = a->n - a->n_prompt;
    for (int k = 0; k < a->max_entries && at + (size_t)k < a->n_predicted; k++) {
        const int32_t id = a->predicted[at + (size_t)k];
        tree_add(t, k - 1, k == wrong ? (id + 1) % h->n_vocab : id, 1.0f, h->n_vocab);
    }
}

static int oracle_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    for (int i = 0; i < n_ask; i++)
        add_answer(self, &ask[i], &out[i], -1);
    return OTR_OK;
}

const struct draft_method draft_oracle = {.name = "oracle",
                                          .about = "hostile: knows the answer (the predicted text, token by token)",
                                          .flags = DRAFT_NEED_PREDICTION | DRAFT_HOSTILE,
                                          .open = open_plain,
                                          .close = hostile_close,
                                          .propose = oracle_propose,
                                          .observe = observe_nothing};

static int wrong_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return open_with(self, env, "k", 3, 0, TREE_MAX, err);
}

static int wrong_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    const struct hostile *h = self;
    for (int i = 0; i < n_ask; i++)
        add_answer(h, &ask[i], &out[i], h->k);
    return OTR_OK;
}

const struct draft_method draft_wrong_at_k = {.name = "wrong-at-k",
                                              .about = "hostile: the answer, but for the entry k (3)",
                                              .flags = DRAFT_NEED_PREDICTION | DRAFT_HOSTILE,
                                              .open = wrong_open,
                                              .close = hostile_close,
                                              .propose = wrong_propose,
                                              .observe = observe_nothing};

/* ---- liar: sure of nonsense ---- */

static int liar_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct hostile *h = self;
    for (int i = 0; i < n_ask; i++) {
        out[i].match = 64; /* it says */
        for (int k = 0; k < ask[i].max_entries; k++) {
            const int32_t id[2] = {below(h, h->n_vocab / 2), h->n_vocab / 2 + below(h, h->n_vocab - h->n_vocab / 2)};
            const double p[2] = {0.999, 0.001};
            if (k % 2)
                tree_draw(&out[i], k - 1, id, p, 2, &ask[i].luck);
            else
                tree_add(&out[i], k - 1, id[0], 1.0f, h->n_vocab);
        }
    }
    return OTR_OK;
}

const struct draft_method draft_liar = {.name = "liar",
                                        .about = "hostile: nonsense, with probability 1 by its own account",
                                        .flags = DRAFT_GIVE_PROBS | DRAFT_HOSTILE,
                                        .open = open_plain,
                                        .close = hostile_close,
                                        .propose = liar_propose,
                                        .observe = observe_nothing};

/* ---- slow, failing ---- */

static int slow_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return open_with(self, env, "ms", 2, 0, 10000, err);
}

static int slow_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    const struct hostile *h = self;
    const struct timespec ts = {(time_t)(h->ms / 1000), (long)(fmod(h->ms, 1000) * 1e6)};
    nanosleep(&ts, NULL);
    return random_propose(self, ask, n_ask, out);
}

const struct draft_method draft_slow = {.name = "slow",
                                        .about = "hostile: takes ms (2) to propose at random",
                                        .flags = DRAFT_GIVE_TREE | DRAFT_GIVE_PROBS | DRAFT_HOSTILE,
                                        .open = slow_open,
                                        .close = hostile_close,
                                        .propose = slow_propose,
                                        .observe = observe_nothing};

static int failing_open(void **self, const struct draft_env *env, struct otr_err *err)
{
    return open_with(self, env, "every", 2, 1, 1000, err);
}

static int failing_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct hostile *h = self;
    random_propose(self, ask, n_ask, out); /* leaves half a proposal behind */
    return ++h->calls % h->k == 0 ? OTR_E_IO : OTR_OK;
}

static int failing_observe(void *self, const struct draft_seen *seen, int n_seen)
{
    const struct hostile *h = self;
    (void)seen;
    (void)n_seen;
    return h->calls % 3 == 0 ? OTR_E_NOMEM : OTR_OK;
}

const struct draft_method draft_failing = {.name = "failing",
                                           .about = "hostile: fails at every k-th call (every=2)",
                                           .flags = DRAFT_GIVE_TREE | DRAFT_GIVE_PROBS | DRAFT_HOSTILE,
                                           .open = failing_open,
                                           .close = hostile_close,
                                           .propose = failing_propose,
                                           .observe = failing_observe};

/* ---- toolong, malformed-tree: break the contract, past the functions that keep it ---- */

static int toolong_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct hostile *h = self;
    for (int i = 0; i < n_ask; i++) {
        for (int k = 0; k < TREE_MAX; k++)
            tree_add(&out[i], k - 1, below(h, h->n_vocab), NAN, h->n_vocab);
        if (next(h) & 1)
            out[i].n = ask[i].max_entries + 1 + below(h, 1000);
    }
    return OTR_OK;
}

const struct draft_method draft_toolong = {.name = "toolong",
                                           .about = "hostile: more entries than it was asked for, or than a tree has",
                                           .flags = DRAFT_HOSTILE,
                                           .open = open_plain,
                                           .close = hostile_close,
                                           .propose = toolong_propose,
                                           .observe = observe_nothing};

static void damage(struct hostile *h, struct tree *t)
{
    struct tree_entry *e = &t->entry[below(h, t->n)];
    switch (below(h, 8)) {
    case 0:
        e->token = h->n_vocab + below(h, 5);
        break;
    case 1:
        e->token = -1 - below(h, 5);
        break;
    case 2:
        e->parent = t->n + below(h, 5); /* a child before its parent */
        break;
    case 3:
        e->parent = -2 - below(h, 5);
        break;
    case 4:
        e->node = below(h, 1000) - 500;
        break;
    case 5:
        e->row = below(h, 1000) - 500;
        break;
    case 6:
        t->n_node = below(h, 1000) - 500;
        break;
    default:
        t->node_parent[below(h, TREE_MAX)] = below(h, 1000) - 500;
        break;
    }
}

static int malformed_propose(void *self, const struct draft_ask *ask, int n_ask, struct tree *out)
{
    struct hostile *h = self;
    random_propose(self, ask, n_ask, out);
    for (int i = 0; i < n_ask; i++)
        if (out[i].n > 0)
            damage(h, &out[i]);
    return OTR_OK;
}

const struct draft_method draft_malformed_tree = {.name = "malformed-tree",
                                                  .about = "hostile: trees that are none",
                                                  .flags = DRAFT_GIVE_TREE | DRAFT_GIVE_PROBS | DRAFT_HOSTILE,
                                                  .open = open_plain,
                                                  .close = hostile_close,
                                                  .propose = malformed_propose,
                                                  .observe = observe_nothing};
