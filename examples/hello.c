/* The shortest program on liboutrider: opens a model, completes a text, prints it as it comes.
 * usage: hello MODEL.gguf TEXT */
#include <outrider/outrider.h>
#include <stdio.h>
#include <string.h>

static bool print(void *user, const char *text, size_t n_bytes, int32_t token)
{
    (void)user;
    (void)token;
    return fwrite(text, 1, n_bytes, stdout) == n_bytes && fflush(stdout) == 0;
}

static int run(const char *path, const char *text, struct otr_err *err)
{
    struct otr_model *model = NULL;
    struct otr_engine *engine = NULL;
    struct otr_seq *seq = NULL;
    struct otr_gen_result reply = {0};
    struct otr_gen gen = {.sampling = otr_sampling_default(), .max_tokens = 48, .on_text = print};
    int32_t ids[512];
    int rc = otr_model_open(&model, path, NULL, err);

    gen.sampling.temp = 0; /* greedy */
    if (rc == OTR_OK)
        rc = otr_engine_create(&engine, model, NULL, err);
    if (rc == OTR_OK)
        rc = otr_seq_create(&seq, engine, err);
    if (rc == OTR_OK) {
        const int64_t n = otr_tokenize(model, text, strlen(text), OTR_TOK_ADD_SPECIAL, ids, 512, err);
        rc = n < 0 || n > 512 ? OTR_E_LIMIT : otr_generate(seq, ids, (size_t)n, &gen, &reply, err);
    }
    if (rc == OTR_OK)
        printf("\n[%zu tokens, %.1f tokens/s]\n", reply.n_reply, 1e3 * (double)reply.n_reply / reply.reply_ms);
    otr_gen_result_free(&reply);
    otr_seq_destroy(seq);
    otr_engine_destroy(engine);
    otr_model_close(model);
    return rc;
}

int main(int argc, char **argv)
{
    struct otr_err err = {.msg = "the text is longer than 512 tokens"};
    if (argc != 3) {
        fprintf(stderr, "usage: hello MODEL.gguf TEXT\n");
        return 2;
    }
    if (run(argv[1], argv[2], &err) < 0) {
        fprintf(stderr, "hello: error: %s\n", err.msg);
        return 1;
    }
    return 0;
}
