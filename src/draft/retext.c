/* Owns the spelling of one text in two vocabularies. See retext.h. Read next: vocab_map.c, slem.c. */
#include "draft/retext.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum {
    LOOK_TOKENS = 10, /* lookbehind of a window, at least: tokens of the target, and bytes */
    LOOK_BYTES = 32,
    RUN_MIN = 2, /* one equal token may be chance */
};

void retext_init(struct retext *r, const struct tokenizer *target, const struct tokenizer *draft,
                 const struct vocab_map *map)
{
    *r = (struct retext){.target = target, .draft = draft, .map = map};
}

static void spelling_free(struct spelling *s)
{
    free(s->id);
    free(s->end);
}

void retext_fini(struct retext *r)
{
    spelling_free(&r->y);
    spelling_free(&r->z);
    spelling_free(&r->w);
    ids_free(&r->part);
    free(r->text);
    *r = (struct retext){0};
}

static int no_memory(struct otr_err *err, size_t n)
{
    return OTR_FAIL(err, NOMEM, "no memory for %zu bytes or tokens of a text in two vocabularies", n);
}

/* ---- lists ---- */

static int push(struct spelling *s, int32_t id, size_t end)
{
    if (s->n == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 64;
        int32_t *ids = realloc(s->id, cap * sizeof *ids);
        if (ids)
            s->id = ids;
        size_t *ends = ids ? realloc(s->end, cap * sizeof *ends) : NULL;
        if (!ends)
            return OTR_E_NOMEM;
        s->end = ends;
        s->cap = cap;
    }
    s->id[s->n] = id;
    s->end[s->n++] = end;
    return OTR_OK;
}

static int put_text(struct retext *r, const char *p, size_t n)
{
    if (n == 0)
        return OTR_OK;
    if (n > r->cap_text - r->n_text) {
        const size_t cap = 2 * (r->n_text + n) + 256;
        char *text = realloc(r->text, cap);
        if (!text)
            return OTR_E_NOMEM;
        r->text = text;
        r->cap_text = cap;
    }
    memcpy(r->text + r->n_text, p, n);
    r->n_text += n;
    return OTR_OK;
}

/* ---- tokens as text ---- */

/* Ids past the vocabulary (rows that pad a model's head) have no text and are nothing special. */
static bool is_special(const struct retext *r, int32_t id)
{
    return id < r->map->n_target && tokenizer_is_special(r->target, id);
}

/* The BOS that the target's vocabulary puts in front of every text. */
static bool is_own_bos(const struct retext *r, const int32_t *tok, size_t i)
{
    return i == 0 && tok[i] == tokenizer_bos(r->target) && tokenizer_add_bos(r->target);
}

/* A special token that the drafter has: it counts as one byte of text that no token shares. */
static bool stands_alone(const struct retext *r, const int32_t *tok, size_t i)
{
    return is_special(r, tok[i]) && r->map->draft_of[tok[i]] >= 0 && !is_own_bos(r, tok, i);
}

/* The bytes of the history's token i, as a view. */
static const char *shown(const struct retext *r, const int32_t *tok, size_t i, size_t *n)
{
    const bool start = i == 0 || is_special(r, tok[i - 1]);
    *n = 0;
    if (tok[i] >= r->map->n_target)
        return "";
    const char *p = tokenizer_bytes(r->target, tok[i], is_special(r, tok[i]), n);
    if (is_own_bos(r, tok, i) || stands_alone(r, tok, i))
        *n = 0;
    else if (start && *n > 0 && *p == ' ' && tokenizer_adds_space(r->target)) {
        p++; /* the tokenizer's, not the text's */
        --*n;
    }
    return p;
}

/* ---- spelling ---- */

/* The ids of text[n], which is valid and begins at byte `at` of the whole, into out. Ends are counted from the right:
 * a space that SPM puts in front has no place in the text, and shares the end of what follows. */
static int spell_valid(struct retext *r, const struct tokenizer *t, const char *text, size_t n, bool start, size_t at,
                       struct spelling *out, struct otr_err *err)
{
    r->part.n = 0;
    r->n_spelt += n;
    int rc = tokenizer_encode(t, text, n, start ? 0 : TOK_CONTINUE, NULL, &r->part, err);
    const size_t from = out->n;
    for (size_t i = 0; i < r->part.n && rc == OTR_OK; i++)
        rc = push(out, r->part.v[i], 0) < 0 ? no_memory(err, n) : OTR_OK;
    size_t end = at + n;
    for (size_t i = out->n; i-- > from && rc == OTR_OK;) {
        size_t bytes;
        tokenizer_bytes(t, out->id[i], false, &bytes);
        out->end[i] = end > at ? end : at + 1;
        end -= bytes < end - at ? bytes : end - at;
    }
    return rc;
}

/* The same for any bytes: those of no character become tokens of lone bytes, or nothing where there is none. */
static int spell(struct retext *r, const struct tokenizer *t, const char *text, size_t n, bool start, size_t at,
                 struct spelling *out, struct otr_err *err)
{
    const int32_t *lone = t == r->draft ? r->map->draft_byte : r->map->target_byte;
    int rc = OTR_OK;
    uint32_t cp;
    for (size_t i = 0, from = 0; i <= n && rc == OTR_OK;) {
        const size_t len = utf8_char(text + i, n - i, &cp);
        if (len > 0) {
            i += len;
            continue;
        }
        if (i > from)
            rc = spell_valid(r, t, text + from, i - from, start && from == 0, at + from, out, err);
        if (i < n && rc == OTR_OK) {
            const int32_t id = lone[(unsigned char)text[i]];
            rc = id >= 0 && push(out, id, at + i + 1) < 0 ? no_memory(err, n) : OTR_OK;
        }
        from = ++i;
    }
    return rc;
}

/* ---- the target's history in the drafter's ids ---- */

static size_t end_of(const struct spelling *s, size_t n)
{
    return n > 0 ? s->end[n - 1] : 0;
}

/* Is a window that begins with token i spelled right from its first byte on? */
static bool is_seam(const struct retext *r, size_t i)
{
    return i == 0 || stands_alone(r, r->y.id, i - 1) || end_of(&r->y, i) == 0;
}

/* The first token of a window that looks back from token i. */
static size_t window_start(const struct retext *r, size_t i, size_t look)
{
    size_t from = i, n = 0;
    for (; !is_seam(r, from); from--) {
        const char *p = from < r->y.n ? shown(r, r->y.id, from, &n) : NULL;
        const bool inside = p && n > 0 && ((unsigned char)*p & 0xc0) == 0x80; /* of a character */
        if (i - from >= look && end_of(&r->y, i) - end_of(&r->y, from) >= LOOK_BYTES && !inside)
            break;
    }
    return from;
}

/* Tokens [from, n) of the history into r->w. */
static int spell_window(struct retext *r, size_t from, struct otr_err *err)
{
    int rc = OTR_OK;
    size_t at = end_of(&r->y, from);
    bool start = is_seam(r, from);
    r->w.n = r->n_text = 0;
    for (size_t i = from; i <= r->y.n && rc == OTR_OK; i++) {
        const bool alone = i < r->y.n && stands_alone(r, r->y.id, i);
        size_t n = 0;
        const char *p = i < r->y.n ? shown(r, r->y.id, i, &n) : "";
        if (put_text(r, p, n) < 0)
            return no_memory(err, r->n_text + n);
        if (!alone && i < r->y.n)
            continue;
        if (r->n_text > 0)
            rc = spell(r, r->draft, r->text, r->n_text, start, at, &r->w, err);
        if (alone && rc == OTR_OK)
            rc = push(&r->w, r->map->draft_of[r->y.id[i]], r->y.end[i]) < 0 ? no_memory(err, i) : OTR_OK;
        at = i < r->y.n ? r->y.end[i] : at;
        r->n_text = 0;
        start = true;
    }
    return rc;
}

/* The longest run of tokens that r->z and r->w share, the last of equal ones: how many of each stand up to its end. */
static bool find_joint(const struct retext *r, size_t *in_z, size_t *in_w)
{
    const struct spelling *z = &r->z, *w = &r->w;
    size_t best = RUN_MIN - 1, run = 0, i = z->n, k = 0;
    while (w->n > 0 && i > 0 && z->end[i - 1] >= w->end[0])
        i--;
    while (i < z->n && k < w->n) {
        if (z->end[i] != w->end[k]) {
            run = 0;
            *(z->end[i] < w->end[k] ? &i : &k) += 1;
            continue;
        }
        run = z->id[i++] == w->id[k++] ? run + 1 : 0;
        if (run >= best && run >= RUN_MIN) {
            best = run;
            *in_z = i;
            *in_w = k;
        }
    }
    return best >= RUN_MIN;
}

/* The first n tokens of z stay, then come those of the window from k on. */
static int join(struct retext *r, size_t n, size_t k, struct otr_err *err)
{
    r->z.n = n;
    for (; k < r->w.n; k++)
        if (push(&r->z, r->w.id[k], r->w.end[k]) < 0)
            return no_memory(err, r->w.n);
    return OTR_OK;
}

/* r->y becomes tok [n]; z keeps what lies before the first token that differs, whose number is returned in *same. */
static int take_history(struct retext *r, const int32_t *tok, size_t n, size_t *same, struct otr_err *err)
{
    size_t k = 0;
    while (k < n && k < r->y.n && tok[k] == r->y.id[k])
        k++;
    *same = r->y.n = k;
    while (r->z.n > 0 && r->z.end[r->z.n - 1] > end_of(&r->y, k))
        r->z.n--;
    for (; k < n; k++) {
        size_t bytes;
        shown(r, tok, k, &bytes);
        if (push(&r->y, tok[k], end_of(&r->y, k) + bytes + (stands_alone(r, tok, k) ? 1 : 0)) < 0)
            return no_memory(err, n);
    }
    if (r->z.n == 0 && tokenizer_add_bos(r->draft) && push(&r->z, tokenizer_bos(r->draft), 0) < 0)
        return no_memory(err, n);
    return OTR_OK;
}

static int follow(struct retext *r, const int32_t *tok, size_t n, struct otr_err *err)
{
    size_t same, in_z, in_w;
    const size_t before = r->y.n;
    int rc = take_history(r, tok, n, &same, err);
    if (rc < 0 || (same == before && same == n))
        return rc;
    for (size_t look = LOOK_TOKENS;; look *= 4) {
        const size_t from = window_start(r, same, look);
        if ((rc = spell_window(r, from, err)) < 0)
            return rc;
        if (is_seam(r, from)) { /* all of it is right */
            in_z = r->z.n;
            while (in_z > 0 && r->z.end[in_z - 1] > end_of(&r->y, from))
                in_z--;
            return join(r, in_z, 0, err);
        }
        if (find_joint(r, &in_z, &in_w))
            return join(r, in_z, in_w, err);
    }
}

int retext_follow(struct retext *r, const int32_t *tok, size_t n, struct otr_err *err)
{
    const int rc = follow(r, tok, n, err);
    if (rc < 0)
        r->y.n = r->z.n = 0;
    return rc;
}

/* ---- drafted ids in the target's ---- */

/* Bytes at the end of text [n] that begin a character and do not end it. */
static size_t n_open(const char *text, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        const unsigned char b = (unsigned char)text[n - k];
        if ((b & 0xc0) == 0x80)
            continue;
        return b >= 0xc2 && b < 0xf5 && k < (b >= 0xf0 ? 4u : b >= 0xe0 ? 3u : 2u) ? k : 0;
    }
    return 0;
}

/* The end of the target's text, from a special token on at most, into r->text. true: it begins with the start of a
 * text. */
static int put_tail(struct retext *r, bool *start)
{
    size_t from = r->y.n, bytes = 0, n = 0;
    while (from > 0 && !is_special(r, r->y.id[from - 1])) {
        const char *p = from < r->y.n ? shown(r, r->y.id, from, &n) : NULL;
        const bool inside = p && n > 0 && ((unsigned char)*p & 0xc0) == 0x80; /* of a character */
        if (r->y.n - from >= LOOK_TOKENS && bytes >= LOOK_BYTES && !inside)
            break;
        shown(r, r->y.id, --from, &n);
        bytes += n;
    }
    *start = from == 0 || is_special(r, r->y.id[from - 1]);
    r->n_text = 0;
    for (size_t i = from; i < r->y.n; i++) {
        const char *p = shown(r, r->y.id, i, &n);
        if (put_text(r, p, n) < 0)
            return OTR_E_NOMEM;
    }
    return OTR_OK;
}

/* The drafted text after r->text; *end: the target's token for the special one that it ends with, or -1. */
static int put_draft(struct retext *r, const int32_t *d, int n, int32_t *end)
{
    const bool start = r->z.n == 0 || tokenizer_is_special(r->draft, r->z.id[r->z.n - 1]);
    *end = -1;
    for (int i = 0; i < n; i++) {
        size_t bytes;
        if (tokenizer_is_special(r->draft, d[i])) {
            *end = r->map->target_of[d[i]];
            break;
        }
        const char *p = tokenizer_bytes(r->draft, d[i], false, &bytes);
        const bool own = i == 0 && start && bytes > 0 && *p == ' ' && tokenizer_adds_space(r->draft);
        if (put_text(r, p + own, bytes - own) < 0)
            return OTR_E_NOMEM;
    }
    return OTR_OK;
}

int retext_back(struct retext *r, const int32_t *d, int n, int32_t *out, int cap, struct otr_err *err)
{
    bool start;
    int32_t end;
    if (put_tail(r, &start) < 0)
        return no_memory(err, r->y.n);
    const size_t tail = r->n_text;
    if (put_draft(r, d, n, &end) < 0)
        return no_memory(err, (size_t)n);
    const size_t open = n_open(r->text, r->n_text), room = r->n_text - tail;
    const size_t total = r->n_text - (open < room ? open : room);
    r->w.n = 0;
    int rc = spell(r, r->target, r->text, total, start, 0, &r->w, err);
    size_t k = 0;
    while (k < r->w.n && r->w.end[k] < tail)
        k++;
    if (tail > 0 && k < r->w.n && r->w.end[k] == tail)
        k++;
    else if (tail > 0 && rc == OTR_OK) {
        r->w.n = k = 0;
        rc = spell(r, r->target, r->text + tail, total - tail, false, tail, &r->w, err);
    }
    int m = 0;
    for (; k < r->w.n && m < cap && rc == OTR_OK; k++)
        out[m++] = r->w.id[k];
    if (end >= 0 && m < cap && rc == OTR_OK)
        out[m++] = end;
    return rc < 0 ? rc : m;
}
