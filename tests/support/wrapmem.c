/* See wrapmem.h. */
#include "support/wrapmem.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

long wrapmem_count, wrapmem_fail_at, wrapmem_open;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
int __real_posix_memalign(void **out, size_t align, size_t n);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void __real_free(void *p);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
int __wrap_posix_memalign(void **out, size_t align, size_t n);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
void __wrap_free(void *p);

static bool fails(void)
{
    if (gettid() == getpid())
        wrapmem_count++;
    long left = __atomic_load_n(&wrapmem_fail_at, __ATOMIC_RELAXED);
    while (left > 0 &&
           !__atomic_compare_exchange_n(&wrapmem_fail_at, &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    if (left != 1)
        return false;
    errno = ENOMEM;
    return true;
}

static void more_open(long n)
{
    __atomic_fetch_add(&wrapmem_open, n, __ATOMIC_RELAXED);
}

static void *opened(void *p)
{
    more_open(p != NULL);
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : opened(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : opened(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    void *q = __real_realloc(p, n);
    more_open(!p && q);
    return q;
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : opened(__real_aligned_alloc(align, n));
}

int __wrap_posix_memalign(void **out, size_t align, size_t n)
{
    const int rc = fails() ? ENOMEM : __real_posix_memalign(out, align, n);
    more_open(rc == 0);
    return rc;
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    return fails() ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, off);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : opened(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : opened(__real_strndup(s, n));
}

void __wrap_free(void *p)
{
    more_open(-(p != NULL));
    __real_free(p);
}
