/* What one compilation of kernel.c exports, and what its callers give it. */
#ifndef FASTINIT_OPS_H
#define FASTINIT_OPS_H

#include "fastinit.h"

#include "householder.h"

/* The value is z * scale + offset, clamped to [low, high] by all but the plain normal.  For all
 * kernels but those of float64 the doubles here hold float32 numbers.  Only the normal between
 * bounds has a window. */
typedef struct {
    uint64_t seed;
    double scale, offset, low, high;
    const fastinit_window *window;
} fastinit_args;

/* Make the elements first ... first + n - 1, counted through the spans, in out[0] ... out[n - 1].
 */
typedef void fastinit_kernel(void *out, const fastinit_spans *spans, size_t first, size_t n,
                             const fastinit_args *args);

enum { FASTINIT_TYPES = FASTINIT_F64 + 1 };

static inline size_t size_min(size_t a, size_t b) { return a < b ? a : b; }

/* Return how many bytes an element has. */
static inline size_t fastinit_size_of(fastinit_type type)
{
    return type == FASTINIT_U64 || type == FASTINIT_F64    ? 8
           : type == FASTINIT_F16 || type == FASTINIT_BF16 ? 2
                                                           : 4;
}

typedef struct {
    const char *name;
    void (*philox)(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
    /* Each array is indexed by fastinit_type.  orthogonal makes the normals of the matrices, in
     * float32 and float64. */
    fastinit_kernel *bits[FASTINIT_TYPES], *uniform[FASTINIT_TYPES];
    fastinit_kernel *normal[FASTINIT_TYPES], *truncated[FASTINIT_TYPES];
    fastinit_kernel *between[FASTINIT_TYPES];
    fastinit_kernel *orthogonal[FASTINIT_TYPES];
    /* Copy that many bytes past the caches; NULL where the ISA cannot. */
    void (*stream)(void *to, const void *from, size_t bytes);
    const fastinit_householder *householder;
} fastinit_ops;

extern const fastinit_ops fastinit_ops_portable, fastinit_ops_avx2, fastinit_ops_avx512,
    fastinit_ops_neon;

#endif
