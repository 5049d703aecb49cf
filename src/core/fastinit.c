/* The functions of fastinit.h: parameters to the numbers that the kernels take. */
#include "fastinit.h"

#include <math.h>

#include "dispatch.h"
#include "fpenv.h"
#include "parallel.h"

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

/* A double to the nearest float32, to the least one >= x, to the greatest one <= x or < x. */
static double nearest(double x) { return (float)x; }
static double at_least(double x)
{
    float f = (float)x;
    return f < x ? nextafterf(f, INFINITY) : f;
}
static double at_most(double x)
{
    float f = (float)x;
    return f > x ? nextafterf(f, -INFINITY) : f;
}
static double below(double x)
{
    float f = (float)x;
    return f >= x ? nextafterf(f, -INFINITY) : f;
}

typedef fastinit_args prepare(uint64_t seed, double p, double q, int single);

static fastinit_args prepare_uniform(uint64_t seed, double minval, double maxval, int single)
{
    fastinit_args a = {seed, maxval - minval, minval, minval, nextafter(maxval, -INFINITY)};
    if (single) {
        a.scale = nearest(a.scale);
        a.offset = nearest(minval);
        a.low = at_least(minval);
        a.high = below(maxval);
    }
    if (a.low > a.high)
        a.low = a.high = a.offset;
    return a;
}

static fastinit_args prepare_normal(uint64_t seed, double mean, double stddev, int single)
{
    fastinit_args a = {seed, stddev, mean, mean - 2 * stddev, mean + 2 * stddev};
    if (single) {
        a.scale = nearest(stddev);
        a.offset = nearest(mean);
        a.low = at_least(a.low);
        a.high = at_most(a.high);
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
