/* The terminal chat of `run`. Needs a model with a chat template. */
#ifndef OTR_APP_CHAT_H
#define OTR_APP_CHAT_H

#include "run_opts.h"

int chat(const struct run_opts *o); /* exit status */

#endif
