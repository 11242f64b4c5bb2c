/* The GGUF loader: every broken file of tests/support/gguf_cases.c is refused with its sentence, right ones are read,
 * typed getters, split models, and what stands where a file should be.
 * `test_gguf --corpus DIR` writes the cases as seeds of the fuzzer (tests/fuzz/corpus/gguf). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/gguf_cases.h"

/* ---- files in memory, and a folder for those that need names ---- */

struct opened {
    int fd, rc;
    char path[64];
    struct gguf *g;
    struct otr_err err;
};

static struct opened open_build(const struct gguf_build *b)
{
    struct opened o = {0};
    struct bytes f = gb_file(b);
    o.fd = memory_file(f.p, f.n, o.path);
    free(f.p);
    o.rc = gguf_open(&o.g, o.path, &o.err);
    return o;
}

static void close_opened(struct opened *o)
{
    gguf_close(o->g);
    close(o->fd);
}

static char folder[256];

static const char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/test_gguf_XXXXXX", tmp ? tmp : P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails if a test left something there */
}

#define assert_says(err, part)                                                                                         \
    do {                                                                                                               \
        if (!strstr((err)->msg, (part)))                                                                               \
            fail_msg("'%s' does not say '%s'", (err)->msg, (part));                                                    \
    } while (0)

/* ---- the cases ---- */

static void check_case(void *user, const char *id, const char *want, const struct gguf_build *b)
{
    int *n_refused = user;
    struct opened o = open_build(b);
    char start[96];
    if (!*want) {
        if (o.rc != OTR_OK)
            fail_msg("%s: refused: %s", id, o.err.msg);
        close_opened(&o);
        return;
    }
    ++*n_refused;
    if (o.rc >= 0)
        fail_msg("%s: accepted, expected '%s'", id, want);
    snprintf(start, sizeof start, "cannot read model (%s): ", o.path);
    if (o.g || o.rc != o.err.code || strncmp(o.err.msg, start, strlen(start)) != 0 || !strstr(o.err.msg, want))
        fail_msg("%s: code %d, '%s', expected '%s'", id, o.rc, o.err.msg, want);
    assert_int_equal(gguf_open(&o.g, o.path, NULL), o.rc); /* the same without a place for the sentence */
    assert_null(o.g);
    close_opened(&o);
}

static void test_cases(void **state)
{
    int n_refused = 0;
    (void)state;
    gguf_cases(check_case, &n_refused);
    assert_true(n_refused > 70);
}

/* Every prefix of a right file is refused, and none is read past its end (the mapping's end is the page's, so a reader
 * that goes too far finds zeros: they must not pass for values). */
static void test_every_prefix(void **state)
{
    struct gguf_build b;
    const char *strs[] = {"one", "", "three"};
    (void)state;
    gb_init(&b);
    gb_str(&b, "general.architecture", "llama");
    gb_strs(&b, "s", strs, 3);
    gb_bool(&b, "b", true);
    gb_tensor(&b, "t", GGML_F32, 2, (const int64_t[]){3, 2}, NULL);
    gb_tensor(&b, "u", GGML_Q8_0, 1, (const int64_t[]){64}, NULL);
    struct bytes f = gb_file(&b);
    for (b.cut = 1; b.cut < f.n; b.cut++) {
        struct opened o = open_build(&b);
        if (o.rc != OTR_E_FORMAT || o.g)
            fail_msg("the first %zu of %zu bytes: code %d", f.n - b.cut, f.n, o.rc);
        close_opened(&o);
    }
    b.cut = 0;
    struct opened o = open_build(&b);
    assert_int_equal(o.rc, OTR_OK);
    close_opened(&o);
    free(f.p);
    gb_free(&b);
}

/* ---- values ---- */

static void put_key_i64(struct gguf_build *b, const char *key, uint32_t type, int64_t v, size_t bytes)
{
    gb_key(b, key, type);
    put(&b->keys, &v, bytes);
}

static void test_integers(void **state)
{
    static const struct {
        const char *key;
        uint32_t type;
        size_t bytes;
        int64_t v;
    } ints[] = {
        {"u8", GGUF_U8, 1, 255},         {"i8", GGUF_I8, 1, -128},         {"u16", GGUF_U16, 2, 65535},
        {"i16", GGUF_I16, 2, -32768},    {"u32", GGUF_U32, 4, 4294967295}, {"i32", GGUF_I32, 4, INT32_MIN},
        {"u64", GGUF_U64, 8, INT64_MAX}, {"i64", GGUF_I64, 8, INT64_MIN},
    };
    struct gguf_build b;
    struct otr_err err;
    int64_t v;
    (void)state;
    gb_init(&b);
    for (size_t i = 0; i < 8; i++)
        put_key_i64(&b, ints[i].key, ints[i].type, ints[i].v, ints[i].bytes);
    put_key_i64(&b, "big", GGUF_U64, -1, 8);
    gb_f32(&b, "float", 1);
    gb_bool(&b, "bool", true);
    struct opened o = open_build(&b);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(gguf_get_int(o.g, ints[i].key, INT64_MIN, INT64_MAX, &v, &err), OTR_OK);
        assert_true(v == ints[i].v);
        assert_int_equal(gguf_get_int(o.g, ints[i].key, ints[i].v, ints[i].v, &v, &err), OTR_OK);
        v = 7;
        if (ints[i].v != INT64_MAX)
            assert_int_equal(gguf_get_int(o.g, ints[i].key, ints[i].v + 1, INT64_MAX, &v, &err), OTR_E_FORMAT);
        if (ints[i].v != INT64_MIN)
            assert_int_equal(gguf_get_int(o.g, ints[i].key, INT64_MIN, ints[i].v - 1, &v, &err), OTR_E_FORMAT);
        assert_int_equal(v, 7);
    }
    assert_int_equal(gguf_get_int(o.g, "u8", 1, 12, &v, &err), OTR_E_FORMAT);
    assert_says(&err, "key u8 at offset 38 is 255, expected 1 to 12");
    assert_int_equal(gguf_get_int(o.g, "big", INT64_MIN, INT64_MAX, &v, &err), OTR_E_FORMAT);
    assert_says(&err, "is 18446744073709551615");
    assert_int_equal(gguf_get_int(o.g, "float", 0, 9, &v, &err), OTR_E_FORMAT);
    assert_says(&err, "has type f32, expected an integer");
    assert_int_equal(gguf_get_int(o.g, "bool", 0, 9, &v, &err), OTR_E_FORMAT);
    assert_int_equal(gguf_get_int(o.g, "none", 0, 9, &v, &err), OTR_E_MISSING);
    assert_says(&err, "key none is not there");
    assert_int_equal(gguf_get_int(o.g, "none", 0, 9, &v, NULL), OTR_E_MISSING);
    assert_int_equal(v, 7);
    close_opened(&o);
    gb_free(&b);
}

static void test_floats_bools_strings(void **state)
{
    struct gguf_build b;
    struct otr_err err;
    double d = 7;
    const double half = 0.5;
    bool flag = false;
    struct gguf_str s;
    (void)state;
    gb_init(&b);
    gb_f32(&b, "f32", 1e-5f);
    gb_key(&b, "f64", GGUF_F64);
    put(&b.keys, &half, 8);
    gb_f32(&b, "nan", NAN);
    gb_f32(&b, "inf", INFINITY);
    gb_bool(&b, "yes", true);
    gb_str(&b, "str", "text");
    gb_str(&b, "empty", "");
    gb_u32(&b, "one", 1);
    struct opened o = open_build(&b);
    assert_int_equal(gguf_get_float(o.g, "f32", 0, 1, &d, &err), OTR_OK);
    assert_true(d == (double)1e-5f);
    assert_int_equal(gguf_get_float(o.g, "f64", 0.5, 0.5, &d, &err), OTR_OK);
    assert_true(d == 0.5);
    assert_int_equal(gguf_get_float(o.g, "nan", -HUGE_VAL, HUGE_VAL, &d, &err), OTR_E_FORMAT);
    assert_int_equal(gguf_get_float(o.g, "inf", 0, 1e38, &d, &err), OTR_E_FORMAT);
    assert_says(&err, "key inf at offset 100 is inf, expected 0 to 1e+38");
    assert_int_equal(gguf_get_float(o.g, "one", 0, 9, &d, &err), OTR_E_FORMAT);
    assert_int_equal(gguf_get_float(o.g, "none", 0, 9, &d, &err), OTR_E_MISSING);
    assert_true(d == 0.5);
    assert_int_equal(gguf_get_bool(o.g, "yes", &flag, &err), OTR_OK);
    assert_true(flag);
    assert_int_equal(gguf_get_bool(o.g, "one", &flag, &err), OTR_E_FORMAT);
    assert_says(&err, "has type u32, expected bool");
    assert_int_equal(gguf_get_bool(o.g, "none", &flag, &err), OTR_E_MISSING);
    assert_int_equal(gguf_get_str(o.g, "str", &s, &err), OTR_OK);
    assert_int_equal(s.n, 4);
    assert_memory_equal(s.p, "text", 4);
    assert_int_equal(gguf_get_str(o.g, "empty", &s, &err), OTR_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(gguf_get_str(o.g, "yes", &s, &err), OTR_E_FORMAT);
    assert_int_equal(gguf_get_str(o.g, "none", &s, &err), OTR_E_MISSING);
    close_opened(&o);
    gb_free(&b);
}

static void test_arrays(void **state)
{
    struct gguf_build b;
    struct otr_err err;
    struct gguf_arr a;
    struct gguf_str s[3];
    const char *strs[] = {"one", "", "three"};
    const uint32_t small[] = {0, 5, INT32_MAX}, large[] = {1, 0x80000000u};
    const int32_t negative[] = {-1, INT32_MIN};
    const float floats[] = {0.25f, -INFINITY};
    (void)state;
    gb_init(&b);
    gb_strs(&b, "strs", strs, 3);
    gb_arr(&b, "small", GGUF_U32, 3, small, sizeof small);
    gb_arr(&b, "large", GGUF_U32, 2, large, sizeof large);
    gb_arr(&b, "negative", GGUF_I32, 2, negative, sizeof negative);
    gb_arr(&b, "floats", GGUF_F32, 2, floats, sizeof floats);
    gb_arr(&b, "bytes", GGUF_I8, 4, "abcd", 4);
    gb_arr(&b, "none of it", GGUF_STR, 0, NULL, 0);
    gb_u32(&b, "scalar", 1);
    struct opened o = open_build(&b);
    assert_int_equal(gguf_get_arr(o.g, "strs", GGUF_STR, &a, &err), OTR_OK);
    assert_int_equal(a.n, 3);
    gguf_arr_strings(&a, s);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s[i].n, strlen(strs[i]));
        assert_memory_equal(s[i].p, strs[i], s[i].n);
    }
    assert_int_equal(gguf_get_arr(o.g, "small", GGUF_I32, &a, &err), OTR_OK);
    assert_int_equal(gguf_arr_i32(&a, 1), 5);
    assert_int_equal(gguf_arr_i32(&a, 2), INT32_MAX);
    assert_int_equal(gguf_get_arr(o.g, "large", GGUF_U32, &a, &err), OTR_OK);
    assert_int_equal(gguf_get_arr(o.g, "large", GGUF_I32, &a, &err), OTR_E_FORMAT);
    assert_says(&err, "holds a value of type u32 that no i32 can hold");
    assert_int_equal(gguf_get_arr(o.g, "negative", GGUF_U32, &a, &err), OTR_E_FORMAT);
    assert_int_equal(gguf_get_arr(o.g, "negative", GGUF_I32, &a, &err), OTR_OK);
    assert_int_equal(gguf_arr_i32(&a, 0), -1);
    assert_int_equal(gguf_get_arr(o.g, "floats", GGUF_F32, &a, &err), OTR_OK);
    assert_true(gguf_arr_f32(&a, 0) == 0.25f && isinf(gguf_arr_f32(&a, 1)));
    /* #26690: scores and types read by a width that the file does not declare */
    assert_int_equal(gguf_get_arr(o.g, "bytes", GGUF_F32, &a, &err), OTR_E_FORMAT);
    assert_says(&err, "has type array of i8, expected array of f32");
    assert_int_equal(gguf_get_arr(o.g, "bytes", GGUF_I32, &a, &err), OTR_E_FORMAT);
    assert_int_equal(gguf_get_arr(o.g, "floats", GGUF_I32, &a, &err), OTR_E_FORMAT);
    assert_int_equal(gguf_get_arr(o.g, "scalar", GGUF_U8, &a, &err), OTR_E_FORMAT);
    assert_says(&err, "has type u32, expected array of u8");
    assert_int_equal(gguf_get_arr(o.g, "none of it", GGUF_STR, &a, &err), OTR_OK);
    assert_int_equal(a.n, 0);
    gguf_arr_strings(&a, NULL);
    assert_int_equal(gguf_get_arr(o.g, "none", GGUF_STR, &a, &err), OTR_E_MISSING);
    close_opened(&o);
    gb_free(&b);
}

static void test_tensors(void **state)
{
    struct gguf_build b;
    const float one[] = {1, 2, 3, 4, 5, 6};
    (void)state;
    gb_init(&b);
    gb_u32(&b, "general.alignment", 64);
    b.alignment = 64;
    gb_tensor(&b, "first", GGML_F32, 2, (const int64_t[]){3, 2}, one);
    gb_tensor(&b, "second", (enum ggml_type)20, 3, (const int64_t[]){64, 2, 5}, NULL);
    struct opened o = open_build(&b);
    const struct gguf_tensor *t = gguf_tensor(o.g, "first"), *u = gguf_tensor_at(o.g, 1);
    assert_int_equal(gguf_n_tensors(o.g), 2);
    assert_ptr_equal(t, gguf_tensor_at(o.g, 0));
    assert_ptr_equal(u, gguf_tensor(o.g, "second"));
    assert_null(gguf_tensor(o.g, "third"));
    assert_null(gguf_tensor(o.g, ""));
    assert_int_equal(t->n_dims, 2);
    assert_true(t->ne[0] == 3 && t->ne[1] == 2 && t->ne[2] == 1 && t->ne[3] == 1);
    assert_int_equal(t->bytes, 24);
    assert_memory_equal(t->data, one, 24);
    assert_int_equal((uintptr_t)t->data % 64, 0);
    assert_int_equal(u->bytes, 64 / 32 * 18 * 10);
    assert_int_equal(u->type, 20);
    assert_string_equal(ggml_type_name((uint32_t)u->type), "IQ4_NL");
    gguf_drop_pages(o.g, t->data, t->bytes);
    assert_memory_equal(t->data, one, 24);
    assert_int_equal(gguf_n_kv(o.g), 1);
    assert_int_equal(gguf_kv_at(o.g, 0).type, GGUF_U32);
    assert_int_equal(gguf_version(o.g), 3);
    close_opened(&o);
    gb_free(&b);
}

/* Names by the hundred thousand: a quadratic step would take minutes. */
static void test_many_names(void **state)
{
    enum { N_TENSOR = 200000, N_KEY = 65536 };
    struct gguf_build b;
    char name[32];
    (void)state;
    gb_init(&b);
    for (uint32_t i = 0; i < N_KEY; i++) {
        snprintf(name, sizeof name, "key.%u", i);
        gb_u32(&b, name, i);
    }
    for (uint32_t i = 0; i < N_TENSOR; i++) {
        const int n = snprintf(name, sizeof name, "blk.%u.weight", i);
        gb_info(&b, name, (size_t)n, 1, (const uint64_t[]){32}, 24, (uint64_t)(N_TENSOR - 1 - i) * 32);
    }
    put(&b.data, NULL, (size_t)N_TENSOR * 32);
    const clock_t begin = clock();
    struct opened o = open_build(&b);
    const double s = (double)(clock() - begin) / CLOCKS_PER_SEC;
    assert_int_equal(o.rc, OTR_OK);
    int64_t v;
    assert_int_equal(gguf_get_int(o.g, "key.65535", 0, 65535, &v, NULL), OTR_OK);
    assert_int_equal(v, 65535);
    assert_ptr_equal(gguf_tensor(o.g, "blk.199999.weight"), gguf_tensor_at(o.g, N_TENSOR - 1));
    printf("%d tensors and %d keys: %.2f s\n", N_TENSOR, N_KEY, s);
    assert_true(s < 10);
    close_opened(&o);
    gb_free(&b);
}

/* ---- files ---- */

static void assert_refused(const char *path, int code, const char *says)
{
    struct gguf *g = NULL;
    struct otr_err err = {0};
    const int rc = gguf_open(&g, path, &err);
    if (rc != code || g)
        fail_msg("%s: code %d, expected %d (%s)", path, rc, code, err.msg);
    assert_says(&err, "cannot read model (");
    assert_says(&err, says);
    assert_null(strchr(err.msg, '\n'));
}

static void test_no_files(void **state)
{
    (void)state;
    assert_refused(in_folder("none.gguf"), OTR_E_IO, "none.gguf): No such file or directory");
    assert_refused("", OTR_E_IO, "cannot read model (): No such file or directory");
    assert_refused(folder, OTR_E_IO, "it is a directory");
    assert_refused("/dev/null", OTR_E_IO, "it is not a regular file");
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_refused(in_folder("fifo"), OTR_E_IO, "it is not a regular file"); /* and does not wait for a writer */
    unlink(in_folder("fifo"));
    FILE *f = fopen(in_folder("empty.gguf"), "wb");
    assert_non_null(f);
    fclose(f);
    assert_refused(in_folder("empty.gguf"), OTR_E_FORMAT, "empty.gguf): the file is empty");
    if (chmod(in_folder("empty.gguf"), 0) == 0 && access(in_folder("empty.gguf"), R_OK) != 0) /* root may read all */
        assert_refused(in_folder("empty.gguf"), OTR_E_IO, "Permission denied");
    unlink(in_folder("empty.gguf"));
    assert_refused("bad\n\x1b[31m.gguf", OTR_E_IO, "(bad??[31m.gguf)");
    char long_path[600];
    memset(long_path, 'x', sizeof long_path);
    memcpy(long_path + 580, "/model.gguf", 12);
    assert_refused(long_path, OTR_E_IO, "x/model.gguf): ");
}

static void test_shrinking_file(void **state)
{
    struct gguf_build b;
    struct gguf *g;
    struct otr_err err;
    char path[512];
    (void)state;
    strcpy(path, in_folder("shrink.gguf"));
    gb_init(&b);
    gb_tensor(&b, "t", GGML_F32, 1, (const int64_t[]){5000}, NULL);
    gb_write(&b, path);
    assert_int_equal(gguf_open(&g, path, &err), OTR_OK);
    assert_int_equal(gguf_check_size(g, &err), OTR_OK);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(gguf_check_size(g, &err), OTR_E_IO);
    assert_says(&err, "shrink.gguf): the file shrank from 20064 to 4096 bytes");
    gguf_close(g);
    assert_refused(path, OTR_E_FORMAT, "tensor t at offset 24: its 20000 bytes end after the file (4096 bytes)");
    gb_write(&b, path);
    assert_int_equal(gguf_open(&g, path, &err), OTR_OK);
    unlink(path); /* the mapping keeps what it maps */
    assert_int_equal(gguf_check_size(g, &err), OTR_OK);
    gguf_close(g);
    gb_free(&b);
}

/* ---- split models ---- */

struct part { /* what to write as part no of count */
    uint32_t no, count, n_tensors_of_all;
    const char *tensor;
    uint64_t n_more; /* tensors that the header claims besides */
};

static void put_key_u16(struct gguf_build *b, const char *key, uint32_t v)
{
    gb_key(b, key, GGUF_U16);
    put(&b->keys, &v, 2);
}

static void write_part(const char *file, const struct part *p)
{
    struct gguf_build b;
    const float v = (float)p->no + 0.5f;
    gb_init(&b);
    if (p->no == 0)
        gb_str(&b, "general.architecture", "llama");
    put_key_u16(&b, "split.no", p->no);
    put_key_u16(&b, "split.count", p->count);
    gb_key(&b, "split.tensors.count", GGUF_I32);
    put_u32(&b.keys, p->n_tensors_of_all);
    if (p->tensor)
        gb_tensor(&b, p->tensor, GGML_F32, 1, (const int64_t[]){1}, &v);
    b.n_tensor += p->n_more;
    gb_write(&b, in_folder(file));
    gb_free(&b);
}

#define P1 "m-00001-of-00003.gguf"
#define P2 "m-00002-of-00003.gguf"
#define P3 "m-00003-of-00003.gguf"

static void write_parts(const struct part p[3])
{
    write_part(P1, &p[0]);
    write_part(P2, &p[1]);
    write_part(P3, &p[2]);
}

static void test_split(void **state)
{
    const struct part good[3] = {{0, 3, 2, NULL, 0}, {1, 3, 2, "a", 0}, {2, 3, 2, "b", 0}};
    struct part p[3];
    struct gguf *g;
    struct otr_err err;
    struct gguf_str arch;
    float v;
    (void)state;
    write_parts(good);
    assert_int_equal(gguf_open(&g, in_folder(P1), &err), OTR_OK);
    assert_int_equal(gguf_n_tensors(g), 2);
    assert_int_equal(gguf_n_parts(g), 3);
    memcpy(&v, gguf_tensor(g, "b")->data, sizeof v);
    assert_true(v == 2.5f);
    assert_int_equal(gguf_get_str(g, "general.architecture", &arch, &err), OTR_OK);
    struct stat st;
    uint64_t bytes = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat(in_folder((const char *[]){P1, P2, P3}[i]), &st), 0);
        bytes += (uint64_t)st.st_size;
    }
    assert_true(gguf_file_bytes(g) == bytes);
    gguf_close(g);

    assert_refused(in_folder(P2), OTR_E_FORMAT, "this is part 2 of 3: open the file that ends in -00001-of-00003.gguf");
    unlink(in_folder(P3));
    assert_refused(in_folder(P1), OTR_E_IO, P3 "): No such file or directory");

    memcpy(p, good, sizeof p);
    p[2].no = 1;
    write_parts(p);
    assert_refused(in_folder(P1), OTR_E_FORMAT, P3 "): key split.no at offset");
    memcpy(p, good, sizeof p);
    p[1].count = 4;
    write_parts(p);
    assert_refused(in_folder(P1), OTR_E_FORMAT, P2 "): key split.count at offset");
    memcpy(p, good, sizeof p);
    p[2].tensor = "a";
    write_parts(p);
    assert_refused(in_folder(P1), OTR_E_FORMAT, P3 "): tensor a at offset");
    memcpy(p, good, sizeof p);
    p[2].n_more = 1048576;
    write_parts(p);
    assert_refused(in_folder(P1), OTR_E_LIMIT, P3 "): header at offset 8: 1048577 tensors after 1, we read at most");
    memcpy(p, good, sizeof p);
    p[0].n_tensors_of_all = 5;
    write_parts(p);
    assert_refused(in_folder(P1), OTR_E_FORMAT, "key split.tensors.count at offset 147 is 5, expected 2 to 2");
    FILE *f = fopen(in_folder(P2), "wb");
    assert_non_null(f);
    fputs("no GGUF", f);
    fclose(f);
    assert_refused(in_folder(P1), OTR_E_FORMAT, P2 "): header at offset 0: not a GGUF file");
    write_part("other.gguf", &good[0]);
    assert_refused(in_folder("other.gguf"), OTR_E_FORMAT, "the name of part 1 of 3 must end in -00001-of-00003.gguf");
    unlink(in_folder("other.gguf"));
    unlink(in_folder(P1));
    unlink(in_folder(P2));
    unlink(in_folder(P3));
}

/* ---- real files ---- */

static void test_real_files(void **state)
{
    static const char *const names[] = {
        "../shared/data/stories260K/stories260K-f32.gguf",
        "../shared/data/tokenizer-tests/ggml-vocab-bert-bge.gguf",
        "../shared/data/tokenizer-tests/ggml-vocab-gpt-2.gguf",
        "../shared/data/tokenizer-tests/ggml-vocab-phi-3.gguf",
    };
    int n_read = 0;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct gguf *g;
        struct otr_err err;
        struct gguf_arr tokens;
        if (access(names[i], R_OK) != 0)
            continue;
        if (gguf_open(&g, names[i], &err) < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(gguf_get_arr(g, "tokenizer.ggml.tokens", GGUF_STR, &tokens, &err), OTR_OK);
        assert_true(tokens.n > 500);
        gguf_close(g);
        n_read++;
    }
    if (n_read)
        return;
    printf("SKIPPED: ../shared/data is not there\n");
    skip();
}

static void save_case(void *user, const char *id, const char *want, const struct gguf_build *b)
{
    char path[512];
    (void)want;
    snprintf(path, sizeof path, "%s/%s", (const char *)user, id);
    struct bytes f = gb_file(b);
    if (f.n <= 4096) /* the cap of a key's length needs a big file; the rest is small */
        gb_write(b, path);
    free(f.p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),          cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_integers),       cmocka_unit_test(test_floats_bools_strings),
        cmocka_unit_test(test_arrays),         cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_many_names),     cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_shrinking_file), cmocka_unit_test(test_split),
        cmocka_unit_test(test_real_files),
    };
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        gguf_cases(save_case, argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
