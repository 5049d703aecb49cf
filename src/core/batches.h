/* Batches: many blocks of Philox become elements, by the first attempt of each. */
#ifndef FASTINIT_BATCHES_H
#define FASTINIT_BATCHES_H

#include "ops.h"
#include "philox.h"
#include "window.h"
#include "ziggurat.h"

/* The tags of the distributions. */
enum { BITS, UNIFORM, NORMAL, TRUNCATED, ORTHOGONAL, BETWEEN };

/* Counter word 3 is the tag, which is another one for float64 and for rows that have keys.  For
 * rows with keys it also holds the attempt, from bit 8 on. */
enum { TAG_F64 = 16, TAG_KEYED = 32, KEYED_ATTEMPT = 256 };
VEC uint64_t word_3(int tag, fastinit_type type, int keyed)
{
    return (uint64_t)(tag + (type == FASTINIT_F64 ? TAG_F64 : 0) + (keyed ? TAG_KEYED : 0));
}

/* Orthogonal matrices are made of normals, from words of their own. */
VEC const fastinit_ziggurat *ziggurat_of(int tag)
{
    return tag == TRUNCATED ? &fastinit_ziggurat_truncated : &fastinit_ziggurat_normal;
}
VEC int is_bounded(int tag) { return tag == UNIFORM || tag == TRUNCATED || tag == BETWEEN; }
VEC int is_redrawn(int tag) { return tag != BITS && tag != UNIFORM; }

/* A batch has as many elements as a redraw mask has bits.  The rejected elements of a chunk are
 * collected before they are redrawn: it is long enough for them to fill the vectors of the
 * redraw, and short enough for its result to be still in the level-1 or 2 cache.  Both sizes
 * divide 2^32, so the high half of the block number is the same all through a chunk. */
enum { BATCH = 64, CHUNK = 8192 };
enum { LANES = VEC_W * VEC_GROUPS };

/* The halves, float16 and bfloat16, are made as float32, two vectors at a time: one holds the even
 * elements and one the odd ones, so that bfloat16 need not be put in order (bench/NOTES.md). */
VEC int is_half(fastinit_type type) { return fastinit_size_of(type) == 2; }

/* How many bytes of words an element is made of. */
VEC size_t word_bytes_of(fastinit_type type) { return fastinit_size_of(type) == 8 ? 8 : 4; }

/* A mask of elements to redraw has bit i for element i of its batch.  The masks of halves have the
 * even elements in the lower 32 bits and the odd ones in the upper. */
VEC size_t element_of_bit(fastinit_type type, size_t bit)
{
    return is_half(type) ? (2 * bit | bit >> 5) % BATCH : bit;
}

/* A buffer for n 64-bit elements, or for as many bytes of any other type. */
#define BUFFER(n)                                                                                  \
    union {                                                                                        \
        uint64_t u64[n];                                                                           \
        double f64[n];                                                                             \
        uint32_t u32[2 * (n)];                                                                     \
        float f32[2 * (n)];                                                                        \
        uint16_t u16[4 * (n)];                                                                     \
        char bytes[8 * (n)];                                                                       \
    }

/* Scale and shift one vector of standard variates, and clamp it to the bounds. */

VEC vf finish_f32(int tag, vf z, fastinit_args a)
{
    z = vf_add(vf_mul(z, vf_set1((float)a.scale)), vf_set1((float)a.offset));
    if (is_bounded(tag))
        z = vf_min(vf_max(z, vf_set1((float)a.low)), vf_set1((float)a.high));
    return z;
}

VEC vd finish_f64(int tag, vd z, fastinit_args a)
{
    z = vd_add(vd_mul(z, vd_set1(a.scale)), vd_set1(a.offset));
    if (is_bounded(tag))
        z = vd_min(vd_max(z, vd_set1(a.low)), vd_set1(a.high));
    return z;
}

VEC void store_halves(fastinit_type type, void *out, vf even, vf odd)
{
    if (type == FASTINIT_F16)
        vf_store_f16(out, even, odd);
    else
        vf_store_bf16(out, even, odd);
}

/* First attempts turn one vector of words into values.  They set the bits of the elements to
 * redraw; uniform never redraws and leaves them as they are. */

VEC vf first_f32(int tag, vu words, fastinit_args a, uint32_t *redraw)
{
    vf z;
    if (tag == UNIFORM)
        z = vf_mul(vf_from_i32(vu_or(vu_srl32(words, 1), vu_set1(0x0000000100000001))),
                   vf_set1(0x1p-31f));
    else if (tag == BETWEEN)
        z = first_between_f32(a.window, words, redraw);
    else
        z = first_attempt_f32(ziggurat_of(tag), words, redraw);
    return finish_f32(tag, z, a);
}

VEC vd first_f64(int tag, vu samples, fastinit_args a, uint32_t *redraw)
{
    vd z;
    if (tag == UNIFORM)
        z = vd_mul(vd_from_u53(vu_srl(samples, 11)), vd_set1(0x1p-53));
    else if (tag == BETWEEN)
        z = first_between_f64(a.window, samples, redraw);
    else
        z = first_attempt_f64(ziggurat_of(tag), samples, redraw);
    return finish_f64(tag, z, a);
}

/* Return how many vectors of words are converted at once. */
VEC int vectors_of(fastinit_type type) { return is_half(type) ? 2 : 1; }

/* Convert that many vectors of words to elements in the order of memory.  Return the mask of those
 * to redraw, in which the odd elements of halves start at bit 32. */
VEC uint64_t convert(int tag, fastinit_type type, void *out, const vu *words, fastinit_args a)
{
    uint32_t redraw = 0, redraw_odd = 0;

    if (type == FASTINIT_U32)
        vu_store32(out, words[0]);
    else if (type == FASTINIT_U64)
        vu_store64(out, words[0]);
    else if (type == FASTINIT_F64)
        vd_store(out, first_f64(tag, words[0], a, &redraw));
    else if (type == FASTINIT_F32)
        vf_store(out, first_f32(tag, words[0], a, &redraw));
    else {
        vf even = first_f32(tag, words[0], a, &redraw);
        store_halves(type, out, even, first_f32(tag, words[1], a, &redraw_odd));
    }
    return redraw | (uint64_t)redraw_odd << 32;
}

/* Set the counters of the first attempts of `groups` times VEC_W blocks: those from `block` on, or
 * those of the positions (counter words 0 and 1) from entry `block` on.  In rows with keys the
 * positions are keys, and the columns are the blocks' numbers in their rows (word 2).  What is NULL
 * is known to the compiler, which then takes a tenth of Philox out of the loop. */
VEC void counters(int groups, vu x[][4], fastinit_type type, const uint64_t *positions,
                  const uint64_t *columns, uint64_t block, vu block_high, uint64_t word3)
{
    for (int g = 0; g < groups; g++) {
        const uint64_t first = block + (uint64_t)(g * VEC_W);
        if (positions) {
            x[g][0] =
                is_half(type) ? vu_load(positions + first) : vu_load_blocks(positions + first);
            x[g][1] = vu_srl(x[g][0], 32);
        } else {
            x[g][0] = is_half(type) ? vu_blocks_apart(first) : vu_blocks(first);
            x[g][1] = block_high;
        }
        if (columns)
            x[g][2] = is_half(type) ? vu_load(columns + first) : vu_load_blocks(columns + first);
        else
            x[g][2] = vu_set1(0);
        x[g][3] = vu_set1(word3);
    }
}

/* Bring the words of the blocks into the order in which they are converted. */
VEC void pack(int groups, fastinit_type type, vu words[], vu x[][4])
{
    for (int g = 0; g < groups; g++)
        if (is_half(type))
            vu_pack_apart(x[g][0], x[g][1], x[g][2], x[g][3], words + 2 * g);
        else
            vu_pack(x[g][0], x[g][1], x[g][2], x[g][3], words + 2 * g);
}

VEC int int_max(int a, int b) { return a > b ? a : b; }

/* Make n batches, the first of which starts at that block or entry, and for each the mask of
 * elements to redraw.  n is a multiple of the batches of a step.
 *
 * Philox waits for its multiplier, while the conversion is bound by the number of its instructions.
 * With VEC_AHEAD the words of one step are therefore converted between the rounds of the next
 * (AVX2, float32 normal, GCC: 1.41 ns an element without, 1.24 with; plain C loses). */
VEC void batches(int groups, int tag, fastinit_type type, char *out, const uint64_t *positions,
                 const uint64_t *columns, uint64_t block, vu block_high, uint64_t word3, size_t n,
                 uint64_t *masks, fastinit_args a, const philox_keys *keys)
{
    vu x[VEC_GROUPS_LONG][4], words[2 * VEC_GROUPS_LONG];
    /* A part is what is converted at once.  A step has some parts, one every few rounds, and each
     * part has its bits of a mask. */
    const int vectors = vectors_of(type), parts = 2 * groups / vectors;
    const int every = PHILOX_ROUNDS / parts, lanes = groups * VEC_W;
    const int bits = (int)(VEC_W * 8 / word_bytes_of(type));
    const int blocks = BATCH / (int)(16 / word_bytes_of(type)); /* of a batch */
    const int steps = int_max(blocks / lanes, 1), full = BATCH / vectors;
    const size_t bytes = (size_t)(bits * vectors) * fastinit_size_of(type);
    _Static_assert(PHILOX_ROUNDS >= 2 * VEC_GROUPS_LONG, "as many rounds as vectors to convert");

    if (VEC_AHEAD) {
        counters(groups, x, type, positions, columns, block, block_high, word3);
        for (int round = 0; round < PHILOX_ROUNDS; round++)
            philox_round(groups, x, keys, round);
        pack(groups, type, words, x);
    }
    for (const uint64_t *end = masks + n; masks < end;) {
        uint64_t redraw = 0;
        int done = 0;
        for (int step = 0; step < steps; step++) {
            counters(groups, x, type, positions, columns, block + (uint64_t)(VEC_AHEAD * lanes),
                     block_high, word3);
#pragma GCC unroll 10
            for (int round = 0; round < PHILOX_ROUNDS; round++) {
                philox_round(groups, x, keys, round);
                if (VEC_AHEAD && round % every == 0 && round / every < parts) {
                    const int i = round / every;
                    redraw |= convert(tag, type, out, words + i * vectors, a) << done;
                    out += bytes;
                    done += bits;
                    if (done == full) {
                        *masks++ = redraw;
                        redraw = 0, done = 0;
                    }
                }
            }
            pack(groups, type, words, x);
#pragma GCC unroll 10
            for (int i = 0; !VEC_AHEAD && i < parts; i++) {
                redraw |= convert(tag, type, out, words + i * vectors, a) << done;
                out += bytes;
                done += bits;
                if (done == full) {
                    *masks++ = redraw;
                    redraw = 0, done = 0;
                }
            }
            block += (uint64_t)lanes;
        }
    }
}

#endif
