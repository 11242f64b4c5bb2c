/* Inside of the public handles. Read outrider.h first; read next: generate.c. */
#ifndef OTR_ENGINE_ENGINE_H
#define OTR_ENGINE_ENGINE_H

#include "control/control.h"
#include "draft/lm.h"
#include "emit/emit.h"
#include "forward/forward.h"
#include "sample/sample.h"
#include "template/template.h"
#include "tokenize/tokenizer.h"

struct otr_model {
    struct gguf *g;
    struct weights *w;
    struct tokenizer *tok;
    struct chat_template *tmpl; /* NULL: the file has none */
    struct otr_err tmpl_err;    /* why the file's template cannot be used; code 0 otherwise */
    char *name, *arch;
    struct otr_model_info info;
};

struct otr_engine {
    const struct otr_model *m;
    struct pool *pool;
    struct kv *kv;
    struct fwd *fwd;
    struct sampler *sampler;               /* made by the first draw */
    struct fwd_row *rows;                  /* [n_batch] */
    int *path;                             /* [n_batch] */
    int n_ctx, n_batch, n_seq, n_seq_open; /* n_seq: sequences of full length that have room */
    const struct otr_seq *last;            /* whose logits the pass holds; NULL: nobody's */
    int last_row;
    uint64_t n_seq_made;
    struct spec *spec;      /* NULL: plain decoding */
    struct step *step;      /* scratch of a step, made by the first */
    struct lm_files *files; /* models that draft; made by the first drafter */
};

struct otr_seq {
    struct otr_engine *e;
    struct kv_seq *kv;
    uint64_t id, n_step; /* never used again in this engine; steps so far (keys of draws) */
    size_t n;
    size_t met[CTL_MAX_DRAFTERS]; /* tokens there were when a drafter was last asked */
    int32_t tok[]; /* [n_ctx + 1] the first n have rows in the cache; while a reply runs, [n] is its newest token */
};

/* A reply on its way: see otr_reply_open. */
struct otr_reply {
    struct otr_seq *s;
    struct otr_gen g;
    struct emitter emit;
    int32_t *tokens; /* [max] */
    size_t n, max, n_prompt, before;
    bool done;
    enum otr_stop stop;
    int rc; /* of a reply that failed, and why */
    struct otr_err err;
    double prompt_ms, t_reply, reply_ms;
    struct otr_spec_stats spec;
    size_t given[CTL_MAX_DRAFTERS]; /* tokens kept of each drafter */
};

/* reply.c: the rule that its drafts are verified by. */
enum accept_rule reply_rule(const struct otr_reply *r);
/* The next token of a reply is what plain decoding picks; counts tokens until one ends the reply. */
int reply_emit(struct otr_reply *r, const int32_t *run, int n_run, int n_drafted, const char *drafter);

/* step.c */
void step_free(struct step *s);

/* spec.c: the drafters, the controller and the rule of an engine. */
struct drafter {
    const struct draft_method *m;
    void *self;
    uint32_t flags; /* of draft.h, as it is open */
    char *words;    /* "METHOD:key=value,...", cut into pieces */
    char key[40];   /* under which the controller keeps what it learnt */
    struct draft_guess guess;
    struct draft_param *param;
    int n_param;
};
enum { MODEL_KEY = 16 };
struct spec {
    struct drafter d[CTL_MAX_DRAFTERS];
    int n_d;
    struct control *ctl;
    enum accept_rule rule;
    struct draft_host host;                     /* what drafters share with the target */
    uint64_t seed;                              /* of methods that draw at random */
    char *dir;                                  /* for what outlives the engine, or NULL */
    char *state_path, model_key[MODEL_KEY + 1]; /* key: "" until a method may need it */
};
/* A hash of the vocabulary as MODEL_KEY hex digits and a zero: files of token ids carry it. */
OTR_API void model_key(const struct otr_model *m, char *key);
/* The drafters that `auto` means. */
const char *const *spec_auto(size_t *n);
void spec_free(struct spec *sp);
/* Every drafter as it was when opened; what the controller learnt stays: it knows times and chances, and no tokens. */
int spec_forget(struct spec *sp, const struct otr_engine *e, struct otr_err *err);
void spec_seq_event(struct otr_seq *s, enum draft_event event);

/* Settings of the next draws of this engine. */
int engine_use_sampling(struct otr_engine *e, const struct otr_sampling *sp, struct otr_err *err);
/* The next token after a row of the last pass that kept its logits, by these settings; h: what stands before it. */
int32_t engine_pick(struct otr_engine *e, int row, const struct history *h, struct otr_err *err);

/* Appends n tokens; keep: the last one keeps its logits. On error the sequence is unchanged. */
int seq_append(struct otr_seq *s, const int32_t *tokens, size_t n, bool keep, struct otr_err *err);

/* Sum over i of -log p(tokens[i] | tokens[0..i)) for i = 1..n-1, natural logarithm, in a sequence of its own. Logits of
 * at most 16 rows are held at a time. n >= 2, n <= n_ctx. */
OTR_API int engine_score(struct otr_engine *e, const int32_t *tokens, size_t n, double *nll, struct otr_err *err);

#endif
