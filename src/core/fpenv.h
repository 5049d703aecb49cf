/* The floating-point environment of the stream rounds to nearest, keeps subnormals and traps
 * nothing, whatever the caller or a library in the process has set. */
#ifndef FASTINIT_FPENV_H
#define FASTINIT_FPENV_H

#include <fenv.h>
#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
/* It is MXCSR alone: fesetenv() would also reload the x87, which is slow. */
typedef unsigned fastinit_fpenv;
static inline fastinit_fpenv fastinit_fpenv_enter(void)
{
    fastinit_fpenv saved = _mm_getcsr();
    _mm_setcsr(0x1f80);
    return saved;
}
static inline void fastinit_fpenv_leave(fastinit_fpenv saved) { _mm_setcsr(saved); }
#else
typedef fenv_t fastinit_fpenv;
static inline fastinit_fpenv fastinit_fpenv_enter(void)
{
    fastinit_fpenv saved;
    fegetenv(&saved);
    fesetenv(FE_DFL_ENV);
    return saved;
}
static inline void fastinit_fpenv_leave(fastinit_fpenv saved) { fesetenv(&saved); }
#endif

/* Return whether the environment, the x87's too, is known to be the default.  The x87 matters to
 * Python and NumPy, which compute long double on it.  The call takes some 5 ns. */
static inline int fastinit_fpenv_is_default(void)
{
#if defined(__x86_64__) || defined(_M_X64)
    const unsigned flags = 0x3f; /* of exceptions that have occurred */
    return (_mm_getcsr() & ~flags) == 0x1f80 && fegetround() == FE_TONEAREST;
#elif defined(__aarch64__) && defined(__GNUC__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control == 0;
#else
    return 0;
#endif
}

#endif
