/* What speculation did, for people and for programs. */
#ifndef OTR_APP_SPEC_SHOW_H
#define OTR_APP_SPEC_SHOW_H

#include <stdio.h>

#include <jansson.h>

#include "outrider/outrider.h"

/* The "speculative" block of run --json (product.md section 2): null where nothing was drafted. */
json_t *spec_json(const struct otr_gen_result *r);
/* One line: method, acceptance length, acceptance by position, shares of the time. Nothing where nothing was drafted.
 */
void spec_line(FILE *out, const struct otr_gen_result *r);
/* The colour of a method for --show-drafts, as a terminal sequence; NULL: not drafted. */
const char *spec_colour(const char *method);
int spec_help(void); /* --spec help: methods and rules, a line each; returns an exit status */

#endif
