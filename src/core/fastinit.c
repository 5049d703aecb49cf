/* The functions of fastinit.h: they turn parameters into the numbers that the kernels take. */
#include "fastinit.h"

#include <math.h>
#include <string.h>

#include "dispatch.h"
#include "fpenv.h"
#include "mapped.h"
#include "parallel.h"

#ifdef __FAST_MATH__
#error "the stream is exactly rounded arithmetic: build without -ffast-math"
#endif

int fastinit_init(void)
{
    fastinit_parallel_init();
    fastinit_mapped_init();
    return fastinit_dispatch_init();
}

void fastinit_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    fastinit_ops_in_use()->philox(counter, key, out);
}

int fastinit_bits(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
                  fastinit_run run)
{
    const fastinit_args args = {.seed = seed};
    return fastinit_parallel(fastinit_ops_in_use()->bits[type], out, fastinit_size_of(type), &spans,
                             &args, run);
}

/* Round x to binary32.  The variable is volatile because GCC 12 (-O2 and up) else drops the
 * roundings of a.scale and a.offset below, when its vectorizer takes them as a pair;
 * tests/test_reference.py sees it. */
static double rounded(double x)
{
    volatile float f = (float)x;
    return f;
}

/* Return the least number of a type that is >= x + error, where |error| is at most half a unit of
 * x. The numbers of all types are binary64 ones, and at most one of those lies between x and x +
 * error. */
static double least_number(double x, double error, fastinit_type type)
{
    static const struct {
        int digits;   /* of the mantissa */
        int exponent; /* of the least normal number */
    } formats[] = {
        [FASTINIT_F16] = {11, -14},
        [FASTINIT_BF16] = {8, -126},
        [FASTINIT_F32] = {24, -126},
    };
    uint64_t bits;
    double unit;

    if (error > 0)
        x = nextafter(x, INFINITY);
    if (type == FASTINIT_F64)
        return x;
    memcpy(&bits, &x, sizeof x);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    if (exponent < formats[type].exponent)
        exponent = formats[type].exponent;
    bits = (uint64_t)(exponent + 1 - formats[type].digits + 1023) << 52;
    memcpy(&unit, &bits, sizeof unit);
    return ceil(x / unit) * unit;
}
static double greatest_number(double x, double error, fastinit_type type)
{
    return -least_number(-x, -error, type);
}

typedef fastinit_args prepare(uint64_t seed, double parameter_1, double parameter_2,
                              fastinit_type type);

static fastinit_args prepare_uniform(uint64_t seed, double minval, double maxval,
                                     fastinit_type type)
{
    fastinit_args a = {seed, maxval - minval, minval, 0, 0, NULL};
    if (type != FASTINIT_F64) {
        a.scale = rounded(a.scale);
        a.offset = rounded(a.offset);
    }
    if (minval == maxval) {
        a.low = a.high = a.offset;
        return a;
    }
    a.low = least_number(minval, 0, type);
    a.high = greatest_number(maxval, -1, type); /* It must lie below maxval. */
    if (a.low > a.high)
        a.low = a.high;
    return a;
}

/* Return x + y, and set the error of that sum exactly (Knuth's TwoSum). */
static double sum(double x, double y, double *error)
{
    double s = x + y, b = s - x;
    *error = (x - (s - b)) + (y - b);
    return s;
}

/* Return mean + bound * stddev, and set the error, of which the sign matters, or an infinity. */
static double sum_of_product(double mean, double bound, double stddev, double *error)
{
    double of_sum, rest, product = bound * stddev, of_product = fma(bound, stddev, -product);

    *error = 0;
    if (isinf(bound))
        return bound;
    if (isinf(product)) /* The error would be NaN. */
        return product;
    double s = sum(mean, product, &of_sum);
    s = sum(s, sum(of_sum, of_product, &rest), error);
    *error += rest;
    return s;
}

static fastinit_args prepare_normal(uint64_t seed, double mean, double stddev, fastinit_type type)
{
    fastinit_args a = {seed, stddev, mean, 0, 0, NULL};
    if (type != FASTINIT_F64) {
        a.scale = rounded(stddev);
        a.offset = rounded(mean);
    }
    return a;
}

static fastinit_args prepare_between(uint64_t seed, double mean, double stddev, double lower,
                                     double upper, fastinit_type type)
{
    fastinit_args a = prepare_normal(seed, mean, stddev, type);
    double error, bound = sum_of_product(mean, lower, stddev, &error);
    a.low = isinf(bound) ? bound : least_number(bound, error, type);
    bound = sum_of_product(mean, upper, stddev, &error);
    a.high = isinf(bound) ? bound : greatest_number(bound, error, type);
    if (a.low > a.high) { /* No number lies between the bounds: these are the two around them. */
        bound = a.low;
        a.low = a.high;
        a.high = bound;
    }
    return a;
}

static fastinit_args prepare_truncated(uint64_t seed, double mean, double stddev,
                                       fastinit_type type)
{
    return prepare_between(seed, mean, stddev, -2, 2, type);
}

/* These are volatile because the compiler knows nothing of rounding modes: if it saw into the
 * calls, it could move their arithmetic out of the environment that surrounds them. */
static prepare *volatile const uniform_args = prepare_uniform;
static prepare *volatile const normal_args = prepare_normal;
static prepare *volatile const truncated_args = prepare_truncated;
static fastinit_args (*volatile const between_args)(uint64_t, double, double, double, double,
                                                    fastinit_type) = prepare_between;

#define FILL(name, prepare_args, parameter_1, parameter_2)                                         \
    int fastinit_##name(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,        \
                        double parameter_1, double parameter_2, fastinit_run run)                  \
    {                                                                                              \
        fastinit_fpenv saved = fastinit_fpenv_enter();                                             \
        const fastinit_args args = prepare_args(seed, parameter_1, parameter_2, type);             \
        fastinit_fpenv_leave(saved);                                                               \
        return fastinit_parallel(fastinit_ops_in_use()->name[type], out, fastinit_size_of(type),   \
                                 &spans, &args, run);                                              \
    }
FILL(uniform, uniform_args, minval, maxval)
FILL(normal, normal_args, mean, stddev)
FILL(truncated, truncated_args, mean, stddev)

int fastinit_between(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
                     double mean, double stddev, double lower, double upper,
                     const fastinit_window *window, fastinit_run run)
{
    fastinit_fpenv saved = fastinit_fpenv_enter();
    fastinit_args args = between_args(seed, mean, stddev, lower, upper, type);
    fastinit_fpenv_leave(saved);
    args.window = window;
    return fastinit_parallel(fastinit_ops_in_use()->between[type], out, fastinit_size_of(type),
                             &spans, &args, run);
}
