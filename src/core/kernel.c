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

/* One vector of standard variates to the values asked for. */

VEC void finish_f32(int kind, float *out, vf z, fastinit_args a)
{
    z = vf_add(vf_mul(z, vf_set1((float)a.scale)), vf_set1((float)a.offset));
    if (is_bounded(kind))
        z = vf_min(vf_max(z, vf_set1((float)a.low)), vf_set1((float)a.high));
    vf_store(out, z);
}

VEC void finish_f64(int kind, double *out, vd z, fastinit_args a)
{
    z = vd_add(vd_mul(z, vd_set1(a.scale)), vd_set1(a.offset));
    if (is_bounded(kind))
        z = vd_min(vd_max(z, vd_set1(a.low)), vd_set1(a.high));
    vd_store(out, z);
}

/* First attempts: one vector of words to values.  Return the bits of the elements to redraw. */

VEC uint32_t convert_f32(int kind, float *out, vu words, fastinit_args a)
{
    uint32_t redraw = 0;
    vf z;
    if (kind == UNIFORM)
        z = vf_mul(vf_from_i32(vu_srl32(words, 8)), vf_set1(0x1p-24f));
    else
        z = ziggurat_f32(ziggurat_of(kind), words, &redraw);
    finish_f32(kind, out, z, a);
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
    finish_f64(kind, out, z, a);
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

/* The counters of the first attempts of LANES blocks. */
VEC void counters(vu x[VEC_GROUPS][4], int kind, uint64_t block, vu block_high)
{
    for (int g = 0; g < VEC_GROUPS; g++) {
        x[g][0] = vu_blocks(block + (uint64_t)(g * VEC_W));
        x[g][1] = block_high;
        x[g][2] = vu_set1(0);
        x[g][3] = vu_set1((uint64_t)kind);
    }
}

VEC void pack(vu words[2 * VEC_GROUPS], vu x[VEC_GROUPS][4])
{
    for (int g = 0; g < VEC_GROUPS; g++)
        vu_pack(x[g][0], x[g][1], x[g][2], x[g][3], words + 2 * g);
}

/* n batches, whose first block is given; for each the mask of elements to redraw.
 *
 * Philox waits for its multiplier, the conversion is bound by the number of its instructions.  With
 * VEC_AHEAD the words of one step are therefore converted between the rounds of the next (AVX2,
 * float32 normal, GCC: 1.41 ns an element without, 1.24 with; plain C loses). */
VEC void batches(int kind, size_t size, char *out, uint64_t block, vu block_high, size_t n,
                 uint64_t *masks, fastinit_args a, const philox_keys *keys)
{
    vu x[VEC_GROUPS][4], words[2 * VEC_GROUPS];
    const int per_vector = (int)(VEC_W * 8 / size);
    enum { EVERY = PHILOX_ROUNDS / (2 * VEC_GROUPS) };
    _Static_assert(EVERY > 0, "as many rounds as vectors to convert");

    if (VEC_AHEAD) {
        counters(x, kind, block, block_high);
        philox(x, keys);
        pack(words, x);
    }
    for (size_t b = 0; b < n; b++) {
        uint64_t redraw = 0;
        int done = 0;
        for (size_t step = 0; step < BATCH * size / 16; step += LANES) {
            counters(x, kind, block + VEC_AHEAD * LANES, block_high);
#pragma GCC unroll 10
            for (int round = 0; round < PHILOX_ROUNDS; round++) {
                philox_round(x, keys, round);
                if (VEC_AHEAD && round % EVERY == 0 && round / EVERY < 2 * VEC_GROUPS) {
                    const int i = round / EVERY;
                    uint64_t bits = convert(kind, size, out + i * VEC_W * 8, words[i], a);
                    redraw |= bits << (done + i * per_vector);
                }
            }
            pack(words, x);
            for (int i = 0; !VEC_AHEAD && i < 2 * VEC_GROUPS; i++) {
                uint64_t bits = convert(kind, size, out + i * VEC_W * 8, words[i], a);
                redraw |= bits << (done + i * per_vector);
            }
            block += LANES;
            out += LANES * 16;
            done += 2 * VEC_GROUPS * per_vector;
        }
        masks[b] = redraw;
    }
}

/* Later attempts, for the elements base + list[i], whose place in out is list[i] - first.  The list
 * has room for LANES entries more than count. */
VEC void redraw(int kind, size_t size, char *out, uint64_t base, size_t first, uint16_t *list,
                size_t count, fastinit_args a, const philox_keys *keys)
{
    const fastinit_ziggurat *t = ziggurat_of(kind);

    for (uint64_t attempt = 1; count; attempt++) {
        size_t kept = 0;
        memset(list + count, 0, LANES * sizeof *list);
        for (size_t i = 0; i < count; i += LANES) {
            const size_t lanes = count - i < LANES ? count - i : LANES;
            vu x[VEC_GROUPS][4];
            vd z[VEC_GROUPS + 1];
            double values[LANES + 1]; /* or twice as many floats */
            uint32_t again = 0;

            for (int g = 0; g < VEC_GROUPS; g++) {
                x[g][0] = vu_add(vu_set1(base), vu_load16(list + i + g * VEC_W));
                x[g][1] = vu_srl(x[g][0], 32);
                x[g][2] = vu_set1(attempt);
                x[g][3] = vu_set1((uint64_t)kind);
            }
            philox(x, keys);
            for (int g = 0; g < VEC_GROUPS; g++) {
                uint32_t bits;
                z[g] = overhang(t, x[g], &bits);
                again |= bits << g * VEC_W;
            }
            z[VEC_GROUPS] = vd_set1(0); /* the other half of the last vector of floats */
            if (size == 4)
                for (int g = 0; g < VEC_GROUPS; g += 2)
                    finish_f32(kind, (float *)values + g * VEC_W, vf_narrow(z[g], z[g + 1]), a);
            else
                for (int g = 0; g < VEC_GROUPS; g++)
                    finish_f64(kind, values + g * VEC_W, z[g], a);
            /* No branch on acceptance: what is rejected is stored too, and overwritten later. */
            for (size_t j = 0; j < lanes; j++) {
                uint16_t at = list[i + j];
                memcpy(out + (at - first) * size, (char *)values + j * size, size);
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
    philox_keys keys;
    philox_schedule(&keys, a.seed);

    while (n) {
        const uint64_t base = start - start % CHUNK;
        const size_t first = (size_t)(start - base);
        const size_t last = n < CHUNK - first ? first + n : CHUNK;
        const uint64_t block = base / (16 / size);
        const vu block_high = vu_set1(block >> 32);
        uint64_t masks[CHUNK / BATCH];
        uint16_t list[CHUNK + LANES];
        size_t count = 0;

        for (size_t b = first / BATCH, whole; b * BATCH < last; b += whole ? whole : 1) {
            const size_t from = b * BATCH;
            uint64_t aside[BATCH]; /* of the strictest alignment of all types */
            whole = from < first ? 0 : (last - from) / BATCH;
            char *to = whole ? out + (from - first) * size : (char *)aside;
            batches(kind, size, to, block + from / (16 / size), block_high, whole ? whole : 1,
                    masks + b, a, &keys);
            if (!whole) {
                const size_t skip = from < first ? first - from : 0;
                const size_t keep = (from + BATCH < last ? BATCH : last - from) - skip;
                masks[b] &= ~(uint64_t)0 >> (BATCH - keep) << skip;
                memcpy(out + (from + skip - first) * size, (char *)aside + skip * size,
                       keep * size);
            }
        }
        if (kind >= NORMAL) {
            for (size_t b = first / BATCH; b * BATCH < last; b++)
                for (uint64_t mask = masks[b]; mask; mask &= mask - 1)
                    list[count++] = (uint16_t)(b * BATCH + (size_t)__builtin_ctzll(mask));
            redraw(kind, size, out, base, first, list, count, a, &keys);
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
    philox_keys keys;
    philox_schedule(&keys, key[0] | (uint64_t)key[1] << 32);
    philox(x, &keys);
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
