/* The sampling kernels, written once in the vocabulary of vec.h and compiled once per ISA.  All
 * that this file defines is static, but for one struct of pointers: instructions that the processor
 * may lack never leave it. */
#include <float.h>
#include <string.h>

#include "ops.h"
#include "philox.h"
#include "redraw.h"
#include "ziggurat.h"

#ifdef __FAST_MATH__
#error "the stream is exactly rounded arithmetic: build without -ffast-math"
#endif
_Static_assert(FLT_EVAL_METHOD == 0, "float and double must be computed in their own precision");

enum { BITS, UNIFORM, NORMAL, TRUNCATED, ORTHOGONAL }; /* a distribution's tag: counter word 3 */

/* Orthogonal is the normal distribution once more, from words of its own. */
VEC const fastinit_ziggurat *ziggurat_of(int kind)
{
    return kind == TRUNCATED ? &fastinit_ziggurat_truncated : &fastinit_ziggurat_normal;
}
VEC int is_bounded(int kind) { return kind == UNIFORM || kind == TRUNCATED; }

/* A batch is as many elements as a redraw mask has bits.  A chunk is the span whose rejected
 * elements are collected before they are redrawn: long enough to fill the vectors of the redraw (1%
 * of it), short enough for its result to be in the level-1 or 2 cache still.  Both divide 2^32, so
 * the high half of the block number is the same all through a chunk. */
enum { BATCH = 64, CHUNK = 8192 };
enum { LANES = VEC_W * VEC_GROUPS };

/* First attempts: one vector of words to values.  Return the bits of the elements to redraw. */

VEC uint32_t convert_f32(int kind, float *out, vu words, fastinit_args a)
{
    uint32_t redraw = 0;
    vf z;
    if (kind == UNIFORM)
        z = vf_mul(vf_from_i32(vu_srl32(words, 8)), vf_set1(0x1p-24f));
    else
        z = ziggurat_f32(ziggurat_of(kind), words, &redraw);
    z = vf_add(vf_mul(z, vf_set1((float)a.scale)), vf_set1((float)a.offset));
    if (is_bounded(kind))
        z = vf_min(vf_max(z, vf_set1((float)a.low)), vf_set1((float)a.high));
    vf_store(out, z);
    return redraw;
}

VEC uint32_t convert_f64(int kind, double *out, vu samples, fastinit_args a)
{
    uint32_t redraw = 0;
    vd z;
    if (kind == UNIFORM)
        z = vd_mul(vd_from_u53(vu_srl(samples, 11)), vd_set1(0x1p-53));
    else
        z = ziggurat_f64(ziggurat_of(kind), samples, &redraw);
    z = vd_add(vd_mul(z, vd_set1(a.scale)), vd_set1(a.offset));
    if (is_bounded(kind))
        z = vd_min(vd_max(z, vd_set1(a.low)), vd_set1(a.high));
    vd_store(out, z);
    return redraw;
}

VEC uint32_t convert(int kind, size_t size, void *out, vu words, fastinit_args a)
{
    if (kind == BITS && size == 4)
        vu_store32(out, words);
    else if (kind == BITS)
        vu_store64(out, words);
    else
        return size == 4 ? convert_f32(kind, out, words, a) : convert_f64(kind, out, words, a);
    return 0;
}

/* One batch, whose first block is given; the mask of elements to redraw. */
VEC uint64_t batch(int kind, size_t size, char *out, uint64_t block, vu block_high, fastinit_args a)
{
    uint64_t redraw = 0;
    int done = 0;
    for (size_t b = 0; b < BATCH * size / 16; b += LANES) {
        vu x[VEC_GROUPS][4];
        for (int g = 0; g < VEC_GROUPS; g++) {
            x[g][0] = vu_blocks(block + b + (uint64_t)(g * VEC_W));
            x[g][1] = block_high;
            x[g][2] = vu_set1(0);
            x[g][3] = vu_set1((uint64_t)kind);
        }
        philox(x, a.seed);
        for (int g = 0; g < VEC_GROUPS; g++) {
            vu words[2];
            vu_pack(x[g][0], x[g][1], x[g][2], x[g][3], words);
            for (int i = 0; i < 2; i++) {
                uint64_t bits = convert(kind, size, out + (size_t)done * size, words[i], a);
                redraw |= bits << done;
                done += (int)(VEC_W * 8 / size);
            }
        }
    }
    return redraw;
}

/* Later attempts, for the elements base + list[i], whose place in out is list[i] - first. */
VEC void redraw(int kind, size_t size, char *out, uint64_t base, size_t first, uint16_t *list,
                size_t count, fastinit_args a)
{
    const fastinit_ziggurat *t = ziggurat_of(kind);

    for (uint64_t attempt = 1; count; attempt++) {
        size_t kept = 0;
        for (size_t i = 0; i < count; i += LANES) {
            size_t lanes = count - i < LANES ? count - i : LANES;
            uint64_t position[LANES] = {0};
            vu x[VEC_GROUPS][4];
            double z[LANES];
            uint32_t again = 0;

            for (size_t j = 0; j < lanes; j++)
                position[j] = base + list[i + j];
            for (int g = 0; g < VEC_GROUPS; g++) {
                x[g][0] = vu_load(position + g * VEC_W);
                x[g][1] = vu_srl(x[g][0], 32);
                x[g][2] = vu_set1(attempt);
                x[g][3] = vu_set1((uint64_t)kind);
            }
            philox(x, a.seed);
            for (int g = 0; g < VEC_GROUPS; g++) {
                uint32_t bits;
                vd_store(z + g * VEC_W, overhang(t, x[g], &bits));
                again |= bits << g * VEC_W;
            }
            /* No branch on acceptance: what is rejected is stored too, and overwritten later. */
            for (size_t j = 0; j < lanes; j++) {
                uint16_t at = list[i + j];
                char *to = out + (at - first) * size;
                if (size == 4) {
                    float low = (float)a.low, high = (float)a.high;
                    float value = (float)z[j] * (float)a.scale + (float)a.offset;
                    if (is_bounded(kind))
                        value = value > low ? value : low, value = value < high ? value : high;
                    memcpy(to, &value, sizeof value);
                } else {
                    double value = z[j] * a.scale + a.offset;
                    if (is_bounded(kind))
                        value = value > a.low ? value : a.low,
                        value = value < a.high ? value : a.high;
                    memcpy(to, &value, sizeof value);
                }
                list[kept] = at;
                kept += again >> j & 1;
            }
        }
        count = kept;
    }
}

/* Elements start ... start + n - 1.  Batches are cut at fixed places of the whole array; one that
 * is wanted in part is made aside. */
VEC void fill(int kind, size_t size, char *out, uint64_t start, size_t n, const fastinit_args *args)
{
    const fastinit_args a = *args; /* a copy: stores to out cannot change it */

    while (n) {
        const uint64_t base = start - start % CHUNK;
        const size_t first = (size_t)(start - base);
        const size_t last = n < CHUNK - first ? first + n : CHUNK;
        const uint64_t block = base / (16 / size);
        const vu block_high = vu_set1(block >> 32);
        uint64_t masks[CHUNK / BATCH];
        uint16_t list[CHUNK];
        size_t count = 0;

        for (size_t b = first / BATCH; b * BATCH < last; b++) {
            const size_t from = b * BATCH;
            const uint64_t batch_block = block + from / (16 / size);
            if (from >= first && from + BATCH <= last) {
                masks[b] =
                    batch(kind, size, out + (from - first) * size, batch_block, block_high, a);
            } else {
                uint64_t aside[BATCH]; /* of the strictest alignment of all types */
                const size_t skip = from < first ? first - from : 0;
                const size_t keep = (from + BATCH < last ? BATCH : last - from) - skip;
                masks[b] = batch(kind, size, (char *)aside, batch_block, block_high, a);
                masks[b] &= ~(uint64_t)0 >> (BATCH - keep) << skip;
                memcpy(out + (from + skip - first) * size, (char *)aside + skip * size,
                       keep * size);
            }
        }
        if (kind >= NORMAL) {
            for (size_t b = first / BATCH; b * BATCH < last; b++)
                for (uint64_t mask = masks[b]; mask; mask &= mask - 1)
                    list[count++] = (uint16_t)(b * BATCH + (size_t)__builtin_ctzll(mask));
            redraw(kind, size, out, base, first, list, count, a);
        }
        out += (last - first) * size;
        start += last - first;
        n -= last - first;
    }
}

#define KERNEL(name, kind, size)                                                                   \
    static void name(void *out, uint64_t start, size_t n, const fastinit_args *args)               \
    {                                                                                              \
        fill(kind, size, out, start, n, args);                                                     \
    }
KERNEL(bits_u32, BITS, 4)
KERNEL(bits_u64, BITS, 8)
KERNEL(uniform_f32, UNIFORM, 4)
KERNEL(uniform_f64, UNIFORM, 8)
KERNEL(normal_f32, NORMAL, 4)
KERNEL(normal_f64, NORMAL, 8)
KERNEL(truncated_f32, TRUNCATED, 4)
KERNEL(truncated_f64, TRUNCATED, 8)
KERNEL(orthogonal_f32, ORTHOGONAL, 4)
KERNEL(orthogonal_f64, ORTHOGONAL, 8)

/* For known-answer tests: any counter, in every lane; word j of the first. */
static void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    vu x[VEC_GROUPS][4];
    uint64_t lanes[VEC_W];
    for (int g = 0; g < VEC_GROUPS; g++)
        for (int j = 0; j < 4; j++)
            x[g][j] = vu_set1(counter[j]);
    philox(x, key[0] | (uint64_t)key[1] << 32);
    for (int j = 0; j < 4; j++) {
        vu_store64(lanes, x[0][j]);
        out[j] = (uint32_t)lanes[0];
    }
}

#define JOIN(a, b) a##b
#define OPS(isa) JOIN(fastinit_ops_, isa)
#define HOUSEHOLDER(isa) JOIN(fastinit_householder_, isa)
#define TEXT(isa) #isa
#define NAME(isa) TEXT(isa)

const fastinit_ops OPS(FASTINIT_ISA) = {
    .name = NAME(FASTINIT_ISA),
    .philox = philox_block,
    .bits_u32 = bits_u32,
    .bits_u64 = bits_u64,
    .uniform_f32 = uniform_f32,
    .uniform_f64 = uniform_f64,
    .normal_f32 = normal_f32,
    .normal_f64 = normal_f64,
    .truncated_f32 = truncated_f32,
    .truncated_f64 = truncated_f64,
    .orthogonal_f32 = orthogonal_f32,
    .orthogonal_f64 = orthogonal_f64,
    .householder = &HOUSEHOLDER(FASTINIT_ISA),
};
