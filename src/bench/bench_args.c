/* Owns what is common to both measurements: lists and types as people write them, the record of the machine.
 * See bench.h. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/cache_file.h"
#include "load/gguf.h"

const enum ggml_type bench_types[BENCH_N_TYPE] = {GGML_Q4_0, GGML_Q4_1, GGML_Q5_0, GGML_Q5_1, GGML_Q8_0, GGML_Q4_K,
                                                  GGML_Q5_K, GGML_Q6_K, GGML_F16,  GGML_BF16, GGML_F32};

int bench_parse_ints(const char *text, const char *flag, int lo, int hi, int *out, int cap, struct otr_err *err)
{
    char q[60];
    int n = 0;
    err_quote(q, sizeof q, text, strlen(text));
    for (const char *p = text;; p++) {
        char *end;
        const bool digit = *p >= '0' && *p <= '9';
        const long v = digit ? strtol(p, &end, 10) : -1;
        if (!digit || (*end != ',' && *end))
            return OTR_FAIL(err, ARG, "bad value (%s): '%s' is not a list of whole numbers (16,256,1024)", flag, q);
        if (v < lo || v > hi)
            return OTR_FAIL(err, ARG, "bad value (%s): a number of '%s' is outside of %d..%d", flag, q, lo, hi);
        if (n == cap)
            return OTR_FAIL(err, ARG, "bad value (%s): more than %d numbers", flag, cap);
        out[n++] = (int)v;
        if (!*end)
            return n;
        p = end;
    }
}

int bench_parse_type(const char *text, enum ggml_type *out, struct otr_err *err)
{
    char q[40];
    for (int i = 0; i < BENCH_N_TYPE; i++)
        if (strcasecmp(text, ggml_type_name((uint32_t)bench_types[i])) == 0) {
            *out = bench_types[i];
            return OTR_OK;
        }
    return OTR_FAIL(err, ARG,
                    "bad value (--type): '%s' is none of Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K F16 BF16 F32",
                    err_quote(q, sizeof q, text, strlen(text)));
}

int bench_default_mb(size_t l3_bytes)
{
    enum { LEAST = 600, MOST = 1200 };
    const size_t mb = 10 * (l3_bytes >> 20);
    return mb < LEAST ? LEAST : mb > MOST ? MOST : (int)mb;
}

struct bench_machine bench_machine(struct team *t)
{
    enum { POLL_MS = 1000 };
    return (struct bench_machine){.level = t->k->level,
                                  .n_threads = pool_n_threads(t->pool),
                                  .l3_bytes = cache_bytes(3),
                                  .lost_frac = team_lost_frac(t, POLL_MS),
                                  .barrier_ns = team_barrier_ns(t)};
}
