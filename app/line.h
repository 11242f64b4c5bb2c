/* One line from a person: edited with libedit on a terminal, read as it is from anything else. */
#ifndef OTR_APP_LINE_H
#define OTR_APP_LINE_H

#include "base/err.h"

struct line_reader;

int line_open(struct line_reader **out, struct otr_err *err);
void line_close(struct line_reader *r);

/* The next line without its newline, as a view until the next call; NULL: the end (*interrupted false), or Ctrl-C was
 * pressed. It goes into the history. */
const char *line_read(struct line_reader *r, const char *prompt, bool *interrupted);

#endif
