/* Floats to blocks: equal to the PyPI gguf package bit for bit (tests/golden/quant.golden, made by
 * tools/make_quant_golden.py, whose floats are made again here); what does not fit is told. And the GGUF writer: keys,
 * tensors, names, and failures that leave nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern/blocks.h"
#include "load/dequant.h"
#include "load/gguf_write.h"
#include "load/quant.h"
#include "support/gguf_build.h"

#define GOLDEN "tests/golden/quant.golden"

/* ---- blocks ---- */

static uint64_t splitmix64(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Block i of the tool's make_floats. */
static void make_floats(float *x, uint64_t seed, uint64_t i)
{
    const double scale = ldexp(1, (int)(i / 4 % 51) - 50);
    const uint64_t large = splitmix64(seed, 32 * i) % 32;
    for (uint64_t k = 0; k < 32; k++) {
        const uint64_t w = splitmix64(seed, 32 * i + k);
        const int whole = (int)(w & 0xffff) - 32768;
        const int few = (const int[]){17, 31, 255}[(i / 4 + i / 204) % 3];
        const int mod = (whole % few + few) % few, mod5 = (whole % 5 + 5) % 5; /* as Python's % */
        if (i % 4 == 0)
            x[k] = (float)(whole * scale);
        else if (i % 4 == 1)
            x[k] = (float)((k == 0 ? few - 1 : mod) * (scale / 2));
        else if (i % 4 == 2)
            x[k] = float_of_bits((uint32_t)(w & 0x807fffffu) | (uint32_t)((w >> 32) % 40 + 96) << 23);
        else
            x[k] = (float)((k == large ? whole : mod5) * scale);
    }
}

static void test_golden(void **state)
{
    char line[256], name[16];
    unsigned type, size, n_groups, group;
    uint64_t seed, want;
    int n_types = 0;
    (void)state;
    FILE *f = fopen(GOLDEN, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(strncmp(line, "# outrider-golden v1 ", 21), 0);
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(fscanf(f, "seed %" SCNu64 " groups %u of %u\n", &seed, &n_groups, &group), 3);
    while (fscanf(f, "type %15s %u %u\n", name, &type, &size) == 3) {
        assert_string_equal(ggml_type_name(type), name);
        assert_int_equal(block_bytes((enum ggml_type)type) * 32 / (size_t)block_values((enum ggml_type)type), size);
        n_types++;
        for (unsigned g = 0; g < n_groups; g++) {
            uint64_t h = 0xcbf29ce484222325u;
            for (unsigned i = g * group; i < (g + 1) * group; i++) {
                float x[32];
                uint8_t out[64 + 1];
                make_floats(x, seed, i);
                assert_true(quant_row((enum ggml_type)type, out + 1, x, 32)); /* + 1: no alignment is needed */
                for (unsigned k = 0; k < size; k++)
                    h = (h ^ out[1 + k]) * 0x100000001b3u;
            }
            assert_int_equal(fscanf(f, "%" SCNx64 "\n", &want), 1);
            if (h != want)
                fail_msg("%s, group %u of seed %" PRIu64 " differs from the gguf package", name, g, seed);
        }
    }
    assert_true(feof(f));
    assert_int_equal(n_types, 5);
    fclose(f);
}

/* Every finite half and bfloat16 comes back as it was. */
static void test_16_bits(void **state)
{
    int n_back = 0;
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        const uint8_t in[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
        for (int bf = 0; bf < 2; bf++) {
            const enum ggml_type type = bf ? GGML_BF16 : GGML_F16;
            uint8_t out[2];
            float x;
            dequant_row(type, &x, in, 1);
            assert_int_equal(quant_row(type, out, &x, 1), isfinite(x));
            assert_true(!isfinite(x) || memcmp(in, out, 2) == 0);
            n_back += isfinite(x);
        }
    }
    assert_int_equal(n_back, 2 * 65536 - 2 * 1024 - 2 * 128);
}

/* The largest values: a half rounds to infinity from 65520 on, a bfloat16 from 0x7f7f8000. */
static void test_fit(void **state)
{
    static const struct {
        enum ggml_type type;
        float x, other; /* the values of a block: the first one, and the rest */
        bool fits;
    } cases[] = {
        {GGML_F16, 65519.996f, 0, true},       {GGML_F16, -65520.0f, 0, false},
        {GGML_BF16, 0x1.fefffep127f, 0, true}, {GGML_BF16, -0x1.ffp127f, 0, false},
        {GGML_F32, 0x1.fffffep127f, 0, true},  {GGML_Q8_0, -127 * 65504.0f, 1, true},
        {GGML_Q8_0, 127 * 65520.0f, 1, false}, {GGML_Q4_0, 8 * 65504.0f, 1, true},
        {GGML_Q4_0, -8 * 65520.0f, 1, false},  {GGML_Q4_1, 15 * 65504.0f, 0, true},
        {GGML_Q4_1, 15 * 65520.0f, 0, false},  {GGML_Q4_1, -65504.0f, 0, true},
        {GGML_Q4_1, -65520.0f, 0, false},      {GGML_Q4_1, 0x1.fffffep127f, -0x1.fffffep127f, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int at = 0; at < 64; at += 21) { /* in either block of the row */
            float x[64];
            uint8_t out[256];
            for (int k = 0; k < 64; k++)
                x[k] = cases[i].other;
            x[at] = cases[i].x;
            if (quant_row(cases[i].type, out, x, 64) != cases[i].fits)
                fail_msg("%s of %g: wanted %d", ggml_type_name((uint32_t)cases[i].type), (double)cases[i].x,
                         cases[i].fits);
        }
    for (uint32_t type = 0; type < GGML_N_TYPES; type++) {
        const float bad[] = {INFINITY, -INFINITY, NAN, -NAN};
        if (!ggml_traits(type) || !quant_makes((enum ggml_type)type))
            continue;
        for (size_t i = 0; i < 4; i++) {
            float x[32] = {0};
            uint8_t out[128];
            assert_true(quant_row((enum ggml_type)type, out, x, 32));
            x[31] = bad[i];
            assert_false(quant_row((enum ggml_type)type, out, x, 32));
        }
    }
}

/* Blocks of zeros, and of values so small that 1 / scale is infinite (ggml leaves their codes undefined: here they are
 * those of zeros). The bytes are ggml-quants.c by hand; the floats come back as 0. */
static void test_tiny(void **state)
{
    static const struct {
        enum ggml_type type;
        size_t head; /* bytes before the codes */
        uint8_t code, sign;
    } cases[] = {{GGML_Q8_0, 2, 0, 0}, {GGML_Q4_0, 2, 0x88, 0x80}, {GGML_Q4_1, 4, 0, 0}}; /* Q4_0: d = 0 / -8 = -0 */
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int k = 0; k < 3; k++) {
            float x[32], y[32];
            uint8_t out[34];
            for (int i = 0; i < 32; i++)
                x[i] = k == 0 ? 0.0f : k == 1 ? -0.0f : (float)i * 0x1p-149f;
            assert_true(quant_row(cases[t].type, out, x, 32));
            assert_true(out[0] == 0 && out[1] == cases[t].sign);
            for (size_t i = cases[t].head; i < block_bytes(cases[t].type); i++)
                assert_int_equal(out[i], cases[t].code);
            dequant_row(cases[t].type, y, out, 32);
            for (int i = 0; i < 32; i++)
                assert_true(y[i] == 0);
        }
}

/* ---- the writer ---- */

static char folder[256];

static int make_folder(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/test_quantize_XXXXXX", tmp ? tmp : P_tmpdir);
    signal(SIGXFSZ, SIG_IGN);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a test has left something behind */
}

static const char *in_folder(const char *name)
{
    static char path[4][1024];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int n_files(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2; /* . and .. */
}

static uint8_t pattern(size_t tensor, size_t i)
{
    return (uint8_t)(17 * tensor + i);
}

/* A key of each type, names with zero bytes, three tensors: of F32, Q8_0, F32. */
static void build_model(struct gguf_build *b, uint32_t alignment)
{
    static const char *const strs[] = {"", "b", "a longer one"};
    gb_init(b);
    b->alignment = alignment;
    if (alignment != 32)
        gb_u32(b, "general.alignment", alignment);
    for (uint32_t type = GGUF_U8; type <= GGUF_F64; type++) {
        char key[32];
        if (type == GGUF_STR || type == GGUF_ARR)
            continue;
        snprintf(key, sizeof key, "scalar.%u", type);
        gb_key(b, key, type);
        for (size_t i = 0; i < gguf_scalar_bytes(type); i++)
            put_u8(&b->keys, type == GGUF_BOOL ? 1 : (uint8_t)(i + 1));
    }
    gb_str(b, "general.file_type", "a string, of all things"); /* is replaced whatever it was */
    gb_key(b, "text", GGUF_STR);
    put_str(&b->keys, "zero\0byte", 9);
    gb_arr(b, "numbers", GGUF_I16, 3, "\1\2\3\4\5\6", 6);
    gb_strs(b, "texts", strs, 3);
    gb_strs(b, "no texts", strs, 0);
    gb_u32(b, "last", 7);
    gb_tensor(b, "one", GGML_F32, 1, (const int64_t[]){33}, NULL);
    gb_tensor(b, "two", GGML_Q8_0, 3, (const int64_t[]){64, 3, 2}, NULL);
    gb_tensor(b, "three", GGML_F32, 2, (const int64_t[]){64, 5}, NULL);
}

static struct gguf *open_model(const struct gguf_build *b)
{
    struct gguf *g = NULL;
    struct otr_err err;
    gb_write(b, in_folder("in.gguf"));
    if (gguf_open(&g, in_folder("in.gguf"), &err) < 0)
        fail_msg("%s", err.msg);
    return g;
}

static const enum ggml_type new_types[3] = {GGML_F32, GGML_Q4_0, GGML_Q8_0};
static const size_t new_bytes[3] = {33 * 4, 12 * 18, 10 * 34};
static const struct gguf_u32 set[] = {{"general.file_type", 2}, {"general.quantization_version", 4000000000u}};

static int put_tensors(struct gguf_writer *w, size_t step, struct otr_err *err)
{
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < new_bytes[t]; i += step) {
            uint8_t part[512];
            const size_t n = new_bytes[t] - i < step ? new_bytes[t] - i : step;
            for (size_t k = 0; k < n; k++)
                part[k] = pattern(t, i + k);
            const int rc = gguf_writer_put(w, part, n, err);
            if (rc < 0)
                return rc;
        }
    return OTR_OK;
}

static void write_whole(const struct gguf *g, const char *path)
{
    const struct gguf_head h = {g, set, 2, new_types};
    struct gguf_writer *w = NULL;
    struct otr_err err;
    const uint64_t file = gguf_file_bytes(g);
    if (gguf_writer_open(&w, path, &h, &err) < 0 || put_tensors(w, 100, &err) < 0 || gguf_writer_commit(w, &err) < 0)
        fail_msg("%s", err.msg);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, gguf_writer_bytes(w));
    assert_int_equal(gguf_file_bytes(g), file);
    gguf_writer_close(w);
}

static bool same_str(struct gguf_str a, struct gguf_str b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* Bytes of a value that stand behind kv.data. */
static size_t value_bytes(const struct gguf_kv *kv)
{
    if (kv->type == GGUF_STR)
        return kv->arr.n;
    if (kv->type != GGUF_ARR)
        return gguf_scalar_bytes((uint32_t)kv->type);
    if (kv->arr.type != GGUF_STR)
        return 12 + kv->arr.n * gguf_scalar_bytes((uint32_t)kv->arr.type);
    struct gguf_str s[8] = {{NULL, 0}};
    assert_true(kv->arr.n < 8);
    gguf_arr_strings(&kv->arr, s);
    return kv->arr.n ? (size_t)((const unsigned char *)s[kv->arr.n - 1].p - kv->data) + s[kv->arr.n - 1].n : 12;
}

/* g was written to path: all keys in their order, set ones replaced or behind, split ones gone; the tensors' bytes. */
static void check_written(const struct gguf *g, const char *path, size_t n_split_keys)
{
    struct gguf *o = NULL;
    struct otr_err err;
    int64_t v;
    size_t at = 0;
    if (gguf_open(&o, path, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(gguf_version(o), 3);
    assert_int_equal(gguf_n_kv(o), gguf_n_kv(g) - n_split_keys + 1); /* one of the two set keys is new */
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv a = gguf_kv_at(g, i);
        if (a.key.n > 6 && memcmp(a.key.p, "split.", 6) == 0)
            continue;
        const struct gguf_kv b = gguf_kv_at(o, at++);
        assert_true(same_str(a.key, b.key));
        if (a.key.n == strlen(set[0].key) && memcmp(a.key.p, set[0].key, a.key.n) == 0)
            continue;
        assert_int_equal(a.type, b.type);
        assert_int_equal(value_bytes(&a), value_bytes(&b));
        assert_memory_equal(a.data, b.data, value_bytes(&a));
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gguf_get_int(o, set[i].key, 0, UINT32_MAX, &v, &err), OTR_OK);
        assert_int_equal(v, set[i].value);
    }
    assert_int_equal(gguf_n_tensors(o), gguf_n_tensors(g));
    for (size_t i = 0; i < 3; i++) {
        const struct gguf_tensor *a = gguf_tensor_at(g, i), *b = gguf_tensor_at(o, i);
        assert_true(same_str(a->name, b->name));
        assert_int_equal(a->n_dims, b->n_dims);
        assert_memory_equal(a->ne, b->ne, sizeof a->ne);
        assert_int_equal(b->type, new_types[i]);
        assert_int_equal(b->bytes, new_bytes[i]);
        for (size_t k = 0; k < b->bytes; k++)
            assert_int_equal(b->data[k], pattern(i, k));
    }
    gguf_close(o);
    assert_int_equal(unlink(path), 0);
}

static void test_write(void **state)
{
    static const uint32_t alignments[] = {8, 32, 65536};
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct gguf_build b;
        build_model(&b, alignments[i / 2]);
        b.version = i % 2 ? 2 : 3;
        struct gguf *g = open_model(&b);
        write_whole(g, in_folder("out.gguf"));
        check_written(g, in_folder("out.gguf"), 0);
        gguf_close(g);
        gb_free(&b);
        unlink(in_folder("in.gguf"));
        assert_int_equal(n_files(), 0);
    }
}

static void test_write_split(void **state)
{
    static const char *const names[] = {"one", "two", "three"};
    static const int64_t ne[][3] = {{33, 1, 1}, {64, 3, 2}, {64, 5, 1}};
    static const int n_dims[] = {1, 3, 2};
    struct gguf *g = NULL;
    struct otr_err err;
    char part[3][64];
    (void)state;
    for (uint32_t no = 0; no < 3; no++) {
        struct gguf_build b;
        gb_init(&b);
        if (no == 0)
            gb_u32(&b, "general.file_type", 0);
        gb_u32(&b, "split.no", no);
        gb_u32(&b, "split.count", 3);
        gb_u32(&b, "split.tensors.count", 3);
        gb_u32(&b, "split", 3); /* only begins like them */
        gb_tensor(&b, names[no], GGML_F32, n_dims[no], ne[no], NULL);
        snprintf(part[no], sizeof part[no], "in-%05u-of-00003.gguf", no + 1);
        gb_write(&b, in_folder(part[no]));
        gb_free(&b);
    }
    if (gguf_open(&g, in_folder(part[0]), &err) < 0)
        fail_msg("%s", err.msg);
    write_whole(g, in_folder("out.gguf"));
    check_written(g, in_folder("out.gguf"), 3);
    struct gguf_writer *w = NULL;
    const struct gguf_head h = {g, set, 2, new_types};
    for (int no = 0; no < 3; no++) { /* none of them may be overwritten */
        assert_int_equal(gguf_writer_open(&w, in_folder(part[no]), &h, &err), OTR_E_ARG);
        assert_non_null(strstr(err.msg, "it is the model that is read"));
        assert_null(w);
    }
    gguf_close(g);
    for (int no = 0; no < 3; no++)
        unlink(in_folder(part[no]));
    assert_int_equal(n_files(), 0);
}

static void test_names(void **state)
{
    struct gguf_build b;
    struct gguf_writer *w = NULL;
    struct otr_err err;
    struct stat st;
    char longest[256] = {0};
    (void)state;
    build_model(&b, 32);
    struct gguf *g = open_model(&b);
    const struct gguf_head h = {g, set, 2, new_types};
    memset(longest, 'n', 255);
    write_whole(g, in_folder(longest)); /* the temporary name is no longer */
    check_written(g, in_folder(longest), 0);

    int fd = open(in_folder("old"), O_CREAT | O_WRONLY, 0640); /* an existing file is replaced and keeps its mode */
    assert_int_equal(write(fd, "old", 3), 3);
    close(fd);
    chmod(in_folder("old"), 0640);
    assert_int_equal(symlink("old", in_folder("link")), 0);
    write_whole(g, in_folder("link"));
    assert_int_equal(lstat(in_folder("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(in_folder("old"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    check_written(g, in_folder("old"), 0);
    unlink(in_folder("link"));

    longest[254] = 0;
    char over[300];
    snprintf(over, sizeof over, "%s%s", longest, "xx");
    const struct {
        const char *path, *why;
    } bad[] = {
        {"", "its name is empty"},
        {folder, "it is a folder"},
        {in_folder("new/"), "it is a folder"},
        {in_folder("no/out"), "No such file"},
        {in_folder(over), "name too long"},
        {"/dev/null", "no regular file"},
        {"/proc/out.gguf", "no file can be made in its folder"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(gguf_writer_open(&w, bad[i].path, &h, &err) < 0);
        if (!strstr(err.msg, bad[i].why))
            fail_msg("'%s': said '%s', wanted '%s'", bad[i].path, err.msg, bad[i].why);
        assert_null(w);
    }
    gguf_close(g);
    gb_free(&b);
    unlink(in_folder("in.gguf"));
    assert_int_equal(n_files(), 0);
}

/* A write that fails in the head, in a tensor, at the end; each leaves the old file as it was. */
static void test_no_room(void **state)
{
    struct gguf_build b;
    struct gguf_writer *w = NULL;
    struct otr_err err;
    struct rlimit old, small;
    struct stat st;
    (void)state;
    build_model(&b, 65536); /* so that tensors do not stay in the buffer */
    struct gguf *g = open_model(&b);
    const struct gguf_head h = {g, set, 2, new_types};
    const int fd = open(in_folder("out"), O_CREAT | O_WRONLY, 0644);
    assert_int_equal(write(fd, "old", 3), 3);
    close(fd);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (int limit = 0; limit < 4; limit++) {
        small = old;
        small.rlim_cur = 100 + 65536 * (rlim_t)limit;
        if (limit == 0)
            setrlimit(RLIMIT_FSIZE, &small);
        int rc = gguf_writer_open(&w, in_folder("out"), &h, &err);
        assert_true(limit == 0 ? rc == OTR_E_IO && !w : rc == OTR_OK);
        setrlimit(RLIMIT_FSIZE, &small);
        if (rc == OTR_OK && (rc = put_tensors(w, 512, &err)) == OTR_OK)
            rc = gguf_writer_commit(w, &err);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_int_equal(rc, OTR_E_IO);
        assert_non_null(strstr(err.msg, "File too large (the file takes 262144 bytes)"));
        gguf_writer_close(w);
        w = NULL;
        assert_int_equal(n_files(), 2);
        assert_int_equal(stat(in_folder("out"), &st), 0);
        assert_int_equal(st.st_size, 3);
    }
    gguf_close(g);
    gb_free(&b);
    unlink(in_folder("in.gguf"));
    unlink(in_folder("out"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_16_bits), cmocka_unit_test(test_fit),
        cmocka_unit_test(test_tiny),   cmocka_unit_test(test_write),   cmocka_unit_test(test_write_split),
        cmocka_unit_test(test_names),  cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
