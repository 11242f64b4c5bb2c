/* A file that is replaced whole: written beside its name, then renamed, so that a reader gets the old one or the new
 * one, and a full disk leaves the old one and nothing else. Any number of writers may be at it at once. */
#ifndef OTR_BASE_REPLACE_FILE_H
#define OTR_BASE_REPLACE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

struct replace_file {
    FILE *f; /* to write to */
    char path[PATH_MAX], temp[PATH_MAX + 32];
};

/* mode: of the new file, less the umask. false, with errno: it cannot be made; nothing is open. */
bool replace_open(struct replace_file *r, const char *path, unsigned mode);
/* keep: all was written. false, with errno: something of it failed, or keep was false; the old file stands. */
bool replace_close(struct replace_file *r, bool keep);

#endif
