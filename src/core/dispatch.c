/* The choice of kernels.  No other source asks the processor what it can do, or reads FASTINIT_ISA
 * and FASTINIT_HIDE_ISA. */
#include "dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fastinit.h"

#if defined(FASTINIT_HAVE_AVX2) || defined(FASTINIT_HAVE_AVX512)
#include <cpuid.h>

/* The bits of CPUID leaf 1 ECX and leaf 7 EBX name what the flags of an ISA let the compiler use;
 * those of XCR0 say that the system saves the registers. */
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
    if (!(c & bit_FMA)) /* Every AVX-512 processor has it, but not every AVX2 one. */
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

/* The names of all ISAs, slowest first.  This is the only list of them: what else needs it asks
 * fastinit_isas(). */
static const char *const names[] = {"portable", "neon", "avx2", "avx512", NULL};

/* The ISAs that this build has kernels for, slowest first. */
static const struct {
    const fastinit_ops *ops;
    int (*processor_has)(void);
} built[] = {
    {&fastinit_ops_portable, has_baseline},
#ifdef FASTINIT_HAVE_NEON
    {&fastinit_ops_neon, has_baseline}, /* Every AArch64 processor has it. */
#endif
#ifdef FASTINIT_HAVE_AVX2
    {&fastinit_ops_avx2, has_avx2},
#endif
#ifdef FASTINIT_HAVE_AVX512
    {&fastinit_ops_avx512, has_avx512},
#endif
};
enum { BUILT = sizeof built / sizeof built[0] };

static int hidden[BUILT]; /* by FASTINIT_HIDE_ISA */
static const fastinit_ops *_Atomic in_use = &fastinit_ops_portable;

const fastinit_ops *fastinit_ops_in_use(void)
{
    return atomic_load_explicit(&in_use, memory_order_relaxed);
}

const char *fastinit_isa(void) { return fastinit_ops_in_use()->name; }

const char *const *fastinit_isas(void) { return names; }

static int find_built(const char *name)
{
    for (int i = 0; i < BUILT; i++)
        if (!strcmp(built[i].ops->name, name))
            return i;
    return -1;
}

/* Return whether text, up to length, is that name. */
static int is(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && !memcmp(name, text, length);
}

static int is_any_name(const char *text, size_t length)
{
    for (const char *const *name = names; *name; name++)
        if (is(*name, text, length))
            return 1;
    return 0;
}

static int available(int i) { return !hidden[i] && built[i].processor_has(); }

int fastinit_isa_built(const char *name) { return find_built(name) >= 0; }

int fastinit_isa_available(const char *name)
{
    int i = find_built(name);
    return i >= 0 && available(i);
}

int fastinit_use_isa(const char *name)
{
    if (!is_any_name(name, strlen(name)))
        return FASTINIT_ISA_UNKNOWN;
    if (!fastinit_isa_available(name))
        return FASTINIT_ISA_UNAVAILABLE;
    atomic_store(&in_use, built[find_built(name)].ops);
    return FASTINIT_OK;
}

/* Hide the ISAs of a comma-separated list.  A name that this build has no kernels for is accepted,
 * as FASTINIT_HIDE_ISA means the same on every machine. */
static int hide(const char *list)
{
    for (const char *name = list;; name++) {
        const size_t length = strcspn(name, ",");
        if (!is_any_name(name, length))
            return FASTINIT_HIDE_ISA_UNKNOWN;
        if (is(fastinit_ops_portable.name, name, length))
            return FASTINIT_HIDE_ISA_PORTABLE;
        for (int i = 0; i < BUILT; i++)
            if (is(built[i].ops->name, name, length))
                hidden[i] = 1;
        name += length;
        if (!*name)
            return FASTINIT_OK;
    }
}

int fastinit_dispatch_init(void)
{
    const char *unwanted = getenv("FASTINIT_HIDE_ISA"), *wanted = getenv("FASTINIT_ISA");

    memset(hidden, 0, sizeof hidden);
    if (unwanted && *unwanted) {
        const int status = hide(unwanted);
        if (status != FASTINIT_OK)
            return status;
    }
    if (wanted && *wanted)
        return fastinit_use_isa(wanted);
    for (int i = 0; i < BUILT; i++)
        if (available(i))
            atomic_store(&in_use, built[i].ops);
    return FASTINIT_OK;
}
