/* The internal contract: what one compilation of kernel.c exports. */
#ifndef FASTINIT_OPS_H
#define FASTINIT_OPS_H

#include "fastinit.h"

#include "householder.h"

/* value = z * scale + offset, then held to [low, high] for the uniform and the truncated normal.
 * All but the float64 kernels are given float32 numbers, stored here as doubles. */
typedef struct {
    uint64_t seed;
    double scale, offset, low, high;
} fastinit_args;

/* Elements first ... first + n - 1, counted through the rows, to out[0] ... out[n - 1]. */
typedef void fastinit_kernel(void *out, const fastinit_rows *rows, size_t first, size_t n,
                             const fastinit_args *args);

enum { FASTINIT_TYPES = FASTINIT_F64 + 1 };

/* Bytes of an element. */
static inline size_t fastinit_size_of(fastinit_type type)
{
    return type == FASTINIT_U64 || type == FASTINIT_F64    ? 8
           : type == FASTINIT_F16 || type == FASTINIT_BF16 ? 2
                                                           : 4;
}

typedef struct {
    const char *name;
    void (*philox)(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
    fastinit_kernel *bits[FASTINIT_TYPES], *uniform[FASTINIT_TYPES]; /* by fastinit_type */
    fastinit_kernel *normal[FASTINIT_TYPES], *truncated[FASTINIT_TYPES];
    fastinit_kernel *orthogonal[FASTINIT_TYPES]; /* the normals, float32 and float64 */
    const fastinit_householder *householder;
} fastinit_ops;

extern const fastinit_ops fastinit_ops_portable, fastinit_ops_avx2, fastinit_ops_avx512,
    fastinit_ops_neon;

#endif
