/* Proof of equality under speculation: prompts of several data sets, drafted in many ways and compared with their plain
 * replies, byte for byte; at temperature 0 and 0.8.
 *
 *   proof_spec [-1] [-s SECONDS] [-m SAME] [-x OTHER] MODEL WAYS N_PROMPTS N_TOK PART/PARTS PROGRESS PROMPTS.jsonl...
 *   proof_spec -r PROGRESS...        the table of all parts
 *
 * WAYS: auto; shuffle (another method for every step, hostile ones included; with -m and -x those that run a model
 * too); both; each (every single method that needs no file); lookups (of these the ones that run no model and mean no
 * harm); hostile (those that do); models (the list below). SAME, OTHER: models that draft, of MODEL's vocabulary and of
 * another one; ways that name one which is not given are left out. -1: a block at one temperature, by turns. PART (from
 * 0): the blocks of prompts that this process takes, on one thread mostly: as many processes as cores lose nothing to
 * barriers. The prompts are spread over all files, the first 400 tokens of each; replies of 1 to 8 prompts at once go
 * round. PROGRESS has a line for each way of a block: a run that stops, or whose SECONDS are over, goes on from there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/equal.h"
#include "support/spec_rig.h"

enum { BLOCK = 10, MAX_PROMPT = 400, MAX_FILES = 16, MAX_WAYS = 96, MAX_LINES = 65536, NAME = 160 };

/* @same, @other: the files; @set: sub-layers for `skip`; several methods by spaces. Add lines at will: progress is kept
 * by their text. */
static const char *const model_ways[] = {
    "draft:model=@same",
    "draft:model=@same,p_min=0.3 suffix",
    "md:model=@other",
    "tli:model=@other",
    "slem:model=@other",
    "slrs:model=@other",
    "hetero:model=@other",
    "hetero:model=@other,context=64",
    "lowbit",
    "lowbit:type=Q8_0,reach=0",
    "skip",
    "skip:set=@set",
    "exit",
    "exit:layers=1,reach=0 ngram-mod",
    "draft:model=@same,rows=4096",
    "draft:model=@same,context=64",
    "async:model=@same",
    "async:model=@same,fan=16 suffix",
    "tree:model=@same,build=opt",
    "tree:model=@same,build=eagle2",
    "tree:model=@same,build=dyspec",
    "tree:model=@same,build=sequoia",
    "tree:model=@same,build=medusa",
    "tree:of=lowbit,build=eagle2",
    "tree:of=skip,set=@set,build=opt",
};
/* The first one whose files are there. */
static const char *const shuffle_ways[] = {"shuffle:model=@same,model=@other exit", "shuffle:model=@same exit",
                                           "shuffle:model=@other exit", "shuffle"};

struct way {
    char name[NAME]; /* as it stands in the lists */
    char spec[2048];
    bool model, hostile;
};
struct line {
    int block, warm;
    long reply, token, draft, kept, differ, ms;
    char way[NAME];
};
struct proof {
    struct otr_model *m;
    const char *same, *other, *ways;
    double until_ms; /* 0: no end */
    bool one;        /* temperature a block */
    int part, parts, n, n_tok;
    const int32_t **ids;
    int *n_ids;
    struct way way[MAX_WAYS];
    int n_way;
    FILE *progress;
};
static struct line line[MAX_LINES];
static int n_line;

static int die(const struct otr_err *err)
{
    fprintf(stderr, "proof_spec: error: %s\n", err->msg);
    return 1;
}

/* ---- ways ---- */

/* Middle layers without attention or feed-forward, in turn: "--a-f-a-f--". */
static void set_text(char *text, int n_layer)
{
    for (int i = 0; i < n_layer; i++)
        text[i] = i < 2 || i >= n_layer - 2 || i % 2 ? '-' : i % 4 ? 'a' : 'f';
    text[n_layer] = 0;
}

/* Adds the way; false: a file it names is not given. */
static bool add_way(struct proof *u, const char *name)
{
    struct way *w = &u->way[u->n_way];
    char set[1024];
    size_t n = 0;
    set_text(set, u->m->info.n_layer < 1000 ? u->m->info.n_layer : 1000);
    const struct {
        const char *key, *value;
    } words[] = {{"@same", u->same}, {"@other", u->other}, {"@set", set}};
    if (u->n_way == MAX_WAYS)
        return false;
    *w = (struct way){0};
    snprintf(w->name, sizeof w->name, "%s", name);
    for (const char *c = name; *c && n < sizeof w->spec - 1; c++) {
        size_t k = 0;
        while (k < 3 && strncmp(c, words[k].key, strlen(words[k].key)) != 0)
            k++;
        if (k < 3 && !words[k].value)
            return false;
        if (k < 3) {
            n += (size_t)snprintf(w->spec + n, sizeof w->spec - n, "%s", words[k].value);
            c += strlen(words[k].key) - 1;
        } else {
            w->spec[n++] = *c;
        }
    }
    u->n_way++;
    return n < sizeof w->spec - 1;
}

/* Whether a method is one of those that `ways` names: each, lookups or hostile. */
static bool is_way(const char *ways, uint32_t flags)
{
    const bool hostile = flags & DRAFT_HOSTILE;
    if (flags & (DRAFT_WRAPPER | DRAFT_NEED_FILE))
        return false;
    return strcmp(ways, "each") == 0 || (strcmp(ways, "hostile") == 0 && hostile) ||
           (strcmp(ways, "lookups") == 0 && !hostile && !(flags & DRAFT_RUNS_MODEL));
}

static void list_ways(struct proof *u)
{
    const bool both = strcmp(u->ways, "both") == 0, shuffle = both || strcmp(u->ways, "shuffle") == 0;
    if (both || strcmp(u->ways, "auto") == 0)
        add_way(u, "auto");
    for (int i = 0; i < draft_count(); i++)
        if (is_way(u->ways, draft_at(i)->flags))
            add_way(u, draft_at(i)->name);
    for (size_t i = 0; i < sizeof model_ways / sizeof *model_ways && strcmp(u->ways, "models") == 0; i++)
        if (add_way(u, model_ways[i]))
            u->way[u->n_way - 1].model = true;
    for (size_t i = 0; i < sizeof shuffle_ways / sizeof *shuffle_ways && shuffle; i++)
        if (add_way(u, shuffle_ways[i])) {
            u->way[u->n_way - 1].hostile = true;
            break;
        }
}

/* ---- progress ---- */

static bool read_progress(const char *path)
{
    char text[NAME + 200];
    FILE *f = fopen(path, "r");
    while (f && n_line < MAX_LINES && fgets(text, sizeof text, f)) {
        struct line *l = &line[n_line];
        int end = 0;
        if (sscanf(text, "%d %d %ld %ld %ld %ld %ld %ld %n", &l->block, &l->warm, &l->reply, &l->token, &l->draft,
                   &l->kept, &l->differ, &l->ms, &end) == 8 &&
            end > 0 && strchr(text, '\n')) {
            text[strcspn(text, "\n")] = 0;
            snprintf(l->way, sizeof l->way, "%s", text + end);
            n_line++;
        }
    }
    if (f)
        fclose(f);
    return f != NULL;
}

static bool is_done(const struct way *w, int block, int warm)
{
    for (int i = 0; i < n_line; i++)
        if (line[i].block == block && line[i].warm == warm && strcmp(line[i].way, w->name) == 0)
            return true;
    return false;
}

/* A row for each way: both temperatures. Returns the exit status. */
static int table(void)
{
    static bool seen[MAX_LINES];
    struct line all = {0};
    printf("%-44s %8s %9s %9s %9s %7s %7s\n", "way", "replies", "tokens", "drafted", "kept", "differ", "s");
    for (int i = 0; i < n_line; i++) {
        struct line sum = {0};
        for (int k = i; k < n_line; k++)
            if (!seen[k] && strcmp(line[k].way, line[i].way) == 0) {
                seen[k] = true;
                sum.reply += line[k].reply;
                sum.token += line[k].token;
                sum.draft += line[k].draft;
                sum.kept += line[k].kept;
                sum.differ += line[k].differ;
                sum.ms += line[k].ms;
                sum.block++;
            }
        if (sum.block == 0)
            continue;
        if (sum.reply == 0)
            printf("%-44s not this model\n", line[i].way);
        else
            printf("%-44s %8ld %9ld %9ld %9ld %7ld %7.1f\n", line[i].way, sum.reply, sum.token, sum.draft, sum.kept,
                   sum.differ, 1e-3 * (double)sum.ms);
        all.reply += sum.reply;
        all.token += sum.token;
        all.draft += sum.draft;
        all.kept += sum.kept;
        all.differ += sum.differ;
        all.ms += sum.ms;
    }
    printf("%-44s %8ld %9ld %9ld %9ld %7ld %7.1f\n", "all", all.reply, all.token, all.draft, all.kept, all.differ,
           1e-3 * (double)all.ms);
    return all.differ == 0 && all.kept > 0 ? 0 : 1;
}

/* ---- runs ---- */

static int run_way(struct proof *u, struct spec_rig *r, int i, int block, struct otr_err *err)
{
    const struct way *w = &u->way[i];
    const struct spec_rig before = *r;
    const int turn = i + block + r->warm;
    const struct sr_way way = {.method = strcmp(w->name, "auto") ? w->spec : NULL,
                               .n_batch = 1 + (3 * i + block + 4 * r->warm) % 8,
                               /* WHY fixed mostly: a controller does not ask a model that cannot pay */
                               .draft_fixed = w->hostile             ? 16
                                              : w->model && turn % 4 ? 3 + turn % 5
                                                                     : 0,
                               .predict = strcmp(w->name, "auto") != 0,
                               .seed = 7 + (uint64_t)block};
    const double t0 = clock_ms();
    int rc = sr_run(r, &way, 0, r->n, err);
    if (rc == OTR_E_UNSUPPORTED && r->n_reply == before.n_reply)
        rc = OTR_OK; /* a method that drafts with the target's own weights, and not this target's */
    if (rc < 0)
        return rc;
    fprintf(u->progress, "%d %d %ld %ld %ld %ld %ld %.0f %s\n", block, r->warm, r->n_reply - before.n_reply,
            r->n_compared - before.n_compared, r->n_draft - before.n_draft, r->n_accepted - before.n_accepted,
            r->n_differ - before.n_differ, clock_ms() - t0, w->name);
    fflush(u->progress);
    return OTR_OK;
}

static bool is_over(const struct proof *u)
{
    return u->until_ms > 0 && clock_ms() > u->until_ms;
}

static int run_block(struct proof *u, int block, struct otr_err *err)
{
    const int at = block * BLOCK, n = u->n - at < BLOCK ? u->n - at : BLOCK;
    const int n_threads = u->parts == 1 ? 0 : block % 8 == 7 ? 1 + block / 8 % 4 : 1;
    struct spec_rig r = {0};
    int rc = OTR_OK;
    for (int warm = 0; warm < 2 && rc == OTR_OK; warm++) {
        int left = 0;
        if (u->one && warm != block / 2 % 2)
            continue;
        for (int i = 0; i < u->n_way; i++)
            left += !is_done(&u->way[i], block, warm);
        if (left == 0 || is_over(u))
            continue;
        if (!r.e)
            rc = sr_open_shared(&r, u->m, u->ids + at, u->n_ids + at, n, u->n_tok, n_threads, err);
        if (rc == OTR_OK)
            rc = sr_plain(&r, warm, err);
        for (int i = 0; i < u->n_way && rc == OTR_OK && !is_over(u); i++)
            if (!is_done(&u->way[i], block, warm))
                rc = run_way(u, &r, i, block, err);
    }
    sr_close(&r);
    return rc;
}

/* u->n of the n prompts, spread evenly. */
static void spread(struct proof *u, int n)
{
    for (int i = 0; i < u->n; i++) {
        const int from = (int)((long)i * n / u->n);
        u->ids[i] = u->ids[from];
        u->n_ids[i] = u->n_ids[from];
    }
}

static int read_prompts(struct proof *u, char **files, int n_files, struct otr_err *err)
{
    static const int32_t *ids[MAX_FILES * EQ_MAX_PROMPTS];
    static int n_ids[MAX_FILES * EQ_MAX_PROMPTS];
    static struct eq_prompts p[MAX_FILES];
    int n = 0;
    u->ids = ids;
    u->n_ids = n_ids;
    for (int f = 0; f < n_files; f++) {
        eq_prompts_read(&p[f], u->m, files[f], EQ_MAX_PROMPTS, MAX_PROMPT);
        for (int i = 0; i < p[f].n; i++) {
            ids[n] = p[f].ids[i];
            n_ids[n++] = p[f].n_ids[i];
        }
    }
    if (n < u->n)
        return OTR_FAIL(err, ARG, "%d prompts, %d wanted", n, u->n);
    spread(u, n);
    return OTR_OK;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: proof_spec [-1] [-s SECONDS] [-m SAME.gguf] [-x OTHER.gguf] MODEL.gguf auto|shuffle|both|each|"
            "lookups|hostile|models N_PROMPTS N_TOK PART/PARTS PROGRESS PROMPTS.jsonl...\n       proof_spec -r "
            "PROGRESS...\n");
    return 2;
}

static int report(int argc, char **argv)
{
    for (int i = optind; i < argc; i++)
        if (!read_progress(argv[i])) {
            fprintf(stderr, "proof_spec: error: no progress in %s\n", argv[i]);
            return 1;
        }
    return table();
}

int main(int argc, char **argv)
{
    static struct proof u;
    struct otr_err err = {0};
    double seconds = 0;
    bool only_table = false;
    for (int c; (c = getopt(argc, argv, "+1s:m:x:r")) != -1;)
        switch (c) {
        case '1':
            u.one = true;
            break;
        case 's':
            seconds = atof(optarg);
            break;
        case 'm':
            u.same = optarg;
            break;
        case 'x':
            u.other = optarg;
            break;
        case 'r':
            only_table = true;
            break;
        default:
            return usage();
        }
    char **a = argv + optind;
    const int n = argc - optind;
    if (only_table)
        return n > 0 ? report(argc, argv) : usage();
    if (n < 7 || n > 6 + MAX_FILES || sscanf(a[4], "%d/%d", &u.part, &u.parts) != 2 || u.part < 0 || u.part >= u.parts)
        return usage();
    u.ways = a[1];
    u.n = atoi(a[2]);
    u.n_tok = atoi(a[3]);
    u.until_ms = seconds > 0 ? clock_ms() + 1e3 * seconds : 0;
    const struct otr_model_opts mo = {.n_threads = u.parts > 1 ? 1 : 0};
    if (otr_model_open(&u.m, a[0], &mo, &err) < 0 || read_prompts(&u, a + 6, n - 6, &err) < 0)
        return die(&err);
    list_ways(&u);
    read_progress(a[5]);
    if ((u.progress = fopen(a[5], "a")) && ftell(u.progress) > 0)
        fputc('\n', u.progress); /* WHY: a run that was killed may have left half a line */
    if (u.n_way == 0 || !u.progress) {
        fprintf(stderr, "proof_spec: error: no way '%s', or no progress into %s\n", u.ways, a[5]);
        return 1;
    }
    const double t0 = clock_ms();
    for (int b = u.part; b * BLOCK < u.n && !is_over(&u); b += u.parts) {
        if (run_block(&u, b, &err) < 0)
            return die(&err);
        fprintf(stderr, "%s, %s: block %d of %d (%.0f s)\n", a[0], u.ways, b + 1, (u.n + BLOCK - 1) / BLOCK,
                (clock_ms() - t0) / 1e3);
    }
    fclose(u.progress);
    n_line = 0;
    read_progress(a[5]);
    int left = 0;
    for (int b = u.part; b * BLOCK < u.n; b += u.parts)
        for (int i = 0; i < 2 * u.n_way; i++)
            left += !is_done(&u.way[i / 2], b, i % 2);
    printf("%s, %s, part %s of %d prompts x %d tokens, temperatures 0 and 0.8; still to do: %d\n", a[0], u.ways, a[4],
           u.n, u.n_tok, left);
    otr_model_close(u.m);
    return table();
}
