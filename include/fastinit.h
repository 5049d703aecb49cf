/* fastinit: initial values for neural networks, the same bits everywhere.
 *
 * This file is the whole C contract: the stream (version 1) and the functions that fill from it.
 * With the tables of numbers in src/core/ziggurat_tables.c it is enough to write an independent
 * implementation; tests/reference.py is one, tests/golden holds values to compare with.
 *
 *
 * THE STREAM, VERSION 1, FINAL
 *
 * Every element is a function of (seed, distribution, dtype, index i in the whole array in C order,
 * parameters), and of nothing else.  An element of a row that has a key is a function of the key
 * and its column j, in the place of i.
 *
 * 1. Words.  Philox4x32-10 (Salmon et al., SC 2011): a counter of four 32-bit words c0 ... c3 and a
 *    key of two, k0, k1, give a block of four words x0 ... x3.  Ten rounds; each takes
 *      a = 0xD2511F53 * c0, b = 0xCD9E8D57 * c2 (64-bit products) to
 *      (c0, c1, c2, c3) = (high(b) ^ c1 ^ k0, low(b), high(a) ^ c3 ^ k1, low(a)),
 *    with the high and low 32 bits, and then adds 0x9E3779B9 to k0, 0xBB67AE85 to k1, modulo 2^32.
 *    The block is the counter after the last round.
 *
 *    Key: k0 the low half of the 64-bit seed, k1 the high half.  Counter: c0, c1 the low and the
 *    high half of a 64-bit position; c2 the attempt; c3 the distribution's tag: raw bits 0,
 *    uniform 1, normal 2, truncated normal 3, orthogonal 4, normal between bounds 5; for float64 16
 *    more.
 *
 *    In the first attempt (c2 = 0) the position is a block number: a 32-bit sample is word i mod 4
 *    of block floor(i / 4); a 64-bit sample has word 2 * (i mod 2) of block floor(i / 2) as its low
 *    half and the next word as its high half.  In later attempts (c2 = 1, 2, ...) the position is i
 *    itself, and the element has the four words of the block to itself.  float64 and uint64 take
 *    64-bit samples, all others 32-bit ones.
 *
 *    Rows with keys.  The position is the row's 64-bit key in all attempts.  c2 is the block number
 *    of the row in the first attempt, floor(j / 4) or floor(j / 2) with the same words of it, and
 *    the column j < 2^32 in later ones.  c3 is the tag plus 32 plus 256 times the attempt (0 for
 *    the first).
 *
 * 2. Arithmetic.  binary32 and binary64, each operation rounded once to nearest, ties to even, in
 *    the order written (* and / before + and -, otherwise from left to right, but for brackets),
 *    never contracted, subnormals kept.  Integers become floating-point numbers exactly, except
 *    where rounding is named.  min(a, b) is a < b ? a : b, max(a, b) is a > b ? a : b: that decides
 *    the sign of a zero.  Constants are written as C writes them: 0x1.8p+1 is 3.  "To round" is to
 *    the nearest number of the type, ties to even; "least" and "greatest" numbers are compared with
 *    exact real numbers, and are numbers of the result's type; where one is zero it has the sign of
 *    what it is compared with, and is +0 for a sum that is 0.
 *
 *    float16 (binary16 of IEEE 754) and bfloat16 (the upper half of a binary32) are computed as
 *    float32: "the computing type" of sections 4 and 5 is binary32 for both, and for them the value
 *    that is found there is rounded once, at the end, to the result's type, with subnormals, and to
 *    an infinity where it is out of range.  Bounds that are numbers of the result's type hold after
 *    that rounding, too: it keeps the order of numbers.
 *
 * 3. Raw bits.  The sample.
 *
 * 4. Uniform on [minval, maxval), which are binary64.  In the computing type,
 *      u = s * 2^-31 in binary32, where s is the integer (sample >> 1) with its lowest bit set,
 *      rounded; u = (sample >> 11) * 2^-53 in binary64;
 *      value = min(max(u * scale + offset, low), high).
 *    scale = maxval - minval computed in binary64, then rounded to the computing type;
 *    offset = minval rounded to it;
 *    low = the least number >= minval; high = the greatest number < maxval;
 *    if low > high, low is high.  If minval = maxval, low = high = offset.
 *
 * 5. Normal and truncated normal, of mean and stddev, which are binary64.  In the computing
 *    type,
 *      value = z * scale + offset, with scale = stddev rounded and offset = mean rounded to it,
 *    where z is the standard variate of section 6; a binary64 z is rounded to binary32 first if
 *    that is the computing type.  The truncated value is then min(max(value, low), high), where
 *      low = the least number >= mean + lower * stddev,
 *      high = the greatest number <= mean + upper * stddev,
 *    with the exact real numbers, and lower = -2, upper = 2; if low > high, the two change places.
 *    These bounds change values only in their last bit: truncation is by rejection, not by
 *    clamping.
 *
 *    The normal between the bounds lower < upper, which may be infinite, is the same with z of
 *    section 7.  If lower is infinite, low is -infinity; if upper is, high is infinity.
 *
 * 6. The standard variate z: the modified Ziggurat (McFarland 2016).  The normal and the truncated
 *    normal have each their own table, fastinit_ziggurat_normal and fastinit_ziggurat_truncated in
 *    src/core/ziggurat_tables.c.  Its numbers, exactly as they stand there, are part of the stream:
 *    arrays of 1024 (edge_f32 in binary32; edge_f64 in binary64; alias, in integers; region, of
 *    four binary64 each, in this order: a, width, y0, height), and the single numbers inscribed,
 *    tails, limit, x0, inverse_x0.  src/core/gen_ziggurat.py derives them from the density.  The
 *    names below are theirs.
 *
 *    First attempt, 32-bit sample w: layer = w mod 1024, but (2^32 - 1 - w) mod 1024 if bit 31 of w
 *      is 1; s = w with its lowest bit set, as a signed integer (two's complement), rounded to
 *      binary32; z = s * edge_f32[layer] in binary32.
 *    First attempt, 64-bit sample w: layer = w mod 1024; m = bits 12-63;
 *      z = ((2 m + 1) * 2^-53) * edge_f64[layer] in binary64, negated if bit 11 is 1.  Bit 10 is
 *      not used.
 *    Accepted if layer < inscribed.  Else later attempts follow, until one is accepted.
 *
 *    Later attempts, of the words x0 ... x3, in binary64 for all types.
 *      column = x0 mod 1024; region = column if floor(x0 / 1024) < floor(alias[column] / 1024),
 *      else alias[column] mod 1024.
 *      u = (2 m + 1) * 2^-53 with m = x1 * 2^20 + (x3 mod 2^20);
 *      v = (2 m' + 1) * 2^-53 with m' = x2 * 2^20 + (bits 20-30 of x3) * 2^9.
 *      If region < tails (the tail, region 0 of the normal):
 *        t = minus_log(u) * inverse_x0; z = x0 + t, with the table's x0; y = v.
 *      Else, unless u + v < 1, 1 - u takes the place of u and 1 - v that of v; then
 *        z = a[region] + u * width[region]; y = y0[region] + v * height[region]; t = z.
 *      Accepted if y < exp_minus(t * t * 0.5) and z <= limit; then negated if bit 31 of x3 is 1.
 *
 *    exp_minus(q), near exp(-q), for 0 <= q < 700:
 *      n = the integer nearest to q * 0x1.71547652b82fep+0 (that product rounded, ties to even);
 *      r = (n * 0x1.62e42feep-1 - q) + n * 0x1.a39ef35793c76p-33;
 *      r2 = r * r; r4 = r2 * r2; r8 = r4 * r4;
 *      pk = C(2k) + r * C(2k+1) for k = 0 ... 6; q0 = p0 + r2 * p1; q1 = p2 + r2 * p3;
 *      q2 = p4 + r2 * p5; the result is ((q0 + r4 * q1) + r8 * (q2 + r4 * p6)) * 2^-n.
 *      Ck is 1 / k! rounded:
 *        C0  0x1p+0                  C5  0x1.1111111111111p-7    C10 0x1.27e4fb7789f5cp-22
 *        C1  0x1p+0                  C6  0x1.6c16c16c16c17p-10   C11 0x1.ae64567f544e4p-26
 *        C2  0x1p-1                  C7  0x1.a01a01a01a01ap-13   C12 0x1.1eed8eff8d898p-29
 *        C3  0x1.5555555555555p-3    C8  0x1.a01a01a01a01ap-16   C13 0x1.6124613a86d09p-33
 *        C4  0x1.5555555555555p-5    C9  0x1.71de3a556c734p-19
 *
 *    minus_log(u), near -log(u), for 2^-53 <= u < 1:
 *      u = m * 2^-n with an integer n and 1 <= m < 2; unless m < 0x1.6a09e667f3bcdp+0,
 *      m * 0.5 takes the place of m and n - 1 that of n (both exact);
 *      s = (m - 1) / (m + 1); s2 = s * s;
 *      p = D21; then for k = 19, 17, ... 1: p = p * s2 + Dk;
 *      the result is n * 0x1.62e42fefa39efp-1 - (s + s) * p.
 *      Dk is 1 / k rounded:
 *        D1  0x1p+0                  D9  0x1.c71c71c71c71cp-4    D17 0x1.e1e1e1e1e1e1ep-5
 *        D3  0x1.5555555555555p-2    D11 0x1.745d1745d1746p-4    D19 0x1.af286bca1af28p-5
 *        D5  0x1.999999999999ap-3    D13 0x1.3b13b13b13b14p-4    D21 0x1.8618618618618p-5
 *        D7  0x1.2492492492492p-3    D15 0x1.1111111111111p-4
 *
 * 7. The standard variate between the bounds lower and upper: a Ziggurat of 512 layers, whose table
 *    follows from the bounds (in src/core/window.c, with the sources of the method).  All of it is
 *    binary64 but for the arrays width_f32 and inner_f32.
 *
 *    start = lower if lower >= 0, upper if upper <= 0, else 0; slope = |start|.  The sides are the
 *    parts of the window on both sides of start: if start is 0 inside of it, first the right one,
 *    of direction 1 and length far = upper, then the left one, of direction -1 and far = -lower;
 *    else one side with far = upper - lower, of direction 1 if upper > 0, and -1 if not.
 *      distance(q) = q / (slope + sqrt(slope * slope + q)); cut = distance(0x1.bb9d3beb8c86bp+3);
 *      end = min(far, cut) of each side; box = the sum of the ends, from 0.
 *      width(y) = end if y = 0, else min(distance(2 * minus_log(y)), end).
 *    The layers of a side for some area are those of the floors y = 0, then y + area / width(y),
 *    and so on while y < 1.  A side has a tail, too, if far > cut.  With
 *    area = box * (k * 2^-23), k is found by bisection: from low = 0 and high = 2^15 on,
 *    while high - low > 1, middle = floor((low + high) / 2) takes the place of high if the layers
 *    and tails of all sides are at most 512, else that of low.  k is high at the end.
 *
 *    The numbers 0, 1, ... are given to the layers of the first side in order, to those of the
 *    second, to the tails in the order of the sides.  The name of number n is (317 n) mod 512.
 *    Layer k (from 0) of a side of some direction, of floor y and ceiling c = y + area / width(y):
 *      width_f64 = direction * width(y); width_f32 = direction * width(y) * 2^-31, rounded; but if
 *      k is odd and width(y) = end, each is the next number from that towards 0;
 *      inner_f64 = width(c) / width(y), or 0 if c >= 1; inner_f32 = the next number below
 *      inner_f64 * 2^31, rounded, or 0 if that is 0;
 *      layer = (direction * width(y), y, area / width(y), 0).
 *    A tail has layer = (direction * cut, 1 / rate, area * rate * 2^10, far - cut), with
 *    rate = slope + cut.  Names for which no number is left have layer = (0, 2, 0, 0).  For both
 *    the rest is 0.
 *
 *    First attempt, 32-bit sample w: name = w mod 512; s = (w >> 1) with its lowest bit set,
 *      rounded to binary32; accepted if s < inner_f32[name]; z = s * width_f32[name] + start, with
 *      start rounded, in binary32.
 *    First attempt, 64-bit sample w: name = w mod 512; p = (2 m + 1) * 2^-53 with m = bits 12-63;
 *      accepted if p < inner_f64[name]; z = p * width_f64[name] + start.  Bits 9-11 are not used.
 *
 *    Later attempts.  u and v are those of section 6, p = u and name = x0 mod 512; but in the
 *      second attempt name and p are those of the first (for a 32-bit sample p = s * 2^-31, s not
 *      rounded).  With (a, b, c, d) = layer[name]:
 *      if d > 0 (a tail): e = minus_log(u) * b; accepted if v * c < exp_minus(e * (e * 0.5)) and
 *      e <= d; z = start + (a + e), but start + (a - e) if a < 0.
 *      Else t = |p * a|; accepted if b + v * c < exp_minus(t * (slope + t * 0.5));
 *      z = start + p * a.
 *    From the third attempt on an attempt is accepted with a probability of at least 0.98.
 *
 * 8. Orthogonal matrices (derived in src/core/householder.c).  One matrix of rows x columns,
 *    rows >= columns, is a function of its m = rows * columns normals: matrix b of an array has
 *    the elements b * m ... b * m + m - 1.  A wide matrix is the transpose of the tall one.  The
 *    normals are the standard variates of 6, under the tag 4.
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
 *    From here on in the computing type.  sum: from 0, in the order of its index, each term by one
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
 *    At the end, unless gain is 1 in the computing type, each element is multiplied by it; float16
 *    and bfloat16 are then rounded.
 *
 * Version 1 is final: any change of any bit makes another FASTINIT_STREAM_VERSION.
 */
#ifndef FASTINIT_H
#define FASTINIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTINIT_STREAM_VERSION 1

/* The version of the types and functions below.  Code that is compiled with one version does not
 * run with another, so the name of the shared library contains the version.  New functions do not
 * change it. */
#define FASTINIT_ABI_VERSION 1

/* The shared library exports the functions of this file and nothing else. */
#ifndef FASTINIT_SHARED
#define FASTINIT_API
#elif defined(_WIN32)
#define FASTINIT_API __declspec(dllexport)
#else
#define FASTINIT_API __attribute__((visibility("default")))
#endif

/* The results of the functions that choose kernels or fill. */
enum {
    FASTINIT_STOPPED = -1, /* poll has stopped the fill; the values are undefined */
    FASTINIT_OK,
    FASTINIT_ISA_UNKNOWN,       /* no ISA has this name */
    FASTINIT_ISA_UNAVAILABLE,   /* this build, processor or system cannot run it */
    FASTINIT_HIDE_ISA_UNKNOWN,  /* FASTINIT_HIDE_ISA holds a name that no ISA has */
    FASTINIT_HIDE_ISA_PORTABLE, /* FASTINIT_HIDE_ISA holds "portable" */
};

/* Choose the kernels; call it once, before any other function.  Two environment variables decide:
 *
 *   FASTINIT_ISA       the name of the ISA whose kernels to use; without it, the best that is
 *                      available.
 *   FASTINIT_HIDE_ISA  a comma-separated list of ISAs that are then not available, exactly as on a
 *                      processor that lacks them.  "portable" cannot be hidden.  It lets one
 *                      machine test what smaller ones do.
 *
 * An empty variable counts as unset.  Return FASTINIT_OK, or the error in a variable. */
FASTINIT_API int fastinit_init(void);

/* Return the names of all ISAs, slowest first, ended by NULL: "portable", "neon", "avx2",
 * "avx512". */
FASTINIT_API const char *const *fastinit_isas(void);
/* Return 1 if this build has kernels for the ISA of that name. */
FASTINIT_API int fastinit_isa_built(const char *name);
/* Return 1 if these kernels can run here and are not hidden. */
FASTINIT_API int fastinit_isa_available(const char *name);
/* Change to these kernels.  No other thread may be in a fill meanwhile. */
FASTINIT_API int fastinit_use_isa(const char *name);
/* Return the name of the ISA in use. */
FASTINIT_API const char *fastinit_isa(void);

/* Return the value of _OPENMP; 0 if built without OpenMP. */
FASTINIT_API int fastinit_openmp(void);

/* Return how many threads others let the calling thread use: OMP_THREAD_LIMIT, or fewer if
 * omp_set_num_threads() has set fewer, unless it is the number of when fastinit_init() was called;
 * and 1 inside a team that may start no other one.  Without OpenMP it is INT_MAX. */
FASTINIT_API int fastinit_thread_limit(void);

/* Return to how many places OMP_PROC_BIND binds OpenMP's threads; 0 if they are not bound. */
FASTINIT_API int fastinit_places(void);

/* Return how many processors a place has.  Where they are at most `most`, list them. */
FASTINIT_API int fastinit_place(int place, int *processors, int most);

/* Return 1 if the system says that writing to memory writes to no file.  It takes half a
 * microsecond, and keeps a descriptor open.  Linux before 6.11, and other systems, do not say. */
FASTINIT_API int fastinit_is_private(const void *memory, size_t n);

/* Have the system make the pages of memory writeable, in 30 ns for each that is there already, and
 * return 0 or errno: EFAULT where writing would end the process, as on a full disk. */
FASTINIT_API int fastinit_populate(void *memory, size_t n);

/* How to run a fill. */
typedef struct {
    /* The most threads to use; small fills use fewer. */
    int threads;
    /* Unless it is NULL, poll is called on the caller's thread every 50 ms, between pieces of at
     * most 2 MiB (of matrices also within the tasks of a product).  If it returns non-zero the fill
     * stops, leaves undefined values, and returns FASTINIT_STOPPED. */
    int (*poll)(void);
} fastinit_run;

/* The types of elements.  A float16 or bfloat16 is stored as its bits, in a uint16_t. */
typedef enum {
    FASTINIT_U32,
    FASTINIT_U64,
    FASTINIT_F16,
    FASTINIT_BF16,
    FASTINIT_F32,
    FASTINIT_F64,
} fastinit_type;

/* Which elements of an array to fill with: spans of equal length, one after the other.  Span i has
 * the elements starts[i] ... starts[i] + length - 1.  If keyed, it has the columns 0 ... length - 1
 * of the row whose key is starts[i]. */
typedef struct {
    const uint64_t *starts;
    size_t count, length;
    int keyed;
} fastinit_spans;

/* The table of a normal between two bounds.  Section 7 above defines its numbers. */
enum { FASTINIT_LAYERS = 512 };
typedef struct {
    double start, slope;
    float width_f32[FASTINIT_LAYERS], inner_f32[FASTINIT_LAYERS];
    double width_f64[FASTINIT_LAYERS], inner_f64[FASTINIT_LAYERS];
    double layer[FASTINIT_LAYERS][4];
} fastinit_window;

/* Make the table of the standard normal between lower and upper.  It takes 0.1 to 0.3 ms.
 * lower < upper; one or both may be infinite.  The bound that is nearer to 0 is at most 2^100 from
 * it, and the bounds are at least 2^-900 apart. */
FASTINIT_API void fastinit_window_init(fastinit_window *window, double lower, double upper);

/* Each of these functions fills out[0] ... out[count * length - 1], in that type, with the spans of
 * the array of that seed, and returns FASTINIT_OK, or FASTINIT_STOPPED if poll has stopped it.
 * They allocate nothing, cannot fail otherwise and check nothing; the caller guarantees that
 *   - each start + length <= 2^64, or length <= 2^32 if keyed, and out is aligned to its type;
 *   - the type is U32 or U64 for bits, and a floating-point type for the others;
 *   - minval <= maxval and stddev >= 0; all parameters but lower and upper, mean +- 2 * stddev, and
 *     for finite bounds mean + lower * stddev and mean + upper * stddev, are finite in the result's
 *     type, and maxval - minval is finite in the computing type.
 * They may be called from several threads at once.  The caller's floating-point environment changes
 * nothing and is left as it was. */
FASTINIT_API int fastinit_bits(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
                               fastinit_run run);
FASTINIT_API int fastinit_uniform(void *out, fastinit_type type, fastinit_spans spans,
                                  uint64_t seed, double minval, double maxval, fastinit_run run);
FASTINIT_API int fastinit_normal(void *out, fastinit_type type, fastinit_spans spans, uint64_t seed,
                                 double mean, double stddev, fastinit_run run);
FASTINIT_API int fastinit_truncated(void *out, fastinit_type type, fastinit_spans spans,
                                    uint64_t seed, double mean, double stddev, fastinit_run run);
/* window is the table of the bounds lower and upper, which are in units of stddev. */
FASTINIT_API int fastinit_between(void *out, fastinit_type type, fastinit_spans spans,
                                  uint64_t seed, double mean, double stddev, double lower,
                                  double upper, const fastinit_window *window, fastinit_run run);

/* Fill out with count random matrices, the first, first + 1, ... of the array of that seed.  Each
 * is rows x columns and Haar distributed; its columns (or rows, if there are fewer) are orthogonal
 * and of length gain.  The type is F32 or F64; float16 and bfloat16 matrices are the F32 ones,
 * rounded.  work has that type, and as many elements as fastinit_orthogonal_work returns for the
 * same arguments. */
FASTINIT_API size_t fastinit_orthogonal_work(size_t rows, size_t columns, size_t count,
                                             fastinit_run run);
FASTINIT_API int fastinit_orthogonal(void *out, fastinit_type type, void *work, uint64_t first,
                                     size_t count, size_t rows, size_t columns, uint64_t seed,
                                     double gain, fastinit_run run);

/* Return the seed of a parameter.  root is the seed of the model, and name is the name of the
 * parameter, as length bytes of UTF-8.  The result is the BLAKE2b hash (RFC 7693) of the name, with
 * a digest of 8 bytes that is read as a little-endian integer.  The key of the hash is root as 8
 * little-endian bytes, and its personalization is "fastinit.derive". */
FASTINIT_API uint64_t fastinit_derive_seed(uint64_t root, const char *name, size_t length);

/* Compute one block of Philox4x32-10 by the kernels in use, for known-answer tests. */
FASTINIT_API void fastinit_philox(const uint32_t counter[4], const uint32_t key[2],
                                  uint32_t out[4]);

#ifdef __cplusplus
}
#endif

#endif
