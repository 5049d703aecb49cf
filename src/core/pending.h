/* The elements whose first attempt was rejected: they are collected, and then redrawn together. */
#ifndef FASTINIT_PENDING_H
#define FASTINIT_PENDING_H

#include <string.h>

#include "batches.h"
#include "later_attempt.h"

/* The rejected elements, by their indices in the array (of rows with keys: key and column) and
 * their places in the output.  The list has room for more than a chunk is expected to reject; if
 * that is not enough, as when one row is asked for again and again, it is redrawn sooner. */
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

/* Return the first attempts' samples of VEC_GROUPS vectors of elements by their indices or columns.
 * Pending elements need theirs again; the others that need this have a block to themselves. */
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

/* redraw() of one kernel.  It is not inlined where it is called, which would duplicate the code. */
typedef void redraw_function(char *out, pending *p, const call *c);

#endif
