/* Small files that may be lost at any time: what was measured of this machine, so that it need not be measured again.
 * A file is replaced whole, by a rename: who reads while others write gets one of the versions. Failing is no error:
 * the caller measures again. */
#ifndef OTR_BASE_CACHE_FILE_H
#define OTR_BASE_CACHE_FILE_H

#include <stddef.h>

/* Reads dir/name as text, with a zero byte at its end. -1: there is no such regular file of less than cap bytes without
 * zero bytes; buf is "" then. */
int cache_read(char *buf, size_t cap, const char *dir, const char *name);
/* Makes dir where it is missing (mode 0700), then dir/name. -1: the old file, if any, is untouched. */
int cache_write(const char *dir, const char *name, const char *text, size_t n);

/* The size of this machine's data cache of a level, 1..3, that core 0 sees. 0: not known. */
size_t cache_bytes(int level);

#endif
