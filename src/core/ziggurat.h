/* The Ziggurat's tables and its first attempt.  gen_ziggurat.py, which writes the tables, says what
 * the method is and what the regions are. */
#ifndef FASTINIT_ZIGGURAT_H
#define FASTINIT_ZIGGURAT_H

#include "vec.h"

enum { ZIGGURAT_LAYER_BITS = 10, ZIGGURAT_LAYERS = 1 << ZIGGURAT_LAYER_BITS };

typedef struct {
    uint32_t inscribed; /* Names below this are rectangles; the others are redrawn. */
    uint32_t tails;     /* Regions below this are the tail; it is 1 or 0. */
    double limit;       /* No |z| is greater than this. */
    double x0, inverse_x0;
    float edge_f32[ZIGGURAT_LAYERS]; /* by name: right edge of a rectangle * 2^-31 */
    double edge_f64[ZIGGURAT_LAYERS];
    uint64_t alias[ZIGGURAT_LAYERS];   /* threshold << ZIGGURAT_LAYER_BITS | alias */
    double region[ZIGGURAT_LAYERS][4]; /* a, width, y0, height */
} fastinit_ziggurat;

extern const fastinit_ziggurat fastinit_ziggurat_normal, fastinit_ziggurat_truncated;

/* Return (m + 1/2) * 2^-52 for m < 2^52.  It lies in the open interval (0, 1), and all of them lie
 * symmetrically about 1/2.  m becomes the mantissa of a double in [1, 2), and the subtraction is
 * exact. */
VEC vd open_unit(vu m)
{
    return vd_sub(vd_of_bits(vu_or(m, vu_set1(0x3ff0000000000000))), vd_set1(1 - 0x1p-53));
}

/* Turn 2 * VEC_W words into standard normals, and set the bits of those to redraw.
 *
 * A word is a signed integer that is made odd, so that z is never zero, and a word and its
 * complement give z and -z.  The low bits of the one that is not negative name the layer.  Because
 * the name is part of the number, the lattices of the layers are moved against each other at no
 * cost, and no shift is needed to separate the two. */
VEC vf first_attempt_f32(const fastinit_ziggurat *t, vu words, uint32_t *redraw)
{
    const uint64_t names = ZIGGURAT_LAYERS - 1;
    vu layer = vu_and(vu_xor(words, vu_sra32(words, 31)), vu_set1(names << 32 | names));
    vu odd = vu_or(words, vu_set1(0x0000000100000001));
    *redraw = vu_ge32(layer, t->inscribed);
    return vf_mul(vf_from_i32(odd), vf_lookup(t->edge_f32, layer));
}

/* Turn VEC_W 64-bit samples into standard normals.  Bits 0-9 name the layer, bit 11 is the sign,
 * bits 12-63 are the magnitude; bit 10 is not used. */
VEC vd first_attempt_f64(const fastinit_ziggurat *t, vu samples, uint32_t *redraw)
{
    vu layer = vu_and(samples, vu_set1(ZIGGURAT_LAYERS - 1));
    vu sign = vu_and(vu_sll(samples, 52), vu_set1(0x8000000000000000));
    vd z = vd_mul(open_unit(vu_srl(samples, 12)), vd_lookup(t->edge_f64, layer));
    *redraw = vu_ge64(layer, t->inscribed);
    return vd_of_bits(vu_xor(vu_of_bits(z), sign));
}

#endif
