/* The sampling kernels.  They are written once, in the operations of vec.h, and compiled once per
 * ISA.  Everything here is static but one struct of pointers, so that instructions that the
 * processor may lack never leave this file. */
#include <float.h>
#include <string.h>

#include "later_attempt.h"
#include "ops.h"
#include "philox.h"
#include "ziggurat.h"

#ifdef __FAST_MATH__
#error "the stream is exactly rounded arithmetic: build without -ffast-math"
#endif
_Static_assert(FLT_EVAL_METHOD == 0, "float and double must be computed in their own precision");

/* A distribution's tag is counter word 3. */
enum { BITS, UNIFORM, NORMAL, TRUNCATED, ORTHOGONAL };

/* Orthogonal matrices are made of normals, from words of their own. */
VEC const fastinit_ziggurat *ziggurat_of(int tag)
{
    return tag == TRUNCATED ? &fastinit_ziggurat_truncated : &fastinit_ziggurat_normal;
}
VEC int is_bounded(int tag) { return tag == UNIFORM || tag == TRUNCATED; }

/* A batch has as many elements as a redraw mask has bits.  The rejected elements of a chunk are
 * collected before they are redrawn: it is long enough for them, 1% of it, to fill the vectors of
 * the redraw, and short enough for its result to be still in the level-1 or 2 cache.  Both sizes
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

/* Return the mask of the elements skip ... skip + keep - 1, where keep > 0. */
VEC uint64_t mask_of(fastinit_type type, size_t skip, size_t keep)
{
    const uint64_t one = 1;
    const size_t end = skip + keep;

    if (!is_half(type))
        return ~(uint64_t)0 >> (BATCH - keep) << skip;
    return ((one << (end + 1) / 2) - (one << (skip + 1) / 2)) |
           ((one << end / 2) - (one << skip / 2)) << 32;
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

/* Scale one vector of standard variates, move it, and hold it to the bounds. */

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
        z = vf_mul(vf_from_i32(vu_srl32(words, 8)), vf_set1(0x1p-24f));
    else
        z = first_attempt_f32(ziggurat_of(tag), words, redraw);
    return finish_f32(tag, z, a);
}

VEC vd first_f64(int tag, vu samples, fastinit_args a, uint32_t *redraw)
{
    vd z;
    if (tag == UNIFORM)
        z = vd_mul(vd_from_u53(vu_srl(samples, 11)), vd_set1(0x1p-53));
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

/* Set the counters of the first attempts of LANES blocks. */
VEC void counters(vu x[VEC_GROUPS][4], int tag, fastinit_type type, uint64_t block, vu block_high)
{
    for (int g = 0; g < VEC_GROUPS; g++) {
        const uint64_t first = block + (uint64_t)(g * VEC_W);
        x[g][0] = is_half(type) ? vu_blocks_apart(first) : vu_blocks(first);
        x[g][1] = block_high;
        x[g][2] = vu_set1(0);
        x[g][3] = vu_set1((uint64_t)tag);
    }
}

/* Bring the words of the blocks into the order in which they are converted. */
VEC void pack(fastinit_type type, vu words[2 * VEC_GROUPS], vu x[VEC_GROUPS][4])
{
    for (int g = 0; g < VEC_GROUPS; g++)
        if (is_half(type))
            vu_pack_apart(x[g][0], x[g][1], x[g][2], x[g][3], words + 2 * g);
        else
            vu_pack(x[g][0], x[g][1], x[g][2], x[g][3], words + 2 * g);
}

/* Make n batches, the first of which starts at that block, and for each the mask of elements to
 * redraw.
 *
 * Philox waits for its multiplier, while the conversion is bound by the number of its instructions.
 * With VEC_AHEAD the words of one step are therefore converted between the rounds of the next
 * (AVX2, float32 normal, GCC: 1.41 ns an element without, 1.24 with; plain C loses). */
VEC void batches(int tag, fastinit_type type, char *out, uint64_t block, vu block_high, size_t n,
                 uint64_t *masks, fastinit_args a, const philox_keys *keys)
{
    vu x[VEC_GROUPS][4], words[2 * VEC_GROUPS];
    /* A part is what is converted at once.  A step has some parts, one every few rounds, and each
     * part has its bits of the mask. */
    const int vectors = vectors_of(type), parts = 2 * VEC_GROUPS / vectors;
    const int every = PHILOX_ROUNDS / parts;
    const int bits = (int)(VEC_W * 8 / word_bytes_of(type));
    const size_t bytes = (size_t)(bits * vectors) * fastinit_size_of(type);
    _Static_assert(PHILOX_ROUNDS >= 2 * VEC_GROUPS, "as many rounds as vectors to convert");

    if (VEC_AHEAD) {
        counters(x, tag, type, block, block_high);
        philox(x, keys);
        pack(type, words, x);
    }
    for (size_t b = 0; b < n; b++) {
        uint64_t redraw = 0;
        int done = 0;
        for (size_t step = 0; step < BATCH * word_bytes_of(type) / 16; step += LANES) {
            counters(x, tag, type, block + VEC_AHEAD * LANES, block_high);
#pragma GCC unroll 10
            for (int round = 0; round < PHILOX_ROUNDS; round++) {
                philox_round(x, keys, round);
                if (VEC_AHEAD && round % every == 0 && round / every < parts) {
                    const int i = round / every;
                    redraw |= convert(tag, type, out, words + i * vectors, a) << done;
                    out += bytes;
                    done += bits;
                }
            }
            pack(type, words, x);
            for (int i = 0; !VEC_AHEAD && i < parts; i++) {
                redraw |= convert(tag, type, out, words + i * vectors, a) << done;
                out += bytes;
                done += bits;
            }
            block += LANES;
        }
        masks[b] = redraw;
    }
}

/* The rejected elements, by their indices in the array and their places in the output.  The list is
 * five times as long as what a chunk rejects; where that does not do, it is redrawn sooner. */
enum { PENDING = 1024 };
typedef struct {
    uint64_t index[PENDING + LANES];
    uint32_t place[PENDING];
    size_t count;
} pending;

/* Make later attempts until no element is left. */
VEC void redraw(int tag, fastinit_type type, char *out, pending *p, fastinit_args a,
                const philox_keys *keys)
{
    const fastinit_ziggurat *t = ziggurat_of(tag);
    const size_t size = fastinit_size_of(type), step = vectors_of(type) * size;

    size_t count = p->count;
    p->count = 0;
    for (uint64_t attempt = 1; count; attempt++) {
        size_t kept = 0;
        memset(p->index + count, 0, LANES * sizeof *p->index);
        for (size_t i = 0; i < count; i += LANES) {
            /* size_min() in its place makes GCC 12's plain C 2% slower. */
            const size_t lanes = count - i < LANES ? count - i : LANES;
            vu x[VEC_GROUPS][4];
            vd z[VEC_GROUPS + 1];
            BUFFER(LANES + 1) values;
            uint32_t again = 0;

            for (int g = 0; g < VEC_GROUPS; g++) {
                x[g][0] = vu_load(p->index + i + g * VEC_W);
                x[g][1] = vu_srl(x[g][0], 32);
                x[g][2] = vu_set1(attempt);
                x[g][3] = vu_set1((uint64_t)tag);
            }
            philox(x, keys);
            for (int g = 0; g < VEC_GROUPS; g++) {
                uint32_t bits;
                z[g] = later_attempt(t, x[g], &bits);
                again |= bits << g * VEC_W;
            }
            z[VEC_GROUPS] =
                vd_set1(0); /* It becomes the other half of the last vector of floats. */
            for (int g = 0; g < VEC_GROUPS; g += type == FASTINIT_F64 ? 1 : 2) {
                char *to = values.bytes + (size_t)(g * VEC_W) * step;
                if (type == FASTINIT_F64) {
                    vd_store((double *)to, finish_f64(tag, z[g], a));
                } else {
                    vf both = finish_f32(tag, vf_narrow(z[g], z[g + 1]), a);
                    if (is_half(type))
                        store_halves(type, to, both, both); /* stores each twice */
                    else
                        vf_store((float *)to, both);
                }
            }
            /* There is no branch on acceptance: what is rejected is stored too, and overwritten
             * later. */
            for (size_t j = 0; j < lanes; j++) {
                uint32_t place = p->place[i + j];
                memcpy(out + place * size, values.bytes + j * step, size);
                p->index[kept] = p->index[i + j];
                p->place[kept] = place;
                kept += again >> j & 1;
            }
        }
        count = kept;
    }
}

/* Make the elements start ... start + n - 1, which lie in one chunk, at the places at ... of out.
 * Batches are cut at fixed places of the whole array; one that is wanted in part is made aside. */
VEC void make_in_chunk(int tag, fastinit_type type, char *out, size_t at, uint64_t start, size_t n,
                       pending *p, fastinit_args a, const philox_keys *keys)
{
    const size_t size = fastinit_size_of(type), per_block = 16 / word_bytes_of(type);
    const uint64_t base = start - start % BATCH;
    const size_t first = (size_t)(start - base), last = first + n;
    const vu block_high = vu_set1(base / per_block >> 32);
    uint64_t masks[CHUNK / BATCH];

    for (size_t b = 0, whole; b * BATCH < last; b += whole ? whole : 1) {
        const size_t from = b * BATCH;
        BUFFER(BATCH) aside;
        whole = from < first ? 0 : (last - from) / BATCH;
        char *to = whole ? out + (at + from - first) * size : aside.bytes;
        batches(tag, type, to, (base + from) / per_block, block_high, whole ? whole : 1, masks + b,
                a, keys);
        if (!whole) {
            const size_t skip = from < first ? first - from : 0;
            const size_t keep = (from + BATCH < last ? BATCH : last - from) - skip;
            masks[b] &= mask_of(type, skip, keep);
            memcpy(out + (at + from + skip - first) * size, aside.bytes + skip * size, keep * size);
        }
    }
    for (size_t b = 0; tag >= NORMAL && b * BATCH < last; b++) {
        if (p->count > PENDING - BATCH)
            redraw(tag, type, out, p, a, keys);
        size_t count = p->count; /* The copy cannot be changed by stores to the list. */
        for (uint64_t mask = masks[b]; mask; mask &= mask - 1) {
            const size_t i = b * BATCH + element_of_bit(type, (size_t)__builtin_ctzll(mask));
            p->index[count] = base + i;
            p->place[count++] = (uint32_t)(at + i - first);
        }
        p->count = count;
    }
}

/* Make the elements first ... first + n - 1 of the spans.  What is rejected is redrawn once a chunk
 * is made, so that spans of a few elements share the redraw's vectors. */
VEC void make(int tag, fastinit_type type, char *out, const fastinit_spans *spans, size_t first,
              size_t n, const fastinit_args *args)
{
    const fastinit_args a = *args; /* The copy cannot be changed by stores to out. */
    philox_keys keys;
    pending p;

    philox_schedule(&keys, a.seed);
    p.count = 0;
    for (size_t span = first / spans->length, done = first % spans->length, at = 0; n;) {
        const uint64_t start = spans->starts[span] + done;
        const size_t in_chunk = CHUNK - start % CHUNK, in_span = spans->length - done;
        const size_t count = size_min(n, size_min(in_chunk, in_span));

        make_in_chunk(tag, type, out, at, start, count, &p, a, &keys);
        n -= count;
        at += count;
        done += count;
        if (done == spans->length)
            span++, done = 0;
        if (at >= CHUNK || !n) {
            if (tag >= NORMAL)
                redraw(tag, type, out, &p, a, &keys);
            out += at * fastinit_size_of(type);
            at = 0;
        }
    }
}

#define KERNEL(name, tag, type)                                                                    \
    static void name(void *out, const fastinit_spans *spans, size_t first, size_t n,               \
                     const fastinit_args *args)                                                    \
    {                                                                                              \
        make(tag, type, out, spans, first, n, args);                                               \
    }
#define KERNELS(name, tag)                                                                         \
    KERNEL(name##_f16, tag, FASTINIT_F16)                                                          \
    KERNEL(name##_bf16, tag, FASTINIT_BF16)                                                        \
    KERNEL(name##_f32, tag, FASTINIT_F32)                                                          \
    KERNEL(name##_f64, tag, FASTINIT_F64)
KERNEL(bits_u32, BITS, FASTINIT_U32)
KERNEL(bits_u64, BITS, FASTINIT_U64)
KERNELS(uniform, UNIFORM)
KERNELS(normal, NORMAL)
KERNELS(truncated, TRUNCATED)
KERNEL(orthogonal_f32, ORTHOGONAL, FASTINIT_F32)
KERNEL(orthogonal_f64, ORTHOGONAL, FASTINIT_F64)

/* Known-answer tests give any counter.  It goes into every lane, and the first one's words are the
 * answer. */
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
#define BY_TYPE(name)                                                                              \
    {                                                                                              \
        [FASTINIT_F16] = name##_f16,                                                               \
        [FASTINIT_BF16] = name##_bf16,                                                             \
        [FASTINIT_F32] = name##_f32,                                                               \
        [FASTINIT_F64] = name##_f64,                                                               \
    }

const fastinit_ops OPS(FASTINIT_ISA) = {
    .name = NAME(FASTINIT_ISA),
    .philox = philox_block,
    .bits = {[FASTINIT_U32] = bits_u32, [FASTINIT_U64] = bits_u64},
    .uniform = BY_TYPE(uniform),
    .normal = BY_TYPE(normal),
    .truncated = BY_TYPE(truncated),
    .orthogonal = {[FASTINIT_F32] = orthogonal_f32, [FASTINIT_F64] = orthogonal_f64},
    .householder = &HOUSEHOLDER(FASTINIT_ISA),
};
