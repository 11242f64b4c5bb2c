/* Blocks to floats: equal to the PyPI gguf package on blocks with extreme scales, bit for bit (NaN equals NaN).
 * Golden: tests/golden/dequant.golden, made by tools/make_dequant_golden.py, whose blocks are made again here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/blocks.h"
#include "load/dequant.h"

#define GOLDEN "tests/golden/dequant.golden"

enum { MAX_BLOCK_BYTES = 512, MAX_VALUES = 256 };

static const uint16_t halves[16] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff,
                                    0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xffff, 0x3c00, 0xb555, 0x1234};
static const uint32_t floats[16] = {0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000,
                                    0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
                                    0xffffffff, 0x3f800000, 0xbeaaaaab, 0x12345678};

static uint64_t splitmix64(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Block i of the tool's make_blocks. */
static void make_block(uint8_t *b, enum ggml_type type, size_t bytes, uint64_t seed, uint32_t i)
{
    if (type == GGML_F16 || type == GGML_BF16) {
        for (uint32_t k = 0; k < bytes / 2; k++) {
            const uint16_t h = (uint16_t)(i * (bytes / 2) + k);
            memcpy(b + 2 * k, &h, 2);
        }
        return;
    }
    const uint64_t words = (bytes + 7) / 8;
    for (uint64_t k = 0; k < words; k++) {
        const uint64_t w = splitmix64(seed + (uint64_t)type, i * words + k);
        memcpy(b + 8 * k, &w, bytes - 8 * k < 8 ? bytes - 8 * k : 8);
    }
    if (type == GGML_F32)
        memcpy(b, &floats[i % 16], 4);
    else
        memcpy(b + (type == GGML_Q6_K ? 208 : 0), &halves[i % 16], 2);
    if (type == GGML_Q4_1 || type == GGML_Q5_1 || type == GGML_Q4_K || type == GGML_Q5_K)
        memcpy(b + 2, &halves[i / 16 % 16], 2);
}

static uint64_t hash_floats(const float *x, int n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], 4);
        if ((bits & 0x7fffffffu) > 0x7f800000u)
            bits = 0x7fc00000u;
        h = (h ^ bits) * 0x100000001b3u;
    }
    return h;
}

static void test_golden(void **state)
{
    char line[256], name[16];
    unsigned type, values, bytes, n_blocks;
    uint64_t seed, want;
    int n_types = 0, n_sizes = 0;
    (void)state;
    FILE *f = fopen(GOLDEN, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(strncmp(line, "# outrider-golden v1 ", 21), 0);
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(fscanf(f, "seed %" SCNu64 "\n", &seed), 1);
    while (fscanf(f, "size %15s %u %u %u\n", name, &type, &values, &bytes) == 4) {
        const struct ggml_traits *t = ggml_traits_any(type);
        assert_non_null(t);
        assert_string_equal(t->name, name);
        assert_true((unsigned)t->block_elems == values && (unsigned)t->block_bytes == bytes);
        n_sizes++;
    }
    assert_true(n_sizes > 30);
    while (fscanf(f, "type %15s %u %u %u %u\n", name, &type, &values, &bytes, &n_blocks) == 5) {
        assert_true(bytes <= MAX_BLOCK_BYTES && values <= MAX_VALUES);
        assert_string_equal(ggml_traits(type)->name, name);
        n_types++;
        for (uint32_t i = 0; i < n_blocks; i++) {
            uint8_t block[MAX_BLOCK_BYTES + 1];
            float out[MAX_VALUES];
            assert_int_equal(fscanf(f, "%" SCNx64 "\n", &want), 1);
            make_block(block + 1, (enum ggml_type)type, bytes, seed, i); /* + 1: no alignment is needed */
            dequant_row((enum ggml_type)type, out, block + 1, values);
            if (hash_floats(out, (int)values) != want)
                fail_msg("%s block %u of seed %" PRIu64 " differs from the gguf package", name, i, seed);
        }
    }
    assert_true(feof(f));
    assert_int_equal(n_types, 11);
    fclose(f);
}

/* A row of blocks is its blocks one after the other, and nothing behind it is written. */
static void test_rows(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < 64; type++) {
        const struct ggml_traits *t = ggml_traits(type);
        if (!t)
            continue;
        enum { N = 5 };
        const size_t values = (size_t)t->block_elems, bytes = (size_t)t->block_bytes;
        uint8_t *src = malloc(N * bytes); /* exact, so that the sanitizers see a byte too many */
        float *row = malloc((N * values + 1) * sizeof *row), one[MAX_VALUES];
        assert_true(src && row);
        for (size_t i = 0; i < N * bytes; i++)
            src[i] = (uint8_t)splitmix64(type, i);
        row[N * values] = 42.0f;
        dequant_row((enum ggml_type)type, row, src, (int64_t)(N * values));
        assert_true(row[N * values] == 42.0f);
        for (size_t i = 0; i < N; i++) {
            dequant_row((enum ggml_type)type, one, src + i * bytes, (int64_t)values);
            assert_true(hash_floats(one, (int)values) == hash_floats(row + i * values, (int)values));
        }
        free(src);
        free(row);
    }
}

static void test_types(void **state)
{
    int n_read = 0;
    (void)state;
    for (uint32_t type = 0; type < 256; type++) {
        const struct ggml_traits *any = ggml_traits_any(type), *read = ggml_traits(type);
        assert_true(!any == !ggml_type_name(type));
        if (!read)
            continue;
        n_read++;
        assert_ptr_equal(any, read);
        assert_int_equal(read->block_elems, block_values((enum ggml_type)type)); /* the kernels say the same */
        assert_int_equal(read->block_bytes, block_bytes((enum ggml_type)type));
    }
    assert_int_equal(n_read, 11);
    assert_null(ggml_traits_any(UINT32_MAX));
    assert_null(ggml_traits(4)); /* Q4_2: gone since 2023 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
