/* Owns the reply text of a generation. See emit.h. */
#include "emit/emit.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* A reply is valid UTF-8, so another stop string would never be found, or cut a character in two. */
static int check_stop(const char *stop, struct otr_err *err)
{
    const size_t n = stop ? strlen(stop) : 0;
    if (n == 0)
        return OTR_FAIL(err, ARG, "an empty stop string");
    uint32_t cp;
    for (size_t i = 0, len; i < n; i += len)
        if ((len = utf8_char(stop + i, n - i, &cp)) == 0)
            return OTR_FAIL(err, ARG, "a stop string that is not UTF-8 (byte %zu of '%s')", i, stop);
    return OTR_OK;
}

int emit_open(struct emitter *e, const struct emit_opts *o, struct otr_err *err)
{
    *e = (struct emitter){.o = *o};
    for (size_t i = 0; i < o->n_stops; i++) {
        const int rc = check_stop(o->stops[i], err);
        if (rc < 0)
            return rc;
        const size_t n = strlen(o->stops[i]);
        e->longest_stop = n > e->longest_stop ? n : e->longest_stop;
    }
    detok_init(&e->detok, o->tok, false, o->at_start);
    return emit_reserve(e, err);
}

void emit_close(struct emitter *e)
{
    free(e->text);
    e->text = NULL;
}

int emit_reserve(struct emitter *e, struct otr_err *err)
{
    const size_t need = e->n_text + detok_max(e->o.tok) + 8; /* a held character, and the end */
    if (need <= e->cap)
        return OTR_OK;
    const size_t cap = need * 2 > e->o.n_likely ? need * 2 : e->o.n_likely;
    char *p = realloc(e->text, cap);
    if (!p)
        return OTR_FAIL(err, NOMEM, "no memory for %zu bytes of reply", cap);
    e->text = p;
    e->cap = cap;
    return OTR_OK;
}

/* Where the stop string begins that is complete first in the text from `from` on, the longest of several; n_text: none.
 * WHY first complete, not first begun: so the borders of tokens make no difference. */
static size_t find_stop(const struct emitter *e, size_t from)
{
    size_t best = e->n_text, best_end = e->n_text + 1;
    for (size_t i = 0; i < e->o.n_stops; i++) {
        const size_t n = strlen(e->o.stops[i]);
        const char *hit = memmem(e->text + from, e->n_text - from, e->o.stops[i], n);
        if (!hit)
            continue;
        const size_t at = (size_t)(hit - e->text);
        if (at + n < best_end || (at + n == best_end && at < best)) {
            best = at;
            best_end = at + n;
        }
    }
    return best;
}

/* Where the longest end of the text begins that is a proper prefix of a stop string. */
static size_t hold_from(const struct emitter *e)
{
    size_t at = e->n_text > e->longest_stop ? e->n_text - e->longest_stop : 0;
    for (at = at > e->n_sent ? at : e->n_sent; at < e->n_text; at++)
        for (size_t i = 0; i < e->o.n_stops; i++) {
            const size_t n = e->n_text - at;
            if (n < strlen(e->o.stops[i]) && memcmp(e->text + at, e->o.stops[i], n) == 0)
                return at;
        }
    return e->n_text;
}

/* Gives away the text up to `end`. Where the caller wants no more, that is where the text ends. */
static bool send_up_to(struct emitter *e, size_t end, int32_t id)
{
    const size_t from = e->n_sent;
    e->n_sent = end;
    const bool go = end == from || !e->o.on_text || e->o.on_text(e->o.user, e->text + from, end - from, id);
    if (!go)
        e->n_text = end;
    return go;
}

static enum emit_verdict settle(struct emitter *e, int32_t id, bool last)
{
    const size_t stop = find_stop(e, e->n_sent);
    if (stop < e->n_text) {
        e->n_text = stop;
        return send_up_to(e, stop, id) ? EMIT_STOP_STRING : EMIT_ABORT;
    }
    return send_up_to(e, last ? e->n_text : hold_from(e), id) ? EMIT_GO : EMIT_ABORT;
}

enum emit_verdict emit_token(struct emitter *e, int32_t id)
{
    e->n_text += detok_push(&e->detok, id, e->text + e->n_text, e->cap - e->n_text);
    return settle(e, id, false);
}

enum emit_verdict emit_finish(struct emitter *e, int32_t last_id)
{
    e->n_text += detok_flush(&e->detok, e->text + e->n_text, e->cap - e->n_text);
    return settle(e, last_id, true);
}
