/* The vector operations that the kernels are written in.  One file per ISA defines all of them, and
 * kernel.c is compiled once with each.
 *
 *   vu    VEC_W lanes of 64 bits; where an operation ends in 32, 2 * VEC_W lanes of 32 bits
 *   vd    VEC_W doubles            vf    2 * VEC_W floats
 *   vm    a truth value for each of VEC_W lanes; vm_bits returns them with lane i in bit i
 *
 *   vu_mul32(a, b)      64-bit products of the low halves; the high halves are ignored
 *   vu_xor3(a, b, c)    exclusive or of the low halves; the high half may be anything
 *   vu_blocks(first)    the numbers first ... first + VEC_W - 1, in the order that vu_pack wants
 *   vu_load_blocks(p)   the numbers p[0] ... p[VEC_W - 1] in the same order
 *   vu_pack(x0..x3)     word j of VEC_W blocks, one block a lane (low half; the high half may hold
 *                       anything), into two vectors in the order of memory: block by block
 *   vu_blocks_apart, vu_pack_apart  likewise, the even words into one vector, the odd ones into the
 *                       other, each in the order of memory
 *   vu_ge32, vu_ge64    the bits of the lanes >= k, for lanes and k below 2^31
 *   vf_ge_bits(a, b)    the bits of the lanes of a >= b
 *   vm_lt_u32           lane < lane, for 64-bit lanes below 2^32
 *   v?_lookup(t, at)    t[at], lane by lane; three floats behind t[at] can be read, too
 *   vd_lookup4(t, at)   t[at][0] ... t[at][3] into four vectors
 *   vf_min(a, b)        a < b ? a : b (and max), which fixes the sign of zero
 *   vd_from_u53         64-bit integers below 2^53 to doubles, exactly
 *   v?_fma(a, b, c)     a * b + c, rounded once
 *   vf_store_f16(p, even, odd)   even[0], odd[0], even[1], odd[1] ..., 4 * VEC_W of them, rounded
 *                       to float16, to nearest even, subnormals kept
 *   vf_store_bf16(p, even, odd)  to bfloat16 likewise, numbers that are no NaN
 *
 * Where VEC_STREAMS is defined, vec_stream(to, from) copies one vector past the caches, to an
 * aligned place, and vec_stream_end() makes such copies visible to other threads.
 *
 * VEC_GROUPS is how many groups of VEC_W Philox blocks are kept in flight to hide the latency of
 * the multiplier, and VEC_GROUPS_LONG how many of them where many blocks follow each other.  With
 * VEC_AHEAD the words of one step are converted between the rounds of the next.  VEC_TILE_ROWS
 * times VEC_TILE_VECTORS is the tile of a matrix product: the registers hold its sums, a row of
 * vectors and one vector more. */
#ifndef FASTINIT_VEC_H
#define FASTINIT_VEC_H

#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)
#define VEC static __forceinline
#else
#define VEC static inline __attribute__((always_inline))
#endif

#if defined FASTINIT_VEC_AVX512
#include "vec_avx512.h"
#elif defined FASTINIT_VEC_AVX2
#include "vec_avx2.h"
#elif defined FASTINIT_VEC_NEON
#include "vec_neon.h"
#else
#include "vec_portable.h"
#endif

#endif
