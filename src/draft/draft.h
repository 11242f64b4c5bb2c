/* A drafting method: proposes tokens, then learns what happened. One file and one line in draft_list.h.
 *
 * In: the committed tokens of each sequence, and what the method's `needs` ask for. Out: trees. The core never asks
 * which method it holds; a method may be wrong, slow, fail or lie: the output does not change, and the time is bounded.
 * Calls come from the engine thread and take a batch of sequences. A method keeps its state per sequence by `seq`, a
 * number that is never used again.
 * Cost is measured around the calls (control.h), never reported. Read next: draft_list.h, ngram.c; control.h. */
#ifndef OTR_DRAFT_DRAFT_H
#define OTR_DRAFT_DRAFT_H

#include "accept/accept.h"
#include "forward/forward.h"
#include "tokenize/tokenizer.h"

enum draft_flags {
    /* needs */
    DRAFT_NEED_PREDICTION = 1, /* nothing to do without the caller's predicted text */
    DRAFT_NEED_DIST = 2,       /* draft_seen.logits of the rows that ran */
    DRAFT_NEED_HIDDEN = 4,     /* draft_seen.hidden of the layers named at open (later methods) */
    DRAFT_NEED_TEXT = 8,       /* draft_ask.text: raw bytes of the history (later methods) */
    /* gives */
    DRAFT_GIVE_TREE = 16,
    DRAFT_GIVE_PROBS = 32, /* entries drawn by tree_draw */
    /* kinds */
    DRAFT_HOSTILE = 64,       /* for tests: left out of `auto` and of short lists */
    DRAFT_WRAPPER = 128,      /* stands around another method */
    DRAFT_NEED_FILE = 256,    /* cannot open without a file parameter */
    DRAFT_RUNS_MODEL = 512,   /* a model runs for every level: what it costs grows with the draft */
    DRAFT_IN_PASS = 1024,     /* its rows are the first layers of the target's own pass: draft_ask.pass */
    DRAFT_NEED_TARGET = 2048, /* drafts with the target's own weights and KV; some targets cannot be had so */
    DRAFT_BESIDE = 4096,      /* its model runs beside the target's pass: asking costs no more than a lookup does */
    DRAFT_STOPS = 8192        /* its chains end where draft_ask.level_gain says, by what it sees while it drafts */
};

/* "key=value" of --spec METHOD:key=value,... in their order. A method reads what it knows and reports the rest. */
struct draft_param {
    const char *key, *value;
};

/* What methods that run a model share with the target. It outlives them. */
struct lm_files;
struct draft_host {
    struct pool *pool;
    const struct weights *weights; /* of the target: may be run by others too, by layers or as a whole */
    struct kv *kv;                 /* its cache, and its pass: see draft_ask.kv */
    struct fwd *fwd;
    size_t kv_bytes;        /* what its cache may come to */
    struct lm_files *files; /* model files that are open already (lm.h) */
    int n_ctx, n_seq;       /* longest sequence; how many of these the target's cache holds */
    const char *cache_dir;  /* folder for what takes long to compute (maps, skip sets); NULL: nothing is kept */
    size_t mem_cap;         /* bytes that a method's model and cache may take; 0: what is free */
};

struct draft_env {
    const struct draft_host *host; /* NULL: no model runs here (tests of methods alone) */
    const struct tokenizer *tok;   /* of the target */
    int n_vocab;
    const char *model;               /* name that such files carry: hash of the model's vocabulary, hex */
    uint64_t seed;                   /* of hostile and random methods */
    const struct draft_param *param; /* [n_param] */
    int n_param;
};

/* The target's pass, begun with the newest row of every sequence of the step; nothing has run. A method adds rows of
 * what it drafts, and leaves all of the pass's rows with the same first layers done: verification goes on from there.
 */
struct draft_pass {
    struct fwd *f;
    int n_layer; /* out: layers [0, n_layer) have run for all rows */
};

struct draft_ask {
    uint64_t seq;
    const int32_t *tok; /* [n] the committed history, all of it; the last one's row has not run yet */
    size_t n;
    size_t n_prompt;          /* tokens that the user gave (the rest are ours) */
    const int32_t *predicted; /* [n_predicted] the reply that the caller expects, or NULL */
    size_t n_predicted;
    int max_entries;              /* the budget: at most TREE_MAX */
    int max_depth;                /* ... and so many of them in a path; 0: any number */
    bool chain;                   /* only a chain is of use: the rule takes no trees, or wider ones do not pay here */
    double level_gain;            /* tokens that a level more must promise to be worth its time; 0: nobody knows;
                                     below 0: as many levels as there may be */
    struct tree_luck luck;        /* for tree_draw; its key is the drafter's only under gumbel */
    struct otr_sampling sampling; /* its seed is the drafter's only under gumbel, too */
    /* The target's cache of this sequence: the history without its last token. A method may run rows on it with a pass
     * of its own over host->kv (the target's weights, layers left out, fewer bits) and commit none: then they leave no
     * trace. NULL without a model. */
    struct kv_seq *kv;
    struct draft_pass *pass; /* DRAFT_IN_PASS; one for all asks */
    int *row; /* [TREE_MAX + 1] of that pass: [0] of the newest token, given; of node k where the method ran it, else
                 -1 as it was */
};

/* What became of a proposal, or of a sequence. */
enum draft_event { SEEN_STEP, SEEN_TRUNCATED, SEEN_FINISHED };
struct draft_seen {
    uint64_t seq;
    enum draft_event event;
    const int32_t *tok; /* [n] committed history after it; STEP: the last n_new are new */
    size_t n, n_new;
    const struct tree *tree; /* what ran (after cuts), whoever proposed it, or NULL */
    const int *path;         /* [n_path] nodes that were accepted, without the end */
    int n_path;
    bool mine; /* the tree was this method's */
    /* rows that ran: row i is node i of the tree; NULL without DRAFT_NEED_DIST. A view. */
    const float *(*logits)(void *self, int node);
    int32_t (*best)(void *self, int node); /* the likeliest token of that row; -1: a logit was not a number */
    void *self;
};

/* The laws of a method that runs a model, one by one: others build trees out of them (tree_build.h). Rows are numbers
 * that mean something to the method, until its next begin. */
struct draft_row;
struct draft_law_row {
    int ask, parent; /* which of the asks; one of its rows */
    int32_t token;
};
struct draft_laws {
    /* row[i]: that of ask i's newest token; -1: no room for it now */
    int (*begin)(void *self, const struct draft_ask *ask, int n_ask, int *row);
    /* Returns the number of the first of n new rows. On an error nothing has changed. */
    int (*more)(void *self, const struct draft_ask *ask, const struct draft_law_row *rows, int n);
    /* Of a row of the last call, asked for in their order: the law after an ask's history and a path. A view until the
     * next one; NULL: none. */
    const struct draft_row *(*law)(void *self, const struct draft_ask *ask, const int32_t *path, int n_path, int row);
    void (*end)(void *self, const struct draft_ask *ask, int n_ask); /* nothing more will be asked; may be NULL */
};

/* What a method that runs a model costs before it is measured, in parts of what the target takes: one row beside a pass
 * of one row (by the bytes that are read), a token of a history to catch up with beside one of a prompt (by products).
 * 0: not known. */
struct draft_guess {
    double row, prompt;
    int reads; /* tokens that it catches up with at most; 0: all */
};

struct draft_method {
    const char *name, *about; /* name: CLI value and results key, never renamed; about: one line with the source */
    uint32_t flags;
    int (*open)(void **self, const struct draft_env *env, struct otr_err *err);
    void (*close)(void *self);
    /* Catches up with the histories that it will be asked about next: timed apart, because what a draft costs does not
     * depend on how long the method was not asked. May be NULL: nothing to catch up with, or propose does it. */
    int (*prepare)(void *self, const struct draft_ask *ask, int n_ask);
    /* out[i] comes cleared. A negative number: the method failed; the step goes on without it. */
    int (*propose)(void *self, const struct draft_ask *ask, int n_ask, struct tree *out);
    int (*observe)(void *self, const struct draft_seen *seen, int n_seen);
    size_t (*bytes)(const void *self);             /* memory in use; may be NULL */
    struct draft_guess (*guess)(const void *self); /* NULL: there is nothing to guess by */
    const struct draft_laws *laws;                 /* NULL: it has none to give */
    /* The flags of one that is open, where they depend on its parameters (wrappers); may be NULL. */
    uint32_t (*flags_of)(const void *self);
};

const struct draft_method *draft_find(const char *name);  /* NULL: unknown */
int draft_unknown(const char *name, struct otr_err *err); /* OTR_E_ARG, and the nearest known name */
/* What an open method needs and gives. */
uint32_t draft_flags(const struct draft_method *m, const void *self);
int draft_count(void);
const struct draft_method *draft_at(int i);

/* ---- for methods ---- */

const char *draft_param_get(const struct draft_env *env, const char *key); /* the last one given, or NULL */
/* An integer parameter in [lo, hi], `def` where it is not given. */
int draft_param_int(const struct draft_env *env, const char *key, int def, int lo, int hi, int *out,
                    struct otr_err *err);
int draft_param_real(const struct draft_env *env, const char *key, double def, double lo, double hi, double *out,
                     struct otr_err *err);
/* Fails with the nearest known key if a parameter is none of known[n]. */
int draft_param_check(const struct draft_env *env, const char *const *known, int n, struct otr_err *err);

/* A method's record of each sequence: found by number, made on first use. A method frees what a record points to and
 * drops it at SEEN_FINISHED. */
struct draft_seqs {
    size_t size;   /* bytes of a record */
    void **record; /* [cap] */
    uint64_t *seq; /* [cap]; 0: free */
    int n, cap;
};
void *draft_seqs_find(const struct draft_seqs *s, uint64_t seq);
/* Zeroed when new. NULL: no memory. */
void *draft_seqs_get(struct draft_seqs *s, uint64_t seq);
void draft_seqs_drop(struct draft_seqs *s, uint64_t seq); /* frees the record itself */
void draft_seqs_close(struct draft_seqs *s);

#include "draft/draft_list.h"
#define X(symbol) extern const struct draft_method draft_##symbol;
DRAFT_LIST(X)
#undef X

#endif
