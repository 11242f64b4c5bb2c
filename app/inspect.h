/* What inspect.c (text) and inspect_json.c (JSON) show of a model file. */
#ifndef OTR_APP_INSPECT_H
#define OTR_APP_INSPECT_H

#include "cli.h"
#include "json_out.h"
#include "kv/kv.h"
#include "load/dequant.h"
#include "load/weights.h"
#include "tokenize/tokenizer.h"

struct report {
    struct gguf *g;
    struct kernels kern; /* the level that the plan is for */
    struct {
        size_t n;
        uint64_t bytes;
    } type[GGML_N_TYPES];
    uint64_t tensor_bytes;
    size_t n_unread;        /* tensors of types we do not read */
    int n_pieces, vocab_rc; /* the vocabulary: OTR_OK, or why we cannot read it */
    struct otr_err vocab_why;
    int rc; /* a run: OTR_OK, or why not */
    struct otr_err why;
    struct weights_plan plan; /* rc == OTR_OK */
    uint64_t kv_bytes_per_tok;
};

/* A scalar of the file. */
struct number {
    enum { NUMBER_BOOL, NUMBER_INT, NUMBER_UINT, NUMBER_FLOAT } kind; /* UINT: over INT64_MAX */
    int64_t i;
    uint64_t u;
    double f;
    char text[32]; /* FLOAT: the shortest digits that give f (f32: that give it as float) */
};
struct number number_of(enum gguf_type type, const unsigned char *p);
/* The string at *p of a checked string array; *p moves behind it. */
struct gguf_str next_string(const unsigned char **p);

/* NULL: no memory. path is what was asked for. */
json_t *report_json(const struct report *r, const char *path, bool tensors);
json_t *refusal_json(const char *path, const struct otr_err *err);

#endif
