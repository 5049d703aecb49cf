/* The functions of fastinit.h: parameters to the numbers that the kernels take. */
#include "fastinit.h"

#include <math.h>

#include "dispatch.h"
#include "fpenv.h"
#include "parallel.h"

#ifdef __FAST_MATH__
#error "the stream is exactly rounded arithmetic: build without -ffast-math"
#endif

int fastinit_init(void)
{
    fastinit_parallel_init();
    return fastinit_dispatch_init();
}

void fastinit_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    fastinit_ops_in_use()->philox(counter, key, out);
}

void fastinit_bits_u32(uint32_t *out, uint64_t start, size_t n, uint64_t seed, fastinit_run run)
{
    const fastinit_args args = {.seed = seed};
    fastinit_parallel(fastinit_ops_in_use()->bits_u32, out, sizeof *out, start, n, &args, run);
}

void fastinit_bits_u64(uint64_t *out, uint64_t start, size_t n, uint64_t seed, fastinit_run run)
{
    const fastinit_args args = {.seed = seed};
    fastinit_parallel(fastinit_ops_in_use()->bits_u64, out, sizeof *out, start, n, &args, run);
}

/* Rounded to binary32.  Through a volatile: GCC 12 (-O2 and up) drops the roundings of a.scale and
 * a.offset below when its vectorizer takes them as a pair; tests/test_reference.py sees it. */
static double rounded(double x)
{
    volatile float f = (float)x;
    return f;
}

/* A number x + error (|error| at most half a unit of x) to the least or the greatest number of the
 * result's type that is not below or above it. */
static double least(double x, double error, int single)
{
    double f = single ? rounded(x) : x;
    if (f > x || (f == x && error <= 0))
        return f;
    return single ? nextafterf((float)f, INFINITY) : nextafter(f, INFINITY);
}
static double greatest(double x, double error, int single) { return -least(-x, -error, single); }

typedef fastinit_args prepare(uint64_t seed, double p, double q, int single);

static fastinit_args prepare_uniform(uint64_t seed, double minval, double maxval, int single)
{
    fastinit_args a = {seed, maxval - minval, minval, 0, 0};
    if (single) {
        a.scale = rounded(a.scale);
        a.offset = rounded(a.offset);
    }
    if (minval == maxval) {
        a.low = a.high = a.offset;
        return a;
    }
    a.low = least(minval, 0, single);
    a.high = greatest(maxval, -1, single); /* below maxval, not maxval itself */
    if (a.low > a.high)
        a.low = a.high;
    return a;
}

/* mean + reach and the error of that sum, exactly (Knuth's TwoSum). */
static double sum(double mean, double reach, double *error)
{
    double s = mean + reach, b = s - mean;
    *error = (mean - (s - b)) + (reach - b);
    return s;
}

static fastinit_args prepare_normal(uint64_t seed, double mean, double stddev, int single)
{
    fastinit_args a = {seed, stddev, mean, 0, 0};
    double error, bound = sum(mean, -2 * stddev, &error);
    a.low = least(bound, error, single);
    bound = sum(mean, 2 * stddev, &error);
    a.high = greatest(bound, error, single);
    if (single) {
        a.scale = rounded(stddev);
        a.offset = rounded(mean);
    }
    a.low = a.low > a.offset ? a.offset : a.low;
    a.high = a.high < a.offset ? a.offset : a.high;
    return a;
}

/* Volatile: the compiler, which knows nothing of rounding modes, must not see into the calls, or it
 * may move their arithmetic out of the environment that surrounds them. */
static prepare *volatile const uniform_args = prepare_uniform, *volatile const normal_args =
                                                                   prepare_normal;

#define FILL(name, T, make_args, p, q, single)                                                     \
    void fastinit_##name(T *out, uint64_t start, size_t n, uint64_t seed, double p, double q,      \
                         fastinit_run run)                                                         \
    {                                                                                              \
        fastinit_fpenv saved = fastinit_fpenv_enter();                                             \
        const fastinit_args args = make_args(seed, p, q, single);                                  \
        fastinit_fpenv_leave(saved);                                                               \
        fastinit_parallel(fastinit_ops_in_use()->name, out, sizeof *out, start, n, &args, run);    \
    }
FILL(uniform_f32, float, uniform_args, minval, maxval, 1)
FILL(uniform_f64, double, uniform_args, minval, maxval, 0)
FILL(normal_f32, float, normal_args, mean, stddev, 1)
FILL(normal_f64, double, normal_args, mean, stddev, 0)
FILL(truncated_f32, float, normal_args, mean, stddev, 1)
FILL(truncated_f64, double, normal_args, mean, stddev, 0)
