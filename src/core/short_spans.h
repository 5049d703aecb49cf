/* Short spans, such as the rows of embedding tables that are asked for by their ids.  Their blocks
 * do not follow each other, but they share vectors and redraws. */
#ifndef FASTINIT_SHORT_SPANS_H
#define FASTINIT_SHORT_SPANS_H

#include <string.h>

#include "batches.h"
#include "pending.h"

/* A place in spans: an element of one of them. */
typedef struct {
    size_t span, element;
} cursor;

/* A list of blocks that need not follow each other: the parts of short spans, and the ends of long
 * ones.  They share the vectors, and only the elements that are wanted of them are kept. */
enum { LISTED = 512 }; /* a multiple of the blocks of a batch of any type */
typedef struct {
    uint64_t position[LISTED + LANES]; /* counter words 0 and 1 */
    uint64_t column[LISTED + LANES];   /* counter word 2: the block's number in a row with a key */
    /* The parts of spans, in the order of their places. */
    struct {
        uint32_t at;    /* the part's first element, among all those of the listed blocks */
        uint32_t place; /* where it goes */
        uint32_t n;     /* how many elements the part has */
    } part[LISTED];
    size_t count, parts;
    int partial; /* The blocks have elements that are not wanted. */
    int gaps;    /* The places of the parts do not follow each other. */
} block_list;

/* make_listed() of one kernel, for rows with keys or for other spans. */
typedef void listed_function(char *out, block_list *list, pending *p, const call *c);

/* Copy the parts of a list to their places.  Where these have no gaps, 16 bytes are copied at a
 * time: what is written beyond the end of a part is overwritten by the next one, and only the last
 * parts are copied exactly. */
VEC void copy_parts(char *out, const char *made, size_t size, const block_list *list)
{
    const size_t last = list->parts - 1;
    const uint32_t end = list->part[last].place + list->part[last].n;

    for (size_t i = 0; i < list->parts; i++) {
        const uint32_t place = list->part[i].place, n = list->part[i].n;
        const char *from = made + list->part[i].at * size;
        char *to = out + place * size;
        if (list->gaps || (end - place - n) * size < 16)
            memcpy(to, from, n * size);
        else
            for (size_t byte = 0; byte < n * size; byte += 16)
                memcpy(to + byte, from + byte, 16);
    }
}

/* Make the listed blocks and empty the list. */
VEC void make_listed(int tag, fastinit_type type, int keyed, char *out, block_list *list,
                     pending *p, const call *c, redraw_function *redraw_pending)
{
    const size_t size = fastinit_size_of(type), per_block = 16 / word_bytes_of(type);
    const size_t blocks = BATCH / per_block; /* of a batch */
    const size_t count = list->count, n = (count + blocks - 1) / blocks;
    /* Where all elements are wanted, the batches that are whole are made at their places. */
    const size_t direct = list->partial || list->gaps ? 0 : count / blocks;
    uint64_t masks[LISTED * 4 / BATCH];
    BUFFER(LISTED * 2 + 2) aside; /* The copy reads 15 bytes more. */

    /* The last batch may have fewer blocks, and Philox is one step ahead. */
    for (size_t i = count; i < n * blocks + LANES; i++)
        list->position[i] = list->column[i] = 0;
    for (size_t done = 0; done < n;) {
        const size_t part = done < direct ? direct : n - done;
        char *to = done < direct ? out + (size_t)list->part[0].place * size : aside.bytes;
        batches(VEC_GROUPS, tag, type, to, list->position, keyed ? list->column : NULL,
                done * blocks, vu_set1(0), word_3(tag, type, keyed), part, masks + done, c->args,
                &c->keys);
        done += part;
    }
    if (list->partial || list->gaps)
        copy_parts(out, aside.bytes, size, list);
    else
        memcpy(out + (list->part[0].place + direct * BATCH) * size, aside.bytes,
               (count * per_block - direct * BATCH) * size);
    for (size_t b = 0, i = 0; is_redrawn(tag) && b < n; b++) {
        if (p->count > PENDING - BATCH)
            redraw_pending(out, p, c);
        for (uint64_t mask = masks[b]; mask; mask &= mask - 1) {
            const size_t at = b * BATCH + element_of_bit(type, (size_t)__builtin_ctzll(mask));
            const size_t k = at / per_block;
            while (i + 1 < list->parts && list->part[i + 1].at <= at)
                i++;
            while (i && list->part[i].at > at) /* The bits of halves are not in order. */
                i--;
            const size_t in_part = at - list->part[i].at;
            if (in_part >= list->part[i].n)
                continue;
            p->index[p->count] =
                keyed ? list->position[k] : list->position[k] * per_block + at % per_block;
            if (keyed)
                p->column[p->count] = list->column[k] * per_block + at % per_block;
            p->place[p->count++] = (uint32_t)(list->part[i].place + in_part);
        }
    }
    list->count = list->parts = 0;
    list->partial = list->gaps = 0;
}

/* List the blocks of n elements, from a place in spans on, which go to the places from `place` on.
 * Move the cursor on, and return for how many elements the list had room. */
VEC size_t list_blocks(fastinit_type type, int keyed, block_list *list, const fastinit_spans *spans,
                       cursor *from, size_t place, size_t n)
{
    const size_t per_block = 16 / word_bytes_of(type), length = spans->length;
    /* The copies cannot be changed by stores to the list. */
    size_t count = list->count, parts = list->parts, left = n;
    int partial = list->partial;
    cursor at = *from;

    if (parts && place != list->part[parts - 1].place + list->part[parts - 1].n)
        list->gaps = 1;
    while (left && count < LISTED) {
        const uint64_t start = spans->starts[at.span];
        const uint64_t index = keyed ? at.element : start + at.element;
        const uint64_t block = index / per_block;
        const size_t skip = index % per_block;
        size_t kept = size_min(left, length - at.element);
        size_t blocks = (skip + kept + per_block - 1) / per_block;
        if (blocks > LISTED - count) {
            blocks = LISTED - count;
            kept = blocks * per_block - skip;
        }
        /* Whole vectors are stored: what lies behind the blocks is written later. */
        for (size_t i = 0; i < blocks; i += VEC_W) {
            const vu numbers = vu_blocks_apart(block + i);
            vu_store64(list->position + count + i, keyed ? vu_set1(start) : numbers);
            if (keyed)
                vu_store64(list->column + count + i, numbers);
        }
        list->part[parts].at = (uint32_t)(count * per_block + skip);
        list->part[parts].place = (uint32_t)place;
        list->part[parts++].n = (uint32_t)kept;
        count += blocks;
        partial |= kept != blocks * per_block;
        place += kept;
        left -= kept;
        at.element += kept;
        if (at.element == length)
            at.span++, at.element = 0;
    }
    list->count = count;
    list->parts = parts;
    list->partial = partial;
    *from = at;
    return n - left;
}

/* Elements that each have a block of their own, as rows of one element have.  One vector takes the
 * word that is wanted from each block, so that no word is converted for nothing. */
enum { SCATTERED = 512 }; /* a multiple of a batch */
typedef struct {
    uint64_t index[SCATTERED + LANES]; /* the element's number; of a row with a key: the key */
    uint64_t column[SCATTERED + LANES];
} scattered;

/* Return the vector of words that convert() takes: two 32-bit samples a lane, or one of 64 bits. Of
 * halves it takes the even samples, and the odd ones for the second vector. */
VEC vu load_samples(fastinit_type type, const uint64_t *samples, int second)
{
    uint64_t pairs[VEC_W];

    if (word_bytes_of(type) == 8)
        return vu_load(samples);
    for (int j = 0; j < VEC_W; j++)
        pairs[j] = is_half(type) ? samples[4 * j + second] | samples[4 * j + 2 + second] << 32
                                 : samples[2 * j] | samples[2 * j + 1] << 32;
    return vu_load(pairs);
}

/* Make n scattered elements, which go to the places from `place` on. */
VEC void make_each(int tag, fastinit_type type, char *out, size_t place, scattered *s, size_t n,
                   pending *p, const call *c, redraw_function *redraw_pending)
{
    const size_t size = fastinit_size_of(type), word_bytes = word_bytes_of(type);
    const int vectors = vectors_of(type), bits = (int)(VEC_W * 8 / word_bytes);
    const size_t n_batches = (n + BATCH - 1) / BATCH;
    uint64_t samples[SCATTERED + LANES], masks[SCATTERED / BATCH];
    BUFFER(SCATTERED) made;

    for (size_t i = n; i < n + LANES; i++)
        s->index[i] = s->column[i] = 0;
    size_t end = 0;
    for (; end < n; end += LANES) {
        vu x[VEC_GROUPS];
        first_samples(tag, type, x, s->index + end, s->column + end, c);
        for (int g = 0; g < VEC_GROUPS; g++)
            vu_store64(samples + end + g * VEC_W, x[g]);
    }
    for (; end < n_batches * BATCH; end++)
        samples[end] = 0;
    for (size_t b = 0; b < n_batches; b++) {
        masks[b] = 0;
        for (int done = 0; done < BATCH / vectors; done += bits) {
            const size_t i = b * BATCH + (size_t)(done * vectors);
            const vu words[2] = {
                load_samples(type, samples + i, 0),
                is_half(type) ? load_samples(type, samples + i, 1) : vu_set1(0),
            };
            masks[b] |= convert(tag, type, made.bytes + i * size, words, c->args) << done;
        }
    }
    /* What is redrawn below must not be overwritten, so the first attempts are copied before. */
    memcpy(out + place * size, made.bytes, n * size);
    for (size_t b = 0; is_redrawn(tag) && b < n_batches; b++) {
        if (p->count > PENDING - BATCH)
            redraw_pending(out, p, c);
        for (uint64_t mask = masks[b]; mask; mask &= mask - 1) {
            const size_t i = b * BATCH + element_of_bit(type, (size_t)__builtin_ctzll(mask));
            if (i >= n)
                continue;
            p->index[p->count] = s->index[i];
            if (c->keyed)
                p->column[p->count] = s->column[i];
            p->place[p->count++] = (uint32_t)(place + i);
        }
    }
}

/* Spans of fewer elements are made one by one. */
enum { SHORT_SPAN = 3 };

/* Make the elements first ... first + n - 1 of short spans. */
VEC void make_scattered(int tag, fastinit_type type, char *out, const fastinit_spans *spans,
                        size_t first, size_t n, const fastinit_args *args,
                        redraw_function *redraw_pending)
{
    call c = {.args = *args, .keyed = spans->keyed};
    scattered s;
    pending p;

    philox_schedule(&c.keys, args->seed);
    p.count = 0;
    cursor from = {first / spans->length, first % spans->length};
    for (size_t at = 0; n;) {
        const size_t count = size_min(n, SCATTERED);
        if (spans->length == 1) {
            memcpy(s.index, spans->starts + from.span, count * sizeof *s.index);
            if (c.keyed)
                memset(s.column, 0, count * sizeof *s.column);
            from.span += count;
        }
        for (size_t i = 0; i < count && spans->length > 1; i++) {
            s.index[i] = spans->starts[from.span] + (spans->keyed ? 0 : from.element);
            if (spans->keyed)
                s.column[i] = from.element;
            if (++from.element == spans->length)
                from.span++, from.element = 0;
        }
        make_each(tag, type, out, at, &s, count, &p, &c, redraw_pending);
        n -= count;
        at += count;
        if (at == CHUNK || !n) {
            redraw_pending(out, &p, &c);
            out += at * fastinit_size_of(type);
            at = 0;
        }
    }
}

#endif
