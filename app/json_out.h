/* One JSON object on stdout. */
#ifndef OTR_APP_JSON_OUT_H
#define OTR_APP_JSON_OUT_H

#include <stdbool.h>

#include <jansson.h>

/* Prints v on one line and releases it. False, after a message, when v is NULL (no memory) or cannot be written;
 * cli_close_stdout reports the latter. */
bool json_print(json_t *v);

#endif
