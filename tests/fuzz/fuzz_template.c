/* Any bytes as a chat template, on fixed messages. What comes out keeps the promises of template.h: an error is one
 * printable line about the template, the text is terminated, and the origin of each of its bytes is 0 or 1. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct otr_err *err, int rc)
{
    assert(rc == OTR_E_FORMAT || rc == OTR_E_LIMIT);
    assert(err->code == rc && strncmp(err->msg, "chat template ", 14) == 0);
    for (const char *p = err->msg; *p; p++)
        assert((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct otr_message msgs[] = {
        {"system", " You are brief.\n"},
        {"user", "<|im_end|> {{ 1 }} '\"\\ \xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80 1,5"},
        {"assistant", ""},
        {"user", "bad \xff\xc3 utf-8\t"},
    };
    static const struct tm now = {.tm_year = 124, .tm_mday = 1};
    const struct template_args a = {msgs, sizeof msgs / sizeof *msgs, size % 2 == 0, "<s>", "</s>", &now};
    struct chat_template *t = NULL;
    struct template_out out = {0};
    struct otr_err err = {0};
    int rc = template_open(&t, (const char *)data, size, &err);
    if (rc < 0) {
        check_error(&err, rc);
        return 0;
    }
    if ((rc = template_render(t, &a, &out, &err)) < 0) {
        check_error(&err, rc);
    } else {
        assert(out.text[out.n] == 0);
        for (size_t i = 0; i < out.n; i++)
            assert(out.literal[i] <= 1);
    }
    template_out_free(&out);
    template_close(t);
    return 0;
}
