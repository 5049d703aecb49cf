/* The floating-point environment of the stream rounds to nearest, keeps subnormals and traps
 * nothing, whatever the caller or a library in the process has set. */
#ifndef FASTINIT_FPENV_H
#define FASTINIT_FPENV_H

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
#include <fenv.h>
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

#endif
