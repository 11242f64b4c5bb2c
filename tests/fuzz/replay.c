/* Runs a fuzzer's entry over every file of a folder, so that what was once found is tried by every `make check`.
 * In: the folder. Out: exit status 0, or 1 when the folder is missing or empty; a crash is a crash. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_file(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* False when it cannot be read. WHY malloc of the exact size: the sanitizer then sees a read past the end. */
static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    long n = -1;
    if (fseek(f, 0, SEEK_END) == 0)
        n = ftell(f);
    uint8_t *data = n < 0 ? NULL : malloc((size_t)n ? (size_t)n : 1);
    rewind(f);
    const int ok = data && fread(data, 1, (size_t)n, f) == (size_t)n;
    fclose(f);
    if (ok)
        LLVMFuzzerTestOneInput(data, (size_t)n);
    free(data);
    return ok;
}

int main(int argc, char **argv)
{
    struct dirent **files;
    int passed = 0, failed = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    const int n = scandir(argv[1], &files, is_file, alphasort);
    if (n <= 0) {
        fprintf(stderr, "%s: %s\n", argv[1], n < 0 ? "cannot be read" : "no files");
        return 1;
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], files[i]->d_name);
        if (replay(path)) {
            passed++;
        } else {
            fprintf(stderr, "%s: cannot be read\n", path);
            failed++;
        }
        free(files[i]);
    }
    free(files);
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
