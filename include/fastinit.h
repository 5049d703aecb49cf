/* fastinit: initial values for neural networks, the same bits everywhere.
 *
 * This file is the whole C contract: the stream (version 1) and the functions that fill from it.
 * It says enough to write an independent implementation; tests/reference.py is one.
 *
 *
 * THE STREAM, VERSION 1
 *
 * Every element is a function of (seed, distribution, dtype, index i in the whole array in C order,
 * parameters), and of nothing else.
 *
 * 1. Words.  Philox4x32-10 (Salmon et al., SC 2011).  Key: the low half of the 64-bit seed, then
 * the high half.  Counter words: c0, c1 the low and high half of a 64-bit position; c2 the attempt;
 * c3 the distribution's tag: raw bits 0, uniform 1, normal 2, truncated normal 3, orthogonal 4. In
 * the first attempt (c2 = 0) the position is a block number: a 32-bit sample is word i % 4 of block
 * i / 4; a 64-bit sample is word 2 * (i % 2) (its low half) and the next one (its high half) of
 * block i / 2.  In later attempts (c2 = 1, 2, ...) the position is i itself, and the element has
 * the four words x0 ... x3 of the block to itself. float32 and uint32 take 32-bit samples, float64
 * and uint64 take 64-bit ones.
 *
 * 2. Arithmetic.  binary32 and binary64, each operation rounded once to nearest even, in the order
 *    written, never contracted, subnormals kept.  min(a, b) is a < b ? a : b, max(a, b) is
 *    a > b ? a : b.
 *
 * 3. Raw bits.  The sample.
 *
 * 4. Uniform.  u = (sample >> 8) * 2^-24 in binary32, or (sample >> 11) * 2^-53 in binary64.
 *    value = min(max(u * scale + offset, low), high), where, all in the result's type,
 *      scale = maxval - minval (computed in binary64, then rounded), offset = minval rounded,
 *      low = the least number >= minval, high = the greatest number < maxval, and low = high where
 *      there is none in between.  If minval = maxval, low = high = offset.
 *
 * 5. Normal and truncated normal.  A standard variate z by the modified Ziggurat (McFarland 2016)
 *    with the tables of src/core/ziggurat_tables.c, one set for each of the two distributions;
 *    src/core/gen_ziggurat.py defines them.  Then value = z * stddev + mean, with stddev, mean and,
 *    for float32, z rounded to the result's type first.  The truncated value is held to
 *    min(max(value, low), high):
 *      low = the least number >= mean - 2 * stddev, high = the greatest <= mean + 2 * stddev (of
 * the exact real numbers), but neither passes the rounded mean. The bounds touch values in their
 * last bit alone: truncation is by rejection, not by clamping.
 *
 *    First attempt, 32-bit sample w: layer = w mod 256; s = the signed integer in bits 8-31;
 *      z = (2s + 1) * edge_f32[layer] in binary32 (edge_f32 holds the factor 2^-24).
 *    First attempt, 64-bit sample w: layer = w mod 256; m = bits 12-63;
 *      z = (2m + 1) 2^-53 * edge_f64[layer] in binary64, negated if bit 11 is set.
 *    Accepted if layer < inscribed.
 *
 *    Later attempts, in binary64 for both types.  column = x0 mod 256; region = column if
 *      x0 >> 8 < alias[column] >> 8, else alias[column] mod 256.
 *      u = (2 m + 1) 2^-53 with m = x1 * 2^20 + (x3 mod 2^20);
 *      v = (2 m'+ 1) 2^-53 with m' = x2 * 2^20 + (bits 20-30 of x3) * 2^9.
 *      In the tail (region 0 of the normal): t = -log(u) * inverse_x0, z = x0 + t, y = v.
 *      Elsewhere: unless u + v < 1, u = 1 - u and v = 1 - v; then
 *        z = a[region] + u * width[region], y = y0[region] + v * height[region], t = z.
 *      Accepted if y < exp(-(t * t) * 0.5) and z <= limit.  z is negated if bit 31 of x3 is set.
 *      exp and log are those of src/core/redraw.h, operation by operation.
 *
 * 6. Orthogonal matrices (derived in src/core/householder.c).  One matrix of rows x columns,
 *    rows >= columns, is a function of its m = rows * columns normals: matrix b of an array has
 *    the elements b * m ... b * m + m - 1.  A wide matrix is the transpose of the tall one.  The
 *    normals are the standard variates of 5, under the tag 4.
 *
 *    Panels are columns f ... f + w - 1 with f = 0, 96, 192, ... and w = 96, or less in the last.
 *    i, a row, counts from f; j, k, l, columns of the panel, too:
 *      x[i, k] = element f * rows + (f + i) * w + k of the matrix.  Those with i < k are not used.
 *
 *    Reflectors.  c = x[k, k]; d[k] = -1 if c > 0, else 1.
 *      norm2[k] = the sum of x[i, k]^2, i >= k, in binary64, squares rounded: rows 0 ... 63 in
 *        order from 0 (zeros for i < k), the next 64, ...; then blocks 0 and 1, 2 and 3, ..., pairs
 *        0 and 1, 2 and 3, ..., and so on, while there are two; at the end, from 0 and from the
 *        last on, what has found no partner.
 *      v[i, k] = x[i, k] for i > k, 0 for i < k;
 *      v[k, k] = c - d[k] * sqrt(norm2[k]) in binary64, rounded;
 *      S[k, k] = (norm2[k] - c^2 + v[k, k]^2) * 0.5 in binary64, rounded;
 *      but v[k, k] = 1 and S[k, k] = 0.5 in the last row of a square matrix.
 *
 *    From here on in the result's type.  sum: from 0, in the order of its index, each term by one
 *    fused multiply-add.
 *      S[j, k] = sum over i of v[i, j] v[i, k], for j < k.
 *      N[j, j] = -1 / S[j, j] in binary64, rounded; for j = w - 1 ... 0 and k > j
 *      N[j, k] = N[j, j] * (sum over l = j + 1 ... k of S[j, l] N[l, k]).
 *
 *    From the last panel to the first.  C is rows and columns f and up of the result, where k is
 *    any column:
 *      k < w:   C[i, k] = d[k] if i = k, else 0;  W[j, k] = v[k, j] * d[k] if j <= k, else 0.
 *      k >= w:  C[i, k] = 0 for i < w;  W[j, k] = sum over i >= w of v[i, j] C[i, k].
 *      U[j, k] = sum over l = j ... w - 1 of N[j, l] W[l, k].
 *      C[i, k] = C[i, k] + v[i, 0] U[0, k] + v[i, 1] U[1, k] + ..., fused, in this order.
 *    At the end, unless gain is 1 in the result's type, each element is multiplied by it.
 */
#ifndef FASTINIT_H
#define FASTINIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTINIT_STREAM_VERSION 1

enum { FASTINIT_OK, FASTINIT_ISA_UNKNOWN, FASTINIT_ISA_UNAVAILABLE };

/* Once, before all else: choose the kernels that FASTINIT_ISA names in the environment, or else the
 * best for this processor.  FASTINIT_OK, or why the named ones cannot be had. */
int fastinit_init(void);

/* The names of all variants built in, slowest first, ended by NULL: "portable", then "neon" or
 * "avx2", "avx512". */
const char *const *fastinit_isas(void);
int fastinit_isa_available(const char *name); /* 1 if this processor and system can run it */
int fastinit_use_isa(const char *name);       /* change to it; not while another thread fills */
const char *fastinit_isa(void);               /* the one in use */
int fastinit_openmp(void);                    /* the value of _OPENMP, 0 if built without */

/* How to run a fill. */
typedef struct {
    int threads;       /* at most so many; small fills use fewer */
    int (*poll)(void); /* NULL, or: called on the caller's thread every 50 ms, between pieces of
                          at most 2 MiB; non-zero stops the fill, which leaves undefined values */
} fastinit_run;

/* Each fills out[0] ... out[n - 1] with the elements start ... start + n - 1 of the array of that
 * seed.  They allocate nothing, cannot fail and check nothing: start + n <= 2^64; minval <= maxval,
 * stddev >= 0; all parameters, maxval - minval and mean +- 2 * stddev finite in the result's type.
 * They may be called from several threads at once; the caller's floating-point environment changes
 * nothing and is left as it was. */
void fastinit_bits_u32(uint32_t *out, uint64_t start, size_t n, uint64_t seed, fastinit_run run);
void fastinit_bits_u64(uint64_t *out, uint64_t start, size_t n, uint64_t seed, fastinit_run run);

void fastinit_uniform_f32(float *out, uint64_t start, size_t n, uint64_t seed, double minval,
                          double maxval, fastinit_run run);
void fastinit_uniform_f64(double *out, uint64_t start, size_t n, uint64_t seed, double minval,
                          double maxval, fastinit_run run);

void fastinit_normal_f32(float *out, uint64_t start, size_t n, uint64_t seed, double mean,
                         double stddev, fastinit_run run);
void fastinit_normal_f64(double *out, uint64_t start, size_t n, uint64_t seed, double mean,
                         double stddev, fastinit_run run);

void fastinit_truncated_f32(float *out, uint64_t start, size_t n, uint64_t seed, double mean,
                            double stddev, fastinit_run run);
void fastinit_truncated_f64(double *out, uint64_t start, size_t n, uint64_t seed, double mean,
                            double stddev, fastinit_run run);

/* count random matrices one after the other, the first, first + 1, ... of the array of that seed:
 * each rows x columns, its columns (or rows, if there are fewer) orthogonal and of length gain,
 * Haar distributed.  The work space is of the result's type, of the size that
 * fastinit_orthogonal_work gives for the same arguments. */
size_t fastinit_orthogonal_work(size_t rows, size_t columns, size_t count, fastinit_run run);
void fastinit_orthogonal_f32(float *out, void *work, uint64_t first, size_t count, size_t rows,
                             size_t columns, uint64_t seed, double gain, fastinit_run run);
void fastinit_orthogonal_f64(double *out, void *work, uint64_t first, size_t count, size_t rows,
                             size_t columns, uint64_t seed, double gain, fastinit_run run);

/* One block of Philox4x32-10, by the kernels in use: for known-answer tests. */
void fastinit_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#ifdef __cplusplus
}
#endif

#endif
