/* The only place that asks the processor what it can do, and that reads FASTINIT_ISA. */
#include "dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fastinit.h"

#if defined(FASTINIT_HAVE_AVX2) || defined(FASTINIT_HAVE_AVX512)
#include <cpuid.h>

/* Bits of CPUID leaf 1 ECX and leaf 7 EBX that a variant's flags let the compiler use, and of XCR0
 * that say that the system saves the registers. */
enum {
    F16C = 1 << 29,
    AVX2 = 1 << 5,
    AVX512F = 1 << 16,
    AVX512DQ = 1 << 17,
    AVX512BW = 1 << 30,
    XCR0_YMM = 0x06,
    XCR0_ZMM = 0xe6,
};

static int x86_has(unsigned leaf7_ebx, unsigned xcr0_bits)
{
    unsigned a, b, c, d, xcr0, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX) || !(c & F16C))
        return 0;
    if (!(c & bit_FMA)) /* every AVX-512 processor has it; not every AVX2 one */
        return 0;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if ((xcr0 & xcr0_bits) != xcr0_bits)
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf7_ebx) == leaf7_ebx;
}
#endif

#ifdef FASTINIT_HAVE_AVX2
static int has_avx2(void) { return x86_has(AVX2, XCR0_YMM); }
#endif
#ifdef FASTINIT_HAVE_AVX512
static int has_avx512(void) { return x86_has(AVX2 | AVX512F | AVX512BW | AVX512DQ, XCR0_ZMM); }
#endif
static int has_baseline(void) { return 1; }

/* Slowest first. */
static const struct {
    const fastinit_ops *ops;
    int (*available)(void);
} variants[] = {
    {&fastinit_ops_portable, has_baseline},
#ifdef FASTINIT_HAVE_NEON
    {&fastinit_ops_neon, has_baseline}, /* every AArch64 has it */
#endif
#ifdef FASTINIT_HAVE_AVX2
    {&fastinit_ops_avx2, has_avx2},
#endif
#ifdef FASTINIT_HAVE_AVX512
    {&fastinit_ops_avx512, has_avx512},
#endif
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static const fastinit_ops *_Atomic in_use = &fastinit_ops_portable;
static const char *names[VARIANTS + 1];

const fastinit_ops *fastinit_ops_in_use(void)
{
    return atomic_load_explicit(&in_use, memory_order_relaxed);
}

const char *fastinit_isa(void) { return fastinit_ops_in_use()->name; }

const char *const *fastinit_isas(void) { return names; }

static int find(const char *name)
{
    for (int i = 0; i < VARIANTS; i++)
        if (!strcmp(variants[i].ops->name, name))
            return i;
    return -1;
}

/* A name that another architecture's build knows is unavailable here, not unknown. */
static int known(const char *name)
{
    static const char *const all[] = {"portable", "neon", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(all[i], name))
            return 1;
    return 0;
}

int fastinit_isa_available(const char *name)
{
    int i = find(name);
    return i >= 0 && variants[i].available();
}

int fastinit_use_isa(const char *name)
{
    if (!known(name))
        return FASTINIT_ISA_UNKNOWN;
    if (!fastinit_isa_available(name))
        return FASTINIT_ISA_UNAVAILABLE;
    atomic_store(&in_use, variants[find(name)].ops);
    return FASTINIT_OK;
}

int fastinit_dispatch_init(void)
{
    for (int i = 0; i < VARIANTS; i++)
        names[i] = variants[i].ops->name;
    const char *wanted = getenv("FASTINIT_ISA");
    if (wanted && *wanted)
        return fastinit_use_isa(wanted);
    for (int i = 0; i < VARIANTS; i++)
        if (variants[i].available())
            atomic_store(&in_use, variants[i].ops);
    return FASTINIT_OK;
}
