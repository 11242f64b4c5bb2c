/* The prompts of `outrider bench spec`: JSON lines of Spec-Bench, MT-Bench, HumanEval, MBPP, GSM8K or EditEval.
 *
 * In: files. Out: tasks as token ids, by category: the line's own, or the file's name. An edit brings its old text as
 * the prediction. Prompts that leave no room for the reply are left out. Read next: spec_bench.c. */
#include <stdlib.h>
#include <string.h>

#include "spec_bench.h"

enum { MOST_TOKENS = 2048 }; /* of prompt and reply */

static int category_of(struct spec_bench *b, const char *file, const json_t *line)
{
    static const char *const mt[] = {"writing", "roleplay",   "reasoning", "math",
                                     "coding",  "extraction", "stem",      "humanities"};
    const char *slash = strrchr(file, '/'), *name = json_string_value(json_object_get(line, "category"));
    for (size_t i = 0; i < sizeof mt / sizeof *mt && name; i++)
        if (strcmp(name, mt[i]) == 0)
            name = "multi-turn";
    if (!name)
        name = slash ? slash + 1 : file;
    char cut[SPEC_NAME];
    snprintf(cut, sizeof cut, "%.*s", (int)strcspn(name, "."), name);
    int c = 0;
    while (c < b->n_category && strcmp(b->category[c], cut) != 0)
        c++;
    if (c == SPEC_CATEGORIES)
        return -1;
    if (c == b->n_category)
        memcpy(b->category[b->n_category++], cut, sizeof cut);
    return c;
}

static char *prompt_text(const json_t *line)
{
    static const char *const keys[] = {"instruction", "prompt", "text", "question"};
    const char *text = json_string_value(json_array_get(json_object_get(line, "turns"), 0));
    const char *input = json_string_value(json_object_get(line, "input"));
    for (int i = 0; i < 4 && !text; i++)
        text = json_string_value(json_object_get(line, keys[i]));
    char *all = NULL;
    return text && asprintf(&all, "%s%s%s", text, input ? "\n\n" : "", input ? input : "") >= 0 ? all : NULL;
}

/* The model's template around the text, or the text as it stands. */
static int encode(const struct spec_bench *b, const char *text, struct spec_task *t, struct otr_err *err)
{
    const struct otr_message msg = {"user", text};
    const bool chat = otr_model_info(b->m)->has_chat_template;
    const size_t cap = strlen(text) + 512;
    t->ids = malloc((cap + (size_t)b->o->n_tokens) * sizeof *t->ids);
    if (!t->ids)
        return OTR_FAIL(err, NOMEM, "no memory for a prompt");
    const int64_t n = chat ? otr_chat_tokenize(b->m, &msg, 1, true, t->ids, cap, err)
                           : otr_tokenize(b->m, text, strlen(text), OTR_TOK_ADD_SPECIAL, t->ids, cap, err);
    if (n > (int64_t)cap)
        return OTR_FAIL(err, LIMIT, "a prompt of %lld tokens", (long long)n);
    t->n_ids = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : OTR_OK;
}

/* An edit: the old text is what the reply will resemble. */
static int predict(const struct spec_bench *b, const char *input, struct spec_task *t, struct otr_err *err)
{
    t->predicted = malloc((strlen(input) + 1) * sizeof *t->predicted);
    if (!t->predicted)
        return OTR_FAIL(err, NOMEM, "no memory for a prompt");
    const int64_t n = otr_tokenize(b->m, input, strlen(input), 0, t->predicted, strlen(input), err);
    t->n_predicted = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : OTR_OK;
}

static void task_free(struct spec_task *t)
{
    free(t->ids);
    free(t->predicted);
    free(t->place);
    free(t->rounds);
}

static int add_task(struct spec_bench *b, const char *file, const json_t *line, struct otr_err *err)
{
    const int c = category_of(b, file, line);
    char *text = prompt_text(line);
    int rc = OTR_OK;
    const bool wanted = c >= 0 && (!b->o->category || strcmp(b->o->category, b->category[c]) == 0);
    if (text && wanted && b->n_of[c]++ >= b->o->skip && b->n_of[c] <= b->o->skip + b->o->n_prompts) {
        const char *input = json_string_value(json_object_get(line, "input"));
        struct spec_task t = {.category = c, .number = b->n_of[c] - 1};
        rc = encode(b, text, &t, err);
        if (rc == OTR_OK && input)
            rc = predict(b, input, &t, err);
        if (rc == OTR_OK && t.n_ids > 1 && t.n_ids + (size_t)b->o->n_tokens < MOST_TOKENS)
            b->task[b->n_task++] = t;
        else
            task_free(&t);
    }
    free(text);
    return rc;
}

static int read_file(struct spec_bench *b, const char *file, struct otr_err *err)
{
    FILE *f = fopen(file, "re");
    char *line = NULL;
    size_t cap = 0;
    int rc = f ? OTR_OK : OTR_FAIL(err, IO, "cannot open the prompts (%.200s)", file);
    while (f && rc == OTR_OK && getline(&line, &cap, f) > 0) {
        json_t *j = json_loads(line, 0, NULL);
        struct spec_task *more = realloc(b->task, (size_t)(b->n_task + 1) * sizeof *more);
        if (more)
            b->task = more;
        if (!more)
            rc = OTR_FAIL(err, NOMEM, "no memory for the prompts");
        else if (!j)
            rc = OTR_FAIL(err, FORMAT, "not a line of JSON (%.200s)", file);
        else
            rc = add_task(b, file, j, err);
        json_decref(j);
    }
    free(line);
    if (f)
        fclose(f);
    return rc;
}

static int by_category(const void *a, const void *b)
{
    const struct spec_task *x = a, *y = b;
    return x->category != y->category ? x->category - y->category : x->number - y->number;
}

int spec_prompts_read(struct spec_bench *b, struct otr_err *err)
{
    int rc = OTR_OK;
    for (size_t i = 0; i < b->o->files.n && rc == OTR_OK; i++)
        rc = read_file(b, b->o->files.v[i], err);
    if (rc == OTR_OK && b->n_task == 0)
        rc = OTR_FAIL(err, ARG, "no prompts to measure (--prompts)");
    if (rc == OTR_OK)
        qsort(b->task, (size_t)b->n_task, sizeof *b->task, by_category);
    return rc;
}

void spec_prompts_free(struct spec_bench *b)
{
    for (int i = 0; i < b->n_task; i++)
        task_free(&b->task[i]);
    free(b->task);
}
