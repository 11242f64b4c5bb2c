/* Owns the writing of a file beside its name and the rename. See replace_file.h. */
#include "base/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

bool replace_open(struct replace_file *r, const char *path, unsigned mode)
{
    enum { TRIES = 100 }; /* names that a killed process may have left behind */
    static _Atomic unsigned count;
    int fd = -1;
    r->f = NULL;
    if (snprintf(r->path, sizeof r->path, "%s", path) >= (int)sizeof r->path) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (int i = 0; i < TRIES && fd < 0 && (i == 0 || errno == EEXIST); i++) {
        snprintf(r->temp, sizeof r->temp, "%s.%ld.%u", path, (long)getpid(), atomic_fetch_add(&count, 1));
        fd = open(r->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    }
    if (fd >= 0 && !(r->f = fdopen(fd, "w"))) {
        close(fd);
        unlink(r->temp);
    }
    return r->f != NULL;
}

bool replace_close(struct replace_file *r, bool keep)
{
    int why = errno; /* of the write that failed, if one did */
    keep = keep && !ferror(r->f);
    const bool closed = fclose(r->f) == 0; /* some file systems tell only now */
    if (keep && !(closed && rename(r->temp, r->path) == 0)) {
        why = errno;
        keep = false;
    }
    if (!keep)
        unlink(r->temp);
    errno = why;
    return keep;
}
