/* The internal contract: what one compilation of kernel.c exports. */
#ifndef FASTINIT_OPS_H
#define FASTINIT_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "householder.h"

/* value = z * scale + offset, then held to [low, high] for the uniform and the truncated normal.
 * The float32 kernels are given float32 numbers, stored here as doubles. */
typedef struct {
    uint64_t seed;
    double scale, offset, low, high;
} fastinit_args;

/* Elements start ... start + n - 1 of the array to out[0] ... out[n - 1]. */
typedef void fastinit_kernel(void *out, uint64_t start, size_t n, const fastinit_args *args);

typedef struct {
    const char *name;
    void (*philox)(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
    fastinit_kernel *bits_u32, *bits_u64;
    fastinit_kernel *uniform_f32, *uniform_f64;
    fastinit_kernel *normal_f32, *normal_f64;
    fastinit_kernel *truncated_f32, *truncated_f64;
    fastinit_kernel *orthogonal_f32, *orthogonal_f64; /* the normals */
    const fastinit_householder *householder;
} fastinit_ops;

extern const fastinit_ops fastinit_ops_portable, fastinit_ops_avx2, fastinit_ops_avx512,
    fastinit_ops_neon;

#endif
