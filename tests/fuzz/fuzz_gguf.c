/* Fuzzes the GGUF loader: bytes become a file in memory; what opens is then read in every way there is. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load/arch.h"
#include "load/dequant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned sink; /* what is read ends here, so that it is read */

static void touch(const void *p, size_t n)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        sink ^= b[i];
}

static void read_array(const struct gguf_arr *a)
{
    if (a->type == GGUF_STR) {
        struct gguf_str *s = malloc((a->n ? a->n : 1) * sizeof *s);
        if (!s)
            return;
        gguf_arr_strings(a, s);
        for (size_t i = 0; i < a->n; i++)
            touch(s[i].p, s[i].n);
        free(s);
        return;
    }
    touch(a->data, a->n * gguf_scalar_bytes(a->type));
    for (size_t i = 0; i < a->n && gguf_scalar_bytes(a->type) == 4; i++)
        sink ^= (unsigned)gguf_arr_i32(a, i) ^ (gguf_arr_f32(a, i) > 0);
}

/* Every getter on this key: at most one kind of them may succeed. */
static void read_key(const struct gguf *g, const struct gguf_kv *kv)
{
    struct otr_err err;
    struct gguf_str s;
    struct gguf_arr a;
    int64_t v;
    double d;
    bool b;
    char key[256];
    int n_ok = 0;
    if (kv->key.n >= sizeof key || memchr(kv->key.p, 0, kv->key.n))
        return;
    memcpy(key, kv->key.p, kv->key.n);
    key[kv->key.n] = 0;
    n_ok += gguf_get_int(g, key, INT64_MIN, INT64_MAX, &v, &err) == OTR_OK;
    n_ok += gguf_get_float(g, key, -HUGE_VAL, HUGE_VAL, &d, &err) == OTR_OK;
    n_ok += gguf_get_bool(g, key, &b, &err) == OTR_OK;
    if (gguf_get_str(g, key, &s, &err) == OTR_OK) {
        touch(s.p, s.n);
        n_ok++;
    }
    int n_arr = 0;
    for (int type = 0; type <= GGUF_F64; type++)
        if (type != GGUF_ARR && gguf_get_arr(g, key, (enum gguf_type)type, &a, &err) == OTR_OK) {
            read_array(&a);
            n_arr++;
        }
    if (n_ok + (n_arr > 0) > 1)
        abort();
}

static void read_tensor(const struct gguf *g, const struct gguf_tensor *t)
{
    static float out[256];
    const struct ggml_traits *traits = ggml_traits((uint32_t)t->type);
    if (t->bytes == 0)
        abort();
    touch(t->data, 1);
    touch(t->data + t->bytes - 1, 1);
    gguf_drop_pages(g, t->data, t->bytes);
    if (!traits)
        return;
    dequant_row(t->type, out, t->data, traits->block_elems);
    dequant_row(t->type, out, t->data + t->bytes - traits->block_bytes, traits->block_elems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    struct gguf *g = NULL;
    struct otr_err err = {0};
    struct hparams hp;
    if (fd < 0) {
        fd = memfd_create("fuzz_gguf", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    const int rc = gguf_open(&g, path, &err);
    if (rc < 0) {
        if (g || err.code != rc || !err.msg[0] || strchr(err.msg, '\n'))
            abort();
        return 0;
    }
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv kv = gguf_kv_at(g, i);
        read_key(g, &kv);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        read_tensor(g, gguf_tensor_at(g, i));
    if (gguf_tensor(g, "token_embd.weight"))
        sink ^= 1;
    sink ^= hparams_read(&hp, g, &err) == OTR_OK;
    gguf_close(g);
    return 0;
}
