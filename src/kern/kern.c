/* Picks the kernel level of this CPU. The table starts as all c; each level the CPU has overwrites its entries, so a
 * half-finished level always works. The caller reads the environment, not we.
 * Read next: levels.h. */
#include "kern/kern.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "kern/blocks.h"
#include "kern/levels.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* What the operating system saves of the vector registers. */
static uint64_t xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static unsigned cpu_detect(void)
{
    enum { YMM_STATE = 0x6, ZMM_STATE = 0xe6 };
    unsigned a = 0, b = 0, c = 0, d = 0, found = 0;
    if (__get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx && d == signature_AMD_edx && c == signature_AMD_ecx)
        found |= CPU_AMD;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    if (!(c & bit_OSXSAVE) || (xcr0() & YMM_STATE) != YMM_STATE)
        return 0;
    const unsigned need1 = bit_AVX | bit_FMA | bit_F16C, have1 = c;
    if ((have1 & need1) != need1 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2))
        return 0;
    found |= CPU_AVX2;
    const unsigned need7 = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
    if ((b & need7) == need7 && (c & bit_AVX512VNNI) && (xcr0() & ZMM_STATE) == ZMM_STATE)
        found |= CPU_AVX512_VNNI;
    return found;
}

const char *kern_cpu_name(char *buf, size_t cap)
{
    unsigned a = 0, b = 0, c = 0, d = 0, sig = 0;
    char vendor[13] = "";
    if (__get_cpuid(0, &a, &b, &c, &d)) {
        memcpy(vendor, &b, 4);
        memcpy(vendor + 4, &d, 4);
        memcpy(vendor + 8, &c, 4);
    }
    __get_cpuid(1, &sig, &b, &c, &d);
    const unsigned family = (sig >> 8 & 15) + (sig >> 20 & 255), model = (sig >> 4 & 15) + (sig >> 12 & 0xf0);
    snprintf(buf, cap, "%s %u/%u/%u", vendor, family, model, sig & 15);
    return buf;
}
#else
const char *kern_cpu_name(char *buf, size_t cap)
{
    snprintf(buf, cap, "unknown CPU");
    return buf;
}

static unsigned cpu_detect(void)
{
    return 0;
}
#endif

unsigned kern_cpu(void)
{
    enum { KNOWN = 0x80 }; /* two threads may both detect: they store the same value */
    static _Atomic unsigned cached;
    unsigned cpu = atomic_load_explicit(&cached, memory_order_relaxed);
    if (!cpu) {
        cpu = cpu_detect() | KNOWN;
        atomic_store_explicit(&cached, cpu, memory_order_relaxed);
    }
    return cpu & ~(unsigned)KNOWN;
}

static void init_c(struct kernels *k)
{
    matmul_init_c(k);
    ops_init_c(k);
    sample_init_c(k);
    attn_q8_init_c(k);
}

#if defined(__x86_64__)
static void init_avx2(struct kernels *k)
{
    matmul_init_avx2(k);
    ops_init_avx2(k);
    sample_init_avx2(k);
    attn_q8_init_avx2(k);
}

static void init_avx512(struct kernels *k)
{
    matmul_init_avx512(k);
    ops_init_avx512(k);
    attn_q8_init_avx512(k);
    sample_init_avx512(k);
}
#endif

/* Every level, the best last; each stands on those before it. */
static const struct level {
    const char *name, *all; /* all: those before, and it */
    unsigned cpu;           /* what it needs */
    void (*init)(struct kernels *k);
} levels[] = {
    {"c", "c", 0, init_c},
#if defined(__x86_64__)
    {"avx2", "c avx2", CPU_AVX2, init_avx2},
    {"avx512vnni", "c avx2 avx512vnni", CPU_AVX2 | CPU_AVX512_VNNI, init_avx512},
#endif
};
enum { N_LEVEL = sizeof levels / sizeof *levels };

/* Levels that this CPU has: the first so many. */
static int levels_of_cpu(void)
{
    int n = 0;
    while (n < N_LEVEL && (kern_cpu() & levels[n].cpu) == levels[n].cpu)
        n++;
    return n;
}

int kernels_init(struct kernels *k, const char *name)
{
    const int n = levels_of_cpu();
    int best = n - 1;
    if (name)
        for (best = 0; best < n && strcmp(name, levels[best].name) != 0;)
            best++;
    if (best == n)
        return -1;
    memset(k, 0, sizeof *k);
    for (int i = 0; i <= best; i++)
        levels[i].init(k);
    k->level = levels[best].name;
    return 0;
}

const char *kernels_levels(void)
{
    return levels[levels_of_cpu() - 1].all;
}

size_t mat_row_bytes(enum ggml_type type, int n_cols)
{
    return (size_t)n_cols / (size_t)block_values(type) * block_bytes(type);
}

void matmul_rows(const struct kernels *k, float *out, size_t ld_out, const struct mat *w, int row_lo, int row_hi,
                 const void *act, int n_tok, void *unit)
{
    const size_t row_bytes = mat_row_bytes(w->type, w->n_cols);
    for (int r = row_lo; r < row_hi; r += KERN_ROW_UNIT) {
        const int n = row_hi - r < KERN_ROW_UNIT ? row_hi - r : KERN_ROW_UNIT;
        const struct mat part = {.type = w->type, .n_rows = n, .n_cols = w->n_cols, .data = unit, .plan = w->plan};
        k->pack(unit, (const char *)w->data + row_bytes * (size_t)r, w->type, n, w->n_cols, 0, n);
        k->matmul(out + r, ld_out, &part, 0, n, act, n_tok);
    }
}
