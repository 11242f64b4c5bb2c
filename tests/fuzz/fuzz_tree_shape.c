/* Fuzzes files of rank paths (--spec tree:build=medusa,shape=FILE). What is read is a sound shape, and a tree is built
 * by it; what is refused has its sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/fake_laws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void build_by(const char *path, int n)
{
    static struct tree t;
    const struct tree_opts o = {.top_k = 1, .depth = TREE_MAX, .nodes = TREE_MAX, .gain = -1, .shape = path};
    struct fake_laws f = {.seed = 3, .n_vocab = FAKE_V, .sharp = 1};
    const struct draft_ask ask = fake_ask(&f, 1, RULE_MULTI, TREE_MAX);
    struct tree_build *b = NULL;
    if (tree_build_open(&b, &tree_medusa, &o, 1, FAKE_V, NULL, NULL) < 0)
        abort();
    tree_clear(&t);
    if (tree_build_run(b, &fake_source, &f, &ask, 1, &t) < 0 || tree_check(&t, FAKE_V, TREE_MAX, NULL) < 0 || t.n != n)
        abort();
    tree_build_close(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    struct tree_shape s;
    struct otr_err err = {0};
    if (fd < 0) {
        fd = memfd_create("fuzz_tree_shape", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    const int rc = shape_read(&s, path, &err);
    if (rc < 0) {
        if (err.code != rc || !err.msg[0] || strchr(err.msg, '\n'))
            abort();
        return 0;
    }
    if (s.n < 1 || s.n > TREE_MAX)
        abort();
    for (int i = 0; i < s.n; i++)
        if (s.parent[i] < SHAPE_ROOT || s.parent[i] >= i || s.rank[i] < 0 || s.rank[i] >= TREE_KIDS ||
            shape_child(&s, s.parent[i], s.rank[i]) != i)
            abort();
    build_by(path, s.n);
    return 0;
}
