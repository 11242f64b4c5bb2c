/* The cases of the enumeration: every law rule on every shape, kind of entry and model. */
#ifndef OTR_TESTS_LAW_CASES_H
#define OTR_TESTS_LAW_CASES_H

#include "support/law.h"

struct law_totals {
    long n_case, n_run;
    double worst;
};
/* n_model random models of a seed; a case whose drafts alone have more than max_drafts outcomes gets a model with
 * proposals of fewer tokens; every fifth model may have five times as many. Cases at 1e-12 or above are printed. */
void law_cases_run(uint64_t seed, int n_model, int max_drafts, struct law_totals *out);

#endif
