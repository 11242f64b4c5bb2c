/* Owns the map between two vocabularies, and its file. See vocab_map.h. Read next: retext.c. */
#include "draft/vocab_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cache_file.h"
#include "base/hash.h"
#include "base/strmap.h"

/* ---- roles of special tokens ---- */

enum role { ROLE_NONE, ROLE_TURN_START, ROLE_TURN_END, ROLE_TEXT_END, ROLE_TEXT_START };

/* Names of one role, the likeliest first. WHY "turn" before "text": a vocabulary whose eos is <|im_end|> means the
 * turn. */
static const struct {
    enum role role;
    const char *name;
} role_names[] = {
    {ROLE_TURN_START, "<|im_start|>"},
    {ROLE_TURN_START, "<start_of_turn>"},
    {ROLE_TURN_START, "<|start_header_id|>"},
    {ROLE_TURN_START, "<|turn>"},
    {ROLE_TURN_END, "<|im_end|>"},
    {ROLE_TURN_END, "<end_of_turn>"},
    {ROLE_TURN_END, "<|eot_id|>"},
    {ROLE_TURN_END, "<|eot|>"},
    {ROLE_TURN_END, "<|end|>"},
    {ROLE_TURN_END, "<|end_of_turn|>"},
    {ROLE_TURN_END, "<turn|>"},
    {ROLE_TEXT_END, "<|endoftext|>"},
    {ROLE_TEXT_END, "<|end_of_text|>"},
    {ROLE_TEXT_END, "<eos>"},
    {ROLE_TEXT_END, "</s>"},
};
enum { N_ROLE_NAME = sizeof role_names / sizeof *role_names };

static int32_t special_named(const struct tokenizer *t, const char *name, size_t n)
{
    const int32_t id = tokenizer_find(t, name, n);
    return id >= 0 && tokenizer_is_special(t, id) ? id : -1;
}

static enum role role_of(const struct tokenizer *t, int32_t id)
{
    size_t n;
    const char *name = tokenizer_bytes(t, id, true, &n);
    for (int i = 0; i < N_ROLE_NAME; i++)
        if (strlen(role_names[i].name) == n && memcmp(role_names[i].name, name, n) == 0)
            return role_names[i].role;
    return id == tokenizer_eos(t) ? ROLE_TEXT_END : id == tokenizer_bos(t) ? ROLE_TEXT_START : ROLE_NONE;
}

static int32_t with_role(const struct tokenizer *t, enum role role)
{
    for (int i = 0; i < N_ROLE_NAME; i++) {
        const int32_t id =
            role_names[i].role == role ? special_named(t, role_names[i].name, strlen(role_names[i].name)) : -1;
        if (id >= 0)
            return id;
    }
    if (role == ROLE_TURN_END || role == ROLE_TEXT_END)
        return tokenizer_eos(t);
    const int32_t bos = role == ROLE_TEXT_START ? tokenizer_bos(t) : -1;
    return bos >= 0 && role_of(t, bos) == ROLE_TEXT_START ? bos : -1;
}

/* What stands in `to` for a special token of `from`: one of its name, or of its role. */
static int32_t special_to(const struct tokenizer *from, int32_t id, const struct tokenizer *to)
{
    size_t n;
    const char *name = tokenizer_bytes(from, id, true, &n);
    const int32_t same = special_named(to, name, n);
    const enum role role = role_of(from, id);
    return same >= 0 || role == ROLE_NONE ? same : with_role(to, role);
}

/* ---- bytes ---- */

/* The file's token for a lone byte, "<0x0A>", or -1. */
static int32_t byte_token(const struct tokenizer *t, int byte)
{
    char name[8];
    size_t n = 0;
    snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
    const int32_t id = tokenizer_find(t, name, 6);
    const char *p = id < 0 ? NULL : tokenizer_bytes(t, id, false, &n);
    return p && n == 1 && *p == (char)byte ? id : -1;
}

static bool is_byte_token(const struct tokenizer *t, int32_t id, const char *p, size_t n)
{
    return n == 1 && byte_token(t, (unsigned char)*p) == id;
}

/* All tokens that text can hold, by their bytes: of equal ones the one that an encode yields, which is the last that is
 * no byte token (tokenizer_find). */
static int by_bytes(struct strmap *s, const struct tokenizer *t)
{
    const int32_t n_vocab = tokenizer_n_vocab(t);
    for (int byte_tokens = 0; byte_tokens < 2; byte_tokens++)
        for (int32_t id = n_vocab - 1; id >= 0; id--) {
            size_t n;
            const char *p = tokenizer_bytes(t, id, false, &n);
            if (n > 0 && is_byte_token(t, id, p, n) == (byte_tokens == 1) && strmap_add(s, p, n, (uint32_t)id) < 0)
                return OTR_E_NOMEM;
        }
    return OTR_OK;
}

static int build(struct vocab_map *m, const struct tokenizer *target, const struct tokenizer *draft)
{
    struct strmap s = {0};
    const int rc = by_bytes(&s, target);
    for (int32_t d = 0; d < m->n_draft && rc == OTR_OK; d++) {
        size_t n;
        const char *p = tokenizer_bytes(draft, d, false, &n);
        m->target_of[d] = tokenizer_is_special(draft, d) ? special_to(draft, d, target)
                          : n > 0                        ? (int32_t)strmap_get(&s, p, n)
                                                         : -1;
    }
    strmap_fini(&s);
    return rc;
}

/* Everything that follows from target_of. */
static void derive(struct vocab_map *m, const struct tokenizer *target, const struct tokenizer *draft)
{
    memset(m->draft_of, 0xff, (size_t)m->n_target * sizeof *m->draft_of); /* all -1 */
    memset(m->target_byte, 0xff, sizeof m->target_byte);
    memset(m->draft_byte, 0xff, sizeof m->draft_byte);
    for (int32_t t = 0; t < m->n_target; t++) {
        size_t n;
        const char *p = tokenizer_bytes(target, t, false, &n);
        if (n == 1)
            m->target_byte[(unsigned char)*p] = t;
        else if (tokenizer_is_special(target, t))
            m->draft_of[t] = special_to(target, t, draft);
    }
    for (int32_t d = 0; d < m->n_draft; d++) {
        size_t n;
        const char *p = tokenizer_bytes(draft, d, false, &n);
        const int32_t t = m->target_of[d];
        m->n_mapped += t >= 0;
        if (n == 1)
            m->draft_byte[(unsigned char)*p] = d;
        if (t >= 0 && n > 0 && (m->draft_of[t] < 0 || !is_byte_token(draft, d, p, n)))
            m->draft_of[t] = d;
    }
    for (int32_t t = 0; t < m->n_target; t++)
        m->n_shared += m->draft_of[t] >= 0;
}

/* ---- the file: a line of what it is, the map in hexadecimal (id + 1, 0: none), a line with its checksum ---- */

/* Of all that a map depends on: pieces, which of them are special, and the ids with a role. */
static uint64_t vocab_hash(const struct tokenizer *t)
{
    const int32_t ids[] = {tokenizer_n_vocab(t), tokenizer_bos(t), tokenizer_eos(t)};
    uint64_t h = fnv1a(FNV1A_START, ids, sizeof ids);
    for (int32_t id = 0; id < ids[0]; id++) {
        size_t n;
        const char *p = tokenizer_bytes(t, id, true, &n);
        const char end[2] = {0, (char)(1 + tokenizer_is_special(t, id))};
        h = fnv1a(fnv1a(h, p, n), end, sizeof end);
    }
    return h;
}

void vocab_map_file(const struct tokenizer *target, const struct tokenizer *draft, char *buf, size_t cap)
{
    snprintf(buf, cap, "vocab-%016llx-%016llx.txt", (unsigned long long)vocab_hash(target),
             (unsigned long long)vocab_hash(draft));
}

enum { HEAD_MAX = 64, SUM_BYTES = 17, ID_BYTES = 7 }; /* ids below 2^24 (tokenizer), a blank */

static size_t put_head(const struct vocab_map *m, char *buf)
{
    return (size_t)snprintf(buf, HEAD_MAX, "outrider-vocab-map 1 %d %d\n", m->n_target, m->n_draft);
}

static size_t file_bytes(const struct vocab_map *m)
{
    return HEAD_MAX + (size_t)m->n_draft * ID_BYTES + SUM_BYTES + 1;
}

/* Fills target_of from dir/name. false: there is none of this pair, or it is damaged. */
static bool read_map(struct vocab_map *m, const char *dir, const char *name)
{
    const size_t cap = file_bytes(m) + 1;
    char head[HEAD_MAX], *buf = malloc(cap), *p = buf;
    const size_t n_head = put_head(m, head);
    bool good = buf && cache_read(buf, cap, dir, name) == 0 && strncmp(buf, head, n_head) == 0;
    if (good) {
        const char *last = strrchr(buf, '\n'); /* in front of the checksum */
        good = strlen(last + 1) == SUM_BYTES - 1 &&
               strtoull(last + 1, NULL, 16) == fnv1a(FNV1A_START, buf, (size_t)(last - buf));
        p += n_head;
    }
    for (int32_t d = 0; d < m->n_draft && good; d++) {
        const unsigned long id1 = strtoul(p, &p, 16);
        good = id1 <= (unsigned long)m->n_target;
        m->target_of[d] = (int32_t)id1 - 1;
    }
    free(buf);
    return good;
}

/* Failing is no error: the map is built again next time. */
static void write_map(const struct vocab_map *m, const char *dir, const char *name)
{
    char *buf = malloc(file_bytes(m));
    if (!buf)
        return;
    size_t n = put_head(m, buf);
    for (int32_t d = 0; d < m->n_draft; d++)
        n += (size_t)sprintf(buf + n, "%x ", (unsigned)(m->target_of[d] + 1));
    n += (size_t)sprintf(buf + n, "\n%016llx", (unsigned long long)fnv1a(FNV1A_START, buf, n));
    cache_write(dir, name, buf, n);
    free(buf);
}

/* ---- the map ---- */

int vocab_map_open(struct vocab_map **out, const struct tokenizer *target, const struct tokenizer *draft,
                   const char *dir, struct otr_err *err)
{
    char name[64];
    struct vocab_map *m = calloc(1, sizeof *m);
    if (m) {
        m->n_target = tokenizer_n_vocab(target);
        m->n_draft = tokenizer_n_vocab(draft);
        m->target_of = malloc((size_t)m->n_draft * sizeof *m->target_of);
        m->draft_of = malloc((size_t)m->n_target * sizeof *m->draft_of);
    }
    if (!m || !m->target_of || !m->draft_of)
        goto no_memory;
    if (dir)
        vocab_map_file(target, draft, name, sizeof name);
    m->cached = dir && read_map(m, dir, name);
    if (!m->cached && build(m, target, draft) != OTR_OK)
        goto no_memory;
    derive(m, target, draft);
    if (dir && !m->cached)
        write_map(m, dir, name);
    *out = m;
    return OTR_OK;
no_memory:
    vocab_map_close(m);
    return OTR_FAIL(err, NOMEM, "no memory for a map between vocabularies of %d and %d tokens",
                    tokenizer_n_vocab(target), tokenizer_n_vocab(draft));
}

void vocab_map_close(struct vocab_map *m)
{
    if (!m)
        return;
    free(m->target_of);
    free(m->draft_of);
    free(m);
}

int vocab_map_law(const struct vocab_map *m, const int32_t *d, const double *q, int n, int32_t *t, double *p)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        const int32_t to = m->target_of[d[i]];
        if (to < 0)
            continue;
        int at = k; /* WHY insertion: rows are short (a drafter's best few dozen) */
        while (at > 0 && t[at - 1] > to)
            at--;
        if (at > 0 && t[at - 1] == to) {
            p[at - 1] += q[i];
            continue;
        }
        memmove(t + at + 1, t + at, (size_t)(k - at) * sizeof *t);
        memmove(p + at + 1, p + at, (size_t)(k - at) * sizeof *p);
        t[at] = to;
        p[at] = q[i];
        k++;
    }
    return k;
}
