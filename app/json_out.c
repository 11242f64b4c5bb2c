/* Owns the writing of JSON results. See json_out.h; read next: run.c. */
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

bool json_print(json_t *v)
{
    struct otr_err err;
    char *s = v ? json_dumps(v, JSON_REAL_PRECISION(10)) : NULL;
    json_decref(v);
    if (!s) {
        OTR_FAIL(&err, NOMEM, "cannot write the result (--json): out of memory");
        cli_fail(&err);
        return false;
    }
    const bool ok = cli_write(s, strlen(s)) && cli_write("\n", 1);
    free(s);
    return ok;
}
