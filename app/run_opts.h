/* Settings of `run`, and the flags that other commands share with it.
 *
 * In: a command line. Out: struct run_opts, checked as far as that is possible without the model. Read next: run.c. */
#ifndef OTR_APP_RUN_OPTS_H
#define OTR_APP_RUN_OPTS_H

#include "flags.h"
#include "spec_opts.h"

/* Model and engine. engine_flags fill it but for n_ctx, which means something else to other commands. */
struct engine_opts {
    const char *model;
    int n_threads, n_ctx, n_batch;
    bool no_repack;
    const char *kv_k, *kv_v;
    enum otr_kv_type kv_type; /* of both, after engine_opts_check */
};
struct engine_opts engine_opts_default(void);
int engine_opts_check(struct engine_opts *o, struct otr_err *err);
struct flag_set engine_flags(struct engine_opts *o);
/* What users of llama.cpp type and we ignore or refuse, with the reason. */
struct flag_set foreign_flags(void);
const char *kv_type_name(enum otr_kv_type t);

struct run_opts {
    struct engine_opts engine;
    const char *prompt, *file, *system;
    bool raw, chat, json, ignore_eos;
    int n_predict; /* -1: up to the context */
    int64_t seed;  /* as given: -1 for a random one; sampling.seed holds the one in use */
    struct flag_list stops, bias_text;
    struct spec_opts spec;
    struct otr_sampling sampling; /* sampling.bias is owned */
};

/* OTR_E_ARG: a bad command line. run_opts_free in any case. */
int run_opts_parse(struct run_opts *o, int argc, char **argv, FILE *notes, struct flag_words *words,
                   struct otr_err *err);
void run_opts_free(struct run_opts *o);
void run_opts_help(const char *program, FILE *out);

#endif
