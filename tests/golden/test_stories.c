/* stories260K writes its golden story: the first whole-model test, in text that a person can read.
 *
 * In: ../shared/data/stories260K: a float32 model and what llama2.c prints for it (greedy, 200 tokens from BOS).
 * With KV in f32 the text is the golden at every level. With KV in f16 the tokens must agree up to the first near-tie:
 * a top-2 margin that rounding K and V can turn. */
#include "engine/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define FOLDER "../shared/data/stories260K/"

enum { N_STORY = 200 };
static const float near_tie = 0.1f; /* WHY: f16 keys and values move logits of small models by up to 3.5e-2 each */

struct story {
    int32_t id[N_STORY];
    float margin[N_STORY]; /* of the two largest logits where id was chosen */
    char text[4096];
};

/* The two largest logits: returns the id of the first, and their distance. */
static int32_t top_two(const float *logits, int n, float *margin)
{
    int best = 0;
    float second = -HUGE_VALF;
    for (int i = 1; i < n; i++) {
        if (logits[i] > logits[best]) {
            second = logits[best];
            best = i;
        } else if (logits[i] > second) {
            second = logits[i];
        }
    }
    *margin = logits[best] - second;
    return best;
}

static void tell(struct story *st, const char *level, enum otr_kv_type kv)
{
    const struct otr_model_opts mo = {.kern = level};
    const struct otr_engine_opts eo = {.n_threads = 2, .n_ctx = N_STORY + 1, .kv_type = kv};
    struct otr_err err = {0};
    struct otr_model *m;
    struct otr_engine *e;
    struct otr_seq *s;
    struct detok d;
    size_t n = 0;
    if (otr_model_open(&m, FOLDER "stories260K-f32.gguf", &mo, &err) < 0 || otr_engine_create(&e, m, &eo, &err) < 0 ||
        otr_seq_create(&s, e, &err) < 0)
        fail_msg("%s", err.msg);
    detok_init(&d, m->tok, false, true);
    int32_t id = otr_model_info(m)->bos;
    for (int i = 0; i < N_STORY; i++) {
        if (otr_seq_append(s, &id, 1, &err) < 0)
            fail_msg("%s", err.msg);
        id = st->id[i] = top_two(otr_seq_logits(s), otr_model_info(m)->n_vocab, &st->margin[i]);
        assert_true(n + detok_max(m->tok) < sizeof st->text);
        n += detok_push(&d, id, st->text + n, sizeof st->text - n);
    }
    st->text[n] = 0;
    otr_seq_destroy(s);
    otr_engine_destroy(e);
    otr_model_close(m);
}

static void read_golden(char *buf, size_t cap)
{
    FILE *f = fopen(FOLDER "expected-greedy-200.txt", "r");
    assert_non_null(f);
    size_t n = fread(buf, 1, cap - 1, f);
    fclose(f);
    while (n > 0 && buf[n - 1] == '\n') /* llama2.c ends its output with a newline of its own */
        n--;
    buf[n] = 0;
}

static bool absent(void)
{
    if (access(FOLDER "stories260K-f32.gguf", R_OK) == 0)
        return false;
    printf("SKIPPED: " FOLDER " is not there\n");
    return true;
}

static void test_story(void **state)
{
    (void)state;
    if (absent())
        skip();
    char golden[4096], levels[64];
    read_golden(golden, sizeof golden);
    snprintf(levels, sizeof levels, "%s", kernels_levels());
    for (char *save, *level = strtok_r(levels, " ", &save); level; level = strtok_r(NULL, " ", &save)) {
        static struct story f32, f16;
        tell(&f32, level, OTR_KV_F32);
        assert_string_equal(f32.text, golden);
        int closest = 0, tie = 0;
        for (int i = 1; i < N_STORY; i++)
            closest = f32.margin[i] < f32.margin[closest] ? i : closest;
        while (tie < N_STORY && f32.margin[tie] >= near_tie)
            tie++;
        tell(&f16, level, OTR_KV_F16);
        int same = 0;
        while (same < N_STORY && f16.id[same] == f32.id[same])
            same++;
        printf("level %s: the golden story with KV in f32; smallest margin %.4f at token %d; KV in f16 agrees for %d "
               "tokens, first near-tie at %d\n",
               level, (double)f32.margin[closest], closest, same, tie);
        assert_true(same >= tie);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_story)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
