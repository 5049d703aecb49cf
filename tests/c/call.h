/* Calls of the functions of fastinit.h by their names, for the C programs of tests. */
#include <stdlib.h>
#include <string.h>

#include "fastinit.h"

static fastinit_type type_of(const char *name)
{
    static const char *const types[] = {"u32", "u64", "f16", "bf16", "f32", "f64"};
    for (int type = 0; type < 6; type++)
        if (!strcmp(strrchr(name, '_') + 1, types[type]))
            return (fastinit_type)type;
    abort();
}

static size_t bits_per_element(const char *name)
{
    const fastinit_type type = type_of(name);
    return type == FASTINIT_U64 || type == FASTINIT_F64    ? 64
           : type == FASTINIT_F16 || type == FASTINIT_BF16 ? 16
                                                           : 32;
}

/* The parameters are those of the function, in its order; the normal between bounds has four. */
static void call_spans(const char *name, void *out, fastinit_spans spans, uint64_t seed,
                       const double parameters[4], int threads)
{
    const fastinit_run how = {threads, NULL};
    const fastinit_type type = type_of(name);
    const double *p = parameters;

    if (!strncmp(name, "bits_", 5)) {
        fastinit_bits(out, type, spans, seed, how);
    } else if (!strncmp(name, "uniform_", 8)) {
        fastinit_uniform(out, type, spans, seed, p[0], p[1], how);
    } else if (!strncmp(name, "normal_", 7)) {
        fastinit_normal(out, type, spans, seed, p[0], p[1], how);
    } else if (!strncmp(name, "truncated_", 10)) {
        fastinit_truncated(out, type, spans, seed, p[0], p[1], how);
    } else if (!strncmp(name, "between_", 8)) {
        fastinit_window window;
        fastinit_window_init(&window, p[2], p[3]);
        fastinit_between(out, type, spans, seed, p[0], p[1], p[2], p[3], &window, how);
    } else {
        abort();
    }
}

static inline void call(const char *name, void *out, uint64_t start, size_t n, uint64_t seed,
                        double parameter_1, double parameter_2, int threads)
{
    const fastinit_spans spans = {&start, 1, n, 0};
    const double parameters[4] = {parameter_1, parameter_2};
    call_spans(name, out, spans, seed, parameters, threads);
}
