/* Outrider: the public interface of liboutrider.
 *
 * Life of a program: open a model (weights, vocabulary; read-only), create an engine on it (threads, KV pages), create
 * sequences in the engine, append tokens, sample. `otr_generate` does the last two in a loop with a callback.
 *
 * Rules for every function
 *   errors     a negative OTR_E_* number, and one sentence in *err (a NULL err is fine); OTR_OK or a count otherwise.
 *   ownership  what an otr_*_open or _create returns is released by its _close or _destroy, which take NULL.
 *   threads    a model may be shared by any number of threads and engines. An engine and its sequences belong to one
 *              thread at a time. Different engines are independent.
 *   views      a pointer that is returned "as a view" lives until the next call on the same engine. */
#ifndef OUTRIDER_OUTRIDER_H
#define OUTRIDER_OUTRIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OTR_API __attribute__((visibility("default")))
#else
#define OTR_API
#endif

#define OTR_VERSION "0.1.0"

/* ---- errors -------------------------------------------------------------------------------------------------------
 */

/* Numbers are pinned: result files hold them. */
#define OTR_ERR_LIST(X)                                                                                                \
    X(1, NOMEM, "out of memory")                                                                                       \
    X(2, IO, "input/output error")                                                                                     \
    X(3, FORMAT, "malformed input")                                                                                    \
    X(4, LIMIT, "over a stated limit")                                                                                 \
    X(5, UNSUPPORTED, "not supported")                                                                                 \
    X(6, ARG, "bad argument")                                                                                          \
    X(7, MISSING, "not there")                                                                                         \
    X(8, NUMERIC, "not a number")                                                                                      \
    X(9, ABORTED, "stopped by the caller")
enum {
    OTR_OK = 0,
#define X(num, name, text) OTR_E_##name = -(num),
    OTR_ERR_LIST(X)
#undef X
};

struct otr_err {
    int code, line;   /* OTR_E_*, and where in our source it was found */
    const char *file; /* static string */
    char msg[320];    /* WHAT (WHERE): WHY, one sentence, no newline, valid UTF-8 */
};

OTR_API const char *otr_version(void);
OTR_API const char *otr_strerror(int code); /* the text of OTR_ERR_LIST, "unknown error" for other numbers */

/* ---- model --------------------------------------------------------------------------------------------------------
 */

struct otr_model;

struct otr_model_opts {
    int n_threads;    /* threads that repack the weights; 0: one per physical core we may use */
    const char *kern; /* kernel level: NULL = best of this CPU, or "c", "avx2" */
    bool no_repack;   /* the weights stay in the file, no second copy in memory: the same output, slower */
    /* Folder for what start-up timing found of this machine: which of the equally exact ways to multiply is fast. Made
     * where it is missing. NULL: nothing is timed, read or written. */
    const char *plan_dir;
};

struct otr_model_info {
    const char *name, *arch; /* views, live as long as the model; never NULL */
    int n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv, d_head;
    uint64_t n_params;         /* weights in the file */
    uint64_t tensor_bytes;     /* bytes of the tensors in the file */
    uint64_t repacked_bytes;   /* bytes of the weights as the kernels read them; 0: where they lie in the file */
    uint64_t kv_bytes_per_tok; /* K and V of all layers, f16 */
    int bos, eos;              /* token ids, -1 where the vocabulary has none */
    bool has_chat_template;
    const char *kern; /* kernel level the weights are packed for */
};

/* Opens a GGUF file (the first part of a split one names the rest). opts may be NULL. *out is set only on OTR_OK. */
OTR_API int otr_model_open(struct otr_model **out, const char *path, const struct otr_model_opts *opts,
                           struct otr_err *err);
OTR_API void otr_model_close(struct otr_model *m); /* after the last engine on it is gone */
OTR_API const struct otr_model_info *otr_model_info(const struct otr_model *m);

/* ---- text ---------------------------------------------------------------------------------------------------------
 */

enum {
    OTR_TOK_ADD_SPECIAL = 1,   /* BOS and EOS as the vocabulary says */
    OTR_TOK_PARSE_SPECIAL = 2, /* "<|im_end|>" in the text becomes that token; else it is plain text */
};

/* Text to ids. Invalid UTF-8 bytes count as U+FFFD. Writes at most cap ids and returns how many there are (maybe more
 * than cap: call again with room), or an error. ids may be NULL when cap is 0. */
OTR_API int64_t otr_tokenize(const struct otr_model *m, const char *text, size_t n_bytes, unsigned flags, int32_t *ids,
                             size_t cap, struct otr_err *err);
/* Bytes that calls on this model have dropped so far: a vocabulary may have no token for a byte (SmolLM2: 21 of them).
 * A caller that wants to warn compares before and after. */
OTR_API size_t otr_n_dropped(const struct otr_model *m);
/* The bytes one token stands for (special tokens: their name where special is true, else nothing). Not terminated.
 * Returns the byte count, maybe more than cap, or OTR_E_ARG. */
OTR_API int64_t otr_token_bytes(const struct otr_model *m, int32_t id, bool special, char *buf, size_t cap);
OTR_API bool otr_token_is_end(const struct otr_model *m, int32_t id); /* eos, eot, <|im_end|>, <end_of_turn>, ... */

struct otr_message {
    const char *role, *content; /* "system", "user", "assistant", ...; UTF-8, terminated */
};
/* Messages to the ids of the model's chat template, with the opening of the assistant's turn at the end if asked for.
 * Special tokens arise from the template only, never from role or content. Same counting rule as otr_tokenize. */
OTR_API int64_t otr_chat_tokenize(const struct otr_model *m, const struct otr_message *msgs, size_t n_msgs,
                                  bool add_generation_prompt, int32_t *ids, size_t cap, struct otr_err *err);

/* ---- engine -------------------------------------------------------------------------------------------------------
 */

struct otr_engine;
struct otr_seq;

/* How keys and values are held; part of what fixes the output, like the model and the seed. OTR_KV_Q8: 8 bits and one
 * scale per position and KV head, about half of f16. */
enum otr_kv_type { OTR_KV_F16 = 0, OTR_KV_F32 = 1, OTR_KV_Q8 = 2 };

struct otr_engine_opts {
    int n_threads; /* 0: one per physical core we may use */
    int n_ctx;     /* longest sequence, tokens; 0: min(trained, 4096) */
    int n_seq;     /* sequences that can be full at once (sizes the page pool); 0: 1 */
    int n_batch;   /* most rows of one forward pass; 0: 512 */
    enum otr_kv_type kv_type;
};

OTR_API int otr_engine_create(struct otr_engine **out, const struct otr_model *m, const struct otr_engine_opts *opts,
                              struct otr_err *err);    /* opts may be NULL */
OTR_API void otr_engine_destroy(struct otr_engine *e); /* after its sequences */
OTR_API int otr_engine_n_threads(const struct otr_engine *e);
OTR_API int otr_engine_n_ctx(const struct otr_engine *e);

/* ---- sequences ----------------------------------------------------------------------------------------------------
 */

OTR_API int otr_seq_create(struct otr_seq **out, struct otr_engine *e, struct otr_err *err); /* empty */
OTR_API void otr_seq_destroy(struct otr_seq *s);
/* A second sequence with the same history; pages are shared until one of them writes. O(pages). */
OTR_API int otr_seq_fork(struct otr_seq **out, struct otr_seq *s, struct otr_err *err);
/* Forgets all but the first n tokens. O(pages dropped). OTR_E_ARG if n is over the length. */
OTR_API int otr_seq_truncate(struct otr_seq *s, size_t n, struct otr_err *err);
OTR_API size_t otr_seq_len(const struct otr_seq *s);
OTR_API const int32_t *otr_seq_tokens(const struct otr_seq *s); /* view [len] */
/* Runs n tokens through the model. On error the sequence is as it was before the call. OTR_E_LIMIT: over n_ctx, or out
 * of pages; OTR_E_ARG: a token outside the vocabulary, or n = 0. */
OTR_API int otr_seq_append(struct otr_seq *s, const int32_t *tokens, size_t n, struct otr_err *err);
/* Logits [n_vocab] after the last appended token, as a view; NULL before the first append or after a truncate. */
OTR_API const float *otr_seq_logits(const struct otr_seq *s);

/* ---- sampling -----------------------------------------------------------------------------------------------------
 */

struct otr_logit_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY bans the token */
};

/* Order of the chain: penalties, DRY, bias, top-k, typical, top-p, min-p, temperature. */
struct otr_sampling {
    float temp;                                /* 0: greedy */
    int top_k;                                 /* 0: off */
    float top_p, min_p;                        /* 1 and 0: off */
    float typical_p;                           /* 1: off */
    int penalty_last_n;                        /* tokens of history the three penalties look at; -1: all, 0: off */
    float repeat_penalty;                      /* 1: off */
    float frequency_penalty, presence_penalty; /* 0: off */
    float dry_multiplier;                      /* 0: off */
    float dry_base;
    int dry_allowed_length, dry_penalty_last_n; /* -1: all */
    const int32_t *dry_breakers; /* [n_dry_breakers] a repetition never reaches over these tokens; owned like bias */
    size_t n_dry_breakers;
    uint64_t seed;
    const struct otr_logit_bias *bias; /* not owned; must outlive the use */
    size_t n_bias;
};
/* temp 0.8, top-k 40, top-p 0.95, min-p 0.05, no penalties, seed 0 */
OTR_API struct otr_sampling otr_sampling_default(void);

/* Draws the next token from the sequence's logits. The draw depends on (seed, tokens in history) only.
 * Returns the id, or an error: OTR_E_ARG (bad settings, or no logits), OTR_E_NUMERIC (a logit is NaN). */
OTR_API int32_t otr_seq_sample(struct otr_seq *s, const struct otr_sampling *sp, struct otr_err *err);

/* ---- speculation --------------------------------------------------------------------------------------------------
 */

enum { OTR_SPEC_MAX = 31 }; /* most drafted tokens of one step */

/* How an engine drafts. The reply is the same bytes with any of it, unless `verify` names a rule that says otherwise.
 */
struct otr_spec {
    const char *const *methods; /* [n_methods] "METHOD" or "METHOD:key=value,..."; candidates, the most valuable wins */
    size_t n_methods;           /* 0: automatic, as the one method "auto" */
    const char *verify;         /* rule at temperature > 0; NULL: "gumbel" */
    int draft_max, draft_min; /* entries of a draft: a cap (0: OTR_SPEC_MAX), and what is not worth verifying (0: 1) */
    int draft_fixed;          /* > 0: always so many where there are so many; 0: the controller chooses */
    const char *dir;          /* folder for what is learnt; NULL: nothing outlives the engine */
    uint64_t seed;            /* of methods that draw at random */
};
/* Replies of this engine from now on draft as spec says; NULL: plain decoding, as at first. Call it between replies.
 * OTR_E_ARG: an unknown method, parameter or rule (the message names the nearest known one). */
OTR_API int otr_engine_speculate(struct otr_engine *e, const struct otr_spec *spec, struct otr_err *err);
/* The i-th method: its name and one line about it; NULL past the last. hostile: a test's, that means harm. */
OTR_API const char *otr_spec_method(int i, const char **about, bool *hostile);

/* Bytes that the engine may come to use: packed weights and the KV cache of the model, and of the models that draft
 * (0: none does, or it is the model itself). */
struct otr_memory {
    size_t weights, kv, draft_weights, draft_kv;
};
OTR_API void otr_engine_memory(const struct otr_engine *e, struct otr_memory *out);

/* What a pass of so many rows takes at the engine's last context, ms; 0: unknown (no speculation, so none measured). */
OTR_API double otr_engine_pass_ms(const struct otr_engine *e, int rows);
/* True where the last 64 of n tokens repeat themselves (period of at most 32, or under 0.3 of their trigrams distinct):
 * a looping reply flatters speculation, benchmarks leave it out. SRC: methods/01 section 3. */
OTR_API bool otr_tokens_loop(const int32_t *tok, size_t n);

enum otr_exact { OTR_EXACT_BYTES, OTR_EXACT_LAW, OTR_EXACT_NONE };

struct otr_spec_stats {
    size_t n_steps, n_plain; /* passes after the prompt; of these without a draft */
    size_t n_draft, n_accepted;
    size_t histogram[OTR_SPEC_MAX + 1]; /* [k]: drafted steps that kept k tokens */
    size_t tried_at[OTR_SPEC_MAX];      /* [i]: drafted steps with an entry at depth i + 1 ... */
    size_t kept_at[OTR_SPEC_MAX];       /* ... and those that kept it */
    double draft_ms, verify_ms, accept_ms, other_ms;
    double plain_ms;    /* what a plain pass takes, by the controller; 0: unknown */
    const char *method; /* the one that gave most tokens; NULL: none did. Lives as long as the process */
    enum otr_exact exact;
};

/* ---- generation ---------------------------------------------------------------------------------------------------
 */

enum otr_stop { OTR_STOP_EOS, OTR_STOP_LENGTH, OTR_STOP_STRING, OTR_STOP_ABORT };

/* Called with every piece of reply text as it becomes final: whole UTF-8 characters, never a part of a stop string.
 * token is the newest token. Return false to stop. */
typedef bool (*otr_text_cb)(void *user, const char *text, size_t n_bytes, int32_t token);

struct otr_gen {
    struct otr_sampling sampling;
    size_t max_tokens;        /* of the reply; 0: none (the prompt is still run); SIZE_MAX: up to the context */
    bool ignore_eos;          /* end tokens are emitted like others */
    const char *const *stops; /* [n_stops], stop strings; not owned */
    size_t n_stops;
    otr_text_cb on_text; /* may be NULL */
    void *user;
    const int32_t *predicted; /* [n_predicted] the reply that is expected (an old file, say); not owned */
    size_t n_predicted;
    const char **drafted_by; /* where given: before on_text, the method that drafted the token, or NULL */
};

struct otr_gen_result {
    enum otr_stop stop;
    size_t n_prompt, n_cached, n_reply; /* tokens run, tokens that were there before, tokens replied */
    double prompt_ms, reply_ms;         /* up to the first token's logits; from there to the last token */
    char *text;                         /* [n_text] and a zero byte; freed by otr_gen_result_free */
    size_t n_text;
    int32_t *tokens; /* [n_reply] */
    struct otr_spec_stats spec;
};

/* Appends prompt[n_prompt] to s and replies. After it s holds prompt and reply without the last token (whose row has
 * not been needed). On error s is cut back to its length before the call and *out is empty.
 * A full context ends the reply with OTR_STOP_LENGTH. */
OTR_API int otr_generate(struct otr_seq *s, const int32_t *prompt, size_t n_prompt, const struct otr_gen *g,
                         struct otr_gen_result *out, struct otr_err *err);
OTR_API void otr_gen_result_free(struct otr_gen_result *r);

/* The same in parts, for many sequences at once: open each reply (runs its prompt and draws the first token), then step
 * all that are not done, until none is left; a step is one forward pass for all of them. */
struct otr_reply;
OTR_API int otr_reply_open(struct otr_reply **out, struct otr_seq *s, const int32_t *prompt, size_t n_prompt,
                           const struct otr_gen *g, struct otr_err *err); /* g is copied, what it points to is not */
/* Returns how many are still running. A reply that fails is done; others go on. */
OTR_API int otr_step(struct otr_engine *e, struct otr_reply *const *replies, int n, struct otr_err *err);
OTR_API bool otr_reply_done(const struct otr_reply *r);
/* Ends the reply (done or not) and hands over what it has, or its error; frees r. */
OTR_API int otr_reply_close(struct otr_reply *r, struct otr_gen_result *out, struct otr_err *err);

#ifdef __cplusplus
}
#endif
#endif
