/* The functions of fastinit.h by name, for the C programs of tests. */
#include <stdlib.h>
#include <string.h>

#include "fastinit.h"

static void call(const char *name, void *out, uint64_t start, size_t n, uint64_t seed, double p,
                 double q, int threads)
{
    const fastinit_run how = {threads, NULL};

    if (!strcmp(name, "bits_u32"))
        fastinit_bits_u32(out, start, n, seed, how);
    else if (!strcmp(name, "bits_u64"))
        fastinit_bits_u64(out, start, n, seed, how);
    else if (!strcmp(name, "uniform_f32"))
        fastinit_uniform_f32(out, start, n, seed, p, q, how);
    else if (!strcmp(name, "uniform_f64"))
        fastinit_uniform_f64(out, start, n, seed, p, q, how);
    else if (!strcmp(name, "normal_f32"))
        fastinit_normal_f32(out, start, n, seed, p, q, how);
    else if (!strcmp(name, "normal_f64"))
        fastinit_normal_f64(out, start, n, seed, p, q, how);
    else if (!strcmp(name, "truncated_f32"))
        fastinit_truncated_f32(out, start, n, seed, p, q, how);
    else if (!strcmp(name, "truncated_f64"))
        fastinit_truncated_f64(out, start, n, seed, p, q, how);
    else
        abort();
}

static size_t bits_per_element(const char *name)
{
    const char *end = name + strlen(name) - 2;
    return strcmp(end, "64") ? 32 : 64;
}
