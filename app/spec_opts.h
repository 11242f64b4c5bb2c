/* Speculation on the command line: our flags, and the names that users of llama.cpp, vLLM and SGLang know.
 *
 * In: flags. Out: struct otr_spec for the engine, the predicted text. Read next: spec_opts.c, spec_config.c,
 * src/draft/draft_list.h. */
#ifndef OTR_APP_SPEC_OPTS_H
#define OTR_APP_SPEC_OPTS_H

#include "flags.h"

enum { SPEC_N_TUNE = 18 };

struct spec_opts {
    struct flag_list methods; /* as typed; help, none and auto among them */
    int draft_max, draft_min, old_max, old_min, n_steps;
    const char *verify, *prediction, *draft_model, *config; /* config: vLLM's JSON */
    const char *tune[SPEC_N_TUNE];                          /* values of llama.cpp's flags for single methods */
    bool preset, show_drafts;
    bool help, none, automatic; /* after spec_opts_check; the last: named beside other methods */
    char **words;               /* [n_words] "METHOD:key=value" with what the flags add; owned */
    size_t n_words;             /* 0: automatic */
};

struct flag_set spec_flags(struct spec_opts *o);
/* Splits lists, adds the single flags to their methods, names new spellings for old ones on `notes`. OTR_E_ARG. */
int spec_opts_check(struct spec_opts *o, FILE *notes, struct otr_err *err);
void spec_opts_free(struct spec_opts *o);

/* spec_opts.c: "a:k=v,b" adds methods; a setting goes to its method, where that is among them (shown: as typed). */
int spec_add_methods(struct spec_opts *o, const char *list, struct otr_err *err);
int spec_add_setting(struct spec_opts *o, const char *method, const char *shown, const char *key, const char *value,
                     struct otr_err *err);
/* A drafting model, by its path. */
int spec_add_model(struct spec_opts *o, const char *path, const char *shown, struct otr_err *err);
/* The model that drafts with `auto` because it lies beside the target: "md:model=NAME.draft.gguf" for NAME.gguf, to be
 * freed; NULL where there is none, or methods were named without `auto`, or another model was. */
char *spec_beside(const struct spec_opts *o, const char *target);
/* spec_config.c: our name for another's (NULL: it is ours already, or unknown). OTR_E_ARG: not supported yet. */
int spec_our_name(const char *name, size_t n, const char **ours, struct otr_err *err);
int spec_config(struct spec_opts *o, FILE *notes, struct otr_err *err);

#endif
