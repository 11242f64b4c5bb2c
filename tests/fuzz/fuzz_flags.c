/* Any bytes as the command line of `run`: split at zero bytes into words, then only parsed. What is refused is refused
 * with one printable line; what is taken keeps the promises of run_opts.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#include "flags.c"
#include "foreign_flags.c"
#include "run_opts.c"
#include "spec_config.c"
#include "spec_opts.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX_WORDS = 64 };
    char *argv[MAX_WORDS + 1];
    struct run_opts o;
    struct flag_words words;
    struct otr_err err = {0};
    int argc = 0;
    char *copy = malloc(size + 1);
    if (!copy)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = 0;
    argv[argc++] = copy; /* stands for the command's name too: it is never looked at */
    for (size_t i = 0; i < size && argc < MAX_WORDS; i += strlen(copy + i) + 1)
        argv[argc++] = copy + i;
    const int rc = run_opts_parse(&o, argc, argv, NULL, &words, &err);
    if (rc < 0) {
        assert(err.msg[0]);
        uint32_t cp;
        for (size_t i = 0, k; err.msg[i]; i += k) {
            k = utf8_char(err.msg + i, strlen(err.msg + i), &cp);
            assert(k > 0 && !utf8_is_hostile(cp));
        }
    } else if (!words.help && !o.spec.help) {
        assert(o.engine.model && words.n == 0 && o.n_predict != 0);
        assert(o.sampling.temp >= 0.0f && o.sampling.temp <= 1e9f);
        assert(o.sampling.n_bias == o.bias_text.n);
    }
    run_opts_free(&o);
    free(copy);
    return 0;
}
