/* A growable list of token ids. Init with {0}; ids_free releases. */
#ifndef OTR_BASE_IDS_H
#define OTR_BASE_IDS_H

#include <stddef.h>
#include <stdint.h>

struct ids {
    int32_t *v;
    size_t n, cap;
};

int ids_push(struct ids *l, int32_t id); /* OTR_OK or OTR_E_NOMEM (list unchanged) */
void ids_free(struct ids *l);            /* and back to {0} */

#endif
