/* See gguf_cases.h. One line is one file: its name, what must be said about it, and how it differs from an empty one.
 */
#include "support/gguf_cases.h"

#include <stdio.h>
#include <string.h>

#define CASE(id, want, ...)                                                                                            \
    do {                                                                                                               \
        struct gguf_build gb, *b = &gb;                                                                                \
        gb_init(b);                                                                                                    \
        __VA_ARGS__;                                                                                                   \
        fn(user, id, want, b);                                                                                         \
        gb_free(b);                                                                                                    \
    } while (0)
#define RAW(text) put(&b->raw, text, sizeof(text) - 1)
#define DIMS(...) ((const uint64_t[]){__VA_ARGS__})
#define NE(...) ((const int64_t[]){__VA_ARGS__})

static void headers(gguf_case_fn fn, void *user)
{
    CASE("ok_empty", "", (void)b);
    CASE("ok_version_2", "", b->version = 2; gb_u32(b, "a", 1));
    CASE("magic_short", "not a GGUF file", RAW("GGU"));
    CASE("magic_only", "header at offset 4: 4 bytes are declared, 0 are left", RAW("GGUF"));
    CASE("header_short", "header at offset 16: 8 bytes are declared, 7 are left", b->cut = 1);
    CASE("magic_other", "not a GGUF file", RAW("GGUE\3\0\0\0"));
    CASE("magic_ggml", "an old GGML file", RAW("tjgg\3\0\0\0"));
    CASE("magic_zip", "a zip or PyTorch file", RAW("PK\3\4\0\0\0\0"));
    CASE("magic_lfs", "a Git LFS pointer", RAW("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"));
    CASE("magic_html", "a web page", RAW("<!DOCTYPE html><html></html>"));
    CASE("version_0", "GGUF version 0", b->version = 0);
    CASE("version_1", "GGUF version 1", b->version = 1);
    CASE("version_4", "GGUF version 4", b->version = 4);
    CASE("big_endian", "big-endian", b->version = 0x03000000);
    CASE("n_tensor_cap", "header at offset 8: 1048577 tensors after 0, we read at most 1048576", b->n_tensor = 1048577);
    CASE("n_tensor_max", "18446744073709551615 tensors", b->n_tensor = UINT64_MAX);
    CASE("n_tensor_sign", "9223372036854775808 tensors", b->n_tensor = (uint64_t)1 << 63);
    CASE("n_kv_cap", "header at offset 16: 65537 keys, we read at most 65536", b->n_kv = 65537);
    CASE("n_kv_max", "18446744073709551615 keys", b->n_kv = UINT64_MAX);
    CASE("n_kv_no_room", "cannot fit", gb_u32(b, "a", 1); b->n_kv = 65536);
    CASE("n_tensor_no_room", "cannot fit", gb_u32(b, "a", 1); b->n_tensor = 1000000);
    CASE("n_kv_one_more", "key 2 of 2 at offset 65: 8 bytes are declared, 0 are left",
         gb_str(b, "a", "twenty bytes of text");
         b->n_kv = 2);
}

static void keys(gguf_case_fn fn, void *user)
{
    static const char long_key[65536] = {0};
    CASE("ok_key_no_utf8", "", gb_str(b, "\xff\x1b[31m", "\xff\x1b[31m\n"));
    CASE("ok_key_zero_byte", "", b->n_kv = 1; put_str(&b->keys, "a\0b", 3); put_u32(&b->keys, GGUF_U8);
         put_u8(&b->keys, 1));
    CASE("key_no_name", "its name has 0 bytes", gb_u32(b, "", 1); gb_u32(b, "a", 1));
    CASE("key_name_cap", "its name has 65536 bytes", b->n_kv = 1; put_str(&b->keys, long_key, 65536);
         put_u32(&b->keys, GGUF_U8); put_u8(&b->keys, 1));
    CASE("key_name_max", "key 1 of 1 at offset 32: 18446744073709551615 bytes are declared", b->n_kv = 1;
         put_u64(&b->keys, UINT64_MAX); put(&b->keys, NULL, 16));
    CASE("key_name_sign", "2147483653 bytes are declared", b->n_kv = 1; put_u64(&b->keys, 0x80000005u);
         put(&b->keys, NULL, 16));
    CASE("key_twice", "key a at offset 41: this key is in the file twice", gb_u32(b, "a", 1); gb_u32(b, "a", 1));
    CASE("key_type_13", "key a at offset 33: unknown type 13", gb_key(b, "a", 13); put_u64(&b->keys, 0));
    CASE("key_type_max", "unknown type 4294967295", gb_key(b, "a", UINT32_MAX); put_u64(&b->keys, 0));
    CASE("key_value_short", "key a at offset 37: 8 bytes are declared, 3 are left", gb_key(b, "a", GGUF_U64);
         put(&b->keys, NULL, 3));
    CASE("bool_2", "a bool is 2", gb_key(b, "a", GGUF_BOOL); put_u8(&b->keys, 2));
    CASE("bools_2", "key a at offset 51: a bool is 255", gb_arr(b, "a", GGUF_BOOL, 3, "\0\1\xff", 3));
    CASE("str_max", "18446744073709551615 bytes are declared, 4 are left", gb_key(b, "a", GGUF_STR);
         put_u64(&b->keys, UINT64_MAX); put(&b->keys, NULL, 4));
    CASE("str_wraps_back", "18446744073709551608 bytes are declared", gb_key(b, "a", GGUF_STR);
         put_u64(&b->keys, (uint64_t)-8); put(&b->keys, NULL, 16));
    CASE("str_2_31", "2147483648 bytes are declared", gb_key(b, "a", GGUF_STR); put_u64(&b->keys, (uint64_t)1 << 31));
    CASE("str_one_over", "5 bytes are declared, 4 are left", gb_key(b, "a", GGUF_STR); put_u64(&b->keys, 5);
         put(&b->keys, NULL, 4));
    CASE("arr_of_arr", "key a at offset 37: an array of arrays", gb_arr(b, "a", GGUF_ARR, 1, NULL, 12));
    CASE("arr_type_13", "unknown type 13", gb_arr(b, "a", 13, 1, NULL, 16));
    CASE("arr_bytes_wrap", "an array of 2305843009213693953 elements",
         gb_arr(b, "a", GGUF_U64, ((uint64_t)1 << 61) + 1, NULL, 8)); /* times 8 is 8 */
    CASE("arr_u32_wrap", "an array of 4611686018427387905 elements",
         gb_arr(b, "a", GGUF_U32, ((uint64_t)1 << 62) + 1, NULL, 4));
    CASE("arr_max", "an array of 18446744073709551615 elements", gb_arr(b, "a", GGUF_U8, UINT64_MAX, NULL, 8));
    CASE("arr_one_over", "an array of 3 elements, 8 bytes are left", gb_arr(b, "a", GGUF_I32, 3, NULL, 8));
    CASE("strs_no_room", "an array of 1000 elements", gb_arr(b, "tokenizer.ggml.tokens", GGUF_STR, 1000, NULL, 80));
    CASE("strs_second_over", "9 bytes are declared, 1 are left",
         gb_arr(b, "tokenizer.ggml.tokens", GGUF_STR, 2, "\1\0\0\0\0\0\0\0a\x9\0\0\0\0\0\0\0b", 18));
    CASE("strs_max", "an array of 9223372036854775807 elements", gb_arr(b, "abc", GGUF_STR, INT64_MAX, NULL, 0));
    CASE("bytes_43", "8 bytes are declared, 0 are left", /* a file of this size made a Python reader loop: #27188 */
         gb_arr(b, "abc", GGUF_STR, INT64_MAX, NULL, 0);
         b->cut = 8);
}

static void alignments(gguf_case_fn fn, void *user)
{
    static const char key[] = "general.alignment";
    CASE("ok_alignment_8", "", gb_u32(b, key, 8); b->alignment = 8; gb_tensor(b, "t", GGML_F32, 1, NE(3), NULL);
         gb_tensor(b, "u", GGML_F32, 1, NE(3), NULL));
    CASE("ok_alignment_256", "", gb_u32(b, key, 256); b->alignment = 256; gb_tensor(b, "t", GGML_F32, 1, NE(3), NULL);
         gb_tensor(b, "u", GGML_F32, 1, NE(3), NULL));
    CASE("alignment_0", "key general.alignment at offset 53: 0 is not a power of two", gb_u32(b, key, 0));
    CASE("alignment_1", "1 is not a power of two from 8", gb_u32(b, key, 1));
    CASE("alignment_4", "4 is not a power of two from 8", gb_u32(b, key, 4));
    CASE("alignment_24", "24 is not a power of two", gb_u32(b, key, 24));
    CASE("alignment_2_17", "131072 is not a power of two from 8 to 65536", gb_u32(b, key, 131072));
    CASE("alignment_2_31", "2147483648 is not", gb_u32(b, key, 0x80000000u));
    CASE("alignment_max", "4294967295 is not", gb_u32(b, key, UINT32_MAX));
    CASE("alignment_u64", "its type is u64, expected u32", gb_key(b, key, GGUF_U64); put_u64(&b->keys, 32));
    CASE("alignment_str", "its type is string, expected u32", gb_str(b, key, "32"));
    CASE("alignment_arr", "its type is array, expected u32", gb_arr(b, key, GGUF_U32, 1, "\x20\0\0\0", 4));
}

static void tensor_tables(gguf_case_fn fn, void *user)
{
    static const char n64[] = "0123456789012345678901234567890123456789012345678901234567890123";
    CASE("ok_name_63", "", gb_info(b, n64, 63, 1, DIMS(1), GGML_F32, 0); put(&b->data, NULL, 4));
    CASE("ok_type_unread", "", gb_tensor(b, "t", (enum ggml_type)16, 1, NE(256), NULL); /* IQ2_XXS */
         gb_tensor(b, "u", (enum ggml_type)24, 1, NE(5), NULL));
    CASE("ok_dims_4", "", gb_tensor(b, "t", GGML_Q4_0, 4, NE(64, 3, 2, 1), NULL));
    CASE("ok_out_of_order", "", gb_info(b, "t", 1, 1, DIMS(8), GGML_F32, 64);
         gb_info(b, "u", 1, 1, DIMS(8), GGML_F32, 0); put(&b->data, NULL, 96));
    CASE("name_64", "its name has 64 bytes, expected 1 to 63", gb_info(b, n64, 64, 1, DIMS(1), GGML_F32, 0));
    CASE("name_0", "its name has 0 bytes", gb_info(b, "", 0, 1, DIMS(1), GGML_F32, 0); put(&b->data, NULL, 4));
    CASE("name_max", "tensor 1 of 1 at offset 32: 18446744073709551615 bytes", b->n_tensor = 1;
         put_u64(&b->infos, UINT64_MAX); put(&b->infos, NULL, 64));
    CASE("tensor_twice", "tensor t at offset 57: this tensor is in the file twice",
         gb_tensor(b, "t", GGML_F32, 1, NE(8), NULL);
         gb_tensor(b, "t", GGML_F32, 1, NE(8), NULL));
    CASE("dims_0", "tensor t at offset 33: 0 dimensions", gb_info(b, "t", 1, 0, NULL, GGML_F32, 0);
         put(&b->data, NULL, 64));
    CASE("dims_5", "5 dimensions", gb_info(b, "t", 1, 5, DIMS(1, 1, 1, 1, 1), GGML_F32, 0));
    CASE("dims_max", "4294967295 dimensions", b->n_tensor = 1; put_str(&b->infos, "t", 1);
         put_u32(&b->infos, UINT32_MAX); put(&b->infos, NULL, 64));
    CASE("dim_zero", "tensor t at offset 45: dimension 1 is 0", gb_info(b, "t", 1, 2, DIMS(4, 0), GGML_F32, 0));
    CASE("dim_2_63", "dimension 0 is 9223372036854775808", gb_info(b, "t", 1, 1, DIMS((uint64_t)1 << 63), GGML_F32, 0));
    CASE("dim_max", "dimension 0 is 18446744073709551615", gb_info(b, "t", 1, 1, DIMS(UINT64_MAX), GGML_F32, 0));
    CASE("type_31_removed", "tensor type 31 is not known", gb_info(b, "t", 1, 1, DIMS(32), 31, 0);
         put(&b->data, NULL, 64));
    CASE("type_99", "tensor type 99 is not known", gb_info(b, "t", 1, 1, DIMS(32), 99, 0); put(&b->data, NULL, 64));
    CASE("type_max", "tensor type 4294967295", gb_info(b, "t", 1, 1, DIMS(32), UINT32_MAX, 0); put(&b->data, NULL, 64));
    CASE("row_not_blocks", "rows of 48 are not a multiple of the 32 of Q4_0",
         gb_info(b, "t", 1, 2, DIMS(48, 2), GGML_Q4_0, 0);
         put(&b->data, NULL, 64));
    CASE("row_not_k_blocks", "rows of 128 are not a multiple of the 256 of Q4_K",
         gb_info(b, "t", 1, 2, DIMS(128, 2), GGML_Q4_K, 0);
         put(&b->data, NULL, 256));
    CASE("table_short", "tensor table at offset 53: 8 bytes are declared, 7 are left",
         gb_info(b, "table", 5, 1, DIMS(1), GGML_F32, 0);
         b->cut = 1);
}

static void tensor_sizes(gguf_case_fn fn, void *user)
{
    const uint64_t e20 = 1 << 20, e21 = 1 << 21, e22 = 1 << 22, e32 = (uint64_t)1 << 32, e62 = (uint64_t)1 << 62;
    /* The product of the dimensions wraps to 0 (our own finding). */
    CASE("elements_2_64", "tensor t at offset 53: its number of elements is 2^63 or more",
         gb_info(b, "t", 1, 2, DIMS(e32, e32), GGML_F32, 0));
    CASE("elements_2_64_in_3", "its number of elements is 2^63 or more",
         gb_info(b, "t", 1, 3, DIMS(e22, e21, e21), GGML_F32, 0));
    CASE("elements_2_63", "its number of elements is 2^63 or more", gb_info(b, "t", 1, 2, DIMS(e62, 2), GGML_Q4_0, 0));
    /* The bytes wrap: to 0, and to 4 MB (CVE-2026-33298). */
    CASE("bytes_2_64", "its number of bytes is 2^64 or more", gb_info(b, "t", 1, 1, DIMS(e62), GGML_F32, 0);
         put(&b->data, NULL, 64));
    CASE("bytes_wrap_to_4_mb", "its number of bytes is 2^64 or more",
         gb_info(b, "t", 1, 1, DIMS(e62 + e20), GGML_F32, 0);
         put(&b->data, NULL, 64));
    CASE("bytes_f64_wrap", "its number of bytes is 2^64 or more", gb_info(b, "t", 1, 1, DIMS(e62 / 2 + 8), 28, 0);
         put(&b->data, NULL, 64)); /* to 64, which is there */
    CASE("bytes_over_2_63", "its 10520408729537478072 bytes end after the file",
         gb_info(b, "t", 1, 1, DIMS((e62 - 1) / 256 * 512), 15, 0);
         put(&b->data, NULL, 64));
    /* Sums of sizes that wrap: CVE-2025-53630, CVE-2026-27940. */
    CASE("sum_wraps", "end after the file", gb_info(b, "t", 1, 1, DIMS(e62), 24, 0);
         gb_info(b, "u", 1, 1, DIMS(e62), 24, e62); gb_info(b, "v", 1, 1, DIMS(e62), 24, 2 * e62);
         gb_info(b, "w", 1, 1, DIMS(e62), 24, 3 * e62); put(&b->data, NULL, 64));
    CASE("offset_wraps", "tensor t at offset 24: its 32 bytes end after the file",
         gb_info(b, "t", 1, 1, DIMS(8), GGML_F32, (uint64_t)-32);
         put(&b->data, NULL, 64));
    CASE("offset_wraps_to_0", "end after the file", gb_info(b, "t", 1, 1, DIMS(8), GGML_F32, (uint64_t)-64);
         put(&b->data, NULL, 64));
    CASE("offset_unaligned", "tensor t at offset 49: its offset 16 is not a multiple of the alignment 32",
         gb_info(b, "t", 1, 1, DIMS(8), GGML_F32, 16);
         put(&b->data, NULL, 64));
    CASE("offset_past_end", "end after the file", gb_info(b, "t", 1, 1, DIMS(8), GGML_F32, 1024);
         put(&b->data, NULL, 64));
    /* The last byte is not there: CVE-2026-7482 read on. */
    CASE("data_one_short", "end after the file (95 bytes): cut short?", gb_tensor(b, "t", GGML_F32, 1, NE(8), NULL);
         b->cut = 1);
    CASE("data_none", "end after the file", gb_info(b, "t", 1, 1, DIMS(1), GGML_F32, 0));
    CASE("overlap_same", "tensor u at offset 57: its bytes overlap those of tensor t",
         gb_info(b, "t", 1, 1, DIMS(8), GGML_F32, 0);
         gb_info(b, "u", 1, 1, DIMS(16), GGML_F32, 0); put(&b->data, NULL, 64));
    CASE("overlap_by_1", "tensor u at offset 57: its bytes overlap those of tensor t",
         gb_info(b, "t", 1, 1, DIMS(33), 24, 0);
         gb_info(b, "u", 1, 1, DIMS(8), GGML_F32, 32); put(&b->data, NULL, 64));
    CASE("overlap_inside", "overlap", gb_info(b, "u", 1, 1, DIMS(8), GGML_F32, 64);
         gb_info(b, "t", 1, 1, DIMS(64), GGML_F32, 0); put(&b->data, NULL, 256));
    CASE("split_alone", "must end in -00001-of-00002.gguf", gb_u32(b, "split.count", 2); gb_u32(b, "split.no", 0));
    CASE("split_count_max", "split.count at offset 47 is 4294967295, expected 0 to 512",
         gb_u32(b, "split.count", UINT32_MAX));
    CASE("split_no_over", "split.no at offset 71 is 2, expected 0 to 1", gb_u32(b, "split.count", 2);
         gb_u32(b, "split.no", 2));
}

/* Right files whose hyper-parameters are for arch.c to judge: a model's, and hostile ones (#25821, #26051). */
static void architectures(gguf_case_fn fn, void *user)
{
    static const char *const u32s[] = {"context_length",      "embedding_length",     "block_count",
                                       "feed_forward_length", "attention.head_count", "attention.head_count_kv",
                                       "rope.dimension_count"};
    static const uint32_t right[] = {512, 64, 5, 172, 8, 4, 8}, blocks[] = {512, 64, UINT32_MAX, 172, 8, 4, 8},
                          zeros[7] = {0}, heads[] = {512, 64, 5, 172, 3, 7, 0x80000000u};
    static const struct {
        const char *id;
        const uint32_t *v;
    } files[] = {{"ok_arch", right}, {"ok_arch_blocks", blocks}, {"ok_arch_zeros", zeros}, {"ok_arch_heads", heads}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct gguf_build b;
        char key[64];
        gb_init(&b);
        gb_str(&b, "general.architecture", "llama");
        for (size_t k = 0; k < 7; k++) {
            snprintf(key, sizeof key, "llama.%s", u32s[k]);
            gb_u32(&b, key, files[i].v[k]);
        }
        gb_f32(&b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
        gb_f32(&b, "llama.rope.freq_base", 10000.0f);
        gb_strs(&b, "tokenizer.ggml.tokens", (const char *const[]){"<s>", "a", "b"}, 3);
        gb_tensor(&b, "token_embd.weight", GGML_Q8_0, 2, NE(64, 3), NULL);
        fn(user, files[i].id, "", &b);
        gb_free(&b);
    }
}

void gguf_cases(gguf_case_fn fn, void *user)
{
    headers(fn, user);
    keys(fn, user);
    alignments(fn, user);
    tensor_tables(fn, user);
    tensor_sizes(fn, user);
    architectures(fn, user);
}
