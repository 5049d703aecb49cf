/* Access to the processor's floating-point control word, for test_fpenv.py. */
#if defined(__x86_64__)
#include <xmmintrin.h>
unsigned long get_mode(void) { return _mm_getcsr(); }
void set_mode(unsigned long mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
unsigned long get_mode(void)
{
    unsigned long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
void set_mode(unsigned long mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
#error "no control word is known for this processor"
#endif
