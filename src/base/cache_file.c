/* Owns the reading and replacing of small files, and what the system says of the caches. See cache_file.h. */
#include "base/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/replace_file.h"

/* As many bytes as there are, at most n; -1: an error. */
static ssize_t read_all(int fd, char *buf, size_t n)
{
    size_t got = 0;
    while (got < n) {
        const ssize_t r = read(fd, buf + got, n - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

int cache_read(char *buf, size_t cap, const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    ssize_t n = -1;
    buf[0] = 0;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return -1;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe must not hold us up */
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = read_all(fd, buf, cap);
    close(fd);
    if (n < 0 || (size_t)n >= cap || memchr(buf, 0, (size_t)n)) {
        buf[0] = 0;
        return -1;
    }
    buf[n] = 0;
    return 0;
}

static int make_dirs(const char *dir)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path || !*dir)
        return -1;
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        mkdir(path, 0700); /* most are there; the last one tells */
        *p = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

int cache_write(const char *dir, const char *name, const char *text, size_t n)
{
    char path[PATH_MAX];
    struct replace_file r;
    if (make_dirs(dir) < 0 || snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path ||
        !replace_open(&r, path, 0600))
        return -1;
    return replace_close(&r, fwrite(text, 1, n, r.f) == n) ? 0 : -1;
}

size_t cache_bytes(int level)
{
    char path[80], unit = 0;
    size_t n = 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", level == 1 ? 0 : level);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%zu%c", &n, &unit) < 1)
        n = 0;
    fclose(f);
    return unit == 'K' ? n << 10 : unit == 'M' ? n << 20 : n;
}
