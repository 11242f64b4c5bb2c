/* Owns the cutting of text into words before BPE: one list of regular expressions for each value of tokenizer.ggml.pre.
 *
 * In: valid UTF-8. Out: where words end. Every expression of a list splits what the ones before it left; what it does
 * not match is a word too.  Read next: merge.c.
 * SRC: the expressions stand in the tokenizer.json of the named models; llama.cpp's llama-vocab.cpp lists the names.
 * WHY some known names are missing (jais-2, tiny_aya, superbpe, exaone-moe, ...): their expressions take quadratic
 * time, or need code of their own. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "tokenize/tok_priv.h"

/* White space and its contrary. WHY not \s: PCRE2's has U+180E, that of the models' own libraries has not. */
#define S "\\p{wspace}"
#define NS "\\P{wspace}"

#define DIGIT "\\p{N}"
#define DIGITS3 "\\p{N}{1,3}"
#define TAIL S "*[\\r\\n]+|" S "+(?!" NS ")|" S "+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" S "+(?!" NS ")|" S "+"
#define APOS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LLAMA3(digits) APOS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*|" TAIL
#define QWEN35 APOS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" S "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" TAIL
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(apos, digits)                                                                                            \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" apos "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" apos "|" digits    \
    "| ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*|" TAIL
#define FALCON_PUNCT "[\\p{P}\\$\\+<=>\\^~\\|`]+"
#define CJK "[一-龥ࠀ-一가-퟿]+"
/* Letters with case, as a list of some older Unicode. */
#define DEEPSEEK_CASED                                                                                                 \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}"                    \
    "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}"             \
    "\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}"                    \
    "\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}"                  \
    "\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}"                  \
    "\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}"          \
    "\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}"         \
    "\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}"                   \
    "\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}"                    \
    "\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}"                    \
    "\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}"                   \
    "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}"                  \
    "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}"                \
    "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}"                             \
    "\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"
#define DEEPSEEK_LETTERS S "?[" DEEPSEEK_CASED "]+"
#define DEEPSEEK_PUNCT S "?[!-/:-~！-／：-～‘-‟　-。]+"
/* WHY the look-behind (not in the model's own): the same words, without trying each space of a run. */
#define DEEPSEEK_SPACE "(?<!" S ")" S "+$"
#define DEEPSEEK3                                                                                                      \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"               \
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|" TAIL
#define BAILING                                                                                                        \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^" S "\\p{L}\\p{N}]++[\\r\\n]*|" S "*[\\r\\n]|" S  \
    "+(?!" NS ")|" S "+"
#define BLOOM " ?[^(" S "|.,!?…。，、।۔،)]+"

enum { MAX_RE = 6, IGNORE_MERGES = 1, ADD_BOS = 2 };

static const struct pre {
    const char *names; /* words */
    int flags;
    const char *re[MAX_RE];
} pres[] = {
    {"default", 0, {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum", 0, {GPT2}},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", 0, {DIGIT, GPT2}},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2", IGNORE_MERGES | ADD_BOS, {LLAMA3(DIGITS3)}},
    {"dbrx smaug-bpe glm4 chatglm-bpe", 0, {LLAMA3(DIGITS3)}},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan megrez grok-2 kormo solar-open", 0, {LLAMA3(DIGIT)}},
    {"qwen35", 0, {QWEN35}},
    {"deepseek-llm", 0, {"[\\r\\n]", DEEPSEEK_LETTERS, DEEPSEEK_PUNCT, DEEPSEEK_SPACE, CJK, "\\p{N}+"}},
    {"deepseek-coder", 0, {"[\\r\\n]", S "?\\p{L}+", S "?\\p{P}+", CJK, DIGIT}},
    {"deepseek-v3 hunyuan-dense joyai-llm", 0, {DIGITS3, "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3}},
    {"falcon", 0, {FALCON_PUNCT, GPT2, "[0-9][0-9][0-9]"}},
    {"bloom poro-chat gpt3-finnish", 0, {BLOOM}},
    {"viking", 0, {BLOOM, DIGIT}},
    {"tekken", IGNORE_MERGES | ADD_BOS, {CASED("", DIGIT)}},
    {"gpt-4o llama4 kanana2 minimax-m2", 0, {CASED(APOS "?", DIGITS3)}},
    {"bailingmoe bailingmoe2 llada-moe", 0, {BAILING}},
    {"seed-coder", 0, {APOS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^" S "\\p{L}\\p{N}\\r\\n]+|" TAIL}},
    {"minicpm5", IGNORE_MERGES, {DIGITS3, LLAMA3("\\p{N}+")}},
};

struct pretok {
    int n, flags;
    pcre2_code *re[MAX_RE];
};

static int compile(struct pretok *p, const char *re, struct otr_err *err)
{
    int code;
    size_t at;
    pcre2_code *c = pcre2_compile((PCRE2_SPTR)re, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY,
                                  &code, &at, NULL);
    if (!c && code == PCRE2_ERROR_HEAP_FAILED)
        return OTR_FAIL(err, NOMEM, "no memory for a pre-tokenizer expression");
    if (!c)
        return OTR_FAIL(err, UNSUPPORTED,
                        "this PCRE2 library does not know a pre-tokenizer expression (error %d at %zu): "
                        "version 10.40 or later is needed",
                        code, at);
    pcre2_jit_compile(c, PCRE2_JIT_COMPLETE); /* WHY unchecked: without it the same matches are found, more slowly */
    p->re[p->n++] = c;
    return OTR_OK;
}

static const struct pre *find_pre(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        for (const char *w = pres[i].names; *w; w += strspn(w, " ")) {
            const size_t len = strcspn(w, " ");
            if (len == n && memcmp(w, name, n) == 0)
                return &pres[i];
            w += len;
        }
    return NULL;
}

int pretok_open(struct pretok **out, const char *pre, size_t n, struct otr_err *err)
{
    const struct pre *found = find_pre(pre, n);
    if (!found) {
        char quoted[64];
        return OTR_FAIL(err, UNSUPPORTED, "pre-tokenizer '%s' (tokenizer.ggml.pre) is not supported",
                        err_quote(quoted, sizeof quoted, pre, n));
    }
    struct pretok *p = calloc(1, sizeof *p);
    if (!p)
        return OTR_FAIL(err, NOMEM, "no memory for the pre-tokenizer");
    p->flags = found->flags;
    for (int i = 0; i < MAX_RE && found->re[i]; i++) {
        const int rc = compile(p, found->re[i], err);
        if (rc < 0) {
            pretok_close(p);
            return rc;
        }
    }
    *out = p;
    return OTR_OK;
}

void pretok_close(struct pretok *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n; i++)
        pcre2_code_free(p->re[i]);
    free(p);
}

bool pretok_add_bos(const struct pretok *p)
{
    return p->flags & ADD_BOS;
}

bool pretok_ignore_merges(const struct pretok *p)
{
    return p->flags & IGNORE_MERGES;
}

static int add_end(struct words *w, size_t end)
{
    if (w->n_next == w->cap_next) {
        const size_t cap = w->cap_next ? 2 * w->cap_next : 256;
        uint32_t *v = realloc(w->next, size_mul(cap, sizeof *v));
        if (!v)
            return OTR_E_NOMEM;
        w->next = v;
        w->cap_next = cap;
    }
    w->next[w->n_next++] = (uint32_t)end;
    return OTR_OK;
}

/* Splits text[from..to) by one expression. OTR_OK, OTR_E_NOMEM, or OTR_E_LIMIT with *why. */
static int split_one(const pcre2_code *re, const char *text, size_t from, size_t to, struct words *w, int *why)
{
    const PCRE2_SPTR p = (PCRE2_SPTR)(text + from);
    const size_t n = to - from;
    const size_t *span = pcre2_get_ovector_pointer(w->match);
    size_t at = 0;
    while (at < n) {
        int m = pcre2_match(re, p, n, at, PCRE2_NO_UTF_CHECK, w->match, NULL);
        if (m == PCRE2_ERROR_JIT_STACKLIMIT)
            m = pcre2_match(re, p, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->match, NULL);
        if (m == PCRE2_ERROR_NOMATCH)
            break;
        *why = m;
        if (m < 0 || span[1] <= at) /* no expression matches nothing */
            return m == PCRE2_ERROR_NOMEMORY ? OTR_E_NOMEM : OTR_E_LIMIT;
        if (span[0] > at && add_end(w, from + span[0]) < 0)
            return OTR_E_NOMEM;
        if (add_end(w, from + span[1]) < 0)
            return OTR_E_NOMEM;
        at = span[1];
    }
    return at < n ? add_end(w, to) : OTR_OK;
}

int pretok_split(const struct pretok *p, const char *text, size_t n, struct words *w, struct otr_err *err)
{
    int rc = OTR_OK, why = 0;
    w->n = w->n_next = 0;
    if (!w->match && !(w->match = pcre2_match_data_create(1, NULL)))
        return TOK_NOMEM(err, n);
    if (n > 0)
        rc = add_end(w, n);
    for (int i = 0; i <= p->n && rc == OTR_OK; i++) {
        uint32_t *const v = w->end; /* what was made is what is split next */
        const size_t cap = w->cap;
        w->end = w->next, w->n = w->n_next, w->cap = w->cap_next;
        w->next = v, w->n_next = 0, w->cap_next = cap;
        if (i == p->n)
            break;
        for (size_t k = 0, from = 0; k < w->n && rc == OTR_OK; from = w->end[k++])
            rc = split_one(p->re[i], text, from, w->end[k], w, &why);
    }
    if (rc == OTR_E_LIMIT)
        return OTR_FAIL(err, LIMIT, "the pre-tokenizer gives up on a text of %zu bytes (PCRE2 error %d)", n, why);
    return rc < 0 ? TOK_NOMEM(err, n) : OTR_OK;
}

void words_fini(struct words *w)
{
    free(w->end);
    free(w->next);
    pcre2_match_data_free(w->match);
    *w = (struct words){0};
}
