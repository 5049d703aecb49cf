/* The sampling kernels.  They are written once, in the operations of vec.h, and compiled once per
 * ISA.  Everything here is static but one struct of pointers, so that instructions that the
 * processor may lack never leave this file. */
#include <float.h>
#include <string.h>

#include "later_attempt.h"
#include "ops.h"
#include "philox.h"
#include "window.h"
#include "ziggurat.h"

#ifdef __FAST_MATH__
#error "the stream is exactly rounded arithmetic: build without -ffast-math"
#endif
_Static_assert(FLT_EVAL_METHOD == 0, "float and double must be computed in their own precision");

/* The tags of the distributions. */
enum { BITS, UNIFORM, NORMAL, TRUNCATED, ORTHOGONAL, BETWEEN };

/* Counter word 3 is the tag, which is another one for float64 and for rows that have keys.  There
 * it also holds the attempt, from bit 8 on. */
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

/* A list of blocks that need not follow each other: the parts of short spans, and the ends of long
 * ones.  They share the vectors, and only the elements that are wanted of them are kept. */
enum { LISTED = 512 }; /* a multiple of the blocks of a batch of any type */
typedef struct {
    uint64_t position[LISTED + LANES]; /* counter words 0 and 1 */
    uint64_t column[LISTED + LANES];   /* counter word 2: the block's number in a row with a key */
    uint32_t place[LISTED];            /* that of the block's element 0, modulo 2^32 */
    uint8_t from[LISTED], to[LISTED];  /* the elements from ... to - 1 of the block are wanted */
    size_t count;
    int apart; /* Some are not wanted, or the places do not follow each other. */
} block_list;

/* Set the counters of the first attempts of `groups` times VEC_W blocks: those from `block` on, or
 * from entry `block` of a list on. */
VEC void counters(int groups, vu x[][4], fastinit_type type, const block_list *list, uint64_t block,
                  vu block_high, uint64_t word3)
{
    for (int g = 0; g < groups; g++) {
        const uint64_t first = block + (uint64_t)(g * VEC_W);
        if (list) {
            const uint64_t *position = list->position + first, *column = list->column + first;
            x[g][0] = is_half(type) ? vu_load(position) : vu_load_blocks(position);
            x[g][1] = vu_srl(x[g][0], 32);
            x[g][2] = is_half(type) ? vu_load(column) : vu_load_blocks(column);
        } else {
            x[g][0] = is_half(type) ? vu_blocks_apart(first) : vu_blocks(first);
            x[g][1] = block_high;
            x[g][2] = vu_set1(0);
        }
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
VEC void batches(int groups, int tag, fastinit_type type, char *out, const block_list *list,
                 uint64_t block, vu block_high, uint64_t word3, size_t n, uint64_t *masks,
                 fastinit_args a, const philox_keys *keys)
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
        counters(groups, x, type, list, block, block_high, word3);
        for (int round = 0; round < PHILOX_ROUNDS; round++)
            philox_round(groups, x, keys, round);
        pack(groups, type, words, x);
    }
    for (const uint64_t *end = masks + n; masks < end;) {
        uint64_t redraw = 0;
        int done = 0;
        for (int step = 0; step < steps; step++) {
            counters(groups, x, type, list, block + (uint64_t)(VEC_AHEAD * lanes), block_high,
                     word3);
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

/* The rejected elements, by their indices in the array (of rows with keys: key and column) and
 * their places in the output.  The list is five times as long as what a chunk rejects; where that
 * does not do, it is redrawn sooner. */
enum { PENDING = 1024 };
typedef struct {
    uint64_t index[PENDING + LANES], column[PENDING + LANES];
    uint32_t place[PENDING];
    size_t count;
} pending;

/* What is the same all through one call of a kernel. */
typedef struct {
    fastinit_args args;
    int keyed;
    philox_keys keys;
} call;

/* Return the first attempts' samples of VEC_GROUPS vectors of pending elements once more. */
VEC void first_samples(int tag, fastinit_type type, vu samples[VEC_GROUPS], const uint64_t *index,
                       const uint64_t *column, const call *c)
{
    const unsigned shift = word_bytes_of(type) == 8 ? 1 : 2; /* 2 or 4 elements a block */
    const uint64_t *numbers = c->keyed ? column : index;
    vu x[VEC_GROUPS][4];

    for (int g = 0; g < VEC_GROUPS; g++) {
        const vu block = vu_srl(vu_load(numbers + g * VEC_W), shift);
        x[g][0] = c->keyed ? vu_load(index + g * VEC_W) : block;
        x[g][1] = vu_srl(x[g][0], 32);
        x[g][2] = c->keyed ? block : vu_set1(0);
        x[g][3] = vu_set1(word_3(tag, type, c->keyed));
    }
    philox(x, &c->keys);
    for (int g = 0; g < VEC_GROUPS; g++) {
        const vu number = vu_load(numbers + g * VEC_W);
        const vm odd = vm_lt_u32(vu_set1(0), vu_and(number, vu_set1(1)));
        const vm upper = vm_lt_u32(vu_set1(0), vu_and(number, vu_set1(2)));
        const vu low32 = vu_set1(0xffffffff);
        if (word_bytes_of(type) == 8) {
            vu low = vu_and(vu_select(odd, x[g][2], x[g][0]), low32);
            samples[g] = vu_or(low, vu_sll(vu_select(odd, x[g][3], x[g][1]), 32));
        } else {
            vu even = vu_select(upper, x[g][2], x[g][0]);
            samples[g] = vu_and(vu_select(odd, vu_select(upper, x[g][3], x[g][1]), even), low32);
        }
    }
}

/* Make later attempts until no element is left. */
VEC void redraw(int tag, fastinit_type type, char *out, pending *p, const call *c)
{
    const fastinit_args a = c->args;
    const size_t size = fastinit_size_of(type), step = vectors_of(type) * size;

    size_t count = is_redrawn(tag) ? p->count : 0;
    p->count = 0;
    for (uint64_t attempt = 1; count; attempt++) {
        size_t kept = 0;
        memset(p->index + count, 0, LANES * sizeof *p->index);
        if (c->keyed)
            memset(p->column + count, 0, LANES * sizeof *p->column);
        for (size_t i = 0; i < count; i += LANES) {
            /* size_min() in its place makes GCC 12's plain C 2% slower. */
            const size_t lanes = count - i < LANES ? count - i : LANES;
            vu x[VEC_GROUPS][4], samples[VEC_GROUPS];
            vd z[VEC_GROUPS + 1];
            BUFFER(LANES + 1) values;
            uint32_t again = 0;

            if (tag == BETWEEN && attempt == 1)
                first_samples(tag, type, samples, p->index + i, p->column + i, c);
            for (int g = 0; g < VEC_GROUPS; g++) {
                const uint64_t word3 = word_3(tag, type, c->keyed);
                x[g][0] = vu_load(p->index + i + g * VEC_W);
                x[g][1] = vu_srl(x[g][0], 32);
                x[g][2] = c->keyed ? vu_load(p->column + i + g * VEC_W) : vu_set1(attempt);
                x[g][3] = vu_set1(c->keyed ? word3 + KEYED_ATTEMPT * attempt : word3);
            }
            philox(x, &c->keys);
            for (int g = 0; g < VEC_GROUPS; g++) {
                uint32_t bits;
                if (tag == BETWEEN)
                    z[g] = later_between(a.window, x[g], attempt == 1 ? samples + g : NULL,
                                         word_bytes_of(type), &bits);
                else
                    z[g] = later_attempt(ziggurat_of(tag), x[g], &bits);
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
                if (c->keyed)
                    p->column[kept] = p->column[i + j];
                p->place[kept] = place;
                kept += again >> j & 1;
            }
        }
        count = kept;
    }
}

/* The rest of a kernel is not inlined into it: it would be there several times. */
typedef void redraw_function(char *out, pending *p, const call *c);
typedef void listed_function(char *out, block_list *list, pending *p, const call *c);

/* Make the listed blocks and empty the list. */
VEC void make_listed(int tag, fastinit_type type, char *out, block_list *list, pending *p,
                     const call *c, redraw_function *redraw_pending)
{
    const size_t size = fastinit_size_of(type), per_block = 16 / word_bytes_of(type);
    const size_t blocks = BATCH / per_block; /* of a batch */
    const size_t count = list->count, n = (count + blocks - 1) / blocks;
    /* Where the places follow each other, the batches that are whole are made there. */
    const size_t direct = list->apart ? 0 : count / blocks;
    uint64_t masks[LISTED * 4 / BATCH];
    BUFFER(LISTED * 2) aside;

    /* The last batch may have fewer blocks, and Philox is one step ahead. */
    for (size_t i = count; i < n * blocks + LANES; i++)
        list->position[i] = list->column[i] = 0;
    for (size_t done = 0; done < n;) {
        const size_t part = done < direct ? direct : n - done;
        char *to = done < direct ? out + (size_t)list->place[0] * size : aside.bytes;
        batches(VEC_GROUPS, tag, type, to, list, done * blocks, vu_set1(0),
                word_3(tag, type, c->keyed), part, masks + done, c->args, &c->keys);
        done += part;
    }
    for (size_t k = direct * blocks; k < count; k++) {
        const char *made = aside.bytes + (k - direct * blocks) * per_block * size;
        if (list->to[k] - list->from[k] == (int)per_block)
            memcpy(out + (size_t)list->place[k] * size, made, per_block * size);
        else
            for (uint32_t i = list->from[k]; i < list->to[k]; i++)
                memcpy(out + (size_t)(uint32_t)(list->place[k] + i) * size, made + i * size, size);
    }
    for (size_t b = 0; is_redrawn(tag) && b < n; b++) {
        if (p->count > PENDING - BATCH)
            redraw_pending(out, p, c);
        for (uint64_t mask = masks[b]; mask; mask &= mask - 1) {
            const size_t at = element_of_bit(type, (size_t)__builtin_ctzll(mask));
            const size_t k = b * blocks + at / per_block, i = at % per_block;
            if (k >= count || i < list->from[k] || i >= list->to[k])
                continue;
            p->index[p->count] = c->keyed ? list->position[k] : list->position[k] * per_block + i;
            if (c->keyed)
                p->column[p->count] = list->column[k] * per_block + i;
            p->place[p->count++] = (uint32_t)(list->place[k] + i);
        }
    }
    list->count = 0;
    list->apart = 0;
}

/* List the blocks of n elements, from the one of that index on (of a row with a key: column), which
 * go to the places from `at` on.  Return of how many elements there was room for the blocks. */
VEC size_t list_span(fastinit_type type, block_list *list, uint64_t key, uint64_t index, size_t at,
                     size_t n, int keyed)
{
    const size_t per_block = 16 / word_bytes_of(type);
    size_t k = list->count, skip = index % per_block, left = n;
    int apart = list->apart;

    for (; left && k < LISTED; k++) {
        const size_t kept = size_min(left, per_block - skip);
        const uint32_t place = (uint32_t)(at - skip);
        list->position[k] = keyed ? key : index / per_block;
        list->column[k] = keyed ? index / per_block : 0;
        list->place[k] = place;
        list->from[k] = (uint8_t)skip;
        list->to[k] = (uint8_t)(skip + kept);
        apart |= kept != per_block || (k && place != list->place[k - 1] + per_block);
        index += kept;
        at += kept;
        left -= kept;
        skip = 0;
    }
    list->count = k;
    list->apart = apart;
    return n - left;
}

/* Make n elements from `start` on, whole batches that lie in one chunk, at the places from `at` on.
 */
VEC void make_batches(int tag, fastinit_type type, char *out, uint64_t start, size_t at, size_t n,
                      pending *p, const call *c, redraw_function *redraw_pending)
{
    const size_t size = fastinit_size_of(type), per_block = 16 / word_bytes_of(type);
    const size_t in_step = VEC_GROUPS_LONG / VEC_GROUPS; /* batches of a long step, at most */
    const size_t all = n / BATCH, few = 4;
    const size_t steps = in_step > 1 && all < few ? 0 : all / in_step * in_step;
    const uint64_t block = start / per_block, word3 = word_3(tag, type, 0);
    const vu block_high = vu_set1(block >> 32);
    char *to = out + at * size;
    uint64_t masks[CHUNK / BATCH];

    if (steps)
        batches(VEC_GROUPS_LONG, tag, type, to, NULL, block, block_high, word3, steps, masks,
                c->args, &c->keys);
    if (in_step > 1 && steps < all)
        batches(VEC_GROUPS, tag, type, to + steps * BATCH * size, NULL,
                block + steps * (BATCH / per_block), block_high, word3, all - steps, masks + steps,
                c->args, &c->keys);
    for (size_t b = 0; is_redrawn(tag) && b < all; b++) {
        if (p->count > PENDING - BATCH)
            redraw_pending(out, p, c);
        size_t count = p->count; /* The copy cannot be changed by stores to the list. */
        for (uint64_t mask = masks[b]; mask; mask &= mask - 1) {
            const size_t i = b * BATCH + element_of_bit(type, (size_t)__builtin_ctzll(mask));
            p->index[count] = start + i;
            p->place[count++] = (uint32_t)(at + i);
        }
        p->count = count;
    }
}

/* Spans of fewer elements are listed: they would end before the steps ahead pay. */
enum { LONG_SPAN = 512 };

/* Make the elements first ... first + n - 1 of the spans: the whole batches of long spans at once,
 * all others by the list.  Batches are cut at fixed places of the whole array.  What is rejected is
 * redrawn once a chunk is made, so that spans of a few elements share the redraw's vectors. */
VEC void make(int tag, fastinit_type type, char *out, const fastinit_spans *spans, size_t first,
              size_t n, const fastinit_args *args, listed_function *make_list,
              redraw_function *redraw_pending)
{
    const int is_long = !spans->keyed && spans->length >= LONG_SPAN;
    call c = {.args = *args, .keyed = spans->keyed};
    block_list list;
    pending p;

    philox_schedule(&c.keys, args->seed);
    p.count = list.count = 0;
    list.apart = 0;
    for (size_t span = first / spans->length, done = first % spans->length, at = 0; n;) {
        const uint64_t key = spans->starts[span], start = spans->keyed ? done : key + done;
        const size_t in_batch = BATCH - start % BATCH;
        size_t count = size_min(n, spans->length - done);

        if (is_long && in_batch == BATCH && count >= BATCH) {
            count = size_min(count / BATCH * BATCH, CHUNK - start % CHUNK);
            make_batches(tag, type, out, start, at, count, &p, &c, redraw_pending);
        } else {
            count = list_span(type, &list, key, start, at,
                              is_long ? size_min(count, in_batch) : count, spans->keyed);
        }
        n -= count;
        at += count;
        done += count;
        if (done == spans->length)
            span++, done = 0;
        if (list.count == LISTED || (list.count && (at >= CHUNK || !n)))
            make_list(out, &list, &p, &c);
        if (at >= CHUNK || !n) {
            redraw_pending(out, &p, &c);
            out += at * fastinit_size_of(type);
            at = 0;
        }
    }
}

#define NOT_INLINE static __attribute__((noinline))
#define KERNEL(name, tag, type)                                                                    \
    NOT_INLINE void name##_redraw(char *out, pending *p, const call *c)                            \
    {                                                                                              \
        redraw(tag, type, out, p, c);                                                              \
    }                                                                                              \
    NOT_INLINE void name##_listed(char *out, block_list *list, pending *p, const call *c)          \
    {                                                                                              \
        make_listed(tag, type, out, list, p, c, name##_redraw);                                    \
    }                                                                                              \
    static void name(void *out, const fastinit_spans *spans, size_t first, size_t n,               \
                     const fastinit_args *args)                                                    \
    {                                                                                              \
        make(tag, type, out, spans, first, n, args, name##_listed, name##_redraw);                 \
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
KERNELS(between, BETWEEN)
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
    .between = BY_TYPE(between),
    .orthogonal = {[FASTINIT_F32] = orthogonal_f32, [FASTINIT_F64] = orthogonal_f64},
    .householder = &HOUSEHOLDER(FASTINIT_ISA),
};
